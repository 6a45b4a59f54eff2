#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What ASGI costs, side by side: cgunicorn with asyncio and with uvloop, and
what of uvicorn, granian and gunicorn's class asgi BENCH_PYTHON has; nginx for
the greeting. One worker on core 0, the client on core 1, CPU time of the
server's process group, as bench.py does it.

All of them run the packages of BENCH_PYTHON: another version of Starlette or of
uvloop would be measured else, and no server. Where cgunicorn was built for
another Python than that, a line says so.
"""
import argparse
import functools
import os
import select
import shutil
import socket
import statistics
import subprocess
import sys
import time

import bench

WORKLOADS = {
    "hello": ("14 bytes", "app"),
    "starlette": ("a route of Starlette's", "starlette"),
    "fastapi": ("a route of FastAPI's", "fastapi"),
    "download": ("1 MB back, 16 connections", "app"),
    "upload": ("a POST of 100 MB", "app"),
    "ws": ("64 bytes there and back, 64 WebSockets", "app"),
}
NGINX = """\
daemon off; worker_processes 1; pid nginx.pid; error_log stderr;
events {{ worker_connections 1024; }}
http {{ access_log off; keepalive_requests 1000000000;
  client_body_temp_path .; proxy_temp_path .; fastcgi_temp_path .;
  uwsgi_temp_path .; scgi_temp_path .;
  server {{ listen 127.0.0.1:{port} backlog=1024;
    location / {{ return 200 "Hello, World!\\n"; }} }} }}
"""


def spec(name):
    return "asgi_apps:app" if name == "app" else f"asgi_apps:{name}()"


@functools.lru_cache(maxsize=None)
def has(python, module):
    return subprocess.run([python, "-c", f"import {module}"], cwd="/",
                          stderr=subprocess.DEVNULL).returncode == 0


@functools.lru_cache(maxsize=None)
def runs(*options):
    """Whether cgunicorn takes these options."""
    return subprocess.run(
        [*bench.binary(), *options, "--check-config", spec("app")],
        cwd=bench.HERE, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL).returncode == 0


@functools.lru_cache(maxsize=None)
def same_packages(python):
    """The options with which cgunicorn has the packages of that interpreter."""
    environment = os.path.dirname(os.path.dirname(
        os.path.abspath(shutil.which(python) or python)))
    if runs("-k", "asgi", "--python", environment):
        return ("--python", environment)
    print(f"{environment} is no virtual environment that cgunicorn can use: what "
          "frameworks cost may differ by their versions")
    return ()


def ours(python, name):
    found = {}
    for loop in ("asyncio", "uvloop"):
        options = ("-w", "1", "-k", "asgi", "--asgi-loop", loop,
                   *same_packages(python))
        if runs(*options):
            found[f"cgunicorn {loop}"] = [
                *bench.binary(), *options, "-b", "127.0.0.1:{port}",
                spec(name)]
    return found


def peers(python, name):
    found, factory = {}, [] if name == "app" else ["--factory"]
    target = f"asgi_apps:{name}"
    if has(python, "uvicorn, uvloop, httptools"):
        found["uvicorn"] = [
            python, "-m", "uvicorn", "--port", "{port}", "--no-access-log",
            "--log-level", "error", "--loop", "uvloop", "--http", "httptools",
            *factory, target]
    if has(python, "granian"):
        found["granian"] = [
            python, "-m", "granian", "--interface", "asgi", "--workers", "1",
            "--port", "{port}", "--log-level", "error", *factory, target]
    if has(python, "gunicorn.workers.gasgi"):
        found["gunicorn asgi"] = [
            python, "-m", "gunicorn", "-w", "1", "-k", "asgi", "-b",
            "127.0.0.1:{port}", "--log-level", "error", spec(name)]
    return found


def nginx():
    if not shutil.which("nginx"):
        return {}
    script = (f"cat > nginx.conf <<'END'\n{NGINX.format(port='{port}')}END\n"
              'exec nginx -p "$PWD" -c "$PWD/nginx.conf"')
    return {"nginx": ["sh", "-c", script]}


# ---- loads: each returns how many units of work were done ----


def load_wrk(server, seconds, path="/", connections=64):
    work = bench.Workload("", path, connections)
    return int(bench.found(r"(\d+) requests in",
                           bench.wrk(server, work, seconds)))


def load_upload(server, seconds):
    size, block = 100 << 20, b"x" * (1 << 20)
    with socket.create_connection(("127.0.0.1", server.port), 60) as s:
        s.sendall(b"POST /upload HTTP/1.1\r\nHost: bench\r\n"
                  b"Content-Length: %d\r\nConnection: close\r\n\r\n" % size)
        for _ in range(100):
            s.sendall(block)
        answer = b""
        while True:
            more = s.recv(65536)
            if not more:
                break
            answer += more
    if not answer.endswith(b"104857600"):
        bench.fail(f"{server.name} answered an upload with {answer[-200:]!r}")
    return 1


KEY = (b"GET /ws HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\n"
       b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
       b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
MASKED = b"\x82\xc0" + bytes(4) + b"y" * 64  # a mask of zeros masks nothing
ECHOED = 2 + 64


def open_websocket(server):
    s = socket.create_connection(("127.0.0.1", server.port), 20)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    s.sendall(KEY)
    head = b""
    while b"\r\n\r\n" not in head:
        head += s.recv(4096)
    if not head.startswith(b"HTTP/1.1 101"):
        bench.fail(f"{server.name} accepts no WebSocket: {head!r}")
    return s


def load_ws(server, seconds, connections=64):
    socks = {s.fileno(): s for s in (open_websocket(server)
                                     for _ in range(connections))}
    poll, count, end = select.epoll(), 0, time.monotonic() + seconds
    for fd, s in socks.items():
        poll.register(fd, select.EPOLLIN)
        s.send(MASKED)
    while time.monotonic() < end:
        for fd, _ in poll.poll(1):
            if len(socks[fd].recv(4096)) != ECHOED:
                bench.fail(f"{server.name} echoes something else")
            socks[fd].send(MASKED)
            count += 1
    for s in socks.values():
        s.close()
    return count


LOADS = {
    "download": lambda server, seconds: load_wrk(server, seconds, "/big", 16),
    "upload": load_upload,
    "ws": load_ws,
}


def measure(name, command, workload, seconds):
    load = LOADS.get(workload, load_wrk)
    with bench.Server(name, command, bench.Workload("")) as server:
        load(server, 1)  # warm
        before, _ = server.usage()
        begun = time.monotonic()
        count = load(server, seconds)
        took = time.monotonic() - begun
        after, resident = server.usage()
    if count == 0:
        bench.fail(f"{name} answered nothing")
    return {"us": (after - before) * 1e6 / count, "rate": count / took,
            "mib": resident / (1 << 20)}


def show(workload, results, rounds):
    print(f"\n{workload}: {WORKLOADS[workload][0]} (medians of {rounds})")
    print(f"  {'':20}{'CPU us each':>14}{'ratio':>8}{'each/s':>11}"
          f"{'RSS MiB':>9}")
    first = None
    for server, runs in results.items():
        us, rate, mib = (statistics.median(r[k] for r in runs)
                         for k in ("us", "rate", "mib"))
        first = first or us
        print(f"  {server:20}{us:14.2f}{us / first:8.2f}{rate:11.0f}{mib:9.1f}",
              flush=True)


def commands(options, workload):
    app = WORKLOADS[workload][1]
    found = {**ours(options.python, app), **peers(options.python, app)}
    if workload == "hello":
        found.update(nginx())
    chosen = options.servers and options.servers.split(",")
    return {name: command for name, command in found.items()
            if not chosen or any(name.startswith(c) for c in chosen)}


def main():
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("-w", "--workloads", default=",".join(WORKLOADS),
                   metavar="LIST", help="of: " + ", ".join(WORKLOADS))
    p.add_argument("-p", "--servers", metavar="LIST",
                   help="only those whose names begin so: cgunicorn,granian")
    p.add_argument("-r", "--rounds", type=int, default=3)
    p.add_argument("-s", "--seconds", type=int, default=3)
    p.add_argument("--python", metavar="PROGRAM",
                   default=os.environ.get("BENCH_PYTHON", sys.executable),
                   help="an interpreter that has the peers")
    options = p.parse_args()
    if not shutil.which("wrk"):
        bench.fail("wrk is missing: tools/setup bench installs it")
    os.sched_setaffinity(0, bench.CLIENT_CORE)
    for workload in options.workloads.split(","):
        if workload not in WORKLOADS:
            bench.fail(f"no workload '{workload}'; there are "
                       + ", ".join(WORKLOADS))
        results = {}
        for _ in range(options.rounds):
            for name, command in commands(options, workload).items():
                results.setdefault(name, []).append(
                    measure(name, command, workload, options.seconds))
        show(workload, results, options.rounds)


if __name__ == "__main__":
    main()
