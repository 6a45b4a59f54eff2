#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a server does while more comes than it can do.

Workers on core 0, 10 ms of CPU per request, so they can do about 100 a second.
Clients on core 1 come at a rate that does not depend on the answers, and give up
after a second. Of each server: answers in time per second; "useful", the share of
the CPU time that was spent on requests whose answers came in time (what the
machine had to give is the same for both, however busy it is); the wait of those.

usage: overload.py [MODE] [--times 3] [--seconds 4] [--keep] [--only] [--beside COMMAND] CLASS…

MODE       what comes, and what is to be shown
open       3 times what it can do (--times): useful >= 85 %, p99 <= 1 s
calm       0.6 times that: as with overload=off
burst      1000 requests in 0.1 s, of clients that wait for 30 s: none is lost
refuse     open, with max_queue_time = 1 and patient clients: 503 within 1.1 s
recovery   a third, then open, then a third again: seconds until p99 is as before
blocked    two workers, of which one keeps the GIL for all of the time: as calm
slow       open, beside 200 clients that send a byte of their head every 0.1 s
mix        the CPU of open in half as many requests: every hundredth takes 1 s
           (and its client waits 3); --seconds 20 shows what becomes of these

CLASS: sync gthread gevent eventlet tornado asgi. COMMAND is served beside, with
{port} in place of the port and app:app as its application.
"""
import argparse
import asyncio
import os
import pathlib
import shlex
import socket
import struct
import subprocess
import sys
import tempfile
import time

CAPACITY, PATIENCE, COST = 100, 1.0, 10
APP = """
import ctypes, mmap, os, struct, time

with open("count", "r+b") as f:
    count = mmap.mmap(f.fileno(), 8)

def work(path, query):
    if path == "/hold":  # the GIL, too
        ctypes.PyDLL(None).usleep(int(query) * 1000)
        return
    ms = int(query or 10)
    end = time.thread_time() + ms / 1000
    while time.thread_time() < end:
        pass
    count[:8] = struct.pack("q", struct.unpack("q", count[:8])[0] + ms)

def app(environ, start_response):
    work(environ["PATH_INFO"], environ["QUERY_STRING"])
    start_response("200 OK", [("Content-Length", "3")])
    return [b"ok\\n"]

async def view(scope, receive, send):
    if scope["type"] == "http":
        work(scope["path"], scope["query_string"])
        await send({"type": "http.response.start", "status": 200,
                    "headers": [(b"content-length", b"3")]})
        await send({"type": "http.response.body", "body": b"ok\\n"})
"""
CLASSES = {"sync": "app:app", "gthread": "app:app --threads 4",
           "gevent": "app:app -k gevent", "eventlet": "app:app -k eventlet",
           "tornado": "app:app -k tornado", "asgi": "app:view -k asgi"}


class Clients:
    """What became of each request, in seconds since they began to come."""

    def __init__(self, port, keep):
        self.port, self.keep, self.free = port, keep, []
        self.late = self.failed = 0
        self.done = []     # (came, took, ms of CPU) of those that were answered
        self.refused = []  # seconds until the 503
        self.start = time.perf_counter()

    async def ask(self, path):
        r, w = self.free.pop() if self.free else \
            await asyncio.open_connection("127.0.0.1", self.port)
        try:
            w.write(b"GET %s HTTP/1.1\r\nHost: bench\r\n" % path.encode()
                    + (b"" if self.keep else b"Connection: close\r\n") + b"\r\n")
            head = (await r.readuntil(b"\r\n\r\n")).lower()
            length = head.split(b"content-length:")[1].split(b"\r\n")[0]
            await r.readexactly(int(length))
        except BaseException:
            w.close()
            raise
        if self.keep and b"close" not in head:
            self.free.append((r, w))
        else:
            w.close()
        return head.split()[1] == b"200"

    async def one(self, patience=PATIENCE, ms=COST):
        came = time.perf_counter()
        try:
            good = await asyncio.wait_for(self.ask(f"/?{ms}"), patience)
            took = time.perf_counter() - came
            if good:
                self.done.append((came - self.start, took, ms))
            else:
                self.refused.append(took)
        except asyncio.TimeoutError:
            self.late += 1
        except (OSError, asyncio.IncompleteReadError, IndexError):
            self.failed += 1

    async def come(self, rate, seconds, **how):
        """`slow`: every so many-th takes 1 s, and its client waits for 3."""
        slow = how.pop("slow", 0)
        tasks, start = [], time.perf_counter()
        while (now := time.perf_counter() - start) < seconds:
            while len(tasks) < now * rate:
                more = {"patience": 3, "ms": 1000} \
                    if slow and len(tasks) % slow == slow - 1 else how
                tasks.append(asyncio.ensure_future(self.one(**more)))
            await asyncio.sleep(0.002)
        await asyncio.gather(*tasks)


class Server:
    def __init__(self, command):
        self.command = command

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        folder = pathlib.Path(self.folder.name)
        self.count = folder / "count"
        self.count.write_bytes(bytes(8))
        (folder / "app.py").write_text(APP)
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.process = subprocess.Popen(
            ["taskset", "-c", "0", *shlex.split(self.command.format(port=self.port))],
            cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.before = 0
        self.wait()
        return self

    def wait(self):
        """Until it has answered: a class may take a second to be imported."""
        end = time.monotonic() + 20
        while time.monotonic() < end:
            try:
                with socket.create_connection(("127.0.0.1", self.port)) as s:
                    s.settimeout(20)
                    s.sendall(b"GET /?1 HTTP/1.1\r\nHost: bench\r\n"
                              b"Connection: close\r\n\r\n")
                    if s.recv(1000):
                        break
            except OSError:
                time.sleep(0.05)
        else:
            sys.exit("the server does not answer")
        self.before = self.ran()

    def ran(self):
        """Milliseconds of CPU that requests took."""
        return struct.unpack("q", self.count.read_bytes())[0] - self.before

    def __exit__(self, *what):
        self.process.terminate()
        self.process.wait(40)
        self.folder.cleanup()


def at(times, percent):
    times = sorted(times) or [0]
    return 1000 * times[min(len(times) * percent // 100, len(times) - 1)]


def usual(clients, server, seconds):
    took = [t for _, t, _ in clients.done]
    seconds = max(seconds, time.perf_counter() - clients.start)
    spent = sum(ms for _, _, ms in clients.done)
    return (f"in time {len(took) / seconds:5.0f}/s, useful "
            f"{100 * spent / max(server.ran(), 1):3.0f} %, p50 {at(took, 50):4.0f} ms, "
            f"p99 {at(took, 99):4.0f} ms; late {clients.late}, refused "
            f"{len(clients.refused)}, failed {clients.failed}")


# ---- modes: (clients, server, args) -> what is told ----

async def open_loop(clients, server, args):
    await clients.come(CAPACITY * args.times, args.seconds)
    return usual(clients, server, args.seconds)


async def calm(clients, server, args):
    await clients.come(CAPACITY * 0.6, args.seconds)
    return usual(clients, server, args.seconds)


async def burst(clients, server, args):
    await asyncio.gather(*(clients.one(patience=30) for _ in range(1000)))
    n = len(clients.done)
    lost = clients.late + clients.failed + len(clients.refused)
    return (f"{n} of {n + lost} answered, {lost} lost; the last after "
            f"{at([t for _, t, _ in clients.done], 100) / 1000:.1f} s")


async def refuse(clients, server, args):
    await clients.come(CAPACITY * args.times, args.seconds, patience=10)
    return (f"{len(clients.done)} run, {len(clients.refused)} refused: p50 after "
            f"{at(clients.refused, 50):.0f} ms, the last after "
            f"{at(clients.refused, 100):.0f} ms; failed {clients.failed}")


async def recovery(clients, server, args):
    calm = CAPACITY / 3
    await clients.come(calm, 2)
    before = at([t for _, t, _ in clients.done], 99)
    spike = asyncio.ensure_future(clients.come(CAPACITY * args.times, args.seconds))
    await asyncio.sleep(args.seconds)
    over = time.perf_counter() - clients.start
    await asyncio.gather(spike, clients.come(calm, 3))
    bound = max(2 * before, 50)
    slow = [came for came, took, _ in clients.done if came > over and 1000 * took > bound]
    gone = max(slow, default=over) - over
    return (f"p99 before {before:.0f} ms; after the spike no reply takes more than "
            f"{bound:.0f} ms from {gone:.2f} s on")


async def blocked(clients, server, args):
    hold = asyncio.ensure_future(clients.ask(f"/hold?{int(1000 * args.seconds)}"))
    await asyncio.sleep(0.3)
    told = await calm(clients, server, args)
    await hold
    return told


async def dawdle(port, until):
    """A client that is never done with its head."""
    r, w = await asyncio.open_connection("127.0.0.1", port)
    w.write(b"GET / HTTP/1.1\r\nHost: bench\r\nX: ")
    while time.perf_counter() < until:
        await asyncio.sleep(0.1)
        w.write(b"x")
    w.close()


async def slow(clients, server, args):
    until = time.perf_counter() + args.seconds + 1
    beside = [asyncio.ensure_future(dawdle(server.port, until)) for _ in range(200)]
    told = await open_loop(clients, server, args)
    await asyncio.gather(*beside)
    return told


async def mix(clients, server, args):
    await clients.come(CAPACITY / 2 * args.times, args.seconds, slow=100)
    told = usual(clients, server, args.seconds)
    short, long = ([t for _, t, ms in clients.done if (ms == 1000) == is_long]
                   for is_long in (False, True))
    return (f"{told}; {len(short)} of 10 ms, p99 {at(short, 99):.0f} ms; "
            f"{len(long)} of 1 s, the last after {at(long, 100):.0f} ms")


MODES = {"open": open_loop, "calm": calm, "burst": burst, "refuse": refuse,
         "recovery": recovery, "blocked": blocked, "slow": slow, "mix": mix}
OPTIONS = {"refuse": " --max-queue-time 1", "blocked": " -w 2"}
WITHOUT_OFF = ("burst", "refuse", "blocked")


def measure(name, command, args):
    async def run(server):
        return await MODES[args.mode](Clients(server.port, args.keep), server, args)

    with Server(command + (OPTIONS.get(args.mode, "") if "cgunicorn" in command else "")) as server:
        print(f"{args.mode} {name:22} {asyncio.run(run(server))}", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--times", type=float, default=3)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--only", action="store_true", help="not with overload=off")
    parser.add_argument("--beside", action="append", default=[])
    parser.add_argument("words", nargs="*", metavar="MODE or CLASS")
    args = parser.parse_intermixed_args()
    args.mode = args.words.pop(0) if args.words and args.words[0] in MODES else "open"
    program = os.environ.get("CGUNICORN", os.path.abspath("cgunicorn"))
    os.sched_setaffinity(0, {1})
    for name in args.words or ["sync", "gthread"]:
        command = f"{program} {CLASSES[name]} -b 127.0.0.1:{{port}}"
        measure(name, command, args)
        if args.mode not in WITHOUT_OFF and not args.only:
            measure(name + " overload=off", command + " --overload off", args)
    for command in args.beside:
        measure(command.split()[0].rsplit("/", 1)[-1], command, args)


if __name__ == "__main__":
    main()
