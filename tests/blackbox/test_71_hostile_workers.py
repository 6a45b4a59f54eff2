# SPDX-License-Identifier: MIT
"""A worker that was broken into, as `nobody`: what it writes into memory and
pipes that it shares with the master costs nobody but itself. The attacks are C,
compiled at the start, and run inside the worker."""
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

from harness import certificates, control, processes
from harness.waiting import until
from test_85_tls import Client, context

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler"),
    pytest.mark.usefixtures("other_user"),
]
ATTACKS = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <unistd.h>

/* Fills all shared memory that can be written, or can be made so. */
int overwrite(int byte)
{
    char line[512];
    int n = 0;
    FILE *f = fopen("/proc/self/maps", "re");
    struct { unsigned long from, to; } found[4096];
    while (f != NULL && fgets(line, sizeof line, f) != NULL && n < 4096) {
        char rights[8];
        unsigned long from, to;
        if (sscanf(line, "%lx-%lx %7s", &from, &to, rights) == 3 &&
            rights[3] == 's') {
            found[n].from = from;
            found[n++].to = to;
        }
    }
    fclose(f);
    int written = 0;
    for (int i = 0; i < n; i++) {
        char *p = (char *)found[i].from;
        size_t size = found[i].to - found[i].from;
        if (mprotect(p, size, PROT_READ | PROT_WRITE) == 0) {
            memset(p, byte, size);
            written++;
        }
    }
    return written;
}

static int is(int fd, const char *kind)
{
    char path[64], target[64] = "";
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(path, target, sizeof target - 1);
    return n > 0 && strncmp(target, kind, strlen(kind)) == 0;
}

/* What it can do to its parent, as bits: signal it (but for CONT, which the
 * kernel allows within a session), trace it, read its memory and its
 * environment, take its descriptors, change its limits. */
int reach_master(void)
{
    static const char *const files[] = {"mem", "environ", "maps", "fd/0"};
    pid_t master = getppid();
    char path[64], bytes[8];
    int reached = 0;
    struct iovec here = {bytes, sizeof bytes}, there = {bytes, sizeof bytes};
    reached |= (kill(master, 0) == 0) << 0;
    reached |= (kill(master, SIGTERM) == 0) << 1;
    if (ptrace(PTRACE_SEIZE, master, 0, 0) == 0) {
        ptrace(PTRACE_DETACH, master, 0, 0);
        reached |= 1 << 2;
    }
    reached |= (process_vm_readv(master, &here, 1, &there, 1, 0) > 0) << 3;
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "/proc/%d/%s", master, files[i]);
        int fd = open(path, O_RDONLY);
        reached |= (fd >= 0) << (4 + i);
        close(fd);
    }
    int process = syscall(434 /* pidfd_open */, master, 0);
    if (process >= 0) {
        reached |= (syscall(438 /* pidfd_getfd */, process, 2, 0) >= 0) << 8;
        reached |= (syscall(424 /* pidfd_send_signal */, process, SIGTERM, 0,
                            0) == 0) << 9;
        close(process);
    }
    struct rlimit limit;
    reached |= (prlimit(master, RLIMIT_NOFILE, 0, &limit) == 0) << 10;
    return reached;
}

/* Takes O_NONBLOCK from event descriptors and pipes, and fills them. */
int jam(void)
{
    int jammed = 0;
    struct stat st;
    for (int fd = 0; fd < 256; fd++) {
        if (is(fd, "anon_inode:[eventfd]")) {
            uint64_t most = UINT64_MAX - 1, old;
            fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
            if (read(fd, &old, sizeof old) < 0 && errno != EAGAIN) {
                continue;
            }
            if (write(fd, &most, sizeof most) == sizeof most) {
                fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
                jammed++;
            }
        } else if (fd > 2 && fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode) &&
                   (fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY) {
            fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
            jammed++;
        }
    }
    return jammed;
}

/* And is not there to read them. */
int jam_and_die(void)
{
    jam();
    return kill(getpid(), SIGKILL);
}

/* News of other workers: `kind` for each pid near ours. */
int forge(int kind)
{
    struct { int pid; int kind; char text[1000]; } old = {0, kind, "forged"};
    int sent = 0;
    for (int fd = 3; fd < 256; fd++) {
        int flags = fcntl(fd, F_GETFL);
        if (!is(fd, "pipe:") || (flags & O_ACCMODE) != O_WRONLY) {
            continue;
        }
        fcntl(fd, F_SETFL, flags | O_NONBLOCK);
        for (int pid = getpid() - 20; pid < getpid() + 20; pid++) {
            old.pid = pid;
            if (pid != getpid() && write(fd, &old, sizeof old) > 0) {
                sent++;
            }
        }
    }
    return sent;
}

/* Messages of a kind that there is, without an end. */
int flood(int times)
{
    struct { int kind; char text[1000]; } news = {2, "again"};
    int sent = 0;
    for (int i = 0; i < times; i++) {
        for (int fd = 3; fd < 256; fd++) {
            if (is(fd, "pipe:") &&
                (fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY) {
                sent += write(fd, &news, sizeof news) > 0;
            }
        }
    }
    return sent;
}

/* A connection whose last close waits for a peer that reads nothing goes into
 * each queue, of which the master has the last descriptors then. A process that
 * stays behind is the peer. */
int linger(int seconds)
{
    static const char bytes[64 * 1024];
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct linger how = {1, seconds};
    union { char bytes[CMSG_SPACE(sizeof(int))]; struct cmsghdr align; } control;
    struct iovec part = {(void *)bytes, 1};
    struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
                       .msg_controllen = sizeof control.bytes};
    socklen_t n = sizeof to;
    int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);
    int queue[256], queues = 0, sent = 0;
    if (bind(listener, (struct sockaddr *)&to, n) < 0 || listen(listener, 1) < 0 ||
        getsockname(listener, (struct sockaddr *)&to, &n) < 0 ||
        connect(fd, (struct sockaddr *)&to, n) < 0) {
        return -1;
    }
    int peer = accept(listener, NULL, NULL);
    while (send(fd, bytes, sizeof bytes, MSG_DONTWAIT) > 0) {
    }
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &how, sizeof how);
    for (int i = 3; i < 256; i++) {
        int type = 0;
        socklen_t size = sizeof type;
        if (getsockopt(i, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET) {
            queue[queues++] = i;
        }
    }
    pid_t stays = fork();
    if (stays == 0) {
        for (int i = 0; i < 256; i++) {
            if (i != peer) {
                close(i);
            }
        }
        sleep(seconds);
        _exit(0);
    }
    memset(&control, 0, sizeof control);
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    for (int i = 0; i < queues; i++) {
        sent += sendmsg(queue[i], &m, MSG_DONTWAIT) == 1;
    }
    close(fd);
    close(peer);
    for (int i = 0; i < queues; i++) {
        close(queue[i]);
    }
    return sent > 0 ? stays : 0;
}

int close_pipes(void)
{
    int n = 0;
    for (int fd = 3; fd < 256; fd++) {
        n += is(fd, "pipe:") &&
             (fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY && close(fd) == 0;
    }
    return n;
}
"""
APP = """\
import ctypes, os
attacks = ctypes.CDLL(os.path.abspath("attacks.so"))

def app(environ, start_response):
    path = environ["PATH_INFO"].strip("/")
    body = b"%d" % os.getpid()
    if path:
        name, _, number = path.partition("/")
        function = getattr(attacks, name)
        body = b"%d" % (function(int(number)) if number else function())
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body]
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    folder = tmp_path_factory.mktemp("attacks")
    (folder / "attacks.c").write_text(ATTACKS)
    made = subprocess.run(
        ["cc", "-shared", "-fPIC", "-o", folder / "attacks.so",
         folder / "attacks.c"], capture_output=True, check=False, text=True)
    assert made.returncode == 0, made.stderr
    return folder / "attacks.so"


@pytest.fixture
def folder(library):
    path = pathlib.Path(tempfile.mkdtemp(prefix="cgunicorn-test-"))
    path.chmod(0o755)
    shutil.copy(library, path)
    (path / "attacks.so").chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def start(folder, server):
    def make(*args, **options):
        group = str(pwd.getpwnam("nobody").pw_gid)
        s = server("shop:app", "--user", "nobody", "--group", group, *args,
                   files={"shop.py": APP}, folder=folder, **options)
        # what the attacker breaks in its own worker is no news
        s.announce(r"\[CRITICAL\] WORKER TIMEOUT", r"Worker \(pid:\d+\)")
        return s
    return make


def attack(server, path):
    """The worker's answer, or None if it did not survive."""
    try:
        return int(server.get(path).body)
    except (OSError, ValueError, AssertionError, EOFError):
        return None


def still_serves(server, master):
    def answers():
        try:
            return server.get("/").status == 200
        except (OSError, AssertionError, EOFError):
            return False
    until(answers, lambda: "it serves again; the log is:\n" + server.tail())
    assert processes.is_running(master)


def masters_children(server):
    return {p for p in server.workers()
            if "worker" in processes.command_line(p)}


@pytest.mark.parametrize("byte", [0, 1, 127, 255])
def test_what_a_worker_writes_into_shared_memory_costs_only_itself(
        start, byte):
    s = start("-w", "3", "--timeout", "2")
    before = set(s.wait_log("Booting worker", 3) and masters_children(s))
    attack(s, f"/overwrite/{byte}")
    still_serves(s, s.pid)
    s.signal("HUP")
    s.wait_log("Booting worker", 6)
    still_serves(s, s.pid)
    # siblings did nothing wrong: at most one of them was killed
    told = s.log_count(r"WORKER TIMEOUT")
    assert told <= 1, s.tail()
    assert s.stop() == 0
    assert before


@pytest.mark.parametrize("byte", [0, 255])
def test_a_worker_cannot_write_the_keys_of_tickets(start, byte):
    """Written as they could be, each handshake of every worker would wait for
    who moves them, for ever, and those of later generations too."""
    authority, pem, key = certificates.shared()
    s = start("-w", "2", "--timeout", "3", "--certfile", str(pem), "--keyfile", str(key))
    s.wait_log("Booting worker", 2)
    trusted = context([authority])
    try:
        with Client(s, trusted) as c:
            c.get(f"/overwrite/{byte}")
    except (OSError, AssertionError):
        pass  # it broke its own worker

    def answers():
        try:
            with Client(s, trusted) as c:
                return int(c.get("/"))
        except (OSError, AssertionError, ValueError):
            return 0
    until(lambda: all(answers() for _ in range(6)), lambda: "handshakes:\n" + s.tail())
    s.signal("HUP")
    s.wait_log("Booting worker", 4)
    until(lambda: all(answers() for _ in range(6)), lambda: "handshakes:\n" + s.tail())
    assert processes.is_running(s.pid)


def test_a_worker_cannot_write_what_its_siblings_say(start):
    """The slot of the victim is all 0xff at once, were it writable: busy and
    silent since ever."""
    s = start("-w", "2", "--timeout", "2")
    s.wait_log("Booting worker", 2)
    until(lambda: len(masters_children(s)) == 2, "two workers")
    first = masters_children(s)
    attacker = int(s.get("/").body)
    # own slot and keeper's marks only
    attack(s, "/overwrite/3")
    still_serves(s, s.pid)
    survivors = first & masters_children(s)
    assert len(survivors) >= 1, (first, attacker, s.tail())


def test_descriptors_that_a_worker_jams_do_not_stop_the_master(start):
    s = start("-w", "1")
    s.announce("a worker has made the descriptor")
    attack(s, "/jam_and_die")
    s.wait_log("Booting worker", 2)
    still_serves(s, s.pid)
    s.signal("TTIN")
    s.wait_log("Booting worker", 3)
    assert s.stop() == 0


def test_what_a_worker_leaves_in_the_queue_does_not_keep_the_master(start):
    """Its descriptors are closed when the queue is: by the master, at a reload."""
    s = start("-w", "1", "--graceful-timeout", "2")
    s.wait_log("Booting worker", 1)
    stays = attack(s, "/linger/90")
    assert stays
    try:
        began = time.monotonic()
        s.signal("HUP")
        s.wait_log("Booting worker", 2)
        until(lambda: control.status(s)["state"] == "running", "the reload is over")
        still_serves(s, s.pid)
        assert time.monotonic() - began < 60, s.tail()
    finally:
        os.kill(stays, signal.SIGKILL)


def test_a_full_log_pipe_that_a_worker_made_block_does_not_stop_the_master(
        folder, start):
    os.mkfifo(folder / "error.log")
    nobody = pwd.getpwnam("nobody")
    os.chown(folder / "error.log", nobody.pw_uid, nobody.pw_gid)
    fd = os.open(folder / "error.log", os.O_RDWR | os.O_NONBLOCK)
    s = start("-w", "2", "--error-logfile", "error.log", bind="unix",
              start=False)

    def answers():
        try:
            return s.get("/").status == 200
        except OSError:
            return False
    try:
        until(answers, "it serves")
        assert attack(s, "/jam") >= 1
        try:
            while True:
                os.write(fd, b"x" * 4096)
        except BlockingIOError:
            pass  # nobody reads
        old = masters_children(s)
        for worker in sorted(old):
            os.kill(worker, 9)
        until(lambda: masters_children(s) and not old & masters_children(s),
              "the master makes new workers")
        until(answers, "it serves")
        assert s.stop() == 0
    finally:
        os.close(fd)


@pytest.mark.parametrize("kind", [2, 3, 4])
def test_a_worker_cannot_speak_for_its_siblings(start, kind):
    s = start("-w", "4")
    s.wait_log("Booting worker", 4)
    until(lambda: len(masters_children(s)) == 4, "four workers")
    before = masters_children(s)
    attack(s, f"/forge/{kind}")
    still_serves(s, s.pid)
    s.signal("USR1")  # the master goes once round
    still_serves(s, s.pid)
    assert len(before & masters_children(s)) >= 3, s.tail()
    assert s.log_count("A request of worker") <= 1


def test_a_worker_that_talks_without_an_end_is_not_the_only_one_heard(start):
    s = start("-w", "2")
    s.wait_log("Booting worker", 2)
    attack(s, "/flood/5000")
    s.signal("TTIN")
    s.wait_log("Booting worker", 3)
    still_serves(s, s.pid)
    assert s.stop() == 0


def test_a_worker_that_closes_its_pipe_does_not_keep_the_master_busy(start):
    s = start("-w", "1")
    assert attack(s, "/close_pipes") >= 1
    s.announce("trying to write to the signal wakeup")
    before, end = processes.spent(s.pid), time.monotonic() + 1
    until(lambda: time.monotonic() > end, "a second is over")
    assert processes.spent(s.pid) - before < 30  # ticks of a hundred
    still_serves(s, s.pid)


def test_a_worker_neither_signals_nor_traces_the_master(start):
    """Nor does it see its memory, environment or descriptors."""
    s = start("-w", "1")
    assert attack(s, "/reach_master") == 0
    still_serves(s, s.pid)
