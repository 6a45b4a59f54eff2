# SPDX-License-Identifier: MIT
"""Calls of dirty workers: from threads and greenlets by a blocking socket, from
asyncio by a stream. A call that is given up closes its connection, by which the
worker learns that nobody waits."""
import asyncio
import contextvars
import os
import socket
import struct
import threading
import time

from _cgunicorn_glue import dirty_wire as wire

from .errors import DirtyConnectionError, DirtyError, DirtyProtocolError, DirtyTimeoutError

_PAUSE = 0.05  # while the dirty arbiter is not there yet
_CHUNK_TIMEOUT = 30.0
_TIMEVAL = struct.Struct("@ll")
_FRESH = 0.01  # seconds in which a connection that answered is not looked at


def _request(number, app_path, action, args, kwargs):
    try:
        return wire.wire_request(number, app_path, action, args, kwargs)
    except wire.WireError as e:
        raise DirtyProtocolError(str(e)) from None


def _wait_at_most(sock, seconds):
    """For each of its calls. The kernel's own limits, where the socket is the
    system's: with Python's, each would be two, poll() before it."""
    if type(sock).__module__ == "socket":
        seconds = max(seconds, 0.001)
        value = _TIMEVAL.pack(int(seconds), int(seconds % 1 * 1e6))
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, value)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, value)
            return sock.settimeout(None)
        except OSError:
            pass
    sock.settimeout(seconds)


def _patience(until):
    """Seconds that the next frame of a stream may take."""
    left = min(until - time.monotonic(), _CHUNK_TIMEOUT)
    if left <= 0:
        raise socket.timeout()
    return left


class _Call:
    """One call of a client, whoever waits for its frames: what they mean, and
    what is raised. A call that does not come to its end closes the connection."""

    def __init__(self, client, close):
        client._number += 1
        self.client, self.close = client, close
        self.number = client._number
        self.done = False

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if not self.done:
            self.close()
        if isinstance(error, (socket.timeout, asyncio.TimeoutError, BlockingIOError)):
            raise DirtyTimeoutError("Timeout waiting for response",
                                    self.client.timeout) from error
        if isinstance(error, wire.WireError):
            raise DirtyProtocolError(str(error)) from error
        if isinstance(error, (OSError, EOFError)):
            raise DirtyConnectionError("Communication error: %s" % error,
                                       self.client.socket_path) from error

    def take(self, kind, request, payload):
        """What a frame brings: one item, or none at the end of a stream."""
        if request != self.number:
            raise DirtyProtocolError("a frame of another call")
        self.done = kind != wire.CHUNK
        if kind == wire.RESPONSE:
            return (wire.decode(payload)["result"],)
        if kind == wire.END:
            return ()
        value = wire.decode(payload)
        if kind == wire.ERROR:
            raise DirtyError.from_dict(value["error"])
        return (value["data"],)

    def result(self, kind, request, payload):
        """Of a call that does not stream."""
        if kind == wire.RESPONSE and request == self.number:  # most often
            self.done = True
            return wire.decode(payload)["result"]
        if kind in (wire.CHUNK, wire.END):
            raise DirtyError("the action streams: call stream() or stream_async()")
        return self.take(kind, request, payload)[0]


class DirtyClient:
    """One connection; a call has it for itself."""

    def __init__(self, socket_path, timeout=30.0):
        self.socket_path = socket_path
        self.timeout = timeout
        self._sock = self._frames = None
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
                _wait_at_most(sock, self.timeout)
                sock.connect(self.socket_path)
                self._sock, self._frames = sock, wire.Reader(sock)
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
                if self._sock is not None:
                    _wait_at_most(self._sock, self.timeout)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            return True

    def _receive(self):
        frame = self._frames.frame()
        self._rests = time.monotonic() + _FRESH
        return frame

    def execute(self, app_path, action, *args, **kwargs):
        with self._lock, _Call(self, self.close) as call:
            self._send(_request(call.number, app_path, action, args, kwargs))
            return call.result(*self._receive())

    def stream(self, app_path, action, *args, **kwargs):
        """An iterator of what the action yields; of its value, if it does not."""
        with self._lock, _Call(self, self.close) as call:
            until = time.monotonic() + self.timeout
            self._send(_request(call.number, app_path, action, args, kwargs))
            try:
                while not call.done:
                    _wait_at_most(self._sock, _patience(until))
                    yield from call.take(*self._receive())
            finally:
                if self._sock is not None:
                    _wait_at_most(self._sock, self.timeout)

    def close(self):
        sock, self._sock, self._frames = self._sock, None, None
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

    async def _send_async(self, frame):
        if self._reader is not None and self._reader.at_eof():
            self._close_async()
        await self.connect_async()
        self._writer.write(frame)
        await self._writer.drain()

    async def _receive_async(self):
        kind, n, request = wire.unpack_header(await self._reader.readexactly(wire.HEADER.size))
        return kind, request, await self._reader.readexactly(n) if n else b""

    def _only_one(self):
        if self._async_lock is None:
            self._async_lock = asyncio.Lock()
        return self._async_lock

    async def _ask_async(self, frame):
        await self._send_async(frame)
        return await self._receive_async()

    async def execute_async(self, app_path, action, *args, **kwargs):
        async with self._only_one():
            with _Call(self, self._close_async) as call:
                frame = _request(call.number, app_path, action, args, kwargs)
                return call.result(*await asyncio.wait_for(self._ask_async(frame), self.timeout))

    async def stream_async(self, app_path, action, *args, **kwargs):
        async with self._only_one():
            with _Call(self, self._close_async) as call:
                until = time.monotonic() + self.timeout
                frame = _request(call.number, app_path, action, args, kwargs)
                await asyncio.wait_for(self._send_async(frame), self.timeout)
                while not call.done:
                    for item in call.take(*await asyncio.wait_for(
                            self._receive_async(), _patience(until))):
                        yield item

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
