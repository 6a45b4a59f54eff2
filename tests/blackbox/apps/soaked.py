# SPDX-License-Identifier: MIT
"""What clients of the soak leave in the middle of, and /measure."""
import gc
import json
import os
import sys
import time

import leaks

OPEN = {"requests": 0}  # requests and responses that have not ended


def reply(start_response, body, *fields):
    start_response("200 OK", [("Content-Type", "text/plain"),
                              ("Content-Length", str(len(body))), *fields])
    return [body]


def greenlets():
    if "greenlet" not in sys.modules:
        return 0
    from greenlet import greenlet
    # not isinstance: proxies would answer for what they stand for
    return sum(issubclass(type(o), greenlet) for o in gc.get_objects())


def measure():
    found = leaks.measure()
    found["greenlets"] = greenlets()
    found["open"] = OPEN["requests"]
    with open("/proc/self/statm") as f:
        found["resident"] = int(f.read().split()[1]) * 4
    found["pid"] = os.getpid()
    return found


def hello(environ, start_response):
    return reply(start_response, b"hello")


def measured(environ, start_response):
    return reply(start_response, json.dumps(measure()).encode())


def length(environ, start_response):
    """The length of the body; or whatever an early end raises."""
    return reply(start_response, b"%d" % len(environ["wsgi.input"].read()))


def wait(environ, start_response):
    OPEN["requests"] += 1
    try:
        time.sleep(0.02)
    finally:
        OPEN["requests"] -= 1
    return reply(start_response, b"waited")


def big(environ, start_response):
    return reply(start_response, b"b" * (4 << 20))


class Stream:
    """Parts with waits between them; its close() has to be called."""

    def __init__(self):
        OPEN["requests"] += 1

    def __iter__(self):
        for _ in range(20):
            time.sleep(0.002)
            yield b"s" * 20000

    def close(self):
        OPEN["requests"] -= 1


def stream(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return Stream()


def echo(environ, start_response):
    """Takes the socket over, as WebSocket libraries do."""
    sock = environ["gunicorn.socket"]
    OPEN["requests"] += 1
    try:
        sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\n"
                     b"Connection: Upgrade\r\n\r\n")
        while True:
            data = sock.recv(1000)
            if not data:
                break
            sock.sendall(data)
    except OSError:
        pass
    finally:
        OPEN["requests"] -= 1
    raise StopIteration


PATHS = {"/hello": hello, "/measure": measured, "/length": length,
         "/wait": wait, "/big": big, "/stream": stream, "/echo": echo}


def app(environ, start_response):
    return PATHS[environ["PATH_INFO"]](environ, start_response)
