# SPDX-License-Identifier: MIT
"""
The groups of the Autobahn test suite (fuzzingclient), written anew: what a client
sends, and what has to come back from an application that echoes. 1 framing, 2 pings
and pongs, 3 reserved bits, 4 opcodes, 5 fragments, 6 UTF-8, 7 closing, 9 size and
count, 10 fragments of a message's own, 12 and 13 compression. 11 is not one.
A case is (name, what is sent, which frames come, the code of the end): None is the
client's own closing handshake.
"""
import os
import struct
import zlib

import pytest

from harness.websocket import CLOSE, WebSocket
from harness.wire import Peer

CONT, TEXT, BINARY, PING, PONG = 0, 1, 2, 9, 10
FIN, COMPRESSED = 0x80, 0x40
LARGEST = 4 << 20
ANYTHING = None  # whatever comes before the end


def masked(data, mask):
    n = len(data)
    whole = (mask * (n // 4 + 1))[:n]
    return (int.from_bytes(data, "big") ^ int.from_bytes(whole, "big")).to_bytes(n, "big")


def frame(opcode, data=b"", fin=True, bits=0):
    size = len(data)
    head = (bytes([0x80 | size]) if size < 126 else
            b"\xfe" + struct.pack(">H", size) if size < 65536 else
            b"\xff" + struct.pack(">Q", size))
    mask = os.urandom(4)
    return bytes([(FIN if fin else 0) | bits | opcode]) + head + mask + masked(data, mask)


def fragments(opcode, data, size):
    """The frames of one message, each of that size but the last."""
    parts = [data[i:i + size] for i in range(0, len(data), size)] or [b""]
    return [frame(CONT if i else opcode, part, fin=i == len(parts) - 1)
            for i, part in enumerate(parts)]


def close(code=None, reason=b""):
    return frame(CLOSE, b"" if code is None else struct.pack(">H", code) + reason)


def one_by_one(data):
    return [data[i:i + 1] for i in range(len(data))]


def good(name, opcode, data, sent):
    return name, sent, [(opcode, data)], None


# ---- the groups ----

SIZES = (0, 125, 126, 127, 128, 65535, 65536)


def framing():
    for opcode, kind in ((TEXT, "text"), (BINARY, "binary")):
        for size in SIZES:
            data = b"*" * size if opcode == TEXT else b"\xfe" * size
            yield good(f"{kind} of {size}", opcode, data, [frame(opcode, data)])
        whole = frame(opcode, b"*" * 65536)
        yield good(f"{kind}, chopped", opcode, b"*" * 65536,
                   [whole[i:i + 997] for i in range(0, len(whole), 997)])


def pings():
    for name, data in (("empty", b""), ("text", b"Hello, world!"),
                       ("binary", b"\0\xff\xfe\xfd\xfc\xfb\0\xff"), ("125", b"\xfe" * 125)):
        yield name, [frame(PING, data)], [(PONG, data)], None
    yield "too long", [frame(PING, b"\xfe" * 126)], [], 1002
    yield ("byte by byte", one_by_one(frame(PING, b"\xfe" * 125)),
           [(PONG, b"\xfe" * 125)], None)
    yield "unasked pong", [frame(PONG)], [], None
    yield "unasked pong with data", [frame(PONG, b"unasked")], [], None
    yield ("unasked pong, then a ping", [frame(PONG, b"unasked"), frame(PING, b"asked")],
           [(PONG, b"asked")], None)
    ten = [b"payload-%d" % i for i in range(10)]
    yield "ten", [frame(PING, p) for p in ten], [(PONG, p) for p in ten], None
    yield ("ten, byte by byte", one_by_one(b"".join(frame(PING, p) for p in ten)),
           [(PONG, p) for p in ten], None)


def reserved_bits():
    hello = [(TEXT, b"Hello")]
    for bits in range(1, 8):
        for name, opcode in (("text", TEXT), ("binary", BINARY), ("ping", PING),
                             ("close", CLOSE)):
            bad = frame(opcode, b"\3\xe8" if opcode == CLOSE else b"Hello", bits=bits << 4)
            sent = frame(TEXT, b"Hello") + bad + frame(PING)
            yield f"{bits} in {name}", [sent], hello, 1002
            yield f"{bits} in {name}, byte by byte", one_by_one(sent), hello, 1002


def opcodes():
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        for data in (b"", b"reserved"):
            sent = frame(TEXT, b"Hello") + frame(opcode, data) + frame(PING)
            yield f"{opcode}, {len(data)} bytes", [sent], [(TEXT, b"Hello")], 1002
            yield (f"{opcode}, {len(data)} bytes, byte by byte", one_by_one(sent),
                   [(TEXT, b"Hello")], 1002)


def fragmented():
    ping, pong = frame(PING, b"ping"), (PONG, b"ping")
    a, b = b"fragment1", b"fragment2"
    first, last = frame(TEXT, a, fin=False), frame(CONT, b)
    yield "of a ping", [frame(PING, a, fin=False), frame(CONT, b)], [], 1002
    yield "of a pong", [frame(PONG, a, fin=False), frame(CONT, b)], [], 1002
    for name, cut in (("frames", lambda x: [x]), ("bytes", one_by_one)):
        yield good(f"two, by {name}", TEXT, a + b, cut(first) + cut(last))
        yield (f"a ping between, by {name}", cut(first) + cut(ping) + cut(last),
               [pong, (TEXT, a + b)], None)
        yield f"a text within, by {name}", cut(first) + cut(frame(TEXT, b)), [], 1002
        for fin in (True, False):
            yield (f"nothing to go on with, {fin}, by {name}",
                   cut(frame(CONT, b"no", fin=fin)) + cut(frame(TEXT, b"Hello")), [], 1002)
    yield good("empty ones", TEXT, b"", [frame(TEXT, fin=False), frame(CONT, fin=False),
                                         frame(CONT)])
    yield good("empty ones around", TEXT, b"middle", [
        frame(TEXT, fin=False), frame(CONT, b"middle", fin=False), frame(CONT)])
    five = fragments(TEXT, b"fragment1fragment2fragment3fragment4fragment5", 9)
    yield ("five, pings between", [five[0], five[1], ping, five[2], five[3], ping, five[4]],
           [pong, pong, (TEXT, b"fragment1fragment2fragment3fragment4fragment5")], None)
    yield ("five, then nothing to go on with", [*five, frame(CONT, b"x")],
           [(TEXT, b"fragment1fragment2fragment3fragment4fragment5")], 1002)


KOSME = "\u03ba\u1f79\u03c3\u03bc\u03b5".encode()
UTF8 = [
    KOSME, b"Hello-\xc2\xb5@\xc3\x9f\xc3\xb6\xc3\xa4\xc3\xbc\xc3\xa0\xc3\xa1-UTF-8!!",
    b"\0", b"\xc2\x80", b"\xe0\xa0\x80", b"\xf0\x90\x80\x80", b"\xf8\x88\x80\x80\x80",
    b"\xfc\x84\x80\x80\x80\x80", b"\x7f", b"\xdf\xbf", b"\xef\xbf\xbf", b"\xf4\x8f\xbf\xbf",
    b"\xf7\xbf\xbf\xbf", b"\xfb\xbf\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf\xbf",
    b"\xed\x9f\xbf", b"\xee\x80\x80", b"\xef\xbf\xbd", b"\xf4\x90\x80\x80",
    b"\x80", b"\xbf", b"\x80\xbf", b"\x80\xbf\x80", b"\x80\xbf\x80\xbf\x80\xbf",
    bytes(range(0x80, 0xc0)), b"".join(bytes([c, 0x20]) for c in range(0xc0, 0xe0)),
    b"".join(bytes([c, 0x20]) for c in range(0xe0, 0xf0)),
    b"".join(bytes([c, 0x20]) for c in range(0xf0, 0xf8)), b"\xc0", b"\xe0\x80",
    b"\xf0\x80\x80", b"\xf8\x80\x80\x80", b"\xfc\x80\x80\x80\x80", b"\xdf", b"\xef\xbf",
    b"\xf7\xbf\xbf", b"\xfe", b"\xff", b"\xfe\xfe\xff\xff",
    b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xf8\x80\x80\x80\xaf",
    b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xf0\x8f\xbf\xbf", b"\xc0\x80", b"\xe0\x80\x80",
    b"\xed\xa0\x80", b"\xed\xad\xbf", b"\xed\xae\x80", b"\xed\xaf\xbf", b"\xed\xb0\x80",
    b"\xed\xbf\xbf", b"\xed\xa0\x80\xed\xb0\x80", b"\xed\xaf\xbf\xed\xbf\xbf",
    b"\xef\xbf\xbe", b"\xf0\x9f\xbf\xbe", b"\xf4\x8f\xbf\xbe",
    *(KOSME[:n] for n in range(1, len(KOSME))),
    KOSME + b"\xed\xa0\x80edited", KOSME + b"\xf4\x90\x80\x80edited"]


def is_utf8(data):
    try:
        return bool(data.decode()) or True
    except UnicodeDecodeError:
        return False


def utf8():
    for data in UTF8:
        comes, end = ([(TEXT, data)], None) if is_utf8(data) else ([], 1007)
        yield data.hex(), [frame(TEXT, data)], comes, end
        yield f"{data.hex()} in fragments", fragments(TEXT, data, 1), comes, end
        yield f"{data.hex()} byte by byte", one_by_one(frame(TEXT, data)), comes, end
    for cut in (b"\xf4\x90", b"\xed\xa0"):  # told before the message is there
        yield f"{cut.hex()} at once", [frame(TEXT, KOSME + cut, fin=False)], [], 1007
        whole = frame(TEXT, KOSME + cut + b"x" * 50)
        yield f"{cut.hex()} at once, in a frame", [whole[:6 + len(KOSME) + 2]], [], 1007


def closing():
    hello = [(TEXT, b"Hello")]
    yield "after a message", [frame(TEXT, b"Hello")], hello, None
    yield "twice", [close(1000) + close(1000)], [], 1000
    yield "ping after it", [close(1000) + frame(PING)], [], 1000
    yield "text after it", [close(1000) + frame(TEXT, b"no")], [], 1000
    yield ("within fragments", [frame(TEXT, b"one", fin=False) + close(1000)
                                + frame(CONT, b"two")], [], 1000)
    yield ("behind a large one", [frame(TEXT, b"*" * 262144) + frame(TEXT, b"Hello")
                                  + close(1000) + frame(PING)], ANYTHING, 1000)
    yield "empty", [frame(CLOSE)], [], 1000
    yield "of one byte", [frame(CLOSE, b"a")], [], 1002
    yield "with the longest reason", [close(1000, b"*" * 123)], [], 1000
    yield "with too long a reason", [close(1000, b"*" * 124)], [], 1002
    yield "with a bad reason", [close(1000, KOSME + b"\xed\xa0\x80edited")], [], 1007
    for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999):
        yield f"{code}", [close(code)], [], code
    for code in (0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65535):
        yield f"{code} is none", [close(code)], [], 1002


def sizes():
    for size in (1 << 16, 1 << 18, 1 << 20, LARGEST):
        for opcode in (TEXT, BINARY):
            data = b"*" * size
            yield good(f"{opcode} of {size}", opcode, data, [frame(opcode, data)])
    for size in (64, 1024, 1 << 16, 1 << 20):
        data = b"*" * min(LARGEST, size * 4096)
        yield good(f"fragments of {size}", BINARY, data,
                   [b"".join(fragments(BINARY, data, size))])
    whole = frame(TEXT, b"*" * (1 << 20))
    for size in (64, 256, 2048):
        cut = [whole[i:i + size] for i in range(0, len(whole), size)][:2000]
        cut.append(whole[2000 * size:])
        yield good(f"chops of {size}", TEXT, b"*" * (1 << 20), cut)
    for size in (0, 16, 64, 256, 1024):
        for opcode in (TEXT, BINARY):
            data = b"*" * size
            yield (f"a thousand of {size}", [frame(opcode, data) * 1000],
                   [(opcode, data)] * 1000, None)


def its_own_fragments():
    data = b"*" * 65536
    yield good("of 1300", BINARY, data, fragments(BINARY, data, 1300))


GROUPS = {"1 framing": framing, "2 pings and pongs": pings, "3 reserved bits": reserved_bits,
          "4 opcodes": opcodes, "5 fragments": fragmented, "6 UTF-8": utf8,
          "7 closing": closing, "9 size and count": sizes, "10 its own": its_own_fragments}


# ---- how they are tried ----

@pytest.fixture(scope="module")
def echo(module_server):
    s = module_server("-k", "asgi", "--websocket-max-message-size", str(LARGEST),
                      "asgi_probe:app", apps=["asgi_probe.py"])
    s.announce("Invalid WebSocket frame")
    return s


def hear(ws):
    """(first byte, data) of the next frame."""
    first, size = ws._exactly(2)
    assert size < 128, "a server does not mask"
    if size > 125:
        size = int.from_bytes(ws._exactly(2 if size == 126 else 8), "big")
    return first, ws._exactly(size)


def try_one(server, sent, comes, end):
    with WebSocket(server.address, "/chat") as ws:
        ws.sock.setsockopt(6, 1, 1)  # TCP_NODELAY: what is chopped leaves so
        for data in sent:
            ws.send(data)
        for opcode, data in comes or ():
            got = hear(ws)
            assert got == (FIN | opcode, data), (got[0], got[1][:80])
        if end is None:
            ws.leave()
            return
        first, data = hear(ws)
        while comes is ANYTHING and first != FIN | CLOSE:
            first, data = hear(ws)
        assert (first, data[:2]) == (FIN | CLOSE, struct.pack(">H", end)), (first, data)
        ws.end_sending()
        ws.assert_closed()


@pytest.mark.parametrize("group", GROUPS)
def test_every_case_of_the_group(echo, group):
    failed = {}
    for name, sent, comes, end in GROUPS[group]():
        try:
            try_one(echo, sent, comes, end)
        except Exception as e:  # pylint: disable=broad-except
            failed[name] = repr(e)
    assert not failed


# ---- 12 and 13 ----

class Deflating(WebSocket):
    """permessage-deflate, as the server agrees to it."""

    def __init__(self, address, offer):  # pylint: disable=super-init-not-called
        Peer.__init__(self, address)
        self.get("/chat", "Upgrade: websocket", "Connection: Upgrade",
                 "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
                 f"Sec-WebSocket-Extensions: {offer}")
        answer = self.interim().one("Sec-WebSocket-Extensions")
        self.agreed = {}
        for part in (answer or "").split(";")[1:]:
            key, _, value = part.strip().partition("=")
            self.agreed[key] = int(value or 0)
        self.answer = answer
        self.packer = self.unpacker = None

    def bits(self, who):
        return self.agreed.get(f"{who}_max_window_bits") or 15

    def pack(self, data):
        if self.packer is None or "client_no_context_takeover" in self.agreed:
            self.packer = zlib.compressobj(wbits=-max(9, self.bits("client")))
        return (self.packer.compress(data) + self.packer.flush(zlib.Z_SYNC_FLUSH))[:-4]

    def unpack(self, data):
        if self.unpacker is None or "server_no_context_takeover" in self.agreed:
            self.unpacker = zlib.decompressobj(-self.bits("server"))
        return self.unpacker.decompress(data + b"\0\0\xff\xff")

    def send_message(self, opcode, data, size):
        frames = fragments(opcode, self.pack(data), size)
        frames[0] = bytes([frames[0][0] | COMPRESSED]) + frames[0][1:]
        self.send(b"".join(frames))

    def hear_message(self):
        first, data = hear(self)
        assert first & FIN, "this server sends no fragments"
        return first & 15, self.unpack(data) if first & COMPRESSED else data


OFFERS = {
    "": {}, "; client_max_window_bits": {},
    "; client_no_context_takeover": {"client_no_context_takeover": 0},
    "; server_no_context_takeover": {"server_no_context_takeover": 0},
    "; server_max_window_bits=9": {"server_max_window_bits": 9},
    "; server_max_window_bits=15": {},
    "; client_max_window_bits=9; server_max_window_bits=9":
        {"server_max_window_bits": 9},
    "; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9":
        {"server_no_context_takeover": 0, "client_no_context_takeover": 0,
         "server_max_window_bits": 9},
    # the first that it can do is taken
    "; server_max_window_bits=8, permessage-deflate; server_no_context_takeover":
        {"server_no_context_takeover": 0},
}
KINDS = {"json": (TEXT, b'{"name": "Ren\xc3\xa9", "n": [1, 2, 3]}, '),
         "zeros": (BINARY, b"\0"), "noise": (BINARY, None)}


@pytest.mark.parametrize("offer", OFFERS)
def test_compressed_messages_of_every_size(echo, offer):
    with Deflating(echo.address, "permessage-deflate" + offer) as ws:
        assert ws.answer is not None
        for key, value in OFFERS[offer].items():
            assert ws.agreed.get(key) == value, ws.answer
        for opcode, unit in KINDS.values():
            for size in (0, 16, 64, 256, 1024, 4096, 8192, 16384, 32768, 65536, 131072):
                data = os.urandom(size) if unit is None else unit * (size // len(unit))
                for cut in (1 << 20, max(1, size // 7)):  # whole, and in fragments
                    ws.send_message(opcode, data, cut)
                    assert ws.hear_message() == (opcode, data)
        for i in range(200):  # one behind the other, with the same windows
            ws.send_message(TEXT, b"message %d" % i, 1 << 20)
        for i in range(200):
            assert ws.hear_message() == (TEXT, b"message %d" % i)
        ws.leave()
