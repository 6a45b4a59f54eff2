# SPDX-License-Identifier: MIT
"""The uwsgi protocol: packets by hand, and nginx's uwsgi_pass."""
import json
import os
import shutil
import socket
import struct
import subprocess

import pytest

from harness import wire
from harness.server import free_port
from harness.waiting import until

APP = """\
import json

def app(environ, start_response):
    told = {k: v for k, v in environ.items() if isinstance(v, str)}
    body = json.dumps(told).encode()
    if environ["PATH_INFO"] == "/echo":
        body = environ["wsgi.input"].read()
    if environ["PATH_INFO"] == "/parts":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return iter([b"a" * 1000, b"b" * 1000])
    start_response("200 OK", [("Content-Type", "application/json"),
                              ("Content-Length", str(len(body)))])
    return [body]
"""
FILES = {"shop.py": APP}


def packet(variables, modifier=0):
    block = b""
    for name, value in variables:
        for text in (name, value):
            raw = text if isinstance(text, bytes) else text.encode("latin-1")
            block += struct.pack("<H", len(raw)) + raw
    return struct.pack("<BHB", modifier, len(block), 0) + block


def request(path="/", *more, method="GET", **named):
    return packet([("REQUEST_METHOD", method), ("PATH_INFO", path),
                   ("HTTP_HOST", "shop.example"), *more, *named.items()])


def send(server, *parts):
    """The whole reply to these bytes, until the end."""
    family = socket.AF_UNIX if isinstance(server.address, str) else socket.AF_INET
    with socket.socket(family) as s:
        s.settimeout(40)
        s.connect(server.address)
        for part in parts:
            s.sendall(part)
        reply = b""
        while True:
            try:
                chunk = s.recv(65536)
            except ConnectionResetError:
                break
            if not chunk:
                break
            reply += chunk
        return reply


def environ(server, *parts):
    head, _, body = send(server, *parts).partition(b"\r\n\r\n")
    assert b" 200 " in head.splitlines()[0], head
    return json.loads(body)


@pytest.fixture
def shop(server):
    return server("shop:app", "--protocol", "uwsgi", files=FILES)


def test_variables_become_the_environ(shop):
    told = environ(shop, request("/a b/%41\xc3\xa9", ("QUERY_STRING", "x=%201"),
                                 ("HTTP_X_SEEN", "1"), ("HTTP_X_SEEN", "2"),
                                 ("REMOTE_ADDR", "9.9.9.9"), ("CONTENT_LENGTH", "")))
    assert told["REQUEST_METHOD"] == "GET"
    assert told["PATH_INFO"] == "/a b/%41\xc3\xa9"  # decoded once: by the proxy
    assert told["QUERY_STRING"] == "x=%201"
    assert told["HTTP_HOST"] == "shop.example"
    assert told["HTTP_X_SEEN"] == "2"
    assert told["REMOTE_ADDR"] == "127.0.0.1"
    assert told["wsgi.url_scheme"] == "http"


def test_what_is_not_told_has_gunicorns_defaults(shop):
    told = environ(shop, packet([]))
    assert (told["REQUEST_METHOD"], told["PATH_INFO"], told["QUERY_STRING"]) == (
        "GET", "/", "")


@pytest.mark.parametrize("variable, scheme", [
    (("HTTPS", "on"), "https"), (("HTTPS", "1"), "https"), (("HTTPS", "off"), "http"),
    (("wsgi.url_scheme", "https"), "https"),
    (("HTTP_X_FORWARDED_PROTO", "https"), "http"),  # a client's word
])
def test_the_scheme_is_the_proxys_word(shop, variable, scheme):
    assert environ(shop, request("/", variable))["wsgi.url_scheme"] == scheme


def test_a_body_comes_behind_the_packet(shop):
    body = bytes(range(256)) * 3000
    head = request("/echo", ("CONTENT_LENGTH", str(len(body))),
                   ("CONTENT_TYPE", "text/x"), ("HTTPS", "on"), method="POST")
    reply = send(shop, head[:3], head[3:50], head[50:] + body[:100], body[100:])
    assert reply.partition(b"\r\n\r\n")[2] == body


def test_a_reply_without_a_length_ends_with_the_connection(shop):
    head, _, body = send(shop, request("/parts")).partition(b"\r\n\r\n")
    assert body == b"a" * 1000 + b"b" * 1000
    assert b"chunked" not in head.lower()


@pytest.mark.parametrize("bad, status, text", [
    (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 400, "Unsupported uWSGI modifier1: 'G'"),
    (packet([("A", "b")])[:-1].replace(b"\x06\x00\x00", b"\x05\x00\x00"), 400,
     "Invalid uWSGI header"),
    (packet([("HTTP_A", "b")] * 1001), 400, "too many variables"),
    (request("/", ("HTTP_X", "1\r\nX-Evil: 1")), 400, "Invalid HTTP Header"),
    (request("/", ("HTTP_X:Y", "1")), 400, "Invalid HTTP header name"),
    (request("/", ("QUERY_STRING", "a HTTP/1.1\r\nX: y")), 400, "Invalid Request Line"),
    (request("evil"), 400, "Invalid Request Line"),
    (request(method="GET /x"), 400, "Invalid Method"),
    (request("/", ("CONTENT_LENGTH", "-1")), 400, "CONTENT-LENGTH"),
    (request("/", ("CONTENT_LENGTH", "1, 2")), 400, "CONTENT-LENGTH"),
    (request("/", ("HTTP_TRANSFER_ENCODING", "chunked")), 400, "TRANSFER-ENCODING"),
    (request("/", *((f"HTTP_X{i}", "") for i in range(101))), 431, "headers fields"),
    (request("/" + "x" * 5000), 414, "Request Line is too large"),
])
def test_a_bad_packet_is_refused_and_told(shop, bad, status, text):
    assert send(shop, bad).split(b" ")[1] == str(status).encode()
    until(lambda: text in shop.log(), lambda: f"{text!r} in " + shop.tail())
    assert environ(shop, request())["PATH_INFO"] == "/"


def test_an_end_without_a_request_is_silent(shop):
    assert environ(shop, request())
    shop.wait_log("Booting worker")
    before = shop.log()
    assert send_and_shut(shop, b"") == b""
    assert send_and_shut(shop, request()[:9]) == b""
    assert environ(shop, request())
    assert shop.log() == before


def send_and_shut(server, data):
    with socket.create_connection(server.address, 40) as s:
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        return s.recv(1000)


def test_slow_packets_hold_no_worker(shop):
    """`sync`, one worker, and peers that stay in the middle of a packet."""
    slow = []
    for _ in range(5):
        s = socket.create_connection(shop.address, 40)
        s.sendall(request()[:7])
        slow.append(s)
    assert environ(shop, request())["PATH_INFO"] == "/"
    slow[0].sendall(request()[7:])
    assert slow[0].recv(12).endswith(b" 200")
    for s in slow:
        s.close()


def test_a_packet_has_the_time_of_a_head(server):
    s = server("shop:app", "--protocol", "uwsgi", "--header-timeout", "1", files=FILES)
    assert b" 408 " in send(s, request()[:7])[:20]


@pytest.mark.parametrize("allowed, status", [
    ("10.0.0.0/8", 403), ("127.0.0.0/8", 200), ("*", 200), ("::1", 403)])
def test_who_may_speak_it(server, allowed, status):
    s = server("shop:app", "--protocol", "uwsgi", "--uwsgi-allow-from", allowed,
               files=FILES)
    assert send(s, request()).split(b" ")[1] == str(status).encode()
    if status == 403:
        s.wait_log("uWSGI request not allowed: uwsgi_allow_ips")


def test_a_unix_socket_is_always_allowed(server):
    s = server("shop:app", "--protocol", "uwsgi", "--uwsgi-allow-from", "10.0.0.1",
               files=FILES, bind="unix")
    assert environ(s, request())["REQUEST_METHOD"] == "GET"


@pytest.mark.parametrize("config, text", [
    ("protocol = 'scgi'", "Invalid protocol: scgi"),
    ("protocol = 'uwsgi'\nuwsgi_allow_ips = '10.0.0.0/99'", "10.0.0.0/99"),
])
def test_settings_that_cannot_be_are_told(run, config, text):
    done = run("--check-config", "-c", "conf.py", "shop:app",
               files={**FILES, "conf.py": config + "\n"})
    assert done.status == 1 and text in done.err


# ---- nginx ----

NGINX = """\
daemon off; worker_processes 1; {user} pid {folder}/nginx.pid;
error_log {folder}/nginx.log; events {{ worker_connections 100; }}
http {{ access_log off; client_body_temp_path {folder}/body; uwsgi_temp_path {folder}/uwsgi;
proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fcgi; scgi_temp_path {folder}/scgi;
server {{ listen 127.0.0.1:{port}; client_max_body_size 50m;
location / {{ include /etc/nginx/uwsgi_params; uwsgi_pass {to}; }} }} }}
"""


@pytest.mark.parametrize("bind", ["tcp", "unix"])
def test_behind_nginx(server, bind, tmp_path):
    if not shutil.which("nginx") or not os.path.exists("/etc/nginx/uwsgi_params"):
        pytest.skip("needs nginx with its uwsgi_params")

    s = server("shop:app", "--protocol", "uwsgi", files=FILES, bind=bind)
    to = "unix:" + s.address if bind == "unix" else "127.0.0.1:%d" % s.address[1]
    port = free_port()
    (tmp_path / "nginx.conf").write_text(
        NGINX.format(folder=tmp_path, port=port, to=to,
                     user="user root;" if os.geteuid() == 0 else ""))
    nginx = subprocess.Popen(["nginx", "-p", str(tmp_path), "-c",
                              str(tmp_path / "nginx.conf")], stderr=subprocess.DEVNULL)
    try:
        def answers():
            try:
                socket.create_connection(("127.0.0.1", port), 5).close()
                return True
            except OSError:
                return False
        until(answers, "nginx listens")
        with wire.Peer(("127.0.0.1", port)) as peer:
            told = json.loads(peer.get("/a%20b?c=%2B", "X-Seen: yes").reply().body)
            assert told["PATH_INFO"] == "/a b"
            assert told["QUERY_STRING"] == "c=%2B"
            assert told["HTTP_X_SEEN"] == "yes"
            assert peer.get("/parts").reply().body == b"a" * 1000 + b"b" * 1000
            body = os.urandom(3_000_000)
            peer.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
                      % len(body) + body)
            assert peer.reply().body == body
    finally:
        nginx.terminate()
        nginx.wait()


BLOCKING = """\
import os, pathlib, signal

def app(environ, start_response):
    pid = str(os.getpid())
    if environ["PATH_INFO"] == "/block":
        pathlib.Path("in").write_text(pid)
        while not os.path.exists("go"):
            signal.sigtimedwait([], 0.002)
    start_response("200 OK", [])
    return [f"{pid} {environ['wsgi.url_scheme']}".encode()]
"""


def test_the_scheme_goes_with_a_request_that_another_worker_answers(server):
    """Each worker has some of the connections; those of the one that is blocked
    are answered by the other, and what the packet told is known there."""
    s = server("shop:app", "-w", "2", "--protocol", "uwsgi", files={"shop.py": BLOCKING})
    s.wait_log("Booting worker", 2)
    peers = [socket.create_connection(s.address, 40) for _ in range(8)]
    with socket.create_connection(s.address, 40) as held:
        held.sendall(request("/block"))
        until(lambda: (s.folder / "in").exists()
              and (s.folder / "in").read_text(), "it is in the application")
        for peer in peers:
            peer.sendall(request("/", HTTPS="on"))
        for peer in peers:
            with peer:
                reply = peer.makefile("rb").read()
                pid, scheme = reply.split(b"\r\n\r\n", 1)[1].decode().split()
                assert pid != (s.folder / "in").read_text()
                assert scheme == "https"
        (s.folder / "go").touch()
        assert held.makefile("rb").read()
