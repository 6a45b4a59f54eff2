# SPDX-License-Identifier: MIT
"""Clients that go on reading, however slowly, get all of a reply: it is what
they take that counts, not what their socket's buffer hides."""
import os
import re
import selectors
import socket
import time

import pytest

from harness import classes
from harness.waiting import until
from harness.wire import Peer

SIZE = 9 << 20  # more than the sockets of both ends take
APP = """\
SIZE = %d
BODY = b"0123456789abcdef" * (SIZE // 16)

def blocks():
    for at in range(0, SIZE, 65536):
        yield BODY[at:at + 65536]

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/made":
        start_response("200 OK", [])
        return blocks()
    start_response("200 OK", [("Content-Length", str(SIZE))])
    if path == "/file":
        return environ["wsgi.file_wrapper"](open("body", "rb"))
    return [BODY] if path == "/list" else blocks()
""" % SIZE
PATHS = ["/list", "/made", "/length", "/file"]


@pytest.fixture
def steady(server):
    body = (b"0123456789abcdef" * (SIZE // 16)).decode()
    return lambda *args, **kw: server(
        *args, "steady:app", "--write-timeout", "2",
        files={"steady.py": APP, "body": body}, **kw)


def connect(s):
    """A client whose own buffers are small."""
    if isinstance(s.address, str):
        return s.connect()
    peer = Peer.__new__(Peer)
    peer.sock = socket.socket()
    peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
    peer.sock.settimeout(60)
    peer.sock.connect(s.address)
    peer.buffer, peer.ended, peer.was_reset = b"", False, False
    return peer


def read_slowly(peers, seconds, step=12000, pace=0.05):
    """Each takes `step` bytes each `pace` seconds."""
    end = time.monotonic() + seconds
    parts = {p: [] for p in peers}
    with selectors.DefaultSelector() as waiter:
        while time.monotonic() < end:
            for p in peers:
                if not p.ended:
                    data = p.sock.recv(step)
                    p.ended = not data
                    parts[p].append(data)
            waiter.select(pace)
    for p in peers:
        p.buffer = b"".join(parts[p])


def assert_complete(peers):
    body = b"0123456789abcdef" * (SIZE // 16)
    for path, p in peers:
        r = p.reply()
        assert len(r.body) == SIZE and r.body == body, path


KINDS = ["sync", "gthread", "gevent", "tornado"]


@pytest.mark.parametrize("bind", ["tcp", "unix"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_reader_that_goes_on_gets_all_of_it(run, steady, kind, bind):
    if kind not in ("sync", "gthread"):
        classes.skip_unless_installed(run, kind)
    s = steady("-k", kind, bind=bind)
    peers = [(path, connect(s).get(path)) for path in PATHS]
    read_slowly([p for _, p in peers], 5)
    assert_complete(peers)
    assert s.log_count("takes nothing") == 0
