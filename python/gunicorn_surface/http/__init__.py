# SPDX-License-Identifier: MIT
"""gunicorn.http: HTTP/1 read in Python, for worker classes written in it. The
server's own classes have nothing to do with it."""
from gunicorn.http import errors
from gunicorn.http.message import Message, Request
from gunicorn.http.parser import RequestParser, get_parser

__all__ = ["Message", "Request", "RequestParser", "get_parser", "errors"]
