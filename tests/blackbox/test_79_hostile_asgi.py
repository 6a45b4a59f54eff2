# SPDX-License-Identifier: MIT
"""ASGI applications whose messages call back, and whose objects outlive their
request: as test_74, for the class asgi."""
import contextlib

import pytest

from harness.websocket import CLOSE, WebSocket
from harness.wire import Closed

NOISE = ["Error handling request", "Exception ignored in", "Task exception",
         "Task was destroyed", "Exception in callback", "never awaited",
         "unexpected", "lifespan"]


@pytest.fixture(scope="module", params=["lines", "hooks"])
def shared(module_server, request):
    config = HOOKS if request.param == "hooks" else None
    return module_server(
        "-k", "asgi", "--timeout", "60", "--asgi-lifespan", "off",
        "--graceful-timeout", "3",
        "--access-logfile", "access.log", "hostile_asgi:app",
        apps=["hostile_asgi.py"], announced=NOISE, config=config)


HOOKS = """\
import hostile_asgi

def pre_request(worker, req):
    req.headers.clear()

def post_request(worker, req, environ, resp):
    send = hostile_asgi.KEPT.get("send")
    if send is not None:
        hostile_asgi.now(send, hostile_asgi.START)
        hostile_asgi.now(send, hostile_asgi.body(b"hook"))
    coroutine = hostile_asgi.KEPT.get("coroutine")
    if coroutine is not None:
        hostile_asgi.now(coroutine.throw, KeyError)
"""


@pytest.fixture
def probe(shared):
    shared.worker = shared.get("/ok").body
    return shared


def is_alive(server):
    reply = server.get("/ok")
    assert (reply.status, reply.body) == (200, server.worker)


def text(server, path):
    reply = server.get(path)
    assert reply.status == 200, reply
    is_alive(server)
    return reply.body.decode()


def found(server):
    return text(server, "/joined").split()


# Each answers within its own send(), which is refused then.
@pytest.mark.parametrize("path", [
    "talking_status", "talking_bad_status", "talking_trailers",
    "talking_headers", "talking_pair", "talking_generator", "talking_name",
    "talking_no_pair", "talking_key", "talking_header_key", "talking_more",
    "talking_body_key", "talking_path", "talking_hint", "shrinking_hint",
    "talking_informational", "talking_type", "talking_dict"])
def test_messages_that_answer_when_they_are_read(probe, path):
    assert text(probe, "/" + path) == "inner"
    assert len(found(probe)) == 1


@pytest.mark.parametrize("path", ["talking_fields", "talking_more_trailers"])
def test_trailers_that_send_trailers(probe, path):
    with probe.connect() as peer:
        head = peer.get("/" + path, "TE: trailers", "Connection: close").head()
        rest = peer.rest()
    assert head.status == 200
    assert rest.startswith(b"5\r\ninner\r\n0\r\n") and b"x-a" not in rest
    is_alive(probe)


@pytest.mark.parametrize("path", ["base_exception", "system_exit",
                                  "no_coroutine", "no_iterator",
                                  "raising_await"])
def test_what_is_no_answer_is_an_error(probe, path):
    with contextlib.suppress(Closed):
        assert probe.get("/" + path).status == 500
    is_alive(probe)


@pytest.mark.parametrize("path", [
    "shrinking_headers", "dying_body", "buffer_body", "talking_exception",
    "talking_group", "own_iterator", "cycles", "cleared", "threads",
    "resized_body"])
def test_the_worker_survives(probe, path):
    with contextlib.suppress(Closed):
        probe.get("/" + path)
    is_alive(probe)


def test_what_is_kept_ends_with_its_request(probe):
    assert text(probe, "/keep") == "kept"
    said = text(probe, "/use_kept").split()
    assert said == ["RuntimeError"] * 2 + ["http.disconnect"] * 4


@pytest.mark.parametrize("path", ["driven", "driven_early",
                                  "driven_while_it_waits", "odd_yield"])
def test_a_coroutine_that_others_drive(probe, path):
    with contextlib.suppress(Closed):
        probe.get("/" + path)
    is_alive(probe)


def test_no_object_that_the_server_did_not_make(probe):
    assert set(text(probe, "/types").split()) == {"TypeError"}


@pytest.mark.parametrize("path", [
    "ws_nested_accept", "ws_nested_refusal", "ws_nested_protocol",
    "ws_nested_denial", "ws_closing_key", "ws_closing_code",
    "ws_closing_buffer", "ws_threads"])
def test_websockets_whose_messages_call_back(probe, path):
    with contextlib.suppress(AssertionError, OSError):
        with WebSocket(probe.address, "/" + path) as ws:
            while ws.frame()[0] != CLOSE:
                pass
    is_alive(probe)
