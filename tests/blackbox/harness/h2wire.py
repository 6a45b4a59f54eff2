# SPDX-License-Identifier: MIT
"""A client of HTTP/2 that shows every frame, and sends whatever it is told. It
writes heads without compression, and reads of them the status alone: what else
a head says is curl's to show, what a frame is, ours."""
import socket
import struct
import time

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
ACK = END_STREAM = 1
END_HEADERS, PADDED = 4, 8
PROTOCOL_ERROR, FLOW_CONTROL, CLOSED, REFUSED, CANCEL, CALM = 1, 3, 5, 7, 8, 11
PRIORITY_UPDATE = 16
NO_TABLE = (1, 0)  # a setting: heads come without references to earlier ones


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _string(s):
    s = s.encode("latin-1") if isinstance(s, str) else s
    if len(s) < 127:
        return bytes([len(s)]) + s
    n, out = len(s) - 127, b"\x7f"
    while n >= 128:
        out += bytes([n % 128 + 128])
        n //= 128
    return out + bytes([n]) + s


def block(fields):
    return b"".join(b"\0" + _string(k) + _string(v) for k, v in fields)


def head(path="/", method="GET", more=(), authority="test"):
    return block([(":method", method), (":scheme", "http"), (":path", path),
                  (":authority", authority), *more])


# ---- a reply's status (RFC 7541, appendices A and B) ----

INDEXED = dict(zip(range(8, 15), (200, 204, 206, 304, 400, 404, 500)))
DIGITS = {"00000": "0", "00001": "1", "00010": "2", "011001": "3", "011010": "4",
          "011011": "5", "011100": "6", "011101": "7", "011110": "8", "011111": "9"}


def _huffman_digits(data):
    bits, out, word = "".join(f"{b:08b}" for b in data), "", ""
    for bit in bits:
        word += bit
        if word in DIGITS:
            out, word = out + DIGITS[word], ""
    assert set(word) <= {"1"}, (data, out)
    return out


def status_of(head):
    """Of the payload of a HEADERS frame to a client that said NO_TABLE."""
    at = 0
    while head[at] & 0xe0 == 0x20:  # the size of the table
        at += 1
    first = head[at]
    if first & 0x80:
        return INDEXED[first & 0x7f]
    name = first & (0x3f if first & 0x40 else 0x0f)
    assert name in INDEXED, head
    coded, n = head[at + 1] & 0x80, head[at + 1] & 0x7f
    text = head[at + 2:at + 2 + n]
    return int(_huffman_digits(text) if coded else text)


class Client:
    """sock: a connected socket; settings: what we say of ourselves."""

    def __init__(self, sock, settings=(), timeout=20):
        self.sock = sock
        sock.settimeout(timeout)
        self.buffer = b""
        self.goaway = None  # the code of the last one
        self.next_id = 1
        payload = b"".join(struct.pack(">HI", k, v) for k, v in settings)
        self.send(PREFACE + frame(SETTINGS, 0, 0, payload))

    def send(self, data):
        self.sock.sendall(data)

    def request(self, path="/", method="GET", more=(), end=True):
        stream = self.next_id
        self.next_id += 2
        self.send(frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream,
                        head(path, method, more)))
        return stream

    def read(self):
        """The next frame (kind, flags, stream, payload), or None at the end."""
        while True:
            if len(self.buffer) >= 9:
                n = int.from_bytes(self.buffer[:3], "big")
                if len(self.buffer) >= 9 + n:
                    kind, flags, stream = struct.unpack(">BBI", self.buffer[3:9])
                    payload = self.buffer[9:9 + n]
                    self.buffer = self.buffer[9 + n:]
                    if kind == GOAWAY:
                        self.goaway = int.from_bytes(payload[4:8], "big")
                    return kind, flags, stream & 0x7fffffff, payload
            try:
                more = self.sock.recv(65536)
            except ConnectionError:
                return None
            if not more:
                return None
            self.buffer += more

    def until(self, kind, stream=None, flags=0):
        """The next such frame; settings are acknowledged on the way."""
        while True:
            f = self.read()
            assert f is not None, "the connection ended before a frame of kind %d" % kind
            if f[0] == SETTINGS and not f[1] & ACK:
                self.send(frame(SETTINGS, ACK))
            if f[0] == kind and stream in (None, f[2]) and f[1] & flags == flags:
                return f

    def body(self, stream):
        """All DATA of a stream, with the window given back; ends at END_STREAM."""
        out = b""
        while True:
            kind, flags, of, payload = self.read()
            if kind == SETTINGS and not flags & ACK:
                self.send(frame(SETTINGS, ACK))
            if of == stream and kind == RST:
                raise ConnectionResetError(int.from_bytes(payload, "big"))
            if of == stream and kind == DATA:
                out += payload
                if payload:
                    n = struct.pack(">I", len(payload))
                    self.send(frame(WINDOW, 0, 0, n) + frame(WINDOW, 0, stream, n))
            if of == stream and kind in (DATA, HEADERS) and flags & END_STREAM:
                return out

    def ending(self):
        """The error code of the GOAWAY that ends the connection; None: it ended
        without one."""
        try:
            while self.read() is not None:
                pass
            return self.goaway
        except socket.timeout:
            raise AssertionError("the connection goes on") from None

    def close(self):
        self.sock.close()


def connect(server, **more):
    return Client(socket.create_connection(server.address, 20), **more)


def is_alive(server):
    """Whether another client is answered, and in how many seconds."""
    begin = time.monotonic()
    c = connect(server)
    try:
        c.body(c.request("/"))
    finally:
        c.close()
    return time.monotonic() - begin
