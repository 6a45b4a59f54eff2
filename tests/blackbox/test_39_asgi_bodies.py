# SPDX-License-Identifier: MIT
"""The class asgi: bodies that are slow, cut short, wrong, or not wanted."""
import contextlib
import json

import pytest

from harness import processes
from harness.waiting import until

APP = """\
import json

seen = []

async def answer(send, body):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})

async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError
    path = scope["path"]
    if path == "/seen":
        await answer(send, json.dumps(seen).encode())
    elif path == "/unread":
        await answer(send, b"not read")
    elif path == "/count":
        size, more = 0, True
        while more:
            message = await receive()
            size += len(message["body"])
            more = message["more_body"]
        await answer(send, str(size).encode())
    else:
        more = True
        while more:
            message = await receive()
            seen.append(message.get("body", message["type"].encode()).decode())
            more = message.get("more_body", False)
        await answer(send, b"read")
"""


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


@pytest.fixture
def reader(server):
    def make(*args):
        return server("-k", "asgi", *args, "reader:app",
                      files={"reader.py": APP})
    return make


def seen(s):
    return json.loads(s.get("/seen").body)


def wait_seen(s, *what):
    until(lambda: seen(s) == list(what), lambda: f"{what} was read: {seen(s)}")


def test_parts_are_given_as_they_come(reader):
    s = reader()
    with s.connect() as peer:
        peer.get("/read", "Content-Length: 6", method="POST").send(b"abc")
        wait_seen(s, "abc")
        peer.send(b"def")
        assert peer.reply().body == b"read"
    wait_seen(s, "abc", "def")


def test_sl04_a_body_that_stalls_is_a_disconnection_and_a_408(reader):
    s = reader("--body-timeout", "1")
    with s.connect() as peer:
        peer.get("/read", "Content-Length: 1000", method="POST").send(b"abc")
        r = peer.reply()
        assert r.status == 408 and r.says_close()
        peer.assert_closed()
    wait_seen(s, "abc", "http.disconnect")
    s.wait_log("Request body timed out")


@pytest.mark.parametrize("coding, unit", [
    ("Content-Length: 100000", b"x"),
    ("Transfer-Encoding: chunked", chunk(b"x"))], ids=["length", "chunked"])
def test_sl03_sl05_a_body_below_the_least_rate_is_a_408(reader, coding, unit):
    s = reader("--body-timeout", "1")
    with s.connect() as peer:
        peer.get("/read", coding, method="POST").send(unit)
        peer.sock.settimeout(0.05)
        while not peer.buffer:
            peer.send_leniently(unit)
            with contextlib.suppress(AssertionError):
                peer._more()
        peer.sock.settimeout(10)
        assert peer.reply().status == 408
    until(lambda: seen(s)[-1] == "http.disconnect", "it was told")


@pytest.mark.parametrize("coding, data", [
    ("Content-Length: 9", b"abc"),
    ("Transfer-Encoding: chunked", b"9\r\nabc"),
    ("Transfer-Encoding: chunked", chunk(b"abc")),
    ("Transfer-Encoding: chunked", chunk(b"abc") + b"0\r\n")])
def test_sl09_a_body_cut_short_is_never_an_early_end(reader, coding, data):
    s = reader()
    with s.connect() as peer:
        peer.get("/read", coding, method="POST")
        peer.send(data)
        wait_seen(s, "abc")
        peer.end_sending()
        wait_seen(s, "abc", "http.disconnect")


@pytest.mark.parametrize("data, status", [
    (b"zz\r\n", 400), (b"3\r\nabcd", 400), (chunk(b"x" * 2000), 413)])
def test_what_is_wrong_with_a_body_is_answered(reader, data, status):
    s = reader("--max-request-body", "1000")
    with s.connect() as peer:
        peer.get("/read", "Transfer-Encoding: chunked", method="POST")
        r = peer.send(data).reply()
        assert r.status == status and r.says_close()
        peer.assert_closed()


def test_sl12_no_100_if_the_application_does_not_read(reader):
    s = reader()
    with s.connect() as peer:
        peer.get("/unread", "Content-Length: 3", "Expect: 100-continue",
                 method="POST")
        r = peer.reply()
        assert r.body == b"not read" and r.says_close()
        peer.assert_closed()


@pytest.mark.parametrize("coding", ["length", "chunked"])
def test_a_body_that_is_left_is_read_away_up_to_64_kib(reader, coding):
    s = reader()
    field, data = "Content-Length: 60000", b"x" * 60000
    if coding == "chunked":
        field = "Transfer-Encoding: chunked"
        data = chunk(data) + b"0\r\n\r\n"
    with s.connect() as peer:
        peer.get("/unread", field, method="POST")
        r = peer.reply()
        assert r.body == b"not read" and not r.says_close()
        peer.send(data)
        peer.get("/unread")
        assert peer.reply().body == b"not read"


def test_a_longer_body_that_is_left_closes_the_connection(reader):
    s = reader()
    with s.connect() as peer:
        peer.get("/unread", "Content-Length: 70000", method="POST")
        r = peer.reply()
        assert r.body == b"not read" and r.says_close()
        peer.assert_closed()


def test_a_large_body_is_streamed_in_little_memory(reader):
    s = reader()
    worker = s.wait_workers(1)[0]
    if processes.is_sanitized(worker):
        pytest.skip("a sanitizer's memory says nothing")
    assert s.post("/count", b"x" * 300000).body == b"300000"
    before = processes.resident_kib(worker)
    size = 30 << 20
    with s.connect() as peer:
        peer.get("/count", f"Content-Length: {size}", method="POST")
        for _ in range(30):
            peer.send(b"x" * (1 << 20))
        assert peer.reply().body == str(size).encode()
    assert processes.resident_kib(worker) - before < 4096


def test_a_stop_waits_for_a_body_within_the_graceful_timeout(reader):
    s = reader("--graceful-timeout", "2")
    with s.connect() as peer:
        peer.get("/read", "Content-Length: 30", method="POST").send(b"ab")
        wait_seen(s, "ab")
        assert s.stop() == 0
