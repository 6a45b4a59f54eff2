#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How soon operators get an answer, and what it costs the master.

`cgunicorn status --json`, from its start to its end, while nothing happens, while
all workers are blocked, and while the master boots as many more, whose application
computes for half a second before it is loaded; and GET /metrics, a connection each: the master's CPU time for it.
"""
import argparse
import http.client
import os
import socket
import statistics
import subprocess
import time

from bench import Server, Workload, binary, free_port

BOOTS = b'"state":"booting"'
SLOW = """\
import apps, os, time
end = time.thread_time() + 0.5 * os.path.exists("slow")
while time.thread_time() < end:
    pass
app = apps.app
"""


def status(server):
    """(milliseconds, what it says)"""
    start = time.perf_counter()
    done = subprocess.run([*binary(), "status", "--json", "--pid", str(server.process.pid)],
                          stdout=subprocess.PIPE, check=False)
    return 1000 * (time.perf_counter() - start), done.stdout


def show(name, times):
    times = sorted(times)
    print(f"  {name:38}{statistics.median(times):8.1f}{times[len(times) * 9 // 10]:8.1f}"
          f"{times[-1]:8.1f}   ({len(times)})", flush=True)


def idle(server, count):
    show("nothing happens", [status(server)[0] for _ in range(count)])


def blocked(server, count, workers):
    peers = []
    while b'"state":"idle"' in status(server)[1].replace(b" ", b"") and len(peers) < 4 * workers:
        peers.append(socket.create_connection(("127.0.0.1", server.port)))
        peers[-1].sendall(b"GET /sleep?60 HTTP/1.1\r\nHost: bench\r\n\r\n")
        time.sleep(0.2)
    show(f"all workers blocked, {len(peers)} requests", [status(server)[0] for _ in range(count)])
    for peer in peers:
        peer.close()


def booting(server, count, workers):
    open(os.path.join(server.folder, "slow"), "w").close()
    subprocess.run([*binary(), "scale", str(workers), "--pid", str(server.process.pid)],
                   stdout=subprocess.DEVNULL, check=True)
    times, text = [], BOOTS
    while BOOTS in text.replace(b" ", b"") and len(times) < count:
        ms, text = status(server)
        times.append(ms)
    show(f"{workers} workers, half of them booting", times)


def cpu_ms(pid):
    """Of a process, to the microsecond (proc(5), schedstat)."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat") as f:
            total += int(f.read().split()[0])
    return total / 1e6


def scrape(server, port, count, path):
    before, size = cpu_ms(server.process.pid), 0
    for _ in range(count):
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        c.request("GET", path)
        size = len(c.getresponse().read())
        c.close()
    each = (cpu_ms(server.process.pid) - before) / count
    print(f"  {path:38}{each:8.3f} ms, {size} bytes   ({count})", flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("-w", "--workers", type=int, default=4)
    p.add_argument("-n", "--count", type=int, default=40, help="of status; ten times as many scrapes")
    options = p.parse_args()
    port = free_port()
    command = [*binary(), "-w", str(options.workers), "--metrics-bind", f"127.0.0.1:{port}",
               "--graceful-timeout", "1", "--timeout", "60", "--bind", "127.0.0.1:{port}", "slow:app"]
    server = Server("cgunicorn", command, Workload("operators"), {0, 1})
    with open(os.path.join(server.folder, "slow.py"), "w") as f:
        f.write(SLOW)
    with server:
        print("cgunicorn status, ms from start to end     median     p90     max")
        idle(server, options.count)
        print("CPU time of the master for a scrape")
        for path in ("/metrics", "/metrics?workers=1", "/status"):
            scrape(server, port, 10 * options.count, path)
        print("cgunicorn status, again")
        blocked(server, options.count, options.workers)
        booting(server, options.count, 2 * options.workers)


if __name__ == "__main__":
    main()
