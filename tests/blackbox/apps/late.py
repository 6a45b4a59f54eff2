# SPDX-License-Identifier: MIT
"""Requests that take longer than they may, one way per path. Those that run
on do so until a test makes the file `go`."""
import itertools
import os
import time

TEXT = [("Content-Type", "text/plain")]


def note(name):
    with open(name, "a") as f:
        f.write("x")


def may_go():
    return os.path.exists("go")


def quick(environ, start_response):
    body = str(os.getpid()).encode()
    start_response("200 OK", TEXT + [("Content-Length", str(len(body)))])
    return [body]


def loop(environ, start_response):
    try:
        while not may_go():
            sum(range(100))
    except BaseException as e:
        note("raised." + type(e).__name__)
        raise
    finally:
        note("finally")
    return quick(environ, start_response)


def sleep(environ, start_response):
    note("began")
    try:
        for _ in range(6000):
            time.sleep(60 if environ["QUERY_STRING"] == "long" else 0.01)
            if may_go():
                break
    finally:
        note("finally")
    return quick(environ, start_response)


def native(environ, start_response):
    """Like an extension that neither gives up the GIL nor looks at signals."""
    sum(itertools.repeat(1, 10**12))


def deaf(environ, start_response):
    while not may_go():
        try:
            time.sleep(0.01)
        except BaseException:
            note("swallowed")
    note("done")
    return quick(environ, start_response)


def begun(environ, start_response):
    start_response("200 OK", TEXT + [("Content-Length", "8")])
    yield b"half"
    try:
        while not may_go():
            time.sleep(0.01)
    finally:
        note("finally")
    yield b"rest"


def stream(environ, start_response):
    start_response("200 OK", TEXT)
    try:
        while not may_go():
            yield b"."
            time.sleep(0.01)
    finally:
        note("finally")


def silent(environ, start_response):
    start_response("200 OK", TEXT)
    try:
        while not may_go():
            time.sleep(0.01)
        yield b"late"
    finally:
        note("finally")


def upload(environ, start_response):
    environ["wsgi.input"].read()
    return quick(environ, start_response)


def taken(environ, start_response):
    sock = environ["gunicorn.socket"]
    sock.getpeername()
    note("began")
    while not may_go():
        time.sleep(0.01)
    sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n"
                 b"Connection: upgrade\r\n\r\nhello")
    raise StopIteration


def app(environ, start_response):
    found = globals().get(environ["PATH_INFO"].strip("/") or "quick")
    return found(environ, start_response)
