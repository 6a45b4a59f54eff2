# SPDX-License-Identifier: MIT
"""gunicorn.workers.base: what every worker class written in Python extends."""
import io
import os
import signal
import sys
import time
import traceback
from random import randint
from ssl import SSLError

from gunicorn import util
from gunicorn.http.errors import (
    InvalidResponseHeader, InvalidResponseHeaderName, ParseException, answer_to)
from gunicorn.workers.workertmp import WorkerTmp

_OF_REPLIES = (InvalidResponseHeader, InvalidResponseHeaderName)
_NAMES = "ABRT HUP QUIT INT TERM USR1 USR2 WINCH CHLD"


class Worker:
    SIGNALS = [getattr(signal, "SIG" + name) for name in _NAMES.split()]
    PIPE = []

    def __init__(self, age, ppid, sockets, app, timeout, cfg, log):
        """Called in the master, before the fork."""
        self.age, self.ppid, self.sockets, self.app = age, ppid, sockets, app
        self.pid = "[booting]"
        self.timeout, self.cfg, self.log = timeout, cfg, log
        self.booted = self.aborted = False
        self.alive = True
        self.reloader = None
        self.nr = 0
        self.max_requests = sys.maxsize
        if cfg.max_requests > 0:
            self.max_requests = cfg.max_requests + randint(0, cfg.max_requests_jitter)
        self.tmp = WorkerTmp(cfg)

    def __str__(self):
        return "<Worker %s>" % self.pid

    def notify(self):
        """A sign of life. One that gives none for `timeout` seconds is killed."""
        self.tmp.notify()

    def run(self):
        """Serves until self.alive is false."""
        raise NotImplementedError()

    # ---- starting, in the child ----

    def init_process(self):
        """Everything up to run(), and that. Who overrides it calls it last."""
        os.environ.update(self.cfg.env)
        util.set_owner_process(self.cfg.uid, self.cfg.gid, initgroups=self.cfg.initgroups)
        util.seed()
        self.PIPE = os.pipe()
        for fd in self.PIPE:
            util.set_non_blocking(fd)
            util.close_on_exec(fd)
        for item in self.sockets:
            util.close_on_exec(item)
        util.close_on_exec(self.tmp.fileno())
        self.wait_fds = self.sockets + [self.PIPE[0]]
        self.log.close_on_exec()
        self.init_signals()
        self._init_reloader()
        self.load_wsgi()
        if self.reloader:
            self.reloader.start()
        self.cfg.post_worker_init(self)
        self.booted = True
        self.run()

    def _init_reloader(self):
        if not self.cfg.reload:
            return
        from gunicorn.reloader import reloader_engines

        def changed(filename):
            self.log.info("Worker reloading: %s modified", filename)
            self.alive = False
            os.write(self.PIPE[1], b"1")
            self.cfg.worker_int(self)
            time.sleep(0.1)
            os._exit(0)

        engine = reloader_engines[self.cfg.reload_engine]
        self.reloader = engine(extra_files=self.cfg.reload_extra_files, callback=changed)

    def load_wsgi(self):
        try:
            self.wsgi = self.app.wsgi()
        except Exception as e:
            cause = e if isinstance(e, SyntaxError) else e.__cause__
            if not self.reloader or not isinstance(cause, SyntaxError):
                raise
            self.log.exception(e)
            if cause.filename is not None:
                self.reloader.add_extra_file(cause.filename)
            text = io.StringIO()
            traceback.print_exception(type(cause), cause, cause.__traceback__, file=text)
            self.wsgi = util.make_fail_app(text.getvalue())

    def init_signals(self):
        for number in self.SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        handlers = {"QUIT": self.handle_quit, "INT": self.handle_quit,
                    "TERM": self.handle_exit, "WINCH": self.handle_winch,
                    "USR1": self.handle_usr1, "ABRT": self.handle_abort}
        for name, handler in handlers.items():
            signal.signal(getattr(signal, "SIG" + name), handler)
        signal.siginterrupt(signal.SIGTERM, False)
        signal.siginterrupt(signal.SIGUSR1, False)
        if hasattr(signal, "set_wakeup_fd"):
            signal.set_wakeup_fd(self.PIPE[1])

    # ---- signals ----

    def handle_usr1(self, sig, frame):
        self.log.reopen_files()

    def handle_exit(self, sig, frame):
        self.alive = False

    def handle_quit(self, sig, frame):
        self.alive = False
        self.cfg.worker_int(self)
        time.sleep(0.1)
        sys.exit(0)

    def handle_abort(self, sig, frame):
        self.alive = False
        self.cfg.worker_abort(self)
        sys.exit(1)

    def handle_winch(self, sig, fname):
        self.log.debug("worker: SIGWINCH ignored.")

    # ---- what goes wrong with a request ----

    def handle_error(self, req, client, addr, exc):
        """Answers with a page of the error, and logs it: a client's fault as a
        warning, anything else with its traceback."""
        started = time.monotonic()
        address = addr or ("", -1)
        if isinstance(exc, (ParseException, SSLError)) and not isinstance(exc, _OF_REPLIES):
            status, reason, text = answer_to(exc)
            self.log.warning("Invalid request from ip=%s: %s", address[0], exc)
        else:
            status, reason, text = 500, "Internal Server Error", ""
            shown = "(no URI read)"
            if hasattr(req, "uri"):
                shown = "%s %s" % (req.method, req.uri)
            self.log.exception("Error handling request %s", shown)
        if req is not None:
            self._log_refused(req, address, status, reason, started)
        try:
            util.write_error(client, status, reason, text)
        except Exception:
            self.log.debug("Failed to send error message.")

    def _log_refused(self, req, addr, status, reason, started):
        from datetime import timedelta

        from gunicorn.http.wsgi import Response, default_environ

        environ = default_environ(req, client_of(req), self.cfg)
        environ["REMOTE_ADDR"] = addr[0]
        environ["REMOTE_PORT"] = str(addr[1])
        resp = Response(req, client_of(req), self.cfg)
        resp.status, resp.response_length = "%s %s" % (status, reason), 0
        self.log.access(resp, req, environ,
                        timedelta(seconds=time.monotonic() - started))


def client_of(req):
    """The socket that the request is read from, if it is read from one."""
    return getattr(getattr(req, "unreader", None), "sock", None)
