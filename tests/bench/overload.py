#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a server does while more comes than it can do.

One worker on core 0, 10 ms of CPU per request, so it can do about 100 a second.
Clients on core 1 come at a rate that does not depend on the answers, and give up
after a second. Of each server: answers in time per second, the share of the
requests that were run whose answers came in time (what the machine had to give
is the same for both numbers, however busy it is), and the wait of those.

usage: overload.py [--times 3] [--seconds 4] [--keep] [--beside COMMAND] CLASS…
CLASS: sync gthread gevent eventlet tornado asgi. COMMAND is served beside, with
{port} in place of the port and app:app as its application.
"""
import argparse
import asyncio
import mmap
import os
import pathlib
import shlex
import socket
import struct
import subprocess
import sys
import tempfile
import time

CAPACITY, PATIENCE = 100, 1.0
APP = """
import mmap, os, struct, time
with open("count", "r+b") as f:
    count = mmap.mmap(f.fileno(), 8)

def burn():
    end = time.thread_time() + 0.01
    while time.thread_time() < end:
        pass
    count[:8] = struct.pack("q", struct.unpack("q", count[:8])[0] + 1)

def app(environ, start_response):
    burn()
    start_response("200 OK", [("Content-Length", "3")])
    return [b"ok\\n"]

async def view(scope, receive, send):
    if scope["type"] == "http":
        burn()
        await send({"type": "http.response.start", "status": 200,
                    "headers": [(b"content-length", b"3")]})
        await send({"type": "http.response.body", "body": b"ok\\n"})
"""
CLASSES = {"sync": "app:app", "gthread": "app:app --threads 4",
           "gevent": "app:app -k gevent", "eventlet": "app:app -k eventlet",
           "tornado": "app:app -k tornado", "asgi": "app:view -k asgi"}


class Clients:
    def __init__(self, port, keep):
        self.port, self.keep, self.free = port, keep, []
        self.late = self.refused = self.failed = 0
        self.times = []

    async def ask(self):
        r, w = self.free.pop() if self.free else \
            await asyncio.open_connection("127.0.0.1", self.port)
        try:
            w.write(b"GET / HTTP/1.1\r\nHost: bench\r\n"
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

    async def one(self):
        start = time.perf_counter()
        try:
            if await asyncio.wait_for(self.ask(), PATIENCE):
                self.times.append(1000 * (time.perf_counter() - start))
            else:
                self.refused += 1
        except asyncio.TimeoutError:
            self.late += 1
        except (OSError, asyncio.IncompleteReadError, IndexError):
            self.failed += 1

    async def come(self, rate, seconds):
        tasks, start = [], time.perf_counter()
        while (now := time.perf_counter() - start) < seconds:
            while len(tasks) < now * rate:
                tasks.append(asyncio.ensure_future(self.one()))
            await asyncio.sleep(0.002)
        await asyncio.gather(*tasks)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(port):
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            time.sleep(0.05)
    sys.exit("the server does not listen")


def measure(name, command, args):
    with tempfile.TemporaryDirectory() as folder:
        count = pathlib.Path(folder) / "count"
        count.write_bytes(bytes(8))
        (pathlib.Path(folder) / "app.py").write_text(APP)
        port = free_port()
        server = subprocess.Popen(
            ["taskset", "-c", "0", *shlex.split(command.format(port=port))],
            cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for(port)
            clients = Clients(port, args.keep)
            asyncio.run(clients.come(CAPACITY * args.times, args.seconds))
        finally:
            server.terminate()
            server.wait(40)
        ran, = struct.unpack("q", count.read_bytes())
    times = sorted(clients.times) or [0]
    print(f"{name:28} in time {len(clients.times) / args.seconds:5.0f}/s, useful "
          f"{100 * len(clients.times) / max(ran, 1):3.0f} %, p50 "
          f"{times[len(times) // 2]:4.0f} ms, p99 {times[len(times) * 99 // 100]:4.0f} "
          f"ms; late {clients.late}, refused {clients.refused}, failed "
          f"{clients.failed}", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--times", type=float, default=3)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--beside", action="append", default=[])
    parser.add_argument("classes", nargs="*", default=["sync", "gthread"])
    args = parser.parse_args()
    program = os.environ.get("CGUNICORN", os.path.abspath("cgunicorn"))
    os.sched_setaffinity(0, {1})
    for name in args.classes:
        measure(name, f"{program} {CLASSES[name]} -b 127.0.0.1:{{port}}", args)
        measure(name + " overload=off", f"{program} {CLASSES[name]} -b "
                f"127.0.0.1:{{port}} --overload off", args)
    for command in args.beside:
        measure(command.split()[0].rsplit("/", 1)[-1], command, args)


if __name__ == "__main__":
    main()
