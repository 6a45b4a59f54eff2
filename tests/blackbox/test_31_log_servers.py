# SPDX-License-Identifier: MIT
"""Syslog and statsd: what reaches their servers, and that nobody waits."""
import re
import socket
import threading

import pytest

from harness.logcheck import lines
from harness.waiting import DEADLINE, until

APPS = ["probe.py"]


class Datagrams:
    """A server that keeps what it receives."""

    def __init__(self, path=None):
        self.sock = socket.socket(
            socket.AF_UNIX if path else socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(str(path) if path else ("127.0.0.1", 0))
        self.sock.setblocking(False)
        self.address = self.sock.getsockname()
        self.got = []

    def read(self):
        while True:
            try:
                self.got.append(self.sock.recv(65536))
            except BlockingIOError:
                return self.got

    def wait(self, pattern, count=1):
        def enough():
            found = [m for m in self.read() if re.search(pattern, m)]
            return found if len(found) >= count else None
        return until(enough, lambda: f"{count} x {pattern} in {self.got}")

    def close(self):
        self.sock.close()


@pytest.fixture
def datagrams():
    made = []

    def make(path=None):
        made.append(Datagrams(path))
        return made[-1]

    yield make
    for one in made:
        one.close()


# ---- syslog ----


def test_both_logs_go_to_syslog_as_gunicorn_writes_them(server, datagrams):
    d = datagrams()
    s = server("probe:app", "--log-syslog", "--log-syslog-to",
               f"udp://127.0.0.1:{d.address[1]}", apps=APPS)
    s.get("/one?x=1", "User-Agent: test/1")
    worker = s.workers()[0]
    d.wait(rb"<14>gunicorn\.probe\.app\.error: \[%d\] Listening at: "
           rb"http://[^\0]*\0\Z" % s.pid)
    d.wait(rb"<14>gunicorn\.probe\.app\.error: \[%d\] Booting worker with "
           rb"pid: %d\0\Z" % (worker, worker))
    d.wait(rb'<14>gunicorn\.probe\.app\.access: \[%d\] 127\.0\.0\.1 - - '
           rb'\[[^]]*\] "GET /one\?x=1 HTTP/1\.1" 200 8 "-" "test/1"\0\Z'
           % worker)
    # in addition to the error log, not in its place
    assert "Listening at" in s.log()


def test_syslog_has_prefix_and_facility(server, datagrams):
    d = datagrams()
    server("probe:app", "--log-syslog", "--log-syslog-to",
           f"udp://127.0.0.1:{d.address[1]}", "--log-syslog-prefix", "shop",
           "--log-syslog-facility", "LOCAL3", apps=APPS)
    d.wait(rb"<158>gunicorn\.shop\.error: \[")


def test_access_lines_may_be_kept_out_of_syslog(server, datagrams):
    d = datagrams()
    s = server("probe:app", "--log-syslog", "--log-syslog-to",
               f"udp://127.0.0.1:{d.address[1]}",
               "--disable-redirect-access-to-syslog",
               "--access-logfile", "a.log", apps=APPS)
    s.get("/one")
    lines(s.folder / "a.log", 1)
    with s.connect() as peer:
        peer.send("BAD\r\n\r\n").reply()
    d.wait(rb"<12>gunicorn\.probe\.app\.error: \[\d+\] Invalid request")
    assert not [m for m in d.read() if b".access:" in m]


def test_lines_of_hooks_go_to_syslog(server, datagrams):
    d = datagrams()
    server("probe:app", apps=APPS, config=(
        f"syslog = True\nsyslog_addr = 'udp://127.0.0.1:{d.address[1]}'\n"
        "def when_ready(server):\n"
        "    server.log.warning('ready with %d%%', 100)\n"))
    d.wait(rb"<12>gunicorn\.probe\.app\.error: \[\d+\] ready with 100%\0\Z")


@pytest.mark.parametrize("kind", ["dgram", "stream"])
def test_syslog_on_a_unix_socket(server, tmp_path, kind):
    path = tmp_path / "syslog"
    listener = socket.socket(
        socket.AF_UNIX,
        socket.SOCK_DGRAM if kind == "dgram" else socket.SOCK_STREAM)
    with listener:
        listener.bind(str(path))
        listener.settimeout(DEADLINE)
        if kind == "stream":
            listener.listen(5)
        s = server("probe:app", "--log-syslog", "--log-syslog-to",
                   f"unix://{path}", apps=APPS)
        sock = listener.accept()[0] if kind == "stream" else listener
        first = b"gunicorn.probe.app.error: [%d] Starting cgunicorn" % s.pid
        assert first in sock.recv(65536)
        if sock is not listener:
            sock.close()


def test_syslog_over_tcp_gets_the_last_line_of_a_worker(server):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        got = []

        def serve(sock):
            with sock:
                while data := sock.recv(65536):
                    got.append(data)

        def accept():
            while True:
                try:
                    sock = listener.accept()[0]
                except OSError:
                    return
                threading.Thread(target=serve, args=[sock]).start()

        threading.Thread(target=accept, daemon=True).start()
        s = server("probe:app", "--log-syslog", "--log-syslog-to",
                   f"tcp://127.0.0.1:{listener.getsockname()[1]}", apps=APPS)
        s.get("/one")
        worker = s.workers()[0]
        s.stop()
        last = b"[%d] Worker exiting (pid: %d)\0" % (worker, worker)
        until(lambda: last in b"".join(got), lambda: f"{last} in {got}")
        listener.shutdown(socket.SHUT_RDWR)


def test_a_syslog_server_that_is_away_costs_no_request(server, tmp_path):
    s = server("probe:app", "--log-syslog", "--log-syslog-to",
               f"unix://{tmp_path}/nowhere", apps=APPS)
    for _ in range(20):
        assert s.get("/one").body == b"one item"
    s.wait_log(r"\[WARNING\] syslog does not take lines: "
               "No such file or directory")


def test_a_syslog_server_that_reads_nothing_costs_no_request(server):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        s = server("probe:app", "--log-syslog", "--log-syslog-to",
                   f"tcp://127.0.0.1:{listener.getsockname()[1]}", apps=APPS)
        path = "/one?" + "x" * 4000
        for _ in range(600):
            assert s.get(path).body == b"one item"


@pytest.mark.parametrize("args, words", [
    (("--log-syslog-to", "localhost:514"),
     ("syslog_addr", "invalid syslog address 'localhost:514'")),
    (("--log-syslog-facility", "nonsense"),
     ("syslog_facility", "unknown facility name 'nonsense'"))])
def test_wrong_syslog_settings_are_named(run, args, words):
    done = run("--log-syslog", "--log-syslog-to", "udp://127.0.0.1:9", *args,
               "-b", "127.0.0.1:0", "probe:app", apps=APPS)
    assert done.status == 1
    assert done.line_with("Error:", *words)


# ---- statsd ----


def test_a_request_is_counted_without_an_access_log(server, datagrams):
    d = datagrams()
    s = server("probe:app", "--statsd-host", f"127.0.0.1:{d.address[1]}",
               "--statsd-prefix", "shop", "--dogstatsd-tags", "env:test",
               apps=APPS)
    s.get("/one")
    s.get("/status?404")
    d.wait(rb"\Ashop\.gunicorn\.requests:1\|c\|@1\.0\|#env:test\Z", 2)
    d.wait(rb"\Ashop\.gunicorn\.request\.status\.200:1\|c\|@1\.0\|#env:test\Z")
    d.wait(rb"\Ashop\.gunicorn\.request\.status\.404:1\|c\|@1\.0\|#env:test\Z")
    d.wait(rb"\Ashop\.gunicorn\.request\.duration:\d+\.\d{1,3}\|ms"
           rb"\|#env:test\Z", 2)
    assert s.stdout() == ""


def test_workers_and_warnings_are_counted(server, datagrams):
    d = datagrams()
    s = server("probe:app", "-w", "2", "--statsd-host",
               f"127.0.0.1:{d.address[1]}", apps=APPS)
    d.wait(rb"\Agunicorn\.workers:2\|g\Z")
    with s.connect() as peer:
        peer.send("BAD\r\n\r\n").reply()
    d.wait(rb"\Agunicorn\.log\.warning:1\|c\|@1\.0\Z")
    d.wait(rb"\Agunicorn\.request\.status\.400:1\|c\|@1\.0\Z")


def test_an_exception_is_counted(server, datagrams):
    d = datagrams()
    s = server("probe:app", "--statsd-host", f"127.0.0.1:{d.address[1]}",
               apps=APPS, announced=["ZeroDivisionError"])
    s.get("/raising")
    d.wait(rb"\Agunicorn\.log\.exception:1\|c\|@1\.0\Z")
    assert not [m for m in d.got if b"gunicorn.log.error" in m]


def test_metrics_of_hooks_are_sent(server, datagrams):
    d = datagrams()
    s = server("probe:app", apps=APPS, config=(
        f"statsd_host = '127.0.0.1:{d.address[1]}'\n"
        "statsd_prefix = 'p.'\n"
        "def when_ready(server):\n"
        "    def send(kind, value):\n"
        "        server.log.info('', extra={'metric': 'my.' + kind,\n"
        "                        'value': value, 'mtype': kind})\n"
        "    send('gauge', 0)\n"
        "    send('counter', 2)\n"
        "    send('histogram', 3)\n"
        "    send('timer', 4.5)\n"
        "    server.log.error('no metric')\n"
        "    server.log.increment('own', 7)\n"
        "    server.log.decrement('own', 1)\n"))
    for want in (rb"p\.my\.gauge:0\|g", rb"p\.my\.counter:2\|c\|@1\.0",
                 rb"p\.my\.histogram:3\|h", rb"p\.my\.timer:4\.5\|ms",
                 rb"p\.gunicorn\.log\.error:1\|c\|@1\.0",
                 rb"p\.own:7\|c\|@1\.0", rb"p\.own:-1\|c\|@1\.0"):
        d.wait(rb"\A" + want + rb"\Z")
    s.wait_log(r"\[ERROR\] no metric")
    assert "[INFO] \n" not in s.log()  # an empty message is a metric only


def test_the_listen_queue_is_a_metric_if_asked_for(server, datagrams):
    d = datagrams()
    server("probe:app", "--enable-backlog-metric", "--statsd-host",
           f"127.0.0.1:{d.address[1]}", apps=APPS)
    d.wait(rb"\Agunicorn\.backlog:\d+\|h\Z", 2)


def test_statsd_on_a_unix_socket(server, datagrams, tmp_path):
    d = datagrams(tmp_path / "statsd")
    s = server("probe:app", "--statsd-host", f"unix://{tmp_path}/statsd",
               apps=APPS)
    s.get("/one")
    d.wait(rb"\Agunicorn\.requests:1\|c\|@1\.0\Z")


def test_a_statsd_server_that_is_away_costs_no_request(server, tmp_path):
    s = server("probe:app", "--statsd-host", f"unix://{tmp_path}/nowhere",
               apps=APPS)
    for _ in range(5):
        assert s.get("/one").body == b"one item"
    s.wait_log(r"\[WARNING\] Error sending message to statsd: "
               "No such file or directory")


@pytest.mark.parametrize("address", ["unix://", "host:port"])
def test_a_wrong_statsd_address_is_named(run, address):
    done = run("--statsd-host", address, "-b", "127.0.0.1:0", "probe:app",
               apps=APPS)
    assert done.status == 1
    assert done.line_with("Error:", "statsd_host", "Value must be one of "
                          "('host:port', 'unix://PATH')")


# ---- settings that do not do what was meant ----


def test_atoms_that_are_none_are_named_at_the_start(server):
    s = server("probe:app", apps=APPS, config=(
        "accesslog = 'a.log'\n"
        "access_log_format = '%(h)s %(nosuch)s 100%% %m %({x-a}i)s'\n"))
    s.get("/one", "X-A: b")
    assert s.log_count(r"\[WARNING\] access_log_format: there is no atom "
                       r"'nosuch': it prints '-'") == 1
    assert s.log_count(r"\[WARNING\] access_log_format: '%m' is no atom") == 1
    assert lines(s.folder / "a.log", 1) == ["127.0.0.1 - 100% %m b"]


def test_without_an_access_log_its_format_is_not_looked_at(server):
    s = server("probe:app", apps=APPS,
               config="access_log_format = '%(nosuch)s'\n")
    s.get("/one")
    assert "access_log_format" not in s.log()


def test_a_level_that_is_none_means_info_and_is_named(server):
    s = server("probe:app", "--log-level", "warn", apps=APPS)
    s.wait_log(r"\[WARNING\] loglevel: 'warn' is no level and means info")


def test_a_misspelt_word_for_a_format_is_told_at_the_start(server):
    s = server("app:app", "--access-logfile", "-", "--access-logformat", "jsonn",
               files={"app.py": "def app(*a): pass\n"}, announced=["access_log_format"])
    s.wait_log(r"\[WARNING\] access_log_format: 'jsonn' has no atom, so each line is "
               r"just that; did you mean 'json'\?")


@pytest.mark.parametrize("where", ["option", "file", "variable"])
def test_an_empty_statsd_host_is_none(run, where):
    """As gunicorn has it, and as a template leaves it."""
    args = {"option": ["--statsd-host", ""]}.get(where, [])
    done = run(*args, "-c", "conf.py", "--check-config", "shop:app", files={
        "conf.py": "statsd_host = ''\n" if where == "file" else "",
        "shop.py": "def app(environ, start_response):\n    pass\n"},
        env={"CGUNICORN_STATSD_HOST": ""} if where == "variable" else {})
    assert done.status == 0, done.err
