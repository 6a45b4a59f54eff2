# SPDX-License-Identifier: MIT
"""The classes whose requests share a thread: gevent, eventlet, tornado."""
import contextlib
import os
import signal
import threading

import pytest

from harness import classes, embedded, processes
from harness.waiting import until
from harness.wire import Closed

GREENLETS = ["gevent", "eventlet"]
LOOPS = [*GREENLETS, "tornado"]


@pytest.fixture(params=GREENLETS)
def green(request, run, server):
    """A server of a class with greenlets that has greens.py."""
    classes.skip_unless_installed(run, request.param)
    return starter(request.param, server)


@pytest.fixture(params=LOOPS)
def loop(request, run, server):
    classes.skip_unless_installed(run, request.param)
    return starter(request.param, server)


@pytest.fixture
def gevent(run, server):
    classes.skip_unless_installed(run, "gevent")
    return starter("gevent", server)


def starter(kind, server):
    def start(*args, **options):
        files = options.pop("files", {})
        app = options.pop("app", "greens:app")
        s = server("-k", kind, *args, app, apps=["greens.py"], files=files,
                   **options)
        s.kind = kind
        s.wait_log("Booting worker")
        return s
    return start


def go(server):
    (server.folder / "go").touch()


def count(server, name):
    path = server.folder / name
    return len(path.read_text()) if path.exists() else 0


def wait_count(server, name, number):
    until(lambda: count(server, name) == number,
          lambda: f"{number} x {name}; it is {count(server, name)}")


@contextlib.contextmanager
def peers(server, number):
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(server.connect()) for _ in range(number)]


# ---- side by side ----


def test_requests_that_wait_run_side_by_side(green):
    s = green(env={"BARRIER": "100"})
    with peers(s, 100) as all_of_them:
        for peer in all_of_them:
            peer.get("/together")
        for peer in all_of_them:
            assert peer.reply().body == b"together"
            assert peer.get("/pid").reply().status == 200


@pytest.mark.parametrize("client", ["requests", "urllib"])
def test_clients_in_greenlets_wait_side_by_side(green, client):
    """200 of them, for a server that answers none before all are there."""
    if client == "requests":
        embedded.needs("requests")
    slow = green(env={"BARRIER": "200"})
    s = green()
    query = f"{client},200,http://127.0.0.1:{slow.address[1]}/together"
    assert s.get("/fetch_many?" + query).body == b"200"


def test_worker_connections_bounds_the_requests_under_way(green):
    s = green("--worker-connections", "3")
    with peers(s, 3) as first, contextlib.ExitStack() as stack:
        for peer in first:
            peer.get("/waiting")
        wait_count(s, "began", 3)
        late = stack.enter_context(s.connect())
        late.get("/waiting")
        go(s)
        for peer in first:
            assert peer.reply().body == b"most 3"
            peer.close()
        assert late.reply().body == b"most 3"


def test_pipelined_requests_are_answered_in_order_after_one_that_waits(green):
    s = green()
    with s.connect() as peer:
        peer.get("/waiting").get("/pid").get("/kind")
        wait_count(s, "began", 1)
        go(s)
        assert peer.reply().body == b"most 1"
        assert peer.reply().body.isdigit()
        assert b"greenlet" in peer.reply().body


def test_a_request_is_answered_in_a_greenlet_of_the_package(green):
    s = green()
    names = s.get("/kind").body.decode().split()
    assert ("Greenlet" if s.kind == "gevent" else "GreenThread") in names


def test_context_variables_start_anew_with_each_request(green):
    s = green()
    with s.connect() as peer:
        for path in ("/colours", "/colours?wait", "/colours", "/colours?wait"):
            assert peer.get(path).reply().body == b"none"


def test_what_a_context_holds_is_what_gunicorns_holds(loop):
    """A greenlet's context is empty, not a copy of the worker's with the same
    objects in it (decimal's is changed in place); a callback of tornado's has
    a copy."""
    s = loop(app="contexts:app", files={"contexts.py": """\
import contextvars, decimal
colour = contextvars.ContextVar("colour", default="none")
colour.set("import")
decimal.getcontext().prec = 6

def app(environ, start_response):
    seen = f"{colour.get()} {decimal.getcontext().prec}"
    colour.set("request")
    decimal.getcontext().prec = 9
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [seen.encode()]
"""})
    first = s.get("/").body
    for _ in range(5):
        with s.connect() as peer:
            seen = [peer.get("/").reply().body for _ in range(2)]
        if s.kind == "tornado":
            assert (first, seen) == (b"import 6", [b"import 9"] * 2)
        else:
            assert [first, *seen] == [b"none 28"] * 3


def test_work_in_the_background_goes_on_after_the_reply(green):
    s = green()
    assert s.get("/background").body == b"started"
    assert s.get("/pid").status == 200
    go(s)
    wait_count(s, "background", 1)


# ---- slow readers ----


def test_a_slow_reader_stops_nobody(loop):
    s = loop()
    with s.connect() as slow:
        slow.get("/written" if s.kind != "tornado" else "/stream?8000000",
                 "Connection: close")
        if s.kind == "tornado":
            go(s)
        for _ in range(3):
            assert s.get("/pid").status == 200
        r = slow.reply()
        assert r.body.endswith(b"end")
        assert len(r.body) in (200 * 65536 + 3, 8000003)


def test_what_a_reader_left_is_flushed_while_the_application_waits(green):
    s = green()
    with s.connect() as peer:
        peer.get("/stream?20000000")
        r = peer.head()
        got = 0
        while got < 20000000:
            assert peer.buffer or peer._more(), "closed early"
            got += len(peer.buffer)
            peer.buffer = b""
        go(s)
        assert r.status == 200
        until(lambda: b"end" in peer.buffer or not peer._more(), "the end")


def test_a_reader_that_leaves_ends_the_request(green):
    s = green()
    peer = s.connect()
    peer.get("/written")
    peer.head()
    peer.reset()
    assert s.get("/pid").status == 200
    assert s.stop() == 0


# ---- bodies that are still coming ----


def begin_body(peer, path):
    peer.get(path, "Content-Length: 6", method="POST").send(b"ab\n")


def test_a_body_that_is_waited_for_stops_nobody(green):
    s = green("--stream-requests")
    with peers(s, 3) as all_of_them:
        for peer in all_of_them:
            begin_body(peer, "/reading")
        wait_count(s, "began", 3)
        assert s.get("/pid").status == 200
        for peer in reversed(all_of_them):
            assert peer.send(b"cd\n").reply().body == b"ab\ncd\n"
            assert peer.get("/pid").reply().status == 200


def test_another_greenlet_of_the_request_may_read_its_body(green):
    s = green("--stream-requests")
    with s.connect() as peer:
        begin_body(peer, "/reading_elsewhere")
        wait_count(s, "began", 1)
        assert peer.send(b"cd\n").reply().body == b"ab\ncd\n"


def test_a_greenlet_that_reads_the_body_of_an_ended_request_is_told(green):
    s = green("--stream-requests")
    with s.connect() as peer:
        begin_body(peer, "/reading_too_late")
        wait_count(s, "began", 1)
        go(s)
        assert peer.reply().body == b"left"
        wait_count(s, "told", 1)
    assert s.get("/pid").status == 200


def test_a_client_that_leaves_in_its_body_ends_the_read(green):
    s = green("--stream-requests", announced=["Request body ended early"])
    with s.connect() as peer:
        begin_body(peer, "/reading")
        wait_count(s, "began", 1)
    s.wait_log("Request body ended early")
    assert s.get("/pid").status == 200


def test_tornado_says_that_it_buffers_all_the_same(run, server):
    classes.skip_unless_installed(run, "tornado")
    s = starter("tornado", server)("--stream-requests")
    s.wait_log("request_buffering: this worker class always buffers")
    with s.connect() as peer:
        begin_body(peer, "/reading")
        assert peer.send(b"cd\n").reply().body == b"ab\ncd\n"


# ---- a loop that is blocked ----


def test_a_blocked_worker_leaves_its_connections_to_the_others(loop):
    s = loop("-w", "2")
    s.wait_workers(2)
    with contextlib.ExitStack() as stack:
        all_of_them, seen = [], set()

        def both_have_connections():
            all_of_them.append(stack.enter_context(s.connect()))
            seen.add(all_of_them[-1].get("/pid").reply().body)
            return len(seen) == 2 and len(all_of_them) >= 20

        until(both_have_connections, "both have booted and have connections")
        with s.connect() as stuck:
            stuck.get("/blocking")
            wait_count(s, "began", 1)
            for peer in all_of_them:
                assert peer.get("/pid").reply().body in seen
            go(s)
            assert stuck.reply().body == b"blocked"


def test_a_request_that_blocks_the_loop_for_good_ends_its_worker(loop):
    s = loop("--timeout", "1", announced=[
        "WORKER TIMEOUT", "SystemExit", r"Worker \(pid:\d+\) is running"])
    old = s.get("/pid").body
    with s.connect() as stuck:
        stuck.get("/spinning")
        s.wait_log(r"WORKER TIMEOUT \(pid:\d+\)")
        s.wait_log("Booting worker", 2)
    assert s.get("/pid").body != old


def test_a_request_that_waits_longer_than_the_timeout_is_no_trouble(green):
    s = green("--timeout", "4")
    pid = s.get("/pid").body
    assert s.get("/long?5.5").body == b"long"
    assert s.get("/pid").body == pid


# ---- stopping ----


def test_a_graceful_stop_waits_for_requests_under_way(green):
    s = green()
    with s.connect() as peer:
        peer.get("/waiting")
        wait_count(s, "began", 1)
        s.signal("TERM")
        s.wait_log("Handling signal: term")
        go(s)
        assert peer.reply().body == b"most 1"
        peer.assert_closed()
    assert s.wait() == 0


def test_requests_are_ended_when_graceful_timeout_is_over(green):
    s = green("--graceful-timeout", "2")
    with s.connect() as peer:
        peer.get("/waiting")
        wait_count(s, "began", 1)
        assert s.stop() == 0
        assert peer.rest() == b""
    assert count(s, "ended") == 1, "its finally block has run"
    s.wait_log(r"\[WARNING\] Worker graceful timeout \(pid:\d+\)")


def test_a_quick_stop_ends_requests_under_way(green):
    s = green()
    with s.connect() as peer:
        peer.get("/waiting")
        wait_count(s, "began", 1)
        assert s.stop("QUIT") == 0
        assert peer.rest() == b""


def test_a_worker_is_replaced_after_max_requests(loop):
    s = loop("--max-requests", "5")
    pids = set()
    until(lambda: pids.add(s.get("/pid").body) or len(pids) == 3, "three pids")


def test_worker_int_may_wait(green):
    s = green(config="import time\n"
              "def worker_int(worker):\n"
              "    time.sleep(0.01)\n"
              "    open('hook', 'w').write('waited')\n")
    s.get("/pid")
    assert s.stop("INT") == 0
    assert (s.folder / "hook").read_text() == "waited"


def test_a_stop_that_takes_longer_than_the_timeout_is_no_silence(green):
    s = green("--timeout", "3", "--graceful-timeout", "30")
    with s.connect() as peer:
        peer.get("/long?5")
        wait_count(s, "began", 1)
        s.signal("TERM")
        assert peer.reply().body == b"long"
    assert s.wait() == 0


# ---- forks ----


def test_an_application_may_fork(loop):
    s = loop()
    with s.connect() as peer:
        assert peer.get("/forking").reply().body == b"child 7"
        assert peer.get("/pid").reply().status == 200


def test_a_child_that_returns_from_the_application_answers_nothing(green):
    s = green()
    with s.connect() as peer:
        r = peer.get("/forking_child_returns", "Connection: close").reply()
        assert r.body == b"from the parent"
        assert peer.rest() == b""
    assert s.get("/pid").status == 200


def test_multiprocessing_by_fork_works(green):
    s = green()
    assert s.get("/multiprocess").body == b"exit 0"
    assert count(s, "process") == 1
    assert s.get("/pid").status == 200


# ---- patches ----


def test_a_spawned_process_starts_afresh(loop):
    """What docs/async.md advises in place of a fork."""
    s = loop(app="spawns:app", files={"spawns.py": """\
import multiprocessing
from spawned import work

def app(environ, start_response):
    p = multiprocessing.get_context("spawn").Process(target=work, args=(20,))
    p.start()
    p.join()
    body = b"%d %s" % (p.exitcode, open("answer", "rb").read())
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
""", "spawned.py": """\
def work(n):
    with open("answer", "w") as f:
        f.write(str(n + 1))
"""})
    assert s.get("/").body == b"0 21"


def test_the_application_is_loaded_patched(green):
    s = green(files={"early.py": """\
import socket
module = socket.socket.__module__
def app(environ, start_response):
    start_response("200 OK", [])
    return [module.encode()]
"""}, app="early:app")
    assert s.get("/").body.split(b".")[0] == s.kind.encode()


def test_a_preloaded_application_is_loaded_patched_in_the_master(green):
    s = green("--preload", "-w", "2", env={"BARRIER": "2"})
    s.wait_log(r"\[INFO\] preload_app: the master is monkey-patched for "
               + s.kind)
    with peers(s, 10) as all_of_them:
        for peer in all_of_them:
            peer.get("/early_lock")
        for peer in all_of_them:
            assert peer.reply().body == b"locked"


def test_a_preloaded_application_may_have_started_a_thread(green):
    s = green("--preload", "-w", "2", files={"early.py": """\
import threading
threading.Thread(target=threading.Event().wait, name="early",
                 daemon=True).start()
def app(environ, start_response):
    start_response("200 OK", [])
    return [b"fine"]
"""}, app="early:app")
    s.wait_log("preload_app: loading the application started threads, "
               "which no worker has: 'early'\\.")
    assert s.get("/").body == b"fine"
    assert "preload_app: descriptor" not in s.log()


def test_a_configuration_that_patches_itself_is_no_trouble(gevent):
    s = gevent("-w", "2", config="from gevent import monkey\n"
               "monkey.patch_all()\nimport gevent\ngevent.sleep(0)\n",
               env={"BARRIER": "2"})
    with peers(s, 8) as all_of_them:
        for peer in all_of_them:
            assert peer.get("/pid").reply().status == 200


DRIVER = """\
import os
callback = None
ends = []

def set_wait_callback(function):
    global callback
    callback = function

def ask():
    ends[:] = os.pipe()
    open("began", "a").write("x")
    callback(ends[0])
    return os.read(ends[0], 99)
"""
ASKING = """\
import driver, os
def app(environ, start_response):
    body = b"told"
    if environ["PATH_INFO"] == "/ask":
        body = driver.ask()
    else:
        os.write(driver.ends[1], b"answer")
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


def test_a_driver_in_c_is_made_to_wait_in_post_fork(gevent):
    """As psycogreen does with psycopg2."""
    s = gevent(app="asking:app", files={"driver.py": DRIVER,
                                        "asking.py": ASKING}, config="""\
def post_fork(server, worker):
    import driver
    from gevent.socket import wait_read
    driver.set_wait_callback(wait_read)
""")
    with s.connect() as peer:
        peer.get("/ask")
        wait_count(s, "began", 1)
        assert s.get("/tell").body == b"told"
        assert peer.reply().body == b"answer"


@pytest.mark.parametrize("args", [[], ["--preload"]], ids=["", "preload"])
def test_gevent_warns_of_nothing(gevent, args):
    s = gevent(*args, app="tls:app", env={"PYTHONWARNINGS": "always"}, files={
        "tls.py": """\
import socket, ssl, subprocess, threading, urllib.request
ssl.create_default_context()
lock = threading.RLock()
def app(environ, start_response):
    with lock:
        start_response("200 OK", [])
    return [socket.socket.__module__.encode()]
"""})
    assert s.get("/").body.startswith(b"gevent")
    assert s.stop() == 0
    assert "MonkeyPatch" not in s.log()
    assert not [line for line in s.log().splitlines()
                if "Warning: " in line and "gevent" in line]


# ---- gevent's own ----

TIMEOUTS = """\
import gevent
def app(environ, start_response):
    path = environ["PATH_INFO"]
    body = b"fine"
    if path == "/timeout":
        try:
            with gevent.Timeout(0.01):
                gevent.sleep(60)
        except gevent.Timeout:
            body = b"timed out"
    elif path == "/forgotten":
        gevent.Timeout(0.05).start()
        gevent.sleep(0)
    elif path == "/sleep":
        gevent.sleep(0.3)
    elif path == "/escapes":
        with gevent.Timeout(0.01):
            gevent.sleep(60)
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


def test_a_timeout_interrupts_its_request(gevent):
    s = gevent(files={"late.py": TIMEOUTS}, app="late:app",
               announced=["Timeout: 0.01 second"])
    assert s.get("/timeout").body == b"timed out"
    assert s.get("/escapes").status == 500
    assert s.get("/").body == b"fine"


def test_a_forgotten_timeout_hits_no_other_request(gevent):
    s = gevent(files={"late.py": TIMEOUTS}, app="late:app")
    with peers(s, 5) as all_of_them:
        for peer in all_of_them:
            assert peer.get("/forgotten").reply().body == b"fine"
        for peer in all_of_them:
            peer.get("/sleep")
        for peer in all_of_them:
            assert peer.reply().body == b"fine"


def test_a_greenlet_that_cannot_be_made_costs_its_request_only(gevent):
    s = gevent(app="frail:app", files={"frail.py": """\
import gevent
real = gevent.Greenlet

def fail(body):
    gevent.Greenlet = real
    raise MemoryError

def app(environ, start_response):
    if environ["PATH_INFO"] == "/break":
        gevent.Greenlet = fail
        gevent.sleep(0.001)  # whoever has waited is not used again
    start_response("200 OK", [])
    return [b"ok"]
"""})
    for _ in range(3):
        assert s.get("/break").body == b"ok"
        with pytest.raises(Closed):
            s.get("/")
        assert s.get("/").body == b"ok"


def test_gevents_signal_handlers_work(gevent):
    s = gevent(files={"signals.py": """\
import os, signal
import gevent
got = gevent.event.Event() if hasattr(gevent, "event") else None
from gevent.event import Event
got = Event()
gevent.signal_handler(signal.SIGUSR2, got.set)
def app(environ, start_response):
    os.kill(os.getpid(), signal.SIGUSR2)
    got.wait()
    start_response("200 OK", [])
    return [b"signalled"]
"""}, app="signals:app")
    assert s.get("/").body == b"signalled"


SCHEDULED = """\
from apscheduler.schedulers.gevent import GeventScheduler

def note():
    open("fired", "a").write("x")

scheduler = GeventScheduler()
scheduler.add_job(note, "interval", seconds=0.05)
scheduler.start()

def app(environ, start_response):
    start_response("200 OK", [])
    return [b"fine"]
"""


def test_apschedulers_gevent_scheduler_fires(gevent):
    embedded.needs("apscheduler")
    s = gevent(files={"late.py": SCHEDULED}, app="late:app")
    until(lambda: count(s, "fired") > 3, "it has fired")
    assert s.get("/").body == b"fine"
    assert s.stop() == 0


# ---- the socket ----


def test_an_application_may_take_the_socket(green):
    s = green()
    with s.connect() as peer:
        peer.get("/socket_echo", "Connection: Upgrade", "Upgrade: echo")
        assert peer.interim().status == 101
        for word in (b"one", b"two"):
            peer.send(word)
            assert peer._exactly(3) == word.upper()
        peer.send(b"bye")
        peer.assert_closed()
    assert s.get("/pid").status == 200


def test_bytes_sent_behind_the_request_are_the_sockets_first(green):
    s = green()
    with s.connect() as peer:
        peer.send(b"GET /socket_echo HTTP/1.1\r\nHost: a\r\n"
                  b"Connection: Upgrade\r\nUpgrade: echo\r\n\r\nearly")
        assert peer.interim().status == 101
        assert peer._exactly(5) == b"EARLY"
        peer.send(b"bye")
        peer.assert_closed()


BY_ITSELF = """\
import eventlet.wsgi
def app(environ, start_response):
    if environ["PATH_INFO"] == "/":
        start_response("200 OK", [("Content-Length", "6")])
        return [b"served"]
    environ["gunicorn.socket"].sendall(b"HTTP/1.1 299 Mine\\r\\n"
                                       b"Content-Length: 4\\r\\n\\r\\nmine")
    if hasattr(eventlet.wsgi, "WSGI_LOCAL"):
        eventlet.wsgi.WSGI_LOCAL.already_handled = True
        return []
    return eventlet.wsgi.ALREADY_HANDLED
"""
# eventlet up to 0.30.2
SENTINEL = """\
import eventlet.wsgi
eventlet.wsgi.ALREADY_HANDLED = object()
del eventlet.wsgi.WSGI_LOCAL
"""


@pytest.mark.parametrize("config", ["", SENTINEL], ids=["flag", "sentinel"])
def test_an_application_of_eventlet_answers_by_itself(run, server, config):
    classes.skip_unless_installed(run, "eventlet")
    s = starter("eventlet", server)(app="itself:app", config=config,
                                    files={"itself.py": BY_ITSELF})
    for _ in range(2):
        with s.connect() as peer:
            r = peer.get("/mine").reply()
            assert (r.status, r.body) == (299, b"mine")
            peer.assert_closed()
        assert s.get("/").body == b"served"


# ---- servers of the packages' own ----

ECHO = """\
def app(environ, start_response):
    body = environ["wsgi.input"].read() or environ["SERVER_SOFTWARE"].encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
PAGE = """\
import asyncio
import tornado.ioloop, tornado.web
ran = []
tornado.ioloop.IOLoop.current().add_callback(ran.append, "early")

class Page(tornado.web.RequestHandler):
    async def get(self):
        await asyncio.sleep(0.01)
        for part in ran:
            self.write(part)
            await self.flush()

app = tornado.web.Application([("/", Page)])
"""


@pytest.mark.parametrize("name", ["gevent_pywsgi", "gevent_wsgi"])
def test_gevents_own_server_serves(run, server, name):
    classes.skip_unless_installed(run, "gevent")
    s = server("-k", name, "--access-logfile", "access.log", "echo_:app",
               files={"echo_.py": ECHO})
    s.wait_log(f"Using worker: {name}")
    with s.connect() as peer:
        body = peer.get("/").reply().body
        assert body.startswith(b"gevent/") and b" gunicorn/" in body
        assert peer.post("/", b"posted").reply().body == b"posted"
    until(lambda: '"POST / HTTP/1.1" 200 '
          in (s.folder / "access.log").read_text(), "the access line")
    assert s.stop() == 0


def test_gevents_own_server_obeys_a_quick_stop(run, server):
    classes.skip_unless_installed(run, "gevent")
    s = server("-k", "gevent_pywsgi", "echo_:app", files={"echo_.py": ECHO},
               config="def worker_int(worker):\n"
                      "    worker.log.info('asked to leave')\n")
    assert s.get("/").status == 200
    assert s.stop("QUIT") == 0
    assert s.log().count("asked to leave") == 1
    assert "SIGKILL" not in s.log()


@pytest.mark.parametrize("name", ["gevent_pywsgi", "tornado"])
def test_what_a_hook_raises_beside_a_server_of_the_package_is_told(
        run, server, name):
    classes.skip_unless_installed(run, name.partition("_")[0])
    s = server("-k", name, "app_:app",
               files={"app_.py": PAGE if name == "tornado" else ECHO},
               config="def worker_int(worker):\n"
                      "    raise LookupError('no such row')\n",
               announced=["LookupError"])
    assert s.get("/").status == 200
    os.kill(s.wait_workers(1)[0], signal.SIGINT)
    s.wait_log("LookupError: no such row")
    s.wait_log("Booting worker", 2)


LONG = {"gevent_pywsgi": """\
import time
def app(environ, start_response):
    time.sleep(5)
    start_response("200 OK", [("Content-Length", "4")])
    return [b"long"]
""", "tornado": """\
import asyncio, tornado.web
class Page(tornado.web.RequestHandler):
    async def get(self):
        await asyncio.sleep(5)
        self.write("long")
app = tornado.web.Application([("/", Page)])
"""}


@pytest.mark.parametrize("name", LONG)
def test_a_server_of_the_package_that_waits_is_not_silent(run, server, name):
    classes.skip_unless_installed(run, name.partition("_")[0])
    s = server("-k", name, "--timeout", "3", "long_:app",
               files={"long_.py": LONG[name]})
    workers = s.wait_workers(1)
    assert s.get("/").body == b"long"
    assert s.workers() == workers


# They write down what their loop is asked to wait for; only that tells how
# often a worker that lives says so, without a guess at the machine's speed.
WAITS = {"gevent_pywsgi": ("""\
def post_fork(server, worker):
    import gevent.event
    class Event(gevent.event.Event):
        def wait(self, timeout=None):
            with open("waits", "a") as f:
                f.write("%g\\n" % timeout)
            return super().wait(timeout)
    gevent.event.Event = Event
""", LONG["gevent_pywsgi"]), "tornado": ("""\
def post_fork(server, worker):
    from tornado import ioloop
    class Callback(ioloop.PeriodicCallback):
        def start(self):
            with open("waits", "a") as f:
                f.write("%g\\n" % (self.callback_time / 1000))
            super().start()
    ioloop.PeriodicCallback = Callback
""", LONG["tornado"])}


@pytest.mark.parametrize("timeout, period",
                         [(3, "0.75"), (2, "0.5"), (0, "1"), (30, "1")])
@pytest.mark.parametrize("name", WAITS)
def test_a_server_of_the_package_shows_life_four_times_per_timeout(
        run, server, name, timeout, period):
    classes.skip_unless_installed(run, name.partition("_")[0])
    config, app = WAITS[name]
    s = server("-k", name, "--timeout", str(timeout), "long_:app",
               files={"long_.py": app}, config=config)
    path = s.folder / "waits"
    until(lambda: path.exists() and path.read_text(), "the loop waits")
    assert path.read_text().splitlines()[0] == period


def test_a_tornado_application_is_served_by_tornado(run, server):
    classes.skip_unless_installed(run, "tornado")
    s = server("-k", "tornado", "page:app", files={"page.py": PAGE})
    r = s.get("/")
    assert (r.framing, r.body) == ("chunked", b"early")
    assert r.one("Server").startswith("TornadoServer/")
    assert "(Gunicorn/" in r.one("Server")
    assert s.stop() == 0


# ---- what is said of a class that cannot be run ----

OLD = {"gevent/__init__.py": '__version__ = "0.9"\n', "shop.py": "app = 1\n"}
GONE = {"gevent/__init__.py":
        "raise ModuleNotFoundError(\"No module named 'gevent'\", "
        "name='gevent')\n", "shop.py": "app = 1\n"}


@pytest.mark.parametrize("files, words", [
    (OLD, ["gevent", "1.4", "0.9", "-m pip install 'gevent>=1.4'"]),
    (GONE, ["gevent", "does not have", "-m pip install 'gevent>=1.4'"]),
])
def test_a_package_that_is_missing_or_old_is_told_with_the_command(
        run, tmp_path, files, words):
    done = run("-k", "gevent", "--bind", "127.0.0.1:0", "shop:app",
               files=files, env={"PYTHONPATH": tmp_path})
    assert done.status == 1
    done.line_with("worker class 'gevent'", *words)


@pytest.mark.parametrize("text, words", [
    ("VERSION = (0, 9, 5, 'final', 0)\n", ["0.9.5"]),
    ("raise ModuleNotFoundError('no', name='geventwebsocket')\n",
     ["needs the package geventwebsocket"])])
def test_gevent_websocket_is_told_by_the_name_it_is_installed_with(
        run, tmp_path, text, words):
    name = "geventwebsocket.gunicorn.workers.GeventWebSocketWorker"
    done = run("-k", name, "--bind", "127.0.0.1:0", "shop:app", files={
        "gevent/__init__.py": "__version__ = '20.1'\n", "shop.py": "app = 1\n",
        "geventwebsocket/__init__.py": text}, env={"PYTHONPATH": tmp_path})
    assert done.status == 1
    done.line_with(f"worker class '{name}'", *words,
                   "-m pip install 'gevent-websocket>=0.10'")


@pytest.mark.parametrize("name, meant", [
    ("gvent", "gevent"), ("eventlets", "eventlet"), ("tornadoo", "tornado"),
    ("gthreads", "gthread")])
def test_a_class_that_is_misspelt_is_told_with_the_near_one(run, name, meant):
    done = run("-k", name, "--bind", "127.0.0.1:0", "shop:app",
               files={"shop.py": "app = 1\n"})
    assert done.status == 1
    done.line_with(name, f"did you mean `{meant}`?")
