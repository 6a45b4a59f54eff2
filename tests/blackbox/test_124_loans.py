# SPDX-License-Identifier: MIT
"""Over TLS, too, no complete request waits while a worker is idle: those of a
blocked worker's connections are lent, and the connections stay."""
import os
import signal
import ssl

import pytest

from harness import certificates, classes, sealed
from harness.loans import (ASGI, FILES, LARGE, STREAM, Stays, block, by_worker,
                           facts, pid_of, runs)
from harness.waiting import until
from harness.wire import Closed

pytestmark = pytest.mark.skipif(
    classes.under_test() != "sync", reason="starts the classes that it is about")


@pytest.fixture(autouse=True)
def over_tls(monkeypatch):
    certificates.needs_openssl()
    monkeypatch.setenv("CGUNICORN_TLS", "1")


def start(server, *args, workers=2, **more):
    s = server("app:app", "-w", str(workers), "--timeout", "3600", *args,
               files={**FILES, **more.pop("files", {})}, **more)
    s.wait_log("Booting worker", workers)
    return s


class Pair:
    """Two workers, one of which is blocked: `peers` are that one's."""

    def __init__(self, server, *args, threads=1, each=3, **more):
        self.server = s = start(server, *args, **more)
        found = by_worker(s, 2, each + threads + 1)
        self.held, (self.sibling,) = block(s, found, threads, 1)
        self.others = found.pop(self.sibling)
        (self.owner, self.peers), = found.items()

    def free(self):
        for held, _ in self.held:
            held.go()
        for held, peer in self.held:
            assert pid_of(peer.reply()) == held.pid


CLASSES = pytest.mark.parametrize("args", [
    (), ("--threads", "2"), ("-k", "gevent"), ("-k", "eventlet"), ("-k", "tornado")],
    ids=["sync", "gthread", "gevent", "eventlet", "tornado"])


@CLASSES
def test_requests_of_three_blocked_workers_are_answered_by_the_fourth(
        run, server, args):
    if "-k" in args:
        classes.skip_unless_installed(run, args[1])
    threads = 2 if "--threads" in args else 1
    s = start(server, *args, workers=4)
    found = by_worker(s, 4, 3 + threads)
    held, (idle,) = block(s, found, threads, 3)
    for _ in range(3):
        for pid, peers in found.items():
            for peer in peers:
                assert pid_of(peer.get().reply()) == idle
    for stays, _ in held:
        stays.go()
    for stays, peer in held:
        assert pid_of(peer.reply()) == stays.pid
    # and the connections are those workers' still, once these are free
    for pid, peers in found.items():
        for peer in peers:
            until(lambda: pid_of(peer.get().reply()) == pid, "it is its worker's")


@pytest.fixture(scope="module")
def pair(module_server):
    """Its owner stays blocked."""
    previous = os.environ.get("CGUNICORN_TLS")
    os.environ["CGUNICORN_TLS"] = "1"
    try:
        made = Pair(module_server, "--access-logfile", "access.log",
                    "--access-logformat",
                    "%(h)s %({REMOTE_PORT}e)s %(r)s %(s)s %(B)s "
                    "%({SSL_PROTOCOL}e)s %({wsgi.url_scheme}e)s %(p)s", each=12)
        yield made
        made.free()
    finally:
        if previous is None:
            del os.environ["CGUNICORN_TLS"]


@pytest.mark.parametrize("size", [10, 40_000, 3_000_000])
def test_a_body_goes_with_its_request(pair, size):
    peer = pair.peers[0]
    body = bytes(range(250)) * (size // 250 + 1)
    got = facts(peer.post("/", body[:size]).reply())
    assert (got["pid"], got["read"]) == (pair.sibling, [size, sum(body[:size])])


def test_a_chunked_body_goes_with_its_request(pair):
    peer = pair.peers[0]
    peer.get("/", "Transfer-Encoding: chunked", method="POST")
    peer.send(b"5\r\nhello\r\n" * 1000 + b"0\r\n\r\n")
    got = facts(peer.reply())
    assert (got["pid"], got["read"][0]) == (pair.sibling, 5000)


@pytest.mark.parametrize("path, body", [
    ("/big", b"0123456789abcdef" * 250_000), ("/stream", STREAM),
    ("/file", LARGE)])
def test_long_replies_come_whole(pair, path, body):
    for peer in pair.peers[:2]:
        reply = peer.get(path).reply()
        assert pid_of(reply) == pair.sibling
        assert reply.body == body


def test_a_reply_to_head_has_no_body(pair):
    peer = pair.peers[0]
    reply = peer.get("/big", method="HEAD").reply("HEAD")
    assert (pid_of(reply), reply.one("Content-Length")) == (pair.sibling, "4000000")
    assert pid_of(peer.get().reply()) == pair.sibling


def test_pipelined_requests_stay_in_order(pair):
    peer = pair.peers[1]
    for i in range(10):
        peer.get(f"/?pipelined{i}")
    for i in range(10):
        got = facts(peer.reply())
        assert (got["QUERY_STRING"], got["pid"]) == (f"pipelined{i}", pair.sibling)


def test_the_environ_is_what_the_owner_would_give(pair):
    peer = pair.peers[2]
    lent = facts(peer.get("/").reply())
    own = facts(pair.others[0].get("/").reply())
    port = str(peer.sock.getsockname()[1])
    assert (lent["REMOTE_ADDR"], lent["REMOTE_PORT"]) == ("127.0.0.1", port)
    assert lent["wsgi.url_scheme"] == "https"
    assert lent["SSL_PROTOCOL"].startswith("TLSv1.")
    own["REMOTE_PORT"] = port
    assert lent == own  # both are of the sibling


def test_the_access_line_is_written_once(pair):
    peer = pair.peers[3]
    peer.get("/?line").reply()
    log = pair.server.folder / "access.log"
    until(lambda: "/?line" in log.read_text(), "its line")
    peer.get("/?next").reply()
    until(lambda: "/?next" in log.read_text(), "the next line")
    line, = [n for n in log.read_text().split("\n") if "/?line" in n]
    words = line.split()
    port = str(peer.sock.getsockname()[1])
    assert words[:6] == ["127.0.0.1", port, "GET", "/?line", "HTTP/1.1", "200"]
    assert words[7].startswith("TLSv1.")
    assert words[8:] == ["https", f"<{pair.sibling}>"]


def test_close_is_said_and_done(pair):
    peer = pair.peers.pop()
    reply = peer.get("/", "Connection: close").reply()
    assert pid_of(reply) == pair.sibling and reply.says_close()
    peer.assert_closed()


def test_a_client_of_http_1_0_reads_to_the_end(pair):
    peer = pair.peers.pop()
    peer.send("GET /stream HTTP/1.0\r\n\r\n")
    assert peer.reply().body == STREAM


def test_a_client_that_leaves_is_told_to_the_application(pair):
    s, peer = pair.server, pair.peers.pop()
    stays = Stays(s, "endless", peer.get, "/endless")
    assert stays.pid == pair.sibling
    peer.close()
    until(lambda: (s.folder / "endless.closed").exists(), "its close")


def test_a_client_that_ends_its_side_gets_its_reply(pair):
    peer = pair.peers.pop()
    peer.get("/big")
    peer.end_sending()
    assert len(peer.reply().body) == 4_000_000


def test_an_upgrade_stays_with_its_owner(server):
    pair = Pair(server)
    asks, other = pair.peers[:2]
    asks.get("/", "Connection: upgrade", "Upgrade: thing")
    assert pid_of(other.get().reply()) == pair.sibling  # it came later
    pair.free()
    assert pid_of(asks.reply()) == pair.owner


def test_a_body_that_is_still_coming_stays_with_its_owner(server):
    pair = Pair(server, "--stream-requests")
    asks, other = pair.peers[:2]
    asks.get("/", "Content-Length: 100000", method="POST").send(b"x")
    assert pid_of(other.get().reply()) == pair.sibling
    pair.free()
    asks.send(b"x" * 99_999)
    assert facts(asks.reply())["read"][0] == 100_000


def test_the_clients_certificate_is_known_in_the_sibling(server, monkeypatch,
                                                         tmp_path):
    authority, _, _ = certificates.shared()
    pem, key = authority.issue("client-of-loans")
    context = ssl.create_default_context(cafile=authority.certificate)
    context.check_hostname = False
    context.load_cert_chain(pem, key)
    monkeypatch.setattr(sealed, "client_context", lambda: context)
    pair = Pair(server, "--ca-certs", str(authority.certificate),
                "--cert-reqs", "2")
    own = facts(pair.others[0].get().reply())
    lent = facts(pair.peers[0].get().reply())
    assert lent["pid"] == own["pid"] == pair.sibling
    assert lent["SSL_CLIENT_VERIFY"] == "SUCCESS"
    names = [k for k in own if k.startswith("SSL_")]
    assert "SSL_CLIENT_CERT" in names
    assert {k: lent[k] for k in names} == {k: own[k] for k in names}
    pair.free()


def test_a_sibling_that_is_killed_cuts_its_reply(server):
    pair = Pair(server)
    s, (half, none, after) = pair.server, pair.peers[:3]
    stays = Stays(s, "half", half.get, "/half")
    assert stays.pid == pair.sibling
    s.announce(r"was sent SIGKILL")
    none.get("/?waits")  # it waits in the queue, for the next worker
    os.kill(pair.sibling, signal.SIGKILL)
    with pytest.raises(Closed):
        half.reply()
    assert runs(s, "half") == 1
    assert pid_of(none.reply()) not in (pair.owner, pair.sibling)
    assert runs(s, "waits") == 1
    assert pid_of(after.get().reply()) != pair.owner
    pair.free()


def test_an_owner_that_is_killed_takes_its_connections_along(server):
    pair = Pair(server)
    s, peer = pair.server, pair.peers[0]
    stays = Stays(s, "endless", peer.get, "/endless")
    s.announce(r"was sent SIGKILL")
    os.kill(pair.owner, signal.SIGKILL)
    until(lambda: (s.folder / "endless.closed").exists(), "its close")
    with pytest.raises(AssertionError):
        while True:
            peer.reply()
    assert pid_of(s.connect().get().reply())
    assert stays.pid == pair.sibling


@pytest.mark.parametrize("how", ["HUP", "TERM"])
def test_a_stop_waits_for_what_is_lent(server, how):
    pair = Pair(server)
    s, peer = pair.server, pair.peers[0]
    stays = Stays(s, "lent", peer.get)
    assert stays.pid == pair.sibling
    s.signal(how)
    if how == "HUP":
        s.wait_log("Booting worker", 4)
    else:
        s.wait_log("Handling signal: term")
    pair.free()
    stays.go()
    assert pid_of(peer.reply()) == pair.sibling
    if how == "HUP":
        until(lambda: not {pair.owner, pair.sibling} & set(s.workers()),
              "the old workers are gone")
        assert pid_of(s.connect().get().reply())


def test_a_request_that_takes_too_long_is_answered_504_or_cut(server):
    pair = Pair(server, "--request-timeout", "2", "--threads", "2", threads=2)
    s, (late, half) = pair.server, pair.peers[:2]
    s.announce("Request timed out")
    stays = [Stays(s, "late", late.get), Stays(s, "half", half.get, "/half")]
    assert [one.pid for one in stays] == [pair.sibling] * 2
    assert late.reply().status == 504
    late.assert_closed()
    with pytest.raises(Closed):
        half.reply()
    for held, peer in pair.held:
        assert peer.reply().status == 504
    for one in [*stays, *(held for held, _ in pair.held)]:
        one.go()


def test_request_ids_are_the_clients(server):
    pair = Pair(server, "--request-id", "X-Request-ID")
    reply = pair.peers[0].get("/", "X-Request-ID: abc").reply()
    got = facts(reply)
    assert (got["pid"], got["cgunicorn.request_id"]) == (pair.sibling, "abc")
    pair.free()


def test_requests_of_a_blocked_asgi_loop_are_answered_by_another(server):
    pair = Pair(server, "-k", "asgi", files={"app.py": ASGI})
    s, (asks, leaves) = pair.server, pair.peers[:2]
    got = facts(asks.post("/", b"x" * 40_000).reply())
    assert (got["pid"], got["read"]) == (pair.sibling, 40_000)
    assert got["scheme"] == "https"
    assert got["tls_version"] in (0x303, 0x304)
    leaves.get("/until-it-leaves?left")
    until(lambda: (s.folder / "left.in").exists(), "it is in the application")
    leaves.close()
    until(lambda: (s.folder / "left.gone").exists(), "http.disconnect")
    pair.free()
