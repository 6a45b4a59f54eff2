# SPDX-License-Identifier: MIT
"""gevent-websocket's worker class: gevent's own WSGI server, with the handler
of that package, which puts wsgi.websocket into environ."""
from . import checker, gevent_, pywsgi_

patch, settle, prepare = gevent_.patch, gevent_.settle, pywsgi_.prepare
is_own = pywsgi_.is_own


def check():
    return gevent_.check() or checker(
        "geventwebsocket", "0.10", "VERSION", "gevent-websocket")()


def serve_own(worker, app, beat):
    from geventwebsocket.handler import WebSocketHandler
    pywsgi_.serve(worker, app, beat, WebSocketHandler)
