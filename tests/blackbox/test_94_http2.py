# SPDX-License-Identifier: MIT
"""HTTP/2: by ALPN and in clear text; requests, bodies, replies, limits, ends."""
import re
import select
import shutil
import socket
import ssl
import struct
import subprocess

import pytest

from harness import certificates, processes
from harness.h2wire import (ACK, CANCEL, CLOSED, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS,
                            PREFACE, PRIORITY, PRIORITY_UPDATE, PROTOCOL_ERROR, RST, SETTINGS,
                            WINDOW, Client, block, connect, frame, head)
from harness.server import free_port
from harness.waiting import until

APP = """
import time

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/echo":
        body = environ["wsgi.input"].read()
    elif path == "/environ":
        body = "\\n".join("%s=%s" % i for i in sorted(environ.items())
                         if isinstance(i[1], str)).encode()
    elif path == "/stream":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return (b"%05d " % i * 100 for i in range(2000))
    elif path == "/big":
        body = b"0123456789abcdef" * 100000
    elif path == "/medium":
        body = bytes(200000)
    elif path == "/slow":
        open("slow-began", "w").close()
        time.sleep(0.5)
        body = b"slow"
    elif path == "/ignores":
        body = b"ignored"
    elif path == "/short":
        start_response("200 OK", [("Content-Length", "100")])
        return [b"only this"]
    elif path == "/trailers":
        environ["gunicorn.http2.send_trailers"]([("X-Sum", "42"), ("X-Other", "b")])
        environ["gunicorn.http2.send_trailers"]([("X-Third", "c")])
        body = b"with trailers"
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [body]
    elif path == "/sized-trailers":
        environ["gunicorn.http2.send_trailers"]([("X-Sum", "42")])
        body = b"with trailers" * 10000
    elif path == "/short-trailers":
        environ["gunicorn.http2.send_trailers"]([("X-Sum", "42")])
        start_response("200 OK", [("Content-Length", "100")])
        return [b"only this"]
    elif path == "/long-trailers":
        environ["gunicorn.http2.send_trailers"]([("X-Sum", "42")])
        start_response("200 OK", [("Content-Length", "4")])
        return [b"only", b" this"]
    elif path == "/late":
        start_response("200 OK", [])
        def parts():
            yield b"a"
            yield b"b"
            environ["gunicorn.http2.send_trailers"]([("X-Sum", "ab")])
        return parts()
    elif path == "/bad-trailers":
        told = []
        for bad in ([("X A", "1")], [("x", "a\\r\\nb")], [("x",)], 7):
            try:
                environ["gunicorn.http2.send_trailers"](bad)
            except (TypeError, ValueError) as e:
                told.append(type(e).__name__)
        body = " ".join(told).encode()
    elif path == "/hints":
        environ["wsgi.early_hints"]([("Link", "</a.css>; rel=preload")])
        body = b"hinted"
    else:
        body = b"hello"
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""

CLEAR = ("--http-protocols", "h2,h1", "--http2-cleartext", "both")
pytestmark = pytest.mark.skipif(not shutil.which("curl"), reason="no curl")


@pytest.fixture(scope="module")
def h2c(module_server):
    return module_server(*CLEAR, "shop:app", "--access-logfile", "access.log",
                         "--static", "/files=files",
                         files={"shop.py": APP, "files/a.txt": "hello"})


def curl(server, path, *options, data=None, scheme="http"):
    host, port = server.address
    r = subprocess.run(["curl", "-sS", "-m", "30", "--http2-prior-knowledge", *options,
                        "%s://127.0.0.1:%d%s" % (scheme, port, path)],
                       input=data, capture_output=True)
    assert r.returncode == 0, r.stderr
    return r.stdout


def nghttp(server, path, *options):
    """All frames of one request, in words."""
    if not shutil.which("nghttp"):
        pytest.skip("no nghttp")
    r = subprocess.run(["nghttp", "-nv", *options, "http://127.0.0.1:%d%s" % (
        server.address[1], path)], capture_output=True, timeout=60, text=True)
    assert r.returncode == 0, r.stderr
    return r.stdout


def test_environ_says_http2(h2c):
    lines = curl(h2c, "/environ?a=b", "-H", "Cookie: a=1; b=2", "-H", "X-Thing: here").decode().split("\n")
    for line in ("SERVER_PROTOCOL=HTTP/2.0", "HTTP_VERSION=2", "REQUEST_METHOD=GET", "QUERY_STRING=a=b",
                 "HTTP_COOKIE=a=1; b=2", "HTTP_X_THING=here", "wsgi.url_scheme=http",
                 "HTTP_HOST=127.0.0.1:%d" % h2c.address[1]):
        assert line in lines
    assert not any(line.startswith("HTTP_TRANSFER_ENCODING") for line in lines)


def test_bodies_go_both_ways(h2c):
    data = bytes(range(256)) * 2000
    assert curl(h2c, "/echo", "--data-binary", "@-", data=data) == data


def test_body_of_unknown_length(h2c):
    data = bytes(range(256)) * 2000
    assert curl(h2c, "/echo", "-T", "-", data=data) == data


@pytest.mark.parametrize("size", [0, 9, 300_000])
def test_a_body_without_a_length_has_one_for_the_application(h2c, size):
    """All of it is here: without CONTENT_LENGTH Django and Flask read nothing."""
    lines = curl(h2c, "/environ", "-X", "POST", "-T", "-",
                 data=b"x" * size).decode().split("\n")
    assert f"CONTENT_LENGTH={size}" in lines


def test_large_and_streamed_replies(h2c):
    assert curl(h2c, "/big") == b"0123456789abcdef" * 100000
    assert curl(h2c, "/stream") == b"".join(b"%05d " % i * 100 for i in range(2000))


def test_head_has_no_body(h2c):
    text = curl(h2c, "/", "-I").decode()
    assert text.startswith("HTTP/2 200") and "content-length: 5" in text
    assert "connection" not in text and "transfer-encoding" not in text


def test_early_hints(h2c):
    text = curl(h2c, "/hints", "-i").decode()
    assert re.match(r"HTTP/2 103 \r\nlink: </a.css>; rel=preload\r\n\r\nHTTP/2 200", text), text


def test_trailers_of_a_reply(h2c):
    text = curl(h2c, "/trailers", "-i").decode()
    head, _, rest = text.partition("\r\n\r\n")
    assert "trailers" in rest and "x-sum: 42\r\nx-other: b\r\nx-third: c" in rest
    assert "x-sum: ab" in curl(h2c, "/late", "-i").decode().partition("\r\n\r\n")[2]
    # those of the request before are not this one's
    assert "x-sum" not in curl(h2c, "/", "-i").decode()


def test_trailers_of_a_reply_with_a_length(h2c):
    """As Flask and Django make them; curl does not look behind the length."""
    text = nghttp(h2c, "/sized-trailers")
    assert text.count("content-length: 130000") == 1 and "transfer-encoding" not in text
    assert text.count("x-sum: 42") == 1 and text.index("x-sum") > text.rindex("DATA frame")
    assert curl(h2c, "/sized-trailers") == b"with trailers" * 10000
    assert curl(h2c, "/sized-trailers", "-I").decode().count("content-length: 130000") == 1
    c = connect(h2c)
    with pytest.raises(ConnectionResetError):
        c.body(c.request("/short-trailers"))
    stream = c.request("/long-trailers")
    assert c.until(DATA, stream)[3] == b"only"
    assert c.until(HEADERS, stream)[1] & END_STREAM
    assert c.body(c.request("/")) == b"hello"
    c.close()


TRAILING = """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return
    length = [(b"content-length", b"4")] if scope["path"] == "/sized" else []
    assert "http.response.trailers" in scope["extensions"]
    await send({"type": "http.response.start", "status": 200, "trailers": True,
                "headers": length})
    await send({"type": "http.response.body", "body": b"body"})
    await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"4")]})
"""


def test_trailers_of_asgi(server):
    s = server(*CLEAR, "-k", "asgi", "shop:app", files={"shop.py": TRAILING})
    for path in ("/", "/sized"):
        text = nghttp(s, path)
        assert text.count("x-sum: 4") == 1 and text.index("x-sum") > text.rindex("DATA frame")


def test_trailers_are_checked_like_fields(h2c):
    assert curl(h2c, "/bad-trailers") == b"ValueError ValueError TypeError TypeError"


def test_trailers_of_a_request(server):
    s = server(*CLEAR, "shop:app", files={"shop.py": APP}, config="""
def post_request(worker, req, environ, resp):
    with open("trailers", "w") as f:
        f.write(repr(req.trailers))
""")
    c = connect(s)
    stream = c.request("/echo", "POST", end=False)
    c.send(frame(DATA, 0, stream, b"abc"))
    c.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, block([("x-sum", "6"), ("x-b", "c")])))
    assert c.body(stream) == b"abc"
    found = s.folder / "trailers"
    until(lambda: found.exists() and found.read_text() == "[('X-SUM', '6'), ('X-B', 'c')]",
          lambda: found.exists() and found.read_text())
    c.send(b"")
    stream = c.request("/echo", "POST", end=False)
    c.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, block([(":path", "/")])))
    with pytest.raises(ConnectionResetError):
        c.body(stream)
    c.close()


@pytest.mark.parametrize("how", ["field", "frame"])
def test_priorities_order_what_waits(h2c, how):
    """RFC 9218: the urgent reply goes first, however late it was asked for."""
    c = connect(h2c, settings=[(4, 1 << 23)])
    urgency = "u=1" if how == "field" else "u=7"  # the frame changes it
    first = c.request("/big", more=[("priority", "u=6")])
    c.until(DATA, first)  # the connection's window is used up by the lazy one
    second = c.request("/big", more=[("priority", urgency)])
    if how == "frame":
        c.send(frame(PRIORITY_UPDATE, 0, 0, struct.pack(">I", second) + b"u=1"))
    got = 0
    while got < 65535 - 16384:  # what the window still has
        f = c.until(DATA)
        assert f[2] == first
        got += len(f[3])
    c.until(HEADERS, second)
    worker, = h2c.workers()
    until(lambda: processes.all_sleep(worker), "both have been written")
    c.send(frame(WINDOW, 0, 0, struct.pack(">I", 1 << 24)))
    order = []
    ended = None
    while ended is None:
        f = c.until(DATA)
        order.append(f[2])
        ended = f[2] if f[1] & END_STREAM else None
    # what its writer has not filled in yet may leave room for the lazy one,
    # which began before it and would end before it, were they alike
    assert order[0] == second and ended == second, "".join(map(str, order))
    c.close()


def test_log_names_the_protocol(h2c):
    curl(h2c, "/logged")
    log = h2c.folder / "access.log"
    until(lambda: '"GET /logged HTTP/2.0" 200 5' in log.read_text(), "the line of the request")


def test_a_file_without_python_is_logged_as_http2(h2c):
    assert curl(h2c, "/files/a.txt") == b"hello"
    log = h2c.folder / "access.log"
    until(lambda: '"GET /files/a.txt HTTP/2.0" 200 5' in log.read_text(),
          "the line of the file")


def test_streams_do_not_wait_for_each_other(h2c):
    c = connect(h2c)
    streams = [c.request("/") for _ in range(50)]
    left = set(streams)
    while left:
        f = c.until(DATA, flags=END_STREAM)
        left.discard(f[2])
    c.close()


def test_frames_in_single_bytes(h2c):
    c = connect(h2c)
    for b in frame(HEADERS, END_HEADERS, 1, block([
            (":method", "POST"), (":scheme", "http"), (":path", "/echo"), (":authority", "a"),
            ("te", "trailers")])) + frame(DATA, 0, 1, b"abc") + frame(DATA, END_STREAM, 1, b"def"):
        c.send(bytes([b]))
    assert c.body(1) == b"abcdef"
    c.close()


def test_many_clients_by_h2load(h2c):
    if not shutil.which("h2load"):
        pytest.skip("no h2load")
    r = subprocess.run(["h2load", "-n", "2000", "-c", "8", "-m", "16",
                        "http://127.0.0.1:%d/" % h2c.address[1]], capture_output=True, text=True,
                       timeout=60)
    assert "2000 succeeded, 0 failed" in r.stdout


def test_body_that_is_not_read(h2c):
    c = connect(h2c)
    s = c.request("/ignores", "POST", [("content-length", "10")], end=False)
    c.send(frame(DATA, 0, s, b"12345"))
    c.send(frame(DATA, END_STREAM, s, b"12345"))
    assert c.body(s) == b"ignored"
    assert c.body(c.request("/")) == b"hello"
    c.close()


def test_reply_that_is_too_short_is_a_reset(h2c):
    c = connect(h2c)
    s = c.request("/short")
    with pytest.raises(ConnectionResetError):
        c.body(s)
    assert c.body(c.request("/")) == b"hello"
    c.close()


@pytest.mark.parametrize("fields", [
    [(":method", "GET"), (":scheme", "http"), (":path", "/a b"), (":authority", "x")],
    [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "x"), ("host", "y")],
    [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "x"), ("connection", "close")],
    [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "x"), ("x-a", "b\r\nc: d")],
    [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "x"), ("X-Upper", "b")],
    [(":method", "GET"), (":scheme", "http"), (":authority", "x")],
], ids=["space", "two hosts", "connection", "line end", "upper case", "no path"])
def test_malformed_head_resets_its_stream_only(h2c, fields):
    c = connect(h2c)
    c.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, block(fields)))
    f = c.until(RST, 1)
    assert int.from_bytes(f[3], "big") == PROTOCOL_ERROR
    c.next_id = 3
    assert c.body(c.request("/")) == b"hello"
    c.close()


@pytest.mark.parametrize("closed_by", ["its end", "its reset"])
def test_a_head_of_a_stream_that_the_client_has_closed_ends_it(h2c, closed_by):
    """RFC 9113, 5.1."""
    c = connect(h2c)
    end = END_STREAM if closed_by == "its end" else 0
    c.send(frame(HEADERS, END_HEADERS | end, 1, head("/", "GET" if end else "POST")))
    if end:
        assert c.body(1) == b"hello"
    else:
        c.send(frame(RST, 0, 1, struct.pack(">I", CANCEL)))
    c.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, head()))
    assert c.ending() == CLOSED
    c.close()


def test_data_of_a_stream_that_the_client_has_closed_ends_it(h2c):
    c = connect(h2c)
    assert c.body(c.request("/")) == b"hello"
    c.send(frame(DATA, 0, 1, b"x"))
    assert c.ending() == CLOSED
    c.close()


def test_a_priority_of_no_stream_ends_it(h2c):
    c = connect(h2c)
    c.send(frame(PRIORITY, 0, 0, struct.pack(">IB", 3, 15)))
    assert c.ending() == PROTOCOL_ERROR
    c.close()


def test_a_list_that_is_too_large_resets_its_stream_only(server):
    s = server(*CLEAR, "--http2-max-header-list-size", "2000", "shop:app",
               files={"shop.py": APP})
    c = connect(s)
    stream = c.request("/", more=[("x-a", "a" * 3000)])
    assert int.from_bytes(c.until(RST, stream)[3], "big") == PROTOCOL_ERROR
    assert c.body(c.request("/", more=[("x-a", "a" * 1000)])) == b"hello"
    c.close()


def test_limits_of_heads_are_those_of_http1(h2c):
    text = curl(h2c, "/", "-H", "X-Long: " + "a" * 9000, "-w", "%{http_code}", "-o", "/dev/null")
    http1 = curl(h2c, "/", "--http1.1", "-H", "X-Long: " + "a" * 9000, "-w", "%{http_code}", "-o", "/dev/null")
    assert text == http1 and text[:1] == b"4"


def test_http1_is_served_beside_it(h2c):
    assert curl(h2c, "/", "--http1.1") == b"hello"


def test_peer_that_gives_up_is_no_error(h2c):
    c = connect(h2c)
    s = c.request("/slow")
    c.send(frame(RST, 0, s, struct.pack(">I", CANCEL)))
    assert c.body(c.request("/")) == b"hello"
    c.close()


def test_body_limit(server):
    s = server(*CLEAR, "shop:app", "--max-request-body", "1000", files={"shop.py": APP})
    assert curl(s, "/echo", "--data-binary", "@-", "-o", "/dev/null", "-w", "%{http_code}",
                data=b"x" * 5000) == b"413"


def test_slow_body_times_out(server):
    s = server(*CLEAR, "shop:app", "--body-timeout", "1", files={"shop.py": APP})
    c = connect(s)
    stream = c.request("/echo", "POST", end=False)
    c.send(frame(DATA, 0, stream, b"a bit"))
    f = c.until(HEADERS, stream)
    assert b"408" in f[3]
    c.close()


def test_request_timeout_is_a_504_of_its_stream(server):
    s = server(*CLEAR, "shop:app", "--request-timeout", "1", "--access-logfile", "access.log",
               announced=["Request timed out"], files={"shop.py": APP + """
quick = app
def app(environ, start_response):
    if environ["PATH_INFO"] == "/sleepy":
        for _ in range(3000):
            time.sleep(0.01)
    return quick(environ, start_response)
"""})
    text = curl(s, "/sleepy", "-i").decode()
    assert text.startswith("HTTP/2 504"), text
    assert curl(s, "/") == b"hello"
    log = s.folder / "access.log"
    until(lambda: '"GET /sleepy HTTP/2.0" 504' in log.read_text(), "its line")


def test_request_ids_and_atoms(server):
    s = server(*CLEAR, "shop:app", "--request-id", "X-Request-ID", "--request-id-response",
               "--access-logfile", "access.log", "--access-logformat",
               "%(r)s|%(m)s|%(U)s|%(q)s|%(H)s|%(s)s|%(b)s|%({x-thing}i)s|%({content-length}o)s",
               files={"shop.py": APP})
    text = curl(s, "/a?b=c", "-i", "-H", "X-Request-ID: abc-1", "-H", "X-Thing: here").decode()
    assert "x-request-id: abc-1" in text
    log = s.folder / "access.log"
    until(lambda: "GET /a?b=c HTTP/2.0|GET|/a|b=c|HTTP/2.0|200|5|here|5\n" in log.read_text(),
          lambda: log.read_text())


def test_on_a_unix_socket_everybody_is_trusted(server):
    s = server(*CLEAR, "shop:app", "--forwarded-allow-ips", "192.0.2.1", bind="unix",
               files={"shop.py": APP})
    r = subprocess.run(["curl", "-sS", "-m", "20", "--http2-prior-knowledge", "--unix-socket",
                        s.address, "-w", " %{http_version}", "http://localhost/"],
                       capture_output=True)
    assert r.stdout == b"hello 2", r.stderr


def test_answers_of_a_turn_leave_in_one_record(server):
    """Sixteen requests that come together: their replies go with one send, so in
    one record of TLS, unless the machine is busy."""
    _, pem, key = certificates.shared()
    s = server("--certfile", pem, "--keyfile", key, "--http-protocols", "h2,h1", "shop:app",
               files={"shop.py": APP})
    context = ssl.create_default_context(cafile=certificates.shared()[0].certificate)
    context.set_alpn_protocols(["h2"])
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    o = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    sock = socket.create_connection(s.address, 30)

    def turn(call):
        while True:
            try:
                return call()
            except ssl.SSLWantReadError:
                sock.sendall(outgoing.read())
                incoming.write(sock.recv(65536))
    turn(o.do_handshake)
    stream, counts = 1, []
    o.write(PREFACE + frame(SETTINGS) + frame(SETTINGS, ACK))
    for _ in range(20):
        o.write(b"".join(frame(HEADERS, END_HEADERS | END_STREAM, stream + 2 * i, head())
                         for i in range(16)))
        sock.sendall(outgoing.read())
        stream += 32
        records, ends, raw, plain = 0, 0, b"", b""
        while ends < 16:
            data = sock.recv(65536)
            raw += data
            incoming.write(data)
            while len(raw) >= 5 and len(raw) >= 5 + int.from_bytes(raw[3:5], "big"):
                raw = raw[5 + int.from_bytes(raw[3:5], "big"):]
                records += 1
            try:
                while True:
                    plain += o.read(65536)
            except ssl.SSLWantReadError:
                pass
            while len(plain) >= 9 and len(plain) >= 9 + int.from_bytes(plain[:3], "big"):
                kind, flags = plain[3], plain[4]
                plain = plain[9 + int.from_bytes(plain[:3], "big"):]
                ends += kind == DATA and flags & END_STREAM
        counts.append(records)
    sock.close()
    assert min(counts) == 1, counts


def test_what_waits_in_streams_counts_in_the_memory_for_replies(server):
    """400 streams that take nothing: 64 KiB each without a bound."""
    s = server(*CLEAR, "shop:app", "--response-memory", "1000000", "--write-timeout", "60",
               files={"shop.py": APP})
    def resident():
        return processes.resident_kib(s.workers()[0])
    warm = connect(s, settings=[(4, 0)])
    warm.until(HEADERS, warm.request("/stream-less"))
    before = resident()
    clients = [connect(s, settings=[(4, 0)]) for _ in range(4)]
    for c in clients:
        for _ in range(100):
            c.request("/medium")
        for _ in range(100):
            c.until(HEADERS)
    grown = resident() - before
    if not processes.is_sanitized(s.workers()[0]):
        assert grown < 10 * 1024, f"{grown} KiB"
    for c in clients:
        c.close()
    assert curl(s, "/") == b"hello"


def test_idle_connection_is_told_to_go(server):
    s = server(*CLEAR, "shop:app", "--keep-alive", "1", files={"shop.py": APP})
    c = connect(s)
    assert c.body(c.request("/")) == b"hello"
    assert c.ending() == 0


def test_window_of_zero_is_cut(server):
    s = server(*CLEAR, "shop:app", "--write-timeout", "1", files={"shop.py": APP})
    c = connect(s, settings=[(4, 0)])
    stream = c.request("/")
    f = c.until(RST, stream)
    assert int.from_bytes(f[3], "big") == CANCEL
    c.close()


def test_stop_answers_what_is_under_way(server):
    s = server(*CLEAR, "shop:app", files={"shop.py": APP})
    c = connect(s)
    assert c.body(c.request("/")) == b"hello"
    stream = c.request("/slow")
    until((s.folder / "slow-began").exists, "the request to begin")
    s.signal("TERM")
    seen = set()
    body = b""
    while True:
        f = c.read()
        if f is None:
            break
        seen.add(f[0])
        if f[0] == DATA and f[2] == stream:
            body += f[3]
    assert body == b"slow" and GOAWAY in seen


def last_served(client):
    """(the last stream's id that a GOAWAY names, its code), of the last one."""
    last = None
    while True:
        f = client.read()
        if f is None:
            return last
        if f[0] == GOAWAY:
            last = struct.unpack(">II", f[3][:8])


@pytest.mark.parametrize("how", ["HUP", "USR2"])
def test_a_reload_and_an_upgrade_lose_nothing(server, how):
    """What is under way is answered, GOAWAY names it as the last, and the next
    connection is the new workers'."""
    s = server(*CLEAR, "-p", "a.pid", "shop:app", config="", files={"shop.py": APP})
    c = connect(s)
    assert c.body(c.request("/")) == b"hello"
    stream = c.request("/slow")
    until((s.folder / "slow-began").exists, "the request to begin")
    old = set(s.workers())
    s.signal(how)
    if how == "USR2":
        new = until(lambda: (s.folder / "a.pid.2").exists() and
                    (s.folder / "a.pid.2").read_text().strip(), "the new master")
        s.wait_log("Booting worker", 2)
        s.signal("TERM")
    assert c.body(stream) == b"slow"
    last, code = last_served(c)
    assert code == 0 and last >= stream
    if how == "USR2":
        s.process.wait(40)
        s.pid, s.status, s.daemon = int(new), None, True
    c = connect(s)
    assert c.body(c.request("/")) == b"hello"
    c.close()
    until(lambda: s.workers() and not old & set(s.workers()), "the new workers")


def test_connection_ends_after_its_last_request(server):
    s = server(*CLEAR, "shop:app", "--max-keepalive-requests", "3", files={"shop.py": APP})
    c = connect(s)
    for _ in range(3):
        assert c.body(c.request("/")) == b"hello"
    assert c.ending() == 0


def test_recycled_worker_says_goodbye(server):
    s = server(*CLEAR, "shop:app", "--max-requests", "2", files={"shop.py": APP})
    c = connect(s)
    for _ in range(2):
        assert c.body(c.request("/")) == b"hello"
    assert c.ending() == 0
    c = connect(s)
    assert c.body(c.request("/")) == b"hello"
    c.close()


# ---- who may speak it ----

def test_prior_knowledge_refuses_http1(server):
    s = server("--http-protocols", "h2,h1", "--http2-cleartext", "prior-knowledge", "shop:app",
               files={"shop.py": APP})
    assert curl(s, "/") == b"hello"
    text = curl(s, "/", "--http1.1", "-i").decode()
    assert text.startswith("HTTP/1.1 400") and "Expected HTTP/2 connection preface, got b&#x27;GET /" in text


def test_untrusted_peer_gets_http1(server):
    s = server(*CLEAR, "shop:app", "--forwarded-allow-ips", "192.0.2.1", files={"shop.py": APP})
    assert curl(s, "/", "--http1.1") == b"hello"
    r = subprocess.run(["curl", "-sS", "-m", "10", "--http2-prior-knowledge",
                        "http://127.0.0.1:%d/" % s.address[1]], capture_output=True)
    assert r.returncode != 0


def test_alpn_chooses(module_server, tmp_path_factory):
    authority = certificates.Authority(tmp_path_factory.mktemp("h2pki"))
    pem, key = authority.issue("server")
    s = module_server("--certfile", pem, "--keyfile", key, "--http-protocols", "h2,h1", "shop:app",
                      files={"shop.py": APP})
    def version(*options):
        r = subprocess.run(["curl", "-sS", "-m", "20", "--cacert", authority.certificate, *options,
                            "-w", " %{http_version}", "https://localhost:%d/big" % s.address[1]],
                           capture_output=True)
        assert r.returncode == 0, r.stderr
        body, _, v = r.stdout.rpartition(b" ")
        assert body == b"0123456789abcdef" * 100000
        return v
    assert version("--http2") == b"2"
    assert version("--http1.1") == b"1.1"
    assert version("--no-alpn") == b"1.1"


def test_without_a_way_to_speak_it_warns(run):
    r = run("--http-protocols", "h2,h1", "--check-config", "shop:app", files={"shop.py": APP})
    assert r.status == 0
    assert "there is no TLS and http2_cleartext is off, so HTTP/2 will never be negotiated" in r.err


# ---- the upgrade of HTTP/1.1 ----

def upgrade(server, path="/", settings="AAMAAABkAAQAAP__", method="GET", more="", body=b""):
    """(head of HTTP/1.1, the client of what follows)"""
    sock = socket.create_connection(server.address, 20)
    sock.sendall(("%s %s HTTP/1.1\r\nHost: test\r\nConnection: Upgrade, HTTP2-Settings\r\n"
                  "Upgrade: h2c\r\nHTTP2-Settings: %s\r\n%s\r\n"
                  % (method, path, settings, more)).encode() + body)
    got = b""
    while b"\r\n\r\n" not in got:
        more = sock.recv(1)
        assert more, got
        got += more
    return got.decode(), sock


@pytest.fixture(scope="module", params=["upgrade", "both"])
def upgrading(request, module_server):
    return module_server("--http-protocols", "h2,h1", "--http2-cleartext", request.param, "shop:app",
                         "--access-logfile", "access.log", files={"shop.py": APP})


def test_a_request_is_upgraded_and_is_the_first_stream(upgrading):
    head, sock = upgrade(upgrading, "/environ")
    assert head == "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    assert not select.select([sock], [], [], 0)[0]  # nothing more until the client's frames come
    c = Client(sock)
    lines = c.body(1).decode().split("\n")
    assert "SERVER_PROTOCOL=HTTP/2.0" in lines and "HTTP_HOST=test" in lines
    assert not any(line.startswith(("HTTP_UPGRADE", "HTTP_CONNECTION", "HTTP_HTTP2")) for line in lines)
    c.next_id = 3
    assert c.body(c.request("/")) == b"hello"
    c.close()
    until(lambda: '"GET /environ HTTP/2.0" 200' in (upgrading.folder / "access.log").read_text(),
          "the line of the request")


def test_curl_upgrades(upgrading):
    r = subprocess.run(["curl", "-sS", "-m", "20", "--http2", "-w", " %{http_version}",
                        "http://127.0.0.1:%d/big" % upgrading.address[1],
                        "http://127.0.0.1:%d/" % upgrading.address[1]], capture_output=True)
    assert r.stdout == b"0123456789abcdef" * 100000 + b" 2hello 2", r.stderr


def test_a_head_request_is_upgraded(upgrading):
    head, sock = upgrade(upgrading, method="HEAD")
    assert head.startswith("HTTP/1.1 101")
    c = Client(sock)
    assert c.body(1) == b""
    c.close()


def test_the_settings_of_an_upgrade_count(upgrading):
    """A window of nothing: the head comes, the body after the credit."""
    head, sock = upgrade(upgrading, settings="AAQAAAAA")
    assert head.startswith("HTTP/1.1 101")
    c = Client(sock)
    assert c.until(HEADERS, 1)[1] & END_STREAM == 0
    c.send(frame(WINDOW, 0, 1, struct.pack(">I", 100)))
    assert c.until(DATA, 1)[3] == b"hello"
    c.close()


@pytest.mark.parametrize("case", [
    dict(settings="AAMAAABkAAQAAP"), dict(settings="!!!!"), dict(settings="AASAAAAA"),
    dict(settings="AAUAAAAA"), dict(settings="AAIAAAAC"), dict(settings="A" * 1024),
    dict(more="HTTP2-Settings: AAMAAABk\r\n"),
    dict(method="POST", more="Content-Length: 3\r\n", body=b"abc"),
], ids=["half a setting", "no base64", "window too large", "frame too small", "push 2", "too many",
        "settings twice", "a body"])
def test_what_cannot_be_upgraded_is_http1(upgrading, case):
    head, sock = upgrade(upgrading, path="/", **case)
    assert head.startswith("HTTP/1.1 200")
    assert sock.recv(5) == b"hello"
    sock.close()


def test_it_may_come_in_pieces_and_later(upgrading):
    sock = socket.create_connection(upgrading.address, 20)
    sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    got = b""
    while not got.endswith(b"hello"):
        got += sock.recv(4096)
    for b in (b"GET / HTTP/1.1\r\nHost: test\r\nConnection: HTTP2-Settings, Upgrade\r\n"
              b"Upgrade: foo, h2c\r\nHTTP2-Settings: \r\n\r\n"):
        sock.sendall(bytes([b]))
    got = b""
    while b"\r\n\r\n" not in got:
        got += sock.recv(1)
    assert got.startswith(b"HTTP/1.1 101")
    c = Client(sock)
    assert c.body(1) == b"hello"
    c.close()


@pytest.mark.parametrize("options", [
    ("--http2-cleartext", "upgrade", "--forwarded-allow-ips", "192.0.2.1"),
    ("--http2-cleartext", "off"), ("--http2-cleartext", "prior-knowledge")],
    ids=["not trusted", "off", "prior knowledge only"])
def test_who_may_not_upgrade(server, options):
    s = server("--http-protocols", "h2,h1", *options, "shop:app", files={"shop.py": APP})
    head, sock = upgrade(s)
    assert not head.startswith("HTTP/1.1 101")
    sock.close()


def test_upgrade_without_prior_knowledge_refuses_the_preface(server):
    s = server("--http-protocols", "h2,h1", "--http2-cleartext", "upgrade", "shop:app",
               files={"shop.py": APP})
    sock = socket.create_connection(s.address, 20)
    sock.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    assert sock.recv(12) in (b"HTTP/1.1 505", b"HTTP/1.1 400")
    sock.close()


def test_a_plain_listener_redirects_http2_too(server, tmp_path):
    authority = certificates.Authority(tmp_path / "pki")
    pem, key = authority.issue("server")
    secure = free_port()
    s = server(*CLEAR, "-b", "tls:127.0.0.1:%d" % secure, "--certfile", pem, "--keyfile", key,
               "--redirect-https", "shop:app", files={"shop.py": APP})
    text = curl(s, "/there?a=b", "-i").decode()
    assert text.startswith("HTTP/2 308") and "location: https://127.0.0.1:%d/there?a=b" % secure in text
