# SPDX-License-Identifier: MIT
"""The gevent_pywsgi class: gevent's own WSGI server."""
import os
import time
from datetime import timedelta

from . import gevent_, own

check, patch, settle = gevent_.check, gevent_.patch, gevent_.settle


def prepare(worker):
    from gevent.event import Event
    gevent_.prepare(worker)
    worker.log.debug("gevent's own server reads the requests")
    worker._wake = Event()
    handle_exit = worker.handle_exit

    def handle(sig, frame):
        worker._wake.set()
        handle_exit(sig, frame)

    worker.handle_exit = handle


def is_own(app):
    return True


class Logged:
    """What the access log wants to know of a response."""

    def __init__(self, status, headers, sent):
        self.status, self.headers, self.sent = status, headers, sent


def _handler(worker, base):
    class Handler(base):
        def log_request(self):
            status = self.status
            if isinstance(status, bytes):
                status = status.decode("latin-1")
            if (status or "").startswith("101"):
                return  # what follows is no response
            took = timedelta(seconds=(self.time_finish or time.time())
                             - (self.time_start or time.time()))
            fields = self.headers.items() if hasattr(self, "headers") else []
            resp = Logged(status or "000", getattr(self, "response_headers", ()) or (),
                          self.response_length)
            if getattr(self, "environ", None):
                worker.log.access(resp, list(fields), self.environ, took)

        def get_environ(self):
            env = super().get_environ()
            env["gunicorn.sock"] = self.socket
            env["RAW_URI"] = self.path
            return env

    return Handler


def _servers(worker, app, handler):
    import gevent
    import gunicorn
    from gevent import pywsgi
    from gevent.pool import Pool
    environ = {
        "wsgi.multithread": True,
        "wsgi.multiprocess": worker.cfg.workers > 1,
        "SERVER_SOFTWARE": "gevent/%s gunicorn/%s" % (
            gevent.__version__, gunicorn.__version__),
    }
    for sock in own.sockets_of(worker):
        sock.setblocking(True)
        server = pywsgi.WSGIServer(
            sock, application=app, spawn=Pool(worker.cfg.worker_connections),
            log=None, handler_class=handler, environ=dict(environ))
        server.start()
        yield server


def serve_own(worker, app, beat):
    from gevent import pywsgi
    serve(worker, app, beat, pywsgi.WSGIHandler)


def serve(worker, app, beat, base):
    """base: the class of gevent's, or one of its kind, that handles requests."""
    import gevent
    servers = list(_servers(worker, app, _handler(worker, base)))
    period = own.beat_period(worker)
    while worker.alive and not own.is_orphan(worker):
        beat()
        worker._wake.wait(period)
    for server in servers:
        server.close()
    end = time.monotonic() + worker.cfg.graceful_timeout - 0.5
    while any(s.pool.free_count() != s.pool.size for s in servers):
        if time.monotonic() > end:
            worker.log.warning("Worker graceful timeout (pid:%s)", os.getpid())
            break
        beat()
        gevent.sleep(0.1)
    for server in servers:
        server.stop(timeout=0.3)
