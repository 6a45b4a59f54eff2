"""gunicorn.glogging, where no gunicorn package is installed: the Logger that a
logger_class extends, over Python's logging.

An installed package's module always wins; what is here keeps to its names, so
that subclasses written for it work.

Every worker carries what is imported here: what few configurations need is
imported where they do.
"""
import logging
import os
import re
import sys
import threading
import time
import traceback


_own_getattr = vars(logging).get("__getattr__")  # Python 3.15 has one


def _later(name):
    """gunicorn imports both, so "import logging" is all that some applications
    do before they use them."""
    if name in ("config", "handlers"):
        __import__("logging." + name)
        return sys.modules["logging." + name]
    if _own_getattr is not None:
        return _own_getattr(name)
    raise AttributeError("module 'logging' has no attribute '%s'" % name)


logging.__getattr__ = _later

SYSLOG_FACILITIES = dict(
    kern=0, user=1, mail=2, daemon=3, auth=4, security=4, syslog=5, lpr=6, news=7, uucp=8,
    cron=9, authpriv=10, ftp=11, **{"local%d" % n: 16 + n for n in range(8)})

CONFIG_DEFAULTS = {
    "version": 1,
    "disable_existing_loggers": False,
    "root": {"level": "INFO", "handlers": ["console"]},
    "loggers": {
        "gunicorn.error": {"level": "INFO", "handlers": ["error_console"],
                           "propagate": True, "qualname": "gunicorn.error"},
        "gunicorn.access": {"level": "INFO", "handlers": ["console"],
                            "propagate": True, "qualname": "gunicorn.access"},
    },
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "generic",
                    "stream": "ext://sys.stdout"},
        "error_console": {"class": "logging.StreamHandler", "formatter": "generic",
                          "stream": "ext://sys.stderr"},
    },
    "formatters": {
        "generic": {"format": "%(asctime)s [%(process)d] [%(levelname)s] %(message)s",
                    "datefmt": "[%Y-%m-%d %H:%M:%S %z]", "class": "logging.Formatter"},
    },
}


def loggers():
    """Every logger that has a name in this process."""
    return [logging.getLogger(name) for name in list(logging.root.manager.loggerDict)]


def _file_handlers():
    for log in loggers():
        for handler in log.handlers:
            if isinstance(handler, logging.FileHandler):
                yield handler


_CONTROLS = {c: "\\x%02x" % c for c in [*range(32), 127]}
_NUMBERS = frozenset("BTMD")
_ATOM = re.compile(r"%(\(([^)]*)\)[-#0 +]*\d*(?:\.\d+)?)([a-zA-Z])")


def _plain_text(value):
    """Quotes and controls of a peer make no field and no line of their own."""
    value = value.replace('"', '\\"')
    return value if value.isprintable() else value.translate(_CONTROLS)


_usable = ("", "")  # the last one that was asked for


def usable_format(text):
    """access_log_format with s for the forms that an atom does not have, as the
    server says at its start."""
    global _usable
    if _usable[0] != text:
        _usable = (text, _ATOM.sub(lambda found: "%" + found[1] + (
            found[3] if found[2] in _NUMBERS else "s"), text))
    return _usable[1]


class SafeAtoms(dict):
    """Atoms of an access line: quotes are escaped, what is missing is "-"."""

    def __init__(self, atoms):
        super().__init__()
        for key, value in atoms.items():
            self[key] = _plain_text(value) if isinstance(value, str) else value

    def __getitem__(self, key):
        return self.get(key.lower() if key.startswith("{") else key, "-")


def parse_syslog_address(addr):
    """(socket type or None, path or (host, port))"""
    import socket

    scheme, found, rest = addr.partition("://")
    kinds = {"udp": socket.SOCK_DGRAM, "tcp": socket.SOCK_STREAM}
    if scheme == "unix" and found:
        path, _, kind = rest.partition("#")
        return socket.SOCK_DGRAM if kind == "dgram" else None, path
    if scheme not in kinds or not found:
        raise RuntimeError("invalid syslog address")
    if rest.startswith("[") and "]" in rest:
        host, _, tail = rest[1:].partition("]")
        port = tail[1:] if tail.startswith(":") else "514"
    else:
        host, colon, port = rest.partition(":")
        port = port if colon else "514"
    if not port.isdigit():
        raise RuntimeError("%r is not a valid port number." % port)
    return kinds[scheme], (host.lower() or "localhost", int(port))


class Logger:
    """server.log: methods of a logger, and the access log."""

    LOG_LEVELS = {"critical": logging.CRITICAL, "error": logging.ERROR,
                  "warning": logging.WARNING, "info": logging.INFO, "debug": logging.DEBUG}
    loglevel = logging.INFO

    error_fmt = r"%(asctime)s [%(process)d] [%(levelname)s] %(message)s"
    datefmt = r"[%Y-%m-%d %H:%M:%S %z]"
    access_fmt = "%(message)s"
    syslog_fmt = "[%(process)d] %(message)s"

    atoms_wrapper_class = SafeAtoms

    def __init__(self, cfg):
        self.error_log = logging.getLogger("gunicorn.error")
        self.access_log = logging.getLogger("gunicorn.access")
        self.error_log.propagate = self.access_log.propagate = False
        self.error_handlers, self.access_handlers = [], []
        self.logfile = None
        self.lock = threading.Lock()
        self.cfg = cfg
        self.setup(cfg)

    # ---- setting up ----

    def setup(self, cfg):
        self.cfg = cfg
        self._access_log_enabled = self._compute_access_log_enabled()
        self.loglevel = self.LOG_LEVELS.get(cfg.loglevel.lower(), logging.INFO)
        self.error_log.setLevel(self.loglevel)
        self.access_log.setLevel(logging.INFO)
        for log in (self.error_log, self.access_log):  # those of the last setup
            for handler in [h for h in log.handlers if getattr(h, "_gunicorn", False)]:
                log.removeHandler(handler)
        self._capture()
        self._set_handler(self.error_log, cfg.errorlog,
                          logging.Formatter(self.error_fmt, self.datefmt))
        if cfg.accesslog is not None:
            self._set_handler(self.access_log, cfg.accesslog,
                              fmt=logging.Formatter(self.access_fmt), stream=sys.stdout)
        if cfg.syslog:
            self._set_syslog_handler(self.error_log, cfg, self.syslog_fmt, "error")
            if not cfg.disable_redirect_access_to_syslog:
                self._set_syslog_handler(self.access_log, cfg, self.syslog_fmt, "access")
        self._configure(cfg)

    def _configure(self, cfg):
        try:
            if cfg.logconfig_dict:
                logging.config.dictConfig({**CONFIG_DEFAULTS, **cfg.logconfig_dict})
            elif cfg.logconfig_json:
                import json

                if os.path.exists(cfg.logconfig_json):
                    with open(cfg.logconfig_json, encoding="utf-8") as f:
                        logging.config.dictConfig({**CONFIG_DEFAULTS, **json.load(f)})
            elif cfg.logconfig:
                self._configure_ini(cfg.logconfig)
        except (AttributeError, ImportError, ValueError, TypeError) as e:
            raise RuntimeError(str(e)) from e

    def _configure_ini(self, path):
        if not os.path.exists(path):
            raise RuntimeError("Error: log config '%s' not found" % path)
        names = {**CONFIG_DEFAULTS, "__file__": path, "here": os.path.dirname(path)}
        logging.config.fileConfig(path, defaults=names, disable_existing_loggers=False)

    def _capture(self):
        """Standard output and error into the error log's file."""
        if not self.cfg.capture_output or self.cfg.errorlog == "-":
            return
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        with self.lock:
            if self.logfile is not None:
                self.logfile.close()
            self.logfile = open(self.cfg.errorlog, "a+")
            os.dup2(self.logfile.fileno(), 1)
            os.dup2(self.logfile.fileno(), 2)

    def _get_gunicorn_handler(self, log):
        return next((h for h in log.handlers if getattr(h, "_gunicorn", False)), None)

    def _set_handler(self, log, output, fmt, stream=None):
        old = self._get_gunicorn_handler(log)
        if old:
            log.handlers.remove(old)
        if output is None:
            return
        if output == "-":
            handler = logging.StreamHandler(stream)
        else:
            try:
                handler = logging.FileHandler(output)
            except OSError as e:
                raise RuntimeError("Error: '%s' isn't writable [%r]" % (output, e)) from e
            try:  # the workers' user has to be able to open it again
                os.chown(handler.baseFilename, self.cfg.user, self.cfg.group)
            except OSError:
                pass
        self._add(log, handler, fmt)

    def _set_syslog_handler(self, log, cfg, fmt, name):
        prefix = cfg.syslog_prefix or cfg.proc_name.replace(":", ".")
        if cfg.syslog_facility.lower() not in SYSLOG_FACILITIES:
            raise RuntimeError("unknown facility name")
        kind, address = parse_syslog_address(cfg.syslog_addr)
        handler = logging.handlers.SysLogHandler(
            address=address, facility=SYSLOG_FACILITIES[cfg.syslog_facility.lower()],
            socktype=kind)
        self._add(log, handler, logging.Formatter("gunicorn.%s.%s: %s" % (prefix, name, fmt)))

    def _add(self, log, handler, fmt):
        handler.setFormatter(fmt)
        handler._gunicorn = True
        log.addHandler(handler)

    # ---- lines ----

    def critical(self, msg, *args, **kwargs):
        self.error_log.critical(msg, *args, **kwargs)

    def error(self, msg, *args, **kwargs):
        self.error_log.error(msg, *args, **kwargs)

    def warning(self, msg, *args, **kwargs):
        self.error_log.warning(msg, *args, **kwargs)

    def info(self, msg, *args, **kwargs):
        self.error_log.info(msg, *args, **kwargs)

    def debug(self, msg, *args, **kwargs):
        self.error_log.debug(msg, *args, **kwargs)

    def exception(self, msg, *args, **kwargs):
        self.error_log.exception(msg, *args, **kwargs)

    def log(self, lvl, msg, *args, **kwargs):
        if isinstance(lvl, str):
            lvl = self.LOG_LEVELS.get(lvl.lower(), logging.INFO)
        self.error_log.log(lvl, msg, *args, **kwargs)

    # ---- the access log ----

    @property
    def access_log_enabled(self):
        return getattr(self, "_access_log_enabled", None) or self._compute_access_log_enabled()

    def _compute_access_log_enabled(self):
        cfg = self.cfg
        return bool(cfg.accesslog or cfg.logconfig or cfg.logconfig_dict or cfg.logconfig_json
                    or (cfg.syslog and not cfg.disable_redirect_access_to_syslog))

    def atoms(self, resp, req, environ, request_time):
        status = resp.status
        sent = getattr(resp, "sent", None)
        us = request_time.seconds * 1000000 + request_time.microseconds
        atoms = {
            "h": environ.get("REMOTE_ADDR", "-"), "l": "-",
            "u": self._get_user(environ) or "-", "t": self.now(),
            "r": "%s %s %s" % (environ["REQUEST_METHOD"], environ["RAW_URI"],
                               environ["SERVER_PROTOCOL"]),
            "s": status.split(None, 1)[0] if isinstance(status, str) else status,
            "m": environ.get("REQUEST_METHOD"), "U": environ.get("PATH_INFO"),
            "q": environ.get("QUERY_STRING"), "H": environ.get("SERVER_PROTOCOL"),
            "b": "-" if sent is None else str(sent), "B": sent,
            "f": environ.get("HTTP_REFERER", "-"), "a": environ.get("HTTP_USER_AGENT", "-"),
            "T": request_time.seconds, "D": us, "M": us // 1000,
            "L": "%d.%06d" % divmod(us, 1000000), "p": "<%d>" % os.getpid(),
        }
        for kind, fields in (("i", getattr(req, "headers", req)), ("o", resp.headers),
                             ("e", environ)):
            pairs = fields.items() if hasattr(fields, "items") else fields
            atoms.update(("{%s}%s" % (k.lower(), kind), v) for k, v in pairs)
        return atoms

    def access(self, resp, req, environ, request_time):
        if not self.access_log_enabled:
            return
        atoms = self.atoms_wrapper_class(self.atoms(resp, req, environ, request_time))
        try:
            self.access_log.info(usable_format(self.cfg.access_log_format), atoms)
        except Exception:
            self.error(traceback.format_exc())

    def now(self):
        return time.strftime("[%d/%b/%Y:%H:%M:%S %z]")

    def _get_user(self, environ):
        import base64

        kind, _, credentials = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        if kind.lower() != "basic":
            return None
        try:
            return base64.b64decode(credentials.strip()).partition(b":")[0].decode()
        except ValueError as e:
            self.debug("Couldn't get username: %s", e)
            return None

    # ---- files ----

    def reopen_files(self):
        self._capture()
        for handler in _file_handlers():
            handler.acquire()
            try:
                if handler.stream:
                    fresh = handler._open()  # if that fails, the old one stays
                    handler.stream.close()
                    handler.stream = fresh
            finally:
                handler.release()

    def close_on_exec(self):
        for handler in _file_handlers():
            handler.acquire()
            try:
                if handler.stream:
                    os.set_inheritable(handler.stream.fileno(), False)
            finally:
                handler.release()


PRISTINE = dict(vars(Logger))  # what a configuration changed differs from it
