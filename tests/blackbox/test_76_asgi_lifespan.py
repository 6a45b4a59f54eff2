# SPDX-License-Identifier: MIT
"""The class asgi: lifespan, stop and reload, which class serves what."""
import json

import pytest

from harness.waiting import until

PLAIN = """
async def app(scope, receive, send):
    assert scope["type"] == "http", scope["type"]
    assert "state" not in scope
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"plain"})
"""
FAILS = """
async def app(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})
"""
RAISES = """
async def app(scope, receive, send):
    raise ConnectionError("no database")
"""
WSGI = """
def app(environ, start_response):
    start_response("200 OK", [])
    return [b"wsgi"]
class Late:
    def __call__(self, environ, start_response):
        return app(environ, start_response)
late = Late()
"""


def seen(server):
    return json.loads(server.get("/seen").body)


# ---- lifespan ----


def test_the_application_is_told_of_start_and_end(server):
    s = server("-k", "asgi", "asgi_probe:app", apps=["asgi_probe.py"])
    assert json.loads(s.get("/scope").body)["state"] == {"made": "at startup"}
    s.stop()
    assert s.log_count("lifespan: shutdown") == 1


def test_an_application_without_lifespan_is_served(server):
    s = server("-k", "asgi", "app:app", files={"app.py": PLAIN})
    assert s.get("/").body == b"plain"


def test_lifespan_off_says_nothing_to_the_application(server):
    s = server("-k", "asgi", "--asgi-lifespan", "off", "asgi_probe:app",
               apps=["asgi_probe.py"])
    assert "state" not in json.loads(s.get("/scope").body)
    s.stop()
    assert "lifespan: shutdown" not in s.log()


@pytest.mark.parametrize("text, mode, said", [
    (FAILS, "auto", "lifespan failed at the start: no database"),
    (FAILS, "on", "lifespan failed at the start: no database"),
    (RAISES, "on", "lifespan raised ConnectionError: no database"),
    (PLAIN, "on", "lifespan raised AssertionError: lifespan"),
])
def test_a_failure_at_the_start_halts_the_server(run, text, mode, said):
    done = run("-k", "asgi", "--asgi-lifespan", mode, "-b", "127.0.0.1:0",
               "app:app", files={"app.py": text},
               announced=["Exception in worker process", "lifespan",
                          "Traceback", "Worker failed to boot", "no database",
                          "AssertionError"])
    assert done.status == 3, done.err
    assert done.line_with(said)


def test_a_reload_whose_start_fails_keeps_the_old_generation(server):
    s = server("-k", "asgi", "asgi_probe:app", apps=["asgi_probe.py"])
    assert s.get("/").body == b"Hello, world!"
    (s.folder / "asgi_probe.py").write_text(FAILS)
    s.announce("lifespan failed", "Exception in worker process", "reload",
               "Worker failed")
    s.signal("HUP")
    s.wait_log("lifespan failed at the start: no database")
    assert s.get("/").body == b"Hello, world!"


# ---- stop and reload ----


def test_streams_of_events_are_told_of_a_stop(server):
    s = server("-k", "asgi", "asgi_probe:app", apps=["asgi_probe.py"])
    with s.connect() as peer:
        peer.get("/endless_events")
        assert peer.head().status == 200
        s.signal("TERM")
        data = peer.rest()
        assert data.endswith(b"data: bye\n\n\r\n0\r\n\r\n"), data[-200:]
    assert s.wait() == 0
    assert s.log_count("lifespan: shutdown") == 1


def test_requests_under_way_end_before_the_stop(server):
    s = server("-k", "asgi", "asgi_probe:app", apps=["asgi_probe.py"])
    with s.connect() as peer, s.connect() as background:
        background.get("/background")
        assert background.reply().body == b"ok"
        peer.get("/slow?1")
        until(lambda: True, "sent")
        s.signal("TERM")
        assert peer.reply().body.startswith(b"slow")
    assert s.wait() == 0


def test_a_request_that_does_not_end_is_ended_with_the_graceful_time(server):
    s = server("-k", "asgi", "--graceful-timeout", "1", "asgi_probe:app",
               apps=["asgi_probe.py"])
    s.announce("graceful timeout")
    with s.connect() as peer:
        peer.get("/sleeps")
        until(lambda: seen(s).get("sleeps") == "begun", "it runs")
        s.signal("TERM")
        assert s.wait() == 0


@pytest.mark.parametrize("name", ["INT", "QUIT"])
def test_an_immediate_stop(server, name):
    s = server("-k", "asgi", "asgi_probe:app", apps=["asgi_probe.py"])
    s.announce("asyncio")
    with s.connect() as peer:
        peer.get("/sleeps")
        until(lambda: seen(s).get("sleeps") == "begun", "it runs")
        s.signal(name)
        assert s.wait() == 0


def test_a_quick_stop_answers_nothing_and_is_no_fault(server):
    s = server("-k", "asgi", "quit:app", files={"quit.py": """\
import time

async def app(scope, receive, send):
    if scope["type"] == "http":
        open("begun", "w").close()
        time.sleep(60)
"""})
    with s.connect() as peer:
        peer.get("/")
        until((s.folder / "begun").exists, "the application runs")
        assert s.stop("INT") == 0
        assert peer.rest() == b""
    assert s.log_count("Error handling|Traceback") == 0


def test_reloads_lose_no_request(server):
    s = server("-k", "asgi", "-w", "2", "asgi_probe:app",
               apps=["asgi_probe.py"])
    for _ in range(3):
        with s.connect() as peer:
            peer.get("/slow?0.3")
            s.signal("HUP")
            assert peer.reply().body.startswith(b"slow")
        assert s.get("/").status == 200
    s.wait_log("Hang up")


def test_workers_are_replaced_after_max_requests(server):
    s = server("-k", "asgi", "--max-requests", "5", "asgi_probe:app",
               apps=["asgi_probe.py"])
    pids = set()

    def replaced():
        pids.add(s.get("/slow?0").body)
        return len(pids) > 2
    until(replaced, "two workers were replaced")
    s.wait_log("Autorestarting worker after current request")


# ---- which class ----


@pytest.mark.parametrize("spec", ["app:app", "app:late"])
def test_wsgi_under_asgi_names_the_right_class(run, spec):
    done = run("-k", "asgi", "-b", "127.0.0.1:0", spec, files={"app.py": WSGI},
               announced=["is a WSGI application", "App failed to load"])
    assert done.status == 4, done.err
    assert done.line_with("is a WSGI application", "-k sync")


@pytest.mark.parametrize("name", ["sync", "gthread"])
def test_asgi_under_wsgi_names_the_right_class(run, name):
    done = run("-k", name, "-b", "127.0.0.1:0", "app:app",
               files={"app.py": PLAIN},
               announced=["is an ASGI application", "App failed to load"])
    assert done.status == 4, done.err
    assert done.line_with("is an ASGI application", "-k asgi")


def test_auto_looks_at_the_application(server):
    s = server("-k", "auto", "app:app", files={"app.py": PLAIN})
    assert s.get("/").body == b"plain"
    s = server("-k", "auto", "app:app", files={"app.py": WSGI})
    assert s.get("/").body == b"wsgi"
    s = server("-k", "auto", "--threads", "2", "--preload", "app:late",
               files={"app.py": WSGI})
    assert s.get("/").body == b"wsgi"
    s = server("-k", "auto", "--preload", "app:app", files={"app.py": PLAIN})
    assert s.get("/").body == b"plain"


@pytest.mark.parametrize("name", [
    "uvicorn.workers.UvicornWorker", "uvicorn.workers.UvicornH11Worker",
    "uvicorn_worker.UvicornWorker", "uvicorn_worker.UvicornH11Worker"])
def test_uvicorns_classes_are_served_by_ours(server, name):
    s = server("-k", name, "app:app", files={"app.py": PLAIN})
    assert s.get("/").body == b"plain"
    s.wait_log(f"{name}: the class asgi serves in its place")


def test_uvicorns_class_can_be_meant(run):
    """Here uvicorn is one that cannot be imported, which shows that it was."""
    done = run("-b", "127.0.0.1:0", "-k", "uvicorn.workers.UvicornWorker",
               "--no-native-asgi", "app:app", files={
                   "app.py": PLAIN, "uvicorn/__init__.py": "",
                   "uvicorn/workers.py": "raise ImportError('it was')"},
               announced=["it was"])
    assert done.status == 1
    assert done.line_with("UvicornWorker", "it was")


def test_a_loop_that_is_not_installed_is_named(run):
    done = run("-k", "asgi", "--asgi-loop", "uvloop", "--check-config",
               "app:app", files={"app.py": PLAIN, "uvloop.py":
                                 "raise ImportError('no such loop')"},
               env={"PYTHONPATH": "."}, announced=["uvloop"])
    assert done.status == 1
    assert done.line_with("uvloop", "cannot be imported")


def test_reopening_logs_disturbs_nobody(server):
    s = server("-k", "asgi", "-w", "2", "asgi_probe:app",
               apps=["asgi_probe.py"])
    workers = s.wait_workers(2)
    s.signal("USR1")
    assert s.get("/").status == 200
    assert set(s.workers()) == set(workers)
