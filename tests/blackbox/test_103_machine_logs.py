# SPDX-License-Identifier: MIT
"""Logs for machines: JSON and logfmt, what is left out, queue time."""
import json
import re
import shlex
import time

import pytest

from harness.logcheck import lines
from harness.waiting import until

APPS = ["probe.py"]
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


def logged(server, *words, **kw):
    return server("probe:app", "--access-logfile", "access.log", *words,
                  apps=APPS, **kw)


def objects(s, count):
    return [json.loads(line.encode("latin-1")) for line in lines(s.folder / "access.log", count)]


def test_a_json_line_has_the_names_of_opentelemetry(server):
    s = logged(server, "--access-logformat", "json")
    s.get("/one?x=1", "Referer: http://shop/", "User-Agent: test/1",
          "Authorization: Basic YWRhOnNlY3JldA==",
          f"traceparent: 00-{TRACE}-{SPAN}-01")
    got = objects(s, 1)[0]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z",
                        got.pop("timestamp"))
    assert 0 <= got.pop("queue_s") < 60 and 0 < got.pop("duration_s") < 60
    assert got.pop("process.pid") in s.workers()
    assert got == {
        "http.request.method": "GET", "url.path": "/one", "url.query": "x=1",
        "network.protocol.version": "1.1", "http.response.status_code": 200,
        "http.response.body.size": 8, "client.address": "127.0.0.1",
        "user.name": "ada", "user_agent.original": "test/1",
        "http.request.header.referer": ["http://shop/"],
        "trace_id": TRACE, "span_id": SPAN}


def test_what_a_peer_sends_stays_one_object_and_valid(server):
    s = logged(server, "--access-logformat", "json")
    peer = s.connect()
    peer.send(b'GET /one HTTP/1.1\r\nHost: a\r\nUser-Agent: \xff"\\\xc3\xa9'
              b'\x80\r\n\r\n')
    assert peer.reply().status == 200
    s.get("/two", "traceparent: 00-zz")
    first, second = objects(s, 2)
    assert first["user_agent.original"] == '\ufffd"\\é\ufffd'
    assert "trace_id" not in second and "url.query" not in second
    peer.close()


def test_a_refused_request_has_a_line_too(server):
    s = logged(server, "--access-logformat", "json")
    peer = s.connect()
    peer.send(b"GET / HTTP/9.9\r\n\r\n")
    peer.rest()
    got = objects(s, 1)[0]
    assert got["http.response.status_code"] >= 400
    assert "line" in got or "url.path" in got


def test_logfmt_is_pairs(server):
    s = logged(server, "--access-logformat", "logfmt")
    s.get("/one?a=b", 'User-Agent: a "b" c')
    pairs = dict(word.split("=", 1) for word in
                 shlex.split(lines(s.folder / "access.log", 1)[0]))
    assert pairs["http.request.method"] == "GET"
    assert pairs["url.path"] == "/one" and pairs["url.query"] == "a=b"
    assert pairs["user_agent.original"] == 'a "b" c'
    assert pairs["http.response.status_code"] == "200"


@pytest.mark.parametrize("word, end", [("common", '200 8'),
                                       ("combined", '200 8 "-" "test/1"')])
def test_words_for_formats(server, word, end):
    s = logged(server, "--access-logformat", word)
    s.get("/one", "User-Agent: test/1")
    assert lines(s.folder / "access.log", 1)[0].endswith(
        f'"GET /one HTTP/1.1" {end}')


def test_a_logger_of_pythons_gets_the_same(server):
    s = server("probe:app", apps=APPS, config="""
accesslog = "access.log"
access_log_format = "json"
access_log_skip = "/two"
logger_class = "mine.Logger"
""", files={"mine.py": """
from gunicorn.glogging import Logger as Base
class Logger(Base):
    access_fmt = "mine %(message)s"
    def setup(self, cfg):
        super().setup(cfg)
"""})
    s.get("/two")
    s.get("/one")
    line = lines(s.folder / "access.log", 1)[0]
    assert json.loads(line[line.index("{"):])["url.path"] == "/one"


def test_what_is_skipped_has_no_line(server):
    s = logged(server, "--access-logformat", "%(U)s %(s)s",
               "--access-log-skip", "/one,/own_*,404")
    for path in ("/one?x=1", "/own_fields", "/two", "/plain/one"):
        s.get(path)
    assert lines(s.folder / "access.log", 1) == ["/plain/one 200"]


def test_a_class_of_statuses_is_skipped(server):
    s = logged(server, "--access-logformat", "%(U)s %(s)s",
               "--access-log-skip", "2xx")
    assert s.get("/one").status == 200
    peer = s.connect()
    peer.send(b"GET / HTTP/9.9\r\n\r\n")
    peer.rest()
    assert " 200" not in lines(s.folder / "access.log", 1)[0]


@pytest.mark.parametrize("words, told", [
    (("--access-log-skip", "twohundred"), "'twohundred' is neither a path"),
    (("--log-format", "xml"), "log_format = 'xml' is none: write text or json"),
    (("--request-id", "X Request"), "is no name of a header field"),
])
def test_bad_values_are_told(run, words, told):
    done = run("probe:app", *words, apps=APPS)
    assert done.status != 0 and told in done.err, done.err


@pytest.mark.parametrize("stamp, least", [("t={:.3f}", 5), ("{:.0f}", 5)])
def test_queue_time_counts_from_the_front(server, stamp, least):
    s = logged(server, "--access-logformat", "%({queue}x)s")
    ago = time.time() - 5
    value = stamp.format(ago if "t=" in stamp else ago * 1000)
    s.get("/one", f"X-Request-Start: {value}")
    assert least <= float(lines(s.folder / "access.log", 1)[0]) < 60


def test_queue_time_believes_only_those_it_trusts(server):
    s = logged(server, "--access-logformat", "%({queue}x)s",
               "--forwarded-allow-ips", "192.0.2.1")
    s.get("/one", f"X-Request-Start: t={time.time() - 5:.3f}")
    assert float(lines(s.folder / "access.log", 1)[0]) < 4


@pytest.mark.parametrize("value", ["t=99999999999", "x", "t=", "1e9", "t=1.2"])
def test_a_stamp_that_is_none_counts_for_nothing(server, value):
    s = logged(server, "--access-logformat", "%({queue}x)s")
    s.get("/one", f"X-Request-Start: {value}")
    assert float(lines(s.folder / "access.log", 1)[0]) < 60


# ---- the error log ----

RAISES = {"app.py": """
def app(environ, start_response):
    raise RuntimeError('boom "quoted"')
"""}


def test_the_error_log_is_objects(server):
    s = server("app:app", "--log-format", "json", files=RAISES, announced=["boom"])
    assert s.get("/x").status == 500
    until(lambda: "boom" in s.stderr(), "it is told")
    got = [json.loads(line) for line in s.stderr().splitlines()]
    assert {"timestamp", "severity_text", "severity_number", "process.pid",
            "body"} <= set(got[0])
    error = next(o for o in got if "exception.stacktrace" in o)
    assert error["severity_text"] == "ERROR"
    assert error["body"].startswith("Error handling request")
    assert "\n" not in error["body"]
    assert error["exception.stacktrace"].endswith(
        'RuntimeError: boom "quoted"')
    assert error["exception.type"] == "RuntimeError"
    assert error["exception.message"] == 'boom "quoted"'
    assert any("Listening at" in o["body"] for o in got)


def test_the_error_log_becomes_objects_with_a_reload(server):
    s = server("probe:app", apps=APPS, config="log_format = 'text'\n")
    (s.folder / "conf.py").write_text("log_format = 'json'\n")
    s.signal("HUP")
    s.wait_log('"body":"')
