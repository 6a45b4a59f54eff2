# SPDX-License-Identifier: MIT
"""Requests that wait: whose client has left, which one is next, how long."""
import os
import re
import signal
import socket
import struct
import time

import pytest

from harness import classes, control, embedded, wire
from harness.blocked import APP, Blocked, pid_of, pinned
from harness.h2wire import CANCEL, RST, connect, frame
from harness.server import free_port
from harness.waiting import until

NOTED = """
import asyncio, ctypes, os, pathlib

usleep = ctypes.CDLL(None).usleep  # no loop has a part in it

def note(name):
    with open("order", "a") as f:
        f.write(name + "\\n")

def wait(name):
    pathlib.Path(name + ".in").touch()
    while not pathlib.Path(name + ".go").exists():
        usleep(2000)

def work(path, query):
    if path == "/block":
        wait(query)
    else:
        note(path[1:])
        usleep(int(float(query or 0) * 1e6))
    return str(os.getpid()).encode()

def app(environ, start_response):
    body = work(environ["PATH_INFO"], environ["QUERY_STRING"])
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]

async def view(scope, receive, send):
    if scope["type"] != "http":
        return
    await asyncio.sleep(0)  # all that came together have begun by then
    body = work(scope["path"], scope["query_string"].decode())
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-length", str(len(body)).encode())]})
    await send({"type": "http.response.body", "body": body})
"""

CLASSES = {"sync": ("app:app",), "gthread": ("app:app", "-k", "gthread"),
           "tornado": ("app:app", "-k", "tornado"),
           "gevent": ("app:app", "-k", "gevent"),
           "asgi": ("app:view", "-k", "asgi")}
every_class = pytest.mark.parametrize("what", CLASSES.values(), ids=CLASSES)


@pytest.fixture(autouse=True)
def installed(request):
    """Classes whose package the interpreter inside has."""
    params = getattr(request.node, "callspec", None)
    what = params.params.get("what", ()) if params is not None else ()
    if {"gevent", "tornado"} & set(what):
        classes.skip_unless_installed(request.getfixturevalue("run"), what[-1])


def skip_unless_tasks_start_at_once():
    if tuple(embedded.told()["version"]) < (3, 11):
        pytest.skip("before Python 3.11 asyncio starts the tasks of requests, "
                    "in its own order (docs/asgi.md)")


def start(server, *args):
    s = server("--access-logfile", "-", *args, files={"app.py": NOTED})
    s.wait_workers(int(args[args.index("-w") + 1]) if "-w" in args else 1)
    return s


def warm(server, count):
    peers = [server.connect() for _ in range(count)]
    for peer in peers:
        ask_path(peer, "/warm")
    return peers


def ask_path(peer, path):
    peer.get(path)
    return peer.reply()


def waiting(server):
    return sum(w["waiting"] for w in control.status(server)["workers"])


def order(server):
    return [name for name in (server.folder / "order").read_text().split()
            if name != "warm"]


# ---- requests whose client has left ----

@every_class
def test_a_request_whose_client_has_left_is_not_run(server, what):
    s = start(server, *what)
    first, gone, after = warm(s, 3)
    held = Blocked(s, first, "b")
    gone.get("/gone")
    after.get("/after")
    until(lambda: waiting(s) == 2, "both wait")
    gone.reset()
    until(lambda: control.status(s)["abandoned_total"] == 1, "it is dropped")
    held.go()
    assert held.peer.reply().status == 200
    assert after.reply().status == 200
    assert order(s) == ["after"]
    until(lambda: '"GET /gone HTTP/1.1" 499' in s.stdout(), "it is told")
    assert control.status(s)["abandoned_total"] == 1


def test_who_sends_no_more_has_left_after_a_while(server):
    s = start(server, "app:app", "--abandoned-after", "0.05")
    first, gone = warm(s, 2)
    held = Blocked(s, first, "b")
    gone.get("/gone")
    until(lambda: waiting(s) == 1, "it waits")
    gone.end_sending()
    until(lambda: control.status(s)["abandoned_total"] == 1, "it is dropped")
    gone.assert_closed()
    held.go()
    held.peer.reply()


def test_who_sends_no_more_is_answered_if_told_so(server):
    s = start(server, "app:app", "--abandoned-after", "0")
    first, half = warm(s, 2)
    held = Blocked(s, first, "b")
    half.get("/half")
    until(lambda: waiting(s) == 1, "it waits")
    half.end_sending()
    held.go()
    assert held.peer.reply().status == 200
    assert half.reply().status == 200
    assert control.status(s)["abandoned_total"] == 0


def test_a_request_that_waits_for_any_worker_is_not_run_either(server):
    s = server("app:app", "-w", "2", files={"app.py": APP})
    one, mine = pinned(s, count=3)
    two = next(iter(set(s.workers()) - {one}))
    _, others = pinned(s, two, count=1)
    held = [Blocked(s, mine[0], "b0"), Blocked(s, others[0], "b1")]
    mine[1].get("/block?gone")
    mine[2].get("/")
    until(lambda: control.status(s)["handed_over_total"] == 2,
          "both are in the shared queue")
    asked = time.monotonic()
    mine[1].reset()
    # who waits for less than 10 ms is not looked at
    until(lambda: time.monotonic() - asked > 0.05, "they have waited")
    for b in held:
        b.go()
        b.peer.reply()
    assert pid_of(mine[2].reply()) in (one, two)
    assert not (s.folder / "gone.in").exists()
    assert control.status(s)["abandoned_total"] == 1


# ---- which one is next ----

def pile_up(server, *args, count=12):
    """The order in which so many requests of 60 ms, sent one after the other
    while another one ran, were run."""
    s = start(server, *args)
    first, *peers = warm(s, count + 1)
    held = Blocked(s, first, "b")
    for i, peer in enumerate(peers):
        peer.get(f"/{i}?0.06")
        until(lambda: waiting(s) == i + 1, f"{i + 1} wait")
    held.go()
    for peer in peers:
        assert peer.reply().status == 200
    return s, [int(name) for name in order(s)]


@every_class
def test_the_newest_is_first_while_requests_pile_up(server, what):
    if "asgi" in what:
        skip_unless_tasks_start_at_once()
    s, order = pile_up(server, *what)
    assert order[:2] == [0, 1], order       # a burst, as far as one can know
    assert order[-1] < 8, order
    assert sorted(order[4:], reverse=True) == order[4:], order
    assert sorted(order) == list(range(12))
    until(lambda: control.status(s)["workers"][0]["state"] == "idle", "calm")


def test_first_come_is_first_served_if_told_so(server):
    _, order = pile_up(server, "app:app", "--overload", "off", count=8)
    assert order == list(range(8))


def test_an_exempt_path_is_before_all_others(server):
    s = start(server, "app:app", "--overload-exempt", "/vip",
              "--max-queue-time", "30")
    first, *peers, vip = warm(s, 5)
    held = Blocked(s, first, "b")
    for i, peer in enumerate(peers):
        peer.get(f"/{i}")
    until(lambda: waiting(s) == 3, "they wait")
    vip.get("/vip?0")
    until(lambda: waiting(s) == 4, "so does it")
    held.go()
    for peer in [*peers, vip]:
        peer.reply()
    assert order(s)[0] == "vip"


# ---- how long ----

@every_class
def test_who_waited_too_long_is_told(server, what):
    s = start(server, *what, "--max-queue-time", "0.1", "--overload-exempt",
              "/vip")
    first, known, vip = warm(s, 3)
    held = Blocked(s, first, "b")
    new = s.connect()
    vip.get("/vip")
    for peer in (known, new):
        peer.get("/late")
    for peer in (known, new):
        reply = peer.reply()  # while the worker is blocked
        assert reply.status == 503
        assert reply.one("Retry-After") == "1"
        peer.assert_closed()
    held.go()
    assert vip.reply().status == 200
    held.peer.reply()
    assert order(s) == ["vip"]
    assert control.status(s)["shed_total"] == 2
    assert s.stdout().count('"GET /late HTTP/1.1" 503') == 2


# ---- what is told ----

class Manager:
    """The receiving end of NOTIFY_SOCKET."""

    def __init__(self, folder):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.sock.bind(str(folder / "notify"))
        self.heard = []

    def count(self, line):
        """How often it was heard."""
        try:
            while True:
                self.heard += self.sock.recv(4096).decode().split("\n")
        except BlockingIOError:
            return self.heard.count(line)


def test_an_overload_is_told_when_it_begins_and_when_it_is_over(server, tmp_path):
    manager = Manager(tmp_path)
    port = free_port()
    s = server("app:app", "--metrics-bind", f"127.0.0.1:{port}", files={"app.py": NOTED},
               env={"NOTIFY_SOCKET": manager.sock.getsockname()})
    s.announce("Overloaded, the newest requests are run first")

    def metric(name):
        text = wire.fetch(("127.0.0.1", port), "/metrics").body.decode()
        return float(re.search(rf"^cgunicorn_{name} (\S+)$", text, re.M)[1])

    held = Blocked(s, s.connect(), "b")
    peers = [s.connect() for _ in range(28)]
    for peer in peers:
        peer.get("/work?0.06")
    gone = s.connect()
    gone.get("/work?0.06")
    until(lambda: waiting(s) == 29, "they wait")
    assert metric("waiting_requests") == 29
    assert metric("overloads_total") == 0
    gone.reset()
    held.go()
    until(lambda: manager.count("STATUS=Overloaded: requests pile up in 1 of 1 workers"),
          "the service manager hears of it")
    assert metric("overloaded_workers") == 1
    for peer in peers:
        assert peer.reply().status == 200
    s.wait_log(r"Overloaded, the newest requests are run first")
    s.wait_log(r"No longer overloaded \(pid:\d+\): in \d+\.\d s \d+ requests had to "
               r"wait: \d+ run, \d+ abandoned by their clients, 0 refused, 0 wait; "
               r"longest wait of one that was run \d+ ms")
    until(lambda: manager.count("STATUS=Serving with 1 workers") == 2, "it is over")
    assert metric("overloads_total") == 1
    assert metric("abandoned_requests_total") == 1
    assert metric("overloaded_workers") == 0


# ---- streams of HTTP/2 ----

def test_streams_that_wait_are_dropped_when_their_peer_leaves(server):
    s = server("app:app", "--http-protocols", "h2,h1", "--http2-cleartext", "both",
               "--access-logfile", "-", files={"app.py": NOTED})
    held = Blocked(s, s.connect(), "b")
    one, two = connect(s), connect(s)
    reset = one.request("/reset")
    after = one.request("/after")
    two.request("/closed")
    until(lambda: waiting(s) == 3, "all wait")
    one.send(frame(RST, 0, reset, struct.pack(">I", CANCEL)))
    two.close()
    until(lambda: control.status(s)["abandoned_total"] == 2, "two are dropped")
    assert waiting(s) == 1
    held.go()
    assert held.peer.reply().status == 200
    assert int(one.body(after)) in s.workers()
    assert order(s) == ["after"]
    until(lambda: s.stdout().count("499") == 2, "they are in the access log")
    for path in ("/reset", "/closed"):
        assert f'"GET {path} HTTP/2.0" 499' in s.stdout()
    one.close()


# ---- one that blocks its loop ----

def test_who_came_together_with_one_that_blocks_the_loop_is_not_held_up(server):
    skip_unless_tasks_start_at_once()
    s = start(server, "app:view", "-k", "asgi", "-w", "2")
    victim, peers = pinned_view(s, 2)
    os.kill(victim, signal.SIGSTOP)
    try:
        peers[0].get("/block?b")
        peers[1].get("/")
        time.sleep(0.05)  # both are complete before it looks: over loopback
    finally:
        os.kill(victim, signal.SIGCONT)
    until(lambda: (s.folder / "b.in").exists(), "one blocks the loop")
    assert peers[1].reply().status == 200  # meanwhile
    (s.folder / "b.go").touch()
    assert pid_of(peers[0].reply()) == victim


def pinned_view(server, count):
    by_owner = {}

    def enough():
        peer = server.connect()
        peers = by_owner.setdefault(pid_of(ask_path(peer, "/warm")), [])
        peers.append(peer)
        return len(peers) == count and peers

    peers = until(enough, f"a worker has {count} connections")
    return next(k for k, v in by_owner.items() if v is peers), peers
