# SPDX-License-Identifier: MIT
"""The wire of dirty workers: values as tagged bytes, and frames around them.

Clients, the broker and the workers speak it; numbers are big-endian. Nothing is
read before its length was bounded.
"""
import functools
import struct

MAGIC, VERSION = b"GD", 1
HEADER = struct.Struct(">2sBBIQ")  # magic, version, kind, length, id of the request
REQUEST, RESPONSE, ERROR, CHUNK, END, STASH, STATUS, MANAGE = 1, 2, 3, 4, 5, 0x10, 0x11, 0x12
KINDS = frozenset((REQUEST, RESPONSE, ERROR, CHUNK, END, STASH, STATUS, MANAGE))
# between the broker and its workers alone
HELLO, SEAT, CANCEL, BYE, FAILED = 0x20, 0x21, 0x22, 0x23, 0x24
MOST = 64 * 1024 * 1024  # bytes of a text, of a frame
ITEMS_MOST = 1048576
DEPTH_MOST = 100

_I64, _F64, _U32 = struct.Struct(">bq"), struct.Struct(">bd"), struct.Struct(">bI")
_LENGTH, _Q, _D = struct.Struct(">I"), struct.Struct(">q"), struct.Struct(">d")


class WireError(Exception):
    """What came is no frame, or what goes cannot be one."""


# ---- values ----

def _put(value, out, depth):
    kind = type(value)
    if kind is str:
        raw = value.encode("utf-8")
        if len(raw) > MOST:
            _sized(out, 0x11, raw, "String")
        out += (_U32.pack(0x11, len(raw)), raw)
    elif value is None:
        out.append(b"\x00")
    elif kind is bool:
        out.append(b"\x01\x01" if value else b"\x01\x00")
    elif kind is int:
        if not -(1 << 63) <= value < 1 << 63:
            raise WireError("Integer out of range: %d" % value)
        out.append(_I64.pack(5, value))
    elif kind is float:
        out.append(_F64.pack(6, value))
    elif kind in (bytes, bytearray, memoryview):
        _sized(out, 0x10, bytes(value), "Bytes")
    elif depth > DEPTH_MOST:
        raise WireError("Values are nested too deeply")
    elif isinstance(value, (list, tuple)):
        _counted(out, 0x20, value, "List")
        for item in value:
            _put(item, out, depth + 1)
    elif isinstance(value, dict):
        _counted(out, 0x21, value, "Dict")
        for key, item in value.items():
            _put(str(key), out, depth + 1)
            _put(item, out, depth + 1)
    else:
        _put_kin(value, out, depth)


def _put_kin(value, out, depth):
    """Subclasses: an IntEnum, numpy's float64."""
    for kind in (bool, int, float, str, bytes, bytearray):
        if isinstance(value, kind):
            return _put(kind(value), out, depth)
    raise WireError("Unsupported type for TLV encoding: %s" % type(value).__name__)


def _sized(out, tag, raw, what):
    if len(raw) > MOST:
        raise WireError("%s too large: %d bytes (max: %d)" % (what, len(raw), MOST))
    out.append(_U32.pack(tag, len(raw)))
    out.append(raw)


def _counted(out, tag, items, what):
    if len(items) > ITEMS_MOST:
        raise WireError("%s too large: %d items (max: %d)" % (what, len(items), ITEMS_MOST))
    out.append(_U32.pack(tag, len(items)))


def encode(value):
    out = []
    _put(value, out, 0)
    return b"".join(out)


def _need(data, at, n):
    if len(data) - at < n:
        raise WireError("Truncated TLV data")


def _count(data, at, most):
    _need(data, at, 4)
    n = _LENGTH.unpack_from(data, at)[0]
    if n > most:
        raise WireError("TLV length %d above %d" % (n, most))
    return n, at + 4


def _get_text(data, at):
    left = len(data) - at - 4
    n = _LENGTH.unpack_from(data, at)[0] if left >= 0 else 0
    at += 4
    if n > left or n > MOST:
        n, at = _count(data, at - 4, MOST)
        _need(data, at, n)
    try:
        return str(data[at:at + n], "utf-8"), at + n
    except UnicodeDecodeError as e:
        raise WireError("Invalid UTF-8 in string: %s" % e) from None


def _get(data, at, depth):
    _need(data, at, 1)
    tag = data[at]
    at += 1
    if tag == 0x11:
        return _get_text(data, at)
    if tag == 0x00:
        return None, at
    if tag == 0x01:
        _need(data, at, 1)
        return data[at] != 0, at + 1
    if tag in (0x05, 0x06):
        _need(data, at, 8)
        return (_Q if tag == 5 else _D).unpack_from(data, at)[0], at + 8
    if tag == 0x10:
        n, at = _count(data, at, MOST)
        _need(data, at, n)
        return bytes(data[at:at + n]), at + n
    if tag not in (0x20, 0x21):
        raise WireError("Unknown TLV type code: 0x%02x" % tag)
    if depth > DEPTH_MOST:
        raise WireError("Values are nested too deeply")
    n, at = _count(data, at, ITEMS_MOST)
    _need(data, at, n)  # an item has a byte at least
    if tag == 0x20:
        items = []
        for _ in range(n):
            item, at = _get(data, at, depth + 1)
            items.append(item)
        return items, at
    pairs = {}
    for _ in range(n):
        _need(data, at, 1)
        if data[at] != 0x11:
            raise WireError("Dict key must be string")
        key, at = _get_text(data, at + 1)
        pairs[key], at = _get(data, at, depth + 1)
    return pairs, at


def decode(data):
    value, at = _get(data, 0, 0)
    if at != len(data):
        raise WireError("Trailing data after TLV")
    return value


def check(value, **fields):
    """That it is a dictionary with values of these kinds."""
    if not isinstance(value, dict):
        raise WireError("no dictionary: %s" % type(value).__name__)
    for name, kind in fields.items():
        if not isinstance(value.get(name), kind):
            raise WireError("%s: no %r" % (name, kind))


# ---- what each call is made of: the same bytes around what differs ----

@functools.lru_cache(maxsize=256)
def _beginning(app_path, action):
    whole = encode({"app_path": app_path, "action": action, "args": None, "kwargs": None})
    return whole[:-len(_KWARGS) - 2]


def encode_call(app_path, action, args, kwargs):
    out = [_beginning(app_path, action)]
    _put(args, out, 1)
    out.append(_KWARGS)
    _put(kwargs, out, 1)
    return b"".join(out)


def encode_result(value):
    out = [_RESULT]
    _put(value, out, 1)
    return b"".join(out)


def decode_result(data):
    """Of a RESPONSE."""
    if not data.startswith(_RESULT):
        return decode(data)["result"]
    value, at = _get(data, len(_RESULT), 1)
    if at != len(data):
        raise WireError("Trailing data after TLV")
    return value


_KWARGS = encode("kwargs")
_RESULT = encode({"result": None})[:-1]


# ---- frames ----

_FIRST = encode({"app_path": ""})[5:-4]  # what clients write first


def app_of(frame):
    """The app_path of a REQUEST frame. The rest is for its worker to
    judge."""
    at = HEADER.size + 5
    if frame[at:at + len(_FIRST)] == _FIRST:
        return _get_text(frame, at + len(_FIRST))[0]
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
        data, size = self.data, HEADER.size
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
