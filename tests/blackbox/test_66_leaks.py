# SPDX-License-Identifier: MIT
"""A thousand requests of each kind leave nothing behind in the worker."""
import json

import pytest

from harness import processes
from harness.waiting import until

COUNT = 1000
# A leak of one object, reference or 16 bytes a request would be twice that; what
# is below are caches of the interpreter, and connections that are being closed.
MOST = {"blocks": COUNT / 2, "objects": COUNT / 2, "references": COUNT / 2,
        "descriptors": 3, "malloc": 16 * COUNT / 2, "resident": 512}
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


def measured(server):
    return json.loads(server.get("/measure").body)


def kept(server, text, count):
    """Pipelined in batches: the replies are read by the rules all the same."""
    method = text.split(" ", 1)[0]
    with server.connect() as peer:
        for _ in range(count // 25):
            peer.send((25 * text).encode())
            for _ in range(25):
                peer.reply(method)


def ending(server, text, count):
    for _ in range(count):
        with server.connect() as peer:
            peer.send(text.encode())
            peer.end_sending()
            peer.rest()


def growth(server, ask, text):
    before = measured(server)
    ask(server, text, COUNT)
    after = measured(server)
    return {name: after[name] - before[name] for name in before}


def too_much(server, ask, text):
    """What grew by more than it may."""
    worker = server.workers()
    resident = processes.resident_kib(worker[0])
    grown = growth(server, ask, text)
    assert server.workers() == worker
    if not processes.is_sanitized(worker[0]):
        grown["resident"] = processes.resident_kib(worker[0]) - resident
    return {k: v for k, v in grown.items() if v > MOST[k]}


def assert_flat(server, ask, text):
    """A cache fills up once or twice, a leak goes on."""
    ask(server, text, 100)
    measured(server)
    found = []
    for _ in range(3):
        found.append(too_much(server, ask, text))
        if not found[-1]:
            return
    raise AssertionError(found)


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
