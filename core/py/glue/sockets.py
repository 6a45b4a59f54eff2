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
