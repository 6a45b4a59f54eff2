# SPDX-License-Identifier: MIT
"""The stash: tables of values in the dirty arbiter, which all processes share."""
import threading

from _cgunicorn_glue import dirty_stash as ops
from _cgunicorn_glue import dirty_wire as wire

from . import client as _client
from .errors import DirtyError, DirtyProtocolError
from .protocol import (  # noqa: F401
    STASH_OP_CLEAR, STASH_OP_DELETE, STASH_OP_DELETE_TABLE, STASH_OP_ENSURE, STASH_OP_EXISTS,
    STASH_OP_GET, STASH_OP_INFO, STASH_OP_KEYS, STASH_OP_PUT, STASH_OP_TABLES)


class StashError(DirtyError):
    pass


class StashTableNotFoundError(StashError):
    def __init__(self, table_name):
        super().__init__("Table not found: %s" % table_name)
        self.table_name = table_name


class StashKeyNotFoundError(StashError, KeyError):
    def __init__(self, table_name, key):
        super().__init__("Key not found: %s" % key)
        self.table_name = table_name
        self.key = key


_MISSING = object()


class StashClient:
    def __init__(self, socket_path, timeout=30.0):
        self.socket_path = socket_path
        self.timeout = timeout
        self._wire = _client.DirtyClient(socket_path, timeout)

    def _execute(self, op, table, key=None, value=None, pattern=None):
        named = {"op": op, "table": table, "key": key, "value": value, "pattern": pattern}
        link = self._wire
        with link._lock, _client._Call(link, link.close) as call:
            link._send(wire.pack(wire.STASH, call.number, wire.encode(named)))
            kind, _, payload = link._receive()
            call.done = True
        answer = wire.decode(payload)
        if kind != wire.ERROR:
            return answer["result"]
        text = answer["error"]["message"]
        if text.startswith("Key not found"):
            raise StashKeyNotFoundError(table, key)
        if text.startswith("Table not found"):
            raise StashTableNotFoundError(table)
        raise StashError(text)

    def put(self, table, key, value):
        self._execute(ops.PUT, table, key, value)

    def get(self, table, key, default=None):
        try:
            return self._execute(ops.GET, table, key)
        except StashKeyNotFoundError:
            return default

    def _get(self, table, key):
        return self._execute(ops.GET, table, key)

    def delete(self, table, key):
        return self._execute(ops.DELETE, table, key)

    def keys(self, table, pattern=None):
        return self._execute(ops.KEYS, table, pattern=pattern)

    def clear(self, table):
        self._execute(ops.CLEAR, table)

    def info(self, table):
        return self._execute(ops.INFO, table)

    def ensure(self, table):
        self._execute(ops.ENSURE, table)

    def exists(self, table, key=None):
        return self._execute(ops.EXISTS, table, key)

    def delete_table(self, table):
        return self._execute(ops.DROP, table)

    def tables(self):
        return self._execute(ops.TABLES, "")

    def table(self, name):
        return StashTable(self, name)

    def close(self):
        self._wire.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


class StashTable:
    """One table, like a dictionary."""

    def __init__(self, client, name):
        self._client = client
        self._name = name

    @property
    def name(self):
        return self._name

    def __getitem__(self, key):
        return self._client._get(self._name, key)

    def __setitem__(self, key, value):
        self._client.put(self._name, key, value)

    def __delitem__(self, key):
        if not self._client.delete(self._name, key):
            raise StashKeyNotFoundError(self._name, key)

    def __contains__(self, key):
        return self._client.exists(self._name, key)

    def __iter__(self):
        return iter(self.keys())

    def __len__(self):
        return len(self.keys())

    def get(self, key, default=None):
        return self._client.get(self._name, key, default)

    def keys(self, pattern=None):
        return self._client.keys(self._name, pattern)

    def clear(self):
        self._client.clear(self._name)

    def items(self):
        return [(k, self[k]) for k in self.keys()]

    def values(self):
        return [self[k] for k in self.keys()]


_path = None
_local = threading.local()


def set_stash_socket_path(path):
    global _path
    _path = path


def get_stash_socket_path():
    return _path or _client.get_dirty_socket_path()


def _get_client():
    client = getattr(_local, "client", None)
    if client is None or client.socket_path != get_stash_socket_path():
        client = _local.client = StashClient(get_stash_socket_path())
    return client


def put(table, key, value):
    _get_client().put(table, key, value)


def get(table, key, default=None):
    return _get_client().get(table, key, default)


def delete(table, key):
    return _get_client().delete(table, key)


def keys(table, pattern=None):
    return _get_client().keys(table, pattern)


def clear(table):
    _get_client().clear(table)


def info(table):
    return _get_client().info(table)


def ensure(table):
    _get_client().ensure(table)


def exists(table, key=None):
    return _get_client().exists(table, key)


def delete_table(table):
    return _get_client().delete_table(table)


def tables():
    return _get_client().tables()


def table(name):
    return _get_client().table(name)
