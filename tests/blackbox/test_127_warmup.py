# SPDX-License-Identifier: MIT
"""`warmup`: what a new worker asks itself before it counts as serving."""
import pytest

from harness import classes, wire
from harness.waiting import until

FAILS = ("warmup: ", "exited with code 3", "Worker failed to boot",
         "Reload failed", "graceful timeout")
CLASSES = [("sync",), ("gthread", "--threads", "2"), ("gevent",), ("tornado",)]

SHOP = """\
import os, urllib.parse

def app(environ, start_response):
    path = environ["PATH_INFO"]
    with open("seen", "a") as f:
        f.write("%s %s %s %s %s\\n" % (os.getpid(), path, environ["HTTP_HOST"],
                environ["wsgi.url_scheme"], environ.get("HTTP_USER_AGENT")))
    status = open("status").read().strip() if path == "/ready" else "200 OK"
    start_response(status, [("Content-Length", "5")])
    return [b"hello"]
"""


def files(status="200 OK"):
    return {"shop.py": SHOP, "status": status}


def seen(s):
    text = (s.folder / "seen").read_text()
    return [line.split() for line in text.splitlines()]


def need(run, words):
    if words[0] in ("gevent", "tornado"):
        classes.skip_unless_installed(run, words[0])


@pytest.mark.parametrize("words", CLASSES, ids=lambda w: w[0])
def test_a_worker_asks_itself_first(run, server, words):
    need(run, words)
    s = server("shop:app", "-k", *words, "--warmup", "/ready", "--warmup",
               "https://shop.example/deep?x=1", files=files())
    assert s.get("/").body == b"hello"
    pid = str(s.workers()[0])
    assert seen(s)[:2] == [
        [pid, "/ready", "localhost", "http", "cgunicorn-warmup"],
        [pid, "/deep", "shop.example", "https", "cgunicorn-warmup"]]
    s.wait_log(r"Warm-up: /ready was answered with 200 in \d")


def test_an_asgi_application_is_warmed_up_after_its_start(server):
    s = server("shop:app", "-k", "asgi", "--warmup", "/ready", files={
        "shop.py": """\
started = False

async def app(scope, receive, send):
    global started
    if scope["type"] == "lifespan":
        await receive()
        started = True
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    with open("seen", "a") as f:
        f.write("%s %s\\n" % (scope["path"], started))
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})
"""})
    assert s.get("/").body == b"hello"
    assert seen(s)[0] == ["/ready", "True"]


def test_a_start_whose_warmup_fails_fails(server):
    s = server("shop:app", "--warmup", "/ready", files=files("500 Broken"),
               start=False, announced=FAILS)
    assert s.wait() == 3
    assert "warmup: /ready was answered with 500: this worker does not serve" \
        in s.log()


@pytest.mark.parametrize("words", CLASSES, ids=lambda w: w[0])
def test_a_reload_whose_warmup_fails_is_rolled_back(run, server, words):
    need(run, words)
    s = server("shop:app", "-k", *words, "--warmup", "/ready",
               files=files(), announced=FAILS)
    assert s.get("/").body == b"hello"
    old = s.workers()
    (s.folder / "status").write_text("503 Broken")
    s.signal("HUP")
    s.wait_log("Reload failed")
    assert s.workers() == old
    assert s.get("/").body == b"hello"
    (s.folder / "status").write_text("404 Fine")
    s.signal("HUP")
    s.wait_log("Reload done")
    assert s.get("/").body == b"hello"


def test_a_warmup_that_the_application_s_host_check_refuses_is_told(server):
    s = server("shop:app", "--warmup", "/ready", files=files("400 Bad Request"),
               announced=["Warm-up"])
    s.wait_log("Warm-up: /ready was answered with 400: .* name a URL")
    assert s.get("/").body == b"hello"


def test_clients_wait_until_a_worker_is_warm(server):
    """The gate opens when a client has come: an early answer would find the
    worker cold."""
    s = server("shop:app", "--warmup", "/ready", start=False, files={
        "shop.py": """\
import os
warm = False

def app(environ, start_response):
    global warm
    if environ["PATH_INFO"] == "/ready":
        os.mkfifo("gate")
        open("gate").read()
        warm = True
    body = str(warm).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""})
    until((s.folder / "gate").exists, "the warm-up runs")
    with wire.Peer(s.address) as c:
        c.get("/")
        (s.folder / "gate").write_text("go")
        assert c.reply().body == b"True"


def test_a_warmup_without_an_answer_fails_within_timeout(server):
    s = server("shop:app", "--warmup", "/", "--timeout", "1", "--threads", "2",
               start=False, announced=FAILS, files={"shop.py": """\
import threading

def app(environ, start_response):
    threading.Event().wait()
"""})
    assert s.wait() == 3
    assert "warmup: / was not answered within 1 s" in s.log()


def test_a_stop_during_the_warmup_is_a_stop(server):
    s = server("shop:app", "--warmup", "/", "--threads", "2",
               "--graceful-timeout", "1", start=False, files={"shop.py": """\
import threading

def app(environ, start_response):
    open("came", "w").close()
    threading.Event().wait()
"""})
    until((s.folder / "came").exists, "the warm-up runs")
    s.signal("TERM")
    assert s.wait() == 0
    assert "this worker does not serve" not in s.log()


@pytest.mark.parametrize("wrong", ["ready", "", "http://", "/a b", "ftp://a/"])
def test_what_is_no_target_is_refused(run, wrong):
    done = run("--warmup", wrong, "shop:app", files=files())
    assert done.status == 1
    assert "warmup" in done.err and "Not a path such as /ready" in done.err


def test_a_class_written_in_python_says_that_it_has_none(server):
    s = server("shop:app", "-k", "mine.Mine", "--warmup", "/ready",
               announced=["has no effect"], files={
        **files(), "mine.py": """\
from gunicorn.workers.sync import SyncWorker

class Mine(SyncWorker):
    pass
"""})
    s.wait_log("warmup has no effect with the worker class")
