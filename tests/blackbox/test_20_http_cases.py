# SPDX-License-Identifier: MIT
"""tests/cases/http-cases.json, each case in five shapes; HTTP_CASES names
another file of such cases.

expect: A accepted; R refused, and nothing after it is ever answered; AR the
requests accepted, then a refusal; W no reply before more bytes come. A case's
verdict has to be the same however its bytes are cut, what came before it on
the connection, and what comes after it.
"""
import json
import os
import pathlib

import pytest

from harness import sealed
from harness.wire import Closed, Peer

CASES = json.loads(pathlib.Path(
    os.environ.get("HTTP_CASES")
    or pathlib.Path(__file__).resolve().parent.parent / "cases"
    / "http-cases.json").read_text(encoding="utf-8"))
GOOD = b"GET /g HTTP/1.1\r\nHost: a\r\n\r\n"
NEXT = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"
NEXT_TOLD = ["GET", "/next", ""]
# After the request of this case comes junk: served, then refused.
JUNK_AFTER = {"CH49"}


def raw_of(case):
    """Long runs are stored as [text, times]."""
    raw = case["raw"]
    if isinstance(raw, str):
        raw = [raw]
    parts = [p if isinstance(p, str) else p[0] * p[1] for p in raw]
    return "".join(parts).encode("latin-1")


@pytest.fixture(scope="module")
def servers(module_server):
    """One with default settings, one that expects the PROXY protocol."""
    common = "header_timeout = 10\nforwarded_allow_ips = '192.0.2.1'\n"
    plain = module_server("echo:app", apps=["echo.py"], config=common)
    proxy = module_server("echo:app", apps=["echo.py"],
                          config=common + "proxy_protocol = True\n")
    return {False: plain, True: proxy}


def final_head(peer):
    """The next final reply's head; one 100 before it is fine."""
    head = peer.head()
    if head.status == 100:
        head = peer.head()
    return head


def final(peer, method):
    reply = final_head(peer)
    peer._read_body(reply, method)
    return reply


def answered(peer, wanted):
    for told in wanted:
        reply = final(peer, told[0])
        assert reply.status == 200, f"{told} was answered by {reply}"
        if told[0] != "HEAD":
            assert json.loads(reply.body) == told


def refused(peer, statuses, method="GET"):
    """A refused HEAD has a page when its line was not read so far."""
    reply = final(peer, method)
    got = str(reply.status)
    if reply.status == 200 and "A" in statuses:
        return
    assert got in statuses, f"{got} in place of {statuses}: {reply}"
    assert reply.says_close(), f"it does not say that it closes: {reply}"
    if method == "HEAD":
        assert b"HTTP/1." not in peer.rest()
    else:
        peer.assert_closed()


def judge(case, peer, followed):
    """Reads and judges what the case has to bring."""
    expect = case["expect"]
    if expect == "W":
        peer.end_sending()
        assert b" 200 " not in peer.rest()
        return
    if expect == "R":
        head = raw_of(case).startswith(b"HEAD ")
        refused(peer, case["status"].split("|"), "HEAD" if head else "GET")
        return
    answered(peer, case["requests"])
    if expect == "AR":
        refused(peer, ["400"])
    elif not case["keepalive"]:
        peer.assert_closed()
    else:
        if not followed:
            peer.send(NEXT)
        if case["id"] in JUNK_AFTER:
            refused(peer, ["400"])
        else:
            answered(peer, [NEXT_TOLD])


def cuts(raw):
    """Where to split: everywhere in short cases."""
    step = 1 if len(raw) <= 130 else max(1, len(raw) // 40)
    return range(1, len(raw), step)


def whole(case, raw, address):
    with Peer(address) as peer:
        peer.send_leniently(raw)
        judge(case, peer, False)


def byte_by_byte(case, raw, address):
    if len(raw) > 400:
        return
    with Peer(address) as peer:
        for i in range(len(raw)):
            peer.send_leniently(raw[i:i + 1])
        judge(case, peer, False)


def split(case, raw, address):
    """All connections get their first part before one gets its second."""
    if len(raw) > 400:
        return
    offsets = list(cuts(raw))
    peers = [Peer(address) for _ in offsets]
    try:
        for peer, at in zip(peers, offsets):
            peer.send_leniently(raw[:at])
        for peer, at in zip(peers, offsets):
            peer.send_leniently(raw[at:])
        for peer, at in zip(peers, offsets):
            try:
                judge(case, peer, False)
            except AssertionError as e:
                raise AssertionError(f"split at {at}: {e}") from None
    finally:
        for peer in peers:
            peer.close()


def after_a_good_one(case, raw, address):
    if case.get("settings"):
        return  # a PROXY line is the first on its connection
    with Peer(address) as peer:
        peer.send_leniently(GOOD + raw)
        answered(peer, [["GET", "/g", ""]])
        judge(case, peer, False)


def followed_by_another(case, raw, address):
    if case["expect"] == "W":
        return
    with Peer(address) as peer:
        peer.send_leniently(raw + NEXT)
        judge(case, peer, True)


SHAPES = [whole, byte_by_byte, split, after_a_good_one, followed_by_another]


@pytest.mark.parametrize("case", CASES, ids=lambda c: c["id"])
def test_case(servers, case):
    server = servers[bool(case.get("settings"))]
    raw = raw_of(case)
    if sealed.wanted() and case["id"].startswith("PP") and case["expect"] == "R":
        pytest.skip("what comes before the handshake is answered in plain text")
    problems = []
    for shape in SHAPES:
        try:
            shape(case, raw, server.address)
        except (AssertionError, Closed) as e:
            problems.append(f"{shape.__name__}: {e}")
    server.check_log()
    assert not problems, "\n".join(
        [f"{case.get('why', '')}", f"{raw[:300]!r}", *problems])


def test_the_runner_can_fail(servers):
    """A case with the wrong verdict is told apart from the right one."""
    good = {"id": "x", "raw": "", "expect": "R", "status": "400"}
    with pytest.raises(AssertionError):
        whole(good, GOOD, servers[False].address)
    bad = {"id": "x", "expect": "A", "keepalive": True,
           "requests": [["GET", "/other", ""]]}
    with pytest.raises(AssertionError):
        whole(bad, GOOD, servers[False].address)
