#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How long others wait beside clients that send the first half of a head.

Thousands of these come and stay; meanwhile kept connections ask, each as soon
as it has its answer, and new ones come. Prints percentiles per class, and how
many kept connections were closed. Nothing is asserted.
"""
import argparse
import os
import resource
import shlex
import socket
import subprocess
import sys
import tempfile
import threading
import time

HALF = b"GET / HTTP/1.1\r\nHost: a\r\nX-Half: "
WHOLE = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
CLASSES = {"sync": [], "gthread": ["--threads", "4"], "gevent": ["-k", "gevent"]}
APP = """\
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""


def binary():
    return shlex.split(os.environ.get("CGUNICORN", "./cgunicorn"))


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


def connect(port, seconds=10):
    end = time.monotonic() + seconds
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), seconds)
        except ConnectionRefusedError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def ask(peer):
    """Seconds until the answer; None: it was closed."""
    start = time.monotonic()
    try:
        peer.sendall(WHOLE)
        data = b""
        while not data.endswith(b"ok"):
            part = peer.recv(4096)
            if not part:
                return None
            data += part
    except ConnectionError:
        return None
    return time.monotonic() - start


def flood(port, count, made):
    for _ in range(count):
        peer = socket.socket()
        peer.setblocking(True)
        peer.connect(("127.0.0.1", port))
        peer.sendall(HALF)
        made.append(peer)


def probe(port, kept, until, waits):
    """Kept connections in turn, and a new one after each round."""
    closed = 0
    while not until():
        for i, peer in enumerate(kept):
            seconds = ask(peer)
            if seconds is None:
                closed += 1
                kept[i] = connect(port)
            else:
                waits.append(seconds)
        with connect(port) as new:
            seconds = ask(new)
            waits.extend([] if seconds is None else [seconds])
    return closed


def measure(name, args, options):
    port, waits, made = free_port(), [], []
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "hello.py"), "w") as f:
            f.write(APP)
        server = subprocess.Popen(
            [os.path.abspath(binary()[0]), *binary()[1:], "-b",
             f"127.0.0.1:{port}", *args, "hello:app"],
            cwd=folder, stderr=subprocess.DEVNULL)
        try:
            kept = [connect(port) for _ in range(options.kept)]
            for peer in kept:
                ask(peer)
            thread = threading.Thread(target=flood, daemon=True,
                                      args=(port, options.count, made))
            thread.start()
            end = time.monotonic() + options.seconds
            closed = probe(port, kept,
                           lambda: time.monotonic() > end, waits)
        finally:
            server.terminate()
            server.wait()
    for peer in made + kept:
        peer.close()
    waits.sort()
    at = [waits[int(len(waits) * q)] * 1000 for q in (0.5, 0.99)]
    print(f"{name:8} {len(made):6} half heads, {len(waits):6} answers: "
          f"p50 {at[0]:.2f} ms, p99 {at[1]:.2f} ms, max {waits[-1] * 1000:.0f} "
          f"ms; {closed} of {options.kept} kept connections closed", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("-n", dest="count", type=int, default=9000)
    parser.add_argument("-k", dest="classes", default=",".join(CLASSES))
    parser.add_argument("--kept", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=8)
    options = parser.parse_args()
    files = options.count + 1000
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < files:
        sys.exit(f"needs {files} descriptors, {hard} are allowed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    for name in options.classes.split(","):
        measure(name, CLASSES[name], options)


main()
