# SPDX-License-Identifier: MIT
"""Access lines that are written together: none is lost, torn, twice, late or
out of order, whatever ends their worker."""
import collections
import contextlib
import fcntl
import os
import pathlib
import re
import signal
import threading

import pytest

from harness import classes, processes
from harness.logcheck import lines
from harness.waiting import until

F_SETPIPE_SZ = 1031
CLASSES = {"sync": [], "one thread": ["-k", "gthread", "--threads", "1"],
           "threads": ["-k", "gthread", "--threads", "3"]}
DEATHS = {"kill": "was sent SIGKILL", "exit": r"exited with code 3",
          "crash": "SIGABRT|Abort|Stacks of worker"}
APP = """
import os, pathlib, signal, sys, time

class Slow:
    def __init__(self, name):
        self.name, self.items = name, iter([b"done"])

    def __iter__(self):
        return self.items

    def close(self):
        wait(self.name)

def wait(name):
    pathlib.Path(name + ".in").touch()
    while not pathlib.Path(name + ".go").exists():
        time.sleep(0.002)

def end(path):
    if path == "/kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif path == "/exit":
        os._exit(3)
    elif path == "/crash":
        os.abort()

def app(environ, start_response):
    path, name = environ["PATH_INFO"], environ["QUERY_STRING"]
    body = [b"done"]
    end(path)
    if path == "/block":
        wait(name)
    elif path == "/fork" and os.fork() == 0:
        os._exit(0)
    elif path == "/print":
        print("printed for", name, flush=True)
    elif path == "/close":
        body = Slow(name)
    elif path == "/late":
        wait(name)
        body = Slow(name + "-again")
    start_response("200 OK", [("Content-Length", "4")])
    return body
"""


def spooling(server, *args, access="access.log", **more):
    """On a unix socket: what is sent has arrived, in the order of sending,
    while TCP's loopback may put it off on one processor and not on another."""
    return server("ending:app", "--access-logfile", access, *args,
                  files={"ending.py": APP}, bind="unix", **more)


@contextlib.contextmanager
def warm(server, count):
    """That many connections that the server has accepted."""
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(server.connect()) for _ in range(count)]
        for peer in peers:
            peer.get("/warm").reply()
        yield peers


def is_stopped(pid):
    with open(f"/proc/{pid}/stat", "rb") as f:
        return f.read().rsplit(b")", 1)[1].split()[0] == b"T"


def sleeps(pid):
    """Whether all of its threads wait, one of them for events; "0": it runs,
    or what it waits for cannot be seen."""
    return processes.all_sleep(pid) and any(
        re.search(r"ep_poll|epoll|\A0\Z", p.read_text())
        for p in pathlib.Path(f"/proc/{pid}/task").glob("*/wchan"))


@contextlib.contextmanager
def at_once(pid):
    """What is sent meanwhile finds the worker asleep and comes in one pass, in
    the order in which it was sent."""
    until(lambda: sleeps(pid), "it has nothing left to do")
    os.kill(pid, signal.SIGSTOP)
    until(lambda: is_stopped(pid), "the worker stands still")
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def text(path):
    return path.read_text() if path.exists() else ""


def order(found):
    """What was asked for, line by line."""
    return re.findall(r'"GET (/\S*) HTTP/1.1" 200 4 "-" "-"$', found, re.M)


def asked(found):
    return collections.Counter(order(found))


def die_behind_others(s, how, name):
    """What five connections asked for and got before the sixth's request ended
    the worker. The kernel may tell of that one first."""
    with warm(s, 6) as peers:
        old = s.workers()
        with at_once(old[0]):
            for number, peer in enumerate(peers[:-1]):
                peer.get(f"/{name}?{number}")
            peers[-1].get(f"/{how}")
        found = [n for n, peer in enumerate(peers[:-1]) if answers(peer)]
    until(lambda: s.workers() not in ([], old), "a new worker")
    return [f"/{name}?{n}" for n in found]


@pytest.mark.parametrize("how", DEATHS)
@pytest.mark.parametrize("args", CLASSES.values(), ids=CLASSES)
def test_lines_of_finished_requests_survive_their_worker(server, args, how):
    s = spooling(server, *args, announced=[DEATHS[how]])
    log = s.folder / "access.log"
    for name in "abcde":
        answered = die_behind_others(s, how, name)
        if answered:
            break
    # threads that die with the worker may take requests with them, not lines
    assert answered or "3" in args
    s.get("/again")
    until(lambda: "/again" in text(log), "its line")
    found = asked(text(log))
    assert all(found[path] == 1 for path in answered), text(log)
    assert all(found[path] == 1 for path in found if "?" in path), text(log)


def test_lines_of_a_dead_worker_are_there_before_its_successor(server):
    s = spooling(server, "--error-logfile", "access.log",
                 errorlog="access.log", announced=[DEATHS["kill"]])
    with warm(s, 4) as peers:
        with at_once(s.workers()[0]):
            for path, peer in zip(("/1", "/2", "/3", "/kill"), peers):
                peer.get(path)
        assert all(answers(peer) for peer in peers[:-1])
        s.wait_log("Booting worker", count=2)
    found = re.findall(r"GET /([123]) |(SIGKILL)|(Booting)", s.log())
    assert ["".join(word) for word in found] == [
        "Booting", "1", "2", "3", "SIGKILL", "Booting"]


def answers(peer):
    try:
        return peer.reply().status == 200
    except (AssertionError, OSError):
        return False


@pytest.mark.parametrize("args", CLASSES.values(), ids=CLASSES)
def test_a_long_call_holds_no_earlier_line_back(server, args):
    s = spooling(server, *args)
    with warm(s, 3) as peers:
        with at_once(s.workers()[0]):
            peers[0].get("/one")
            peers[1].get("/two")
            peers[2].get("/block?long")
        until(lambda: {"/one", "/two"} <= set(asked(text(s.folder /
                                                         "access.log"))),
              "the lines of those that ended")
        (s.folder / "long.go").touch()
        assert peers[2].reply().body == b"done"


@pytest.mark.parametrize("args", CLASSES.values(), ids=CLASSES)
def test_a_reply_that_closes_slowly_has_its_line(server, args):
    s = spooling(server, *args)
    with warm(s, 1) as peers:
        assert peers[0].get("/close?slow").reply().body == b"done"
        until(lambda: (s.folder / "slow.in").exists(), "it closes")
        until(lambda: asked(text(s.folder / "access.log"))["/close?slow"] == 1,
              "its line")
        (s.folder / "slow.go").touch()
        assert peers[0].get("/one").reply().body == b"done"


@pytest.mark.parametrize("args", CLASSES.values(), ids=CLASSES)
def test_who_no_longer_leads_writes_its_line_itself(server, args):
    s = spooling(server, *args)
    with warm(s, 2) as peers:
        peers[0].get("/late?x")
        until(lambda: (s.folder / "x.in").exists(), "it is in there")
        # answered by a thread that leads from now on, or refused by relief
        assert peers[1].get("/one" if "3" in args else "*").reply()
        (s.folder / "x.go").touch()
        assert peers[0].reply().body == b"done"
        until(lambda: (s.folder / "x-again.in").exists(), "it closes")
        until(lambda: asked(text(s.folder / "access.log"))["/late?x"] == 1,
              "its line")
        (s.folder / "x-again.go").touch()
        assert peers[0].get("/one").reply().body == b"done"


def syscalls_that_write(pid):
    return int(re.search(r"syscw: (\d+)",
                         pathlib.Path(f"/proc/{pid}/io").read_text())[1])


@classes.needs_passes
def test_lines_of_one_pass_are_one_write(server):
    s = spooling(server)
    worker, log = s.wait_workers(1)[0], s.folder / "access.log"

    # a pass that is held up by other processes is written line by line
    def together():
        with warm(s, 16) as peers:
            until(lambda: asked(text(log))["/warm"] % 16 == 0, "all lines")
            seen, before = asked(text(log))["/one"], syscalls_that_write(worker)
            with at_once(worker):
                for peer in peers:
                    peer.get("/one")
            for peer in peers:
                peer.reply()
            until(lambda: asked(text(log))["/one"] == seen + 16, "16 lines")
            return syscalls_that_write(worker) - before < 8
    until(together, "fewer writes than lines")


def test_lines_of_one_connection_are_in_the_order_of_its_replies(server):
    s = spooling(server)
    with warm(s, 4) as peers:
        with at_once(s.workers()[0]):
            for number, peer in enumerate(peers):
                for i in range(10):
                    peer.get(f"/{number}?{i}")
        for peer in peers:
            for _ in range(10):
                peer.reply()
    found = order("\n".join(lines(s.folder / "access.log", 44)))
    for number in range(4):
        assert [p for p in found if p.startswith(f"/{number}?")] == [
            f"/{number}?{i}" for i in range(10)]


def test_a_request_at_a_time_has_its_line_behind_what_it_printed(server):
    s = spooling(server, "--error-logfile", "access.log", "--capture-output",
                 errorlog="access.log")
    with s.connect() as peer:
        for i in range(30):
            assert peer.get(f"/print?{i}").reply().body == b"done"
    until(lambda: asked(s.log())["/print?29"] == 1, "the last line")
    found = re.findall(r"printed for (\d+)|/print\?(\d+) ", s.log())
    assert found == [pair for i in range(30)
                     for pair in ((str(i), ""), ("", str(i)))]


def test_a_child_of_the_application_writes_no_line_of_its_parents(server):
    s = spooling(server)
    with warm(s, 6) as peers:
        with at_once(s.workers()[0]):
            for number, peer in enumerate(peers):
                peer.get(f"/one?{number}" if number < 4 else f"/fork?{number}")
        for peer in peers:
            assert peer.reply().body == b"done"
    s.stop()
    found = asked(text(s.folder / "access.log"))
    assert found == {"/warm": 6, **{f"/one?{n}": 1 for n in range(4)},
                     **{f"/fork?{n}": 1 for n in (4, 5)}}


class Clients:
    """Threads that ask for paths of their own, several at once each."""

    def __init__(self, server, count=4, width=6):
        self.server, self.width = server, width
        self.paths, self.failures = [], []
        self.halt = threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(n,))
                        for n in range(count)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *exc):
        self.halt.set()
        for thread in self.threads:
            thread.join()
        assert self.failures == []

    def _run(self, number):
        try:
            with warm(self.server, self.width) as peers:
                for i in range(400):
                    if self.halt.is_set():
                        break
                    self._ask(peers, f"/{number}?{i}-")
        except (AssertionError, OSError) as e:
            self.failures.append(e)

    def _ask(self, peers, path):
        for n, peer in enumerate(peers):
            peer.get(f"{path}{n}")
        for n, peer in enumerate(peers):
            assert peer.reply().body == b"done"
            self.paths.append(f"{path}{n}")

    def wait_answers(self, more):
        goal = len(self.paths) + more
        until(lambda: len(self.paths) >= goal or self.failures,
              "more answers")


def test_workers_that_share_a_pipe_tear_no_line(server, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(reader, F_SETPIPE_SZ, 1 << 20)  # nobody has to be in time
    s = spooling(server, "-w", "4", access=str(tmp_path / "pipe"))
    with Clients(s, count=4, width=8) as clients:
        clients.wait_answers(2000)
        clients.halt.set()
    s.stop()
    found = os.read(reader, 1 << 20).decode()
    os.close(reader)
    assert "lines were lost" not in s.log()
    assert all(re.fullmatch(r'\S* - - \[[^]]*\] "GET /\S* HTTP/1\.1" '
                            r'200 4 "-" "-"', line)
               for line in found.splitlines()), found
    wanted = collections.Counter(clients.paths)
    wanted["/warm"] = 4 * 8
    assert asked(found) == wanted


def all_lines(folder, pattern):
    return "".join(text(p) for p in sorted(folder.glob(pattern)))


@pytest.mark.parametrize("args", CLASSES.values(), ids=CLASSES)
def test_rotating_under_load_loses_and_repeats_no_line(server, args):
    s = spooling(server, "-w", "2", *args)
    log = s.folder / "access.log"
    with Clients(s) as clients:
        for number in range(5):
            clients.wait_answers(100)
            log.rename(s.folder / f"access.log.{number}")
            s.signal("USR1")
            until(log.exists, "it is made anew")
            clients.wait_answers(100)
    s.stop()
    found = asked(all_lines(s.folder, "access.log*"))
    wanted = collections.Counter(clients.paths)
    assert found["/warm"] == 4 * 6
    del found["/warm"]
    assert found == wanted


def test_another_access_log_after_hup_loses_and_repeats_no_line(server):
    config = "accesslog = 'access.log.%d'\n"
    s = server("ending:app", "-w", "2", files={"ending.py": APP},
               config=config % 0)
    with s.connect() as first, s.connect() as second:
        first.get("/one").reply()
        second.get("/two").reply()
        (s.folder / "conf.py").write_text(config % 1)
        old = s.workers()
        s.signal("HUP")
        until(lambda: not set(old) & set(s.workers()), "new workers")
    s.get("/three")
    s.stop()
    assert asked(text(s.folder / "access.log.0")) == {"/one": 1, "/two": 1}
    assert asked(text(s.folder / "access.log.1")) == {"/three": 1}


def test_an_idle_worker_has_no_line_left(server):
    s = spooling(server)
    s.get("/one")
    lines(s.folder / "access.log", 1)
    pid = s.wait_workers(1)[0]
    s.announce("was sent SIGKILL")
    os.kill(pid, signal.SIGKILL)
    until(lambda: s.workers() not in ([], [pid]), "a new worker")
    s.stop()
    assert asked(text(s.folder / "access.log")) == {"/one": 1}
    assert not processes.is_running(pid)
