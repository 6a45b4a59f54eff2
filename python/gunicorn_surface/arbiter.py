# SPDX-License-Identifier: MIT
"""gunicorn.arbiter: what programs that embed the server make and extend.

The work is the server's own. A method that a subclass overrides is called where
gunicorn calls it, and what it reaches through super() is done then.
"""
import os
import signal
import sys

import _cgunicorn
from _cgunicorn_glue import glogging, hooks
from gunicorn import SERVER_SOFTWARE

# Methods that gunicorn calls in every pass of its loop; here nothing has to be
# done in them, and a subclass's own are called.
EVERY_PASS = ("murder_workers", "manage_workers", "reap_workers")


class Arbiter(hooks.Server):
    SIG_NAMES = {getattr(signal, name): name[3:].lower() for name in dir(signal)
                 if name.startswith("SIG") and name[3] != "_"}
    START_CTX = {}
    LISTENERS = []
    WORKERS = {}
    log = None

    def __init__(self, app):
        os.environ["SERVER_SOFTWARE"] = SERVER_SOFTWARE
        self._serves = self._ended = False
        self._num_workers = None
        self.pid = None
        self.pidfile = None
        self.systemd = False
        self.worker_age = self.reexec_pid = self.master_pid = 0
        self.master_name = "Master"
        self.SIG_QUEUE = hooks.Signals()
        self.prepared = (None, None)
        self._stats = {"start_time": None, "workers_spawned": 0, "workers_killed": 0,
                       "reloads": 0}
        self.START_CTX.update({"args": list(sys.argv), "cwd": os.getcwd(),
                               0: sys.executable})
        self.setup(app)

    def setup(self, app):
        """Takes over what the application was configured with; after a reload
        too."""
        self.app, self.cfg = app, app.cfg
        if self.log is None:
            self.log = glogging.Logger(self.cfg)
        self.address, self._timeout = self.cfg.address, self.cfg.timeout
        self.proc_name = self.cfg.proc_name

    def run(self):
        """Serves, and ends the process with the server's exit status."""
        serve = getattr(_cgunicorn, "serve", None)
        if serve is None or hooks.embedding is not None or hooks.serves():
            raise RuntimeError(
                "%s.run() cannot start a server inside cgunicorn: name the WSGI callable "
                "on the command line (cgunicorn module:callable), and its options in a "
                "configuration file" % type(self.app).__name__)
        hooks.embedding = self
        self._num_workers = None
        sys.exit(serve(self.settings, _command()))

    # ---- what the server asks ----

    def settings(self):
        """[(name, value, source, own)] for the server; at a reload those of a
        configuration that is loaded anew."""
        if self._serves:
            self.app.reload()
        cfg = self.app.cfg
        source = "application (%s)" % type(self.app).__name__
        if not getattr(self.app, "goes_to_background", False):
            cfg.settings["daemon"].value = False
        return [(n, cfg.plain(n), source, True) for n, _ in cfg.given()]

    def begin(self, cfg):
        """The log and all else are there."""
        from _cgunicorn_glue import logger, names

        names.server(cfg.worker_class_str)
        self._serves = True
        self._thread = hooks.get_ident()
        self.pid = os.getpid()
        self.log = logger.make(self.app.cfg)
        self._follow()
        self.start()
        self.init_signals()

    def _follow(self):
        from _cgunicorn_glue import logger

        self.setup(self.app)
        hooks._know_limits(self.cfg)
        if self.log.cfg is not self.cfg:
            self.log = logger.follow(self.log, self.cfg)
        for setting in self.cfg.settings.values():
            setting._given = setting.value

    def set_config(self, cfg):
        self._follow()

    @property
    def __class__(self):
        return type(self)

    @property
    def worker_class(self):
        return self.cfg.worker_class

    @property
    def num_workers(self):
        if self._serves:
            return _cgunicorn.num_workers()
        return self.cfg.workers if self._num_workers is None else self._num_workers

    @num_workers.setter
    def num_workers(self, n):
        self._num_workers = n
        if self._serves:
            _cgunicorn.set_num_workers(int(n))

    # ---- methods that gunicorn has, and subclasses extend ----

    def start(self):
        """Called before the sockets are bound."""

    def init_signals(self):
        """Called then, too; the server has handlers of its own."""

    def spawn_worker(self):
        """One more worker; its process id."""
        pid = _cgunicorn.spawn_worker()
        self._stats["workers_spawned"] += 1
        return pid

    def manage_workers(self):
        """Ends workers that are more than num_workers; the missing ones are the
        server's business."""
        _cgunicorn.cull_workers()

    def spawn_workers(self):
        for _ in range(self.num_workers - len(self.WORKERS)):
            self.spawn_worker()

    def signal(self, sig, frame):
        self.SIG_QUEUE.put(sig)

    def signal_chld(self, sig, frame):
        """The server does that."""

    def kill_worker(self, pid, sig):
        _cgunicorn.kill_worker(pid, int(sig))

    def halt(self, reason=None, exit_status=0):
        if not self._ended:
            super().halt(reason, exit_status)

    def maybe_promote_master(self):
        """The server does that."""

    def wait_for_signals(self, timeout=1.0):
        """The server does that."""
        return []

    def spawn_dirty_arbiter(self):
        raise NotImplementedError("dirty arbiters are not available")

    def kill_dirty_arbiter(self, sig):
        """There is none."""

    reap_dirty_arbiter = manage_dirty_arbiter = maybe_promote_master

    def every_pass(self):
        for name in EVERY_PASS:
            if self.overrides(name):
                getattr(self, name)()


def _command():
    """What USR2 executes: this process's own command."""
    try:
        with open("/proc/self/cmdline", "rb") as f:
            words = [os.fsdecode(word) for word in f.read().split(b"\0")[1:-1]]
    except OSError:  # no /proc
        words = list(sys.argv)
    return [sys.executable or "/proc/self/exe", *words]
