# SPDX-License-Identifier: MIT
"""TLS and HTTP/2 in every worker class: the same by each of them."""
import ast
import socket
import ssl
import struct

import pytest

from harness import certificates, classes, sealed
from harness.h2wire import (CANCEL, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, NO_TABLE, RST,
                            SETTINGS, WINDOW, Client as H2, block, connect, frame,
                            head, status_of)
from harness.waiting import until
from test_85_tls import Client, context

pytestmark = sealed.in_the_clear("it would be the same")
WSGI = """
import os, time

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/big":
        body = b"0123456789abcdef" * 100000
    elif path == "/stream":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return (b"%05d " % i * 1000 for i in range(200))
    elif path == "/sum":
        data = environ["wsgi.input"].read()
        body = b"%d %d" % (len(data), sum(data) % 65521)
    elif path == "/environ":
        body = repr({k: v for k, v in environ.items() if isinstance(v, str)}).encode()
    elif path == "/slow":
        open("began", "w").close()
        while not os.path.exists("go"):
            time.sleep(0.01)
        body = b"slow"
    elif path == "/sleepy":
        end = time.monotonic() + 60
        while time.monotonic() < end:
            time.sleep(0.01)
        body = b"it came"
    elif path == "/raises":
        raise RuntimeError("boom")
    else:
        body = b"hello"
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
ASGI = """
import asyncio, os

FACTS = {"tls_version": lambda v: {0x303: "TLSv1.2", 0x304: "TLSv1.3"}[v]}

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return
    path = scope["path"]
    async def start(length=None):
        fields = [(b"content-length", b"%d" % length)] if length is not None else []
        await send({"type": "http.response.start", "status": 200, "headers": fields})
    if path == "/stream":
        await start()
        for i in range(200):
            await send({"type": "http.response.body", "body": b"%05d " % i * 1000,
                        "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        return
    if path == "/big":
        body = b"0123456789abcdef" * 100000
    elif path == "/sum":
        data, more = b"", True
        while more:
            m = await receive()
            data += m["body"]
            more = m["more_body"]
        body = b"%d %d" % (len(data), sum(data) % 65521)
    elif path == "/environ":
        tls = scope["extensions"].get("tls", {})
        body = repr({"wsgi.url_scheme": scope["scheme"],
                     "SERVER_PROTOCOL": {"2": "HTTP/2.0"}.get(scope["http_version"],
                                                              "HTTP/" + scope["http_version"]),
                     "SSL_PROTOCOL": FACTS["tls_version"](tls["tls_version"]),
                     "SSL_CLIENT_S_DN": tls.get("client_cert_name") or "none"}).encode()
    elif path == "/slow":
        open("began", "w").close()
        while not os.path.exists("go"):
            await asyncio.sleep(0.01)
        body = b"slow"
    elif path == "/sleepy":
        await asyncio.sleep(60)
        body = b"it came"
    elif path == "/raises":
        raise RuntimeError("boom")
    else:
        body = b"hello"
    await start(len(body))
    await send({"type": "http.response.body", "body": body})
"""
BIG = b"0123456789abcdef" * 100000
STREAM = b"".join(b"%05d " % i * 1000 for i in range(200))
CLASSES = {"sync": [], "gthread": ["--threads", "4"], "gevent": ["-k", "gevent"],
           "eventlet": ["-k", "eventlet"], "tornado": ["-k", "tornado"], "asgi": ["-k", "asgi"]}


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    authority = certificates.Authority(tmp_path_factory.mktemp("pki"))
    return (authority, *authority.issue("server"))


def start(make, pki, kind, *args, **more):
    if kind == "eventlet":  # it warns of itself
        more["env"] = {"PYTHONWARNINGS": "ignore"}
    return make("--certfile", pki[1], "--keyfile", pki[2], "--ca-certs", pki[0].certificate,
                "--cert-reqs", "1", "--http-protocols", "h2,h1", *CLASSES[kind], *args, "shop:app",
                files={"shop.py": ASGI if kind == "asgi" else WSGI}, **more)


@pytest.fixture(scope="module")
def kept():
    return {}


@pytest.fixture(params=CLASSES)
def kind(request, run):
    if request.param in ("gevent", "eventlet", "tornado"):
        classes.skip_unless_installed(run, request.param)
    return request.param


@pytest.fixture
def served(kind, kept, module_server, pki):
    """One for all tests of a class."""
    if kind not in kept:
        kept[kind] = start(module_server, pki, kind, "--access-logfile", "access.log")
        kept[kind].kind = kind
    return kept[kind]


def h2_to(s, pki, pair=None, settings=(NO_TABLE,), most=None):
    c = context(pki, most=most)
    if pair:
        c.load_cert_chain(*pair)
    c.set_alpn_protocols(["h2"])
    sock = c.wrap_socket(socket.create_connection(s.address, 30), server_hostname="localhost")
    assert sock.selected_alpn_protocol() == "h2"
    return H2(sock, settings=settings, timeout=40)


VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


# ---- HTTP/1.1 over TLS ----

@pytest.mark.parametrize("most", VERSIONS, ids=["1.2", "1.3"])
def test_requests_of_all_kinds_on_one_connection(served, pki, most):
    data = bytes(range(256)) * 4000
    with Client(served, context(pki, most=most)) as c:
        for _ in range(3):
            assert c.get("/") == b"hello"
            assert c.get("/big") == BIG
            assert c.get("/stream") == STREAM
            assert c.post("/sum", data) == b"%d %d" % (len(data), sum(data) % 65521)
        facts = ast.literal_eval(c.get("/environ").decode())
    assert facts["wsgi.url_scheme"] == "https"
    assert facts["SSL_PROTOCOL"] == ("TLSv1.2" if most == VERSIONS[0] else "TLSv1.3")


def test_a_slow_reader_gets_all_of_it(served, pki):
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.settimeout(30)
    plain.connect(served.address)
    with Client(served, context(pki), plain=plain) as c:
        assert c.get("/big") == BIG and c.get("/stream") == STREAM


def test_the_clients_certificate(served, pki):
    pair = pki[0].issue("client" + served.kind, names=[], subject="/CN=Ada")
    c = context(pki)
    c.load_cert_chain(*pair)
    with Client(served, c) as peer:
        assert ast.literal_eval(peer.get("/environ").decode())["SSL_CLIENT_S_DN"] == "CN=Ada"
    h2 = h2_to(served, pki, pair)
    facts = ast.literal_eval(h2.body(h2.request("/environ")).decode())
    assert facts["SSL_CLIENT_S_DN"] == "CN=Ada" and facts["SERVER_PROTOCOL"] == "HTTP/2.0"
    h2.close()


# ---- HTTP/2 ----

@pytest.mark.parametrize("most", VERSIONS, ids=["1.2", "1.3"])
def test_streams_of_all_kinds_on_one_connection(served, pki, most):
    data = bytes(range(256)) * 200
    c = h2_to(served, pki, most=most)
    c.send(frame(WINDOW, 0, 0, struct.pack(">I", 1 << 30)))
    wanted, got, ended = {}, {}, set()
    for _ in range(5):
        for path, body in (("/", b"hello"), ("/big", BIG), ("/stream", STREAM)):
            wanted[c.request(path)] = body
        stream = c.request("/sum", "POST", end=False)
        for i in range(0, len(data), 10000):
            part = data[i:i + 10000]
            c.send(frame(DATA, END_STREAM if i + 10000 >= len(data) else 0, stream, part))
        wanted[stream] = b"%d %d" % (len(data), sum(data) % 65521)
    while len(ended) < len(wanted):
        kind, flags, of, payload = c.read()
        assert kind not in (RST, GOAWAY), (kind, of, payload)
        if kind == SETTINGS and not flags & 1:
            c.send(frame(SETTINGS, 1))
        if kind == HEADERS:
            assert status_of(payload) == 200
        if kind == DATA:
            got[of] = got.get(of, b"") + payload
            if payload:
                c.send(frame(WINDOW, 0, of, struct.pack(">I", len(payload))))
        if kind in (HEADERS, DATA) and flags & END_STREAM:
            ended.add(of)
    assert got == wanted
    c.close()


def test_a_stream_that_is_reset_leaves_the_others(served, pki):
    c = h2_to(served, pki)
    c.send(frame(WINDOW, 0, 0, struct.pack(">I", 1 << 24)))
    for _ in range(5):
        stream = c.request("/stream")
        c.until(DATA, stream)
        c.send(frame(RST, 0, stream, struct.pack(">I", CANCEL)))
        stream = c.request("/sum", "POST", end=False)
        c.send(frame(DATA, 0, stream, b"not all") +
               frame(RST, 0, stream, struct.pack(">I", CANCEL)))
    assert c.body(c.request("/")) == b"hello"
    c.close()
    served.check_log()


def test_a_connection_that_breaks_off_is_no_trouble(served, pki):
    for _ in range(3):
        c = h2_to(served, pki)
        for _ in range(5):
            c.request("/stream")
        c.until(DATA)
        c.close()
    c = h2_to(served, pki)
    assert c.body(c.request("/")) == b"hello"
    c.close()
    served.check_log()


def test_an_error_is_a_500_of_its_stream(served, pki):
    served.announce("boom", "Error handling request", "Traceback")
    c = h2_to(served, pki)
    stream = c.request("/raises")
    assert status_of(c.until(HEADERS, stream)[3]) == 500
    assert c.body(c.request("/")) == b"hello"
    c.close()
    until(lambda: '"GET /raises HTTP/2.0" 500' in (served.folder / "access.log").read_text(),
          "its line")


def test_a_malformed_head_is_a_reset_of_its_stream(served, pki):
    c = h2_to(served, pki)
    c.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, head("/a b")))
    assert c.until(RST, 1)
    c.send(frame(HEADERS, END_HEADERS | END_STREAM, 3, block(
        [(":method", "G(T"), (":scheme", "https"), (":path", "/"), (":authority", "a")])))
    c.next_id = 5
    assert c.body(c.request("/")) == b"hello"
    c.close()


# ---- limits and ends ----

def test_request_timeout_is_a_504_of_its_stream(kind, server, pki):
    s = start(server, pki, kind, "--request-timeout", "1",
              announced=["Request timed out"])
    c = h2_to(s, pki)
    stream = c.request("/sleepy")
    assert status_of(c.until(HEADERS, stream)[3]) == 504
    s.wait_log("REQUEST TIMEOUT")  
    c.close()
    c = h2_to(s, pki)
    assert c.body(c.request("/")) == b"hello"
    c.close()


def test_a_stop_answers_what_is_under_way(kind, server, pki):
    s = start(server, pki, kind)
    c = h2_to(s, pki)
    assert c.body(c.request("/")) == b"hello"
    stream = c.request("/slow")
    until((s.folder / "began").exists, "it has begun")
    s.signal("TERM")
    s.wait_log("Handling signal: term")
    (s.folder / "go").write_text("")
    assert c.body(stream) == b"slow"
    assert c.ending() == 0
    assert s.wait() == 0


def test_in_clear_text(kind, server):
    s = server("--http-protocols", "h2,h1", "--http2-cleartext", "both", *CLASSES[kind],
               "shop:app", files={"shop.py": ASGI if kind == "asgi" else WSGI})
    c = connect(s)
    assert c.body(c.request("/big")) == BIG
    assert c.body(c.request("/")) == b"hello"
    c.close()


@pytest.mark.parametrize("base", ["sync.SyncWorker", "gthread.ThreadWorker"])
def test_classes_written_in_python_seal_by_themselves(server, pki, base):
    """They read cfg.is_ssl and cfg.ssl_options, as under gunicorn."""
    module, _, name = base.partition(".")
    s = server("shop:app", files={"shop.py": WSGI}, config=f"""
from gunicorn.workers.{module} import {name}
class worker_class({name}):
    pass
certfile, keyfile = {tuple(map(str, pki[1:]))!r}
""")
    for _ in range(2):
        with Client(s, context(pki)) as c:
            assert c.get("/") == b"hello"
            assert ast.literal_eval(Client(s, context(pki)).get("/environ").decode())[
                "wsgi.url_scheme"] == "https"
