# SPDX-License-Identifier: MIT
"""What gunicorn's classes, as the server brings them, do better than they need to, or
did worse: for subclasses of them. The rest of the suite runs with such a class, too
(tests/README.md)."""
import gzip
import json
import shutil
import socket
import struct
import subprocess

import pytest

from harness import classes
from harness.logcheck import lines
from harness.waiting import until

pytestmark = pytest.mark.skipif(
    bool(classes.under_test() != "sync" or classes.multithread()),
    reason="the class is the test's own")

MINE = """\
from gunicorn.workers.{module} import {base}

class Mine({base}):
    pass
"""
KINDS = pytest.mark.parametrize("module, base", [
    ("sync", "SyncWorker"), ("gthread", "ThreadWorker"), ("ggevent", "GeventWorker")])


@pytest.fixture
def mine(run, server):
    def make(module, base, app, *args, **more):
        if module == "ggevent":
            classes.skip_unless_installed(run, "gevent")
        return server("-k", "mine.Mine", *args, "shop:app", files={
            "mine.py": MINE.format(module=module, base=base), "shop.py": app,
            **more.pop("files", {})}, **more)
    return make


REPLIES = """\
import gzip

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/gzip":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return environ["wsgi.file_wrapper"](gzip.open("packed"))
    if path == "/empty":
        start_response("200 OK", [])
        return iter([b"", b""])
    if path == "/late":  # the head is replaced while no byte is sent
        return late(start_response)
    if path == "/two":
        start_response("200 OK", [("Content-Length", "3"), ("Content-Length", "5")])
    elif path == "/field":
        start_response("200 OK", [("X-A", "b\\r\\nX-Evil: 1")])
    elif path != "/never":
        start_response({"/interim": "100 Continue"}.get(path, "200"), [])
    return [b"abc"]

def late(start_response):
    start_response("200 OK", [("X-First", "1"), ("Content-Length", "100")])
    yield b""
    try:
        1 / 0
    except ZeroDivisionError:
        import sys
        start_response("418 Teapot", [("X-Second", "1")], sys.exc_info())
    yield b"tea"
"""


@KINDS
def test_replies_are_what_the_application_gave(mine, module, base, tmp_path):
    s = mine(module, base, REPLIES, files={"packed": gzip.compress(b"unpacked " * 5000)})
    assert s.get("/gzip").body == b"unpacked " * 5000
    r = s.get("/empty")
    assert (r.status, r.one("content-length"), r.body) == (200, "0", b"")
    r = s.get("/late")
    assert (r.status, r.body) == (418, b"tea")
    assert r.one("x-second") == "1" and r.one("x-first") is None
    assert s.get("/plain").status == 200


@KINDS
@pytest.mark.parametrize("path", ["/two", "/field", "/interim", "/never"])
def test_replies_that_cannot_be_are_a_500_of_the_application(mine, module, base, path):
    s = mine(module, base, REPLIES, announced=["Error handling request"])
    r = s.get(path)
    assert r.status == 500 and b"X-Evil" not in r.body
    s.wait_log(r"\[ERROR\] Error handling request GET " + path)


def test_a_quick_stop_is_not_taken_for_the_applications_fault(mine):
    s = mine("sync", "SyncWorker", """\
import time
def app(environ, start_response):
    open("began", "w").close()
    time.sleep(600)
""")
    with s.connect() as peer:
        peer.get("/")
        until(lambda: (s.folder / "began").exists(), "the request runs")
        assert s.stop("QUIT") == 0
        assert peer.rest() == b""
    assert "[ERROR]" not in s.log()


HELLO = """\
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]
"""


def test_a_peer_makes_no_line_of_its_own_and_forms_are_told_and_mended(mine):
    s = mine("sync", "SyncWorker", HELLO, config="accesslog = 'a.log'\n"
             "access_log_format = '%(U)s|%(s)4d|%(B)03d'\n", announced=["no form of that atom"])
    s.get("/one%0a%0dforged%1b")
    assert lines(s.folder / "a.log", 1) == [r"/one\x0a\x0dforged\x1b| 200|005"]


def test_a_target_that_is_not_encoded_is_refused(mine):
    s = mine("sync", "SyncWorker", HELLO)
    with s.connect() as peer:
        assert peer.send(b"GET /\x1b[31m\xff HTTP/1.1\r\nHost: a\r\n\r\n").reply().status == 400
    s.wait_log("Invalid request from ip=127.0.0.1")
    assert "\x1b" not in s.log()


def test_extensions_of_chunks_are_read(mine):
    s = mine("sync", "SyncWorker", HELLO.replace(
        "    start", "    environ['wsgi.input'].read()\n    start"))
    for extension, status in ((b';a="b;c"', 200), (b";a=b ; c", 200), (b';a="b', 400)):
        with s.connect() as peer:
            peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3"
                      + extension + b"\r\nabc\r\n0\r\n\r\n")
            assert peer.reply().status == status, extension


# ---- the uwsgi protocol ----

ECHO = """\
import json
def app(environ, start_response):
    told = {k: environ.get(k) for k in ("REQUEST_METHOD", "PATH_INFO", "QUERY_STRING",
                                        "HTTP_X_A", "CONTENT_TYPE", "wsgi.url_scheme")}
    body = json.dumps([told, environ["wsgi.input"].read().decode()]).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


def packet(modifier=0, **variables):
    data = b""
    for name, value in variables.items():
        for text in (name.encode(), value.encode()):
            data += struct.pack("<H", len(text)) + text
    return struct.pack("<BHB", modifier, len(data), 0) + data


def say(server, data):
    """All that comes back."""
    with socket.create_connection(server.address, 20) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        found = b""
        while more := sock.recv(65536):
            found += more
    return found


@KINDS
def test_the_uwsgi_protocol_is_read(mine, module, base):
    s = mine(module, base, ECHO, config="protocol = 'uwsgi'\n", bind="tcp",
             announced=["Invalid request"])
    found = say(s, packet(REQUEST_METHOD="POST", PATH_INFO="/a b", QUERY_STRING="c=d",
                          HTTP_X_A="1", CONTENT_TYPE="text/x", CONTENT_LENGTH="3",
                          HTTPS="on") + b"abc")
    head, _, body = found.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), found
    told, read = json.loads(body)
    assert told == {"REQUEST_METHOD": "POST", "PATH_INFO": "/a b", "QUERY_STRING": "c=d",
                    "HTTP_X_A": "1", "CONTENT_TYPE": "text/x", "wsgi.url_scheme": "https"}
    assert read == "abc"


@pytest.mark.parametrize("data, status, text", [
    (packet(5, A="b"), 501, "Unsupported uWSGI modifier1: 5"),
    (b"\0\x09\0\0short", 400, "incomplete vars block"),
    (b"\0\x03\0\0\xff\0x", 400, "truncated key"), (b"\0\0", 400, "incomplete header")])
def test_a_bad_packet_is_refused_and_told(mine, data, status, text):
    s = mine("sync", "SyncWorker", ECHO, config="protocol = 'uwsgi'\n",
             announced=["Invalid request"])
    assert say(s, data).startswith(b"HTTP/1.1 %d " % status)
    s.wait_log("Invalid request from ip=127.0.0.1: .*" + text)


# ---- names ----

def test_names_of_dirty_workers_are_gunicorns(run):
    done = run("--check-config", "-c", "c.py", "shop:app", files={"shop.py": HELLO, "c.py": """\
from gunicorn.dirty import app, errors, protocol, stash, tlv
assert app.parse_dirty_app_spec("a.b:C:2") == ("a.b:C", 2)
for bad in ("a", "a:b:0", "a:b:x"):
    try:
        app.parse_dirty_app_spec(bad)
    except errors.DirtyAppError as e:
        print(e)
assert protocol.MSG_TYPE_STASH == 16 and protocol.MSG_TYPE_MANAGE_STR == "manage"
assert protocol.BinaryProtocol.MSG_TYPE_END == "end" and stash.STASH_OP_EXISTS == 10
assert tlv.TYPE_DICT == 0x21
head = protocol.BinaryProtocol.encode_header(protocol.MSG_TYPE_REQUEST, 7, 3)
assert protocol.BinaryProtocol.decode_header(head + b"abc") == (1, 7, 3)
for missing in ("nowhere:App", "json:App", "json:loads"):
    try:
        app.load_dirty_app(missing)
    except errors.DirtyAppError as e:
        print(type(e).__name__)
"""})
    assert done.status == 0, done.err
    assert done.out.split().count("DirtyAppNotFoundError") == 2
    assert "DirtyAppError" in done.out and "must be >= 1" in done.out


def test_ssl_options_are_those_that_ssl_knows(run):
    done = run("--check-config", "-c", "c.py", "shop:app", files={
        "shop.py": HELLO, "c.py": """\
from gunicorn.config import Config
def when_ready(server):
    pass
print(sorted(Config().ssl_options))
"""})
    assert done.out.strip() == str(sorted([
        "keyfile", "certfile", "ssl_version", "cert_reqs", "ca_certs",
        "suppress_ragged_eofs", "do_handshake_on_connect", "ciphers"]))


# ---- connections that are kept ----

KEEPS = pytest.mark.parametrize("module, base", [
    ("gthread", "ThreadWorker"), ("ggevent", "GeventWorker")])
KEPT = """\
def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/read":
        try:
            environ["wsgi.input"].read()
        except Exception as e:
            start_response("422 Body", [("Content-Length", "3")])
            return [b"bad"]
    start_response("200 OK", [("Content-Length", "9" if path == "/short" else "5")])
    return [b"hello"]
"""


@KEEPS
def test_requests_that_come_together_are_all_answered(mine, module, base):
    s = mine(module, base, KEPT)
    with s.connect() as peer:
        peer.send(b"GET /one HTTP/1.1\r\nHost: a\r\n\r\n" * 3)
        assert [peer.reply().body for _ in range(3)] == [b"hello"] * 3


@KEEPS
def test_a_reply_that_is_too_short_ends_the_connection(mine, module, base):
    s = mine(module, base, KEPT)
    with s.connect() as peer:
        peer.send(b"GET /short HTTP/1.1\r\nHost: a\r\n\r\n")
        assert peer.rest().endswith(b"\r\n\r\nhello")


@KEEPS
def test_nothing_behind_a_bad_body_is_taken_for_a_request(mine, module, base):
    s = mine(module, base, KEPT)
    with s.connect() as peer:
        peer.send(b"POST /read HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                  b"zz\r\nGET /evil HTTP/1.1\r\nHost: a\r\n\r\n")
        r = peer.reply()
        assert (r.status, r.body) == (422, b"bad") and r.says_close()
        assert peer.rest() == b""


def test_a_class_may_listen_again_with_a_backlog_of_its_own(server):
    """asyncio does, for aiohttp's class; it is undone without a word."""
    if shutil.which("ss") is None:
        pytest.skip("there is no ss to ask for the backlog")
    s = server("-k", "mine.Mine", "--backlog", "500", "shop:app", files={
        "shop.py": HELLO, "mine.py": """\
from gunicorn.workers.sync import SyncWorker

class Mine(SyncWorker):
    def run(self):
        for s in self.sockets:
            s.sock.listen(7)
        super().run()
"""})
    assert s.get("/").body == b"hello"
    until(lambda: backlog_of(s) == 500, lambda: f"the backlog is {backlog_of(s)}")
    assert "backlog" not in s.log()


def backlog_of(server):
    """What the kernel says of the listening socket."""
    done = subprocess.run(["ss", "-Hltn", f"sport = :{server.address[1]}"],
                          capture_output=True, text=True)
    return int(done.stdout.split()[2])
