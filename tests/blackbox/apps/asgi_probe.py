# SPDX-License-Identifier: MIT
"""One ASGI application per path. Those that check something answer "ok"."""
import asyncio
import contextvars
import gc
import json
import os
import sys
import time

var = contextvars.ContextVar("var", default="unset")
seen = {}  # what applications noticed, for /seen
tasks = {}


async def reply(send, body, status=200, headers=()):
    if isinstance(body, str):
        body = body.encode()
    await send({"type": "http.response.start", "status": status,
                "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})


async def read(receive):
    body = b""
    while True:
        message = await receive()
        assert message["type"] == "http.request", message
        body += message["body"]
        if not message["more_body"]:
            return body


async def start(send, *headers, **more):
    await send({"type": "http.response.start", "status": 200,
                "headers": list(headers), **more})


async def part(send, body=b"", more=True):
    await send({"type": "http.response.body", "body": body, "more_body": more})


# ---- what the application is told ----


async def hello(scope, receive, send):
    await reply(send, "Hello, world!")


async def scope_(scope, receive, send):
    def plain(o):
        if isinstance(o, bytes):
            return {"bytes": o.decode("latin-1")}
        if isinstance(o, (list, tuple)):
            return [plain(x) for x in o]
        return {k: plain(v) for k, v in o.items()} if isinstance(o, dict) else o
    await reply(send, json.dumps(plain(scope)))


async def scope_is_fresh(scope, receive, send):
    dicts = [scope, *(scope[k] for k in ("asgi", "state", "extensions"))]
    old = [d.get("mark") for d in dicts]
    for d in dicts:
        d["mark"] = "left over"
    await reply(send, repr(old))


async def show_seen(scope, receive, send):
    await reply(send, json.dumps(seen))


async def echo(scope, receive, send):
    await reply(send, await read(receive))


async def blocks(scope, receive, send):
    """How large the messages were."""
    sizes = []
    while True:
        message = await receive()
        sizes.append(len(message["body"]))
        if not message["more_body"]:
            break
    await reply(send, json.dumps(sizes))


async def unread(scope, receive, send):
    await reply(send, "unread")


async def first_block(scope, receive, send):
    """Tells at once of the part that is there, then reads on."""
    message = await receive()
    await start(send)
    await part(send, message["body"])
    seen["more"] = message["more_body"]
    while message["more_body"]:
        message = await receive()
        if message["type"] != "http.request":
            seen["first_block"] = message["type"]
            return
        await part(send, message["body"])
    await part(send, more=False)


# ---- replies ----


async def parts(scope, receive, send):
    await start(send)
    for i in range(3):
        await part(send, b"part %d\n" % i)
    await part(send, more=False)


async def events(scope, receive, send):
    """One event for each line of `steps` in the query, 50 ms apart."""
    await start(send, (b"content-type", b"text/event-stream"))
    try:
        for i in range(int(scope["query_string"] or b"3")):
            await part(send, b"data: %d\n\n" % i)
            await asyncio.sleep(0.05)
        await part(send, more=False)
    except OSError as e:
        seen["events"] = [type(e).__name__, isinstance(e, OSError)]
        raise


async def endless_events(scope, receive, send):
    await start(send, (b"content-type", b"text/event-stream"))
    gone = asyncio.ensure_future(disconnected(receive))
    n = 0
    while not gone.done():
        await part(send, b"data: %d\n\n" % n)
        n += 1
        await asyncio.wait([gone], timeout=0.05)
    seen["endless"] = "told"
    await part(send, b"data: bye\n\n", more=False)


async def disconnected(receive):
    while (await receive())["type"] != "http.disconnect":
        pass


async def big(scope, receive, send):
    await start(send)
    seen["blocks"] = 0
    for _ in range(int(scope["query_string"])):
        await part(send, b"x" * 65536)
        seen["blocks"] += 1
    await part(send, more=False)


async def path(scope, receive, send):
    await start(send, (b"content-type", b"text/plain"))
    await send({"type": "http.response.pathsend",
                "path": scope["query_string"].decode()})


async def hints(scope, receive, send):
    await send({"type": "http.response.early_hint",
                "links": [b"</a.css>; rel=preload", b"</b.js>; rel=preload"]})
    await reply(send, "hinted")


async def trailers(scope, receive, send):
    await start(send, (b"trailer", b"x-sum"), trailers=True)
    await part(send, b"body")
    await part(send, more=False)
    await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"4")]})


async def status(scope, receive, send):
    code = int(scope["query_string"])
    await send({"type": "http.response.start", "status": code, "headers": []})
    await send({"type": "http.response.body", "body": b"" if code in (204, 304)
                else b"status"})


async def view(scope, receive, send):
    await reply(send, memoryview(b"a view"))


# ---- replies that break a rule ----


async def nothing(scope, receive, send):
    pass


async def raises(scope, receive, send):
    raise ValueError("boom")


async def raises_late(scope, receive, send):
    await asyncio.sleep(0.01)
    raise ValueError("boom")


async def raises_started(scope, receive, send):
    await start(send)
    raise ValueError("boom")


async def raises_midway(scope, receive, send):
    await start(send)
    await part(send, b"some")
    raise ValueError("boom")


async def raises_after(scope, receive, send):
    await reply(send, "fine")
    raise ValueError("too late to tell")


async def ends_midway(scope, receive, send):
    await start(send)
    await part(send, b"some")


async def too_short(scope, receive, send):
    await reply(send, "123", headers=[(b"content-length", b"5")])


async def too_long(scope, receive, send):
    try:
        await reply(send, "1234567", headers=[(b"content-length", b"5")])
    except RuntimeError as e:
        seen["too_long"] = str(e)


async def faults(scope, receive, send):
    """What each bad message raises."""
    told = {}
    for name, message in [
            ("no dict", "text"),
            ("no type", {}),
            ("other type", {"type": "http.response.other"}),
            ("body first", {"type": "http.response.body"}),
            ("no status", {"type": "http.response.start"}),
            ("status", {"type": "http.response.start", "status": "ok"}),
            ("low status", {"type": "http.response.start", "status": 99}),
            ("str header", {"type": "http.response.start", "status": 200,
                            "headers": [("a", "b")]}),
            ("no pair", {"type": "http.response.start", "status": 200,
                         "headers": [b"abc"]}),
            ("split", {"type": "http.response.start", "status": 200,
                       "headers": [(b"a", b"b\r\nc: d")]}),
            ("bad name", {"type": "http.response.start", "status": 200,
                          "headers": [(b"a b", b"c")]})]:
        try:
            await send(message)
            told[name] = None
        except Exception as e:
            told[name] = "%s: %s" % (type(e).__name__, e)
    await start(send)
    for name, message in [
            ("second start", {"type": "http.response.start", "status": 200}),
            ("str body", {"type": "http.response.body", "body": "text"})]:
        try:
            await send(message)
            told[name] = None
        except Exception as e:
            told[name] = "%s: %s" % (type(e).__name__, e)
    await part(send, json.dumps(told).encode(), more=False)
    try:
        await part(send, b"more")
    except Exception as e:
        seen["after the end"] = "%s: %s" % (type(e).__name__, e)


async def exits(scope, receive, send):
    sys.exit(3)


# ---- clients that leave ----


async def waits(scope, receive, send):
    await receive()
    message = await receive()
    seen["waits"] = message["type"]
    try:
        await reply(send, "nobody")
    except OSError:
        seen["waits send"] = "OSError"


async def sleeps(scope, receive, send):
    seen["sleeps"] = "begun"
    try:
        await asyncio.sleep(30)
    except asyncio.CancelledError:
        seen["sleeps"] = "cancelled"
        raise


async def slow(scope, receive, send):
    await asyncio.sleep(float(scope["query_string"] or b"0.3"))
    await reply(send, "slow %d" % os.getpid())


async def blocks_loop(scope, receive, send):
    print("blocks", flush=True)
    time.sleep(float(scope["query_string"]))
    await reply(send, "blocked %d" % os.getpid())


# ---- tasks ----


async def current_task(scope, receive, send):
    t = asyncio.current_task()
    assert isinstance(t, asyncio.Task)
    await asyncio.sleep(0)
    assert asyncio.current_task() is t
    await asyncio.sleep(0.01)
    assert asyncio.current_task() is t and t in asyncio.all_tasks()
    assert not t.done() and t.get_coro() is not None and " pending " in repr(t)
    await reply(send, "ok")


async def name_first(scope, receive, send):
    t = asyncio.current_task()
    t.set_name("mine")
    await asyncio.sleep(0.01)
    assert asyncio.current_task().get_name() == "mine"
    assert t in asyncio.all_tasks()
    await reply(send, "ok")


async def done_callback(scope, receive, send):
    asyncio.current_task().add_done_callback(
        lambda t: seen.__setitem__("done", t.exception() is None))
    await reply(send, "ok")


async def context(scope, receive, send):
    assert var.get() == "unset", var.get()
    token = var.set("mine")
    await asyncio.sleep(0.01)
    assert var.get() == "mine"
    var.reset(token)
    assert var.get() == "unset"
    var.set("leak")
    await reply(send, "ok")


async def wait_for(scope, receive, send):
    try:
        await asyncio.wait_for(asyncio.sleep(2), 0.03)
    except asyncio.TimeoutError:
        await reply(send, "ok")


async def wait_at_once(scope, receive, send):
    try:
        await asyncio.wait_for(asyncio.sleep(2), 0)
    except asyncio.TimeoutError:
        await reply(send, "ok")


async def gathers(scope, receive, send):
    got = await asyncio.gather(asyncio.sleep(0.01, 1),
                               asyncio.shield(asyncio.sleep(0, 2)))
    await reply(send, "ok" if got == [1, 2] else repr(got))


async def cancels_itself(scope, receive, send):
    child = asyncio.ensure_future(asyncio.sleep(5))
    asyncio.current_task().cancel()
    try:
        await child
    except asyncio.CancelledError:
        if hasattr(asyncio.Task, "uncancel"):
            asyncio.current_task().uncancel()
        await reply(send, "ok" if child.cancelled() else "the child lives")


async def timeouts(scope, receive, send):
    if sys.version_info < (3, 11):
        return await reply(send, "ok")
    for seconds in (0.03, 0, -1):
        try:
            async with asyncio.timeout(seconds):
                await asyncio.sleep(2)
        except TimeoutError:
            continue
        return await reply(send, "no timeout of %r" % seconds)
    async with asyncio.timeout(5):
        pass
    await reply(send, "ok" if asyncio.current_task().cancelling() == 0 else "left")


async def groups(scope, receive, send):
    if sys.version_info < (3, 11):
        return await reply(send, "ok")
    out = []

    async def child(i):
        await asyncio.sleep(0.01 * i)
        out.append(i)

    async def bad():
        raise ValueError
    async with asyncio.TaskGroup() as g:
        for i in range(3):
            g.create_task(child(i))
    try:
        async with asyncio.TaskGroup() as g:
            g.create_task(bad())
            await asyncio.sleep(5)
    except BaseException as e:
        out.append(type(e).__name__)
    await reply(send, "ok" if out == [0, 1, 2, "ExceptionGroup"] else repr(out))


async def victim(scope, receive, send):
    tasks["victim"] = asyncio.current_task()
    try:
        await asyncio.sleep(10)
    except asyncio.CancelledError:
        await reply(send, "ok")
        raise


async def killer(scope, receive, send):
    while "victim" not in tasks:
        await asyncio.sleep(0.01)
    t = tasks.pop("victim")
    t.cancel()
    await asyncio.wait([t], timeout=5)
    await reply(send, "ok" if t.cancelled() else repr(t))


async def task_of_receive(scope, receive, send):
    message = await asyncio.ensure_future(receive())
    assert message == {"type": "http.request", "body": b"", "more_body": False}
    await asyncio.ensure_future(send(
        {"type": "http.response.start", "status": 200, "headers": []}))
    await asyncio.ensure_future(send(
        {"type": "http.response.body", "body": b"ok"}))
    message = await asyncio.wait_for(receive(), 5)
    seen["task_of_receive"] = message["type"]


async def lost_receive(scope, receive, send):
    t = asyncio.ensure_future(receive())
    t.cancel()
    await asyncio.sleep(0)
    message = await receive()
    try:
        await asyncio.wait_for(receive(), 0.03)
    except asyncio.TimeoutError:
        return await reply(
            send, "ok" if message["type"] == "http.request" else repr(message))
    await reply(send, "a second message")


async def background(scope, receive, send):
    await reply(send, "ok")
    await asyncio.sleep(0.2)
    seen["background"] = seen.get("background", 0) + 1


async def busy_background(scope, receive, send):
    await asyncio.sleep(0)
    await reply(send, "ok")
    await asyncio.sleep(0.2)


async def counts(scope, receive, send):
    """What must not grow: tasks, and objects of requests."""
    gc.collect()
    kinds = [type(o).__name__ for o in gc.get_objects()]
    await reply(send, json.dumps({
        "tasks": len(asyncio.all_tasks()),
        "dicts": kinds.count("dict"),
        "Send": kinds.count("Send"), "Drive": kinds.count("Drive"),
        "RequestTask": kinds.count("RequestTask"), "Wait": kinds.count("Wait"),
        "Context": kinds.count("Context"), "coroutine": kinds.count("coroutine"),
        "Future": kinds.count("Future")}))


# ---- WebSockets ----


async def chat(scope, receive, send):
    """Says everything back; what begins with a / is a command."""
    message = await receive()
    assert message == {"type": "websocket.connect"}, message
    query = scope["query_string"].decode()
    if query == "deny":
        return await send({"type": "websocket.close", "code": 4000})
    if query == "return":
        return
    if query == "raise":
        raise ValueError("boom")
    if query == "respond":
        await send({"type": "websocket.http.response.start", "status": 418,
                    "headers": [(b"x-why", b"tea")]})
        await send({"type": "websocket.http.response.body", "body": b"a teapot"})
        seen["denied"] = (await receive())["type"]
        return
    if query == "wait":
        message = await receive()
        seen["before accept"] = [message["type"], message["code"]]
        try:
            await send({"type": "websocket.accept"})
        except OSError:
            seen["late accept"] = "OSError"
        return
    accept = {"type": "websocket.accept", "headers": [(b"x-mine", b"1")]}
    if scope["subprotocols"]:
        accept["subprotocol"] = scope["subprotocols"][-1]
    if query == "subprotocol":
        try:
            await send({"type": "websocket.accept", "subprotocol": "never"})
        except ValueError as e:
            seen["subprotocol"] = str(e)
    await send(accept)
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            seen["disconnect"] = [message["code"], message["reason"]]
            try:
                await send({"type": "websocket.send", "text": "late"})
            except OSError as e:
                seen["late send"] = isinstance(e, RuntimeError)
            return
        assert message["type"] == "websocket.receive", message
        text = message.get("text")
        if text == "/close":
            await send({"type": "websocket.close", "code": 3001,
                        "reason": "as you wish"})
            message = await receive()
            seen["after close"] = [message["type"], message["code"]]
            return
        if text == "/return":
            return
        if text == "/raise":
            raise ValueError("boom")
        if text == "/bad":
            told = []
            for bad in ({"text": "a", "bytes": b"b"}, {}, {"text": 5},
                        {"bytes": "text"}):
                try:
                    await send({"type": "websocket.send", **bad})
                except Exception as e:
                    told.append(type(e).__name__)
            for code in (999, 1005, 1006, 5000, "x"):
                try:
                    await send({"type": "websocket.close", "code": code})
                except ValueError:
                    told.append(code)
                    continue
                break
            seen["bad"] = told
            return
        if text is not None and text.startswith("/flood "):
            for _ in range(int(text[7:])):
                await send({"type": "websocket.send", "bytes": b"x" * 65536})
                seen["flood"] = seen.get("flood", 0) + 1
            continue
        if text is not None and text.startswith("/sleep "):
            await asyncio.sleep(float(text[7:]))
            text = "slept"
        await send({"type": "websocket.send", "text": text,
                    "bytes": message.get("bytes")})


# ---- all of it ----

NAMES = {"/": hello, "/scope": scope_, "/seen": show_seen}


async def lifespan(scope, receive, send):
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            scope["state"]["made"] = "at startup"
            await send({"type": "lifespan.startup.complete"})
        else:
            print("lifespan: shutdown", file=sys.stderr, flush=True)
            await send({"type": "lifespan.shutdown.complete"})
            return


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return await lifespan(scope, receive, send)
    if scope["type"] == "websocket":
        return await chat(scope, receive, send)
    name = scope["path"]
    await (NAMES.get(name) or globals()[name.strip("/")])(scope, receive, send)
