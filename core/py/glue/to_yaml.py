"""A Python configuration file as YAML, and what YAML cannot say of it."""
import ast
import re
import types

from _cgunicorn_glue import config

_PLAIN = re.compile(r"[A-Za-z/_.][A-Za-z0-9/_.+@%-]*\Z")
_NOT_TEXT = re.compile(r"(true|false|null|yes|no|on|off|y|n|~|\.inf|\.nan)\Z", re.I)
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


class CannotSay(Exception):
    pass


def _quoted(text):
    out = []
    for c in text:
        if c in _ESCAPES:
            out.append(_ESCAPES[c])
        elif ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or 0xD800 <= ord(c) < 0xE000:
            out.append("\\u%04x" % ord(c))
        else:
            out.append(c)
    return '"%s"' % "".join(out)


def _text(text, variables=False):
    if not variables:
        text = text.replace("$", "$$")
    if _PLAIN.match(text) and not _NOT_TEXT.match(text):
        return text
    return _quoted(text)


def _yaml(value):
    """One value in YAML's flow style."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, (list, tuple, set, frozenset)):
        return "[%s]" % ", ".join(_yaml(v) for v in value)
    if isinstance(value, dict):
        return "{%s}" % ", ".join(
            "%s: %s" % (_quoted(str(k)), _yaml(v)) for k, v in value.items())
    raise CannotSay("a value of the type %s" % type(value).__name__)


def _environ_text(node):
    """os.environ["X"], os.environ.get("X", "d"), os.getenv(…), int(…) of them,
    and strings around them, as text with ${X:-d}; None for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value.replace("$", "$$")
    shown = ast.unparse(node)
    found = re.match(r"os\.environ\['(\w+)'\]\Z", shown)
    if found:
        return "${%s}" % found.group(1)
    found = re.match(
        r"os\.(?:environ\.get|getenv)\('(\w+)', (?:'([^'\\{}$]*)'|(\d+))\)\Z", shown)
    if found:
        default = found.group(2) if found.group(2) is not None else found.group(3)
        return "${%s:-%s}" % (found.group(1), default)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _environ_text(node.left), _environ_text(node.right)
        return left + right if left is not None and right is not None else None
    return None


def _from_environment(node):
    """The YAML of a value that is a variable of the environment, or None."""
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "int":
        text = _environ_text(node.args[0]) if len(node.args) == 1 else None
        return text if text is not None and text.startswith("${") else None
    text = _environ_text(node)
    return _quoted(text) if text is not None and "${" in text else None


def _from_node(node):
    """The YAML of literals and variables of the environment, in lists and
    dictionaries, too; None when anything else has a part in it."""
    try:
        return _yaml(ast.literal_eval(node))
    except (ValueError, TypeError, SyntaxError, RecursionError, CannotSay):
        pass
    if isinstance(node, (ast.List, ast.Tuple)):
        parts = [_from_node(part) for part in node.elts]
        return "[%s]" % ", ".join(parts) if None not in parts else None
    if isinstance(node, ast.Dict):
        keys = [getattr(k, "value", None) for k in node.keys]
        parts = [_from_node(part) for part in node.values]
        if None in parts or not all(isinstance(k, str) for k in keys):
            return None
        return "{%s}" % ", ".join(
            "%s: %s" % (_quoted(k), v) for k, v in zip(keys, parts))
    return _from_environment(node)


def _import_string(value):
    """"module:name" for code that another module has."""
    module = getattr(value, "__module__", None)
    name = getattr(value, "__qualname__", "")
    if module in (None, "__config__", "builtins") or not re.match(r"[\w.]+\Z", name):
        raise CannotSay("code of the file itself: move it to a module and write "
                        '"module:name"')
    return _quoted("%s:%s" % (module, name))


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


def _assignments(tree):
    """{name: (line, node of the value or None)} of plain top-level ones."""
    found = {}
    for node in tree.body:
        for name in _assigned(node):
            single = (isinstance(node, ast.Assign) and len(node.targets) == 1
                      and isinstance(node.targets[0], ast.Name))
            again = name in found
            found[name] = (node.lineno, node.value if single and not again else None)
    return found


def _acts(node):
    """Whether a statement does something other than naming a value."""
    if isinstance(node, (ast.Assign, ast.AugAssign)):
        return not _assigned(node)
    if isinstance(node, ast.Expr):
        return not isinstance(node.value, ast.Constant)
    return isinstance(node, (ast.Delete, ast.Raise, ast.Assert))


def _side_effects(tree):
    for node in tree.body:
        parts = [node]
        if isinstance(node, (ast.If, ast.For, ast.While, ast.With, ast.Try)):
            parts = ast.walk(node)
        if any(_acts(part) for part in parts):
            yield node.lineno, ast.unparse(node).splitlines()[0]


def _line(name, value, node):
    """(YAML or None, note or None)"""
    if isinstance(value, (types.FunctionType, types.MethodType, type)):
        try:
            return "%s: %s" % (name, _import_string(value)), None
        except CannotSay as e:
            return None, str(e)
    said = _from_node(node) if node is not None else None
    if said is not None:
        return "%s: %s" % (name, said), None
    try:
        text = "%s: %s" % (name, _yaml(value))
    except CannotSay as e:
        return None, str(e)
    how = ast.unparse(node) if node is not None else "code of several lines"
    return text, "computed, here is what came out: %s" % how.splitlines()[0]


def _variables(value, node, hides):
    """raw_env without its secrets, which become variables of the environment:
    (YAML or None where there are none, note)."""
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, (list, tuple)):
        return None, None
    nodes = getattr(node, "elts", [node])
    if len(nodes) != len(items):
        nodes = [None] * len(items)
    parts, left_out = [], []
    for item, part in zip(items, nodes):
        said = _from_environment(part) if part is not None else None
        if said is None and isinstance(item, str) and hides(item):
            name = item.partition("=")[0]
            left_out.append(name)
            said = _quoted("%s=${%s}" % (name, name))
        parts.append(said if said is not None else _yaml(item))
    if not left_out:
        return None, None
    return "raw_env: [%s]" % ", ".join(parts), (
        "the value of %s may be a secret and is left out: set it in the "
        "environment, or write it with --show-secrets" % ", ".join(left_out))


def convert(path, names, hides):
    """(YAML, [note, …]) of the settings that the file makes. hides("NAME=VALUE")
    tells whether a variable of raw_env has something to hide."""
    with open(path, "rb") as f:
        tree = ast.parse(f.read(), path)
    shown = path.rsplit("/", 1)[-1]
    where = _assignments(tree)
    lines, notes = [], []
    for name, value, source, _own in config.read_file(path):
        if name not in names or isinstance(value, types.ModuleType):
            continue
        node = where.get(name, (0, None))[1]
        text, note = None, None
        if name == "raw_env":
            text, note = _variables(value, node, hides)
        if text is None:
            text, note = _line(name, value, node)
        if note is not None:
            notes.append("%s: %s: %s" % (source, name, note))
            lines.append("# %s: %s" % (name, note))
        if text is not None:
            lines.append(text)
    for line, what in _side_effects(tree):
        note = "nothing in YAML does this: %s" % what
        notes.append("%s:%d: %s" % (shown, line, note))
        lines.append("# line %d: %s" % (line, note))
    return "".join(x + "\n" for x in lines), notes
