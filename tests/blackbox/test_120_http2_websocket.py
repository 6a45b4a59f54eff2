# SPDX-License-Identifier: MIT
"""WebSockets over HTTP/2 in the class asgi (RFC 8441)."""
import os
import ssl
import socket
import struct

import pytest

from harness import certificates
from harness.h2wire import (CANCEL, DATA, END_HEADERS, END_STREAM, HEADERS, PROTOCOL_ERROR,
                            RST, SETTINGS, WINDOW, Client, block, connect, frame)
from harness.waiting import until

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
ENABLE_CONNECT_PROTOCOL = 8
# the first field of a connection's first reply (RFC 7541, appendix A and B)
STATUS = {200: b"\x88", 403: b"\x48\x03403", 426: b"\x48\x03426", 500: b"\x8e",
          501: b"\x48\x82\x6c\x01"}
CLEAR = ("--http-protocols", "h2,h1", "--http2-cleartext", "both")

APP = """
import asyncio
import json

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["method"].encode()})
        return
    assert (await receive())["type"] == "websocket.connect"
    path = scope["path"]
    if path == "/deny":
        await send({"type": "websocket.close"})
        return
    if path == "/boom":
        raise RuntimeError("boom")
    offered = scope["subprotocols"]
    await send({"type": "websocket.accept", "subprotocol": offered[0] if offered else None,
                "headers": [(b"x-here", b"yes")]})
    if path == "/scope":
        facts = {k: scope[k] for k in ("http_version", "scheme", "path", "type")}
        facts["host"] = dict(scope["headers"])[b"host"].decode()
        await send({"type": "websocket.send", "text": json.dumps(facts)})
    if path == "/big":
        await send({"type": "websocket.send", "bytes": b"0123456789" * 50000})
    if path == "/ends":
        await send({"type": "websocket.close", "code": 4001})
        return
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            open("left", "w").write(str(message["code"]))
            return
        await send({"type": "websocket.send", "text": "you said " + message["text"]}
                   if message.get("text") is not None else
                   {"type": "websocket.send", "bytes": message["bytes"]})
"""


@pytest.fixture(scope="module")
def chat(module_server):
    return module_server(*CLEAR, "-k", "asgi", "shop:app", "--access-logfile", "access.log",
                         files={"shop.py": APP})


class Tunnel:
    """A WebSocket in a stream."""

    def __init__(self, client, path="/", more=()):
        self.client = client
        self.id = client.next_id
        client.next_id += 2
        self.data = b""
        self.ended = False
        client.send(frame(HEADERS, END_HEADERS, self.id, connect_head(path, more)))
        self.head = client.until(HEADERS, self.id)[3]

    def send(self, opcode, data=b"", end=False):
        mask = os.urandom(4)
        size = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + struct.pack(">H", len(data))
        masked = bytes(b ^ mask[i % 4] for i, b in enumerate(data))
        f = bytes([0x80 | opcode]) + size + mask + masked
        for at in range(0, len(f), 16384):
            last = END_STREAM if end and at + 16384 >= len(f) else 0
            self.client.send(frame(DATA, last, self.id, f[at:at + 16384]))

    def _exactly(self, n):
        while len(self.data) < n:
            f = self.client.until(DATA, self.id)
            self.data += f[3]
            self.ended = bool(f[1] & END_STREAM)
            if f[3]:
                given = struct.pack(">I", len(f[3]))
                self.client.send(frame(WINDOW, 0, 0, given) + frame(WINDOW, 0, self.id, given))
        out, self.data = self.data[:n], self.data[n:]
        return out

    def hear(self):
        first, size = self._exactly(2)
        if size > 125:
            size = int.from_bytes(self._exactly(2 if size == 126 else 8), "big")
        return first & 15, self._exactly(size)


def connect_head(path, more=(), protocol="websocket", method="CONNECT"):
    return block([(":method", method), (":protocol", protocol), (":scheme", "http"),
                  (":path", path), (":authority", "here"),
                  ("sec-websocket-version", "13"), *more])


def settings_of(client):
    payload = client.until(SETTINGS)[3]
    return dict(struct.unpack(">HI", payload[i:i + 6]) for i in range(0, len(payload), 6))


def test_settings_announce_it_in_asgi_only(chat, server):
    assert settings_of(connect(chat))[ENABLE_CONNECT_PROTOCOL] == 1
    s = server(*CLEAR, "shop:app", files={"shop.py": "def app(environ, start_response): pass"})
    c = connect(s)
    assert ENABLE_CONNECT_PROTOCOL not in settings_of(c)
    c.send(frame(HEADERS, END_HEADERS, 1, connect_head("/")))
    assert int.from_bytes(c.until(RST, 1)[3], "big") == PROTOCOL_ERROR


def test_messages_go_both_ways(chat):
    c = connect(chat)
    t = Tunnel(c)
    assert t.head.startswith(STATUS[200])
    t.send(TEXT, b"hello")
    assert t.hear() == (TEXT, b"you said hello")
    t.send(PING, b"are you there")
    assert t.hear() == (PONG, b"are you there")
    t.send(CLOSE, struct.pack(">H", 1000))
    assert t.hear()[0] == CLOSE
    if not t.ended:
        c.until(DATA, t.id, END_STREAM)
    assert c.body(c.request("/")) == b"GET"
    c.close()


def test_it_sits_beside_requests_and_others_of_its_kind(chat):
    c = connect(chat)
    tunnels = [Tunnel(c) for _ in range(5)]
    assert c.body(c.request("/")) == b"GET"
    for i, t in enumerate(tunnels):
        t.send(TEXT, b"%d" % i)
    for i, t in reversed(list(enumerate(tunnels))):
        found = until(lambda t=t: t.hear(), "an answer")
        assert found == (TEXT, b"you said %d" % i)
        break  # frames of the others came meanwhile, and went
    c.close()


def test_scope_and_subprotocol(chat):
    c = connect(chat)
    t = Tunnel(c, "/scope", [("sec-websocket-protocol", "chat, other"),
                             ("sec-websocket-key", "ignored")])
    assert t.head.startswith(STATUS[200])
    assert t.hear()[1] == (b'{"http_version": "2", "scheme": "ws", "path": "/scope", '
                           b'"type": "websocket", "host": "here"}')
    c.close()


def test_large_messages_heed_the_window(chat):
    c = connect(chat)
    t = Tunnel(c, "/big")
    assert t.hear() == (2, b"0123456789" * 50000)
    t.send(TEXT, b"x" * 60000)
    assert t.hear() == (TEXT, b"you said " + b"x" * 60000)
    c.close()


def test_many_bytes_get_their_credit_back(chat):
    c = connect(chat)
    t = Tunnel(c)
    for _ in range(40):  # of a window of 64 KiB
        t.send(TEXT, b"y" * 8000)
        assert t.hear() == (TEXT, b"you said " + b"y" * 8000)
    c.close()


def test_a_refusal_is_a_reply(chat):
    c = connect(chat)
    t = Tunnel(c, "/deny")
    assert t.head.startswith(STATUS[403])
    chat.announce("boom", "Error handling request", "Traceback")
    t = Tunnel(c, "/boom")
    assert t.head.startswith(STATUS[500])
    assert c.body(c.request("/")) == b"GET"
    c.close()


def test_the_application_ends_it(chat):
    c = connect(chat)
    t = Tunnel(c, "/ends")
    assert t.hear() == (CLOSE, struct.pack(">H", 4001))
    t.send(CLOSE, struct.pack(">H", 4001), end=True)
    assert c.body(c.request("/")) == b"GET"
    c.close()


@pytest.mark.parametrize("how", ["reset", "connection"])
def test_a_client_that_goes_is_told_of(chat, how):
    left = chat.folder / "left"
    left.unlink(missing_ok=True)
    c = connect(chat)
    t = Tunnel(c)
    t.send(TEXT, b"a")
    assert t.hear()[0] == TEXT
    if how == "reset":
        c.send(frame(RST, 0, t.id, struct.pack(">I", CANCEL)))
    else:
        c.close()
    until(lambda: left.exists() and left.read_text() == "1006", "the end to be noticed")
    if how == "reset":
        assert c.body(c.request("/")) == b"GET"
        c.close()


def test_it_is_in_the_access_log(chat):
    c = connect(chat)
    t = Tunnel(c, "/logged")
    t.send(CLOSE, struct.pack(">H", 1000))
    t.hear()
    until(lambda: '"GET /logged HTTP/2.0" 101' in (chat.folder / "access.log").read_text(),
          "its line")
    c.close()


@pytest.mark.parametrize("head", [
    connect_head("/", method="GET"),
    block([(":method", "CONNECT"), (":protocol", "websocket"), (":authority", "x")]),
    connect_head("/", [("content-length", "5")]),
    connect_head("/", protocol="web socket"),
], ids=["not CONNECT", "no path", "a length", "a space"])
def test_malformed_ones_are_reset(chat, head):
    c = connect(chat)
    c.send(frame(HEADERS, END_HEADERS, 1, head))
    assert int.from_bytes(c.until(RST, 1)[3], "big") in (PROTOCOL_ERROR, 2)
    c.next_id = 3
    assert c.body(c.request("/")) == b"GET"
    c.close()


def test_a_protocol_that_is_unknown_is_a_501(chat):
    c = connect(chat)
    c.send(frame(HEADERS, END_HEADERS, 1, connect_head("/", protocol="connect-udp")))
    assert c.until(HEADERS, 1)[3].startswith(STATUS[501])
    c.next_id = 3
    assert c.body(c.request("/")) == b"GET"
    c.close()


def test_wrong_version_is_told(chat):
    c = connect(chat)
    head = block([(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"),
                  (":path", "/"), (":authority", "here"), ("sec-websocket-version", "12")])
    c.send(frame(HEADERS, END_HEADERS, 1, head))
    assert c.until(HEADERS, 1)[3].startswith(STATUS[426])
    c.close()


def test_stop_ends_it_with_1001_or_1012(server):
    s = server(*CLEAR, "-k", "asgi", "--graceful-timeout", "5", "shop:app", files={"shop.py": APP})
    c = connect(s)
    t = Tunnel(c)
    t.send(TEXT, b"a")
    assert t.hear()[0] == TEXT
    s.signal("TERM")
    kind, payload = t.hear()
    assert kind == CLOSE and int.from_bytes(payload[:2], "big") in (1001, 1012)
    t.send(CLOSE, payload[:2], end=True)
    assert s.wait() == 0


def test_over_tls(server):
    certificates.needs_openssl()
    authority, pem, key = certificates.shared()
    s = server("--certfile", pem, "--keyfile", key, "--http-protocols", "h2,h1", "-k", "asgi",
               "shop:app", files={"shop.py": APP})
    context = ssl.create_default_context(cafile=authority.certificate)
    context.set_alpn_protocols(["h2"])
    c = Client(context.wrap_socket(socket.create_connection(s.address, 20),
                                   server_hostname="localhost"))
    t = Tunnel(c, "/scope")
    assert b'"scheme": "wss"' in t.hear()[1]
    t.send(TEXT, b"hello")
    assert t.hear() == (TEXT, b"you said hello")
    c.close()
