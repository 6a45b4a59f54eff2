# SPDX-License-Identifier: MIT
"""The same script for gunicorn and for us: what differs has to be on purpose."""
import json
import re

import pytest

from harness import classes
from harness.beside import PROGRAMS, needs_gunicorn
from harness.waiting import until

pytestmark = needs_gunicorn
# Under gunicorn tornado's own server reads the requests of this class and says
# what it likes of them (docs/async.md), and puts fields into the application's
# list.
TORNADO = classes.under_test() == "tornado"
FRESH = """\
import probe
def app(environ, start_response):
    return probe.app(environ, lambda status, fields, *more:
                     start_response(status, list(fields), *more))
"""
FILES = {"shop.py": "def app(environ, start_response):\n    pass\n",
         "number.py": "app = 42\n",
         "broken.py": "raise RuntimeError('no database')\n"}


@pytest.fixture
def both(server):
    """both(*args): gunicorn and the program under test, each serving."""
    def make(*args, **options):
        return [server("fresh:app" if TORNADO else "probe:app", *args,
                       apps=["probe.py"], files={"fresh.py": FRESH},
                       program=program, **options) for program in PROGRAMS]
    return make


def same(values):
    theirs, ours = values
    assert ours == theirs


# ---- requests ----


REQUESTS = {
    "plain": "GET /plain/environ HTTP/1.1\r\nHost: shop.example\r\n\r\n",
    "1.0": "GET /plain/environ HTTP/1.0\r\n\r\n",
    "query": "GET /plain/environ?a=%20&b HTTP/1.1\r\nHost: a:81\r\n\r\n",
    "path": "GET /plain/environ/%c3%a9%2fx;p//y HTTP/1.1\r\nHost: a\r\n\r\n",
    "absolute": "GET http://b/plain/environ?c HTTP/1.1\r\nHost: b\r\n\r\n",
    "fields": "GET /plain/environ HTTP/1.1\r\nHost: a\r\nX-Many: 1\r\n"
              "X-Many: 2\r\nCookie: a=1\r\nCookie: b=2\r\nX-Latin: \xe9\r\n"
              "Content-Type: text/x\r\nAccept:  padded  \r\n\r\n",
    "body": "POST /plain/environ HTTP/1.1\r\nHost: a\r\n"
            "Content-Length: 3\r\n\r\nabc",
    "chunked": "POST /plain/environ HTTP/1.1\r\nHost: a\r\n"
               "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "underscore": "GET /plain/environ HTTP/1.1\r\nHost: a\r\nX_Y: 1\r\n\r\n",
    "https": "GET /plain/environ HTTP/1.1\r\nHost: a\r\n"
             "X-Forwarded-Proto: https\r\n\r\n",
    "script": "GET /plain/environ HTTP/1.1\r\nHost: a\r\n"
              "SCRIPT_NAME: /plain\r\n\r\n",
    "method": "PROPFIND /plain/environ HTTP/1.1\r\nHost: a\r\n\r\n",
}


if TORNADO:
    for unlike in ("absolute", "underscore", "https", "script"):
        REQUESTS.pop(unlike)
OF_TORNADO = ("SERVER_NAME", "SERVER_PORT", "wsgi.multiprocess", "RAW_URI",
              "wsgi.input_terminated")


def environ(server, text):
    with server.connect() as peer:
        reply = peer.send(text.encode("latin-1")).reply()
    assert reply.status == 200, (reply, text)
    told = json.loads(reply.body)
    for name in ("REMOTE_PORT", "SERVER_SOFTWARE", "wsgi.input", "wsgi.errors",
                 "wsgi.file_wrapper", "gunicorn.socket", "gunicorn.pid",
                 "wsgi.early_hints"):
        told.pop(name, None)  # of one connection, of one version, objects
    for name in OF_TORNADO if TORNADO else ():
        told.pop(name, None)
    if told.get("SERVER_PORT") == str(server.address[1]):
        told["SERVER_PORT"] = "the listener's"
    return told


def test_environ_is_gunicorns(both):
    servers = both()
    differ = {}
    for name, text in REQUESTS.items():
        theirs, ours = (environ(s, text) for s in servers)
        differ.update({(name, k): (theirs.get(k), ours.get(k))
                       for k in {*theirs, *ours}
                       if theirs.get(k) != ours.get(k)})
    assert not differ


# not error_replaced: gunicorn sends the fields of both calls of start_response
REPLIES = ["/plain/one", "/plain/several", "/plain/generator", "/plain/nothing",
           "/plain/writing", "/plain/cookies", "/plain/own_fields",
           "/plain/status?404", "/plain/status?204", "/plain/status?304",
           "/plain/closing_length", "/plain/file", "/plain/own_close"]
if TORNADO:  # refuses a padded value, has no file_wrapper, adds to a 204
    for unlike in ("/plain/cookies", "/plain/file", "/plain/status?204"):
        REPLIES.remove(unlike)


def reply(server, path, method):
    with server.connect() as peer:
        r = peer.get(path, "Connection: close", method=method).reply(method)
    # one item has a length here and is a chunk there; a reply without a body
    # announces chunks there that do not come
    unequal = ("date", "transfer-encoding", "content-length")
    fields = [(n, v) for n, v in r.fields if n.lower() not in unequal]
    if TORNADO:
        fields = sorted((n, v) for n, v in fields if n != "Server")
    return r.status, r.reason, fields, r.body


# tornado fails when a HEAD has a body that it is not to send
@pytest.mark.parametrize("method", ["GET"] if TORNADO else ["GET", "HEAD"])
def test_replies_are_gunicorns(both, method):
    servers = both()
    differ = {}
    for path in REPLIES:
        theirs, ours = (reply(s, path, method) for s in servers)
        if ours != theirs:
            differ[path] = (theirs, ours)
    assert not differ


# ---- logs ----


def plain(text):
    """A log without what is of one run."""
    text = re.sub(r"^\[\d{4}[^]]*\] \[\d+\] ", "", text, flags=re.M)
    text = re.sub(r"Starting c?gunicorn \S+", "Starting", text)
    text = re.sub(r"127\.0\.0\.1:\d+", "ADDRESS", text)
    return re.sub(r"(pid: ?|\()\d+\)?", r"\1N", text)


def test_the_log_of_a_life_is_gunicorns(both):
    servers = both()
    for s in servers:
        assert s.get("/plain/one").status == 200
        assert s.stop() == 0
    lines = [[line for line in plain(s.log()).splitlines()
              if "ontrol" not in line and "run as root" not in line]
             for s in servers]
    assert sorted(lines[1]) == sorted(lines[0])


@pytest.mark.skipif(TORNADO, reason="under gunicorn that class writes none")
def test_access_lines_are_gunicorns(both):
    servers = both("--access-logfile", "access.log")
    lines = []
    for s in servers:
        for path in ("/plain/one?a=b", "/plain/status?404", "/plain/generator"):
            s.get(path, "Referer: there", 'User-Agent: a "quoted" agent')
        path = s.folder / "access.log"
        until(lambda p=path: p.exists() and p.read_text().count("\n") == 3,
              "three access lines")
        lines.append(re.sub(r"\[[^]]*\]", "[T]", path.read_text()))
    same(lines)


# ---- ends ----


@pytest.mark.parametrize("args, status", [
    (("--nonsense", "shop:app"), 2), (("-w", "many", "shop:app"), 2),
    (("--workers",), 2), (("--timeout", "-1", "shop:app"), 1),
    (("-c", "missing.py", "shop:app"), 1), ((), 1),
    (("--bind", "127.0.0.1:eighty", "shop:app"), 1),
    (("missing:app",), 3), (("broken:app",), 3), (("shop:ap",), 4),
    (("number:app",), 4), (("shop:app(",), 4), (("shop:app()",), 4),
    (("--check-config", "shop:app"), 0), (("--check-config", "shop:ap"), 1),
    (("--version",), 0), (("--chdir", "missing", "shop:app"), 1)])
def test_exit_statuses_are_gunicorns(run, args, status):
    ends = [run("--bind", "unix:s.sock", *args, files=FILES, announced=["."],
                program=program).status for program in PROGRAMS]
    assert ends == [status, status]
