# SPDX-License-Identifier: MIT
"""Worker classes written in Python: found, made in the master, run in the child.

They are gunicorn's own classes, subclasses of them, and those of other packages
that extend gunicorn.workers.base.Worker.
"""
import os
import sys
import traceback

import _cgunicorn
from _cgunicorn_glue import names

BOOT, APP = 3, 4
CRASHED = 255  # gunicorn's sys.exit(-1)


# ---- finding it ----

def _supported():
    """The short names, as a configuration may have added to them."""
    module = names.loaded("gunicorn.workers")
    return getattr(module, "SUPPORTED_WORKERS", {})


def is_named(name):
    return name in _supported()


def _entry_point(dist, name, group):
    from importlib import metadata

    try:
        found = metadata.distribution(dist).entry_points
    except metadata.PackageNotFoundError:
        raise RuntimeError("there is no package %r" % dist) from None
    for point in found:
        if point.group == group and point.name == name:
            return point.load()
    raise RuntimeError("the package %r has no entry point %r of the group %r"
                       % (dist, name, group))


def load(value):
    """The class that worker_class names; RuntimeError says why there is none."""
    if not isinstance(value, str):
        return value
    uri = _supported().get(value, value)
    if not isinstance(uri, str):
        return uri
    try:
        if uri.startswith("egg:"):
            dist, _, name = uri[4:].partition("#")
            return _entry_point(dist, name or "sync", "gunicorn.workers")
        module, _, name = uri.rpartition(".")
        if not module:
            raise RuntimeError("it is no dotted name: PACKAGE.MODULE.CLASS")
        __import__(module)
        if not hasattr(sys.modules[module], name):
            raise RuntimeError("the module %r has no %r" % (module, name))
        return getattr(sys.modules[module], name)
    except RuntimeError as e:
        raise RuntimeError("class uri %r invalid or not found: %s" % (value, e)) from None
    except Exception as e:
        raise RuntimeError("class uri %r invalid or not found: %s"
                           % (value, _why(value, module, e))) from e


def _why(value, module, error):
    """The import's own words, and what was imported if that was another one."""
    text = "%s: %s" % (type(error).__name__, error)
    missing = isinstance(error, ModuleNotFoundError) and error.name
    if missing and (module + ".").startswith(missing + "."):
        return text + ": install the package, or name its folder with --pythonpath"
    last = traceback.extract_tb(error.__traceback__)[-1]
    return "%s (%s, line %s)" % (text, last.filename, last.lineno)


def check(value):
    """That it is a class which a worker can be of."""
    cls = load(value)
    if getattr(cls, "refused", None):
        raise RuntimeError("worker_class %s: %s" % (getattr(cls, "__qualname__", cls),
                                                    cls.refused))
    for method in ("init_process", "__init__"):
        if not callable(getattr(cls, method, None)):
            raise RuntimeError(
                "worker_class %s: %r is no worker class, it has no init_process(): "
                "extend gunicorn.workers.base.Worker" % (
                    value if isinstance(value, str) else "", cls))


# ---- in the master ----

def _prepare(server):
    """What gunicorn does with a class once, before the first of it is made."""
    cfg = server.cfg
    cls = load(cfg.settings["worker_class"].value)
    if hasattr(cls, "setup"):
        cls.setup()
    if hasattr(cls, "check_config"):
        cls.check_config(cfg, server.log)
    return cls


def make(server, age):
    if server.prepared[0] is not server.cfg:
        server.prepared = (server.cfg, _prepare(server))
    server.worker_age = age
    return server.prepared[1](age, server.pid, server.LISTENERS, server.app,
                              server.timeout / 2.0, server.cfg, server.log)


# ---- in the child ----

def _close_siblings(server, worker):
    for other in list(server.WORKERS.values()):
        if other is not worker and hasattr(other, "tmp"):
            other.tmp.close()


def _tell_when_ready(cfg):
    """post_worker_init is the last thing before a worker serves."""
    setting = cfg.settings["post_worker_init"]
    hook = setting.value

    def post_worker_init(worker):
        hook(worker)
        _cgunicorn.worker_ready()

    setting.value = setting._given = post_worker_init


def _tell_count(worker):
    """With each sign of life the master is told how many requests the class has
    counted in worker.nr, whatever its notify() does besides."""
    file = getattr(worker, "tmp", None)
    notify = getattr(file, "notify", None)
    if notify is None or not hasattr(file, "__dict__"):
        return

    def told():
        notify()
        number = getattr(worker, "nr", None)
        if isinstance(number, int) and 0 <= number < 1 << 63:
            _cgunicorn.worker_counted(number)

    file.notify = told


def _settle_rights(cfg):
    """The server has changed to user and group already, with all its groups,
    which it may do only once."""
    setting = cfg.settings["initgroups"]
    setting.value = setting._given = False


def status_of(code):
    """What the process ends with for sys.exit(code)."""
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xff
    print(code, file=sys.stderr, flush=True)
    return 1


def _own_frames(error):
    """The traceback without the server's frames in front."""
    tb = error.__traceback__
    while tb is not None and tb.tb_frame.f_code.co_filename.startswith("<cgunicorn>"):
        tb = tb.tb_next
    return "".join(traceback.format_exception(type(error), error, tb)).rstrip()


def _fail(server, worker, error):
    """Logs why it ends, and returns the status to end with."""
    from _cgunicorn_glue.app import AppError

    booted = getattr(worker, "booted", False)
    status = CRASHED if booted else BOOT
    shown, text = error, "%s: %s" % (type(error).__name__, error)
    if isinstance(error, AppError):
        status, text = error.status, str(error)
        shown = error.__cause__
    elif (type(error).__module__, type(error).__name__) == (
            "gunicorn.errors", "AppImportError"):
        status, shown = APP, None
    _cgunicorn.worker_failed(text)
    if shown is None:
        server.log.error("%s", text if status == APP
                         else "Exception in worker process\n" + text)
    else:
        server.log.error("Exception in worker process\n%s", _own_frames(shown))
    return status


def _told_to_stop(worker, error):
    """The SystemExit of handle_quit or handle_abort, that came while the
    application was being loaded; or None."""
    cause = error.__cause__
    return cause if isinstance(cause, SystemExit) and not worker.alive else None


def run(server, worker):
    """To its end; the exit status."""
    _close_siblings(server, worker)
    _tell_when_ready(server.cfg)
    _tell_count(worker)
    _settle_rights(server.cfg)
    try:
        worker.init_process()
        return 0
    except SystemExit as e:
        return status_of(e.code)
    except BaseException as e:
        told = _told_to_stop(worker, e)
        return status_of(told.code) if told else _fail(server, worker, e)
    finally:
        try:
            worker.tmp.close()
        except Exception:
            pass
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (AttributeError, OSError, ValueError):
                pass
