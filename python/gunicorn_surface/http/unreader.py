# SPDX-License-Identifier: MIT
"""gunicorn.http.unreader: bytes of a client, with a way to put some back."""
import io
import os


class Unreader:
    """A source of bytes. chunk() gets the next ones, b"" at the end."""

    def __init__(self):
        self.buf = io.BytesIO()

    def chunk(self, size_hint=None):
        raise NotImplementedError()

    def take_buffered(self):
        """What has been read from the source, and not by anybody."""
        data = self.buf.getvalue()
        self.buf = io.BytesIO()
        return data

    def read(self, size=None, read_ahead=None):
        """At most size bytes, at least one unless the source is at its end."""
        if size is not None and not isinstance(size, int):
            raise TypeError("size parameter must be an int or long.")
        if size == 0:
            return b""
        data = self.take_buffered()
        if size is None or size < 0:
            return data or self.chunk()
        while len(data) < size:
            more = self.chunk(read_ahead)
            if not more:
                break
            data += more
        self.unread(data[size:])
        return data[:size]

    def unread(self, data):
        """They come next, behind what was put back before."""
        self.buf.seek(0, os.SEEK_END)
        self.buf.write(data)


class SocketUnreader(Unreader):
    def __init__(self, sock, max_chunk=8192):
        super().__init__()
        self.sock, self.mxchunk = sock, max_chunk

    def chunk(self, size_hint=None):
        return self.sock.recv(max(size_hint or 0, self.mxchunk))


class IterUnreader(Unreader):
    def __init__(self, iterable):
        super().__init__()
        self.iter = iter(iterable)

    def chunk(self, size_hint=None):
        return next(self.iter, b"") if self.iter is not None else b""
