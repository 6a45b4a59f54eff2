# SPDX-License-Identifier: MIT
"""gunicorn.http.errors: what is wrong with a request, and how it is answered."""
from ssl import SSLError


class ParseException(Exception):
    """A request, or a response, that HTTP does not allow."""

    status, reason = 400, "Bad Request"


class NoMoreData(IOError):
    """The client has gone in the middle of something."""

    def __init__(self, buf=None):
        super().__init__()
        self.buf = buf

    def __str__(self):
        return "No more data after: %r" % (self.buf,)


class ConfigurationProblem(ParseException):
    code = status = 500

    def __init__(self, info):
        super().__init__(info)
        self.info = info

    def __str__(self):
        return "Configuration problem: %s" % self.info


class InvalidRequestLine(ParseException):
    code = 400

    def __init__(self, req):
        super().__init__(req)
        self.req = req

    def __str__(self):
        return "Invalid HTTP request line: %r" % (self.req,)


class InvalidRequestMethod(ParseException):
    def __init__(self, method):
        super().__init__(method)
        self.method = method

    def __str__(self):
        return "Invalid HTTP method: %r" % (self.method,)


class ExpectationFailed(ParseException):
    status, reason = 417, "Expectation Failed"

    def __init__(self, expect):
        super().__init__(expect)
        self.expect = expect

    def __str__(self):
        return "Unable to comply with expectation: %r" % (self.expect,)


class InvalidHTTPVersion(ParseException):
    def __init__(self, version):
        super().__init__(version)
        self.version = version

    def __str__(self):
        return "Invalid HTTP Version: %r" % (self.version,)


class InvalidHeader(ParseException):
    def __init__(self, hdr, req=None):
        super().__init__(hdr)
        self.hdr, self.req = hdr, req

    def __str__(self):
        return "Invalid HTTP Header: %r" % (self.hdr,)


class ObsoleteFolding(ParseException):
    def __init__(self, hdr):
        super().__init__(hdr)
        self.hdr = hdr

    def __str__(self):
        return "Obsolete line folding is unacceptable: %r" % (self.hdr,)


class InvalidHeaderName(ParseException):
    def __init__(self, hdr):
        super().__init__(hdr)
        self.hdr = hdr

    def __str__(self):
        return "Invalid HTTP header name: %r" % (self.hdr,)


class InvalidResponseHeader(InvalidHeader):
    """A value that an application set."""


class InvalidResponseHeaderName(InvalidHeaderName):
    """A name that an application set."""


class UnsupportedTransferCoding(ParseException):
    code = status = 501

    def __init__(self, hdr):
        super().__init__(hdr)
        self.hdr = hdr

    def __str__(self):
        return "Unsupported transfer coding: %r" % (self.hdr,)


class InvalidChunkSize(ParseException):
    code = 400

    def __init__(self, data):
        super().__init__()
        self.data = data

    def __str__(self):
        return "Invalid chunk size: %r" % (self.data,)


class ChunkMissingTerminator(ParseException):
    code = 400

    def __init__(self, term):
        super().__init__()
        self.term = term

    def __str__(self):
        return "Invalid chunk terminator is not '\\r\\n': %r" % (self.term,)


class InvalidChunkExtension(ParseException):
    code = 400

    def __init__(self, reason):
        super().__init__()
        self.reason = reason

    def __str__(self):
        return "Invalid chunk extension: %s" % self.reason


class LimitRequestLine(ParseException):
    def __init__(self, size, max_size=None):
        super().__init__(size)
        self.size, self.max_size = size, max_size

    def __str__(self):
        return "Request Line is too large (%s > %s)" % (self.size, self.max_size)


class LimitRequestHeaders(ParseException):
    status, reason = 431, "Request Header Fields Too Large"

    def __init__(self, msg):
        super().__init__(msg)
        self.msg = msg

    def __str__(self):
        return self.msg


class InvalidProxyLine(ParseException):
    code = 400

    def __init__(self, line):
        super().__init__(line)
        self.line = line

    def __str__(self):
        return "Invalid PROXY line: %r" % (self.line,)


class InvalidProxyHeader(ParseException):
    code = 400

    def __init__(self, msg):
        super().__init__(msg)
        self.msg = msg

    def __str__(self):
        return "Invalid PROXY header: %s" % self.msg


class ForbiddenProxyRequest(ParseException):
    code = status = 403
    reason = "Forbidden"

    def __init__(self, host):
        super().__init__(host)
        self.host = host

    def __str__(self):
        return "Proxy request from %r not allowed" % (self.host,)


class InvalidSchemeHeaders(ParseException):
    def __str__(self):
        return "Contradictory scheme headers"


class InvalidH2CPreface(ParseException):
    def __init__(self, data):
        super().__init__(data)
        self.data = data

    def __str__(self):
        return "Expected HTTP/2 connection preface, got %r" % (self.data,)


# How the page of an error words it, where it is not the exception's own text.
_WORDS = ((InvalidRequestLine, "Invalid Request Line '%s'"),
          (InvalidRequestMethod, "Invalid Method '%s'"),
          (InvalidHTTPVersion, "Invalid HTTP Version '%s'"),
          (LimitRequestHeaders, "Error parsing headers: '%s'"),
          (InvalidProxyLine, "'%s'"), (SSLError, "'%s'"))


def answer_to(exc):
    """(status, reason, text of the page)"""
    if isinstance(exc, SSLError):
        return 403, "Forbidden", "'%s'" % exc
    if isinstance(exc, ForbiddenProxyRequest):
        return exc.status, exc.reason, "Request forbidden"
    words = next((w for kind, w in _WORDS if isinstance(exc, kind)), "%s")
    # InvalidChunkExtension has another `reason` of its own
    return exc.status, type(exc).reason, words % exc
