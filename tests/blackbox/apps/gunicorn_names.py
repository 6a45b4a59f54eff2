# SPDX-License-Identifier: MIT
"""A configuration file that writes what the package gunicorn has, as JSON, into
names.json: modules, names, signatures, constants."""
import importlib
import inspect
import json
import re

MODULES = """gunicorn app app.base app.wsgiapp app.pasterapp arbiter config debug
dirty dirty.app dirty.client dirty.errors dirty.protocol dirty.stash dirty.tlv errors
glogging http http.body http.errors http.message http.parser http.unreader http.wsgi
instrument.statsd pidfile reloader sock systemd util uwsgi uwsgi.errors uwsgi.message
uwsgi.parser workers workers.base
workers.base_async workers.gasgi workers.ggevent workers.gthread workers.gtornado
workers.sync workers.workertmp""".split()
PLAIN = (str, int, float, bool, bytes, type(None), tuple, list, dict, set)


def signature(function):
    """Without annotations, which change nothing."""
    try:
        found = inspect.signature(function)
        text = str(found.replace(return_annotation=found.empty, parameters=[
            p.replace(annotation=p.empty) for p in found.parameters.values()]))
    except (TypeError, ValueError):
        return ""
    return re.sub(r" at 0x[0-9a-f]+", "", text)


def constant(value):
    if isinstance(value, PLAIN):
        text = repr(sorted(value, key=repr) if isinstance(value, (set, frozenset)) else value)
        text = re.sub(r"\bgevent/[\w.]+", "gevent/VERSION", text)  # what is installed
        return re.sub(r" at 0x[0-9a-f]+", "", text)[:200]
    if isinstance(value, re.Pattern):
        return str(value.pattern)
    return type(value).__name__


def of_class(cls):
    found = {"kind": "class", "bases": [b.__name__ for b in cls.__mro__[1:-1]],
             "members": {}}
    if "__init__" in vars(cls) or any("__init__" in vars(b) for b in cls.__mro__[1:-1]):
        found["signature"] = signature(cls.__init__)
    for name in dir(cls):
        if name.startswith("_"):
            continue
        value = inspect.getattr_static(cls, name)
        if isinstance(value, (staticmethod, classmethod)):
            value = value.__func__
        if inspect.isfunction(value):
            found["members"][name] = signature(value)
        elif isinstance(value, property):
            found["members"][name] = "property"
        elif not inspect.isclass(value):
            found["members"][name] = "= " + constant(value)
    return found


def of_module(name):
    full = name if name == "gunicorn" else "gunicorn." + name
    try:
        module = importlib.import_module(full)
    except Exception as e:
        return {"!": "%s: %s" % (type(e).__name__, e)}
    found = {}
    for key in dir(module):
        value = getattr(module, key)
        if key.startswith("_") or inspect.ismodule(value):
            continue
        home = getattr(value, "__module__", None)
        if callable(value) and home != full and not (home or "").startswith("_cgunicorn"):
            continue  # another module's
        if inspect.isclass(value):
            found[key] = of_class(value)
        elif inspect.isfunction(value) or inspect.ismethod(value):
            found[key] = {"kind": "function", "signature": signature(value)}
        else:
            found[key] = {"kind": "constant", "value": constant(value)}
    return found


with open("names.json", "w") as _f:
    json.dump({m: of_module(m) for m in MODULES}, _f, indent=1, sort_keys=True)
