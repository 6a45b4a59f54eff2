# SPDX-License-Identifier: MIT
"""Tells which request it was: the HTTP cases compare it."""
import json


def app(environ, start_response):
    body = environ["wsgi.input"].read().decode("latin-1")
    told = [environ["REQUEST_METHOD"], environ["RAW_URI"], body]
    data = json.dumps(told).encode()
    start_response("200 OK", [("Content-Type", "application/json"),
                              ("Content-Length", str(len(data)))])
    return [data]
