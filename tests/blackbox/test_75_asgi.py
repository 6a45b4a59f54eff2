# SPDX-License-Identifier: MIT
"""The class asgi: HTTP, tasks, replies that break a rule, clients that leave."""
import contextlib
import json
import os
import time

import pytest

from harness.asgi import CHECKS, OK, answer, seen, wait_seen
from harness.waiting import until

@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def probe(module_server, request):
    if request.param == "uvloop":
        one = module_server("-k", "asgi", "--asgi-loop", "uvloop", "--check-config",
                            "asgi_probe:app", apps=["asgi_probe.py"], start=False)
        one.expected_status = one.wait()
        if one.expected_status != 0:
            one.announce("uvloop")
            pytest.skip("the interpreter inside has no uvloop")
    return module_server("-k", "asgi", "--asgi-loop", request.param,
                         "--asgi-disconnect-grace-period", "1",
                         "asgi_probe:app", apps=["asgi_probe.py"])


def chunk(peer):
    """The next one of a chunked body; b"" is the end."""
    size = int(peer._line(), 16)
    data = peer._exactly(size + 2)
    return data[:-2]


# ---- what the application is told ----


def test_the_scope_of_a_request(probe):
    scope = json.loads(probe.get("/scope?a=1&b=%20", "X-Two: 1", "x-two: 2",
                                 "Accept: */*").body)
    host, port = probe.address
    assert scope["type"] == "http"
    assert scope["asgi"] == {"version": "3.0", "spec_version": "2.5"}
    assert scope["http_version"] == "1.1"
    assert scope["method"] == "GET"
    assert scope["scheme"] == "http"
    assert scope["path"] == "/scope"
    assert scope["raw_path"] == {"bytes": "/scope"}
    assert scope["query_string"] == {"bytes": "a=1&b=%20"}
    assert scope["root_path"] == ""
    assert scope["server"] == [host, port]
    assert scope["client"][0] == "127.0.0.1" and scope["client"][1] > 0
    assert scope["state"]["made"] == "at startup"
    pairs = [(n["bytes"], v["bytes"]) for n, v in scope["headers"]]
    assert ("x-two", "1") in pairs and ("x-two", "2") in pairs
    assert all(n == n.lower() for n, _ in pairs)
    assert set(scope["extensions"]) == {"http.response.pathsend",
                                        "http.response.early_hint"}


def test_paths_are_decoded_as_utf8(probe):
    r = probe.get("/%73cope")
    assert json.loads(r.body)["raw_path"] == {"bytes": "/%73cope"}
    assert json.loads(r.body)["path"] == "/scope"


def test_the_version_of_an_old_client(probe):
    with probe.connect() as peer:
        peer.send("GET /scope HTTP/1.0\r\n\r\n")
        assert json.loads(peer.reply().body)["http_version"] == "1.0"


def test_each_request_has_a_scope_of_its_own(probe):
    for _ in range(3):
        assert probe.get("/scope_is_fresh").body == b"[None, None, None, None]"


@pytest.mark.parametrize("target, path", [
    ("http://a/scope?q", "/scope"), ("http://a", "/"), ("http://a?q", "/")])
def test_a_target_with_a_host_has_its_path(probe, target, path):
    with probe.connect() as peer:
        r = peer.send(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").reply()
    if path == "/scope":
        scope = json.loads(r.body)
        assert (scope["path"], scope["raw_path"]["bytes"]) == (path, path)
    else:
        assert (r.status, r.body) == (200, b"Hello, world!")


def test_a_unix_socket_has_no_client(server):
    s = server("-k", "asgi", "asgi_probe:app", apps=["asgi_probe.py"],
               bind="unix")
    scope = json.loads(s.get("/scope").body)
    assert scope["client"] is None
    assert scope["server"] == [s.address, None]


def test_root_path_is_the_setting(server):
    s = server("-k", "asgi", "--root-path", "/shop", "asgi_probe:app",
               apps=["asgi_probe.py"])
    scope = json.loads(s.get("/scope").body)
    assert scope["root_path"] == "/shop" and scope["path"] == "/scope"


# ---- bodies ----


@pytest.mark.parametrize("size", [0, 1, 5000, 200_000, 3_000_000])
def test_bodies_come_as_they_were_sent(probe, size):
    body = os.urandom(size)
    assert probe.post("/echo", body).body == body


def test_large_bodies_come_in_large_blocks(probe):
    sizes = json.loads(probe.post("/blocks", b"x" * 4_000_000).body)
    assert sum(sizes) == 4_000_000
    assert len(sizes) < 4_000_000 / 16384, sizes


def test_a_body_is_given_while_it_comes(probe):
    with probe.connect() as peer:
        peer.send("POST /first_block HTTP/1.1\r\nHost: a\r\n"
                  "Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        until(lambda: seen(probe).get("more") is True, "the application runs")
        peer.send("6\r\nsecond\r\n0\r\n\r\n")
        assert peer.reply().body == b"firstsecond"


def test_a_body_that_ends_early_is_a_disconnection(probe):
    with probe.connect() as peer:
        peer.send("POST /first_block HTTP/1.1\r\nHost: a\r\n"
                  "Content-Length: 100\r\n\r\nsome")
        until(lambda: seen(probe).get("more") is True, "the application runs")
    wait_seen(probe, "first_block", "http.disconnect")
    probe.announce("Invalid request")


def test_expectations_are_met_when_the_body_is_asked_for(probe):
    with probe.connect() as peer:
        peer.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n"
                  "Expect: 100-continue\r\n\r\n")
        assert peer.interim().status == 100
        peer.send("abc")
        assert peer.reply().body == b"abc"


# ---- replies ----


def test_one_part_has_a_length(probe):
    r = probe.get("/")
    assert (r.status, r.body) == (200, b"Hello, world!")
    assert r.one("Content-Length") == "13"


def test_parts_are_chunks(probe):
    r = probe.get("/parts")
    assert r.body == b"part 0\npart 1\npart 2\n"
    assert r.framing == "chunked"


def test_head_has_no_body(probe):
    r = probe.get("/", method="HEAD")
    assert (r.status, r.body, r.one("Content-Length")) == (200, b"", "13")


@pytest.mark.parametrize("code", [200, 204, 304, 404, 500])
def test_statuses(probe, code):
    r = probe.get(f"/status?{code}")
    assert r.status == code
    assert r.body == (b"" if code in (204, 304) else b"status")


def test_an_event_leaves_at_once(probe):
    with probe.connect() as peer:
        peer.get("/events?20")
        begun = time.monotonic()
        peer.head()
        first = chunk(peer)
        assert first == b"data: 0\n\n"
        assert time.monotonic() - begun < 0.5, "20 events take a second"


def test_any_buffer_is_a_body(probe):
    assert probe.get("/view").body == b"a view"


def test_a_file_is_sent_by_its_path(probe):
    path = probe.folder / "asgi_probe.py"
    r = probe.get(f"/path?{path}")
    assert r.body == path.read_bytes()
    assert r.one("Content-Length") == str(path.stat().st_size)


def test_early_hints(probe):
    with probe.connect() as peer:
        peer.get("/hints")
        interim = peer.interim()
        assert interim.status == 103
        assert interim.all("Link") == ["</a.css>; rel=preload",
                                       "</b.js>; rel=preload"]
        assert peer.reply().body == b"hinted"


def test_trailers_for_those_who_asked(probe):
    with probe.connect() as peer:
        peer.get("/trailers", "TE: trailers", "Connection: TE, close")
        data = peer.rest()
        assert data.endswith(b"4\r\nbody\r\n0\r\nx-sum: 4\r\n\r\n"), data
    with probe.connect() as peer:
        peer.get("/trailers", "Connection: close")
        data = peer.rest()
        assert data.endswith(b"4\r\nbody\r\n0\r\n\r\n"), data


def test_a_slow_reader_pauses_the_application(probe):
    with probe.connect() as peer:
        peer.get("/big?400")
        peer.head()
        until(lambda: seen(probe).get("blocks", 0) > 0, "it has begun")
        last = [-1]

        def stands():
            now = seen(probe)["blocks"]
            same, last[0] = now == last[0], now
            time.sleep(0.1)
            return same
        until(stands, "the application waits")
        assert seen(probe)["blocks"] < 300
        total = 0
        while True:
            n = len(chunk(peer))
            total += n
            if n == 0:
                break
        assert total == 400 * 65536


def test_requests_that_come_together_are_answered_in_order(probe):
    for path in ("/", "/busy_background", "/context"):
        with probe.connect() as peer:
            peer.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n" * 5)
            for _ in range(5):
                assert peer.reply().status == 200


# ---- replies that break a rule ----


def test_no_reply_is_a_500(probe):
    probe.announce("returned without a response")
    assert probe.get("/nothing").status == 500


@pytest.mark.parametrize("path", ["/raises", "/raises_late", "/raises_started"])
def test_an_exception_is_a_500_with_its_traceback_in_the_log(probe, path):
    probe.announce("Error handling request", "boom", "Traceback")
    assert probe.get(path).status == 500
    probe.wait_log(r"Error handling request GET " + path)


@pytest.mark.parametrize("path", ["/raises_midway", "/ends_midway"])
def test_a_reply_that_is_not_complete_is_cut(probe, path):
    probe.announce("Error handling request", "boom", "Traceback",
                   "before the end of its response")
    with probe.connect() as peer:
        peer.get(path)
        data = peer.rest()
    assert b"some" in data and not data.endswith(b"0\r\n\r\n"), data


def test_an_exception_after_the_reply_is_logged(probe):
    probe.announce("Error handling request", "too late to tell", "Traceback")
    assert probe.get("/raises_after").body == b"fine"
    probe.wait_log(r"Error handling request GET /raises_after")


def test_a_body_shorter_than_its_length_closes(probe):
    probe.announce("shorter than its Content-Length")
    with probe.connect() as peer:
        peer.get("/too_short")
        data = peer.rest()
    assert data.endswith(b"\r\n\r\n123"), data


def test_a_body_longer_than_its_length_is_cut_and_told(probe):
    with probe.connect() as peer:
        peer.get("/too_long")
        assert peer.reply().body == b"12345"
    assert "longer than its Content-Length (5)" in seen(probe)["too_long"]


def test_bad_messages_raise_with_the_key_and_the_value(probe):
    told = json.loads(probe.get("/faults").body)
    wanted = {
        "no dict": "TypeError: send() takes a dict, not str",
        "no type": "ValueError: message {} has no 'type'",
        "other type": "ValueError: no message of a response has the type "
                      "'http.response.other'",
        "body first": "RuntimeError: http.response.body before "
                      "http.response.start",
        "no status": "ValueError: message {'type': 'http.response.start'} has "
                     "no 'status'",
        "status": "ValueError: 'status' is 'ok', not an integer from 200 to 999",
        "low status": "ValueError: 'status' is 99, not an integer from 200 to "
                      "999",
        "str header": "TypeError: 'headers': name and value are bytes, not 'a' "
                      "and str",
        "no pair": "TypeError: 'headers' has (name, value) pairs, not b'abc'",
        "second start": "RuntimeError: http.response.start: the response has "
                        "started already",
        "str body": "TypeError: 'body' is bytes, not str",
    }
    for name, text in wanted.items():
        assert told[name] == text
    assert told["split"].startswith("ValueError: 'headers': ")
    assert told["bad name"].startswith("ValueError: 'headers': ")
    assert seen(probe)["after the end"] == (
        "RuntimeError: http.response.body after the response was complete")


def test_sys_exit_ends_a_request_not_the_worker(probe):
    probe.announce("Error handling request", "SystemExit", "Traceback")
    assert probe.get("/exits").status == 500
    assert probe.get("/").status == 200


# ---- clients that leave ----


def test_receive_tells_that_the_client_left(probe):
    with probe.connect() as peer:
        peer.get("/waits")
        time.sleep(0.05)
    wait_seen(probe, "waits", "http.disconnect")
    wait_seen(probe, "waits send", "OSError")


def test_a_request_whose_client_left_is_cancelled_after_the_grace(probe):
    with probe.connect() as peer:
        peer.get("/sleeps")
        wait_seen(probe, "sleeps", "begun")
    wait_seen(probe, "sleeps", "cancelled")


def test_sending_to_nobody_raises_and_is_no_error(probe):
    with probe.connect() as peer:
        peer.get("/events?1000")
        peer.head()
        peer.reset()
    wait_seen(probe, "events", ["ClientDisconnected", True])


# ---- tasks ----

@pytest.mark.parametrize("name", CHECKS)
def test_tasks_are_asyncios(probe, name):
    assert answer(probe, "/" + name) == OK


def test_receive_and_send_can_be_tasks(probe):
    assert answer(probe, "/task_of_receive") == OK
    wait_seen(probe, "task_of_receive", "http.disconnect")


def test_done_callbacks_are_called(probe):
    assert answer(probe, "/done_callback") == OK
    wait_seen(probe, "done", True)


def test_one_request_can_cancel_another(probe):
    with probe.connect() as peer:
        peer.get("/victim")
        assert answer(probe, "/killer") == OK
        assert peer.reply().body == b"ok"


def test_work_after_the_reply_holds_no_connection(probe):
    with probe.connect() as peer:
        before = seen(probe).get("background", 0)
        for _ in range(4):
            peer.get("/background")
            assert peer.reply().body == b"ok"
        assert seen(probe).get("background", 0) < before + 4
    wait_seen(probe, "background", before + 4)


def test_nothing_grows(probe):
    """Requests of each ending, many times: the same objects as before."""
    paths = ["/", "/slow?0.001", "/parts", "/context", "/echo", "/background",
             "/task_of_receive", "/lost_receive"]

    def round_of_requests(n):
        with probe.connect() as peer:
            for i in range(n):
                peer.get(paths[i % len(paths)])
                assert peer.reply().status == 200

    def counts():
        now = json.loads(probe.get("/counts").body)
        return now if now["tasks"] <= 2 else None
    round_of_requests(160)
    before = until(counts, "the tasks are done")
    round_of_requests(1600)
    after = until(counts, "the tasks are done")
    # asyncio keeps up to 100 timers that were cancelled, with their contexts
    grown = {k: (before[k], after[k]) for k in before
             if after[k] > before[k] + 120}
    assert not grown, grown


# ---- limits and settings ----


def test_requests_that_take_too_long_are_answered_and_cancelled(server):
    s = server("-k", "asgi", "--request-timeout", "1", "asgi_probe:app",
               apps=["asgi_probe.py"])
    s.announce("REQUEST TIMEOUT")
    assert s.get("/sleeps").status == 504
    wait_seen(s, "sleeps", "cancelled")


def test_request_buffering_can_be_asked_for(server):
    s = server("-k", "asgi", "asgi_probe:app", apps=["asgi_probe.py"],
               config="request_buffering = True\n")
    with s.connect() as peer:
        peer.send("POST /first_block HTTP/1.1\r\nHost: a\r\n"
                  "Content-Length: 10\r\n\r\nfirst")
        assert "more" not in seen(s)
        peer.send("54321")
        assert peer.reply().body == b"first54321"
    assert seen(s)["more"] is False


def test_the_access_log_has_its_atoms(server):
    s = server("-k", "asgi", "--access-logfile", "-", "--access-logformat",
               '%(h)s %(m)s %(U)s %(q)s %(H)s %(s)s %(B)s %({x-a}i)s '
               '%({x-b}o)s %({raw_uri}e)s', "asgi_probe:app",
               apps=["asgi_probe.py"])
    s.get("/hello?q=1", "X-A: mine")
    until(lambda: "127.0.0.1 GET /hello q=1 HTTP/1.1 200 13 mine - /hello?q=1"
          in s.stdout(), lambda: "the line is there: " + s.stdout())


def test_hooks_see_every_request(server):
    config = """
def pre_request(worker, req):
    worker.log.info("before %s %s", req.method, req.path)
    req.headers.append(("X-HOOKED", "yes"))

def post_request(worker, req, environ, resp):
    worker.log.info("after %s %s %s", req.path, environ["PATH_INFO"],
                    resp.status_code)
"""
    s = server("-k", "asgi", "asgi_probe:app", apps=["asgi_probe.py"],
               config=config)
    scope = json.loads(s.get("/scope").body)
    assert [{"bytes": "x-hooked"}, {"bytes": "yes"}] in scope["headers"]
    s.wait_log("before GET /scope")
    s.wait_log("after /scope /scope 200")


def test_requests_of_a_blocked_loop_go_to_others(server):
    s = server("-k", "asgi", "-w", "3", "asgi_probe:app",
               apps=["asgi_probe.py"])
    s.wait_workers(3)
    peers = [s.connect() for _ in range(6)]
    for peer in peers:  # the connections are the workers' by now
        peer.get("/")
        assert peer.reply().status == 200
    with s.connect() as blocked:
        blocked.get("/blocks_loop?6")
        until(lambda: "blocks" in s.stdout(), "the loop is blocked")
        begun = time.monotonic()
        for peer in peers:
            peer.get("/")
        for peer in peers:
            assert peer.reply().status == 200
        assert time.monotonic() - begun < 5, "they waited for the blocked one"
        assert blocked.reply().status == 200
    for peer in peers:
        peer.close()


def test_what_waits_is_told_when_a_blocked_worker_is_ended(server):
    s = server("-k", "asgi", "-t", "1", "asgi_probe:app",
               apps=["asgi_probe.py"],
               announced=["WORKER TIMEOUT", "is running:", "Stacks of worker",
                          "took ", "Tasks of worker", "Traceback",
                          "KeyboardInterrupt", "SystemExit"])
    with s.connect() as waits, s.connect() as blocked:
        waits.get("/sleeps")
        wait_seen(s, "sleeps", "begun")
        blocked.get("/blocks_loop?30")
        s.wait_log(r"Stacks of worker(.*\n)*.* in blocks_loop")
        s.wait_log(r"Tasks of worker that wait(.*\n)*.* in sleeps")
        waits.rest()
    s.wait_log("Booting worker", 2)


def test_three_of_four_workers_blocked_hold_nobody(server):
    s = server("-k", "asgi", "-w", "4", "asgi_probe:app",
               apps=["asgi_probe.py"])
    s.wait_workers(4)
    with contextlib.ExitStack() as stack:
        blocked = [stack.enter_context(s.connect()) for _ in range(3)]
        for peer in blocked:
            peer.get("/blocks_loop?9")
        until(lambda: s.stdout().count("blocks") == 3, "three loops are blocked")
        peers = [stack.enter_context(s.connect()) for _ in range(8)]
        begun = time.monotonic()
        for peer in peers:
            for _ in range(5):
                assert peer.get("/").reply().body == b"Hello, world!"
        assert time.monotonic() - begun < 8, "they waited for a blocked one"
        for peer in blocked:
            assert peer.reply().status == 200


def test_debug_mode_has_ordinary_tasks(server):
    s = server("-k", "asgi", "asgi_probe:app", apps=["asgi_probe.py"],
               env={"PYTHONASYNCIODEBUG": "1"})
    for name in CHECKS:
        assert answer(s, "/" + name) == OK, name
