# SPDX-License-Identifier: MIT
"""The eventlet class: eventlet's hub watches the engine."""
from . import checker, current, engine_serves, seat_handlers  # noqa: F401

check = checker("eventlet", "0.24.1")
is_own = engine_serves
spawn = QUIET = handled = None


def patch():
    import eventlet
    from eventlet import hubs
    eventlet.monkey_patch()
    hubs.get_hub()  # not in the middle of the application's import
    return True


def settle():
    import eventlet
    eventlet.sleep(0)


def prepare(worker):
    global spawn, QUIET, handled
    import eventlet
    import eventlet.wsgi
    import greenlet
    from eventlet import greenthread, hubs
    hubs.use_hub()
    patch()
    seat_handlers(worker, eventlet.spawn,
                  lambda: greenlet.getcurrent() is hubs.get_hub().greenlet)
    QUIET = greenlet.GreenletExit
    handled = _handled(eventlet.wsgi)
    _forget_main_thread()

    def spawn(body):
        thread = greenthread.GreenThread(hubs.get_hub().greenlet)
        return thread, lambda: thread.switch(body, (), {})


def _forget_main_thread():
    """Python waits at its end for the locks of its threads. The main thread of
    eventlet's own copy of threading is the greenlet that imported the copy; a
    child that multiprocessing forks is another one, which would wait for it
    for ever. (In gunicorn a fork comes between the import and the patches.)"""
    from eventlet.green import threading
    main = getattr(threading, "_main_thread", None)
    locks = getattr(threading, "_shutdown_locks", None)  # up to Python 3.12
    if locks is not None:
        locks.discard(getattr(main, "_tstate_lock", None))


def _handled(wsgi):
    """eventlet up to 0.30.2 had a result for it, later ones have a flag."""
    sentinel = getattr(wsgi, "ALREADY_HANDLED", None)
    local = getattr(wsgi, "WSGI_LOCAL", None)
    if local is None:
        return lambda result: result is sentinel

    def handled(result):
        if getattr(local, "already_handled", False):
            local.already_handled = False
            return True
        return False
    return handled


def leave():
    from eventlet import hubs
    return hubs.get_hub().switch


def sit():
    """Hub.switch without its checks: our own greenlets are the hub's."""
    from eventlet import hubs
    return hubs.get_hub().greenlet.switch


def later(function):
    from eventlet import hubs
    hubs.get_hub().schedule_call_global(0, function)


def serve(fds, poll, set_over):
    from eventlet import hubs
    from greenlet import getcurrent
    hub = hubs.get_hub()
    main = getcurrent()
    listeners = []

    def remove():
        while listeners:
            hub.remove(listeners.pop())

    def over(is_child):
        remove()
        if not is_child:
            hub.schedule_call_global(0, main.switch)

    def failed(*args):
        """The listener's descriptor was closed: never while we serve."""

    set_over(over)
    for fd in fds:
        listeners.append(hub.add(hub.READ, fd, poll, failed, failed))
    try:
        hub.switch()
    finally:
        remove()


def kill(greenlets):
    import eventlet
    from eventlet import greenthread
    for greenlet in greenlets:
        greenthread.kill(greenlet)
    eventlet.sleep(0)
