# SPDX-License-Identifier: MIT
"""What operators look at: the text of a scrape by the rules of its formats, the
screen of `top`, busy shares and errors of workers, stacks of what waits, and
that the master answers in time whatever its workers do."""
import fcntl
import json
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import termios
import threading

import pytest

from harness import classes, control, exposition, processes, wire
from harness.blocked import APP, Blocked
from harness.control import ask, deaths
from harness.server import environment, free_port
from harness.waiting import until

FILES = {"app.py": APP}
OPEN = ("Accept: application/openmetrics-text; version=1.0.0",)
OLDER = ()


@pytest.fixture
def watched(server):
    """A server and the address of its metrics."""
    def make(*args, app="app:app", files=FILES, **options):
        port = free_port()
        s = server("--metrics-bind", f"127.0.0.1:{port}", *args, app,
                   files=files, **options)
        s.metrics = ("127.0.0.1", port)
        until(lambda: page(s, "/readyz").status == 200, "it is ready")
        return s
    return make


def page(s, path, *fields):
    return wire.fetch(s.metrics, path, *fields)


def scrape(s, path="/metrics", open_metrics=True):
    reply = page(s, path, *(OPEN if open_metrics else OLDER))
    assert reply.one("Content-Type").startswith(
        "application/openmetrics-text; version=1.0.0" if open_metrics
        else "text/plain; version=0.0.4")
    return reply.body.decode()


# ---- the exposition ----


@pytest.mark.parametrize("open_metrics", [True, False])
@pytest.mark.parametrize("path", ["/metrics", "/metrics?workers=1"])
def test_a_scrape_keeps_the_rules_of_its_format(watched, open_metrics, path):
    s = watched("-w", "2")
    s.get("/")
    families = exposition.read(scrape(s, path, open_metrics), open_metrics)
    assert len(families) > 20
    for f in families:
        assert f.name.startswith("cgunicorn_")
        for unit in ("bytes", "seconds"):
            if open_metrics and f.name.endswith("_" + unit):
                assert f.unit == unit


@pytest.mark.parametrize("open_metrics", [True, False])
def test_the_parser_of_prometheus_reads_the_same(watched, open_metrics):
    pytest.importorskip("prometheus_client", reason="python3-prometheus-client "
                        "is not installed; our own parser has read it above")
    if open_metrics:
        from prometheus_client.openmetrics import parser
    else:
        from prometheus_client import parser
    s = watched()
    s.get("/")
    text = scrape(s, open_metrics=open_metrics)
    ours = exposition.read(text, open_metrics)
    theirs = list(parser.text_string_to_metric_families(text))
    cut = 0 if open_metrics else len("_total")
    assert [f.name for f in theirs] == [
        f.name[:-cut] if cut and f.type == "counter" else f.name for f in ours]
    for a, b in zip(theirs, ours):
        assert (a.type, a.documentation, a.unit) == (b.type, b.help, b.unit)
        assert [(x.name, x.labels, x.value) for x in a.samples] == b.samples


def test_times_are_split_by_the_class_of_the_status(watched):
    app = """
def app(environ, start_response):
    status = environ["QUERY_STRING"] or "200"
    start_response(status + " X", [("Content-Length", "0")])
    return []
"""
    s = watched(files={"app.py": app})
    for status in (200, 200, 404, 503):
        assert s.get(f"/?{status}").status == status

    def counts(text):
        found = {f.name: f for f in exposition.read(text, True)}
        return {(name, labels["class"]): value
                for f in ("cgunicorn_application_seconds",
                          "cgunicorn_queue_wait_seconds")
                for name, labels, value in found[f].samples
                if name.endswith(("_count", "_sum"))}

    until(lambda: counts(scrape(s))["cgunicorn_application_seconds_count", "5xx"],
          "the last one is counted")
    told = counts(scrape(s))
    for f in ("cgunicorn_application_seconds", "cgunicorn_queue_wait_seconds"):
        assert [told[f + "_count", c] for c in
                ("2xx", "4xx", "5xx", "3xx", "1xx", "other")] == [2, 1, 1, 0, 0, 0]
    assert told["cgunicorn_application_seconds_sum", "2xx"] > 0
    assert told["cgunicorn_application_seconds_sum", "3xx"] == 0


def test_the_series_do_not_grow(watched):
    s = watched("-w", "2")

    def series():
        return {(name, tuple(labels.items()))
                for f in exposition.read(scrape(s), True)
                for name, labels, _ in f.samples}
    before = series()
    s.get("/")
    ask(s, "reload", "--wait")
    ask(s, "scale", "3")
    assert series() == before


METRICS_APP = """
import os
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client import multiprocess

COUNT = Counter("shop_orders", "Orders.")

def app(environ, start_response):
    if environ["PATH_INFO"] == "/metrics":
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)
        body = generate_latest(registry)
    else:
        COUNT.inc()
        body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
METRICS_CONFIG = """
workers = 2
def child_exit(server, worker):
    from prometheus_client import multiprocess
    multiprocess.mark_process_dead(worker.pid)
    with open("dead", "a") as f:
        f.write("%d\\n" % worker.pid)
"""


def test_multiprocess_metrics_of_prometheus_client_work_by_its_hook(run, server):
    probe = run("--check-config", "prometheus_client:Counter")
    if "No module named" in probe.err:
        pytest.skip("the interpreter inside has no prometheus_client")
    folder = until(lambda: os.path.realpath("."), "a folder")
    s = server("shop:app", files={"shop.py": METRICS_APP}, start=False,
               config=METRICS_CONFIG.replace("workers = 2", "workers = 2\nraw_env"
                                             " = ['PROMETHEUS_MULTIPROC_DIR=prom']"))
    (s.folder / "prom").mkdir(exist_ok=True)
    until(lambda: s._is_listening() or s.process.poll() is not None, "it listens")

    def orders():
        text = s.get("/metrics").body.decode()
        found = re.search(r"^shop_orders_total (\S+)$", text, re.M)
        return float(found[1]) if found else 0

    seen = set()
    n = 0
    while len(seen) < 2 and n < 200:
        seen.add(s.get("/").body)
        n += 1
    assert orders() == n
    victim = int(seen.pop())
    os.kill(victim, signal.SIGKILL)
    until(lambda: (s.folder / "dead").exists(), "child_exit has run")
    assert str(victim) in (s.folder / "dead").read_text()
    assert orders() == n  # what a dead worker counted stays
    assert folder


# ---- busy, errors ----


def test_a_worker_in_a_request_is_busy(watched):
    s = watched()
    assert control.status(s)["workers"][0]["busy_share"] < 0.9
    with s.connect() as peer:
        request = Blocked(s, peer, "one", "/burn")
        until(lambda: control.status(s)["workers"][0]["busy_share"] > 0.5,
              "most of its time is spent")
        assert re.search(r" ([5-9]\d|100)% ", ask(s, "status").out)
        request.go()
        peer.reply()


def test_the_last_error_of_each_worker_is_told(watched):
    app = """
def app(environ, start_response):
    if environ["PATH_INFO"] == "/bad":
        raise KeyError("no such thing")
    start_response("200 OK", [("Content-Length", "0")])
    return []
"""
    s = watched(files={"app.py": app}, announced=["KeyError"])
    assert control.status(s)["workers"][0]["last_error"] is None
    assert "LAST ERROR" not in ask(s, "status").out
    assert s.get("/bad?q=\x1b").status in (400, 500)
    assert s.get("/bad").status == 500
    told = until(lambda: control.status(s)["workers"][0]["last_error"], "it is told")
    assert told["text"] == "Error handling request GET /bad: KeyError: 'no such thing'"
    assert 0 <= told["age_s"] < 60
    assert re.search(r"^\d+ +\S+ s +Error handling request GET /bad: KeyError",
                     ask(s, "status").out, re.M)


# ---- stacks of what waits ----

GREENLETS = """
import gevent, pathlib

def background_wait():
    gevent.sleep(1000)

def request_wait(name):
    pathlib.Path(name + ".in").touch()
    while not pathlib.Path(name + ".go").exists():
        gevent.sleep(0.05)

def app(environ, start_response):
    if environ["QUERY_STRING"]:
        gevent.spawn(background_wait)
        request_wait(environ["QUERY_STRING"])
    start_response("200 OK", [("Content-Length", "0")])
    return []
"""
TASKS = """
import asyncio, pathlib

async def background_wait():
    await asyncio.sleep(1000)

async def request_wait(name):
    pathlib.Path(name + ".in").touch()
    while not pathlib.Path(name + ".go").exists():
        await asyncio.sleep(0.05)

async def app(scope, receive, send):
    if scope["type"] != "http":
        raise RuntimeError
    if scope["query_string"]:
        task = asyncio.ensure_future(background_wait())
        await request_wait(scope["query_string"].decode())
        task.cancel()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})
"""


@pytest.mark.parametrize("kind, app", [("gevent", GREENLETS), ("asgi", TASKS)],
                         ids=["gevent", "asgi"])
def test_stacks_show_greenlets_and_tasks_that_wait(run, server, kind, app):
    if kind == "gevent":
        classes.skip_unless_installed(run, kind)
    s = server("-k", kind, "app:app", files={"app.py": app})
    with s.connect() as peer:
        request = Blocked(s, peer, "one", "/")
        told = until(lambda: (lambda out: out if "background_wait" in out else None)(
            ask(s, "stacks").out), "what waits is told")
        assert re.search(r"line \d+ in request_wait", told)
        assert re.search(r"line \d+ in background_wait", told), told
        assert ("Greenlet " if kind == "gevent" else "Task ") in told
        request.go()
        assert peer.reply().status == 200
    until(lambda: "request_wait" not in ask(s, "stacks").out, "it is over")


def test_the_signal_for_what_waits_harms_no_other_class(server):
    s = server("app:app", files=FILES)
    pid = s.wait_workers(1)[0]
    os.kill(pid, signal.SIGRTMAX - 7)
    assert ask(s, "stacks").out
    assert s.get("/").body == str(pid).encode()


# ---- top ----


class Screen:
    """`top` in a terminal of that size. What it draws is kept as rows."""

    def __init__(self, s, rows, columns):
        self.rows, self.columns = rows, columns
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ,
                    struct.pack("HHHH", rows, columns, 0, 0))
        env = environment(s.folder, {"TERM": "xterm"})
        self.process = subprocess.Popen(
            [*control.program(), "top", "--pid", str(s.pid)], stdin=slave,
            stdout=slave, stderr=slave, env=env, cwd=s.folder,
            start_new_session=True)
        os.close(slave)
        self.fd = master
        os.set_blocking(master, False)
        self.raw = b""

    def key(self, text):
        os.write(self.fd, text.encode())

    def read(self):
        try:
            while chunk := os.read(self.fd, 65536):
                self.raw += chunk
        except (BlockingIOError, OSError):
            pass

    def picture(self):
        """The screen that was drawn last, as its rows."""
        self.read()
        last = self.raw.decode("utf-8", "replace").split("\x1b[H\x1b[J")[-1]
        text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", last)
        return [line.rstrip("\r") for line in text.split("\n")]

    def shows(self, pattern):
        return until(lambda: re.search(pattern, "\n".join(self.picture()), re.M),
                     lambda: f"{pattern} in {self.picture()}")

    def fits(self):
        rows = self.picture()
        assert len(rows) <= self.rows, rows
        assert max(map(len, rows)) <= self.columns, rows

    def end(self):
        until(lambda: (self.read(), self.process.poll() is not None)[1], "it ends")
        os.close(self.fd)
        return self.process.returncode


@pytest.mark.parametrize("rows, columns", [(24, 80), (50, 200)])
def test_top_in_a_terminal(server, rows, columns):
    s = server("-w", "3", "app:app", files=FILES)
    until(lambda: control.status(s)["serving"], "they serve")
    with s.connect() as peer:
        request = Blocked(s, peer, "one")
        top = Screen(s, rows, columns)
        top.shows(r"GET /block\?one")
        top.shows(r"q quit")
        top.fits()
        busy = [w["pid"] for w in control.status(s)["workers"] if w["busy"]][0]

        def order():
            return [int(m) for m in re.findall(r"^(\d+) +(?:idle|busy)",
                                               "\n".join(top.picture()), re.M)]
        until(lambda: order() and order()[0] == busy, "by age: the request first")
        top.key("p")
        until(lambda: order() == sorted(s.workers()), "by pid")
        top.key("a")
        until(lambda: order() and order()[0] == busy, "by age again")
        top.key("s")
        top.shows(r"in app$")
        top.shows("any key goes back")
        top.key("x")
        top.shows("q quit")
        top.key("\x1b[B")  # down
        top.key("\x1b[A")  # and up again
        request.go()
        peer.reply()
    old = set(s.workers())
    top.key("k")
    top.shows(r"worker \d+ will be replaced")
    until(lambda: old - set(s.workers()), "the chosen one is replaced")
    top.key("q")
    assert top.end() == 0
    assert top.raw.rstrip().endswith(b"\x1b[?1049l")  # the old screen is back
    assert b"\x1b[?25h" in top.raw  # with its cursor


def test_top_ends_with_its_terminal(server):
    s = server("app:app", files=FILES)
    top = Screen(s, 24, 80)
    top.shows("q quit")
    os.close(top.fd)
    until(lambda: top.process.poll() is not None, "it does not spin without one")


# ---- while others are busy ----


def answers(s):
    """Each of ten questions on the channel has its answer. How soon is no
    test's business."""
    for _ in range(10):
        peer = control.connect(s.pid)
        peer.sendall(b"status\n")
        assert json.loads(control.rest(peer))["pid"] == s.pid
        peer.close()


def test_status_comes_while_all_workers_are_blocked(server):
    s = server("-w", "2", "app:app", files=FILES)
    peers = [s.connect() for _ in range(2)]
    blocked = [Blocked(s, p, f"n{i}", "/burn") for i, p in enumerate(peers)] \
        if not classes.has_package() else [Blocked(s, peers[0], "n0", "/burn")]
    answers(s)
    for b in blocked:
        b.go()
        b.peer.reply()
    for p in peers:
        p.close()


def test_status_comes_while_workers_boot(server):
    app = "import os, time\nwhile not os.path.exists('go'):\n    time.sleep(0.01)\n" + APP
    s = server("-w", "8", "app:app", files={"app.py": app}, start=False)
    until(lambda: control.channel_of(s.pid), "the channel is open")
    until(lambda: len(control.status(s)["workers"]) == 8, "they boot")
    assert not control.status(s)["serving"]
    answers(s)
    (s.folder / "go").touch()
    until(lambda: control.status(s)["serving"], "they serve")


def test_hostile_clients_on_the_channel_keep_nobody_waiting(server):
    s = server("app:app", files=FILES)
    half = [control.connect(s.pid) for _ in range(8)]
    for peer in half:
        peer.sendall(b"sta")
    flood = [control.connect(s.pid) for _ in range(4)]
    for peer in flood:
        peer.setblocking(False)
        try:
            for _ in range(100):
                peer.send(b"\xff\x00" * 4096)
        except OSError:
            pass
    answers(s)
    assert s.get("/").status == 200
    for peer in half + flood:
        peer.close()


# ---- the causes ----

FAULTY = """
import os, signal, sys, time, pathlib
if os.path.exists("broken"):
    raise RuntimeError("no database today")

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/exit0":
        os._exit(0)
    if path == "/exit7":
        os._exit(7)
    if path == "/crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if path == "/abort":
        os.abort()
    if path == "/kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if path == "/stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    if path == "/spin":
        while True:
            pass
    if path == "/deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    start_response("200 OK", [("Content-Length", "0")])
    return []
"""
# fault of docs/faults.md -> what a request does, the cause, the verdict
DEATHS = {
    "1 KILL": ("/kill", "killed", r"SIGKILL"),
    "2 SEGV": ("/crash", "signal", r"SIGSEGV"),
    "2 ABRT": ("/abort", "signal", r"SIGABRT"),
    "4 a loop": ("/spin", "timeout", r"silent|no sign of life|timeout"),
    "6 stopped": ("/stop", "timeout", r"silent|no sign of life|timeout"),
    "7 status 0": ("/exit0", "exit", r"ended by itself with code 0"),
    "7 status 7": ("/exit7", "exit", r"7"),
}


@pytest.mark.parametrize("fault", DEATHS)
def test_why_names_the_true_cause_of_a_death(server, fault):
    path, cause, text = DEATHS[fault]
    s = server("-t", "1", "app:app", files={"app.py": FAULTY},
               announced=["WORKER TIMEOUT", "is running", "Fatal Python",
                          "SIG[A-Z]+", "Segmentation"])
    pid = s.wait_workers(1)[0]
    if fault == "2 SEGV" and processes.is_sanitized(pid):
        pytest.skip("the sanitizer takes SIGSEGV for itself")
    with s.connect() as peer:
        peer.get(path + "?q")
        told = until(lambda: deaths(s), "it is dead")[0]
    assert (told["pid"], told["cause"]) == (pid, cause), told
    assert re.search(text, told["text"]), told
    if fault != "7 status 7" or told["story"]:
        assert path + "?q" in told["story"], told  # what it ran
    events = ask(s, "events", "--json").json()["events"]
    assert [e["text"] for e in events
            if e["kind"] == "death" and e["pid"] == pid] == [told["text"]]


def test_events_tell_what_was_done_and_why_it_failed(server):
    s = server("app:app", "-w", "2", files={"app.py": FAULTY},
               announced=["no database", "Exception in worker"],
               config="workers = 2\n")

    def told(kind, text):
        control.told(s, kind, text)
    told("start", "")
    told("serving", "")
    s.signal("TTIN")
    told("scale", "3")
    s.signal("TTOU")
    told("scale", "2")
    (s.folder / "broken").touch()
    s.signal("HUP")
    told("reload", "")
    told("rolled-back", "no database today")
    (s.folder / "broken").unlink()
    assert "no database today" in [d for d in deaths(s)
                                   if d["cause"] == "boot"][0]["story"]
    s.signal("HUP")
    told("reloaded", "")
    until(lambda: [w["generation"] for w in control.status(s)["workers"]] == [2, 2],
          "the old ones are gone")
    (s.folder / "broken").touch()
    os.kill(s.workers()[0], signal.SIGKILL)
    told("death", "SIGKILL")
    until(lambda: deaths(s)[0]["cause"] == "boot", "its successor does not boot")
    assert "no database today" in deaths(s)[0]["story"]
    (s.folder / "broken").unlink()
    until(lambda: len([w for w in control.status(s)["workers"]
                       if w["state"] == "idle"]) == 2, "two serve again")


# ---- a balancer in front ----


def test_haproxy_is_drained_without_a_lost_request(server, tmp_path):
    haproxy = shutil.which("haproxy") or shutil.which("/usr/sbin/haproxy")
    if haproxy is None:
        pytest.skip("there is no haproxy (tools/setup clients installs it)")
    front, ports = free_port(), [free_port(), free_port()]
    words = ("--ready-path", "/readyz", "--shutdown-delay", "2", "app:app")

    def start(port):
        s = server("-b", f"127.0.0.1:{port}", *words, files=FILES, bind=None,
                   start=False)
        s.address = ("127.0.0.1", port)
        until(lambda: s._is_listening() and s.get("/readyz").status == 200,
              "it is ready")
        return s

    pair = [start(port) for port in ports]
    made = control.ctl(pair[0].folder, "generate", "haproxy", "-b",
                       f"127.0.0.1:{ports[0]}", *words)
    assert made.status == 0, made
    text = made.out.replace("bind :80", f"bind 127.0.0.1:{front}").replace(
        "inter 1s", "inter 100ms")
    line = [x for x in text.split("\n") if "server one " in x][0]
    text += line.replace("server one", "server two").replace(
        str(ports[0]), str(ports[1])) + "\n"
    (tmp_path / "haproxy.cfg").write_text(text)
    balancer = subprocess.Popen([haproxy, "-db", "-f", tmp_path / "haproxy.cfg"],
                                stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)
    bad, served, over = [], [0], threading.Event()

    def load():
        while not over.is_set():
            try:
                with wire.Peer(("127.0.0.1", front), plain=True) as peer:
                    for _ in range(5):
                        reply = peer.get("/").reply()
                        served[0] += 1
                        if reply.status != 200:
                            bad.append(reply)
                        if reply.says_close():
                            break
            except (OSError, AssertionError) as e:
                bad.append(e)

    try:
        def through():
            try:
                return wire.fetch(("127.0.0.1", front)).status == 200
            except (OSError, AssertionError):
                return False
        until(through, "HAProxy serves")
        clients = [threading.Thread(target=load) for _ in range(3)]
        for c in clients:
            c.start()
        for i, old in enumerate(pair):
            before = served[0]
            until(lambda: served[0] > before + 20, "requests go through")
            old.signal("TERM")
            assert old.wait() == 0
            before = served[0]
            until(lambda: served[0] > before + 20, "the other one serves")
            pair[i] = start(ports[i])
            until(lambda: control.status(pair[i])["requests_total"] > 0,
                  "HAProxy has found it again")
        over.set()
        for c in clients:
            c.join()
        assert not bad, bad[:3]
    finally:
        over.set()
        balancer.terminate()
        balancer.wait()
