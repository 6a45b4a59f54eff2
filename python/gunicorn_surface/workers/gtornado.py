# SPDX-License-Identifier: MIT
"""gunicorn.workers.gtornado: tornado's server. What a subclass extends; the class
itself is served by the server's own."""
import os
import sys

try:
    import tornado.web
except ImportError as e:
    raise RuntimeError("tornado worker requires tornado: pip install tornado") from e
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop, PeriodicCallback
from tornado.wsgi import WSGIContainer

from gunicorn import __version__
from gunicorn.sock import ssl_context
from gunicorn.workers.base import Worker


class TornadoWorker(Worker):
    @classmethod
    def setup(cls):
        """tornado's Server field names gunicorn too."""
        web = sys.modules.pop("tornado.web")
        old = web.RequestHandler.clear

        def clear(self):
            old(self)
            if "Gunicorn" not in self._headers["Server"]:
                self._headers["Server"] += " (Gunicorn/%s)" % __version__

        web.RequestHandler.clear = clear
        sys.modules["tornado.web"] = web

    def handle_exit(self, sig, frame):
        if self.alive:
            super().handle_exit(sig, frame)

    def handle_request(self):
        """A request, or a connection, has come: counts it."""
        self.nr += 1
        if self.alive and self.nr >= self.max_requests:
            self.log.info("Autorestarting worker after current request.")
            self.alive = False

    def watchdog(self):
        if self.alive:
            self.notify()
        if self.ppid != os.getppid():
            self.log.info("Parent changed, shutting down: %s", self)
            self.alive = False

    def heartbeat(self):
        """Two rounds: first nothing new is accepted, then the loop stops."""
        if self.alive:
            return
        if self.server_alive:
            self.server.stop()
            self.server_alive = False
        else:
            for callback in self.callbacks:
                callback.stop()
            self.ioloop.stop()

    def init_process(self):
        IOLoop.clear_current()  # the master's is none of ours
        super().init_process()

    def _application(self):
        app = self.wsgi
        if isinstance(app, WSGIContainer) or (
                isinstance(app, tornado.web.Application)
                and not hasattr(app, "__wsgi__")):
            return app
        return WSGIContainer(app)

    def run(self):
        self.ioloop = IOLoop.current()
        self.alive = True
        self.server_alive = False
        self.callbacks = [PeriodicCallback(self.watchdog, 1000),
                          PeriodicCallback(self.heartbeat, 1000)]
        for callback in self.callbacks:
            callback.start()
        worker = self

        class Server(HTTPServer):
            def on_close(self, server_conn):
                worker.handle_request()
                super().on_close(server_conn)

        options = {"ssl_options": ssl_context(self.cfg)} if self.cfg.is_ssl else {}
        self.server = Server(self._application(), no_keep_alive=self.cfg.keepalive <= 0,
                             **options)
        self.server_alive = True
        for listener in self.sockets:
            listener.setblocking(0)
            self.server.add_socket(listener)
        self.ioloop.start()
