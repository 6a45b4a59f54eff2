# SPDX-License-Identifier: MIT
"""What `reload` asks of Python: which files are the application's, and the
page that stands in for an application which cannot be loaded."""
import os
import sys
import sysconfig

from _cgunicorn_glue import fault_page


def _library():
    """Folders of the standard library."""
    paths = sysconfig.get_paths()
    return {os.path.realpath(paths[k]) for k in ("stdlib", "platstdlib") if k in paths}


def _is_below(path, folders):
    return any(path == f or path.startswith(f.rstrip("/") + "/") for f in folders)


def _roots(library):
    """Folders of code at any depth: where the server was started, and what is
    on the path that nobody has installed."""
    prefixes = {os.path.realpath(p) for p in (sys.prefix, sys.base_prefix)}
    home = os.path.realpath(os.path.expanduser("~"))
    roots = set()
    for entry in [os.getcwd()] + sys.path:
        path = os.path.realpath(entry or ".")
        if path in ("/", home) or not os.path.isdir(path):
            continue
        if _is_below(path, library) or path in prefixes:
            continue
        if os.path.basename(path) in ("site-packages", "dist-packages"):
            continue
        roots.add(path)
    return {r for r in roots if not _is_below(r, roots - {r})}


def _module_files(library, roots):
    """Files of modules that lie elsewhere: installed packages."""
    for module in list(sys.modules.values()):
        try:
            path = module.__file__
        except Exception:
            continue
        if not isinstance(path, str):
            continue
        path = os.path.abspath(path)
        if path.endswith((".pyc", ".pyo")):
            path = path[:-1]
        packages = "/site-packages/" in path or "/dist-packages/" in path
        if os.path.isfile(path) and (packages or not _is_below(
                os.path.realpath(path), library)) and not (
                path.endswith(".py") and not packages and _is_below(path, roots)):
            yield path


def places(extra, config):
    """Each a letter and a path, as the watching thread reads them."""
    library = _library()
    roots = _roots(library)
    found = ["C" + r for r in sorted(roots)]
    found += ["F" + f for f in sorted(set(_module_files(library, roots)))]
    for path in list(extra or ()) + ([config] if config else []):
        path = os.path.abspath(path)
        kind = ("D" if os.path.isdir(path)
                else "F" if os.path.exists(path) or not set(path) & set("*?[")
                else "G")
        found.append(kind + path)
    return b"".join(os.fsencode(p) + b"\0" for p in found)


class Fault:
    """Answers every request with the traceback, by WSGI and by ASGI."""

    def __init__(self, text):
        self.text = text

    def _page(self, accept):
        return fault_page.make("The application cannot be loaded", self.text,
                               "It is loaded again as soon as a file of it changes.", accept)

    def __call__(self, *args):
        if len(args) == 3:
            return self._asgi(*args)
        environ, start_response = args
        kind, body = self._page(environ.get("HTTP_ACCEPT", ""))
        start_response("500 Internal Server Error", fault_page.headers(kind, body))
        return [body]

    async def _asgi(self, scope, receive, send):
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                await send({"type": message["type"] + ".complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1011})
            return
        await fault_page.send(send, *self._page(fault_page.accepted(scope)))
