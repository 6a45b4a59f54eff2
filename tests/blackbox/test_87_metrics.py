# SPDX-License-Identifier: MIT
"""The master's own HTTP server: metrics, status and health (metrics_bind)."""
import json
import os
import re
import signal
import socket
import ssl

import pytest

from harness import certificates, classes, control, wire
from harness.blocked import APP, Blocked
from harness.server import free_port
from harness.waiting import until

FILES = {"app.py": APP}


@pytest.fixture
def watched(server):
    """A server and the address of its metrics."""
    def make(*args, **options):
        for _ in range(5):
            port = free_port()
            s = server("--metrics-bind", f"127.0.0.1:{port}", *args, "app:app",
                       files=FILES, start=False, **options)
            until(lambda: s._is_listening() or s.process.poll() is not None,
                  "it listens")
            s.metrics = ("127.0.0.1", port)
            until(lambda: page(s, "/readyz").status == 200, "it is ready")
            return s
    return make


def page(s, path, *fields, method="GET"):
    return wire.fetch(s.metrics, path, *fields, method=method)


def values(text):
    """Sample -> value, of either format."""
    return {m[1]: float(m[2]) for m in
            re.finditer(r"^([a-z_]+(?:\{[^}]*\})?) (\S+)$", text, re.M)}


def test_metrics_count_what_was_served(watched):
    s = watched("-w", "2")
    for _ in range(3):
        assert s.get("/").status == 200
    until(lambda: values(page(s, "/metrics").body.decode())
          ['cgunicorn_requests_total{class="2xx"}'] == 3, "3 are counted")
    reply = page(s, "/metrics")
    assert reply.one("Content-Type").startswith("text/plain; version=0.0.4")
    told = values(reply.body.decode())
    assert told["cgunicorn_ready"] == 1
    assert told["cgunicorn_wanted_workers"] == 2
    assert told['cgunicorn_workers{state="ready"}'] == 2
    assert told['cgunicorn_application_seconds_count{class="2xx"}'] == 3
    assert told['cgunicorn_application_seconds_bucket{class="2xx",le="+Inf"}'] == 3
    assert told['cgunicorn_application_seconds_sum{class="2xx"}'] > 0
    assert told['cgunicorn_resident_memory_bytes{process="workers"}'] > 1 << 20
    assert not any("pid=" in name for name in told)


def test_handshakes_are_counted(watched):
    _, pem, key = certificates.shared()
    s = watched("--certfile", pem, "--keyfile", key)
    for _ in range(2):
        context = ssl.create_default_context(cafile=certificates.shared()[0].certificate)
        with socket.create_connection(s.address, 30) as plain, \
                context.wrap_socket(plain, server_hostname="localhost") as c:
            c.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert c.recv(7) == b"HTTP/1."
    with socket.create_connection(s.address, 30) as plain:
        plain.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b" 400 " in plain.recv(100)
    told = {}

    def counted():
        told.update(values(page(s, "/metrics").body.decode()))
        return (told['cgunicorn_tls_handshakes_total{result="good"}'],
                told['cgunicorn_tls_handshakes_total{result="failed"}']) == (2, 1)
    until(counted, lambda: told)


def test_workers_are_told_when_asked_for(watched):
    s = watched("-w", "2")
    told = values(page(s, "/metrics?workers=1").body.decode())
    for pid in s.workers():
        assert told[f'cgunicorn_worker_requests_total{{pid="{pid}"}}'] == 0


def test_a_request_in_flight_is_a_busy_executor(watched):
    s = watched()
    with s.connect() as peer:
        request = Blocked(s, peer, "one")
        told = values(page(s, "/metrics").body.decode())
        assert told["cgunicorn_busy_executors"] == 1
        assert told["cgunicorn_executors"] >= 1
        assert told["cgunicorn_connections"] >= 1
        request.go()
        peer.reply()


def test_status_is_that_of_the_command(watched):
    s = watched()
    reply = page(s, "/status")
    assert reply.one("Content-Type") == "application/json"
    told = json.loads(reply.body)
    assert told["pid"] == s.pid
    assert set(told) == set(control.status(s))


def test_readyz_follows_drain_and_livez_does_not(watched):
    s = watched()
    control.ask(s, "drain")
    assert page(s, "/readyz").status == 503
    assert page(s, "/livez").status == 200
    assert values(page(s, "/metrics").body.decode())["cgunicorn_ready"] == 0
    control.ask(s, "resume")
    assert page(s, "/readyz").status == 200


@classes.needs_sleep_that_blocks
def test_readyz_is_503_while_nobody_answers(watched):
    s = watched("-t", "2", announced=["WORKER TIMEOUT", "is running"])
    with s.connect() as peer:
        Blocked(s, peer, "one", "/burn")
        until(lambda: page(s, "/readyz").status == 503, "it is not ready")
        assert page(s, "/livez").status == 200
    until(lambda: page(s, "/readyz").status == 200, "another one serves")


def test_wrong_requests_are_refused(watched):
    s = watched()
    assert page(s, "/nosuch").status == 404
    assert page(s, "/metrics/").status == 404
    post = wire.fetch(s.metrics, "/metrics", method="POST", body=b"x")
    assert post.status in (405, 413)
    with wire.Peer(s.metrics) as peer:
        peer.send(b"GET /metrics HTTP/1.1\r\n\r\n")  # without Host
        assert peer.reply().status == 400
    with wire.Peer(s.metrics) as peer:
        peer.send(b"nonsense\r\n\r\n")
        assert peer.reply().status == 400
    with wire.Peer(s.metrics) as peer:
        peer.send_leniently(b"GET / HTTP/1.1\r\nX: " + b"x" * 40000)
        peer.send_leniently(b"\r\n\r\n")
    head = page(s, "/readyz", method="HEAD")
    assert (head.status, head.body) == (200, b"")
    idle = [wire.Peer(s.metrics) for _ in range(10)]
    assert page(s, "/readyz").status == 200
    for peer in idle:
        peer.close()
    assert s.get("/").status == 200


def test_a_bad_address_fails_the_start(run):
    done = run("--metrics-bind", "127.0.0.1:x", "app:app", files=FILES)
    assert done.status == 1
    done.line_with("metrics_bind", "'x' is not a valid port number")


def test_metrics_on_a_unix_socket(server):
    s = server("--metrics-bind", "unix:m.sock", "app:app", files=FILES)
    s.metrics = str(s.folder / "m.sock")
    until(lambda: page(s, "/readyz").status == 200, "it is ready")
    s.stop()
    assert not (s.folder / "m.sock").exists()


def test_a_reload_moves_the_address(server):
    a, b = free_port(), free_port()
    s = server("app:app", files=FILES,
               config=f"metrics_bind = '127.0.0.1:{a}'\n")
    s.metrics = ("127.0.0.1", a)
    until(lambda: page(s, "/readyz").status == 200, "it is ready")
    (s.folder / "conf.py").write_text(f"metrics_bind = '127.0.0.1:{b}'\n")
    control.ask(s, "reload", "--wait")
    s.wait_log(f"Metrics and health at: http://127.0.0.1:{b}")
    s.metrics = ("127.0.0.1", b)
    assert page(s, "/livez").status == 200


def test_deaths_and_reloads_are_counted(server):
    s = server("app:app", files={"app.py": APP}, start=True,
               config=f"metrics_bind = '127.0.0.1:{free_port()}'\n")
    s.metrics = ("127.0.0.1", int(re.search(r"metrics_bind = '127.0.0.1:(\d+)",
                                  (s.folder / "conf.py").read_text())[1]))
    until(lambda: page(s, "/readyz").status == 200, "it is ready")
    os.kill(s.workers()[0], signal.SIGKILL)

    def told():
        return values(page(s, "/metrics").body.decode())
    until(lambda: told()['cgunicorn_worker_deaths_total{cause="killed"}'] == 1,
          "the death is counted")
    control.ask(s, "reload", "--wait")
    assert told()['cgunicorn_reloads_total{result="good"}'] == 1
    assert told()["cgunicorn_generation"] == 2
