# SPDX-License-Identifier: MIT
"""gthread: a view that keeps the GIL, as extensions do."""
import os

import pytest

from harness import embedded
from harness.blocked import pid_of, pinned
from harness.waiting import until

APP = """
import ctypes, os, pathlib

def app(environ, start_response):
    if environ["PATH_INFO"] == "/hold":
        fd = os.open("fifo", os.O_RDWR)
        pathlib.Path("in").touch()
        ctypes.PyDLL(None).read(fd, ctypes.create_string_buffer(1), 1)
    body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


@pytest.fixture(autouse=True)
def gil():
    embedded.needs_gil()


def start(server, *args):
    s = server("app:app", "-k", "gthread", *args, files={"app.py": APP})
    os.mkfifo(s.folder / "fifo")
    return s


def hold(server, peer):
    peer.get("/hold")
    until(lambda: (server.folder / "in").exists(), "the GIL is held")


def test_a_view_that_keeps_the_gil_is_under_timeout(server):
    s = start(server, "--threads", "2", "--timeout", "1")
    s.announce("WORKER TIMEOUT", "is running", "Stacks of worker", "took 1 request",
               "SIGKILL", "SIGABRT", "longer than timeout")
    victim, = s.wait_workers(1)
    hold(s, s.connect())
    s.wait_log("WORKER TIMEOUT")
    until(lambda: victim not in s.workers(), "it is replaced")
    assert s.get("/").status == 200


def test_requests_beside_it_go_to_idle_workers(server):
    s = start(server, "-w", "2", "--threads", "2", "--timeout", "60")
    victim, peers = pinned(s, count=4)
    hold(s, peers[0])
    for peer in [*peers[1:], s.connect(), s.connect(), s.connect()]:
        peer.get("/")
        assert pid_of(peer.reply()) != victim
    (s.folder / "fifo").open("wb", 0).write(b"x")
    assert pid_of(peers[0].reply()) == victim
