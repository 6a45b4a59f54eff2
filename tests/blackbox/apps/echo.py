# SPDX-License-Identifier: MIT
"""Tells which request it was: the HTTP cases compare it."""
import json
from wsgiref.validate import validator


def echo(environ, start_response):
    body = environ["wsgi.input"].read(-1).decode("latin-1")
    told = [environ["REQUEST_METHOD"], environ["RAW_URI"], body]
    data = json.dumps(told).encode()
    start_response("200 OK", [("Content-Type", "application/json"),
                              ("Content-Length", str(len(data)))])
    return [data]


checked = validator(echo)


def app(environ, start_response):
    """Checked by both sides of PEP 3333, but for "OPTIONS *": a path that is
    no path is gunicorn's answer there."""
    known = environ["PATH_INFO"] != "*"
    return (checked if known else echo)(environ, start_response)
