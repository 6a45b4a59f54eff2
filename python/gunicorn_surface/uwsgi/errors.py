# SPDX-License-Identifier: MIT
"""gunicorn.uwsgi.errors: what is wrong with a packet."""
from gunicorn.http.errors import ParseException


class UWSGIParseException(ParseException):
    """A packet that the uwsgi protocol does not allow, or that is not wanted."""


class InvalidUWSGIHeader(UWSGIParseException):
    def __init__(self, msg=""):
        super().__init__(msg)
        self.msg, self.code = msg, 400

    def __str__(self):
        return "Invalid uWSGI header: %s" % self.msg


class UnsupportedModifier(UWSGIParseException):
    status, reason = 501, "Not Implemented"

    def __init__(self, modifier):
        super().__init__(modifier)
        self.modifier, self.code = modifier, 501

    def __str__(self):
        return "Unsupported uWSGI modifier1: %d" % self.modifier


class ForbiddenUWSGIRequest(UWSGIParseException):
    status, reason = 403, "Forbidden"

    def __init__(self, host):
        super().__init__(host)
        self.host, self.code = host, 403

    def __str__(self):
        return "uWSGI request from %r not allowed" % self.host
