# SPDX-License-Identifier: MIT
"""The tornado class: an IOLoop watches the engine. WSGI runs on the loop, one
request at a time, as in gunicorn's class. A tornado Application is served by
tornado's own HTTPServer."""
from . import checker, own

check = checker("tornado", "5.0", "version")
spawn = handled = None
QUIET = ()


def patch():
    return False


def settle():
    pass


def prepare(worker):
    from tornado.ioloop import IOLoop
    IOLoop.clear_current()


def serve(fds, poll, set_over):
    from tornado.ioloop import IOLoop
    loop = IOLoop.current()

    def over(is_child):
        for fd in fds:
            loop.remove_handler(fd)
        if not is_child:
            loop.stop()

    set_over(over)
    for fd in fds:
        loop.add_handler(fd, poll, IOLoop.READ)
    loop.start()


def kill(greenlets):
    pass


def is_own(app):
    import tornado.web
    import tornado.wsgi
    return isinstance(app, (tornado.web.Application, tornado.wsgi.WSGIContainer))


def _name_gunicorn():
    """Server: TornadoServer/6.2 (Gunicorn/27.0.1)"""
    import gunicorn
    from tornado import web
    clear = web.RequestHandler.clear

    def named(self):
        clear(self)
        if "Gunicorn" not in self._headers["Server"]:
            self._headers["Server"] += " (Gunicorn/%s)" % gunicorn.__version__
    web.RequestHandler.clear = named


def serve_own(worker, app, beat):
    from tornado.httpserver import HTTPServer
    from tornado.ioloop import IOLoop, PeriodicCallback
    _name_gunicorn()

    class Server(HTTPServer):
        def on_close(self, server_conn):
            own.count(worker)
            super().on_close(server_conn)

    loop = IOLoop.current()
    server = Server(app, no_keep_alive=worker.cfg.keepalive <= 0)
    for sock in own.sockets_of(worker):
        sock.setblocking(False)
        server.add_socket(sock)
    stopping = []

    def tick():
        if stopping:
            ticks.stop()
            beats.stop()
            loop.stop()
        elif not worker.alive or own.is_orphan(worker):
            server.stop()
            stopping.append(True)

    beat()
    beats = PeriodicCallback(beat, own.beat_period(worker) * 1000)
    beats.start()
    ticks = PeriodicCallback(tick, own.TICK * 1000)
    ticks.start()
    loop.start()
