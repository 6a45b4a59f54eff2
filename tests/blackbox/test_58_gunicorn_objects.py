# SPDX-License-Identifier: MIT
"""What applications and hooks find of gunicorn: names, objects, attributes."""
import json

import pytest

from harness import classes, processes
from harness.waiting import until

APP = """\
import json

def app(environ, start_response):
    body = b"ok"
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
MODULES = """\
import json, sys

def app(environ, start_response):
    body = json.dumps({n: type(m).__name__ for n, m in sys.modules.items()
                       if n.partition(".")[0] == "gunicorn"}).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
MODULE_OF = {"sync": "sync", "gthread": "gthread", "gevent": "ggevent",
             "eventlet": "geventlet", "tornado": "gtornado"}


def class_module():
    name = classes.under_test()
    if name == "sync" and classes.multithread():
        name = "gthread"
    return f"gunicorn.workers.{MODULE_OF[name]}"


# ---- names ----


def test_gunicorn_is_among_the_modules_of_a_worker(server):
    """MLflow decides by it whether its security middleware is on."""
    s = server("shop:app", files={"shop.py": MODULES})
    found = json.loads(s.get("/").body)
    for name in ("gunicorn", "gunicorn.app", "gunicorn.app.base",
                 "gunicorn.arbiter", "gunicorn.errors", "gunicorn.util",
                 "gunicorn.workers", "gunicorn.workers.base",
                 "gunicorn.glogging", class_module()):
        assert name in found


def test_gunicorn_is_there_when_the_configuration_runs(server):
    s = server("shop:app", files={"shop.py": APP}, config="""\
import sys
assert "gunicorn.app.wsgiapp" in sys.modules
assert "gunicorn.workers" in sys.modules
assert "gunicorn.glogging" not in sys.modules
del sys
""")
    assert s.get("/").status == 200


def test_modules_that_nobody_looks_at_are_not_loaded(server):
    s = server("shop:app", files={"shop.py": MODULES})
    found = json.loads(s.get("/").body)
    assert found["gunicorn.app.wsgiapp"] == "Late"
    assert found["gunicorn.arbiter"] == "Late"


@pytest.mark.parametrize("use", [
    "import gunicorn.arbiter\nassert gunicorn.arbiter.Arbiter.APP_LOAD_ERROR == 4",
    "from gunicorn.arbiter import Arbiter\nassert Arbiter.WORKER_BOOT_ERROR == 3",
    "from gunicorn import errors\nassert issubclass(errors.ConfigError, Exception)",
    "import gunicorn.app.wsgiapp\nassert gunicorn.app.base.Application",
    "import sys\nassert sys.modules['gunicorn.app'].base.Application",
    "import importlib, gunicorn.util\nimportlib.reload(gunicorn.util)\n"
    "assert gunicorn.util.getcwd()",
    "import sys\nfor m in list(sys.modules.values()):\n"
    "    getattr(m, '__file__', None)\n",
    "import gunicorn.util as u\nu.mine = 1\nimport gunicorn.util\n"
    "assert gunicorn.util.mine == 1 and u.getcwd",
])
def test_a_module_is_whole_when_it_is_looked_at(server, use):
    s = server("shop:app", files={"shop.py": use + "\n" + APP})
    assert s.get("/").status == 200


FOREIGN = {"site/gunicorn/__init__.py": "__version__ = '99'\n"
                                        "SERVER = 'theirs'\n",
           "site/gunicorn/util.py": "mine = 'installed'\n",
           "site/gunicorn/broken.py": "1 / 0\n",
           "site/gunicorn/workers/__init__.py": "",
           "site/gunicorn/arbiter.py": "open('loaded', 'w')\n"}


@classes.needs_no_package  # gevent looks at all modules when it patches
def test_an_installed_gunicorn_is_registered_and_loaded_when_it_is_used(server):
    s = server("shop:app", files={**FOREIGN, "shop.py": MODULES},
               env={"PYTHONPATH": "site"})
    found = json.loads(s.get("/").body)
    assert found["gunicorn"] == "module"
    assert found["gunicorn.util"] == found["gunicorn.arbiter"] == "Late"
    assert "gunicorn.errors" not in found  # this one has none
    assert not (s.folder / "loaded").exists()


def test_an_installed_gunicorn_answers_imports(server):
    s = server("shop:app", env={"PYTHONPATH": "site"}, files={
        **FOREIGN, "shop.py": "import gunicorn.util\n"
        "assert gunicorn.__version__ == '99'\n"
        "assert gunicorn.util.mine == 'installed'\n" + APP})
    assert s.get("/").status == 200


def test_a_folder_of_that_name_in_the_project_is_not_taken_for_it(server):
    s = server("shop:app", files={
        "gunicorn/conf.py": "", "shop.py":
        "import gunicorn.arbiter\nassert gunicorn.SERVER\n" + APP})
    assert s.get("/").status == 200


def test_a_broken_gunicorn_does_not_keep_the_server_from_starting(server):
    s = server("shop:app", env={"PYTHONPATH": "site"}, files={
        "site/gunicorn/__init__.py": "import nothing_of_this_name\n",
        "shop.py": APP})
    assert s.get("/").status == 200


# ---- what is written to gunicorn's objects ----

WRAP = """\
def wrapped(application):
    def app(environ, start_response):
        environ["wrapped"] = environ.get("wrapped", "") + "w"
        return application(environ, start_response)
    return app
"""
TELLS = """\
import os

def app(environ, start_response):
    body = (environ.get("wrapped", "-") + " %d" % os.getpid()).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


def tells(server, config, *args, **kw):
    return server("shop:app", *args, config=WRAP + config,
                  files={"shop.py": TELLS, **kw.pop("files", {})}, **kw)


def mark(s):
    return s.get("/").body.split()[0].decode()


@pytest.mark.parametrize("config", [
    "def post_worker_init(worker):\n    worker.wsgi = wrapped(worker.wsgi)\n",
    "def post_fork(server, worker):\n"
    "    load = worker.load_wsgi\n"
    "    def mine():\n        load()\n        worker.wsgi = wrapped(worker.wsgi)\n"
    "    worker.load_wsgi = mine\n",
    "def post_fork(server, worker):\n"
    "    wsgi = worker.app.wsgi\n"
    "    worker.app.wsgi = lambda: wrapped(wsgi())\n",
    "def post_fork(server, worker):\n"
    "    load = worker.app.load\n"
    "    worker.app.load = lambda: wrapped(load())\n",
    "def on_starting(server):\n"
    "    import shop\n    server.app.callable = wrapped(shop.app)\n",
    "def when_ready(server):\n    server.app.app_uri = 'shop:other'\n",
    "import gunicorn.app.base as base\n"
    "old = base.Application.wsgi\n"
    "base.Application.wsgi = lambda self: wrapped(old(self))\n",
    "import gunicorn.util\nload = gunicorn.util.import_app\n"
    "gunicorn.util.import_app = lambda uri: wrapped(load(uri))\n"])
def test_an_application_is_wrapped_where_gunicorn_lets_it(server, config):
    s = tells(server, config, files={
        "shop.py": TELLS + WRAP + "\nother = wrapped(app)\n"})
    assert mark(s) == "w"
    assert mark(s) == "w"


def test_what_is_too_late_for_gunicorn_is_too_late(server):
    """The application is asked of app.callable before post_worker_init."""
    s = tells(server, "def post_worker_init(worker):\n"
              "    worker.app.callable = wrapped(worker.app.callable)\n")
    assert mark(s) == "-"


def test_an_agent_that_waits_for_a_module_wraps_the_application(server):
    """As New Relic does: an import hook, and a wrapper that is no function."""
    s = tells(server, "", env={"PYTHONPATH": "site"}, files={
        "site/sitecustomize.py": WRAP + """
import sys
from importlib.util import find_spec

class Wrapper:
    def __init__(self, function):
        self.function = function
    def __get__(self, instance, owner):
        if instance is None:
            return self
        return lambda: self(instance)
    def __call__(self, instance):
        return wrapped(self.function(instance))

class Waits:
    name = "gunicorn.app.base"
    def find_spec(self, name, path=None, target=None):
        if name != self.name:
            return None
        self.name = None
        spec = find_spec(name)
        execute = spec.loader.exec_module
        class Loader:
            create_module = spec.loader.create_module
            def exec_module(self, module):
                execute(module)
                module.Application.wsgi = Wrapper(module.Application.wsgi)
        spec.loader = Loader()
        return spec

sys.meta_path.insert(0, Waits())
"""})
    assert mark(s) == "w"


def test_worker_wsgi_counts_from_the_next_request_on(server):
    s = tells(server, "def post_request(worker, req, environ, resp):\n"
              "    worker.wsgi = wrapped(worker.wsgi)\n")
    assert [mark(s) for _ in range(3)] == ["-", "w", "ww"]


def test_a_preloaded_application_is_wrapped_too(server):
    s = tells(server, "preload_app = True\n"
              "def post_fork(server, worker):\n"
              "    wsgi = worker.app.wsgi\n"
              "    worker.app.wsgi = lambda: wrapped(wsgi())\n")
    assert mark(s) == "w"


def test_a_loader_that_fails_ends_the_start(run):
    done = run("-c", "conf.py", "-b", "unix:s", "shop:app", announced=["."],
               files={"shop.py": TELLS, "conf.py":
                      "def post_fork(server, worker):\n"
                      "    def mine():\n        1 / 0\n"
                      "    worker.load_wsgi = mine\n"})
    assert done.status == 3
    assert "ZeroDivisionError" in done.err


def test_alive_false_ends_the_worker_after_its_request(server):
    s = tells(server, "def post_request(worker, req, environ, resp):\n"
              "    if req.path == '/last':\n        worker.alive = False\n")
    first = s.wait_workers(1)[0]
    assert s.get("/").status == 200
    assert s.workers() == [first]
    assert s.get("/last").status == 200
    processes.wait_gone(first, "the worker")
    assert s.get("/").status == 200
    assert s.log_count("exited with code") == 0


def test_nr_counts_requests(server):
    s = tells(server, "def post_request(worker, req, environ, resp):\n"
              "    worker.log.info('nr is %d', worker.nr)\n"
              "    if worker.nr == 3:\n        worker.nr = 100\n"
              "def worker_exit(server, worker):\n"
              "    server.log.info('at the end %d', worker.nr)\n")
    for wanted in (1, 2, 3, 101):
        s.get("/")
        s.wait_log(f"nr is {wanted}\n")
    s.stop()
    s.wait_log("at the end 101")


@pytest.mark.parametrize("write", ["worker.max_requests = 2",
                                   "worker.max_requests = 12; "
                                   "worker.nr = max(10, worker.nr)"])
def test_max_requests_counts_as_it_is_written(server, write):
    s = tells(server, "def post_request(worker, req, environ, resp):\n"
              f"    if worker.age == 1:\n        {write}\n")
    seen = [s.get("/").body.split()[1] for _ in range(4)]
    until(lambda: s.get("/").body.split()[1] != seen[0], "another worker")
    assert s.log_count("Autorestarting worker") == 1


def test_nr_puts_max_requests_off(server):
    s = tells(server, "max_requests = 3\n"
              "def post_request(worker, req, environ, resp):\n"
              "    worker.nr = 0\n")
    assert len({s.get("/").body.split()[1] for _ in range(8)}) == 1


@pytest.mark.parametrize("hook", ["post_fork(server, worker)",
                                  "post_worker_init(worker)"])
def test_settings_that_a_hook_changes_in_the_worker_count(server, hook):
    s = tells(server, f"def {hook}:\n"
              "    worker.cfg.set('limit_request_line', 100)\n"
              "    worker.cfg.settings['keepalive'].value = 0\n"
              "    worker.cfg.set('post_request', "
              "lambda w, req, env, resp: w.log.info('asked %s', req.path))\n")
    reply = s.get("/short")
    assert reply.status == 200
    assert reply.says_close()
    s.wait_log("asked /short")
    assert s.get("/" + "x" * 100).status == 414


def test_settings_that_a_hook_changes_in_the_master_count(server):
    s = server("shop:app", bind=None, files={"shop.py": TELLS}, config="""\
def on_starting(server):
    server.cfg.set("bind", "unix:other.sock")
    server.cfg.set("limit_request_line", 100)
""")
    s.address = str(s.folder / "other.sock")
    assert s.get("/").status == 200
    assert s.get("/" + "x" * 100).status == 414


def test_a_value_that_is_none_is_an_exception_in_the_hook(run):
    done = run("-c", "conf.py", "-b", "unix:s", "shop:app", announced=["."],
               files={"shop.py": TELLS, "conf.py": "def on_starting(server):\n"
                      "    server.cfg.set('keepalive', 'soon')\n"})
    assert done.status == 1
    assert "soon" in done.err and "on_starting" in done.err


def test_settings_that_come_too_late_are_warned_about_once(server):
    s = tells(server, "def post_request(worker, req, environ, resp):\n"
              "    worker.cfg.set('keepalive', 1)\n")
    s.announce("has no effect in a worker that serves")
    for _ in range(3):
        s.get("/")
    s.wait_log(r"cfg.set\('keepalive'\) has no effect in a worker that serves")
    assert s.log_count("has no effect in a worker") == 1


# ---- server ----


def test_the_classes_are_classes(server):
    name = class_module()
    s = tells(server, """
import importlib
def when_ready(server):
    kind = server.worker_class
    assert isinstance(kind, type), kind
    assert server.cfg.worker_class is kind
    assert kind is getattr(importlib.import_module(kind.__module__), kind.__name__)
    server.log.info("it is %s, %s", kind, server.cfg.worker_class_str)
def pre_fork(server, worker):
    from gunicorn.workers.base import Worker
    server.log.info("made %s", isinstance(worker, server.worker_class)
                    and worker.__class__ is server.worker_class
                    and isinstance(worker, Worker))
""")
    s.wait_log(rf"it is <class '{name}\.\w+'>, \w+\n")
    s.wait_log("made True")


def test_a_handler_of_a_hook_takes_a_signals_place(server):
    s = tells(server, """
def when_ready(server):
    default = server.handle_ttin
    def ttin():
        server.log.info("mine first")
        default()
    server.handle_ttin = ttin
    def ttou():
        server.log.info("not today")
    server.handle_ttou = ttou
""")
    s.signal("TTIN")
    s.wait_workers(2)
    s.signal("TTOU")
    s.wait_log("not today")
    s.signal("USR1")
    s.wait_log("Handling signal: usr1")
    assert len(s.workers()) == 2
    assert s.log_count("Handling signal: ttin") == 1


def test_signals_may_be_put_into_the_queue(server):
    s = tells(server, """
import signal, threading, time
def when_ready(server):
    assert signal.SIGHUP in server.SIGNALS
    assert server.SIG_NAMES[signal.SIGHUP] == "hup"
    server.SIG_QUEUE.put(signal.SIGTTIN)
    server.wakeup()
""")
    s.wait_workers(2)


def test_the_timeout_may_be_written(server):
    s = server("shop:app", config="""\
def when_ready(server):
    server.timeout = 1
def post_fork(server, worker):
    worker.log.info("half of it is %s", worker.timeout)
""", files={"shop.py": """\
def app(environ, start_response):
    while environ["PATH_INFO"] == "/for-ever":
        pass
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""}, announced=["WORKER TIMEOUT", "was sent SIG", "exited with code",
                 "Stacks of worker", "SystemExit", "for-ever"])
    s.wait_log(r"half of it is 0\.5")
    if classes.under_test() == "sync" and not classes.multithread():
        with s.connect() as peer:
            peer.get("/for-ever")
            s.wait_log("WORKER TIMEOUT")
    assert s.get("/").status == 200


def test_what_cannot_be_done_is_told_once(server):
    s = tells(server, """
def when_ready(server):
    for _ in range(2):
        server.spawn_worker()
        server.worker_class = int
""")
    s.announce("has no effect")
    assert s.get("/").status == 200
    assert s.log_count(r"server\.spawn_worker\(\) has no effect") == 1
    assert s.log_count(r"server\.worker_class = .* has no effect") == 1


# ---- req and resp ----


def test_req_and_resp_know_the_settings_and_the_socket(server):
    s = tells(server, """
limit_request_fields = 50
def pre_request(worker, req):
    assert req.cfg is worker.cfg
    assert req.unreader.sock.getpeername() == req.peer_addr
    assert req.limit_request_line == 4094
    assert req.limit_request_fields == 50
    assert req.limit_request_field_size == 8190
    assert req.max_buffer_headers == 50 * 8192 + 4
def post_request(worker, req, environ, resp):
    assert resp.cfg is req.cfg
    assert resp.sock.fileno() >= 0
    assert not resp.is_chunked()
    worker.log.info("all good")
""")
    assert s.get("/").status == 200
    s.wait_log("all good")


# ---- at debug ----


def test_debug_shows_the_configuration_and_the_requests(server):
    s = tells(server, "", "--log-level", "debug", "--env", "PASSWORD=hush")
    s.wait_log(r"\[DEBUG\] Current configuration:\n(  \S+: .*\n)+")
    s.wait_log(r"\n  post_fork: <Postfork\.post_fork\(\)>\n")
    assert "hush" not in s.log()
    s.get("/a%20b?secret=1")
    s.wait_log(r"\[DEBUG\] GET /a%20b\n")
    s.wait_log(r"\[DEBUG\] 1 workers")
    s.signal("HUP")
    s.wait_log("Current configuration:", count=2)
    s.stop()
    assert s.log_count(r"\[DEBUG\] 0 workers") == 0


def test_a_pre_request_of_the_user_takes_the_line_of_a_requests_place(server):
    s = tells(server, "def pre_request(worker, req):\n"
              "    worker.log.info('mine %s', req.path)\n",
              "--log-level", "debug")
    s.get("/x")
    s.wait_log("mine /x")
    assert s.log_count(r"\[DEBUG\] GET /x") == 0


def test_hooks_are_shown_as_gunicorn_shows_them(server):
    s = tells(server, "def when_ready(server):\n    print(server.cfg, flush=True)\n")
    s.wait_workers(1)
    lines = dict(line.split(" = ", 1) for line in s.stdout().splitlines()
                 if " = " in line)
    shown = {k.strip(): v for k, v in lines.items()}
    assert shown["post_fork"] == "<Postfork.post_fork()>"
    assert shown["when_ready"] == "<when_ready()>"


def test_a_class_in_the_configuration_is_shown_as_one(run):
    done = run("-c", "conf.py", "--print-config", "shop:app", files={
        "shop.py": TELLS, "conf.py":
        "from gunicorn.glogging import Logger\n"
        "class Mine(Logger):\n    pass\nlogger_class = Mine\n"})
    assert done.status == 0
    assert "<Mine()>" in done.out
