# SPDX-License-Identifier: MIT
"""The rules of responses (RS rows) that test_12_reply leaves open, and what
must hold of framing whatever the application does."""
import json
import re
import time

import pytest

from harness.waiting import until

APP = """\
import json

TEXT = ("Content-Type", "text/plain")
kept = {}

def app(environ, start_response):
    path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
    if path == "/fields":
        fields = [TEXT] + [tuple(f) for f in json.loads(environ["HTTP_X_SEND"])]
        kept["fields"], kept["copy"] = fields, list(fields)
        start_response("200 OK", fields)
        return [b"body"]
    if path == "/same":
        return answer(start_response, kept["fields"] == kept["copy"])
    if path == "/lists":
        start_response("200 OK", [list(TEXT), ["X-A", "1"]])
        return [b"lists"]
    if path == "/length":
        start_response(query.replace("+", " "),
                       [TEXT, ("Content-Length", "4")])
        return [b"body"]
    if path == "/write_late":
        if "write" in kept:
            try:
                kept.pop("write")(b"too late")
            except ValueError as e:
                return answer(start_response, "raised")
        kept["write"] = start_response("200 OK", [TEXT])
        return [b"kept"]
    if path == "/keyword":
        start_response(status="200 OK", headers=[TEXT], exc_info=None)
        return (b"keyword",)
    if path == "/memoryview":
        start_response("200 OK", [TEXT])
        return [memoryview(b"x")]
    if path == "/bytes":
        start_response("200 OK", [TEXT])
        return b"bytes"
    if path == "/getitem":
        class Old:
            def __getitem__(self, i):
                return [b"old ", b"protocol"][i]
        start_response("200 OK", [TEXT])
        return Old()
    if path == "/huge":
        start_response("200 OK", [TEXT, ("X-Huge", "h" * int(query))])
        return [b"huge"]
    start_response("200 OK", [TEXT])
    return [b"ok"]

def answer(start_response, what):
    start_response("200 OK", [TEXT])
    return [json.dumps(what).encode()]
"""


@pytest.fixture(scope="module")
def shared(module_server):
    return module_server("rules:app", files={"rules.py": APP},
                         config="accesslog = 'access.log'\n")


@pytest.fixture
def s(shared):
    kept = list(shared.announced)
    yield shared
    shared.check_log()
    shared.announced = kept


def send_fields(peer, *fields):
    peer.get("/fields", "X-Send: " + json.dumps(fields))
    return peer.reply()


def access_lines(s, count):
    path = s.folder / "access.log"
    until(lambda: path.exists() and path.read_text().count("\n") >= count,
          f"{count} access lines")
    return path.read_text().splitlines()


def count_access_lines(s):
    """How many there are once those of earlier requests are written."""
    marker = f"/after/{time.monotonic_ns()}"
    s.get(marker)
    until(lambda: marker in "\n".join(access_lines(s, 1)), "it is written")
    return len(access_lines(s, 1))


def assert_next(peer):
    """The next bytes on the connection are the next reply."""
    assert peer.get("/").reply().body == b"ok"


def test_rs05_the_value_of_a_bad_field_is_told_to_nobody(s):
    s.announce("Error handling request GET /fields")
    with s.connect() as peer:
        r = send_fields(peer, ("X-Token", "secret\r\nX-Evil: 1"))
        assert r.status == 500 and b"secret" not in r.body
    block = s.wait_log(r"ValueError: .*X-Token.*")
    assert "secret" not in block


def test_rs07_the_list_of_fields_is_neither_kept_nor_changed(s):
    with s.connect() as peer:
        send_fields(peer, ("X-A", "1"), ("Connection", "close"))
    assert s.get("/same").body == b"true"


def test_rs07_a_field_may_be_a_list_of_two(s):
    assert s.get("/lists").one("x-a") == "1"


@pytest.mark.parametrize("field", [
    ("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "gzip"),
    ("Keep-Alive", "timeout=5"), ("Proxy-Authenticate", "Basic"),
    ("Proxy-Authorization", "x"), ("TE", "trailers"), ("Trailers", "x"),
    ("Upgrade", "h2c"), ("Trailer", "X-Sum"), ("Connection", "X-A")])
def test_rs12_rs13_rs14_hop_by_hop_fields_are_dropped(s, field):
    with s.connect() as peer:
        r = send_fields(peer, field, ("X-Kept", "1"))
        assert (r.status, r.body, r.framing) == (200, b"body", "length")
        assert r.one("x-kept") == "1" and r.one("connection") == "keep-alive"
        if field[0] != "Connection":
            assert r.all(field[0]) == []
        assert_next(peer)


def test_rs13_connection_close_of_the_application_is_obeyed_and_said(s):
    with s.connect() as peer:
        r = send_fields(peer, ("Connection", "Close"))
        assert r.body == b"body" and r.says_close()
        peer.assert_closed()


@pytest.mark.parametrize("code", ["204", "304"])
def test_rs16_a_body_under_such_a_status_is_dropped_and_told_once(s, code):
    before = s.log_count("has a body although its status")
    with s.connect() as peer:
        r = peer.get(f"/length?{code}+None").reply()
        assert r.status == int(code) and r.framing == "none"
        assert (r.one("content-length") == "4") == (code == "304")
        assert_next(peer)
    until(lambda: s.log_count("has a body although its status") == before + 1,
          "one line")


def test_rs16_head_keeps_the_length_and_a_body_is_told_once(s):
    told = r"Response to /length\?\S+ has a body although its method \(HEAD\)"
    before = s.log_count(told)
    with s.connect() as peer:
        r = peer.get("/length?200+OK", method="HEAD").reply("HEAD")
        assert r.one("content-length") == "4"
        assert_next(peer)
    until(lambda: s.log_count(told) == before + 1, "one line")


@pytest.mark.parametrize("path", ["/memoryview", "/bytes"])
def test_rs20_items_that_are_not_bytes_are_a_500(s, path):
    s.announce(f"Error handling request GET {path}")
    assert s.get(path).status == 500


def test_rs24_http_1_0_is_never_answered_with_chunks(s):
    with s.connect() as peer:
        peer.send("GET /getitem HTTP/1.0\r\n\r\n")
        r = peer.reply()
        assert (r.minor, r.framing, r.body) == (0, "close", b"old protocol")


def test_rs30_write_after_the_end_raises(s):
    with s.connect() as peer:
        assert peer.get("/write_late").reply().body == b"kept"
        assert peer.get("/write_late").reply().body == b'"raised"'


def test_start_response_takes_keywords(s):
    assert s.get("/keyword").body == b"keyword"


def test_rs39_a_large_head_of_the_application_arrives(s):
    r = s.get("/huge?200000")
    assert len(r.one("x-huge")) == 200000 and r.body == b"huge"


# ---- RS38, RS40: refusals ----

REFUSED = [
    (b"GET /x HTTP/1.1\r\n\r\n", 400, "GET /x HTTP/1.1"),
    (b"\x16\x03\x01\x02\r\n\r\n", 400, r"\x16"),
    (b"GET /a\x1b\"b HTTP/1.1\r\nHost: a\r\n\r\n", 400,
     r'GET /a\x1b\"b HTTP/1.1'),
    (b"GET /<b> HTTP/9.9\r\n\r\n", 400, "GET /<b> HTTP/9.9"),
    (b"GET /" + b"a" * 9000, 414, None),
    (b"GET /p HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", 400,
     "GET /p HTTP/1.1"),
    (b"HEAD /p HTTP/1.1\r\nHost: a\r\nA B: c\r\n\r\n", 400,
     "HEAD /p HTTP/1.1"),
    (b"POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x\r\n\r\n", 501,
     "POST /p HTTP/1.1"),
    (b"POST /p HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n", 417,
     "POST /p HTTP/1.1"),
    (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: 1\r\n" * 200 + b"\r\n", 431,
     "GET / HTTP/1.1"),
]


@pytest.mark.parametrize("data, status, line", REFUSED)
def test_rs38_rs40_a_refusal_is_a_whole_page_and_one_access_line(
        s, data, status, line):
    count = count_access_lines(s)
    with s.connect() as peer:
        peer.send_leniently(data)
        method = "HEAD" if data.startswith(b"HEAD") else "GET"
        r = peer.reply(method)
        assert r.status == status and r.says_close()
        assert r.one("server") == "gunicorn" and r.one("date")
        assert r.one("content-type") == "text/html"
        if method == "GET":
            assert f"<h1>{r.reason}</h1>".encode() in r.body
            inner = r.body.split(b"<p>")[1].split(b"</p>")[0]
            assert not re.search(rb"[<>\"\x00-\x1f]", inner)
        peer.assert_closed()
    lines = access_lines(s, count + 1)
    assert len(lines) == count + 1
    assert f'" {status} ' in lines[-1]
    if line is not None:
        assert f'"{line}"' in lines[-1]
    assert all(0x20 <= ord(c) < 0x7f for c in lines[-1])
    assert len(lines[-1]) < 1024


def test_rs40_a_head_that_timed_out_is_in_the_access_log(server):
    s = server("rules:app", "--header-timeout", "1", files={"rules.py": APP},
               config="accesslog = 'access.log'\n")
    with s.connect() as peer:
        assert peer.send(b"GET /half HTTP/1.1\r\nX").reply().status == 408
    assert '"GET /half HTTP/1.1" 408 ' in access_lines(s, 1)[0]


# ---- 2.2 ----


def test_a_reply_waits_for_the_whole_of_the_one_before(s):
    """The second begins where the first ended."""
    with s.connect() as peer:
        peer.get("/huge?1000000").get("/huge?2000000").get("/")
        assert len(peer.reply().one("x-huge")) == 1000000
        assert len(peer.reply().one("x-huge")) == 2000000
        assert peer.reply().body == b"ok"
