# SPDX-License-Identifier: MIT
"""What docs/guides/choosing.md measures: views that compute, wait, or do both."""
import asyncio
import itertools
import os
import time

COMPUTE, WAIT, EACH = 0.005, 0.050, 5  # seconds, seconds, of so many requests one waits
FIELDS = [("Content-Type", "text/plain"), ("Content-Length", "3")]
asked = itertools.count()


def compute():
    end = time.thread_time() + COMPUTE
    while time.thread_time() < end:
        pass


def needs(path):
    """(whether it computes, whether it waits)"""
    return path in ("/compute", "/mix"), path == "/wait" or (
        path == "/mix" and next(asked) % EACH == 0)


def app(environ, start_response):
    if environ["PATH_INFO"] == "/pid":
        text = str(os.getpid()).encode()
        start_response("200 OK", [("Content-Length", str(len(text)))])
        return [text]
    computes, waits = needs(environ["PATH_INFO"])
    if computes:
        compute()
    if waits:
        time.sleep(WAIT)
    start_response("200 OK", FIELDS)
    return [b"ok\n"]


async def view(scope, receive, send):
    if scope["type"] != "http":
        return
    text = b"%d" % os.getpid() if scope["path"] == "/pid" else b"ok\n"
    computes, waits = needs(scope["path"])
    if computes:
        compute()
    if waits:
        await asyncio.sleep(WAIT)
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-length", b"%d" % len(text))]})
    await send({"type": "http.response.body", "body": text})
