# SPDX-License-Identifier: MIT
"""Clients that are slow, silent or gone do not cost the others anything."""
import contextlib
import shutil
import socket
import subprocess
import threading
import time

import pytest

from harness import processes, wire
from harness.waiting import DEADLINE, until

ONE = b"GET /one HTTP/1.1\r\nHost: a\r\n\r\n"
HALF_HEAD = b"GET /one HTTP/1.1\r\nHost: a\r\nX-Half: "
HALF_BODY = b"POST /digest HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nx"
APPS = ["probe.py"]


@contextlib.contextmanager
def peers(server, count, data):
    made = [server.connect().send(data) for _ in range(count)]
    try:
        yield made
    finally:
        for peer in made:
            peer.close()


@pytest.mark.parametrize("data", [b"", b"G", HALF_HEAD, HALF_BODY],
                         ids=["silent", "one byte", "half head", "half body"])
def test_a_sync_worker_answers_others_while_clients_are_slow(server, data):
    s = server("probe:app", apps=APPS)
    with peers(s, 100, data):
        for _ in range(10):
            assert s.get("/one").body == b"one item"


def test_slow_clients_are_answered_when_they_are_done(server):
    s = server("probe:app", apps=APPS)
    with peers(s, 30, HALF_HEAD) as slow:
        assert s.get("/one").body == b"one item"
        for peer in slow:
            assert peer.send("1\r\n\r\n").reply().body == b"one item"


def test_a_client_that_does_not_read_does_not_hold_the_worker(server):
    s = server("big:app", files={"big.py": """\
BODY = b"x" * (20 << 20)

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [BODY if environ["PATH_INFO"] == "/big" else b"small"]
"""})
    with s.connect() as lazy:
        lazy.get("/big")
        assert lazy.head().status == 200
        for _ in range(3):
            assert s.get("/").body == b"small"


def test_lm01_sl02_a_half_head_is_answered_with_408_at_the_header_timeout(server):
    s = server("probe:app", config="header_timeout = 1\n", apps=APPS)
    with s.connect() as peer:
        r = peer.send(HALF_HEAD).reply()
        assert (r.status, r.reason) == (408, "Request Timeout")
        assert r.says_close()
        peer.assert_closed()


def test_sl02_the_header_timeout_is_not_put_off_by_single_bytes(server):
    s = server("probe:app", config="header_timeout = 1\n", apps=APPS)
    with s.connect() as peer:
        peer.send(HALF_HEAD)
        peer.sock.settimeout(0.05)
        while not peer.ended and not peer.buffer:
            peer.send_leniently(b"x")
            with contextlib.suppress(AssertionError):
                peer._more()
        peer.sock.settimeout(10)
        assert peer.reply().status == 408


def test_lm02_sl01_a_silent_connection_is_closed_without_a_word(server):
    s = server("probe:app", config="header_timeout = 1\n", apps=APPS)
    with s.connect() as peer:
        peer.assert_closed()


def test_lm03_sl04_a_body_that_stalls_is_given_up_at_the_body_timeout(server):
    s = server("probe:app", config="body_timeout = 1\n", apps=APPS)
    with s.connect() as peer:
        data = peer.send(HALF_BODY).rest()
    assert data == b"" or data.startswith(b"HTTP/1.1 408 "), data
    assert s.get("/one").body == b"one item"


def test_lm04_sl06_a_reader_that_stalls_is_given_up_at_the_write_timeout(server):
    s = server("probe:app", config="write_timeout = 1\n", apps=APPS)
    with s.connect() as peer:
        peer.get("/slow_reader")
        assert peer.head().status == 200
        # the application is told by close(), once
        until(lambda: b'"slow_reader": 1' in s.get("/plain/show_closed").body,
              "the endless reply was given up")
    assert s.get("/one").body == b"one item"


def test_silent_and_idle_clients_do_not_delay_the_stop(server):
    s = server("probe:app", "--graceful-timeout", "60", apps=APPS)
    with peers(s, 20, b""), peers(s, 20, ONE) as idle:
        for peer in idle:
            assert peer.reply().body == b"one item"
        assert s.stop() == 0


def test_half_heads_delay_the_stop_by_the_graceful_timeout_at_most(server):
    s = server("probe:app", "--graceful-timeout", "1", apps=APPS)
    with peers(s, 20, HALF_HEAD):
        assert s.get("/one").body == b"one item"
        assert s.stop() == 0


def test_a_slow_upload_is_complete_before_the_application_runs(server):
    s = server("probe:app", apps=APPS)
    with s.connect() as slow:
        slow.get("/digest", "Content-Length: 3", method="POST").send(b"a")
        assert s.get("/one").body == b"one item"
        slow.send(b"b")
        assert s.get("/one").body == b"one item"
        slow.send(b"c")
        assert b'"size": 3' in slow.reply().body


def test_many_idle_connections_are_held(server):
    s = server("probe:app", apps=APPS)
    with peers(s, 400, b""):
        assert wire.fetch(s.address, "/one").body == b"one item"


def test_sl07_a_reader_that_makes_progress_is_not_given_up(server):
    """However slow: there is no limit of time for a whole response."""
    s = server("probe:app", "--write-timeout", "1", apps=APPS)
    size, got, end = 30 << 20, 0, time.monotonic() + 1.5
    with s.connect() as peer:
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        peer.get(f"/plain/big?{size}", "Connection: close")
        peer.head()
        while not peer.ended:
            got += len(peer.buffer)
            peer.buffer = b""
            peer._more()
            if time.monotonic() < end:
                threading.Event().wait(0.01)  # a hundred reads a second
    assert got > size


@pytest.mark.parametrize("data", [b"", HALF_HEAD, HALF_BODY],
                         ids=["silent", "half head", "half body"])
def test_sl09_an_end_in_the_middle_is_an_end_and_not_a_loop(server, data):
    s = server("probe:app", apps=APPS)
    worker = s.wait_workers(1)[0]
    with peers(s, 20, data) as made:
        for peer in made:
            peer.end_sending()
        for peer in made:
            assert b" 200 " not in peer.rest()
        assert s.get("/one").body == b"one item"
    until(lambda: processes.sleeps(worker), "the worker sleeps")


def test_sl10_a_reset_while_the_application_runs_is_no_traceback(server):
    s = server("probe:app", apps=APPS)
    for _ in range(5):
        peer = s.connect().get("/slow_reader")
        assert peer.head().status == 200
        peer.reset()
        until(lambda: b'"slow_reader": 1' in s.get("/plain/show_closed").body,
              "close() was called")
    assert s.log_count("Traceback") == 0


def test_sl13_a_request_that_races_the_keepalive_is_served_or_cut(server):
    s = server("probe:app", "--keep-alive", "1", apps=APPS)
    with peers(s, 20, ONE) as made:
        for peer in made:
            assert peer.reply().body == b"one item"
        made[0].assert_closed()
        for peer in made[1:]:
            peer.send_leniently(ONE)
            data = peer.rest()
            assert data == b"" or data.endswith(b"one item\r\n0\r\n\r\n"), data


def test_sl17_stalled_heads_in_all_threads_hold_nobody_up(server):
    s = server("probe:app", "--threads", "4", apps=APPS)
    with peers(s, 8, HALF_HEAD), peers(s, 8, HALF_BODY):
        for _ in range(5):
            assert s.get("/one").body == b"one item"


@pytest.mark.parametrize("kind", [
    ("-H", "-i", "1"), ("-B", "-i", "1", "-s", "8192"),
    ("-X", "-w", "10", "-y", "20", "-n", "1", "-z", "32", "-k", "3"),
    ("-R", "-a", "10", "-b", "3000"),
], ids=["heads", "bodies", "readers", "ranges"])
def test_slowhttptest_keeps_nobody_waiting_and_leaves_nothing(server, kind):
    if not shutil.which("slowhttptest"):
        pytest.skip("there is no slowhttptest (tools/setup clients installs it)")
    s = server("probe:app", apps=APPS)
    worker = s.wait_workers(1)[0]
    assert s.get("/one").body == b"one item"
    before = len(processes.open_descriptors(worker))
    tool = subprocess.Popen(
        ["slowhttptest", *kind, "-c", "100", "-r", "100", "-l", "3", "-p", "3",
         "-u", s.url("/big?100000")], stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: len(processes.open_descriptors(worker)) > before + 50
              or tool.poll() is not None, "the slow ones are there")
        for _ in range(20):
            assert s.get("/one").body == b"one item"
    finally:
        tool.wait(DEADLINE)
    until(lambda: len(processes.open_descriptors(worker)) <= before,
          "descriptors are back")
    assert s.workers() == [worker]
