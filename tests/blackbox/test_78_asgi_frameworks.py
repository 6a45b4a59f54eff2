# SPDX-License-Identifier: MIT
"""The class asgi under the frameworks that people use: Starlette, FastAPI,
Django."""
import asyncio
import json

import pytest

from harness.asgi import needs
from harness.waiting import until

STARLETTE = '''
import asyncio
import contextlib
import contextvars
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import (FileResponse, JSONResponse, PlainTextResponse,
                                 StreamingResponse)
from starlette.routing import Route, WebSocketRoute

seen = []
var = contextvars.ContextVar("var", default=None)


class Mark(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        response = await call_next(request)
        response.headers["x-mark"] = "1"
        return response


class Pure:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http":
            assert var.get() is None, "the context leaked"
            var.set(1)
        await self.app(scope, receive, send)


async def body(request):
    return PlainTextResponse(str(len(await request.body())))


def sync(request):
    return PlainTextResponse("sync")


async def background(request):
    async def later():
        await asyncio.sleep(0.1)
        seen.append("background")
    return PlainTextResponse("ok", background=BackgroundTask(later))


async def stream(request):
    async def parts():
        for i in range(5):
            yield b"%d" % i
            await asyncio.sleep(0.01)
    return StreamingResponse(parts())


async def endless(request):
    async def parts():
        try:
            while True:
                yield b"x" * 1000
                await asyncio.sleep(0.01)
        finally:
            seen.append("closed")
    return StreamingResponse(parts())


async def file(request):
    return FileResponse(__file__)


async def upload(request):
    form = await request.form()
    return PlainTextResponse(str(len(await form["file"].read())))


async def show(request):
    return JSONResponse(seen)


async def boom(request):
    raise ValueError("boom")


async def chat(websocket):
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text("you said " + text)
    seen.append("left")


routes = [Route("/" + f.__name__, f, methods=["GET", "POST"]) for f in (
    body, sync, background, stream, endless, file, upload, show, boom)]
routes.append(WebSocketRoute("/chat", chat))
app = Starlette(routes=routes, middleware=[Middleware(Pure), Middleware(Mark)])
'''

FASTAPI = '''
from typing import Optional
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, WebSocket
from pydantic import BaseModel

app = FastAPI()
seen = []


class Item(BaseModel):
    name: str
    price: float
    note: Optional[str] = None


@app.on_event("startup")
async def started():
    seen.append("startup")


async def session():
    seen.append("open")
    try:
        yield "session"
    finally:
        seen.append("close")


@app.get("/items/{n}")
async def item(n: int, q: str = "none", s: str = Depends(session)):
    return {"n": n, "q": q, "s": s}


@app.get("/sync/{n}")
def plain(n: int):
    return {"n": n}


@app.post("/items")
async def create(item: Item, tasks: BackgroundTasks):
    tasks.add_task(seen.append, item.name)
    return item


@app.get("/missing")
async def missing():
    raise HTTPException(404, "no such thing")


@app.get("/seen")
async def show():
    return seen


@app.websocket("/ws/{room}")
async def room(ws: WebSocket, room: str):
    await ws.accept()
    async for data in ws.iter_json():
        await ws.send_json({"room": room, "data": data})
'''

DJANGO = '''
import asyncio
import os
from django.conf import settings
settings.configure(
    SECRET_KEY="x", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], DEBUG=False,
    MIDDLEWARE=[__name__ + ".mark"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3",
                           "NAME": "db.sqlite3"}})
import django
django.setup()
from asgiref.sync import async_to_sync, sync_to_async
from django.core.asgi import get_asgi_application
from django.core.signals import request_finished
from django.db import connection
from django.http import (FileResponse, HttpResponse, JsonResponse,
                         StreamingHttpResponse)
from django.urls import path
from django.utils.decorators import sync_and_async_middleware


async def later(request):
    await asyncio.sleep(0.01)
    return HttpResponse("async " + request.method)


def database(request):
    with connection.cursor() as c:
        c.execute("select 6 * 7")
        return HttpResponse(str(c.fetchone()[0]))


def stream(request):
    return StreamingHttpResponse(b"%d" % i for i in range(5))


def posted(request):
    return HttpResponse(str(len(request.body)))


def uploaded(request):
    return HttpResponse(str(request.FILES["file"].size))


def file(request):
    return FileResponse(open(__file__, "rb"))


async def gathered(request):
    """Threads and the loop by turns."""
    got = await asyncio.gather(*[sync_to_async(twice)(i) for i in range(5)])
    return JsonResponse(got, safe=False)


def twice(i):
    return async_to_sync(double)(i)


async def double(i):
    await asyncio.sleep(0.001)
    return 2 * i


async def stream_later(request):
    """Since Django 4.2."""
    async def parts():
        try:
            for i in range(int(request.GET["n"])):
                yield b"%d" % i
                await asyncio.sleep(0.01)
        finally:
            seen.append("stream closed")
    return StreamingHttpResponse(parts())


async def sleeps(request):
    """Cancelled when its client leaves, since Django 5.0."""
    seen.append("sleeps")
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        seen.append("cancelled")
        raise


def show(request):
    return JsonResponse({"version": django.VERSION[:2], "seen": seen,
                         "finished": len(finished)})


@sync_and_async_middleware
def mark(get_response):
    """Sees each reply, in the loop."""
    if asyncio.iscoroutinefunction(get_response):
        async def middleware(request):
            response = await get_response(request)
            response["X-Mark"] = "1"
            return response
        return middleware

    def middleware(request):
        response = get_response(request)
        response["X-Mark"] = "1"
        return response
    return middleware


seen, finished = [], []
request_finished.connect(lambda **kw: finished.append(1), weak=False)
urlpatterns = [path(f.__name__, f) for f in (
    later, database, stream, posted, uploaded, file, gathered, stream_later,
    sleeps, show)]
app = get_asgi_application()
'''


def needs_python_multipart():
    """Not `multipart`, which is another package by the old one's name."""
    try:
        needs("python_multipart")
    except pytest.skip.Exception:
        needs("multipart.multipart")


@pytest.fixture(scope="module", params=["asyncio", "auto"])
def starlette(module_server, request):
    needs("starlette")
    return module_server("-k", "asgi", "--asgi-loop", request.param, "app:app",
                         files={"app.py": STARLETTE})


@pytest.fixture(scope="module")
def fastapi(module_server):
    needs("fastapi")
    return module_server("-k", "asgi", "app:app", files={"app.py": FASTAPI})


@pytest.fixture(scope="module")
def django(module_server):
    needs("django")
    return module_server("-k", "asgi", "app:app", files={"app.py": DJANGO})


def test_starlette_bodies_threads_and_streams(starlette):
    for _ in range(2):
        assert starlette.post("/body", b"z" * 300000).body == b"300000"
        assert starlette.get("/sync").body == b"sync"
        r = starlette.get("/stream")
        assert (r.body, r.one("X-Mark")) == (b"01234", "1")


def test_starlette_background_tasks(starlette):
    with starlette.connect() as peer:
        for _ in range(3):
            peer.get("/background")
            assert peer.reply().body == b"ok"
    until(lambda: json.loads(starlette.get("/show").body).count("background")
          >= 3, "they have run")


def test_starlette_files(starlette):
    assert starlette.get("/file").body == STARLETTE.encode()


def test_starlette_uploads(starlette):
    needs_python_multipart()
    data = (b"--b\r\nContent-Disposition: form-data; name=\"file\"; "
            b"filename=\"a\"\r\n\r\n" + b"x" * 2_000_000 + b"\r\n--b--\r\n")
    r = starlette.post("/upload", data,
                       "Content-Type: multipart/form-data; boundary=b")
    assert r.body == b"2000000"


def test_starlette_streams_end_with_their_client(starlette):
    with starlette.connect() as peer:
        peer.get("/endless")
        assert peer.head().status == 200
    until(lambda: "closed" in json.loads(starlette.get("/show").body),
          "the generator was closed")


def test_starlette_errors(starlette):
    starlette.announce("Error handling request", "boom", "Traceback")
    assert starlette.get("/boom").status == 500


def test_starlette_websockets_with_the_websockets_package(starlette):
    websockets = pytest.importorskip("websockets")

    async def talk():
        url = "ws://%s:%d/chat" % starlette.address
        async with websockets.connect(url) as ws:
            for text in ("hello", "w\u00f6rld", "x" * 100000):
                await ws.send(text)
                assert await asyncio.wait_for(ws.recv(), 20) == "you said " + text
            await asyncio.wait_for(await ws.ping(), 20)
    asyncio.run(talk())
    until(lambda: "left" in json.loads(starlette.get("/show").body),
          "the application is told")


def test_fastapi_dependencies_and_validation(fastapi):
    assert json.loads(fastapi.get("/items/3?q=a").body) == {
        "n": 3, "q": "a", "s": "session"}
    assert json.loads(fastapi.get("/sync/4").body) == {"n": 4}
    assert fastapi.get("/items/x").status == 422
    assert fastapi.get("/missing").status == 404
    seen = json.loads(fastapi.get("/seen").body)
    assert seen[0] == "startup"
    assert [x for x in seen if x in ("open", "close")][:2] == ["open", "close"]


def test_fastapi_bodies_and_background_tasks(fastapi):
    r = fastapi.post("/items", b'{"name": "tea", "price": 2.5}',
                     "Content-Type: application/json")
    assert json.loads(r.body) == {"name": "tea", "price": 2.5, "note": None}
    until(lambda: "tea" in json.loads(fastapi.get("/seen").body), "it has run")


def test_fastapi_websockets(fastapi):
    websockets = pytest.importorskip("websockets")

    async def talk():
        url = "ws://%s:%d/ws/blue" % fastapi.address
        async with websockets.connect(url) as ws:
            await ws.send(json.dumps([1, 2]))
            got = json.loads(await asyncio.wait_for(ws.recv(), 20))
            assert got == {"room": "blue", "data": [1, 2]}
    asyncio.run(talk())


def test_httpx_talks_to_it(fastapi):
    httpx = pytest.importorskip("httpx")

    async def many():
        async with httpx.AsyncClient(base_url=fastapi.url("")) as client:
            got = await asyncio.gather(*[
                client.get(f"/items/{i}") for i in range(50)])
            assert [r.json()["n"] for r in got] == list(range(50))
    asyncio.run(many())


def told(django):
    return json.loads(django.get("/show").body)


def needs_django(django, *version):
    if told(django)["version"] < list(version):
        pytest.skip("this is of Django %d.%d" % version)


def test_django_async_views_databases_and_streams(django):
    assert django.get("/later").body == b"async GET"
    assert django.get("/database").body == b"42"
    assert django.get("/stream").body == b"01234"
    assert django.post("/posted", b"x" * 100000).body == b"100000"
    assert django.get("/nothing").status == 404


def test_django_async_middleware_and_threads(django):
    r = django.get("/gathered")
    assert (json.loads(r.body), r.one("X-Mark")) == ([0, 2, 4, 6, 8], "1")


def test_django_uploads_and_files(django):
    data = (b"--b\r\nContent-Disposition: form-data; name=\"file\"; "
            b"filename=\"a\"\r\n\r\n" + b"x" * 4_000_000 + b"\r\n--b--\r\n")
    r = django.post("/uploaded", data, "Content-Type: multipart/form-data; boundary=b")
    assert r.body == b"4000000"
    assert django.get("/file").body == DJANGO.encode()


def test_django_tells_that_each_request_is_finished(django):
    before = told(django)["finished"]
    for _ in range(10):
        assert django.get("/later").status == 200
    until(lambda: told(django)["finished"] >= before + 10, "the signals have come")


def test_django_async_streams(django):
    needs_django(django, 4, 2)
    assert django.get("/stream_later?n=5").body == b"01234"
    before = told(django)["seen"].count("stream closed")
    with django.connect() as peer:
        peer.get("/stream_later?n=100000")
        assert peer.head().status == 200
    until(lambda: told(django)["seen"].count("stream closed") > before,
          "it ended with its client")


def test_django_cancels_a_view_whose_client_left(django):
    needs_django(django, 5, 0)
    with django.connect() as peer:
        peer.get("/sleeps")
        until(lambda: "sleeps" in told(django)["seen"], "it runs")
    until(lambda: "cancelled" in told(django)["seen"], "it is cancelled")
