# SPDX-License-Identifier: MIT
"""What tests of the class asgi share: the applications are one per path and tell
what they noticed at /seen (apps/asgi_probe.py)."""
import functools
import json
import subprocess

import pytest

from . import embedded
from .waiting import until

# of asgi_probe: they look at their task, and answer "ok"
CHECKS = """current_task name_first done_callback context context wait_for
wait_at_once gathers cancels_itself timeouts groups lost_receive""".split()
OK = (200, b"ok")


def answer(server, path, *fields, **kw):
    r = server.get(path, *fields, **kw)
    return r.status, r.body


def seen(server):
    return json.loads(server.get("/seen").body)


def wait_seen(server, key, value):
    until(lambda: seen(server).get(key) == value,
          lambda: f"{key} is {value!r}: {seen(server)}")


@functools.lru_cache(maxsize=None)
def _can_import(module):
    return subprocess.run([embedded.executable(), "-c", "import " + module],
                          capture_output=True).returncode == 0


def needs(*modules):
    """Skips a test when the embedded interpreter has one of them not."""
    missing = [m for m in modules if not _can_import(m)]
    if missing:
        pytest.skip("the interpreter inside has no " + " or ".join(missing))


def needs_python(*version):
    if embedded.told()["version"] < list(version):
        pytest.skip("this is of Python %d.%d" % version)
