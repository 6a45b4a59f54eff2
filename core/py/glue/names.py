# SPDX-License-Identifier: MIT
"""The names that gunicorn would have loaded, in sys.modules.

Programs look there to find out what serves them ("gunicorn" in sys.modules), and
others wait for a module to patch it. A module that nobody looks at costs an
entry: it is loaded when an attribute is asked of it.
"""
import sys
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
    "asgi": "gunicorn.workers.gasgi.ASGIWorker",
}

# Where packages define what their users import from elsewhere.
_HOMES = {"uvicorn_worker._workers": "uvicorn_worker", "uvicorn.workers": "uvicorn.workers"}
_UVICORNS = ("UvicornWorker", "UvicornH11Worker")

_Module = type(sys)
_Function = type(lambda: None)
_lock = RLock()


class Late(_Module):
    """An entry of that kind. Who holds it afterwards has the module through it."""

    def __getattribute__(self, name):
        return Late if name == "__class__" else getattr(_load(self), name)

    def __setattr__(self, name, value):
        setattr(_load(self), name, value)

    def __delattr__(self, name):
        delattr(_load(self), name)


def _load(late):
    """The module, by an import like any other: hooks of others see it."""
    own = object.__getattribute__(late, "__dict__")
    with _lock:
        if "_module" not in own:
            name = own["__name__"]
            if sys.modules.get(name) is late:
                del sys.modules[name]
            try:
                __import__(name)
            except BaseException:
                sys.modules.setdefault(name, late)
                raise
            own["_module"] = sys.modules[name]
            _adopt(name, own["_module"])
        return own["_module"]


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


def native(cls):
    """The name of a class, given as an object, that the server has natively;
    None: it is another one, such as a subclass."""
    uri = "%s.%s" % (cls.__module__, cls.__qualname__)
    if uri in CLASSES.values():
        return uri
    home = _HOMES.get(cls.__module__)
    return "%s.%s" % (home, cls.__qualname__) if home and cls.__qualname__ in _UVICORNS else None


def _exists(package, name):
    if not package.__path__:  # ours
        return _cgunicorn.has_source("gunicorn." + name)
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


_KNOWN = ("_frozen_importlib", "_cgunicorn_finder", "_distutils_hack", "six", "__editable__")


def _hooks_wait():
    """Whether somebody may wait for a module to be imported, to patch it."""
    return any(not (getattr(f, "__module__", None) or type(f).__module__).startswith(_KNOWN)
               for f in sys.meta_path)


def patched(module, *path):
    """What others put in the place of gunicorn's function; None: nobody did."""
    late = sys.modules.get(module)
    if type(late) is Late and _hooks_wait():
        try:
            _load(late)
        except Exception:
            return None
    found = owner = loaded(module)
    if owner is None:
        return None
    for name in path:
        found = getattr(found, name, None)
    ours = getattr(found, "__globals__", None) is vars(owner) and type(found) is _Function
    return None if found is None or ours else found
