# SPDX-License-Identifier: MIT
"""gunicorn.uwsgi.message: a request in a uwsgi packet, as those of HTTP are seen.

Four bytes come first: modifier1, how many bytes the variables have (little-endian),
modifier2. Each variable is a name and a value, both with two bytes of length before.
"""
from gunicorn.http.body import Body, LengthReader
from gunicorn.uwsgi.errors import (
    ForbiddenUWSGIRequest, InvalidUWSGIHeader, UnsupportedModifier)

MAX_UWSGI_VARS = 1000


class UWSGIRequest:
    def __init__(self, cfg, unreader, peer_addr, req_number=1):
        self.cfg, self.unreader = cfg, unreader
        self.peer_addr = self.remote_addr = peer_addr
        self.req_number = req_number
        self.method = self.uri = self.path = self.raw_path = self.query = self.body = None
        self.fragment = ""
        self.version = (1, 1)
        self.headers, self.trailers = [], []
        self.scheme = "https" if cfg.is_ssl else "http"
        self.must_close = self._expected_100_continue = False
        self.proxy_protocol_info = None
        self.uwsgi_vars = {}
        self.modifier1 = self.modifier2 = 0
        self._check_peer()
        self.unreader.unread(self.parse(self.unreader))
        self.set_body_reader()

    def _check_peer(self):
        allowed = self.cfg.uwsgi_allow_ips
        if isinstance(self.peer_addr, tuple) and "*" not in allowed \
                and self.peer_addr[0] not in allowed:
            raise ForbiddenUWSGIRequest(self.peer_addr[0])

    def force_close(self):
        self.must_close = True

    # ---- the packet ----

    def parse(self, unreader):
        """Reads it; gives what was read beyond it, which is nothing."""
        head = unreader.read(4)
        if not head and self.req_number > 1:
            raise StopIteration()  # a front that keeps connections has closed this one
        if len(head) < 4:
            raise InvalidUWSGIHeader("incomplete header")
        self.modifier1, self.modifier2 = head[0], head[3]
        if self.modifier1 != 0:
            raise UnsupportedModifier(self.modifier1)
        size = int.from_bytes(head[1:3], "little")
        data = unreader.read(size)
        if len(data) < size:
            raise InvalidUWSGIHeader("incomplete vars block")
        self._read_vars(data)
        self._set_request()
        return b""

    def _read_vars(self, data):
        at = count = 0
        while at < len(data):
            if count >= MAX_UWSGI_VARS:
                raise InvalidUWSGIHeader("too many variables")
            name, at = self._take(data, at, "key")
            self.uwsgi_vars[name], at = self._take(data, at, "value")
            count += 1

    @staticmethod
    def _take(data, at, what):
        """(a text with its length before, where it ends)"""
        start = at + 2
        if start > len(data):
            raise InvalidUWSGIHeader("truncated %s size" % what)
        end = start + int.from_bytes(data[at:start], "little")
        if end > len(data):
            raise InvalidUWSGIHeader("truncated %s" % what)
        return data[start:end].decode("latin-1"), end

    # ---- what it says ----

    def _set_request(self):
        given = self.uwsgi_vars
        self.method = given.get("REQUEST_METHOD", "GET")
        self.path, self.query = given.get("PATH_INFO", "/"), given.get("QUERY_STRING", "")
        self.uri = "%s?%s" % (self.path, self.query) if self.query else self.path
        raw = given.get("REQUEST_URI", "").partition("?")[0] or self.path
        self.raw_path = raw.encode("latin-1", "replace")
        if given.get("HTTPS", "").lower() in ("on", "1", "true"):
            self.scheme = "https"
        else:
            self.scheme = given.get("wsgi.url_scheme", self.scheme)
        self.headers += [(_field_of(name), value) for name, value in given.items()
                         if _field_of(name)]

    def set_body_reader(self):
        length = self.uwsgi_vars.get("CONTENT_LENGTH", "")
        self.body = Body(LengthReader(self.unreader, int(length)
                                      if length.isascii() and length.isdigit() else 0))

    def should_close(self):
        said = self.uwsgi_vars.get("HTTP_CONNECTION", "").lower()
        return self.must_close or said == "close"


def _field_of(name):
    """The field that a variable is of; or None."""
    if name.startswith("HTTP_"):
        return name[5:].replace("_", "-")
    return name.replace("_", "-") if name in ("CONTENT_TYPE", "CONTENT_LENGTH") else None
