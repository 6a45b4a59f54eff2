# SPDX-License-Identifier: MIT
"""WebSockets of the class asgi. The table has the groups of the Autobahn suite
that a client can see (RFC 6455, RFC 7692)."""
import contextlib
import os
import struct
import time
import zlib

import pytest

from harness.asgi import seen, wait_seen
from harness.waiting import until
from harness.websocket import CLOSE, WebSocket
from harness.wire import Peer

BINARY, PING, PONG = 2, 9, 10
KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
HANDSHAKE = ["Upgrade: websocket", "Connection: Upgrade",
             "Sec-WebSocket-Version: 13", KEY]


@pytest.fixture(scope="module", params=["asyncio", "auto"])
def probe(module_server, request):
    return module_server("-k", "asgi", "--asgi-loop", request.param,
                         "--websocket-max-message-size", "1000000",
                         "asgi_probe:app", apps=["asgi_probe.py"])


def raw(first, data):
    """A masked frame by its first byte, whatever that says."""
    size = len(data)
    head = bytes([first, 0x80 | size]) if size < 126 else (
        bytes([first, 0xfe]) + struct.pack(">H", size))
    mask = os.urandom(4)
    return head + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(data))


# ---- the handshake ----


def handshake(probe, *fields, path="/chat", method="GET"):
    with Peer(probe.address) as peer:
        peer.get(path, *fields, method=method)
        return peer.reply()


def test_a_handshake_that_is_none(probe):
    r = handshake(probe, "Upgrade: websocket", "Connection: Upgrade",
                  "Sec-WebSocket-Version: 12", KEY)
    assert (r.status, r.one("Sec-WebSocket-Version")) == (426, "13")
    r = handshake(probe, "Upgrade: websocket", "Connection: Upgrade",
                  "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: short")
    assert r.status == 400
    r = handshake(probe, "Content-Length: 0", *HANDSHAKE, method="POST")
    assert r.status == 400


def test_closing_before_accepting_is_a_403(probe):
    assert handshake(probe, *HANDSHAKE, path="/chat?deny").status == 403
    assert handshake(probe, *HANDSHAKE, path="/chat?return").status == 403


def test_raising_before_accepting_is_a_500(probe):
    probe.announce("Error handling request", "boom", "Traceback")
    assert handshake(probe, *HANDSHAKE, path="/chat?raise").status == 500


def test_a_denial_is_a_response_of_the_application(probe):
    r = handshake(probe, *HANDSHAKE, path="/chat?respond")
    assert (r.status, r.body, r.one("X-Why")) == (418, b"a teapot", "tea")
    wait_seen(probe, "denied", "websocket.disconnect")


def accepted(probe, *fields, path="/chat"):
    peer = Peer(probe.address)
    peer.get(path, *HANDSHAKE, *fields)
    r = peer.interim()
    assert r.status == 101, r
    return peer, r


def test_the_answer_to_a_handshake(probe):
    peer, r = accepted(probe, "Sec-WebSocket-Protocol: one, two")
    assert r.one("Sec-WebSocket-Accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert r.one("Sec-WebSocket-Protocol") == "two"
    assert r.one("X-Mine") == "1"
    assert r.one("Sec-WebSocket-Extensions") is None
    peer.close()


def test_only_what_was_offered_is_a_subprotocol(probe):
    peer, r = accepted(probe, path="/chat?subprotocol")
    assert r.one("Sec-WebSocket-Protocol") is None
    assert "'never', which the client did not offer" in (
        seen(probe)["subprotocol"])
    peer.close()


def test_a_client_that_leaves_before_it_is_accepted(probe):
    with Peer(probe.address) as peer:
        peer.get("/chat?wait", *HANDSHAKE)
        time.sleep(0.05)
    wait_seen(probe, "before accept", ["websocket.disconnect", 1006])
    wait_seen(probe, "late accept", "OSError")


def test_frames_right_behind_the_handshake(probe):
    with Peer(probe.address) as peer:
        head = "\r\n".join(["GET /chat HTTP/1.1", "Host: a", *HANDSHAKE])
        peer.send(head.encode() + b"\r\n\r\n" + raw(0x81, b"early"))
        assert peer.interim().status == 101
        assert peer._exactly(7) == b"\x81\x05early"


# ---- messages ----


@pytest.fixture
def ws(probe):
    one = WebSocket(probe.address, "/chat")
    yield one
    one.close()


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 128, 65535, 65536, 300000])
def test_messages_of_every_size(ws, size):
    data = os.urandom(size)
    ws.send_frame(BINARY, data)
    assert ws.frame() == (BINARY, data)
    ws.say("x" * size)
    assert ws.hear() == "x" * size


def test_bytes_that_come_one_by_one(ws):
    for b in raw(0x81, "h\u00e9llo".encode()):
        ws.send(bytes([b]))
    assert ws.hear() == "h\u00e9llo"


def test_control_frames_between_fragments(ws):
    ws.send(raw(0x01, b"frag"))
    ws.send(raw(0x89, b"ping me"))
    assert ws.frame() == (PONG, b"ping me")
    ws.send(raw(0x8a, b"unasked"))
    ws.send(raw(0x00, b"") + raw(0x80, b"ment"))
    assert ws.hear() == "fragment"


def test_pings_are_answered_while_the_application_is_busy(ws):
    ws.say("/sleep 1")
    begun = time.monotonic()
    for i in range(10):
        ws.send_frame(PING, b"%d" % i)
    for i in range(10):
        assert ws.frame() == (PONG, b"%d" % i)
    assert time.monotonic() - begun < 0.9
    assert ws.hear() == "slept"


def test_many_messages_in_order(ws):
    for i in range(500):
        ws.say(str(i))
    for i in range(500):
        assert ws.hear() == str(i)


def code_of(frame):
    opcode, data = frame
    assert opcode == CLOSE, frame
    return struct.unpack(">H", data[:2])[0] if data else None


BAD = [
    ("reserved bit 2", raw(0xa1, b"x"), 1002),
    ("reserved bit 3", raw(0x91, b"x"), 1002),
    ("compressed without the extension", raw(0xc1, b"x"), 1002),
    *((f"opcode {o}", raw(0x80 | o, b""), 1002) for o in
      (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)),
    ("no mask", b"\x81\x01x", 1002),
    ("long ping", raw(0x89, b"x" * 126), 1002),
    ("ping in fragments", raw(0x09, b"x"), 1002),
    ("continuation of nothing", raw(0x80, b"x"), 1002),
    ("message in a message", raw(0x01, b"a") + raw(0x81, b"b"), 1002),
    ("length not minimal", b"\x82\xfe\x00\x05" + b"\0" * 9, 1002),
    ("length of 64 bits", b"\x82\xff\x80" + b"\0" * 11, 1002),
    ("invalid UTF-8", raw(0x81, b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"
                                b"\xed\xa0\x80"), 1007),
    ("invalid UTF-8, early", raw(0x01, b"\xce\xba\xf4\x90"), 1007),
    ("invalid UTF-8 across fragments", raw(0x01, b"\xf4") + raw(0x80, b"\x90"),
     1007),
    ("incomplete UTF-8", raw(0x81, b"\xce"), 1007),
    ("too big", b"\x82\xff" + struct.pack(">Q", 1000001) + b"\0" * 4, 1009),
    ("close of one byte", raw(0x88, b"x"), 1002),
    ("close with a bad reason", raw(0x88, b"\x03\xe8\xff"), 1007),
    *((f"close with {c}", raw(0x88, struct.pack(">H", c)), 1002) for c in
      (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)),
]


@pytest.mark.parametrize("data, code", [b[1:] for b in BAD],
                         ids=[b[0] for b in BAD])
def test_a_bad_frame_closes_with_its_code(ws, data, code):
    ws.say("first")
    assert ws.hear() == "first"
    ws.send(data)
    assert code_of(ws.frame()) == code
    ws.end_sending()
    ws.assert_closed()


def test_bad_frames_are_told_with_a_limit(server):
    """A stranger cannot fill the log: ten lines in a second, and a sum."""
    s = server("-k", "asgi", "asgi_probe:app", apps=["asgi_probe.py"])
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(WebSocket(s.address, "/chat"))
                 for _ in range(40)]
        for peer in peers:
            peer.send(raw(0x83, b""))
        for peer in peers:
            assert code_of(peer.frame()) == 1002
    s.wait_log(r"Invalid WebSocket frame from \.\.\. and \d+ more like this")
    assert 10 <= s.log_count("Invalid WebSocket frame from ip=127.0.0.1: ") < 40


def test_what_came_before_a_bad_frame_is_answered_first(ws):
    ws.send(raw(0x81, b"good") + raw(0x83, b""))
    assert ws.hear() == "good"
    assert code_of(ws.frame()) == 1002


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1008, 1009,
                                  1010, 1011, 1012, 3000, 3999, 4000, 4999])
def test_good_codes_are_echoed_and_told(probe, ws, code):
    ws.send(raw(0x88, struct.pack(">H", code) + "f\u00fcr".encode()))
    assert code_of(ws.frame()) == code
    ws.assert_closed()
    wait_seen(probe, "disconnect", [code, "f\u00fcr"])
    wait_seen(probe, "late send", True)


def test_an_empty_close_is_answered_with_1000(probe, ws):
    ws.send(raw(0x88, b""))
    assert code_of(ws.frame()) == 1000
    wait_seen(probe, "disconnect", [1005, ""])


def test_a_lost_connection_is_1006(probe, ws):
    ws.say("x")
    ws.hear()
    ws.reset()
    wait_seen(probe, "disconnect", [1006, ""])


def test_the_application_closes(probe, ws):
    ws.say("/close")
    opcode, data = ws.frame()
    assert (opcode, data) == (CLOSE, b"\x0b\xb9as you wish")
    wait_seen(probe, "after close", ["websocket.disconnect", 3001])
    ws.send(raw(0x88, data))
    ws.assert_closed()


def test_a_peer_that_does_not_answer_a_close_is_not_waited_for(probe, ws):
    ws.say("/return")
    assert code_of(ws.frame()) == 1000
    ws.assert_closed()  # after some seconds


def test_an_exception_closes_with_1011(probe, ws):
    probe.announce("Error handling request", "boom", "Traceback")
    ws.say("/raise")
    assert code_of(ws.frame()) == 1011


def test_bad_messages_raise_in_the_application(probe, ws):
    ws.say("/bad")
    assert code_of(ws.frame()) is None
    wait_seen(probe, "bad", ["ValueError", "ValueError", "TypeError",
                             "TypeError", 999])


def test_a_slow_reader_pauses_the_application(probe, ws):
    ws.say("/flood 400")
    until(lambda: seen(probe).get("flood", 0) > 0, "it has begun")
    last = [-1]

    def stands():
        now = seen(probe)["flood"]
        same, last[0] = now == last[0], now
        time.sleep(0.1)
        return same
    until(stands, "the application waits")
    assert seen(probe)["flood"] < 300
    for _ in range(400):
        assert ws.frame() == (BINARY, b"x" * 65536)


def test_an_application_that_does_not_read_pauses_the_peer(probe, ws):
    ws.say("/sleep 1")
    ws.sock.settimeout(0.3)
    sent = 0
    try:
        while sent < 64 << 20:
            ws.send(raw(0x82, b"x" * 60000))
            sent += 60000
    except OSError:
        pass
    assert sent < 64 << 20


# ---- compression ----


def deflating(probe, offer="permessage-deflate; client_max_window_bits"):
    peer, r = accepted(probe, "Sec-WebSocket-Extensions: " + offer)
    peer.__class__ = WebSocket
    return peer, r.one("Sec-WebSocket-Extensions")


def squeeze(data, bits=12):
    c = zlib.compressobj(wbits=-bits)
    return (c.compress(data) + c.flush(zlib.Z_SYNC_FLUSH))[:-4]


def test_compressed_messages_there_and_back(probe):
    peer, answer = deflating(probe)
    assert answer == "permessage-deflate; client_max_window_bits=12"
    text = b"all work and no play " * 1000
    peer.send(raw(0xc1, squeeze(text)))
    first, size = peer._exactly(2)
    assert first == 0xc1, "the reply is compressed"
    size = int.from_bytes(peer._exactly(2), "big") if size == 126 else size
    packed = peer._exactly(size)
    assert len(packed) < 1000
    d = zlib.decompressobj(-12)
    assert d.decompress(packed + b"\0\0\xff\xff") == text
    peer.close()


@pytest.mark.parametrize("offer, answer", [
    ("permessage-deflate", "permessage-deflate"),
    ("permessage-deflate; server_max_window_bits=9; server_no_context_takeover",
     "permessage-deflate; server_no_context_takeover; "
     "server_max_window_bits=9"),
    ("permessage-deflate; server_max_window_bits=8", None),
    ("x-other, permessage-deflate; client_no_context_takeover",
     "permessage-deflate; client_no_context_takeover"),
])
def test_what_is_agreed_on(probe, offer, answer):
    peer, got = deflating(probe, offer)
    assert got == answer
    peer.close()


def test_a_bomb_closes_with_1009(probe):
    peer, _ = deflating(probe)
    peer.send(raw(0xc2, squeeze(b"\0" * 5_000_000)))
    assert code_of(peer.frame()) == 1009
    peer.close()


def test_compressed_data_that_is_none_closes_with_1007(probe):
    peer, _ = deflating(probe)
    peer.send(raw(0xc2, b"\xff\xff\xff"))
    assert code_of(peer.frame()) == 1007
    peer.close()


def test_compression_can_be_turned_off(server):
    s = server("-k", "asgi", "--no-websocket-compression", "asgi_probe:app",
               apps=["asgi_probe.py"])
    peer, answer = deflating(s)
    assert answer is None
    peer.close()


# ---- time ----


def test_a_silent_peer_is_pinged_and_then_closed(server):
    s = server("-k", "asgi", "--websocket-ping-interval", "1",
               "--websocket-ping-timeout", "1", "asgi_probe:app",
               apps=["asgi_probe.py"])
    ws = WebSocket(s.address, "/chat")
    assert ws.frame() == (PING, b"")
    ws.send_frame(PONG, b"")
    assert ws.frame() == (PING, b"")
    assert code_of(ws.frame()) == 1011
    ws.close()
    wait_seen(s, "disconnect", [1011, "keepalive ping timeout"])


def test_a_stop_closes_with_1012(server):
    s = server("-k", "asgi", "asgi_probe:app", apps=["asgi_probe.py"])
    ws = WebSocket(s.address, "/chat")
    ws.say("x")
    ws.hear()
    s.signal("TERM")
    assert code_of(ws.frame()) == 1012
    ws.send(raw(0x88, b"\x03\xf4"))
    ws.assert_closed()
    ws.close()
    assert s.wait() == 0


def test_a_websocket_is_a_line_of_the_access_log(server):
    s = server("-k", "asgi", "--access-logfile", "-", "--access-logformat",
               "%(m)s %(U)s %(s)s", "asgi_probe:app", apps=["asgi_probe.py"])
    ws = WebSocket(s.address, "/chat")
    ws.leave()
    until(lambda: "GET /chat 101" in s.stdout(), lambda: s.stdout())


def test_request_timeout_is_not_for_websockets(server):
    s = server("-k", "asgi", "--request-timeout", "1", "asgi_probe:app",
               apps=["asgi_probe.py"])
    ws = WebSocket(s.address, "/chat")
    ws.say("/sleep 1.5")
    assert ws.hear() == "slept"
    ws.leave()


def test_many_websockets_side_by_side(probe):
    many = [WebSocket(probe.address, "/chat") for _ in range(100)]
    for i, one in enumerate(many):
        one.say(str(i))
    for i, one in enumerate(many):
        assert one.hear() == str(i)
    for one in many:
        one.leave()
