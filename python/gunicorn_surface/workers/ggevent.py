# SPDX-License-Identifier: MIT
"""gunicorn.workers.ggevent: greenlets of gevent. What a subclass extends; the
classes themselves are served by the server's own."""
import os
import socket
import sys
import time
from datetime import datetime, timedelta
from functools import partial

try:
    import gevent
except ImportError as e:
    raise RuntimeError("gevent worker requires gevent: pip install gevent") from e
from gevent import hub, monkey, pywsgi
from gevent.pool import Pool
from gevent.server import StreamServer

import gunicorn
from gunicorn.http.wsgi import base_environ
from gunicorn.sock import ssl_context
from gunicorn.workers.base_async import AsyncWorker

VERSION = "gevent/%s gunicorn/%s" % (gevent.__version__, gunicorn.__version__)


class GeventWorker(AsyncWorker):
    server_class = None
    wsgi_handler = None

    def patch(self):
        """Before the application is loaded; the listeners become gevent's."""
        monkey.patch_all()
        self.sockets = [
            socket.socket(s.FAMILY, socket.SOCK_STREAM, fileno=s.sock.detach())
            for s in self.sockets]

    def notify(self):
        super().notify()
        if self.ppid != os.getppid():
            self.log.info("Parent changed, shutting down: %s", self)
            sys.exit(0)

    def timeout_ctx(self):
        return gevent.Timeout(self.cfg.keepalive, False)

    def init_process(self):
        self.patch()
        hub.reinit()
        super().init_process()

    # ---- serving ----

    def _server(self, listener, ssl_args):
        listener.setblocking(1)
        pool = Pool(self.worker_connections)
        if self.server_class is None:
            return StreamServer(listener, handle=partial(self.handle, listener), spawn=pool,
                                **ssl_args)
        environ = base_environ(self.cfg)
        environ.update({"wsgi.multithread": True, "SERVER_SOFTWARE": VERSION})
        return self.server_class(listener, application=self.wsgi, spawn=pool, log=self.log,
                                 handler_class=self.wsgi_handler, environ=environ, **ssl_args)

    def run(self):
        ssl_args = {"ssl_context": ssl_context(self.cfg)} if self.cfg.is_ssl else {}
        servers = []
        for listener in self.sockets:
            server = self._server(listener, ssl_args)
            if self.cfg.workers > 1:
                server.max_accept = 1
            server.start()
            servers.append(server)
        while self.alive:
            self.notify()
            gevent.sleep(1.0)
        self._stop(servers)

    def _stop(self, servers):
        try:
            for server in servers:
                (server.close if hasattr(server, "close") else server.kill)()
            end = time.time() + self.cfg.graceful_timeout
            while any(s.pool.size != s.pool.free_count() for s in servers):
                if time.time() >= end:
                    self.log.warning("Worker graceful timeout (pid:%s)", self.pid)
                    break
                self.notify()
                gevent.sleep(0.1)
            for server in servers:
                server.stop(timeout=1)
        except Exception as e:
            self.log.debug("stopping the servers: %s", e)

    def handle(self, listener, client, addr):
        client.setblocking(1)
        super().handle(listener, client, addr)

    def handle_request(self, listener_name, req, sock, addr):
        try:
            super().handle_request(listener_name, req, sock, addr)
        except gevent.GreenletExit:
            pass

    # a signal's handler must not switch: a greenlet does what may

    def handle_quit(self, sig, frame):
        gevent.spawn(super().handle_quit, sig, frame)

    def handle_usr1(self, sig, frame):
        gevent.spawn(super().handle_usr1, sig, frame)


class GeventResponse:
    """What pywsgi knows of a reply, for the access log."""

    status = headers = sent = None

    def __init__(self, status, headers, clength):
        self.status, self.headers, self.sent = status, headers, clength


class PyWSGIHandler(pywsgi.WSGIHandler):
    def log_request(self):
        started = datetime.fromtimestamp(self.time_start)
        ended = datetime.fromtimestamp(self.time_finish) if self.time_finish else started
        took = ended - started if self.time_finish else timedelta(0)
        headers = getattr(self, "response_headers", [])
        status = getattr(self, "status", None)
        if isinstance(status, bytes):
            status = status.decode("latin-1")
        resp = GeventResponse(status, headers, self.response_length)
        fields = getattr(self.headers, "items", list)
        req = [(k.upper(), v) for k, v in fields()]
        self.server.log.access(resp, req, self.environ, took)

    def get_environ(self):
        env = super().get_environ()
        env["gunicorn.sock"] = self.socket
        env["RAW_URI"] = self.path
        return env


class PyWSGIServer(pywsgi.WSGIServer):
    pass


class GeventPyWSGIWorker(GeventWorker):
    """gevent's own server, which others extend for WebSockets."""

    server_class = PyWSGIServer
    wsgi_handler = PyWSGIHandler
