# SPDX-License-Identifier: MIT
"""A page with a traceback, for developers: HTML for who asks for it, else text."""
import html

_PAGE = """<!doctype html>
<html><head><meta charset="utf-8"><title>%s</title>
<style>body{font:16px sans-serif;margin:2em;max-width:60em}
pre{background:#f4f4f4;padding:1em;overflow:auto}</style></head>
<body><h1>%s</h1><pre>%s</pre>
<p>%s</p></body></html>
"""


def make(title, text, hint, accept):
    """(content type, body)"""
    if "text/html" in accept:
        told = [html.escape(t) for t in (title, title, text, hint)]
        return "text/html; charset=utf-8", (_PAGE % tuple(told)).encode("utf-8", "replace")
    return "text/plain; charset=utf-8", text.encode("utf-8", "replace") + b"\n"


def headers(kind, body):
    """Of WSGI."""
    return [("Content-Type", kind), ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store")]


def accepted(scope):
    return b",".join(v for k, v in scope["headers"] if k == b"accept").decode("latin-1")


async def send(send, kind, body):
    """As the answer of an ASGI application."""
    await send({"type": "http.response.start", "status": 500,
                "headers": [(k.lower().encode(), v.encode()) for k, v in headers(kind, body)]})
    await send({"type": "http.response.body", "body": body})
