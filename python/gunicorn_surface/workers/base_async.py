# SPDX-License-Identifier: MIT
"""gunicorn.workers.base_async: connections that a greenlet each has."""
import errno
import ssl
from datetime import datetime

from gunicorn import http, sock
from gunicorn.http import wsgi
from gunicorn.util import close_graceful
from gunicorn.workers import base

ALREADY_HANDLED = object()
_GONE = (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN, errno.EBADF)


class AsyncWorker(base.Worker):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.worker_connections = self.cfg.worker_connections

    def timeout_ctx(self):
        """A context that ends the wait for a request after `keepalive`."""
        raise NotImplementedError()

    def is_already_handled(self, respiter):
        """Whether the application has taken the socket and answered itself."""
        return respiter is ALREADY_HANDLED

    def handle(self, listener, client, addr):
        req = None
        try:
            self._serve(listener, client, addr)
            return
        except _Trouble as trouble:
            client, req, error = trouble.client, trouble.req, trouble.__cause__
        try:
            raise error
        except http.errors.NoMoreData as e:
            self.log.debug("Ignored premature client disconnection. %s", e)
        except StopIteration as e:
            self.log.debug("Closing connection. %s", e)
        except ssl.SSLError as e:
            if e.args[0] == ssl.SSL_ERROR_EOF:
                self.log.debug("ssl connection closed")
            else:
                self.log.debug("Error processing SSL request.")
                self.handle_error(req, client, addr, e)
        except OSError as e:
            if e.errno in _GONE:
                self.log.debug("Ignoring %s", errno.errorcode[e.errno])
            else:
                self.log.exception("Socket error processing request.")
        except BaseException as e:
            self.handle_error(req, client, addr, e)
        finally:
            close_graceful(client)

    def _serve(self, listener, client, addr):
        """The requests of a connection; _Trouble when one goes wrong."""
        req = None
        try:
            if self.cfg.is_ssl:
                client = sock.ssl_wrap_socket(client, self.cfg)
            parser = http.get_parser(self.cfg, client, addr)
            name, info = listener.getsockname(), None
            while True:
                req = None
                if not self.cfg.keepalive:
                    req = next(parser)
                else:
                    with self.timeout_ctx():
                        req = next(parser)
                if not req:
                    break
                if req.proxy_protocol_info:
                    info = req.proxy_protocol_info
                else:
                    req.proxy_protocol_info = info
                self.handle_request(name, req, client, addr)
                if not self.cfg.keepalive:
                    break
            close_graceful(client)
        except BaseException as e:
            raise _Trouble(client, req) from e

    def handle_request(self, listener_name, req, sock, addr):
        environ, resp = {}, None
        try:
            self.cfg.pre_request(self, req)
            began = datetime.now()
            resp, environ = wsgi.create(req, sock, addr, listener_name, self.cfg)
            environ["wsgi.multithread"] = True
            self.nr += 1
            if self.nr >= self.max_requests:
                if self.alive:
                    self.log.info("Autorestarting worker after current request.")
                    self.alive = False
            if not self.alive or not self.cfg.keepalive:
                resp.force_close()
            result = self.wsgi(environ, resp.start_response)
            if self.is_already_handled(result):
                return False
            try:
                wsgi.send(resp, result, environ)
                self.log.access(resp, req, environ, datetime.now() - began)
            finally:
                if hasattr(result, "close"):
                    result.close()
            if resp.should_close():
                raise StopIteration()
            return True
        except (StopIteration, OSError):
            raise
        except Exception:
            if resp is None or not resp.headers_sent:
                raise
            self.log.exception("Error handling request")
            wsgi.cut(sock)
            raise StopIteration() from None
        finally:
            wsgi.tell_post_request(self, req, environ, resp)


class _Trouble(BaseException):
    """What ended a connection (its cause), and where it was."""

    def __init__(self, client, req):
        super().__init__()
        self.client, self.req = client, req
