# SPDX-License-Identifier: MIT
"""USR2 while a worker does what it can against it: what both masters share,
the name of the second pidfile, processes that outlive their master."""
import os
import pathlib
import pwd
import shutil
import signal
import tempfile

import pytest

from harness import embedded, processes
from harness.waiting import until

APP = r"""
import os, signal, socket, stat

def descriptors():
    for name in os.listdir("/proc/self/fd"):
        try:
            yield int(name), os.readlink("/proc/self/fd/" + name)
        except OSError:
            pass

def jam():
    # event descriptors full, and whoever writes to one waits
    n = 0
    for fd, target in descriptors():
        if "eventfd" in target:
            os.set_blocking(fd, False)
            try:
                os.read(fd, 8)
            except OSError:
                pass
            os.write(fd, (2**64 - 2).to_bytes(8, "little"))
            os.set_blocking(fd, True)
            n += 1
    return n

def jam_and_die():
    jam()
    os.kill(os.getpid(), signal.SIGKILL)

def shut():
    n = 0
    for fd, target in descriptors():
        if target.startswith("socket:"):
            with socket.socket(fileno=os.dup(fd)) as s:
                if s.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    s.shutdown(socket.SHUT_RDWR)
                    n += 1
    return n

def outlive():
    # a process that has all descriptors, hears no signal and is nobody's child
    if os.fork() == 0:
        os.setsid()
        if os.fork() != 0:
            os._exit(0)
        for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_IGN)
        with open("outlives", "w") as f:
            f.write(str(os.getpid()))
        signal.pause()
        os._exit(0)
    return os.wait()[1]

def deaf():
    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.Signals)
    return 1

def plant_link():
    os.symlink("victim", "shop.pid.2")
    return 1

def plant_pipe():
    os.mkfifo("shop.pid.2")
    return 1

def plant_folder():
    os.mkdir("shop.pid.2")
    return 1

def app(environ, start_response):
    attack = globals().get(environ["PATH_INFO"][1:])
    body = b"%d" % (attack() if attack is not None else os.getppid())
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


def answer(server, path="/"):
    """What it says, or None while nobody answers."""
    try:
        return int(server.get(path).body)
    except (OSError, ValueError, AssertionError, EOFError):
        return None


def answers(server, pid):
    until(lambda: answer(server) == pid,
          lambda: f"{pid} answers; the log is:\n" + server.tail())


def end(pid, name="TERM"):
    os.kill(pid, getattr(signal, "SIG" + name))
    return processes.reap(pid)


@pytest.fixture
def old(server):
    def make(*args, **options):
        s = server("shop:app", "-w", "2", "--pid", "shop.pid",
                   "--graceful-timeout", "2", *args, files={"shop.py": APP},
                   **options)
        s.wait_log("Booting worker", 2)
        s.announce("a worker has made the descriptor", "was sent SIGKILL",
                   r"The listening socket .* was shut down", "made anew",
                   r"Worker \(pid:\d+\)", "still runs", "unexpectedly")
        return s
    return make


def upgraded(s):
    """The pid of the new master, when it has its workers."""
    s.signal("USR2")
    path = s.folder / "shop.pid.2"
    pid = int(until(lambda: path.exists() and path.read_text(),
                    lambda: "the second pidfile:\n" + s.tail()))
    until(lambda: len(processes.children(pid)) == 2,
          lambda: "the new master's workers:\n" + s.tail())
    return pid


def new_alone(s, new):
    """The old one ends, the new one serves, and ends itself."""
    assert s.stop() == 0
    answers(s, new)
    assert end(new) == 0


@pytest.mark.parametrize("attack", ["jam", "jam_and_die", "deaf"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_what_a_worker_jams_stops_neither_master(old, attack, when):
    s = old()
    if when == "before":
        answer(s, "/" + attack)
    new = upgraded(s)
    if when == "after":
        answer(s, "/" + attack)
    until(lambda: answer(s) is not None, "one of them serves")
    new_alone(s, new)


@pytest.mark.parametrize("bind", ["tcp", "unix"])
def test_listeners_that_are_shut_while_both_serve_serve_again(old, bind):
    s = old(bind=bind)
    new = upgraded(s)
    until(lambda: answer(s, "/shut") == 1, "it is shut")
    until(lambda: answer(s) is not None,
          lambda: "one of them serves; the log is:\n" + s.tail())
    new_alone(s, new)


def test_a_process_that_outlives_its_worker_keeps_neither_master(old):
    s = old()
    assert answer(s, "/outlive") == 0
    stays = int(until(lambda: (s.folder / "outlives").exists()
                      and (s.folder / "outlives").read_text(), "its pid"))
    try:
        new_alone(s, upgraded(s))
    finally:
        os.kill(stays, signal.SIGKILL)


@pytest.fixture
def of_nobody(old, other_user):
    """The master is root's, the folder its workers'; a file of root's in it."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    if not embedded.is_for_everybody():
        pytest.skip("only root reaches the library of " + embedded.executable())
    nobody = pwd.getpwnam("nobody")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="cgunicorn-test-"))
    (folder / "victim").write_text("root's")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    yield old("--user", "nobody", "--group", str(nobody.pw_gid), folder=folder)
    assert (folder / "victim").read_text() == "root's"
    shutil.rmtree(folder)


def test_a_link_where_the_second_pidfile_comes_is_replaced(of_nobody):
    s = of_nobody
    assert answer(s, "/plant_link") == 1
    s.signal("USR2")
    path = s.folder / "shop.pid.2"
    until(lambda: not path.is_symlink() and path.exists(), "a file of its own")
    new = int(path.read_text())
    until(lambda: len(processes.children(new)) == 2, "its workers")
    new_alone(s, new)


@pytest.mark.parametrize("attack", ["plant_pipe", "plant_folder"])
def test_what_is_no_file_where_the_second_pidfile_comes_stays(
        of_nobody, attack):
    s = of_nobody
    s.announce("pid.2", "exited with code", "new master")
    assert answer(s, "/" + attack) == 1
    s.signal("USR2")
    s.wait_log(r"shop\.pid\.2")
    until(lambda: s.log_count("new master .*exited"),
          lambda: "the new master gives up:\n" + s.tail())
    answers(s, s.pid)
    assert os.path.lexists(s.folder / "shop.pid.2")
    assert s.stop() == 0
