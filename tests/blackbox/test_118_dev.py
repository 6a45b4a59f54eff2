# SPDX-License-Identifier: MIT
"""--dev at a terminal, tracebacks in the page, reload and spew in every class."""
import contextlib
import os
import pty
import re
import signal

import pytest

from harness import classes, embedded
from harness.server import command, environment, fill, free_port
from harness.waiting import until
from harness.websocket import CLOSE, WebSocket
from harness.wire import Peer

APP = """\
import os
import word

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/raises":
        raise ValueError("no <such> row")
    if path == "/halts":
        breakpoint()
    if path == "/late":
        start_response("200 OK", [("Content-Length", "3")])
        return late()
    if path == "/lazy":
        return lazy(start_response)
    status = "404 Not Found" if path == "/none" else "200 OK"
    body = ("%s %d" % (word.WORD, os.getpid())).encode()
    start_response(status, [("Content-Length", str(len(body)))])
    return [body]

def late():
    yield b"a"
    raise ValueError("in the middle")

def lazy(start_response):
    raise KeyError("lazily")
    yield b""
"""
ASGI = """\
import os
import word

async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                open("told", "w").write(str(message["code"]))
                return
            await send({"type": "websocket.send", "text": word.WORD})
    if scope["type"] != "http":
        raise RuntimeError("no lifespan")
    if scope["path"] == "/raises":
        raise ValueError("no <such> row")
    body = ("%s %d" % (word.WORD, os.getpid())).encode()
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-length", str(len(body)).encode())]})
    await send({"type": "http.response.body", "body": body})
"""
OWN = """\
from gunicorn.workers.sync import SyncWorker

class Own(SyncWorker):
    pass
"""
FILES = {"app.py": APP, "face.py": ASGI, "own.py": OWN, "word.py": "WORD = 'one'\n"}


def save(s, text, name="word.py"):
    path = s.folder / name
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(path)


def word(s):
    return s.get("/").body.split()[0].decode()


# ---- tracebacks in the page ----


@pytest.mark.parametrize("path", ["/raises", "/lazy"])
def test_a_traceback_is_in_the_page(server, path):
    s = server("--dev", "app:app", files=FILES, announced=["Traceback"])
    why = "ValueError: no <such> row" if path == "/raises" else "KeyError: 'lazily'"
    page = s.get(path)
    assert page.status == 500 and page.one("Content-Type") == "text/plain; charset=utf-8"
    assert "Traceback" in page.body.decode() and why in page.body.decode()
    shown = s.get(path, "Accept: text/html,*/*;q=0.1")
    assert shown.one("Content-Type") == "text/html; charset=utf-8"
    assert why.replace("<", "&lt;").replace(">", "&gt;").replace("'", "&#x27;") in shown.body.decode()
    s.wait_log("Error handling request " + path, 2)
    assert word(s) == "one"


def test_asgi_has_it_too(server):
    s = server("--dev", "-k", "asgi", "face:app", files=FILES, announced=["Traceback"])
    page = s.get("/raises", "Accept: text/html")
    assert page.status == 500 and b"no &lt;such&gt; row" in page.body
    s.wait_log("Error handling request /raises")
    assert word(s) == "one"


@pytest.mark.parametrize("args", [[], ["--reload"]])
def test_no_traceback_without_dev(server, args):
    s = server(*args, "app:app", files=FILES, announced=["Traceback"])
    page = s.get("/raises", "Accept: text/html")
    assert page.status == 500
    assert b"Traceback" not in page.body and b"such" not in page.body


def test_an_answer_that_has_begun_is_cut_off(server):
    s = server("--dev", "app:app", files=FILES, announced=["Traceback"])
    with s.connect() as peer:
        peer.send(b"GET /late HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"Traceback" not in peer.rest()
    s.wait_log("in the middle")
    assert word(s) == "one"


# ---- a terminal ----


class Terminal:
    """The server in a pseudo terminal of its own, which is its controlling one."""

    def __init__(self, folder, *args, env=None):
        fill(folder, FILES)
        self.port = free_port()
        self.shown = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            argv = [*command(), "-b", f"127.0.0.1:{self.port}", *args]
            os.execvpe(argv[0], argv, environment(folder, {"TERM": "xterm", **(env or {})}))
        os.set_blocking(self.fd, False)

    def read(self):
        with contextlib.suppress(OSError, BlockingIOError):
            self.shown += os.read(self.fd, 65536)
        return self.shown.decode("utf-8", "replace")

    def wait(self, pattern):
        return until(lambda: re.search(pattern, self.read()),
                     lambda: f"{pattern!r} is shown:\n{self.read()}")

    def type(self, text):
        os.write(self.fd, text.encode())

    def ask(self, path):
        peer = Peer(("127.0.0.1", self.port))
        peer.send(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        return peer

    def end(self):
        self.type("\x03")
        status = []

        def ended():
            self.read()
            pid, found = os.waitpid(self.pid, os.WNOHANG)
            status.append(found)
            return pid == self.pid
        try:
            until(ended, "Ctrl-C ends it")
        except AssertionError:
            os.kill(self.pid, signal.SIGKILL)
            raise
        finally:
            os.close(self.fd)
        return os.waitstatus_to_exitcode(status[-1])


@pytest.fixture
def terminal(tmp_path):
    made = []

    def make(*args, **more):
        made.append(Terminal(tmp_path, *args, **more))
        return made[-1]
    yield make
    for one in made:
        assert one.end() == 0


def test_a_terminal_shows_where_it_serves_and_colours(terminal):
    t = terminal("--dev", "app:app")
    t.wait(r"while you develop it:\s+\x1b\[1mhttp://127\.0\.0\.1:%d\x1b\[0m" % t.port)
    for path, colour in (("/", 32), ("/none", 33)):
        with t.ask(path) as peer:
            peer.rest()
        t.wait(r"\x1b\[%dm127\.0\.0\.1 [^\n]*GET %s [^\n]*\x1b\[0m" % (colour, path))


@pytest.mark.parametrize("args, env", [
    (["--dev"], {"NO_COLOR": "1"}), (["--dev"], {"TERM": "dumb"}),
    (["--access-logfile", "-"], {}),
])
def test_no_colours_where_they_are_not_wanted(terminal, args, env):
    t = terminal(*args, "app:app", env=env)
    t.wait("Booting worker")
    with t.ask("/") as peer:
        peer.rest()
    t.wait(r'GET / HTTP/1\.1" 200')
    assert "\x1b[" not in t.read()


def test_a_pipe_has_the_address_without_colours(server):
    s = server("--dev", "app:app", files=FILES)
    assert word(s) == "one"
    until(lambda: "GET / " in s.stdout(), "it is logged")
    until(lambda: f"http://127.0.0.1:{s.address[1]}\n" in s.stdout(), "the address is shown")
    assert "\x1b[" not in s.stdout()


@pytest.mark.skipif(classes.has_package(), reason="a loop's class runs the debugger in a greenlet")
def test_breakpoint_has_the_terminal(terminal):
    t = terminal("--dev", "app:app")
    t.wait("Booting worker")
    with t.ask("/halts") as peer:
        t.wait(r"\(Pdb\) ")
        t.type("p 6 * 7\n")
        t.wait(r"\b42\b")
        t.type("c\n")
        assert b"200 OK" in peer.rest()


# ---- reload in every class ----

CLASSES = {
    "gthread": ["--threads", "4", "app:app"], "gevent": ["-k", "gevent", "app:app"],
    "tornado": ["-k", "tornado", "app:app"], "asgi": ["-k", "asgi", "face:app"],
    "dotted": ["-k", "own.Own", "app:app"],
}


@pytest.mark.parametrize("name", CLASSES)
def test_every_class_loads_a_change(run, server, name):
    if name in ("gevent", "tornado"):
        classes.skip_unless_installed(run, name)
    s = server("--reload", *CLASSES[name], files=FILES)
    assert word(s) == "one"
    save(s, "WORD = 'two'\n")
    until(lambda: word(s) == "two", "the new code is served")
    s.wait_log(r"Worker reloading: .*word\.py modified")


def test_a_websocket_is_told_1012(server):
    s = server("--reload", "-k", "asgi", "face:app", files=FILES)
    with WebSocket(s.address, "/") as ws:
        ws.say("?")
        assert ws.hear() == "one"
        save(s, "WORD = 'two'\n")
        assert ws.frame() == (CLOSE, (1012).to_bytes(2, "big"))
    until(lambda: (s.folder / "told").exists(), "the application is told")
    assert (s.folder / "told").read_text() == "1012"
    until(lambda: word(s) == "two", "the new code is served")


# ---- spew ----


@pytest.mark.parametrize("way", ["monitoring", "settrace"])
def test_spew_goes_the_way_of_the_version(server, way):
    """In 3.12 and newer every thread is traced, before those of threading."""
    if (embedded.told()["version"] >= [3, 12]) != (way == "monitoring"):
        pytest.skip("another version of Python goes that way")
    app = APP + """
import sys
if hasattr(sys, "monitoring"):
    print("tool:", sys.monitoring.get_tool(4))
else:
    print("trace:", sys.gettrace().__module__)
"""
    s = server("--spew", "--threads", "2", "app:app", files={**FILES, "app.py": app},
               env={"PYTHONUNBUFFERED": "1"})
    s.get("/")
    told = "tool: spew" if way == "monitoring" else "trace: _cgunicorn_glue.spew"
    until(lambda: told in s.stdout(), "it says which way")
    until(lambda: re.search(r'^app:\d+:     path = environ\["PATH_INFO"\]$', s.stdout(), re.M),
          "a thread's lines are printed")
