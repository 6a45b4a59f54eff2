"""Configuration files in Python: executed as gunicorn executes them.

Start-up counts: nothing is imported that the interpreter has not loaded by
itself (no ast, no inspect, no importlib.util), except where it is needed.
"""
import sys

_ONLY_AST = 0x400  # ast.PyCF_ONLY_AST
_Module = type(sys)
_Function = type(lambda: None)
_Method = type(type("", (), {"m": lambda self: None})().m)


def _names(target):
    """The names that an assignment to this target gives a value."""
    kind = type(target).__name__
    if kind == "Name":
        return [target.id]
    if kind in ("Tuple", "List"):
        return [n for part in target.elts for n in _names(part)]
    return _names(target.value) if kind == "Starred" else []


def _assigned(node):
    kind = type(node).__name__
    if kind in ("FunctionDef", "AsyncFunctionDef", "ClassDef"):
        return [node.name]
    if kind == "Assign":
        return [n for target in node.targets for n in _names(target)]
    if kind in ("AnnAssign", "AugAssign"):
        return _names(node.target)
    if kind in ("Import", "ImportFrom"):
        return [a.asname or a.name.split(".")[0] for a in node.names]
    if kind in ("For", "AsyncFor"):
        return _names(node.target)
    if kind in ("With", "AsyncWith"):
        return [n for item in node.items if item.optional_vars is not None
                for n in _names(item.optional_vars)]
    return []


def _assigned_lines(tree):
    """Where each top-level name was last assigned: {name: line}."""
    lines = {}
    nodes = list(tree.body)
    while nodes:
        node = nodes.pop()
        for name in _assigned(node):
            lines[name] = max(node.lineno, lines.get(name, 0))
        if type(node).__name__ in ("FunctionDef", "AsyncFunctionDef", "ClassDef"):
            continue
        for part in ("body", "orelse", "finalbody"):
            nodes += getattr(node, part, [])
        for part in ("handlers", "cases"):
            for inner in getattr(node, part, []):
                nodes += inner.body
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
    """A function in place of a class is asked for it, as gunicorn does."""
    if name in ("worker_class", "logger_class") and type(value) in (_Function, _Method):
        return value()
    return value


def _items(namespace, lines, path, module):
    shown = path.rsplit("/", 1)[-1]
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


def read_file(path):
    """Runs the file as module __config__; [(name, value, source, own)]."""
    import posix

    pid = posix.getpid()
    with open(path, "rb") as f:
        source = f.read()
    tree = compile(source, path, "exec", _ONLY_AST, True)
    lines = _assigned_lines(tree)
    code = compile(tree, path, "exec", 0, True)
    module = _module(path)
    sys.modules["__config__"] = module
    try:
        exec(code, module.__dict__)
    finally:
        _end_forked_child(path, pid)
        _flush()
    return _items(module.__dict__, lines, path, "__config__")


def read_module(name):
    """The same for a module that is imported."""
    import importlib
    import posix

    pid = posix.getpid()
    try:
        module = importlib.import_module(name)
    finally:
        _end_forked_child(name, pid)
        _flush()
    path = getattr(module, "__file__", None) or name
    try:
        with open(path, "rb") as f:
            lines = _assigned_lines(compile(f.read(), path, "exec", _ONLY_AST, True))
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
