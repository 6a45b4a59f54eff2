# SPDX-License-Identifier: MIT
"""Request bodies: limits, temporary files, and what is wrong with them."""
import contextlib
import json
import resource
import time

import pytest

from harness import classes

MIB = 1 << 20
APPS = ["probe.py"]


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


def assert_refused(peer, status):
    r = peer.reply()
    assert r.status == status, r
    assert r.says_close()
    peer.assert_closed()
    return r


# ---- max_request_body ----


def test_a_body_is_not_limited_by_default(server):
    s = server("probe:app", apps=APPS)
    assert b"size" in s.post("/digest", b"x" * (5 * MIB)).body


def test_an_announced_body_over_the_limit_is_a_413_before_it_is_sent(server):
    s = server("probe:app", "--max-request-body", "1000", apps=APPS)
    with s.connect() as peer:
        peer.get("/digest", "Content-Length: 1001", method="POST")
        r = assert_refused(peer, 413)
    assert b"max_request_body" in r.body
    s.wait_log("Request body is too large")


def test_a_body_at_the_limit_is_taken(server):
    s = server("probe:app", "--max-request-body", "1000", apps=APPS)
    assert s.post("/digest", b"x" * 1000).status == 200
    with s.connect() as peer:
        peer.get("/digest", "Transfer-Encoding: chunked", method="POST")
        peer.send(chunk(b"x" * 600) + chunk(b"y" * 400) + b"0\r\n\r\n")
        assert json.loads(peer.reply().body)["size"] == 1000


def test_a_whole_body_over_the_limit_is_a_413(server):
    s = server("probe:app", "--max-request-body", "10", apps=APPS)
    with s.connect() as peer:
        peer.send(b"POST /digest HTTP/1.1\r\nHost: a\r\n"
                  b"Content-Length: 11\r\n\r\nhello world")
        assert_refused(peer, 413)


def test_a_413_after_a_head_in_pieces(server):
    s = server("probe:app", "--max-request-body", "10", apps=APPS)
    with s.connect() as peer:
        peer.send(b"POST /digest HTTP/1.1\r\nHost: a\r\nContent-")
        assert s.get("/one").status == 200
        peer.send(b"Length: 11\r\n\r\n")
        assert_refused(peer, 413)


def test_a_chunked_body_is_a_413_as_soon_as_it_grows_over_the_limit(server):
    s = server("probe:app", "--max-request-body", "1000", apps=APPS)
    with s.connect() as peer:
        peer.get("/digest", "Transfer-Encoding: chunked", method="POST")
        peer.send(chunk(b"x" * 600))
        assert s.get("/one").status == 200
        peer.send(chunk(b"x" * 401))
        assert_refused(peer, 413)


def test_an_expectation_of_a_body_over_the_limit_is_a_413_and_no_100(server):
    s = server("probe:app", "--max-request-body", "1000", apps=APPS)
    with s.connect() as peer:
        peer.get("/digest", "Content-Length: 5000", "Expect: 100-continue",
                 method="POST")
        assert_refused(peer, 413)


def test_a_413_is_read_by_a_client_that_sends_all_the_same(server):
    s = server("probe:app", "--max-request-body", "1000", apps=APPS)
    with s.connect() as peer:
        peer.get("/digest", "Content-Length: 40000", method="POST")
        peer.send_leniently(b"x" * 40000)
        assert_refused(peer, 413)


# ---- what cannot be stored ----


@contextlib.contextmanager
def file_size_limit(pids, size):
    """Files of these processes can grow no larger, as if the disk was full."""
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    for pid in pids:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, unlimited[1]))
    yield
    for pid in pids:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited)


def test_a_body_that_no_longer_fits_is_a_503_and_a_line_in_the_log(server):
    s = server("probe:app", "--request-buffer-size", "1000", apps=APPS,
               files={"up/.keep": ""}, config='tmp_upload_dir = "up"\n')
    with file_size_limit(s.wait_workers(1), 2 * MIB):
        with s.connect() as peer:
            peer.get("/digest", f"Content-Length: {3 * MIB}", method="POST")
            peer.send_leniently(b"x" * (3 * MIB))
            r = peer.reply()
        assert (r.status, r.reason) == (503, "Service Unavailable")
        assert r.says_close() and b"up" not in r.body
        s.wait_log(r"\[ERROR\] Cannot receive a request from ip=127.0.0.1: "
                   r"cannot write a request body to 'up' \(tmp_upload_dir\)")
        assert s.get("/one").body == b"one item"
    assert s.post("/digest", b"x" * (3 * MIB)).status == 200


def test_no_folder_for_bodies_is_a_500_until_it_is_there_again(server):
    s = server("probe:app", "--request-buffer-size", "1000", apps=APPS,
               files={"up/.keep": ""}, config='tmp_upload_dir = "up"\n')
    (s.folder / "up").rename(s.folder / "away")
    with s.connect() as peer:
        peer.get("/digest", "Content-Length: 200000", method="POST")
        peer.send_leniently(b"x" * 200000)
        r = peer.reply()
    assert r.status == 500 and r.says_close() and b"up" not in r.body, r
    s.wait_log(r"cannot make a temporary file .* in 'up' \(tmp_upload_dir\)")
    assert s.post("/digest", b"x" * 1000).status == 200
    (s.folder / "away").rename(s.folder / "up")
    assert s.post("/digest", b"x" * 200000).status == 200


# ---- slow bodies ----


def test_sl03_sl05_a_body_below_the_least_rate_is_a_408(server):
    """Its bytes come steadily, so that body_timeout alone would wait."""
    s = server("probe:app", "--body-timeout", "1", apps=APPS)
    for coding, unit in (("Content-Length: 100000", b"x"),
                         ("Transfer-Encoding: chunked", chunk(b"x"))):
        with s.connect() as peer:
            peer.get("/digest", coding, method="POST").send(unit)
            peer.drip(unit)
            r = peer.reply()
            assert r.status == 408 and b"too slowly" in r.body, r
        assert s.get("/one").body == b"one item"


def test_a_body_above_the_least_rate_may_take_its_time(server):
    s = server("probe:app", "--body-timeout", "1", "--body-min-rate", "1",
               apps=APPS)
    end = time.monotonic() + 1.5
    with s.connect() as peer:
        peer.get("/digest", "Transfer-Encoding: chunked", method="POST")
        while time.monotonic() < end:
            # more payload than framing, or a fast machine has it refused
            peer.send(chunk(b"x" * 64))
            assert s.get("/one").status == 200
        assert peer.send(b"0\r\n\r\n").reply().status == 200


# ---- threads ----


def test_a_thread_that_reads_on_after_its_request_is_told(server):
    # it must never see the next request's file, or memory that was given back
    s = server("--request-buffer-size", "1000", "reading:app", files={
        "reading.py": """\
import threading
raised, threads = set(), []

def read(body):
    try:
        while body.readline():
            pass
    except Exception as e:
        raised.add(repr(e))

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["REQUEST_METHOD"] == "POST":
        threads.append(threading.Thread(
            target=read, args=(environ["wsgi.input"],)))
        threads[-1].start()
        return [b"ok"]
    for thread in threads:
        thread.join()
    return ["\\n".join(raised).encode()]
"""})
    body = (b"y" * 300 + b"\n") * 20000
    for _ in range(40):
        assert s.post("/", body).body == b"ok"
    assert s.get("/").body.decode() in ("", repr(ValueError(
        "wsgi.input used after the end of its request")))


@classes.needs_sleep_that_blocks
def test_two_threads_that_read_a_file_at_once_lose_nothing(server):
    """One of them may be told; what both get is all of it, in whole lines."""
    s = server("--request-buffer-size", "1000", "both:app", files={
        "both.py": """\
import sys, threading
sys.setswitchinterval(1e-6)

def app(environ, start_response):
    got, told, source = [], set(), environ["wsgi.input"]
    def read(step):
        while True:
            try:
                line = step()
            except RuntimeError as e:
                told.add(str(e))
                continue
            if not line:
                return
            got.append(line)
    threads = [threading.Thread(target=read, args=(step,)) for step in
               (source.readline, lambda: source.read(8))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    start_response("200 OK", [("X-Told", ";".join(told))])
    return [b"".join(sorted(got))]
"""})
    body = b"".join(b"%07d\n" % n for n in range(100000))
    r = s.post("/", body)
    assert r.body == body
    assert (r.one("X-Told") or "") in ("", "wsgi.input is read by two at once")


@pytest.mark.parametrize("args", [[], ["--request-buffer-size", "2"]])
@pytest.mark.parametrize("call", ["read", "readline", "readlines"])
def test_a_size_that_reads_itself_gets_no_more_than_is_left(
        server, call, args):
    s = server("sly:app", *args, files={"sly.py": """\
def app(environ, start_response):
    source = environ["wsgi.input"]
    class Sly:
        def __index__(self):
            source.read(4)
            return 1000
    got = getattr(source, environ["PATH_INFO"][1:])(Sly())
    start_response("200 OK", [])
    return [repr(got).encode()]
"""})
    for _ in range(3):
        got = s.post(f"/{call}", b"012345").body
        assert got in (b"b'45'", b"[b'45']")
