# SPDX-License-Identifier: MIT
"""gunicorn.workers.gthread: a pool of threads runs requests, the main thread
accepts and keeps connections. What a subclass extends; the class itself is
served by the server's own."""
import errno
import os
import select
import selectors
import socket
import ssl
import time
from collections import deque
from concurrent import futures
from datetime import datetime
from functools import partial

from gunicorn import http, sock, util
from gunicorn.http import wsgi
from gunicorn.workers import base

DEFAULT_WORKER_DATA_TIMEOUT = 5.0  # a thread waits that long for a first byte
_DRAIN_SECONDS, _DRAIN_BYTES = 5, 65536  # of a body that the application left
_GONE = (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN)
_NOBODY_THERE = (errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK)
_LATER = object()  # instead of whether to keep a connection: nothing came yet


class TConn:
    """A client's connection."""

    def __init__(self, cfg, sock, client, server):
        self.cfg, self.sock, self.client, self.server = cfg, sock, client, server
        self.timeout = None  # when an idle one is closed
        self.parser = None
        self.initialized = self.is_http2 = self.data_ready = False
        self.sock.setblocking(False)

    def init(self):
        """In a thread of the pool: TLS, and the parser."""
        self.initialized = True
        self.sock.setblocking(True)
        if self.parser is None:
            if self.cfg.is_ssl:
                self.sock = sock.ssl_wrap_socket(self.sock, self.cfg)
            self.parser = http.get_parser(self.cfg, self.sock, self.client)

    def set_timeout(self):
        self.timeout = time.monotonic() + self.cfg.keepalive

    def wait_for_data(self, timeout):
        """Whether there is something to read, within so many seconds."""
        if not self.data_ready:
            poll = select.poll()
            poll.register(self.sock, select.POLLIN)
            self.data_ready = bool(poll.poll(timeout * 1000))
        return self.data_ready

    def has_read_on(self):
        """Whether the next request has come with the last one's bytes: the socket
        will not tell of it."""
        if self.parser is not None and self.parser.unreader.buf.getvalue():
            return True
        return isinstance(self.sock, ssl.SSLSocket) and self.sock.pending() > 0

    def close(self, graceful=False):
        (util.close_graceful if graceful else util.close)(self.sock)


class PollableMethodQueue:
    """Calls that the threads leave to the main one."""

    def __init__(self):
        self.fds = []
        self.queue = deque()

    def init(self):
        self.fds = os.pipe()
        for fd in self.fds:
            util.set_non_blocking(fd)
            util.close_on_exec(fd)

    def close(self):
        for fd in self.fds:
            os.close(fd)

    def fileno(self):
        return self.fds[0]

    def defer(self, callback, *args):
        self.queue.append(partial(callback, *args))
        try:
            os.write(self.fds[1], b"0")
        except OSError:  # full: it is awake anyway
            pass

    def run_callbacks(self, _fileobj, max_callbacks=50):
        try:
            os.read(self.fds[0], 4096)
        except OSError:
            pass
        for _ in range(max_callbacks):
            if not self.queue:
                return
            self.queue.popleft()()
        os.write(self.fds[1], b"0")  # the others after what else happened


class ThreadWorker(base.Worker):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.worker_connections = self.cfg.worker_connections
        self.max_keepalived = self.worker_connections - self.cfg.threads
        self.tpool = self.poller = None
        self.method_queue = PollableMethodQueue()
        self.keepalived_conns, self.pending_conns = deque(), deque()
        self.nr_conns = 0
        self._accepts = False

    @classmethod
    def check_config(cls, cfg, log):
        if cfg.worker_connections <= cfg.threads and cfg.keepalive:
            log.warning("No keepalived connections can be handled. "
                        "Check the number of worker connections and threads.")

    def init_process(self):
        self.tpool = self.get_thread_pool()
        self.poller = selectors.DefaultSelector()
        self.method_queue.init()
        super().init_process()

    def get_thread_pool(self):
        """An executor as of concurrent.futures; to be overridden."""
        return futures.ThreadPoolExecutor(max_workers=self.cfg.threads)

    def handle_exit(self, sig, frame):
        if self.alive:
            self.alive = False
            self.method_queue.defer(lambda: None)  # wakes it

    def handle_quit(self, sig, frame):
        self.tpool.shutdown(False)
        super().handle_quit(sig, frame)

    def is_parent_alive(self):
        if self.ppid != os.getppid():
            self.log.info("Parent changed, shutting down: %s", self)
            return False
        return True

    # ---- the main thread ----

    def set_accept_enabled(self, enabled):
        if enabled == self._accepts:
            return
        for listener in self.sockets:
            if enabled:
                listener.setblocking(False)
                self.poller.register(listener, selectors.EVENT_READ, self.accept)
            else:
                self.poller.unregister(listener)
        self._accepts = enabled

    def accept(self, listener):
        try:
            client, addr = listener.accept()
        except OSError as e:
            if e.errno not in _NOBODY_THERE:
                raise
            return
        self.nr_conns += 1
        self.enqueue_req(TConn(self.cfg, client, addr, listener.getsockname()))

    def enqueue_req(self, conn):
        """To the pool; when that is done, finish_request is called here."""
        future = self.tpool.submit(self.handle, conn)
        future.add_done_callback(
            lambda done: self.method_queue.defer(self.finish_request, conn, done))

    def _watch(self, conn, where, callback):
        conn.set_timeout()
        conn.data_ready = False
        where.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(callback, conn))

    def _give_to_pool(self, conn, where):
        self.poller.unregister(conn.sock)
        where.remove(conn)
        conn.data_ready = True
        self.enqueue_req(conn)

    def on_client_socket_readable(self, conn, client):
        """The next request of a kept connection."""
        self._give_to_pool(conn, self.keepalived_conns)

    def on_pending_socket_readable(self, conn, client):
        """The first one of a connection that was silent."""
        self._give_to_pool(conn, self.pending_conns)

    def _murder(self, conns, force=False):
        now = time.monotonic()
        while conns and (force or conns[0].timeout <= now):
            conn = conns.popleft()
            self.poller.unregister(conn.sock)
            self.nr_conns -= 1
            conn.close()

    def murder_keepalived(self, force=False):
        self._murder(self.keepalived_conns, force)

    def murder_pending(self):
        self._murder(self.pending_conns)

    def wait_for_and_dispatch_events(self, timeout):
        for key, _ in self.poller.select(timeout):
            key.data(key.fileobj)

    def _wait(self, timeout):
        self.notify()
        self.wait_for_and_dispatch_events(timeout)
        self.murder_keepalived()
        self.murder_pending()

    def run(self):
        self.poller.register(self.method_queue.fileno(), selectors.EVENT_READ,
                             self.method_queue.run_callbacks)
        while self.alive:
            self.set_accept_enabled(self.nr_conns < self.worker_connections)
            self._wait(1.0)
            if not self.is_parent_alive():
                break
        self._stop()

    def _stop(self):
        """Open connections get graceful_timeout, idle ones their keepalive."""
        self.set_accept_enabled(False)
        for listener in self.sockets:
            listener.close()
        end = time.monotonic() + self.cfg.graceful_timeout
        while self.nr_conns > 0 and (left := end - time.monotonic()) > 0:
            self._wait(min(left, 1.0))
        self.murder_keepalived(force=True)
        self.tpool.shutdown(wait=False)
        self.poller.close()
        self.method_queue.close()

    def finish_request(self, conn, fs):
        """What the pool gave back: whether the connection is kept."""
        try:
            keeps = not fs.cancelled() and fs.result()
            if keeps is _LATER and self.alive:
                self._watch(conn, self.pending_conns, self.on_pending_socket_readable)
            elif keeps and keeps is not _LATER and conn.has_read_on():
                self.enqueue_req(conn)
            elif keeps and keeps is not _LATER and self.alive:
                conn.sock.setblocking(False)
                self._watch(conn, self.keepalived_conns, self.on_client_socket_readable)
            else:
                self.nr_conns -= 1
                conn.close(graceful=conn.initialized)
        except Exception:
            self.nr_conns -= 1
            conn.close()

    # ---- a thread of the pool ----

    def handle(self, conn):
        req = None
        try:
            if not conn.initialized and not conn.wait_for_data(DEFAULT_WORKER_DATA_TIMEOUT):
                return _LATER
            conn.init()
            req = next(conn.parser)
            return self.handle_request(req, conn)
        except http.errors.NoMoreData as e:
            self.log.debug("Ignored premature client disconnection. %s", e)
        except StopIteration as e:
            self.log.debug("Closing connection. %s", e)
        except ssl.SSLError as e:
            if e.args[0] == ssl.SSL_ERROR_EOF:
                self.log.debug("ssl connection closed")
                conn.sock.close()
            else:
                self.log.debug("Error processing SSL request.")
                self.handle_error(req, conn.sock, conn.client, e)
        except OSError as e:
            if e.errno in _GONE:
                self.log.debug("Ignoring %s", errno.errorcode[e.errno])
            else:
                self.log.exception("Socket error processing request.")
        except BaseException as e:
            self.handle_error(req, conn.sock, conn.client, e)
        return False

    def _must_close(self):
        return (not self.alive or not self.cfg.keepalive
                or len(self.keepalived_conns) >= self.max_keepalived)

    def handle_request(self, req, conn):
        """Whether the connection is kept."""
        environ, resp = {}, None
        try:
            self.cfg.pre_request(self, req)
            began = datetime.now()
            resp, environ = wsgi.create(req, conn.sock, conn.client, conn.server, self.cfg)
            environ["wsgi.multithread"] = True
            self.nr += 1
            if self.nr >= self.max_requests:
                if self.alive:
                    self.log.info("Autorestarting worker after current request.")
                    self.alive = False
                resp.force_close()
            if self._must_close():
                resp.force_close()
            result = self.wsgi(environ, resp.start_response)
            try:
                wsgi.send(resp, result, environ)
                self.log.access(resp, req, environ, datetime.now() - began)
            finally:
                if hasattr(result, "close"):
                    result.close()
            return not resp.should_close() and self._reads_on(conn)
        except OSError:
            raise  # of the client's socket: handle() knows which are harmless
        except Exception:
            if resp is None or not resp.headers_sent:
                raise
            self.log.exception("Error handling request")
            wsgi.cut(conn.sock)
            raise StopIteration() from None
        finally:
            wsgi.tell_post_request(self, req, environ, resp)

    @staticmethod
    def _reads_on(conn):
        """Whether the next request comes soon, behind this one's body."""
        conn.sock.settimeout(_DRAIN_SECONDS)
        try:
            return conn.parser.finish_body(time.monotonic() + _DRAIN_SECONDS, _DRAIN_BYTES)
        except socket.timeout:
            return False
        finally:
            conn.sock.setblocking(True)
