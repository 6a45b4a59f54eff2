# SPDX-License-Identifier: MIT
"""Workers that are kept busy, and connections that are known to be theirs."""
from harness.waiting import until

APP = """
import os, pathlib, time

def app(environ, start_response):
    path = environ["PATH_INFO"]
    name = environ["QUERY_STRING"]
    if path == "/block":
        pathlib.Path(name + ".in").touch()
        while not pathlib.Path(name + ".go").exists():
            time.sleep(0.002)
    elif path == "/burn":
        pathlib.Path(name + ".in").touch()
        while not os.path.exists(name + ".go"):
            sum(range(1000))
    elif path == "/close":
        os.close(0)
    body = str(os.getpid()).encode()
    if environ["REQUEST_METHOD"] == "POST":
        body += b" %d" % len(environ["wsgi.input"].read())
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


class Blocked:
    """A request that stays in the application until `go` is called."""

    def __init__(self, server, peer, name, path="/block"):
        self.server, self.peer, self.name = server, peer, name
        peer.get(f"{path}?{name}")
        until(lambda: (server.folder / f"{name}.in").exists(),
              f"{name} is in the application")

    def go(self):
        (self.server.folder / f"{self.name}.go").touch()


def pid_of(reply):
    return int(reply.body.split()[0])


def ask(peer, body=None):
    return (peer.get() if body is None else peer.post("/", body)).reply()


def pinned(server, pid=None, count=1):
    """
    Warm connections of one worker. New ones go to whoever has the fewest, so
    all stay open until that one has enough.
    """
    by_owner = {}

    def enough():
        peer = server.connect()
        owner = pid_of(ask(peer))
        by_owner.setdefault(owner, []).append(peer)
        return len(by_owner[owner]) == count and owner == (pid or owner) \
            and owner

    owner = until(enough, f"a worker has {count} connections")
    found = by_owner.pop(owner)
    for peer in sum(by_owner.values(), []):
        peer.close()
    return owner, found
