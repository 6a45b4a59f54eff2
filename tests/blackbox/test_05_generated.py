# SPDX-License-Identifier: MIT
"""Manual pages and completion, as the tools that read them see them."""
import shutil
import subprocess

import pytest

from harness.server import ROOT

DOCS = ROOT / "docs"
BASH = DOCS / "completion" / "cgunicorn.bash"


def need(tool):
    if not shutil.which(tool):
        pytest.skip(f"there is no {tool}")


@pytest.mark.parametrize("shell, name", [
    ("bash", "cgunicorn.bash"), ("zsh", "_cgunicorn"),
    ("fish", "cgunicorn.fish"),
])
def test_a_shell_parses_its_completion(shell, name):
    need(shell)
    done = subprocess.run([shell, "-n", DOCS / "completion" / name],
                          capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def completed(*words):
    """What bash offers for the last of the words."""
    script = ('source "$1"; shift; COMP_WORDS=(cgunicorn "$@"); '
              "COMP_CWORD=$#; _cgunicorn; "
              'printf "%s\\n" "${COMPREPLY[@]}"')
    done = subprocess.run(["bash", "-c", script, "bash", BASH, *words],
                          capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize("words, offered", [
    (["--limit-request-f"],
     ["--limit-request-fields", "--limit-request-field_size"]),
    (["--reload-engine", ""], ["auto", "poll", "inotify"]),
    (["--reload-engine", "=", "p"], ["poll"]),
    (["-k", "gt"], ["gthread"]),
    (["--log-level", "w"], ["warning"]),
    (["-w", ""], ["auto"]),
    (["-t", "3"], []),
    (["conf"], ["config"]),
    (["config", "e"], ["explain"]),
    (["config", "explain", "worker_c"], ["worker_class", "worker_connections"]),
])
def test_bash_offers(words, offered):
    assert completed(*words) == offered


def test_bash_offers_files_where_a_file_follows(tmp_path):
    (tmp_path / "prod.py").write_text("")
    (tmp_path / "logs").mkdir()
    assert completed("-c", f"{tmp_path}/p") == [f"{tmp_path}/prod.py"]
    assert completed("--chdir", f"{tmp_path}/") == [f"{tmp_path}/logs"]


@pytest.mark.parametrize("page", ["cgunicorn.1", "cgunicorn.conf.5"])
def test_a_manual_page_has_no_faults(page):
    need("man")
    done = subprocess.run(
        ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z",
         DOCS / page], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_manual_page_reads_well():
    need("man")
    done = subprocess.run(["man", "-l", DOCS / "cgunicorn.1"], text=True,
                          capture_output=True,
                          env={"MANWIDTH": "80", "LC_ALL": "C.UTF-8",
                               "PATH": "/usr/bin:/bin", "PAGER": "cat"})
    for text in ("SYNOPSIS", "--workers INT", "EXIT STATUS",
                 "cgunicorn [OPTIONS] [APP_MODULE]"):
        assert text in done.stdout
