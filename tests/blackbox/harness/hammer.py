# SPDX-License-Identifier: MIT
"""Clients that hammer a server and know whose reply they got."""
import random
import socket
import threading

CLIENTS, BATCH = 12, 8

# What was asked comes back by every way that a server might keep of a request:
# fields it knows and others, the path, the query, the body, the peer's port.
WSGI = """\
import threading, time

def answer(environ):
    mark = environ["HTTP_X_MARK"]
    body = environ["wsgi.input"].read()
    same = {mark, environ["QUERY_STRING"], environ["PATH_INFO"][1:], body.decode(),
            environ["HTTP_USER_AGENT"], environ["HTTP_%s" % environ["HTTP_X_NAME"]]}
    return mark if len(same) == 1 else "MIXED %r" % (same,)

def app(environ, start_response):
    mark, way = environ["HTTP_X_MARK"], environ["HTTP_X_WAY"]
    headers = [("X-Mark", mark), ("X-Port", environ["REMOTE_PORT"])]
    if way == "long":
        until = time.perf_counter() + 0.003
        while time.perf_counter() < until:
            pass
    text = answer(environ).encode()
    if way == "write":
        write = start_response("200 OK", headers + [("Content-Length", str(2 * len(text)))])
        write(text)
        return [text]
    if way == "thread":
        got = []
        t = threading.Thread(target=lambda: got.append(
            start_response("200 OK", headers + [("Content-Length", str(len(text)))])))
        t.start()
        t.join()
        return (text,)
    start_response("200 OK", headers + [("Content-Length", str(len(text)))])
    if way == "parts":
        return (text[i:i + 1] for i in range(len(text)))
    return [text]
"""
ASGI = """\
import asyncio, time

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    message = await receive()
    fields = {k.decode(): v.decode() for k, v in scope["headers"]}
    mark, way = fields["x-mark"], fields["x-way"]
    same = {mark, scope["query_string"].decode(), scope["path"][1:],
            message["body"].decode(), fields["user-agent"],
            fields[fields["x-name"].lower().replace("_", "-")]}
    text = (mark if len(same) == 1 else "MIXED %r" % (same,)).encode()
    if way == "thread":
        await asyncio.to_thread(time.sleep, 0)
    elif way == "long":
        await asyncio.sleep(0.003)
    size = len(text) * (2 if way == "write" else 1)
    await send({"type": "http.response.start", "status": 200, "headers": [
        (b"x-mark", mark.encode()), (b"x-port", str(scope["client"][1]).encode()),
        (b"content-length", str(size).encode())]})
    for _ in range(size // len(text)):
        await send({"type": "http.response.body", "body": text, "more_body": True})
    await send({"type": "http.response.body"})
"""
WAYS = ["list"] * 6 + ["write", "parts", "thread", "long"]


class Hammer:
    """Clients that ask for marks nobody else has, and check each reply."""

    def __init__(self, port):
        self.port = port
        self.replies = self.cuts = 0
        self.wrong = []
        self.over = threading.Event()
        self.lock = threading.Lock()

    def request(self, mark, way):
        name = f"X-Own-{random.randrange(400)}"
        body = mark.encode()
        return (f"POST /{mark}?{mark} HTTP/1.1\r\nHost: a\r\nUser-Agent: {mark}\r\n"
                f"X-Mark: {mark}\r\nX-Way: {way}\r\n"
                f"X-Name: {name.upper().replace('-', '_')}\r\n{name}: {mark}\r\n"
                f"Content-Length: {len(body)}\r\n\r\n").encode() + body

    def check(self, file, mark, way, port):
        fields = {}
        line = file.readline()
        if not line:
            raise ConnectionError("closed")
        while True:
            field = file.readline().decode().rstrip("\r\n")
            if not field:
                break
            key, _, value = field.partition(": ")
            fields[key.lower()] = value
        if "content-length" in fields:
            body = file.read(int(fields["content-length"])).decode()
        else:
            raise ConnectionError(line)
        wanted = mark * (2 if way == "write" else 1)
        if (not line.startswith(b"HTTP/1.1 200") or body != wanted
                or fields.get("x-mark") != mark or fields.get("x-port") != str(port)):
            self.wrong.append((mark, way, line, fields, body))
            self.over.set()
        with self.lock:
            self.replies += 1

    def batch(self, peer, file, n, count):
        marks = [(f"c{n}r{count + i}z{random.getrandbits(40):x}", random.choice(WAYS))
                 for i in range(BATCH)]
        peer.sendall(b"".join(self.request(m, w) for m, w in marks))
        for mark, way in marks:
            self.check(file, mark, way, peer.getsockname()[1])

    def client(self, n):
        count = 0
        while not self.over.is_set():
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=60) as peer, \
                        peer.makefile("rb") as file:
                    for _ in range(20):
                        if self.over.is_set():
                            return
                        self.batch(peer, file, n, count)
                        count += BATCH
            except (ConnectionError, socket.timeout) as e:
                if isinstance(e, socket.timeout):
                    self.wrong.append(("no reply within 60 s", n))
                with self.lock:
                    self.cuts += 1

    def run(self, between):
        threads = [threading.Thread(target=self.client, args=(n,)) for n in range(CLIENTS)]
        for t in threads:
            t.start()
        try:
            between(self)
        finally:
            self.over.set()
            for t in threads:
                t.join()
