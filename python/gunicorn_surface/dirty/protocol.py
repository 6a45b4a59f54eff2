# SPDX-License-Identifier: MIT
"""The frames of dirty workers as gunicorn's classes have them."""
from _cgunicorn_glue import dirty_wire as wire

from .errors import DirtyError, DirtyProtocolError


def _error(error):
    if isinstance(error, dict):
        return error
    if isinstance(error, DirtyError):
        return error.to_dict()
    return {"error_type": type(error).__name__, "message": str(error), "details": {}}


_WORDS = {wire.REQUEST: "request", wire.RESPONSE: "response", wire.ERROR: "error",
          wire.CHUNK: "chunk", wire.END: "end", wire.STASH: "stash", wire.STATUS: "status",
          wire.MANAGE: "manage"}
_KINDS = {word: kind for kind, word in _WORDS.items()}

MAGIC, VERSION = wire.MAGIC, wire.VERSION
HEADER_FORMAT, HEADER_SIZE, MAX_MESSAGE_SIZE = wire.HEADER.format, wire.HEADER.size, wire.MOST
MSG_TYPE_TO_STR, MSG_TYPE_FROM_STR = _WORDS, _KINDS
# MSG_TYPE_REQUEST = 1 and MSG_TYPE_REQUEST_STR = "request", and so on
for _kind, _word in _WORDS.items():
    globals()["MSG_TYPE_" + _word.upper()] = _kind
    globals()["MSG_TYPE_%s_STR" % _word.upper()] = _word
MANAGE_OP_ADD, MANAGE_OP_REMOVE = 1, 2
(STASH_OP_PUT, STASH_OP_GET, STASH_OP_DELETE, STASH_OP_KEYS, STASH_OP_CLEAR, STASH_OP_INFO,
 STASH_OP_ENSURE, STASH_OP_DELETE_TABLE, STASH_OP_TABLES, STASH_OP_EXISTS) = range(1, 11)


def _guarded(call, *args):
    try:
        return call(*args)
    except wire.WireError as e:
        raise DirtyProtocolError(str(e)) from None


def _message(kind, request, payload):
    value = _guarded(wire.decode, payload) if payload else {}
    return {"type": _WORDS[kind], "id": request, **value}


class BinaryProtocol:
    HEADER_SIZE, MAX_MESSAGE_SIZE = HEADER_SIZE, MAX_MESSAGE_SIZE
    MSG_TYPE_REQUEST, MSG_TYPE_RESPONSE, MSG_TYPE_ERROR, MSG_TYPE_CHUNK, MSG_TYPE_END, \
        MSG_TYPE_STASH, MSG_TYPE_STATUS, MSG_TYPE_MANAGE = (
            _WORDS[kind] for kind in sorted(_WORDS))

    @staticmethod
    def encode_header(msg_type, request_id, payload_length):
        return wire.HEADER.pack(MAGIC, VERSION, msg_type, payload_length, request_id)

    @staticmethod
    def encode_request(request_id, app_path, action, args=None, kwargs=None):
        return _guarded(lambda: wire.pack(wire.REQUEST, request_id, wire.encode(
            {"app_path": app_path, "action": action, "args": list(args or ()),
             "kwargs": kwargs or {}})))

    @staticmethod
    def encode_response(request_id, result):
        return _guarded(lambda: wire.pack(wire.RESPONSE, request_id,
                                          wire.encode({"result": result})))

    @staticmethod
    def encode_error(request_id, error):
        return _guarded(lambda: wire.pack(wire.ERROR, request_id,
                                          wire.encode({"error": _error(error)})))

    @staticmethod
    def encode_chunk(request_id, data):
        return _guarded(lambda: wire.pack(wire.CHUNK, request_id, wire.encode({"data": data})))

    @staticmethod
    def encode_end(request_id):
        return wire.pack(wire.END, request_id)

    @staticmethod
    def encode_status(request_id):
        return wire.pack(wire.STATUS, request_id)

    @staticmethod
    def encode_manage(request_id, op, count=1):
        return wire.pack(wire.MANAGE, request_id, wire.encode({"op": op, "count": count}))

    @staticmethod
    def encode_stash(request_id, op, table, key=None, value=None, pattern=None):
        named = {"op": op, "table": table}
        for name, given in (("key", key), ("value", value), ("pattern", pattern)):
            if given is not None:
                named[name] = given
        return _guarded(lambda: wire.pack(wire.STASH, request_id, wire.encode(named)))

    @staticmethod
    def decode_header(data):
        """(kind, id, length of the payload)"""
        kind, n, request = _guarded(wire.unpack_header, data)
        return kind, request, n

    @staticmethod
    def decode_message(data):
        """(word, id, payload as a dictionary)"""
        kind, n, request = _guarded(wire.unpack_header, data)
        payload = data[wire.HEADER.size:wire.HEADER.size + n]
        return _WORDS[kind], request, _guarded(wire.decode, payload) if payload else {}

    @staticmethod
    def read_message(sock):
        try:
            return _message(*_guarded(wire.receive_frame, sock, wire.KINDS))
        except EOFError as e:
            raise DirtyProtocolError(str(e)) from None

    @staticmethod
    def write_message(sock, message):
        sock.sendall(BinaryProtocol._encode_from_dict(message))

    @staticmethod
    async def read_message_async(reader):
        kind, n, request = _guarded(wire.unpack_header,
                                    await reader.readexactly(wire.HEADER.size))
        return _message(kind, request, await reader.readexactly(n) if n else b"")

    @staticmethod
    async def write_message_async(writer, message):
        writer.write(BinaryProtocol._encode_from_dict(message))
        await writer.drain()

    @staticmethod
    def _encode_from_dict(message):
        rest = {k: v for k, v in message.items() if k not in ("type", "id")}
        if message.get("type") not in _KINDS:
            raise DirtyProtocolError("Unknown message type: %s" % message.get("type"))
        return _guarded(lambda: wire.pack(_KINDS[message["type"]], message.get("id", 0),
                                          wire.encode(rest) if rest else b""))


DirtyProtocol = BinaryProtocol


def make_request(request_id, app_path, action, args=None, kwargs=None):
    return {"type": "request", "id": request_id, "app_path": app_path, "action": action,
            "args": list(args or ()), "kwargs": kwargs or {}}


def make_response(request_id, result):
    return {"type": "response", "id": request_id, "result": result}


def make_error_response(request_id, error):
    return {"type": "error", "id": request_id, "error": _error(error)}


def make_chunk_message(request_id, data):
    return {"type": "chunk", "id": request_id, "data": data}


def make_end_message(request_id):
    return {"type": "end", "id": request_id}


def make_stash_message(request_id, op, table, key=None, value=None, pattern=None):
    message = {"type": "stash", "id": request_id, "op": op, "table": table}
    for name, given in (("key", key), ("value", value), ("pattern", pattern)):
        if given is not None:
            message[name] = given
    return message


def make_manage_message(request_id, op, count=1):
    return {"type": "manage", "id": request_id, "op": op, "count": count}
