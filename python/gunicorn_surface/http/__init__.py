# SPDX-License-Identifier: MIT
"""gunicorn.http: HTTP/1 read in Python, for worker classes written in it. The
server's own classes have nothing to do with it."""
from gunicorn.http import errors
from gunicorn.http.message import Message, Request
from gunicorn.http.parser import RequestParser

__all__ = ["Message", "Request", "RequestParser", "get_parser", "errors"]


def get_parser(cfg, source, source_addr, http2_connection=False):
    """The parser of the protocol that the settings name."""
    if http2_connection:
        raise NotImplementedError("HTTP/2 is not read by workers written in Python here")
    if getattr(cfg, "protocol", "http") == "uwsgi":
        from gunicorn.uwsgi.parser import UWSGIParser

        return UWSGIParser(cfg, source, source_addr)
    return RequestParser(cfg, source, source_addr)
