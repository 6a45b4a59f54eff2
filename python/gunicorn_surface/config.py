# SPDX-License-Identifier: MIT
"""gunicorn.config: a class for every setting, made of the server's own table, and
the Config that applications fill.

The order of KNOWN_SETTINGS is gunicorn's; the server's own settings come last.
"""
import argparse
import copy
import grp
import inspect
import ipaddress
import os
import pwd
import re
import shlex
import ssl
import sys
import textwrap

import _cgunicorn
from _cgunicorn_glue import hooks as _hooks
from gunicorn import __version__, util
from gunicorn.errors import ConfigError

KNOWN_SETTINGS = []
VALID_HTTP_PROTOCOLS = frozenset({"h1", "h2"})
PLATFORM = sys.platform


def make_settings(ignore=None):
    """{name: a fresh setting}"""
    return {cls.name: cls() for cls in KNOWN_SETTINGS if cls.name not in (ignore or ())}


def auto_int(_, x):
    """int(), where a leading zero is octal, as shells write modes."""
    if re.match(r"0(\d)", x, re.IGNORECASE):
        x = "0o" + x[1:]
    return int(x, 0)


# ---- what a value may be ----

def validate_bool(val):
    if val is None or isinstance(val, bool):
        return val
    if not isinstance(val, str):
        raise TypeError("Invalid type for casting: %s" % val)
    word = val.lower().strip()
    if word not in ("true", "false"):
        raise ValueError("Invalid boolean: %s" % val)
    return word == "true"


def validate_dict(val):
    if not isinstance(val, dict):
        raise TypeError("Value is not a dictionary: %s " % val)
    return val


def validate_pos_int(val):
    val = int(val) if isinstance(val, int) else int(val, 0)
    if val < 0:
        raise ValueError("Value must be positive: %s" % val)
    return val


def _validate_range(val):
    """A number, or LEAST-MOST: cgunicorn's own."""
    text = val.strip() if isinstance(val, str) else ""
    least, hyphen, most = text.partition("-")
    if not least.isdigit() or not hyphen:
        return validate_pos_int(val)
    if not most.isdigit() or not 1 <= int(least) <= int(most):
        raise ValueError("Value must be a whole number or a range LEAST-MOST: %r" % val)
    return text if int(least) < int(most) else int(least)


def _validate_seconds(val):
    val = float(val)
    if not 0 <= val <= 2147483647:
        raise ValueError("Value must be positive: %s" % val)
    return val


def validate_string(val):
    if val is None:
        return None
    if not isinstance(val, str):
        raise TypeError("Not a string: %s" % val)
    return val.strip()


def validate_file_exists(val):
    if val is not None and not os.path.exists(val):
        raise ValueError("File %s does not exists." % val)
    return val


def validate_list_string(val):
    if not val:
        return []
    return [validate_string(v) for v in ([val] if isinstance(val, str) else val)]


def validate_list_of_existing_files(val):
    return [validate_file_exists(v) for v in validate_list_string(val)]


def validate_list_of_files_or_patterns(val):
    """Files that are there; a pattern may match nothing yet."""
    return [v if util.is_glob_pattern(v) else validate_file_exists(v)
            for v in validate_list_string(val)]


def validate_string_to_list(val):
    val = validate_string(val)
    return [v.strip() for v in val.split(",") if v] if val else []


def validate_string_to_addr_list(val):
    items = validate_string_to_list(val)
    for item in items:
        if item != "*":
            ipaddress.ip_network(item)
    return items


def validate_class(val):
    if inspect.isfunction(val) or inspect.ismethod(val):
        val = val()
    return val if inspect.isclass(val) else validate_string(val)


def _imported(val):
    """The object that an import string names."""
    module, dot, name = val.rpartition(".")
    if not dot:
        raise TypeError("Value '%s' is not import string. "
                        "Format: module[.submodules...].object" % val)
    try:
        __import__(module)
    except ImportError as e:
        raise TypeError(str(e)) from e
    try:
        return getattr(sys.modules[module], name)
    except AttributeError:
        raise TypeError("Can not load '%s' from '%s'" % (name, module)) from None


def validate_callable(arity):
    def _validate_callable(val):
        if isinstance(val, str):
            val = _imported(val)
        if not callable(val):
            raise TypeError("Value is not callable: %s" % val)
        if arity != -1 and arity != util.get_arity(val):
            raise TypeError("Value must have an arity of: %s" % arity)
        return val

    return _validate_callable


def validate_post_request(val):
    """Of 2, 3 or 4 parameters; it may always be called with 4."""
    val = validate_callable(-1)(val)
    arity = util.get_arity(val)
    if arity not in (2, 3, 4):
        raise TypeError("Value must have an arity of: 4")
    if arity == 4:
        return val

    def post_request(worker, req, environ, resp):
        return val(*(worker, req, environ, resp)[:arity])

    return post_request


def _account(val, current, lookup, kind):
    if val is None:
        return current()
    if isinstance(val, int):
        return val
    if val.isdigit():
        return int(val)
    try:
        return lookup(val)
    except KeyError:
        raise ConfigError("No such %s: '%s'" % (kind, val)) from None


def validate_user(val):
    return _account(val, os.geteuid, lambda n: pwd.getpwnam(n).pw_uid, "user")


def validate_group(val):
    return _account(val, os.getegid, lambda n: grp.getgrnam(n).gr_gid, "group")


def validate_chdir(val):
    val = validate_string(val)
    path = os.path.abspath(os.path.normpath(os.path.join(util.getcwd(), val)))
    if not os.path.exists(path):
        raise ConfigError("can't chdir to %r" % val)
    return path


def validate_statsd_address(val):
    val = validate_string(val)
    if val is None:
        return None
    path = re.match(r"unix:(//)?(?P<path>.+)", val)
    if path and path.group("path").isdigit() and not path.group(1):
        return "unix", int(path.group("path"))  # a host of that name
    if path:
        return path.group("path")
    try:
        return util.parse_address(val, default_port="8125")
    except RuntimeError:
        raise TypeError("Value must be one of ('host:port', 'unix://PATH')") from None


def _one_of(words, text, error=ValueError):
    def validate(val):
        word = val.lower().strip() if isinstance(val, str) else val
        if word not in words:
            raise error(text % (val,))
        return word

    return validate


def validate_reload_engine(val):
    if val not in ("auto", "poll", "inotify"):
        raise ConfigError("Invalid reload_engine: %r" % (val,))
    return val


def validate_header_map_behaviour(val):
    if val is None:
        return None
    return _one_of(("drop", "refuse", "dangerous"), "Invalid header map behaviour: %s")(val)


def validate_ssl_version(val):
    if val != SSLVersion.default:
        sys.stderr.write("Warning: option `ssl_version` is deprecated and it is ignored. "
                         "Use ssl_context instead.\n")
    return val


def validate_proxy_protocol(val):
    if val is None or isinstance(val, bool):
        return "auto" if val is True else "off"
    if not isinstance(val, str):
        raise TypeError("proxy_protocol must be string or bool")
    known = {"off": ("off", "false", "0", "none", ""), "auto": ("auto", "true", "1"),
             "v1": ("v1",), "v2": ("v2",)}
    for mode, words in known.items():
        if val.lower().strip() in words:
            return mode
    raise ValueError("proxy_protocol must be: off, v1, v2, or auto")


def validate_http_protocols(val):
    if val is None or val == "":
        return ["h1"]
    if not isinstance(val, str):
        raise TypeError("http_protocols must be a string")
    found = [v.strip().lower() for v in val.split(",") if v.strip()]
    for item in found:
        if item not in VALID_HTTP_PROTOCOLS:
            raise ValueError("Invalid protocol '%s'. Valid protocols: h1, h2" % item)
    if len(set(found)) != len(found):
        raise ValueError("Duplicate protocols specified")
    return found or ["h1"]


def _by_table(name):
    def validate(val):
        return _cgunicorn.validate(name, val)

    return validate


def validate_http2_cleartext(val):
    if isinstance(val, bool):
        return "prior-knowledge" if val else "off"
    return _one_of(("off", "prior-knowledge", "upgrade", "both"),
                   "Invalid http2_cleartext: %s")(val)


validate_asgi_loop = _one_of(("auto", "asyncio", "uvloop"), "Invalid ASGI loop: %s")
validate_asgi_lifespan = _one_of(("auto", "on", "off"), "Invalid ASGI lifespan: %s")
validate_http_parser = _one_of(("auto", "fast", "python"),
                               "http_parser must be one of: auto, fast, python%.0s")
validate_http2_stream_limit = _by_table("http2_max_concurrent_streams")
validate_http2_window_size = _by_table("http2_initial_window_size")
validate_http2_frame_size = _by_table("http2_max_frame_size")


def get_default_config_file():
    path = os.path.join(os.path.abspath(os.getcwd()), "gunicorn.conf.py")
    return path if os.path.exists(path) else None


# ---- settings ----

class SettingMeta(type):
    """A class of a setting is known as soon as it exists, also a user's."""

    def __new__(cls, name, bases, attrs):
        if not any(isinstance(base, SettingMeta) for base in bases):
            return super().__new__(cls, name, bases, attrs)
        attrs["order"] = len(KNOWN_SETTINGS)
        attrs["validator"] = staticmethod(attrs["validator"])
        new = super().__new__(cls, name, bases, attrs)
        new.fmt_desc(attrs.get("desc", ""))
        KNOWN_SETTINGS.append(new)
        return new

    def fmt_desc(cls, desc):
        cls.desc = textwrap.dedent(desc).strip()
        cls.short = cls.desc.splitlines()[0]


class Setting(metaclass=SettingMeta):
    name = value = section = cli = validator = type = meta = action = default = None
    short = desc = nargs = const = None
    order = 0

    def __init__(self):
        if self.default is not None:
            self.set(self.default)
        self._given = self._default = self.value

    def add_option(self, parser):
        if not self.cli:
            return
        words = {"dest": self.name, "action": self.action or "store", "default": None,
                 "help": ("%s [%s]" % (self.short, self.default)).replace("%", "%%")}
        if words["action"] != "store":
            words.pop("type", None)
        elif self.type is not None:
            words["type"] = self.type
        for key, value in (("metavar", self.meta), ("nargs", self.nargs),
                           ("const", self.const)):
            if value is not None and not words["action"].startswith("store_"):
                words[key] = value
        if words["action"] == "store_const":
            words["const"] = self.const
        parser.add_argument(*self.cli, **words)

    def copy(self):
        return copy.copy(self)

    def get(self):
        return self.value

    def set(self, val):
        if not callable(self.validator):
            raise TypeError("Invalid validator: %s" % self.name)
        self.value = self.validator(val)

    def __lt__(self, other):
        return self.section == other.section and self.order < other.order

    def __repr__(self):
        return "<%s.%s object at %x with value %r>" % (
            type(self).__module__, type(self).__name__, id(self), self.value)


# Names of classes that are not their settings' in CamelCase.
_CLASS_NAMES = dict(
    config="ConfigFile", wsgi_app="WSGIApp", threads="WorkerThreads",
    check_config="ConfigCheck", raw_env="Env", secure_scheme_headers="SecureSchemeHeader",
    forwarded_allow_ips="ForwardedAllowIPS", accesslog="AccessLog", errorlog="ErrorLog",
    logconfig="LogConfig", logconfig_dict="LogConfigDict", logconfig_json="LogConfigJson",
    syslog_addr="SyslogTo", enable_backlog_metric="BacklogMetric", proc_name="Procname",
    pythonpath="PythonPath", pre_fork="Prefork", post_fork="Postfork",
    nworkers_changed="NumWorkersChanged", ssl_context="NewSSLContext",
    proxy_allow_ips="ProxyAllowFrom", uwsgi_allow_ips="UWSGIAllowFrom", keyfile="KeyFile",
    certfile="CertFile", ssl_version="SSLVersion", ca_certs="CACerts",
    suppress_ragged_eofs="SuppressRaggedEOFs", raw_paste_global_conf="PasteGlobalConf",
    permit_unconventional_http_method="PermitUnconventionalHTTPMethod",
    permit_unconventional_http_version="PermitUnconventionalHTTPVersion",
    casefold_http_method="CasefoldHTTPMethod", http_protocols="HTTPProtocols",
    http2_cleartext="HTTP2Cleartext",
    http2_max_concurrent_streams="HTTP2MaxConcurrentStreams",
    http2_initial_window_size="HTTP2InitialWindowSize",
    http2_max_frame_size="HTTP2MaxFrameSize",
    http2_max_header_list_size="HTTP2MaxHeaderListSize", asgi_loop="ASGILoop",
    asgi_lifespan="ASGILifespan",
    asgi_disconnect_grace_period="ASGIDisconnectGracePeriod",
    websocket_max_message_size="WebSocketMaxMessageSize")

_ORDER = """config wsgi_app bind backlog workers worker_class threads worker_connections
max_requests max_requests_jitter timeout graceful_timeout keepalive limit_request_line
limit_request_fields limit_request_field_size reload reload_engine reload_extra_files spew
check_config print_config preload_app sendfile reuse_port chdir daemon raw_env pidfile
worker_tmp_dir user group umask initgroups tmp_upload_dir secure_scheme_headers
forwarded_allow_ips accesslog disable_redirect_access_to_syslog access_log_format errorlog
loglevel capture_output logger_class logconfig logconfig_dict logconfig_json syslog_addr
syslog syslog_prefix syslog_facility enable_stdio_inheritance statsd_host dogstatsd_tags
statsd_prefix enable_backlog_metric proc_name default_proc_name pythonpath paste
on_starting on_reload when_ready pre_fork post_fork post_worker_init worker_int
worker_abort pre_exec pre_request post_request child_exit worker_exit nworkers_changed
on_exit ssl_context proxy_protocol proxy_allow_ips protocol uwsgi_allow_ips keyfile
certfile ssl_version cert_reqs ca_certs suppress_ragged_eofs do_handshake_on_connect
ciphers http_protocols http2_cleartext http2_max_concurrent_streams
http2_initial_window_size http2_max_frame_size http2_max_header_list_size
raw_paste_global_conf permit_obsolete_folding strip_header_spaces
permit_unconventional_http_method permit_unconventional_http_version casefold_http_method
forwarder_headers header_map asgi_loop asgi_lifespan asgi_disconnect_grace_period
websocket_max_message_size http_parser root_path dirty_apps dirty_workers dirty_timeout
dirty_threads dirty_graceful_timeout on_dirty_starting dirty_post_fork dirty_worker_init
dirty_worker_exit control_socket control_socket_mode control_socket_disable""".split()

_VALIDATORS = dict(
    bool=validate_bool, pos_int=validate_pos_int, range=_validate_range, seconds=_validate_seconds, string=validate_string,
    list_string=validate_list_string, files=validate_list_of_files_or_patterns,
    string_to_list=validate_string_to_list, addrs=validate_string_to_addr_list,
    dict=validate_dict, user=validate_user, group=validate_group, chdir=validate_chdir,
    statsd=validate_statsd_address, proxy_protocol=validate_proxy_protocol,
    http_protocols=validate_http_protocols)
_VALIDATORS["class"] = validate_class
_OF_NAME = dict(
    reload_engine=validate_reload_engine, header_map=validate_header_map_behaviour,
    ssl_version=validate_ssl_version, post_request=validate_post_request,
    http2_cleartext=validate_http2_cleartext, asgi_loop=validate_asgi_loop,
    asgi_lifespan=validate_asgi_lifespan, http_parser=validate_http_parser,
    http2_max_concurrent_streams=validate_http2_stream_limit,
    http2_initial_window_size=validate_http2_window_size,
    http2_max_frame_size=validate_http2_frame_size)
_JOINED = []  # settings whose list is written with commas
_CLI = {"int": {"type": int}, "flag": {"action": "store_true"},
        "auto_int": {"type": lambda text: auto_int(None, text)},
        "false": {"action": "store_const", "const": False}, "append": {"action": "append"},
        "optional": {"nargs": "?", "const": "auto"}}


def _unset_hook(name, qualname, text):
    """A hook's default: it does nothing. Its arguments are named in the table's
    text: "pre_fork(server, worker): …"."""
    names = text.partition("(")[2].partition(")")[0]
    scope = {"__name__": __name__}
    body = "pass"
    if name == "ssl_context":
        body = "return %s()" % names.rpartition(", ")[2]
    exec("def %s(%s): %s" % (name, names, body), scope)
    hook = scope[name]
    hook.__qualname__ = qualname
    return hook


def _log_request(worker, req):
    worker.log.debug("%s %s", req.method, req.path)


_log_request.__name__, _log_request.__qualname__ = "pre_request", "PreRequest.pre_request"


def _default(name, kind, value, qualname, text):
    """As the class has it; Setting.set() makes the value of it."""
    if name == "pre_request":
        return _log_request
    if kind == "hook":
        return _unset_hook(name, qualname, text)
    if name == "ssl_version":
        return getattr(ssl, "PROTOCOL_TLS", value)
    if name == "cert_reqs":
        return ssl.CERT_NONE
    if kind in ("string_to_list", "addrs", "http_protocols") and value is not None:
        return ",".join(value)
    if kind in ("list_string", "files", "targets") and value is None:
        return []
    if kind == "dict" and value is None:
        return {}
    if name == "config":
        return "./gunicorn.conf.py"
    if name == "chdir":
        return util.getcwd()
    if kind in ("user", "group"):
        return os.geteuid() if kind == "user" else os.getegid()
    return value


def _make(row):
    name, section, kind, cli, flags, meta, value, arity, text, qualname, ours = row
    default = _default(name, kind, value, qualname, text)
    validator = _OF_NAME.get(name) or _VALIDATORS.get(kind) or (
        validate_callable(arity) if kind == "hook" else _by_table(name))
    if ours:
        validator = _by_table(name)
    if kind in ("string_to_list", "addrs", "http_protocols"):
        _JOINED.append(name)
    attrs = {"__module__": __name__, "name": name, "section": section, "default": default,
             "validator": validator, "desc": text or name, "meta": meta,
             "cli": flags.split() if flags and cli != "none" else None}
    if kind == "hook":
        attrs["type"] = None if name == "on_exit" else callable
        attrs["default"] = attrs[name] = staticmethod(default)
    attrs.update(_CLI.get(cli, {}))
    if kind == "range":
        attrs["type"] = staticmethod(validator)
    title = _CLASS_NAMES.get(name) or "".join(w.capitalize() for w in name.split("_"))
    globals()[title] = SettingMeta(title, (Setting,), attrs)


def _make_all():
    rows = {row[0]: row for row in _cgunicorn.settings()}
    for name in _ORDER + [name for name in rows if name not in _ORDER]:
        _make(rows[name])


_make_all()


# ---- all of them ----

class Config(_hooks.Config):
    """What an application fills and the server takes."""

    def __init__(self, usage=None, prog=None):
        settings = make_settings()
        self.__dict__.update(
            settings=settings, usage=usage, env_orig=os.environ.copy(), _derived=None,
            prog=prog or os.path.basename(sys.argv[0] if sys.argv else ""))

    def __copy__(self):
        new = self.__class__.__new__(self.__class__)
        new.__dict__.update(self.__dict__)
        return new

    def __deepcopy__(self, memo):
        new = self.__copy__()
        new.__dict__["settings"] = {n: s.copy() for n, s in self.settings.items()}
        return new

    def set(self, name, value):
        if name not in self.settings:
            raise AttributeError("No configuration setting for: %s" % name)
        self.settings[name].set(value)

    def validate(self):
        """What no single setting can see."""
        for name in ("certfile", "keyfile"):
            path = self.settings[name].get()
            if path and not os.path.exists(path):
                raise ConfigError('%s "%s" does not exist' % (name, path))

    def get_cmd_args_from_env(self):
        return shlex.split(self.env_orig.get("GUNICORN_CMD_ARGS", ""))

    def parser(self):
        parser = argparse.ArgumentParser(prog=self.prog, usage=self.usage)
        parser.add_argument("-v", "--version", action="version", default=argparse.SUPPRESS,
                            version="%%(prog)s (version %s, cgunicorn %s)\n" % (
                                __version__, _cgunicorn.__version__),
                            help="show program's version number and exit")
        parser.add_argument("args", nargs="*", help=argparse.SUPPRESS)
        for name in sorted(self.settings, key=lambda n: self.settings[n].order):
            self.settings[name].add_option(parser)
        return parser

    # ---- what follows from several ----

    @property
    def worker_class_str(self):
        uri = self.settings["worker_class"].get()
        if not isinstance(uri, str):
            return str(uri)
        is_sync = uri == "sync" or uri.endswith("SyncWorker")
        return "gthread" if is_sync and self.threads > 1 else uri

    @property
    def worker_class(self):
        uri = self.settings["worker_class"].get()
        if isinstance(uri, str):
            uri = util.load_class(self.worker_class_str)
        if hasattr(uri, "setup"):
            uri.setup()
        return uri

    @property
    def logger_class(self):
        from _cgunicorn_glue.logger import logger_class

        return logger_class(self)

    @property
    def address(self):
        return [util.parse_address(b) for b in self.settings["bind"].get()]

    @property
    def proc_name(self):
        name = self.settings["proc_name"].get()
        return self.settings["default_proc_name"].get() if name is None else name

    @property
    def env(self):
        pairs = [text.partition("=") for text in self.settings["raw_env"].get()]
        for name, found, _ in pairs:
            if not found:
                raise RuntimeError("environment setting %r invalid" % name)
        return {name: value for name, _, value in pairs}

    @property
    def sendfile(self):
        if self.settings["sendfile"].get() is not None:
            return False
        if "SENDFILE" in os.environ:
            return os.environ["SENDFILE"].lower() in ("y", "1", "yes", "true")
        return True

    def given(self):
        """[(name, value)] of what is not the default any more."""
        rows = {row[0] for row in _cgunicorn.settings()}
        return [(n, s.value) for n, s in self.settings.items()
                if n in rows and s.value is not s._default]

    def plain(self, name):
        """A value in the form that the server's table takes."""
        value = self.settings[name].value
        if name in _JOINED and isinstance(value, list):
            return ",".join(value)
        if name == "statsd_host" and isinstance(value, (tuple, str)):
            return "unix://" + value if isinstance(value, str) else "%s:%d" % value
        return value
