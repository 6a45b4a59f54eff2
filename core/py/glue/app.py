"""Finding the application: "module", "module:object", "module:factory(args)"."""
import os
import sys
from keyword import iskeyword


class AppError(Exception):
    """The application cannot be loaded; status is the worker's exit status."""

    def __init__(self, status, text, cause=None):
        super().__init__(text)
        self.status = status
        self.__cause__ = cause


BOOT, APP = 3, 4


def _folders():
    """Where a user's modules may lie: the path without the standard library."""
    library = os.path.dirname(os.__file__)
    found = [p or os.getcwd() for p in sys.path]
    return [p for p in found if os.path.isdir(p) and (
        not p.startswith(library) or p.endswith("-packages"))][:6]


def _found_elsewhere(module):
    """A folder below the current one that has the module's first part."""
    top = module.split(".")[0]
    seen = 0
    for root, dirs, files in os.walk(os.getcwd()):
        depth = root[len(os.getcwd()):].count(os.sep)
        dirs[:] = sorted(d for d in dirs if not d.startswith(".") and d not in (
            "node_modules", "__pycache__", "venv", "site-packages"))[:50]
        if depth >= 2:
            dirs[:] = []
        if depth and (top + ".py" in files or top in dirs):
            return root
        seen += 1
        if seen > 500:
            break
    return None


def _place(error):
    """Where it was raised, in the user's files: " (FILE, line N)"; a syntax
    error says that itself."""
    if isinstance(error, SyntaxError):
        return ""
    found, tb = "", error.__traceback__
    while tb is not None:
        name = tb.tb_frame.f_code.co_filename
        if not name.startswith("<"):
            found = " (%s, line %d)" % (name, tb.tb_lineno)
        tb = tb.tb_next
    return found


def _gone():
    """That the environment of the build is no more, or out of reach, if so."""
    if not sys.executable:
        return ""
    try:
        os.stat(sys.executable)
    except PermissionError:
        return ("; uid %d, which runs this worker, may not reach the files of "
                "Python (%s): give it the right, or use a Python that everybody "
                "can read" % (os.geteuid(), sys.executable))
    except OSError:
        return ("; the Python environment that cgunicorn was built for is gone "
                "(%s): activate another one, or name it with --python, or build "
                "cgunicorn again" % sys.executable)
    return ""


def _no_module(module, error):
    text = "ModuleNotFoundError: No module named '%s' (looked in %s)" % (
        error.name, ", ".join(_folders()))
    if error.name == module and module.endswith(".py") and os.path.exists(module):
        pass
    elif error.name == module.split(".")[0]:
        folder = _found_elsewhere(module)
        if folder:
            text += "; there is one in %s: add --chdir %s, or --pythonpath %s" % (
                folder, folder, folder)
        else:
            text += ": start in the folder that has it, or name that with --chdir"
    return text + _gone()


def _import(module, name):
    if (module.endswith(".py") or "/" in module) and os.path.exists(module):
        plain = module[:-3] if module.endswith(".py") else module
        raise AppError(BOOT, "Failed to find application, did you mean '%s:%s'?"
                       % (plain.strip("./").replace("/", "."), name))
    try:
        __import__(module)
    except ModuleNotFoundError as e:
        whole = module == e.name or module.startswith(str(e.name) + ".")
        if whole:  # the traceback would show importlib and nothing else
            raise AppError(BOOT, _no_module(module, e))
        raise AppError(BOOT, "%s: %s%s%s" % (type(e).__name__, e, _place(e), _gone()), e)
    except SystemExit as e:
        raise AppError(BOOT, "the module '%s' called sys.exit(%s) while it was imported"
                       % (module, "" if e.code is None else e.code), e)
    except BaseException as e:
        raise AppError(BOOT, "%s: %s%s" % (type(e).__name__, e, _place(e)), e)
    return sys.modules[module]


def _near(name, obj):
    from _cgunicorn_glue import standard
    with standard.outside():
        from difflib import get_close_matches

    names = [n for n in vars(obj) if not n.startswith("_")] if hasattr(obj, "__dict__") else []
    near = get_close_matches(name, names, 3, 0.6)
    near += [n for n in ("application", "app", "create_app") if n in names and n not in near]
    return "; there is " + ", ".join("'%s'" % n for n in near) if near else ""


def _parse(spec, text):
    """(dotted name, args, kwargs) of the part behind the colon; args None: no call."""
    if text.isidentifier() and not iskeyword(text):
        return [text], None, None  # the usual case needs no parser
    import ast

    try:
        node = ast.parse(text, mode="eval").body
    except SyntaxError:
        raise AppError(APP, "Failed to parse '%s' as an attribute name or function call." % text)
    args = kwargs = None
    if isinstance(node, ast.Call):
        try:
            args = [ast.literal_eval(a) for a in node.args]
            kwargs = {k.arg: ast.literal_eval(k.value) for k in node.keywords}
        except ValueError:
            raise AppError(APP, "Failed to parse arguments as literal values: '%s'" % text)
        node = node.func
    parts = []
    while isinstance(node, ast.Attribute):
        parts.insert(0, node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        raise AppError(APP, "Failed to parse '%s' as an attribute name or function call." % text)
    return [node.id] + parts, args, kwargs


def _call(factory, name, args, kwargs):
    try:
        return factory(*args, **kwargs)
    except TypeError as e:
        if e.__traceback__.tb_next is None:  # the call itself did not fit
            raise AppError(APP, "TypeError: %s" % e, e)
        raise AppError(BOOT, "TypeError: %s" % e, e)
    except BaseException as e:
        raise AppError(BOOT, "%s: %s" % (type(e).__name__, e), e)


def _load_paste(spec, global_conf):
    from _cgunicorn_glue.paste import get_wsgi_app

    try:
        return get_wsgi_app(spec, defaults=global_conf)
    except BaseException as e:
        raise AppError(BOOT, "%s: %s: %s" % (spec, type(e).__name__, e), e)


def load(spec, global_conf=None):
    """The callable that spec names, or AppError. global_conf is PasteDeploy's."""
    if spec.startswith(("config:", "egg:")):
        from _cgunicorn_glue.paste import is_uri

        if is_uri(spec):
            return _load_paste(spec, global_conf)
    module, _, text = spec.partition(":")
    text = text or "application"
    parts, args, kwargs = _parse(spec, text)
    obj = _import(module, text)
    for i, part in enumerate(parts):
        owner = ".".join([module] + parts[:i])
        if not hasattr(obj, part):
            raise AppError(APP, "Failed to find attribute '%s' in '%s'%s."
                           % (part, owner, _near(part, obj)))
        obj = getattr(obj, part)
    if args is not None:
        obj = _call(obj, text, args, kwargs)
        if obj is None:
            raise AppError(APP, "Failed to find application object: '%s' returned None" % text)
    if obj is None:
        raise AppError(APP, "Failed to find application object: '%s'" % text)
    if not callable(obj):
        hint = ": '%s' in '%s' is of type %s" % (text, module, type(obj).__name__)
        raise AppError(APP, "Application object must be callable" + hint)
    return obj


def _function(app):
    """The function that a call of app runs, and the arguments it has already."""
    bound = 0
    for _ in range(3):
        if hasattr(app, "__func__"):  # a method
            app, bound = app.__func__, bound + 1
        elif hasattr(app, "__code__") and hasattr(app, "__defaults__"):
            return app, bound
        elif isinstance(app, type):
            app, bound = app.__init__, bound + 1
        else:
            app = getattr(app, "__call__", None)
    return None, 0


def is_asgi(app):
    """Whether it is an ASGI application; None: it may be either. (Without
    `inspect`, which every worker would have to load.)"""
    function, bound = _function(app)
    if function is None:
        return None
    code = function.__code__
    if code.co_flags & 0x80:  # async def
        return True
    if code.co_flags & 0x04:  # *args
        return None
    wanted = code.co_argcount - bound - len(function.__defaults__ or ())
    return {3: True, 2: False}.get(wanted)


def check_kind(app, asgi):
    """None, or what is wrong with running it in a class of that kind."""
    found = is_asgi(app)
    if found is None or found == asgi:
        return None
    name = getattr(app, "__qualname__", None) or type(app).__name__
    if found:
        return ("'%s' is an ASGI application, called with (scope, receive, send): "
                "serve it with -k asgi" % name)
    return ("'%s' is a WSGI application, called with (environ, start_response): "
            "serve it with -k sync or -k gthread, not with -k asgi" % name)


def loaded_files():
    """The files of all modules, each with a NUL behind it."""
    files = (getattr(m, "__file__", None) for m in list(sys.modules.values()))
    return b"".join(os.fsencode(f) + b"\0" for f in files
                    if isinstance(f, str) and os.path.isabs(f))


def other_threads():
    """Names of the threads besides this one; empty when nobody uses threads."""
    threading = sys.modules.get("threading")
    if threading is None:
        return ""
    # we are the main thread; eventlet's current_thread() is another object
    ours = (threading.current_thread(), threading.main_thread())
    return ", ".join(
        ascii(t.name) for t in threading.enumerate() if t not in ours)
