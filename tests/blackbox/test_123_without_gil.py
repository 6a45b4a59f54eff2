# SPDX-License-Identifier: MIT
"""Without a GIL: every client gets its own reply, whatever runs beside it.

HAMMER_SECONDS=600 FILES=123 tools/run_blackbox is the long form, by hand.
"""
import contextlib
import os
import random
import signal
import time

import pytest

from harness import embedded
from harness.hammer import ASGI, WSGI, Hammer
from harness.waiting import until

SECONDS = float(os.environ.get("HAMMER_SECONDS", "2.5"))


@pytest.fixture(autouse=True)
def needs_free_threaded():
    embedded.needs_free_threading()


@pytest.mark.parametrize("kind,args", [
    ("sync", ["-w", "2"]),
    ("gthread", ["-w", "1", "--threads", "8"]),
    ("asgi", ["-w", "2"]),
])
def test_every_client_gets_its_own_reply(server, kind, args):
    s = server("own:app", "-k", kind, *args, "--graceful-timeout", "20",
               files={"own.py": ASGI if kind == "asgi" else WSGI},
               env={"PYTHON_GIL": "0"})
    s.announce("was sent SIGKILL", r"took \d+ request", "had \\d+", "in a row ended")
    end = time.monotonic() + SECONDS

    def between(hammer):
        dice = random.Random(0)
        while time.monotonic() < end and not hammer.over.is_set():
            before = hammer.replies
            until(lambda: hammer.replies >= before + 500 or hammer.over.is_set(),
                  "replies go on")
            if dice.random() < 0.5:
                victim = dice.choice(s.workers())
                with contextlib.suppress(ProcessLookupError):  # one that a reload replaced
                    os.kill(victim, signal.SIGKILL)
                until(lambda: victim not in s.workers(), "the worker is gone")
                until(lambda: s.workers(), "another one is there")
            else:
                reloads = s.log_count("Reload done")
                s.signal("HUP")
                s.wait_log("Reload done", reloads + 1)

    hammer = Hammer(s.address[1])
    hammer.run(between)
    assert hammer.wrong == []
    assert hammer.replies > 500
    assert s.stop() == 0
    assert s.log_count("The GIL is off") == 1


# ---- what an application's own threads do with its request ----

SHARED = """\
import threading

kept = []

def at_once(count, work):
    barrier, found = threading.Barrier(count), []
    def run():
        barrier.wait()
        try:
            found.append(work())
        except Exception as e:
            found.append(type(e))
    threads = [threading.Thread(target=run) for _ in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return found

def app(environ, start_response):
    path = environ["PATH_INFO"]
    body = environ["wsgi.input"]
    if path == "/read":
        parts = at_once(4, lambda: [body.readline() for _ in range(50)])
        lines = [line for part in parts if isinstance(part, list) for line in part if line]
        text = str(len(lines) if len(set(lines)) == len(lines) else "TWICE").encode()
    elif path == "/start":
        headers = [("X-%d" % i, "v") for i in range(50)]
        def change():
            for _ in range(200):
                headers.append(("X-A", "b"))
                del headers[-1]
        def begin():
            start_response("200 OK", headers)
            return 1
        found = at_once(4, begin) if threading.Thread(target=change).start() is None else []
        return [str(found.count(1)).encode()]
    elif path == "/keep":
        def use():
            while True:
                try:
                    body.read(1)
                    start_response("500 late", [])
                    write(b"late")
                    environ["wsgi.early_hints"]([("Link", "x")])
                except ValueError:
                    pass
                except AssertionError:
                    pass
                if over.is_set():
                    return
        over = threading.Event()
        text = b"kept"
        write = start_response("200 OK", [("Content-Length", str(len(text)))])
        for _ in range(2):
            t = threading.Thread(target=use, daemon=True)
            t.start()
            kept.append((t, over))
        return [text]
    elif path == "/end":
        for t, over in kept:
            over.set()
        for t, over in kept:
            t.join()
        del kept[:]
        text = b"ended"
    elif path == "/list":
        items = [b"x"] * 100
        threading.Thread(target=lambda: [items.pop() for _ in range(50)]).start()
        start_response("200 OK", [])
        return items
    elif path == "/write":
        write = start_response("200 OK", [])
        found = at_once(4, lambda: [write(b"abcd") for _ in range(200)])
        return [b"!"]
    start_response("200 OK", [("Content-Length", str(len(text)))])
    return [text]
"""


@pytest.fixture
def shared(server):
    return server("shared:app", "--threads", "4", "-w", "1", files={"shared.py": SHARED},
                  env={"PYTHON_GIL": "0"},
                  announced=["Error handling request", "shared.py"])


def test_lines_are_read_once_by_threads_that_read_together(shared):
    body = b"".join(b"line %d\n" % i for i in range(200))
    for _ in range(3):
        assert shared.post("/read", body).body == b"200"


def test_a_reply_is_started_by_one_of_several_threads(shared):
    for _ in range(4):
        assert shared.get("/start").body in (b"1", b"4")


def test_blocks_of_threads_that_write_together_are_whole(shared):
    for _ in range(2):
        assert shared.get("/write").body == b"abcd" * 800 + b"!"


def test_a_list_that_becomes_shorter_while_it_is_sent_ends(shared):
    for _ in range(8):
        assert set(shared.get("/list").body) == {ord("x")}


def test_what_threads_keep_of_a_request_is_over(shared):
    for _ in range(4):
        assert shared.get("/keep").body == b"kept"
    assert shared.get("/end").body == b"ended"
    assert shared.get("/read").status == 200


def test_a_late_request_is_interrupted(server):
    s = server("slow:app", "--threads", "3", "-w", "1", "--request-timeout", "1", files={
        "slow.py": "def app(environ, start_response):\n"
                   "    n = 0\n"
                   "    while environ['PATH_INFO'] == '/slow':\n"
                   "        n += 1\n"
                   "    start_response('200 OK', [])\n"
                   "    return [b'quick']\n"},
        env={"PYTHON_GIL": "0"}, announced=["REQUEST TIMEOUT", "Request timed out",
                                            "RequestTimeout"])
    assert s.get("/slow").status == 504
    s.wait_log("Request timed out:")
    assert s.get("/").body == b"quick"


def test_send_belongs_to_the_thread_of_its_loop(server):
    s = server("far:app", "-k", "asgi", "-w", "1", files={"far.py": """\
import asyncio

def drive(coroutine):
    try:
        coroutine.send(None)
    except StopIteration:
        return "sent"
    except Exception as e:
        return "%s: %s" % (type(e).__name__, e)

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    async def start():
        await send({"type": "http.response.start", "status": 201, "headers": []})
    async def read():
        await receive()
    found = [await asyncio.to_thread(drive, f()) for f in (start, read)]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": repr(found).encode()})
"""}, env={"PYTHON_GIL": "0"})
    reply = s.get("/")
    assert reply.status == 200
    assert reply.body.count(b"RuntimeError: it is used in another thread") == 2
