# SPDX-License-Identifier: MIT
"""gunicorn.http.body: the body of a request, and wsgi.input."""
import io
import re
import sys

from gunicorn.http.errors import (
    ChunkMissingTerminator, InvalidChunkExtension, InvalidChunkSize, NoMoreData)

_HEX = b"0123456789abcdefABCDEF"
_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_QUOTED = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"'
# RFC 9112, 7.1.1, with blanks where others put them
_EXTENSIONS = re.compile(rb"(?:[ \t]*;[ \t]*%s(?:[ \t]*=[ \t]*(?:%s|%s))?)*"
                         % (_TOKEN, _TOKEN, _QUOTED))
_SIZE_LINE = 8192  # bytes that the line of a chunk's size may have


class ChunkedReader:
    """Transfer-Encoding: chunked."""

    def __init__(self, req, unreader):
        self.req = req
        self.parser = self.parse_chunked(unreader)
        self.buf = io.BytesIO()

    def read(self, size):
        if not isinstance(size, int):
            raise TypeError("size must be an integer type")
        if size < 0:
            raise ValueError("Size must be positive.")
        if size == 0:
            return b""
        data = self.buf.getvalue()
        while len(data) < size and self.parser is not None:
            piece = self._next()
            if piece is None:
                self.parser = None
            else:
                data += piece
        self.buf = io.BytesIO()
        self.buf.write(data[size:])
        return data[:size]

    def _next(self):
        """The next piece, or None. Where a body goes wrong nobody knows where the
        next request begins."""
        try:
            return next(self.parser, None)
        except Exception:
            self.req.force_close()
            raise

    def parse_chunked(self, unreader):
        """The chunks' bytes, in the pieces that they come in."""
        size, data = self.parse_chunk_size(unreader)
        while size > 0:
            while size > len(data):
                size -= len(data)
                if data:
                    yield data
                data = self._more(unreader)
            yield data[:size]
            rest = data[size:]
            while len(rest) < 2:
                rest += self._more(unreader)
            if rest[:2] != b"\r\n":
                raise ChunkMissingTerminator(rest[:2])
            size, data = self.parse_chunk_size(unreader, rest[2:])

    @staticmethod
    def _more(unreader):
        data = unreader.read()
        if not data:
            raise NoMoreData()
        return data

    def parse_chunk_size(self, unreader, data=b""):
        """(size, bytes behind the line). The last chunk's trailers are read."""
        while (end := data.find(b"\r\n")) < 0:
            if len(data) > _SIZE_LINE:
                raise InvalidChunkSize(data[:64])
            data += self._more(unreader)
        line, rest = data[:end], data[end + 2:]
        number, semicolon, extension = line.partition(b";")
        if b"\r" in extension:
            raise InvalidChunkExtension("bare CR")
        if extension and not _EXTENSIONS.fullmatch(b";" + extension):
            raise InvalidChunkExtension("invalid chunk extension")
        if semicolon:
            number = number.rstrip(b" \t")
        if not number or any(c not in _HEX for c in number):
            raise InvalidChunkSize(number)
        size = int(number, 16)
        if size == 0:
            self.parse_trailers(unreader, rest)
        return size, rest

    def parse_trailers(self, unreader, data):
        """What lies behind the last chunk, up to an empty line."""
        limit = self.req.max_buffer_headers
        while data[:2] != b"\r\n" and (end := data.find(b"\r\n\r\n")) < 0:
            if len(data) > limit:
                raise InvalidChunkSize(data[:64])
            data += self._more(unreader)
        if data[:2] == b"\r\n":
            unreader.unread(data[2:])
            return
        self.req.trailers = self.req.parse_headers(data[:end], from_trailer=True)
        unreader.unread(data[end + 4:])


class LengthReader:
    """Content-Length."""

    def __init__(self, unreader, length):
        self.unreader, self.length = unreader, length

    def read(self, size):
        if not isinstance(size, int):
            raise TypeError("size must be an integral type")
        if size < 0:
            raise ValueError("Size must be positive.")
        size = min(size, self.length)
        if size == 0:
            return b""
        data = self.unreader.read(size)
        # a client that left: nothing else is to come
        self.length = self.length - len(data) if len(data) == size else 0
        return data


class EOFReader:
    """Up to the end of the connection."""

    def __init__(self, unreader):
        self.unreader, self.finished = unreader, False
        self.buf = io.BytesIO()

    def read(self, size):
        if not isinstance(size, int):
            raise TypeError("size must be an integral type")
        if size < 0:
            raise ValueError("Size must be positive.")
        if size == 0 or self.finished:
            return b""
        data = self.unreader.read(size)
        self.finished = len(data) < size
        return data


class Body:
    """wsgi.input over one of these readers."""

    def __init__(self, reader):
        self.reader = reader
        self.buf = io.BytesIO()

    def __iter__(self):
        return self

    def __next__(self):
        line = self.readline()
        if not line:
            raise StopIteration()
        return line

    next = __next__

    def getsize(self, size):
        if size is None:
            return sys.maxsize
        if not isinstance(size, int):
            raise TypeError("size must be an integral type")
        return sys.maxsize if size < 0 else size

    def _put_back(self, data):
        self.buf = io.BytesIO()
        self.buf.write(data)

    def read(self, size=None):
        size = self.getsize(size)
        if size == 0:
            return b""
        parts = [self.buf.getvalue()]
        have = len(parts[0])
        while have < size:
            piece = self.reader.read(min(65536, size - have))
            if not piece:
                break
            parts.append(piece)
            have += len(piece)
        data = b"".join(parts)
        self._put_back(data[size:])
        return data[:size]

    def readline(self, size=None):
        size = self.getsize(size)
        if size == 0:
            return b""
        data = self.buf.getvalue()
        start = 0
        while (end := data.find(b"\n", start, size)) < 0 and len(data) < size:
            start = len(data)
            piece = self.reader.read(min(1024, size - len(data)))
            if not piece:
                break
            data += piece
        end = end + 1 if end >= 0 else min(size, len(data))
        self._put_back(data[end:])
        return data[:end]

    def readlines(self, size=None):
        lines = []
        while line := self.readline():
            lines.append(line)
        return lines
