# SPDX-License-Identifier: MIT
"""A killed worker takes what it was running with it, and nothing else."""
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys

import pytest

from harness import classes, processes
from harness.blocked import APP as BLOCKING, Blocked, ask, pid_of, pinned
from harness.server import command
from harness.waiting import until

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
APP = """
import os, socket

held = []

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/wait":
        try:
            body = repr(os.waitpid(-1, os.WNOHANG))
        except ChildProcessError:
            body = "no child"
    elif path == "/port":
        s = socket.socket()
        s.bind(("127.0.0.1", int(environ["QUERY_STRING"])))
        held.append(s)
        body = "bound"
    else:
        body = "%d %s %s" % (os.getpid(), environ.get("REMOTE_ADDR"),
                             environ.get("REMOTE_PORT"))
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body.encode()]
"""


def start(server, *args, files=None, **kw):
    s = server("app:app", *args, files=files or {"app.py": APP}, **kw)
    s.announce("was sent SIGKILL")
    return s


def keepers(s):
    """Of all its workers."""
    return processes.keepers(s.pid)


def kill(s, pid):
    """Once it has ended what it was doing: a reply is out a moment before."""
    until(lambda: processes.all_sleep(pid), "the worker waits")
    kill_now(s, pid)


def kill_now(s, pid):
    os.kill(pid, signal.SIGKILL)
    until(lambda: pid not in s.workers(), "the worker is gone")


@pytest.mark.parametrize("bind", ["tcp", "unix"])
def test_a_connection_outlives_its_worker(server, bind):
    s = start(server, bind=bind)
    with s.connect() as peer:
        first = pid_of(ask(peer))
        before = ask(peer).body.split()[1:]
        for _ in range(3):
            kill(s, first)
            reply = ask(peer)
            assert pid_of(reply) not in (first, s.pid)
            assert reply.body.split()[1:] == before
            first = pid_of(reply)


def test_requests_that_nobody_has_read_are_answered(server):
    s = start(server, "-w", "2")
    victim, peers = pinned(s, count=4)
    fresh = [s.connect() for _ in range(4)]
    until(lambda: processes.all_sleep(victim), "the worker waits")
    os.kill(victim, signal.SIGSTOP)
    for peer in peers + fresh:
        peer.send(GET)
    kill_now(s, victim)
    for peer in peers + fresh:
        assert pid_of(peer.reply()) != victim


def test_many_outlive_it(server):
    s = start(server)
    peers = [s.connect() for _ in range(300)]
    victim = [pid_of(ask(peer)) for peer in peers][-1]
    for peer in peers[::2]:
        peer.send(GET)
        peer.reply()
    kill(s, victim)
    for peer in peers:
        peer.send(GET)
    assert victim not in [pid_of(peer.reply()) for peer in peers]


def test_a_request_under_way_is_lost_alone(server):
    s = start(server, files={"app.py": BLOCKING})
    peers = [s.connect() for _ in range(3)]
    victim = pid_of([ask(peer) for peer in peers][0])
    Blocked(s, peers[0], "b")
    kill(s, victim)
    peers[0].assert_closed()
    for peer in peers[1:]:
        assert pid_of(ask(peer)) != victim
    s.wait_log(r"took 1 request with it: GET /block\S* \(for .*\); 2 other "
               r"connections, of which those that waited for a request go to "
               r"other workers")


def test_half_a_request_is_lost_too(server):
    s = start(server)
    with s.connect() as peer:
        victim = pid_of(ask(peer))
        peer.send(GET[:20])
        until(lambda: peer.unread() == 0, "the worker has read it")
        kill(s, victim)
        peer.send_leniently(GET[20:] + GET)
        peer.assert_closed()


def test_a_preamble_is_not_lost(server):
    s = start(server, "--proxy-protocol", "auto", "--proxy-allow-from", "*")
    told, plain = s.connect(), s.connect()
    told.send(b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 2222\r\n" + GET)
    reply = told.reply()
    assert reply.body.split()[1:] == [b"192.0.2.1", b"1111"]
    assert pid_of(ask(plain)) == pid_of(reply)
    kill(s, pid_of(reply))
    told.assert_closed()  # nobody knows what it said
    assert ask(plain).body.split()[1] == b"127.0.0.1"


def both_serve(s):
    """One that still boots is nobody to leave anything to. New connections go
    to who has fewer, so they stay open until then."""
    with contextlib.ExitStack() as stack:
        seen = set()

        def two():
            seen.add(pid_of(ask(stack.enter_context(s.connect()))))
            return len(seen) == 2

        until(two, "both workers answer")


@pytest.mark.parametrize("name", ["TERM", "QUIT", "ABRT"])
def test_one_that_leaves_hands_its_connections_on(server, name):
    """No keeper is needed for that."""
    s = start(server, "-w", "2", "--no-connection-keeper", "--proxy-protocol",
              "auto", "--proxy-allow-from", "*")
    s.announce("exited with code 1", "was sent SIGABRT")
    both_serve(s)
    victim, peers = pinned(s, count=3)
    told = s.connect()
    told.send(b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 2222\r\n" + GET)
    told.reply()
    os.kill(victim, getattr(signal, f"SIG{name}"))
    until(lambda: victim not in s.workers(), "the worker has left")
    for peer in peers:
        reply = ask(peer)
        assert pid_of(reply) != victim
        assert reply.body.split()[1] == b"127.0.0.1"
        assert not reply.says_close()
    assert ask(told).body.split()[1:] == [b"192.0.2.1", b"1111"]


@pytest.mark.parametrize("name", ["QUIT", "ABRT"])
def test_the_only_one_that_leaves_at_once_leaves_them_to_the_next(server, name):
    s = start(server)
    s.announce("exited with code 1", "was sent SIGABRT")
    with s.connect() as peer:
        victim = pid_of(ask(peer))
        until(lambda: processes.all_sleep(victim), "the worker waits")
        os.kill(victim, getattr(signal, f"SIG{name}"))
        until(lambda: victim not in s.workers(), "the worker has left")
        assert pid_of(ask(peer)) != victim


def test_it_goes_with_its_worker(server):
    s = start(server, "-w", "2")
    s.wait_workers(2)
    old = until(lambda: len(keepers(s)) == 2 and keepers(s), "two keepers")
    s.signal("HUP")
    until(lambda: len(keepers(s)) == 2 and not set(old) & set(keepers(s)),
          "two others")
    now = keepers(s)
    s.signal("TERM")
    s.wait()
    assert not [p for p in old + now if processes.is_running(p)]


def test_it_is_gone_after_the_kill(server):
    s = start(server)
    victim = s.wait_workers(1)[0]
    keeper = until(lambda: keepers(s), "a keeper")[0]
    kill(s, victim)
    until(lambda: not processes.is_running(keeper), "the keeper has ended")


def test_signals_are_not_for_it(server):
    s = start(server)
    with s.connect() as peer:
        victim = pid_of(ask(peer))
        keeper = keepers(s)[0]
        for name in ("TERM", "INT", "QUIT", "HUP", "USR1", "USR2", "ABRT"):
            os.kill(keeper, getattr(signal, "SIG" + name))
        kill(s, victim)
        assert pid_of(ask(peer)) != victim


def test_the_application_does_not_wait_for_it(server):
    s = start(server)
    assert s.get("/wait").body == b"no child"


def ppid(pid):
    with open(f"/proc/{pid}/stat", "rb") as f:
        return int(f.read().rsplit(b")", 1)[1].split()[1])


def test_it_is_nobodys_child(server):
    """An application that ends its children, and a monitor that counts the
    master's, must not meet it."""
    s = start(server, "-w", "2")
    workers = s.wait_workers(2)
    found = until(lambda: len(keepers(s)) == 2 and keepers(s), "two keepers")
    until(lambda: not {ppid(p) for p in found} & {s.pid, *workers},
          "they are somebody else's")


def test_one_that_was_killed_is_replaced(server):
    s = start(server, "--log-level", "debug")
    with s.connect() as peer:
        victim = pid_of(ask(peer))
        for n in range(1, 3):
            keeper = until(lambda: keepers(s), "a keeper")[0]
            os.kill(keeper, signal.SIGKILL)
            s.wait_log(rf"\[DEBUG\] The keeper of this worker \(pid:\d+\) "
                       r"was killed: another one \(pid:\d+\) has its place",
                       count=n)
            assert len(keepers(s)) == 1 and keepers(s) != [keeper]
        assert pid_of(ask(peer)) == victim
        kill(s, victim)
        assert pid_of(ask(peer)) not in (victim, s.pid)


CLOSES = APP.replace('path == "/wait":', """path == "/close":
        body = ""
        for fd in os.listdir("/proc/self/fd"):
            try:
                if "pidfd" in os.readlink("/proc/self/fd/" + fd):
                    os.close(int(fd))
            except FileNotFoundError:
                pass
    elif path == "/wait":""")


@pytest.mark.parametrize("name", ["TERM", "KILL"])
def test_it_notices_the_end_without_its_descriptor(server, name):
    """The application may close what is in the table of both."""
    s = start(server, "-w", "2", files={"app.py": CLOSES})
    both_serve(s)
    with s.connect() as peer:
        victim = pid_of(ask(peer))
        assert peer.get("/close").reply().status == 200
        until(lambda: processes.all_sleep(victim), "the worker waits")
        os.kill(victim, getattr(signal, "SIG" + name))
        until(lambda: victim not in s.workers(), "the worker has left")
        assert pid_of(ask(peer)) != victim
    until(lambda: len(keepers(s)) == 2, "two keepers again, no more")


NANNY = """
import ctypes, signal, subprocess, sys
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # orphans come here, and stay
p = subprocess.Popen(sys.argv[1:])
signal.signal(signal.SIGTERM, lambda *_: p.terminate())
sys.exit(p.wait())
"""


def test_it_is_the_masters_where_nobody_waits_for_orphans(server, tmp_path):
    """Or each worker that is replaced would leave an entry in the table."""
    nanny = tmp_path / "nanny.py"
    nanny.write_text(NANNY)
    s = start(server, "--log-level", "debug", "--max-requests", "1",
              program=[sys.executable, str(nanny), *command()])
    master = int(re.search(r"Listening at: .*\((\d+)\)", s.log())[1])

    def told():
        s.get("/")
        return "Nobody waits for orphans here" in s.log()

    until(told, "the master has noticed")
    # one that leaves answers until its successor has booted
    until(lambda: s.get("/") and {ppid(p) for p in keepers(s)} == {master},
          "keepers are the master's")
    before = len(processes.zombies(s.pid))
    for _ in range(5):
        count = s.log_count("Booting worker")
        until(lambda c=count: s.get("/") and
              s.log_count("Booting worker") > c, "another worker")
    assert len(processes.zombies(s.pid)) <= before + 1
    until(lambda: not processes.zombies(master), "the master waits for them")


def test_what_else_the_worker_had_is_free(server):
    s = start(server)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with s.connect() as peer:
        victim = pid_of(ask(peer))
        for _ in range(3):
            assert peer.get(f"/port?{port}").reply().body == b"bound"
            kill(s, victim)
            victim = pid_of(ask(peer))


def test_without_it(server):
    s = start(server, "--no-connection-keeper")
    with s.connect() as peer:
        victim = pid_of(ask(peer))
        assert keepers(s) == []
        kill(s, victim)
        peer.send_leniently(GET)
        peer.assert_closed()


REFUSE = """\
#include <errno.h>
#include <stdarg.h>
#include <sys/syscall.h>
long syscall(long n, ...) {
    static long (*real)(long, ...);
    va_list a;
    long p[6];
    if (n == SYS_clone) { errno = EAGAIN; return -1; }
    va_start(a, n);
    for (int i = 0; i < 6; i++) p[i] = va_arg(a, long);
    va_end(a);
    if (real == 0) real = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
    return real(n, p[0], p[1], p[2], p[3], p[4], p[5]);
}
"""


@pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")
@pytest.mark.skipif(b"__asan_init" in open(command()[0], "rb").read(),
                    reason="a sanitizer wants to be the first library")
@classes.needs_no_package
def test_a_worker_serves_without_one_where_none_can_be_made(server, tmp_path):
    source = tmp_path / "refuse.c"
    source.write_text("#define _GNU_SOURCE\n#include <dlfcn.h>\n" + REFUSE)
    library = tmp_path / "refuse.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"],
                   check=True)
    s = start(server, env={"LD_PRELOAD": str(library)})
    s.announce("connection_keeper: cannot make a process")
    s.wait_log("connection_keeper: cannot make a process: Resource temporarily "
               "unavailable; if this worker is killed, its idle connections "
               "are reset")
    assert s.get().status == 200
