"""Configuration files in Python: executed as gunicorn executes them.

Start-up counts: nothing is imported that the interpreter has not loaded by
itself (no ast, no inspect, no importlib.util), except where it is needed.
"""
import sys

import _cgunicorn

_Module = type(sys)
_Function = type(lambda: None)
_Method = type(type("", (), {"m": lambda self: None})().m)


def _ranges(code):
    """(first byte, end, line) of the code's parts."""
    if hasattr(code, "co_lines"):
        return code.co_lines()
    import dis  # Python 3.9

    starts = list(dis.findlinestarts(code)) + [(len(code.co_code), None)]
    return [(at, end, line) for (at, line), (end, _) in zip(starts, starts[1:])]


def _assigned_lines(code):
    """Where each name of the module was last assigned: {name: line}. Read from
    the bytecode: the types of a syntax tree take longer to make than all else
    of a start."""
    from opcode import EXTENDED_ARG, opmap

    store, raw, lines, more = opmap["STORE_NAME"], code.co_code, {}, 0
    for start, end, line in _ranges(code):
        for i in range(start, end, 2):
            arg = raw[i + 1] | more << 8
            more = arg if raw[i] == EXTENDED_ARG else 0
            if raw[i] == store and line:
                name = code.co_names[arg]
                lines[name] = max(line, lines.get(name, 0))
    return lines


def arity(value):
    """Positional parameters of a callable; -1 when it is none or does not say."""
    if not callable(value):
        return -1
    function = value.__func__ if type(value) is _Method else value
    if type(function) is _Function and not function.__dict__:
        return function.__code__.co_argcount - (type(value) is _Method)
    import inspect

    try:
        parameters = inspect.signature(value).parameters.values()
    except (TypeError, ValueError):
        return -1
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(1 for p in parameters if p.kind in kinds)


def _is_own(name, value, module):
    """A name that the file itself gave a value, not something it imported."""
    if name.startswith("_") or isinstance(value, _Module):
        return False
    return getattr(value, "__module__", module) == module or not callable(value)


def _final(name, value):
    """A function in place of a class is asked for it, as gunicorn does; a class
    that the server has natively is named."""
    if name in ("worker_class", "logger_class") and type(value) in (_Function, _Method):
        value = value()
    if name == "worker_class" and isinstance(value, type):
        from _cgunicorn_glue.names import native

        return native(value) or value
    return value


def _items(namespace, lines, path, module):
    shown = path.rsplit("/", 1)[-1].encode("utf-8", "backslashreplace").decode()
    out = []
    for name, value in list(namespace.items()):
        if isinstance(name, str) and not name.startswith("__"):
            line = lines.get(name)
            source = "%s:%d" % (shown, line) if line else shown
            own = _is_own(name, value, module)
            out.append((name, _final(name, value), source, own))
    return out


def _flush():
    """What a file prints must not wait in a buffer that workers inherit."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            pass


def _end_forked_child(path, pid):
    """A file that forks and goes on must not start a second server."""
    import os

    if os.getpid() != pid:
        os.write(2, ("\nError: %s forked, and the child went on as a second server: "
                     "it ends here. Fork in a hook, or run the command with "
                     "subprocess\n" % path).encode("utf-8", "surrogateescape"))
        os._exit(1)


def _module(path):
    from _frozen_importlib import module_from_spec
    from _frozen_importlib_external import SourceFileLoader, spec_from_file_location

    loader = SourceFileLoader("__config__", path)
    return module_from_spec(spec_from_file_location("__config__", path, loader=loader))


def _open_again(path, flags):
    """At a reload the master waits for nobody who writes to a pipe; at the start
    it may be one, as a shell's <(command) is."""
    import posix
    from stat import S_ISREG

    fd = posix.open(path, flags | posix.O_NONBLOCK)
    if not S_ISREG(posix.fstat(fd).st_mode):
        posix.close(fd)
        raise ValueError("%s is no regular file any more: a reload reads no other" % path)
    return fd


def _source_of(path):
    hooks = sys.modules.get("_cgunicorn_glue.hooks")
    again = hooks is not None and hooks.serves()
    with open(path, "rb", opener=_open_again if again else None) as f:
        return f.read()


def read_file(path):
    """Runs the file as module __config__; [(name, value, source, own)]."""
    import posix

    pid = posix.getpid()
    source = _source_of(path)
    code = _cgunicorn.compile(source, path) or compile(source, path, "exec", 0, True)
    module = _module(path)
    sys.modules["__config__"] = module
    try:
        exec(code, module.__dict__)
    finally:
        _end_forked_child(path, pid)
        _flush()
    return _items(module.__dict__, _assigned_lines(code), path, "__config__")


def read_module(name):
    """The same for a module that is imported; by a plain import, which leaves its
    own frames out of tracebacks."""
    import posix

    pid = posix.getpid()
    try:
        __import__(name)
        module = sys.modules[name]
    finally:
        _end_forked_child(name, pid)
        _flush()
    path = getattr(module, "__file__", None) or name
    try:
        with open(path, "rb") as f:
            lines = _assigned_lines(compile(f.read(), path, "exec", 0, True))
    except (OSError, SyntaxError, ValueError):
        lines = {}
    return _items(vars(module), lines, path, name)


def import_string(text):
    """The object that "module:object" or "module.object" names."""
    import importlib

    module, _, name = text.partition(":") if ":" in text else text.rpartition(".")
    try:
        target = importlib.import_module(module)
        for part in name.split("."):
            target = getattr(target, part)
    except AttributeError:
        raise TypeError("Can not load '%s' from '%s'" % (name, module)) from None
    if not callable(target):
        raise TypeError("Value is not callable: %s" % (target,))
    return target
