# SPDX-License-Identifier: MIT
"""gthread while requests pile up: fewer calls that compute run side by side, and
as many that wait as there are threads."""
import threading

import pytest

from harness import control, embedded
from harness.waiting import until

THREADS = 6
APP = """
import threading, time

lock, inside, most = threading.Lock(), 0, 0

def enter(change):
    global inside, most
    with lock:
        inside += change
        most = max(most, inside)

def compute(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass

def app(environ, start_response):
    global most
    path, body = environ["PATH_INFO"], b"ok"
    if path == "/most":  # side by side, since it was asked for
        body, most = b"%d" % most, 0
    else:
        enter(1)
        compute(0.02 if path == "/compute" else 0.002)
        if path == "/wait":
            time.sleep(0.03)
        enter(-1)
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


@pytest.fixture(autouse=True)
def gil():
    embedded.needs_gil()


class Load:
    """Clients that ask for a path again and again, each on its connection."""

    def __init__(self, server, path, count=30):
        self.path, self.over, self.answers = path, False, 0
        peers = [server.connect() for _ in range(count)]
        self.threads = [threading.Thread(target=self.ask, args=(p,)) for p in peers]

    def ask(self, peer):
        while not self.over:
            peer.get(self.path)
            assert peer.reply().status == 200
            self.answers += 1

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *what):
        self.over = True
        for t in self.threads:
            t.join()

    def wait(self, count):
        enough = self.answers + count
        until(lambda: self.answers >= enough, f"{count} answers to {self.path}")


def start(server, *args):
    s = server("app:app", "--threads", str(THREADS), "--overload-exempt", "/most", *args,
               files={"app.py": APP})
    s.announce("Overloaded, the newest requests are run first")
    return s


def most_of(server, load, count):
    """How many calls of the next ones ran side by side."""
    server.get("/most")
    load.wait(count)
    return int(server.get("/most").body)


def is_overloaded(server):
    return control.status(server)["workers"][0]["state"] == "overloaded"


def test_fewer_calls_that_compute_run_side_by_side_and_all_that_wait(server):
    s = start(server)
    with Load(s, "/compute") as load:
        until(lambda: most_of(s, load, 20) == 2, "two of them compute")
    with Load(s, "/wait") as load:
        until(lambda: most_of(s, load, 20) == THREADS, "all of them wait")


def test_calls_that_wait_and_compute_a_little_have_all_threads(server):
    s = start(server)
    with Load(s, "/wait") as load:
        until(lambda: is_overloaded(s), "they pile up")
        for _ in range(3):
            assert most_of(s, load, 100) == THREADS
        assert is_overloaded(s)


def test_without_the_setting_calls_that_compute_have_all_threads(server):
    s = start(server, "--overload", "off")
    with Load(s, "/compute") as load:
        for _ in range(3):
            assert most_of(s, load, 40) == THREADS
