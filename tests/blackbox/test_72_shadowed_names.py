# SPDX-License-Identifier: MIT
"""Files of the project that are called as modules of the standard library: the
server imports its own, and the master nothing of the project's."""
import os
import re
import subprocess

import pytest

from harness import classes, embedded
from harness.server import ROOT
from harness.waiting import until

# it says by whom it was run, and is no more of a module than that
PLANTED = """\
import posix
_fd = posix.open(%r, posix.O_WRONLY | posix.O_APPEND | posix.O_CREAT, 0o666)
posix.write(_fd, b"%s %%d\\n" %% posix.getpid())
posix.close(_fd)
"""
APP = """\
def app(environ, start_response):
    if environ["PATH_INFO"] == "/fail":
        raise ValueError("as asked")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"served"]
"""
# Files that an application may well have, with the names of modules that
# gunicorn's process has loaded before it looks into the project's folder.
ORDINARY = """argparse ast base64 calendar codecs collections contextlib copy
csv datetime email enum fnmatch html inspect io json logging operator pathlib
pickle platform queue random re select selectors shlex signal socket ssl string
struct tempfile textwrap threading time token traceback types typing urllib
warnings weakref""".split()


def names_of_the_server():
    text = (ROOT / "core/py/glue/standard.py").read_text(encoding="utf-8")
    return re.search(r'NAMES = frozenset\("""(.*?)"""', text, re.S)[1].split()


def standard_names():
    """Of the interpreter inside, but for what it has loaded to be one."""
    code = "import sys; print(*sorted(getattr(sys, 'stdlib_module_names', ())))"
    found = subprocess.run([embedded.executable(), "-c", code],
                           capture_output=True, check=True, text=True)
    return found.stdout.split() or names_of_the_server()


def plant(folder, names):
    record = folder / "imported"
    record.touch()
    record.chmod(0o666)
    return {name + ".py": PLANTED % (str(record), name) for name in names
            if name not in ("posix", "sys", "builtins", "__future__")}


def imported(folder, pid=None):
    lines = (folder / "imported").read_text().split("\n")[:-1]
    return sorted({name for name, who in map(str.split, lines)
                   if pid is None or int(who) == pid})


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "project"
    path.mkdir()
    return path


@pytest.mark.parametrize("names", [names_of_the_server, standard_names],
                         ids=["gunicorn's", "all"])
def test_a_server_imports_nothing_of_the_projects_but_the_application(
        server, folder, names):
    files = plant(folder, names())
    s = server("shop:app", "-w", "2", "-p", "pid", "--access-logfile", "a.log",
               "--statsd-host", "127.0.0.1:9", "--log-level", "debug",
               files={"shop.py": APP, **files}, folder=folder,
               announced=["as asked"])
    s.wait_log("Booting worker", 2)
    assert s.get("/").body == b"served"
    assert s.get("/fail").status == 500
    s.signal("USR1")
    s.signal("HUP")
    s.wait_log("Booting worker", 4)
    assert s.get("/").body == b"served"
    found = imported(folder) if names is names_of_the_server \
        else imported(folder, s.pid)
    assert found == []
    assert "Traceback" not in s.log().replace("as asked", "") or "/fail" in \
        s.log()


def test_a_new_master_imports_nothing_of_the_projects(server, folder):
    s = server("shop:app", "-p", "pid", files={
        "shop.py": APP, **plant(folder, standard_names())}, folder=folder,
        pidfile="pid")
    s.signal("USR2")
    second = until(lambda: (folder / "pid.2").exists() and
                   int((folder / "pid.2").read_text()), "the new master's pid")
    s.wait_log("Booting worker", 2)
    assert imported(folder, second) == imported(folder, s.pid) == []
    os.kill(second, 15)
    until(lambda: not (folder / "pid.2").exists(), "it has ended")


@pytest.mark.parametrize("name", ORDINARY)
def test_a_file_of_that_name_is_nobodys_but_the_projects(run, tmp_path, name):
    """As with gunicorn, the standard library's is what `import` finds."""
    done = run("--check-config", "shop:app", files={
        "shop.py": "import %s as m\nassert not hasattr(m, 'planted'), m\n"
                   % name + APP, name + ".py": "planted = True\n"})
    assert done.status == 0, done.err


def test_another_file_of_the_projects_is_imported_as_ever(run):
    done = run("--check-config", "shop:app", files={
        "shop.py": "import difflib, http\nassert difflib.ours and http.ours\n"
                   + APP, "difflib.py": "ours = 1\n", "http.py": "ours = 1\n"})
    assert done.status == 0, done.err


def test_a_hint_at_the_right_name_needs_no_file_of_the_projects(run):
    done = run("--check-config", "shop:ap", files={
        "shop.py": APP, "difflib.py": "raise SystemExit(9)\n"})
    assert done.status == 1
    assert "there is 'app'" in done.err


@pytest.mark.skipif(classes.has_package(), reason="of the native classes")
@pytest.mark.parametrize("package", ["gevent", "eventlet", "tornado"])
def test_the_package_of_a_class_is_none_of_the_projects_for_the_master(
        server, folder, package):
    s = server("-k", package, "shop:app", files={
        "shop.py": APP, **plant(folder, [package])}, folder=folder,
        start=False, announced=["Traceback", "Exception in worker"])
    until(lambda: s.process.poll() is not None or "Booting worker" in s.log(),
          "it serves, or ends since there is no such package")
    assert imported(folder, s.pid) == []
    if s.process.poll() is None:
        until(lambda: s.process.poll() is not None or imported(folder) or
              s.log_count("Booting worker"), "a worker came")
        s.expected_status = s.stop()
    else:
        s.expected_status = s.wait()


def test_flask_serves_beside_files_of_these_names(server, folder):
    has = subprocess.run([embedded.executable(), "-c", "import flask"],
                         capture_output=True, check=False)
    if has.returncode:
        pytest.skip("no Flask for " + embedded.executable())
    s = server("shop:app", files={"shop.py": """\
from flask import Flask
app = Flask(__name__)
@app.get("/")
def index():
    return "served"
""", **plant(folder, ORDINARY)}, folder=folder)
    assert s.get("/").body == b"served"
    assert imported(folder) == []
