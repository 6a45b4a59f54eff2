# SPDX-License-Identifier: MIT
"""USR2: a new master beside the old one, in gunicorn's protocol."""
import os
import select
import shutil
import signal
import socket
import threading

import pytest

from harness import classes, processes, wire
from harness.load import Load
from harness.server import command
from harness.waiting import DEADLINE, until

PID = """\
import os

def app(environ, start_response):
    body = b"%d %s" % (os.getppid(), os.environ.get("GUNICORN_PID", "-").encode())
    start_response("200 OK", [("Content-Type", "text/plain"),
                              ("Content-Length", str(len(body)))])
    return [body]
"""


def text(path):
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


def masters_that_answer(server, count=40):
    return {int(server.get("/").body.split()[0]) for _ in range(count)}


def new_master(server, name="shop.pid", workers=1):
    """The pid of the new master once it has its workers."""
    path = server.folder / (name + ".2")
    pid = int(until(lambda: text(path),
                    lambda: "the second pidfile:\n" + server.tail()))
    until(lambda: len(processes.children(pid)) == workers,
          lambda: "the new master's workers:\n" + server.tail())
    return pid


def end(pid, name="TERM"):
    os.kill(pid, getattr(signal, "SIG" + name))
    return processes.reap(pid)


@pytest.fixture
def upgrade(server):
    """A server with a new master beside it."""
    def make(*args, **options):
        options.setdefault("files", {"shop.py": PID})
        s = server("shop:app", "--pid", "shop.pid", *args, **options)
        s.get("/")
        s.signal("USR2")
        return s, new_master(s)
    return make


@pytest.mark.parametrize("bind", ["tcp", "tcp6", "unix"])
def test_the_new_master_takes_over_when_the_old_one_is_stopped(upgrade, bind):
    s, new = upgrade(bind=bind)
    assert text(s.folder / "shop.pid") == f"{s.pid}\n"
    assert processes.command_line(new) == "gunicorn: master [shop:app.2]"
    # they stay when it is promoted, and nobody else can change their titles
    worker = processes.children(new)[0]
    until(lambda: processes.command_line(worker) == "gunicorn: worker [shop:app]",
          lambda: "its worker's title; it is " + processes.command_line(worker))
    assert s.stop() == 0
    s.wait_log(rf"\[{new}\] \[INFO\] Master has been promoted\.")
    until(lambda: text(s.folder / "shop.pid") == f"{new}\n", "its pidfile")
    until(lambda: not (s.folder / "shop.pid.2").exists(), "no other pidfile")
    assert masters_that_answer(s) == {new}
    until(lambda: processes.command_line(new) == "gunicorn: master [shop:app]",
          lambda: "its title; it is " + processes.command_line(new))
    assert end(new) == 0
    assert not (s.folder / "shop.pid").exists()
    if bind == "unix":
        assert not os.path.exists(s.address), "the last one removes the socket"


def test_an_upgrade_under_load_loses_nothing(server):
    s = server("shop:app", "-w", "2", "--pid", "shop.pid",
               files={"shop.py": PID})
    s.wait_workers(2)
    with Load(s.address, clients=4, keep=True) as keep, \
            Load(s.address, clients=3) as single:
        keep.wait_answers(50)
        s.signal("USR2")
        new = new_master(s, workers=2)
        single.wait_answers(50)
        assert s.stop() == 0
        single.wait_answers(50)
        keep.wait_answers(50)
    assert keep.lost == [] and single.lost == []
    assert end(new) == 0


def test_upgrades_follow_one_another(upgrade):
    s, first = upgrade()
    assert s.stop() == 0
    until(lambda: text(s.folder / "shop.pid") == f"{first}\n", "promoted")
    os.kill(first, signal.SIGUSR2)
    second = new_master(s)
    assert end(first) == 0
    until(lambda: text(s.folder / "shop.pid") == f"{second}\n", "promoted")
    assert masters_that_answer(s) == {second}
    assert end(second) == 0


def test_a_new_master_is_promoted_when_nobody_reaps_the_old_one(upgrade):
    """As below a PID 1 that waits for nobody: a zombie is no old master."""
    s, new = upgrade(announced=["was sent SIGKILL"])
    os.kill(s.pid, signal.SIGKILL)
    s.wait_log(rf"\[{new}\] \[INFO\] Master has been promoted\.")
    assert os.waitid(os.P_PID, s.pid, os.WEXITED | os.WNOWAIT), "a zombie"
    until(lambda: text(s.folder / "shop.pid") == f"{new}\n", s.tail)
    until(lambda: not (s.folder / "shop.pid.2").exists(), "one file is left")
    assert masters_that_answer(s) == {new}
    os.kill(new, signal.SIGUSR2)  # nothing is left of its first name
    newest = new_master(s)
    assert end(new) == 0
    until(lambda: text(s.folder / "shop.pid") == f"{newest}\n", s.tail)
    assert end(newest) == 0
    assert s.wait() == -signal.SIGKILL


@processes.needs_root_and_unshare("--pid", "--fork", "--mount-proc")
def test_pid_1_may_be_upgraded_too(server, monkeypatch):
    """It is the parent that is 1, in a container, and no orphan's."""
    plain = os.path.abspath(command()[0])
    monkeypatch.setenv("CGUNICORN", " ".join(
        ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", plain]))
    s = server("shop:app", "--pid", "shop.pid", files={"shop.py": PID})
    until(lambda: s.get("/").status == 200, "it answers")
    first = processes.children(s.pid)[0]
    os.kill(first, signal.SIGUSR2)
    pid_2 = s.wait_log(r"\[(\d+)\] \[INFO\] Starting cgunicorn", 2)
    until(lambda: text(s.folder / "shop.pid.2") == f"{pid_2}\n", s.tail)
    assert text(s.folder / "shop.pid") == "1\n"
    until(lambda: masters_that_answer(s) == {1, int(pid_2)},
          "both masters answer")
    os.kill(first, signal.SIGTERM)
    assert s.wait() == 0


def test_the_new_master_may_be_stopped_instead(upgrade):
    s, new = upgrade()
    os.kill(new, signal.SIGTERM)
    s.wait_log(rf"The new master \(pid:{new}\) has ended")
    s.wait_log("Shutting down: Master.2")
    until(lambda: not (s.folder / "shop.pid.2").exists(), "no other pidfile")
    assert masters_that_answer(s) == {s.pid}
    s.signal("USR2")  # and it may be tried again
    again = new_master(s)
    assert s.stop() == 0
    assert end(again) == 0


def test_a_second_usr2_is_ignored_by_both(upgrade):
    s, new = upgrade()
    s.signal("USR2")
    s.wait_log(r"\[WARNING\] USR2 signal ignored. Child exists\.")
    os.kill(new, signal.SIGUSR2)
    s.wait_log(r"\[WARNING\] USR2 signal ignored. Parent exists\.")
    assert s.stop() == 0
    assert end(new) == 0


def test_the_new_master_runs_the_new_configuration_and_code(server):
    s = server("shop:app", "--pid", "shop.pid", config="workers = 1\n",
               files={"shop.py": PID})
    s.wait_workers(1)
    (s.folder / "conf.py").write_text("workers = 3\n")
    s.signal("USR2")
    new = new_master(s, workers=3)
    # the new master is a child of the old one, beside its worker
    assert set(s.workers()) > {new} and len(s.workers()) == 2
    assert s.stop() == 0
    assert end(new) == 0


@pytest.mark.parametrize("break_it, code, told", [
    ({"shop.py": "import no_such_module\n"}, 3, "no_such_module"),
    ({"shop.py": "application = 1\n"}, 4, "Failed to find attribute"),
    ({"conf.py": "workers = 'many'\n"}, 1, "many"),
])
def test_a_new_master_that_fails_leaves_the_old_one_serving(
        server, break_it, code, told):
    s = server("shop:app", "--pid", "shop.pid", config="workers = 1\n",
               files={"shop.py": PID}, announced=["Exception in worker"])
    workers = s.wait_workers(1)
    s.get("/")
    for name, content in break_it.items():
        (s.folder / name).write_text(content)
    s.signal("USR2")
    s.wait_log(r"\[ERROR\] The new master \(pid:\d+\) exited with code "
               rf"{code}: this one keeps serving")
    assert told in s.log()
    assert s.workers() == workers
    until(lambda: not (s.folder / "shop.pid.2").exists(), "no other pidfile")
    assert masters_that_answer(s, 5) == {s.pid}


def test_a_killed_new_master_leaves_the_old_one_and_no_pidfile(upgrade):
    s, new = upgrade()
    os.kill(new, signal.SIGKILL)
    s.wait_log(rf"The new master \(pid:{new}\) was sent SIGKILL")
    until(lambda: not (s.folder / "shop.pid.2").exists(), "its file is gone")
    until(lambda: len(s.workers()) == 1, "its workers are gone")
    assert masters_that_answer(s, 5) == {s.pid}


def test_pre_exec_runs_in_the_new_process_and_may_change_what_is_run(server):
    s = server("shop:app", "--pid", "shop.pid", files={"shop.py": PID},
               config="""\
import os

def pre_exec(server):
    server.log.info("pre_exec in %d of %d", os.getpid(), os.getppid())
    server.START_CTX["args"] = server.START_CTX["args"] + ["--name", "second"]
""")
    s.get("/")
    s.signal("USR2")
    new = new_master(s)
    s.wait_log(rf"pre_exec in {new} of {s.pid}")
    until(lambda: processes.command_line(new) == "gunicorn: master [second.2]",
          lambda: "its title; it is " + processes.command_line(new))
    assert s.stop() == 0
    assert end(new) == 0


def test_a_pre_exec_that_raises_leaves_the_old_master(server):
    s = server("shop:app", files={"shop.py": PID},
               announced=["ZeroDivisionError"], config="""\
def pre_exec(server):
    1 / 0
""")
    s.get("/")
    s.signal("USR2")
    s.wait_log("the new master cannot be started: (.|\n)*ZeroDivisionError")
    s.wait_log("this one keeps serving")
    assert s.get("/").status == 200


def test_the_variables_of_the_protocol_do_not_stay(upgrade):
    s, new = upgrade()
    assert s.stop() == 0
    s.wait_log("Master has been promoted")
    os.kill(new, signal.SIGHUP)
    until(lambda: s.get("/").body.split()[1] == b"-",
          "new workers see no GUNICORN_PID")
    assert end(new) == 0


def test_a_promoted_master_reloads_with_its_inherited_sockets(upgrade):
    s, new = upgrade()
    assert s.stop() == 0
    s.wait_log("Master has been promoted")
    old = processes.children(new)
    os.kill(new, signal.SIGHUP)
    until(lambda: processes.children(new)
          and not set(old) & set(processes.children(new)), "new workers")
    assert masters_that_answer(s, 5) == {new}
    assert end(new) == 0


def test_a_broken_list_of_descriptors_is_named(run):
    r = run("shop:app", files={"shop.py": PID},
            env={"GUNICORN_FD": "3,x"})
    assert r.status == 1
    r.line_with("GUNICORN_FD", "3,x")
    r = run("shop:app", env={"GUNICORN_FD": "77"})
    assert r.status == 1
    r.line_with("GUNICORN_FD", "77", "not open")


# ---- daemons: WINCH and back ----


@pytest.fixture
def daemon(server):
    def make(*args, **options):
        return server("shop:app", "-D", "--pid", "server.pid",
                      "--error-logfile", "error.log", *args, daemon=True,
                      errorlog="error.log", files={"shop.py": PID}, **options)
    return make


def test_winch_then_quit_completes_an_upgrade_of_a_daemon(daemon):
    s = daemon()
    s.get("/")
    old = s.workers()
    s.signal("USR2")
    new = new_master(s, "server.pid")
    s.signal("WINCH")
    s.wait_log("graceful stop of workers")
    processes.wait_gone(old[0], "the old worker")
    assert masters_that_answer(s, 5) == {new}
    assert s.stop("QUIT") == 0
    s.wait_log("Master has been promoted")
    assert masters_that_answer(s, 5) == {new}
    assert end(new) == 0


def test_hup_to_the_old_daemon_brings_its_workers_back(daemon):
    s = daemon()
    s.get("/")
    s.signal("USR2")
    new = new_master(s, "server.pid")
    s.signal("WINCH")
    until(lambda: s.workers() == [new], "no worker of the old one is left")
    s.signal("HUP")
    until(lambda: len(s.workers()) == 2, "it has a worker again")
    os.kill(new, signal.SIGQUIT)
    s.wait_log(r"The new master \(pid:\d+\) has ended")
    assert masters_that_answer(s, 5) == {s.pid}
    assert text(s.folder / "server.pid") == f"{s.pid}\n"


def test_a_new_master_that_dies_after_winch_brings_the_workers_back(daemon):
    s = daemon()
    s.get("/")
    s.signal("USR2")
    new = new_master(s, "server.pid")
    s.signal("WINCH")
    until(lambda: s.workers() == [new], "no worker of the old one is left")
    os.kill(new, signal.SIGKILL)
    s.wait_log("the 1 workers from before WINCH come back")
    assert masters_that_answer(s, 5) == {s.pid}


# ---- with gunicorn itself; GUNICORN names its program ----

gunicorn = pytest.mark.skipif(
    not shutil.which(os.environ.get("GUNICORN", "no-gunicorn-named")),
    reason="the variable GUNICORN names no program")

SWITCH = """\
def pre_exec(server):
    server.START_CTX[0] = %r
    server.START_CTX["args"] = [%r] + server.START_CTX["args"][%d:]
"""


@gunicorn
def test_an_old_gunicorn_hands_over_to_us(server, monkeypatch):
    ours = str(os.path.realpath(os.environ.get("CGUNICORN", "./cgunicorn")))
    monkeypatch.setenv("CGUNICORN", os.environ["GUNICORN"])
    s = server("shop:app", "--pid", "shop.pid", files={"shop.py": PID},
               config=SWITCH % (ours, ours, 2))
    until(lambda: masters_that_answer(s, 1), "it answers")
    with Load(s.address, clients=3) as load:
        load.wait_answers(20)
        s.signal("USR2")
        path = s.folder / "shop.pid.2"
        new = int(until(lambda: text(path), lambda: s.tail()))
        s.wait_log("Starting cgunicorn")
        s.wait_log(rf"\[{new}\] \[INFO\] Listening at")
        s.wait_log("Booting worker", 2)
        load.wait_answers(50)
    os.kill(s.pid, signal.SIGTERM)
    assert s.wait() == 0
    s.wait_log("Master has been promoted")
    until(lambda: text(s.folder / "shop.pid") == f"{new}\n", "its pidfile")
    assert masters_that_answer(s, 5) == {new}
    assert end(new) == 0


@gunicorn
def test_we_hand_over_to_gunicorn(server):
    theirs = os.environ["GUNICORN"]
    python = os.path.join(os.path.dirname(theirs), "python")
    s = server("shop:app", "--pid", "shop.pid", files={"shop.py": PID},
               config="""\
def pre_exec(server):
    server.START_CTX[0] = %r
    server.START_CTX["args"] = [%r, %r] + server.START_CTX["args"][1:]
""" % (python, python, theirs))
    s.get("/")
    s.signal("USR2")
    s.wait_log("Starting gunicorn 2")
    path = s.folder / "shop.pid.2"
    new = int(until(lambda: text(path), lambda: s.tail()))
    until(lambda: new in masters_that_answer(s, 1), lambda: s.tail())
    assert s.stop() == 0
    s.wait_log("Master has been promoted")
    until(lambda: text(s.folder / "shop.pid") == f"{new}\n", "its pidfile")
    assert masters_that_answer(s, 5) == {new}
    assert end(new) == 0


# ---- two masters, one queue of connections ----

BLOCK = """\
import os, pathlib, time

def app(environ, start_response):
    if environ["PATH_INFO"] == "/block":
        pathlib.Path("in").touch()
        while not pathlib.Path("go").exists():
            os.sched_yield()  # no class lets others go on meanwhile
    body = b"%d" % os.getppid()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


class Swallow:
    """Takes wake-ups of a listener and does nothing about them, as a worker
    does that begins a long call then, or dies."""

    def __init__(self, listener):
        self.epoll = select.epoll()
        self.epoll.register(listener, select.EPOLLIN | select.EPOLLEXCLUSIVE)

    def connect(self, address):
        """A connection that waits and that nobody was told of."""
        woken = []
        thread = threading.Thread(
            target=lambda: woken.append(self.epoll.poll(DEADLINE)))
        thread.start()
        tid = thread.native_id
        until(lambda: sleeps_in_epoll(tid), "it waits for the wake-up")
        peer = wire.Peer(address)
        thread.join()
        assert woken[0]
        return peer


def sleeps_in_epoll(tid):
    with open(f"/proc/{tid}/wchan", encoding="ascii") as f:
        return f.read() in ("do_epoll_wait", "ep_poll")


@pytest.fixture
def swallowed(server):
    """Two masters, with a listener of which we hear first."""
    listener = socket.create_server(("127.0.0.1", 0))
    swallow = Swallow(listener)
    s = server("shop:app", "--pid", "shop.pid", "--bind",
               f"fd://{listener.fileno()}", bind=None,
               pass_fds=[listener.fileno()], files={"shop.py": BLOCK})
    s.address = listener.getsockname()
    s.get("/")
    s.signal("USR2")
    new = new_master(s)
    listener.close()
    for worker in {*s.workers(), *processes.children(new)} - {new}:
        until(lambda pid=worker: sleeps_in_epoll(pid), "it waits for clients")
    yield s, new, swallow
    (s.folder / "go").touch()
    assert s.stop() == 0
    assert end(new) == 0
    swallow.epoll.close()


def peer_of(s, master):
    """A warm connection of that master's worker."""
    peers = []

    def is_its():
        peers.append(s.connect())
        return int(peers[-1].get("/").reply().body) == master

    until(is_its, f"a connection of {master}")
    for peer in peers[:-1]:
        peer.close()
    return peers[-1]


@pytest.mark.parametrize("busy", ["old", "new"])
def test_no_connection_waits_while_the_other_masters_workers_are_idle(
        swallowed, busy):
    s, new, swallow = swallowed
    blocked, idle = (s.pid, new) if busy == "old" else (new, s.pid)
    peer = peer_of(s, blocked)
    waiting = swallow.connect(s.address)
    peer.get("/block")
    until(lambda: (s.folder / "in").exists(), "it is in the application")
    assert int(waiting.get("/").reply().body) == idle
    (s.folder / "go").touch()
    assert int(peer.reply().body) == blocked


@classes.needs_turns
def test_connections_are_shared_out_between_two_masters(swallowed):
    """Of one worker each, none of which is above the mean of its master's."""
    s, new, _ = swallowed
    peers, owners = [], []
    for _ in range(12):
        peers.append(s.connect())
        owners.append(int(peers[-1].get("/").reply().body))
    assert {s.pid, new} == set(owners)
    assert min(owners.count(s.pid), owners.count(new)) >= 3
