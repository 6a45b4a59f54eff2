# SPDX-License-Identifier: MIT
"""Server hooks: which, where, in what order, with what; and bad ones."""
import os
import re
import signal

import pytest

from harness import classes, processes
from harness.control import told
from harness.waiting import until

APP = """\
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"),
                              ("Content-Length", "2")])
    return [b"ok"]
"""
# Every hook notes its process (Master or Worker) and its arguments.
NOTING = """\
import os
from gunicorn.workers.base import Worker

MASTER = os.getpid()
workers = 1

def note(name, *args):
    who = "M" if os.getpid() == MASTER else "W"
    plain = (int, str, type(None))
    shown = [repr(a) if isinstance(a, plain) else "Worker"
             if isinstance(a, Worker) else type(a).__name__ for a in args]
    with open("hooks", "a") as f:
        f.write("%s %s(%s)\\n" % (who, name, ", ".join(shown)))

def on_starting(server): note("on_starting", server, server.num_workers)
def on_reload(server): note("on_reload", server)
def when_ready(server):
    note("when_ready", server, len(server.LISTENERS), server.pid - MASTER)
def pre_fork(server, worker):
    worker.mark = "set before the fork"
    note("pre_fork", server, worker, worker.pid, worker.age)
def post_fork(server, worker):
    note("post_fork", server, worker, worker.mark, worker.pid - os.getpid(),
         worker.booted)
def post_worker_init(worker):
    note("post_worker_init", worker, worker.mark, worker.booted)
def worker_int(worker): note("worker_int", worker, worker.alive)
def worker_abort(worker): note("worker_abort", worker, worker.alive)
def pre_exec(server): note("pre_exec", server)
def pre_request(worker, req): note("pre_request", worker, req, req.path)
def post_request(worker, req, environ, resp):
    note("post_request", worker, req, environ, resp, resp.status)
def child_exit(server, worker):
    note("child_exit", server, worker, worker.mark, type(worker.pid).__name__)
def worker_exit(server, worker): note("worker_exit", server, worker, worker.nr)
def nworkers_changed(server, new, old):
    note("nworkers_changed", server, new, old)
def on_exit(server): note("on_exit", server)
"""
BOOT = """\
M pre_fork(Arbiter, Worker, '[booting]', {age})
W post_fork(Arbiter, Worker, 'set before the fork', 0, False)
W post_worker_init(Worker, 'set before the fork', False)
"""
DEATH = """\
W worker_exit(Arbiter, Worker, <n>)
M child_exit(Arbiter, Worker, 'set before the fork', 'int')
"""


class Hooks:
    def __init__(self, server):
        self.path = server.folder / "hooks"
        self.seen = 0

    def expect(self, wanted):
        """The next notes, exactly; <n> is any number."""
        pattern = re.escape(wanted).replace("<n>", r"\d+")
        lines = wanted.count("\n")

        def got():
            text = self.path.read_text() if self.path.exists() else ""
            return text[self.seen:]
        until(lambda: got().count("\n") >= lines,
              lambda: f"these hooks:\n{wanted}\nthere are:\n{got()}")
        text = got()
        assert re.fullmatch(pattern, text), f"{wanted}\nthere are:\n{text}"
        self.seen += len(text)


@pytest.fixture
def noted(server):
    def make(*args):
        s = server("shop:app", *args, config=NOTING, files={"shop.py": APP})
        hooks = Hooks(s)
        hooks.expect("M nworkers_changed(Arbiter, 1, None)\n"
                     "M on_starting(Arbiter, 1)\n"
                     "M when_ready(Arbiter, 1, 0)\n" + BOOT.format(age=1))
        return s, hooks
    return make


def test_hooks_of_a_life_come_in_gunicorns_order(noted):
    s, hooks = noted()
    s.get("/x")
    hooks.expect("W pre_request(Worker, Request, '/x')\n"
                 "W post_request(Worker, Request, dict, Response, '200 OK')\n")
    s.signal("TTIN")
    hooks.expect("M nworkers_changed(Arbiter, 2, 1)\n" + BOOT.format(age=2))
    s.signal("TTOU")
    hooks.expect("M nworkers_changed(Arbiter, 1, 2)\n" + DEATH)
    s.signal("HUP")
    hooks.expect("M nworkers_changed(Arbiter, 1, 1)\nM on_reload(Arbiter)\n"
                 + BOOT.format(age=3) + DEATH)
    os.kill(s.workers()[0], signal.SIGINT)
    hooks.expect("W worker_int(Worker, False)\n" + DEATH
                 + BOOT.format(age=4))
    os.kill(s.workers()[0], signal.SIGABRT)
    hooks.expect("W worker_abort(Worker, False)\n" + DEATH
                 + BOOT.format(age=5))
    assert s.stop() == 0
    hooks.expect(DEATH + "M on_exit(Arbiter)\n")


def test_a_killed_worker_has_its_child_exit(noted):
    s, hooks = noted()
    os.kill(s.workers()[0], signal.SIGKILL)
    hooks.expect(DEATH.splitlines(True)[1] + BOOT.format(age=2))


# ---- hooks that go wrong ----


BEFORE = [("on_starting", "server"), ("when_ready", "server"),
          ("nworkers_changed", "server, new, old"),
          ("pre_fork", "server, worker")]


@pytest.mark.parametrize("hook, args", BEFORE[:3])
def test_a_hook_that_fails_before_anything_serves_ends_the_start(
        run, hook, args):
    r = run("-c", "conf.py", "-b", "unix:s.sock", "--pid", "p", "shop:app",
            files={"shop.py": APP,
                   "conf.py": f"def {hook}({args}):\n    1 / 0\n"},
            announced=["."])
    assert r.status == 1
    r.line_with(hook)


@pytest.mark.parametrize("hook, args", BEFORE)
@pytest.mark.parametrize("given, status, shown", [
    ("7", 7, ""), ("", 0, ""), ("'not today'", 1, "not today\n")])
def test_sys_exit_before_anything_serves_is_the_exit_status(
        run, tmp_path, hook, args, given, status, shown):
    r = run("-c", "conf.py", "-b", "unix:s.sock", "--pid", "p", "shop:app",
            files={"shop.py": APP, "conf.py":
                   f"import sys\ndef {hook}({args}):\n    sys.exit({given})\n"})
    assert r.status == status
    assert shown in r.err
    assert "Traceback" not in r.err and "Booting worker" not in r.err
    assert not list(tmp_path.rglob("p")) and not list(tmp_path.rglob("s.sock"))


@pytest.mark.parametrize("hook, args", [
    ("pre_fork", "server, worker"), ("child_exit", "server, worker"),
    ("on_reload", "server"), ("nworkers_changed", "server, new, old")])
def test_a_hook_that_fails_in_the_master_is_told_and_survived(
        server, hook, args):
    s = server("shop:app", files={"shop.py": APP}, config=f"""\
import os
def {hook}({args}):
    if os.path.exists("now"):
        1 / 0
""", announced=["Exception in the hook"])
    victim = s.wait_workers(1)[0]
    s.get("/")
    (s.folder / "now").write_text("")
    s.signal("HUP")
    processes.wait_gone(victim, "the old worker")
    s.wait_log(rf"\[ERROR\] Exception in the hook {hook}\n")
    assert s.get("/").status == 200


@pytest.mark.parametrize("hook, args, sent", [
    ("pre_fork", "server, worker", "HUP"),
    ("child_exit", "server, worker", "HUP"),
    ("child_exit", "server, worker", "TERM"),
    ("on_reload", "server", "HUP"), ("on_exit", "server", "TERM"),
    ("nworkers_changed", "server, new, old", "TTIN")])
def test_sys_exit_in_the_master_stops_the_server_with_that_status(
        server, hook, args, sent):
    s = server("shop:app", "--pid", "p", files={"shop.py": APP}, config=f"""\
import os, sys
def {hook}({args}):
    if os.path.exists("now"):
        sys.exit(7)
""")
    s.expected_status = 7
    s.get("/")
    (s.folder / "now").write_text("")
    s.signal(sent)
    assert s.wait() == 7
    assert not (s.folder / "p").exists()
    assert "Traceback" not in s.log()
    if sent != "TERM":
        s.wait_log(rf"Reason: sys\.exit\(7\) in the hook {hook}\.")


@pytest.mark.parametrize("hook, args, sent", [
    ("pre_fork", "server, worker", "HUP"),
    ("child_exit", "server, worker", "HUP"), ("on_reload", "server", "HUP"),
    ("nworkers_changed", "server, new, old", "TTIN")])
@pytest.mark.parametrize("raised, status, level, reason", [
    ("raise HaltServer('the licence has ended', 9)", 9, "ERROR",
     "the licence has ended"),
    ("raise HaltServer('enough')", 1, "ERROR", "enough"),
    ("raise HaltServer(None, 0)", 0, "INFO", None),
    ("server.halt('moved', 5)", 5, "ERROR", "moved")])
def test_halt_server_in_the_master_ends_it_with_its_reason_and_status(
        server, hook, args, sent, raised, status, level, reason):
    s = server("shop:app", "--pid", "p", files={"shop.py": APP}, config=f"""\
import os
from gunicorn.errors import HaltServer

def {hook}({args}):
    if os.path.exists("now"):
        {raised}

def on_exit(server):
    server.log.info("good bye")
""", announced=["Shutting down", "Reason"])
    s.expected_status = status
    s.get("/")
    (s.folder / "now").write_text("")
    s.signal(sent)
    assert s.wait() == status
    s.wait_log(rf"\[{level}\] Shutting down: Master\n")
    assert s.log_count(r"\] Reason: ") == (reason is not None)
    if reason is not None:
        s.wait_log(rf"\[ERROR\] Reason: {reason}\n")
    s.wait_log("good bye")
    assert "Traceback" not in s.log()
    assert not (s.folder / "p").exists()


@pytest.mark.parametrize("hook, args", [
    ("post_fork", "server, worker"), ("post_worker_init", "worker")])
def test_sys_exit_in_a_new_worker_ends_that_worker_with_it(server, hook, args):
    """And as in gunicorn the master goes on trying."""
    s = server("shop:app", files={"shop.py": APP}, bind="unix", config=f"""\
import os, sys
def {hook}({args}):
    if not os.path.exists("now"):
        sys.exit(7)
""")
    s.wait_log(r"Worker \(pid:\d+\) exited with code 7\.", 2)
    assert "Traceback" not in s.log()
    (s.folder / "now").write_text("")
    assert s.get("/").status == 200


def test_sys_exit_in_worker_exit_is_the_workers_status(server):
    s = server("shop:app", files={"shop.py": APP}, config="""\
import sys
def worker_exit(server, worker):
    sys.exit(7)
""")
    s.get("/")
    assert s.stop() == 0
    s.wait_log(r"Worker \(pid:\d+\) exited with code 7\.")
    assert "Exception" not in s.log()


def test_hooks_that_fail_in_a_new_worker_halt_the_start_with_3(run):
    for hook, args in (("post_fork", "server, worker"),
                       ("post_worker_init", "worker")):
        r = run("-c", "conf.py", "-b", "unix:s.sock", "shop:app",
                files={"shop.py": APP,
                       "conf.py": f"def {hook}({args}):\n    1 / 0\n"},
                announced=["."])
        assert r.status == 3
        r.line_with("Reason: Worker failed to boot.")


def test_halt_server_in_a_worker_is_no_end_of_the_server(server):
    """gunicorn's worker takes the pidfile and the socket with it."""
    s = server("shop:app", "--pid", "p", bind="unix", files={"shop.py": APP},
               config="""\
from gunicorn.errors import HaltServer
def worker_int(worker):
    raise HaltServer("enough", 9)
def on_exit(server):
    server.log.info("good bye")
""", announced=["HaltServer"])
    s.get("/")
    worker = s.workers()[0]
    os.kill(worker, signal.SIGINT)
    s.wait_log("HaltServer: <HaltServer 'enough' 9>")
    processes.wait_gone(worker, "the worker")
    assert s.get("/").status == 200
    assert (s.folder / "p").read_text() == f"{s.pid}\n"
    assert s.log_count("good bye|Shutting down") == 0
    assert s.stop() == 0
    assert s.log_count("good bye") == 1


def test_a_worker_exit_that_fails_is_told(server):
    s = server("shop:app", files={"shop.py": APP}, config="""\
def worker_exit(server, worker):
    1 / 0
""", announced=["Exception during worker exit"])
    s.get("/")
    assert s.stop() == 0
    s.wait_log(r"\[WARNING\] Exception during worker exit:\n(.*\n)*"
               "ZeroDivisionError")


@classes.needs_sleep_that_blocks
def test_a_worker_abort_that_hangs_is_ended_by_kill(server):
    s = server("shop:app", "--timeout", "1", files={"shop.py": """\
def app(environ, start_response):
    while True:
        pass
"""}, config="""\
import time
def worker_abort(worker):
    time.sleep(3600)
""", announced=["WORKER TIMEOUT", "is running:", "Stacks of worker"])
    with s.connect() as peer:
        peer.get("/")
        s.wait_log("was sent SIGKILL! It was silent for longer than timeout")
        s.wait_log("Booting worker", 2)
        peer.rest()


def test_threads_of_a_hook_run_in_the_master_and_steer_it(server):
    s = server("shop:app", files={"shop.py": APP}, config="""\
import threading, time
def work(server):
    while not server.WORKERS:
        time.sleep(0.01)
    server.num_workers = 3
    server.log.info("asked for %s", server.num_workers)
def when_ready(server):
    threading.Thread(target=work, args=(server,), daemon=True).start()
""")
    s.wait_log("asked for 3")
    s.wait_workers(3)


def test_a_thread_of_a_hook_may_run_commands(server):
    # the master's own waiting must not take their exit status
    s = server("shop:app", files={"shop.py": APP}, config="""\
import os, subprocess, threading, time
def work(server):
    while not os.path.exists("now"):  # no fork of a worker in between
        time.sleep(0.01)
    codes = {subprocess.run(["sh", "-c", "exit 5"]).returncode
             for _ in range(30)}
    server.log.info("codes %s", codes)
def when_ready(server):
    threading.Thread(target=work, args=(server,), daemon=True).start()
""")
    s.get("/")
    (s.folder / "now").write_text("")
    s.wait_log(r"codes \{5\}")
    assert s.get("/").status == 200


def test_a_hook_that_forks_leaves_no_zombie(server):
    s = server("shop:app", files={"shop.py": APP}, config="""\
import os
def when_ready(server):
    for _ in range(3):
        if os.fork() == 0:
            os._exit(0)
""")
    s.get("/")
    until(lambda: processes.zombies(s.pid) == [], "no zombie is left")


def test_a_child_of_a_hook_has_signals_of_its_own(server):
    # multiprocessing ends its children by TERM, which is not the server's
    s = server("shop:app", files={"shop.py": APP}, config="""\
import os, signal, threading, time
def work(server):
    while not server.WORKERS:
        time.sleep(0.01)
    for n in (signal.SIGTERM, signal.SIGHUP):
        pid = os.fork()
        if pid == 0:
            while True:
                time.sleep(1)
        os.kill(pid, n)
        server.log.info("ended by %s", os.waitpid(pid, 0)[1])
def when_ready(server):
    threading.Thread(target=work, args=(server,), daemon=True).start()
""")
    s.wait_log(f"ended by {signal.SIGTERM:d}")
    s.wait_log(f"ended by {signal.SIGHUP:d}")
    assert s.get("/").status == 200
    assert s.log_count("Handling signal") == 0


def test_a_worker_whose_status_a_hook_took_is_replaced(server):
    s = server("shop:app", files={"shop.py": APP}, config="""\
import os, threading, time
def work(server):
    while True:
        try:
            server.log.info("took %s", os.waitpid(-1, 0))
        except ChildProcessError:
            time.sleep(0.01)
def when_ready(server):
    threading.Thread(target=work, args=(server,), daemon=True).start()
""")
    old, = s.wait_workers(1)
    os.kill(old, signal.SIGKILL)
    until(lambda: s.workers() not in ([], [old]), "it is replaced")
    assert s.get("/").status == 200


def test_fields_that_a_hook_adds_may_hold_anything(server):
    s = server("shop:app", files={"shop.py": """\
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["HTTP_X_MARK"].encode()]
"""}, config="""\
def pre_request(worker, req):
    req.headers += [("X-MARK", "a"), ("X-MARK", 7), ("X-MARK", None)]
""")
    assert s.get("/").body == b"a,7,None"


def test_server_stop_and_reload_of_hooks_act(server):
    s = server("shop:app", files={"shop.py": APP}, config="""\
def child_exit(server, worker):
    server.log.info("now stopping")
    server.stop()
def nworkers_changed(server, new, old):
    if old == 1 and new == 2:
        server.reload()
""")
    s.get("/")
    s.signal("TTIN")
    s.wait_log("Hang up: Master")
    s.wait_log("now stopping")
    assert s.wait() == 0


# ---- preload_app ----


def test_preload_loads_once_and_names_what_cannot_be_forked(server):
    s = server("shop:app", "--preload", "-w", "2", files={"shop.py": """\
import os, socket, threading
open("loads", "a").write("x")
listener = socket.create_server(("127.0.0.1", 0))
port = listener.getsockname()[1]
client = socket.create_connection(("127.0.0.1", port))
open("port", "w").write(str(port))
plain = open("loads")
threading.Thread(target=threading.Event().wait, name="reaper",
                 daemon=True).start()
""" + APP})
    s.wait_workers(2)
    s.get("/")
    assert (s.folder / "loads").read_text() == "x"
    port = (s.folder / "port").read_text()
    s.wait_log(r"\[WARNING\] preload_app: descriptor \d+, a connection to "
               rf"127\.0\.0\.1:{port}, was opened")
    s.wait_log(r"preload_app: descriptor \d+, a socket, was opened")
    s.wait_log(r"\[WARNING\] preload_app: loading the application started "
               r"threads, which no worker has: 'reaper'\.")
    assert s.log_count("preload_app: descriptor") == 2
    told(s, "trouble", "preload_app: descriptor .* a socket, was opened")
    told(s, "trouble", "started threads, which no worker has: 'reaper'")


def test_preload_without_threads_and_sockets_is_quiet(server):
    s = server("shop:app", "--preload", files={"shop.py": APP})
    s.get("/")
    assert "[WARNING] preload_app" not in s.log()


@pytest.mark.parametrize("text", [
    "import no_such_module\n", "application = 1\n"])
def test_a_preloaded_application_that_fails_ends_the_start(run, text):
    r = run("--preload", "-b", "unix:s.sock", "shop:app",
            files={"shop.py": text}, announced=["."])
    assert r.status == 1  # as gunicorn
    assert not os.path.exists("s.sock")
