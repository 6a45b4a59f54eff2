# SPDX-License-Identifier: MIT
"""
Faults of the process tree: what must happen when the world is bad. The number
in a test's name is that of the fault model; docs/faults.md has all of them with
their tests, here and elsewhere.
"""
import contextlib
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading

import pytest

from harness import processes, strangers, wire
from harness.control import deaths, told
from harness.front import needs_program
from harness.load import Load
from harness.server import HERE, ROOT, command, environment, faced, free_port
from harness.waiting import until

APP = """\
import os

def app(environ, start_response):
    body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Type", "text/plain"),
                              ("Content-Length", str(len(body)))])
    return [body]
"""
root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def shop(server, *args, **options):
    options.setdefault("files", {"shop.py": APP})
    s = server("shop:app", *args, **options)
    s.get("/")
    return s


def wait_replaced(server, pid):
    until(lambda: pid not in server.workers() and server.workers(),
          lambda: f"worker {pid} is replaced:\n{server.tail()}")


def test_every_fault_of_the_model_has_tests_that_exist():
    rows = {int(n): re.findall(r"`(test_\w+)::(test_\w+)`", tests)
            for n, tests in re.findall(
                r"^\| (\d+) \|.*\|([^|]*)\|$",
                (ROOT / "docs/faults.md").read_text(), re.M)}
    assert sorted(rows) == list(range(1, 45))
    for number, tests in rows.items():
        assert tests, f"fault {number} has no test"
        for file, name in tests:
            assert f"def {name}(" in (HERE / f"{file}.py").read_text(), name


# ---- death of the master ----


@pytest.mark.parametrize("name", ["KILL", "SEGV"])
def test_11_workers_of_a_dead_master_leave_and_a_new_one_starts(server, name):
    s = shop(server, "-w", "3", "--pid", "shop.pid", bind="unix",
             announced=["Segmentation"],
             env={"ASAN_OPTIONS": "handle_segv=0"})
    workers = s.wait_workers(3)
    s.signal(name)
    s.expected_status = s.wait()
    assert s.expected_status == -getattr(signal, "SIG" + name)
    for pid in workers:
        processes.wait_gone(pid, "a worker without master")
    # pidfile and socket stayed, and are no obstacle
    assert (s.folder / "shop.pid").exists() and os.path.exists(s.address)
    again = shop(server, "--pid", "shop.pid", folder=s.folder, bind="unix",
                 io=s.folder.parent / "again.io")
    assert (s.folder / "shop.pid").read_text() == f"{again.pid}\n"


def test_44_a_master_killed_during_a_reload_leaves_no_worker(server):
    s = shop(server, "-w", "2")
    (s.folder / "shop.py").write_text("open('began', 'a').write('x')\n"
                                      "import time\n"
                                      "while True: time.sleep(0.01)\n")
    s.signal("HUP")
    until(lambda: (s.folder / "began").exists(), "the new ones are loading")
    tree = s.tree() - {s.pid}
    s.signal("KILL")
    s.expected_status = s.wait()
    for pid in tree:
        processes.wait_gone(pid, "a worker without master")


# ---- forks that fail ----


@root
def test_12_a_fork_that_fails_is_tried_again_and_nothing_stops(
        server, monkeypatch):
    strangers.needed()
    plain = [os.path.abspath(command()[0])]
    uid = str(random.randrange(200000, 400000))  # its processes are only ours
    monkeypatch.setenv("CGUNICORN", " ".join(
        [*strangers.as_user(uid), *plain]))
    # the look for leaks at a sanitized end needs a thread, too
    monkeypatch.setenv("ASAN_OPTIONS", "detect_leaks=0")
    folder = open_folder()
    try:
        s = shop(server, folder=folder, config="""\
import os, resource
def pre_fork(server, worker):
    most = 2 if os.path.exists("few") else 500
    hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    resource.setrlimit(resource.RLIMIT_NPROC, (most, hard))
""")
        (folder / "few").write_text("")
        s.signal("TTIN")
        s.wait_log(r"\[ERROR\] cannot fork a worker: Resource temporarily "
                   "unavailable")
        told(s, "trouble", "cannot fork a worker: Resource temporarily unav")
        assert s.get("/").status == 200
        (folder / "few").unlink()
        s.wait_workers(2)
        s.stop()
    finally:
        shutil.rmtree(folder)


THREADS = """\
import os, resource, time

def limit(threads):
    hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    resource.setrlimit(resource.RLIMIT_NPROC, (threads, hard))

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/limit":
        limit(1)
    if path == "/wait":
        open("began", "a").write("x")
        while not os.path.exists("go"):
            time.sleep(0.01)
    body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Type", "text/plain"),
                              ("Content-Length", str(len(body)))])
    return [body]
"""


@pytest.fixture
def limited(server, monkeypatch):
    """Servers whose user has no other processes."""
    strangers.needed()
    plain = [os.path.abspath(command()[0])]
    uid = str(random.randrange(200000, 400000))
    monkeypatch.setenv("CGUNICORN", " ".join(
        [*strangers.as_user(uid), *plain]))
    # the look for leaks at a sanitized end needs a thread, too
    monkeypatch.setenv("ASAN_OPTIONS", "detect_leaks=0")
    folder = open_folder()
    yield lambda *args, **kw: server("threads:app", *args, folder=folder,
                                     files={"threads.py": THREADS}, **kw)
    shutil.rmtree(folder)


def test_40_a_thread_that_cannot_be_made_leaves_those_that_there_are(limited):
    s = limited("--threads", "30")
    failed = r"\[ERROR\] cannot start a thread .*\(\d+ of 30 threads run\)"

    def began():
        path = s.folder / "began"
        return len(path.read_text()) if path.exists() else 0
    tasks = f"/proc/{s.get('/').body.decode()}/task"
    until(lambda: len(os.listdir(tasks)) >= 4, "main, relief, two threads")
    s.get("/limit")
    with contextlib.ExitStack() as stack:
        peers = []
        while not s.log_count(failed):
            peers.append(stack.enter_context(s.connect()))
            peers[-1].get("/wait")
            until(lambda: began() == len(peers) or s.log_count(failed),
                  "it waits, or there is no thread for it")
        assert len(peers) >= 2
        (s.folder / "go").write_text("")
        assert {p.reply().status for p in peers} == {200}
    assert s.get("/").status == 200
    assert s.log_count("cannot start a thread") == 1


def test_40_a_worker_without_threads_does_not_boot_and_says_why(limited):
    s = limited(config="""\
import os, threads
def post_fork(server, worker):
    if os.path.exists("few"):
        threads.limit(1)
""")
    first = s.get("/").body
    (s.folder / "few").write_text("")
    s.announce("Exception in worker process")
    s.signal("HUP")
    s.wait_log(r"Exception in worker process: cannot start a thread: "
               r"Resource temporarily unavailable \(a limit on processes")
    told(s, "rolled-back", "cannot start a thread: Resource temporarily unav")
    assert deaths(s)[0]["cause"] == "boot"
    assert "cannot start a thread" in deaths(s)[0]["story"]
    assert s.get("/").body == first
    (s.folder / "few").unlink()
    s.signal("HUP")  # that reload is over
    until(lambda: s.get("/").body != first, "a new worker serves")


# ---- files that are half there ----


def test_41_a_half_written_module_does_not_end_a_server_that_reloads(server):
    s = shop(server, "--reload")
    first = s.get("/").body
    s.announce("Traceback")
    (s.folder / "shop.py").write_text(APP[:-20])
    s.wait_log("SyntaxError")
    # a page says what is wrong until the file is whole
    until(lambda: b"SyntaxError" in s.get("/").body, "the mistake is shown")
    (s.folder / "shop.py").write_text(APP)
    until(lambda: s.get("/").body not in (first, b"") and
          b"Error" not in s.get("/").body, "the new code serves")


def test_42_a_key_that_is_gone_keeps_the_old_one(server, tmp_path):
    pair = tmp_path / "key.pem", tmp_path / "cert.pem"
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj",
         "/CN=localhost", "-keyout", pair[0], "-out", pair[1]],
        capture_output=True, check=False)
    if made.returncode != 0:
        pytest.skip("openssl makes no certificate: " + made.stderr.decode())
    tls = "--keyfile", pair[0], "--certfile", pair[1], "shop:app"
    s = server(*tls, files={"shop.py": APP})
    pair[0].unlink()
    s.signal("HUP")
    s.wait_log(r"\[ERROR\] .*key\.pem")
    context = ssl.create_default_context(cafile=pair[1])
    with socket.create_connection(s.address) as plain, \
            context.wrap_socket(plain, server_hostname="localhost") as peer:
        peer.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert peer.recv(12) == b"HTTP/1.1 200"


def open_folder():
    """Everybody may write there; pytest's folders are root's."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="cgunicorn-test-"))
    folder.chmod(0o777)
    return folder


# ---- signals in bad moments and numbers ----


def test_15_a_storm_of_hups_leaks_neither_descriptors_nor_workers(server):
    s = shop(server, "-w", "2")
    s.wait_workers(2)

    def settled():
        until(lambda: len(s.workers()) == 2, "two workers")
        return len(processes.open_descriptors(s.pid))
    before = settled()
    most = []
    for _ in range(25):
        s.signal("HUP")
        most.append(len(s.workers()))
    old = set(s.workers())
    s.signal("HUP")
    until(lambda: len(s.workers()) == 2 and not old & set(s.workers()),
          lambda: f"two new workers, not {s.workers()}")
    assert max(most) <= 6, most  # old, new, and those that are just ending
    until(lambda: settled() <= before, "descriptors are as before")


@pytest.mark.parametrize("name", [
    "TERM", pytest.param("INT", marks=needs_program), "QUIT"])
def test_19_a_stop_during_the_start_leaves_nothing(server, name):
    rng = random.Random(name)
    for i in range(6):
        s = server("shop:app", "--pid", "shop.pid", start=False, bind="unix",
                   files={"shop.py": APP})
        threading.Event().wait(rng.random() * 0.15)  # any moment will do
        s.signal(name)
        s.expected_status = s.wait()
        # before the handlers are there, the signal itself ends it
        assert s.expected_status in (0, -getattr(signal, "SIG" + name), 1, 130)
        assert not (s.folder / "shop.pid").exists()
        assert "Traceback" not in s.log()


def test_a_flood_of_signals_loses_no_child_and_starts_none_too_many(server):
    s = shop(server, "-w", "2")
    s.wait_workers(2)
    kinds = [signal.SIGUSR1, signal.SIGHUP, signal.SIGWINCH, signal.SIGCHLD,
             signal.SIGTTIN, signal.SIGTTOU]
    for i in range(10000):
        os.kill(s.pid, kinds[i % len(kinds)])
    s.signal("HUP")  # forgets TTIN and TTOU
    s.wait_log("Hang up: Master")
    os.kill(s.pid, signal.SIGHUP)
    old = set(s.workers())
    s.signal("HUP")
    until(lambda: len(s.workers()) == 2 and not old & set(s.workers()),
          lambda: f"two new workers, not {s.workers()}:\n{s.tail()}")
    assert s.get("/").status == 200


def test_blocked_and_unknown_signals_do_no_harm(server):
    s = shop(server)
    workers = s.workers()
    for name in ("PIPE", "URG", "WINCH", "CONT"):
        s.signal(name)
        os.kill(workers[0], getattr(signal, "SIG" + name))
    assert s.get("/").status == 200
    assert s.workers() == workers


# ---- processes that stand still ----


def test_a_stopped_master_serves_and_goes_on(server):
    s = shop(server, "--timeout", "2")
    s.signal("STOP")
    workers = s.workers()
    for _ in range(5):
        assert s.get("/").status == 200
    os.kill(workers[0], signal.SIGKILL)
    s.signal("CONT")
    wait_replaced(s, workers[0])
    assert s.get("/").status == 200


def test_a_stopped_idle_worker_goes_on_and_others_serve(server):
    s = shop(server, "-w", "2")
    stopped = s.wait_workers(2)[0]
    os.kill(stopped, signal.SIGSTOP)
    with Load(s.address, clients=2) as load:
        load.wait_answers(20)
    os.kill(stopped, signal.SIGCONT)
    assert s.get("/").status == 200
    assert stopped in s.workers()


def test_a_stopped_worker_does_not_hold_up_a_stop(server):
    s = shop(server, "--graceful-timeout", "1", announced=["SIGKILL"])
    os.kill(s.workers()[0], signal.SIGSTOP)
    assert s.stop() == 0
    s.wait_log("was sent SIGKILL! It did not stop in time")


# ---- logs ----


def test_22_a_log_folder_that_is_gone_keeps_the_old_file(server):
    s = shop(server, "--error-logfile", "log/error.log",
             files={"shop.py": APP, "log/.keep": ""},
             errorlog="log/error.log")
    (s.folder / "log").rename(s.folder / "gone")
    s.errorlog = s.folder / "gone" / "error.log"
    s.signal("USR1")
    s.wait_log("Handling signal: usr1")
    assert s.get("/").status == 200
    until(lambda: "log/error.log" in s.log(), "the log says so")
    (s.folder / "gone").rename(s.folder / "log")
    s.errorlog = s.folder / "log" / "error.log"


@processes.needs_root_and_unshare("--mount")
def test_23_a_full_disk_costs_log_lines_and_nothing_else(server, monkeypatch):
    plain = [os.path.abspath(command()[0])]
    folder = open_folder()
    (folder / "full").mkdir()
    script = folder / "inside.sh"
    script.write_text("#!/bin/sh\nmount -t tmpfs -o size=8k none "
                      f"{folder}/full && exec \"$@\"\n")
    script.chmod(0o755)
    monkeypatch.setenv("CGUNICORN", " ".join(
        ["unshare", "--mount", str(script), *plain]))
    try:
        s = shop(server, "--access-logfile", "full/access.log", folder=folder)
        for _ in range(300):  # far more than the 8 KiB
            assert s.get("/").status == 200
        # a file that cannot be written at the start is told before a fork
        s.stop()
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("stalled", [False, True])
def test_24_25_a_log_pipe_that_nobody_reads_holds_nothing_up(
        server, monkeypatch, stalled):
    read, write = os.pipe()
    try:
        s = server("shop:app", "--access-logfile", f"/proc/self/fd/{write}",
                   pass_fds=[write], files={"shop.py": APP})
        os.close(write)
        if not stalled:
            os.close(read)
        with Load(s.address, "/" + "x" * 1000, clients=4, keep=True) as load:
            load.wait_answers(300)  # more than a pipe takes
        assert load.lost == []
        assert s.get("/").status == 200
    finally:
        if stalled:
            os.close(read)


def test_24_the_end_of_stderrs_reader_is_survived(server, tmp_path):
    port = free_port()
    (tmp_path / "shop.py").write_text(APP)
    p = subprocess.Popen(
        [*command(), *faced(tmp_path, [
            "-b", f"127.0.0.1:{port}", "--access-logfile", "-", "shop:app"])],
        cwd=tmp_path, stdout=subprocess.PIPE, env=environment(tmp_path),
        stderr=subprocess.PIPE, start_new_session=True)
    try:
        assert any(b"Booting" in line for line in p.stderr)
        p.stderr.close()
        p.stdout.close()
        for _ in range(5):
            assert wire.fetch(("127.0.0.1", port), "/").status == 200
        p.send_signal(signal.SIGHUP)
        for _ in range(5):
            assert wire.fetch(("127.0.0.1", port), "/").status == 200
    finally:
        p.terminate()
        assert p.wait(30) == 0


# ---- clients and sockets ----


def test_26_clients_that_reset_are_no_matter(server):
    s = server("big:app", files={"big.py": """\
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    for _ in range(100):
        yield b"x" * 65536
"""})
    pid = s.wait_workers(1)
    for _ in range(10):
        peer = s.connect()
        peer.get("/").head()
        peer.reset()
    assert len(s.get("/").body) == 6553600
    assert s.workers() == pid


def test_27_the_pidfile_of_somebody_else_is_left_at_the_end(server):
    s = shop(server, "--pid", "shop.pid")
    (s.folder / "shop.pid").write_text("1\n")
    assert s.stop() == 0
    assert (s.folder / "shop.pid").read_text() == "1\n"


def test_29_a_port_that_becomes_free_is_taken(server):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = other.getsockname()
        s = server("shop:app", "--bind", f"127.0.0.1:{address[1]}", bind=None,
                   start=False, files={"shop.py": APP})
        s.wait_log("Connection in use")
    s.wait_log("Listening at")
    s.address = address
    assert s.get("/").status == 200


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_30_what_is_no_socket_is_not_removed(run, tmp_path, kind):
    path = tmp_path / "s.sock"
    path.write_text("precious") if kind == "file" else path.mkdir()
    r = run("--bind", "unix:s.sock", "shop:app", files={"shop.py": APP})
    assert r.status == 1
    r.line_with("s.sock", "not a socket")
    assert path.exists()


def test_30_a_path_that_is_too_long_is_named(run):
    r = run("--bind", "unix:" + "x" * 200, "shop:app", files={"shop.py": APP})
    assert r.status == 1
    assert "x" * 20 in r.err


# ---- hostile applications ----


def test_34_an_application_that_closes_0_1_and_2_serves_on(server):
    s = server("bad:app", files={"bad.py": APP.replace(
        "    body", "    for fd in (0, 1, 2):\n        try:\n"
        "            os.close(fd)\n        except OSError:\n"
        "            pass\n    body", 1)})
    for _ in range(5):
        assert s.get("/").status == 200


def test_34_an_application_that_changes_its_process_serves_on(server):
    s = server("bad:app", "--access-logfile", "access.log", files={
        "bad.py": APP.replace("import os", """\
import os, resource, signal, sys
""", 1).replace("    body", """\
    os.chdir("/")
    os.umask(0o777)
    os.nice(1)
    sys.stdout = sys.stderr = None
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for sig in (signal.SIGUSR1, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(sig, signal.SIG_IGN)
    body""", 1)})
    for _ in range(3):
        assert s.get("/").status == 200
    (s.folder / "access.log").rename(s.folder / "access.log.1")
    s.signal("USR1")
    assert s.get("/").status == 200
    assert s.stop() == 0


def test_34_an_application_that_ignores_term_is_ended_in_time(server):
    s = server("bad:app", "--graceful-timeout", "1", announced=["SIGKILL"],
               files={"bad.py": "import signal\n" + APP.replace(
                   "    body", "    signal.signal(signal.SIGTERM, "
                   "signal.SIG_IGN)\n    body", 1)})
    s.get("/")
    assert s.stop() == 0
    s.wait_log("It did not stop in time")


# ---- time ----


@pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")
@pytest.mark.parametrize("seconds", [3600, -3600])
def test_37_a_clock_that_jumps_stops_nobody(server, tmp_path, seconds):
    if b"__asan_init" in open(command()[0], "rb").read():
        pytest.skip("a sanitizer wants to be the first library")
    (tmp_path / "jump.c").write_text("""\
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static long off(void) { return access(JUMP, F_OK) == 0 ? BY : 0; }
int clock_gettime(clockid_t c, struct timespec *t) {
    long r = syscall(SYS_clock_gettime, c, t);
    if (c == CLOCK_REALTIME || c == CLOCK_REALTIME_COARSE) t->tv_sec += off();
    return (int)r;
}
time_t time(time_t *out) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    if (out) *out = t.tv_sec;
    return t.tv_sec;
}
int gettimeofday(struct timeval *tv, void *z) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    tv->tv_sec = t.tv_sec;
    tv->tv_usec = t.tv_nsec / 1000;
    return 0;
}
""")
    subprocess.run(["cc", "-shared", "-fPIC", f'-DJUMP="{tmp_path}/now"',
                    f"-DBY={seconds}", "-o", tmp_path / "jump.so",
                    tmp_path / "jump.c"], check=True)
    # shorter than the jump, longer than a loaded machine stands still
    s = shop(server, "-w", "2", "--timeout", "600", "--keep-alive", "600",
             env={"LD_PRELOAD": str(tmp_path / "jump.so")})
    workers = s.wait_workers(2)
    (tmp_path / "now").write_text("")
    s.signal("USR1")
    s.wait_log("Handling signal: usr1")
    with Load(s.address, clients=2, keep=True) as load:
        load.wait_answers(100)
    assert load.lost == []
    assert s.workers() == workers
    assert "TIMEOUT" not in s.log()


# ---- many, and too few of something ----


def test_19_a_stop_does_not_wait_until_many_workers_are_forked(run):
    r = run("-c", "conf.py", "-w", "200", "shop:app", files={
        "shop.py": APP, "conf.py": """\
import os, signal

forked = 0

def pre_fork(server, worker):
    global forked
    forked += 1
    if forked == 3:
        os.kill(os.getpid(), signal.SIGTERM)

def on_exit(server):
    print("forked", forked, flush=True)
"""})
    assert r.status == 0
    assert 3 <= int(r.out.split()[1]) < 100


def test_38_many_workers_stop_without_a_zombie(server):
    s = shop(server, "-w", "24")
    workers = s.wait_workers(24)
    assert s.stop() == 0
    assert not [p for p in workers if processes.is_running(p)]


def test_39_a_worker_without_descriptors_serves_on_when_it_has_some(server):
    s = shop(server)
    worker = s.workers()[0]
    with s.connect() as first:
        assert first.get("/").reply().status == 200
        used = len(processes.open_descriptors(worker))
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (used + 3, 4096))
        # who has asked nothing yet may go for them, who was answered does not
        peers = [s.connect() for _ in range(10)]
        assert first.get("/").reply().status == 200
    for peer in peers:
        peer.close()
    resource.prlimit(worker, resource.RLIMIT_NOFILE, (4096, 4096))
    assert s.get("/").status == 200
    assert s.workers() == [worker]


def test_03_a_worker_that_gets_no_memory_tells_and_serves_on(server):
    s = server("eats:app", announced=["MemoryError"], files={
        "eats.py": "import resource\n" + APP.replace("    body", """\
    if environ["PATH_INFO"] == "/eat":
        now = int(open("/proc/self/statm").read().split()[0]) * 4096
        resource.setrlimit(resource.RLIMIT_AS, (now + (64 << 20), -1))
        b"x" * (1 << 30)
    body""", 1)})
    if b"__asan_init" in open(command()[0], "rb").read():
        pytest.skip("a sanitizer needs all of the address space")
    assert s.get("/eat").status == 500
    s.wait_log("MemoryError")
    assert s.get("/").status == 200
