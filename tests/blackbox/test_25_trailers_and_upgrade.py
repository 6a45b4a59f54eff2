# SPDX-License-Identifier: MIT
"""Request trailers, Upgrade, and the client's socket."""
import json

import pytest

from harness import classes
from harness.waiting import until

APPS = ["probe.py"]
CHUNKED = (b"POST /digest HTTP/1.1\r\nHost: a\r\n"
           b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n")
HOOKS = """\
import json

def note(where, req):
    with open("trailers", "a") as f:
        f.write(json.dumps([where, req.trailers]) + "\\n")

def pre_request(worker, req):
    note("pre", req)

def post_request(worker, req):
    note("post", req)
"""
SUM = [["X-SUM", "abc"], ["X-EMPTY", ""]]


def noted(s, count):
    path = s.folder / "trailers"
    until(lambda: path.exists() and path.read_text().count("\n") >= count,
          "the hooks were called")
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("split", [False, True])
def test_tr01_trailers_are_in_req_trailers_and_not_in_environ(server, split):
    s = server("probe:app", apps=APPS, config=HOOKS)
    data = CHUNKED.replace(b"/digest", b"/environ")
    data += b"X-Sum: abc\r\nX-Empty:\r\n\r\n"
    with s.connect() as peer:
        for part in [data[i:i + 1] for i in range(len(data))] if split \
                else [data]:
            peer.send(part)
        shown = json.loads(peer.reply().body)
        assert not [k for k in shown if "SUM" in k]
        assert peer.get("/one").reply().body == b"one item"
    assert noted(s, 4) == [["pre", SUM], ["post", SUM], ["pre", []],
                           ["post", []]]


@classes.needs_streaming
def test_trailers_of_a_streamed_body_are_there_when_it_was_read(server):
    s = server("probe:app", "--stream-requests", apps=APPS, config=HOOKS)
    with s.connect() as peer:
        peer.send(CHUNKED)
        until(lambda: (s.folder / "trailers").exists(), "it started")
        peer.send(b"X-Sum: abc\r\nX-Empty:\r\n\r\n")
        assert b'"size": 5' in peer.reply().body
    assert noted(s, 2) == [["pre", []], ["post", SUM]]


@pytest.mark.parametrize("line", [
    b"Authorization: x", b"Content-Length: 5", b"Host: b", b"X : a", b"X",
    b"Bad Name: a", b"X: a\x00b", b"TE: x", b"Trailer: x"])
def test_tr05_a_trailer_that_must_not_be_one_is_a_400(server, line):
    s = server("probe:app", apps=APPS)
    with s.connect() as peer:
        r = peer.send(CHUNKED + line + b"\r\n\r\n").reply()
        assert r.status == 400 and r.says_close()
        peer.assert_closed()


# ---- upgrades ----


@pytest.mark.parametrize("fields", [
    ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c",
     "HTTP2-Settings: AAMAAABk"),
    ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
     "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="),
    ("Upgrade: websocket",)])
def test_up02_an_upgrade_is_answered_without_switching(server, fields):
    s = server("probe:app", apps=APPS)
    with s.connect() as peer:
        for _ in range(2):
            r = peer.get("/one", *fields).reply()
            assert (r.status, r.body) == (200, b"one item")
            assert not r.says_close() and r.one("upgrade") is None


def test_up03_a_body_of_a_request_with_upgrade_is_read_first(server):
    s = server("probe:app", apps=APPS)
    with s.connect() as peer:
        peer.post("/digest", b"hello", "Connection: Upgrade",
                  "Upgrade: websocket").get("/one")
        assert b'"size": 5' in peer.reply().body
        assert peer.reply().body == b"one item"


# ---- gunicorn.socket, as simple-websocket uses it ----

SOCKET = """\
def app(environ, start_response):
    if environ["PATH_INFO"] != "/ws":
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]
    sock = environ["gunicorn.socket"]
    sock.sendall(b"HTTP/1.1 101 Switching Protocols\\r\\n"
                 b"Connection: upgrade\\r\\nUpgrade: echo\\r\\n\\r\\n")
    while True:
        data = sock.recv(100)  # blocks, as a plain socket does
        if data == b"end":
            break
        sock.sendall(data.upper())
    raise StopIteration()
"""


def test_an_application_may_take_the_socket_over(server):
    s = server("ws:app", files={"ws.py": SOCKET})
    with s.connect() as peer:
        peer.get("/ws", "Connection: Upgrade", "Upgrade: echo")
        assert peer.interim().status == 101
        for word in (b"one", b"two"):
            peer.send(word)
            assert peer._exactly(3) == word.upper()
        peer.send(b"end")
        peer.assert_closed()
    assert s.get("/").body == b"ok"
    assert s.log_count("Error handling request") == 0


def test_a_socket_that_was_looked_at_does_not_stop_the_worker(server):
    s = server("look:app", files={"look.py": """\
BIG = b"x" * (20 << 20)

def app(environ, start_response):
    start_response("200 OK", [])
    if environ["PATH_INFO"] == "/":
        return [b"ok"]
    assert environ["gunicorn.socket"].gettimeout() is None
    return [BIG]
"""})
    with s.connect() as lazy:
        lazy.get("/big")
        assert lazy.head().status == 200
        assert s.get("/").body == b"ok"


def test_asking_for_the_type_of_the_socket_does_not_take_it(server):
    """A tool that sorts a dictionary's values by their types asks each one,
    also long after the request."""
    s = server("sorts:app", files={"sorts.py": """\
import socket

seen = []

def app(environ, start_response):
    seen.append(environ["gunicorn.socket"])
    told = [isinstance(s, kind) for s in seen for kind in (str, socket.socket)]
    body = repr(told).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""})
    with s.connect() as peer:
        peer.get("/", "Connection: Upgrade", "Upgrade: websocket")
        peer.get("/")
        assert peer.reply().body == b"[False, True]"
        assert peer.reply().body == b"[False, True, False, True]"
