# SPDX-License-Identifier: MIT
"""Limits of connections, descriptors, memory and log lines (LM rows)."""
import contextlib
import hashlib
import json
import os
import re
import resource
import time

import pytest

from harness import classes, processes, sealed
from harness.waiting import until
from harness.wire import Closed

ONE = b"GET /one HTTP/1.1\r\nHost: a\r\n\r\n"
HALF_HEAD = b"GET /one HTTP/1.1\r\nHost: a\r\nX-Half: "
APPS = ["probe.py"]
FIVE = ("--threads", "2", "--worker-connections", "5",
        "--keep-alive", "60")


@contextlib.contextmanager
def peers(server, count, data=b""):
    made = [server.connect().send(data) for _ in range(count)]
    try:
        yield made
    finally:
        for peer in made:
            peer.close()


def answered(made):
    for peer in made:
        assert peer.reply().body == b"one item"
    return made


def last_of_a_connection(s):
    """The body of a reply whose connection takes nobody's place any more: the server
    has closed it, which it may do only after its client has read the reply."""
    with s.connect() as peer:
        body = peer.get("/one", "Connection: close").reply().body
        peer.assert_closed()
    return body


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", "rb") as f:
        fields = f.read().rsplit(b")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_kib(worker):
    if processes.is_sanitized(worker):
        pytest.skip("a sanitizer's memory says nothing")
    return processes.resident_kib(worker)


# ---- slots ----


def test_lm05_the_oldest_idle_connection_goes_for_a_new_one(server):
    s = server("probe:app", *FIVE, apps=APPS)
    made = []
    for _ in range(5):
        made.append(s.connect().send(ONE))
        answered(made[-1:])
    with s.connect() as new:
        assert new.send(ONE).reply().body == b"one item"
        made[0].assert_closed()
        for peer in made[1:]:
            assert peer.send(ONE).reply().body == b"one item"
    for peer in made:
        peer.close()


def test_lm05_no_more_idle_connections_go_than_there_are_new_ones(server):
    s = server("probe:app", *FIVE, apps=APPS)
    made = []
    for _ in range(5):
        made.append(s.connect().send(ONE))
        answered(made[-1:])
    for _ in range(40):
        made[-1].send(ONE)  # it is busy when the new one comes
        made.append(s.connect().send(ONE))
        answered(made[-2:])
        made.pop(0).assert_closed()
    for peer in made:
        assert peer.send(ONE).reply().body == b"one item"
        peer.close()



KINDS = pytest.mark.parametrize("kind", ["sync", "gthread", "gevent"])
FEW_FILES = """\
header_timeout = 600  # 270 handshakes take a while on a loaded machine
import resource
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
"""


@KINDS
@pytest.mark.parametrize("data", [b"", HALF_HEAD], ids=["silent", "half head"])
def test_lm12_who_has_sent_no_whole_head_takes_nobodys_place(
        run, server, kind, data):
    if kind == "gevent":
        classes.skip_unless_installed(run, kind)
    s = server("probe:app", "-k", kind, *FIVE, apps=APPS)
    # one place for who comes, and one for who is about to be closed
    with peers(s, 3, ONE) as kept, peers(s, 100, data) as slow:
        answered(kept)
        for _ in range(3):
            assert last_of_a_connection(s) == b"one item"
        for peer in kept:
            assert peer.send(ONE).reply().body == b"one item"
        rest = HALF_HEAD[len(data):] + b"1\r\n\r\n"
        for peer in slow:  # nobody was closed for another
            assert peer.send(rest).reply().body == b"one item"
            peer.close()
    assert s.log_count("make room") == 0


def test_lm12_a_kept_connection_that_begins_a_head_gives_its_place(server):
    s = server("probe:app", *FIVE, apps=APPS)
    with peers(s, 5, ONE) as slow:
        answered(slow)
        for peer in slow:
            peer.send(HALF_HEAD)
        assert last_of_a_connection(s) == b"one item"
        with peers(s, 4, ONE) as kept:
            answered(kept)
            for peer in kept:
                assert peer.send(ONE).reply().body == b"one item"
            for peer in slow:
                assert peer.send(b"1\r\n\r\n").reply().body == b"one item"


@KINDS
def test_lm12_without_descriptors_the_oldest_half_head_goes_first(
        run, server, kind):
    """And no connection that is kept, or runs: 192 are open at most."""
    if kind == "gevent":
        classes.skip_unless_installed(run, kind)
    s = server("probe:app", "-k", kind, "--keep-alive", "60", apps=APPS,
               config=FEW_FILES)
    with s.connect() as busy, peers(s, 20, ONE) as kept:
        under_way(busy)
        answered(kept)
        with peers(s, 171, HALF_HEAD) as slow, peers(s, 100, HALF_HEAD):
            for peer in slow[:100]:
                peer.assert_closed()
            for peer in kept:
                assert peer.send(ONE).reply().body == b"one item"
            assert last_of_a_connection(s) == b"one item"
            assert b'"size": 5' in busy.send(b"hello").reply().body
    s.wait_log("no complete head yet, closed to make room for others")


@sealed.in_the_clear("whoever waits for a place has not shaken hands")
def test_lm13_running_requests_are_never_closed_and_others_wait(server):
    s = server("wait:app", *FIVE, files={"wait.py": """\
import os

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/wait":
        open("started", "a").close()
        os.close(os.open("go", os.O_RDONLY))  # a pipe: waits for the test
    return [b"one item"]
"""})
    os.mkfifo(s.folder / "go")
    wait = b"GET /wait HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    with peers(s, 5, wait) as running, peers(s, 3, ONE) as waiting:
        until((s.folder / "started").exists, "a request runs")
        s.signal("CONT")
        writer = os.open(s.folder / "go", os.O_WRONLY)
        os.close(writer)
        stop = [False]

        def feed():
            try:
                os.close(os.open(s.folder / "go", os.O_WRONLY | os.O_NONBLOCK))
            except OSError:  # nobody reads just now
                pass
            return all(p.buffer or has_bytes(p) for p in running)

        until(feed, "all five were answered")
        answered(running)
        answered(waiting)
        assert not stop[0]


def has_bytes(peer):
    peer.sock.setblocking(False)
    try:
        peer.buffer += peer.sock.recv(65536)
    except BlockingIOError:
        return False
    finally:
        peer.sock.settimeout(40)
    return bool(peer.buffer)


@classes.needs_other_than_tornado
@sealed.in_the_clear("who is not accepted yet has not shaken hands")
def test_lm13_a_full_worker_does_not_spin(server):
    """Its applications wait for their clients: nothing is put into files."""
    s = server("probe:app", *FIVE, "--response-file-size", "0", apps=APPS)
    worker = s.wait_workers(1)[0]
    with peers(s, 5, b"GET /slow_reader HTTP/1.1\r\nHost: a\r\n\r\n") as made:
        for peer in made[:2]:  # two run, the others are queued
            assert peer.head().status == 200
        with s.connect() as waiting:
            waiting.send(ONE)
            before, start = cpu_seconds(worker), time.monotonic()
            made[0].sock.settimeout(1)
            with contextlib.suppress(TimeoutError):
                made[4].sock.settimeout(1)
                made[4].sock.recv(1)
            elapsed = time.monotonic() - start
            assert cpu_seconds(worker) - before < 0.5 * elapsed + 0.1
            for peer in made:
                peer.close()
            assert waiting.reply().body == b"one item"


def test_lm11_sync_knows_no_limit_of_connections_but_descriptors(server):
    """192 slots: 256 descriptors without the 64 that are kept back."""
    s = server("probe:app", "--threads", "1", "--worker-connections", "5",
               apps=APPS, config=FEW_FILES)
    with peers(s, 192, ONE) as idle:
        answered(idle)
        assert s.get("/one").body == b"one item"
        idle[0].assert_closed()
        assert idle[191].send(ONE).reply().body == b"one item"


# ---- descriptors ----


def test_lm14_without_descriptors_idle_connections_make_room(server):
    s = server("probe:app", apps=APPS)
    with peers(s, 1, ONE) as first:
        answered(first)
        with processes.spare_descriptors(s.wait_workers(1)[0], 5), \
                peers(s, 5, ONE) as idle:
            answered(idle)
            for _ in range(3):
                assert s.get("/one").body == b"one item"
            first[0].assert_closed()
            assert idle[4].send(ONE).reply().body == b"one item"


def under_way(peer):
    """A request that cannot be spared: its body is awaited."""
    peer.get("/digest", "Content-Length: 5", "Expect: 100-continue",
             method="POST")
    assert peer.interim().status == 100


@sealed.in_the_clear("they are only closed")
def test_lm14_without_descriptors_some_are_turned_away_with_a_503(server):
    s = server("probe:app", apps=APPS)
    worker = s.wait_workers(1)[0]
    with s.connect() as busy:
        under_way(busy)
        with processes.spare_descriptors(worker, 0):
            with s.connect() as first, s.connect() as second:
                first.send(ONE)
                second.send(ONE)
                for peer in (first, second):
                    r = peer.reply()
                    assert r.status == 503 and r.says_close()
                    peer.assert_closed()
            s.wait_log("Cannot accept a connection: Too many open files")
            assert s.workers() == [worker]
            assert b'"size": 5' in busy.send(b"hello").reply().body
    until(lambda: s.get("/one").status == 200, "it serves again")


def test_lm14_lines_about_descriptors_are_one_a_second_at_most(server):
    s = server("probe:app", apps=APPS)
    with s.connect() as busy:
        under_way(busy)
        start = time.monotonic()
        with processes.spare_descriptors(s.wait_workers(1)[0], 0):
            for _ in range(6):
                with s.connect() as peer:
                    with contextlib.suppress(Closed, OSError):
                        assert peer.send(ONE).reply().status in (200, 503)
        seconds = time.monotonic() - start
    assert s.log_count("Cannot accept a connection") <= seconds + 1


# ---- what a connection may ask for ----


def test_max_keepalive_requests_ends_a_connection_politely(server):
    s = server("probe:app", "--max-keepalive-requests", "3", apps=APPS)
    with s.connect() as peer:
        for close in (False, False, True):
            assert peer.get("/one").reply().says_close() is close
        peer.assert_closed()
    assert s.get("/one").body == b"one item"


def leave_memory(worker, kib):
    """The worker's address space may grow by this much."""
    with open(f"/proc/{worker}/statm", encoding="ascii") as f:
        now = int(f.read().split()[0]) * resource.getpagesize()
    resource.prlimit(worker, resource.RLIMIT_AS,
                     (now + kib * 1024, resource.RLIM_INFINITY))


def test_lm15_a_body_without_memory_for_it_is_kept_in_a_file(server):
    s = server("probe:app", "--request-buffer-size", str(256 << 20), apps=APPS)
    worker = s.wait_workers(1)[0]
    memory_kib(worker)
    assert s.get("/one").status == 200
    body = os.urandom(1 << 20) * 48
    leave_memory(worker, 16 << 10)
    with s.connect() as other, s.connect() as peer:
        other.send(HALF_HEAD)
        peer.post("/digest?65536", body)
        assert json.loads(peer.reply().body) == {
            "size": len(body), "sha": hashlib.sha256(body).hexdigest()}
        other.send(b"x\r\n\r\n")
        answered([other])
    assert s.wait_workers(1) == [worker]


def test_lm16_a_thousand_pipelined_requests_cost_no_memory(server):
    s = server("probe:app", apps=APPS)
    worker = s.wait_workers(1)[0]
    with s.connect() as peer:
        answered([peer.send(ONE)])
        before = memory_kib(worker)
        peer.send(ONE * 1000)
        for _ in range(1000):
            answered([peer])
        assert memory_kib(worker) - before < 2048


def test_lm17_an_announced_length_costs_no_memory(server):
    s = server("probe:app", apps=APPS)
    worker = s.wait_workers(1)[0]
    assert s.get("/one").status == 200
    before = memory_kib(worker)
    data = b"POST /digest HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\nx"
    with peers(s, 50, data % (1 << 40)), peers(s, 50, data % 1000000):
        assert s.get("/one").status == 200
        assert memory_kib(worker) - before < 8 * 1024


def test_lm10_lm11_idle_connections_are_small(server):
    """At most a KiB each, 16 over TLS; the growth of 500 is within noise of the
    heap."""
    s = server("probe:app", apps=APPS)
    worker = s.wait_workers(1)[0]
    with peers(s, 20, ONE) as made:
        answered(made)
        before = memory_kib(worker)
        with peers(s, 500, ONE) as more:
            answered(more)
            grown = memory_kib(worker) - before
            assert grown < (500 * 16 if sealed.wanted() else 1024)


def test_lm18_a_body_that_is_not_read_is_bounded_in_memory(server):
    s = server("probe:app", apps=APPS)
    worker = s.wait_workers(1)[0]
    assert s.get("/one").status == 200
    before = memory_kib(worker)
    with s.connect() as lazy:
        lazy.get("/slow_reader")
        assert lazy.head().status == 200
        assert memory_kib(worker) - before < 8 * 1024
    s.get("/plain/show_closed")


# What scanners send to a port to learn who is there; none of it is a request.
PROBES = [
    b"\r\n\r\n", b"HELP\r\n", b"EHLO scan\r\n", b"USER anonymous\r\n",
    b"OPTIONS / RTSP/1.0\r\n\r\n", b"\x00\x00\x00\x54\xffSMB\x72\x00\x00",
    b"OPTIONS sip:nm SIP/2.0\r\nVia: SIP/2.0/TCP nm\r\n\r\n",
    b"\x16\x03\x00\x00\x53\x01\x00\x00\x4f\x03\x00 random",
    b"\x80\x9e\x01\x03\x01\x00\x75\x00\x00\x00\x20\x00\x00\x66",
    b"\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08\x00\x03",
    b"\x00\x1e\x00\x06\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07version",
    b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x02\x04\x00\x80\x00",
    b"l\x00\x0b\x00\x00\x00\x00\x00\x00\x00\x00\x00", b"\xff" * 300,
    b"JRMI\x00\x02K", b"*1\r\n$4\r\nPING\r\n", b"\x1b%-12345X@PJL\r\n",
    b"SSH-2.0-scan\r\n", b"GET /\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", b"CONNECT\r\n\r\n",
    b"GET / HTTP/1.0\r\n" + b"A" * 70000, bytes(range(256)) * 20,
]


@contextlib.contextmanager
def nothing_is_left(s):
    """Descriptors, memory and the use of the processor are as before."""
    worker = s.wait_workers(1)[0]
    assert s.get("/one").status == 200  # what is made on demand is there
    had = processes.descriptor_targets(worker)
    before = processes.resident_kib(worker)
    yield
    assert s.get("/one").status == 200
    until(lambda: len(processes.open_descriptors(worker)) <= len(had),
          lambda: "descriptors are back; before: "
                  f"{had}, now: {processes.descriptor_targets(worker)}")
    until(lambda: processes.is_quiet(worker), "the worker sleeps")
    if not processes.is_sanitized(worker):
        assert processes.resident_kib(worker) - before < 2048
    assert s.workers() == [worker]


def test_lm23_connect_and_reset_leaves_nothing(server):
    s = server("probe:app", apps=APPS)
    garbage = [b"", ONE, HALF_HEAD, PROBES[7] + b"\r\n\r\n"]
    for data in garbage * 50:
        s.connect().send(data).reset()
    with nothing_is_left(s):
        for i in range(1_000 if sealed.wanted() else 10_000):
            s.connect().send(garbage[i % 4]).reset()


def test_lm23_the_garbage_of_scanners_leaves_nothing(server):
    s = server("probe:app", "--header-timeout", "2", apps=APPS)

    def scan():
        for data in PROBES:
            with s.connect() as peer:
                peer.send_leniently(data)
                with contextlib.suppress(OSError):
                    peer.end_sending()
                assert b" 200 " not in peer.rest(), data

    for _ in range(5):
        scan()
    with nothing_is_left(s):
        for _ in range(20):
            scan()


# ---- log lines ----


def test_lm25_lines_about_bad_peers_are_limited_and_counted(server):
    s = server("probe:app", apps=APPS)
    for _ in range(200):
        with s.connect() as peer:
            assert peer.send(b"BAD\r\n\r\n").reply().status == 400
    s.wait_log(r"and \d+ more like this")

    def told():
        lines = s.log_count(r"Invalid request from ip=")
        more = sum(map(int, re.findall(r"and (\d+) more like", s.log())))
        return lines + more == 200 and lines

    assert until(told, "every refusal is told or counted") < 200


def test_lm25_a_line_about_a_bad_peer_is_short_and_escaped(server):
    s = server("probe:app", apps=APPS)
    with s.connect() as peer:
        bad = b"GET /\x1b[31m\xff" + b"%0a\x01" * 1500 + b" HTTP/1.1\r\n\r\n"
        peer.send_leniently(bad)
        assert peer.reply().status in (400, 414)
    s.wait_log("Invalid request from ip=")
    line = [x for x in s.log().splitlines() if "Invalid request" in x][0]
    assert len(line) <= 1024
    assert all(0x20 <= ord(c) < 0x7f for c in line), line
