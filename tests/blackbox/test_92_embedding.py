# SPDX-License-Identifier: MIT
"""Programs that embed the server: gunicorn's applications and Arbiter in a Python
that runs already, by the extension module."""
import os
import shutil
import subprocess
import zipfile

import pytest

from harness import classes, embedded
from harness.server import ROOT, environment
from harness.waiting import until

pytestmark = pytest.mark.skipif(
    bool(classes.under_test() != "sync" or classes.multithread()),
    reason="the class is the test's own")

APP = """\
import os
def app(environ, start_response):
    body = b"%d" % os.getpid()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
PROGRAM = """\
import json, os, sys
from cgunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from shop import app

class Program(BaseApplication):
    def __init__(self, application, options):
        self.application, self.options = application, options
        super().__init__()

    def load_config(self):
        options = dict(self.options)
        if os.path.exists("more.json"):
            with open("more.json") as f:
                options.update(json.load(f))
        for name, value in options.items():
            if name in self.cfg.settings and value is not None:
                self.cfg.set(name.lower(), value)

    def load(self):
        return self.application
"""
OPTIONS = """
def post_request(worker, req, environ):
    worker.log.info("post_request %s of %s", req.path, type(worker).__name__)

OPTIONS = {"bind": sys.argv[sys.argv.index("--bind") + 1], "workers": 2,
           "post_request": post_request, "proc_name": "shop"}
"""
RUN = """
if __name__ == "__main__":
    Program(app, OPTIONS).run()
"""


@pytest.fixture(scope="module")
def python():
    return embedded.told(True)["executable"]


@pytest.fixture(scope="module")
def site(python, tmp_path_factory):
    """A folder with what the wheel has."""
    if shutil.which("make") is None or shutil.which("strip") is None:
        pytest.skip("there is no make or no strip")
    folder = tmp_path_factory.mktemp("wheel")
    code = ("import sys; sys.path.insert(0, sys.argv[1]); import backend; "
            "print(backend.build_wheel('.'))")
    done = subprocess.run([python, "-c", code, str(ROOT / "tools/package")], cwd=folder,
                          capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          env=environment(folder))
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(folder / done.stdout.splitlines()[-1]) as z:
        z.extractall(folder / "site")
    return folder / "site"


@pytest.fixture
def program(server, python, site):
    """program(*words, files=…): a server that a Python program is."""
    def make(*words, files=None, env=None, **options):
        return server(*options.pop("args", ()), program=[python, *words],
                      files={"shop.py": APP, **(files or {})},
                      env={"PYTHONPATH": f"{site}{os.pathsep}.", **(env or {})},
                      **options)
    return make


@pytest.fixture
def outcome(python, site, tmp_path):
    """outcome(*words): a program that ends by itself."""
    def run(*words, files=None, env=None):
        for name, text in {"shop.py": APP, **(files or {})}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return subprocess.run(
            [python, *words], cwd=tmp_path, capture_output=True, text=True, timeout=60,
            stdin=subprocess.DEVNULL, env=environment(
                tmp_path, {"PYTHONPATH": f"{site}{os.pathsep}.", **(env or {})}))
    return run


def serves(s):
    return until(lambda: int(s.get("/x").body), "it serves")


# ---- applications ----


def test_a_base_application_serves(program):
    s = program("program.py", files={"program.py": PROGRAM + OPTIONS + RUN})
    assert serves(s) in s.wait_workers(2)
    s.wait_log("post_request /x of SyncWorker")
    assert s.stop() == 0
    assert "Shutting down: Master" in s.log()


def test_hup_loads_its_configuration_anew(program):
    s = program("program.py", files={"program.py": PROGRAM + OPTIONS + RUN})
    old = s.wait_workers(2)
    (s.folder / "more.json").write_text('{"workers": 3}')
    s.signal("HUP")
    until(lambda: len(s.workers()) == 3 and not set(s.workers()) & set(old), "three others")
    serves(s)


def test_a_reload_that_fails_keeps_the_old_workers(program):
    s = program("program.py", files={"program.py": PROGRAM + OPTIONS + RUN},
                announced=["Invalid boolean", "Reload failed", "Error"])
    old = s.wait_workers(2)
    serves(s)
    (s.folder / "more.json").write_text('{"preload_app": "perhaps"}')
    s.signal("HUP")
    s.wait_log("Reload failed, the previous configuration stays")
    assert serves(s) in old


def test_a_value_that_is_wrong_stops_the_start(outcome):
    done = outcome("program.py", "--bind", "127.0.0.1:0", files={
        "program.py": PROGRAM + OPTIONS + "OPTIONS['workers'] = -1\n" + RUN})
    assert done.returncode == 1
    assert "Error: Value must be positive: -1" in done.stderr


def test_an_upgrade_starts_the_program_again(program):
    s = program("program.py", files={
        "program.py": PROGRAM + OPTIONS + "OPTIONS['pidfile'] = 'server.pid'\n" + RUN})
    old = s.pid
    s.wait_workers(2)
    s.signal("USR2")
    until(lambda: (s.folder / "server.pid.2").exists(), "the new master's pidfile")
    new = int((s.folder / "server.pid.2").read_text())
    until(lambda: "Listening" in s.log().split("Starting cgunicorn")[-1], "it listens")
    s.signal("TERM")
    until(lambda: s.read_pidfile() == new, "it has the old one's place")
    assert s.wait() == 0 and new != old
    serves(s)
    os.kill(new, 15)


def test_a_python_class_serves_in_it(program):
    s = program("program.py", files={"program.py": PROGRAM + OPTIONS + """
from gunicorn.workers.sync import SyncWorker
class Mine(SyncWorker):
    def handle_request(self, listener, req, client, addr):
        self.log.info("mine %s", req.path)
        super().handle_request(listener, req, client, addr)
OPTIONS["worker_class"] = Mine
""" + RUN})
    serves(s)
    s.wait_log("mine /x")
    assert s.stop() == 0


# ---- the arbiter ----

METHODS = """
class Mine(Arbiter):
    def spawn_worker(self):
        self.log.info("mine: spawn_worker")
        return super().spawn_worker()
    def manage_workers(self):
        self.log.info("mine: manage_workers")
        super().manage_workers()
    def kill_worker(self, pid, sig):
        self.log.info("mine: kill_worker %d %d", pid in self.WORKERS, sig)
        super().kill_worker(pid, sig)
    def handle_hup(self):
        self.log.info("mine: handle_hup")
        super().handle_hup()
    def handle_ttin(self):
        self.log.info("mine: handle_ttin")
        self.num_workers += 1
    def halt(self, reason=None, exit_status=0):
        self.log.info("mine: halt %s", exit_status)
        super().halt(reason, exit_status)
    def extra(self):
        return self.spawn_worker()

if __name__ == "__main__":
    Mine(Program(app, OPTIONS)).run()
"""


def test_methods_of_an_arbiter_are_called_where_gunicorn_calls_them(program):
    s = program("program.py", files={"program.py": PROGRAM + OPTIONS + METHODS})
    s.wait_workers(2)
    serves(s)
    assert s.log_count("mine: spawn_worker") == 2
    s.wait_log("mine: manage_workers")
    s.signal("HUP")
    s.wait_log("mine: handle_hup")
    s.wait_log("mine: spawn_worker", 4)
    s.wait_log("mine: kill_worker 1 15", 2)
    s.wait_workers(2)
    s.signal("TTIN")
    s.wait_log("mine: handle_ttin")
    s.wait_workers(3)
    assert s.stop() == 0
    assert "mine: halt 0" in s.log()


def test_workers_beyond_the_number_stay_if_manage_workers_says_so(program):
    s = program("program.py", files={"program.py": PROGRAM + OPTIONS + """
class Mine(Arbiter):
    more = 0
    def manage_workers(self):
        if not self.more and len(self.WORKERS) == 2:
            self.more = self.spawn_worker()
            self.log.info("mine: one more, %s of %s", len(self.WORKERS),
                          self.num_workers)

if __name__ == "__main__":
    Mine(Program(app, OPTIONS)).run()
"""})
    s.wait_log("mine: one more, 3 of 2")
    s.wait_workers(3)
    serves(s)
    assert s.stop() == 0


def test_an_exception_in_a_method_is_told_and_the_server_lives_on(program):
    s = program("program.py", files={"program.py": PROGRAM + OPTIONS + """
class Mine(Arbiter):
    def manage_workers(self):
        if not hasattr(self, "done"):
            self.done = 1
            raise ValueError("mine")

if __name__ == "__main__":
    Mine(Program(app, OPTIONS)).run()
"""}, announced=["Exception in manage_workers", "Traceback", "File", "raise", "ValueError"])
    s.wait_log("ValueError: mine")
    serves(s)


# ---- the name ----


def test_a_program_of_gunicorns_is_run_as_it_is(program):
    s = program("-m", "cgunicorn.as_gunicorn", "program.py", files={
        "program.py": PROGRAM.replace("cgunicorn.app", "gunicorn.app") + OPTIONS + RUN})
    serves(s)


def test_gunicorns_command_runs_in_a_program(program):
    s = program("-m", "cgunicorn.as_gunicorn", "-m", "gunicorn.app.wsgiapp",
                args=["-w", "2", "shop:app"], files={
                    "gunicorn.conf.py": "proc_name = 'of the file'\n"
                    "def when_ready(server):\n"
                    "    server.log.info('ready: %s', server.cfg.proc_name)\n"})
    assert serves(s) in s.wait_workers(2)
    s.wait_log("ready: of the file")


def test_command_and_variable_win_over_the_file(outcome):
    done = outcome("-m", "cgunicorn.as_gunicorn", "-m", "gunicorn.app.wsgiapp",
                   "--print-config", "--workers", "5", "shop:app",
                   files={"gunicorn.conf.py": "workers = 2\nthreads = 2\ntimeout = 7\n"},
                   env={"GUNICORN_CMD_ARGS": "--threads 3 --workers 4"})
    assert done.returncode == 0, done.stderr
    found = dict(line.replace(" ", "").split("=", 1) for line in done.stdout.splitlines()
                 if " = " in line)
    assert (found["workers"], found["threads"], found["timeout"]) == ("5", "3", "7")


def test_the_command_says_whose_it_is(outcome):
    done = outcome("-m", "cgunicorn.as_gunicorn", "-m", "gunicorn", "--version")
    assert done.stdout.startswith("gunicorn (version 27.0.1, cgunicorn ")
    done = outcome("-m", "cgunicorn.as_gunicorn", "-m", "gunicorn", "--bogus")
    assert done.returncode == 2
    assert "gunicorn: error: unrecognized arguments: --bogus" in done.stderr
    assert "RuntimeWarning" not in done.stderr


def test_the_variable_gives_the_name_to_every_program(python, site, tmp_path):
    for value, origin in (("1", "<cgunicorn>/gunicorn"), ("", "none")):
        code = ("import site, sys; site.addsitedir(sys.argv[1])\n"
                "try: import gunicorn; print(gunicorn.__spec__.origin)\n"
                "except ImportError: print('none')")
        done = subprocess.run(
            [python, "-S", "-c", code, str(site)], capture_output=True, text=True,
            env=environment(tmp_path, {"CGUNICORN_AS_GUNICORN": value}), cwd=tmp_path)
        assert done.stdout.strip() == origin, done.stderr


def test_a_gunicorn_that_is_imported_already_is_named(outcome):
    done = outcome("-c", "import gunicorn, cgunicorn.app.base", files={
        "gunicorn/__init__.py": "__version__ = '99'\n"})
    assert done.returncode == 1
    assert "gunicorn 99" in done.stderr and "imported already" in done.stderr


def test_an_installed_gunicorn_is_passed_over(outcome):
    done = outcome("-c", "import cgunicorn.as_gunicorn, gunicorn; print(gunicorn.__version__)",
                   files={"gunicorn/__init__.py": "__version__ = '99'\n"})
    assert done.stdout.strip() == "27.0.1", done.stderr


# ---- PasteDeploy's server ----


def test_pserve_finds_the_server(site, python):
    code = ("from importlib import metadata\n"
            "for d in metadata.distributions(name='cgunicorn'):\n"
            "    print([str(e.value) for e in d.entry_points])")
    done = subprocess.run([python, "-c", code], capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(site)})
    assert "cgunicorn.app.pasterapp:serve" in done.stdout


def test_the_server_of_a_paste_file_serves(program):
    s = program("program.py", files={"program.py": """\
import sys
from cgunicorn.app.pasterapp import serve
from shop import app
host, _, port = sys.argv[sys.argv.index("--bind") + 1].rpartition(":")
serve(app, {"__file__": "shop.ini"}, host=host, port=port, workers="2",
      preload_app="true")
""", "shop.ini": "[server:main]\n"})
    assert serves(s) in s.wait_workers(2)
