# SPDX-License-Identifier: MIT
"""A worker is killed at each step of a hand-over: nothing is lost but what it
had, nothing runs twice, no connection is left open.

A library between the program and libc kills who comes to a step that a file
names: before and after the sending and the receiving of a message. Between two
of these calls there is nothing that another process could see.
"""
import collections
import shutil
import subprocess

import pytest

from harness.blocked import Blocked, ask, pid_of, pinned
from harness.server import command

pytestmark = [
    pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler"),
    pytest.mark.skipif(b"__asan_init" in open(command()[0], "rb").read(),
                       reason="a sanitizer wants to be the first library")]

APP = """
import os, pathlib, signal

def app(environ, start_response):
    path = environ["PATH_INFO"]
    name = environ["QUERY_STRING"]
    if name:
        with open("runs", "a") as f:
            f.write(name + "\\n")
    if path == "/block":
        pathlib.Path(name + ".in").touch()
        while not pathlib.Path(name + ".go").exists():
            signal.sigtimedwait([], 0.002)  # blocks in every worker class
    elif path == "/die":
        os.kill(os.getpid(), signal.SIGKILL)
    body = b"%d %d" % (os.getpid(), len(environ["wsgi.input"].read()))
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""

# Only a hand-over has control data. Each file is good for one death.
DEATHS = """\
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
static void step(const char *name) {
    char path[4096];
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s-%d", FOLDER, name, i);
        if (unlink(path) == 0) kill(getpid(), SIGKILL);
    }
}
ssize_t sendmsg(int fd, const struct msghdr *m, int flags) {
    ssize_t (*real)(int, const struct msghdr *, int) = dlsym(RTLD_NEXT, "sendmsg");
    int handover = m->msg_controllen > 0;
    if (handover) step("before-send");
    ssize_t n = real(fd, m, flags);
    if (handover && n > 0) step("after-send");
    return n;
}
ssize_t recvmsg(int fd, struct msghdr *m, int flags) {
    ssize_t (*real)(int, struct msghdr *, int) = dlsym(RTLD_NEXT, "recvmsg");
    int handover = m->msg_controllen > 0;
    if (handover) step("before-receive");
    ssize_t n = real(fd, m, flags);
    if (handover && n > 0) step("after-receive");
    return n;
}
"""


@pytest.fixture
def mortal(server, tmp_path):
    """A server of three workers, one of which is blocked; kill(step) arms."""
    (tmp_path / "deaths.c").write_text(DEATHS)
    subprocess.run(["cc", "-shared", "-fPIC", f'-DFOLDER="{tmp_path}"', "-o",
                    tmp_path / "deaths.so", tmp_path / "deaths.c", "-ldl"], check=True)
    s = server("app:app", "-w", "3", files={"app.py": APP},
               env={"LD_PRELOAD": str(tmp_path / "deaths.so")})
    s.wait_log("Booting worker", 3)
    s.announce(r"was sent SIGKILL")

    def kill(step, times=1):
        for i in range(times):
            (tmp_path / f"{step}-{i}").touch()

    s.kill_at = kill
    s.blocked, s.peers = pinned(s, count=4)
    s.held = Blocked(s, s.peers.pop(), "held")
    yield s
    s.held.go()
    for peer in (*s.peers, s.held.peer):
        peer.close()


def runs(s):
    return collections.Counter((s.folder / "runs").read_text().split())


def send(peer, name, body):
    if body:
        peer.post(f"/?{name}", b"x" * body)
    else:
        peer.get(f"/?{name}")


def expect_answer(s, peer, body):
    """From another worker than the blocked one, and it ran once."""
    reply = peer.reply()
    assert pid_of(reply) != s.blocked
    assert int(reply.body.split()[1]) == body
    assert runs(s)["given"] == 1


def expect_three_serve(s, died):
    """The dead are replaced, and all workers answer."""
    s.wait_log("Booting worker", 3 + died)
    assert ask(s.connect()).status == 200
    s.wait_workers(3)


BODIES = pytest.mark.parametrize("body", [0, 3_000_000], ids=["head", "file"])


@BODIES
def test_a_sender_that_dies_before_it_gave_takes_its_own_along(mortal, body):
    s = mortal
    s.kill_at("before-send")
    send(s.peers[0], "given", body)
    for peer in (s.peers[0], s.held.peer):
        peer.assert_closed()
    assert runs(s) == {"held": 1}
    expect_three_serve(s, died=1)
    assert pid_of(ask(s.peers[1])) != s.blocked  # it was idle: see test_63


@BODIES
def test_what_was_given_outlives_its_sender(mortal, body):
    s = mortal
    s.kill_at("after-send")
    send(s.peers[0], "given", body)
    expect_answer(s, s.peers[0], body)
    s.held.peer.assert_closed()
    assert pid_of(ask(s.peers[1])) != s.blocked  # it was idle: see test_63
    expect_three_serve(s, died=1)
    assert ask(s.peers[0]).status == 200  # it is the adopter's now


@BODIES
@pytest.mark.parametrize("deaths", [1, 2], ids=["one", "all"])
def test_an_idle_worker_that_dies_when_woken_leaves_the_request(mortal, body, deaths):
    """One that should have taken it, or every idle one: the rest, or those who
    come after them, take it."""
    s = mortal
    s.kill_at("before-receive", deaths)
    send(s.peers[0], "given", body)
    expect_answer(s, s.peers[0], body)
    expect_three_serve(s, died=deaths)
    s.held.go()
    assert pid_of(s.held.peer.reply()) == s.blocked


@BODIES
def test_a_receiver_that_dies_takes_along_what_it_took(mortal, body):
    s = mortal
    s.kill_at("after-receive")
    send(s.peers[0], "given", body)
    s.peers[0].assert_closed()
    assert runs(s) == {"held": 1}
    assert pid_of(ask(s.peers[1])) != s.blocked
    expect_three_serve(s, died=1)
    s.held.go()
    assert pid_of(s.held.peer.reply()) == s.blocked


def test_what_kills_its_worker_is_not_tried_again(mortal):
    s = mortal
    s.peers[0].get("/die?given")
    s.peers[0].assert_closed()
    assert pid_of(ask(s.peers[1])) != s.blocked
    expect_three_serve(s, died=1)
    assert runs(s) == {"held": 1, "given": 1}
