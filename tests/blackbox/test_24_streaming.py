# SPDX-License-Identifier: MIT
"""request_buffering = False: the application reads the body as it comes."""
import json

import pytest

from harness import classes, processes
from harness.waiting import until

pytestmark = classes.needs_streaming
APPS = ["probe.py"]
READER = """\
import json

def app(environ, start_response):
    out, source = [], environ["wsgi.input"]
    for call in environ["QUERY_STRING"].split(","):
        name, *args = call.split(".")
        try:
            value = getattr(source, name)(*map(int, args))
        except OSError as e:
            value = type(e).__name__.encode()
        out.append(value.decode())
        with open("read", "a") as f:
            f.write(value.decode() + "|")
    body = json.dumps(out).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


def wait_read(s, text):
    until(lambda: (s.folder / "read").exists()
          and (s.folder / "read").read_text() == text, f"{text!r} was read")


def memory_kib(worker):
    if processes.is_sanitized(worker):
        pytest.skip("a sanitizer's memory says nothing")
    return processes.resident_kib(worker)


@pytest.fixture
def reader(server):
    def make(*args):
        return server("reader:app", "--stream-requests", *args,
                      files={"reader.py": READER})
    return make


def test_the_application_runs_before_the_body_is_there(reader):
    s = reader()
    with s.connect() as peer:
        peer.get("/?readline,read.3,read", "Content-Length: 12",
                 method="POST")
        peer.send(b"ab\n")
        wait_read(s, "ab\n|")
        peer.send(b"cde")
        wait_read(s, "ab\n|cde|")
        peer.send(b"fghijk")
        assert json.loads(peer.reply().body) == ["ab\n", "cde", "fghijk"]


def test_chunks_are_read_as_they_come(reader):
    s = reader()
    with s.connect() as peer:
        peer.get("/?read.5,readline,read", "Transfer-Encoding: chunked",
                 method="POST")
        peer.send(chunk(b"abc"))
        peer.send(chunk(b"defg\nh"))
        wait_read(s, "abcde|fg\n|")
        peer.send(b"0\r\n\r\n")
        assert json.loads(peer.reply().body) == ["abcde", "fg\n", "h"]
        peer.get("/?read")
        assert json.loads(peer.reply().body) == [""]


def test_sl04_a_body_that_stalls_raises_in_the_application(reader):
    s = reader("--body-timeout", "1")
    with s.connect() as peer:
        peer.get("/?read.2,read,read.1", "Content-Length: 1000",
                 method="POST").send(b"abc")
        r = peer.reply()
        assert json.loads(r.body) == ["ab", "TimeoutError", "c"]
        assert r.says_close()
        peer.assert_closed()
    s.wait_log("Request body timed out")


def test_sl03_sl05_a_body_below_the_least_rate_raises(reader):
    s = reader("--body-timeout", "1")
    for coding, unit in (("Content-Length: 100000", b"x"),
                         ("Transfer-Encoding: chunked", chunk(b"x"))):
        with s.connect() as peer:
            peer.get("/?read", coding, method="POST").send(unit)
            peer.drip(unit)
            assert json.loads(peer.reply().body) == ["TimeoutError"]


def test_sl09_a_body_cut_short_raises_and_is_never_an_early_end(reader):
    s = reader()
    for coding, data in (("Content-Length: 9", b"abc"),
                         ("Transfer-Encoding: chunked", b"9\r\nabc"),
                         ("Transfer-Encoding: chunked", chunk(b"abc")),
                         ("Transfer-Encoding: chunked",
                          chunk(b"abc") + b"0\r\n")):
        with s.connect() as peer:
            peer.get("/?read.3,read.1,read", coding, method="POST")
            peer.send(data).end_sending()
            r = peer.reply()
            assert json.loads(r.body) == ["abc"] + 2 * ["ConnectionResetError"]
            assert r.says_close()


@pytest.mark.parametrize("data, status", [
    (b"zz\r\n", 400), (b"3\r\nabcd", 400), (chunk(b"x" * 2000), 413)])
def test_what_is_wrong_with_a_body_is_answered_if_the_error_passes(
        server, data, status):
    s = server("probe:app", "--stream-requests", "--max-request-body",
               "1000", apps=APPS, config="accesslog = 'access.log'\n")
    with s.connect() as peer:
        peer.get("/digest", "Transfer-Encoding: chunked", method="POST")
        r = peer.send_leniently(data) or peer.reply()
        assert r.status == status and r.says_close()
        peer.assert_closed()
    s.wait_log("Invalid request from ip=127.0.0.1")
    assert s.get("/one").body == b"one item"
    until(lambda: (s.folder / "access.log").read_text().count("POST") == 1,
          "one line in the access log")


def test_sl12_100_is_sent_when_the_application_reads(reader):
    s = reader()
    with s.connect() as peer:
        peer.get("/?read", "Content-Length: 3", "Expect: 100-continue",
                 method="POST")
        assert peer.interim().status == 100
        assert json.loads(peer.send(b"abc").reply().body) == ["abc"]
        peer.get("/?read")
        assert json.loads(peer.reply().body) == [""]


def test_sl12_no_100_if_the_application_does_not_read(server):
    s = server("probe:app", "--stream-requests", apps=APPS)
    with s.connect() as peer:
        peer.get("/unread", "Content-Length: 3", "Expect: 100-continue",
                 method="POST")
        r = peer.reply()
        assert r.body == b"not read" and r.says_close()
        peer.assert_closed()


@pytest.mark.parametrize("coding", ["length", "chunked"])
def test_a_body_that_is_left_is_read_away_up_to_64_kib(server, coding):
    s = server("probe:app", "--stream-requests", apps=APPS)
    body = b"x" * 60000
    field, data = ("Content-Length: 60000", body)
    if coding == "chunked":
        field, data = ("Transfer-Encoding: chunked",
                       chunk(body) + b"0\r\n\r\n")
    with s.connect() as peer:
        peer.get("/unread", field, method="POST")
        r = peer.reply()
        assert r.body == b"not read" and not r.says_close()
        peer.send(data)
        peer.get("/one")
        assert peer.reply().body == b"one item"


def test_a_longer_body_that_is_left_closes_the_connection(server):
    s = server("probe:app", "--stream-requests", apps=APPS)
    with s.connect() as peer:
        peer.get("/unread", "Content-Length: 70000", method="POST")
        r = peer.reply()
        assert r.body == b"not read" and r.says_close()
        peer.assert_closed()
    with s.connect() as peer:
        peer.get("/unread", "Transfer-Encoding: chunked", method="POST")
        assert peer.reply().body == b"not read"
        for _ in range(20):
            peer.send_leniently(chunk(b"x" * 10000))
        peer.rest()
    assert s.get("/one").body == b"one item"


def test_a_body_that_is_left_and_stalls_closes_the_connection(server):
    """After five seconds; a request that comes later is not answered."""
    s = server("probe:app", "--stream-requests", apps=APPS)
    with s.connect() as peer:
        peer.get("/unread", "Content-Length: 10", method="POST")
        assert peer.reply().body == b"not read"
        peer.assert_closed()


def test_others_are_answered_while_the_application_waits_for_a_body(reader):
    s = reader("--threads", "2")
    with s.connect() as slow:
        slow.get("/?read", "Content-Length: 3", method="POST").send(b"a")
        for _ in range(5):
            assert json.loads(s.get("/?read").body) == [""]
        assert json.loads(slow.send(b"bc").reply().body) == ["abc"]


def test_a_large_body_is_streamed_in_little_memory(server):
    s = server("probe:app", "--stream-requests", apps=APPS)
    worker = s.wait_workers(1)[0]
    assert s.post("/digest?1000", b"x" * 1000).status == 200
    before = memory_kib(worker)
    size = 30 << 20
    with s.connect() as peer:
        peer.get("/digest?10000", f"Content-Length: {size}", method="POST")
        for _ in range(30):
            peer.send(b"x" * (1 << 20))
        assert json.loads(peer.reply().body)["size"] == size
    assert memory_kib(worker) - before < 4096


def test_a_thread_that_still_reads_when_the_request_ends_is_told(server):
    s = server("late:app", "--stream-requests", files={"late.py": """\
import threading

told = []

def read(source):
    try:
        source.read()
    except Exception as e:
        told.append(type(e).__name__)

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/told":
        return [",".join(told).encode()]
    source = environ["wsgi.input"]
    source.read(1)
    threading.Thread(target=read, args=(source,), daemon=True).start()
    return [b"started"]
"""})
    with s.connect() as peer:
        peer.get("/", "Content-Length: 30", method="POST").send(b"ab")
        assert peer.reply().body == b"started"
    until(lambda: s.get("/told").body in (b"ConnectionResetError",
                                          b"ValueError"),
          lambda: f"the thread was told: {s.get('/told').body}")


TWO = """\
import sys, threading
sys.setswitchinterval(1e-5)

CALLS = [lambda i: i.read(0), lambda i: i.read(1), lambda i: i.read(),
         lambda i: i.readline(), lambda i: i.readline(1), lambda i: next(i, b""),
         lambda i: i.readlines(1), lambda i: i.readlines()]

def told(call, source):
    try:
        return repr(call(source))
    except RuntimeError as e:
        return str(e)

def app(environ, start_response):
    source, result = environ["wsgi.input"], []
    first = source.read(1)
    def read():
        result.append(source.read() if environ["PATH_INFO"] == "/read"
                      else source.readline())
    thread = threading.Thread(target=read)
    thread.start()
    while told(CALLS[0], source) == "b''":
        pass  # the thread has not come to its wait yet
    write = start_response("200 OK", [("X-Told", "; ".join(sorted(
        {told(call, source) for call in CALLS})))])
    write(b"waits ")
    while thread.is_alive():
        for call in CALLS[:-1]:
            try:
                call(source)
            except RuntimeError:
                pass
            else:
                break  # the wait is over
        else:
            continue
        break
    thread.join()
    return [b"%d" % (len(first) + len(result[0]))]
"""


@classes.needs_sleep_that_blocks
@pytest.mark.parametrize("how", ["read", "line"])
def test_who_reads_beside_a_thread_that_waits_is_told(server, how):
    """And takes nothing of what that one gets, whose buffer grows."""
    s = server("two:app", "--stream-requests", files={"two.py": TWO})
    size = 1 << 20
    with s.connect() as peer:
        peer.get(f"/{how}", f"Content-Length: {size}", method="POST")
        peer.send(b"x" * 100)
        head = peer.head()
        assert head.one("X-Told") == "wsgi.input is read by two at once"
        for _ in range(size // 4096 - 1):
            peer.send(b"x" * 4096)
        peer.send(b"x" * (4096 - 100))
        peer._read_body(head, "POST")
        assert head.body == b"waits %d" % size


def test_no_100_lies_in_a_reply_that_has_begun(server):
    s = server("late:app", "--stream-requests", files={"late.py": """\
def app(environ, start_response):
    write = start_response("200 OK", [])
    write(b"a" * 300000)
    return [b"got %d" % len(environ["wsgi.input"].read())]
"""})
    with s.connect() as peer:
        peer.get("/", "Content-Length: 5", "Expect: 100-continue",
                 method="POST")
        head = peer.head()
        peer.send(b"hello")
        peer._read_body(head, "POST")
        assert head.status == 200
        assert head.body == b"a" * 300000 + b"got 5"


def test_a_stop_waits_for_a_body_within_the_graceful_timeout(reader):
    s = reader("--graceful-timeout", "1")
    with s.connect() as peer:
        peer.get("/?read.1,read", "Content-Length: 30", method="POST")
        peer.send(b"ab")
        wait_read(s, "a|")
        assert s.stop() == 0
