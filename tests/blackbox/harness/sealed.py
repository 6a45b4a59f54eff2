# SPDX-License-Identifier: MIT
"""A client's socket over TLS, for tests that know nothing of it: CGUNICORN_TLS=1
has every server of the harness started with a certificate, and every client of
harness/wire.py speak TLS. Half-closes are close_notify with FIN; the handshake
begins with the first byte; a PROXY line goes before it, in plain text."""
import functools
import os
import socket
import ssl

import pytest

from . import certificates


def wanted():
    return os.environ.get("CGUNICORN_TLS", "") not in ("", "0")


def scheme():
    return "https" if wanted() else "http"


def in_the_clear(reason):
    """A test of what TLS does in another way."""
    return pytest.mark.skipif(wanted(), reason="over TLS " + reason)


def arguments():
    _, pem, key = certificates.shared()
    return ["--certfile", str(pem), "--keyfile", str(key)]


@functools.lru_cache(maxsize=None)
def client_context():
    context = ssl.create_default_context(
        cafile=certificates.shared()[0].certificate)
    context.check_hostname = False
    return context


class Sealed:
    def __init__(self, sock):
        self.sock = sock
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = client_context().wrap_bio(self.incoming, self.outgoing,
                                    server_hostname="localhost")
        self.shaken = False
        self.preamble = b""  # what may be the beginning of a PROXY line

    def __getattr__(self, name):
        return getattr(self.sock, name)

    def _flush(self):
        data = self.outgoing.read()
        if data:
            self.sock.sendall(data)

    def _call(self, call, *args):
        """b"" at the end of what comes."""
        while True:
            try:
                result = call(*args)
                self._flush()
                return result
            except ssl.SSLWantReadError:
                try:
                    self._flush()
                except OSError:  # our half is shut, or theirs is
                    return b""
                data = self.sock.recv(65536)
                if not data:
                    return b""
                self.incoming.write(data)
            except ssl.SSLZeroReturnError:
                return b""

    def _shake(self):
        """Whether it is done; else the connection is over."""
        if not self.shaken:
            self.shaken = self._call(self.tls.do_handshake) != b""
        return self.shaken

    def _hold_preamble(self, data):
        """What of `data` is to be sealed."""
        data = self.preamble + data
        self.preamble = b""
        if self.shaken or not data:
            return data
        if b"PROXY ".startswith(data[:6]) and b"\n" not in data:
            self.preamble = data
            return b""
        if data.startswith(b"PROXY "):
            line, end, data = data.partition(b"\n")
            self.sock.sendall(line + end)
        return data

    def _release_preamble(self):
        """It will not get longer."""
        data, self.preamble = self.preamble, b""
        if data.startswith(b"PROXY "):
            self.sock.sendall(data)
        elif data:
            self._seal(data)

    def sendall(self, data):
        data = self._hold_preamble(data)
        if data:
            self._seal(data)

    def _seal(self, data):
        if not self._shake():
            raise ConnectionResetError("it ended before the handshake")
        try:
            self._call(self.tls.write, data)
        except ssl.SSLError as e:
            raise ConnectionResetError(str(e)) from None

    def send(self, data):
        self.sendall(data)
        return len(data)

    def recv(self, n):
        self._release_preamble()
        if not self._shake():
            return b""
        try:
            return self._call(self.tls.read, n)
        except ssl.SSLError as e:
            raise ConnectionResetError(str(e)) from None

    def shutdown(self, how):
        self._release_preamble()
        if how == socket.SHUT_WR and self.shaken:
            try:
                self.tls.unwrap()
            except ssl.SSLError:
                pass
            self._flush()
        self.sock.shutdown(how)
