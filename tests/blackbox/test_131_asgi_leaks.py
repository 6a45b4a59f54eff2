# SPDX-License-Identifier: MIT
"""The class asgi: a thousand requests of each ending leave nothing behind in the
worker, neither objects nor references nor tasks. CGUNICORN_LEAK_COUNT=100000
asks for more of them."""
import contextlib
import itertools
import struct

import pytest

from harness.flat import assert_flat, growth, kept, measured
from harness.waiting import until
from harness.websocket import CLOSE, TEXT

GET = "GET /%s HTTP/1.1\r\nHost: a\r\nX-Own: 1\r\n\r\n"
KEPT = {  # on connections that are kept
    "returns": GET % "returns",
    "waits for a turn": GET % "yields",
    "waits for a timer": GET % "sleeps",
    "parts": GET % "parts",
    "body": "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\n\r\n"
            + 4 * "0123456789",
    "chunked body": "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked"
                    "\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "unread body": "POST /returns HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
                   "abcde",
    "HEAD": (GET % "returns").replace("GET", "HEAD", 1),
    "a task of receive() that is left": GET % "left_task",
    "a task of receive() that is cancelled": GET % "cancelled_task",
    "tasks of send()": GET % "sent_by_tasks",
    "its task was looked at": GET % "looks",
    "goes on after the reply": GET % "background",
    "raises after the reply": GET % "raises_after",
    "timeout": GET % "timeout",
    "timeout of what is shielded": GET % "shielded",
    "group whose child raises": GET % "group",
    "cancelled and goes on": GET % "uncancelled",
    "context": GET % "context",
    "bad messages": GET % "faults",
    "keeps what it was given": GET % "keeps",
    "generator that is left": GET % "closes_itself",
    "file": GET % "pathsend",
}
ENDING = {  # each ends its connection
    "close": (GET % "returns").replace("X-Own: 1", "Connection: close"),
    "hints and trailers": (GET % "trailers").replace(
        "X-Own: 1", "Connection: close\r\nTE: trailers"),
    **{name: GET % name for name in """
        raises raises_late raises_midway raises_group exits nothing ends_midway
        too_short cancels cancelled refused""".split()},
}
LEAVING = {
    "told": "listens", "sends to nobody": "answers_nobody",
    "cancelled": "sleeps_on", "waits for room": "floods",
}
BATCH = 200  # clients that are there at once; their memory has holes later
AT_ONCE = {"first": 2 * BATCH, "but": ["resident"]}
HANDSHAKE = ("GET /%s HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
             "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n")
DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate\r\n"


def begin(make, *args, **options):
    # what is raised on purpose a thousand times need not be written
    s = make("-k", "asgi", "--log-level", "critical", *args, "leaks_asgi:app",
             bind="unix", apps=["leaks.py", "leaks_asgi.py", "probe.py"], start=False,
             **options)
    until(lambda: answers(s), lambda: "it answers:\n" + s.tail())
    return s


def answers(server):
    try:
        return server.get("/returns").status == 200
    except (FileNotFoundError, ConnectionRefusedError):
        return False


@pytest.fixture(scope="module")
def leaks(module_server):
    return begin(module_server, "--asgi-disconnect-grace-period", "0")


@pytest.fixture(scope="module", params=["asyncio", "debug"])
def others(request, module_server):
    """In asyncio's debug mode requests have ordinary tasks from the beginning."""
    return begin(module_server, "--asgi-loop", "asyncio",
                 env={"PYTHONASYNCIODEBUG": "1"} if request.param == "debug" else {})


def replies(peer, text):
    """A reply in whatever shape comes before the end of its connection."""
    peer.send(text)
    return peer.rest()


def ending(server, text, count):
    for _ in range(count):
        with server.connect() as peer:
            replies(peer, text)


def batches(count):
    return [min(BATCH, count - done) for done in range(0, count, BATCH)]


def leaving(server, path, count):
    """All of them have begun before the first one leaves."""
    for n in batches(count):
        with contextlib.ExitStack() as stack:
            peers = [stack.enter_context(server.connect()) for _ in range(n)]
            for peer in peers:
                peer.get("/" + path)
            for peer in peers:
                assert peer.head().status == 200


def breaking(server, path, count):
    """They leave in the middle of their body, every other one by a reset."""
    for n in batches(count):
        peers = [server.connect() for _ in range(n)]
        for peer in peers:
            peer.send(f"POST /{path} HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\nhalf")
        for peer, how in zip(peers, itertools.cycle(["close", "reset"])):
            assert peer.head().status == 200
            getattr(peer, how)()


# ---- the tests ----


@pytest.mark.parametrize("what, seen_by", [
    ("object", "objects"), ("bytes", "blocks"), ("reference", "references")])
def test_a_leak_would_be_seen(leaks, what, seen_by):
    measured(leaks)
    grown = growth(leaks, kept, GET % f"leak?{what}", 1000)
    assert grown[seen_by] >= 900


@pytest.mark.parametrize("name", KEPT)
def test_a_request_leaves_nothing_behind(leaks, name):
    assert_flat(leaks, kept, KEPT[name])


@pytest.mark.parametrize("path", ["sleeps", "left_task", "looks", "uncancelled"])
def test_nor_does_it_on_other_loops(others, path):
    assert_flat(others, kept, GET % path)


@pytest.mark.parametrize("name", ENDING)
def test_an_ending_request_leaves_nothing_behind(leaks, name):
    assert_flat(leaks, ending, ENDING[name])


@pytest.mark.parametrize("name", LEAVING)
def test_a_client_that_leaves_leaves_nothing_behind(leaks, name):
    assert_flat(leaks, leaving, LEAVING[name], **AT_ONCE)


def test_a_body_that_breaks_off_leaves_nothing_behind(leaks):
    assert_flat(leaks, breaking, "reads", **AT_ONCE)


def test_a_request_that_takes_too_long_leaves_nothing_behind(server):
    s = begin(server, "--request-timeout", "2")

    def late(server, path, count):
        for n in batches(count):
            with contextlib.ExitStack() as stack:
                peers = [stack.enter_context(server.connect()) for _ in range(n)]
                for peer in peers:
                    peer.get("/" + path)
                for peer in peers:
                    assert peer.reply().status == 504
    assert_flat(s, late, "never", **AT_ONCE)


# ---- WebSockets ----


def frame(opcode, data=b"", first=0x80):
    """Its mask of zeros masks nothing."""
    return bytes([first | opcode, 0x80 | len(data)]) + bytes(4) + data


CLOSED = frame(CLOSE, struct.pack(">H", 1000))
SAID = frame(TEXT, b"hello") + frame(9, b"ping")
SOCKETS = {  # (path, fields, what the client says, whether it waits for the end)
    "closed by the client": ("echo", "", SAID + CLOSED, True),
    "closed by the client, compressed": (
        "echo", DEFLATE, frame(TEXT, b"\xf2H\xcd\xc9\xc9\x07\x00", 0xc0)
        + frame(TEXT, b"x" * 125) + CLOSED, True),
    "told, sends to nobody": ("sends_late", "", CLOSED, True),
    "closed by the application": ("closes", "", CLOSED, True),
    "lost": ("echo", "", SAID, False),
    "lost in a message": ("echo", "", frame(TEXT, b"hello")[:9], False),
    "returns": ("returns", "", CLOSED, True),
    "raises": ("raises", "", CLOSED, True),
    "cancels itself": ("cancels", "", CLOSED, True),
    "a task of receive() that is left": ("left_task", "", CLOSED, True),
    "a bad frame": ("echo", "", b"\x83\x80\0\0\0\0", True),
    "no text": ("echo", "", frame(TEXT, b"\xff"), True),
    "denied": ("denied", "", b"", True),
    "denied with a reply": ("denied_with_reply", "Connection: close\r\n", b"", True),
    "returns before it accepts": ("returns_first", "", b"", True),
    "raises before it accepts": ("raises_first", "", b"", True),
    "left before it is accepted": ("waits_first", "", b"", False),
}


def sockets(server, how, count):
    path, fields, said, waits = how
    for _ in range(count):
        with server.connect() as peer:
            peer.send((HANDSHAKE % (path, fields)).encode() + said)
            if waits:
                peer.end_sending()
                peer.rest()
            elif path == "echo":
                peer.interim()


@pytest.mark.parametrize("name", SOCKETS)
def test_a_websocket_leaves_nothing_behind(leaks, name):
    assert_flat(leaks, sockets, SOCKETS[name])


def test_a_task_that_stays_would_be_seen(leaks):
    assert growth(leaks, kept, GET % "leak?task", 25)["tasks"] == 25
