# SPDX-License-Identifier: MIT
"""The WSGI applications that are measured: one path for each."""
import os
import sys
import time

HELLO = b"Hello, World!\n"
HELLO_FIELDS = [("Content-Type", "text/plain"),
                ("Content-Length", str(len(HELLO)))]
PAGE = b"<html>" + b"y" * 10234
PAGE_FIELDS = [
    ("Content-Type", "text/html; charset=utf-8"),
    ("Content-Length", str(len(PAGE))),
    ("X-Frame-Options", "DENY"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Vary", "Cookie, Accept-Language"),
    ("Cache-Control", "max-age=0, no-cache"),
    ("Set-Cookie", "sessionid=abcdefghijklmnopqrstuvwxyz; HttpOnly; Path=/"),
    ("Set-Cookie", "csrftoken=abcdefghijklmnopqrstuvwxyz0123456789; Path=/"),
]
BIG = b"x" * (1 << 20)
BIG_FIELDS = [("Content-Type", "application/octet-stream"),
              ("Content-Length", str(len(BIG)))]
PART = b"z" * 1024


def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/":
        start_response("200 OK", HELLO_FIELDS)
        return [HELLO]
    if path == "/real":
        start_response("200 OK", PAGE_FIELDS)
        return [PAGE]
    if path == "/post":
        body = b"%d" % len(environ["wsgi.input"].read())
        start_response("200 OK", [("Content-Type", "text/plain"),
                                  ("Content-Length", str(len(body)))])
        return [body]
    if path == "/big":
        start_response("200 OK", BIG_FIELDS)
        return [BIG]
    if path == "/stream":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return (PART for _ in range(64))
    if path == "/sleep":
        time.sleep(float(environ["QUERY_STRING"] or 0.01))
        start_response("200 OK", HELLO_FIELDS)
        return [HELLO]
    if path in ("/pid", "/python"):
        text = sys.executable if path == "/python" else str(os.getpid())
        start_response("200 OK", [("Content-Type", "text/plain"),
                                  ("Content-Length", str(len(text)))])
        return [text.encode()]
    start_response("404 Not Found", [("Content-Length", "0")])
    return []


_whitenoise = None


def whitenoise(environ, start_response):
    """Made at the first request: only one bench has the package."""
    global _whitenoise
    if _whitenoise is None:
        import os
        from whitenoise import WhiteNoise
        _whitenoise = WhiteNoise(app, root=os.environ["BENCH_FILES"], prefix="static/")
    return _whitenoise(environ, start_response)
