# SPDX-License-Identifier: MIT
"""Worker classes written in Python, by a dotted name or as an object."""
import json
import os
import pathlib
import re
import signal
import tempfile
import threading

import pytest

from harness import classes, control, processes
from harness.waiting import until

pytestmark = pytest.mark.skipif(
    bool(classes.under_test() != "sync" or classes.multithread()),
    reason="the class is the test's own")

APP = """\
import json, os, time

def app(environ, start_response):
    if environ["PATH_INFO"] == "/block":
        time.sleep(600)
    if environ["PATH_INFO"] == "/boom":
        raise ValueError("boom")
    told = {k: environ[k] for k in (
        "REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "SERVER_PROTOCOL",
        "SERVER_SOFTWARE", "wsgi.multithread", "wsgi.multiprocess")}
    told["pid"] = os.getpid()
    told["read"] = environ["wsgi.input"].read().decode()
    body = json.dumps(told).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
SYNC = """\
from gunicorn.workers.sync import SyncWorker

class Mine(SyncWorker):
    def init_process(self):
        self.log.info("mine: init_process")
        super().init_process()

    def handle_request(self, listener, req, client, addr):
        self.log.info("mine: %s %s from %s at %s", req.method, req.path,
                      addr[0], listener)
        req.headers.append(("X-MINE", "1"))
        return super().handle_request(listener, req, client, addr)
"""
THREADS = """\
from gunicorn.workers.gthread import ThreadWorker

class Mine(ThreadWorker):
    def handle_request(self, req, conn):
        self.log.info("mine: %s from %s", req.path, conn.client[0])
        return super().handle_request(req, conn)
"""
OWN = """\
import select, sys
from gunicorn.workers.base import Worker

class Mine(Worker):
    def run(self):
        for s in self.sockets:
            s.setblocking(False)
        while self.alive:
            self.notify()
            ready, _, _ = select.select(self.wait_fds, [], [], 0.2)
            for s in self.sockets:
                if s not in ready:
                    continue
                try:
                    client, addr = s.accept()
                except BlockingIOError:
                    continue
                with client:
                    client.recv(65536)
                    client.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\n"
                                   b"%d" % self.wsgi())
"""
HOOKS = """\
def pre_fork(server, worker):
    server.log.info("hook pre_fork %s", worker.pid)
def post_fork(server, worker):
    server.log.info("hook post_fork %s %s", type(worker).__name__,
                    len(worker.sockets))
def post_worker_init(worker):
    worker.log.info("hook post_worker_init %s", worker.booted)
def pre_request(worker, req):
    worker.log.info("hook pre_request %s", req.path)
def post_request(worker, req, environ, resp):
    worker.log.info("hook post_request %s %s", resp.status, worker.nr)
def worker_int(worker):
    worker.log.info("hook worker_int")
def worker_abort(worker):
    worker.log.info("hook worker_abort")
def worker_exit(server, worker):
    server.log.info("hook worker_exit")
def child_exit(server, worker):
    server.log.info("hook child_exit %s", worker.pid)
"""
FILES = {"sync": SYNC, "gthread": THREADS}
KINDS = pytest.mark.parametrize("kind", sorted(FILES))


@pytest.fixture
def mine(server):
    def make(kind, *args, **options):
        files = {"shop.py": APP, "mine.py": FILES[kind], **options.pop("files", {})}
        return server("-k", "mine.Mine", *args, "shop:app", files=files, **options)

    return make


# ---- serving ----


@KINDS
def test_a_subclass_by_a_dotted_name_serves(mine, kind):
    s = mine(kind)
    told = json.loads(s.get("/a%20b?q=1").body)
    assert told["PATH_INFO"] == "/a b" and told["QUERY_STRING"] == "q=1"
    assert told["SERVER_SOFTWARE"].startswith("gunicorn/")
    assert told["wsgi.multithread"] is (kind == "gthread")
    s.wait_log(r"mine: .*from 127\.0\.0\.1")
    s.wait_log("Using worker: mine.Mine")


@KINDS
def test_a_body_is_read(mine, kind):
    s = mine(kind)
    assert json.loads(s.post("/", b"x" * 100_000).body)["read"] == "x" * 100_000


@KINDS
def test_a_chunked_body_is_read(mine, kind):
    s = mine(kind)
    peer = s.connect()
    peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
              b"Transfer-Encoding: chunked\r\n\r\n"
              b"3;x=1\r\nabc\r\n2\r\nde\r\n0\r\nX-T: 1\r\n\r\n")
    assert b'"read": "abcde"' in peer.rest()


def test_a_thread_worker_keeps_connections(mine):
    s = mine("gthread", "--threads", "2")
    peer = s.connect()
    for _ in range(3):
        peer.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert peer.reply().status == 200


@KINDS
@pytest.mark.parametrize("line, status", [
    (b"GET foo HTTP/1.1", 400), (b"get / HTTP/1.1", 400),
    (b"GET / HTTP/3.0", 400), (b"GET /" + b"x" * 5000 + b" HTTP/1.1", 400),
    (b"GET / HTTP/1.1\r\nA" + b"b" * 9000 + b": 1", 431),
    (b"GET / HTTP/1.1\r\nA b: 1", 400),
    (b"POST / HTTP/1.1\r\nTransfer-Encoding: foo", 501),
    (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 1", 400),
])
def test_a_request_that_http_does_not_allow_is_refused(mine, kind, line, status):
    s = mine(kind, announced=["Invalid request"])
    peer = s.connect()
    peer.send(line + b"\r\nHost: a\r\n\r\n")
    assert peer.rest().startswith(b"HTTP/1.1 %d " % status)
    s.wait_log(r"\[WARNING\] Invalid request from ip=127\.0\.0\.1: ")
    assert s.get("/").status == 200


@KINDS
def test_an_exception_is_a_500_and_the_worker_lives_on(mine, kind):
    s = mine(kind, announced=["Error handling request", "Traceback", "boom", " File ", "raise "])
    assert s.get("/boom").status == 500
    s.wait_log("Error handling request GET /boom")
    s.wait_log("ValueError: boom")
    assert s.get("/").status == 200


@KINDS
@pytest.mark.parametrize("status", ["200 OK\\r\\nX: 1", "OK", "2000 OK", "200 \\0"])
def test_a_status_that_is_none_is_a_500(mine, kind, status):
    s = mine(kind, announced=["Error handling request", "Traceback", " File ", "raise",
                              "Invalid status"], files={"shop.py": f"""\
def app(environ, start_response):
    if environ["PATH_INFO"] == "/bad":
        start_response("{status}", [])
    else:
        start_response("200 OK", [])
    return []
"""})
    assert s.get("/bad").status == 500
    s.wait_log("ValueError: Invalid status")
    assert s.get("/").status == 200


@KINDS
def test_access_lines_are_written(mine, kind):
    s = mine(kind, "--access-logfile", "-", "--access-logformat",
             "%(m)s %(U)s %(s)s %(b)s")
    size = len(s.get("/x").body)
    until(lambda: f"GET /x 200 {size}\n" in s.stdout(), "the access line")


def test_a_class_as_an_object_serves(server):
    s = server("shop:app", files={"shop.py": APP, "mine.py": SYNC},
               config="from mine import Mine as worker_class\n")
    assert s.get("/x").status == 200
    s.wait_log("mine: GET /x")


def test_the_class_of_gunicorn_as_an_object_is_the_native_one(server):
    s = server("shop:app", files={"shop.py": """\
import sys
def app(environ, start_response):
    body = str("socket" in type(environ["wsgi.input"]).__module__
               or type(environ["wsgi.input"]).__module__).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""}, config="from gunicorn.workers.sync import SyncWorker as worker_class\n")
    assert s.get("/").body != b"gunicorn.http.body"
    s.wait_log(r"Using worker: gunicorn\.workers\.sync\.SyncWorker")


def test_a_short_name_that_the_configuration_adds_is_known(server):
    s = server("shop:app", files={"shop.py": APP, "mine.py": SYNC}, config="""\
import gunicorn.workers
gunicorn.workers.SUPPORTED_WORKERS["swift"] = "mine.Mine"
worker_class = "swift"
""")
    assert s.get("/x").status == 200
    s.wait_log("mine: GET /x")


def test_a_worker_with_a_loop_of_its_own_serves(server):
    s = server("-k", "mine.Mine", "shop:app", files={
        "mine.py": OWN, "shop.py": "import os\napp = os.getpid\n"})
    assert int(s.get("/").body) in s.workers()


@KINDS
def test_a_unix_socket_is_served(mine, kind):
    s = mine(kind, bind="unix", files={
        "mine.py": FILES[kind].replace("conn.client[0]", "conn.client")
                              .replace("addr[0]", "repr(addr)")})
    assert s.get("/").status == 200


def test_several_sockets_are_served(mine):
    s = mine("sync", "--bind", "127.0.0.1:0")
    assert s.get("/").status == 200


# ---- a life ----


@KINDS
def test_hooks_are_called_in_order(mine, kind):
    s = mine(kind, config=HOOKS)
    s.get("/")
    s.wait_log("hook post_request 200 OK 1")
    assert s.stop() == 0
    expected = ["pre_fork [booting]", "post_fork Mine 1", "post_worker_init False",
                "pre_request /", "post_request 200 OK 1", "worker_exit", "child_exit"]
    found = [line.split("hook ")[1] for line in s.log().splitlines() if "hook " in line]
    assert [f.rsplit(" ", 1)[0] if "child" in f else f for f in found] == expected


@KINDS
def test_term_lets_a_request_finish(mine, kind):
    s = mine(kind, files={"shop.py": APP.replace("time.sleep(600)", "time.sleep(1)")})
    peer = s.connect()
    peer.send(b"GET /block HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    s.wait_log("mine: .*/block")
    s.signal("TERM")
    assert b" 200 OK" in peer.rest()
    assert s.wait() == 0


@KINDS
def test_quit_calls_worker_int_and_ends_at_once(mine, kind):
    s = mine(kind, config=HOOKS)
    s.wait_log("hook post_worker_init")
    s.wait_workers(1)
    until(lambda: s.get("/").status == 200, "it serves")
    assert s.stop("QUIT") == 0
    assert "hook worker_int" in s.log() and "hook worker_exit" in s.log()


def test_a_blocked_worker_is_aborted_after_timeout(mine):
    s = mine("sync", "--timeout", "1", config=HOOKS, announced=[
        "WORKER TIMEOUT", "written in Python", "Error handling", "Traceback", "File ", "SystemExit",
        "sys.exit", "time.sleep", "SIGABRT", "Stack", "sent SIGKILL", "exited with code"])
    old = s.wait_workers(1)[0]
    peer = s.connect()
    peer.send(b"GET /block HTTP/1.1\r\nHost: a\r\n\r\n")
    s.wait_log(r"WORKER TIMEOUT \(pid:%d\)" % old)
    s.wait_log("hook worker_abort")
    until(lambda: s.workers() and s.workers() != [old], "another worker")
    assert s.get("/").status == 200


def test_an_idle_worker_is_not_timed_out(mine):
    """Nothing comes for twice that time; then a request is served by it."""
    s = mine("sync", "--timeout", "1")
    old = s.wait_workers(1)
    threading.Event().wait(2.5)  # the time is what is tested
    assert json.loads(s.get("/").body)["pid"] == old[0]
    assert "TIMEOUT" not in s.log()


@KINDS
def test_max_requests_recycles(mine, kind):
    s = mine(kind, "--max-requests", "2")
    first = json.loads(s.get("/").body)["pid"]
    assert json.loads(s.get("/").body)["pid"] == first
    until(lambda: json.loads(s.get("/").body)["pid"] != first, "another worker")
    s.wait_log("Autorestarting worker after current request")


@KINDS
def test_hup_replaces_the_workers(mine, kind):
    s = mine(kind, "-w", "2")
    old = s.wait_workers(2)
    until(lambda: s.get("/").status == 200, "it serves")
    s.signal("HUP")
    until(lambda: len(s.workers()) == 2 and not set(s.workers()) & set(old),
          "two others")
    assert s.get("/").status == 200


def test_hup_changes_from_a_native_class_and_back(server):
    conf = "worker_class = %r\n"
    s = server("shop:app", files={"shop.py": APP, "mine.py": SYNC},
               config=conf % "sync")
    first = json.loads(s.get("/").body)["pid"]
    for name in ("mine.Mine", "sync"):
        (s.folder / "conf.py").write_text(conf % name)
        s.signal("HUP")
        until(lambda: json.loads(s.get("/").body)["pid"] != first, "another worker")
        first = json.loads(s.get("/").body)["pid"]
    assert s.log_count("mine: GET") >= 1


@KINDS
def test_usr1_reopens_the_logs(mine, kind):
    s = mine(kind, "--access-logfile", "access.log")
    until(lambda: s.get("/").status == 200, "it serves")
    log = s.folder / "access.log"
    until(lambda: log.read_text(), "a line")
    log.rename(s.folder / "old.log")
    s.signal("USR1")
    until(lambda: s.get("/new").status == 200 and log.exists()
          and "/new" in log.read_text(), "a line in the new file")


def test_ttin_and_ttou_change_the_number(mine):
    s = mine("sync")
    s.wait_workers(1)
    until(lambda: s.get("/").status == 200, "it serves")
    s.signal("TTIN")
    s.wait_workers(2)
    s.signal("TTOU")
    s.wait_workers(1)


@KINDS
def test_status_tells_how_many_requests_the_class_has_counted(mine, kind):
    s = mine(kind)
    for _ in range(3):
        assert s.get("/").status == 200
    until(lambda: control.status(s)["workers"][0]["requests"] == 3,
          lambda: control.status(s)["workers"])


def test_a_killed_worker_is_replaced(mine):
    s = mine("sync", announced=["SIGKILL"])
    old = s.wait_workers(1)[0]
    until(lambda: s.get("/").status == 200, "it serves")
    os.kill(old, signal.SIGKILL)
    until(lambda: s.workers() and s.workers() != [old], "another worker")
    assert s.get("/").status == 200


def test_workers_end_with_a_killed_master(mine):
    s = mine("sync", "-w", "2", announced=["Parent changed"])
    workers = s.wait_workers(2)
    until(lambda: s.get("/").status == 200, "it serves")
    s.signal("KILL")
    s.wait()
    until(lambda: not any(processes.is_running(p) for p in workers), "they end")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes users")
@pytest.mark.usefixtures("other_user")
def test_a_worker_runs_as_the_user(mine):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="cgunicorn-test-"))
    folder.chmod(0o755)  # those of pytest are root's
    s = mine("sync", "-u", "54321", "-g", "54321", folder=folder, files={
        "shop.py": """\
import os
def app(environ, start_response):
    body = b"%d %d" % (os.getuid(), os.getgid())
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""})
    assert s.get("/").body == b"54321 54321"


def test_preload_loads_the_application_once(mine):
    s = mine("sync", "--preload", "-w", "2", files={
        "shop.py": "import os, sys\nsys.stderr.write('loaded %d\\n' % os.getpid())\n" + APP})
    assert s.get("/").status == 200
    assert s.log_count("loaded ") == 1


# ---- what goes wrong ----


def test_an_application_that_cannot_be_imported_stops_the_start(run):
    done = run("-b", "127.0.0.1:0", "-k", "mine.Mine", "shop:app", files={
        "shop.py": "1 / 0\n", "mine.py": SYNC}, announced=["."])
    assert done.status == 3
    assert done.line_with("ZeroDivisionError")
    assert done.line_with("Worker failed to boot")


def test_an_application_that_is_missing_stops_the_start(run):
    done = run("-b", "127.0.0.1:0", "-k", "mine.Mine", "shop:nothing", files={
        "shop.py": APP, "mine.py": SYNC}, announced=["."])
    assert done.status == 4
    assert done.line_with("Failed to find attribute 'nothing' in 'shop'")


@pytest.mark.parametrize("name, words", [
    ("nowhere.Mine", ["'nowhere.Mine'", "No module named 'nowhere'", "--pythonpath"]),
    ("mine.Other", ["'mine.Other'", "the module 'mine' has no 'Other'"]),
    ("broken.Mine", ["'broken.Mine'", "ZeroDivisionError", "broken.py, line 1"]),
    ("shop.app", ["shop.app", "no worker class", "gunicorn.workers.base.Worker"]),
    ("gevnt", ["'gevnt'", "did you mean `gevent`"]),
    ("egg:nowhere#sync", ["egg:nowhere#sync", "no package 'nowhere'"]),
    ("mine.Asgi", ["Asgi", "nothing to extend", "-k asgi"]),
])
@pytest.mark.parametrize("check", [["--check-config"], []])
def test_a_class_that_is_none_is_named_with_the_way_out(run, name, words, check):
    done = run("-b", "127.0.0.1:0", "-k", name, *check, "shop:app", files={
        "shop.py": APP, "broken.py": "1 / 0\n", "mine.py": SYNC + """\
from gunicorn.workers.gasgi import ASGIWorker
class Asgi(ASGIWorker):
    pass
"""}, announced=["."])
    assert done.status == 1
    assert done.line_with(*words)


def test_a_class_that_fails_in_its_constructor_stops_the_start(run):
    done = run("-b", "127.0.0.1:0", "-k", "mine.Mine", "shop:app", files={
        "shop.py": APP, "mine.py": SYNC.replace(
            "    def init_process", "    def __init__(self, *args):\n"
            "        raise ValueError('no licence')\n\n    def init_process")},
        announced=["."])
    assert done.status == 1
    assert done.line_with("no licence")


NAMES = """\
import sys
def found():
    return [n for n in ("gunicorn.workers.sync", "gunicorn.workers.base", "gunicorn.http",
                        "gunicorn.config", "gunicorn.sock", "gunicorn.arbiter",
                        "gunicorn.util", "_cgunicorn_glue.python_worker")
            if type(sys.modules.get(n)).__name__ == "module"]
"""


def test_a_native_master_and_its_workers_import_none_of_it(server):
    s = server("shop:app", config="""\
from names import found as _found
def when_ready(server):
    with open("master", "w") as f:
        f.write(repr(_found()))
""", files={"names.py": NAMES, "shop.py": """\
from names import found
def app(environ, start_response):
    body = repr(found()).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""})
    assert s.get("/").body == b"[]"
    assert (s.folder / "master").read_text() == "[]"


# An installed gunicorn, which answers imports in the place of the server's own.
INSTALLED = {"site/gunicorn/__init__.py": "version_info = (27, 0, 1)\n__version__ = '27.0.1'\n"
                                          "SERVER = 'gunicorn'\nSERVER_SOFTWARE = 'gunicorn/27'\n"}


def test_a_native_master_is_not_larger_for_it(server):
    """Than one where it cannot be imported: within 0.2 MiB."""
    def size(**env):
        s = server("shop:app", files={"shop.py": APP, **INSTALLED}, env=env)
        assert s.get("/").status == 200
        rollup = pathlib.Path(f"/proc/{s.pid}/smaps_rollup").read_text()  # exact
        found = int(re.search(r"^Rss: +(\d+) kB$", rollup, re.M)[1])
        assert s.stop() == 0
        return found

    assert size() - size(PYTHONPATH="site") < 205
