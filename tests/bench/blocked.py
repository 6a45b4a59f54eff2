#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How long requests wait while most executors are busy with something long.

64 keep-alive connections, which the four executors share, are asked in turn, 200
times a second. Then three executors get a request that lasts two seconds. A
request's time counts from when it was due, so that one that waits delays none.
sync has four workers, gthread four threads.
"""
import argparse
import asyncio
import os
import statistics
import time

from bench import Server, Workload, binary

CLIENTS, RATE, BLOCKED, LAST = 64, 200, 3, 2.0
SHAPES = {"sync": ["-w", "4"], "gthread": ["-w", "1", "--threads", "4"]}


class Client:
    def __init__(self, port):
        self.port, self.free, self.failed = port, asyncio.Lock(), 0

    async def connect(self):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)

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


async def paced(clients, seconds):
    """Milliseconds of every request of so many seconds."""
    times, tasks, start = [], [], time.perf_counter()
    for i in range(int(seconds * RATE)):
        due = start + i / RATE
        await asyncio.sleep(max(0, due - time.perf_counter()))
        tasks.append(asyncio.ensure_future(clients[i % len(clients)].timed(due, times)))
    await asyncio.gather(*tasks)
    return sorted(times)


async def one_round(port):
    clients = [Client(port) for _ in range(CLIENTS)]
    for client in clients:
        await client.connect()
        await client.ask()
    free = await paced(clients, LAST * 0.75)
    busy = [Client(port) for _ in range(BLOCKED)]
    long = []
    for client in busy:
        await client.connect()
        long.append(asyncio.ensure_future(client.ask(f"/sleep?{LAST}")))
        await asyncio.sleep(0.05)
    times = await paced(clients, LAST * 0.75 - 0.05 * BLOCKED)
    await asyncio.gather(*long)
    for client in clients + busy:
        client.writer.close()
    return free, times, sum(client.failed for client in clients)


def at(times, percent):
    return times[min(len(times) - 1, len(times) * percent // 100)]


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("-k", "--worker-class", default="sync,gthread", metavar="LIST")
    p.add_argument("-r", "--rounds", type=int, default=5)
    options = p.parse_args()
    os.sched_setaffinity(0, range(os.cpu_count()))
    print(f"{BLOCKED} of 4 executors blocked, milliseconds (medians of {options.rounds} rounds)\n"
          f"  {'':16}{'free p50':>10}{'p99':>8}{'blocked p50':>13}{'p99':>8}{'max':>8}{'failed':>8}")
    for kind in options.worker_class.split(","):
        command = [*binary(), "-k", kind, *SHAPES[kind],
                   "--bind", "127.0.0.1:{port}", "apps:app"]
        with Server(kind, command, Workload("paced"),
                    cores=range(os.cpu_count())) as server:
            rounds = [asyncio.run(one_round(server.port)) for _ in range(options.rounds)]
        shown = [statistics.median(at(r[k], percent) for r in rounds)
                 for k, percent in ((0, 50), (0, 99), (1, 50), (1, 99), (1, 100))]
        failed = sum(r[2] for r in rounds)
        print(f"  {'cgunicorn ' + kind:16}" + "".join(
            f"{ms:{width}.2f}" for ms, width in zip(shown, (10, 8, 13, 8, 8))) + f"{failed:8}")


if __name__ == "__main__":
    main()
