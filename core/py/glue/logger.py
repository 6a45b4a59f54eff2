"""server.log, and the way between it and the native log.

Native is gunicorn's Logger over the server's own files: lines of the server and
access lines never come here. They do as soon as anybody else has a say in them:
a logger_class, a logconfig, or filters, handlers and formatters that the
configuration or the application put on gunicorn.error and gunicorn.access.
"""
import logging
import sys
import threading

import _cgunicorn
from _cgunicorn_glue import glogging
from _cgunicorn_glue.names import loaded
from _cgunicorn_glue.statsd import Metrics, dotted

DEFAULT = "gunicorn.glogging.Logger"
STATSD = "gunicorn.instrument.statsd.Statsd"
_Function, _Method = type(lambda: None), type(logging.root.info)


class Stream:
    """A native log as a file: one write per line, never blocking."""

    mode, encoding, errors, closed = "a", "utf-8", "backslashreplace", False

    def __init__(self, access):
        self._access = access
        self.name = "<gunicorn.%s>" % ("access" if access else "error")

    def write(self, text):
        _cgunicorn.log_write(self._access, text)
        return len(text)

    def flush(self):
        """Nothing is buffered."""

    def fileno(self):
        return _cgunicorn.log_fd(self._access)

    def isatty(self):
        return False

    def writable(self):
        return True


class SyslogHandler(logging.Handler):
    def __init__(self, access):
        super().__init__()
        self._access = access

    def emit(self, record):
        try:
            _cgunicorn.log_syslog(self._access, record.levelno, self.format(record))
        except Exception:
            self.handleError(record)


class Native(glogging.Logger):
    def setup(self, cfg):
        self._made = {self.error_log: [], self.access_log: []}
        super().setup(cfg)

    def _capture(self):
        """The native log does that."""

    def _set_handler(self, log, output, fmt, stream=None):
        if output is not None:
            self._add(log, logging.StreamHandler(Stream(log is self.access_log)), fmt)

    def _set_syslog_handler(self, log, cfg, fmt, name):
        self._add(log, SyslogHandler(name == "access"), logging.Formatter("%(message)s"))

    def _add(self, log, handler, fmt):
        super()._add(log, handler, fmt)
        self._made[log].append(self._look(handler))

    def reopen_files(self):
        _cgunicorn.reopen_logs()
        super().reopen_files()  # the application's

    @staticmethod
    def _look(handler):
        return (handler, handler.level, handler.formatter, list(handler.filters),
                getattr(handler, "stream", None))

    def is_changed(self, log):
        """Whether a record would become something else than a native line."""
        level = self.loglevel if log is self.error_log else logging.INFO
        return (log.level != level or log.propagate or log.disabled or bool(log.filters)
                or log.manager.disable >= level
                or [self._look(h) for h in log.handlers] != self._made[log])

    def is_watched(self):
        """Whether somebody listens to all records (error trackers do that)."""
        own = vars(logging)
        return (logging.getLogRecordFactory() is not logging.LogRecord
                or type(self.error_log) is not logging.Logger
                or any(getattr(getattr(logging.Logger, n), "__globals__", None) is not own
                       for n in ("handle", "callHandlers", "makeRecord", "_log")))


class NativeStatsd(Metrics, Native):
    def setup(self, cfg):
        self.prefix = dotted(cfg.statsd_prefix)
        super().setup(cfg)

    def _sock_send(self, msg):
        if isinstance(msg, str):
            msg = msg.encode("ascii", "backslashreplace")
        _cgunicorn.log_statsd(msg)


# ---- which one ----

def _is_patched():
    """Whether a configuration changed gunicorn's Logger itself."""
    module = loaded("gunicorn.glogging")
    cls = getattr(module, "Logger", None)
    if cls is None:
        return False
    if module is glogging:
        now = vars(cls)
        return any(now.get(k) is not v for k, v in glogging.PRISTINE.items())
    return (cls.__module__ != module.__name__
            or any(isinstance(v, _Function) and v.__globals__ is not vars(module)
                   for v in vars(cls).values())
            or any(getattr(cls, n) != glogging.PRISTINE[n] for n in (
                "error_fmt", "datefmt", "access_fmt", "syslog_fmt")))


def _load(uri):
    import importlib

    module, _, name = uri.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except Exception as e:
        raise RuntimeError("logger_class: class uri %r invalid or not found: %s: %s"
                           % (uri, type(e).__name__, e)) from e


def logger_class(cfg):
    """The class, as gunicorn's cfg.logger_class."""
    value = cfg.settings["logger_class"].get()
    if isinstance(value, (_Function, _Method)):
        value = value()
    if value in (None, "simple"):
        value = DEFAULT
    if value == DEFAULT and cfg.statsd_host is not None:
        value = STATSD
    cls = _load(value) if isinstance(value, str) else value
    if not callable(cls):
        raise RuntimeError("logger_class: not a class: %r" % (cls,))
    if hasattr(cls, "install"):
        cls.install()
    return cls


def _wanted(cfg):
    value = cfg.settings["logger_class"].get()
    module = loaded("gunicorn.glogging")
    plain = value in (None, "simple", DEFAULT, getattr(module, "Logger", None)) or (
        value == STATSD and cfg.statsd_host is not None)
    if (not plain or cfg.logconfig or cfg.logconfig_dict or cfg.logconfig_json
            or _is_patched()):
        return logger_class(cfg)
    return Native if cfg.statsd_host is None else NativeStatsd


def make(cfg):
    return _wanted(cfg)(cfg)


def follow(log, cfg):
    """The logger after a reload; on failure the old one, as it was."""
    old = log.cfg
    try:
        cls = _wanted(cfg)
        if type(log) is not cls:
            return cls(cfg)
        log.setup(cfg)
    except Exception as e:
        try:
            log.setup(old)
        finally:
            log.error("reloading the logger configuration failed, keeping the previous "
                      "one: %s", e)
    return log


def routes(log):
    """Whether lines of the server, and access lines, have to go through log."""
    if isinstance(log, Native):
        access = log.is_changed(log.access_log) and log.access_log_enabled
        return log.is_changed(log.error_log) or log.is_watched(), access
    method = getattr(type(log), "access", None)
    base = getattr(loaded("gunicorn.glogging"), "Logger", glogging.Logger)
    if method is base.access and hasattr(log, "access_log_enabled"):
        return True, bool(log.access_log_enabled)
    return True, method is not None


# ---- what the server does with it ----

METHODS = {10: "debug", 20: "info", 30: "warning", 40: "error", 50: "critical"}
TYPES = {"g": "gauge", "h": "histogram"}


def line(log, level, text, is_exception):
    if is_exception:
        log.exception(text, exc_info=False)  # the traceback is in the text
    else:
        getattr(log, METHODS.get(level, "info"))(text)


def metric(log, level, text, name, value, kind):
    getattr(log, METHODS.get(level, "info"))(
        text, extra={"metric": name, "value": value, "mtype": TYPES[kind]})


def access(log, resp, req, environ, us):
    from datetime import timedelta

    log.access(resp, req, environ, timedelta(microseconds=us))


def access_line(log, text):
    log.access_log.info(text)


def refused(log, addr, method, uri, protocol, status, size, us):
    """An access line of a request that the application never saw."""
    from _cgunicorn_glue.hooks import Request, Response

    path, _, query = uri.partition("?")
    req = Request(method, uri, path, query, "", (1, int(protocol[-1:] == "1")), [], "http",
                  (addr, 0), 1)
    text = "%d %s" % (status, _cgunicorn.reason(status))
    resp = Response(req, text, status, [], size, size, False, True)
    environ = {"REQUEST_METHOD": method, "RAW_URI": uri, "SERVER_PROTOCOL": protocol,
               "PATH_INFO": path, "QUERY_STRING": query, "REMOTE_ADDR": addr}
    access(log, resp, req, environ, us)


def reopen(log):
    if not isinstance(log, Native):
        _cgunicorn.reopen_logs()
    try:
        log.reopen_files()
    except Exception as e:
        _cgunicorn.log(40, "cannot reopen the logs of %s: %s" % (type(log).__name__, e))


def reopen_aside(log):
    """The same in a thread of its own."""
    try:
        threading.Thread(target=reopen, args=(log,), daemon=True).start()
    except RuntimeError as e:
        _cgunicorn.log(40, "cannot reopen the logs of %s: %s" % (type(log).__name__, e))


def write_errors(log, text):
    """wsgi.errors: standard error or the errorlog, and the streams of handlers."""
    handlers = log.error_log.handlers if hasattr(log, "error_log") else []
    streams = []
    if log.cfg.errorlog == "-":
        streams, handlers = [Stream(False)], handlers[1:]
    streams += [h.stream for h in handlers if getattr(h, "stream", None)]
    for stream in streams or [Stream(False)]:
        stream.write(text)
        stream.flush()
