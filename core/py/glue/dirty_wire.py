# SPDX-License-Identifier: MIT
"""The wire of dirty workers: frames around values, which are tagged bytes
(core/py/dirty makes and reads those).

Clients, the broker and the workers speak it; numbers are big-endian. Nothing is
read before its length was bounded.
"""
import struct

from _cgunicorn import WireError, wire_app, wire_decode_at, wire_reply, wire_request, wire_split  # noqa: F401
from _cgunicorn import wire_decode as decode
from _cgunicorn import wire_encode as encode

MAGIC, VERSION = b"GD", 1
HEADER = struct.Struct(">2sBBIQ")  # magic, version, kind, length, id of the request
REQUEST, RESPONSE, ERROR, CHUNK, END, STASH, STATUS, MANAGE = 1, 2, 3, 4, 5, 0x10, 0x11, 0x12
KINDS = frozenset((REQUEST, RESPONSE, ERROR, CHUNK, END, STASH, STATUS, MANAGE))
# between the broker and its workers alone
HELLO, SEAT, CANCEL, BYE, FAILED = 0x20, 0x21, 0x22, 0x23, 0x24
MOST = 64 * 1024 * 1024  # bytes of a text, of a frame
ITEMS_MOST = 1048576


def check(value, **fields):
    """That it is a dictionary with values of these kinds."""
    if not isinstance(value, dict):
        raise WireError("no dictionary: %s" % type(value).__name__)
    for name, kind in fields.items():
        if not isinstance(value.get(name), kind):
            raise WireError("%s: no %r" % (name, kind))


# ---- frames ----

def app_of(frame):
    """The app_path of a REQUEST frame. The rest is for its worker to
    judge."""
    app = wire_app(frame)  # where clients write it
    if app is not None:
        return app
    value = decode(frame[HEADER.size:])
    app = value.get("app_path") if isinstance(value, dict) else None
    if not isinstance(app, str):
        raise WireError("a request without app_path")
    return app


def number(request):
    """The id of a request on the wire; other ids than numbers are hashed."""
    if isinstance(request, int) and 0 <= request < 1 << 64:
        return request
    import hashlib
    return int.from_bytes(hashlib.sha256(str(request).encode()).digest()[:8], "big")


def pack(kind, request, payload=b""):
    if len(payload) > MOST:
        raise WireError("Message too large: %d bytes (max: %d)" % (len(payload), MOST))
    return HEADER.pack(MAGIC, VERSION, kind, len(payload), number(request)) + payload


def unpack_header(data, kinds=KINDS):
    """(kind, length, id)"""
    magic, version, kind, n, request = HEADER.unpack_from(data)
    if magic != MAGIC:
        raise WireError("Invalid magic: %r" % magic)
    if version != VERSION:
        raise WireError("Unsupported protocol version: %d" % version)
    if kinds is not None and kind not in kinds:
        raise WireError("Unknown message type: 0x%02x" % kind)
    if n > MOST:
        raise WireError("Message too large: %d bytes (max: %d)" % (n, MOST))
    return kind, n, request


def failure(request, kind, message, **details):
    """An ERROR frame."""
    return pack(ERROR, request, encode({"error": {
        "error_type": kind, "message": message, "details": details}}))


def receive(sock, n):
    """n bytes of a blocking socket; EOFError if it ends before."""
    data = sock.recv(n)
    if len(data) == n:
        return data
    parts = bytearray(data)
    while data and len(parts) < n:
        data = sock.recv(min(n - len(parts), 1 << 20))
        parts += data
    if len(parts) < n:
        raise EOFError("the connection ended")
    return bytes(parts)


class Reader:
    """Frames of a blocking socket, with as few calls of the system as it takes."""

    __slots__ = ("sock", "data")

    def __init__(self, sock):
        self.sock = sock
        self.data = b""

    def frame(self, kinds=None):
        """(kind, id, payload); EOFError if it ends before."""
        data, size = self.data or self._more(), HEADER.size
        whole = wire_split(data)  # most often it is one
        if whole is not None and kinds is None:
            self.data = b""
            return whole
        while len(data) < size:
            data += self._more()
        kind, n, request = unpack_header(data, kinds)
        end = size + n
        if len(data) < end:
            whole = bytearray(data)
            while len(whole) < end:
                whole += self._more()
            data = bytes(whole)
        self.data = data[end:]
        return kind, request, data[size:end]

    def _more(self):
        data = self.sock.recv(1 << 16)
        if not data:
            raise EOFError("the connection ended")
        return data


def receive_frame(sock, kinds=None):
    """(kind, id, payload)"""
    kind, n, request = unpack_header(receive(sock, HEADER.size), kinds)
    return kind, request, receive(sock, n) if n else b""
