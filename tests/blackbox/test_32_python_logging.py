# SPDX-License-Identifier: MIT
"""Loggers in Python: logger_class, logconfig, and what configurations and
applications do to gunicorn's loggers."""
import json
import subprocess

import pytest

from harness import classes, embedded
from harness.load import Load
from harness.logcheck import lines
from harness.waiting import until

APPS = ["probe.py"]
# A logger class as real configurations have it.
OWN = """\
import logging
from gunicorn import glogging

class Own(glogging.Logger):
    def setup(self, cfg):
        super().setup(cfg)
        for handler in self.error_log.handlers:
            handler.setFormatter(logging.Formatter("OWN %(levelname)s %(message)s"))

    def access(self, resp, req, environ, request_time):
        if environ["PATH_INFO"] != "/one":
            super().access(resp, req, environ, request_time)

    def atoms(self, resp, req, environ, request_time):
        atoms = super().atoms(resp, req, environ, request_time)
        atoms["mine"] = "%s/%s" % (resp.status_code, req.method)
        return atoms
"""


@pytest.mark.parametrize("setting", [
    "", "accesslog = '-'", "logger_class = 'simple'", "statsd_host = '127.0.0.1:9'",
    "syslog = True; syslog_addr = 'udp://127.0.0.1:9'; accesslog = 'a.log'",
    "loglevel = 'debug'; errorlog = 'error.log'; capture_output = True",
    "import gunicorn.glogging, logging\nlogger_class = gunicorn.glogging.Logger",
    "logger_class = 'gunicorn.instrument.statsd.Statsd'; statsd_host = '127.0.0.1:9'"])
def test_python_stays_out_of_it_unless_somebody_has_a_say(server, setting):
    s = server("probe:app", apps=APPS, errorlog="error.log", config=setting + """
def post_request(worker, req, environ, resp):
    from _cgunicorn_glue import logger
    worker.log.warning("routes %s", logger.routes(worker.log))
""", start=False)
    until(lambda: _serves(s), "it serves")
    s.wait_log(r"routes \(False, False\)")


def test_a_logger_class_makes_all_lines(server):
    s = server("probe:app", apps=APPS, files={"own.py": OWN}, config=(
        "accesslog = 'a.log'\n"
        "access_log_format = '%(U)s %(mine)s %(s)s %(b)s %(nosuch)s'\n"
        "logger_class = 'own.Own'\n"))
    s.get("/one")
    s.get("/status?404")
    assert lines(s.folder / "a.log", 1) == ["/status 404/GET 404 6 -"]
    for text in (r"OWN INFO Listening at: http", r"OWN INFO Booting worker"):
        s.wait_log("(?m)^" + text)
    assert "[INFO]" not in s.log()


def test_a_refused_request_goes_through_the_logger_of_an_idle_worker(server):
    s = server("probe:app", apps=APPS, files={"own.py": OWN}, config=(
        "accesslog = 'a.log'\naccess_log_format = '%(h)s %(s)s %(r)s'\n"
        "logger_class = 'own.Own'\n"))
    with s.connect() as peer:
        assert peer.send("GET /x\x01 HTTP/1.1\r\n\r\n").reply().status == 400
    s.wait_log(r"(?m)^OWN WARNING Invalid request from ip=127\.0\.0\.1: ")
    line = lines(s.folder / "a.log", 1)[0]
    assert line.startswith("127.0.0.1 400 "), line


def test_an_exception_reaches_the_logger_with_its_traceback(server):
    s = server("probe:app", apps=APPS, announced=["ZeroDivisionError"],
               files={"own.py": OWN + """
    def exception(self, msg, *args, **kwargs):
        import sys
        super().exception(msg, *args, **kwargs)
        self.error("kind=%s msg=%r args=%r", sys.exc_info()[0].__name__, msg, args)
"""}, config="logger_class = 'own.Own'\n")
    assert s.get("/raising").status == 500
    s.wait_log(r"(?m)^OWN ERROR Error handling request GET /raising\n"
               r"Traceback \(most recent call last\):\n")
    s.wait_log(r"(?m)^OWN ERROR kind=ZeroDivisionError msg='Error handling "
               r"request %s %s' args=\('GET', '/raising'\)")
    assert "_cgunicorn_glue" not in s.log()


def test_a_class_object_does_as_well(server):
    s = server("probe:app", apps=APPS, files={"own.py": OWN}, config=(
        "from own import Own\nlogger_class = Own\n"))
    s.wait_log("(?m)^OWN INFO Listening at")


def test_a_logger_class_that_is_not_there_is_named(run):
    done = run("--logger-class", "no.such.Class", "-b", "127.0.0.1:0",
               "probe:app", apps=APPS)
    assert done.status == 1
    assert done.line_with("Error:", "logger_class: class uri 'no.such.Class'",
                          "No module named 'no'")


def test_a_logger_class_that_cannot_be_made_shows_why(run):
    done = run("-b", "127.0.0.1:0", "-c", "conf.py", "probe:app", apps=APPS,
               files={"conf.py": "class Bad:\n    def __init__(self, cfg):\n"
                                 "        1 / 0\nlogger_class = Bad\n"},
               announced=["ZeroDivisionError"])
    assert done.status == 1
    assert "Traceback" in done.err and "ZeroDivisionError" in done.err


@pytest.mark.parametrize("method", ["access", "info", "warning", "exception"])
def test_a_logger_that_raises_costs_no_request(server, method):
    s = server("probe:app", apps=APPS, start=False,
               announced=["the logger failed", "ZeroDivisionError"],
               files={"own.py": OWN + f"""
    def {method}(self, *args, **kwargs):
        raise KeyError("broken {method}")
"""}, config="accesslog = 'a.log'\nlogger_class = 'own.Own'\n")

    def answers():
        try:
            return s.get("/one").body == b"one item"
        except (OSError, AssertionError):
            return False
    until(answers, "it serves")
    assert s.get("/raising").status == 500
    with s.connect() as peer:
        assert peer.send("BAD\r\n\r\n").reply().status == 400
    for _ in range(5):
        assert s.get("/status?200").status == 200
    s.wait_log(f"broken {method}")
    s.wait_log("Invalid request from ip=")  # in the native log if need be
    s.wait_log("Error handling request GET /raising")


def test_a_blocked_worker_refuses_and_logs_it_when_it_is_free(server):
    import os
    s = server("blocks:app", apps=APPS, files={"own.py": OWN, "blocks.py": """\
import probe

def app(environ, start_response):
    if environ["PATH_INFO"] == "/block":
        open("fifo").read()
    return probe.app(environ, start_response)
"""}, config="accesslog = 'a.log'\naccess_log_format = '%(s)s %(r)s'\n"
             "logger_class = 'own.Own'\n")
    os.mkfifo(s.folder / "fifo")
    with s.connect() as blocked, s.connect() as bad:
        bad.get("/one").reply()  # a worker that is busy accepts nobody
        blocked.get("/block")
        writer = os.open(s.folder / "fifo", os.O_WRONLY)  # it is in there now
        # another thread answers, which must not run Python
        assert bad.send("GET /bad\x01 HTTP/1.1\r\n\r\n").reply().status == 400
        os.close(writer)
        blocked.reply()
    s.wait_log("(?m)^OWN WARNING Invalid request from ip=")
    found = lines(s.folder / "a.log", 2)
    assert any(x.startswith("400 ") for x in found), found
    assert any("/block" in x for x in found), found


@pytest.mark.parametrize("threads", ["1", "4"])
def test_refusals_beside_requests_do_not_stall_a_python_logger(server, threads):
    s = server("probe:app", "--threads", threads, apps=APPS,
               files={"own.py": OWN},
               config="accesslog = 'a.log'\naccess_log_format = '%(s)s'\n"
                      "logger_class = 'own.Own'\n")
    with Load(s.address, "/status?200", clients=6) as load:
        for _ in range(60):
            with s.connect() as peer:
                assert peer.send("BAD\r\n\r\n").reply().status == 400
        load.wait_answers(300)
    assert load.lost == []
    s.wait_log("(?m)^OWN WARNING Invalid request from ip=")
    found = lines(s.folder / "a.log", load.answered + 60)
    assert found.count("400") == 60


# ---- logconfig ----

DICT = {
    "version": 1,
    "formatters": {"f": {"format": "DICT %(name)s %(levelname)s %(message)s"}},
    "handlers": {"e": {"class": "logging.FileHandler", "filename": "e.log",
                       "formatter": "f"},
                 "a": {"class": "logging.FileHandler", "filename": "d.log",
                       "formatter": "f"}},
    "loggers": {"gunicorn.error": {"handlers": ["e"], "level": "INFO",
                                   "propagate": False},
                "gunicorn.access": {"handlers": ["a"], "level": "INFO",
                                    "propagate": False}},
    "root": {"level": "INFO", "handlers": []},
}
INI = """\
[loggers]
keys=root,gunicorn.error,gunicorn.access
[handlers]
keys=e,a
[formatters]
keys=f
[logger_root]
level=INFO
handlers=
[logger_gunicorn.error]
level=INFO
handlers=e
propagate=0
qualname=gunicorn.error
[logger_gunicorn.access]
level=INFO
handlers=a
propagate=0
qualname=gunicorn.access
[handler_e]
class=FileHandler
args=('e.log',)
formatter=f
[handler_a]
class=FileHandler
args=('d.log',)
formatter=f
[formatter_f]
format=DICT %(name)s %(levelname)s %(message)s
"""


@pytest.mark.parametrize("how", ["dict", "json", "ini", "yaml"])
def test_a_logconfig_says_where_lines_go(server, how):
    setting = {"dict": f"logconfig_dict = {DICT!r}\n",
               "json": "logconfig_json = 'log.json'\n",
               "ini": "logconfig = 'log.ini'\n",
               "yaml": ""}[how]
    files = {"log.json": json.dumps(DICT), "log.ini": INI,
             "c.yaml": "logconfig_dict: " + json.dumps(DICT) + "\n"}
    args = ["-c", "c.yaml"] if how == "yaml" else []
    s = server("probe:app", "--access-logformat", "%(m)s %(U)s %(s)s", *args,
               apps=APPS, files=files, errorlog="e.log", start=False,
               config=None if how == "yaml" else setting)
    s.wait_log("DICT gunicorn.error INFO Booting worker with pid: ")
    until(lambda: s.get("/one").body == b"one item", "it serves")
    assert lines(s.folder / "d.log", 1)[0] == (
        "DICT gunicorn.access INFO GET /one 200")
    assert "Listening at" not in s.stderr()


def test_changed_defaults_of_logconfig_count(server):
    s = server("probe:app", apps=APPS, config="""\
from gunicorn.glogging import CONFIG_DEFAULTS
CONFIG_DEFAULTS["formatters"]["generic"]["format"] = "CHANGED %(message)s"
logconfig_dict = {"loggers": {
    "gunicorn.error": {"level": "INFO", "handlers": ["error_console"]},
    "gunicorn.access": {"level": "INFO", "handlers": ["console"]}}}
access_log_format = "%(U)s"
""")
    s.get("/one")
    s.wait_log("(?m)^CHANGED Listening at")
    until(lambda: "CHANGED /one\n" in s.stdout(), s.stdout)


@pytest.mark.parametrize("setting, words", [
    ("logconfig = 'nowhere.ini'", ("log config 'nowhere.ini' not found",)),
    ("logconfig_dict = {'version': 7}", ("Unsupported version: 7",)),
    ("logconfig_dict = {'handlers': {'x': {'class': 'no.Such'}}}",
     ("Unable to configure handler 'x'",)),
    ("logconfig_json = 'bad.json'", ("Expecting value",))])
def test_a_wrong_logconfig_is_an_error_at_the_start(run, setting, words):
    done = run("-b", "127.0.0.1:0", "-c", "conf.py", "probe:app", apps=APPS,
               files={"conf.py": setting + "\n", "bad.json": "nonsense"})
    assert done.status == 1
    assert done.line_with("Error:", *words)


def test_records_have_gunicorns_attributes(server):
    s = server("probe:app", apps=APPS, files={"jsonlog.py": """\
import json, logging

class Json(logging.Formatter):
    def format(self, r):
        return json.dumps({"name": r.name, "level": r.levelname,
            "msg": r.msg, "text": r.getMessage(),
            "U": r.args["U"] if isinstance(r.args, dict) else None,
            "agent": r.args["{user-agent}i"] if isinstance(r.args, dict) else None})
"""}, config="""\
logconfig_dict = {
    "formatters": {"j": {"()": "jsonlog.Json"}},
    "handlers": {"h": {"class": "logging.FileHandler", "filename": "j.log",
                       "formatter": "j"}},
    "loggers": {n: {"handlers": ["h"], "level": "INFO", "propagate": False}
                for n in ("gunicorn.error", "gunicorn.access")},
    "root": {"level": "INFO", "handlers": []},
}
""", start=False)
    until(lambda: (s.folder / "j.log").exists()
          and "Booting" in (s.folder / "j.log").read_text(), "the worker")
    until(lambda: s.get("/one?x", "User-Agent: t/1").status == 200, "it serves")

    def access():
        found = [json.loads(x) for x in (s.folder / "j.log").open()]
        return [r for r in found if r["name"] == "gunicorn.access"]
    record = until(access, "an access record")[0]
    assert record["msg"].startswith("%(h)s %(l)s")
    assert record["U"] == "/one" and record["agent"] == "t/1"
    assert '"GET /one?x HTTP/1.1" 200 8 "-" "t/1"' in record["text"]


# ---- the loggers themselves ----


def test_the_application_may_use_gunicorns_handlers(server):
    s = server("talk:app", files={"talk.py": """\
import logging
log = logging.getLogger("talk")
log.handlers = logging.getLogger("gunicorn.error").handlers
log.setLevel(logging.getLogger("gunicorn.error").level)

def app(environ, start_response):
    log.info("said by the application: %s", environ["PATH_INFO"])
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"x"]
"""})
    s.get("/hello")
    pid = s.workers()[0]
    s.wait_log(r"(?m)^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}\] "
               rf"\[{pid}\] \[INFO\] said by the application: /hello$")


FILTER = """\
import logging

class NoChecks(logging.Filter):
    def filter(self, record):
        return record.args["U"] != "/one"

logging.getLogger("gunicorn.access").addFilter(NoChecks())
"""


@pytest.mark.parametrize("where", ["config", "app"])
def test_a_filter_on_the_access_logger_counts(server, where):
    config = "accesslog = 'a.log'\naccess_log_format = '%(U)s %(s)s'\n"
    files = {"mine.py": "from probe import app\n"}
    if where == "config":
        config = FILTER + config
    else:
        files["mine.py"] = FILTER + files["mine.py"]
    s = server("mine:app", apps=APPS, files=files, config=config)
    s.get("/one")
    s.get("/status?404")
    s.get("/one")
    s.get("/status?200")
    assert lines(s.folder / "a.log", 2) == ["/status 404", "/status 200"]


def test_a_handler_on_the_error_logger_gets_the_servers_lines(server):
    s = server("probe:app", apps=APPS, announced=["ZeroDivisionError"],
               config="""\
import logging
def post_worker_init(worker):
    handler = logging.FileHandler("mine.log")
    handler.setFormatter(logging.Formatter("MINE %(message)s"))
    logging.getLogger("gunicorn.error").addHandler(handler)
""")
    s.get("/raising")
    with s.connect() as peer:
        peer.send("BAD\r\n\r\n").reply()
    found = "\n".join(lines(s.folder / "mine.log", 3))
    assert "MINE Error handling request GET /raising\nTraceback" in found
    until(lambda: "MINE Invalid request from" in
          (s.folder / "mine.log").read_text(), "the refusal")
    s.wait_log(r"\[ERROR\] Error handling request GET /raising")


def test_who_listens_to_all_records_hears_the_servers(server):
    # as error trackers do it
    s = server("mine:app", apps=APPS, announced=["ZeroDivisionError"], files={
        "mine.py": """\
import logging
from probe import app
heard = logging.Logger.callHandlers

def listen(self, record):
    if record.exc_info and self.name == "gunicorn.error":
        open("heard", "a").write(record.exc_info[0].__name__)
    return heard(self, record)

logging.Logger.callHandlers = listen
"""})
    s.get("/raising")
    until(lambda: (s.folder / "heard").exists(), "the record is heard")
    until(lambda: (s.folder / "heard").read_text() == "ZeroDivisionError",
          "with its exception")


def test_methods_of_the_class_that_a_configuration_replaced_count(server):
    s = server("probe:app", apps=APPS, config="""\
import gunicorn.glogging
def now(self):
    return "[no time]"
gunicorn.glogging.Logger.now = now
accesslog = "a.log"
access_log_format = "%(t)s %(s)s"
""")
    s.get("/one")
    assert lines(s.folder / "a.log", 1) == ["[no time] 200"]


def test_the_logger_has_gunicorns_surface(server):
    s = server("probe:app", apps=APPS, config="""\
import gunicorn.glogging
accesslog = "a.log"
def when_ready(server):
    log = server.log
    # (an installed package's class is another one)
    assert isinstance(log, gunicorn.glogging.Logger) or hasattr(gunicorn, "__file__")
    assert log.error_log.name == "gunicorn.error" and log.access_log.handlers
    assert log.loglevel == 20 and log.error_log.level == 20
    assert log.cfg is server.cfg and log.access_log_enabled
    assert log.now().startswith("[") and log.logfile is None
    log.close_on_exec()
    log.reopen_files()
    for name in ("debug", "info", "warning", "error", "critical"):
        getattr(log, name)("by %s %d", name, 1)
    log.log("warning", "by log %s", "x")
    log.log(40, "{not a format %s}")
    try:
        1 / 0
    except ZeroDivisionError:
        log.exception("caught")
    log.info("with %(a)s", {"a": "mapping"})
""", announced=["by critical", "caught"])
    for text in (r"\[INFO\] by info 1", r"\[WARNING\] by warning 1",
                 r"\[ERROR\] by error 1", r"\[CRITICAL\] by critical 1",
                 r"\[WARNING\] by log x", r"\[ERROR\] \{not a format %s\}",
                 r"\[ERROR\] caught\nTraceback", r"\[INFO\] with mapping"):
        s.wait_log(text)
    assert "by debug" not in s.log()


def test_statsd_as_logger_class_and_over_a_logconfig(server):
    import socket
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(40)
        s = server("probe:app", apps=APPS, config=f"""\
logger_class = "gunicorn.instrument.statsd.Statsd"
statsd_host = "127.0.0.1:{sock.getsockname()[1]}"
statsd_prefix = "pp"
logconfig_dict = {DICT!r}
""", errorlog="e.log", start=False)
        until(lambda: _serves(s), "it serves")
        got = set()
        until(lambda: got.add(sock.recv(9000)) or {
            b"pp.gunicorn.workers:1|g", b"pp.gunicorn.requests:1|c|@1.0",
            b"pp.gunicorn.request.status.200:1|c|@1.0"} <= got, lambda: str(got))


def _serves(s):
    try:
        return s.get("/one").status == 200
    except (OSError, AssertionError):
        return False


# ---- USR1, HUP ----


def test_usr1_reopens_the_files_of_python_loggers(server):
    s = server("mine:app", "-w", "2", apps=APPS, files={
        "own.py": OWN, "mine.py": """\
import logging, probe
handler = logging.FileHandler("app.log")
logging.getLogger("mine").addHandler(handler)

def app(environ, start_response):
    logging.getLogger("mine").warning("%s", environ["QUERY_STRING"])
    return probe.app(environ, start_response)
"""}, config="accesslog = 'a.log'\nlogger_class = 'own.Own'\n")
    s.wait_log("Booting worker", 2)
    s.get("/status?200")
    lines(s.folder / "a.log", 1)
    for name in ("a.log", "app.log"):
        (s.folder / name).rename(s.folder / (name + ".1"))
    s.signal("USR1")
    for name in ("a.log", "app.log"):
        def arrives():
            s.get("/status?201")
            path = s.folder / name
            return path.exists() and "201" in path.read_text()
        until(arrives, f"lines arrive in the new {name}")


def test_usr1_reopens_an_applications_files_with_the_native_log_too(server):
    s = server("mine:app", apps=APPS, files={"mine.py": """\
import logging, probe
logging.getLogger("mine").addHandler(logging.FileHandler("app.log"))

def app(environ, start_response):
    logging.getLogger("mine").warning("%s", environ["QUERY_STRING"])
    return probe.app(environ, start_response)
"""})
    s.get("/one?before")
    (s.folder / "app.log").rename(s.folder / "app.log.1")
    s.signal("USR1")

    def arrives():
        s.get("/one?after")
        path = s.folder / "app.log"
        return path.exists() and "after" in path.read_text()
    until(arrives, "lines arrive in the new file")


def test_usr1_in_the_middle_of_a_line_reopens_the_file_behind_it(server):
    s = server("mine:app", apps=APPS, files={"mine.py": """\
import io, logging, os, probe, signal

class Raw(io.FileIO):
    def write(self, data):
        if b"before" in bytes(data):
            os.rename("app.log", "app.log.1")
            os.kill(os.getpid(), signal.SIGUSR1)
        return super().write(data)

class Handler(logging.FileHandler):
    def _open(self):
        return io.TextIOWrapper(io.BufferedWriter(Raw("app.log", "a")))

logging.getLogger("mine").addHandler(Handler("app.log"))

def app(environ, start_response):
    logging.getLogger("mine").warning("%s", environ["QUERY_STRING"])
    return probe.app(environ, start_response)
"""})
    s.get("/one?before")
    until(lambda: (s.folder / "app.log").exists(), "it is opened anew")

    def arrives():
        s.get("/one?after")
        return "after" in (s.folder / "app.log").read_text()
    until(arrives, "lines arrive in the new file")
    assert "before" in (s.folder / "app.log.1").read_text()


def test_hup_takes_a_new_logger_configuration(server):
    s = server("probe:app", apps=APPS, files={"own.py": OWN},
               config="accesslog = 'a.log'\n")
    conf = next(p for p in s.folder.iterdir() if "accesslog" in
                (p.read_text(errors="replace") if p.is_file() else ""))
    s.get("/status?200")
    lines(s.folder / "a.log", 1)
    conf.write_text("accesslog = 'a.log'\nlogger_class = 'own.Own'\n"
                    "access_log_format = 'B %(mine)s'\n")
    s.signal("HUP")
    s.wait_log("(?m)^OWN INFO Booting worker")

    def through_the_new_one():
        s.get("/status?200")
        return "B 200/GET" in (s.folder / "a.log").read_text()
    until(through_the_new_one, "access lines of the new logger")
    conf.write_text("accesslog = 'a.log'\nlogconfig = 'nowhere.ini'\n")
    s.signal("HUP")
    s.wait_log("reloading the logger configuration failed, keeping the "
               "previous one: .*not found")
    conf.write_text("accesslog = 'a.log'\naccess_log_format = 'C %(s)s'\n")
    s.signal("HUP")

    def native_again():
        s.get("/status?200")
        return "C 200" in (s.folder / "a.log").read_text()
    until(native_again, "native access lines again")


LATE = """\
import logging, sys
there = set(sys.modules)

def app(environ, start_response):
    start_response("200 OK", [])
    if environ["PATH_INFO"] == "/there":
        return [repr(sorted(there)).encode()]
    if environ["PATH_INFO"] == "/absent":
        return [repr([hasattr(logging, n) for n in ("nosuch", "config", "handlers")]).encode()]
    logging.config.dictConfig({"version": 1, "incremental": True})
    return [logging.handlers.MemoryHandler.__name__.encode()]
"""
# what logging's own parts, and the configuration's readers, import
HEAVY = {"logging.config", "logging.handlers", "socket", "socketserver", "selectors",
         "pickle", "queue", "inspect", "dis", "ast", "json"}


def brought_by_logging():
    """What its traceback imports in Python 3.14 (_colorize: dataclasses)."""
    done = subprocess.run(
        [embedded.executable(), "-c", "import logging, sys; print(*sys.modules)"],
        capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@classes.needs_no_package
def test_a_worker_carries_only_what_it_needs(server):
    """Each megabyte of modules is one per worker."""
    s = server("late:app", files={"late.py": LATE})
    there = eval(s.get("/there").body)
    assert "logging" in there
    assert HEAVY & set(there) - brought_by_logging() == set()


def test_parts_of_logging_are_there_for_who_only_imports_logging(server):
    """gunicorn imports them, and applications rely on that."""
    s = server("late:app", files={"late.py": LATE})
    assert s.get("/").body == b"MemoryHandler"
    assert eval(s.get("/absent").body) == [False, True, True]


@pytest.mark.parametrize("how", [
    "logconfig = 'log.ini'", "logconfig_json = 'log.json'",
    "logconfig_dict = {'version': 1}"])
def test_logging_may_have_a_getattr_of_its_own(server, how):
    """Python 3.15's has one; what it knows stays known."""
    s = server("late:app", files={"late.py": LATE, "log.json": '{"version": 1}',
                                  "log.ini": """\
[loggers]
keys=root
[handlers]
keys=
[formatters]
keys=
[logger_root]
handlers=
"""}, config=f"""\
import logging
def old(name):
    if name == "nosuch":
        return 1
    raise AttributeError(name)
logging.__getattr__ = old
{how}
""")
    assert s.get("/").body == b"MemoryHandler"
    assert eval(s.get("/absent").body) == [True, True, True]
