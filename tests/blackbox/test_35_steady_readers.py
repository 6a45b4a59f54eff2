# SPDX-License-Identifier: MIT
"""Clients that go on reading, however slowly, get all of a reply: it is what
they take that counts, not what their socket's buffer hides."""
import os
import re
import selectors
import socket
import time

import pytest

from harness import classes
from harness.waiting import until
from harness.wire import Peer

SIZE = 9 << 20  # more than the sockets of both ends take
APP = """\
import os, time

SIZE = %d
BODY = b"0123456789abcdef" * (SIZE // 16)

def blocks():
    for at in range(0, SIZE, 65536):
        yield BODY[at:at + 65536]

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path.startswith("/late"):
        open("began", "w").close()
        while not os.path.exists("left"):
            time.sleep(0.01)
    path = path.replace("/late", "")
    if path == "/made":
        start_response("200 OK", [])
        return blocks()
    start_response("200 OK", [("Content-Length", str(SIZE))])
    if path == "/file":
        return environ["wsgi.file_wrapper"](open("body", "rb"))
    return [BODY] if path == "/list" else blocks()
""" % SIZE
PATHS = ["/list", "/made", "/length", "/file"]


@pytest.fixture
def steady(server):
    body = (b"0123456789abcdef" * (SIZE // 16)).decode()
    return lambda *args, **kw: server(
        *args, "steady:app", "--write-timeout", "2",
        files={"steady.py": APP, "body": body}, **kw)


def connect(s):
    """A client whose own buffers are small."""
    if isinstance(s.address, str):
        return s.connect()
    peer = Peer.__new__(Peer)
    peer.sock = socket.socket()
    peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
    peer.sock.settimeout(60)
    peer.sock.connect(s.address)
    peer.buffer, peer.ended, peer.was_reset = b"", False, False
    return peer


def read_slowly(peers, seconds, step=12000, pace=0.05):
    """Each takes `step` bytes each `pace` seconds."""
    end = time.monotonic() + seconds
    parts = {p: [] for p in peers}
    with selectors.DefaultSelector() as waiter:
        while time.monotonic() < end:
            for p in peers:
                if not p.ended:
                    data = p.sock.recv(step)
                    p.ended = not data
                    parts[p].append(data)
            waiter.select(pace)
    for p in peers:
        p.buffer = b"".join(parts[p])


def assert_complete(peers):
    body = b"0123456789abcdef" * (SIZE // 16)
    for path, p in peers:
        r = p.reply()
        assert len(r.body) == SIZE and r.body == body, path


KINDS = ["sync", "gthread", "gevent", "tornado"]


@pytest.mark.parametrize("bind", ["tcp", "unix"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_reader_that_goes_on_gets_all_of_it(run, steady, kind, bind):
    if kind not in ("sync", "gthread"):
        classes.skip_unless_installed(run, kind)
    s = steady("-k", kind, bind=bind)
    peers = [(path, connect(s).get(path)) for path in PATHS]
    read_slowly([p for _, p in peers], 5)
    assert_complete(peers)
    assert s.log_count("takes nothing") == 0


# ---- those that do not ----


def bytes_logged(s, path):
    """The access line of a path has come; its bytes."""
    log = s.folder / "access.log"
    found = []

    def look():
        found[:] = re.findall(rf'"GET {path} HTTP/1.1" 200 (\d+|-) ',
                              log.read_text() if log.exists() else "")
        return found

    until(look, lambda: f"a line of {path}:\n{s.tail()}")
    assert len(found) == 1
    return int(found[0].replace("-", "0"))


@pytest.mark.parametrize("bind", ["tcp", "unix"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_reader_that_takes_nothing_is_cut_and_told(run, steady, kind, bind):
    if kind not in ("sync", "gthread"):
        classes.skip_unless_installed(run, kind)
    s = steady("-k", kind, "--access-logfile", "access.log", bind=bind)
    s.announce("takes nothing")
    peers = [(path, connect(s).get(path)) for path in PATHS]
    who = "127.0.0.1" if bind == "tcp" else "a unix socket"
    for path, p in peers:
        sent, of = map(int, s.wait_log(
            r"\[WARNING\] Client takes nothing for [23]\.\d s, its reply is "
            rf"cut: GET {path} \(from {who}, (\d+) of (\d+) bytes sent\)"))
        assert sent < of <= SIZE  # made so far
        assert bytes_logged(s, path) == sent
        assert sent - 65536 <= len(p.rest()) < SIZE, path
        assert p.was_reset or bind == "unix", path


@pytest.mark.parametrize("kind", KINDS)
def test_an_aborted_download_is_logged_with_what_was_taken(run, steady, kind):
    if kind not in ("sync", "gthread"):
        classes.skip_unless_installed(run, kind)
    s = steady("-k", kind, "--access-logfile", "access.log")
    for path in PATHS:
        p = connect(s).get(path)
        taken = 0
        while taken < 400000:
            taken += len(p.sock.recv(65536))
        p.reset()
        assert taken - 65536 <= bytes_logged(s, path) <= taken + 300000


@pytest.mark.parametrize("kind", KINDS)
def test_a_client_that_left_before_the_reply_took_nothing(run, steady, kind):
    if kind not in ("sync", "gthread"):
        classes.skip_unless_installed(run, kind)
    s = steady("-k", kind, "--access-logfile", "access.log")
    for path in PATHS:
        p = s.connect().get("/late" + path)
        until((s.folder / "began").exists, "the application runs")
        p.reset()
        (s.folder / "left").touch()
        assert bytes_logged(s, "/late" + path) < 65536, path
        (s.folder / "left").unlink()
        (s.folder / "began").unlink()


def test_a_reply_is_logged_when_all_of_it_is_out(steady):
    s = steady("--access-logfile", "access.log")
    p = connect(s).get("/list")
    p.head()
    assert s.get("/made").body[:4] == b"0123"
    assert bytes_logged(s, "/made") == SIZE
    assert "/list" not in (s.folder / "access.log").read_text()
    assert len(p._exactly(SIZE)) == SIZE
    assert bytes_logged(s, "/list") == SIZE


def test_a_python_logger_hears_of_it_when_all_of_it_is_out(server):
    s = server("steady:app", "--access-logfile", "access.log", config="""
import gunicorn.glogging

class Logger(gunicorn.glogging.Logger):
    def access(self, resp, req, environ, time):
        self.info("heard of %s %s", environ["PATH_INFO"], resp.sent)

logger_class = Logger
""", files={"steady.py": APP, "body": ""})
    with connect(s) as p, connect(s) as gone:
        p.get("/list").head()
        gone.get("/length").head()
        assert s.get("/made").status == 200
        s.wait_log(f"heard of /made {SIZE}")
        assert s.log_count("heard of /list") == 0
        assert len(p._exactly(SIZE)) == SIZE
        s.wait_log(f"heard of /list {SIZE}")
        gone.reset()
        s.wait_log("heard of /length")
        assert s.log_count(f"heard of /length {SIZE}") == 0


def test_what_is_not_out_at_the_end_of_the_worker_is_logged_too(steady):
    s = steady("--access-logfile", "access.log")
    with connect(s) as p:
        p.get("/list").head()
        assert s.stop("QUIT") == 0
        assert 0 < bytes_logged(s, "/list") < SIZE


def test_the_400_of_a_cut_upload_is_logged_with_its_head(server):
    s = server("steady:app", "--access-logfile", "access.log",
               files={"steady.py": APP, "body": ""})
    s.announce("Request body ended early")
    with s.connect() as p:
        p.send("POST /up HTTP/1.1\r\nHost: a\r\nUser-Agent: curl/8 \"x\"\r\n"
               "Referer: http://r/\r\nContent-Length: 10\r\n\r\nabc")
        p.end_sending()
        assert p.reply().status == 400
    until(lambda: '"POST /up HTTP/1.1" 400 ' in
          (s.folder / "access.log").read_text(), s.tail)
    assert '"http://r/" "curl/8 \\"x\\""' in (
        s.folder / "access.log").read_text()
