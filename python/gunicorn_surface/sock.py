# SPDX-License-Identifier: MIT
"""gunicorn.sock: listening sockets, and TLS for those that a worker accepts."""
import os
import socket
import ssl

from _cgunicorn_glue.listener import BaseSocket, TCP6Socket, TCPSocket, UnixSocket
from gunicorn import util

__all__ = ["BaseSocket", "TCPSocket", "TCP6Socket", "UnixSocket", "create_sockets",
           "close_sockets", "ssl_context", "ssl_wrap_socket", "get_negotiated_protocol",
           "is_http2_negotiated"]


def _sock_type(addr):
    """The class for an address of cfg.address."""
    if isinstance(addr, tuple):
        return TCP6Socket if util.is_ipv6(addr[0]) else TCPSocket
    if isinstance(addr, (str, bytes)):
        return UnixSocket
    raise TypeError("Unable to create socket from: %r" % (addr,))


def _of_descriptor(fd, conf, log):
    """A listener that somebody handed over; the descriptor becomes its own."""
    with socket.socket(fileno=os.dup(fd)) as s:
        kinds = {socket.AF_INET: TCPSocket, socket.AF_INET6: TCP6Socket,
                 socket.AF_UNIX: UnixSocket}
        if s.family not in kinds:
            raise TypeError("descriptor %d is no TCP or unix socket" % fd)
        return kinds[s.family](s.getsockname(), conf, log, fd=fd)


def create_sockets(conf, log, fds=None):
    """A listener for every address of the configuration, or descriptor."""
    if fds:
        return [_of_descriptor(fd, conf, log) for fd in fds]
    return [_of_descriptor(a, conf, log) if isinstance(a, int)
            else _sock_type(a)(a, conf, log) for a in conf.address]


def close_sockets(listeners, unlink=True):
    for listener in listeners:
        name = listener.getsockname()
        listener.close()
        if unlink and isinstance(name, str) and name and not name.startswith("\0"):
            util.unlink(name)


def ssl_context(conf):
    """What the hook ssl_context makes of the settings."""
    def default_ssl_context_factory():
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=conf.ca_certs)
        context.load_cert_chain(certfile=conf.certfile, keyfile=conf.keyfile)
        context.verify_mode = ssl.VerifyMode(conf.cert_reqs)
        if conf.ciphers:
            context.set_ciphers(conf.ciphers)
        return context

    hook = conf.settings["ssl_context"].get()
    if getattr(hook, "__module__", "") == "gunicorn.config":
        return default_ssl_context_factory()  # nobody set one
    return conf.ssl_context(conf, default_ssl_context_factory)


def ssl_wrap_socket(sock, conf):
    return ssl_context(conf).wrap_socket(
        sock, server_side=True, suppress_ragged_eofs=conf.suppress_ragged_eofs,
        do_handshake_on_connect=conf.do_handshake_on_connect)


def get_negotiated_protocol(ssl_socket):
    """What ALPN agreed on, or None."""
    if not isinstance(ssl_socket, ssl.SSLSocket):
        return None
    return ssl_socket.selected_alpn_protocol()


def is_http2_negotiated(ssl_socket):
    return get_negotiated_protocol(ssl_socket) == "h2"
