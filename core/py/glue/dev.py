# SPDX-License-Identifier: MIT
"""What --dev puts around an application: when it raises before its answer has
begun, the answer is a page with the traceback."""
import inspect
import sys
import traceback

from _cgunicorn_glue import fault_page

HINT = "This page is shown because the server was started with --dev."


def _page(error, accept):
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    return fault_page.make("%s: %s" % (type(error).__name__, error), text.rstrip(), HINT, accept)


def _log(path):
    from _cgunicorn_glue import hooks
    hooks.the_server.log.exception("Error handling request %s", path)


class Rest:
    """A generator whose first item was taken already."""

    def __init__(self, first, generator):
        self.first, self.generator = [first], generator

    def __iter__(self):
        return self

    def __next__(self):
        return self.first.pop() if self.first else next(self.generator)

    def close(self):
        self.generator.close()


class Wsgi:
    def __init__(self, app):
        self.app = app

    def __call__(self, environ, start_response):
        try:
            result = self.app(environ, start_response)
            if not inspect.isgenerator(result):
                return result
            return Rest(next(result, b""), result)
        except StopIteration:  # the socket was taken over: nothing is answered
            raise
        except Exception as e:
            kind, body = _page(e, environ.get("HTTP_ACCEPT", ""))
            # raises what was raised, if the answer has begun
            start_response("500 Internal Server Error", fault_page.headers(kind, body),
                           sys.exc_info())
            _log(environ.get("RAW_URI", environ["PATH_INFO"]))
            return [body]


class Asgi:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        began = False

        async def note(message):
            nonlocal began
            began = True
            await send(message)

        try:
            await self.app(scope, receive, note)
        except Exception as e:
            if began:
                raise
            _log(scope["path"])
            await fault_page.send(send, *_page(e, fault_page.accepted(scope)))


def wrap(app, asgi):
    return (Asgi if asgi else Wsgi)(app)
