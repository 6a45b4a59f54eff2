# SPDX-License-Identifier: MIT
"""
What `events` and `why` say of each fault of docs/faults.md: the true cause, or
nothing where nothing was lost. docs/operators.md has the table for people.
"""
import ast
import os
import re
import resource
import signal
import socket

import pytest

from harness import classes, control, processes
from harness.blocked import Blocked
from harness.control import ask, deaths, events, told
from harness.server import HERE, ROOT
from harness.waiting import until

pytestmark = pytest.mark.skipif(
    classes.under_test() != "sync", reason="it is the master that tells")
FILE = "test_161_told_faults::"
# fault -> the test that asks a live server what it says of it
TOLD = {
    1: "test_119_operators::test_why_names_the_true_cause_of_a_death",
    2: "test_119_operators::test_why_names_the_true_cause_of_a_death",
    3: "test_68_memory::test_the_oom_killer_is_named_with_what_it_took",
    4: "test_119_operators::test_why_names_the_true_cause_of_a_death",
    5: FILE + "test_05_code_that_keeps_the_gil_is_a_timeout_with_its_stack",
    6: "test_119_operators::test_why_names_the_true_cause_of_a_death",
    7: "test_119_operators::test_why_names_the_true_cause_of_a_death",
    8: "test_119_operators::test_events_tell_what_was_done_and_why_it_failed",
    9: FILE + "test_09_workers_that_keep_dying_are_told_with_the_pause",
    12: "test_47_faults::test_12_a_fork_that_fails_is_tried_again_and_nothing_stops",
    13: FILE + "test_13_42_a_reload_that_cannot_be_says_what_is_in_its_way",
    14: "test_119_operators::test_events_tell_what_was_done_and_why_it_failed",
    15: FILE + "test_15_each_reload_of_a_storm_has_its_end",
    16: FILE + "test_16_17_18_an_upgrade_and_what_ended_it_are_told",
    17: FILE + "test_16_17_18_an_upgrade_and_what_ended_it_are_told",
    18: FILE + "test_16_17_18_an_upgrade_and_what_ended_it_are_told",
    20: FILE + "test_20_34_a_worker_that_does_not_stop_and_the_stop_are_told",
    21: "test_119_operators::test_events_tell_what_was_done_and_why_it_failed",
    22: FILE + "test_22_a_log_that_cannot_be_opened_again_is_told",
    29: FILE + "test_29_an_address_in_use_is_told_when_it_was_free_at_last",
    34: FILE + "test_20_34_a_worker_that_does_not_stop_and_the_stop_are_told",
    40: "test_47_faults::test_40_a_worker_without_threads_does_not_boot_and_says_why",
    41: FILE + "test_13_42_a_reload_that_cannot_be_says_what_is_in_its_way",
    42: FILE + "test_13_42_a_reload_that_cannot_be_says_what_is_in_its_way",
    43: "test_46_hooks::test_preload_loads_once_and_names_what_cannot_be_forked",
}
# nobody is left to ask, or the server never was: standard error has the reason
NOBODY = {10, 11, 19, 44}
# nothing is lost, so there is nothing to tell
NOTHING = {23, 24, 25, 26, 27, 28, 30, 31, 32, 33, 35, 36, 37, 38, 39}

APP = """
import ctypes, os, signal, time

def with_the_gil():
    mutex = ctypes.create_string_buffer(128)  # PTHREAD_MUTEX_INITIALIZER
    for _ in range(2):
        ctypes.PyDLL(None).pthread_mutex_lock(mutex)

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/gil":
        with_the_gil()
    if path == "/block":
        name = environ["QUERY_STRING"]
        open(name + ".in", "w").close()
        while not os.path.exists(name + ".go"):
            time.sleep(0.002)
    if path == "/command":
        os.system("true")
    if path == "/deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
FILES = {"app.py": APP}


def numbers(text):
    """"(1, 2)" and "3 to 5", as numbers."""
    found = set()
    for a, b in re.findall(r"\b(\d+)(?: to (\d+))?\b", text):
        found |= set(range(int(a), int(b or a) + 1))
    return found


def test_each_fault_is_told_somewhere_or_has_nothing_to_tell():
    assert not set(TOLD) & (NOBODY | NOTHING)
    assert sorted(set(TOLD) | NOBODY | NOTHING) == list(range(1, 45))
    for test in TOLD.values():
        file, name = test.split("::")
        source = (HERE / f"{file}.py").read_text()
        found = [ast.get_source_segment(source, node) for node in ast.parse(source).body
                 if isinstance(node, ast.FunctionDef) and node.name == name]
        assert len(found) == 1, f"{test} is not there"
        assert re.search(r"\b(told|deaths|events)\(", found[0]), test


def test_the_page_for_operators_says_the_same():
    page = (ROOT / "docs/operators.md").read_text()
    part = page.split("## What `events` and `why` say")[1].split("\n## ")[0]
    rows = re.findall(r"^\| ([^|]*) \|", part, re.M)
    in_table = set().union(*(numbers(" ".join(re.findall(r"\(([\d, ]+)\)", row)))
                             for row in rows))
    assert in_table == set(TOLD)
    below = numbers(" ".join(re.findall(r"\(([^)]*\d[^)]*)\)",
                                        part.rsplit("|\n\n", 1)[1])))
    assert below == NOBODY | NOTHING


# ---- deaths ----


def test_05_code_that_keeps_the_gil_is_a_timeout_with_its_stack(server):
    s = server("app:app", "-t", "1", files=FILES,
               announced=["WORKER TIMEOUT", "is running", "Stacks of worker"])
    pid = s.wait_workers(1)[0]
    with s.connect() as peer:
        peer.get("/gil")
        death = until(lambda: deaths(s), "it is dead")[0]
    assert (death["pid"], death["cause"]) == (pid, "timeout")
    assert "It was silent for longer than timeout" in death["text"]
    assert "GET /gil" in death["story"] and "in with_the_gil" in death["story"]
    told(s, "timeout", rf"WORKER TIMEOUT \(pid:{pid}\)")
    # what the log says beside it is the story of that death, no other trouble
    assert [e["text"] for e in events(s) if e["kind"] == "trouble"] == []


def test_09_workers_that_keep_dying_are_told_with_the_pause(server):
    s = server("loop:app", start=False, announced=["exited", "ended"],
               files={"loop.py": "import os\nos._exit(7)\n"})
    until(lambda: control.channel_of(s.pid), "the channel is open")
    told(s, "trouble", r"3 workers in a row ended .*: the next one is started in")
    assert {(d["cause"], re.sub(r"\d+\)", "N)", d["text"])) for d in deaths(s)} \
        == {("exit", "Worker (pid:N) exited with code 7.")}
    assert s.stop() == 0


def test_20_34_a_worker_that_does_not_stop_and_the_stop_are_told(server):
    s = server("app:app", "--graceful-timeout", "1", files=FILES,
               announced=["SIGKILL", "graceful timeout"])
    pid = int(s.get("/deaf").body)
    ask(s, "recycle", pid)
    told(s, "recycle", rf"{pid}")
    death = until(lambda: deaths(s), "it is dead")[0]
    assert (death["pid"], death["cause"]) == (pid, "stop")
    assert "It did not stop in time" in death["text"]
    with s.connect() as peer:
        Blocked(s, peer, "one")
        s.signal("TERM")
        told(s, "stop", "Finishing requests")
    assert s.wait() == 0


# ---- reloads and upgrades ----


def test_13_42_a_reload_that_cannot_be_says_what_is_in_its_way(server, tmp_path):
    s = server("app:app", files=FILES, config="workers = 1\n",
               announced=["Reload failed", "SyntaxError", "no disk"])
    for config, reason in (
            ("workers = 'many'\n", "many"),
            ("raise OSError('no disk')\n", "no disk"),
            ("keyfile = certfile = 'no.pem'\n", r"no\.pem"),
            ("user = 'no-such-user'\n", "no-such-user")):
        (s.folder / "conf.py").write_text(config)
        before = len([e for e in events(s) if e["kind"] == "rolled-back"])
        s.signal("HUP")
        until(lambda: len([e for e in events(s) if e["kind"] == "rolled-back"])
              > before, lambda: f"{config} is refused: {s.tail()}")
        last = [e for e in events(s) if e["kind"] == "rolled-back"][-1]
        assert re.search(reason, last["text"]), (config, last)
    # a file of the application that is half written
    (s.folder / "conf.py").write_text("workers = 3\n")
    (s.folder / "app.py").write_text(APP[:-20])
    s.announce("Exception in worker")
    s.signal("HUP")
    told(s, "rolled-back", r"SyntaxError.*app\.py")
    until(lambda: len(s.workers()) == 1, "the new ones have gone")
    # also of those that were told to stop when the first of them had failed
    assert {d["cause"] for d in deaths(s)} == {"boot"}
    assert "SyntaxError" in deaths(s)[-1]["story"]
    assert s.get("/").status == 200


def test_15_each_reload_of_a_storm_has_its_end(server):
    s = server("app:app", "-w", "2", files=FILES)
    until(lambda: control.status(s)["serving"], "it serves")
    for _ in range(12):
        s.signal("HUP")
    s.wait_log("Hang up: Master")

    def over():
        now = control.status(s)
        return now["reloads_begun"] == now["reloads_ended"] > 0
    s.wait_log("Reload done")
    # a signal that waited for the end of one begins the next at once
    until(lambda: over() and over(), "no reload is under way")
    kinds = [e["kind"] for e in events(s)]
    assert kinds.count("reload") == kinds.count("reloaded") > 0
    assert "death" not in kinds and "trouble" not in kinds


def test_16_17_18_an_upgrade_and_what_ended_it_are_told(server):
    s = server("app:app", "-D", "-p", "server.pid", "--error-logfile", "e.log",
               files=FILES, daemon=True, errorlog="e.log")

    def begin():
        s.signal("USR2")
        new = until(lambda: control.status(s)["new_master_pid"], "it is forked")
        told(s, "upgrade", rf"New master started \(pid:{new}\)")
        until(lambda: control.channel_of(new), "it answers")
        return new
    new = begin()
    s.signal("USR2")
    told(s, "trouble", "USR2 signal ignored. Child exists")
    s.signal("WINCH")
    until(lambda: not control.status(s)["workers"], "its workers have left")
    told(s, "scale", r"0 workers \(before: 1\)")
    os.kill(new, signal.SIGKILL)
    told(s, "trouble", rf"The new master \(pid:{new}\) was sent SIGKILL: this "
         "one keeps serving")
    told(s, "scale", r"1 workers \(before: 0\)")  # backed out
    until(lambda: s.get("/").status == 200, "its workers are back")
    (s.folder / "app.py").write_text("raise RuntimeError('no database')\n")
    s.announce("Exception in worker", "Traceback")
    s.signal("USR2")
    told(s, "trouble", r"The new master \(pid:\d+\) exited with code 3: this "
         "one keeps serving")
    assert s.get("/").status == 200


# ---- what surrounds it ----


def test_22_a_log_that_cannot_be_opened_again_is_told(server):
    s = server("app:app", "--error-logfile", "log/error.log",
               files={**FILES, "log/.keep": ""}, errorlog="log/error.log")
    (s.folder / "log").rename(s.folder / "gone")
    s.errorlog = s.folder / "gone" / "error.log"
    s.signal("USR1")
    told(s, "trouble", r"cannot reopen, the old file stays: .*log/error\.log")


def test_29_an_address_in_use_is_told_when_it_was_free_at_last(server):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        s = server("app:app", "--bind", f"127.0.0.1:{port}", bind=None,
                   start=False, files=FILES)
        s.wait_log("Connection in use")
    s.wait_log("Listening at")
    until(lambda: control.channel_of(s.pid), "the channel is open")
    told(s, "trouble", rf"Connection in use: \('127\.0\.0\.1', {port}\)")
    told(s, "serving", "")


def test_what_costs_nothing_is_no_event(server):
    """Faults of clients and surroundings, one after the other."""
    s = server("app:app", "-w", "2", "-p", "server.pid", files=FILES)
    until(lambda: control.status(s)["serving"], "it serves")
    workers = sorted(s.wait_workers(2))
    for _ in range(5):  # 26
        peer = s.connect()
        peer.get("/").head()
        peer.reset()
    (s.folder / "server.pid").write_text("1\n")  # 27
    assert s.get("/command").status == 200  # 33
    with s.connect() as first:  # 39
        pid = int(first.get("/").reply().body)
        used = len(processes.open_descriptors(pid))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + 3, 4096))
        peers = [s.connect() for _ in range(10)]
        assert first.get("/").reply().status == 200
        for peer in peers:
            peer.close()
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (4096, 4096))
    assert s.get("/").status == 200
    assert [e["kind"] for e in events(s)] == ["start", "serving"]
    assert deaths(s) == [] and sorted(s.workers()) == workers
