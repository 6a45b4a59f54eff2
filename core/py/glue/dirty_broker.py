# SPDX-License-Identifier: MIT
"""The dirty arbiter: takes calls on the socket, gives each to an idle seat of a
worker that has its application, and passes the frames of the reply on as they
are. A seat is one connection of a worker, and runs one call at a time. The stash
is here. One thread, no blocking call. Most calls are one frame that finds an idle
seat and one frame back: dirty_run moves those in C, and asks take_seat, on_part
and on_end; what else has come is on_data's.
"""
import collections
import os
import select
import socket
import time

from _cgunicorn import dirty_run

from _cgunicorn_glue import dirty_app, dirty_signals, dirty_stash
from _cgunicorn_glue import dirty_wire as wire

READ, WRITE = select.EPOLLIN, select.EPOLLOUT
OUT_HIGH, OUT_LOW = 1 << 20, 1 << 18  # bytes that wait for a slow peer
WAITING_MOST = 10000
CANCEL_GRACE = 5.0  # seconds that a cancelled call has to end in

_NUMBER = ("the number of dirty workers is the setting dirty_workers: change it, and "
           "reload; until then gunicornc's 'dirty add' and 'dirty remove' do it")
_ALL = wire.KINDS | {wire.HELLO, wire.SEAT, wire.CANCEL, wire.BYE, wire.FAILED}


class Worker:
    """What hooks get, and what is known of one."""

    def __init__(self, pid, age, apps, threads):
        self.pid = pid
        self.ppid = os.getppid()
        self.age = age
        self.app_paths = apps
        self.threads = threads
        self.booted = True
        self.aborted = False
        self.alive = True
        self.seats = []
        self.leaving = False
        self.control = None


class Call:
    __slots__ = ("client", "request", "app", "frame", "seat", "deadline")

    def __init__(self, client, request, app, deadline):
        self.client = client
        self.request = request
        self.app = app
        self.deadline = deadline
        self.frame = None  # while it waits
        self.seat = None
        client.calls.add(self)


class Peer:
    """One connection: a client until it says that it is something else."""

    __slots__ = ("sock", "fd", "data", "need", "out", "events", "worker", "is_control", "is_seat",
                 "number", "call", "kill_at", "calls", "held", "gone")

    def __init__(self, sock):
        self.sock = sock
        self.fd = sock.fileno()
        self.data = b""  # the beginning of a frame
        self.need = 0  # bytes that it has to have
        self.out = bytearray()
        self.events = 0
        self.worker = None
        self.is_control = self.is_seat = False
        self.number = 0
        self.call = None  # a seat's
        self.kill_at = None  # of a seat whose call was given up
        self.calls = set()  # a client's
        self.held = []  # seats that wait for this client to read
        self.gone = False


class Broker:
    def __init__(self, path, cfg, log):
        self.cfg = cfg
        self.log = log
        self.pid = os.getpid()
        self.ppid = os.getppid()
        self.socket_path = path
        self.tmpdir = os.path.dirname(path)
        self.alive = True
        self.workers = {}
        self.app_specs = [dirty_app.parse(s)[0] for s in cfg.dirty_apps]
        self.num_workers = cfg.dirty_workers
        self.timeout = cfg.dirty_timeout
        self.failed = {}
        self.stash = dirty_stash.Stash()
        self.idle = collections.deque()
        self.waiting = collections.deque()
        self.running = {}  # seat: its deadline or when it is to be killed
        self.peers = {}  # by descriptor
        self.epoll = select.epoll()
        self.listener = None
        self.next_look = 0.0

    def log_line(self, text):
        print(text, flush=True)

    # ---- what hooks call ----

    def kill_worker(self, pid, sig):
        """The master starts another one in its place."""
        if pid in self.workers:
            os.kill(pid, sig)

    def spawn_worker(self):
        self.log_line("spawn_worker() has no effect here: " + _NUMBER)

    # ---- sockets ----

    def listen(self):
        try:
            os.unlink(self.socket_path)
        except FileNotFoundError:
            pass
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.socket_path)
        os.chmod(self.socket_path, 0o600)
        self.listener.listen(1024)
        self.listener.setblocking(False)
        self.epoll.register(self.listener.fileno(), READ)

    def remove_folder(self):
        try:
            os.unlink(self.socket_path)
            os.rmdir(self.tmpdir)
        except OSError:
            pass

    def accept(self):
        try:
            sock, _ = self.listener.accept()
        except OSError:
            return
        sock.setblocking(False)
        peer = Peer(sock)
        self.peers[peer.fd] = peer
        self.watch(peer, READ)

    def watch(self, peer, events):
        if events == peer.events:
            return
        if not peer.events:
            self.epoll.register(peer.fd, events)
        elif not events:
            self.epoll.unregister(peer.fd)
        else:
            self.epoll.modify(peer.fd, events)
        peer.events = events

    def send(self, peer, data):
        if peer.gone:
            return
        if not peer.out:
            try:
                n = peer.sock.send(data)
            except (BlockingIOError, InterruptedError):
                n = 0
            except OSError:
                return self.close(peer)
            if n == len(data):
                return
            data = memoryview(data)[n:]
        peer.out += data
        self.watch(peer, peer.events | WRITE)

    def flush(self, peer):
        try:
            n = peer.sock.send(memoryview(peer.out)[:1 << 20])
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            return self.close(peer)
        del peer.out[:n]
        if not peer.out:
            self.watch(peer, peer.events & ~WRITE)
        if len(peer.out) < OUT_LOW and peer.held:
            held, peer.held = peer.held, []
            for seat in held:
                if not seat.gone:
                    self.watch(seat, seat.events | READ)

    def on_data(self, peer, data):
        """What was not passed on: the end, a part, several frames, another one."""
        if not data:
            return self.close(peer)
        if peer.need:
            peer.data += data  # a bytearray while one is incomplete
            if len(peer.data) < peer.need:
                return
            data, peer.data, peer.need = bytes(peer.data), b"", 0
        try:
            self.take_frames(peer, data)
        except wire.WireError as e:
            self.refuse(peer, e)
        except Exception as e:  # whatever it is, the others go on
            self.refuse(peer, repr(e))

    def refuse(self, peer, why):
        self.log_line("Client connection error: %s" % (why,))
        self.close(peer)

    def take_frames(self, peer, data):
        """Most often it is one whole frame; the rest of the last one waits."""
        at, size, end = 0, wire.HEADER.size, len(data)
        while end - at >= size and not peer.gone:
            kind, n, request = wire.unpack_header(data[at:at + size] if at else data, _ALL)
            n += size
            if end - at < n:
                peer.need = n
                break
            self.on_frame(peer, kind, request, data if n == end else data[at:at + n])
            at += n
        if at < end:
            peer.data = bytearray(data[at:])
            peer.need = peer.need or size

    # ---- what frames mean ----

    def on_frame(self, peer, kind, request, frame):
        if peer.is_seat:
            return self.on_reply(peer, kind, request, frame)
        if kind == wire.REQUEST:
            return self.on_request(peer, request, frame)
        payload = frame[wire.HEADER.size:]
        value = wire.decode(payload) if payload else {}
        if kind == wire.HELLO:
            self.on_hello(peer, value)
        elif kind == wire.SEAT:
            self.on_seat(peer, value)
        elif kind == wire.FAILED:
            self.on_failed(value)
        elif kind == wire.BYE and peer.worker is not None:
            self.on_bye(peer.worker)
        elif kind == wire.STASH:
            self.send(peer, self.run_stash(request, value, len(payload)))
        elif kind == wire.STATUS:
            self.send(peer, wire.pack(wire.RESPONSE, request,
                                      wire.encode({"result": self.status()})))
        elif kind == wire.MANAGE:
            self.send(peer, wire.pack(wire.RESPONSE, request, wire.encode({"result": {
                "success": False, "error": _NUMBER}})))
        else:
            raise wire.WireError("Unknown message type: 0x%02x" % kind)

    def on_request(self, client, request, frame):
        app = wire.app_of(frame)
        if app not in self.app_specs:
            return self.send(client, wire.failure(
                request, "DirtyAppNotFoundError", "Dirty app not found: " + app, app_path=app))
        if app in self.failed and not self.serves(app):
            return self.send(client, self.no_workers(request, app))
        if len(self.waiting) >= WAITING_MOST:
            return self.send(client, wire.failure(
                request, "DirtyError", "%d calls wait already" % WAITING_MOST))
        seat = self.take_seat(client, request, app)
        if seat is not None:
            return self.send(seat, frame)
        call = Call(client, request, app, self.deadline())
        call.frame = frame
        self.waiting.append(call)
        self.give()

    def take_seat(self, client, request, app):
        """One that begins the call now, whose frame it is to get; None if there
        is none, or others wait before."""
        if self.waiting or app not in self.app_specs:
            return None
        seat = self.seat_for(app)
        if seat is not None:
            self.begin(Call(client, request, app, self.deadline()), seat)
        return seat

    def deadline(self):
        return time.monotonic() + self.timeout if self.timeout > 0 else float("inf")

    def serves(self, app):
        return any(app in w.app_paths and not w.leaving for w in self.workers.values())

    def no_workers(self, request, app):
        return wire.failure(request, "DirtyNoWorkersAvailableError",
                            "No workers available for app: %s (%s)" % (app, self.failed[app]),
                            app_path=app)

    def give(self):
        """Calls to seats, in turn; those that nobody can run yet wait."""
        passed = []
        while self.waiting and self.idle:
            call = self.waiting.popleft()
            seat = self.seat_for(call.app)
            if seat is None:
                passed.append(call)
                continue
            self.begin(call, seat)
            frame, call.frame = call.frame, None
            self.send(seat, frame)
        self.waiting.extendleft(reversed(passed))

    def begin(self, call, seat):
        seat.call, call.seat = call, seat
        self.running[seat] = call

    def seat_for(self, app):
        idle = self.idle
        if idle and app in idle[0].worker.app_paths:
            return idle.popleft()
        for i, seat in enumerate(idle):
            if app in seat.worker.app_paths:
                del idle[i]
                return seat
        return None

    def on_reply(self, seat, kind, request, frame):
        call = seat.call
        if call is not None and request == call.request:
            self.send(call.client, frame)
        else:
            call = None
        if kind != wire.CHUNK:
            self.on_end(seat, call)
        elif call is not None:
            self.on_part(seat, call)

    def on_part(self, seat, call):
        """Its client has one more, or will."""
        call.deadline = self.deadline()
        if not call.client.gone and len(call.client.out) > OUT_HIGH:
            self.watch(seat, seat.events & ~READ)
            call.client.held.append(seat)

    def on_end(self, seat, call):
        """The seat is free; the call is None if nobody waited for it."""
        if call is not None:
            call.client.calls.discard(call)
        seat.call = seat.kill_at = None
        self.running.pop(seat, None)
        if not seat.worker.leaving:
            self.idle.append(seat)
            if self.waiting:
                self.give()

    # ---- workers ----

    def on_hello(self, peer, value):
        wire.check(value, pid=int, age=int, apps=list, threads=int, specs=list,
                   timeout=(int, float))
        worker = Worker(value["pid"], value["age"], value["apps"], value["threads"])
        worker.control = peer
        worker.cfg, worker.log = self.cfg, self.log
        worker.socket_path = self.socket_path
        peer.is_control, peer.worker = True, worker
        self.workers[worker.pid] = worker
        self.app_specs = value["specs"]
        self.timeout = value["timeout"]
        for app in worker.app_paths:
            self.failed.pop(app, None)
        self.hook("dirty_post_fork", worker)
        self.send(peer, wire.pack(wire.HELLO, 0))

    def on_seat(self, peer, value):
        wire.check(value, pid=int, number=int)
        worker = self.workers.get(value["pid"])
        if worker is None:
            return self.close(peer)
        peer.is_seat, peer.worker, peer.number = True, worker, value["number"]
        worker.seats.append(peer)
        self.idle.append(peer)
        self.give()

    def on_failed(self, value):
        wire.check(value, apps=list, why=str)
        for app in value["apps"]:
            self.failed[app] = value["why"]
        for call in [c for c in self.waiting if c.app in self.failed and not self.serves(c.app)]:
            if self.unqueue(call):
                call.client.calls.discard(call)
                self.send(call.client, self.no_workers(call.request, call.app))

    def on_bye(self, worker):
        worker.leaving = True
        for seat in worker.seats:
            if seat in self.idle:
                self.idle.remove(seat)

    def hook(self, name, worker):
        try:
            getattr(self.cfg, name)(self, worker)
        except Exception:
            self.log.exception("Exception in the hook %s", name)

    # ---- ends ----

    def close(self, peer):
        if peer.gone:
            return
        peer.gone = True
        self.watch(peer, 0)
        self.peers.pop(peer.fd, None)
        peer.sock.close()
        if peer.is_seat:
            self.lose_seat(peer)
        elif peer.is_control:
            self.lose_worker(peer.worker)
        for call in list(peer.calls):
            self.drop(call)
        held, peer.held = peer.held, []
        for seat in held:
            if not seat.gone:
                self.watch(seat, seat.events | READ)

    def drop(self, call):
        """Its client has left."""
        call.client.calls.discard(call)
        if call.seat is None:
            self.unqueue(call)
        else:
            self.cancel(call.seat)

    def unqueue(self, call):
        """Whether it still waited: what is sent to one may end others."""
        try:
            self.waiting.remove(call)
        except ValueError:
            return False
        return True

    def cancel(self, seat):
        call, seat.call = seat.call, None
        seat.kill_at = time.monotonic() + CANCEL_GRACE
        if not seat.worker.control.gone:
            self.send(seat.worker.control, wire.pack(
                wire.CANCEL, call.request, wire.encode({"seat": seat.number})))

    def lose_seat(self, seat):
        if seat in self.idle:
            self.idle.remove(seat)
        self.running.pop(seat, None)
        call = seat.call
        if call is not None:
            call.client.calls.discard(call)
            self.send(call.client, wire.failure(
                call.request, "DirtyWorkerError",
                "Worker communication failed: the worker (pid:%d) has ended"
                % seat.worker.pid, worker_id=seat.worker.pid))

    def lose_worker(self, worker):
        worker.alive = False
        self.on_bye(worker)
        if self.workers.get(worker.pid) is worker:
            del self.workers[worker.pid]
        self.hook("dirty_worker_exit", worker)

    def look_at_times(self, now):
        for call in [c for c in self.waiting if c.deadline <= now]:
            if self.unqueue(call):
                self.expire(call)
        for seat, call in list(self.running.items()):
            if seat.call is call and call.deadline <= now and not call.client.out:
                self.cancel(seat)
                self.expire(call)
            elif seat.kill_at is not None and seat.kill_at <= now:
                seat.kill_at = None
                self.log_line("DIRTY WORKER TIMEOUT (pid:%d): a call that was given up does "
                              "not end" % seat.worker.pid)
                try:
                    os.kill(seat.worker.pid, 9)
                except OSError:
                    pass

    def expire(self, call):
        call.client.calls.discard(call)
        self.log_line("Execution timeout for %s after %ss" % (call.app, self.timeout))
        self.send(call.client, wire.failure(
            call.request, "DirtyTimeoutError",
            "The call took longer than dirty_timeout", timeout=self.timeout))

    # ---- questions ----

    def status(self):
        return {"arbiter_pid": self.pid, "worker_count": len(self.workers),
                "apps": list(self.app_specs),
                "workers": [{"pid": w.pid, "age": w.age, "apps": w.app_paths,
                             "booted": True, "last_heartbeat": None}
                            for w in self.workers.values()]}

    def run_stash(self, request, value, size):
        wire.check(value)
        try:
            result = self.stash.run(value, size)
        except KeyError as e:
            return wire.failure(request, "StashError", e.args[0])
        except TypeError as e:  # no name of a table, no key, no pattern
            return wire.failure(request, "StashError", str(e))
        return wire.pack(wire.RESPONSE, request, wire.encode({"result": result}))

    # ---- the loop ----

    def on_event(self, fd, events):
        """Of the listener, and of a peer more than that something has come."""
        peer = self.peers.get(fd)
        if fd == self.listener.fileno():
            return self.accept()
        if events & WRITE and peer is not None:
            self.flush(peer)
        if events & ~WRITE and not (peer is None or peer.gone):
            self.read(peer)

    def read(self, peer):
        try:
            data = peer.sock.recv(1 << 16)  # more would be mapped and unmapped each time
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        self.on_data(peer, data)

    def run(self):
        epoll, peers = self.epoll.fileno(), self.peers
        while self.alive:
            dirty_run(self, epoll, peers, 250 if self.running or self.waiting else 5000)
            now = time.monotonic()
            if now >= self.next_look:
                self.next_look = now + 0.2
                self.look_at_times(now)


def main():
    from _cgunicorn_glue import hooks
    dirty_signals.watch()
    server = hooks.the_server
    broker = Broker(os.environ["GUNICORN_DIRTY_SOCKET"], server.cfg, server.log)
    broker.log_line("Dirty arbiter starting (pid: %d)" % broker.pid)
    server.cfg.on_dirty_starting(broker)
    broker.listen()
    broker.log_line("Dirty arbiter listening on %s" % broker.socket_path)
    try:
        broker.run()
    finally:
        if os.getppid() != broker.ppid:  # the master was killed, who would do it
            broker.remove_folder()
        else:
            broker.log_line("Dirty arbiter exiting (pid: %d)" % broker.pid)
