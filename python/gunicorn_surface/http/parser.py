# SPDX-License-Identifier: MIT
"""gunicorn.http.parser: the requests of a connection, one after the other."""
import socket
import ssl
import time

from gunicorn.http.message import Request
from gunicorn.http.unreader import IterUnreader, SocketUnreader


class Parser:
    mesg_class = None

    def __init__(self, cfg, source, source_addr):
        self.cfg = cfg
        self.unreader = (SocketUnreader if hasattr(source, "recv") else IterUnreader)(source)
        self.mesg = None
        self.source_addr = source_addr
        self.req_count = 0

    def __iter__(self):
        return self

    def finish_body(self, deadline=None, max_bytes=None):
        """Reads what the application left of the body. False: there was more than
        may be read, and the connection cannot be used again."""
        read = 0
        while self.mesg:
            if deadline is not None and time.monotonic() > deadline:
                return False
            try:
                data = self.mesg.body.read(1024)
            except (ssl.SSLWantReadError, socket.timeout):
                return False
            if not data:
                return True
            read += len(data)
            if max_bytes is not None and read > max_bytes:
                return False
        return True

    def __next__(self):
        if self.mesg and self.mesg.should_close():
            raise StopIteration()
        self.finish_body()
        self.req_count += 1
        self.mesg = self.mesg_class(self.cfg, self.unreader, self.source_addr,
                                    self.req_count)
        if not self.mesg:
            raise StopIteration()
        return self.mesg

    next = __next__


class RequestParser(Parser):
    mesg_class = Request
