#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The table of docs/guides/choosing.md: what classes, workers and threads do for
a view that computes for 5 ms, one that waits for 50 ms, and a mix of both (5 ms of
computing, and one request of five waits as well).

32 clients ask without a pause (wrk) and share the machine's CPUs with the server.
The ways take turns within a round. Requests per second are told as multiples of
those of the first way, since machines differ more than ways do.
"""
import argparse
import os
import shutil
import socket
import statistics
import subprocess

from bench import Server, Workload, binary, fail, found
from idle import memory

CLIENTS = 32
WAYS = {  # what is written in the table: (arguments, application)
    "`sync`, 2 workers": (["-w", "2", "-k", "sync"], "app"),
    "`sync`, 8 workers": (["-w", "8", "-k", "sync"], "app"),
    "`gthread`, 2 × 4 threads": (["-w", "2", "--threads", "4"], "app"),
    "`gthread`, 2 × 16 threads": (["-w", "2", "--threads", "16"], "app"),
    "`gevent`, 2 workers": (["-w", "2", "-k", "gevent"], "app"),
    "`asgi`, 2 workers": (["-w", "2", "-k", "asgi"], "view"),
}
VIEWS = {"compute": "computes for 5 ms", "wait": "waits for 50 ms", "mix": "a mix"}


def milliseconds(text):
    number = float(text.rstrip("mus"))
    return number * {"us": 0.001, "ms": 1, "s": 1000}[text.lstrip("0123456789.")]


def load(port, view, seconds):
    """Requests per second, and milliseconds of the half and of 99 of 100."""
    out = subprocess.run(
        ["wrk", "-t1", f"-c{CLIENTS}", f"-d{seconds}s", "--latency",
         f"http://127.0.0.1:{port}/{view}"], capture_output=True, text=True, check=True).stdout
    wrong = found(r"(Socket errors: .*|Non-2xx.*)", out, "")
    if wrong:
        fail(wrong)
    return (float(found(r"Requests/sec:\s+([\d.]+)", out)),
            milliseconds(found(r"\n\s+50%\s+(\S+)", out)), milliseconds(found(r"\n\s+99%\s+(\S+)", out)))


def worker_of(port):
    with socket.create_connection(("127.0.0.1", port), 10) as s:
        s.sendall(b"GET /pid HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
        return int(s.makefile("rb").read().rpartition(b"\r\n")[2])


def group(leader):
    """The processes of a server: it leads a process group."""
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.getpgid(int(name)) == leader:
                yield int(name)
        except ProcessLookupError:
            pass


def measure(way, seconds):
    """{view: (requests/s, p50, p99)}, MiB of a worker, MiB of all processes."""
    args, app = WAYS[way]
    command = [*binary(), *args, "--bind", "127.0.0.1:{port}", f"choosing_apps:{app}"]
    with Server(way, command, Workload(way), cores=range(os.cpu_count())) as server:
        load(server.port, "compute", 1)
        views = {view: load(server.port, view, seconds) for view in VIEWS}
        worker = memory(worker_of(server.port)) / 1024
        total = sum(memory(pid, "Pss") for pid in group(server.process.pid)) / 1024
    return views, worker, total


def show(rounds):
    """The table as the guide has it; the first way is what others are compared with."""
    def middle(way, view, k):
        return statistics.median(r[way][0][view][k] for r in rounds)
    first = next(iter(WAYS))
    print("| | " + " | ".join(VIEWS.values()) + " | a worker | all |\n|---" + "|---" * 5 + "|")
    for way in WAYS:
        cells = [f"{middle(way, view, 0) / middle(first, view, 0):.1f} ×, "
                 f"{middle(way, view, 1):.0f} and {middle(way, view, 2):.0f} ms" for view in VIEWS]
        cells += [f"{statistics.median(r[way][k] for r in rounds):.0f} MiB" for k in (1, 2)]
        print(f"| {way} | " + " | ".join(cells) + " |")


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("-r", "--rounds", type=int, default=2)
    p.add_argument("-s", "--seconds", type=int, default=3, help="of each view")
    options = p.parse_args()
    if not shutil.which("wrk"):
        fail("wrk is missing: tools/setup bench installs it")
    show([{way: measure(way, options.seconds) for way in WAYS} for _ in range(options.rounds)])


if __name__ == "__main__":
    main()
