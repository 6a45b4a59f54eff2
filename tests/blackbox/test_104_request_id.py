# SPDX-License-Identifier: MIT
"""The name of a request, from the front or of our own making, everywhere."""
import re
import signal
import time

import pytest

from harness import classes, control
from harness.logcheck import lines
from harness.waiting import until

UUID7 = (r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}"
         r"-[0-9a-f]{12}")
APP = {"app.py": """
import os, pathlib, sys, time

# interned ones live as long as somebody has them: as long as their attribute
class Names: pass
NAMES = Names()
KEPT = {"list": [], "key": {}, "interned": NAMES.__dict__, "none": []}
KEEP = {"list": KEPT["list"].append,
        "key": lambda text: KEPT["key"].setdefault(text),
        "interned": lambda text: setattr(NAMES, text, None),
        "none": lambda text: (hash(text), sys.intern(text))}

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/raise":
        raise RuntimeError("boom")
    if path == "/die":
        os.kill(os.getpid(), 9)
    if path == "/block":
        pathlib.Path("in").touch()
        while not os.path.exists("go"):
            time.sleep(0.005)
    if path == "/keep":
        keep = KEEP[environ["QUERY_STRING"]]
        keep(environ["cgunicorn.request_id"])
        start_response("200 OK", [])
        return [environ["cgunicorn.request_id"].encode()]
    if path == "/kept":
        start_response("200 OK", [])
        return [" ".join(KEPT[environ["QUERY_STRING"]]).encode()]
    fields = [("X-Request-ID", "own")] if path == "/own" else []
    start_response("200 OK", fields)
    return [repr(environ.get("cgunicorn.request_id")).encode()]
""", "asgi.py": """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return
    body = repr(scope.get("cgunicorn.request_id")).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
"""}
ON = ("--request-id", "X-Request-ID")


@pytest.fixture
def named(server):
    def start(*words, **kw):
        return server("app:app", *ON, *words, files=APP, **kw)
    return start


def test_without_the_setting_there_is_none(server):
    s = server("app:app", files=APP)
    assert s.get("/", "X-Request-ID: abc").body == b"None"


def test_what_a_trusted_front_sends_is_taken(named):
    s = named("--access-logfile", "a.log", "--access-logformat",
              "%({request_id}x)s")
    assert s.get("/", "x-request-id: abc-1/2=").body == b"'abc-1/2='"
    assert lines(s.folder / "a.log", 1) == ["abc-1/2="]


@pytest.mark.parametrize("value", [
    "", 'a"b', "a b", "a%s", "é", "x" * 129, "a,b"])
def test_what_is_not_sane_is_replaced(named, value):
    body = named().get("/", f"X-Request-ID: {value}").body.decode()
    assert re.fullmatch(f"'{UUID7}'", body)


def test_two_of_them_are_none(named):
    body = named().get("/", "X-Request-ID: a", "X-Request-ID: b").body
    assert re.fullmatch(f"'{UUID7}'", body.decode())


def test_strangers_are_not_believed(named):
    s = named("--forwarded-allow-ips", "192.0.2.1")
    assert re.fullmatch(f"'{UUID7}'",
                        s.get("/", "X-Request-ID: abc").body.decode())


def test_made_ones_are_of_now_and_differ(named):
    s = named("-w", "2")
    made = [s.get("/").body.decode().strip("'") for _ in range(60)]
    assert len(set(made)) == 60
    for one in made:
        stamp = int(one[:8] + one[9:13], 16) / 1000
        assert abs(stamp - time.time()) < 60


def test_what_an_application_keeps_of_it_stays(named):
    """Its str serves the next request too, where nobody else has it."""
    s = named()
    for how in ("list", "key", "interned", "none"):
        made = [s.get(f"/keep?{how}").body.decode() for _ in range(5)]
        made += [s.get(f"/keep?{how}", f"X-Request-ID: {n}").body.decode()
                 for n in ("one", "two", "three")]
        assert len(set(made)) == 8 and made[-3:] == ["one", "two", "three"]
        kept = s.get(f"/kept?{how}").body.decode().split()
        assert kept == ([] if how == "none" else made)


def test_another_field_may_be_named(server):
    s = server("app:app", "--request-id", "X-Correlation-ID", files=APP)
    assert s.get("/", "x-correlation-id: abc", "X-Request-ID: no").body == \
        b"'abc'"


def test_it_is_sent_back_when_that_is_asked_for(named):
    assert named().get("/").one("X-Request-ID") is None
    s = named("--request-id-response")
    reply = s.get("/")
    assert reply.one("X-Request-ID") == reply.body.decode().strip("'")
    assert s.get("/", "X-Request-ID: abc").one("X-Request-ID") == "abc"
    assert s.get("/own").one("X-Request-ID") == "own"


def test_an_asgi_scope_has_it(server):
    if classes.has_package() and classes.under_test() != "asgi":
        pytest.skip("that class serves WSGI")
    s = server("asgi:app", "-k", "asgi", *ON, files=APP)
    assert s.get("/", "X-Request-ID: abc").body == b"'abc'"


def test_a_traceback_names_its_request(named):
    s = named(announced=["boom"])
    s.get("/raise", "X-Request-ID: abc")
    s.wait_log(r"Error handling request.* /raise.*\(request abc\)")


def test_a_killed_workers_inquest_names_its_request(named):
    s = named()
    peer = s.connect()
    peer.get("/die", "X-Request-ID: abc")
    s.wait_log(r"GET /die \(for [^)]*, request abc\)")
    peer.close()


def test_it_is_seen_while_it_runs(named):
    s = named()
    peer = s.connect()
    peer.get("/block", "X-Request-ID: abc")
    until(lambda: (s.folder / "in").exists(), "it runs")
    current = [c for w in control.status(s)["workers"] for c in w["current"]]
    assert [c["request_id"] for c in current] == ["abc"]
    assert "abc" in control.ask(s, "requests", "--json").out
    (s.folder / "go").touch()
    assert peer.reply().status == 200
    peer.close()
