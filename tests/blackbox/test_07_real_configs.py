# SPDX-License-Identifier: MIT
"""Configurations as people write them get the values that gunicorn gives them
(tests/configs; recorded by tests/parity/record_configs.py)."""
import importlib.util
import json
import os
import re

import pytest

from harness.server import ROOT

CONFIGS = ROOT / "tests" / "configs"
EXPECTED = json.loads((CONFIGS / "expected.json").read_text())
FILES = sorted(p.name for p in CONFIGS.iterdir()
               if p.suffix in (".py", ".yaml"))


def header(name, word):
    text = (CONFIGS / name).with_suffix(".py").read_text()
    found = re.search(rf"^# {word}: (.*)$", text, re.M)
    return found.group(1) if found else ""


def printed(text):
    found = (re.match(r"(\w+) +=(?: (.*))?$", x) for x in text.splitlines())
    return {m.group(1): m.group(2) or "" for m in found if m}


def expected(name):
    """What gunicorn says, with what this machine counts."""
    stem = name.rsplit(".", 1)[0]
    values = dict(EXPECTED["default"], **EXPECTED["differs"][stem])
    counted, _, formula = header(name, "cpus").partition(" = ")
    if counted:
        values[counted] = str(eval(formula, {"cpus": os.cpu_count()}))
    return values


def is_same(name, want, got):
    if name == "keepalive" and want == "2":
        return got in ("2", "75")  # our default is another one
    # gunicorn shows the name of a wrapper
    return want == got or (name == "post_request" and "lambda" in want)


def test_the_known_differences_are_the_documented_ones():
    spec = importlib.util.spec_from_file_location(
        "config_matrix", ROOT / "tests" / "parity" / "config_matrix.py")
    matrix = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(matrix)
    text = (ROOT / "docs" / "differences.md").read_text()
    section = text.split("## The configuration\n")[1].split("Besides:")[0]
    listed = re.findall(r"^- (.*)$", section, re.M)
    assert listed == [d.reason for d in matrix.DIFFERENCES]


def test_there_are_enough_of_them():
    assert len(EXPECTED["differs"]) >= 60
    assert {f.rsplit(".", 1)[0] for f in FILES} == set(EXPECTED["differs"])


@pytest.mark.parametrize("name", FILES)
def test_a_real_configuration_gets_gunicorns_values(run, name):
    env = dict(x.split("=", 1) for x in header(name, "env").split())
    done = run("--print-config", "--show-secrets", "-c", name,
               "okapp:application", cwd=CONFIGS,
               env={**env, "PYTHONPATH": "modules",
                    "PYTHONDONTWRITEBYTECODE": "1"})
    got = printed(done.out)
    wrong = {k: (want, got.get(k)) for k, want in expected(name).items()
             if not is_same(k, want, got.get(k))}
    assert not wrong, f"{done.err}\nname: (gunicorn's, ours): {wrong}"


@pytest.mark.parametrize("name, words", [
    ("identity.py", ["preload_app"]),
    ("wallet.py", ["accesslog", "errorlog", "loglevel", "keepalive"]),
    ("documents.py", ["proc_name", "pythonpath"]),
])
def test_what_gunicorn_ignores_is_pointed_out(run, name, words):
    done = run("--print-config", "--show-secrets", "-c", name,
               "okapp:application", cwd=CONFIGS,
               env={"PYTHONPATH": "modules"})
    for word in words:
        done.line_with("Warning: " + name, f"did you mean '{word}'")
