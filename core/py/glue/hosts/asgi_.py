# SPDX-License-Identifier: MIT
"""The asgi class: an asyncio loop watches the engine. Requests run in tasks of
the bridge's own (core/py/asgi); here is what happens once in a worker's life."""
import asyncio
import traceback

from . import wanted
from .waiting import of_coroutine

spawn = handled = None
QUIET = ()
loop = None          # of this worker
_lifespan = None     # of the application, and the task that runs it
_worker = None


def check():
    return None


def check_loop(name):
    """None, or what is wrong with asgi_loop."""
    if name != "uvloop":
        return None
    try:
        import uvloop
    except ImportError as e:
        return wanted("uvloop", "0.17", e)
    return wanted("uvloop", "0.17", uvloop.__version__)


def patch():
    return False


def settle():
    pass


def _new_loop(name):
    if name != "asyncio":
        try:
            import uvloop
            return uvloop.new_event_loop()
        except ImportError:
            pass
    return asyncio.new_event_loop()


def prepare(worker):
    global loop, _worker
    _worker = worker
    loop = _new_loop(worker.cfg.asgi_loop)
    asyncio.set_event_loop(loop)
    abort = worker.handle_abort

    def handle_abort(sig, frame):
        _tell_tasks()
        abort(sig, frame)
    worker.handle_abort = handle_abort


def is_own(app):
    return False


def serve(fds, poll, set_over):
    def over(is_child):
        for fd in fds:
            loop.remove_reader(fd)
        if not is_child:
            loop.stop()

    set_over(over)
    for fd in fds:
        loop.add_reader(fd, poll)
    loop.run_forever()


def kill(tasks):
    pass


# ---- what waits, when the worker is ended since its loop is blocked ----

TASKS_TOLD, FRAMES_TOLD = 32, 16


def _stack(task):
    return "\n".join(of_coroutine(task.get_coro(), FRAMES_TOLD))


def _tell_tasks():
    try:
        coros = [(t, t.get_coro()) for t in asyncio.all_tasks(loop)]
        waiting = [t for t, c in coros if not getattr(c, "cr_running", False)]
        text = ["  %s\n%s" % (t.get_name(), _stack(t))
                for t in waiting[:TASKS_TOLD]]
        if len(waiting) > TASKS_TOLD:
            text.append("  and %d more" % (len(waiting) - TASKS_TOLD))
        if text:
            _worker.log.error("Tasks of worker that wait (pid:%s)\n%s",
                              _worker.pid, "\n".join(text))
    except Exception:  # the end goes on without it
        _worker.log.exception("The tasks that wait cannot be told")


# ---- lifespan ----

class _Lifespan:
    """One call of the application, from the start of the worker to its end."""

    def __init__(self, app):
        self.state = {}
        self.app = app
        self.inbox = asyncio.Queue()
        self.started = asyncio.Event()
        self.stopped = asyncio.Event()
        self.failure = None      # what the application said
        self.exception = None    # what it raised
        self.spoke = False       # it knows the protocol

    async def send(self, message):
        kind = message["type"]
        if kind == "lifespan.startup.complete":
            self.spoke = True
            self.started.set()
        elif kind == "lifespan.startup.failed":
            self.spoke = True
            self.failure = message.get("message") or "lifespan.startup.failed"
            self.started.set()
        elif kind == "lifespan.shutdown.complete":
            self.stopped.set()
        elif kind == "lifespan.shutdown.failed":
            self.failure = message.get("message") or "lifespan.shutdown.failed"
            self.stopped.set()
        else:
            raise ValueError("no message of a lifespan has the type %r" % (kind,))

    async def run(self):
        scope = {"type": "lifespan",
                 "asgi": {"version": "3.0", "spec_version": "2.0"},
                 "state": self.state}
        try:
            await self.app(scope, self.inbox.get, self.send)
        except Exception as e:
            self.exception = e
        finally:
            self.started.set()
            self.stopped.set()


def _text_of(exception):
    return "".join(traceback.format_exception(
        type(exception), exception, exception.__traceback__)).rstrip()


async def _start(lifespan, task):
    await lifespan.inbox.put({"type": "lifespan.startup"})
    await lifespan.started.wait()
    if task.done():
        await asyncio.sleep(0)


def startup(app, mode):
    """The state for scopes; None: the application has no lifespan; or a pair
    (what failed, its traceback or None)."""
    global _lifespan
    if mode == "off":
        return None

    async def begin():
        lifespan = _Lifespan(app)
        task = loop.create_task(lifespan.run())
        await _start(lifespan, task)
        return lifespan, task
    lifespan, task = loop.run_until_complete(begin())
    if lifespan.failure is not None:
        return ("the application's lifespan failed at the start: %s"
                % lifespan.failure, None)
    if lifespan.exception is not None and (mode == "on" or lifespan.spoke):
        return ("the application's lifespan raised %s: %s"
                % (type(lifespan.exception).__name__, lifespan.exception),
                _text_of(lifespan.exception))
    if not lifespan.spoke:
        if mode == "on":
            return ("asgi_lifespan is on, but the application ended its "
                    "lifespan without lifespan.startup.complete", None)
        return None
    _lifespan = (lifespan, task)
    return lifespan.state


async def _end_lifespan(patience):
    lifespan, task = _lifespan
    if task.done():
        return
    await lifespan.inbox.put({"type": "lifespan.shutdown"})
    try:
        await asyncio.wait_for(lifespan.stopped.wait(), patience)
    except asyncio.TimeoutError:
        _worker.log.error("The application's lifespan did not end in time")
    if lifespan.exception is not None:
        _worker.log.error("The application's lifespan raised at its end\n%s",
                          _text_of(lifespan.exception))
    elif lifespan.failure is not None:
        _worker.log.error("The application's lifespan failed at its end: %s",
                          lifespan.failure)
    if not task.done():
        await asyncio.wait([task], timeout=0.1)


async def _end_tasks(tasks, patience):
    """Those of requests first may end by themselves, then all are cancelled."""
    if tasks:
        await asyncio.wait(tasks, timeout=patience)
    mine = [asyncio.current_task()]
    if _lifespan is not None:
        mine.append(_lifespan[1])
    rest = [t for t in asyncio.all_tasks() if t not in mine]
    for task in rest:
        task.cancel()
    if rest:
        await asyncio.wait(rest, timeout=0.5)


async def _end(tasks, patience):
    end = loop.time() + patience
    await _end_tasks(tasks, patience)
    if _lifespan is not None:
        await _end_lifespan(max(end - loop.time(), 0.5))
        if not _lifespan[1].done():
            _lifespan[1].cancel()
            await asyncio.wait([_lifespan[1]], timeout=0.1)


def shutdown(tasks, patience):
    try:
        loop.run_until_complete(_end(tasks, patience))
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        asyncio.set_event_loop(None)
        loop.close()


# ---- hooks ----

def follow(scope, req):
    """pre_request may have changed its request."""
    scope["method"] = req.method
    path = scope["raw_path"].decode("latin-1")
    if req.path != path:
        from urllib.parse import unquote
        scope["path"] = unquote(req.path)
        scope["raw_path"] = req.path.encode("latin-1")
    if "subprotocols" in scope:
        del scope["method"]
    else:
        scope["scheme"] = req.scheme
    scope["headers"] = [(n.lower().encode("latin-1"), v.encode("latin-1"))
                        for n, v in req.headers]
