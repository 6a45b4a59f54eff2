#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What an idle connection costs a worker, over TLS and over HTTP/2 on TLS: KiB of
the worker's memory (PSS) per connection that has asked once. What the kernel
holds for the sockets is not in it."""
import argparse
import os
import resource
import socket
import ssl
import sys

from bench import Server, Workload, binary
from idle import memory
from secure import Kind

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../blackbox"))
from harness import h2wire  # noqa: E402


def workers(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
        return [int(p) for p in f.read().split()]


def connect(server, context):
    plain = socket.create_connection(("127.0.0.1", server.port), 30)
    return context.wrap_socket(plain, server_hostname="localhost")


def asked_once(server, context, h2):
    sock = connect(server, context)
    if h2:
        c = h2wire.Client(sock, timeout=30)
        c.body(c.request("/"))
        return c
    sock.sendall(b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n")
    while not sock.recv(65536).endswith(b"\n"):
        pass
    return sock


def measure(n, h2):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"] if h2 else ["http/1.1"])
    command = [*binary(), "-w", "1", "--keep-alive", "600", "--worker-connections", str(n + 100),
               "--bind", "127.0.0.1:{port}", "{args}", "apps:app"]
    with Server("cgunicorn", command, Workload("", kind=Kind(True, True))) as server:
        first = [asked_once(server, context, h2) for _ in range(50)]  # what is made once
        pids = [p for p in workers(server.process.pid)]
        before = sum(memory(p, "Pss") for p in pids)
        held = [asked_once(server, context, h2) for _ in range(n)]
        after = sum(memory(p, "Pss") for p in pids)
        for c in first + held:
            c.close()
    print("idle over %s: %d connections, %.1f KiB each" % (
        "HTTP/2" if h2 else "TLS", n, (after - before) / n), flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("-n", "--tls", type=int, default=10000)
    p.add_argument("-m", "--http2", type=int, default=1000)
    options = p.parse_args()
    most = max(options.tls, options.http2) + 1000
    hard = max(most, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    if options.tls:
        measure(options.tls, False)
    if options.http2:
        measure(options.http2, True)


if __name__ == "__main__":
    main()
