# SPDX-License-Identifier: MIT
"""Streams of one HTTP/2 connection whose worker is blocked are answered by idle
siblings, each as one of its own."""
import json
import os
import signal
import socket
import ssl
import struct

import pytest

from harness import certificates, h2wire
from harness.classes import under_test
from harness.h2wire import (CANCEL, DATA, END_STREAM, GOAWAY, HEADERS, RST,
                            WINDOW, frame)
from harness.loans import ASGI, FILES, STREAM, Stays, runs
from harness.waiting import until

pytestmark = pytest.mark.skipif(
    under_test() != "sync", reason="starts the classes that it is about")
INTERNAL_ERROR = 2
CLEAR = ("--http-protocols", "h2,h1", "--http2-cleartext", "prior-knowledge")


def sealed():
    _, pem, key = certificates.shared()
    return ("--http-protocols", "h2,h1", "--certfile", str(pem), "--keyfile", str(key))


def connect(server, tls=True):
    sock = socket.create_connection(server.address, 20)
    if tls:
        context = ssl.create_default_context(
            cafile=certificates.shared()[0].certificate)
        context.set_alpn_protocols(["h2"])
        sock = context.wrap_socket(sock, server_hostname="localhost")
        assert sock.selected_alpn_protocol() == "h2"
    return h2wire.Client(sock)


def facts(client, path="/", **more):
    return json.loads(client.body(client.request(path, **more)))


class One:
    """A client whose connection's worker is blocked, beside an idle one."""

    def __init__(self, server, *args, files=FILES, tls=True, workers=2):
        certificates.needs_openssl()
        how = sealed() if tls else CLEAR
        self.server = server("app:app", "-w", str(workers), "--timeout", "3600", *how,
                             *args, files=files)
        self.server.wait_log("Booting worker", workers)
        self.client = connect(self.server, tls)
        self.held = Stays(self.server, "held", self.ask)
        self.stream = self.last

    def ask(self, path):
        self.last = self.client.request(path)

    def free(self):
        self.held.go()
        assert json.loads(self.client.body(self.stream))["pid"] == self.held.pid


@pytest.mark.parametrize("args, tls", [
    ((), True), ((), False), (("--threads", "2"), True)],
    ids=["sync", "cleartext", "gthread"])
def test_one_client_with_three_of_four_workers_blocked(server, args, tls):
    one = One(server, *args, tls=tls, workers=4)
    blocked = {one.held.pid}
    held = []
    n = 0
    while len(blocked) < 3 or n % (2 if args else 1):
        n += 1
        held.append((Stays(one.server, f"more{n}", one.ask), one.last))
        blocked.add(held[-1][0].pid)
    asked = [one.client.request("/") for _ in range(32)]
    answered = {}
    while len(answered) < len(asked):
        kind, flags, stream, payload = one.client.read()
        assert kind != RST
        if kind == DATA:
            answered.setdefault(stream, b"")
            answered[stream] += payload
    free = {json.loads(body)["pid"] for body in answered.values()}
    assert set(answered) == set(asked)
    assert one.held.pid not in free
    for h, _ in held:
        h.go()
    one.held.go()


@pytest.fixture(scope="module")
def one(module_server):
    made = One(module_server)
    yield made
    made.held.go()


def test_the_environ_is_that_of_a_stream(one):
    got = facts(one.client, "/?a=b", more=[("cookie", "a=1"), ("cookie", "b=2")])
    assert got["pid"] != one.held.pid
    assert (got["SERVER_PROTOCOL"], got["HTTP_VERSION"]) == ("HTTP/2.0", "2")
    assert (got["wsgi.url_scheme"], got["QUERY_STRING"]) == ("https", "a=b")
    assert got["HTTP_COOKIE"] == "a=1; b=2"
    assert got["SSL_PROTOCOL"] == "TLSv1.3"
    port = one.client.sock.getsockname()[1]
    assert (got["REMOTE_ADDR"], got["REMOTE_PORT"]) == ("127.0.0.1", str(port))


@pytest.mark.parametrize("length", [True, False], ids=["length", "unknown"])
def test_bodies_go_with_their_requests(one, length):
    data = bytes(range(200)) * 200
    more = [("content-length", str(len(data)))] if length else []
    c = one.client
    stream = c.request("/", "POST", more, end=False)
    for at in range(0, len(data), 10_000):
        c.send(frame(DATA, 0, stream, data[at:at + 10_000]))
    c.send(frame(DATA, END_STREAM, stream))
    got = json.loads(c.body(stream))
    assert got["pid"] != one.held.pid
    assert got["read"] == [len(data), sum(data)]
    assert got["CONTENT_LENGTH"] == str(len(data))
    assert "HTTP_TRANSFER_ENCODING" not in got


@pytest.mark.parametrize("path, body", [
    ("/big", b"0123456789abcdef" * 250_000), ("/stream", STREAM)])
def test_long_replies_come_whole(one, path, body):
    assert one.client.body(one.client.request(path)) == body


def test_a_reply_that_is_not_read_holds_nobody_up(one):
    c = connect(one.server)
    held = Stays(one.server, "slow", lambda path: c.request(path))
    assert held.pid != one.held.pid  # nobody is idle but who takes it
    held.go()
    c.body(1)
    one.client.body(one.client.request("/"))
    stream = one.client.request("/big")  # its window is not given back
    n = 0
    while n < 65_535:
        kind, _, of, payload = one.client.read()
        assert kind != RST
        n += len(payload) if (kind, of) == (DATA, stream) else 0
    one.client.send(frame(WINDOW, 0, 0, struct.pack(">I", 1 << 20)))
    got = facts(one.client)
    assert got["pid"] != one.held.pid
    one.client.send(frame(WINDOW, 0, stream, struct.pack(">I", 1 << 26)))
    one.client.send(frame(WINDOW, 0, 0, struct.pack(">I", 1 << 26)))
    n += len(one.client.body(stream))
    assert n == 4_000_000
    c.close()


def test_trailers_come_behind_the_body(one):
    c = one.client
    stream = c.request("/trailers")
    seen = []
    while not seen or not seen[-1][1] & END_STREAM:
        f = c.read()
        if f[2] == stream:
            seen.append(f[:2])
    assert [kind for kind, _ in seen][0] == HEADERS
    assert seen[-1][0] == HEADERS and DATA in [kind for kind, _ in seen]


def test_a_reply_to_head_has_no_body(one):
    c = one.client
    stream = c.request("/big", "HEAD")
    assert c.until(HEADERS, stream)[1] & END_STREAM


def test_a_stream_that_is_reset_is_told_to_the_application(one):
    s, c = one.server, one.client
    Stays(s, "endless", one.ask, "/endless")
    c.send(frame(RST, 0, one.last, struct.pack(">I", CANCEL)))
    until(lambda: (s.folder / "endless.closed").exists(), "its close")
    assert facts(c)["pid"] != one.held.pid


def test_a_sibling_that_is_killed_resets_its_stream(server):
    one = One(server)
    s, c = one.server, one.client
    stays = Stays(s, "half", one.ask, "/half")
    half = one.last
    assert stays.pid != one.held.pid
    s.announce(r"was sent SIGKILL")
    os.kill(stays.pid, signal.SIGKILL)
    code, = struct.unpack(">I", c.until(RST, half)[3])
    assert code == INTERNAL_ERROR
    assert runs(s, "half") == 1
    assert facts(c)["pid"] != one.held.pid  # who came in its place
    one.free()


def test_a_connection_that_ends_ends_what_was_lent(server):
    one = One(server)
    s = one.server
    Stays(s, "endless", one.ask, "/endless")
    one.client.close()
    until(lambda: (s.folder / "endless.closed").exists(), "its close")
    one.held.go()


@pytest.mark.parametrize("how", ["HUP", "TERM"])
def test_a_stop_waits_for_what_is_lent(server, how):
    one = One(server)
    s, c = one.server, one.client
    stays = Stays(s, "lent", one.ask)
    stream = one.last
    s.signal(how)
    s.wait_log(*(("Booting worker", 4) if how == "HUP" else ("Handling signal: term",)))
    c.until(GOAWAY)
    one.held.go()
    stays.go()
    got = {}
    while len(got) < 2:
        f = c.read()
        assert f is not None and f[0] != RST, f
        if f[0] == DATA and f[3]:
            got[f[2]] = json.loads(f[3])["pid"]
    assert got == {one.stream: one.held.pid, stream: stays.pid}


def test_streams_of_a_blocked_asgi_loop_are_answered_by_another(server):
    one = One(server, "-k", "asgi", files={"app.py": ASGI})
    got = facts(one.client)
    assert got["pid"] != one.held.pid
    assert (got["http_version"], got["scheme"]) == ("2", "https")
    one.free()
