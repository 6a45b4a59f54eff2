# SPDX-License-Identifier: MIT
"""An HTTP/1 client that shows every byte and forgives nothing.

Replies are read by the rules of RFC 9112, and a reply that breaks one of
them (two framings, a bad chunk, bytes after the end) fails the test.
"""
import contextlib
import fcntl
import re
import socket
import sys
import termios
from pathlib import Path

from . import sealed
from .waiting import DEADLINE

STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9]) ([^\r\n]*)\Z")
FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*\Z")


class Reply:
    def __init__(self, status, reason, minor, fields):
        self.status = status
        self.reason = reason
        self.minor = minor
        self.fields = fields
        self.body = b""
        self.framing = None  # "none", "length", "chunked", "close"
        self.chunks = []

    def all(self, name):
        return [v for n, v in self.fields if n.lower() == name.lower()]

    def one(self, name):
        found = self.all(name)
        assert len(found) <= 1, f"{name} is there {len(found)} times: {found}"
        return found[0] if found else None

    def says_close(self):
        tokens = ",".join(self.all("connection")).lower().split(",")
        return "close" in [t.strip() for t in tokens]

    def __repr__(self):
        return f"<{self.status} {self.reason} {self.fields} {self.body[:200]!r}>"


class Closed(AssertionError):
    """The server closed where a reply had to come."""


class Peer:
    """A client connection. Addresses: ("host", port) or "/path/of.sock"."""

    def __init__(self, address, seconds=DEADLINE, plain=False):
        if isinstance(address, str):
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(seconds)
            self.sock.connect(address)
        else:
            self.sock = socket.create_connection(address, seconds)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if sealed.wanted() and not plain:
            self.sock = sealed.Sealed(self.sock)
        self.buffer = b""
        self.ended = False
        self.was_reset = False

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self.sock.close()

    # ---- sending ----

    def send(self, data):
        if isinstance(data, str):
            data = data.encode("latin-1")
        self.sock.sendall(data)
        return self

    def send_leniently(self, data):
        """For bytes that the server may refuse to read to their end."""
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def unread(self):
        """Bytes that were sent and that the server has not read (TCP, IPv4);
        0, too, once the connection has gone."""
        def place(address):
            ip = socket.inet_aton(address[0])[::-1].hex().upper()
            return f"{ip}:{address[1]:04X}"
        try:
            theirs, ours = map(place, (self.sock.getpeername(),
                                       self.sock.getsockname()))
        except OSError:
            return 0
        unsent = fcntl.ioctl(self.sock, termios.TIOCOUTQ, bytes(4))
        row = re.search(rf"\d+: {theirs} {ours} .. \S+:(\S+) ",
                        Path("/proc/net/tcp").read_text(encoding="ascii"))
        return int.from_bytes(unsent, sys.byteorder) + (
            int(row[1], 16) if row else 0)

    def drip(self, unit):
        """Sends it again and again, steadily and slowly, until the server says
        something."""
        patience = self.sock.gettimeout()
        self.sock.settimeout(0.05)
        while not self.buffer:
            self.send_leniently(unit)
            with contextlib.suppress(AssertionError):
                self._more()
        self.sock.settimeout(patience)

    def get(self, path="/", *fields, method="GET"):
        head = [f"{method} {path} HTTP/1.1", "Host: test", *fields]
        return self.send("\r\n".join(head) + "\r\n\r\n")

    def post(self, path, body, *fields):
        return self.get(
            path, f"Content-Length: {len(body)}", *fields, method="POST"
        ).send(body)

    def end_sending(self):
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self):
        """Ends the connection with RST instead of FIN."""
        linger = b"\x01\0\0\0\0\0\0\0"
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.sock.close()

    # ---- receiving ----

    def _more(self):
        if self.ended:
            return False
        try:
            data = self.sock.recv(65536)
        except ConnectionResetError:
            self.was_reset = True
            data = b""
        except socket.timeout:
            raise AssertionError(
                f"nothing more came; so far: {self.buffer[:2000]!r}"
            ) from None
        self.ended = not data
        self.buffer += data
        return bool(data)

    def _line(self):
        while b"\r\n" not in self.buffer:
            if not self._more():
                raise Closed(f"closed in mid-line: {self.buffer[:2000]!r}")
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        assert b"\n" not in line and b"\r" not in line, line
        return line

    def _exactly(self, n):
        parts, have = [self.buffer], len(self.buffer)
        self.buffer = b""
        while have < n:
            if not self._more():
                got = b"".join(parts)
                self.buffer = got
                raise Closed(f"closed after {have} of {n} body bytes")
            parts.append(self.buffer)
            have += len(self.buffer)
            self.buffer = b""
        data = b"".join(parts)
        self.buffer = data[n:]
        return data[:n]

    def head(self):
        if not self.buffer and not self._more():
            raise Closed("closed without a reply")
        line = self._line()
        match = STATUS_LINE.match(line)
        assert match, f"not a status line: {line!r}"
        fields = []
        while True:
            line = self._line()
            if not line:
                break
            field = FIELD.match(line)
            assert field, f"not a header field: {line!r}"
            name, value = field.groups()
            assert not re.search(rb"[\0-\x08\x0a-\x1f\x7f]", value), line
            fields.append((name.decode(), value.decode("latin-1")))
        return Reply(
            int(match[2]), match[3].decode("latin-1"), int(match[1]), fields
        )

    def reply(self, method="GET"):
        """The next final reply, complete. Interim ones are a failure."""
        r = self.head()
        assert r.status >= 200, f"unexpected interim reply: {r}"
        self._read_body(r, method)
        return r

    def interim(self):
        r = self.head()
        assert 100 <= r.status < 200, f"not an interim reply: {r}"
        return r

    def _read_body(self, r, method):
        length = r.one("content-length")
        codings = r.all("transfer-encoding")
        assert not (length is not None and codings), f"two framings: {r}"
        if length is not None:
            assert re.fullmatch(r"[0-9]+", length), f"bad length {length!r}"
        if method == "HEAD" or r.status in (204, 304):
            r.framing = "none"
        elif codings:
            assert codings == ["chunked"], codings
            assert r.minor == 1, "chunked to an HTTP/1.0 client"
            self._read_chunks(r)
        elif length is not None:
            r.framing = "length"
            r.body = self._exactly(int(length))
        else:
            r.framing = "close"
            r.body = self.rest()

    def _read_chunks(self, r):
        r.framing = "chunked"
        while True:
            line = self._line()
            assert re.fullmatch(rb"[0-9A-Fa-f]{1,16}", line), line
            size = int(line, 16)
            if size == 0:
                assert self._line() == b"", "trailers were not announced"
                r.body = b"".join(r.chunks)
                return
            r.chunks.append(self._exactly(size))
            assert self._exactly(2) == b"\r\n", "a chunk without its CRLF"

    def rest(self):
        """Everything until the server closes."""
        parts, self.buffer = [self.buffer], b""
        while self._more():
            parts.append(self.buffer)
            self.buffer = b""
        return b"".join(parts)

    def assert_closed(self):
        data = self.rest()
        assert data == b"", f"bytes after the end: {data[:2000]!r}"


def fetch(address, path="/", *fields, method="GET", body=None):
    """One request on a connection of its own."""
    with Peer(address) as peer:
        if body is None:
            peer.get(path, *fields, method=method)
        else:
            peer.post(path, body, *fields)
        return peer.reply(method)
