# SPDX-License-Identifier: MIT
"""One run of the program under test, in a folder of its own."""
import contextlib
import os
import pathlib
import re
import shlex
import shutil
import signal
import socket
import subprocess

from . import dotted, logcheck, processes, sealed, wire
from .waiting import DEADLINE, until

HERE = pathlib.Path(__file__).resolve().parent.parent
ROOT = HERE.parent.parent
APPS = HERE / "apps"
# Variables that would change what the program does.
UNWANTED = re.compile(
    r"GUNICORN_|CGUNICORN|WEB_CONCURRENCY|PORT\Z|FORWARDED_ALLOW_IPS|SENDFILE"
    r"|SCRIPT_NAME|LISTEN_|NOTIFY_SOCKET|XDG_RUNTIME_DIR|DJANGO_|FLASK_"
)
LISTENING = re.compile(r"Listening at: .* \((\d+)\)")


def command():
    given = os.environ.get("CGUNICORN")
    return shlex.split(given) if given else [str(ROOT / "cgunicorn")]


def environment(folder, extra=None):
    env = {k: v for k, v in os.environ.items() if not UNWANTED.match(k)}
    env["XDG_RUNTIME_DIR"] = str(folder)
    env["LC_ALL"] = "C.UTF-8"
    if "eventlet" in command():  # new ones advise to use something else
        env.setdefault("PYTHONWARNINGS", "ignore:::importlib")
    if dotted.name(command()):
        env["PYTHONPATH"] = ":".join(filter(None, (dotted.FOLDER, env.get("PYTHONPATH"))))
    for name, value in (extra or {}).items():
        if value is None:
            env.pop(name, None)
        else:
            env[name] = str(value)
    return env


def free_port(family=socket.AF_INET):
    """A port that was free a moment ago; starting copes with a collision."""
    with socket.socket(family) as s:
        s.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        return s.getsockname()[1]


def has_ipv6():
    try:
        free_port(socket.AF_INET6)
    except OSError:
        return False
    return True


def fill(folder, files=None, apps=()):
    """Writes files (name -> text) and copies shared applications."""
    for name in apps:
        source = APPS / name
        if source.is_dir():
            shutil.copytree(source, folder / name)
        else:
            shutil.copy(source, folder / name)
    for name, text in (files or {}).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(text, bytes):
            path.write_bytes(text)
        else:
            path.write_text(text, encoding="utf-8")


SPEC = re.compile(r"[a-z_][\w.]*:[a-z_][\w.]*")


def faced(folder, args):
    """For classes that serve ASGI: WSGI applications behind a face."""
    named = "-k" in args or "--worker-class" in args
    specs = [a for a in args if SPEC.fullmatch(str(a)) and
             (folder / (a.partition(":")[0].replace(".", "/") + ".py")).exists()]
    if not set(dotted.FACED) & set(command()) or named or not specs:
        return args
    fill(folder, apps=["asgi_face.py"])
    return [f"asgi_face:face('{a}')" if a in specs else a for a in args]


class Server:
    """
    bind: "tcp", "tcp6", "unix", or None when the arguments name their own.
    config: text of a Python configuration file, given with -c.
    errorlog: where the error log goes if it is not stderr.
    program: another one than the program under test, to compare it with.
    """

    def __init__(self, folder, *args, files=None, apps=(), config=None,
                 env=None, bind="tcp", errorlog=None, announced=(),
                 pass_fds=(), daemon=False, pidfile="server.pid", io=None,
                 program=None, stdin=subprocess.DEVNULL):
        self.stdin = stdin
        self.program = program or command()
        self.folder = pathlib.Path(folder)
        self.args = list(args)
        self.env = environment(self.folder, env)
        self.bind = bind
        self.errorlog = self.folder / errorlog if errorlog else None
        self.announced = list(announced)
        if dotted.name(self.program):
            self.announced.append(dotted.TOLD_OF_TIMEOUTS)
        self.pass_fds = pass_fds
        self.daemon = daemon
        self.pidfile = self.folder / pidfile
        self.io = io or self.folder.parent / (self.folder.name + ".io")
        self.io.mkdir(exist_ok=True)
        self.process = None
        self.pid = None
        self.status = None
        self.address = None
        self.checked = 0
        self.expected_status = 0
        fill(self.folder, files, apps)
        if not program:
            self.args = faced(self.folder, self.args)
        if config is not None:
            (self.folder / "conf.py").write_text(config, encoding="utf-8")
            self.args = ["-c", "conf.py", *self.args]

    # ---- starting ----

    def _bind_args(self):
        if self.bind == "unix":
            self.address = str(self.folder / "s.sock")
            return ["--bind", "unix:" + self.address]
        if self.bind == "tcp6":
            self.address = ("::1", free_port(socket.AF_INET6))
            return ["--bind", f"[::1]:{self.address[1]}"]
        if self.bind == "tcp":
            self.address = ("127.0.0.1", free_port())
            return ["--bind", f"127.0.0.1:{self.address[1]}"]
        return []

    def launch(self):
        """Starts the program; says nothing about readiness."""
        tls = sealed.arguments() if sealed.wanted() else []
        self.argv = self.program + self._bind_args() + tls + self.args
        with open(self.io / "stdout", "wb") as out, \
                open(self.io / "stderr", "ab") as err:
            self.process = subprocess.Popen(
                self.argv, cwd=self.folder, env=self.env, stdout=out,
                stderr=err, stdin=self.stdin,
                pass_fds=self.pass_fds, start_new_session=True,
            )
        self.pid = self.process.pid
        return self

    def start(self):
        for attempt in range(5):
            self.launch()
            if self._came_up():
                return self
            self.process.kill()
            self.process.wait()
            (self.io / "stderr").unlink()
        raise AssertionError("no free port in five attempts")

    def _came_up(self):
        """False when somebody else has taken the port in the meantime."""
        if self.daemon:
            return self._daemon_came_up()
        until(lambda: self._is_listening() or self._lost_port(),
              lambda: "listening; the log is:\n" + self.tail())
        if self._lost_port():
            return False
        if self.address:
            self.connect().close()
        return True

    def _lost_port(self):
        return self.bind in ("tcp", "tcp6") and "Connection in use" in self.log()

    def _is_listening(self):
        if self.process.poll() is not None:
            raise AssertionError(
                f"{shlex.join(map(str, self.argv))} ended with "
                f"{self.process.returncode}:\n{self.tail()}{self.stdout()}"
            )
        return LISTENING.search(self.log())

    def _daemon_came_up(self):
        status = self.process.wait(DEADLINE)
        if self._lost_port():
            return False
        assert status == 0, (status, self.log())
        self.pid = until(self.read_pidfile, "the pidfile holds a pid")
        return True

    def read_pidfile(self):
        with contextlib.suppress(FileNotFoundError, ValueError):
            return int(self.pidfile.read_text())
        return None

    # ---- talking ----

    def connect(self):
        return wire.Peer(self.address)

    def get(self, path="/", *fields, **kw):
        return wire.fetch(self.address, path, *fields, **kw)

    def post(self, path, body, *fields):
        return wire.fetch(self.address, path, *fields, method="POST", body=body)

    def url(self, path="/"):
        host = self.address[0]
        host = f"[{host}]" if ":" in host else host
        scheme = "https" if sealed.wanted() else "http"
        return f"{scheme}://{host}:{self.address[1]}{path}"

    # ---- logs ----

    def stdout(self):
        return _read(self.io / "stdout")

    def stderr(self):
        return _read(self.io / "stderr")

    def log(self):
        return self.stderr() + (_read(self.errorlog) if self.errorlog else "")

    def announce(self, *patterns):
        """Trouble in the log that this test means to cause."""
        self.announced += patterns

    def tail(self):
        """The end of the log, for messages."""
        return self.log()[-6000:]

    def wait_log(self, pattern, count=1):
        """Waits for the count-th match and returns it."""
        found = until(
            lambda: _enough(re.findall(pattern, self.log()), count),
            lambda: f"{count} x {pattern!r} in the log:\n{self.tail()}",
        )
        return found[count - 1]

    def log_count(self, pattern):
        return len(re.findall(pattern, self.log()))

    def check_log(self):
        """Fails on trouble nobody announced since the last check."""
        text = self.log()
        new, self.checked = text[self.checked:], len(text)
        found = logcheck.trouble(new, self.announced)
        assert not found, "unexpected in the log:\n" + "\n".join(found)[:6000]

    # ---- processes ----

    def workers(self):
        return processes.children(self.pid)

    def wait_workers(self, count):
        """Pids of the workers once there are exactly `count`."""
        return until(
            lambda: len(self.workers()) == count and (self.workers() or [0]),
            lambda: f"{count} workers; there are {self.workers()}, the log is:"
                    f"\n{self.tail()}",
        )

    def signal(self, name):
        os.kill(self.pid, getattr(signal, "SIG" + name))

    def is_alive(self):
        return self.status is None and processes.is_running(self.pid)

    def wait(self, seconds=DEADLINE):
        """Waits for the end and returns the exit status."""
        if self.status is None:
            if self.daemon:
                self.status = processes.reap(self.pid)
            else:
                try:
                    self.status = self.process.wait(seconds)
                except subprocess.TimeoutExpired:
                    raise AssertionError(
                        f"still running; the log is:\n{self.tail()}"
                    ) from None
        return self.status

    def stop(self, name="TERM"):
        if self.status is None:
            self.signal(name)
        return self.wait()

    def tree(self):
        return ({self.pid} | processes.descendants(self.pid)
                | set(processes.keepers(self.pid)))


def _read(path):
    try:
        return path.read_bytes().decode("utf-8", "backslashreplace")
    except FileNotFoundError:
        return ""


def _enough(found, count):
    return found if len(found) >= count else None
