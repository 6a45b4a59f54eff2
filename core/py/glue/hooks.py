"""What server hooks get: server, worker, req, resp and their log and cfg.

They look like gunicorn's objects as hooks use them. Whatever must act on the
server goes through the built-in module _cgunicorn; attributes of the user's own
may be set on all of them.
"""
import os
import signal
import sys
import time
from _thread import get_ident, start_new_thread  # before anything patches it

import _cgunicorn
from _cgunicorn_glue import listener, logger, names

_SSL_OPTIONS = ("keyfile", "certfile", "ssl_version", "cert_reqs", "ca_certs",
                "suppress_ragged_eofs", "do_handshake_on_connect", "ciphers")


class Setting:
    """cfg.settings[name]. What is written counts as in gunicorn: the server looks
    for it after the hooks that come before its use."""

    def __init__(self, name, value, default, section):
        self.name, self.value, self.default, self.section = name, value, default, section
        self._given = value  # what the server knows of

    def get(self):
        return self.value

    def set(self, value):
        self.value = _cgunicorn.validate(self.name, value)
        if _me is not None and _me.booted:
            warn_once("cfg.set('%s') has no effect in a worker that serves: set it in "
                      "post_fork or post_worker_init" % self.name)


class Config:
    """server.cfg: settings by attribute, and gunicorn's derived ones."""

    def __init__(self, values, defaults, sections, derived):
        self.__dict__["settings"] = {
            n: Setting(n, v, defaults.get(n), sections.get(n)) for n, v in values.items()}
        self.__dict__["_derived"] = derived
        self.__dict__["env_orig"] = os.environ.copy()

    def __getattr__(self, name):
        settings = self.__dict__.get("settings", {})
        if name not in settings:
            raise AttributeError("No configuration setting for: %s" % name)
        return settings[name].get()

    def __setattr__(self, name, value):
        if name in self.settings:
            raise AttributeError("Invalid access!")
        self.__dict__[name] = value

    def set(self, name, value):
        if name not in self.settings:
            raise AttributeError("No configuration setting for: %s" % name)
        self.settings[name].set(value)

    def _written(self):
        """[(name, value)] of what was written since the last call."""
        found = []
        for setting in self.settings.values():
            if setting.value is not setting._given:
                setting._given = setting.value
                found.append((setting.name, setting.value))
        return found

    @property
    def worker_class(self):
        """The class itself, as in gunicorn."""
        from _cgunicorn_glue.python_worker import load

        value = self.settings["worker_class"].get()
        if isinstance(value, type):
            return value
        uri = self.worker_class_str
        return load(names.CLASSES.get(uri, uri))

    @property
    def logger_class(self):
        return logger.logger_class(self)

    @property
    def worker_class_str(self):
        return self._derived["worker_class"]

    @property
    def address(self):
        return list(self._derived["address"])

    @property
    def uid(self):
        return self.settings["user"].get()

    @property
    def gid(self):
        return self.settings["group"].get()

    @property
    def proc_name(self):
        return self._derived["proc_name"]

    @property
    def sendfile(self):
        return self._derived["sendfile"]

    @property
    def is_ssl(self):
        return self.certfile or self.keyfile

    @property
    def ssl_options(self):
        """gunicorn's, which are handed to ssl as they are; none of our own."""
        return {name: self.settings[name].get() for name in _SSL_OPTIONS}

    def forwarded_allow_networks(self):
        return _networks(self.forwarded_allow_ips)

    def proxy_allow_networks(self):
        return _networks(self.proxy_allow_ips)

    @property
    def paste_global_conf(self):
        """{key: value} of --paste-global; None: there is none."""
        pairs = (_pair(item) for item in self.raw_paste_global_conf)
        return dict(pairs) if self.raw_paste_global_conf else None

    @property
    def env(self):
        return dict(item.split("=", 1) for item in self.raw_env)

    def __str__(self):
        width = max(map(len, self.settings))
        return "\n".join("%-*s = %s" % (width, n, _shown(self.settings[n].value))
                         for n in sorted(self.settings))


def _networks(texts):
    import ipaddress

    return [ipaddress.ip_network(t) for t in texts if t != "*"]


def _pair(item):
    r"""key=value, where \= is an equals sign of the key or the value."""
    import re

    parts = re.split(r"(?<!\\)=", item)
    if len(parts) != 2:
        raise ValueError("paste_global: %r is not KEY=VALUE (write \\= for an equals "
                         "sign in one of them)" % item)
    return tuple(p.replace("\\=", "=") for p in parts)


def _shown(value):
    return "<%s()>" % getattr(value, "__qualname__", value) if callable(value) else value


class App:
    """server.app and worker.app: gunicorn's WSGIApplication as hooks use it."""

    usage = prog = logger = None

    def __init__(self, cfg):
        self.cfg = cfg
        self.callable = None
        self.app_uri = cfg.wsgi_app

    def load(self):
        patched = names.patched("gunicorn.util", "import_app")
        if patched is not None:
            return patched(self.app_uri)
        from _cgunicorn_glue.app import load

        return load(self.app_uri, self.cfg.paste_global_conf)

    load_wsgiapp = load

    def wsgi(self):
        patched = names.patched("gunicorn.app.base", "Application", "wsgi")
        if patched is not None:
            return patched(self)
        if self.callable is None:
            self.callable = self.load()
        return self.callable

    def chdir(self):
        os.chdir(self.cfg.chdir)


_SIGNALS = {getattr(signal, "SIG" + n.upper()): n for n in (
    "hup", "quit", "int", "term", "ttin", "ttou", "usr1", "usr2", "winch")}


class Signals:
    """server.SIG_QUEUE: what is put there is handled as if it had been sent."""

    def put(self, sig, block=True, timeout=None):
        _cgunicorn.signal_self(sig)

    append = put_nowait = put

    def empty(self):
        return True

    def qsize(self):
        return 0

    __len__ = qsize


class Server:
    """`server`: the master, as hooks see it."""

    WORKER_BOOT_ERROR = 3
    APP_LOAD_ERROR = 4
    WAKEUP_REQUEST = signal.NSIG
    SIGNALS = list(_SIGNALS)
    SIG_NAMES = dict(_SIGNALS)

    def __init__(self, cfg):
        self.app = App(cfg)
        self.WORKERS = {}
        self.LISTENERS = []
        self.START_CTX = {"args": list(sys.argv), "cwd": os.getcwd(), 0: sys.executable}
        self.SIG_QUEUE = Signals()
        self.pid = os.getpid()
        self._thread = get_ident()  # of the hooks
        self.master_pid = 0
        self.reexec_pid = 0
        self.master_name = "Master"
        self.worker_age = 0
        self.systemd = False
        self.pidfile = None
        self.prepared = (None, None)  # cfg, and the class written in Python
        names.server(cfg.worker_class_str)
        self.log = logger.make(cfg)
        self.set_config(cfg)

    @property
    def __class__(self):
        """isinstance(server, gunicorn.arbiter.Arbiter) holds."""
        kind = type(self)
        return getattr(names.loaded("gunicorn.arbiter"), "Arbiter", kind) \
            if kind is Server else kind

    def set_config(self, cfg):
        self.cfg = self.app.cfg = cfg
        self.app.app_uri = cfg.wsgi_app
        _know_limits(cfg)
        if self.log.cfg is not cfg:
            self.log = logger.follow(self.log, cfg)
        self.address = cfg.address
        self._timeout = cfg.timeout
        self.proc_name = cfg.proc_name
        self.pidfile = cfg.pidfile

    @property
    def worker_class(self):
        return self.cfg.worker_class

    @worker_class.setter
    def worker_class(self, value):
        if value is not self.cfg.worker_class:
            warn_once("server.worker_class = %r has no effect: name it in the "
                      "configuration" % (value,), self.log)

    @property
    def timeout(self):
        return self._timeout

    @timeout.setter
    def timeout(self, seconds):
        self._timeout = seconds
        _cgunicorn.set_timeout(seconds)

    def make_worker(self, age, max_requests):
        return _worker_type(self.cfg.worker_class_str)(self, age, max_requests)

    @property
    def num_workers(self):
        return _cgunicorn.num_workers()

    @num_workers.setter
    def num_workers(self, n):
        _cgunicorn.set_num_workers(int(n))

    def kill_worker(self, pid, sig):
        try:
            os.kill(pid, sig)
        except ProcessLookupError:
            self.WORKERS.pop(pid, None)

    def kill_workers(self, sig):
        for pid in list(self.WORKERS):
            self.kill_worker(pid, sig)

    def kill_all(self, sig):
        self.kill_workers(sig)

    def reload(self):
        _cgunicorn.signal_self(signal.SIGHUP)

    def stop(self, graceful=True):
        _cgunicorn.signal_self(signal.SIGTERM if graceful else signal.SIGQUIT)

    def halt(self, reason=None, exit_status=0):
        if get_ident() != self._thread:
            self.stop()
            return
        from gunicorn.errors import HaltServer

        raise HaltServer(reason, exit_status)

    def reexec(self):
        _cgunicorn.signal_self(signal.SIGUSR2)

    def wakeup(self):
        """Nothing to do: the master wakes by itself."""

    manage_workers = spawn_workers = murder_workers = reap_workers = wakeup
    maybe_promote_master = handle_chld = handle_cld = wakeup

    def spawn_worker(self):
        warn_once("server.spawn_worker() has no effect: add to server.num_workers",
                  self.log)

    def signal(self, sig, frame=None):
        self.SIG_QUEUE.put(sig)

    def overrides(self, name):
        """Whether a hook, or a subclass of Arbiter, has put another method there."""
        base = names.loaded("gunicorn.arbiter")
        own = getattr(getattr(base, "Arbiter", Server), name, None)
        return name in self.__dict__ or getattr(type(self), name, None) not in (
            own, getattr(Server, name, None))

    def _handle(self, sig):
        """Whether a handler of the user's own is there, which is called."""
        name = "handle_" + self.SIG_NAMES.get(sig, "")
        if not self.overrides(name):
            return False
        handler = getattr(self, name)
        self.log.info("Handling signal: %s", name[7:])
        try:
            handler()
        except (StopIteration, KeyboardInterrupt):
            self.stop()
        except Exception:
            self.log.exception("Exception in %s", name)
        return True

    def __repr__(self):
        return "<Arbiter %d>" % self.pid


def _handler(sig):
    def handle(self):
        _cgunicorn.handle_signal(sig)

    handle.__name__ = "handle_" + _SIGNALS[sig]
    return handle


for _sig, _name in _SIGNALS.items():
    setattr(Server, "handle_" + _name, _handler(_sig))
Server.__name__ = Server.__qualname__ = "Arbiter"  # as hooks may print it

_told = set()


def warn_once(text, log=None):
    if text not in _told:
        _told.add(text)
        (log or _me.log).warning("%s", text)


_me = None  # the worker of this process, while it counts what is written to it


class Tmp:
    """worker.tmp: signs of life are in shared memory here."""

    def notify(self):
        pass

    def last_update(self):
        return time.monotonic()

    def close(self):
        pass


def _is_logging(frame):
    while frame is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] == "logging":
            return True
        frame = frame.f_back
    return False


class Worker:
    """`worker`, made in the master before the fork, used after it."""

    SIGNALS = [signal.SIGABRT, signal.SIGHUP, signal.SIGQUIT, signal.SIGINT, signal.SIGTERM,
               signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH, signal.SIGCHLD]

    PIPE = []

    def __init__(self, server, age, max_requests):
        self.age = age
        self.pid = "[booting]"
        self.ppid = os.getpid()
        self.sockets = server.LISTENERS
        self.app = server.app
        self.timeout = server.timeout / 2.0
        self.cfg = server.cfg
        self.log = server.log
        self.booted = False
        self.aborted = False
        self._ending = False  # nothing may be raised into what ends it
        self._told = False  # to stop at once
        self._leaving = None  # what was raised to end it
        self._alive = True
        self.reloader = None
        self._nr = 0  # besides those that the engine has counted
        self._max_requests = max_requests or sys.maxsize
        self._wsgi = None
        self.tmp = Tmp()

    @property
    def __class__(self):
        """isinstance(worker, gunicorn.workers.base.Worker) holds, and that it is
        one of its own class, for whom has loaded these. The classes there are
        those that Python runs."""
        kind = type(self)
        base = getattr(names.loaded("gunicorn.workers.base"), "Worker", kind)
        return getattr(names.loaded(kind.__module__), kind.__name__, base)

    def __str__(self):
        return "<Worker %s>" % self.pid

    __repr__ = __str__

    def notify(self):
        self.tmp.notify()

    # ---- what is written here counts at once, as in gunicorn ----

    @property
    def alive(self):
        return self._alive

    @alive.setter
    def alive(self, yes):
        was, self._alive = self._alive, bool(yes)
        if was and not yes and self is _me and self.booted:
            _cgunicorn.worker_stop()

    @property
    def booted(self):
        return self._booted

    @booted.setter
    def booted(self, yes):
        # a truth here and now: what ends the worker asks for it
        self._booted = bool(yes)

    @property
    def nr(self):
        return self._nr + (_cgunicorn.requests() if self is _me else 0)

    @nr.setter
    def nr(self, n):
        self._nr = n - (_cgunicorn.requests() if self is _me else 0)
        self._limit()

    @property
    def max_requests(self):
        return self._max_requests

    @max_requests.setter
    def max_requests(self, n):
        self._max_requests = n
        self._limit()

    def limit(self):
        """After how many requests, by the engine's count, it is replaced; 0: never."""
        if self._max_requests >= sys.maxsize:
            return 0
        return max(self._max_requests - self._nr, 1)

    def _limit(self):
        if self is _me:
            _cgunicorn.limit_requests(self.limit())

    @property
    def wsgi(self):
        return self._wsgi

    @wsgi.setter
    def wsgi(self, application):
        self._wsgi = application
        if self is _me:
            _cgunicorn.set_application(application)

    def load_wsgi(self):
        self.wsgi = self.app.wsgi()

    def freeze(self):
        """It serves no more: nothing counts its requests any longer."""
        global _me
        self._nr = self.nr
        _me = None

    def handle_exit(self, sig, frame):
        first, self._alive = self._alive, False
        if self.booted:
            _cgunicorn.worker_stop()
        elif first and not self._ending:  # it has nothing to finish
            _cgunicorn.worker_quit()
            self._leave(sig, 0)

    def _leave(self, sig, status):
        """Raises SystemExit, again if it was swallowed.

        A handler may run in a weak reference's callback or in __del__ (the
        import system has such a callback), and nothing leaves these.
        """
        leaving = self._leaving = SystemExit(status)
        previous = sys.unraisablehook

        def go(sig, frame):
            raise leaving

        def again(unraisable):
            if unraisable.exc_value is not leaving:
                return previous(unraisable)
            signal.signal(sig, go)
            # not from here: nothing leaves this hook either
            start_new_thread(os.kill, (os.getpid(), sig))

        sys.unraisablehook = again
        raise leaving

    def _is_told(self, sig):
        """Whether INT or QUIT came before: the master says it again, and the
        user's hook is called once. What was raised then may have been
        swallowed without a word, by a file that closed itself for example."""
        first, self._told = not self._told, True
        if not first and self._leaving is not None and not self._unwinds():
            self._leave(sig, 0)
        return not first

    def _unwinds(self):
        """Whether a `finally` runs on the way out."""
        e = sys.exc_info()[1]
        while e is not None and e is not self._leaving:
            e = e.__context__
        return e is not None

    def handle_quit(self, sig, frame):
        if self._ending or self._is_told(sig):
            return
        self._alive = False
        _cgunicorn.worker_quit()
        self.cfg.worker_int(self)
        time.sleep(0.1)
        self._leave(sig, 0)

    def handle_abort(self, sig, frame):
        self._alive = False
        _cgunicorn.worker_quit()
        self.cfg.worker_abort(self)
        self._leave(sig, 1)

    def handle_usr1(self, sig, frame):
        if _is_logging(frame):
            # a stream cannot be closed in the middle of its own line; another
            # thread waits for the end of it at the handler's lock
            logger.reopen_aside(self.log)
        else:
            logger.reopen(self.log)

    def handle_winch(self, sig, frame):
        self.log.debug("worker: SIGWINCH ignored.")

    def init_signals(self, wakeup_fd):
        global _me
        _me = self
        signal.signal(signal.SIGTERM, self.handle_exit)
        signal.signal(signal.SIGQUIT, self.handle_quit)
        signal.signal(signal.SIGINT, self.handle_quit)
        signal.signal(signal.SIGABRT, self.handle_abort)
        signal.signal(signal.SIGUSR1, self.handle_usr1)
        signal.signal(signal.SIGWINCH, self.handle_winch)
        signal.siginterrupt(signal.SIGTERM, False)
        signal.siginterrupt(signal.SIGUSR1, False)
        signal.set_wakeup_fd(wakeup_fd, warn_on_full_buffer=False)
        os.register_at_fork(after_in_child=self._leave_signals)

    def _leave_signals(self):
        """In a child of the application: our signals are none of its own.

        multiprocessing ends its children by TERM, and what the handlers would
        touch belongs to the worker.
        """
        for name in ("TERM", "QUIT", "INT", "ABRT", "USR1", "WINCH"):
            number = getattr(signal, "SIG" + name)
            if getattr(signal.getsignal(number), "__self__", None) is self:
                signal.signal(number, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)


def _named(module, *names):
    """A class as gunicorn calls it. What it does is written in C."""
    for name in names:
        globals()[name] = type(name, (Worker,), {"__module__": "gunicorn.workers." + module})


_named("sync", "SyncWorker")
_named("gthread", "ThreadWorker")
_named("ggevent", "GeventWorker", "GeventPyWSGIWorker")
_named("geventlet", "EventletWorker")
_named("gtornado", "TornadoWorker")


def _worker_type(worker_class):
    uri = names.CLASSES.get(worker_class, worker_class)
    return globals().get(uri.rpartition(".")[2], Worker)


def _unset(name, qualname):
    """A hook that the user did not set, as gunicorn would show it."""
    def nothing(*args):
        pass

    nothing.__name__, nothing.__qualname__ = name, qualname
    nothing.__module__ = "gunicorn.config"
    return nothing


def _statsd_address(text):
    """gunicorn's form: a path, or (host, port)."""
    if not isinstance(text, str):
        return text
    if text.startswith("unix:") and not text[5:].isdigit():
        return text[5:].replace("//", "", 1) if text.startswith("unix://") else text[5:]
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, "8125"
    return host.strip("[]"), int(port)


def make_config(values, defaults, sections, hooks, derived):
    for name, qualname in hooks:
        if values.get(name) is None:
            values[name] = _unset(name, qualname)
    values["statsd_host"] = _statsd_address(values["statsd_host"])
    return Config(values, defaults, sections, derived)


embedding = None  # the Arbiter of a program that has handed over to the server


_serving = False


def serves():
    """Whether a server runs in this process, or one that it was forked from."""
    return _serving


the_server = None


def make_server(cfg):
    global _serving, the_server
    _serving = True
    if embedding is None:
        the_server = Server(cfg)
    else:
        embedding.begin(cfg)
        the_server = embedding
    return the_server


def make_listeners(server, texts, fds):
    return [listener.lent(t, f, server.cfg, server.log) for t, f in zip(texts, fds)]


def _to_first(fds):
    """Moves descriptors to 3, 4, 5 …, where systemd's protocol wants them."""
    import fcntl

    first = 3
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD, first + len(fds)) for fd in fds]
    for i, fd in enumerate(high):
        os.dup2(fd, first + i)
        os.close(fd)


def _above(fd, count):
    """An inheritable copy that is in nobody's way."""
    import fcntl

    return fcntl.fcntl(fd, fcntl.F_DUPFD, 3 + count)


def reexec(server, master_pid, fds, bell, tickets):
    """In a forked child: becomes the new master, as gunicorn's USR2 does."""
    server.cfg.pre_exec(server)
    env = dict(server.cfg.env_orig)
    for name in ("GUNICORN_FD", "LISTEN_PID", "LISTEN_FDS", "WATCHDOG_PID",
                 "CGUNICORN_BELL", "CGUNICORN_TICKETS"):
        env.pop(name, None)
    env["GUNICORN_PID"] = str(master_pid)
    env["CGUNICORN_BELL"] = str(_above(bell, len(fds)))
    if tickets >= 0:
        env["CGUNICORN_TICKETS"] = str(_above(tickets, len(fds)))
    if server.systemd:
        _to_first(fds)
        env["LISTEN_PID"] = str(os.getpid())
        env["LISTEN_FDS"] = str(len(fds))
        if "LISTEN_FDNAMES" in os.environ:
            env["LISTEN_FDNAMES"] = os.environ["LISTEN_FDNAMES"]
    else:
        for fd in fds:
            os.set_inheritable(fd, True)
        env["GUNICORN_FD"] = ",".join(map(str, fds))
    os.chdir(server.START_CTX["cwd"])
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.execvpe(server.START_CTX[0], server.START_CTX["args"], env)


class Unreader:
    """req.unreader: the server has read what there is."""

    def __init__(self, sock):
        self.sock = sock

    def read(self, size=None, read_ahead=None):
        raise RuntimeError("req.unreader: the server reads the client's bytes itself")

    chunk = unread = take_buffered = read


class Request:
    """`req` of pre_request and post_request."""

    cfg = _socket = None
    limit_request_line = limit_request_fields = limit_request_field_size = 0
    max_buffer_headers = 0

    def __init__(self, method, uri, path, query, fragment, version, headers, scheme,
                 peer_addr, number):
        self.method, self.uri, self.path, self.query = method, uri, path, query
        self.fragment, self.version, self.headers = fragment, version, headers
        self.scheme, self.peer_addr, self.remote_addr = scheme, peer_addr, peer_addr
        self.req_number = number
        self.trailers = []
        self.body = None
        self.proxy_protocol_info = None
        self.must_close = False

    @property
    def unreader(self):
        return Unreader(self._socket)

    def should_close(self):
        return self.must_close

    def force_close(self):
        self.must_close = True


class Response:
    """`resp` of post_request."""

    cfg = None

    def __init__(self, req, status, status_code, headers, sent, length, chunked, close):
        self.req, self.status, self.status_code = req, status, status_code
        self.headers, self.sent, self.response_length = headers, sent, length
        self.chunked, self.must_close = chunked, close
        self.headers_sent = True
        self.upgrade = False
        self.version = "gunicorn"

    @property
    def sock(self):
        return self.req._socket

    def is_chunked(self):
        return self.chunked

    def should_close(self):
        return self.must_close


def _know_limits(cfg):
    """What each request shows of the settings; it costs a request nothing."""
    Request.cfg = Response.cfg = cfg
    Request.limit_request_line = cfg.limit_request_line or 8190
    Request.limit_request_fields = min(cfg.limit_request_fields or 32768, 32768)
    size = Request.limit_request_field_size = cfg.limit_request_field_size
    Request.max_buffer_headers = Request.limit_request_fields * ((size or 8190) + 2) + 4


def call_post_request(hook, worker, req, environ, resp):
    from _cgunicorn_glue.config import arity

    n = arity(hook)
    hook(*(worker, req, environ, resp)[: n if 2 <= n <= 4 else 4])
