# SPDX-License-Identifier: MIT
"""The names that gunicorn would have loaded, in sys.modules.

Programs look there to find out what serves them ("gunicorn" in sys.modules), and
others wait for a module to patch it. A module that nobody looks at costs an
entry: it is loaded when an attribute is asked of it.
"""
import sys
from _frozen_importlib import _exec, _find_spec
from _thread import RLock
from posix import stat

import _cgunicorn

START = ("app", "app.base", "app.wsgiapp", "arbiter", "config", "debug", "errors",
         "pidfile", "reloader", "sock", "systemd", "util", "workers")
SERVER = ("glogging", "http", "http.body", "http.errors", "http.message", "http.parser",
          "http.unreader", "http.wsgi", "workers.base")
CLASSES = {
    "sync": "gunicorn.workers.sync.SyncWorker",
    "gthread": "gunicorn.workers.gthread.ThreadWorker",
    "gevent": "gunicorn.workers.ggevent.GeventWorker",
    "gevent_wsgi": "gunicorn.workers.ggevent.GeventPyWSGIWorker",
    "gevent_pywsgi": "gunicorn.workers.ggevent.GeventPyWSGIWorker",
    "eventlet": "gunicorn.workers.geventlet.EventletWorker",
    "tornado": "gunicorn.workers.gtornado.TornadoWorker",
}

_Module = type(sys)
_lock = RLock()


class Late(_Module):
    """A module of that kind."""

    def __getattribute__(self, name):
        if name == "__class__":
            return Late
        _load(self)
        return getattr(self, name)

    def __setattr__(self, name, value):
        _load(self)
        setattr(self, name, value)

    def __delattr__(self, name):
        _load(self)
        delattr(self, name)


def _load(module):
    with _lock:
        if type(module) is not Late:
            return
        name = _Module.__getattribute__(module, "__name__")
        parent = sys.modules[name.rpartition(".")[0]]
        _Module.__setattr__(module, "__class__", _Module)
        try:
            spec = _find_spec(name, parent.__path__)
            if spec is None:
                raise ModuleNotFoundError("No module named %r" % name, name=name)
            _exec(spec, module)
        except BaseException:
            _Module.__setattr__(module, "__class__", Late)
            raise
        _adopt(name, module)


def _adopt(name, package):
    """What lies below it and was registered before it was loaded."""
    for full in list(sys.modules):
        parent, _, last = full.rpartition(".")
        if parent == name and last not in vars(package):
            setattr(package, last, sys.modules[full])


def loaded(name):
    """The module of that name if somebody has looked at it."""
    module = sys.modules.get(name)
    return None if type(module) is Late else module


def _exists(package, name):
    if not package.__path__:  # ours
        return _cgunicorn.source("gunicorn." + name) is not None
    for folder in package.__path__:
        for end in (".py", "/__init__.py"):
            try:
                stat(folder + "/" + name.replace(".", "/") + end)
                return True
            except (OSError, ValueError):
                pass
    return False


def _register(names):
    package = sys.modules.get("gunicorn")
    for name in names if package is not None else ():
        full = "gunicorn." + name
        if full in sys.modules or not _exists(package, name):
            continue
        sys.modules[full] = module = Late(full)
        parent, _, last = full.rpartition(".")
        if type(sys.modules.get(parent)) is not Late:
            setattr(sys.modules[parent], last, module)


def start():
    """Before the project's folders are searched: one of them may have a folder
    of that name."""
    try:
        import gunicorn  # noqa: F401
    except Exception:
        return  # a broken one is said where somebody wants it
    _register(START)


def server(worker_class):
    """When the server's objects are made: gunicorn has its logger and its worker
    class from then on."""
    if not getattr(sys.modules.get("gunicorn"), "__path__", True):
        import gunicorn.glogging  # noqa: F401  it is the one in use
    uri = CLASSES.get(worker_class, worker_class)
    module = uri.rpartition(".")[0].partition("gunicorn.")[2]
    _register(SERVER + ((module,) if module.startswith("workers.") else ()))
