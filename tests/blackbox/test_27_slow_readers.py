# SPDX-License-Identifier: MIT
"""Clients that read slowly what a generator makes: the worker (or thread) is
free when the application is done, not when they are."""
import contextlib
import os
import shutil
import socket

import pytest

from harness import classes, processes
from harness.server import command
from harness.waiting import until

SIZE = 20 << 20  # more than the sockets of both ends take
MUCH = 3 * SIZE  # and more than what tornado's loop keeps in memory
APP = """\
import os
import time

BLOCK = 50000

def mark(name):
    with open(name, "a") as f:
        f.write(".")

def block(at, n):
    return (b"%08d" % at * (n // 8 + 1))[:n]

class Made:
    def __init__(self, size):
        self.size, self.at = size, 0
    def __iter__(self):
        return self
    def __next__(self):
        n = min(BLOCK, self.size - self.at)
        if n <= 0:
            mark("made")
            raise StopIteration
        self.at += n
        return block(self.at - n, n)
    def close(self):
        mark("closed")

def failing(size):
    yield from Made(size)
    raise RuntimeError("at the end")

class Endless(Made):
    def __init__(self):
        Made.__init__(self, 1 << 50)
    def __next__(self):
        time.sleep(0.001)  # not more than a disk holds
        return Made.__next__(self)

def stepwise():
    for i in range(20):
        yield block(i, 100000)
        while not os.path.exists("go%d" % i):
            time.sleep(0.001)

def app(environ, start_response):
    path, size = environ["PATH_INFO"], int(environ["QUERY_STRING"] or 0)
    head = [("Content-Type", "text/plain")]
    if path == "/length":
        head.append(("Content-Length", str(size)))
    write = start_response("200 OK", head)
    if path in ("/made", "/length"):
        return Made(size)
    if path == "/write":
        for b in Made(size):
            write(b)
        return []
    if path == "/failing":
        return failing(size)
    if path == "/endless":
        return Endless()
    if path == "/steps":
        return stepwise()
    return [b"ok"]
"""


def expected(size):
    parts = []
    for at in range(0, size, 50000):
        n = min(50000, size - at)
        parts.append((b"%08d" % at * (n // 8 + 1))[:n])
    return b"".join(parts)


@pytest.fixture
def slow(server):
    return lambda *args, **kw: server(
        *args, "slow:app", files={"slow.py": APP, "up/.keep": ""},
        config='tmp_upload_dir = "up"\n' + kw.pop("config", ""), **kw)


def files_in(s, folder="up"):
    """Temporary files of the workers: they have no name."""
    found = []
    for pid in s.workers():
        for fd in processes.open_descriptors(pid):
            with contextlib.suppress(OSError):
                to = os.readlink(f"/proc/{pid}/fd/{fd}")
                if to.startswith(f"{s.folder}/{folder}/"):
                    found.append(to)
    return found


def wait_no_files(s):
    until(lambda: not files_in(s), lambda: f"no files: {files_in(s)}")


def wait_for(s, name):
    until(lambda: (s.folder / name).exists(), lambda: f"{name}:\n{s.tail()}")


def connect(s):
    """A client whose own buffers are small."""
    peer = s.connect()
    if not isinstance(s.address, str):
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    return peer


def wait_kept(s):
    """Its request is over, where no greenlet waits instead."""
    if classes.keeps_replies():
        wait_for(s, "closed")


def assert_answered(s):
    for _ in range(3):
        assert s.get("/").body == b"ok"


CLASSES = [["-k", "sync"], ["-k", "gthread", "--threads", "2"]]
free = pytest.mark.parametrize("kind", CLASSES, ids=["sync", "gthread"])


@free
@pytest.mark.parametrize("path", ["/made", "/length", "/write"])
def test_a_generator_is_done_while_its_client_reads_nothing(slow, kind, path):
    s = slow(*kind, "--access-logfile", "access.log")
    with connect(s) as lazy, connect(s) as other:
        for peer in (lazy, other):  # as many as there are threads
            peer.get(f"{path}?{SIZE}")
            until(lambda: (s.folder / "made").exists(), s.tail)
            (s.folder / "made").unlink()
        if path != "/write":
            until(lambda: (s.folder / "closed").read_text() == "..",
                  "close() is called when it is exhausted")
        assert len(files_in(s)) == 2
        assert_answered(s)
        for peer in (lazy, other):
            r = peer.reply()
            assert r.framing == ("length" if path == "/length" else "chunked")
            assert r.body == expected(SIZE)
            assert peer.get("/").reply().body == b"ok"  # the connection stays
        until(lambda: (s.folder / "access.log").read_text()
              .count(f'?{SIZE} HTTP/1.1" 200 {SIZE} ') == 2,
              "its line has all of the bytes")
        wait_no_files(s)


def test_requests_behind_it_are_answered_in_order(slow):
    s = slow()
    with connect(s) as peer:
        for path in (f"/made?{SIZE}", "/", f"/length?{SIZE}", "/"):
            peer.get(path)
        assert peer.reply().body == expected(SIZE)
        assert peer.reply().body == b"ok"
        assert peer.reply().body == expected(SIZE)
        assert peer.reply().body == b"ok"


@pytest.mark.parametrize("bind", ["tcp", "unix"])
def test_http_1_0_gets_all_and_the_end(slow, bind):
    s = slow(bind=bind)
    with connect(s) as peer:
        peer.send(f"GET /made?{SIZE} HTTP/1.0\r\n\r\n")
        wait_kept(s)
        assert_answered(s)
        r = peer.reply()
        assert (r.framing, r.body) == ("close", expected(SIZE))


def test_a_failure_behind_it_is_a_cut_after_all_that_was_made(slow):
    s = slow()
    s.announce("at the end")
    with connect(s) as peer:
        peer.get(f"/failing?{SIZE}")
        if classes.keeps_replies():
            s.wait_log("RuntimeError: at the end")
        assert_answered(s)
        data = peer.rest()
    s.wait_log("RuntimeError: at the end")
    assert expected(SIZE)[-20000:] in data  # the last block
    assert not data.endswith(b"0\r\n\r\n")
    wait_no_files(s)


def test_head_has_no_file(slow):
    s = slow()
    with connect(s) as peer:
        peer.get(f"/length?{SIZE}", method="HEAD")
        assert peer.reply("HEAD").one("content-length") == str(SIZE)
        assert files_in(s) == []


@free
def test_blocks_that_the_client_waits_for_touch_no_file(slow, kind):
    s = slow(*kind)
    with connect(s) as peer:
        peer.get("/steps").head()
        for i in range(20):
            size = int(peer._line(), 16)
            assert peer._exactly(size + 2).startswith(b"%08d" % i)
            assert files_in(s) == []
            (s.folder / f"go{i}").touch()
        assert peer._line() == b"0"


# ---- bounds ----


def assert_waits(s, peer, size=SIZE):
    """Nobody else is answered before the slow one has read."""
    with s.connect() as other:
        other.get("/")
        assert not (s.folder / "made").exists()
        assert peer.reply().body == expected(size)
        assert other.reply().body == b"ok"
    wait_no_files(s)


@classes.needs_kept_replies
def test_the_worker_waits_when_the_file_is_full(slow):
    s = slow("--response-file-size", str(1 << 20))
    with connect(s) as peer:
        peer.get(f"/made?{MUCH}")
        pid = s.wait_workers(1)[0]
        until(lambda: [f for f in processes.open_descriptors(pid) if size_of(
            pid, f, s) == 1 << 20], "the file is full")
        assert_waits(s, peer, MUCH)


def size_of(pid, fd, s):
    path = f"/proc/{pid}/fd/{fd}"
    with contextlib.suppress(OSError):
        if os.readlink(path).startswith(f"{s.folder}/up/"):
            return os.stat(path).st_size
    return None


def test_without_a_file_the_worker_waits(slow):
    s = slow(config="response_file_size = 0\n")
    with connect(s) as peer:
        peer.get(f"/made?{SIZE}")
        until(lambda: peer.buffer or peer._more(), "it has begun")
        assert files_in(s) == []
        assert_waits(s, peer)


@classes.needs_kept_replies
def test_no_folder_is_told_once_and_the_worker_waits(slow):
    s = slow()
    shutil.rmtree(s.folder / "up")
    with connect(s) as peer:
        peer.get(f"/made?{MUCH}")
        s.wait_log(r"\[ERROR\] cannot make a temporary file for a response in "
                   r"'up' \(tmp_upload_dir\): No such file or directory; the "
                   "worker waits for slow clients")
        assert_waits(s, peer, MUCH)
    assert s.log_count("temporary file for a response") == 1


@processes.needs_root_and_unshare("--mount")
def test_a_full_disk_is_told_once_and_the_worker_waits(
        slow, tmp_path, monkeypatch):
    plain = [os.path.abspath(command()[0])]
    script = tmp_path / "inside.sh"
    script.write_text('#!/bin/sh\nmount -t tmpfs -o size=1m none "$PWD/up" '
                      '&& exec "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("CGUNICORN", " ".join(
        ["unshare", "--mount", str(script), *plain]))
    s = slow()
    with connect(s) as peer:
        peer.get(f"/made?{SIZE}")
        s.wait_log(r"\[ERROR\] cannot write a response to 'up' "
                   r"\(tmp_upload_dir\): No space left on device; the worker "
                   "waits for slow clients")
        assert_waits(s, peer)
    assert s.log_count("cannot write a response") == 1


# ---- ends ----


@free
def test_a_client_that_leaves_in_the_middle_leaves_nothing(slow, kind):
    s = slow(*kind)
    assert_answered(s)
    for path in (f"/made?{SIZE}", "/endless"):
        peer = connect(s).get(path)
        until(lambda: files_in(s), "there is a file")
        peer.reset()
        wait_for(s, "closed")
        (s.folder / "closed").unlink()
        wait_no_files(s)
    assert_answered(s)
    assert s.log_count("Traceback") == 0


@free
def test_a_client_that_reads_nothing_is_given_up(slow, kind):
    s = slow(*kind, "--write-timeout", "1")
    with connect(s) as made, connect(s) as endless:
        made.get(f"/made?{SIZE}")
        wait_for(s, "closed")
        (s.folder / "closed").unlink()
        endless.get("/endless")
        wait_for(s, "closed")
        wait_no_files(s)
        assert_answered(s)


@free
@pytest.mark.parametrize("how", ["TERM", "HUP"])
def test_what_is_in_the_file_is_delivered_at_a_stop(slow, kind, how):
    s = slow(*kind, "--graceful-timeout", "60")
    with connect(s) as peer:
        peer.get(f"/made?{SIZE}")
        wait_for(s, "closed")
        s.signal(how)
        s.wait_log("Handling signal: " + how.lower())
        r = peer.reply()
        assert r.body == expected(SIZE)
    if how == "TERM":
        assert s.wait() == 0
    else:
        assert_answered(s)


def test_a_stop_ends_with_the_graceful_timeout(slow):
    s = slow("--graceful-timeout", "1")
    with connect(s) as peer:
        peer.get(f"/made?{SIZE}")
        peer.head()
        wait_kept(s)
        assert s.stop() == 0


def test_a_request_that_takes_too_long_is_cut_with_its_file(slow):
    s = slow("--request-timeout", "1")
    s.announce("RequestTimeout", "REQUEST TIMEOUT")
    with connect(s) as peer:
        peer.get("/endless")
        wait_for(s, "closed")
        wait_no_files(s)
        assert_answered(s)


# ---- classes whose requests share a thread ----


@pytest.mark.parametrize("kind", ["gevent", "eventlet"])
def test_a_greenlet_waits_and_holds_nobody(run, slow, kind):
    classes.skip_unless_installed(run, kind)
    s = slow("-k", kind)
    with connect(s) as peer:
        peer.get(f"/made?{SIZE}")
        peer.head()
        assert_answered(s)
        assert files_in(s) == [] and not (s.folder / "made").exists()


def test_the_loop_of_tornado_waits_for_nobody(run, slow):
    classes.skip_unless_installed(run, "tornado")
    s = slow("-k", "tornado")
    with connect(s) as peer:
        peer.get(f"/made?{SIZE * 3}")
        wait_for(s, "closed")
        assert len(files_in(s)) == 1
        assert_answered(s)
        assert peer.reply().body == expected(SIZE * 3)
        wait_no_files(s)


def test_many_that_read_nothing_hide_nobody_who_reads(server):
    """A thread sends what full sockets left while the applications wait, and
    watches 64 of them at once."""
    size = 8 << 20
    s = server("shop:app", "-k", "gthread", "--threads", "70", files={
        "shop.py": f"""\
import os, time
BLOCK = b"x" * {size}

def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "{size + 3}")])
    yield BLOCK
    while not os.path.exists("go"):
        time.sleep(0.01)
    yield b"end"
"""})
    with contextlib.ExitStack() as stack:
        for _ in range(66):
            stack.enter_context(s.connect()).get("/").head()
        reader = stack.enter_context(s.connect())
        reader.get("/").head()
        assert len(reader._exactly(size)) == size
        (s.folder / "go").touch()
        assert reader._exactly(3) == b"end"
