# SPDX-License-Identifier: MIT
"""HUP with a configuration that lies, raises or writes what it likes, in every
class: whatever becomes of the reload, the server says it and serves on."""
import pytest

from harness import classes
from harness.waiting import until

KINDS = ["sync", "gthread", "gevent", "tornado", "asgi"]
APPS = """
def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]

async def asgi(scope, receive, send):
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})
"""
HOSTILE = """
import os
LATER = os.path.exists("later")

class Hostile:
    def bad(self, *args):
        raise ValueError("hostile")
    __str__ = __repr__ = __bool__ = __int__ = __index__ = __float__ = bad
    __iter__ = __len__ = __eq__ = __fspath__ = __getattr__ = bad
    __hash__ = None

class Text(str):
    def __str__(self):
        raise ValueError("hostile")
    __repr__ = encode = lower = strip = __str__

class Number(int):
    def __index__(self):
        raise ValueError("hostile")
    __int__ = __str__ = __repr__ = __bool__ = __index__

class Hook:
    def __init__(self, n):
        self.n = n
    def __call__(self, *args):
        raise BaseException(Hostile())
    def __repr__(self):
        raise BaseException("hostile")
    @property
    def __name__(self):
        raise BaseException("hostile")
    @property
    def __code__(self):
        raise BaseException("hostile")

if LATER:
"""
CONFIGURATIONS = {
    "values that raise": """
    timeout = Hostile()
    keepalive = Hostile()
    worker_connections = Hostile()
""",
    "values that lie": """
    timeout = Number(30)
    graceful_timeout = Number(2)
    worker_connections = Number(50)
    proc_name = Text("x")
    raw_env = [Text("A=b")]
""",
    "a file that raises": """
    class Odd(BaseException):
        def __str__(self):
            raise SystemError("hostile")
    raise Odd("x" * 100000)
""",
    "hooks before the worker serves": """
    pre_fork = Hook(2)
    post_fork = Hook(2)
    post_worker_init = Hook(1)
""",
    "hooks while it serves": """
    pre_request = Hook(2)
    post_request = Hook(4)
    worker_exit = Hook(2)
    child_exit = Hook(2)
    worker_int = Hook(1)
    nworkers_changed = Hook(3)
""",
    "hooks that write": """
    def write(*objects):
        for o in objects:
            for name in ("nr", "age", "tmp", "booted", "max_requests", "sockets",
                         "ppid", "worker_connections", "address"):
                for value in ("x" * 100000, None, Number(7), Hostile()):
                    try:
                        setattr(o, name, value)
                    except Exception:
                        pass
            for name in ("timeout", "keepalive", "threads", "worker_connections",
                         "graceful_timeout", "max_requests", "worker_class"):
                for value in (Hostile(), Text("x"), "y" * 100000, -1, None):
                    try:
                        o.cfg.set(name, value)
                    except Exception:
                        pass

    def on_reload(server):
        write(server)

    def post_fork(server, worker):
        write(server, worker)

    def post_worker_init(worker):
        write(worker)

    def worker_exit(server, worker):
        write(worker)
""",
}
ENDED = (r"Reload (done|failed)", )


def serves(server):
    try:
        r = server.get("/")
        return r.status in (200, 500)
    except (OSError, AssertionError):
        return False


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_outlives_hostile_reloads(run, server, kind):
    if kind not in ("sync", "gthread", "asgi"):
        classes.skip_unless_installed(run, kind)
    name = "asgi" if kind == "asgi" else "wsgi"
    s = server(f"shop:{name}", "-k", kind, "--graceful-timeout", "2",
               files={"shop.py": APPS}, config="")
    s.announce("hostile", "Reload failed", "Exception", "Error", "Traceback",
               r"Worker \(pid:\d+\)", "hook", "Odd", "worker", "SystemError")
    (s.folder / "later").touch()
    for what, text in CONFIGURATIONS.items():
        ended = s.log_count(ENDED[0])
        (s.folder / "conf.py").write_text(HOSTILE + text)
        s.signal("HUP")
        s.wait_log(ENDED[0], ended + 1)
        until(lambda: serves(s), lambda: f"after {what}:\n" + s.tail())
    # and what is right again is served again
    ended = s.log_count(ENDED[0])
    (s.folder / "conf.py").write_text("keepalive = 3\n")
    s.signal("HUP")
    s.wait_log("Reload done", s.log_count("Reload done") + 1)
    until(lambda: s.get("/").body == b"ok", lambda: s.tail())
    assert s.stop() == 0
    assert "Fatal" not in s.log()
