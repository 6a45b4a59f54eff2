# SPDX-License-Identifier: MIT
"""gunicorn.util: helpers that worker classes and launchers import."""
import fcntl
import html
import inspect
import os
import random
import re
import socket
import sys
import time
from email.utils import formatdate
from urllib.parse import SplitResult, urlsplit, unquote_to_bytes

# What a proxy may not pass on, and an application may not set.
hop_headers = set("connection keep-alive proxy-authenticate proxy-authorization te trailers "
                  "transfer-encoding upgrade server date".split())
REDIRECT_TO = getattr(os, "devnull", "/dev/null")


# ---- importing ----

def load_entry_point(distribution, group, name):
    from importlib import metadata

    for point in metadata.distribution(distribution).entry_points:
        if point.group == group and point.name == name:
            return point.load()
    raise ImportError("Entry point %r not found" % ((group, name),))


def load_class(uri, default="gunicorn.workers.sync.SyncWorker", section="gunicorn.workers"):
    """The class of an alias, a dotted name, or egg:DISTRIBUTION#NAME."""
    if inspect.isclass(uri):
        return uri
    try:
        if uri.startswith("egg:"):
            dist, _, name = uri[4:].partition("#")
            return load_entry_point(dist, section, name or default)
        if section == "gunicorn.workers":
            from gunicorn.workers import SUPPORTED_WORKERS

            uri = SUPPORTED_WORKERS.get(uri, uri)
        module, dot, name = uri.rpartition(".")
        if not dot:
            return load_entry_point("gunicorn", section, uri)
        __import__(module)
    except Exception as e:
        import traceback

        raise RuntimeError("class uri %r invalid or not found: \n\n[%s]"
                           % (uri, traceback.format_exc())) from e
    return getattr(sys.modules[module], name)


def import_app(module):
    """The application of "module", "module:name" or "module:factory(args)"."""
    from _cgunicorn_glue.app import APP, AppError, load
    from gunicorn.errors import AppImportError

    try:
        return load(module)
    except AppError as e:
        if e.status == APP:
            raise AppImportError(str(e)) from e.__cause__
        raise (e.__cause__ or ImportError(str(e))) from None


def make_fail_app(msg):
    """An application that answers everything with 500 and that text."""
    body = to_bytestring(msg)

    def app(environ, start_response):
        start_response("500 Internal Server Error", [
            ("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        return [body]

    return app


def get_arity(f):
    """How many positional arguments it may be given."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in kinds for p in inspect.signature(f).parameters.values())


# ---- the process ----

def getcwd():
    """The current folder as the shell names it, through links."""
    try:
        here, named = os.stat("."), os.stat(os.environ["PWD"])
        if (here.st_ino, here.st_dev) == (named.st_ino, named.st_dev):
            return os.environ["PWD"]
    except (KeyError, OSError):
        pass
    return os.getcwd()


def get_username(uid):
    """Of a user id, or KeyError."""
    import pwd

    return pwd.getpwuid(uid).pw_name


def set_owner_process(uid, gid, initgroups=False):
    """Becomes that user; a process that is it already stays so."""
    if gid and gid != os.getgid():
        if initgroups and uid:
            os.initgroups(get_username(uid), gid)
        os.setgid(gid)
    if uid and uid != os.geteuid():
        os.setuid(uid)


def chown(path, uid, gid):
    os.chown(path, uid, gid)


def unlink(filename):
    """A file that is not there is no error."""
    try:
        os.unlink(filename)
    except (FileNotFoundError, NotADirectoryError):
        pass


def check_is_writable(path):
    try:
        with open(path, "a"):
            pass
    except OSError as e:
        raise RuntimeError("Error: '%s' isn't writable [%r]" % (path, e)) from e


check_is_writeable = check_is_writable  # gunicorn 20's name


def seed():
    random.seed(os.urandom(64))


def _setproctitle(title):
    try:
        from setproctitle import setproctitle
    except ImportError:
        return
    setproctitle("gunicorn: %s" % title)


def daemonize(enable_stdio_inheritance=False):
    """Into the background: a session of its own, no terminal."""
    if "GUNICORN_FD" in os.environ:
        return  # a new master is there already
    if os.fork():
        os._exit(0)
    os.setsid()
    if os.fork():
        os._exit(0)
    os.umask(0o22)
    null = os.open(REDIRECT_TO, os.O_RDWR)
    os.dup2(null, 0)
    for stream in (sys.stdout, sys.stderr):
        if not enable_stdio_inheritance or stream is None or stream.isatty():
            os.dup2(null, 1 if stream is sys.stdout else 2)
    if null > 2:
        os.close(null)


def warn(msg):
    print("!!!\n!!! WARNING: %s\n!!!" % "\n!!!          ".join(msg.splitlines()),
          file=sys.stderr)


def reraise(tp, value, tb=None):
    try:
        error = tp() if value is None else value
        raise error.with_traceback(tb) if error.__traceback__ is not tb else error
    finally:
        value = tb = None


# ---- addresses ----

def is_ipv6(addr):
    try:
        socket.inet_pton(socket.AF_INET6, addr)
    except (OSError, ValueError):
        return False
    return True


def parse_address(netloc, default_port="8000"):
    """(host, port), the path of unix:PATH, or the number of fd://N."""
    scheme = re.match(r"unix:(//)?", netloc)
    if scheme:
        return netloc[scheme.end():]
    if netloc.startswith("fd://"):
        text = netloc[5:]
        try:
            return int(text)
        except ValueError:
            raise RuntimeError("%r is not a valid file descriptor." % text) from None
    if netloc.startswith("tcp://"):
        netloc = netloc[6:]
    host, port = netloc, default_port
    bracket = re.match(r"\[(.*)\](?::(.*))?$", netloc)
    if bracket:
        host, port = bracket.group(1), bracket.group(2) or default_port
    elif ":" in netloc:
        host, port = netloc.split(":")[:2]
    elif netloc == "":
        host = "0.0.0.0"
    try:
        return host.lower(), int(port)
    except ValueError:
        raise RuntimeError("%r is not a valid port number." % port) from None


# ---- descriptors and sockets ----

def _number(fd):
    return fd if isinstance(fd, int) else fd.fileno()


def close_on_exec(fd):
    flags = fcntl.fcntl(_number(fd), fcntl.F_GETFD)
    fcntl.fcntl(_number(fd), fcntl.F_SETFD, flags | fcntl.FD_CLOEXEC)


def set_non_blocking(fd):
    os.set_blocking(_number(fd), False)


def has_fileno(obj):
    """Whether it is a file that the kernel can read from."""
    if not hasattr(obj, "fileno"):
        return False
    try:
        obj.fileno()
    except (AttributeError, OSError):  # io.UnsupportedOperation is one
        return False
    return True


def close(sock):
    try:
        sock.close()
    except OSError:
        pass


def close_graceful(sock, timeout=2.0, max_drain=65536):
    """Closes so that the client gets what was sent: first our direction, then,
    when it has stopped sending, all of it. What it still sends is bounded."""
    try:
        sock.shutdown(socket.SHUT_WR)
        end = time.monotonic() + timeout
        while max_drain > 0 and (left := end - time.monotonic()) > 0:
            sock.settimeout(left)
            data = sock.recv(min(8192, max_drain))
            if not data:
                break
            max_drain -= len(data)
    except (OSError, ValueError):
        pass
    close(sock)


def write_chunk(sock, data):
    if isinstance(data, str):
        data = data.encode("utf-8")
    sock.sendall(b"%X\r\n%b\r\n" % (len(data), data))


def write(sock, data, chunked=False):
    if chunked:
        return write_chunk(sock, data)
    return sock.sendall(data)


def write_nonblock(sock, data, chunked=False):
    timeout = sock.gettimeout()
    if timeout == 0.0:
        return write(sock, data, chunked)
    sock.setblocking(False)
    try:
        return write(sock, data, chunked)
    finally:
        sock.settimeout(timeout)


_PAGE = """<html>
  <head>
    <title>{reason}</title>
  </head>
  <body>
    <h1><p>{reason}</p></h1>
    {message}
  </body>
</html>
"""


def write_error(sock, status_int, reason, mesg):
    body = _PAGE.format(reason=reason, message=html.escape(mesg))
    head = ("HTTP/1.1 %s %s\r\nConnection: close\r\nContent-Type: text/html\r\n"
            "Content-Length: %d\r\n\r\n" % (status_int, reason, len(body)))
    write_nonblock(sock, (head + body).encode("latin-1"))


# ---- texts of HTTP ----

def http_date(timestamp=None):
    return formatdate(time.time() if timestamp is None else timestamp, usegmt=True)


def is_hoppish(header):
    return header.lower().strip() in hop_headers


def to_bytestring(value, encoding="utf8"):
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise TypeError("%r is not a string" % (value,))
    return value.encode(encoding)


def bytes_to_str(b):
    return b if isinstance(b, str) else str(b, "latin1")


def unquote_to_wsgi_str(string):
    return unquote_to_bytes(string).decode("latin-1")


def split_request_uri(uri):
    """Its parts; //a//b is a path, not the address of a server."""
    if uri.startswith("//"):
        parts = urlsplit("." + uri)
        return SplitResult(parts.scheme, parts.netloc, parts.path[1:], parts.query,
                           parts.fragment)
    return urlsplit(uri)


def is_glob_pattern(value):
    return any(char in value for char in "*?[")
