# SPDX-License-Identifier: MIT
"""Worker classes whose loop is a Python package's. Each module has

check()       None, or a sentence: what is missing and the command that gets it
patch()       monkey patches, before the application is loaded: True if any
settle()      in a master that has loaded it: nothing is half done at a fork
prepare(w)    in a worker after the fork: patch, the loop anew, w's handlers
spawn(body)   a greenlet that will call body(), and what starts it; or None
leave()       the function that switches from a greenlet to the loop
sit()         the same for greenlets of spawn's
current()     the running greenlet
later(f)      calls f() from the loop
QUIET         exceptions that end a greenlet on purpose
handled       handled(result): the application has answered by itself; or None
serve(fds, poll, set_over)
              calls poll when one of fds is readable, until over(is_child) comes
kill(list)    ends greenlets and waits a moment for them
is_own(app)   the package's own server serves app, not the engine:
serve_own(worker, app, beat)
              until worker.alive is false; calls beat at least once in own.beat_period
"""
import importlib
import re
import sys

import _cgunicorn
from _cgunicorn_glue import standard


def version(text):
    """The leading numbers: "24.10.1rc2" is (24, 10, 1)."""
    return tuple(int(n) for n in re.findall(r"\d+", text.split("+")[0])[:3])


def wanted(package, minimum, found, project=None):
    """The sentence of check(); found is a version, or the ImportError.
    project: its name on PyPI, if that is another one."""
    install = "%s -m pip install '%s>=%s'" % (
        sys.executable or "python3", project or package, minimum)
    if isinstance(found, BaseException):
        if isinstance(found, ModuleNotFoundError) and found.name == package:
            return "it needs the package %s, which %s does not have. Install " \
                   "it with: %s" % (package, sys.prefix, install)
        return "the package %s cannot be imported: %s: %s" % (
            package, type(found).__name__, found)
    if version(found) < version(minimum):
        return "it needs %s %s or newer, and %s has %s. Get it with: %s" % (
            package, minimum, sys.prefix, found, install)
    return None


def checker(package, minimum, version_name="__version__", project=None):
    """The check() of a module that needs that package."""
    def check():
        if standard.is_inside(package):
            return None  # its workers will see: the master runs nothing of it
        try:
            with standard.outside():
                found = getattr(importlib.import_module(package), version_name)
        except ImportError as e:
            found = e
        if isinstance(found, tuple):
            found = ".".join(map(str, found[:3]))
        return wanted(package, minimum, found, project)
    return check


def engine_serves(app):
    """is_own() of a module whose package's server is never used."""
    return False


def current():
    from greenlet import getcurrent
    return getcurrent()


def seat_handlers(worker, spawn, is_hub):
    """A signal's handler may run in the hub, where nothing can wait, and it
    calls the user's hooks: there it gets a greenlet of its own. Elsewhere it
    interrupts what runs, as in the other classes."""
    def leave():
        worker._alive = False
        try:
            worker.cfg.worker_int(worker)
        finally:
            _cgunicorn.worker_quit()

    def handle_quit(sig, frame):
        if worker._ending or worker._is_told(sig):
            return
        if is_hub():
            spawn(leave)
        else:
            leave()
            worker._leave(sig, 0)

    usr1 = worker.handle_usr1
    worker.handle_quit = handle_quit
    worker.handle_usr1 = lambda sig, frame: (
        spawn(usr1, sig, frame) if is_hub() else usr1(sig, frame))


def forked():
    """In every worker: a hub that the configuration made in the master
    shares its descriptors with the master until it is made anew."""
    if "gevent" in sys.modules:
        import gevent
        gevent.reinit()
