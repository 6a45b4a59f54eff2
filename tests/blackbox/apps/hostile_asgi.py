# SPDX-License-Identifier: MIT
"""An ASGI application that uses what the server gives it in every wrong way:
see hostile.py. Each path is one attack; what it answers with is what happened."""
import asyncio
import gc
import os
import sys
import threading

KEPT = {}
FOUND = []
START = {"type": "http.response.start", "status": 200,
         "headers": [(b"content-type", b"text/plain")]}


def body(data, more=False):
    return {"type": "http.response.body", "body": data, "more_body": more}


class Outcome:
    """Awaits something and tells what it came to, in one word."""

    @staticmethod
    async def of(call, *args):
        try:
            r = call(*args)
            if hasattr(r, "__await__"):
                r = await r
            return r
        except Exception as e:
            return type(e).__name__
        except BaseException as e:
            if isinstance(e, asyncio.CancelledError):
                raise
            return type(e).__name__


of = Outcome.of


def now(call, *args):
    """The same of what acts when it is called."""
    try:
        return call(*args)
    except BaseException as e:
        return type(e).__name__


async def tell(send, *said):
    await send(START)
    await send(body(" ".join(str(s) for s in said).encode()))


async def ok(scope, receive, send):
    await tell(send, os.getpid())


def reply(send, text=b"inner"):
    """All of it, at once: send acts when it is called."""
    send(START)
    send(body(text))


# ---- messages that call back ----


class Talks:
    """Answers the request whenever it is looked at."""

    def __init__(self, send, value, text=b"inner"):
        self.send, self.value, self.text = send, value, text

    def talk(self):
        send, self.send = self.send, None
        if send is not None:
            reply(send, self.text)

    def __index__(self):
        self.talk()
        return self.value

    def __bool__(self):
        self.talk()
        return bool(self.value)

    def __iter__(self):
        self.talk()
        return iter(self.value)

    def __len__(self):
        self.talk()
        return len(self.value)

    def __repr__(self):
        self.talk()
        return "talks"

    def __fspath__(self):
        self.talk()
        return self.value


class TalkingKey(str):
    """Equal to another key, and answers when it is asked."""
    send = None

    def __hash__(self):
        return hash(str(self))

    def __eq__(self, other):
        send, TalkingKey.send = TalkingKey.send, None
        if send is not None:
            reply(send)
        return str.__eq__(self, other)


class TalkingBytes(bytes):
    send = None

    def __repr__(self):
        send, TalkingBytes.send = TalkingBytes.send, None
        if send is not None:
            reply(send)
        return "bytes"


async def talking_status(scope, receive, send):
    FOUND.append(now(send, {**START, "status": Talks(send, 404)}))


async def talking_bad_status(scope, receive, send):
    FOUND.append(now(send, {**START, "status": Talks(send, 4)}))


async def talking_trailers(scope, receive, send):
    FOUND.append(now(send, {**START, "trailers": Talks(send, 1)}))


async def talking_headers(scope, receive, send):
    FOUND.append(now(send, {**START, "headers": Talks(send, [(b"a", b"b")])}))


async def talking_pair(scope, receive, send):
    FOUND.append(now(send, {**START, "headers": [
        (b"x", b"y"), Talks(send, (b"a", b"b")), (b"x", b"z")]}))


async def talking_generator(scope, receive, send):
    def pairs():
        yield (b"a", b"b")
        reply(send)
        yield (b"c", b"d")
    FOUND.append(now(send, {**START, "headers": pairs()}))


async def talking_name(scope, receive, send):
    TalkingBytes.send = send
    FOUND.append(now(send, {**START, "headers": [
        [TalkingBytes(b"bad name"), b"x"]]}))


async def talking_no_pair(scope, receive, send):
    FOUND.append(now(send, {**START, "headers": [Talks(send, (1, 2, 3))]}))


async def talking_key(scope, receive, send):
    message = dict(START)
    del message["status"]
    message[TalkingKey("status")] = 200
    TalkingKey.send = send
    FOUND.append(now(send, message))


async def talking_header_key(scope, receive, send):
    message = dict(START)
    headers = message.pop("headers")
    message[TalkingKey("headers")] = headers
    TalkingKey.send = send
    FOUND.append(now(send, message))


def finish(send):
    send(body(b"inner"))


class Ends(Talks):
    def talk(self):
        send, self.send = self.send, None
        if send is not None:
            send(body(b"inner"))


async def talking_more(scope, receive, send):
    await send(START)
    FOUND.append(now(send, body(b"outer", Ends(send, 1))))


async def talking_body_key(scope, receive, send):
    class Key(TalkingKey):
        __hash__ = TalkingKey.__hash__

        def __eq__(self, other):
            if Key.send is not None:
                s, Key.send = Key.send, None
                finish(s)
            return str.__eq__(self, other)
    await send(START)
    message = {"type": "http.response.body", Key("body"): b"outer"}
    Key.send = send
    FOUND.append(now(send, message))


async def talking_path(scope, receive, send):
    await send(START)
    FOUND.append(now(send, {"type": "http.response.pathsend",
                            "path": Ends(send, __file__)}))


async def talking_fields(scope, receive, send):
    """Trailers whose reading sends the trailers."""
    await send({**START, "trailers": True, "headers": [(b"trailer", b"x-b")]})
    await send(body(b"inner"))

    def pairs():
        yield (b"x-a", b"1")
        send({"type": "http.response.trailers", "headers": [(b"x-b", b"2")]})
        yield (b"x-c", b"3")
    FOUND.append(now(send, {"type": "http.response.trailers",
                            "headers": pairs()}))


async def talking_more_trailers(scope, receive, send):
    await send({**START, "trailers": True})
    await send(body(b"inner"))

    class More:
        def __bool__(self):
            send({"type": "http.response.trailers", "headers": []})
            return False
    FOUND.append(now(send, {"type": "http.response.trailers",
                            "headers": [(b"x-a", b"1")],
                            "more_trailers": More()}))


async def talking_hint(scope, receive, send):
    def links():
        yield b"</a>"
        reply(send)
        yield b"</b>"
    FOUND.append(now(send, {"type": "http.response.early_hint",
                            "links": links()}))


async def shrinking_hint(scope, receive, send):
    class Link(bytes):
        def __repr__(self):
            links.clear()
            return "link"

    class Odd:
        def __repr__(self):
            links.clear()
            reply(send)
            return "odd"
    links = [Odd()]
    FOUND.append(now(send, {"type": "http.response.early_hint",
                            "links": links}))


async def talking_informational(scope, receive, send):
    def pairs():
        yield (b"link", b"</a>")
        reply(send)
        yield (b"link", b"</b>")
    FOUND.append(now(send, {"type": "http.response.informational",
                            "status": 103, "headers": pairs()}))


async def talking_type(scope, receive, send):
    class Kind(str):
        def __repr__(self):
            reply(send)
            return "kind"
    FOUND.append(now(send, {"type": Kind("no.such.type")}))


async def talking_dict(scope, receive, send):
    class Message(dict):
        def get(self, *args):
            reply(send)

        def __getitem__(self, key):
            reply(send)

        def __contains__(self, key):
            return False

        def __repr__(self):
            reply(send)
            return "message"
    FOUND.append(now(send, Message(type=5)))


async def shrinking_headers(scope, receive, send):
    headers = []

    class Pair(list):
        def __len__(self):
            headers.clear()
            return 2

        def __iter__(self):
            headers.clear()
            return iter((b"a", b"b"))
    headers += [Pair((b"a", b"b")) for _ in range(50)]
    FOUND.append(now(send, {**START, "headers": headers}))
    headers = [[b"a", b"b"] for _ in range(50)]

    class Name(bytes):
        def __repr__(self):
            for pair in headers:
                pair.clear()
            headers.clear()
            return "name"
    headers.insert(0, [Name(b"bad name"), type("V", (bytes,), {})(b"v")])
    FOUND.append(now(send, {**START, "headers": headers}))
    headers = [[Name(b"bad name"), type("V", (), {})()]]
    FOUND.append(now(send, {**START, "headers": headers}))
    if FOUND[-3] == "done":
        return
    now(send, START)
    now(send, body(b"inner"))


# ---- bodies ----


async def resized_body(scope, receive, send):
    """A bytearray cannot change while it is sent; afterwards it may."""
    await send(START)
    data = bytearray(b"x" * 100000)
    for _ in range(20):
        await send(body(data, True))
        del data[:]
        data += b"x" * 100000
    view = memoryview(data)
    await send(body(view, True))
    view.release()
    FOUND.append(now(send, body(view, True)))
    FOUND.append(now(send, body(memoryview(data)[::2], True)))
    FOUND.append(now(send, body(5, True)))
    FOUND.append(now(send, body("text", True)))
    await send(body(b"end"))


async def buffer_body(scope, receive, send):
    """Python 3.12: an object's own buffer, which answers when it is asked."""
    class Buffer:
        def __buffer__(self, flags):
            send(body(b"inner"))
            return memoryview(b"outer")
    await send(START)
    said = now(send, body(Buffer()))
    FOUND.append(said)
    now(send, body(b"inner"))


class Dying(bytes):
    def __del__(self):
        if KEPT.get("dying") is not None:
            FOUND.append(now(KEPT["dying"], body(b"y" * 70000, True)))


async def dying_body(scope, receive, send):
    await send(START)
    KEPT["dying"] = send
    for _ in range(30):
        await send(body(Dying(b"x" * 300000), True))
    KEPT["dying"] = None
    await send(body(b"end"))


# ---- objects that are kept, threads ----


async def keep(scope, receive, send):
    KEPT.update(scope=scope, receive=receive, send=send)
    KEPT["waits"] = [receive() for _ in range(3)]
    KEPT["coroutine"] = asyncio.current_task().get_coro()
    await tell(send, "kept")


async def use_kept(scope, receive, send):
    said = [await of(KEPT["send"], START), await of(KEPT["send"], body(b"x")),
            (await KEPT["receive"]())["type"]]
    for wait in KEPT["waits"]:
        said.append((await wait)["type"])
    coroutine = KEPT["coroutine"]
    for call, args in (("send", [None]), ("throw", [ValueError]),
                       ("close", [])):
        now(getattr(coroutine, call), *args)
    await tell(send, *said)


async def threads(scope, receive, send):
    """send() of threads, which nobody promised to work."""
    await send(START)

    def run():
        for _ in range(100):
            now(send, body(b"x" * 5000, True))
    made = [threading.Thread(target=run, daemon=True) for _ in range(4)]
    for t in made:
        t.start()
    for _ in range(20):
        now(send, body(b"m" * 1000, True))
        await asyncio.sleep(0.001)
    now(send, body(b"end"))
    await asyncio.get_running_loop().run_in_executor(
        None, lambda: [t.join() for t in made])


# ---- the coroutine that the server drives ----


async def driven(scope, receive, send):
    """Its own coroutine, driven while it runs."""
    coroutine = asyncio.current_task().get_coro()
    said = [now(coroutine.send, None), now(coroutine.throw, ValueError),
            now(coroutine.throw, asyncio.CancelledError),
            now(coroutine.close)]
    await tell(send, *said)


def driven_early(scope, receive, send):
    """The same, before there is a coroutine."""
    coroutine = asyncio.current_task().get_coro()
    if coroutine is not None:
        for call, args in (("send", [None]), ("throw", [ValueError]),
                           ("close", [])):
            if hasattr(coroutine, call):
                FOUND.append(now(getattr(coroutine, call), *args))
    return ok(scope, receive, send)


async def driven_while_it_waits(scope, receive, send):
    """Another task steps it, and ends it."""
    task = asyncio.current_task()
    coroutine = task.get_coro()

    async def other():
        for _ in range(3):
            FOUND.append(now(coroutine.send, None))
        FOUND.append(now(coroutine.throw, KeyError("told")))
        FOUND.append(now(coroutine.close))
    KEPT["other"] = asyncio.ensure_future(other())
    try:
        await asyncio.sleep(0.01)
    except BaseException:
        pass
    await tell(send, "waited")


class Odd:
    """Awaited, it yields what no loop knows, and calls back when cancelled."""

    def __init__(self, send):
        self.sender = send
        self.coroutine = asyncio.current_task().get_coro()

    def __await__(self):
        yield self

    def cancel(self, *args):
        FOUND.append(now(self.coroutine.send, None))
        FOUND.append(now(self.coroutine.throw, ValueError))
        now(reply, self.sender)
        return True


async def odd_yield(scope, receive, send):
    try:
        await Odd(send)
    except BaseException as e:
        await tell(send, type(e).__name__)


async def talking_exception(scope, receive, send):
    """An exception that answers when it is shown."""
    class Talking(Exception):
        def __str__(self):
            reply(send)
            return "shown"
    raise Talking


async def talking_group(scope, receive, send):
    class Talking(Exception):
        def split(self, kinds):
            reply(send)
            return (None, self)
    raise Talking


async def no_coroutine(scope, receive, send):
    return 5


class Awaitable:
    def __init__(self, f):
        self.f = f

    def __await__(self):
        return self.f()


def own_iterator(scope, receive, send):
    """No generator, but an object with __next__ alone."""
    class It:
        n = 0

        def __iter__(self):
            return self

        def __next__(self):
            It.n += 1
            if It.n == 1:
                return None
            reply(send)
            raise StopIteration(5)
    return Awaitable(It)


def no_iterator(scope, receive, send):
    return Awaitable(lambda: 5)


def raising_await(scope, receive, send):
    def f():
        raise GeneratorExit
    return Awaitable(f)


async def base_exception(scope, receive, send):
    class Odd(BaseException):
        pass
    raise Odd


async def system_exit(scope, receive, send):
    sys.exit(3)


# ---- types ----


async def types(scope, receive, send):
    wait = receive()
    await send(START)
    kinds = [type(send), type(receive), type(wait),
             type(asyncio.current_task().get_coro()),
             type(send(body(b"", True)))]
    said = []
    for kind in kinds:
        if kind.__module__ != "cgunicorn":
            continue
        for call in (kind, lambda: kind.__new__(kind),
                     lambda: object.__new__(kind)):
            made = now(call)
            said.append(made if isinstance(made, str) else "made")
            if not isinstance(made, str):
                for method in ("send", "__call__", "throw", "close", "x"):
                    now(getattr(made, method, int), None)
    await send(body(" ".join(said).encode()))


async def cleared(scope, receive, send):
    """What the server's templates share."""
    copy = dict(scope)
    scope.clear()
    for value in copy.values():
        if isinstance(value, (dict, list)):
            now(value.clear)
    await tell(send, "cleared")


async def cycles(scope, receive, send):
    """Objects that meet the end of others in a collection of garbage."""
    class End:
        __slots__ = ("o",)

        def __del__(self):
            now(self.o["send"], START)
            now(self.o["receive"])
    for _ in range(20):
        d = {"send": send, "receive": receive, "wait": receive()}
        d["d"] = d
        e = End()
        e.o = d
        d["e"] = e
        del d, e
    gc.collect()
    now(send, START)
    now(send, body(b"inner"))


# ---- WebSockets ----


async def websocket(scope, receive, send):
    path = scope["path"].strip("/")
    await receive()
    await SOCKETS[path](scope, receive, send)


ACCEPT = {"type": "websocket.accept"}
CLOSE = {"type": "websocket.close"}


async def ws_echo(scope, receive, send):
    await send(ACCEPT)
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        await send({"type": "websocket.send", "text": message["text"]})


async def ws_nested_accept(scope, receive, send):
    """Accepted while it is being accepted."""
    def pairs():
        send(ACCEPT)
        yield (b"x-a", b"1")
    FOUND.append(now(send, {**ACCEPT, "headers": pairs()}))
    await of(send, {"type": "websocket.send", "text": "inner"})


async def ws_nested_refusal(scope, receive, send):
    def pairs():
        send(CLOSE)
        yield (b"x-a", b"1")
    FOUND.append(now(send, {**ACCEPT, "headers": pairs()}))


async def ws_nested_protocol(scope, receive, send):
    class Protocol(str):
        def __repr__(self):
            send(CLOSE)
            return "protocol"
    FOUND.append(now(send, {**ACCEPT, "subprotocol": Protocol("none")}))


async def ws_nested_denial(scope, receive, send):
    def pairs():
        send({"type": "websocket.http.response.start", "status": 401})
        send({"type": "websocket.http.response.body", "body": b"no"})
        yield (b"x-a", b"1")
    FOUND.append(now(send, {"type": "websocket.http.response.start",
                            "status": 403, "headers": pairs()}))


class ClosingKey(str):
    send = None

    def __hash__(self):
        return hash(str(self))

    def __eq__(self, other):
        send, ClosingKey.send = ClosingKey.send, None
        if send is not None:
            send(CLOSE)
        return str.__eq__(self, other)


async def ws_closing_key(scope, receive, send):
    await send(ACCEPT)
    ClosingKey.send = None
    message = {"type": "websocket.send", ClosingKey("bytes"): b"x" * 1000}
    ClosingKey.send = send
    FOUND.append(now(send, message))


async def ws_closing_code(scope, receive, send):
    await send(ACCEPT)
    message = {"type": "websocket.close", ClosingKey("code"): 1001}
    ClosingKey.send = send
    FOUND.append(now(send, message))

    class Code(int):
        def __repr__(self):
            send(CLOSE)
            return "code"
    FOUND.append(now(send, {"type": "websocket.close", "code": Code(5)}))


async def ws_closing_buffer(scope, receive, send):
    class Buffer:
        def __buffer__(self, flags):
            send(CLOSE)
            return memoryview(b"outer" * 100)
    await send(ACCEPT)
    FOUND.append(now(send, {"type": "websocket.send", "bytes": Buffer()}))
    data = bytearray(b"x" * 1000)
    view = memoryview(data)
    FOUND.append(now(send, {"type": "websocket.send", "bytes": view[::2]}))
    view.release()
    FOUND.append(now(send, {"type": "websocket.send", "bytes": view}))
    FOUND.append(now(send, {"type": "websocket.send", "text": "\udcff"}))
    FOUND.append(now(send, {"type": "websocket.send", "bytes": data}))


async def ws_threads(scope, receive, send):
    await send(ACCEPT)

    def run():
        for _ in range(100):
            now(send, {"type": "websocket.send", "bytes": b"x" * 3000})
    made = [threading.Thread(target=run, daemon=True) for _ in range(4)]
    for t in made:
        t.start()
    for _ in range(20):
        now(send, {"type": "websocket.send", "text": "m" * 500})
        await asyncio.sleep(0.001)
    now(send, CLOSE)
    await asyncio.get_running_loop().run_in_executor(
        None, lambda: [t.join() for t in made])


SOCKETS = {name: f for name, f in list(globals().items())
           if name.startswith("ws_")}
PATHS = {name: f for name, f in list(globals().items())
         if callable(f) and not name.startswith("ws_")}


async def joined(scope, receive, send):
    found = [str(f) if isinstance(f, str) else "done" for f in FOUND]
    del FOUND[:]
    await tell(send, *found)

PATHS["joined"] = joined


def app(scope, receive, send):
    if scope["type"] == "lifespan":
        raise RuntimeError("no lifespan")
    if scope["type"] == "websocket":
        return websocket(scope, receive, send)
    return PATHS[scope["path"].strip("/")](scope, receive, send)
