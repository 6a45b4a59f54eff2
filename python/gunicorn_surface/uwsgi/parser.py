# SPDX-License-Identifier: MIT
"""gunicorn.uwsgi.parser: the requests of a connection, one after the other."""
from gunicorn.http.parser import Parser
from gunicorn.uwsgi.message import UWSGIRequest


class UWSGIParser(Parser):
    mesg_class = UWSGIRequest
