# SPDX-License-Identifier: MIT
"""slow_request, in every class: told with the stack at that moment, and at the
end with where the time went."""
import json
import re
import threading
import time

import pytest

from harness import classes, control
from harness.blocked import Blocked
from harness.waiting import until
from harness.websocket import WebSocket

WSGI = """
import os, pathlib, time

def inner_wait(name):
    pathlib.Path(name + ".in").touch()
    while not os.path.exists(name + ".go"):
        time.sleep(0.002)

def app(environ, start_response):
    path, name = environ["PATH_INFO"], environ["QUERY_STRING"]
    body = [b"ok"]
    if path == "/block":
        inner_wait(name)
    elif path == "/held":  # the GIL, and no signal is looked at
        pathlib.Path(name + ".in").touch()
        sum(range(40_000_000))
    elif path == "/much":
        body = [b"x" * 65536] * 200
    start_response("200 OK", [("Content-Length", str(sum(map(len, body))))])
    return body
"""
ASGI = """
import asyncio, os, pathlib, time

async def inner_wait(name):
    pathlib.Path(name + ".in").touch()
    while not os.path.exists(name + ".go"):
        await asyncio.sleep(0.01)

def inner_spin(name):
    pathlib.Path(name + ".in").touch()
    while not os.path.exists(name + ".go"):
        time.sleep(0.002)

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        raise RuntimeError
    name = scope["query_string"].decode()
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass
        return
    if scope["path"] == "/block":
        await inner_wait(name)
    elif scope["path"] == "/spin":
        inner_spin(name)
    body = [b"x" * 65536] * 200 if scope["path"] == "/much" else [b"ok"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for part in body:
        await send({"type": "http.response.body", "body": part,
                    "more_body": True})
    await send({"type": "http.response.body", "body": b""})
"""
CLASSES = {
    "sync": [],
    "gthread": ["--threads", "2"],
    "gevent": ["-k", "gevent"],
    "eventlet": ["-k", "eventlet"],
    "tornado": ["-k", "tornado"],
    "asgi": ["-k", "asgi"],
}
TIMES = r"queue (\d+\.\d{3}) s, application (\d+\.\d{3}) s, send (\d+\.\d{3}) s"


@pytest.fixture
def slow(run, server):
    def make(kind, *args, seconds="0.3", **options):
        if kind not in ("sync", "gthread", "asgi"):
            classes.skip_unless_installed(run, kind)
        return server(*CLASSES[kind], "--slow-request", seconds, *args,
                      "app:app", files={"app.py": ASGI if kind == "asgi" else WSGI},
                      **options)
    return make


def told(s, pattern):
    """The block of the log that begins with a line like that."""
    s.wait_log(pattern)
    until(lambda: re.search(pattern + r"[^\n]*\n", s.log()), "all of its line")
    at = re.search(pattern, s.log())
    block = s.log()[at.start():]
    return re.split(r"\n(?=\[2|\{)", block)[0]


def times(text):
    return [float(x) for x in re.search(TIMES, text).groups()]


@pytest.mark.parametrize("kind", CLASSES)
def test_a_slow_request_is_told_with_its_stack_and_at_its_end(slow, kind):
    s = slow(kind, "--request-id", "X-Request-ID",
             "--forwarded-allow-ips", "127.0.0.1")
    s.get("/")
    with s.connect() as peer:
        peer.get("/block?a", "X-Request-ID: seven")
        begun = told(s, r"\[WARNING\] SLOW REQUEST \(pid:\d+\): GET /block\?a "
                        r"\(from 127\.0\.0\.1, request seven\): ")
        until(lambda: "inner_wait" in s.log(), lambda: begun)
        (s.folder / "a.go").touch()
        assert peer.reply().status == 200
    begun = told(s, r"SLOW REQUEST \(pid:\d+\): ")
    assert begun.splitlines()[0].endswith(" so far")
    assert 0.3 <= times(begun)[1] < 30 and times(begun)[2] < 0.3
    assert re.search(r'File "\S*app\.py", line \d+,? in inner_wait', begun)
    ended = told(s, r"\[WARNING\] SLOW REQUEST \(pid:\d+\) ended with 200: GET "
                    r"/block\?a \(from 127\.0\.0\.1, request seven\): ")
    assert times(ended)[1] >= 0.3
    assert s.log_count("SLOW REQUEST") == 2


def test_one_that_blocks_a_loop_of_tasks_is_told_too(slow):
    s = slow("asgi")
    with s.connect() as peer:
        peer.get("/spin?a")
        s.wait_log(r"SLOW REQUEST \(pid:\d+\): GET /spin")
        (s.folder / "a.go").touch()
        assert peer.reply().status == 200
    assert re.search(r'line \d+ in inner_spin', told(s, r"SLOW REQUEST"))


def test_no_GIL_is_needed(slow):
    s = slow("sync", seconds="0.1")
    assert s.get("/held?a").status == 200
    begun = told(s, r"SLOW REQUEST \(pid:\d+\): GET /held")
    assert re.search(r'app\.py", line 16 in app', begun), begun


@pytest.mark.parametrize("kind", ["sync", "gthread", "gevent", "asgi"])
def test_a_slow_reader_is_send_time(slow, kind):
    s = slow(kind)
    with s.connect() as peer:
        peer.get("/much")
        peer.head()
        clock = threading.Event()
        clock.wait(0.6)  # the reader is slow: that is what is measured
        peer._exactly(1)
        while len(peer.buffer) or peer._more():
            peer.buffer = peer.buffer[:0]
            if s.log_count("ended with 200"):
                break
    ended = told(s, r"SLOW REQUEST \(pid:\d+\) ended with 200: GET /much ")
    queue, application, send = times(ended)
    assert send >= 0.3 > application and queue < 0.3, ended


def test_the_wait_for_a_turn_counts_at_the_end(slow):
    s = slow("sync")
    with s.connect() as one, s.connect() as two:
        first = Blocked(s, one, "a")
        two.get("/second")
        until(lambda: control.status(s)["workers"][0]["waiting"] == 1, "it waits")
        since = time.monotonic()
        until(lambda: time.monotonic() > since + 0.4, "long enough")
        first.go()
        assert one.reply().status == two.reply().status == 200
    ended = told(s, r"SLOW REQUEST \(pid:\d+\) ended with 200: GET /second ")
    queue, application, _ = times(ended)
    assert queue >= 0.3 > application
    assert s.log_count(r"SLOW REQUEST .*/second") == 1


def test_a_reply_that_is_never_taken_says_what_is_missing(slow):
    s = slow("sync")
    with s.connect() as peer:
        peer.get("/much")
        peer.head()
        threading.Event().wait(0.4)
        peer.reset()
    ended = told(s, r"SLOW REQUEST \(pid:\d+\) ended with 200: GET /much ")
    assert re.search(r"; [1-9]\d+ bytes of its reply were not taken", ended)


def test_quick_ones_and_websockets_are_not_told(slow):
    s = slow("asgi")
    ws = WebSocket(s.address, "/chat")
    with s.connect() as peer:
        peer.get("/block?a")  # as a clock: it is told behind the other
        s.wait_log(r"SLOW REQUEST .*/block")
        (s.folder / "a.go").touch()
        peer.reply()
    ws.leave()
    s.get("/")
    s.stop()
    assert s.log_count("SLOW REQUEST") == 2
    assert "/chat" not in s.log()


def test_lines_in_a_second_are_bounded(slow):
    s = slow("gthread", "--threads", "30")
    peers = [s.connect() for _ in range(25)]
    for peer in peers:
        peer.get("/block?a")
    s.wait_log(r"SLOW REQUEST \(pid:\d+\): and \d+ more like this")
    (s.folder / "a.go").touch()
    for peer in peers:
        assert peer.reply().status == 200
        peer.close()


def test_in_json_it_is_one_object(slow):
    s = slow("sync", "--log-format", "json")
    with s.connect() as peer:
        request = Blocked(s, peer, "a")
        s.wait_log("inner_wait")
        request.go()
        peer.reply()
    found = [json.loads(x) for x in s.log().splitlines() if x[:1] == "{"]
    begun = [o for o in found if "inner_wait" in json.dumps(o)]
    assert len(begun) == 1, found


def test_wrong_values_are_refused(run):
    done = run("--slow-request", "soon", "app:app", files={"app.py": WSGI})
    assert done.status != 0
    done.line_with("slow_request", "soon")
