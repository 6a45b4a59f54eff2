# SPDX-License-Identifier: MIT
"""Workers that are replaced before they are bad, stops that lose nothing, and
what is told about workers that hang or die."""
import os
import signal

import pytest

from harness import classes, processes
from harness.load import Load
from harness.waiting import until

PID = """\
import os

def app(environ, start_response):
    body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Type", "text/plain"),
                              ("Content-Length", str(len(body)))])
    return [body]
"""
# Waits in /wait until somebody writes into the pipe `go`.
WAITING = """\
import os

def app(environ, start_response):
    if environ["PATH_INFO"].startswith("/wait"):
        open("began", "a").write("x")
        with open("go") as f:
            f.read()
    body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Type", "text/plain"),
                              ("Content-Length", str(len(body)))])
    return [body]
"""


def begun(server, count=1):
    path = server.folder / "began"
    until(lambda: path.exists() and len(path.read_text()) >= count,
          "the request has begun")


def release(server):
    with open(server.folder / "go", "w"):
        pass


@pytest.fixture
def waiting(server):
    def make(*args, **options):
        folder = options.pop("folder", None)
        s = server("waiting:app", *args, files={"waiting.py": WAITING},
                   folder=folder, **options)
        os.mkfifo(s.folder / "go")
        return s
    return make


# ---- make before break ----


def test_a_spent_worker_serves_until_its_successor_does(server):
    s = server("shop:app", "--max-requests", "3", files={"shop.py": """\
import os
if os.path.exists("second"):
    open("loading", "w").close()
    with open("go") as f:
        f.read()
open("second", "w").close()
""" + PID})
    os.mkfifo(s.folder / "go")
    first = [s.get("/").body for _ in range(3)]
    until(lambda: (s.folder / "loading").exists(), "the successor is loading")
    with s.connect() as peer:
        reply = peer.get("/").reply()
        assert reply.body == first[0]
        assert reply.says_close()
    release(s)
    until(lambda: s.get("/").body != first[0], "the successor answers")
    # each is told once, the successor may have reached its limit too
    assert s.log_count("Autorestarting worker") <= 2


def test_recycling_under_load_loses_nothing(server):
    s = server("shop:app", "-w", "3", "--max-requests", "30",
               "--max-requests-jitter", "10", files={"shop.py": PID})
    s.wait_workers(3)
    with Load(s.address, clients=4, keep=True) as keep, \
            Load(s.address, clients=4) as single:
        s.wait_log("Autorestarting worker", 6)
        keep.wait_answers(50)
        single.wait_answers(50)
    assert keep.lost == [] and single.lost == []
    assert "exited with code" not in s.log()


def test_only_a_share_of_the_workers_is_away_at_once(server):
    s = server("shop:app", "-w", "4", "--max-worker-lifetime", "1",
               "--recycle-share", "25", files={"shop.py": PID})
    s.wait_workers(4)
    most = []
    until(lambda: most.append(len(s.workers()))
          or s.log_count("Booting worker") >= 10, "several replacements")
    assert max(most) <= 5, most


def test_a_lifetime_ends_a_worker_that_has_nothing_to_do(server):
    s = server("shop:app", "--max-worker-lifetime", "1",
               files={"shop.py": PID})
    first = s.get("/").body.decode()
    s.wait_log(rf"Worker \(pid:{first}\) will be replaced: it reached "
               "max_worker_lifetime")
    processes.wait_gone(int(first), "the old worker")
    assert s.get("/").body.decode() != first


def test_a_worker_with_too_much_memory_is_replaced(server):
    s = server("fat:app", "--max-worker-rss", "100", files={"fat.py": """\
kept = []
""" + PID.replace("    body", """\
    if environ["PATH_INFO"] == "/eat":
        kept.append(b"x" * (120 << 20))
    body""", 1)})
    fat = s.get("/eat").body.decode()
    s.wait_log(rf"Worker \(pid:{fat}\) will be replaced: it uses \d+ MiB of "
               "memory, more than max_worker_rss")
    processes.wait_gone(int(fat), "the fat worker")
    assert s.get("/").body.decode() != fat


# ---- stopping ----


def test_shutdown_delay_serves_on_and_then_stops(server):
    s = server("shop:app", "--shutdown-delay", "1", files={"shop.py": PID})
    s.get("/")
    s.signal("TERM")
    s.wait_log(r"Serving on for 1 s \(shutdown_delay\)")
    assert s.get("/").status == 200
    assert s.wait() == 0


@pytest.mark.parametrize("args", [
    ("-k", "sync"), ("-k", "gthread", "--threads", "4"), ("-k", "gevent")],
    ids=lambda args: args[1])
def test_during_the_shutdown_delay_connections_are_ended_politely(
        run, server, args):
    classes.skip_unless_installed(run, args[1])
    s = server("shop:app", "-w", "2", *args, "--shutdown-delay", "3600",
               files={"shop.py": PID})
    with s.connect() as used, s.connect() as idle:
        assert not used.get("/").reply().says_close()
        assert not idle.get("/").reply().says_close()
        s.signal("TERM")
        s.wait_log("Serving on for 3600 s")
        until(lambda: s.get("/").says_close(), "workers know of it")
        # an idle connection is not cut: its next request may be under way
        for peer in used, idle:
            assert peer.get("/").reply().says_close()
            peer.assert_closed()
    for _ in range(10):  # whoever comes is served
        assert s.get("/").says_close()
    assert s.stop() == 0


def test_what_was_pipelined_is_answered_at_a_stop(waiting):
    s = waiting()
    with s.connect() as peer:
        peer.send(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n"
                  + b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 2)
        begun(s)
        s.signal("TERM")
        s.wait_log("Handling signal: term")
        release(s)
        replies = [peer.reply() for _ in range(3)]
        assert [r.status for r in replies] == [200] * 3
        assert replies[-1].says_close()
        peer.assert_closed()
    assert s.wait() == 0


def test_a_second_term_ends_the_shutdown_delay(server):
    s = server("shop:app", "--shutdown-delay", "3600", files={"shop.py": PID})
    s.get("/")
    s.signal("TERM")
    s.wait_log("Serving on for 3600 s")
    assert s.stop() == 0


def test_a_worker_may_need_longer_than_timeout_for_its_end(server):
    s = server("shop:app", "--timeout", "1", files={
        "shop.py": "import atexit, time\natexit.register(time.sleep, 3)\n"
        + PID})
    s.get("/")
    assert s.stop() == 0
    assert "TIMEOUT" not in s.log()


@pytest.mark.parametrize("bind", ["tcp", "unix"])
def test_what_waits_in_the_listen_queue_is_served_before_the_end(
        waiting, bind):
    s = waiting(bind=bind)
    with s.connect() as first:
        first.get("/wait")
        begun(s)
        queued = [s.connect().get("/") for _ in range(20)]
        s.signal("TERM")
        s.wait_log("Handling signal: term")
        release(s)
        first.reply()
        for peer in queued:
            assert peer.reply().status == 200
            peer.close()
    assert s.wait() == 0


# ---- timeouts that explain ----


STUCK = """\
import ctypes, os, time

def in_python():
    while True:
        pass

def in_sleep():
    open("began", "w").close()
    time.sleep(3600)

def with_the_gil():
    mutex = ctypes.create_string_buffer(128)  # PTHREAD_MUTEX_INITIALIZER
    for _ in range(2):
        ctypes.PyDLL(None).pthread_mutex_lock(mutex)

def app(environ, start_response):
    name = environ["PATH_INFO"][1:]
    if name in globals():
        globals()[name]()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"fine"]
"""


@pytest.mark.parametrize("where", [
    "in_python", pytest.param("in_sleep", marks=classes.needs_sleep_that_blocks),
    "with_the_gil"])
def test_a_timeout_tells_the_request_and_the_stack(server, where):
    s = server("stuck:app", "--timeout", "1", files={"stuck.py": STUCK},
               announced=["WORKER TIMEOUT", "is running:", "SystemExit",
                          "Stacks of worker"])
    victim = s.wait_workers(1)[0]
    with s.connect() as peer:
        peer.get(f"/{where}?a=%1b")
        s.wait_log(rf"\[CRITICAL\] WORKER TIMEOUT \(pid:{victim}\)")
        s.wait_log(rf"\[CRITICAL\] Worker \(pid:{victim}\) is running: "
                   rf"GET /{where}\?a=%1b \(for \d\.\d s, from 127\.0\.0\.1\);"
                   " 1 connections")
        s.wait_log(rf"Stacks of worker \(pid:{victim}\)\n(.*\n)*"
                   rf"  File \".*stuck.py\", line \d+ in {where}\n"
                   r"  File \".*stuck.py\", line \d+ in app")
        s.wait_log("Booting worker", 2)
        peer.rest()
    if where == "with_the_gil":
        s.wait_log(rf"Worker \(pid:{victim}\) was sent SIGKILL! It was silent "
                   "for longer than timeout")
        s.wait_log(rf"Worker \(pid:{victim}\) took 1 request with it: GET "
                   "/with_the_gil")
    assert s.get("/").body == b"fine"


@classes.needs_sleep_that_blocks
def test_a_stopped_worker_is_told_as_such_and_killed(server):
    s = server("stuck:app", "--timeout", "1", files={"stuck.py": STUCK},
               announced=["WORKER TIMEOUT", "is running:"])
    victim = s.wait_workers(1)[0]
    with s.connect() as peer:
        peer.get("/in_sleep")
        begun(s, 0)
        os.kill(victim, signal.SIGSTOP)
        s.wait_log(r"is running: GET /in_sleep .*stopped by a signal")
        s.wait_log(rf"Worker \(pid:{victim}\) gives no stacks")
        s.wait_log("Booting worker", 2)
        peer.rest()
    assert s.get("/").body == b"fine"


def test_a_crash_tells_the_stack_and_what_was_lost(server):
    s = server("crash:app", announced=["SIGSEGV", "Segmentation fault"],
               env={"ASAN_OPTIONS": "handle_segv=0"}, files={"crash.py": """\
import ctypes

def fall():
    ctypes.string_at(0)

def app(environ, start_response):
    if environ["PATH_INFO"] == "/fall":
        fall()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"fine"]
"""})
    with s.connect() as peer:
        peer.get("/fall")
        peer.rest()
    s.wait_log(r"Worker \(pid:\d+\) was sent SIGSEGV!")
    s.wait_log(r"Fatal Python error: Segmentation fault\n(.*\n)*"
               r"  File \".*crash.py\", line \d+ in fall")
    s.wait_log(r"took 1 request with it: GET /fall \(for \d+\.\d s, from "
               r"127\.0\.0\.1\); 0 other connections")
    assert s.get("/").body == b"fine"


def test_a_path_of_a_client_is_escaped_in_the_log(server):
    s = server("crash:app", announced=["SIGKILL"], files={
        "crash.py": PID.replace("    body", """\
    if environ["PATH_INFO"].startswith("/die"):
        os.kill(os.getpid(), 9)
    body""", 1)})
    with s.connect() as peer:
        peer.send(b"GET /die?\x1b[31m HTTP/1.1\r\nHost: x\r\n\r\n")
        peer.rest()
    assert "\x1b" not in s.log()


def test_another_ones_kill_is_not_taken_for_a_lack_of_memory(server):
    s = server("shop:app", files={"shop.py": PID})
    victim = s.wait_workers(1)[0]
    s.get("/")
    os.kill(victim, signal.SIGKILL)
    s.wait_log(rf"Worker \(pid:{victim}\) was sent SIGKILL! "
               "(Perhaps out of memory|Neither this server)")


# ---- crash loops ----


def test_a_crash_loop_slows_down(server):
    s = server("loop:app", start=False, announced=["exited", "ended"],
               files={"loop.py": "import os\nos._exit(7)\n"})
    s.wait_log("5 workers in a row ended within 5 s: the next one is started "
               r"in 0\.8 s")
    assert s.log_count("Booting worker") <= 6
    assert s.stop() == 0


def test_a_worker_that_leaves_without_a_word_is_told_and_slows_down(server):
    s = server("loop:app", start=False,
               files={"loop.py": "import os\nos._exit(0)\n"})
    s.wait_log(r"Worker \(pid:\d+\) ended before it served, without an error")
    s.wait_log("3 workers in a row ended")
    assert s.stop() == 0
