# SPDX-License-Identifier: MIT
"""gunicorn.workers.sync: one request at a time. What a subclass extends; the
class itself is served by the server's own."""
import errno
import os
import select
import ssl
from datetime import datetime

from gunicorn import http, sock, util
from gunicorn.http import wsgi
from gunicorn.workers import base

_NOBODY_THERE = (errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK)
_GONE = (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN)


class StopWaiting(Exception):
    """It is told to stop, or its master is gone."""


class SyncWorker(base.Worker):

    # ---- waiting for connections ----

    def run(self):
        timeout = self.timeout or 0.5  # also without one it looks for its master
        for listener in self.sockets:
            listener.setblocking(False)
        if len(self.sockets) > 1:
            self.run_for_multiple(timeout)
        else:
            self.run_for_one(timeout)

    def is_parent_alive(self):
        if self.ppid != os.getppid():
            self.log.info("Parent changed, shutting down: %s", self)
            return False
        return True

    def wait(self, timeout):
        """What is readable: listeners, or nothing when time is over."""
        try:
            self.notify()
            ready, _, _ = select.select(self.wait_fds, [], [], timeout)
        except OSError as e:
            if e.errno == errno.EBADF and not self.alive:
                raise StopWaiting() from e  # somebody closed the listeners
            raise
        if self.PIPE[0] in ready:
            os.read(self.PIPE[0], 512)
        return [item for item in ready if item != self.PIPE[0]]

    def accept(self, listener):
        client, addr = listener.accept()
        client.setblocking(True)
        util.close_on_exec(client)
        self.handle(listener, client, addr)

    def _try_accept(self, listener):
        """Whether there was somebody."""
        try:
            self.accept(listener)
        except OSError as e:
            if e.errno not in _NOBODY_THERE:
                raise
            return False
        return True

    def run_for_one(self, timeout):
        listener = self.sockets[0]
        while self.alive:
            self.notify()
            if self._try_accept(listener):
                continue  # there may be more
            if not self.is_parent_alive():
                return
            try:
                self.wait(timeout)
            except StopWaiting:
                return

    def run_for_multiple(self, timeout):
        while self.alive:
            self.notify()
            try:
                ready = self.wait(timeout)
            except StopWaiting:
                return
            for listener in ready or ():
                self._try_accept(listener)
            if not self.is_parent_alive():
                return

    # ---- a connection ----

    def handle(self, listener, client, addr):
        req = None
        try:
            if self.cfg.is_ssl:
                client = sock.ssl_wrap_socket(client, self.cfg)
            parser = http.get_parser(self.cfg, client, addr)
            req = next(parser)
            self.handle_request(listener, req, client, addr)
        except http.errors.NoMoreData as e:
            self.log.debug("Ignored premature client disconnection. %s", e)
        except StopIteration as e:
            self.log.debug("Closing connection. %s", e)
        except ssl.SSLError as e:
            if e.args[0] == ssl.SSL_ERROR_EOF:
                self.log.debug("ssl connection closed")
                client.close()
            else:
                self.log.debug("Error processing SSL request.")
                self.handle_error(req, client, addr, e)
        except OSError as e:
            if e.errno in _GONE:
                self.log.debug("Ignoring %s", errno.errorcode[e.errno])
            else:
                self.log.exception("Socket error processing request.")
        except BaseException as e:
            if isinstance(e, SystemExit) and not self.alive:
                raise  # told to stop in the midst of it, by handle_quit or handle_abort
            self.handle_error(req, client, addr, e)
        finally:
            util.close_graceful(client)

    def handle_request(self, listener, req, client, addr):
        environ, resp = {}, None
        try:
            self.cfg.pre_request(self, req)
            began = datetime.now()
            resp, environ = wsgi.create(req, client, addr, listener.getsockname(), self.cfg)
            resp.force_close()
            self.nr += 1
            if self.nr >= self.max_requests:
                self.log.info("Autorestarting worker after current request.")
                self.alive = False
            result = self.wsgi(environ, resp.start_response)
            try:
                wsgi.send(resp, result, environ)
                self.log.access(resp, req, environ, datetime.now() - began)
            finally:
                if hasattr(result, "close"):
                    result.close()
        except OSError:
            raise  # of the client's socket: handle() knows which are harmless
        except Exception:
            if resp is None or not resp.headers_sent:
                raise
            # what the client has begun to read cannot be taken back
            self.log.exception("Error handling request")
            wsgi.cut(client)
            raise StopIteration() from None
        finally:
            wsgi.tell_post_request(self, req, environ, resp)
