# SPDX-License-Identifier: MIT
"""Workers that are blocked while others are idle, for connections that cannot
move: an application whose requests stay where they are until a file says go,
and clients that are known to be of a worker."""
import collections
import itertools
import json

from harness.waiting import until

# signal.sigtimedwait blocks in every worker class
APP = """
import json, os, pathlib, signal

def come_in(name):
    new = pathlib.Path(name + ".new")
    new.write_text(str(os.getpid()))
    new.rename(name + ".in")

def stay(name):
    come_in(name)
    while not os.path.exists(name + ".go"):
        signal.sigtimedwait([], 0.002)

class Endless:
    def __init__(self, name):
        self.name = name
    def __iter__(self):
        come_in(self.name)
        while True:
            yield b"x" * 50_000
    def close(self):
        pathlib.Path(self.name + ".closed").touch()

def half(name):
    yield b"half"
    stay(name)
    yield b"rest"

def app(environ, start_response):
    path, name = environ["PATH_INFO"], environ["QUERY_STRING"]
    pid = str(os.getpid())
    if name:
        with open("runs", "a") as f:
            f.write(name + "\\n")
    if path == "/block":
        stay(name)
    elif path == "/half":
        start_response("200 OK", [("Content-Length", "8"), ("X-Pid", pid)])
        return half(name)
    elif path == "/endless":
        start_response("200 OK", [])
        return Endless(name)
    elif path == "/stream":
        start_response("200 OK", [("X-Pid", pid)])
        return (b"%06d" % i * 5000 for i in range(100))
    elif path == "/big":
        start_response("200 OK", [("X-Pid", pid), ("Content-Length", "4000000")])
        return [b"0123456789abcdef" * 250_000]
    elif path == "/trailers":
        environ["gunicorn.http2.send_trailers"]([("X-Pid", pid)])
        start_response("200 OK", [])
        return [b"with trailers"]
    elif path == "/file":
        start_response("200 OK", [("X-Pid", pid)])
        return environ["wsgi.file_wrapper"](open("large", "rb"))
    body = {k: v for k, v in environ.items() if isinstance(v, (str, bool, tuple))}
    body["pid"] = int(pid)
    data = environ["wsgi.input"].read()
    body["read"] = [len(data), sum(data)]
    body = json.dumps(body).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""

ASGI = """
import json, os, pathlib, signal

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    name, read = scope["query_string"].decode(), 0
    if scope["path"] == "/block":
        pathlib.Path(name + ".new").write_text(str(os.getpid()))
        pathlib.Path(name + ".new").rename(name + ".in")
        while not os.path.exists(name + ".go"):
            signal.sigtimedwait([], 0.002)  # the loop stands still
    more = True
    while more:
        message = await receive()
        read += len(message.get("body", b""))
        more = message.get("more_body", False)
    if scope["path"] == "/until-it-leaves":
        pathlib.Path(name + ".in").touch()
        assert (await receive())["type"] == "http.disconnect"
        pathlib.Path(name + ".gone").touch()
    tls = scope.get("extensions", {}).get("tls", {})
    body = json.dumps({"pid": os.getpid(), "read": read, "scheme": scope["scheme"],
                       "http_version": scope["http_version"],
                       "tls_version": tls.get("tls_version")}).encode()
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})
"""

LARGE = b"abcdefgh" * 200_000
STREAM = b"".join(b"%06d" % i * 5000 for i in range(100))
FILES = {"app.py": APP, "large": LARGE}


def facts(reply):
    assert reply.status == 200, reply
    return json.loads(reply.body)


def pid_of(reply):
    return int(reply.one("X-Pid") or facts(reply)["pid"])


class Stays:
    """A request that stays in the application until `go`; `pid` runs it."""

    def __init__(self, server, name, send, path="/block"):
        self.server, self.name = server, name
        send(f"{path}?{name}")
        until(self._is_in, f"{name} is in the application")
        self.pid = int((server.folder / f"{name}.in").read_text())

    def _is_in(self):
        return (self.server.folder / f"{self.name}.in").exists()

    def go(self):
        (self.server.folder / f"{self.name}.go").touch()


def by_worker(server, workers, each):
    """{pid: [peer …]}: kept connections, `each` of every worker. New ones go to
    whoever has the fewest, so all stay open until there are enough."""
    found = {}

    def enough():
        peer = server.connect()
        found.setdefault(pid_of(peer.get().reply()), []).append(peer)
        return len(found) == workers and min(map(len, found.values())) >= each

    until(enough, f"each of {workers} workers has {each} connections")
    return found


def block(server, found, threads, most):
    """Has `most` of the workers blocked, in all of their threads. [(Stays, peer)],
    and whom that leaves. On a loaded machine a worker may have lent even that
    request: who runs it is who is blocked, unless nobody would be left."""
    held, running, names = [], collections.Counter(), itertools.count()

    def wanted():
        begun = [p for p in found if 0 < running[p] < threads]
        return (begun or [p for p in found if running[p] == 0])[0]

    while sum(n >= threads for n in running.values()) < most:
        peers = found[wanted()]
        peer = peers.pop()
        stays = Stays(server, f"held{next(names)}", peer.get)
        if running[stays.pid] == 0 and sum(n > 0 for n in running.values()) == most:
            stays.go()
            peer.reply()
            peers.append(peer)
            continue
        held.append((stays, peer))
        running[stays.pid] += 1
    return held, [p for p in found if running[p] == 0]


def runs(server, name):
    return (server.folder / "runs").read_text().split().count(name)
