"""Configuration files in Python: executed as gunicorn executes them."""
import sys
import types


def _assigned_lines(source, path):
    """Where each top-level name was last assigned: {name: line}."""
    import ast

    lines = {}
    try:
        nodes = list(ast.parse(source, path).body)
    except (SyntaxError, ValueError):
        return lines
    while nodes:
        node = nodes.pop(0)
        names = []
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names = [node.name]
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                names += [n.id for n in ast.walk(target) if isinstance(n, ast.Name)]
        elif isinstance(node, (ast.AnnAssign, ast.AugAssign)):
            names = [n.id for n in ast.walk(node.target) if isinstance(n, ast.Name)]
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [a.asname or a.name.split(".")[0] for a in node.names]
        else:
            for part in ("body", "orelse", "finalbody"):
                nodes += getattr(node, part, [])
            for handler in getattr(node, "handlers", []):
                nodes += handler.body
        for name in names:
            lines[name] = max(node.lineno, lines.get(name, 0))
    return lines


def arity(value):
    """Positional parameters of a callable; -1 when it is none or does not say."""
    if not callable(value):
        return -1
    import inspect

    try:
        parameters = inspect.signature(value).parameters.values()
    except (TypeError, ValueError):
        return -1
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(1 for p in parameters if p.kind in kinds)


def _is_own(name, value, module):
    """A name that the file itself gave a value, not something it imported."""
    if name.startswith("_") or isinstance(value, types.ModuleType):
        return False
    return getattr(value, "__module__", module) == module or not callable(value)


def _items(namespace, lines, path, module):
    shown = path.rsplit("/", 1)[-1]
    out = []
    for name, value in list(namespace.items()):
        if isinstance(name, str) and not name.startswith("__"):
            line = lines.get(name)
            source = "%s:%d" % (shown, line) if line else shown
            out.append((name, value, source, _is_own(name, value, module)))
    return out


def read_file(path):
    """Runs the file as module __config__; [(name, value, source, own)]."""
    with open(path, "rb") as f:
        source = f.read()
    module = types.ModuleType("__config__")
    module.__file__ = path
    sys.modules["__config__"] = module
    exec(compile(source, path, "exec"), module.__dict__)
    return _items(module.__dict__, _assigned_lines(source, path), path, "__config__")


def read_module(name):
    """The same for a module that is imported."""
    import importlib

    module = importlib.import_module(name)
    path = getattr(module, "__file__", None) or name
    try:
        with open(path, "rb") as f:
            lines = _assigned_lines(f.read(), path)
    except OSError:
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
        raise TypeError("Value is not callable: %s" % text)
    return target
