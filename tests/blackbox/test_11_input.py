# SPDX-License-Identifier: MIT
"""wsgi.input, request bodies and Expect."""
import hashlib
import json

import pytest

from harness import classes
from harness.waiting import until

KIB = 1024
MIB = 1024 * KIB
LINES = b"first line\nsecond\n\nlast without end"


@pytest.fixture(scope="module", params=["buffered", "streamed"])
def probe(module_server, request):
    mode = [] if request.param == "buffered" else ["--stream-requests"]
    return module_server("probe:app", *mode, apps=["probe.py"])


@pytest.fixture(autouse=True)
def clean_log(probe):
    yield
    probe.check_log()


def body_of(size):
    unit = bytes(range(256)) * 64
    return (unit * (size // len(unit) + 1))[:size]


def chunked(data, size):
    out = []
    for at in range(0, len(data), size):
        part = data[at:at + size]
        out.append(b"%x\r\n%s\r\n" % (len(part), part))
    return b"".join(out) + b"0\r\n\r\n"


def assert_same(reply, data):
    assert reply.status == 200, reply
    assert json.loads(reply.body) == {
        "size": len(data), "sha": hashlib.sha256(data).hexdigest()}


@pytest.mark.parametrize("size", [
    0, 1, 64 * KIB, MIB - 1, MIB, MIB + 1, 20 * MIB])
def test_a_body_of_known_length_arrives_whole(probe, size):
    data = body_of(size)
    assert_same(probe.post("/digest", data), data)


@pytest.mark.parametrize("size, chunk", [
    (0, 1), (1, 1), (300, 1), (64 * KIB, 1000), (MIB - 1, 65536),
    (MIB, MIB), (MIB + 1, 8192), (20 * MIB, MIB)])
def test_a_chunked_body_arrives_whole(probe, size, chunk):
    data = body_of(size)
    with probe.connect() as peer:
        peer.get("/digest", "Transfer-Encoding: chunked", method="POST")
        peer.send(chunked(data, chunk))
        assert_same(peer.reply(), data)


@pytest.mark.parametrize("step", [1, 7, 1000, 70000, 10 * MIB])
def test_a_body_read_in_steps_arrives_whole(probe, step):
    data = body_of(3000 if step == 1 else 200001)
    assert_same(probe.post(f"/digest?{step}", data), data)


def test_a_body_that_comes_byte_by_byte_arrives_whole(probe):
    with probe.connect() as peer:
        peer.get("/digest", "Content-Length: 20", method="POST")
        for i in range(20):
            peer.send(b"%c" % (65 + i))
        assert_same(peer.reply(), b"ABCDEFGHIJKLMNOPQRST")


@pytest.mark.parametrize("calls, out", [
    ("read.-1", [LINES]),
    ("read.5,read.5", [LINES[:5], LINES[5:10]]),
    ("read.0,read.3", [b"", b"fir"]),
    ("read.1000,read.1000,read.1", [LINES, b"", b""]),
    ("readline,readline,readline,readline,readline",
     [b"first line\n", b"second\n", b"\n", b"last without end", b""]),
    ("readline.5,readline.50,readline.7,readline.6",
     [b"first", b" line\n", b"second\n", b"\n"]),
    ("readline.-1", [b"first line\n"]),
    ("readline.0,readline", [b"", b"first line\n"]),
    ("readlines", [LINES.splitlines(True)]),
    ("readlines.1000", [LINES.splitlines(True)]),
    ("iter", [LINES.splitlines(True)]),
    ("next,read.6,iter", [b"first line\n", b"second",
                          [b"\n", b"\n", b"last without end"]]),
    ("iter,iter,read.5,readline", [LINES.splitlines(True), [], b"", b""]),
])
@pytest.mark.parametrize("coding", ["length", "chunked"])
def test_the_input_is_read_as_a_file(probe, calls, out, coding):
    with probe.connect() as peer:
        path = f"/plain/input_methods?{calls}"
        if coding == "length":
            peer.post(path, LINES)
        else:
            peer.get(path, "Transfer-Encoding: chunked", method="POST")
            peer.send(chunked(LINES, 3))
        r = peer.reply()
    assert r.status == 200, r
    want = [[x.decode() for x in v] if isinstance(v, list) else v.decode()
            for v in out]
    assert json.loads(r.body) == want


def test_readlines_takes_a_hint_and_stops_at_it_or_ignores_it(probe):
    r = probe.post("/plain/input_methods?readlines.1", LINES)
    lines = LINES.decode().splitlines(True)
    assert json.loads(r.body)[0] in (lines[:1], lines)


def test_the_input_of_a_request_without_body_is_empty(probe):
    r = probe.get("/plain/input_methods?read.10,readline,iter,read.-1")
    assert json.loads(r.body) == ["", "", [], ""]


def test_reading_never_passes_the_end_of_the_body(probe):
    with probe.connect() as peer:
        peer.post("/digest?100000", b"short").get("/one")
        assert_same(peer.reply(), b"short")
        assert peer.reply().body == b"one item"


@pytest.mark.parametrize("size", [1, 60 * KIB])
def test_a_body_the_application_leaves_is_not_taken_for_a_request(probe, size):
    evil = b"GET /seen HTTP/1.1\r\nHost: a\r\n\r\n" * (size // 30 + 1)
    with probe.connect() as peer:
        peer.post("/unread", evil[:size]).get("/one")
        assert peer.reply().body == b"not read"
        assert peer.reply().body == b"one item"


@pytest.mark.parametrize("coding, data", [
    ("Content-Length: 100", "only this"),
    ("Transfer-Encoding: chunked", "9\r\nabc"),
    ("Transfer-Encoding: chunked", "3\r\nabc\r\n"),
    ("Transfer-Encoding: chunked", "3\r\nabc\r\n0\r\n"),
])
def test_a_body_that_ends_early_is_a_400(probe, coding, data):
    """The application never runs for it (or gets an error)."""
    with probe.connect() as peer:
        peer.get("/digest", coding, method="POST").send(data).end_sending()
        r = peer.reply()
        assert r.status == 400 and r.says_close(), r
        assert b"Request body ended early" in r.body
        peer.assert_closed()


def test_a_body_that_is_reset_is_told(probe):
    before = probe.log_count("Request body ended early")
    peer = probe.connect().get("/digest", "Content-Length: 9", "Expect: "
                               "100-continue", method="POST")
    assert peer.interim().status == 100
    peer.reset()
    until(lambda: probe.log_count("Request body ended early") > before,
          "the log tells of it")


@pytest.mark.parametrize("framing", [
    "zz\r\nabc\r\n0\r\n\r\n", "3\r\nabcX0\r\n\r\n", "3\r\nabc\r\n-1\r\n\r\n",
    "3;a=\"b\r\nabc\r\n0\r\n\r\n", "0x3\r\nabc\r\n0\r\n\r\n",
])
def test_a_malformed_chunk_is_refused(probe, framing):
    with probe.connect() as peer:
        peer.get("/raising_input", "Transfer-Encoding: chunked",
                 method="POST").send(framing)
        r = peer.reply()
        assert r.status == 400, r
        assert r.says_close()
        peer.assert_closed()


def test_100_continue_is_sent_before_the_body_comes(probe):
    with probe.connect() as peer:
        peer.get("/digest", "Content-Length: 5", "Expect: 100-continue",
                 method="POST")
        assert peer.interim().status == 100
        peer.send(b"hello")
        assert_same(peer.reply(), b"hello")
        peer.get("/one")
        assert peer.reply().body == b"one item"


def test_100_continue_is_sent_once_and_in_any_case_of_letters(probe):
    with probe.connect() as peer:
        peer.get("/digest", "Transfer-Encoding: chunked",
                 "Expect: 100-Continue", "Expect: 100-continue",
                 method="POST")
        assert peer.interim().status == 100
        peer.send(chunked(b"hello", 2))
        assert_same(peer.reply(), b"hello")


def test_http_1_0_gets_no_100(probe):
    with probe.connect() as peer:
        peer.send("POST /digest HTTP/1.0\r\nContent-Length: 5\r\n"
                  "Expect: 100-continue\r\n\r\nhello")
        assert_same(peer.reply(), b"hello")


def test_an_unknown_expectation_is_a_417(probe):
    r = probe.post("/digest", b"hello", "Expect: 200-ok")
    assert r.status == 417


def test_a_large_body_goes_to_the_upload_folder_and_leaves_nothing(server):
    s = server("probe:app", apps=["probe.py"], files={"up/.keep": ""},
               config='tmp_upload_dir = "up"\n')
    data = body_of(3 * MIB)
    with s.connect() as peer:
        peer.post("/digest", data)
        assert_same(peer.reply(), data)
    assert [p.name for p in (s.folder / "up").iterdir()] == [".keep"]


# ---- a chunked body has a length, since all of it is here ----

LENGTHS = {"lengths.py": """\
import json

def app(environ, start_response):
    names = ("CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING")
    said = [environ.get(name) for name in names]
    said += [environ["wsgi.input_terminated"], len(environ["wsgi.input"].read())]
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(said).encode()]
"""}


def said_of(s, size, *fields):
    with s.connect() as peer:
        peer.get("/", *fields, method="POST").send(chunked(b"x" * size, 1000))
        return json.loads(peer.reply().body)


@pytest.mark.parametrize("size", [0, 1, 5000, 3 * MIB])
def test_a_chunked_body_has_a_length_for_the_application(server, size):
    s = server("lengths:app", files=LENGTHS)
    assert said_of(s, size, "Transfer-Encoding: chunked") == [
        str(size), None, True, size]


def test_another_coding_is_left_to_the_application(server):
    s = server("lengths:app", files=LENGTHS)
    assert said_of(s, 9, "Transfer-Encoding: gzip, chunked")[:2] == [
        None, "gzip, chunked"]


@classes.needs_streaming
def test_a_streamed_body_has_no_length_yet(server):
    s = server("lengths:app", config="request_buffering = False\n",
               files=LENGTHS)
    with s.connect() as peer:
        peer.get("/", "Transfer-Encoding: chunked", method="POST")
        peer.send("5\r\nhel")
        peer.send("lo\r\n0\r\n\r\n")
        assert json.loads(peer.reply().body) in (
            [None, "chunked", True, 5], ["5", None, True, 5])
