# SPDX-License-Identifier: MIT
"""On a Python that can run without a GIL: who has one, and who says so."""
import shutil
import subprocess

import pytest

from harness import embedded
from harness.front import is_module

HELLO = """\
import sys
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d" % sys._is_gil_enabled()]
"""
ASGI = """\
import sys
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"%d" % sys._is_gil_enabled()})
"""
# An extension that says nothing of the GIL: it needs one.
EXTENSION = """\
#include <Python.h>
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, "old_habits", 0, -1};
PyMODINIT_FUNC PyInit_old_habits(void) { return PyModule_Create(&def); }
"""
OFF = "The GIL is off: the threads of a worker run Python at the same time"


@pytest.fixture(autouse=True)
def needs_free_threaded():
    embedded.needs_free_threading()


@pytest.mark.parametrize("kind", ["sync", "gthread", "asgi"])
@pytest.mark.parametrize("asked", [{}, {"PYTHON_GIL": "0"}])
def test_there_is_no_gil_and_one_line_says_so(server, kind, asked):
    s = server("shop:app", "-k", kind, "-w", "2",
               files={"shop.py": ASGI if kind == "asgi" else HELLO}, env=asked)
    assert s.get("/").body == b"0"
    assert s.stop() == 0
    assert s.log_count(OFF) == 1


def test_the_gil_is_on_when_it_is_asked_for(server):
    s = server("shop:app", files={"shop.py": HELLO}, env={"PYTHON_GIL": "1"})
    assert s.get("/").body == b"1"
    assert s.log_count("The GIL is on: workers use the cores") == 1


def test_the_option_of_the_interpreter_counts(server):
    if not is_module():
        pytest.skip("the program takes no options of Python's")
    s = server("-X", "gil=1", "-m", "cgunicorn", "shop:app",
               files={"shop.py": HELLO}, program=[embedded.executable()])
    assert s.get("/").body == b"1"


# A package of that name, of which nothing is used before the GIL is asked for.
TORNADO = {"tornado/__init__.py": "version_info = (6, 5)\n", "shop.py": HELLO}


def test_a_class_that_needs_the_gil_is_refused_without(run):
    done = run("shop:app", "-k", "tornado", files=TORNADO, env={"PYTHON_GIL": "0"})
    assert done.status == 1
    done.line_with("worker class 'tornado'", "needs the GIL", "PYTHON_GIL=0", "-X gil=0",
                   "sync, gthread, asgi")


def test_a_class_that_needs_the_gil_has_it(run, tmp_path):
    told = HELLO + "import sys\nopen('told', 'w').write(str(sys._is_gil_enabled()))\n"
    done = run("shop:app", "-k", "gevent", "--check-config",
               files={"gevent/__init__.py": "import sys\n"
                      "open('told', 'w').write(str(sys._is_gil_enabled()))\n",
                      "shop.py": told})
    assert (tmp_path / "told").read_text() == "True"
    assert "RuntimeWarning" not in done.err


@pytest.fixture
def extension(tmp_path):
    """A folder with the module old_habits."""
    if shutil.which("gcc") is None:
        pytest.skip("there is no gcc to make an extension with")
    told = subprocess.run(
        [embedded.executable(), "-c", "import sysconfig; "
         "print(sysconfig.get_path('include'), sysconfig.get_config_var('EXT_SUFFIX'))"],
        capture_output=True, text=True, check=True).stdout.split()
    folder = tmp_path / "extension"
    folder.mkdir()
    (folder / "old_habits.c").write_text(EXTENSION)
    done = subprocess.run(["gcc", "-shared", "-fPIC", f"-I{told[0]}", "-o",
                           f"old_habits{told[1]}", "old_habits.c"], cwd=folder,
                          capture_output=True, text=True)
    if done.returncode != 0 and "Python.h" in done.stderr:
        pytest.skip(f"{embedded.executable()} has no headers")
    assert done.returncode == 0, done.stderr
    return folder


def test_an_extension_that_turns_the_gil_on_is_named(server, extension):
    s = server("shop:app", "--pythonpath", str(extension), "-w", "2",
               files={"shop.py": "import old_habits\n" + HELLO})
    s.announce("turned the GIL on")
    assert s.get("/").body == b"1"
    s.wait_log(r"The application turned the GIL on \(pid:\d+\), .*: old_habits\n", 2)
    assert s.log_count(OFF) == 1
    assert "RuntimeWarning" not in s.log() + s.stderr()


def test_with_preload_app_the_master_names_it(server, extension):
    s = server("shop:app", "--pythonpath", str(extension), "--preload",
               files={"shop.py": "import old_habits\n" + HELLO})
    assert s.get("/").body == b"1"
    assert s.log_count("The GIL is on, turned on by old_habits: workers use the cores") == 1


def test_one_that_may_not_turn_it_on_does_not(server, extension):
    s = server("shop:app", "--pythonpath", str(extension),
               files={"shop.py": "import old_habits\n" + HELLO}, env={"PYTHON_GIL": "0"})
    assert s.get("/").body == b"0"
    assert "turned the GIL on" not in s.log()
