# SPDX-License-Identifier: MIT
"""Workers: how many, how they die, how they are replaced; stopping."""
import os
import re
import signal

import pytest

from harness import processes
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
# Waits in the request until somebody writes into the pipe `go`.
WAITING = """\
def app(environ, start_response):
    if environ["PATH_INFO"] == "/wait":
        open("began", "a").write("x")
        with open("go") as f:
            f.read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"done"]
"""
STUCK = """\
def app(environ, start_response):
    while environ["PATH_INFO"] == "/stuck":
        pass
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"fine"]
"""


def release(server):
    with open(server.folder / "go", "w"):
        pass


def begun(server, count=1):
    path = server.folder / "began"
    until(lambda: path.exists() and len(path.read_text()) >= count,
          "the request has begun")


@pytest.fixture
def waiting(server):
    def make(*args, **options):
        s = server("waiting:app", *args, files={"waiting.py": WAITING},
                   start=False, **options)
        os.mkfifo(s.folder / "go")
        s.wait_log("Booting worker")
        until(lambda: _connects(s), "the server listens")
        return s
    return make


def _connects(s):
    try:
        s.connect().close()
        return True
    except OSError:
        return False


# ---- signals, titles and the pidfile ----


def test_usr1_does_not_end_a_worker_that_is_ending(server):
    # modules are taken down after Python has given up its signal handlers
    s = server("shop:app", files={"shop.py": PID + """\

import posix  # os may be patched, with what is taken down before

class Last:
    def __del__(self, open=posix.open, read=posix.read,
                new=posix.O_CREAT | posix.O_RDWR):
        open("ending", new)
        read(open("go", 0), 1)
        open("done", new)

import sys
sys.last = Last()
"""})
    os.mkfifo(s.folder / "go")
    s.get("/")
    worker = s.workers()[0]
    s.signal("TERM")
    until(lambda: (s.folder / "ending").exists(), "it is ending")
    os.kill(worker, signal.SIGUSR1)
    release(s)
    assert s.wait() == 0
    assert (s.folder / "done").exists()
    assert "SIGUSR1" not in s.log()


@pytest.mark.parametrize("name", ["TERM", "QUIT", "ABRT"])
def test_a_stop_in_a_callback_of_the_boot_is_not_swallowed(server, name):
    # nothing can be raised out of there, and loading would go on for ever
    s = server("shop:app", start=False, files={"shop.py": PID + f"""\
import signal, time, weakref

class Thing:
    pass

def callback(ref):
    os.kill(os.getpid(), signal.SIG{name})
    for _ in range(1000):
        pass

if not os.path.exists("second"):
    open("second", "w").close()
    thing = Thing()
    ref = weakref.ref(thing, callback)
    del thing
    while True:
        time.sleep(0.01)
"""})
    s.wait_log("Booting worker", 2)
    s.wait_log("Listening at")
    assert s.get("/").status == 200
    s.wait_log(r"Worker exiting \(pid: \d+\)")


def test_usr1_reaches_a_worker_that_boots(server):
    s = server("shop:app", "--access-logfile", "access.log", start=False,
               files={"shop.py": PID}, config="""\
def post_fork(server, worker):
    open("forked", "w").close()
    with open("go") as f:
        f.read()
""")
    os.mkfifo(s.folder / "go")
    until(lambda: (s.folder / "forked").exists(), "it is in post_fork")
    (s.folder / "access.log").rename(s.folder / "access.log.1")
    s.signal("USR1")
    until(lambda: (s.folder / "access.log").exists(), "the master reopened it")
    with open(s.folder / "go", "w"):
        pass
    assert s.get("/").status == 200
    until(lambda: (s.folder / "access.log").read_text().count("\n") == 1,
          lambda: "its line in the new file:\n" + s.tail())
    assert (s.folder / "access.log.1").read_text() == ""
    assert s.log_count("Booting worker") == 1


def test_processes_are_titled_as_gunicorns(server):
    s = server("shop:app", "-w", "2", files={"shop.py": PID})
    workers = s.wait_workers(2)
    s.get("/")
    until(lambda: processes.command_line(s.pid)
          == "gunicorn: master [shop:app]",
          lambda: "the master's title; it is " + processes.command_line(s.pid))
    for pid in workers:
        until(lambda p=pid: processes.command_line(p)
              == "gunicorn: worker [shop:app]",
              lambda p=pid: "the worker's title; it is "
              + processes.command_line(p))


def test_the_process_name_is_a_setting(server):
    s = server("shop:app", "--name", "my-shop", files={"shop.py": PID})
    until(lambda: processes.command_line(s.pid) == "gunicorn: master [my-shop]",
          lambda: "the title; it is " + processes.command_line(s.pid))


def test_the_pidfile_holds_the_master_and_is_removed_at_the_end(server):
    s = server("shop:app", "--pid", "shop.pid", files={"shop.py": PID})
    assert (s.folder / "shop.pid").read_text() == f"{s.pid}\n"
    assert s.stop() == 0
    assert not (s.folder / "shop.pid").exists()


# ---- number of workers ----


def test_requests_are_shared_among_workers(server):
    s = server("shop:app", "-w", "3", files={"shop.py": PID})
    workers = s.wait_workers(3)
    s.wait_log("Booting worker", 3)
    with Load(s.address, clients=6) as load:
        load.wait_answers(300)
    assert load.lost == []
    assert {int(b) for b in load.bodies} <= set(workers)


def test_ttin_adds_and_ttou_takes_away_a_worker(server):
    s = server("shop:app", files={"shop.py": PID})
    s.wait_workers(1)
    s.signal("TTIN")
    s.wait_workers(2)
    s.signal("TTIN")
    first = s.wait_workers(3)
    s.signal("TTOU")
    left = s.wait_workers(2)
    assert set(left) < set(first)
    assert int(s.get("/").body) in left


def test_ttou_leaves_one_worker(server):
    s = server("shop:app", files={"shop.py": PID})
    s.wait_workers(1)
    s.signal("TTOU")
    s.wait_log("Handling signal: ttou")
    s.signal("TTIN")
    s.wait_workers(2)
    s.signal("TTOU")
    s.wait_workers(1)
    assert s.get("/").status == 200


def test_ttou_under_load_loses_nothing(server):
    s = server("shop:app", "-w", "3", files={"shop.py": PID})
    s.wait_workers(3)
    with Load(s.address, clients=4, keep=True) as load:
        load.wait_answers(50)
        s.signal("TTOU")
        s.wait_workers(2)
        s.signal("TTOU")
        s.wait_workers(1)
        load.wait_answers(50)
    assert load.lost == []


# ---- death and replacement ----


def test_a_killed_worker_is_replaced(server):
    s = server("shop:app", files={"shop.py": PID})
    victim = s.wait_workers(1)[0]
    s.wait_log("Booting worker")
    os.kill(victim, signal.SIGKILL)
    s.wait_log(rf"Worker \(pid:{victim}\) was sent SIGKILL")
    s.wait_log("Booting worker", 2)
    assert int(s.get("/").body) == s.wait_workers(1)[0] != victim


def test_a_worker_killed_under_load_costs_only_requests_in_flight(server):
    s = server("shop:app", "-w", "2", files={"shop.py": PID})
    s.wait_workers(2)
    s.wait_log("Booting worker", 2)
    clients = 4
    with Load(s.address, clients=clients) as load:
        load.wait_answers(100)
        for round_ in range(3):
            os.kill(s.wait_workers(2)[0], signal.SIGKILL)
            s.wait_log("Booting worker", 3 + round_)
            load.wait_answers(100)
    assert len(load.lost) <= 3 * clients, load.lost
    assert all(x.startswith(("Closed:", "Connection", "BrokenPipe"))
               for x in load.lost), load.lost


@pytest.mark.parametrize("name", ["SEGV", "TERM", "QUIT"])
def test_a_worker_that_ends_otherwise_is_replaced(server, name):
    # the signal is ours: no report of a sanitizer about it
    s = server("shop:app", files={"shop.py": PID},
               announced=["SIGSEGV", "Segmentation fault"],
               env={"ASAN_OPTIONS": "handle_segv=0"})
    victim = s.wait_workers(1)[0]
    s.get("/")
    os.kill(victim, getattr(signal, "SIG" + name))
    s.wait_log("Booting worker", 2)
    assert int(s.get("/").body) != victim


def test_a_worker_that_ends_by_itself_is_replaced(server):
    s = server("exits:app", announced=["exited with code"], files={
        "exits.py": PID.replace("def app(environ, start_response):",
                                "def app(environ, start_response):\n"
                                "    if environ['PATH_INFO'] == '/exit':\n"
                                "        os._exit(5)\n")})
    with s.connect() as peer:
        peer.get("/exit").assert_closed()
    s.wait_log(r"Worker \(pid:\d+\) exited with code 5")
    s.wait_log("Booting worker", 2)
    assert s.get("/").status == 200


def test_a_worker_stuck_beyond_the_timeout_is_killed_and_replaced(server):
    s = server("stuck:app", "--timeout", "1", files={"stuck.py": STUCK},
               announced=["WORKER TIMEOUT", "SystemExit", "stuck"])
    assert s.get("/").body == b"fine"
    victim = s.workers()[0]
    with s.connect() as peer:
        peer.get("/stuck")
        s.wait_log(rf"\[CRITICAL\] WORKER TIMEOUT \(pid:{victim}\)")
        s.wait_log("Booting worker", 2)
        peer.rest()
    assert s.get("/").body == b"fine"
    assert victim not in s.workers()


def test_the_timeout_tells_which_request_was_stuck(server):
    s = server("stuck:app", "--timeout", "1", files={"stuck.py": STUCK},
               announced=["WORKER TIMEOUT", "SystemExit", "stuck"])
    with s.connect() as peer:
        peer.get("/stuck?which=this")
        s.wait_log("WORKER TIMEOUT")
        s.wait_log(r"/stuck\?which=this")
        s.wait_log("Booting worker", 2)


def test_an_idle_worker_is_not_taken_for_stuck(server):
    s = server("shop:app", "--timeout", "1", files={"shop.py": PID})
    pid = s.get("/").body
    # two other servers come and go: more than two seconds of the master's
    # once-a-second look, told by its own log at debug level
    t = server("stuck:app", "--timeout", "1", files={"stuck.py": STUCK},
               announced=["WORKER TIMEOUT", "SystemExit", "stuck"])
    with t.connect() as peer:
        peer.get("/stuck")
        t.wait_log("Booting worker", 2)
    assert "WORKER TIMEOUT" not in s.log()
    assert s.get("/").body == pid


def test_a_slow_boot_is_not_a_timeout(server):
    s = server("slow:app", "--timeout", "1", start=False, files={
        "slow.py": "open('began', 'w').write('x')\n"
                   "with open('go') as f:\n    f.read()\n" + PID})
    os.mkfifo(s.folder / "go")
    until(lambda: (s.folder / "began").exists(), "the application is loading")
    t = server("stuck:app", "--timeout", "1", files={"stuck.py": STUCK},
               announced=["WORKER TIMEOUT", "SystemExit", "stuck"])
    with t.connect() as peer:
        peer.get("/stuck")
        t.wait_log("Booting worker", 2)
    release(s)
    assert s.get("/").status == 200
    assert "WORKER TIMEOUT" not in s.log()


def test_workers_leave_when_the_master_is_killed(server):
    s = server("shop:app", "-w", "2", files={"shop.py": PID})
    workers = s.wait_workers(2)
    s.wait_log("Booting worker", 2)
    s.expected_status = -signal.SIGKILL
    s.signal("KILL")
    assert s.wait() == -signal.SIGKILL
    for pid in workers:
        processes.wait_gone(pid, "a worker without master")


# ---- recycling ----


def test_max_requests_replaces_the_worker_and_loses_nothing(server):
    s = server("shop:app", "--max-requests", "20", files={"shop.py": PID})
    with Load(s.address, clients=3, keep=True) as load:
        # each serves until its successor does, so more than 20 of them
        s.wait_log("Autorestarting worker after current request", 3)
        load.wait_answers(50)
    assert load.lost == []
    assert len(load.bodies) >= 3


def test_max_requests_counts_requests_of_one_connection(server):
    s = server("shop:app", "--max-requests", "3", files={"shop.py": PID})
    with s.connect() as peer:
        replies = [peer.get("/").reply() for _ in range(3)]
        assert [r.says_close() for r in replies] == [False, False, True]
        peer.assert_closed()
    # the old worker serves until its successor is ready
    until(lambda: s.get("/").body != replies[0].body, "a new worker answers")


# ---- stopping ----


def test_a_request_in_flight_is_finished_at_a_graceful_stop(waiting):
    s = waiting()
    with s.connect() as peer:
        peer.get("/wait")
        begun(s)
        s.signal("TERM")
        s.wait_log("Handling signal: term")
        release(s)
        r = peer.reply()
        assert r.body == b"done"
    assert s.wait() == 0


def test_a_request_longer_than_the_graceful_timeout_is_cut(waiting):
    s = waiting("--graceful-timeout", "1")
    with s.connect() as peer:
        peer.get("/wait")
        begun(s)
        assert s.stop() == 0
        assert b"done" not in peer.rest()


def test_a_quick_stop_does_not_wait_for_a_request(waiting):
    s = waiting("--graceful-timeout", "60")
    with s.connect() as peer:
        peer.get("/wait")
        begun(s)
        assert s.stop("INT") == 0
        assert b"done" not in peer.rest()


def test_a_quick_stop_of_a_request_is_no_fault_of_the_application(waiting):
    s = waiting("--graceful-timeout", "60")
    with s.connect() as peer:
        peer.get("/wait")
        begun(s)
        assert s.stop("INT") == 0
        assert peer.rest() == b""
    assert s.log_count("Error handling|Traceback") == 0


def test_a_quick_stop_that_came_just_before_a_wait_ends_it_all_the_same(server):
    # nothing of Python's looks for a signal between the two sleeps: as if it
    # came after the look for one and before the wait
    s = server("shop:app", "--graceful-timeout", "600", files={"shop.py": """\
import ctypes
sleep = ctypes.CDLL(None).sleep
def app(environ, start_response):
    open("began", "a").write("x")
    list(map(sleep, [600, 600]))
"""})
    with s.connect() as peer:
        peer.get("/")
        begun(s)
        s.signal("QUIT")
        assert s.wait() == 0
    assert s.log_count("Handling signal: quit") == 1
    assert s.log_count("was sent SIG") == 0


def test_worker_int_is_called_once_when_a_quick_stop_is_repeated(server):
    s = server("shop:app", "--graceful-timeout", "600", files={"shop.py": PID},
               config="""\
import os, signal
def worker_int(worker):
    with open("told", "a") as f:
        f.write("x")
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGQUIT})
    signal.sigwait({signal.SIGQUIT})
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGQUIT})
    os.kill(os.getpid(), signal.SIGQUIT)
""")
    s.get("/")
    assert s.stop("QUIT") == 0
    assert (s.folder / "told").read_text() == "x"


def test_a_quick_stop_that_was_swallowed_is_repeated(server):
    s = server("shop:app", "--graceful-timeout", "600", files={"shop.py": """\
import time
def app(environ, start_response):
    open("began", "a").write("x")
    try:
        time.sleep(600)
    except SystemExit:
        pass
    time.sleep(600)
"""})
    with s.connect() as peer:
        peer.get("/")
        begun(s)
        assert s.stop("QUIT") == 0


def test_a_repeated_quick_stop_does_not_disturb_a_finally(server):
    s = server("shop:app", "--graceful-timeout", "600", files={"shop.py": """\
import os, signal, time
def app(environ, start_response):
    try:
        open("began", "a").write("x")
        time.sleep(600)
    finally:
        try:
            raise OSError
        except OSError:
            os.kill(os.getpid(), signal.SIGQUIT)
            for _ in range(1000):
                pass
        open("cleaned", "w").close()
"""})
    if "Using worker: sync" not in s.log():
        pytest.skip("requests of this class do not run on the main thread")
    with s.connect() as peer:
        peer.get("/")
        begun(s)
        assert s.stop("QUIT") == 0
    assert (s.folder / "cleaned").exists()


def test_an_idle_worker_hears_signals_whose_wake_ups_were_taken(server):
    # asyncio takes them for add_signal_handler and gives none back
    s = server("shop:app", "--graceful-timeout", "60", files={"shop.py": """\
import signal
def app(environ, start_response):
    signal.set_wakeup_fd(-1)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"deaf"]
"""})
    if "Using worker: sync" not in s.log():
        pytest.skip("requests of this class do not run on the main thread")
    with s.connect() as peer:
        assert peer.get("/").reply().body == b"deaf"
    until(lambda: processes.sleeps(s.workers()[0]), "it is idle")
    assert s.stop() == 0


def test_a_second_signal_hastens_a_graceful_stop(waiting):
    s = waiting("--graceful-timeout", "60")
    with s.connect() as peer:
        peer.get("/wait")
        begun(s)
        s.signal("TERM")
        s.wait_log("Handling signal: term")
        s.signal("QUIT")
        assert s.wait() == 0


def test_a_graceful_stop_under_load_loses_nothing(server):
    s = server("shop:app", "-w", "2", files={"shop.py": PID})
    s.wait_log("Booting worker", 2)
    with Load(s.address, clients=6, keep=True, reconnect=False) as load:
        load.wait_answers(200)
        assert s.stop() == 0
        load.wait_ended()
    assert load.lost == []


def test_a_graceful_stop_under_load_of_single_requests_loses_nothing(server):
    s = server("shop:app", "-w", "2", files={"shop.py": PID})
    s.wait_log("Booting worker", 2)
    with Load(s.address, clients=6) as load:
        load.wait_answers(200)
        assert s.stop() == 0
        load.wait_ended()  # refused, after the last reply
    assert load.lost == []


@pytest.mark.parametrize("name", ["INT", "QUIT"])
def test_a_quick_stop_before_a_worker_has_its_handlers_is_a_quiet_end(
        server, name):
    s = server("shop:app", start=False, files={"shop.py": PID}, config="""\
def post_fork(server, worker):
    open("began", "w").write("x")
    with open("go") as f:
        f.read()
""")
    os.mkfifo(s.folder / "go")
    until(lambda: (s.folder / "began").exists(), "post_fork runs")
    assert s.stop(name) == 0
    assert s.log_count("was sent SIG") == 0


@pytest.mark.parametrize("name", ["INT", "QUIT"])
def test_a_quick_stop_while_the_application_loads_is_no_failure(server, name):
    s = server("slow:app", start=False, files={
        "slow.py": "open('began', 'w').write('x')\n"
                   "with open('go') as f:\n    f.read()\n" + PID})
    os.mkfifo(s.folder / "go")
    until(lambda: (s.folder / "began").exists(), "the application is loading")
    assert s.stop(name) == 0
    assert "[ERROR]" not in s.log()


def test_replies_still_being_sent_are_finished_at_a_graceful_stop(server):
    s = server("big:app", files={"big.py": """\
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"x" * (20 << 20)]
"""})
    with s.connect() as peer:
        peer.get("/").head()
        s.signal("TERM")
        s.wait_log("Handling signal: term")
        data = peer.rest()
    assert len(data) == 20 << 20
    assert s.wait() == 0


def test_exit_handlers_of_the_application_run_in_the_workers(server):
    s = server("exits:app", files={"exits.py": """\
import atexit, os
atexit.register(lambda: open("bye", "a").write("%d\\n" % os.getpid()))
""" + PID})
    pid = s.get("/").body
    s.stop()
    assert (s.folder / "bye").read_text().encode() == pid + b"\n"


# ---- the application's own processes ----


def test_the_application_may_run_commands(server):
    s = server("runs:app", files={"runs.py": """\
import subprocess

def app(environ, start_response):
    out = subprocess.run(["sh", "-c", "echo out; exit 3"],
                         stdout=subprocess.PIPE)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d %s" % (out.returncode, out.stdout)]
"""})
    for _ in range(5):
        assert s.get("/").body == b"3 out\n"


def test_a_command_of_the_application_inherits_no_descriptor(server):
    s = server("fds:app", files={"fds.py": """\
import subprocess

def app(environ, start_response):
    out = subprocess.run(["ls", "-l", "/proc/self/fd"], close_fds=False,
                         stdout=subprocess.PIPE).stdout
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [out]
"""})
    listed = s.get("/").body.decode()
    assert "socket:" not in listed, listed
    assert "eventpoll" not in listed, listed


def test_a_thread_of_the_application_runs_between_requests(server):
    s = server("thread:app", files={"thread.py": """\
import threading

asked = threading.Event()
answered = threading.Event()

def serve():
    while True:
        asked.wait()
        asked.clear()
        answered.set()

threading.Thread(target=serve, daemon=True).start()

def app(environ, start_response):
    asked.set()
    ok = answered.wait(20)
    answered.clear()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(ok).encode()]
"""})
    for _ in range(3):
        assert s.get("/").body == b"True"


def test_signals_are_not_blocked_in_the_application(server):
    s = server("mask:app", files={"mask.py": """\
import signal

def app(environ, start_response):
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [repr(sorted(blocked)).encode()]
"""})
    assert s.get("/").body == b"[]"


def test_usr2_starts_a_second_master_that_takes_over(server):
    s = server("shop:app", "--pid", "shop.pid", files={"shop.py": PID})
    s.get("/")
    old = s.pid
    s.signal("USR2")
    s.wait_log("Handling signal: usr2")
    new_file = s.folder / "shop.pid.2"
    new = int(until(lambda: new_file.exists() and new_file.read_text(),
                    lambda: "the second pidfile:\n" + s.tail()))
    s.wait_log("Booting worker", 2)
    assert s.get("/").status == 200
    assert s.stop() == 0
    until(lambda: (s.folder / "shop.pid").exists()
          and (s.folder / "shop.pid").read_text() == f"{new}\n",
          "the second master was promoted")
    workers = processes.children(new)
    assert int(s.get("/").body) in workers
    os.kill(new, signal.SIGTERM)
    assert processes.reap(new) == 0
    assert old != new and re.search("Listening at", s.log())


def test_a_burst_of_one_signal_does_not_starve_another(server):
    """The kernel delivers those of a lower number first, and merges what
    waits: 200 in turn left 29 workers."""
    s = server("shop:app", "-w", "4", files={"shop.py": PID})
    s.wait_workers(4)
    kill, pid, up, down = os.kill, s.pid, signal.SIGTTIN, signal.SIGTTOU
    for _ in range(3000):
        kill(pid, up)
        kill(pid, down)
    s.wait_log("Handling signal: ttou")
    s.signal("USR1")
    s.wait_log("Handling signal: usr1")
    more = s.log_count("Handling signal: ttin")
    less = s.log_count("Handling signal: ttou")
    assert abs(more - less) <= max(6, (more + less) // 5), (more, less)
    until(lambda: abs(len(s.workers()) - 4) <= 8, "about as many as before")
