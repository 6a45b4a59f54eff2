# SPDX-License-Identifier: MIT
"""Calls of dirty workers: from threads and greenlets by a blocking socket, from
asyncio by a stream. A call that is given up closes its connection, by which the
worker learns that nobody waits."""
import asyncio
import contextvars
import os
import socket
import threading
import time

from _cgunicorn_glue import dirty_wire as wire

from .errors import DirtyConnectionError, DirtyError, DirtyProtocolError, DirtyTimeoutError

_PAUSE = 0.05  # while the dirty arbiter is not there yet
_CHUNK_TIMEOUT = 30.0
_FRESH = 0.01  # seconds in which a connection that answered is not looked at


def _request(number, app_path, action, args, kwargs):
    try:
        return wire.pack(wire.REQUEST, number, wire.encode(
            {"app_path": app_path, "action": action, "args": args, "kwargs": kwargs}))
    except wire.WireError as e:
        raise DirtyProtocolError(str(e)) from None


def _value(kind, payload):
    value = wire.decode(payload) if payload else {}
    if kind == wire.ERROR:
        raise DirtyError.from_dict(value["error"])
    return value


def _result(kind, payload):
    value = _value(kind, payload)
    if kind != wire.RESPONSE:
        raise DirtyError("the action streams: call stream() or stream_async()")
    return value["result"]


class DirtyClient:
    """One connection; a call has it for itself."""

    def __init__(self, socket_path, timeout=30.0):
        self.socket_path = socket_path
        self.timeout = timeout
        self._sock = None
        self._lock = threading.Lock()
        self._number = 0
        self._rests = 0.0  # from then on the connection may have ended unseen
        self._reader = self._writer = None
        self._async_lock = None

    # ---- threads ----

    def connect(self):
        until = time.monotonic() + self.timeout
        while self._sock is None:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                sock.settimeout(self.timeout)
                sock.connect(self.socket_path)
                self._sock = sock
            except (FileNotFoundError, ConnectionRefusedError, BlockingIOError) as e:
                sock.close()
                if time.monotonic() >= until:
                    raise DirtyConnectionError("Failed to connect to dirty arbiter: %s" % e,
                                               self.socket_path) from e
                time.sleep(_PAUSE)
            except OSError as e:
                sock.close()
                raise DirtyConnectionError("Failed to connect to dirty arbiter: %s" % e,
                                           self.socket_path) from e

    def _send(self, frame):
        """A connection that ended while it was idle is made anew."""
        if self._sock is not None and time.monotonic() > self._rests and self._is_over():
            self.close()
        if self._sock is None:
            self.connect()
        self._sock.sendall(frame)

    def _is_over(self):
        try:
            self._sock.setblocking(False)
            try:
                return self._sock.recv(1, socket.MSG_PEEK) == b""
            finally:
                self._sock.settimeout(self.timeout)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            return True

    def _begin(self, app_path, action, args, kwargs):
        self._number += 1
        frame = _request(self._number, app_path, action, args, kwargs)
        self._send(frame)
        return self._number

    def _receive(self, number):
        kind, request, payload = wire.receive_frame(self._sock)
        if request != number:
            raise DirtyProtocolError("a frame of another call")
        self._rests = time.monotonic() + _FRESH
        return kind, payload

    def _translate(self, e):
        self.close()
        if isinstance(e, socket.timeout):
            return DirtyTimeoutError("Timeout waiting for response", self.timeout)
        if isinstance(e, wire.WireError):
            return DirtyProtocolError(str(e))
        return DirtyConnectionError("Communication error: %s" % e, self.socket_path)

    def execute(self, app_path, action, *args, **kwargs):
        with self._lock:
            done = False
            try:
                number = self._begin(app_path, action, args, kwargs)
                kind, payload = self._receive(number)
                done = kind in (wire.RESPONSE, wire.ERROR)
            except (OSError, EOFError, wire.WireError) as e:
                raise self._translate(e) from e
            finally:
                if not done:
                    self.close()
            return _result(kind, payload)

    def stream(self, app_path, action, *args, **kwargs):
        """An iterator of what the action yields; of its value, if it does not."""
        with self._lock:
            done = False
            try:
                until = time.monotonic() + self.timeout
                number = self._begin(app_path, action, args, kwargs)
                while True:
                    left = until - time.monotonic()
                    if left <= 0:
                        raise socket.timeout()
                    self._sock.settimeout(min(left, _CHUNK_TIMEOUT))
                    kind, payload = self._receive(number)
                    done = kind != wire.CHUNK
                    value = _value(kind, payload)
                    if kind == wire.END:
                        return
                    if kind == wire.RESPONSE:
                        yield value["result"]
                        return
                    yield value["data"]
            except (OSError, EOFError, wire.WireError) as e:
                raise self._translate(e) from e
            finally:
                if not done:
                    self.close()
                elif self._sock is not None:
                    self._sock.settimeout(self.timeout)

    def close(self):
        sock, self._sock = self._sock, None
        if sock is not None:
            sock.close()

    def __enter__(self):
        self.connect()
        return self

    def __exit__(self, *exc):
        self.close()

    # ---- asyncio ----

    async def connect_async(self):
        until = time.monotonic() + self.timeout
        while self._writer is None:
            try:
                self._reader, self._writer = await asyncio.wait_for(
                    asyncio.open_unix_connection(self.socket_path), self.timeout)
            except (FileNotFoundError, ConnectionRefusedError, BlockingIOError) as e:
                if time.monotonic() >= until:
                    raise DirtyConnectionError("Failed to connect to dirty arbiter: %s" % e,
                                               self.socket_path) from e
                await asyncio.sleep(_PAUSE)
            except asyncio.TimeoutError:
                raise DirtyTimeoutError("Connection to dirty arbiter timed out",
                                        self.timeout) from None
            except OSError as e:
                raise DirtyConnectionError("Failed to connect to dirty arbiter: %s" % e,
                                           self.socket_path) from e

    async def _begin_async(self, app_path, action, args, kwargs):
        self._number += 1
        frame = _request(self._number, app_path, action, args, kwargs)
        if self._reader is not None and self._reader.at_eof():
            self._close_async()
        await self.connect_async()
        self._writer.write(frame)
        await self._writer.drain()
        return self._number

    async def _receive_async(self, number):
        head = await self._reader.readexactly(wire.HEADER.size)
        kind, n, request = wire.unpack_header(head)
        if request != number:
            raise DirtyProtocolError("a frame of another call")
        return kind, await self._reader.readexactly(n) if n else b""

    def _translate_async(self, e):
        self._close_async()
        if isinstance(e, asyncio.TimeoutError):
            return DirtyTimeoutError("Timeout waiting for response", self.timeout)
        if isinstance(e, wire.WireError):
            return DirtyProtocolError(str(e))
        return DirtyConnectionError("Communication error: %s" % e, self.socket_path)

    def _only_one(self):
        if self._async_lock is None:
            self._async_lock = asyncio.Lock()
        return self._async_lock

    async def _call(self, app_path, action, args, kwargs):
        number = await self._begin_async(app_path, action, args, kwargs)
        return await self._receive_async(number)

    async def execute_async(self, app_path, action, *args, **kwargs):
        async with self._only_one():
            done = False
            try:
                kind, payload = await asyncio.wait_for(
                    self._call(app_path, action, args, kwargs), self.timeout)
                done = kind in (wire.RESPONSE, wire.ERROR)
            except (asyncio.TimeoutError, OSError, EOFError, wire.WireError) as e:
                raise self._translate_async(e) from e
            finally:
                if not done:
                    self._close_async()
            return _result(kind, payload)

    async def stream_async(self, app_path, action, *args, **kwargs):
        async with self._only_one():
            done = False
            try:
                until = time.monotonic() + self.timeout
                number = await asyncio.wait_for(
                    self._begin_async(app_path, action, args, kwargs), self.timeout)
                while True:
                    left = min(until - time.monotonic(), _CHUNK_TIMEOUT)
                    kind, payload = await asyncio.wait_for(
                        self._receive_async(number), max(left, 0))
                    done = kind != wire.CHUNK
                    value = _value(kind, payload)
                    if kind == wire.END:
                        return
                    if kind == wire.RESPONSE:
                        yield value["result"]
                        return
                    yield value["data"]
            except (asyncio.TimeoutError, OSError, EOFError, wire.WireError) as e:
                raise self._translate_async(e) from e
            finally:
                if not done:
                    self._close_async()

    def _close_async(self):
        writer, self._reader, self._writer = self._writer, None, None
        if writer is not None:
            writer.close()

    async def close_async(self):
        self._close_async()

    async def __aenter__(self):
        await self.connect_async()
        return self

    async def __aexit__(self, *exc):
        self._close_async()


_path = None
_local = threading.local()
_context = contextvars.ContextVar("dirty_client")


def set_dirty_socket_path(path):
    global _path
    _path = path


def get_dirty_socket_path():
    path = _path or os.environ.get("GUNICORN_DIRTY_SOCKET")
    if not path:
        raise DirtyError("Dirty socket path not configured: set dirty_workers > 0 and dirty_apps")
    return path


def get_dirty_client(timeout=30.0):
    """One for each thread."""
    client = getattr(_local, "client", None)
    if client is None:
        client = _local.client = DirtyClient(get_dirty_socket_path(), timeout)
    return client


async def get_dirty_client_async(timeout=30.0):
    """One for each context, which a task is."""
    client = _context.get(None)
    if client is None:
        client = DirtyClient(get_dirty_socket_path(), timeout)
        _context.set(client)
    return client


def close_dirty_client():
    client = getattr(_local, "client", None)
    if client is not None:
        client.close()
        _local.client = None


async def close_dirty_client_async():
    client = _context.get(None)
    if client is not None:
        await client.close_async()
        _context.set(None)
