# SPDX-License-Identifier: MIT
"""Parity of logs: the same requests under gunicorn and under us, in several
logging configurations; lines are compared but for times, pids and ports.
"""
import re
import select
import socket
import threading

import pytest

from harness import beside, classes
from harness.beside import PROGRAMS, needs_gunicorn
from harness.waiting import until

pytestmark = needs_gunicorn

# Under gunicorn that class tells nothing of requests: no access line, no metric,
# no hook, and of one that raises neither a line nor a reply (docs/async.md);
# wsgi.errors is the process's stderr.
TORNADO = classes.under_test() == "tornado"
OF_REQUESTS = re.compile(r"/(one|skip|a%20b|a b|moved|elsewhere|talk|last)\b"
                         r"|to wsgi\.errors|gunicorn\.request")

ATOMS = ("h", "l", "u", "r", "s", "m", "U", "q", "H", "B", "b", "f", "a", "T",
         "{x-in}i", "{X-IN}I", "{X-Kept}o", "{server}o", "{date}o",
         "{connection}o", "{content-type}o", "{transfer-encoding}o",
         "{REMOTE_ADDR}e", "{remote_addr}e", "{wsgi.multithread}e",
         "{wsgi.version}e", "{RAW_URI}e", "{no-such}i", "{no-such}e",
         "nosuchatom")
EVERY_ATOM = " ".join("%s=[%%(%s)s]" % (a.strip("{}"), a) for a in ATOMS)

MINE = """\
import logging
import probe

def app(environ, start_response):
    if environ["PATH_INFO"] == "/talk":
        environ["wsgi.errors"].write("to wsgi.errors\\n")
        logging.getLogger("mine").warning("by the application's own logger")
        logging.getLogger("gunicorn.error").error("by gunicorn's logger %s", 1)
    if environ["PATH_INFO"] == "/moved":
        environ["REMOTE_ADDR"] = "192.0.2.9"  # as proxy middleware does
        environ["PATH_INFO"] = "/elsewhere"
        environ["mine"] = 3
    if environ["PATH_INFO"] == "/raise":
        raise ValueError("on purpose")
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Kept", "k"),
                              ("Content-Length", "2")])
    return [b"ok"]
"""
OWN = """\
import logging
from gunicorn import glogging

class Own(glogging.Logger):
    error_fmt = "OWN %(levelname)s %(message)s"

    def atoms(self, resp, req, environ, request_time):
        atoms = super().atoms(resp, req, environ, request_time)
        atoms["mine"] = "%s|%s|%s|%s" % (resp.status, resp.sent, req.method, req.path)
        return atoms

    def access(self, resp, req, environ, request_time):
        if environ["PATH_INFO"] != "/skip":
            super().access(resp, req, environ, request_time)
"""
DICT = {
    "formatters": {"f": {"format": "%(name)s|%(levelname)s|%(message)s"}},
    "handlers": {"h": {"class": "logging.FileHandler", "filename": "all.log",
                       "formatter": "f"}},
    "loggers": {"gunicorn.error": {"handlers": ["h"], "level": "INFO",
                                   "propagate": False},
                "gunicorn.access": {"handlers": ["h"], "level": "INFO",
                                    "propagate": False}},
    "root": {"level": "INFO", "handlers": ["h"]},
}
INI = """\
[loggers]
keys=root,gunicorn.error,gunicorn.access
[handlers]
keys=h
[formatters]
keys=f
[logger_root]
level=INFO
handlers=h
[logger_gunicorn.error]
level=INFO
handlers=h
propagate=0
qualname=gunicorn.error
[logger_gunicorn.access]
level=INFO
handlers=h
propagate=0
qualname=gunicorn.access
[handler_h]
class=FileHandler
args=('%(here)sall.log',)
formatter=f
[formatter_f]
format=%(name)s|%(levelname)s|%(message)s
"""
HOOKS = """\
def when_ready(server):
    server.log.debug("hidden")
    server.log.info("ready %s", "x")
    server.log.warning("mapping %(a)s", {"a": 1})
    server.log.log("error", "by log()")
    try:
        {}["missing"]
    except KeyError:
        server.log.exception("caught %d", 7)
    server.log.critical("percent %")

def post_request(worker, req, environ, resp):
    worker.log.info("%s %s %s", req.method, req.path, resp.status)
"""
# name -> configuration; what is written to is looked for by itself
CONFIGURATIONS = {
    "default access log": "accesslog = 'access.log'\n",
    "every atom": f"accesslog = 'access.log'\naccess_log_format = {EVERY_ATOM!r}\n",
    "levels and files": "accesslog = '-'\nerrorlog = 'error.log'\n"
                        "loglevel = 'warning'\n",
    "an unknown level": "loglevel = 'WARNING'\naccesslog = '-'\n",
    "captured output": "errorlog = 'error.log'\ncapture_output = True\n",
    "hooks": "errorlog = 'error.log'\n" + HOOKS,
    "a logger class": "accesslog = 'access.log'\nlogger_class = 'own.Own'\n"
                      "access_log_format = '%(U)s %(mine)s %(nosuch)s'\n",
    "a dictionary": f"logconfig_dict = {DICT!r}\naccess_log_format = '%(r)s %(s)s'\n",
    "a dictionary beside files":
        f"logconfig_dict = {DICT!r}\naccess_log_format = '%(r)s %(s)s'\n"
        "accesslog = 'access.log'\nerrorlog = 'error.log'\n",
    "an ini file": "logconfig = 'log.ini'\naccess_log_format = '%(r)s %(s)s'\n",
    "changed defaults": """\
from gunicorn.glogging import CONFIG_DEFAULTS
CONFIG_DEFAULTS["formatters"]["generic"]["format"] = "%(name)s>%(message)s"
logconfig_dict = {"root": {"level": "INFO", "handlers": ["console"]}}
access_log_format = "%(r)s %(s)s"
""",
    "a filter": """\
import logging
accesslog = "access.log"
access_log_format = "%(U)s %(s)s"
class Skip(logging.Filter):
    def filter(self, record):
        return record.args["U"] != "/skip"
logging.getLogger("gunicorn.access").addFilter(Skip())
""",
    "a patched class": """\
import gunicorn.glogging
accesslog = "access.log"
access_log_format = "%(t)s %(U)s"
gunicorn.glogging.Logger.now = lambda self: "[when]"
""",
}
WRITTEN = ("access.log", "error.log", "all.log")


# gunicorn's access line of an exception knows neither the path nor the bytes of
# the page; ours does: compared only where the format shows neither
RAISING = ("captured output", "a dictionary", "a dictionary beside files",
           "an ini file", "changed defaults")


TOLD = (
    ("/one?a=b", "Referer: there", "User-Agent: agent/1", "X-In: inward",
     "Authorization: Basic YWRhOnNlY3JldA=="),
    ("/skip", "User-Agent: x"), ("/a%20b;c", "X-In: a", "X-In: b"),
    ("/moved", "X-In: x"), ("/talk",), ("/raise",), ("/last",))


def exercise(s, raising=False, between=lambda: None):
    for path, *fields in TOLD:
        if path != "/raise" or (raising and not TORNADO):
            status = s.get(path, *fields).status
            assert status == (500 if path == "/raise" else 200)
            between()


def compared(lines):
    return [x for x in lines if not (TORNADO and OF_REQUESTS.search(x))]


def plain(text):
    """Text of a log without what belongs to one run."""
    text = re.sub(r"\[\d{4}-\d\d-\d\d [^]]*\] \[\d+\] ", "", text)
    text = re.sub(r"\[\d\d/\w{3}/\d{4}:[^]]*\]", "[T]", text)
    text = re.sub(r"\[\d+\]", "[N]", text)
    text = re.sub(r"Starting c?gunicorn \S+", "Starting", text)
    text = re.sub(r"127\.0\.0\.1:\d+", "ADDRESS", text)
    text = re.sub(r"(pid: ?|\()\d+\)?", r"\1N", text)
    if beside.is_old():  # it names no method there
        text = text.replace("Error handling request GET /", "Error handling request /")
    # frames are the server's own; what was raised is the application's
    text = re.sub(r"(?m)^  File .*\n(?:    .*\n)*", "", text)
    # told by us alone, on purpose
    text = re.sub(r"(?m)^.*(access_log_format: there is no atom"
                  r"|Workers run as root).*(\n|\Z)", "", text)
    keep = [x for x in text.splitlines()
            if "ontrol s" not in x and "Current configuration" not in x
            and "run as root" not in x]
    return sorted(x for x in keep if x.strip())


def all_logs(s):
    logs = {"stdout": s.stdout(), "stderr": s.stderr()}
    for name in WRITTEN:
        path = s.folder / name
        logs[name] = path.read_text() if path.exists() else None
    return {n: t if t is None else plain(t) for n, t in logs.items()}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_logs_are_gunicorns(server, name):
    logs = []
    for program in PROGRAMS:
        s = server("mine:app", apps=["probe.py"], program=program, start=False,
                   files={"mine.py": MINE, "own.py": OWN, "log.ini": INI},
                   config=CONFIGURATIONS[name], errorlog="error.log",
                   announced=["."])
        until(lambda: answers(s), "it serves")
        exercise(s, name in RAISING)
        assert s.stop() == 0
        logs.append(all_logs(s))
    theirs, ours = logs
    # the first requests until it served are not of the same number
    for log in (theirs, ours):
        for n, t in log.items():
            log[n] = t and compared(x for x in t if "/until" not in x)
    assert ours == theirs


def answers(s):
    try:
        return s.get("/until").status == 200
    except (OSError, AssertionError):
        return False


# ---- datagrams ----


class Reader(threading.Thread):
    """Reads all the time: a full unix socket would block gunicorn."""

    def __init__(self, sock):
        super().__init__()
        self.sock, self.got = sock, []

    def run(self):
        while data := self.sock.recv(65536):
            self.got.append(data)

    def caught_up(self):
        return not select.select([self.sock], [], [], 0)[0]

    def end(self):
        with socket.socket(self.sock.family, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self.sock.getsockname())  # behind all others
        self.join()
        return self.got


def datagrams_of(server, program, config, path=None):
    family = socket.AF_UNIX if path else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.bind(str(path) if path else ("127.0.0.1", 0))
        where = path or "127.0.0.1:%d" % sock.getsockname()[1]
        reader = Reader(sock)
        reader.start()
        try:
            s = server("mine:app", apps=["probe.py"], program=program,
                       files={"mine.py": MINE}, announced=["."], start=False,
                       config=config.replace("WHERE", str(where)) + HOOKS)
            until(lambda: answers(s), "it serves")
            # we drop what a reader leaves in its socket: ten lines fill it
            exercise(s, between=lambda: until(reader.caught_up, "all is read"))
            assert s.stop() == 0
        finally:
            got = reader.end()
        return [m for m in got if b"/until" not in m]


@pytest.mark.parametrize("config", [
    "syslog = True\nsyslog_addr = 'udp://WHERE'\n",
    "syslog = True\nsyslog_addr = 'unix://WHERE'\nsyslog_prefix = 'shop'\n"
    "syslog_facility = 'local3'\nloglevel = 'warning'\n",
    "syslog = True\nsyslog_addr = 'unix://WHERE#dgram'\n"
    "disable_redirect_access_to_syslog = True\n",
], ids=["udp", "unix", "without access lines"])
def test_syslog_lines_are_gunicorns(server, tmp_path, config):
    sent = []
    for i, program in enumerate(PROGRAMS):
        path = tmp_path / f"log{i}" if "unix" in config else None
        got = datagrams_of(server, program, config, path)
        assert all(m.endswith(b"\0") for m in got)
        text = b"\n".join(m.rstrip(b"\0") for m in got).decode()
        sent.append(compared(plain(text)))
    theirs, ours = sent
    assert ours == theirs


# how often the number of workers is told; warnings that are ours alone (root)
UNEQUAL = rb"gunicorn\.(workers|log\.warning):"
if beside.is_old():  # sends no value that is 0
    UNEQUAL += rb"|h:0\|h"


@pytest.mark.parametrize("config", [
    "statsd_host = 'WHERE'\n",
    "statsd_host = 'WHERE'\nstatsd_prefix = 'shop..'\n"
    "dogstatsd_tags = 'a:b,c'\nworkers = 2\n",
    "statsd_host = 'unix://WHERE'\nstatsd_prefix = 'p'\n",
    f"statsd_host = 'WHERE'\nlogconfig_dict = {DICT!r}\n",
], ids=["udp", "prefix and tags", "unix", "with a dictionary"])
def test_metrics_are_gunicorns(server, tmp_path, config):
    config = config + """
def post_fork(server, worker):
    worker.log.info("", extra={"metric": "m", "value": 5, "mtype": "gauge"})
    worker.log.info("x", extra={"metric": "h", "value": 0, "mtype": "histogram"})
    worker.log.increment("i", 2)
"""
    sent = []
    for i, program in enumerate(PROGRAMS):
        path = tmp_path / f"statsd{i}" if "unix" in config else None
        got = datagrams_of(server, program, config, path)
        sent.append(compared(sorted(
            re.sub(r"duration:[\d.]+", "duration:T", m.decode())
            for m in got if not re.search(UNEQUAL, m))))
        assert any(b"gunicorn.workers:" in m for m in got)
    theirs, ours = sent
    assert ours == theirs
