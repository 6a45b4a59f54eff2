# SPDX-License-Identifier: MIT
"""What all requests of a worker hold in memory and in files has a bound:
request_memory, request_disk."""
import contextlib
import json

import pytest

from harness import classes
from harness.blocked import APP as BLOCKING, Blocked, pid_of, pinned
from harness.waiting import until

KIB = 1000
DISK = 3000 * KIB
KINDS = pytest.mark.parametrize(
    "kind", ["sync", "gthread", "gevent", "tornado"])
APP = """\
async def app(scope, receive, send):
    n, more = 0, True
    while more:
        message = await receive()
        n += len(message["body"])
        more = message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b'{"size": %d}' % n})
"""


@pytest.fixture
def budget(run, server):
    def make(kind, *args, **kw):
        if kind not in ("sync", "gthread"):
            classes.skip_unless_installed(run, kind)
        s = server("probe:app", "-k", kind, "--request-buffer-size",
                   str(400 * KIB), *args, apps=["probe.py"], **kw)
        s.announce("no room for a request")
        return s
    return make


@contextlib.contextmanager
def uploads(s, count, size, left):
    """So many bodies, all but the last `left` bytes of each sent."""
    peers = []
    try:
        for _ in range(count):
            peer = s.connect()
            peers.append(peer)
            peer.get("/digest", f"Content-Length: {size}", method="POST")
            peer.send_leniently(b"x" * (size - left))
            until(lambda p=peer: p.unread() == 0, "it was read")
            assert s.get("/one").status == 200
        yield peers
    finally:
        for peer in peers:
            peer.close()


def assert_served(peers, size, left):
    for peer in peers:
        r = peer.send(b"x" * left).reply()
        assert r.status == 200 and json.loads(r.body)["size"] == size


@KINDS
def test_bodies_in_files_have_a_bound_together(budget, kind):
    s = budget(kind, "--request-disk", str(DISK))
    for _ in range(2):  # it is free again afterwards
        with uploads(s, 7, 600 * KIB, 10 * KIB) as peers:
            for peer in peers[5:]:
                r = peer.reply()
                assert r.status == 503 and r.says_close()
            assert_served(peers[:4], 600 * KIB, 10 * KIB)
    s.wait_log(r"no room for a request: those under way hold \d+ of at most "
               r"3000000 bytes in files \(request_disk\)")


@KINDS
def test_beyond_memory_bodies_go_to_files(budget, kind):
    s = budget(kind, "--request-memory", str(1000 * KIB))
    with uploads(s, 10, 390 * KIB, 10 * KIB) as peers:
        assert_served(peers, 390 * KIB, 10 * KIB)
    assert s.log_count("no room") == 0


def test_without_room_in_either_it_is_a_503(budget):
    s = budget("sync", "--request-memory", str(1000 * KIB),
               "--request-disk", "300000")
    with uploads(s, 6, 390 * KIB, 10 * KIB) as peers:
        for peer in peers[3:]:
            assert peer.reply().status == 503
        assert_served(peers[:2], 390 * KIB, 10 * KIB)


@KINDS
def test_a_body_that_never_fits_is_a_413(budget, kind):
    s = budget(kind, "--request-disk", str(DISK))
    with s.connect() as peer:
        peer.get("/digest", f"Content-Length: {DISK + 1}",
                 "Expect: 100-continue", method="POST")
        r = peer.reply()
        assert r.status == 413 and b"request_disk" in r.body
    with s.connect() as peer:
        peer.get("/digest", "Transfer-Encoding: chunked", method="POST")
        for _ in range(31):
            peer.send_leniently(b"%x\r\n%s\r\n" % (100 * KIB, b"x" * 100 * KIB))
        assert peer.reply().status == 413
    r = s.post("/digest", b"x" * DISK)
    assert json.loads(r.body)["size"] == DISK


def test_chunked_bodies_count_too(budget):
    s = budget("sync", "--request-disk", str(DISK))
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(s.connect()) for _ in range(7)]
        for peer in peers:
            peer.get("/digest", "Transfer-Encoding: chunked", method="POST")
            peer.send_leniently(
                b"%x\r\n%s\r\n" % (600 * KIB, b"x" * 600 * KIB))
            until(lambda p=peer: p.unread() == 0, "it was read")
            assert s.get("/one").status == 200
        for peer in peers[5:]:
            assert peer.reply().status == 503
        for peer in peers[:4]:
            r = peer.send(b"0\r\n\r\n").reply()
            assert json.loads(r.body)["size"] == 600 * KIB


def test_half_heads_count_in_memory(budget):
    s = budget("sync", "--request-memory", "100000")
    half = b"GET /one HTTP/1.1\r\nHost: a\r\n" + b"A: %s\r\n" % (b"x" * 8000) * 4
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(s.connect()).send(half) for _ in range(5)]
        assert peers[4].reply().status == 503
        assert peers[0].send(b"\r\n").reply().body == b"one item"


@classes.needs_streaming
def test_a_streamed_body_is_not_stored(budget):
    s = budget("sync", "--stream-requests", "--request-disk", "1000")
    size = 2000 * KIB
    r = s.post("/digest?100000", b"x" * size)
    assert json.loads(r.body)["size"] == size


def test_buffered_bodies_of_asgi_count(server):
    s = server("-k", "asgi", "--request-disk", str(DISK),
               "--request-buffer-size", "1000", "echo_size:app",
               files={"echo_size.py": APP},
               config="request_buffering = True\n")
    r = s.post("/", b"x" * DISK)
    assert json.loads(r.body)["size"] == DISK
    with s.connect() as peer:
        peer.get("/", f"Content-Length: {DISK + 1}", method="POST")
        assert peer.reply().status == 413


# ---- what does not come from the request's own connection ----

def pipelined(peer, size):
    """A request, and behind it one with a body: all at once."""
    peer.send_leniently(
        b"POST /digest HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
        b"POST /digest HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s"
        % (size, b"x" * size))


def test_what_is_pipelined_counts_and_without_room_the_connection_ends(server):
    s = server("app:app", "--request-memory", "200000",
               files={"app.py": BLOCKING})
    s.announce("no room for a request")

    def ended(count):
        held = Blocked(s, s.connect(), f"b{count}")
        peers = [s.connect() for _ in range(count)]
        for peer in peers:
            pipelined(peer, 30_000)
        if count > 5:
            s.wait_log("no room for a request")
        held.go()
        held.peer.reply()
        return sum(is_ended(peer) for peer in peers)

    def is_ended(peer):
        with peer:
            r = peer.reply()
            assert r.body.split()[1] == b"3"
            if r.says_close():
                peer.assert_closed()
                return True
            assert peer.reply().body.split()[1] == b"30000"
            return False

    assert 1 <= ended(10) <= 6
    assert ended(5) == 0  # it is free again


def test_bodies_on_their_way_to_another_worker_have_a_bound(server):
    """Both are blocked: one body waits in the queue that they share, and the
    others count where they came."""
    s = server("app:app", "-w", "2", "--request-buffer-size", "1000",
               "--request-disk", str(DISK), files={"app.py": BLOCKING})
    s.announce("no room for a request")
    first, mine = pinned(s, count=9)
    second = next(iter(set(s.workers()) - {first}))
    _, others = pinned(s, second, count=1)
    held = [Blocked(s, mine.pop(), "b0"), Blocked(s, others[0], "b1")]
    for peer in mine:
        peer.send_leniently(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: "
                            b"%d\r\n\r\n" % (600 * KIB) + b"x" * 600 * KIB)
    s.wait_log("no room for a request")
    for b in held:
        b.go()
        b.peer.reply()
    answers = [peer.reply() for peer in mine]
    served = [r for r in answers if r.status == 200]
    assert all(r.body.split()[1] == b"600000" for r in served)
    assert all(r.status == 503 for r in answers if r not in served)
    assert 4 <= len(served) <= 7


def test_bodies_that_another_worker_took_count_with_it(budget, run, server):
    classes.skip_unless_installed(run, "gevent")
    s = server("app:app", "-k", "gevent", "-w", "2", "--request-buffer-size",
               "1000", "--request-disk", str(DISK // 2),
               files={"app.py": BLOCKING})
    s.announce("no room for a request")
    victim, peers = pinned(s, count=5)
    other = next(iter(set(s.workers()) - {victim}))
    pinned(s, other)  # it has booted
    held = Blocked(s, peers.pop(), "b", "/burn")
    for n, peer in enumerate(peers):
        peer.send_leniently(b"POST /block?w HTTP/1.1\r\nHost: a\r\n"
                            b"Content-Length: %d\r\n\r\n" % (600 * KIB)
                            + b"x" * 600 * KIB)
    s.wait_log("no room for a request")
    (s.folder / "w.go").touch()
    answers = [peer.reply() for peer in peers]
    served = [r for r in answers if r.status == 200]
    # the last one may come when the first ones are done
    assert 2 <= len(served) <= 3 and {pid_of(r) for r in served} == {other}
    assert all(r.status == 503 for r in answers if r not in served)
    held.go()
    held.peer.reply()
