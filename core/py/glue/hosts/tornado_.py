# SPDX-License-Identifier: MIT
"""The tornado class: an IOLoop watches the engine. WSGI runs on the loop, one
request at a time, as in gunicorn's class."""
from . import wanted

MINIMUM = "5.0"
spawn = handled = None
QUIET = ()


def check():
    try:
        import tornado
    except ImportError as e:
        return wanted("tornado", MINIMUM, e)
    return wanted("tornado", MINIMUM, tornado.version)


def patch():
    return False


def prepare(worker):
    from tornado.ioloop import IOLoop
    IOLoop.clear_current()


def serve(fds, poll, set_over):
    from tornado.ioloop import IOLoop
    loop = IOLoop.current()

    def over(is_child):
        for fd in fds:
            loop.remove_handler(fd)
        if not is_child:
            loop.stop()

    set_over(over)
    for fd in fds:
        loop.add_handler(fd, poll, IOLoop.READ)
    loop.start()


def kill(greenlets):
    pass
