# SPDX-License-Identifier: MIT
"""Floods over HTTP/2: each ends by itself, and meanwhile others are served and
memory does not grow. What came of each is printed (pytest -rP shows it)."""
import socket
import struct
import threading
import time

import pytest

from harness import processes
from harness.h2wire import (CALM, CANCEL, CLOSED, CONTINUATION, DATA, END_HEADERS, END_STREAM,
                            FLOW_CONTROL, HEADERS, PADDED, PING, PRIORITY, PRIORITY_UPDATE, RST, SETTINGS,
                            WINDOW, Client, block, connect, frame, head, is_alive)
from harness.waiting import until

APP = """
import time

def app(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        time.sleep(0.05)
    body = environ["wsgi.input"].read() or b"hello"
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
CLEAR = ("--http-protocols", "h2,h1", "--http2-cleartext", "both")
MOST = 30000
GROWS_KIB = 10 * 1024


@pytest.fixture(scope="module")
def served(module_server):
    s = module_server(*CLEAR, "shop:app", files={"shop.py": APP})
    is_alive(s)
    return s


class Others:
    """Somebody else who asks all the while, and what the workers' memory does."""

    def __init__(self, server):
        self.server = server

    def __enter__(self):
        self.before = self._resident()
        self.took, self.error = [], None
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._ask, daemon=True)
        self.thread.start()
        return self

    def _resident(self):
        return sum(processes.resident_kib(p) for p in self.server.workers())

    def _ask(self):
        try:
            while not self.over.is_set():
                self.took.append(is_alive(self.server))
        except Exception as e:  # told by the thread that waits for this one
            self.error = e

    def __exit__(self, kind, *exc):
        self.over.set()
        self.thread.join(60)
        if kind is None:
            self._judge()

    def _judge(self):
        grown = self._resident() - self.before
        took = sorted(self.took)
        print(f"others: {len(took)} answers, p99 {took[len(took) * 99 // 100] * 1000:.1f} ms; "
              f"memory {grown:+} KiB")
        assert self.error is None and took
        if not processes.is_sanitized(self.server.workers()[0]):
            assert grown < GROWS_KIB, f"{grown} KiB"


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


def after_the_end(i):
    return (frame(HEADERS, END_HEADERS | END_STREAM, stream(i), head("/slow")) +
            frame(DATA, 0, stream(i), b"more"))


BAD_FIELDS = head() + b"\x00\x01A\x00" * 4000  # upper case


def many_bad_fields(i):
    return frame(HEADERS, END_HEADERS | END_STREAM, stream(i), BAD_FIELDS)


def malformed(i):
    return frame(HEADERS, END_HEADERS | END_STREAM, stream(i),
                 block([(":method", "GET"), (":scheme", "http"), (":path", "/"), ("connection", "x")]))


OPEN = frame(HEADERS, END_HEADERS, 1, head("/", "POST"))
FLOODS = {
    "rapid reset": (reset, b""),
    "made to reset": (made_to_reset, b""),
    "data after the end": (after_the_end, b""),
    "malformed heads": (malformed, b""),
    "4000 bad fields in each head": (many_bad_fields, b""),
    "ping": (lambda i: frame(PING, 0, 0, struct.pack(">Q", i)), b""),
    "settings": (lambda i: frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 65535)), b""),
    "priority": (lambda i: frame(PRIORITY, 0, stream(i), struct.pack(">IB", 0, 15)), b""),
    "priority update": (lambda i: frame(PRIORITY_UPDATE, 0, 0,
                                        struct.pack(">I", stream(i)) + b"u=1"), b""),
    "window update": (lambda i: frame(WINDOW, 0, 0, struct.pack(">I", 1)), b""),
    "empty data": (lambda i: frame(DATA, 0, 1), OPEN),
    "padded data": (lambda i: frame(DATA, PADDED, 1, b"\xff" + bytes(255)), OPEN),
}


@pytest.mark.parametrize("name", FLOODS)
def test_flood_ends(served, name):
    unit, first = FLOODS[name]
    with Others(served):
        code, sent = flood(served, unit, first=first, batch=10 if unit is many_bad_fields else 200)
    print(f"{name}: ended after at most {sent} with {code}")
    # newer versions of nghttp2 see first that the peer sends beyond its window
    assert code in (CALM, FLOW_CONTROL, CLOSED if unit is after_the_end else CALM, None), code
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
    s = server(*CLEAR, "--http2-max-concurrent-streams", "10", "shop:app",
               files={"shop.py": APP})
    is_alive(s)
    with Others(s):
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


@pytest.mark.parametrize("unit", [frame(PING, 0, 0, bytes(8)),
                                  frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 65535))],
                         ids=["ping", "settings"])
def test_what_asks_for_answers_and_reads_none_ends(served, unit):
    c = connect(served)
    begin = time.monotonic()
    c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with Others(served), pytest.raises(OSError):
        for _ in range(2000):
            c.send(unit * 100)
    assert time.monotonic() - begin < 20
    c.close()
    assert is_alive(served) < 5


@pytest.mark.parametrize("window", [0, 0x7fffffff], ids=["no window", "all windows"])
def test_who_asks_for_much_and_reads_nothing_is_cut(server, window):
    """CVE-2019-9511 and -9517: replies wait in the streams, up to a bound, and
    after write_timeout they are gone."""
    s = server(*CLEAR, "--write-timeout", "2", "--response-memory", "1000000", "shop:app",
               files={"shop.py": APP + '''
big = bytes(1000000)
small = app
def app(environ, start_response):
    if environ["PATH_INFO"] != "/big":
        return small(environ, start_response)
    start_response("200 OK", [("Content-Length", str(len(big)))])
    return [big]
'''})
    is_alive(s)
    (worker,) = s.workers()
    before = len(processes.open_descriptors(worker))
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.settimeout(60)
    sock.connect(s.address)
    with Others(s):
        c = Client(sock, settings=[(4, window)])
        c.send(frame(WINDOW, 0, 0, struct.pack(">I", 0x7fffffff - 65535)))
        for _ in range(100):
            c.request("/big")
        for _ in range(100 if window == 0 else 0):
            assert int.from_bytes(c.until(RST)[3], "big") == CANCEL
    if window == 0:
        assert c.until(HEADERS, c.request("/"))
    else:
        until(lambda: len(processes.open_descriptors(worker)) <= before, "it is cut")
    c.close()


def test_resets_of_what_was_answered_do_not_count(served):
    """Clients do that: they close streams that they have all of."""
    c = connect(served)
    for _ in range(300):
        stream_id = c.request("/")
        assert c.body(stream_id) == b"hello"
        c.send(frame(RST, 0, stream_id, struct.pack(">I", CANCEL)))
    assert c.body(c.request("/")) == b"hello"
    c.close()


def rss(pid):
    return processes.resident_kib(pid)


def test_idle_connections_are_cheap(server):
    s = server(*CLEAR, "--worker-connections", "1000", "shop:app", files={"shop.py": APP})
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
