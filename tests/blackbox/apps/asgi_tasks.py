# SPDX-License-Identifier: MIT
"""What applications and libraries do with the task of their request, one per path;
"ok" is a check that passed. MODE says what the lifespan sets up: a task factory,
or the eager one of Python 3.12."""
import asyncio
import contextvars
import os
import sys

import asgi_probe
from asgi_probe import part, reply, seen, start

MODE = os.environ.get("MODE", "")
var = contextvars.ContextVar("var", default="unset")


def group_of(*exceptions):
    return ExceptionGroup("several", list(exceptions))


async def ok(send, good=True, what="bad"):
    await reply(send, "ok" if good else what)


# ---- anyio and sniffio ----


async def anyio_scope(scope, receive, send):
    import anyio
    with anyio.move_on_after(0.03) as late:
        await anyio.sleep(5)
    with anyio.move_on_after(0) as at_once:
        await anyio.sleep(5)
    with anyio.CancelScope() as cancelled:
        cancelled.cancel()
        await anyio.sleep(5)
    try:
        with anyio.fail_after(0.01):
            await anyio.sleep(5)
        failed = False
    except TimeoutError:
        failed = True
    # anyio 3 leaves that to others
    left = hasattr(anyio, "NoEventLoopError") and sys.version_info >= (3, 11) and (
        asyncio.current_task().cancelling())
    await ok(send, failed and not left and late.cancel_called
             and at_once.cancel_called and cancelled.cancel_called)


async def anyio_group(scope, receive, send):
    import anyio
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.sleep, 10)
        await anyio.sleep(0.01)
        group.cancel_scope.cancel()
    await ok(send)


async def anyio_group_fails(scope, receive, send):
    import anyio

    async def bad():
        raise KeyError("meant")
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(bad)
            await anyio.sleep(5)
    except BaseException as e:
        told = e.exceptions[0] if hasattr(e, "exceptions") else e
        return await ok(send, isinstance(told, KeyError), repr(e))


async def anyio_first(scope, receive, send):
    """Before anything has waited."""
    import anyio
    task = anyio.get_current_task()
    with anyio.fail_after(5):
        pass
    await ok(send, bool(task.name and task.id))


async def anyio_thread(scope, receive, send):
    import anyio
    import anyio.from_thread
    import anyio.to_thread
    var.set("mine")

    def work():
        assert var.get() == "mine"
        return anyio.from_thread.run(asyncio.sleep, 0.01, "ok")
    await reply(send, await anyio.to_thread.run_sync(work))


async def anyio_streams(scope, receive, send):
    import anyio
    there, here = anyio.create_memory_object_stream(0)
    async with anyio.create_task_group() as group:
        group.start_soon(there.send, "ok")
        await reply(send, await here.receive())


async def sniffs(scope, receive, send):
    import sniffio
    before = sniffio.current_async_library()
    await asyncio.sleep(0)
    await ok(send, before == sniffio.current_async_library() == "asyncio", before)


# ---- cancelling ----


async def cancels_itself_with_a_message(scope, receive, send):
    task = asyncio.current_task()
    task.cancel("why")
    new = sys.version_info >= (3, 11)
    assert not new or task.cancelling() == 1
    try:
        await asyncio.sleep(5)
    except asyncio.CancelledError as e:
        assert not new or (e.args == ("why",) and task.uncancel() == 0)
        await ok(send)


async def cancelled_while_receiving(scope, receive, send):
    """CancelledError leaves receive(), and the message is not lost."""
    message = await receive()
    waits = asyncio.ensure_future(receive())
    done, pending = await asyncio.wait([waits], timeout=0.02)
    assert pending and message["type"] == "http.request"
    waits.cancel()
    try:
        await waits
    except asyncio.CancelledError:
        await ok(send)


async def cancelled_while_sending(scope, receive, send):
    """A send() that waits for a slow reader is cancelled; the next one goes on."""
    await start(send, (b"content-type", b"text/plain"))

    async def flood():
        while True:
            await part(send, b"x" * 65536)
    try:
        await asyncio.wait_for(flood(), 0.3)
    except asyncio.TimeoutError:
        seen["flooded"] = True
        await part(send, b"the end", more=False)


async def cleans_up(scope, receive, send):
    """A context manager that waits while it is cancelled."""
    seen["cleaned"] = "not yet"
    try:
        await asyncio.sleep(30)
    finally:
        await asyncio.sleep(0.01)
        seen["cleaned"] = "up"


# ---- groups of exceptions ----


async def group_raised(scope, receive, send):
    raise group_of(ValueError("first of a group"), KeyError("second of a group"))


async def group_when_gone(scope, receive, send):
    """Children that send to nobody: what they raise comes as a group."""
    await start(send, (b"content-type", b"text/event-stream"))
    await part(send, b"data: 0\n\n")

    async def child():
        while True:
            await part(send, b"data: 1\n\n")
            await asyncio.sleep(0.01)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(child())
            group.create_task(child())
    except BaseException as e:
        seen["group"] = [type(x).__name__ for x in e.exceptions]
        raise


async def cancelled_group(scope, receive, send):
    try:
        async with asyncio.timeout(0.02):
            async with asyncio.TaskGroup() as group:
                group.create_task(asyncio.sleep(5))
                await asyncio.sleep(5)
    except TimeoutError:
        await ok(send, asyncio.current_task().cancelling() == 0)


# ---- contexts ----


async def context_of_children(scope, receive, send):
    """A child has a copy, a thread too, a callback that of who asked for it."""
    var.set("mine")
    out = []

    async def child():
        out.append(var.get())
        var.set("the child's")
    await asyncio.ensure_future(child())
    asyncio.get_running_loop().call_soon(lambda: out.append(var.get()))
    await asyncio.sleep(0)
    out.append(await asyncio.get_running_loop().run_in_executor(
        None, contextvars.copy_context().run, var.get))
    await ok(send, out == ["mine"] * 3 and var.get() == "mine", repr(out))


async def context_is_fresh(scope, receive, send):
    good = var.get() == "unset"
    var.set("left behind")
    await ok(send, good, var.get())


async def context_in_background(scope, receive, send):
    """The next request of the connection begins while this one goes on."""
    good = var.get() == "unset"
    var.set("left behind")
    await asyncio.sleep(0)
    await ok(send, good, "leaked")
    await asyncio.sleep(0.05)


# ---- what made the task ----


async def factory(scope, receive, send):
    """Whether this request's task is what the loop makes."""
    await asyncio.sleep(0)
    kind = type(asyncio.current_task()).__name__
    made = {"factory": "Own", "eager": "Task", "debug": "Task"}.get(MODE, kind)
    await ok(send, kind == made, kind)


async def unseen(scope, receive, send):
    """Whether the loop knows the task of a request that has not waited."""
    await receive()
    await start(send, (b"content-type", b"text/plain"))
    task = asyncio.current_task()
    await part(send, b"known" if task in asyncio.all_tasks() else b"unknown")
    await part(send, more=False)


class Own(asyncio.Task):
    pass


def make_task(loop, coro, **more):
    return Own(coro, loop=loop, **more)


async def lifespan(scope, receive, send):
    await receive()
    if MODE == "factory":
        asyncio.get_running_loop().set_task_factory(make_task)
    elif MODE == "eager":
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
    elif MODE == "debug":
        asyncio.get_running_loop().set_debug(True)
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


# ---- what watches it ----

lines = set()


def watch():
    """Every line of this file that is run, by what there is for that."""
    if MODE == "monitoring":
        m = sys.monitoring
        m.use_tool_id(m.DEBUGGER_ID, "test")
        m.register_callback(m.DEBUGGER_ID, m.events.LINE, note_line)
        m.set_events(m.DEBUGGER_ID, m.events.LINE)
    elif MODE == "settrace":
        sys.settrace(trace)
    elif MODE == "setprofile":
        sys.setprofile(profile)


def note_line(code, line):
    if code.co_filename == __file__:
        lines.add((code.co_name, line - code.co_firstlineno))


def trace(frame, event, arg):
    if event == "line":
        note_line(frame.f_code, frame.f_lineno)
    return trace


def profile(frame, event, arg):
    if event == "call":
        note_line(frame.f_code, frame.f_code.co_firstlineno)


async def watched(scope, receive, send):
    await receive()
    await asyncio.sleep(0.01)
    await watched_child()
    await ok(send)


async def watched_child():
    await asyncio.sleep(0)
    return 1


async def watched_lines(scope, receive, send):
    await reply(send, repr(sorted(
        n for name, n in lines.copy() if name == "watched")))


watch()


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return await lifespan(scope, receive, send)
    name = scope["path"].strip("/")
    if asyncio.iscoroutinefunction(globals().get(name)):
        return await globals()[name](scope, receive, send)
    await asgi_probe.app(scope, receive, send)
