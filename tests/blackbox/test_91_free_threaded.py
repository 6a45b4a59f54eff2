# SPDX-License-Identifier: MIT
"""On a Python that can run without a GIL the server has it on."""
import functools
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


@functools.lru_cache(maxsize=None)
def is_free_threaded():
    done = subprocess.run(
        [embedded.executable(), "-c",
         "import sysconfig; print(sysconfig.get_config_var('Py_GIL_DISABLED'))"],
        capture_output=True, text=True, check=True)
    return done.stdout.strip() == "1"


@pytest.fixture(autouse=True)
def needs_free_threaded():
    if not is_free_threaded():
        pytest.skip(f"{embedded.executable()}, which is embedded, is no free-threaded "
                    "build (make PYTHON=python3.14t)")


def test_the_gil_is_on_and_one_line_says_so(server):
    s = server("shop:app", "--threads", "4", "-w", "2", files={"shop.py": HELLO})
    assert s.get("/").body == b"1"
    assert s.stop() == 0
    assert s.log_count("the GIL is on, and workers use the cores") == 1
    assert "RuntimeWarning" not in s.log()


def test_a_start_without_the_gil_is_refused(run):
    done = run("shop:app", files={"shop.py": HELLO}, env={"PYTHON_GIL": "0"})
    assert done.status == 1
    done.line_with("PYTHON_GIL=0", "-X gil=0")


def test_the_option_that_turns_the_gil_off_is_refused(run):
    if not is_module():
        pytest.skip("the program takes no options of Python's")
    python = embedded.executable()
    done = run("-X", "gil=0", "-m", "cgunicorn", "shop:app",
               files={"shop.py": HELLO}, program=[python])
    assert done.status == 1
    done.line_with("-X gil=0")


def test_asking_for_the_gil_is_no_error(server):
    s = server("shop:app", files={"shop.py": HELLO}, env={"PYTHON_GIL": "1"})
    assert s.get("/").body == b"1"
