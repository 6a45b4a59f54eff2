# SPDX-License-Identifier: MIT
"""Manual pages and completion, as the tools that read them see them, and where
make install puts them."""
import os
import pty
import re
import select
import shutil
import subprocess

import pytest

from harness import control
from harness.server import ROOT, command
from harness.waiting import DEADLINE

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
    (["config", "diff", "--runn"], ["--running"]),
    (["chec"], ["check"]),
    (["gener"], ["generate"]),
    (["generate", "k"], ["kubernetes"]),
    (["reload", "--w"], ["--wait"]),
    (["stop", "--n"], ["--name", "--now"]),
    (["status", "--js"], ["--json"]),
    (["loglevel", "w"], ["warning"]),
    (["recycle", "a"], ["all"]),
])
def test_bash_offers(words, offered):
    assert completed(*words) == offered


def test_bash_offers_files_where_a_file_follows(tmp_path):
    (tmp_path / "prod.py").write_text("")
    (tmp_path / "logs").mkdir()
    assert completed("-c", f"{tmp_path}/p") == [f"{tmp_path}/prod.py"]
    assert completed("--chdir", f"{tmp_path}/") == [f"{tmp_path}/logs"]


# ---- fish ----


@pytest.mark.parametrize("line, offered", [
    ("--limit-request-f",
     ["--limit-request-fields", "--limit-request-field_size"]),
    ("--reload-engine ", ["auto", "poll", "inotify"]),
    ("-k gt", ["gthread"]),
    ("conf", ["config"]),
    ("config e", ["explain"]),
    ("config explain worker_c", ["worker_class", "worker_connections"]),
    ("config diff --runn", ["--running"]),
    ("chec", ["check"]),
    ("generate k", ["kubernetes"]),
    ("reload --wai", ["--wait"]),
    ("loglevel w", ["warning"]),
])
def test_fish_offers(line, offered, tmp_path):
    need("fish")
    done = subprocess.run(
        ["fish", "--no-config", "-c",
         'source $argv[1]; complete -C "cgunicorn $argv[2]"',
         DOCS / "completion" / "cgunicorn.fish", line],
        cwd=tmp_path, env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    found = [x.split("\t")[0] for x in done.stdout.splitlines()]
    # fish 4.0 lists here what has the letters anywhere, too; TAB prefers those that begin so
    typed = line.rpartition(" ")[2]
    best = [x for x in found if x.startswith(typed)] or found
    assert sorted(best) == sorted(offered)


# ---- zsh ----


ZSHRC = """\
fpath=({folder} $fpath)
autoload -Uz compinit && compinit -u -D
cgunicorn() {{ print -r -- "words<$*>" }}
PROMPT=
precmd() {{ print "a prompt" }}
"""


class Zsh:
    """An interactive one in a terminal of its own, since only there it
    completes; its command tells the words that it was given."""

    def __init__(self, folder):
        (folder / ".zshrc").write_text(
            ZSHRC.format(folder=DOCS / "completion"))
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execvpe("zsh", ["zsh", "-i"], {
                **os.environ, "ZDOTDIR": str(folder), "TERM": "dumb"})
        self.text = ""
        self.wait("a prompt")

    def wait(self, word):
        while word not in self.text:
            assert select.select([self.fd], [], [], DEADLINE)[0], self.text
            self.text += os.read(self.fd, 65536).decode()
        before, self.text = self.text.split(word, 1)
        return before

    def words(self, typed):
        """The command's words after TAB and the line's end."""
        os.write(self.fd, f"cgunicorn {typed}\t\n".encode())
        self.wait("words<")
        found = self.wait(">")
        self.wait("a prompt")
        return found

    def end(self):
        os.close(self.fd)  # it gets HUP
        os.waitpid(self.pid, 0)


@pytest.fixture(scope="module")
def zsh(tmp_path_factory):
    need("zsh")
    shell = Zsh(tmp_path_factory.mktemp("zsh"))
    yield shell
    shell.end()


@pytest.mark.parametrize("typed, whole", [
    ("--worker-cl", "--worker-class"), ("-k gt", "-k gthread"),
    ("--reload-engine=po", "--reload-engine=poll"), ("conf", "config"),
    ("config exp", "config explain"),
    ("config explain preload", "config explain preload_app"),
    ("-w2 --max-requests-j", "-w2 --max-requests-jitter"),
    ("--no-such-opt", "--no-such-opt"),
    ("config diff --runn", "config diff --running"),
    ("generate kub", "generate kubernetes"), ("reload --wai", "reload --wait"),
    ("loglevel warn", "loglevel warning"), ("chec", "check"),
])
def test_zsh_completes(zsh, typed, whole):
    assert zsh.words(typed) == whole


# ---- all of them ----


def test_every_command_is_completed_and_in_the_manual_page(tmp_path):
    """The words that the program itself lists when one is wrong."""
    told = control.ctl(tmp_path, "ctl", "nothing").err
    words = re.findall(r"^ +([a-z]+) ", told, re.M)
    assert len(words) > 12, told
    kinds = re.search(r"generate (\S+) ", control.ctl(
        tmp_path, "generate", "nothing").err)[1].split("|")
    texts = {n: (DOCS / n).read_text() for n in (
        "completion/cgunicorn.bash", "completion/_cgunicorn",
        "completion/cgunicorn.fish", "cgunicorn.1")}
    for word in [*words, "config", "check", "generate"]:
        for name, text in texts.items():
            assert re.search(rf"(\b|fB){word}\b", text), (word, name)
    for kind in kinds:
        for name, text in texts.items():
            assert kind in text, (kind, name)


# ---- manual pages ----


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
    signals = done.stdout.split("\nSIGNALS\n")[1].split("\nENVIRONMENT\n")[0]
    assert re.search(r"^ +A worker understands:$", signals, re.M), signals
    known = (ROOT / "core/arbiter/signals.c").read_text().split("[] = {")[1]
    for name in re.findall(r"SIG([A-Z]+\d?)", known.split("}")[0]):
        assert name == "CHLD" or re.search(rf"\b{name}\b", signals), name


# ---- make install ----


INSTALLED = {
    "bin/cgunicorn": None,
    "share/man/man1/cgunicorn.1": "cgunicorn.1",
    "share/man/man5/cgunicorn.conf.5": "cgunicorn.conf.5",
    "share/bash-completion/completions/cgunicorn": "completion/cgunicorn.bash",
    "share/zsh/site-functions/_cgunicorn": "completion/_cgunicorn",
    "share/fish/vendor_completions.d/cgunicorn.fish":
        "completion/cgunicorn.fish",
}


def test_make_install_puts_all_of_it_below_the_prefix(tmp_path):
    """The very rules of the Makefile with the program under test in the place
    of the one that it builds."""
    program = os.path.realpath(command()[0])
    done = subprocess.run(
        ["make", f"BUILT={program}", "PREFIX=/opt/x", f"DESTDIR={tmp_path}",
         "install"], cwd=ROOT, text=True,
        capture_output=True)
    assert done.returncode == 0, done.stderr
    found = {str(p.relative_to(tmp_path / "opt/x"))
             for p in tmp_path.rglob("*") if p.is_file()}
    doc = "share/doc/cgunicorn/"
    assert {f for f in found if not f.startswith(doc)} == set(INSTALLED)
    for name in ("README.md", "LICENSE", "docs/settings.md", "sample_configs/plain.py",
                 "sample_configs/systemd/cgunicorn.socket"):
        assert (tmp_path / "opt/x" / doc / name).read_bytes() == (ROOT / name).read_bytes()
    for name, source in INSTALLED.items():
        installed = tmp_path / "opt/x" / name
        if source:
            assert installed.read_bytes() == (DOCS / source).read_bytes()
            assert installed.stat().st_mode & 0o777 == 0o644
    version = subprocess.run(
        [tmp_path / "opt/x/bin/cgunicorn", "--version"], check=True,
        capture_output=True, text=True).stdout
    assert version == subprocess.run(
        [program, "--version"], check=True, capture_output=True,
        text=True).stdout
