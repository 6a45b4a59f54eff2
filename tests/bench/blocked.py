#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How long requests wait while most executors are busy with something long.

64 keep-alive connections, which the four executors share, are asked in turn, 200
times a second. Then three executors get a request that lasts two seconds. A
request's time counts from when it was due, so that one that waits delays none.
sync has four workers, gthread four threads. With --over h2 one connection of
HTTP/2 has the requests as its streams, those that last two seconds too.
"""
import argparse
import asyncio
import os
import ssl
import statistics
import struct
import sys
import time

import secure
from bench import ROOT, Server, Workload, binary

sys.path.insert(0, os.path.join(ROOT, "tests", "blackbox"))
from harness import h2wire  # noqa: E402

CLIENTS, RATE, BLOCKED, LAST = 64, 200, 3, 2.0
SHAPES = {"sync": ["-w", "4"], "gthread": ["-w", "1", "--threads", "4"]}


def context(protocol):
    made = ssl.create_default_context(cafile=secure.pair()[0])
    made.set_alpn_protocols([protocol])
    return made


class Client:
    def __init__(self, port, over):
        self.port, self.free, self.failed = port, asyncio.Lock(), 0
        self.ssl = context("http/1.1") if over == "tls" else None

    async def connect(self):
        self.reader, self.writer = await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=self.ssl)

    def close(self):
        self.writer.close()

    async def ask(self, path="/"):
        self.writer.write(f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = [line for line in head.lower().split(b"\r\n")
                  if line.startswith(b"content-length:")]
        await self.reader.readexactly(int(length[0].split(b":")[1]))

    async def timed(self, due, times):
        async with self.free:
            try:
                await self.ask()
            except (OSError, asyncio.IncompleteReadError):
                self.failed += 1
                return
        times.append(1000 * (time.perf_counter() - due))


class Streams:
    """Requests of one connection of HTTP/2; `failed` counts their resets."""

    def __init__(self, port, over):
        self.port, self.failed, self.next_id, self.waiting = port, 0, 1, {}

    async def connect(self):
        self.reader, self.writer = await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=context("h2"))
        self.writer.write(h2wire.PREFACE + h2wire.frame(h2wire.SETTINGS))
        self.task = asyncio.ensure_future(self.read())

    async def read(self):
        while True:
            head = await self.reader.readexactly(9)
            kind, flags, stream = struct.unpack(">BBI", head[3:])
            payload = await self.reader.readexactly(int.from_bytes(head[:3], "big"))
            if kind == h2wire.SETTINGS and not flags & h2wire.ACK:
                self.writer.write(h2wire.frame(h2wire.SETTINGS, h2wire.ACK))
            self.failed += kind == h2wire.RST
            if kind == h2wire.DATA and payload:
                self.writer.write(h2wire.frame(h2wire.WINDOW, 0, 0,
                                               struct.pack(">I", len(payload))))
            if kind == h2wire.RST or (kind in (h2wire.DATA, h2wire.HEADERS)
                                      and flags & h2wire.END_STREAM):
                self.waiting.pop(stream).set_result(None)

    async def ask(self, path="/"):
        stream, self.next_id = self.next_id, self.next_id + 2
        self.waiting[stream] = asyncio.get_running_loop().create_future()
        self.writer.write(h2wire.frame(h2wire.HEADERS,
                                       h2wire.END_HEADERS | h2wire.END_STREAM,
                                       stream, h2wire.head(path)))
        await self.waiting[stream]

    async def timed(self, due, times):
        await self.ask()
        times.append(1000 * (time.perf_counter() - due))

    def close(self):
        self.task.cancel()
        self.writer.close()


async def paced(clients, seconds):
    """Milliseconds of every request of so many seconds."""
    times, tasks, start = [], [], time.perf_counter()
    for i in range(int(seconds * RATE)):
        due = start + i / RATE
        await asyncio.sleep(max(0, due - time.perf_counter()))
        tasks.append(asyncio.ensure_future(clients[i % len(clients)].timed(due, times)))
    await asyncio.gather(*tasks)
    return sorted(times)


async def one_round(port, over):
    kind = Streams if over == "h2" else Client
    clients = [kind(port, over) for _ in range(1 if over == "h2" else CLIENTS)]
    for client in clients:
        await client.connect()
        await client.ask()
    free = await paced(clients, LAST * 0.75)
    busy = clients * BLOCKED if over == "h2" else [Client(port, over) for _ in range(BLOCKED)]
    long = []
    for client in busy:
        if over != "h2":
            await client.connect()
        long.append(asyncio.ensure_future(client.ask(f"/sleep?{LAST}")))
        await asyncio.sleep(0.05)
    times = await paced(clients, LAST * 0.75 - 0.05 * BLOCKED)
    await asyncio.gather(*long)
    for client in {*clients, *busy}:
        client.close()
    return free, times, sum(client.failed for client in clients)


def at(times, percent):
    return times[min(len(times) - 1, len(times) * percent // 100)]


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("-k", "--worker-class", default="sync,gthread", metavar="LIST")
    p.add_argument("-r", "--rounds", type=int, default=5)
    p.add_argument("--over", choices=("plain", "tls", "h2"), default="plain")
    options = p.parse_args()
    spoken = None if options.over == "plain" else secure.Kind(True, options.over == "h2")
    os.sched_setaffinity(0, range(os.cpu_count()))
    print(f"{BLOCKED} of 4 executors blocked, milliseconds (medians of {options.rounds} rounds)\n"
          f"  {'':16}{'free p50':>10}{'p99':>8}{'blocked p50':>13}{'p99':>8}{'max':>8}{'failed':>8}")
    for kind in options.worker_class.split(","):
        command = [*binary(), "-k", kind, *SHAPES[kind], "{args}", "--bind", "127.0.0.1:{port}", "apps:app"]
        with Server(kind, command, Workload("paced", kind=spoken),
                    cores=range(os.cpu_count())) as server:
            rounds = [asyncio.run(one_round(server.port, options.over)) for _ in range(options.rounds)]
        shown = [statistics.median(at(r[k], percent) for r in rounds)
                 for k, percent in ((0, 50), (0, 99), (1, 50), (1, 99), (1, 100))]
        failed = sum(r[2] for r in rounds)
        print(f"  {'cgunicorn ' + kind:16}" + "".join(
            f"{ms:{width}.2f}" for ms, width in zip(shown, (10, 8, 13, 8, 8))) + f"{failed:8}")


if __name__ == "__main__":
    main()
