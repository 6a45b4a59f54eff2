#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Streams of events and WebSockets side by side, for a while: is anything lost,
and does the server stay as large as it is?

Every client of /events gets an event each second, every WebSocket says 64 bytes
each second and hears them again. The memory of the process group is told ten times.
Ends with 1 when an event or an echo is missing, when somebody waited for longer
than --late seconds, or when the second half of the time added more than --most KiB.
Before that: what a WebSocket costs that says nothing.
"""
import argparse
import os
import resource
import select
import socket
import statistics
import sys
import time

import asgi
import bench

EVENTS = b"GET /events HTTP/1.1\r\nHost: bench\r\n\r\n"


class Client:
    """One connection; `heard` counts events or echoes."""

    def __init__(self, server, is_socket):
        self.is_socket = is_socket
        self.rest, self.heard, self.said = b"", 0, 0
        self.since = self.worst = 0.0
        if is_socket:
            self.sock = asgi.open_websocket(server)
        else:
            self.sock = socket.create_connection(("127.0.0.1", server.port), 20)
            self.sock.sendall(EVENTS)
            while b"\r\n\r\n" not in self.rest:
                self.rest += self.sock.recv(4096)
            head, _, self.rest = self.rest.partition(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                bench.fail(f"{server.name} sends no events: {head!r}")
        self.sock.setblocking(False)

    def say(self, now):
        self.sock.send(asgi.MASKED)
        self.said, self.since = self.said + 1, now

    def hear(self, now):
        data = self.sock.recv(65536)
        if not data:
            bench.fail("the server closed a connection")
        self.rest += data
        if self.is_socket:
            got, left = divmod(len(self.rest), asgi.ECHOED)
            self.rest = self.rest[len(self.rest) - left:]
        else:
            # in chunks, whose sizes are lines of their own
            *whole, self.rest = self.rest.split(b"\n\n")
            got = len(whole)
            for event in whole:
                expected = b"data: %d" % self.heard
                if not event.endswith(expected):
                    bench.fail(f"{event!r} came where {expected!r} was to come")
                self.heard += 1
        if self.is_socket:
            self.heard += got
        if got:
            self.worst = max(self.worst, now - self.since)
            self.since = now

    def is_complete(self, passed):
        """An event may be on its way."""
        return (self.said - self.heard <= 1 if self.is_socket
                else self.heard >= passed * 0.9 - 2)


def idle_bytes(server, n):
    """Of a WebSocket that says nothing."""
    before = server.usage()[1]
    socks = [asgi.open_websocket(server) for _ in range(n)]
    time.sleep(1)
    each = (server.usage()[1] - before) / n
    for s in socks:
        s.close()
    time.sleep(1)
    return each


def talk(clients, poll, speakers, end):
    """Until then: each speaker says something once a second, in turn."""
    turn = 0
    while time.monotonic() < end:
        begun = time.monotonic()
        share = max(len(speakers) // 20, 1)
        for _ in range(min(share, len(speakers))):
            speakers[turn % len(speakers)].say(time.monotonic())
            turn += 1
        until = begun + share / max(len(speakers), 1)
        while True:
            left = until - time.monotonic()
            if left <= 0:
                break
            for fd, _ in poll.poll(left):
                clients[fd].hear(time.monotonic())


def open_all(server, n):
    poll, clients = select.epoll(), {}
    for is_socket in (False, True):
        for _ in range(n):
            client = Client(server, is_socket)
            client.since = time.monotonic()
            clients[client.sock.fileno()] = client
            poll.register(client.sock.fileno(), select.EPOLLIN)
    return poll, clients


def run(server, options):
    """What is wrong, as a list of texts."""
    n = options.connections
    print(f"{server.name}: {idle_bytes(server, n):.0f} bytes of memory for each of "
          f"{n} WebSockets that say nothing", flush=True)
    poll, clients = open_all(server, n)
    speakers = [c for c in clients.values() if c.is_socket]
    begun, sizes = time.monotonic(), []
    cpu = server.usage()[0]
    for part in range(10):
        talk(clients, poll, speakers, begun + options.seconds * (part + 1) / 10)
        sizes.append(server.usage()[1] // 1024)
        print(f"  {time.monotonic() - begun:5.0f} s  {sizes[-1]:8} KiB  "
              f"{sum(c.heard for c in clients.values() if not c.is_socket):9} events "
              f"{sum(c.heard for c in speakers):9} echoes", flush=True)
    passed = time.monotonic() - begun
    cpu = (server.usage()[0] - cpu) / passed
    lost = [c for c in clients.values() if not c.is_complete(passed)]
    worst = {kind: max(c.worst for c in clients.values() if c.is_socket == kind)
             for kind in (False, True)}
    grown = sizes[-1] - statistics.median(sizes[4:7])
    print(f"  {cpu * 100:.0f} % of a core; the longest wait for an event was "
          f"{worst[False]:.2f} s, for an echo {worst[True]:.2f} s; "
          f"{grown:+.0f} KiB in the second half")
    for c in clients.values():
        c.sock.close()
    return [text for text, bad in [
        (f"{len(lost)} clients have not got all", lost),
        (f"somebody waited for {max(worst.values()):.1f} s",
         max(worst[False] - 1, worst[True]) > options.late),
        (f"it grew by {grown:.0f} KiB", grown > options.most)] if bad]


def main():
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("-n", "--connections", type=int, default=1000, help="of each kind")
    p.add_argument("-s", "--seconds", type=int, default=30)
    p.add_argument("-p", "--servers", metavar="LIST", default="cgunicorn",
                   help="those whose names begin so: cgunicorn,uvicorn,granian")
    p.add_argument("--late", type=float, default=5)
    p.add_argument("--most", type=int, default=1024)
    p.add_argument("--python", metavar="PROGRAM",
                   default=os.environ.get("BENCH_PYTHON", sys.executable),
                   help="an interpreter that has the peers")
    options = p.parse_args()
    files = 3 * options.connections + 100
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, max(
        files, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
    os.sched_setaffinity(0, bench.CLIENT_CORE)
    wrong = []
    for name, command in asgi.commands(options, "ws").items():
        if name.startswith("cgunicorn"):
            command = [*command[:-1], "--worker-connections", str(files), command[-1]]
        with bench.Server(name, command, bench.Workload("")) as server:
            wrong += [f"{name}: {text}" for text in run(server, options)]
    if wrong:
        bench.fail("; ".join(wrong))


if __name__ == "__main__":
    main()
