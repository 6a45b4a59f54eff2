# SPDX-License-Identifier: MIT
"""gunicorn.http.wsgi: a request as a WSGI environ, and the reply to it.

SERVER, Response.default_headers and default_environ are looked up at each
request: configurations and applications replace them.
"""
import io
import logging
import os
import re
import socket
import sys

import gunicorn
from gunicorn import util
from gunicorn.http.errors import (
    ConfigurationProblem, InvalidResponseHeader, InvalidResponseHeaderName)
from gunicorn.http.message import TOKEN_RE
from gunicorn.http.plain_file import extent, is_plain

BLKSIZE = 0x3FFFFFFF
HEADER_VALUE_RE = re.compile(r"[ \t\x21-\x7e\x80-\xff]*")
STATUS_RE = re.compile(r"[0-9]{3}(?: [ \t\x21-\x7e\x80-\xff]*)?")
SERVER = gunicorn.SERVER
SERVER_SOFTWARE = gunicorn.SERVER_SOFTWARE

log = logging.getLogger(__name__)


class FileWrapper:
    """wsgi.file_wrapper"""

    def __init__(self, filelike, blksize=8192):
        self.filelike, self.blksize = filelike, blksize
        if hasattr(filelike, "close"):
            self.close = filelike.close

    def __getitem__(self, key):
        data = self.filelike.read(self.blksize)
        if data:
            return data
        raise IndexError

    def __iter__(self):
        return self

    def __next__(self):
        data = self.filelike.read(self.blksize)
        if data:
            return data
        raise StopIteration


class WSGIErrorsWrapper(io.RawIOBase):
    """wsgi.errors: where the error log goes."""

    encoding, errors = "utf-8", "backslashreplace"

    def __init__(self, cfg):
        handlers = logging.getLogger("gunicorn.error").handlers
        self.streams = []
        if cfg.errorlog == "-":
            self.streams.append(sys.stderr)
            handlers = handlers[1:]
        self.streams += [h.stream for h in handlers if hasattr(h, "stream")]

    def writable(self):
        return True

    def fileno(self):
        """Standard error's, where no stream has one."""
        return next((s.fileno() for s in self.streams if util.has_fileno(s)), 2)

    def write(self, data):
        for stream in self.streams:
            try:
                stream.write(data)
            except UnicodeError:
                stream.write(data.encode("utf-8"))
            stream.flush()


# ---- environ ----

def base_environ(cfg):
    return {
        "wsgi.errors": WSGIErrorsWrapper(cfg), "wsgi.version": (1, 0),
        "wsgi.multithread": False, "wsgi.multiprocess": cfg.workers > 1,
        "wsgi.run_once": False, "wsgi.file_wrapper": FileWrapper,
        "wsgi.input_terminated": True, "SERVER_SOFTWARE": SERVER_SOFTWARE,
    }


def default_environ(req, sock, cfg):
    environ = base_environ(cfg)
    environ.update({
        "wsgi.input": req.body, "gunicorn.socket": sock, "REQUEST_METHOD": req.method,
        "QUERY_STRING": req.query, "RAW_URI": req.uri,
        "SERVER_PROTOCOL": "HTTP/%s" % ".".join(map(str, req.version)),
    })
    return environ


def proxy_environ(req):
    """What the PROXY protocol said."""
    info = req.proxy_protocol_info
    if not info:
        return {}
    return {"PROXY_PROTOCOL": info["proxy_protocol"], "REMOTE_ADDR": info["client_addr"],
            "REMOTE_PORT": str(info["client_port"]), "PROXY_ADDR": info["proxy_addr"],
            "PROXY_PORT": str(info["proxy_port"])}


def _server_of(server, host, scheme):
    """SERVER_NAME and SERVER_PORT, of the listener or, for a unix one, of Host."""
    if not isinstance(server, str):
        return [server[0], str(server[1])]
    parts = server.split(":")
    if len(parts) > 1:
        return parts[:2]
    if not host:
        return [server, ""]
    name = host.split(":")
    return [name[0], name[1] if len(name) > 1 else
            {"http": "80", "https": "443"}.get(scheme, "")]


def _put_fields(environ, headers):
    """Adds them as HTTP_*; gives (Host, SCRIPT_NAME)."""
    host, script_name = None, os.environ.get("SCRIPT_NAME", "")
    for name, value in headers:
        if name == "HOST":
            host = value
        elif name == "SCRIPT_NAME":
            script_name = value
        elif name in ("CONTENT-TYPE", "CONTENT-LENGTH"):
            environ[name.replace("-", "_")] = value
            continue
        key = "HTTP_" + name.replace("-", "_")
        environ[key] = "%s,%s" % (environ[key], value) if key in environ else value
    return host, script_name


def create(req, sock, client, server, cfg, response_class=None, response_args=()):
    """(response, environ)"""
    resp = (response_class or Response)(req, sock, cfg, *response_args)
    environ = default_environ(req, sock, cfg)
    if req._expected_100_continue:
        sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    host, script_name = _put_fields(environ, req.headers)
    environ["wsgi.url_scheme"] = req.scheme
    if isinstance(client, str):
        environ["REMOTE_ADDR"] = client
    elif isinstance(client, bytes):
        environ["REMOTE_ADDR"] = client.decode()
    else:
        environ["REMOTE_ADDR"], environ["REMOTE_PORT"] = client[0], str(client[1])
    environ["SERVER_NAME"], environ["SERVER_PORT"] = _server_of(server, host, req.scheme)
    path = req.path
    if script_name:
        if not path.startswith(script_name):
            raise ConfigurationProblem("Request path %r does not start with SCRIPT_NAME %r"
                                       % (path, script_name))
        path = path[len(script_name):]
    environ["PATH_INFO"] = util.unquote_to_wsgi_str(path)
    environ["SCRIPT_NAME"] = script_name
    environ.update(proxy_environ(req))
    environ["wsgi.early_hints"] = resp._early_hints
    return resp, environ


# ---- the reply ----

class Response:
    def __init__(self, req, sock, cfg):
        self.req, self.sock, self.cfg = req, sock, cfg
        self.version = SERVER
        self.status = self.status_code = None
        self.chunked = self.must_close = self.headers_sent = self.upgrade = False
        self.headers = []
        self.response_length = None
        self.sent = 0
        self._told_of_body = False

    def force_close(self):
        self.must_close = True

    def should_close(self):
        if self.must_close or self.req.should_close():
            return True
        if self.response_length is not None or self.chunked:
            return False
        return self._may_have_body()

    def _may_have_body(self):
        code = self.status_code or 0
        return self.req.method != "HEAD" and code not in (204, 304) and code >= 200

    def start_response(self, status, headers, exc_info=None):
        if exc_info:
            try:
                if self.status and self.headers_sent:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None
            self.headers, self.response_length, self.upgrade = [], None, False
        elif self.status is not None:
            raise AssertionError("Response headers already set!")
        if not isinstance(status, str):
            raise TypeError("%r is not a string" % (status,))
        # a reply of its own is final; 101 hands the connection over
        if not STATUS_RE.fullmatch(status) or status < "2" and status[:3] != "101":
            raise ValueError("Invalid status %r" % status)
        self.status, self.status_code = status, int(status[:3])
        self.process_headers(headers)
        self.chunked = self.is_chunked()
        return self.write

    def process_headers(self, headers):
        for name, value in headers:
            if not isinstance(name, str):
                raise TypeError("%r is not a string" % (name,))
            if not TOKEN_RE.fullmatch(name):
                raise InvalidResponseHeaderName("%r" % name)
            if not isinstance(value, str):
                raise TypeError("%r is not a string" % (value,))
            if not HEADER_VALUE_RE.fullmatch(value):
                raise InvalidResponseHeader("%r" % value)
            self._add(name, value.strip(" \t"))

    def _add(self, name, value):
        """Leaves out what belongs to the connection, but for upgrades."""
        lower = name.lower()
        if lower == "content-length":
            self._set_length(value)
        elif util.is_hoppish(name):
            if lower == "connection" and value.lower() == "upgrade":
                self.upgrade = True
            elif lower != "upgrade" or value.lower() != "websocket":
                return
            else:
                self.headers.append((name, value))
            return
        self.headers.append((name, value))

    def _set_length(self, value):
        if self.response_length is not None:
            raise InvalidResponseHeader("a second Content-Length, %r" % value)
        if not (value.isascii() and value.isdigit()):
            raise InvalidResponseHeader("Content-Length: %r" % value)
        self.response_length = int(value)

    def is_chunked(self):
        return (self.response_length is None and self.req.version > (1, 0)
                and self._may_have_body())

    def default_headers(self):
        """The lines before the application's."""
        connection = "keep-alive"
        if self.upgrade:
            connection = "upgrade"
        elif self.should_close():
            connection = "close"
        status = self.status if " " in self.status else self.status + " "
        lines = ["HTTP/%s.%s %s\r\n" % (*self.req.version, status),
                 "Server: %s\r\n" % self.version, "Date: %s\r\n" % util.http_date(),
                 "Connection: %s\r\n" % connection]
        if self.chunked:
            lines.append("Transfer-Encoding: chunked\r\n")
        return lines

    def send_headers(self):
        if self.headers_sent:
            return
        if self.status is None:
            raise AssertionError("the application has not called start_response()")
        code = self.status_code or 0
        dropped = ("content-length",) if 100 <= code < 200 or code == 204 else ()
        lines = self.default_headers()
        lines += ["%s: %s\r\n" % pair for pair in self.headers
                  if pair[0].lower() not in dropped]
        util.write(self.sock, ("".join(lines) + "\r\n").encode("latin-1"))
        self.headers_sent = True

    def _early_hints(self, headers):
        """wsgi.early_hints; what frames a message has no place in them."""
        if self.req.version < (1, 1) or self.headers_sent:
            return
        lines = ["HTTP/1.1 103 Early Hints\r\n"]
        for name, value in headers:
            name, value = util.bytes_to_str(name), util.bytes_to_str(value)
            if not TOKEN_RE.fullmatch(name):
                raise InvalidResponseHeaderName("%r" % name)
            if not HEADER_VALUE_RE.fullmatch(value):
                raise InvalidResponseHeader("%r" % value)
            if name.lower() != "content-length" and not util.is_hoppish(name):
                lines.append("%s: %s\r\n" % (name, value))
        util.write(self.sock, ("".join(lines) + "\r\n").encode("latin-1"))

    def write(self, arg):
        if not isinstance(arg, bytes):
            raise TypeError("%r is not a byte" % (arg,))
        if not arg:
            return  # the head waits for bytes (PEP 3333): it may be replaced until then
        self.send_headers()
        if not self._may_have_body():
            self._tell_of_body()
            return
        if self.response_length is not None:
            arg = arg[:max(0, self.response_length - self.sent)]
        if not arg:
            return
        self.sent += len(arg)
        util.write(self.sock, arg, self.chunked)

    def _tell_of_body(self):
        if not self._told_of_body:
            self._told_of_body = True
            log.warning("WSGI app sent body bytes on a no-body response (method=%s "
                        "status=%s); dropping per RFC 9110.", self.req.method, self.status)

    def _tell_of_emptiness(self):
        """A body that has no byte has a length, also where there was none told."""
        if self.response_length is None and self.status and self._may_have_body():
            self.response_length, self.chunked = 0, False
            self.headers.append(("Content-Length", "0"))

    def can_sendfile(self):
        return self.cfg.sendfile is not False

    def sendfile(self, respiter):
        """Whether the kernel sent the file."""
        if self.cfg.is_ssl or not self.can_sendfile() or not self._may_have_body():
            return False
        if not util.has_fileno(respiter.filelike) or not is_plain(respiter.filelike):
            return False
        fileno = respiter.filelike.fileno()
        try:
            place = os.lseek(fileno, 0, os.SEEK_CUR)
            offset, size = extent(respiter.filelike)
        except (OSError, ValueError):
            return False
        length = self.response_length
        if length is None:
            length = size - offset
        self.send_headers()
        if length <= 0:
            return True
        if self.is_chunked():
            self.sock.sendall(b"%X\r\n" % length)
        try:
            self.sent += self.sock.sendfile(respiter.filelike, offset=offset,
                                            count=length)
        finally:
            os.lseek(fileno, place, os.SEEK_SET)
        if self.is_chunked():
            self.sock.sendall(b"\r\n")
        return True

    def write_file(self, respiter):
        if not self.sendfile(respiter):
            for item in respiter:
                self.write(item)

    def close(self):
        if not self.headers_sent:
            self._tell_of_emptiness()
            self.send_headers()
        if self.response_length is not None and self.sent < self.response_length \
                and self._may_have_body():
            self.force_close()  # the peer waits for more, and would take the next reply
        if self.chunked:
            util.write_chunk(self.sock, b"")


# ---- what every worker class does with it ----

def send(resp, result, environ):
    """The application's whole result."""
    if isinstance(result, environ["wsgi.file_wrapper"]):
        resp.write_file(result)
    else:
        for item in result:
            resp.write(item)
    resp.close()


def cut(client):
    """Ends a connection in the middle of a reply."""
    try:
        client.shutdown(socket.SHUT_RDWR)
        client.close()
    except OSError:
        pass


def tell_post_request(worker, req, environ, resp):
    from _cgunicorn_glue.hooks import call_post_request

    try:
        call_post_request(worker.cfg.post_request, worker, req, environ, resp)
    except Exception:
        worker.log.exception("Exception in post_request hook")
