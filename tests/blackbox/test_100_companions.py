# SPDX-License-Identifier: MIT
"""Companions, processes that are kept beside the workers, and the numbers of
workers."""
import os
import signal

import pytest

from harness import control, processes
from harness.control import ask
from harness.waiting import until

APP = """\
import os
import signal
import sys
import time

def app(environ, start_response):
    body = os.environ.get("CGUNICORN_WORKER_ID", "?").encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]

def poll():
    print("polling as", os.environ["CGUNICORN_COMPANION"], "with", os.getpid())
    while True:
        time.sleep(60)

def tidy():
    try:
        poll()
    finally:
        print("tidied up")

def breaks():
    raise RuntimeError("no queue")

def leaves():
    sys.exit(3)
"""
FILES = {"shop.py": APP}


def config(**companions):
    return f"companions = {companions!r}\n"


def told(server):
    return {c["name"]: c for c in control.status(server)["companions"]}


def running(server, name):
    until(lambda: told(server).get(name, {}).get("state") == "running",
          f"the companion {name} runs")
    return told(server)[name]["pid"]


def started(server, name):
    """The pids of all its processes so far, from the log."""
    line = f"Companion {name} started (pid:"
    return [int(x.split(line)[1].split(")")[0])
            for x in server.log().splitlines() if line in x]


def test_a_command_and_a_callable_run_beside_the_workers(server):
    s = server("shop:app", files=FILES, config=config(
        cat="sh -c 'echo \"ready in $CGUNICORN_COMPANION\"; exec sleep 60'",
        poller="shop:poll"))
    s.wait_log("Companion cat: ready in cat")
    s.wait_log("Companion poller: polling as poller with ")
    for name in ("cat", "poller"):
        running(s, name)
    assert s.get("/").status == 200
    shown = ask(s, "status").out
    assert "poller: shop:poll" in shown


def test_its_title_tells_its_name(server):
    s = server("shop:app", files=FILES, config=config(poller="shop:poll"))
    pid = running(s, "poller")
    s.wait_log("polling as poller")
    with open(f"/proc/{pid}/cmdline") as f:
        assert f.read().startswith("gunicorn: companion poller [")


def test_one_that_ends_is_started_again_after_a_pause(server):
    s = server("shop:app", files=FILES, config=config(poller="shop:poll"))
    first = running(s, "poller")
    os.kill(first, signal.SIGKILL)
    s.wait_log(r"Companion poller \(pid:\d+\) was ended by signal 9; "
               "the next one is started in 1 s")
    until(lambda: told(s)["poller"]["starts"] == 2, "another one was started")
    assert running(s, "poller") != first


def test_pauses_grow_and_what_it_raised_is_logged(server):
    s = server("shop:app", files=FILES, config=config(broken="shop:breaks"),
               announced=["Companion broken: Traceback"])
    s.wait_log("Companion broken: RuntimeError: no queue")
    s.wait_log("exited with status 1; the next one is started in 1 s")
    s.wait_log("exited with status 1; the next one is started in 2 s")
    assert s.get("/").status == 200


@pytest.mark.parametrize("spec, why", [
    ("shop:nothing", "AttributeError: .*nothing"),
    ("no_such_module:run", "ModuleNotFoundError: .*no_such_module"),
    ("os:sep", "TypeError: os:sep is no callable"),
])
def test_a_callable_that_cannot_be_loaded_is_named(server, spec, why):
    s = server("shop:app", files=FILES, config=config(lost=spec), announced=["Traceback"])
    s.wait_log(f"Companion lost: '{spec}' cannot be loaded: {why}.*; a companion is a command")
    s.wait_log(r"Companion lost \(pid:\d+\) exited with status 1; the next one")


def test_the_status_of_sys_exit_is_told(server):
    s = server("shop:app", files=FILES, config=config(leaver="shop:leaves"))
    s.wait_log(r"Companion leaver \(pid:\d+\) exited with status 3; the next")


def test_companions_end_after_the_workers_and_may_tidy_up(server):
    s = server("shop:app", files=FILES, config=config(tidy="shop:tidy"))
    running(s, "tidy")
    s.wait_log("polling as tidy")
    s.stop()
    log = s.log()
    assert log.index("Worker exiting") < log.index("tidied up")
    assert log.index("tidied up") < log.index("Shutting down: Master")
    assert "exited with status 0" in log


def test_what_it_has_started_ends_with_it(server):
    s = server("shop:app", files=FILES, config=config(
        group="sh -c 'sleep 600 & echo child $! end; wait'"))
    s.wait_log(r"Companion group: child \d+ end")
    child = int(s.log().split("Companion group: child ")[1].split(" ")[0])
    s.stop()
    until(lambda: not processes.is_running(child), "its child has ended")


def test_a_stop_kills_one_that_stays(server):
    s = server("shop:app", "--graceful-timeout", "1", files=FILES,
               config=config(deaf="sh -c 'trap \"\" TERM; echo deaf; while :; do sleep 1; done'"))
    s.wait_log("Companion deaf: deaf")
    s.stop()
    assert "did not stop in time: KILL" in s.log()


def test_hup_replaces_it_and_there_are_never_two(server):
    s = server("shop:app", files=FILES, config=config(tidy="shop:tidy"))
    first = running(s, "tidy")
    s.wait_log("polling as tidy")
    (s.folder / "conf.py").write_text(config(tidy="shop:tidy", more="sleep 60"))
    s.signal("HUP")
    running(s, "more")
    until(lambda: told(s)["tidy"]["starts"] == 2, "it was replaced")
    log = s.log()
    assert log.index("tidied up") < log.rindex("Companion tidy started")
    assert not processes.is_running(first)
    (s.folder / "conf.py").write_text("")
    s.signal("HUP")
    until(lambda: told(s) == {}, "both are gone")


def test_a_reload_that_fails_leaves_it_alone(server):
    s = server("shop:app", files=FILES, config=config(poller="shop:poll"))
    pid = running(s, "poller")
    (s.folder / "conf.py").write_text(config(poller="no-such-program -x"))
    s.signal("HUP")
    s.wait_log("companions: poller: there is no program 'no-such-program'")
    assert told(s)["poller"]["pid"] == pid


def test_an_upgrade_starts_it_when_the_old_master_is_gone(server):
    s = server("shop:app", "--pid", "shop.pid", files=FILES,
               config=config(tidy="shop:tidy"))
    running(s, "tidy")
    s.wait_log("polling as tidy")
    s.signal("USR2")
    s.wait_log("Booting worker", count=2)
    second = int((s.folder / "shop.pid.2").read_text())
    assert len(started(s, "tidy")) == 1
    try:
        s.stop()
        until(lambda: len(started(s, "tidy")) == 2, "the new master has one")
        log = s.log()
        assert log.index("tidied up") < log.rindex("Companion tidy started")
    finally:
        os.kill(second, signal.SIGTERM)
        processes.reap(second)


def test_the_stacks_of_a_callable_are_told(server):
    s = server("shop:app", files=FILES, config=config(poller="shop:poll"))
    pid = running(s, "poller")
    s.wait_log("polling as poller")
    shown = ask(s, "stacks", str(pid)).out
    assert f"companion poller {pid}" in shown
    assert "in poll" in shown


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_it_runs_as_the_workers_user(server, other_user):
    s = server("shop:app", "--preload", "--user", "nobody",
               "--group", "nogroup", files=FILES,
               config=config(who="sh -c 'id -un; exec sleep 60'"))
    s.wait_log("Companion who: nobody")


@pytest.mark.parametrize("value, text", [
    ("{'beat': 'no-such-program -x'}",
     "companions: beat: there is no program 'no-such-program'"),
    ("{'beat': \"sleep 'x\"}", "companions: beat: a quote is not closed"),
    ("{'be at': 'sleep 1'}", "'be at' is no name of a companion"),
    ("{'beat': ' '}", "the companion beat has nothing to run"),
    ("['sleep 1']", "Value is not a dictionary"),
])
def test_what_cannot_be_a_companion_is_told_at_the_start(run, value, text):
    done = run("-b", "127.0.0.1:0", "-c", "conf.py", "shop:app",
               files={**FILES, "conf.py": f"companions = {value}\n"})
    assert done.status == 1 and text in done.err


def test_what_it_writes_cannot_forge_lines(server):
    s = server("shop:app", files=FILES, config=config(
        loud="sh -c 'printf \"a\\033[2Jb\\n\"; exec sleep 60'"))
    s.wait_log(r"Companion loud: a\\x1b\[2Jb")


# ---- numbers ----


def test_workers_have_numbers_and_a_successor_has_its_predecessors(server):
    s = server("shop:app", "-w", "2", files=FILES, config="""\
def post_fork(server, worker):
    server.log.info("here is %s leader %s", worker.number, worker.leader)
""")
    s.wait_log("here is 1 leader True")
    s.wait_log("here is 2 leader False")
    until(lambda: {s.get("/").body for _ in range(20)} <= {b"1", b"2"}, "both")
    line = next(x for x in s.log().splitlines() if "here is 1 " in x)
    os.kill(int(line.split("] [")[1].split("]")[0]), signal.SIGTERM)
    s.wait_log("here is 1 leader True", count=2)
    assert s.log_count("here is 3") == 0
