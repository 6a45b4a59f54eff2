# SPDX-License-Identifier: MIT
"""Threads of a worker that run at the same time: none idles beside a request
that waits, and what they run leaves nothing behind.

CGUNICORN_LEAK_COUNT=100000 FILES=125 tools/run_blackbox is the long form.
"""
import contextlib
import json

import pytest

from harness import embedded, processes
from harness.flat import COUNT, MOST
from harness.hammer import ASGI, WSGI, Hammer
from harness.waiting import until

THREADS = 4


@pytest.fixture(autouse=True)
def needs_free_threaded():
    embedded.needs_free_threading()


# ---- no complete request waits while a thread is idle ----

# Nobody leaves /meet or /spin before as many are there as the worker has
# threads: a request that waited for one of them would wait for ever.
MEETING = """\
import itertools, threading

THREADS = %d
barrier = threading.Barrier(THREADS)
numbers = itertools.count()
here = []

def spin():
    goal = (next(numbers) // THREADS + 1) * THREADS
    here.append(1)
    while len(here) < goal:
        pass

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/meet":
        barrier.wait()
    elif path == "/spin":
        spin()
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
""" % THREADS


@pytest.fixture
def meeting(server):
    s = server("meeting:app", "-w", "1", "--threads", str(THREADS), "--timeout", "60",
               files={"meeting.py": MEETING}, env={"PYTHON_GIL": "0"})
    with contextlib.ExitStack() as stack:
        s.peers = [stack.enter_context(s.connect()) for _ in range(2 * THREADS)]
        yield s


@pytest.mark.parametrize("path", ["/meet", "/spin"])
def test_as_many_requests_run_at_once_as_there_are_threads(meeting, path):
    """Whatever ran before: requests that are over at once, or none; on
    connections that one thread read from as well as on new ones."""
    for turn in range(12):
        for peer in meeting.peers[:turn % 3 * THREADS]:
            peer.get("/")
            assert peer.reply().body == b"ok"
        asked = meeting.peers[turn % 2::2]
        for peer in asked:
            peer.get(path)
        for peer in asked:
            assert peer.reply().body == b"ok"


def test_short_requests_beside_threads_that_compute_do_not_wait_for_them(meeting):
    *busy, last = meeting.peers[:THREADS]
    for peer in busy:
        peer.get("/spin")
    for peer in meeting.peers[THREADS:]:
        for _ in range(20):
            peer.get("/")
            assert peer.reply().body == b"ok"
    last.get("/spin")
    for peer in [*busy, last]:
        assert peer.reply().body == b"ok"


def test_one_that_finds_all_of_them_busy_is_run_by_whoever_is_done_first(meeting):
    """Twice as many at once as there are threads: half of them wait."""
    for _ in range(4):
        for peer in meeting.peers:
            peer.get("/spin")
        for peer in meeting.peers:
            assert peer.reply().body == b"ok"


# ---- nothing is left behind ----

MEASURED = {
    "gthread": WSGI + """
import json, leaks

hammered = app

def app(environ, start_response):
    if environ["PATH_INFO"] != "/measure":
        return hammered(environ, start_response)
    body = json.dumps(leaks.measure()).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
""",
    "asgi": ASGI + """
import json, leaks

hammered = app

async def app(scope, receive, send):
    if scope["type"] != "http" or scope["path"] != "/measure":
        return await hammered(scope, receive, send)
    body = json.dumps(leaks.measure()).encode()
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})
""",
}
# Memory that threads freed for others comes back when those take it: that is
# looked at as a whole, below.
COUNTED = ["blocks", "objects", "references", "descriptors"]


def hammer(server, count):
    clients = Hammer(server.address[1])
    clients.run(lambda h: until(lambda: h.replies >= count or h.over.is_set(),
                                "so many replies", 60 + count / 100))
    assert clients.wrong == []


def grown(server, worker, count):
    """What there is more after so many requests; memory in KiB."""
    before, resident = json.loads(server.get("/measure").body), processes.resident_kib(worker)
    hammer(server, count)
    after = json.loads(server.get("/measure").body)
    more = {name: after[name] - before[name] for name in COUNTED}
    return {**more, "resident": processes.resident_kib(worker) - resident}


@pytest.mark.parametrize("kind,args", [("gthread", ["--threads", "4"]), ("asgi", [])])
def test_requests_that_run_at_the_same_time_leave_nothing_behind(server, kind, args):
    s = server("own:app", "-k", kind, "-w", "1", *args, apps=["leaks.py", "probe.py"],
               files={"own.py": MEASURED[kind]}, env={"PYTHON_GIL": "0"})
    worker, = s.wait_workers(1)
    most = {name: MOST[name] for name in COUNTED}
    most["resident"] = 2048 if not processes.is_sanitized(worker) else float("inf")
    hammer(s, COUNT)
    found = []
    for _ in range(3):
        found.append(grown(s, worker, COUNT))
        if all(found[-1][name] <= most[name] for name in most):
            break
    else:
        raise AssertionError(found)
    print(found)
    assert s.workers() == [worker]
