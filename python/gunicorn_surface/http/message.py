# SPDX-License-Identifier: MIT
"""gunicorn.http.message: the head of a request.

What it accepts and refuses is what gunicorn 27 does; the server's own classes
read requests in C and have limits of their own besides.
"""
import io
import ipaddress
import re
import struct

from gunicorn.http.body import Body, ChunkedReader, LengthReader
from gunicorn.http.errors import (
    ExpectationFailed, ForbiddenProxyRequest, InvalidHeader, InvalidHeaderName,
    InvalidHTTPVersion, InvalidProxyHeader, InvalidProxyLine, InvalidRequestLine,
    InvalidRequestMethod, InvalidSchemeHeaders, LimitRequestHeaders, LimitRequestLine,
    NoMoreData, ObsoleteFolding, UnsupportedTransferCoding)
from gunicorn.util import bytes_to_str, split_request_uri

MAX_REQUEST_LINE = 8190
MAX_HEADERS = 32768
DEFAULT_MAX_HEADERFIELD_SIZE = 8190

RFC9110_5_6_2_TOKEN_SPECIALS = r"!#$%&'*+-.^_`|~"
TOKEN_RE = re.compile(r"[%s0-9a-zA-Z]+" % re.escape(RFC9110_5_6_2_TOKEN_SPECIALS))
METHOD_BADCHAR_RE = re.compile("[a-z#]")
VERSION_RE = re.compile(r"HTTP/(\d)\.(\d)")
RFC9112_TARGET_INVALID = re.compile(r"[^\x21-\x7e]")
RFC9110_5_5_INVALID_AND_DANGEROUS = re.compile("[\x00-\x08\x0a-\x1f\x7f]")

# What a trailer may not change.
_NO_TRAILERS = {"HOST", "CONTENT-LENGTH", "TRANSFER-ENCODING", "TRAILER", "AUTHORIZATION",
                "TE"}
_ONCE = {"HOST", "CONTENT-TYPE"}
_PROXY_V2 = b"\r\n\r\n\x00\r\nQUIT\n"


def _is_listed(address, networks, texts):
    """Whether a peer's address is in a list of the settings."""
    if "*" in texts:
        return True
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(ip in network for network in networks)


class Message:
    scheme = version = None

    def __init__(self, cfg, unreader, peer_addr):
        self.cfg, self.unreader = cfg, unreader
        self.peer_addr = self.remote_addr = peer_addr
        self.version = None
        self.headers, self.trailers = [], []
        self.body = None
        self.scheme = "https" if cfg.is_ssl else "http"
        self.must_close = False
        self._expected_100_continue = False
        self.limit_request_fields = _bounded(cfg.limit_request_fields, MAX_HEADERS)
        self.limit_request_field_size = cfg.limit_request_field_size
        if self.limit_request_field_size < 0:
            self.limit_request_field_size = DEFAULT_MAX_HEADERFIELD_SIZE
        size = self.limit_request_field_size or DEFAULT_MAX_HEADERFIELD_SIZE
        self.max_buffer_headers = self.limit_request_fields * (size + 2) + 4
        self.unreader.unread(self.parse(self.unreader))
        self.set_body_reader()

    def force_close(self):
        self.must_close = True

    def parse(self, unreader):
        raise NotImplementedError()

    # ---- fields ----

    def _is_trusted(self):
        """Whether it comes from a proxy of forwarded_allow_ips."""
        return not isinstance(self.peer_addr, tuple) or _is_listed(
            self.peer_addr[0], self.cfg.forwarded_allow_networks(),
            self.cfg.forwarded_allow_ips)

    def parse_headers(self, data, from_trailer=False):
        """[(NAME, value)] of the lines, without the empty one behind them."""
        headers, cfg = [], self.cfg
        trusted = not from_trailer and self._is_trusted()
        schemes = cfg.secure_scheme_headers if trusted else {}
        forwarder = cfg.forwarder_headers if trusted else []
        scheme = None
        lines = [bytes_to_str(line) for line in data.split(b"\r\n")]
        while lines:
            if len(headers) >= self.limit_request_fields:
                raise LimitRequestHeaders("limit request headers fields")
            name, value = self._take_field(lines)
            if name in schemes:
                said = "https" if value == schemes[name] else "http"
                if scheme is not None and said != scheme:
                    raise InvalidSchemeHeaders()
                scheme = self.scheme = said
            if from_trailer and name in _NO_TRAILERS:
                raise InvalidHeader(name)
            if "_" in name and not self._may_have_underscore(name, forwarder):
                continue
            headers.append((name, value))
        return headers

    def _take_field(self, lines):
        """The next field, with the lines that go on with it."""
        line = lines.pop(0)
        size = len(line) + 2
        name, colon, value = line.partition(":")
        if not colon or not name:
            raise InvalidHeader(line)
        if self.cfg.strip_header_spaces:
            name = name.rstrip(" \t")
        if not TOKEN_RE.fullmatch(name):
            raise InvalidHeaderName(name)
        name, parts = name.upper(), [value.strip(" \t")]
        while lines and lines[0].startswith((" ", "\t")):
            if not self.cfg.permit_obsolete_folding:
                raise ObsoleteFolding(name)
            more = lines.pop(0)
            size += len(more) + 2
            self._check_size(size)
            parts.append(more.strip("\t "))
        self._check_size(size)
        value = " ".join(parts) if len(parts) > 1 else parts[0]
        if RFC9110_5_5_INVALID_AND_DANGEROUS.search(value):
            raise InvalidHeader(name)
        return name, value

    def _check_size(self, size):
        if 0 < self.limit_request_field_size < size:
            raise LimitRequestHeaders("limit request headers fields size")

    def _may_have_underscore(self, name, forwarder):
        if name in forwarder or "*" in forwarder or self.cfg.header_map == "dangerous":
            return True
        if self.cfg.header_map == "refuse":
            raise InvalidHeaderName(name)
        return False

    # ---- the body ----

    def set_body_reader(self):
        length, chunked = None, False
        for name, value in self.headers:
            if name == "CONTENT-LENGTH":
                if length is not None:
                    raise InvalidHeader("CONTENT-LENGTH", req=self)
                length = value
            elif name == "TRANSFER-ENCODING":
                chunked = self._read_codings(value, chunked)
        if chunked:
            if self.version < (1, 1) or length is not None:
                raise InvalidHeader(
                    "TRANSFER-ENCODING" if length is None else "CONTENT-LENGTH", req=self)
            self.body = Body(ChunkedReader(self, self.unreader))
            return
        if length is not None and not (length.isascii() and length.isdigit()):
            raise InvalidHeader("CONTENT-LENGTH", req=self)
        self.body = Body(LengthReader(self.unreader, int(length or 0)))

    def _read_codings(self, value, chunked):
        for coding in (c.strip().lower() for c in value.split(",")):
            if coding == "chunked":
                if chunked:
                    raise InvalidHeader("TRANSFER-ENCODING", req=self)
                chunked = True
            elif coding in ("identity", "gzip", "deflate", "compress"):
                if chunked:
                    raise InvalidHeader("TRANSFER-ENCODING", req=self)
                if coding != "identity":
                    self.force_close()
            else:
                raise UnsupportedTransferCoding(value)
        return chunked

    def should_close(self):
        if self.must_close:
            return True
        for name, value in self.headers:
            if name == "CONNECTION":
                value = value.lower().strip(" \t")
                if value in ("close", "keep-alive"):
                    return value == "close"
                break
        return self.version <= (1, 0)


def _bounded(limit, most):
    return limit if 0 < limit <= most else most


class Request(Message):
    def __init__(self, cfg, unreader, peer_addr, req_number=1):
        self.method = self.uri = self.path = self.query = self.fragment = None
        line = cfg.limit_request_line
        self.limit_request_line = line if 0 <= line < MAX_REQUEST_LINE else MAX_REQUEST_LINE
        self.req_number = req_number
        self.proxy_protocol_info = None
        super().__init__(cfg, unreader, peer_addr)

    # ---- getting bytes ----

    def get_data(self, unreader, buf, stop=False):
        """The next bytes into buf; at the end StopIteration, or NoMoreData."""
        data = unreader.read()
        if not data:
            if stop:
                raise StopIteration()
            raise NoMoreData(buf.getvalue())
        buf.write(data)

    read_into = get_data

    def read_bytes(self, unreader, buf, count):
        """Until buf has that many."""
        while len(buf.getvalue()) < count:
            self.get_data(unreader, buf)
        return buf.getvalue()

    def read_line(self, unreader, buf, limit=0):
        """(a line, what is behind it)"""
        while True:
            data = buf.getvalue()
            end = data.find(b"\r\n")
            if limit > 0 and (end if end >= 0 else len(data) - 2) > limit:
                raise LimitRequestLine(end if end >= 0 else len(data), limit)
            if end >= 0:
                return data[:end], data[end + 2:]
            self.get_data(unreader, buf)

    # ---- the head ----

    def parse(self, unreader):
        buf = io.BytesIO()
        self.get_data(unreader, buf, stop=True)
        if self.req_number == 1 and self.cfg.proxy_protocol not in (None, False, "off"):
            buf = self._read_proxy(unreader, buf)
        line, rest = self.read_line(unreader, buf, self.limit_request_line)
        self.parse_request_line(line)
        return self._parse_fields(unreader, rest)

    def _parse_fields(self, unreader, rest):
        buf = io.BytesIO()
        buf.write(rest)
        while rest[:2] != b"\r\n" and (end := rest.find(b"\r\n\r\n")) < 0:
            if len(rest) > self.max_buffer_headers:
                raise LimitRequestHeaders("max buffer headers")
            self.get_data(unreader, buf)
            rest = buf.getvalue()
        if rest[:2] == b"\r\n":
            return rest[2:]
        self.headers = self.parse_headers(rest[:end])
        self._check_fields()
        return rest[end + 4:]

    def _check_fields(self):
        seen = set()
        for name, value in self.headers:
            if name in _ONCE and name in seen:
                raise InvalidHeader(name)
            seen.add(name)
            if name == "EXPECT" and self.version >= (1, 1):
                if value.lower() != "100-continue":
                    raise ExpectationFailed(value)
                self._expected_100_continue = True

    def parse_request_line(self, line_bytes):
        parts = [bytes_to_str(part) for part in line_bytes.split(b" ", 2)]
        if len(parts) != 3:
            raise InvalidRequestLine(bytes_to_str(line_bytes))
        self.method = self._checked_method(parts[0])
        self.uri = parts[1]
        self._check_target(line_bytes)
        try:
            split = split_request_uri(self.uri)
        except ValueError:
            raise InvalidRequestLine(bytes_to_str(line_bytes)) from None
        self.path, self.query = split.path or "", split.query or ""
        self.fragment = split.fragment or ""
        match = VERSION_RE.fullmatch(parts[2])
        if match is None:
            raise InvalidHTTPVersion(parts[2])
        self.version = (int(match.group(1)), int(match.group(2)))
        if not (1, 0) <= self.version < (2, 0) and \
                not self.cfg.permit_unconventional_http_version:
            raise InvalidHTTPVersion(self.version)

    def _checked_method(self, method):
        if not self.cfg.permit_unconventional_http_method and (
                METHOD_BADCHAR_RE.search(method) or not 3 <= len(method) <= 20):
            raise InvalidRequestMethod(method)
        if not TOKEN_RE.fullmatch(method):
            raise InvalidRequestMethod(method)
        return method.upper() if self.cfg.casefold_http_method else method

    def _check_target(self, line_bytes):
        """`*` is for OPTIONS, an authority for CONNECT, all others begin with
        a slash or a scheme. What is not printable ASCII has to be encoded."""
        uri = self.uri
        if RFC9112_TARGET_INVALID.search(uri):
            raise InvalidRequestLine(bytes_to_str(line_bytes))
        right = uri.startswith("/") or "://" in uri
        if uri == "*":
            right = self.method == "OPTIONS"
        elif not right:
            right = bool(uri) and self.method == "CONNECT"
        if not right:
            raise InvalidRequestLine(bytes_to_str(line_bytes))

    # ---- PROXY protocol ----

    def proxy_protocol_access_check(self):
        if isinstance(self.peer_addr, tuple) and not _is_listed(
                self.peer_addr[0], self.cfg.proxy_allow_networks(),
                self.cfg.proxy_allow_ips):
            raise ForbiddenProxyRequest(self.peer_addr[0])

    def _read_proxy(self, unreader, buf):
        """Takes what the proxy put in front; the rest as a new buffer."""
        mode = self.cfg.proxy_protocol
        v1 = mode in (True, "v1", "auto")
        v2 = mode in ("v2", "auto")
        data = self.read_bytes(unreader, buf, len(_PROXY_V2))
        rest = data
        if v2 and data.startswith(_PROXY_V2):
            self.proxy_protocol_access_check()
            rest = self._parse_v2(unreader, buf)
        elif v1 and data.startswith(b"PROXY"):
            self.proxy_protocol_access_check()
            line, rest = self.read_line(unreader, buf, 107)
            self._parse_v1(bytes_to_str(line))
        fresh = io.BytesIO()
        fresh.write(rest)
        return fresh

    def _parse_v1(self, line):
        words = line.split(" ")
        if len(words) != 6 or words[1] not in ("TCP4", "TCP6"):
            raise InvalidProxyLine(line)
        kind = ipaddress.IPv4Address if words[1] == "TCP4" else ipaddress.IPv6Address
        try:
            source, target = str(kind(words[2])), str(kind(words[3]))
            ports = [int(word) for word in words[4:] if word.isdigit()]
        except ValueError:
            raise InvalidProxyLine(line) from None
        if len(ports) != 2 or max(ports) > 65535:
            raise InvalidProxyLine("invalid port %s" % line)
        self._set_proxy(words[1], source, ports[0], target, ports[1])

    def _parse_v2(self, unreader, buf):
        head = self.read_bytes(unreader, buf, 16)
        command, family, length = struct.unpack("!BBH", head[12:16])
        data = self.read_bytes(unreader, buf, 16 + length)
        body, rest = data[16:16 + length], data[16 + length:]
        if command >> 4 != 2:
            raise InvalidProxyHeader("unsupported version %d" % (command >> 4))
        if command & 15 > 1:
            raise InvalidProxyHeader("unsupported command %d" % (command & 15))
        layout = {0x11: (4, "TCP4", ipaddress.IPv4Address),
                  0x21: (16, "TCP6", ipaddress.IPv6Address)}.get(family)
        if command & 15 == 0 or family >> 4 == 0:  # its own connection
            self._set_proxy("LOCAL" if command & 15 == 0 else "UNSPEC", None, None,
                            None, None)
            return rest
        if layout is None:
            raise InvalidProxyHeader("unsupported address family or protocol %d" % family)
        size, word, kind = layout
        if len(body) < 2 * size + 4:
            raise InvalidProxyHeader("insufficient address data")
        ports = struct.unpack("!HH", body[2 * size:2 * size + 4])
        self._set_proxy(word, str(kind(body[:size])), ports[0],
                        str(kind(body[size:2 * size])), ports[1])
        return rest

    def _set_proxy(self, protocol, source, sport, target, dport):
        self.proxy_protocol_info = {
            "proxy_protocol": protocol, "client_addr": source, "client_port": sport,
            "proxy_addr": target, "proxy_port": dport}
