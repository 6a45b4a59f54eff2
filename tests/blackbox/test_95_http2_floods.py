# SPDX-License-Identifier: MIT
"""Floods over HTTP/2: each ends by itself, and meanwhile others are served."""
import pathlib
import socket
import struct
import threading
import time

import pytest

from harness.h2wire import (ACK, CALM, CANCEL, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS,
                            PADDED, PING, PRIORITY, RST, SETTINGS, WINDOW, block, connect, frame,
                            head, is_alive)

APP = """
import time

def app(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        time.sleep(0.05)
    body = environ["wsgi.input"].read() or b"hello"
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
MOST = 30000


@pytest.fixture(scope="module")
def served(module_server):
    return module_server("--http-protocols", "h2,h1", "--http2-cleartext", "both", "shop:app",
                         files={"shop.py": APP})


def flood(server, unit, count=MOST, batch=200, first=b"", reads=True):
    """Sends unit(i) up to count times, until the server ends it; returns the code of
    its GOAWAY (None: it closed), and how many units it took."""
    c = connect(server)
    if first:
        c.send(first)
    stop = threading.Event()

    def read():
        try:
            while c.read() is not None:
                pass
        except OSError:
            pass
        stop.set()

    reader = threading.Thread(target=read, daemon=True)
    if reads:
        reader.start()
    sent = 0
    try:
        while sent < count and not stop.is_set():
            c.send(b"".join(unit(i) for i in range(sent, sent + batch)))
            sent += batch
    except OSError:
        pass
    if reads:
        reader.join(10)
        assert stop.is_set(), "all %d units were taken" % sent
    c.close()
    return c.goaway, sent


def stream(i):
    return 2 * i + 1


def reset(i):
    return (frame(HEADERS, END_HEADERS | END_STREAM, stream(i), head("/slow")) +
            frame(RST, 0, stream(i), struct.pack(">I", CANCEL)))


def made_to_reset(i):
    return (frame(HEADERS, END_HEADERS, stream(i), head("/slow", "POST")) +
            frame(WINDOW, 0, stream(i), struct.pack(">I", 0x7fffffff)))


def malformed(i):
    return frame(HEADERS, END_HEADERS | END_STREAM, stream(i),
                 block([(":method", "GET"), (":scheme", "http"), (":path", "/"), ("connection", "x")]))


OPEN = frame(HEADERS, END_HEADERS, 1, head("/", "POST"))
FLOODS = {
    "rapid reset": (reset, b""),
    "made to reset": (made_to_reset, b""),
    "malformed heads": (malformed, b""),
    "ping": (lambda i: frame(PING, 0, 0, struct.pack(">Q", i)), b""),
    "settings": (lambda i: frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 65535)), b""),
    "priority": (lambda i: frame(PRIORITY, 0, stream(i), struct.pack(">IB", 0, 15)), b""),
    "window update": (lambda i: frame(WINDOW, 0, 0, struct.pack(">I", 1)), b""),
    "empty data": (lambda i: frame(DATA, 0, 1), OPEN),
    "padded data": (lambda i: frame(DATA, PADDED, 1, b"\xff" + bytes(255)), OPEN),
}


@pytest.mark.parametrize("name", FLOODS)
def test_flood_ends(served, name):
    unit, first = FLOODS[name]
    code, sent = flood(served, unit, first=first)
    assert code in (CALM, None), code
    assert sent < MOST
    assert is_alive(served) < 5


def test_rapid_reset_is_told_to_calm_down(served):
    code, sent = flood(served, reset, batch=50)
    assert code == CALM and sent <= 2000


def test_continuation_flood_ends(served):
    first = frame(HEADERS, 0, 1, head())
    code, sent = flood(served, lambda i: frame(CONTINUATION, 0, 1, b""), first=first)
    assert sent < MOST
    code, sent = flood(served, lambda i: frame(CONTINUATION, 0, 1, block([("x-a", "b" * 50)])),
                       first=first)
    assert sent < MOST


def test_streams_beyond_the_limit(server):
    s = server("--http-protocols", "h2,h1", "--http2-cleartext", "both",
               "--http2-max-concurrent-streams", "10", "shop:app", files={"shop.py": APP})
    code, sent = flood(s, lambda i: frame(HEADERS, END_HEADERS, stream(i), head("/", "POST")))
    assert sent < MOST
    assert is_alive(s) < 5


def test_bomb_of_compressed_heads(served):
    """One large field in the table, referred to again and again."""
    big = b"\x40" + b"\x01x" + b"\x7f" + b"\xa1\x1e" + b"a" * 4000
    bomb = head() + big + b"\xbe" * 8000
    c = connect(served)
    c.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, bomb))
    kinds = set()
    try:
        while True:
            f = c.read()
            if f is None or f[0] == RST:
                break
            kinds.add(f[0])
    except socket.timeout:
        pytest.fail("neither reset nor closed")
    c.close()
    assert DATA not in kinds
    assert is_alive(served) < 5


def test_unread_pings_end(served):
    c = connect(served)
    begin = time.monotonic()
    c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with pytest.raises(OSError):
        for i in range(2000):
            c.send(frame(PING, 0, 0, bytes(8)) * 100)
    assert time.monotonic() - begin < 20
    c.close()
    assert is_alive(served) < 5


def rss(pid):
    for line in pathlib.Path("/proc/%d/status" % pid).read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])


def test_idle_connections_are_cheap(server):
    s = server("--http-protocols", "h2,h1", "--http2-cleartext", "both", "--worker-connections", "1000",
               "shop:app", files={"shop.py": APP})
    assert is_alive(s) < 5
    (worker,) = s.workers()
    before, clients = rss(worker), []
    for _ in range(200):
        c = connect(s)
        assert c.body(c.request("/")) == b"hello"
        clients.append(c)
    grown = rss(worker) - before
    for c in clients:
        c.close()
    assert grown < 200 * 100, "%d KiB for 200 connections" % grown
