# SPDX-License-Identifier: MIT
"""threads = "2-8": more threads while calls wait, fewer after, none for the GIL."""
import os

import pytest

from harness import control
from harness.blocked import ask
from harness.waiting import until

MOST = 8
# What burns touches no file: who waits for a disk leaves the CPU idle.
APP = """
import mmap, pathlib

with open("state", "r+b") as f:
    state = mmap.mmap(f.fileno(), 16)  # who has begun; in the end: all may go

def app(environ, start_response):
    path, name = environ["PATH_INFO"], environ["QUERY_STRING"]
    if path == "/wait":  # without a look at the clock: the CPU is idle
        pathlib.Path(name + ".in").touch()
        open(name).close()
    elif path == "/burn":
        state[int(name)] = 1
        while state[15] == 0:
            sum(range(1000))
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""


class Waiting:
    """A request that waits in the application until `go` is called."""

    def __init__(self, server, name):
        self.fifo, self.peer = server.folder / name, server.connect()
        os.mkfifo(self.fifo)
        self.peer.get(f"/wait?{name}")
        until(lambda: (server.folder / f"{name}.in").exists(), f"{name} waits")

    def go(self):
        self.fifo.open("w").close()
        assert self.peer.reply().status == 200


def start(server, threads=f"2-{MOST}"):
    return server("app:app", "--threads", threads,
                  files={"app.py": APP, "state": "\0" * 16})


def worker(server):
    return control.status(server)["workers"][0]


def test_threads_come_while_calls_wait_and_leave_after(server):
    s = start(server)
    assert worker(s)["executors"] == MOST
    until(lambda: worker(s)["executors_now"] == 2, "the least are there")
    held = [Waiting(s, f"b{i}") for i in range(MOST)]
    assert worker(s)["executors_now"] == MOST
    late = s.connect()
    late.get("/?late")  # one more has to wait
    for w in held:
        w.go()
    assert late.reply().status == 200
    until(lambda: worker(s)["executors_now"] == 2, "they leave")
    held = [Waiting(s, f"c{i}") for i in range(4)]  # and come again
    for w in held:
        w.go()
    assert ask(s.connect()).status == 200


def test_no_more_threads_burn_the_cpu_than_the_least(server):
    s = start(server)
    until(lambda: worker(s)["executors_now"] == 2, "the least are there")
    peers = [s.connect() for _ in range(5)]
    for i, peer in enumerate(peers):
        peer.get(f"/burn?{i}")

    def begun():
        return sum((s.folder / "state").read_bytes()[:15])

    until(lambda: begun() >= 2, "the least run")
    before = worker(s)["cpu_s"]
    until(lambda: worker(s)["cpu_s"] > before + 1, "they burn")
    assert begun() == 2
    assert worker(s)["executors_now"] == 2
    with open(s.folder / "state", "r+b") as f:
        f.seek(15)
        f.write(b"\1")
    for peer in peers:
        assert peer.reply().status == 200


def test_a_range_of_one_number_is_that_number(server):
    s = start(server, "3-3")
    assert worker(s)["executors"] == 3


@pytest.mark.parametrize("text, why", [
    ("16-2", "the larger number comes last"), ("0-4", "the least is 1"),
    ("2-", "'2-' (such as"), ("2-4-6", "'2-4-6' (such as"),
    ("2-x", "'2-x' (such as"), ("2 - 4", "'2 - 4' (such as")])
def test_a_range_that_is_none_is_told(run, text, why):
    done = run("--threads", text, "--check-config", "app:app",
               files={"app.py": "app = print"})
    assert done.status == 1
    assert done.line_with("command line: threads: Value must be a whole number "
                          "or a range LEAST-MOST", why)


@pytest.mark.parametrize("file, text", [
    ("gunicorn.conf.py", "threads = '2-16'"), ("gunicorn.yaml", "threads: 2-16")])
def test_a_range_in_a_file_is_printed_as_it_is(run, file, text):
    done = run("-c", file, "--print-config", "app:app",
               files={file: text + "\n", "app.py": "app = print"})
    assert done.status == 0
    assert ["threads", "=", "2-16"] in [line.split() for line in done.out.splitlines()]
