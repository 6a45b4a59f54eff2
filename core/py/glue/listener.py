# SPDX-License-Identifier: MIT
"""Items of server.LISTENERS and worker.sockets: gunicorn's socket classes.

The server's own hold its descriptor, and a Python socket is made of a copy of it
when somebody wants one: `socket` is a lot to import for whom nobody asks.
"""
import os


class _Family:
    """socket.AF_… of a class, found when it is asked for."""

    def __init__(self, name):
        self.name = name

    def __get__(self, instance, owner):
        import socket

        return getattr(socket, self.name)


class BaseSocket:
    FAMILY = None

    def __init__(self, address, conf, log, fd=None):
        import socket

        self.conf, self.log, self.cfg_addr = conf, log, address
        self._fd, self._text = None, None
        if fd is None:
            self._sock = socket.socket(self.FAMILY, socket.SOCK_STREAM)
        else:
            self._sock = socket.socket(self.FAMILY, socket.SOCK_STREAM, fileno=fd)
        self.set_options(self._sock, bound=fd is not None)

    @classmethod
    def _lent(cls, text, fd, conf, log):
        """Of a descriptor that stays the server's."""
        self = cls.__new__(cls)
        self.conf, self.log, self.cfg_addr = conf, log, _address(text)
        self._fd, self._text, self._sock = fd, text, None
        return self

    @property
    def sock(self):
        """The Python socket; None once it is closed."""
        if self._sock is None and self._fd is not None:
            import socket

            self._sock = socket.socket(fileno=os.dup(self._fd))
            self._fd = None
        return self._sock

    @sock.setter
    def sock(self, value):
        self._sock, self._fd = value, None

    def fileno(self):
        return self._sock.fileno() if self._fd is None else self._fd

    def __getattr__(self, name):
        if name.startswith("__") or name in ("_sock", "_fd"):
            raise AttributeError(name)
        return getattr(self.sock, name)

    def __str__(self):
        return self._text or self._url(self.sock.getsockname())

    def set_options(self, sock, bound=False):
        import socket

        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if getattr(self.conf, "reuse_port", False) and hasattr(socket, "SO_REUSEPORT"):
            try:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            except OSError:  # a family that has none
                pass
        if not bound:
            self.bind(sock)
        sock.setblocking(False)
        sock.set_inheritable(False)
        sock.listen(self.conf.backlog)
        return sock

    def bind(self, sock):
        sock.bind(self.cfg_addr)

    def close(self):
        sock, self._sock = self._sock, None
        self._fd = None
        if sock is not None:
            try:
                sock.close()
            except OSError as e:
                self.log.info("Error while closing socket %s", e)

    def get_backlog(self):
        """Connections that wait to be accepted; -1: not known."""
        return -1


class TCPSocket(BaseSocket):
    FAMILY = _Family("AF_INET")

    def _url(self, name):
        scheme = "https" if self.conf.is_ssl else "http"
        return "%s://%s:%d" % (scheme, name[0], name[1])

    def set_options(self, sock, bound=False):
        import socket

        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return super().set_options(sock, bound)

    def get_backlog(self):
        import socket
        import struct

        try:  # tcpi_unacked of a listener, the sixth word
            info = self.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 28)
            return struct.unpack("8B5I", info)[12]
        except (AttributeError, OSError, struct.error):
            return -1


class TCP6Socket(TCPSocket):
    FAMILY = _Family("AF_INET6")

    def _url(self, name):
        scheme = "https" if self.conf.is_ssl else "http"
        return "%s://[%s]:%d" % (scheme, name[0], name[1])


class UnixSocket(BaseSocket):
    FAMILY = _Family("AF_UNIX")

    def __init__(self, addr, conf, log, fd=None):
        if fd is None:
            self._make_room(addr)
        super().__init__(addr, conf, log, fd)

    @staticmethod
    def _make_room(path):
        """What lies there must be a socket; it is removed."""
        import stat

        try:
            mode = os.stat(path).st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(mode):
            raise ValueError("%r is not a socket" % path)
        os.remove(path)

    def _url(self, name):
        return "unix:%s" % (name.decode() if isinstance(name, bytes) else name)

    def bind(self, sock):
        old = os.umask(self.conf.umask)
        try:
            sock.bind(self.cfg_addr)
            os.chown(self.cfg_addr, self.conf.uid, self.conf.gid)
        finally:
            os.umask(old)


def _address(text):
    """cfg_addr of "http://127.0.0.1:8000" and "unix:/run/app.sock"."""
    if text.startswith("unix:"):
        return text[5:]
    host, _, port = text.partition("://")[2].rpartition(":")
    return (host.strip("[]"), int(port)) if port.isdigit() else text


def _kind(text):
    if text.startswith("unix:"):
        return UnixSocket
    return TCP6Socket if "://[" in text else TCPSocket


def lent(text, fd, conf, log):
    return _kind(text)._lent(text, fd, conf, log)
