# SPDX-License-Identifier: MIT
"""The kernel's OOM killer, in a control group that is made for it."""
import os
import signal

import pytest

from harness import cgroup, processes
from harness.control import deaths
from harness.server import command
from harness.waiting import until

EATS = """\
import os

def app(environ, start_response):
    food = []
    while environ["PATH_INFO"] == "/eat":
        food.append(b"x" * (8 << 20))
    body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Type", "text/plain"),
                              ("Content-Length", str(len(body)))])
    return [body]
"""


@pytest.fixture(params=["of the machine", "of a container"])
def small(request, server, monkeypatch):
    """A server with 300 MB, all of its processes together."""
    alone = request.param == "of a container"
    words = [os.path.abspath(command()[0]), *command()[1:]]
    if b"__asan_init" in open(words[0], "rb").read():
        pytest.skip("a sanitizer needs more memory than that")
    with cgroup.memory(300 << 20) as group:
        monkeypatch.setenv("CGUNICORN", group.command(words, alone))
        s = server("eats:app", "-w", "2", files={"eats.py": EATS})
        s.wait_workers(2)
        yield s
        s.stop()


def test_the_oom_killer_is_named_with_what_it_took(small):
    small.announce("SIGKILL")
    with small.connect() as peer:
        peer.get("/eat")
        assert peer.rest() == b""
    victim = int(small.wait_log(
        r"\[ERROR\] Worker \(pid:(\d+)\) was sent SIGKILL! Out of memory: the "
        r"kernel's OOM killer chose it"))
    small.wait_log(rf"Worker \(pid:{victim}\) took 1 request with it: GET /eat ")
    death = until(lambda: deaths(small), "its end is explained")[0]
    assert (death["pid"], death["cause"]) == (victim, "oom")
    assert "GET /eat" in death["story"]
    until(lambda: len(small.workers()) == 2 and victim not in small.workers(),
          "it is replaced")
    assert small.get("/").status == 200


def test_the_kill_of_somebody_else_is_not_the_oom_killers(small):
    small.announce("SIGKILL")
    victim = small.workers()[0]
    os.kill(victim, signal.SIGKILL)
    small.wait_log(rf"Worker \(pid:{victim}\) was sent SIGKILL! Neither this "
                   "server nor the OOM killer")
    processes.wait_gone(victim, "the worker")
    assert small.get("/").status == 200
