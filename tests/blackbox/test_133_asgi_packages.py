# SPDX-License-Identifier: MIT
"""The class asgi under packages that are not everywhere: Quart, Litestar, Django
with channels, and the faces that run WSGI applications in ASGI and the reverse.
`make test-matrix` installs the newest of them; what is not there is skipped."""
import asyncio
import json
import shutil
import subprocess

import pytest

from harness.asgi import needs
from harness.waiting import until
from harness.websocket import WebSocket

QUART = '''
import asyncio
from quart import Quart, jsonify, request, websocket

app = Quart(__name__)
seen = []


@app.before_serving
async def started():
    seen.append("started")


@app.get("/items/<int:n>")
async def item(n):
    await asyncio.sleep(0)
    return jsonify(n=n, q=request.args.get("q"))


@app.get("/sync")
def sync():
    return "sync"


@app.post("/posted")
async def posted():
    return str(len(await request.get_data()))


@app.post("/uploaded")
async def uploaded():
    files = await request.files
    return str(len(files["file"].read()))


@app.get("/stream")
async def stream():
    async def parts():
        for i in range(5):
            yield b"%d" % i
            await asyncio.sleep(0.01)
    return parts(), 200, {"content-type": "text/event-stream"}


@app.get("/background")
async def background():
    async def later():
        await asyncio.sleep(0.05)
        seen.append("later")
    app.add_background_task(later)
    return "ok"


@app.get("/boom")
async def boom():
    raise ValueError("boom")


@app.get("/seen")
async def show():
    return jsonify(seen)


@app.websocket("/chat")
async def chat():
    try:
        while True:
            await websocket.send("you said " + await websocket.receive())
    finally:
        seen.append("left")
'''

LITESTAR = '''
import asyncio
from litestar import Litestar, get, post, websocket_listener
from litestar.response import Stream

seen = []


@get("/items/{n:int}")
async def item(n: int, q: str = "none") -> dict:
    await asyncio.sleep(0)
    return {"n": n, "q": q}


@get("/sync", sync_to_thread=True)
def sync() -> str:
    return "sync"


@post("/posted")
async def posted(data: dict) -> dict:
    return data


@get("/stream")
async def stream() -> Stream:
    async def parts():
        for i in range(5):
            yield b"%d" % i
            await asyncio.sleep(0.01)
    return Stream(parts())


@get("/seen")
async def show() -> list:
    return seen


@websocket_listener("/chat")
async def chat(data: str) -> str:
    return "you said " + data


async def started() -> None:
    seen.append("started")

app = Litestar([item, sync, posted, stream, show, chat], on_startup=[started])
'''

CHANNELS = '''
import asyncio
import json
from django.conf import settings
settings.configure(
    SECRET_KEY="x", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], DEBUG=False,
    INSTALLED_APPS=["channels"], CHANNEL_LAYERS={
        "default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}})
import django
django.setup()
from asgiref.sync import async_to_sync
from channels.generic.websocket import (AsyncJsonWebsocketConsumer,
                                        WebsocketConsumer)
from channels.layers import get_channel_layer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.http import JsonResponse
from django.urls import path

left = []


class Room(AsyncJsonWebsocketConsumer):
    async def connect(self):
        self.room = self.scope["url_route"]["kwargs"]["room"]
        await self.channel_layer.group_add(self.room, self.channel_name)
        await self.accept()

    async def receive_json(self, content):
        await self.channel_layer.group_send(
            self.room, {"type": "said", "text": content})

    async def said(self, event):
        await self.send_json(event["text"])

    async def disconnect(self, code):
        left.append(code)
        await self.channel_layer.group_discard(self.room, self.channel_name)


class Threaded(WebsocketConsumer):
    """Runs in threads."""
    def connect(self):
        async_to_sync(self.channel_layer.group_add)("all", self.channel_name)
        self.accept()

    def receive(self, text_data=None, bytes_data=None):
        if text_data == "close":
            return self.close(code=4001)
        async_to_sync(self.channel_layer.group_send)(
            "all", {"type": "said", "text": text_data})

    def said(self, event):
        self.send(text_data=event["text"])

    def disconnect(self, code):
        left.append(code)
        async_to_sync(self.channel_layer.group_discard)("all", self.channel_name)


async def tell(request, room):
    """What a request says to a room."""
    await get_channel_layer().group_send(room, {"type": "said", "text": "told"})
    return JsonResponse({"told": room})


async def show(request):
    return JsonResponse(left, safe=False)

urlpatterns = [path("tell/<room>", tell), path("left", show)]
app = ProtocolTypeRouter({
    "http": get_asgi_application(),
    "websocket": URLRouter([path("rooms/<room>", Room.as_asgi()),
                            path("threaded", Threaded.as_asgi())])})
'''

WSGI = '''
import os


def wsgi(environ, start_response):
    if environ["PATH_INFO"] == "/boom":
        raise ValueError("boom")
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain"),
                              ("X-Method", environ["REQUEST_METHOD"])])
    return [b"%d bytes, " % len(body), environ["QUERY_STRING"].encode()]


async def asgi(scope, receive, send):
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": [
        (b"content-type", b"text/plain"), (b"x-method", scope["method"].encode())]})
    await send({"type": "http.response.body", "body": b"%d bytes, " % len(body),
                "more_body": True})
    await send({"type": "http.response.body", "body": scope["query_string"]})
'''
FACES = {  # (class, what it needs, the application that stands before the other)
    "a2wsgi.WSGIMiddleware": ("asgi", "a2wsgi", "import a2wsgi\n"
                              "app = a2wsgi.WSGIMiddleware(wsgi)"),
    "asgiref.wsgi.WsgiToAsgi": ("asgi", "asgiref", "from asgiref.wsgi import "
                                "WsgiToAsgi\napp = WsgiToAsgi(wsgi)"),
    "starlette's WSGIMiddleware": (
        "asgi", "starlette.middleware.wsgi", "import warnings\n"
        "warnings.simplefilter('ignore')\nfrom starlette.middleware.wsgi import "
        "WSGIMiddleware\napp = WSGIMiddleware(wsgi)"),
    "a2wsgi.ASGIMiddleware": ("sync", "a2wsgi", "import a2wsgi\n"
                              "app = a2wsgi.ASGIMiddleware(asgi)"),
}


# ---- Quart ----


@pytest.fixture(scope="module", params=["asyncio", "auto"])
def quart(module_server, request):
    needs("quart")
    return module_server("-k", "asgi", "--asgi-loop", request.param, "app:app",
                         files={"app.py": QUART})


def test_quart_views_bodies_and_streams(quart):
    assert json.loads(quart.get("/items/3?q=a").body) == {"n": 3, "q": "a"}
    assert quart.get("/sync").body == b"sync"
    assert quart.post("/posted", b"z" * 300000).body == b"300000"
    assert quart.get("/stream").body == b"01234"
    assert quart.get("/items/x").status == 404
    assert json.loads(quart.get("/seen").body)[0] == "started"


def test_quart_uploads(quart):
    data = (b"--b\r\nContent-Disposition: form-data; name=\"file\"; "
            b"filename=\"a\"\r\n\r\n" + b"x" * 2_000_000 + b"\r\n--b--\r\n")
    r = quart.post("/uploaded", data, "Content-Type: multipart/form-data; boundary=b")
    assert r.body == b"2000000"


def test_quart_background_tasks(quart):
    assert quart.get("/background").body == b"ok"
    until(lambda: "later" in json.loads(quart.get("/seen").body), "it has run")


def test_quart_errors(quart):
    quart.announce("boom", "Traceback")
    assert quart.get("/boom").status == 500


def test_quart_websockets(quart):
    ws = WebSocket(quart.address, "/chat")
    for text in ("hello", "wörld", "x" * 100000):
        ws.say(text)
        assert ws.hear() == "you said " + text
    ws.leave()
    until(lambda: "left" in json.loads(quart.get("/seen").body), "it is told")


# ---- Litestar ----


def test_litestar_views_streams_and_websockets(server):
    needs("litestar")
    s = server("-k", "asgi", "app:app", files={"app.py": LITESTAR})
    assert json.loads(s.get("/items/3?q=a").body) == {"n": 3, "q": "a"}
    assert s.get("/sync").body == b"sync"
    assert json.loads(s.post("/posted", b'{"a": [1, 2]}',
                             "Content-Type: application/json").body) == {"a": [1, 2]}
    assert s.get("/stream").body == b"01234"
    assert s.get("/items/x").status == 404
    assert json.loads(s.get("/seen").body) == ["started"]
    ws = WebSocket(s.address, "/chat")
    ws.say("hello")
    assert ws.hear() == "you said hello"
    ws.leave()


# ---- Django with channels ----


@pytest.fixture
def channels(server):
    needs("channels")
    return server("-k", "asgi", "app:app", files={"app.py": CHANNELS})


def left(server):
    return json.loads(server.get("/left").body)


def test_people_of_a_channels_chat_hear_each_other(channels):
    ann, bob = (WebSocket(channels.address, "/rooms/blue") for _ in range(2))
    other = WebSocket(channels.address, "/rooms/red")
    ann.say('"hello"')
    assert [ann.hear(), bob.hear()] == ['"hello"'] * 2
    assert json.loads(channels.get("/tell/blue").body) == {"told": "blue"}
    assert [ann.hear(), bob.hear()] == ['"told"'] * 2
    channels.get("/tell/red")
    assert other.hear() == '"told"'  # and nothing before
    bob.leave()
    ann.close()  # without a word
    until(lambda: sorted(left(channels)) == [1000, 1006], lambda: left(channels))
    other.say('"alone"')
    assert other.hear() == '"alone"'
    other.leave()


def test_a_channels_consumer_in_threads(channels):
    one, two = (WebSocket(channels.address, "/threaded") for _ in range(2))
    one.say("hello")
    assert [one.hear(), two.hear()] == ["hello"] * 2
    two.say("close")
    opcode, data = two.frame()
    assert (opcode, data[:2]) == (8, (4001).to_bytes(2, "big"))
    one.leave()
    two.close()
    until(lambda: 1000 in left(channels) and len(left(channels)) == 2,
          lambda: left(channels))


def test_a_channels_chat_ends_with_people_in_it(channels):
    people = [WebSocket(channels.address, "/rooms/blue") for _ in range(5)]
    people[0].say('"hello"')
    assert [p.hear() for p in people] == ['"hello"'] * 5
    channels.signal("TERM")
    for p in people:
        opcode, data = p.frame()
        assert (opcode, data[:2]) == (8, (1012).to_bytes(2, "big"))
        p.close()
    assert channels.wait() == 0


# ---- faces ----


@pytest.mark.parametrize("name", FACES)
def test_a_face_runs_the_other_kind(server, name):
    kind, package, code = FACES[name]
    needs(package)
    s = server("-k", kind, "faced:app", files={"faced.py": f"{WSGI}\n\n{code}\n"},
               announced=["boom"])
    for _ in range(3):
        r = s.post("/?q=1", b"z" * 200_000)
        assert (r.status, r.body) == (200, b"200000 bytes, q=1")
        assert r.one("X-Method") == "POST"
    assert s.get("/").body == b"0 bytes, "
    if kind == "asgi":
        assert s.get("/boom").status == 500
        assert s.get("/?again").body == b"0 bytes, again"


# ---- clients ----

ECHO = '''
import asyncio


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        raise NotImplementedError
    if scope["path"] == "/events":
        await send({"type": "http.response.start", "status": 200,
                    "headers": [(b"content-type", b"text/event-stream")]})
        for i in range(3):
            await send({"type": "http.response.body", "more_body": True,
                        "body": b"data: %d\\n\\n" % i})
            await asyncio.sleep(0.01)
        return await send({"type": "http.response.body"})
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"%d" % size})
'''


@pytest.fixture(scope="module", params=["asyncio", "auto"])
def echo(module_server, request):
    return module_server("-k", "asgi", "--asgi-loop", request.param, "echo:app",
                         files={"echo.py": ECHO})


def curl(server, path, *args, **kw):
    if not shutil.which("curl"):
        pytest.skip("there is no curl")
    done = subprocess.run(["curl", "-sS", "--max-time", "60", *args, server.url(path)],
                          capture_output=True, **kw)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_curl_sends_and_reads(echo, tmp_path):
    (tmp_path / "file").write_bytes(b"x" * 3_000_000)
    assert curl(echo, "/") == b"0"
    # it waits for 100 Continue, then sends
    assert curl(echo, "/", "-T", str(tmp_path / "file"),
                "-H", "Expect: 100-continue") == b"3000000"
    assert curl(echo, "/", "-T", "-", input=b"y" * 100_000) == b"100000"  # chunked
    assert curl(echo, "/events", "-N") == b"data: 0\n\ndata: 1\n\ndata: 2\n\n"
    assert curl(echo, "/", "-0") == b"0"


def test_httpx_streams_both_ways(echo):
    httpx = pytest.importorskip("httpx")

    async def parts():
        for _ in range(50):
            yield b"z" * 10_000
            await asyncio.sleep(0)

    async def talk():
        async with httpx.AsyncClient(base_url=echo.url(""), timeout=60) as client:
            assert (await client.post("/", content=parts())).text == "500000"
            async with client.stream("GET", "/events") as r:
                lines = [line async for line in r.aiter_lines()]
            assert [x.strip() for x in lines if x.strip()] == [
                "data: 0", "data: 1", "data: 2"]
            many = await asyncio.gather(*[client.get("/") for _ in range(40)])
            assert {r.text for r in many} == {"0"}
    asyncio.run(talk())
