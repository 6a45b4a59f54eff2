# SPDX-License-Identifier: MIT
"""A dirty worker: holds its applications, and runs calls in as many threads as
dirty_threads says. Each thread has a connection of its own to the broker, a seat,
where one call comes at a time. The main thread hears what to cancel and when to
end.
"""
import asyncio
import ctypes
import inspect
import os
import signal
import socket
import sys
import threading
import time
import traceback
import types

from _cgunicorn_glue import companion, dirty_app, dirty_page, dirty_signals
from _cgunicorn_glue import dirty_wire as wire

BOOT_FAILED = 3
_NOT_PLAIN = (types.GeneratorType, types.AsyncGeneratorType, types.CoroutineType)


class Cancelled(BaseException):
    """Raised in a call that nobody waits for any more."""


class Stop(BaseException):
    """Raised in the main thread by TERM."""


def connect(path):
    """The broker may just be started again."""
    while True:
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.connect(path)
            return sock
        except (FileNotFoundError, ConnectionRefusedError):
            sock.close()
            time.sleep(0.05)


class Seat(threading.Thread):
    def __init__(self, worker, number):
        super().__init__(name="dirty-worker-%d-_%d" % (os.getpid(), number), daemon=True)
        self.worker = worker
        self.number = number
        self.lock = threading.Lock()
        self.current = None  # the id of the call that runs
        self.open = False  # whether it may be interrupted just now
        self.cancelled = self.raised = False
        self.sock = None
        self.lost = False
        self.shown = worker.page.seat(number)

    def run(self):
        while not self.worker.stopping:
            try:
                self.worker.registered.wait()
                self.sock = connect(self.worker.socket_path)
                self.lost = False
                self.sock.sendall(wire.pack(wire.SEAT, 0, wire.encode(
                    {"pid": os.getpid(), "number": self.number})))
                reader = wire.Reader(self.sock)
                while True:
                    self.serve(*reader.frame())
            except (EOFError, OSError):
                self.sock.close()
                time.sleep(0.05)

    # ---- one call ----

    def serve(self, kind, request, payload):
        with self.lock:
            self.current, self.open = request, True
            self.cancelled = self.raised = False
        try:
            try:
                self.answer(request, payload)
            finally:
                self.settle()
        except Cancelled:
            pass
        if self.cancelled:
            self.sock.sendall(wire.failure(request, "DirtyError", "the call was cancelled"))

    def settle(self):
        """From here on nothing is raised into this thread; what was meant for the
        call and has not come yet comes here."""
        self.shown.end()
        with self.lock:
            self.current, self.open = None, False
            awaited = self.raised and not isinstance(sys.exc_info()[1], Cancelled)
        for _ in range(1000 if awaited else 0):
            time.sleep(0.001)

    def cancel(self, request):
        """Not while a frame is on its way: it must not be cut."""
        with self.lock:
            if self.current == request and not self.cancelled:
                self.cancelled = True
                if self.open:
                    self.raised = True
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(
                        ctypes.c_ulong(self.ident), ctypes.py_object(Cancelled))

    def answer(self, request, payload):
        app = action = ""
        try:
            value = wire.decode(payload)
            app, action = value["app_path"], value["action"]
            self.shown.begin(app, action)
            result = self.worker.apps[app](action, *value.get("args", ()),
                                           **value.get("kwargs", {}))
            if isinstance(result, _NOT_PLAIN):
                if inspect.isgenerator(result):
                    return self.stream(request, result)
                if inspect.isasyncgen(result):
                    return self.stream(request, _drain(result))
                result = asyncio.run(result)
            self.reply(wire.wire_reply(wire.RESPONSE, request, "result", result))
        except SystemExit as e:
            self.fail(request, app, action, "the application called sys.exit(%r)" % (e.code,))
        except OSError as e:
            if self.lost:
                raise
            self.fail(request, app, action, str(e))
        except Exception as e:
            self.fail(request, app, action, str(e))

    def reply(self, frame, last=True):
        """Whether there is still somebody who waits for it."""
        with self.lock:
            if self.cancelled:
                return False
            self.open = False
        try:
            self.sock.sendall(frame)
        except OSError:
            self.lost = True
            raise
        if last:
            return True
        with self.lock:
            self.open = True
            return not self.cancelled

    def fail(self, request, app, action, text):
        self.shown.fail()
        trace = traceback.format_exc()
        print("Error executing %s.%s: %s\n%s" % (app, action, text, trace), flush=True)
        self.reply(wire.failure(request, "DirtyAppError", text, app_path=app, action=action,
                                traceback=trace))

    def stream(self, request, items):
        try:
            for item in items:
                frame = wire.wire_reply(wire.CHUNK, request, "data", item)
                if not self.reply(frame, last=False):
                    return
        finally:
            items.close()
        self.reply(wire.pack(wire.END, request))


def _drain(agen):
    """An async generator's items, on a loop of their own."""
    loop = asyncio.new_event_loop()
    try:
        while True:
            try:
                yield loop.run_until_complete(agen.__anext__())
            except StopAsyncIteration:
                return
    finally:
        loop.run_until_complete(agen.aclose())
        loop.close()


class DirtyWorker:
    """What hooks get as `worker`."""

    def __init__(self, server, number):
        self.cfg, self.log = server.cfg, server.log
        self.age = self.number = number
        self.pid, self.ppid = os.getpid(), os.getppid()
        self.socket_path = os.environ["GUNICORN_DIRTY_SOCKET"]
        self.app_paths = []
        self.apps = {}
        self.booted = self.aborted = False
        self.alive = True
        self.stopping = False
        self.registered = threading.Event()
        self.seats = []
        self.page = dirty_page.Page(companion.page)

    def notify(self):
        pass

    def load(self):
        for spec in self.cfg.dirty_apps:
            path, count = dirty_app.parse(spec)
            self.loading = path
            cls = dirty_app.find(path)
            if dirty_app.share(path, count, cls, self.number, self.cfg.dirty_workers):
                app = cls()
                app.init()
                self.apps[path] = app
                print("Initialized dirty app: %s" % path, flush=True)
        self.app_paths = list(self.apps)
        self.cfg.dirty_worker_init(self)
        self.booted = True
        self.page.boot(self.app_paths)

    def tell_failure(self, why):
        with connect(self.socket_path) as control:
            try:
                control.sendall(wire.pack(wire.FAILED, 0, wire.encode(
                    {"apps": [self.loading], "why": why})))
            except OSError:
                pass  # the broker ends: the next worker says it

    def register(self):
        hello = wire.pack(wire.HELLO, 0, wire.encode({
            "pid": self.pid, "age": self.age, "apps": self.app_paths,
            "threads": self.cfg.dirty_threads, "timeout": self.cfg.dirty_timeout,
            "specs": [dirty_app.parse(s)[0] for s in self.cfg.dirty_apps]}))
        while True:
            control = connect(self.socket_path)
            try:
                control.sendall(hello)
                wire.receive_frame(control)
                self.registered.set()
                return control
            except (EOFError, OSError):  # one that has just ended
                control.close()
                time.sleep(0.05)

    def hear(self, control):
        while True:
            kind, request, payload = wire.receive_frame(control)
            if kind == wire.CANCEL:
                self.seats[wire.decode(payload)["seat"]].cancel(request)

    def run(self):
        for i in range(max(1, self.cfg.dirty_threads)):
            self.seats.append(Seat(self, i))
        control = None
        try:
            control = self.register()
            for seat in self.seats:
                seat.start()
            while True:
                try:
                    self.hear(control)
                except (EOFError, OSError):
                    self.registered.clear()
                    control = self.register()
        except Stop:
            self.leave(control)

    def leave(self, control):
        """No calls come any more; those that run have their time."""
        self.stopping = True
        try:
            if control is not None:
                control.sendall(wire.pack(wire.BYE, 0))
        except OSError:
            pass
        until = time.monotonic() + self.cfg.dirty_graceful_timeout
        while any(s.current is not None for s in self.seats) and time.monotonic() < until:
            time.sleep(0.02)
        for path, app in self.apps.items():
            try:
                app.close()
            except Exception:
                self.log.exception("Error closing dirty app: %s", path)
        print("Dirty worker %d exiting" % self.pid, flush=True)
        os._exit(0)


def _on_term(sig, frame):
    raise Stop


def main():
    from _cgunicorn_glue import hooks
    dirty_signals.watch()
    number = int(os.environ["CGUNICORN_COMPANION"].rpartition("-")[2])
    worker = DirtyWorker(hooks.the_server, number)
    signal.signal(signal.SIGTERM, _on_term)
    try:
        worker.load()
    except Stop:
        return
    except BaseException as e:
        why = ("it called sys.exit(%r) while it was loaded" % (e.code,)
               if isinstance(e, SystemExit) else "%s: %s" % (type(e).__name__, e))
        traceback.print_exc()
        print("Dirty app %s cannot be loaded: %s" % (worker.loading, why), flush=True)
        worker.tell_failure(why)
        sys.exit(BOOT_FAILED)
    print("Dirty worker %d has the apps %s" % (worker.pid, worker.app_paths), flush=True)
    worker.run()
