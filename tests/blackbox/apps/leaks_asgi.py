# SPDX-License-Identifier: MIT
"""One way to end per path, and /measure: what this process holds while no
request runs but this one."""
import asyncio
import contextvars
import json
import sys

import leaks

var = contextvars.ContextVar("var")
last = {}      # what a request left for the next one to replace
leaked = []
begun = [0]


async def forever():
    """Without a timer, which asyncio would keep till its time when it is cancelled."""
    await asyncio.get_running_loop().create_future()


async def start(send, status=200, headers=(), **more):
    await send({"type": "http.response.start", "status": status,
                "headers": list(headers), **more})


async def part(send, body=b"", more=False):
    await send({"type": "http.response.body", "body": body, "more_body": more})


async def reply(send, body=b"ok"):
    await start(send, headers=[(b"content-type", b"text/plain"), (b"x-own", b"1")])
    await part(send, body)


async def read(receive):
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def told(receive):
    while (await receive())["type"] != "http.disconnect":
        pass


# ---- replies that are complete; the connection stays ----


async def returns(scope, receive, send):
    await reply(send)


async def yields(scope, receive, send):
    await asyncio.sleep(0)
    await reply(send)


async def sleeps(scope, receive, send):
    await asyncio.sleep(0.0001)
    await reply(send)


async def parts(scope, receive, send):
    await start(send)
    for _ in range(3):
        await part(send, b"part", True)
        await asyncio.sleep(0)
    await part(send)


async def echo(scope, receive, send):
    await reply(send, await read(receive))


async def left_task(scope, receive, send):
    """A task that waits for a message when the application returns."""
    await receive()
    asyncio.ensure_future(receive())
    await reply(send)


async def cancelled_task(scope, receive, send):
    waits = asyncio.ensure_future(receive())
    await waits
    again = asyncio.ensure_future(receive())
    await asyncio.sleep(0)
    again.cancel()
    await reply(send)


async def sent_by_tasks(scope, receive, send):
    await asyncio.ensure_future(start(send))
    await asyncio.gather(part(send, b"a", True), part(send, b"b", True))
    await asyncio.ensure_future(part(send))


async def looks(scope, receive, send):
    """The task is made before anything waits."""
    task = asyncio.current_task()
    task.add_done_callback(lambda t: last.__setitem__("done", t.exception()))
    task.set_name("looked at")
    await reply(send)


async def background(scope, receive, send):
    await reply(send)
    await asyncio.sleep(0)
    last["background"] = scope["path"]


async def timeout(scope, receive, send):
    try:
        await asyncio.wait_for(forever(), 0.0001)
    except asyncio.TimeoutError:
        await reply(send)


async def shielded(scope, receive, send):
    child = asyncio.ensure_future(forever())
    try:
        await asyncio.wait_for(asyncio.shield(child), 0.0001)
    except asyncio.TimeoutError:
        child.cancel()
        await reply(send)


async def group(scope, receive, send):
    async def bad():
        raise ValueError
    if sys.version_info >= (3, 11):
        try:
            async with asyncio.TaskGroup() as g:
                g.create_task(bad())
                g.create_task(forever())
        except BaseException as e:
            last["group"] = type(e)
    await reply(send)


async def uncancelled(scope, receive, send):
    """Cancelled, and goes on all the same."""
    asyncio.current_task().cancel()
    try:
        await forever()
    except asyncio.CancelledError:
        if sys.version_info >= (3, 11):
            asyncio.current_task().uncancel()
        await reply(send)


async def context(scope, receive, send):
    var.set([scope])
    await asyncio.sleep(0)
    await reply(send)


async def faults(scope, receive, send):
    for message in ({"type": "no such"}, {"type": "http.response.body"},
                    {"type": "http.response.start", "status": "?"},
                    {"type": "http.response.start", "status": 200,
                     "headers": [(b"a\n", b"b")]}):
        try:
            await send(message)
        except (ValueError, RuntimeError):
            pass
    await reply(send)
    try:
        await send({"type": "http.response.body"})
    except RuntimeError as e:
        last["fault"] = type(e)


async def keeps(scope, receive, send):
    last["kept"] = scope, receive, send
    await reply(send)


async def closes_itself(scope, receive, send):
    """What is sent by an asynchronous generator that nobody exhausts."""
    async def texts():
        while True:
            yield b"text"
            await asyncio.sleep(0)
    await start(send)
    async for text in texts():
        await part(send, text, True)
        break
    await part(send)


async def pathsend(scope, receive, send):
    await start(send)
    await send({"type": "http.response.pathsend", "path": __file__})


async def trailers(scope, receive, send):
    await send({"type": "http.response.early_hint", "links": [b"</a>; rel=b"]})
    await start(send, trailers=True)
    await part(send, b"body")
    await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"4")]})


# ---- replies that end their connection ----


async def raises(scope, receive, send):
    raise ValueError("meant")


async def raises_late(scope, receive, send):
    await asyncio.sleep(0)
    raise ValueError("meant")


async def raises_midway(scope, receive, send):
    await start(send)
    await part(send, b"some", True)
    raise ValueError("meant")


async def raises_after(scope, receive, send):
    await reply(send)
    raise ValueError("meant")


async def raises_group(scope, receive, send):
    raise (ExceptionGroup("meant", [ValueError("a"), KeyError("b")])
           if sys.version_info >= (3, 11) else ValueError("meant"))


async def exits(scope, receive, send):
    sys.exit(3)


async def nothing(scope, receive, send):
    pass


async def ends_midway(scope, receive, send):
    await start(send)
    await part(send, b"some", True)


async def too_short(scope, receive, send):
    await start(send, headers=[(b"content-length", b"5")])
    await part(send, b"123")


async def cancels(scope, receive, send):
    """Cancelled by itself."""
    asyncio.current_task().cancel()
    await forever()


async def cancelled(scope, receive, send):
    """Cancelled by another task."""
    task = asyncio.current_task()
    asyncio.get_running_loop().call_soon(task.cancel)
    await forever()


async def refused(scope, receive, send):
    """A child that goes on when its parent is cancelled."""
    child = asyncio.ensure_future(asyncio.sleep(0.001))
    asyncio.get_running_loop().call_soon(asyncio.current_task().cancel)
    await asyncio.shield(child)


# ---- clients that leave ----


async def listens(scope, receive, send):
    await start(send)
    await part(send, b"begun", True)
    await told(receive)


async def answers_nobody(scope, receive, send):
    """Sends when it has been told that nobody is there."""
    await listens(scope, receive, send)
    await part(send, b"more", True)


async def sleeps_on(scope, receive, send):
    await start(send)
    await part(send, b"begun", True)
    await asyncio.sleep(3600)


async def floods(scope, receive, send):
    """Waits for room, which there never is."""
    await start(send)
    await part(send, b"begun", True)
    while True:
        await part(send, bytes(65536), True)


async def reads(scope, receive, send):
    """A body that does not end."""
    await start(send)
    await part(send, b"begun", True)
    await read(receive)


async def never(scope, receive, send):
    await asyncio.sleep(3600)


# ---- WebSockets ----


async def websocket(scope, receive, send):
    await receive()
    how = scope["path"].strip("/")
    if how == "denied":
        await send({"type": "websocket.close"})
        await receive()
        return
    if how == "denied_with_reply":
        await send({"type": "websocket.http.response.start", "status": 418,
                    "headers": [(b"x-why", b"tea")]})
        await send({"type": "websocket.http.response.body", "body": b"tea"})
        return
    if how == "returns_first":
        return
    if how == "raises_first":
        raise ValueError("meant")
    if how == "waits_first":
        await receive()
        return
    await send({"type": "websocket.accept"})
    if how == "closes":
        await send({"type": "websocket.close", "code": 3001, "reason": "enough"})
        await receive()
    elif how == "returns":
        return
    elif how == "raises":
        raise ValueError("meant")
    elif how == "cancels":
        asyncio.current_task().cancel()
        await receive()
    elif how == "left_task":
        asyncio.ensure_future(receive())
        await asyncio.sleep(0)
    else:
        message = await receive()
        while message["type"] != "websocket.disconnect":
            await send({"type": "websocket.send", "text": message.get("text"),
                        "bytes": message.get("bytes")})
            message = await receive()
        if how == "sends_late":
            await send({"type": "websocket.send", "text": "late"})


# ---- what there is ----

LEAKS = {"object": lambda: [[]], "bytes": lambda: b"%d" % len(leaked),
         "reference": lambda: app,
         "task": lambda: asyncio.ensure_future(asyncio.sleep(3600))}


async def leak(scope, receive, send):
    leaked.append(LEAKS[scope["query_string"].decode()]())
    await reply(send)


async def measure(scope, receive, send):
    """Once the others have ended; `tasks` are those that do not."""
    if not leaks.seen:
        leaks.seen.extend([*scope, *(v for v in scope.values()), *scope["asgi"].values(),
                           None, True, False, b"", "", (), type(send), type(receive)])
    mine = asyncio.current_task()
    for _ in range(400):
        others = [t for t in asyncio.all_tasks() if t is not mine and t not in leaked]
        if not others:
            break
        await asyncio.sleep(0.05)
    del others
    for _ in range(5):  # what is done is freed in the loop's next turns
        await asyncio.sleep(0.01)
    found = leaks.measure()
    found["tasks"] = len(asyncio.all_tasks()) - (mine in asyncio.all_tasks())
    await reply(send, json.dumps(found).encode())


async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await websocket(scope, receive, send)
    elif scope["type"] == "lifespan":
        raise NotImplementedError
    else:
        await globals()[scope["path"].strip("/")](scope, receive, send)
