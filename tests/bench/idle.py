#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a server costs while nothing happens: a worker's memory beside that of
the interpreter that only imports the same application, an idle keep-alive
connection's memory, and how often the processes wake up.
"""
import argparse
import os
import resource
import socket
import subprocess
import time

from bench import Server, Workload, binary, python_path

ASK = b"GET %s HTTP/1.1\r\nHost: bench\r\n\r\n"
BARE = "import %s, time; print('there', flush=True); time.sleep(60)"


def connect(port, path=b"/"):
    s = socket.create_connection(("127.0.0.1", port), 10)
    s.sendall(ASK % path)
    return s, s.recv(65536).partition(b"\r\n\r\n")[2]


def memory(pid, what="Rss"):
    """KiB."""
    with open(f"/proc/{pid}/smaps_rollup") as f:
        return next(int(line.split()[1]) for line in f if line.startswith(what + ":"))


def bare(python, modules):
    """KiB of an interpreter that imports them and does no more."""
    with subprocess.Popen([python, "-c", BARE % modules], stdout=subprocess.PIPE,
                          env={**os.environ, "PYTHONPATH": python_path()}) as p:
        p.stdout.readline()
        kib = memory(p.pid)
        p.kill()
    return kib


def wake_ups(pid):
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/status") as f:
            total += sum(int(line.split()[1]) for line in f
                         if line.startswith("voluntary_ctxt_switches"))
    return total


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("-n", "--connections", type=int, default=10000)
    p.add_argument("-s", "--seconds", type=int, default=10, help="of watching wake-ups")
    options = p.parse_args()
    files = options.connections + 1000
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, max(
        files, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
    command = [*binary(), "-w", "1", "--worker-connections", str(files),
               "--bind", "127.0.0.1:{port}", "apps:app"]
    with Server("cgunicorn", command, Workload("idle")) as server:
        python = connect(server.port, b"/python")[1].decode()
        worker = int(connect(server.port, b"/pid")[1])
        time.sleep(1)
        now = memory(worker)
        print("resident memory, KiB")
        print(f"  a worker                                {now:8}")
        for modules in ("apps", "apps, logging"):
            than = bare(python, modules)
            print(f"  above an interpreter with {modules:14}{now - than:8}  ({than})")
        processes = {"worker": worker, "master": server.process.pid}
        before = {name: wake_ups(pid) for name, pid in processes.items()}
        time.sleep(options.seconds)
        print("wake-ups per second")
        for name, pid in processes.items():
            print(f"  {name:38}{(wake_ups(pid) - before[name]) / options.seconds:10.1f}")
        before = memory(worker, "Pss")
        peers = [connect(server.port)[0] for _ in range(options.connections)]
        each = (memory(worker, "Pss") - before) * 1024 / len(peers)
        print(f"bytes of an idle connection, of {len(peers)}      {each:8.0f}")
        for peer in peers:
            peer.close()


if __name__ == "__main__":
    main()
