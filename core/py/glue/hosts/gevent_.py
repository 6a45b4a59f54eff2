# SPDX-License-Identifier: MIT
"""The gevent class: gevent's hub watches the engine."""
from . import checker, current, engine_serves, seat_handlers  # noqa: F401

check = checker("gevent", "1.4")
is_own = engine_serves
spawn = QUIET = handled = None


def patch():
    from gevent import get_hub, monkey
    monkey.patch_all()
    get_hub()  # not in the middle of the application's import
    return True


def settle():
    """Callbacks that wait in the hub refer to locks that a fork makes anew."""
    import gevent
    gevent.sleep(0)


def prepare(worker):
    """Handlers that run the user's code get a greenlet to wait in."""
    global spawn, QUIET
    import gevent
    from gevent import hub
    patch()
    hub.reinit()
    # gevent does it after the first fork: a child that ends before is never
    # noticed, and who waits for it waits for ever
    hub.get_hub().loop.install_sigchld()
    seat_handlers(worker, gevent.spawn, lambda: gevent.getcurrent() is hub.get_hub())
    QUIET = gevent.GreenletExit

    def spawn(body):
        greenlet = gevent.Greenlet(body)
        return greenlet, greenlet.switch


def leave():
    from gevent.hub import get_hub
    return get_hub().switch


def sit():
    """Hub.switch without its look for a switch_out, which our own greenlets
    do not have."""
    from gevent.hub import get_hub
    from greenlet import greenlet
    return greenlet.switch.__get__(get_hub())


def later(function):
    from gevent.hub import get_hub
    get_hub().loop.run_callback(function)


def serve(fds, poll, set_over):
    from gevent.hub import Waiter, get_hub
    hub = get_hub()
    end = Waiter(hub)
    watchers = [hub.loop.io(fd, 1) for fd in fds]

    def over(is_child):
        for watcher in watchers:
            watcher.stop()
        if not is_child:
            hub.loop.run_callback(end.switch, None)

    set_over(over)
    for watcher in watchers:
        watcher.start(poll)
    try:
        end.get()
    finally:
        for watcher in watchers:
            watcher.stop()
            watcher.close()


def kill(greenlets):
    import gevent
    gevent.killall(greenlets, block=True, timeout=0.3)
