# SPDX-License-Identifier: MIT
"""request_timeout, in every class: the client is told in time, whatever the
application does, and nobody else notices."""
import re
import time

import pytest

from harness import classes, processes
from harness.waiting import until
from harness.wire import Closed

CLASSES = {
    "sync": [],
    "gthread": ["--threads", "3"],
    "gevent": ["-k", "gevent"],
    "eventlet": ["-k", "eventlet"],
    "tornado": ["-k", "tornado"],
}
GREENLETS = ["gevent", "eventlet"]
TRACE = r"Request timed out: GET /{}(?:\?\S*)?\n(.*\n)*.*RequestTimeout: "


@pytest.fixture
def late(run, server):
    def make(kind, *args, announced=(), **options):
        if kind not in ("sync", "gthread"):
            classes.skip_unless_installed(run, kind)
        s = server(*CLASSES[kind], "--request-timeout", "1",
                   "--access-logfile", "access.log", *args, "late:app",
                   apps=["late.py"],
                   announced=["Request timed out", *announced], **options)
        s.kind = kind
        s.get("/")  # it serves
        return s
    return make


@pytest.fixture(params=CLASSES)
def each(request, late):
    return lambda *args, **kw: late(request.param, *args, **kw)


def go(server):
    (server.folder / "go").touch()


def noted(server, name):
    path = server.folder / name
    return len(path.read_text()) if path.exists() else 0


def wait_noted(server, name, count=1):
    until(lambda: noted(server, name) == count, f"{count} x {name}")


def expect_504(peer):
    reply = peer.reply()
    assert (reply.status, reply.reason) == (504, "Gateway Timeout")
    assert reply.says_close()
    assert b"Gateway Timeout" in reply.body
    peer.assert_closed()


def access_lines(server):
    return (server.folder / "access.log").read_text().splitlines()


def wait_access(server, pattern):
    until(lambda: any(re.search(pattern, line) for line in access_lines(server)),
          lambda: f"{pattern} in {access_lines(server)}")


# ---- it ends ----


@pytest.mark.parametrize("path", ["loop", "sleep", "silent"])
def test_a_request_in_python_is_answered_504_and_ended(each, path):
    s = each()
    with s.connect() as peer:
        peer.get(f"/{path}?q=1")
        expect_504(peer)
    wait_noted(s, "finally")
    pid = int(s.get("/").body)
    s.wait_log(rf"\[ERROR\] REQUEST TIMEOUT \(pid:{pid}\): GET /{path}\?q=1 "
               r"\(for 1\.\d s, from 127\.0\.0\.1\): answered 504")
    s.wait_log(TRACE.format(path))
    wait_access(s, rf'"GET /{path}\?q=1 HTTP/1.1" 504 \d+ "-" "-"')
    assert len([x for x in access_lines(s) if path in x]) == 1
    # its executor is as good as new, and so is the worker
    assert int(s.get("/").body) == pid
    assert "replaced" not in s.log()


def test_the_exception_is_no_Exception(late):
    s = late("sync")
    with s.connect() as peer:
        peer.get("/loop")
        expect_504(peer)
    wait_noted(s, "raised.RequestTimeout")


@pytest.mark.parametrize("kind", ["sync", "tornado", *GREENLETS])
def test_a_wait_for_the_kernel_is_ended(late, kind):
    s = late(kind)
    with s.connect() as peer:
        peer.get("/sleep?long")
        expect_504(peer)
    wait_noted(s, "finally")
    s.wait_log(TRACE.format("sleep"))
    assert s.get("/").status == 200
    assert "replaced" not in s.log()


# ---- the reply had begun ----


@pytest.mark.parametrize("path", ["begun", "stream"])
def test_a_reply_that_has_begun_is_cut(each, path):
    s = each()
    with s.connect() as peer:
        peer.get(f"/{path}")
        with pytest.raises(Closed):
            peer.reply()
        assert b"rest" not in peer.buffer
    wait_noted(s, "finally")
    s.wait_log(rf"REQUEST TIMEOUT .*GET /{path} .*the connection was cut")
    go(s)
    assert s.get("/").status == 200


def test_a_cut_is_no_clean_end_for_http_1_0(each):
    s = each()
    with s.connect() as peer:
        peer.send(b"GET /stream HTTP/1.0\r\nHost: a\r\n\r\n")
        peer.rest()
        assert peer.was_reset


# ---- it does not end ----


def test_a_request_that_swallows_it_has_the_worker_replaced(each):
    s = each("--graceful-timeout", "60",
             announced=["is running:", "Stacks? of"])
    victim = s.workers()[0]
    with s.connect() as peer:
        peer.get("/deaf")
        expect_504(peer)
        s.wait_log(rf"\[ERROR\] A request of worker \(pid:{victim}\) does not")
        s.wait_log(rf"Worker \(pid:{victim}\) is running: GET /deaf ")
        s.wait_log("Stack of the request GET /deaf(.*\n)*.* in deaf"
                   if s.kind in GREENLETS else
                   "Stacks of worker(.*\n)*.* in deaf")
        until(lambda: len(s.workers()) == 2 or s.workers() != [victim],
              "a successor")
        until(lambda: int(s.get("/").body) != victim, "the successor serves")
        assert noted(s, "done") == 0 and noted(s, "swallowed") == 1
        go(s)
    wait_noted(s, "done")
    processes.wait_gone(victim, "the worker of the stuck request")
    assert "SIGKILL" not in s.log()


def test_native_code_with_the_gil_does_not_keep_the_client_waiting(each):
    s = each("--graceful-timeout", "1", announced=[
        "is running:", "Stacks of worker", "SIGKILL", "took 1 request"])
    victim = s.workers()[0]
    with s.connect() as peer:
        peer.get("/native")
        expect_504(peer)
        wait_access(s, '"GET /native HTTP/1.1" 504 ')
        s.wait_log(r"Stacks of worker(.*\n)*.* in native")
    processes.wait_gone(victim, "the worker of the stuck request")
    assert int(s.get("/").body) != victim


# ---- others ----


def test_connections_of_others_live_on(each):
    s = each()
    with s.connect() as other, s.connect() as peer:
        first = other.get("/").reply().body
        peer.get("/loop")
        expect_504(peer)
        for _ in range(20):
            assert other.get("/").reply().body == first


@pytest.mark.parametrize("kind", ["gthread", *GREENLETS])
def test_requests_beside_it_are_not_touched(late, kind):
    """They began later, so they are in time when it is not."""
    s = late(kind)
    with s.connect() as peer, s.connect() as other:
        peer.get("/sleep")
        time.sleep(0.6)  # the other one's time ends that much later
        other.get("/sleep")
        expect_504(peer)
        go(s)
        assert other.reply().status == 200
        assert other.get("/").reply().status == 200
    assert s.log_count("REQUEST TIMEOUT") == 1


def test_what_comes_late_reaches_nobody(each):
    s = each("--graceful-timeout", "60",
             announced=["is running:", "Stacks of worker"])
    with s.connect() as peer:
        peer.get("/deaf")
        expect_504(peer)
    # the number of the late one's socket must not be free for these
    others = [s.connect() for _ in range(5)]
    if s.kind in ("gthread", *GREENLETS):
        for other in others:
            assert other.get("/").reply().status == 200
    go(s)
    wait_noted(s, "done")
    for other in others:
        reply = other.get("/").reply()
        assert reply.status == 200
        other.sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            other.sock.recv(1)
        other.close()


def test_pipelined_requests_behind_it_are_not_answered(each):
    s = each()
    with s.connect() as peer:
        peer.send(b"GET /loop HTTP/1.1\r\nHost: a\r\n\r\n"
                  b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        expect_504(peer)


# ---- with other settings ----


def test_head_gets_no_body(late):
    s = late("sync")
    with s.connect() as peer:
        peer.get("/loop", method="HEAD")
        assert peer.reply("HEAD").status == 504
        peer.assert_closed()


def test_a_client_that_waits_to_upload_is_told(late):
    s = late("sync", config="request_buffering = False")
    with s.connect() as peer:
        peer.send(b"POST /upload HTTP/1.1\r\nHost: a\r\n"
                  b"Content-Length: 100\r\n\r\nonly this")
        expect_504(peer)
    assert s.get("/").status == 200
    assert "Invalid request" not in s.log()


def test_an_upgraded_connection_has_no_limit(each):
    s = each()
    with s.connect() as peer, s.connect() as other:
        peer.get("/taken", "Connection: upgrade", "Upgrade: x")
        wait_noted(s, "began")
        if s.kind in ("gthread", *GREENLETS):
            other.get("/loop")
            expect_504(other)
        else:
            time.sleep(1.3)  # nothing is to happen
        go(s)
        assert peer.rest().endswith(b"\r\n\r\nhello")
    assert "GET /taken" not in s.log()


def test_post_request_sees_what_was_sent(late):
    s = late("sync", config="""\
def post_request(worker, req, environ, resp):
    worker.log.info("post %s %s %s %s", req.path, resp.status,
                    resp.status_code, resp.sent)
""")
    with s.connect() as peer:
        peer.get("/loop")
        reply = peer.reply()
    s.wait_log(rf"post /loop 504 Gateway Timeout 504 {len(reply.body)}\n")


def test_a_python_logger_gets_the_access_line(late):
    s = late("sync", config="""\
from gunicorn.glogging import Logger

class Mine(Logger):
    def access(self, resp, req, environ, request_time):
        self.info("mine %s %s %s", req.path, resp.status, resp.sent)

logger_class = Mine
""")
    with s.connect() as peer:
        peer.get("/loop")
        reply = peer.reply()
    s.wait_log(rf"mine /loop 504 Gateway Timeout {len(reply.body)}\n")
    assert s.log_count("mine /loop") == 1


def test_a_stop_waits_for_the_end_of_it(late):
    s = late("sync")
    with s.connect() as peer:
        peer.get("/sleep")
        wait_noted(s, "began")
        s.signal("TERM")
        expect_504(peer)
    assert s.wait() == 0
    wait_noted(s, "finally")


def test_a_failure_in_time_is_no_timeout(late):
    s = late("sync", announced=["Error handling request"])
    assert s.get("/nothing").status == 500
    assert "TIMEOUT" not in s.log()


def test_an_application_may_catch_it_by_its_name(server):
    s = server("--request-timeout", "1", "catching:app", files={
        "catching.py": """\
from _cgunicorn import RequestTimeout

def app(environ, start_response):
    try:
        while True:
            pass
    except RequestTimeout as e:
        with open("caught", "w") as f:
            f.write(str(e))
    start_response("200 OK", [])
    return []
"""})
    with s.connect() as peer:
        peer.get("/")
        expect_504(peer)
    caught = s.folder / "caught"
    until(lambda: caught.exists() and "request_timeout" in caught.read_text(),
          "it was caught")
    assert "timed out" not in s.log()
