# SPDX-License-Identifier: MIT
"""The ASGI applications that are measured: `app` without a framework, and the
same greeting by Starlette and FastAPI where they are installed."""

import asyncio

HELLO = b"Hello, World!\n"
FIELDS = [(b"content-type", b"text/plain"), (b"content-length", b"14")]
BIG = b"x" * (1 << 20)
BIG_FIELDS = [(b"content-type", b"application/octet-stream"),
              (b"content-length", b"%d" % len(BIG))]


async def answer(send, body, fields):
    await send({"type": "http.response.start", "status": 200,
                "headers": fields})
    await send({"type": "http.response.body", "body": body})


async def upload(receive, send):
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    text = b"%d" % size
    await answer(send, text, [(b"content-length", b"%d" % len(text))])


async def events(send):
    """One each second, for as long as somebody listens."""
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-type", b"text/event-stream")]})
    n = 0
    while True:
        await send({"type": "http.response.body", "more_body": True,
                    "body": b"data: %d\n\n" % n})
        n += 1
        await asyncio.sleep(1)


async def echo(receive, send):
    while True:
        message = await receive()
        if message["type"] == "websocket.connect":
            await send({"type": "websocket.accept"})
        elif message["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message.get("text"),
                        "bytes": message.get("bytes")})
        else:
            return


async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await echo(receive, send)
    elif scope["type"] == "lifespan":
        raise NotImplementedError
    elif scope["path"] == "/upload":
        await upload(receive, send)
    elif scope["path"] == "/big":
        await answer(send, BIG, BIG_FIELDS)
    elif scope["path"] == "/events":
        await events(send)
    else:
        await answer(send, HELLO, FIELDS)


def starlette():
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    async def hello(request):
        return PlainTextResponse("Hello, World!\n")
    return Starlette(routes=[Route("/", hello)])


def fastapi():
    from fastapi import FastAPI
    one = FastAPI()

    @one.get("/")
    async def hello():
        return {"hello": "world"}
    return one
