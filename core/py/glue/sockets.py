# SPDX-License-Identifier: MIT
"""environ["gunicorn.socket"]: the client's socket, for applications that talk
to the client themselves (WebSocket)."""
import socket

_types = {}


def kind():
    """Whatever type `socket` has now: it may be patched."""
    return socket.socket


def take(fd, unread):
    taken = (_with_unread(kind()) if unread else kind())(fileno=fd)
    if unread:
        taken._unread = bytearray(unread)
    taken.settimeout(socket.getdefaulttimeout())
    return taken


def _with_unread(base):
    """A type whose first bytes come from memory."""
    if base not in _types:
        class Taken(base):
            _unread = b""

            def recv(self, bufsize, flags=0):
                if not self._unread:
                    return super().recv(bufsize, flags)
                data = bytes(self._unread[:bufsize])
                if not flags & socket.MSG_PEEK:
                    del self._unread[:bufsize]
                return data

            def recv_into(self, buffer, nbytes=0, flags=0):
                if not self._unread:
                    return super().recv_into(buffer, nbytes, flags)
                view = memoryview(buffer).cast("B")
                data = self.recv(nbytes or len(view), flags)
                view[:len(data)] = data
                return len(data)

        _types[base] = Taken
    return _types[base]


# ---- what an ssl.SSLSocket says of TLS ----

def _decoded(pem):
    """As getpeercert() gives it; ssl decodes files only."""
    import os

    import _ssl

    fd = os.memfd_create("certificate")
    try:
        os.write(fd, pem.encode())
        return _ssl._test_decode_cert("/proc/self/fd/%d" % fd)
    finally:
        os.close(fd)


def secure(name, protocol, cipher, pem):
    """The method of that name; None: that is none of TLS."""
    if name == "version":
        return lambda: protocol
    if name == "cipher":
        return lambda: (cipher, protocol, None)
    if name == "selected_alpn_protocol":
        return lambda: None
    if name != "getpeercert":
        return None

    def getpeercert(binary_form=False):
        if pem is None:
            return None
        if binary_form:
            import ssl

            return ssl.PEM_cert_to_DER_cert(pem)
        return _decoded(pem)

    return getpeercert
