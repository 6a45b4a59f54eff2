# SPDX-License-Identifier: MIT
"""Blocks of an iterable: they may leave together, but none waits for the next
one to be made (PEP 3333), in no class."""
import pytest

from harness import classes
from harness.waiting import until

KINDS = ["sync", "gthread", "gevent", "eventlet", "tornado"]

APP = """\
import os
import time

TEXT = ("Content-Type", "text/plain")

def mark(name):
    with open(name, "a") as f:
        f.write(".")

def wait(how, name):
    while not os.path.exists(name):
        if how == "asleep":
            time.sleep(0.001)

def steps(how):
    yield b"one"
    wait(how, "go1")
    yield b"two"
    wait(how, "go2")
    yield b"three"
    yield b"four"
    wait(how, "go3")
    yield b"five"

def failing():
    yield b"one"
    yield b"two"
    raise RuntimeError("in the middle")

class Endless:
    def __iter__(self):
        return self
    def __next__(self):
        return b"z" * 100
    def close(self):
        mark("closed")

class Closing:
    def __init__(self, blocks):
        self.blocks = blocks
    def __iter__(self):
        return iter(self.blocks)
    def close(self):
        wait("asleep", "go1")
        mark("closed")

def app(environ, start_response):
    path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
    write = start_response("200 OK", [TEXT])
    if path == "/steps":
        return steps(query)
    if path == "/write":
        for block in steps(query):
            write(block)
        return []
    if path == "/many":
        return (bytes([65 + i % 26]) * 1024 for i in range(64))
    if path == "/sizes":
        return (bytes([65 + i % 26]) * (i * 997 % 40000 + 1)
                for i in range(200))
    if path == "/failing":
        return failing()
    if path == "/endless":
        return Endless()
    if path == "/closing":
        return Closing([b"one", b"two", b"three"])
    return [b"ok"]
"""


@pytest.fixture(params=KINDS)
def s(request, run, server):
    if request.param not in ("sync", "gthread"):
        classes.skip_unless_installed(run, request.param)
    return server("-k", request.param, "--threads", "2", "blocks:app",
                  files={"blocks.py": APP})


def go(s, name):
    (s.folder / name).touch()


def chunk(peer):
    data = peer._exactly(int(peer._line(), 16))
    assert peer._exactly(2) == b"\r\n"
    return data


def assert_steps(s, path):
    with s.connect() as peer:
        peer.get(path)
        assert peer.head().one("transfer-encoding") == "chunked"
        assert chunk(peer) == b"one"
        go(s, "go1")
        assert chunk(peer) == b"two"
        go(s, "go2")
        assert chunk(peer) == b"three"
        assert chunk(peer) == b"four"
        go(s, "go3")
        assert chunk(peer) == b"five"
        assert chunk(peer) == b""


@pytest.mark.parametrize("how", ["asleep", "busy"])
def test_a_block_arrives_while_the_next_is_made(s, how):
    assert_steps(s, "/steps?" + how)


@pytest.mark.parametrize("how", ["asleep", "busy"])
def test_what_write_was_given_arrives_while_the_application_goes_on(s, how):
    assert_steps(s, "/write?" + how)


def test_each_block_is_a_chunk(s):
    with s.connect() as peer:
        for _ in range(3):
            r = peer.get("/many").reply()
            assert r.chunks == [bytes([65 + i % 26]) * 1024
                                for i in range(64)]
            r = peer.get("/sizes").reply()
            assert r.chunks == [bytes([65 + i % 26]) * (i * 997 % 40000 + 1)
                                for i in range(200)]


def test_blocks_before_a_failure_arrive(s):
    s.announce("in the middle")
    with s.connect() as peer:
        peer.get("/failing").head()
        assert chunk(peer) == b"one"
        assert chunk(peer) == b"two"
        peer.assert_closed()


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_all_blocks_arrive_before_close_is_called(s, version):
    with s.connect() as peer:
        peer.send(f"GET /closing HTTP/{version}\r\nHost: a\r\n\r\n").head()
        if version == "1.0":
            assert peer._exactly(11) == b"onetwothree"
        else:
            for word in (b"one", b"two", b"three", b""):
                assert chunk(peer) == word
        assert not (s.folder / "closed").exists()
        go(s, "go1")
        until((s.folder / "closed").exists, "close() of the iterable")


def test_a_client_that_leaves_ends_the_iteration(s):
    peer = s.connect()
    peer.get("/endless").head()
    chunk(peer)
    peer.reset()
    until((s.folder / "closed").exists, "close() of the iterable")
    assert s.get("/").body == b"ok"
