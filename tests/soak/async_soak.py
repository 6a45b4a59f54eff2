#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Clients that leave in every phase of a request, for minutes, at one worker of a
class. At the end greenlets, descriptors, memory and references are what they
were after the warm-up.

    tests/soak/async_soak.py gevent --seconds 900 --seed 7
    CGUNICORN=/usr/bin/cgunicorn tests/soak/async_soak.py tornado-application

Classes: sync, gthread, gevent, eventlet, tornado, and tornado-application, a
tornado.web.Application in the class tornado. Ends with 1 when something grew.
"""
import argparse
import json
import pathlib
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "blackbox"))

from harness import logcheck, processes  # noqa: E402
from harness.server import Server  # noqa: E402
from harness.waiting import until  # noqa: E402

CLASSES = ["sync", "gthread", "gevent", "eventlet", "tornado",
           "tornado-application"]
WEBSOCKET = ("Upgrade: websocket", "Connection: Upgrade",
             "Sec-WebSocket-Version: 13",
             "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==")
# What may grow after the warm-up: a part that does not depend on the number
# of clients (caches, pools, connections that are closing), and a part that
# does, far below one for each client. Bytes in use say what is kept; the C
# library holds freed blocks of these 4 MiB replies back, so that resident, in
# KiB, goes up and down by some of them and only finds what malloc never saw.
MOST = {"greenlets": (40, 0), "open": (0, 0), "descriptors": (8, 0),
        "objects": (3000, 0.02), "references": (30000, 0.1),
        "blocks": (6000, 0.05), "malloc": (1 << 20, 50),
        "resident": (96 << 10, 0.1)}


# ---- leaving ----


def leave(peer, dice):
    """A close, a reset, or a close of one direction and then the other."""
    how = dice.randrange(3)
    if how == 0:
        peer.reset()
        return
    if how == 1:
        peer.end_sending()
    peer.close()


# ---- the phases ----


def before_the_head(peer, dice):
    pass


def in_the_head(peer, dice):
    head = b"GET /hello HTTP/1.1\r\nHost: a\r\nX-Long: " + b"x" * 500
    peer.send(head[:dice.randrange(1, len(head))])


def in_the_body(peer, dice):
    peer.send(b"POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000"
              b"\r\n\r\n" + b"b" * dice.choice([0, 1, 1000, 300000]))


def in_a_chunked_body(peer, dice):
    body = 50 * (b"400\r\n" + b"c" * 1024 + b"\r\n")
    peer.send(b"POST /length HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked"
              b"\r\n\r\n" + body[:dice.randrange(len(body))])


def waiting_for_the_response(peer, dice):
    peer.get("/wait")


def in_the_response(peer, dice):
    peer.get("/big")
    if dice.random() < 0.7:
        peer.sock.recv(dice.randrange(1, 100000))


def in_a_streamed_response(peer, dice):
    peer.get("/stream")
    for _ in range(dice.randrange(4)):
        peer.sock.recv(30000)


def between_requests(peer, dice):
    assert peer.get("/hello").reply().body == b"hello"


def before_the_upgrade(peer, dice):
    peer.get("/echo", *WEBSOCKET)


def in_a_websocket(peer, dice):
    peer.get("/echo", *WEBSOCKET)
    assert peer.interim().status == 101
    word = b"hello"
    masked = bytes([0x81, 0x80 | len(word), 0, 0, 0, 0]) + word
    for _ in range(dice.randrange(1, 4)):
        peer.send(masked)
        while not peer.buffer.endswith(word):
            assert peer._more(), "the echo is missing"
        peer.buffer = b""


def nowhere(peer, dice):
    """Stays to the end of every kind of reply."""
    assert peer.get("/hello").reply().body == b"hello"
    assert peer.post("/length", b"b" * 100000).reply().body == b"100000"
    assert peer.get("/wait").reply().body == b"waited"
    assert len(peer.get("/stream").reply().body) == 400000
    assert len(peer.get("/big").reply().body) == 4 << 20


PLAIN = [before_the_head, in_the_head, in_the_body, in_a_chunked_body,
         waiting_for_the_response, in_the_response, in_a_streamed_response,
         between_requests, nowhere]
UPGRADES = [before_the_upgrade, in_a_websocket]


def phases_of(kind):
    """Upgrades where a request that waits for its peer stops nobody else."""
    takes = kind in ("gevent", "eventlet", "tornado-application")
    return PLAIN + UPGRADES if takes else PLAIN


# ---- the clients ----


class Clients:
    """Threads that are one client after the other until they are told."""

    def __init__(self, server, phases, number, seed):
        self.server, self.phases = server, phases
        self.over = threading.Event()
        self.done, self.failed = Counter(), []
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run, args=(seed + i,))
                        for i in range(number)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *exc):
        self.over.set()
        for thread in self.threads:
            thread.join()

    def run(self, seed):
        dice = random.Random(seed)
        while not self.over.is_set() and not self.failed:
            for phase in dice.sample(self.phases, len(self.phases)):
                if not self.over.is_set():
                    self.try_to_visit(phase, dice)

    def try_to_visit(self, phase, dice):
        try:
            self.visit(phase, dice)
        except Exception as e:
            self.failed.append(f"{phase.__name__}: {e!r}")

    def visit(self, phase, dice):
        peer = self.server.connect()
        try:
            phase(peer, dice)
            leave(peer, dice)
        finally:
            peer.close()
        with self.lock:
            self.done[phase.__name__] += 1

    def count(self):
        return sum(self.done.values())


# ---- the measure ----


def measure(server):
    """Once nobody is inside any more."""
    found = {}

    def is_quiet():
        found.update(json.loads(server.get("/measure").body))
        return found["open"] == 0

    until(is_quiet, lambda: f"every request has ended: {found}")
    return found


def settled(server):
    """The least of several measures: a connection may still be closing."""
    samples = []
    for _ in range(5):
        samples.append(measure(server))
        time.sleep(0.1)
    return {k: min(s[k] for s in samples) for k in samples[0]}


def growth(before, after, clients):
    """{name: (grown, allowed)} of what grew too much."""
    assert before["pid"] == after["pid"], "another worker answers"
    found = {}
    for name, (fixed, each) in MOST.items():
        if name == "resident" and processes.is_sanitized(after["pid"]):
            continue
        grown, allowed = after[name] - before[name], fixed + each * clients
        if grown > allowed:
            found[name] = (grown, allowed)
    return found


def let_clients_leave(server, kind, seconds, number, seed):
    """For that long, and until every phase has had a client."""
    phases = phases_of(kind)
    with Clients(server, phases, number, seed) as clients:
        end = time.monotonic() + seconds
        while not clients.failed and (time.monotonic() < end
                                      or len(clients.done) < len(phases)):
            time.sleep(0.1)
    assert not clients.failed, clients.failed
    return clients.done


def arguments(kind):
    """What to start a server with."""
    app = "soaked_tornado:app" if kind == "tornado-application" else "soaked:app"
    return (["-k", kind.partition("-")[0], "--keep-alive", "5", app],
            ["soaked.py", "soaked_tornado.py", "leaks.py", "probe.py"])


def soak(server, kind, seconds, number=8, seed=0, say=lambda text: None):
    """Returns (clients by phase, what grew too much)."""
    let_clients_leave(server, kind, seconds / 5, number, seed)
    before = settled(server)
    say(f"after the warm-up: {before}")
    done, rounds = Counter(), 4
    for i in range(rounds):
        done += let_clients_leave(server, kind, seconds / rounds * 0.8, number,
                                  seed + 1000 * (i + 1))
        after = settled(server)
        say(f"{sum(done.values()):8} clients: {after}")
    return done, growth(before, after, sum(done.values()))


# ---- by hand ----


def options():
    parser = argparse.ArgumentParser(
        description=__doc__.strip().split("\n\n")[0],
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=CLASSES)
    parser.add_argument("--seconds", type=float, default=900)
    parser.add_argument("--clients", type=int, default=8,
                        help="side by side (%(default)s)")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    return parser.parse_args()


def start(folder, kind):
    args, apps = arguments(kind)
    server = Server(folder, *args, apps=apps, bind="unix").launch()

    def answers():
        try:
            return server.get("/hello").status == 200
        except OSError:
            assert server.process.poll() is None, server.tail()
            return False

    until(answers, lambda: "it answers:\n" + server.tail())
    return server


def main():
    wanted = options()
    signal.signal(signal.SIGTERM, lambda *args: sys.exit(143))
    print(f"{wanted.kind}, seed {wanted.seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        server = start(pathlib.Path(folder), wanted.kind)
        try:
            done, grown = soak(server, wanted.kind, wanted.seconds,
                               wanted.clients, wanted.seed,
                               lambda text: print(text, flush=True))
        finally:
            status = server.stop()
    trouble = logcheck.trouble(server.log(), [])
    print("\n".join(f"{n:8} left {name}" for name, n in sorted(done.items())))
    print("it grew: " + str(grown) if grown else "nothing grew")
    print("\n".join(trouble) or "nothing in the log")
    return 1 if grown or trouble or status != 0 else 0




if __name__ == "__main__":
    sys.exit(main())
