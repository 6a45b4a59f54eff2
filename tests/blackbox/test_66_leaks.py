# SPDX-License-Identifier: MIT
"""A thousand requests of each kind leave nothing behind in the worker."""
import pytest

from harness.flat import COUNT, assert_flat, ending, growth, kept, measured
from harness.waiting import until

HOOKS = """\
def pre_request(worker, req):
    req.shop = dict(req.headers)

def post_request(worker, req, environ, resp):
    resp.status, resp.headers, req.shop
"""
GET = "GET %s HTTP/1.1\r\nHost: a\r\nX-Own: 1\r\n\r\n"
KEPT = {  # on connections that are kept
    "one item": GET % "/plain/one",
    "several items": GET % "/plain/several",
    "generator": GET % "/plain/generator",
    "write()": GET % "/plain/writing",
    "no item": GET % "/plain/nothing",
    "own iterable": GET % "/plain/closing",
    "many fields": GET % "/plain/cookies",
    "validator": GET % "/several",
    "file": GET % "/plain/file?length=1000",
    "file without fileno": GET % "/plain/file_without_fileno",
    "HEAD": (GET % "/plain/closing_length").replace("GET", "HEAD", 1),
    "304": GET % "/plain/status?304",
    "exc_info": GET % "/plain/error_replaced",
    "body": "POST /plain/digest?7 HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\n"
            "\r\n" + 4 * "0123456789",
    "chunked body": "POST /plain/digest HTTP/1.1\r\nHost: a\r\n"
                    "Transfer-Encoding: chunked\r\n\r\n"
                    "5\r\nhello\r\n3;a=b\r\nyou\r\n0\r\nX-T: 1\r\n\r\n",
    "lines of a body": "POST /plain/input_methods?readline,iter HTTP/1.1\r\n"
                       "Host: a\r\nContent-Length: 6\r\n\r\na\nb\nc\n",
    "unread body": "POST /plain/unread HTTP/1.1\r\nHost: a\r\n"
                   "Content-Length: 5\r\n\r\nabcde",
}
ENDING = {  # each ends its connection
    "one item and close": "GET /plain/one HTTP/1.1\r\nHost: a\r\n"
                          "Connection: close\r\n\r\n",
    "exception": GET % "/plain/raising",
    "exception while iterating": GET % "/plain/raising_later",
    "exception in close()": GET % "/plain/raising_close",
    "exit": GET % "/plain/exiting?1",
    "field that would inject": GET % "/plain/field?value-crlf",
    "short body": GET % "/plain/length?10.4",
    "no start_response": GET % "/plain/never_started",
    "refused": "GET / HTTP/1.1\r\n\r\n",
    "half a request": "GET / HTTP/1.1\r\nHos",
}


@pytest.fixture(scope="module", params=["plain", "hooks and access log"])
def leaks(request, module_server):
    more = {} if request.param == "plain" else {
        "config": HOOKS + "accesslog = 'access.log'\n"}
    # what is raised on purpose a thousand times need not be written
    s = module_server("leaks:app", "--log-level", "critical", bind="unix",
                      apps=["leaks.py", "probe.py"], start=False, **more)
    until(lambda: answers(s), lambda: "it answers:\n" + s.tail())
    return s


def answers(server):
    try:
        return server.get("/plain/one").status == 200
    except (FileNotFoundError, ConnectionRefusedError):
        return False


@pytest.mark.parametrize("what, seen_by", [
    ("object", "objects"), ("bytes", "blocks"), ("reference", "references")])
def test_a_leak_would_be_seen(leaks, what, seen_by):
    measured(leaks)
    grown = growth(leaks, kept, GET % f"/leak?{what}")
    assert grown[seen_by] >= 0.9 * COUNT


@pytest.mark.parametrize("name", KEPT)
def test_a_request_leaves_nothing_behind(leaks, name):
    assert_flat(leaks, kept, KEPT[name])


@pytest.mark.parametrize("name", ENDING)
def test_an_ending_request_leaves_nothing_behind(leaks, name):
    assert_flat(leaks, ending, ENDING[name])
