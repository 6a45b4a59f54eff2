#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a request costs, side by side: cgunicorn and, where there is one,
gunicorn. One worker on core 0, wrk on core 1.

The servers take turns within each round, so that a machine that drifts drifts
for all of them: read the ratios. The number to compare is CPU time per request
of the server's process group, since wrk is often busy before the server is.

environment: CGUNICORN the binary, BENCH_PYTHON an interpreter with gunicorn,
BENCH_FLOOR a program that is called with a port and answers GET / and GET /real
on it (the least a request can cost).
"""
import argparse
import glob
import os
import re
import shlex
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import secure
import static

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SERVER_CORE, CLIENT_CORE = {0}, {1}
BROWSER = [
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 "
    "(KHTML, like Gecko) Chrome/126.0 Safari/537.36",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language: en-GB,en;q=0.9,de;q=0.8",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Cookie: sessionid=abcdefghijklmnopqrstuvwxyz; "
    "csrftoken=abcdefghijklmnopqrstuvwxyz0123456789; theme=dark",
    "Referer: https://example.org/some/path?with=query",
    "Upgrade-Insecure-Requests: 1",
    "Sec-Fetch-Dest: document",
    "Sec-Fetch-Mode: navigate",
    "Sec-Fetch-Site: same-origin",
    "X-Forwarded-For: 203.0.113.7",
    "X-Request-Id: 6f1c5c8e-7d0e-4a35-9d4e-1234567890ab",
    "Cache-Control: max-age=0",
]  # and Host


class Workload:
    def __init__(self, what, path="/", connections=64, fields=(), script=None,
                 args=(), floor=True, kind=None, streams=0, ask=None):
        self.what, self.path, self.connections = what, path, connections
        self.floor = floor and kind is None  # whether the floor program can do it
        self.kind = kind  # of secure.py; None: plain HTTP/1
        self.streams = streams  # of HTTP/2, of each connection
        self.ask = ask  # who asks; None: wrk
        self.wrk = [f"-c{connections}"]
        for field in fields:
            self.wrk += ["-H", field]
        if script:
            self.wrk += ["-s", os.path.join(HERE, script)]
        self.args = list(args)  # of gunicorn and cgunicorn


WORKLOADS = {
    "hello": Workload("14 bytes, keep-alive"),
    "real": Workload("14 header fields, 10 KB back with 10 fields",
                     "/real?page=2&q=abc", fields=BROWSER),
    "close": Workload("14 bytes, a connection each",
                      fields=["Connection: close"], floor=False),
    "post64k": Workload("POST of 64 KB", "/post", script="post64k.lua",
                        floor=False),
    "big": Workload("1 MB back", "/big", connections=16, floor=False),
    "stream": Workload("64 x 1 KB from a generator", "/stream", floor=False),
    "log": Workload("14 bytes, access log to a file", floor=False,
                    args=["--access-logfile", "access.log"]),
    "conns1000": Workload("14 bytes, keep-alive", connections=1000),
    "sleep": Workload("an application that sleeps for 10 ms", "/sleep",
                      floor=False),
    "tls": Workload("14 bytes, keep-alive, TLS 1.3", kind=secure.Kind(True, False)),
    "tlsreal": Workload("14 header fields, TLS 1.3", "/real?page=2&q=abc", fields=BROWSER,
                        kind=secure.Kind(True, False)),
    "tls1m": Workload("1 MB back, TLS 1.3", "/big", connections=16, kind=secure.Kind(True, False)),
    "handshake": Workload("a new TLS connection and a request", connections=1,
                          kind=secure.Kind(True, False), ask=secure.handshakes),
    "h2": Workload("14 bytes, HTTP/2 over TLS, 32 streams each", connections=16, streams=32,
                   kind=secure.Kind(True, True), ask=secure.h2load),
    "h2c": Workload("14 bytes, HTTP/2 in clear text, 32 streams each", connections=16, streams=32,
                    kind=secure.Kind(False, True), ask=secure.h2load),
    **{name: Workload(what, path, connections, fields, floor=False)
       for name, (what, path, connections, fields) in static.ROWS.items()},
}
SECURE = [name for name, w in WORKLOADS.items() if w.kind]


def fail(text):
    sys.exit(f"bench: {text}")


# ---- servers ----


def binary():
    return shlex.split(os.environ.get("CGUNICORN",
                                      os.path.join(ROOT, "cgunicorn")))


def gunicorn_python():
    """An interpreter that has gunicorn: named, of the test matrix, or any."""
    named = os.environ.get("BENCH_PYTHON")
    found = [named] if named else (
        sorted(glob.glob(os.path.join(ROOT, ".venv-*/bin/python")))
        + ["/usr/bin/python3", "python3"])
    for python in found:
        if shutil.which(python) and subprocess.run(
                [python, "-c", "import gunicorn"], cwd="/",
                stderr=subprocess.DEVNULL).returncode == 0:
            return python
    return None


def served(command, kind):
    threads = ["--threads", "4"] if kind == "gthread" else []
    return [*command, "-w", "1", "-k", kind, *threads,
            "--bind", "127.0.0.1:{port}", "{args}", "apps:app"]


def servers(options):
    """{name: command}, in which {port} and {args} are put later."""
    found = {}
    for kind in options.worker_class.split(","):
        found[f"cgunicorn {kind}"] = served(binary(), kind)
    python = gunicorn_python()
    if python:
        for kind in options.worker_class.split(","):
            found[f"gunicorn {kind}"] = served([python, "-m", "gunicorn"],
                                               kind)
    else:
        print("gunicorn is not installed where this looks (BENCH_PYTHON names "
              "an interpreter that has it): measured without it")
    if options.floor:
        found["floor"] = [options.floor, "{port}"]
    for text in options.peer:
        name, _, command = text.partition("=")
        found[name] = shlex.split(command)
    chosen = options.servers and options.servers.split(",")
    return {name: command for name, command in found.items()
            if not chosen or any(name.startswith(c) for c in chosen)}


def of_workload(commands, workload):
    """Who takes part: for TLS and HTTP/2 nginx and its like, too; gunicorn, which
    would want arguments of its own, not."""
    if workload.kind is None:
        return commands
    chosen = {name: c for name, c in commands.items() if name.startswith("cgunicorn")}
    return {**chosen, **secure.peers(workload.kind, os.environ.get("BENCH_PYTHON"))}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def python_path():
    """Ours first; a floor program may need more, which the caller names."""
    more = os.environ.get("PYTHONPATH")
    return HERE + (os.pathsep + more if more else "")


class Server:
    """A server in a process group of its own; all of it is gone afterwards."""

    def __init__(self, name, command, workload, cores=SERVER_CORE):
        self.name = name
        self.cores = cores
        self.kind = workload.kind
        self.port = free_port()
        self.folder = tempfile.mkdtemp(prefix="bench-")
        self.argv = []
        for word in command:
            if word == "{args}":
                self.argv += workload.args
                self.argv += secure.cgunicorn_args(workload.kind) if workload.kind else []
            else:
                self.argv.append(word.replace("{port}", str(self.port)))

    def __enter__(self):
        with open(os.path.join(self.folder, "log"), "wb") as log:
            self.process = subprocess.Popen(
                self.argv, cwd=self.folder, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True,
                env={**os.environ, "PYTHONPATH": python_path()},
                preexec_fn=lambda: os.sched_setaffinity(0, self.cores))
        try:
            self._wait_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _wait_ready(self):
        end = time.monotonic() + 20
        while time.monotonic() < end and self.process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1) as s:
                    if self.kind:
                        return  # what is not there yet fails its warming up
                    s.sendall(b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n")
                    if s.recv(12) == b"HTTP/1.1 200":
                        return
            except OSError:
                time.sleep(0.05)
        with open(os.path.join(self.folder, "log"), errors="replace") as f:
            fail(f"{self.name} does not answer: {shlex.join(self.argv)}\n"
                 + f.read()[-2000:])

    def __exit__(self, *exc):
        for sig in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, sig)
            except ProcessLookupError:
                break
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                continue
        shutil.rmtree(self.folder, ignore_errors=True)

    def usage(self):
        """(CPU seconds, resident bytes) of the process group."""
        ticks = pages = 0
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{name}/stat", "rb") as f:
                    fields = f.read().rsplit(b")", 1)[1].split()
            except OSError:
                continue
            if int(fields[2]) == self.process.pid:
                ticks += int(fields[11]) + int(fields[12])
                pages += int(fields[21])
        return (ticks / os.sysconf("SC_CLK_TCK"),
                pages * os.sysconf("SC_PAGE_SIZE"))


# ---- measuring ----


def wrk(server, workload, seconds):
    scheme = "https" if workload.kind else "http"
    done = subprocess.run(
        ["wrk", "-t1", f"-d{seconds}s", "--latency", *workload.wrk,
         f"{scheme}://127.0.0.1:{server.port}{workload.path}"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, CLIENT_CORE))
    if done.returncode != 0:
        fail("wrk: " + done.stdout.strip())
    return done.stdout


def found(pattern, text, default="0"):
    match = re.search(pattern, text)
    return match[1] if match else default


def ask(server, workload, seconds):
    """(requests, requests/s, p99, what went wrong)"""
    if workload.ask:
        return workload.ask(server, workload, seconds, CLIENT_CORE)
    out = wrk(server, workload, seconds)
    wrong = [f for f in (found(r"Socket errors: (.*)", out, ""),
                         found(r"(Non-2xx.*)", out, "")) if f]
    return (int(found(r"(\d+) requests in", out)), float(found(r"Requests/sec:\s+([\d.]+)", out)),
            found(r"99%\s+(\S+)", out, "?"), "; ".join(wrong))


def measure(name, command, workload, seconds):
    with Server(name, command, workload) as server:
        ask(server, workload, 1)  # warm
        before, _ = server.usage()
        count, rate, p99, wrong = ask(server, workload, seconds)
        after, resident = server.usage()
    if count == 0:
        return None
    return {"rate": rate, "us": (after - before) * 1e6 / count,
            "mib": resident / (1 << 20), "p99": p99, "wrong": wrong}


def show(name, workload, results, rounds, seconds):
    print(f"\n{name}: {workload.what}, {workload.connections} connections "
          f"(medians of {rounds} x {seconds} s)")
    print(f"  {'':20}{'requests/s':>12}{'CPU us/request':>16}{'ratio':>8}"
          f"{'RSS MiB':>9}{'p99':>10}")
    first = None
    for server, runs in results.items():
        if None in runs:
            print(f"  {server:20}{'no answer':>12}")
            continue
        rate, us, mib = (statistics.median(r[k] for r in runs)
                         for k in ("rate", "us", "mib"))
        first = first or us
        print(f"  {server:20}{rate:12.0f}{us:16.2f}{us / first:8.2f}"
              f"{mib:9.1f}{runs[-1]['p99']:>10}", flush=True)
        for run in runs:
            if run["wrong"]:
                print(f"  {'':20}{run['wrong']}")


def arguments():
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("-w", "--workloads",
                   default=",".join(n for n in WORKLOADS if n not in SECURE),
                   metavar="LIST", help="of: " + ", ".join(WORKLOADS))
    p.add_argument("-k", "--worker-class", default="sync", metavar="LIST",
                   help="sync,gthread,...; gthread has 4 threads")
    p.add_argument("-p", "--servers", metavar="LIST",
                   help="only those whose names begin so: cgunicorn,floor")
    p.add_argument("-r", "--rounds", type=int, default=3)
    p.add_argument("-s", "--seconds", type=int, default=3)
    p.add_argument("--floor", default=os.environ.get("BENCH_FLOOR"),
                   metavar="PROGRAM")
    p.add_argument("--peer", action="append", default=[],
                   metavar="NAME=COMMAND",
                   help="another server; {port} stands for its port")
    options = p.parse_args()
    for name in options.workloads.split(","):
        if name not in WORKLOADS:
            fail(f"no workload '{name}'; there are " + ", ".join(WORKLOADS))
    return options


def main():
    options = arguments()
    if not shutil.which("wrk"):
        fail("wrk is missing: tools/setup bench installs it")
    if not os.sched_getaffinity(0) >= SERVER_CORE | CLIENT_CORE:
        fail("this needs two cores, one for the server and one for wrk")
    dynamic = servers(options)
    with tempfile.TemporaryDirectory(prefix="bench-files-") as folder:
        static.make_files(folder)
        files = static.servers(folder, dynamic, gunicorn_python())
        run(options, dynamic, files)


def run(options, dynamic, files):
    for name in options.workloads.split(","):
        workload, results = WORKLOADS[name], {}
        commands = files if name in static.ROWS else dynamic
        for _ in range(options.rounds):
            for server, command in of_workload(commands, workload).items():
                if server == "floor" and not workload.floor:
                    continue
                results.setdefault(server, []).append(
                    measure(server, command, workload, options.seconds))
        show(name, workload, results, options.rounds, options.seconds)


if __name__ == "__main__":
    main()
