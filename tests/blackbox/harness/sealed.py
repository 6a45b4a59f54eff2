# SPDX-License-Identifier: MIT
"""A client's socket over TLS, for tests that know nothing of it: CGUNICORN_TLS=1
has every server of the harness started with a certificate, and every client of
harness/wire.py speak TLS. Half-closes are close_notify with FIN; the handshake
begins with the first byte."""
import os
import socket
import ssl

from . import certificates


def wanted():
    return os.environ.get("CGUNICORN_TLS", "") not in ("", "0")


def arguments():
    _, pem, key = certificates.shared()
    return ["--certfile", str(pem), "--keyfile", str(key)]


class Sealed:
    def __init__(self, sock):
        self.sock = sock
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.create_default_context(
            cafile=certificates.shared()[0].certificate)
        context.check_hostname = False
        self.tls = context.wrap_bio(self.incoming, self.outgoing,
                                    server_hostname="localhost")
        self.shaken = False

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
                self._flush()
                data = self.sock.recv(65536)
                if not data:
                    return b""
                self.incoming.write(data)
            except ssl.SSLZeroReturnError:
                return b""

    def _shake(self):
        if not self.shaken:
            self._call(self.tls.do_handshake)
            self.shaken = True

    def sendall(self, data):
        self._shake()
        try:
            self._call(self.tls.write, data)
        except ssl.SSLError as e:
            raise ConnectionResetError(str(e)) from None

    def send(self, data):
        self.sendall(data)
        return len(data)

    def recv(self, n):
        self._shake()
        try:
            return self._call(self.tls.read, n)
        except ssl.SSLError as e:
            raise ConnectionResetError(str(e)) from None

    def shutdown(self, how):
        if how == socket.SHUT_WR and self.shaken:
            try:
                self.tls.unwrap()
            except ssl.SSLError:
                pass
            self._flush()
        self.sock.shutdown(how)
