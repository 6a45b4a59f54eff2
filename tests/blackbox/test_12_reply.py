# SPDX-License-Identifier: MIT
"""start_response, the iterable, write() and errors (PEP 3333)."""
import json
import os
import re
import socket
import struct
import time

import pytest

from harness import wire
from harness.waiting import until

FILE = bytes(range(256)) * 1024


@pytest.fixture(scope="module")
def shared(module_server):
    return module_server("probe:app", apps=["probe.py"])


@pytest.fixture
def probe(shared):
    yield shared
    shared.check_log()


@pytest.fixture
def failing(shared):
    """The same server, for applications that raise on purpose."""
    kept = list(shared.announced)
    shared.announce(".")
    yield shared
    shared.check_log()
    shared.announced = kept


def closed(server, name):
    return json.loads(server.get("/plain/show_closed").body).get(name)


def wait_closed_once(server, name):
    until(lambda: closed(server, name), f"close() of {name} was called")
    assert closed(server, name) == 1


def assert_500(server, path):
    r = server.get(path)
    assert (r.status, r.reason) == (500, "Internal Server Error"), r
    assert r.one("content-type").startswith("text/html")
    assert r.one("content-length") is not None
    assert "X-Evil" not in str(r.fields)
    return r


def cut_reply(server, path):
    """A reply that has to end before its time; returns what came."""
    with server.connect() as peer:
        peer.get(path)
        head = peer.head()
        return head, peer.rest()


# ---- bodies and their framing ----


@pytest.mark.parametrize("path, body, framing", [
    ("/one", b"one item", "length"),
    ("/several", b"first,second,third", "chunked"),
    ("/generator", b"part 0\npart 1\npart 2\n", "chunked"),
    ("/lazy", b"lazy", "chunked"),
    ("/nothing", b"", "length"),
    ("/writing", b"written,twice,returned", "chunked"),
    ("/writing_only", b"written", "chunked"),
    ("/cookies", b"cookies", "length"),
])
@pytest.mark.parametrize("checked", ["", "/plain"])
def test_a_body_arrives_whole_in_the_right_framing(
        probe, path, body, framing, checked):
    r = probe.get(checked + path)
    assert (r.status, r.body) == (200, body)
    if checked:  # the validator hides that there is just one item
        assert r.framing == framing


def test_a_body_of_empty_items_is_empty(probe):
    r = probe.get("/only_empty")
    assert (r.status, r.body) == (200, b"")
    assert r.framing in ("length", "chunked")


def test_empty_items_do_not_end_a_chunked_body(probe):
    r = probe.get("/plain/several")
    assert r.body == b"first,second,third" and b"" not in r.chunks


@pytest.mark.parametrize("size", [1, 65536, 1 << 20, 20 << 20])
def test_a_streamed_body_of_any_size_arrives(probe, size):
    assert probe.get(f"/big?{size}").body == b"x" * size


def test_each_item_is_sent_before_the_next_is_asked_for(server, tmp_path):
    s = server("steps:app", files={"steps.py": """\
import os

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    for i in range(3):
        yield b"%d" % i
        fd = os.open("go%d" % i, os.O_RDONLY)  # a pipe: waits for the test
        os.close(fd)
"""}, start=False)
    import os

    for i in range(3):
        os.mkfifo(s.folder / f"go{i}")
    s.wait_log("Booting worker")
    with s.connect() as peer:
        peer.get("/")
        assert peer.head().status == 200
        for i in range(3):
            assert peer._line() == b"1"
            assert peer._exactly(3) == b"%d\r\n" % i
            os.close(os.open(s.folder / f"go{i}", os.O_WRONLY))
        assert peer._line() == b"0"


# ---- heads ----


def test_the_head_has_what_gunicorn_puts_there(probe):
    r = probe.get("/one")
    assert r.one("server") == "gunicorn"
    assert re.fullmatch(
        r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} "
        r"\d\d:\d\d:\d\d GMT", r.one("date"))
    when = time.strptime(r.one("date"), "%a, %d %b %Y %H:%M:%S GMT")
    import calendar

    assert abs(calendar.timegm(when) - time.time()) < 60
    assert r.one("connection") in ("keep-alive", "close")


def test_fields_of_the_application_keep_case_order_and_repetition(probe):
    r = probe.get("/cookies")
    mine = [f for f in r.fields if f[0] in ("Set-Cookie", "X-Between")]
    assert mine == [("Set-Cookie", "a=1"), ("X-Between", "y"),
                    ("Set-Cookie", "b=2"), ("Set-Cookie", "c=caf\xe9")]
    assert r.one("x-padded") == "in the middle"


def test_server_and_date_of_the_application_are_not_used(probe):
    r = probe.get("/own_fields")
    assert r.one("server") == "gunicorn"
    assert r.one("date") != "yesterday"
    assert r.one("x-kept") == "kept"


@pytest.mark.parametrize("code", ["200", "201", "299", "404", "418", "503"])
def test_the_status_is_the_applications(probe, code):
    r = probe.get(f"/status?{code}")
    assert (r.status, r.reason, r.body) == (int(code), "Of Mine", b"status")


def test_a_status_without_reason_is_sent_with_its_blank(probe):
    r = probe.get("/bare_status")  # the client insists on the blank
    assert r.status == 200


def test_rs36_early_hints_come_before_the_reply(probe):
    with probe.connect() as peer:
        hints = peer.get("/early_hints").interim()
        assert hints.status == 103 and hints.reason == "Early Hints"
        assert hints.fields == [("Link", "</style.css>; rel=preload")]
        assert peer.reply().body == b"after hints"
        assert peer.get("/early_hints").interim().status == 103
        assert peer.reply().body == b"after hints"


def test_rs36_early_hints_may_be_sent_more_than_once_and_as_bytes(probe):
    with probe.connect() as peer:
        peer.get("/early_hints?twice")
        assert peer.interim().one("link") == "</style.css>; rel=preload"
        assert peer.interim().one("link") == "</late.css>"
        assert peer.reply().body == b"after hints"


def test_rs36_early_hints_are_silent_for_http_1_0(probe):
    with probe.connect() as peer:
        peer.send("GET /early_hints HTTP/1.0\r\n\r\n")
        assert peer.reply().body == b"after hints"


def test_rs36_early_hints_are_silent_after_the_head(probe):
    r = probe.get("/early_hints?late")
    assert (r.status, r.body) == (200, b"first,hinted")


@pytest.mark.parametrize("bad", ["name", "value", "framing"])
def test_rs36_bad_early_hints_raise_and_send_nothing(probe, bad):
    r = probe.get(f"/early_hints?{bad}") if bad != "framing" else None
    if bad == "framing":
        with probe.connect() as peer:
            hints = peer.get("/early_hints?framing").interim()
            assert hints.fields == [("X-Kept", "1")]
            r = peer.reply()
    assert r.body == (b"after hints" if bad == "framing" else b"ValueError")


def test_hop_by_hop_fields_of_the_application_are_not_sent(probe):
    r = probe.get("/own_chunked")
    assert r.body == b"3\r\nabc\r\n0\r\n\r\n"
    with probe.connect() as peer:
        r = peer.get("/own_close").reply()
        assert r.body == b"bye"
        if r.says_close():
            peer.assert_closed()


# ---- no body where there must not be one ----


@pytest.mark.parametrize("path", [
    "/one", "/generator", "/nothing", "/writing", "/closing_length", "/file"])
def test_head_gets_no_body(probe, path):
    with probe.connect() as peer:
        peer.get(path, method="HEAD")
        r = peer.reply("HEAD")
        assert r.status == 200
        if r.says_close():
            peer.assert_closed()
        else:  # the next bytes have to be the next status line
            assert peer.get("/one").reply().body == b"one item"


def test_head_keeps_the_length_of_the_application(probe):
    with probe.connect() as peer:
        r = peer.get("/closing_length", method="HEAD").reply("HEAD")
    assert r.one("content-length") == "2"


@pytest.mark.parametrize("code", ["204", "304"])
def test_a_status_without_body_gets_none(probe, code):
    r = probe.get(f"/status?{code}")
    assert (r.status, r.framing) == (int(code), "none")
    assert r.all("transfer-encoding") == []
    if code == "204":
        assert r.one("content-length") is None


@pytest.mark.parametrize("code", ["204", "304"])
def test_body_bytes_under_such_a_status_are_dropped(failing, code):
    with failing.connect() as peer:
        r = peer.get(f"/body_in_spite?{code}").reply()
        assert r.status == int(code)
        if not r.says_close():
            assert peer.get("/one").reply().body == b"one item"
        else:
            peer.assert_closed()
    wait_closed_once(failing, "body_in_spite")


# ---- lengths that do not match ----


def test_too_few_bytes_close_the_connection(failing):
    with failing.connect() as peer:
        r = peer.get("/length?10.4").head()
        assert r.one("content-length") == "10"
        assert peer.rest() == b"xxxx"
    wait_closed_once(failing, "length")


def test_too_many_bytes_are_cut(failing):
    with failing.connect() as peer:
        r = peer.get("/length?4.10").reply()
        assert r.body == b"xxxx"
        if r.says_close():
            peer.assert_closed()
        else:
            assert peer.get("/one").reply().body == b"one item"
    wait_closed_once(failing, "length")


@pytest.mark.parametrize("claimed", ["-1", "x", "1x", ""])
def test_a_length_that_is_no_number_is_a_500(failing, claimed):
    assert_500(failing, f"/length?{claimed}.4")


def test_two_lengths_are_a_500(failing):
    assert_500(failing, "/two_lengths")


# ---- what must not get out ----


@pytest.mark.parametrize("name", [
    "value-crlf", "value-lf", "value-cr", "value-nul", "value-del",
    "value-snowman", "name-crlf", "name-colon", "name-space", "name-empty",
    "name-bytes", "value-bytes", "value-int", "triple"])
def test_a_bad_field_is_a_500_and_a_line_in_the_log(failing, name):
    before = failing.log_count("Error handling request")
    assert_500(failing, f"/field?{name}")
    failing.wait_log(rf"Error handling request GET /field\?{name}", 1)
    assert failing.log_count("Error handling request") == before + 1


@pytest.mark.parametrize("name", [
    "crlf", "lf", "bytes", "int", "none", "word", "four", "two", "snowman",
    "interim"])
def test_a_bad_status_is_a_500_and_a_line_in_the_log(failing, name):
    assert_500(failing, f"/bad_status?{name}")
    failing.wait_log(rf"Error handling request GET /bad_status\?{name}")


# ---- start_response ----


def test_a_second_start_response_without_exc_info_is_a_500(failing):
    assert_500(failing, "/twice")


def test_a_second_start_response_with_exc_info_replaces_the_head(probe):
    r = probe.get("/error_replaced")
    assert (r.status, r.reason, r.body) == (503, "Sorry", b"sorry")
    assert r.all("x-first") == []


def test_exc_info_after_the_headers_is_raised_again(failing):
    head, rest = cut_reply(failing, "/exc_info_after_headers")
    assert head.status == 200
    assert rest == b"4\r\nsent\r\n"
    failing.wait_log("ZeroDivisionError: raised again")


def test_no_start_response_is_a_500(failing):
    assert_500(failing, "/never_started")


# ---- exceptions ----


@pytest.mark.parametrize("path", [
    "/raising", "/raising_after_start", "/raising_first",
    "/raising_after_empty"])
def test_an_exception_before_the_first_byte_is_a_500(failing, path):
    r = assert_500(failing, path)
    assert r.all("x-lost") == []
    assert b"ZeroDivision" not in r.body, "the client is told too much"


def test_an_exception_is_told_once_in_the_log_with_its_request(failing):
    failing.get("/raising?x=1")
    failing.wait_log(r"\[ERROR\] Error handling request GET /raising\?x=1\n"
                     r"Traceback \(most recent call last\):\n")
    failing.wait_log(r"probe\.py\", line \d+, in raising\n")
    log = failing.log().split("GET /raising?x=1\n")
    assert len(log) == 2
    assert log[1].count("ZeroDivisionError: before the headers") == 1


def test_an_exception_after_the_first_byte_cuts_the_reply(failing):
    head, rest = cut_reply(failing, "/raising_later")
    assert head.status == 200
    assert rest == b"4\r\nsent\r\n", "a clean end would be a lie"
    wait_closed_once(failing, "raising_later")


def test_an_exception_within_a_length_cuts_the_reply(failing):
    head, rest = cut_reply(failing, "/raising_later_length")
    assert head.one("content-length") == "100"
    assert rest == b"sent"
    wait_closed_once(failing, "raising_later_length")


def test_an_exception_in_close_leaves_the_reply_complete(failing):
    assert failing.get("/raising_close").body == b"complete"
    failing.wait_log("ZeroDivisionError: in close")


@pytest.mark.parametrize("path", [
    "/exiting?", "/exiting?1", "/exiting?3", "/exiting?4", "/interrupting"])
def test_an_exit_in_a_request_is_a_500_and_the_worker_lives(failing, path):
    pid = failing.workers()
    assert_500(failing, path)
    assert failing.get("/one").body == b"one item"
    assert failing.workers() == pid


def test_no_iterable_is_a_500(failing):
    assert_500(failing, "/none")


@pytest.mark.parametrize("kind", ["str", "int", "none", "list"])
def test_a_first_item_that_is_not_bytes_is_a_500(failing, kind):
    assert_500(failing, f"/item?{kind}")


def test_a_later_item_that_is_not_bytes_cuts_the_reply(failing):
    head, rest = cut_reply(failing, "/item_later")
    assert head.status == 200
    assert rest == b"4\r\ngood\r\n"
    wait_closed_once(failing, "item_later")


def test_writing_a_str_is_a_500(failing):
    assert_500(failing, "/written_str")


# ---- close() ----


@pytest.mark.parametrize("path, method", [
    ("/plain/closing", "GET"), ("/plain/closing_length", "GET"),
    ("/plain/closing", "HEAD"), ("/plain/closing_length", "HEAD"),
    ("/closing", "GET")])
def test_close_is_called_once_at_the_normal_end(probe, path, method):
    with probe.connect() as peer:
        peer.get(path, method=method)
        assert peer.reply(method).status == 200
    wait_closed_once(probe, path.rsplit("/", 1)[1])


def test_close_is_called_once_after_an_error(failing):
    assert_500(failing, "/raising_first")
    wait_closed_once(failing, "raising_first")


def test_close_is_called_once_when_the_client_is_gone(failing):
    with failing.connect() as peer:
        peer.get("/slow_reader")
        assert peer.head().status == 200
        peer.reset()
    wait_closed_once(failing, "slow_reader")


# ---- files ----


def test_a_file_arrives_whole(probe):
    r = probe.get("/file")
    assert (r.status, r.body) == (200, FILE)


def test_a_file_is_sent_from_its_offset(probe):
    assert probe.get("/file?offset=1000").body == FILE[1000:]


def test_a_file_is_sent_up_to_the_length(probe):
    r = probe.get("/file?offset=256&length=100")
    assert (r.framing, r.body) == ("length", FILE[:100])


def test_a_file_shorter_than_the_length_cuts_the_reply(failing):
    with failing.connect() as peer:
        head = peer.get(f"/file?length={len(FILE) + 9}").head()
        assert head.one("content-length") == str(len(FILE) + 9)
        assert peer.rest() == FILE


def test_a_file_is_closed_after_it_is_sent(probe):
    probe.get("/file")
    until(lambda: json.loads(probe.get("/file_closed").body),
          "the file is closed")


def test_a_file_without_fileno_arrives_whole_and_is_closed(probe):
    assert probe.get("/file_without_fileno").body == b"from memory" * 1000
    until(lambda: closed(probe, "NoFileno"), "close() was called")


def test_a_file_wrapper_can_be_iterated(probe):
    assert probe.get("/file_iterated").body == FILE


def test_a_file_wrapper_without_its_file_raises(probe):
    raised = json.loads(probe.get("/file_taken").body)
    assert len(raised) == 3
    assert all("filelike" in text for text in raised)


def test_a_file_goes_to_an_http_1_0_client(probe):
    with probe.connect() as peer:
        r = peer.send("GET /file HTTP/1.0\r\n\r\n").reply()
        assert r.body == FILE


def test_files_are_sent_without_sendfile_as_well(server):
    s = server("probe:app", "--no-sendfile", apps=["probe.py"])
    assert s.get("/file?offset=1000").body == FILE[1000:]
    assert wire.fetch(s.address, "/file?offset=5&length=9").body == FILE[5:14]


# What is no plain file has bytes of its own: read() knows them, the descriptor
# does not.
FILES_APP = """
import gzip, io, os, tempfile

with open("plain", "wb") as f:
    f.write(b"0123456789" * 5000)
with gzip.open("packed", "wb") as f:
    f.write(b"unpacked " * 5000)


class Upper(io.FileIO):
    def read(self, n=-1):
        return super().read(n).replace(b"0", b"A")


class UpperBuffered(io.BufferedReader):
    def read(self, n=-1):
        return super().read(n).replace(b"0", b"A")


class Shifted(io.FileIO):
    def readinto(self, b):
        n = super().readinto(b)
        b[:n] = bytes(b[:n]).replace(b"0", b"A")
        return n


def patched(f):
    read = f.read
    f.read = lambda n=-1: read(n).replace(b"0", b"A")
    return f


def temporary(skip=0, kind=tempfile.TemporaryFile):
    f = kind()
    f.write(b"temporary " * 5000)
    f.seek(skip)
    return f


def part_read():
    f = open("plain", "rb")
    f.read(7)
    return f


def written():
    f = open("plain", "r+b")
    f.write(b"0123456789")
    return f


makers = {
    "plain": lambda: open("plain", "rb"),
    "raw": lambda: open("plain", "rb", buffering=0),
    "random": lambda: open("plain", "r+b"),
    "part_read": part_read,
    "written": written,
    "gzip": lambda: gzip.open("packed"),
    "buffered_gzip": lambda: io.BufferedReader(gzip.open("packed")),
    "subclass": lambda: Upper("plain"),
    "buffered_subclass": lambda: UpperBuffered(io.FileIO("plain")),
    "buffer_of_subclass": lambda: io.BufferedReader(Shifted("plain")),
    "patched": lambda: patched(open("plain", "rb")),
    "patched_raw": lambda: patched(open("plain", "rb", buffering=0)),
    "temporary": temporary,
    "temporary_part": lambda: temporary(10),
    "named": lambda: temporary(10, tempfile.NamedTemporaryFile),
    "patched_named": lambda: patched(
        temporary(0, tempfile.NamedTemporaryFile)),
    "spooled": lambda: temporary(10, tempfile.SpooledTemporaryFile),
    "proc": lambda: open("/proc/self/stat", "rb"),
    "sys": lambda: open("/sys/kernel/mm/transparent_hugepage/enabled", "rb"),
    "empty": lambda: tempfile.TemporaryFile(),
    "at_end": lambda: temporary(50000),
    "beyond": lambda: temporary(60000),
}


shared = {}


def app(environ, start_response):
    name = environ["PATH_INFO"][1:]
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["QUERY_STRING"] == "offset":  # of the one before
        return [b"%d" % os.lseek(shared.pop(name), 0, os.SEEK_CUR)]
    f = makers[name]()
    if environ["QUERY_STRING"] == "share":
        shared[name] = os.dup(f.fileno())
    return environ["wsgi.file_wrapper"](f)
"""
PLAIN = b"0123456789" * 5000
TEMPORARY = b"temporary " * 5000
FILE_BODIES = {
    "plain": PLAIN, "raw": PLAIN, "random": PLAIN, "part_read": PLAIN[7:],
    "written": PLAIN[10:], "gzip": b"unpacked " * 5000,
    "buffered_gzip": b"unpacked " * 5000,
    "subclass": PLAIN.replace(b"0", b"A"),
    "buffered_subclass": PLAIN.replace(b"0", b"A"),
    "buffer_of_subclass": PLAIN.replace(b"0", b"A"),
    "patched": PLAIN.replace(b"0", b"A"),
    "patched_raw": PLAIN.replace(b"0", b"A"),
    "temporary": TEMPORARY, "temporary_part": TEMPORARY[10:],
    "named": TEMPORARY[10:], "spooled": TEMPORARY[10:],
    "patched_named": TEMPORARY.replace(b"0", b"A"),
    "empty": b"", "at_end": b"", "beyond": b"",
}


@pytest.fixture(scope="module")
def files(module_server):
    return module_server("files:app", files={"files.py": FILES_APP})


@pytest.mark.parametrize("name", FILE_BODIES)
def test_what_read_gives_is_what_is_sent(files, name):
    r = files.get("/" + name)
    assert (r.status, r.body) == (200, FILE_BODIES[name])


@pytest.mark.parametrize("name", ["plain", "raw", "random", "temporary",
                                  "named"])
def test_a_plain_file_is_sent_without_reading_it(files, name):
    """The descriptor stays where it was."""
    start = len(TEMPORARY) - len(FILE_BODIES[name]) if name == "named" else 0
    assert files.get(f"/{name}?share").body == FILE_BODIES[name]
    assert int(files.get(f"/{name}?offset").body) == start


@pytest.mark.parametrize("name", ["proc", "sys"])
def test_files_of_the_kernel_are_read(files, name):
    path = "/sys/kernel/mm/transparent_hugepage/enabled"
    if name == "sys" and not os.path.exists(path):
        pytest.skip(f"this kernel has no {path}")
    body = files.get("/" + name).body
    assert body.endswith(b"\n") and b"\0" not in body, body


def data_segments(peer):
    """How many segments with data the kernel has got on that connection."""
    info = peer.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 232)
    if len(info) < 156:
        pytest.skip("this kernel does not count segments")
    return struct.unpack_from("I", info, 152)[0]  # tcpi_data_segs_in


@pytest.mark.parametrize("path, body", [
    ("/plain/one", b"one item"), ("/plain/several", b"first,second,third"),
    ("/plain/nothing", b""), ("/plain/closing_length", b"ab")])
def test_lm19_a_small_reply_is_sent_as_soon_as_it_is_there(probe, path, body):
    """The head never goes alone, and the rest does not wait for the peer."""
    with probe.connect() as peer:
        assert peer.get(path).reply().body == body
        first = data_segments(peer)
        for _ in range(10):
            assert peer.get(path).reply().body == body
        items = 1 if path.endswith(("one", "nothing")) else 3
        assert data_segments(peer) - first <= 10 * (items + 1)
        if items == 1:
            assert data_segments(peer) - first == 10


# ---- the resource that HEAD asks about ----


@pytest.mark.parametrize("path", ["/empty_list", "/empty_item", "/empty_generator"])
def test_an_empty_answer_to_head_says_no_length(server, path):
    s = server("silent:app", files={"silent.py": """\
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return {"/empty_list": [], "/empty_item": [b""],
            "/empty_generator": iter(())}[environ["PATH_INFO"]]
"""})
    with s.connect() as peer:
        r = peer.get(path, method="HEAD").reply("HEAD")
        assert r.one("content-length") is None and not r.says_close()
        assert r.all("transfer-encoding") == []
        r = peer.get(path).reply()  # the connection stays in step
        assert (r.framing, r.body) == ("length", b"") or r.body == b""
