# SPDX-License-Identifier: MIT
"""No complete request waits while a worker is idle, whoever is blocked or dies."""
import os
import signal

import pytest

from harness import processes
from harness.blocked import APP, Blocked, ask, pid_of, pinned
from harness.load import Load
from harness.waiting import until

def start(server, *args):
    s = server("app:app", *args, files={"app.py": APP})
    s.wait_log("Booting worker", int(args[args.index("-w") + 1]))
    return s


@pytest.mark.parametrize("args", [
    ("-w", "3"), ("-w", "2", "--threads", "2")], ids=["sync", "gthread"])
def test_requests_of_a_blocked_worker_are_answered_by_the_others(server, args):
    s = start(server, *args)
    victim, peers = pinned(s, count=6)
    threads = 2 if "--threads" in args else 1
    held = [Blocked(s, peers.pop(), f"b{i}") for i in range(threads)]
    for _ in range(3):
        for peer in peers:
            assert pid_of(ask(peer)) != victim
    for b in held:
        b.go()
        assert pid_of(b.peer.reply()) == victim


def test_a_worker_that_burns_its_processor_holds_up_nobody(server):
    s = start(server, "-w", "2")
    victim, peers = pinned(s, count=4)
    burning = Blocked(s, peers.pop(), "b", "/burn")
    for peer in peers:
        assert pid_of(ask(peer)) != victim
    burning.go()
    assert pid_of(burning.peer.reply()) == victim


@pytest.mark.parametrize("size", [10, 40_000, 3_000_000])
def test_a_body_moves_with_its_request(server, size):
    s = start(server, "-w", "2")
    victim, peers = pinned(s, count=2)
    held = Blocked(s, peers[0], "b")
    reply = ask(peers[1], b"x" * size)
    assert reply.body.split()[1] == str(size).encode()
    assert pid_of(reply) != victim
    held.go()
    held.peer.reply()


def test_pipelined_requests_move_together_and_stay_in_order(server):
    s = start(server, "-w", "2")
    victim, peers = pinned(s, count=2)
    held = Blocked(s, peers[0], "b")
    peers[1].send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 10)
    owners = {pid_of(peers[1].reply()) for _ in range(10)}
    assert owners and victim not in owners
    held.go()
    held.peer.reply()


def test_nothing_is_lost_when_all_were_blocked(server):
    s = start(server, "-w", "2")
    first, mine = pinned(s, count=4)
    second = next(iter(set(s.workers()) - {first}))
    _, others = pinned(s, second, count=4)
    held = [Blocked(s, mine.pop(), "b0"), Blocked(s, others.pop(), "b1")]
    for peer in mine + others:
        peer.get()
    for b in held:
        b.go()
    for peer in mine + others + [b.peer for b in held]:
        assert pid_of(peer.reply()) in (first, second)


def test_what_waits_in_the_queue_survives_the_death_of_its_sender(server):
    """Both are blocked, so the request waits in the queue; its sender dies."""
    s = start(server, "-w", "2")
    first, mine = pinned(s, count=2)
    second = next(iter(set(s.workers()) - {first}))
    _, others = pinned(s, second, count=1)
    held = [Blocked(s, mine[0], "b0"), Blocked(s, others[0], "b1")]
    mine[1].get()
    # relief has sent it once the sender has no socket for it any more
    port = mine[1].sock.getsockname()[1]
    until(lambda: not holds_connection(first, port), "it is in the queue")
    s.announce(r"was sent SIGKILL")
    os.kill(first, signal.SIGKILL)
    assert pid_of(mine[1].reply()) not in (first,)
    held[1].go()
    assert pid_of(held[1].peer.reply()) == second


@pytest.mark.parametrize("size", [None, 40_000])
def test_a_worker_without_descriptors_loses_no_request_of_the_queue(
        server, size):
    s = start(server, "-w", "2")
    victim, peers = pinned(s, count=5)
    other = next(iter(set(s.workers()) - {victim}))
    pinned(s, other)  # it has booted
    held = Blocked(s, peers.pop(), "b")
    with processes.spare_descriptors(other, 0):
        for peer in peers:
            if size is None:
                peer.get()
            else:
                peer.post("/", b"x" * size)
        s.wait_log("Cannot take a request of another worker")
    for peer in peers:
        assert pid_of(peer.reply()) == other
    held.go()
    held.peer.reply()


def test_a_connection_of_the_queue_is_no_standard_stream(server):
    """What an application prints must not go to a client."""
    s = start(server, "-w", "2")
    victim, peers = pinned(s, count=2)
    other = next(iter(set(s.workers()) - {victim}))
    _, others = pinned(s, other)
    others[0].get("/close").reply()
    held = Blocked(s, peers[0], "b")
    assert pid_of(ask(peers[1])) == other
    assert 0 not in processes.open_descriptors(other)
    held.go()
    held.peer.reply()


@pytest.mark.parametrize("size", [None, 40_000])
def test_a_worker_short_of_descriptors_closes_idle_ones_for_the_queue(
        server, size):
    s = start(server, "-w", "2")
    victim, peers = pinned(s, count=5)
    other = next(iter(set(s.workers()) - {victim}))
    pinned(s, other)  # it has booted
    held = Blocked(s, peers.pop(), "b")
    with processes.spare_descriptors(other, 2):
        for peer in peers:
            assert pid_of(ask(peer, size and b"x" * size)) == other
        peers[0].assert_closed()
    held.go()
    held.peer.reply()


def holds_connection(pid, port):
    """Whether the process has the server's end of a client's connection."""
    sockets = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{fd}")
        except OSError:
            continue
        if target.startswith("socket:["):
            sockets.add(target[8:-1])
    with open("/proc/net/tcp") as table:
        for line in table:
            words = line.split()
            if words[2].endswith(f":{port:04X}") and words[9] in sockets:
                return True
    return False


@pytest.mark.parametrize("args", [
    ("-w", "3"), ("-w", "2", "--threads", "3")], ids=["sync", "gthread"])
def test_kills_under_load_lose_only_what_ran_in_the_killed(server, args):
    s = start(server, *args)
    s.announce(r"was sent SIGKILL")
    clients, kills = 6, 4
    with Load(s.address, clients=clients, keep=True) as load:
        for i in range(kills):
            load.wait_answers(200)
            victim = sorted(s.workers())[0]
            os.kill(victim, signal.SIGKILL)
            until(lambda: victim not in s.workers(), "it is gone")
            s.wait_log("Booting worker", int(args[1]) + i + 1)
    # at most what each client had under way at each kill
    assert len(load.lost) <= kills * clients, load.lost


def test_an_idle_server_wakes_nobody(server):
    s = start(server, "-w", "1")
    assert s.get("/").status == 200
    worker = next(iter(s.workers()))
    until(lambda: processes.is_quiet(worker),
          "a second without a wake-up in the worker")
