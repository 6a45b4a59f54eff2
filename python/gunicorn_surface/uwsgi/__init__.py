# SPDX-License-Identifier: MIT
"""gunicorn.uwsgi: the uwsgi protocol read in Python, for worker classes written in
it. The server's own classes read it in C."""
from gunicorn.uwsgi.errors import (
    ForbiddenUWSGIRequest, InvalidUWSGIHeader, UnsupportedModifier, UWSGIParseException)
from gunicorn.uwsgi.message import UWSGIRequest
from gunicorn.uwsgi.parser import UWSGIParser

__all__ = ["UWSGIRequest", "UWSGIParser", "UWSGIParseException", "InvalidUWSGIHeader",
           "UnsupportedModifier", "ForbiddenUWSGIRequest"]
