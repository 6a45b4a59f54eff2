# SPDX-License-Identifier: MIT
"""The class asgi: what applications and libraries do with the task of a request,
whoever makes it: anyio, sniffio, cancelling, groups of exceptions, contexts, task
factories, asyncio's debug mode, and what watches each line."""
import json

import pytest

from harness import embedded
from harness.asgi import CHECKS, OK, answer, needs, needs_python, seen, wait_seen
from harness.waiting import until

ANYIO = """anyio_scope anyio_group anyio_group_fails anyio_first anyio_thread
anyio_streams""".split()
# what asyncio's own eager tasks do otherwise
EAGER = {"name_first": "a task has its name after its first step",
         "lost_receive": "a task has taken the message before it is cancelled"}
MODES = ["asyncio", "uvloop", "debug", "debug set by the lifespan", "factory", "eager"]


@pytest.fixture(scope="module", params=MODES)
def tasks(module_server, request):
    mode = request.param
    if mode == "uvloop":
        needs("uvloop")
    if mode == "eager":
        needs_python(3, 12)
    env = {"MODE": mode.split()[0]}
    if mode == "debug":
        env["PYTHONASYNCIODEBUG"] = "1"
    s = module_server("-k", "asgi", "--asgi-loop",
                      "uvloop" if mode == "uvloop" else "asyncio",
                      "--asgi-disconnect-grace-period", "1", "asgi_tasks:app",
                      apps=["asgi_probe.py", "asgi_tasks.py"], env=env)
    s.mode = mode
    return s


@pytest.mark.parametrize("name", CHECKS + """cancels_itself_with_a_message
cancelled_while_receiving context_of_children context_is_fresh context_is_fresh
factory""".split())
def test_tasks_are_the_loops(tasks, name):
    if tasks.mode == "eager" and name in EAGER:
        pytest.skip(EAGER[name])
    assert answer(tasks, "/" + name) == OK


def test_a_task_is_made_when_somebody_needs_it(tasks):
    lazy = tasks.mode in ("asyncio", "uvloop") and embedded.told()["version"] >= [3, 11]
    assert answer(tasks, "/unseen") == (200, b"unknown" if lazy else b"known")


@pytest.mark.parametrize("name", ANYIO)
def test_anyio(tasks, name):
    needs("anyio")
    assert answer(tasks, "/" + name) == OK


def test_sniffio_knows_the_library(tasks):
    needs("sniffio")
    assert answer(tasks, "/sniffs") == OK


# ---- cancelling ----


def test_a_send_that_was_cancelled_loses_nothing_more(tasks):
    with tasks.connect() as peer:
        peer.get("/cancelled_while_sending")
        wait_seen(tasks, "flooded", True)
        assert peer.reply().body.endswith(b"xthe end")


def test_what_is_cancelled_may_wait_while_it_cleans_up(tasks):
    with tasks.connect() as peer:
        peer.get("/cleans_up")
        wait_seen(tasks, "cleaned", "not yet")
    wait_seen(tasks, "cleaned", "up")


def test_one_request_can_cancel_another(tasks):
    with tasks.connect() as peer:
        peer.get("/victim")
        assert answer(tasks, "/killer") == OK
        assert peer.reply().body == b"ok"


# ---- groups of exceptions ----


def test_a_group_is_a_500_with_all_of_it_in_the_log(tasks):
    needs_python(3, 11)
    tasks.announce("Error handling request")
    before = tasks.log_count("second of a group")
    assert tasks.get("/group_raised").status == 500
    until(lambda: tasks.log_count("second of a group") > before, tasks.tail)
    assert tasks.log_count("first of a group") >= tasks.log_count("second of a group")


def test_a_group_of_sends_to_nobody_is_no_error(tasks):
    needs_python(3, 11)
    with tasks.connect() as peer:
        peer.get("/group_when_gone")
        assert peer.head().status == 200
        peer.reset()
    until(lambda: set(seen(tasks).get("group", []))
          == {"ClientDisconnected"}, "the group is there")
    assert "request GET /group_when_gone" not in tasks.log()


def test_a_timeout_around_a_group(tasks):
    needs_python(3, 11)
    assert answer(tasks, "/cancelled_group") == OK


# ---- contexts, and requests that follow each other ----


@pytest.mark.parametrize("path", ["hello", "busy_background", "context_is_fresh",
                                  "context_in_background"])
def test_requests_that_came_together_have_contexts_of_their_own(tasks, path):
    with tasks.connect() as peer:
        for _ in range(5):
            peer.get("/" + path)
        for _ in range(5):
            assert peer.reply().body in (b"ok", b"Hello, world!")


# ---- what watches each line ----


@pytest.mark.parametrize("mode", ["settrace", "setprofile", "monitoring"])
def test_every_line_is_seen_by_what_watches(server, mode):
    if mode == "monitoring":
        needs_python(3, 12)
    s = server("-k", "asgi", "asgi_tasks:app", env={"MODE": mode},
               apps=["asgi_probe.py", "asgi_tasks.py"])
    assert answer(s, "/watched") == OK
    found = json.loads(s.get("/watched_lines").body)
    if mode == "setprofile":
        assert found == [0]  # the call
    else:  # before it waits, between, and in the end
        assert [n for n in found if n > 0] == [1, 2, 3, 4]


COVERED = """\
import asyncio
import coverage

measured = coverage.Coverage(data_file=None, include=[__file__])
measured.start()


async def reply(send, text):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": text.encode()})


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        raise NotImplementedError
    if scope["path"] == "/missing":
        measured.stop()
        return await reply(send, repr(measured.analysis2(__file__)[3]))
    await asyncio.sleep(0)
    await asyncio.sleep(0.01)
    await reply(send, "ok")
"""


def test_coverage_sees_every_line(server):
    needs("coverage")
    s = server("-k", "asgi", "covered:app", files={"covered.py": COVERED})
    assert answer(s, "/") == OK
    missing = json.loads(s.get("/missing").body)
    awaited = {n for n, line in enumerate(COVERED.splitlines(), 1)
               if "await " in line and "measured" not in line}
    assert not awaited & set(missing), missing
