#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a call of a dirty worker costs: an echo from a thread of a web worker to
the dirty arbiter, the dirty worker and back, one call after another. CPU time of
all these processes, and of nothing else: the calls run inside one request.

    tests/bench/dirty.py ./cgunicorn [/path/to/gunicorn ...]

All of a server's processes are on one core (--core). Servers take turns, and the
cheapest round of each counts: the others had neighbours.
"""
import argparse
import os
import pathlib
import socket
import subprocess
import tempfile
import time
import urllib.request

FILES = {"model.py": """\
from gunicorn.dirty import DirtyApp

class Echo(DirtyApp):
    def echo(self, x):
        return x
""", "shop.py": """\
from gunicorn.dirty import get_dirty_client

def app(environ, start_response):
    client = get_dirty_client()
    for _ in range(int(environ["QUERY_STRING"])):
        assert client.execute("model:Echo", "echo", "hello") == "hello"
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def children(pid):
    """It and all that it has started."""
    found = [pid]
    for task in os.listdir(f"/proc/{pid}/task"):
        text = pathlib.Path(f"/proc/{pid}/task/{task}/children").read_text()
        for child in text.split():
            found += children(int(child))
    return found


def cpu_us(pid):
    total = 0
    for process in children(pid):
        for task in os.listdir(f"/proc/{process}/task"):
            text = pathlib.Path(f"/proc/{process}/task/{task}/schedstat").read_text()
            total += int(text.split()[0])
    return total / 1000


class Server:
    def __init__(self, program, core, folder):
        self.program = program
        self.port = free_port()
        self.process = subprocess.Popen(
            ["taskset", "-c", str(core), program, "-b", f"127.0.0.1:{self.port}",
             "--timeout", "300", "--dirty-app", "model:Echo", "--dirty-workers", "1", "shop:app"],
            cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def get(self, calls):
        url = f"http://127.0.0.1:{self.port}/?{calls}"
        return urllib.request.urlopen(url, timeout=300).read()

    def wait(self):
        until = time.monotonic() + 30
        while True:
            try:
                return self.get(100)
            except OSError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)

    def round(self, calls):
        before, began = cpu_us(self.process.pid), time.monotonic()
        self.get(calls)
        return ((cpu_us(self.process.pid) - before) / calls,
                calls / (time.monotonic() - began))


def main():
    p = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    p.add_argument("programs", nargs="+")
    p.add_argument("--core", type=int, default=1)
    p.add_argument("--calls", type=int, default=3000, help="in a round")
    p.add_argument("--rounds", type=int, default=10)
    o = p.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name, text in FILES.items():
            (pathlib.Path(folder) / name).write_text(text)
        servers = [Server(os.path.abspath(program), o.core, folder) for program in o.programs]
        try:
            for s in servers:
                s.wait()
            rounds = [[s.round(o.calls) for s in servers] for _ in range(o.rounds)]
        finally:
            for s in servers:
                s.process.terminate()
                s.process.wait()
    for s, seen in zip(servers, zip(*rounds)):
        costs = sorted(cost for cost, _ in seen)
        print("%s: %.0f us of CPU a call (median %.0f, worst %.0f), which is %.0f a second of "
              "one core; %.0f a second were seen" % (
                  s.program, costs[0], costs[len(costs) // 2], costs[-1], 1e6 / costs[0],
                  max(rate for _, rate in seen)))


if __name__ == "__main__":
    main()
