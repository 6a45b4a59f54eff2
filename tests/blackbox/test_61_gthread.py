# SPDX-License-Identifier: MIT
"""The gthread class: threads as a ThreadPoolExecutor has them, made on demand."""
import os
import signal
import time

import pytest

from harness import processes
from harness.waiting import until

APP = """
import atexit, contextvars, os, pathlib, subprocess, sys, threading, time

local = threading.local()
var = contextvars.ContextVar("var", default=0)
ticks = [0]

def tick():
    while True:
        ticks[0] += 1
        time.sleep(0.001)

threading.Thread(target=tick, daemon=True).start()
atexit.register(lambda: pathlib.Path("atexit").touch())

def block(name):
    pathlib.Path(name + ".in").touch()
    while not pathlib.Path(name + ".go").exists():
        time.sleep(0.002)

def fork_and_answer():
    return "child" if os.fork() == 0 else "parent"

def fds_of_a_subprocess():
    out = subprocess.run(["ls", "-l", "/proc/self/fd"], capture_output=True)
    return "sockets %d" % out.stdout.count(b"socket:")

def app(environ, start_response):
    path, name = environ["PATH_INFO"], environ["QUERY_STRING"]
    if path == "/block":
        block(name)
        body = "unblocked"
    elif path == "/name":
        body = threading.current_thread().name
    elif path == "/main":
        body = str(threading.current_thread() is threading.main_thread())
    elif path == "/local":
        local.n = getattr(local, "n", 0) + 1
        var.set(var.get() + 1)
        body = "%d %d" % (local.n, var.get())
    elif path == "/threads":
        body = str(sum("ThreadPool" in t.name for t in threading.enumerate()))
    elif path == "/ticks":
        body = str(ticks[0])
    elif path == "/fork":
        body = fork_and_answer()
    elif path == "/subprocess":
        body = fds_of_a_subprocess()
    elif path == "/multithread":
        body = str(environ["wsgi.multithread"])
    else:
        body = str(os.getpid())
    body = body.encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


@pytest.fixture
def threads(server):
    def make(count, *args, **options):
        return server("app:app", "-w", "1", "--threads", str(count), *args,
                      files={"app.py": APP}, **options)
    return make


def block(s, name):
    peer = s.connect()
    peer.get(f"/block?{name}")
    until(lambda: (s.folder / f"{name}.in").exists(), f"{name} is running")
    return peer


def unblock(s, name, peer):
    (s.folder / f"{name}.go").touch()
    assert peer.reply().body == b"unblocked"


def test_as_many_requests_run_at_once_as_there_are_threads(threads):
    s = threads(4)
    peers = [block(s, f"b{i}") for i in range(4)]
    for i, peer in enumerate(peers):
        unblock(s, f"b{i}", peer)


def test_a_request_beyond_the_threads_waits_and_is_answered(threads):
    s = threads(2)
    peers = [block(s, f"b{i}") for i in range(2)]
    late = s.connect()
    late.get("/name")
    unblock(s, "b0", peers[0])
    assert b"ThreadPoolExecutor" in late.reply().body
    unblock(s, "b1", peers[1])


def test_threads_are_made_when_calls_overlap(threads):
    s = threads(8)
    assert int(s.get("/threads").body) <= 2
    peers = [block(s, f"b{i}") for i in range(5)]
    assert int(s.get("/threads").body) >= 6
    for i, peer in enumerate(peers):
        unblock(s, f"b{i}", peer)


def test_threads_are_named_as_an_executors(threads):
    s = threads(2)
    assert s.get("/name").body.startswith(b"ThreadPoolExecutor-0_")


def test_the_main_thread_runs_no_request(threads):
    s = threads(2)
    assert s.get("/main").body == b"False"


def test_environ_says_multithread(threads):
    assert threads(2).get("/multithread").body == b"True"


def test_thread_locals_and_context_last_as_long_as_their_thread(threads):
    s = threads(2)
    seen = [s.get("/local").body.split() for _ in range(6)]
    assert all(local == context for local, context in seen)
    # one thread serves while nothing blocks; where the machine is slow it looks
    # blocked, and the other one joins
    assert 1 <= seen.count([b"1", b"1"]) <= 2


def test_background_threads_run_while_the_server_is_idle(threads):
    s = threads(2)
    first = int(s.get("/ticks").body)
    until(lambda: int(s.get("/ticks").body) > first + 20, "ticks go on")


def test_atexit_functions_run(threads):
    s = threads(2)
    s.get("/")
    s.stop()
    assert (s.folder / "atexit").exists()


def test_a_stop_waits_for_threads_under_way(threads):
    s = threads(2)
    peer = block(s, "b")
    os.kill(s.pid, signal.SIGTERM)
    s.wait_log("Handling signal: term")
    unblock(s, "b", peer)
    assert s.wait() == 0


def test_a_stuck_thread_does_not_outlive_the_graceful_timeout(threads):
    s = threads(2, "--graceful-timeout", "1")
    s.announce("SIGKILL", "took 1 request", "Stacks of")
    block(s, "b")
    os.kill(s.pid, signal.SIGTERM)
    assert s.wait() == 0


def test_a_blocked_thread_is_no_timeout(threads):
    """As in gunicorn: the worker lives as long as its main loop does."""
    s = threads(2, "--timeout", "1")
    peers = [block(s, "b0"), block(s, "b1")]
    end = time.monotonic() + 2.5
    until(lambda: time.monotonic() > end, "the timeout is over twice")
    assert s.log_count("WORKER TIMEOUT") == 0
    for i, peer in enumerate(peers):
        unblock(s, f"b{i}", peer)


@pytest.mark.parametrize("count", [1, 3])
def test_a_child_that_returns_from_a_request_ends_and_harms_nothing(
        threads, count):
    s = threads(count)
    peer = s.connect()
    for _ in range(5):
        assert peer.get("/fork").reply().body == b"parent"
    assert peer.get("/").reply().status == 200
    until(lambda: len(s.tree()) == 3, "the children are gone")


LEAVING = """
import os, time

def app(environ, start_response):
    body = b"0"
    if environ["PATH_INFO"] == "/leave":
        pid = os.fork()
        while pid == 0:
            if os.path.exists("child.go"):
                os._exit(0)
            time.sleep(0.01)
        body = b"%d" % pid
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


@pytest.mark.parametrize("count", [1, 3])
def test_a_child_that_lives_on_keeps_no_connection_open(server, count):
    """It has every socket and the event set too: a close has to be one for the
    peer, and what the child holds must not be reported for ever."""
    s = server("app:app", "-w", "1", "--threads", str(count), files={"app.py": LEAVING})
    idle = [s.connect() for _ in range(3)]
    for peer in idle:
        assert peer.get("/").reply().body == b"0"
    asking = s.connect()
    child = int(asking.get("/leave", "Connection: close").reply().body)
    asking.assert_closed()
    assert idle[0].get("/", "Connection: close").reply().body == b"0"
    idle[0].assert_closed()
    idle[1].close()
    assert idle[2].get("/").reply().body == b"0"
    assert processes.is_running(child)
    worker = s.workers()[0]

    def rests():
        before, end = processes.spent(worker), time.monotonic() + 0.5
        until(lambda: time.monotonic() > end, "half a second is over")
        return processes.spent(worker) == before

    until(rests, "the worker uses no processor")
    (s.folder / "child.go").touch()
    until(lambda: len(s.tree()) == 3, "the child is gone")


@pytest.mark.parametrize("count", [1, 3])
def test_a_subprocess_gets_none_of_our_sockets(threads, count):
    s = threads(count)
    assert s.get("/subprocess").body == b"sockets 0"


def test_too_many_threads_are_cut_with_a_word(threads):
    s = threads(1000)
    s.wait_log(r"threads: a worker has 255 at most, not 1000")
    assert s.get("/").status == 200


def test_abrt_ends_a_worker_whose_threads_are_stuck(threads):
    s = threads(2)
    s.announce("exited with code", "Exception")
    peers = [block(s, "b0"), block(s, "b1")]
    worker = s.workers()[0]
    os.kill(worker, signal.SIGABRT)
    until(lambda: worker not in s.workers(), "the worker is gone")
    for peer in peers:
        peer.close()
    assert s.get("/").status == 200


@pytest.mark.parametrize("name, status", [("QUIT", 0), ("ABRT", 1)])
@pytest.mark.parametrize("thread", [0, 1])
def test_a_signal_while_a_thread_is_started_is_no_lack_of_threads(
        server, name, status, thread):
    s = server("starts:app", "-k", "gthread", "--threads", "4",
               files={"starts.py": f"""\
import os, signal, threading

begin = threading.Thread.start

def start(self):
    begin(self)
    if (self.name == "ThreadPoolExecutor-0_{thread}"
            and not os.path.exists("told")):
        open("told", "w").write(str(os.getpid()))
        os.kill(os.getpid(), signal.SIG{name})
        for _ in range(1000):
            pass

threading.Thread.start = start

def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "0")])
    return []
"""})
    s.wait_log("Booting worker", 2)
    told = int((s.folder / "told").read_text())
    s.wait_log(rf"Worker exiting \(pid: {told}\)")
    processes.wait_gone(told, "the worker")
    assert s.get("/").status == 200
    assert s.log_count("cannot start a thread") == 0
    assert s.log_count(rf"Worker \(pid:{told}\) exited with code 1") == status
    assert s.log_count("was sent SIG") == 0
