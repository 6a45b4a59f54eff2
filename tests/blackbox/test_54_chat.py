# SPDX-License-Identifier: MIT
"""Chats over WebSocket and long polls: Flask-SocketIO with its own client,
and a tornado.web.Application."""
import json
import subprocess

import pytest

from harness import classes, embedded
from harness.server import APPS
from harness.waiting import DEADLINE, until
from harness.websocket import WebSocket

WEBSOCKET_WORKER = "geventwebsocket.gunicorn.workers.GeventWebSocketWorker"
MODES = {"gthread": "threading", WEBSOCKET_WORKER: "gevent"}
# what an old python-engineio wants of environ that no gunicorn gives it
NEEDS = {"gevent": "simple_websocket", "eventlet": "simple_websocket",
         "gthread": "simple_websocket", WEBSOCKET_WORKER: "geventwebsocket"}


@pytest.fixture
def chat(run, server):
    """chat(class, *args): a server of that class that has chat.py."""
    def start(name, *args):
        for package in ("flask_socketio", "requests"):
            embedded.needs(package)
        classes.skip_unless_installed(run, name)
        # eventlet's WebSocket tells of a socket that it has closed before, and
        # an old python-engineio raises when a poll comes behind the goodbye
        return server("-k", name, "--threads", "20", *args, "chat:app",
                      apps=["chat.py"], announced=[
                          "socket shutdown error", "Session is disconnected"],
                      env={"MODE": MODES.get(name, name),
                           "PYTHONWARNINGS": "ignore"})
    return start


def talk(server, *transports):
    done = subprocess.run(
        [embedded.executable(), str(APPS / "chat_client.py"), server.url(""),
         *transports], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, timeout=3 * DEADLINE)
    assert done.stdout == b"they have talked\n", done.stderr.decode()
    until(lambda: server.get("/names").body == b"", "all have left")


@pytest.mark.parametrize("name", ["gevent", "eventlet", "gthread",
                                  WEBSOCKET_WORKER])
def test_people_of_a_flask_socketio_chat_talk_by_polling(chat, name):
    if name == WEBSOCKET_WORKER:
        embedded.needs("geventwebsocket")
    talk(chat(name), "polling")


@pytest.mark.parametrize("transports", [("websocket",),
                                        ("polling", "websocket")])
@pytest.mark.parametrize("name", ["gevent", "eventlet", "gthread",
                                  WEBSOCKET_WORKER])
def test_people_of_a_flask_socketio_chat_talk_by_websocket(
        chat, name, transports):
    embedded.needs("websocket")
    embedded.needs(NEEDS[name])
    if name == "gevent" and embedded.has("geventwebsocket"):
        pytest.skip("python-engineio wants gevent-websocket's worker class "
                    "where that is installed")
    s = chat(name, "--access-logfile", "-")
    talk(s, *transports)
    assert s.stop() == 0
    assert "transport=websocket" not in s.stdout(), "no reply is logged"


# ---- tornado ----


@pytest.fixture
def rooms(run, server):
    classes.skip_unless_installed(run, "tornado")
    return server("-k", "tornado", "chat_tornado:app",
                  apps=["chat_tornado.py"])


def enter(server, *names):
    people = []
    for name in names:
        person = WebSocket(server.address, f"/chat?name={name}")
        people.append(person)
        assert json.loads(person.hear()) == {"said": 0, "people": len(people)}
    return people


def test_people_of_a_tornado_chat_hear_each_other(rooms):
    ann, bob, eve = everybody = enter(rooms, "ann", "bob", "eve")
    for name, person in (("ann", ann), ("eve", eve)):
        for text in ("hello", "caf\u00e9 " * 20000, ""):
            person.say(text)
            for other in everybody:
                assert json.loads(other.hear()) == {"from": name, "text": text}
    bob.leave()
    for person in (ann, eve):
        assert json.loads(person.hear()) == {"left": "bob"}
    eve.reset()
    assert json.loads(ann.hear()) == {"left": "eve"}
    ann.say("alone")
    assert json.loads(ann.hear()) == {"from": "ann", "text": "alone"}
    assert json.loads(rooms.get("/").body) == {"ran": ["early"], "people": 1}
    ann.leave()
    assert rooms.stop() == 0


def test_long_polls_of_a_tornado_chat_hear_what_is_said(rooms):
    (ann,) = enter(rooms, "ann")
    with rooms.connect() as poll, rooms.connect() as page:
        poll.get("/updates?have=0")
        form = "Content-Type: application/x-www-form-urlencoded"
        assert page.post("/new", b"text=hi", form).reply().body == b"ok"
        told = {"from": "page", "text": "hi"}
        assert json.loads(poll.reply().body) == [told]
        assert json.loads(ann.hear()) == told
        poll.get("/updates?have=1")
        ann.leave()
        assert json.loads(poll.reply().body) == [{"left": "ann"}]


def test_a_tornado_chat_ends_with_people_in_it(rooms):
    ann, bob = enter(rooms, "ann", "bob")
    ann.say("hi")
    for person in (ann, bob):
        assert json.loads(person.hear())["text"] == "hi"
    assert rooms.stop() == 0
    for person in (ann, bob):
        person.rest()
