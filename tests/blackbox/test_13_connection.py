# SPDX-License-Identifier: MIT
"""Keep-alive, pipelining, HTTP/1.0 and the ends of connections."""
import pytest

from harness import wire
from harness.waiting import until


@pytest.fixture(scope="module")
def shared(module_server):
    return module_server("probe:app", apps=["probe.py"])


@pytest.fixture
def probe(shared):
    yield shared
    shared.check_log()


def test_a_connection_is_kept_for_the_next_request(probe):
    with probe.connect() as peer:
        for _ in range(5):
            r = peer.get("/one").reply()
            assert r.body == b"one item"
            assert not r.says_close()


def test_a_connection_is_kept_whatever_the_framing_was(probe):
    with probe.connect() as peer:
        for path in ("/one", "/generator", "/nothing", "/writing", "/file",
                     "/status?204", "/status?304", "/status?404"):
            assert not peer.get(path).reply().says_close(), path
            assert not peer.get(path, method="HEAD").reply("HEAD").says_close()


def test_connection_close_is_obeyed_and_said(probe):
    with probe.connect() as peer:
        r = peer.get("/one", "Connection: close").reply()
        assert r.says_close()
        peer.assert_closed()


@pytest.mark.parametrize("value", ["close, te", "te,close", "CLOSE", ",close"])
def test_close_counts_wherever_it_is_in_the_list(probe, value):
    with probe.connect() as peer:
        assert peer.get("/one", f"Connection: {value}").reply().says_close()
        peer.assert_closed()


def test_nothing_is_answered_after_a_close(probe):
    with probe.connect() as peer:
        peer.get("/one", "Connection: close").send_leniently(
            b"GET /one HTTP/1.1\r\nHost: a\r\n\r\n")
        peer.reply()
        peer.assert_closed()


def test_http_1_0_is_answered_and_closed(probe):
    with probe.connect() as peer:
        r = peer.send("GET /one HTTP/1.0\r\n\r\n").reply()
        assert (r.body, r.minor) == (b"one item", 0)
        assert r.says_close()
        peer.assert_closed()


def test_http_1_0_gets_a_stream_that_ends_with_the_connection(probe):
    with probe.connect() as peer:
        r = peer.send("GET /generator HTTP/1.0\r\n"
                      "Connection: keep-alive\r\n\r\n").reply()
        assert r.framing == "close"
        assert r.body == b"part 0\npart 1\npart 2\n"


def test_http_1_0_keeps_the_connection_if_it_asks_and_the_length_is_known(
        probe):
    with probe.connect() as peer:
        for _ in range(2):
            r = peer.send("GET /plain/one HTTP/1.0\r\n"
                          "Connection: keep-alive\r\n\r\n").reply()
            assert r.framing == "length"
            assert "keep-alive" in r.one("connection").lower()


def test_sl15_pipelined_requests_are_answered_in_their_order(probe):
    paths = ["/one", "/generator", "/nothing", "/several", "/status?404"] * 10
    one_by_one = [probe.get(p).body for p in paths[:5]] * 10
    with probe.connect() as peer:
        peer.send("".join(f"GET {p} HTTP/1.1\r\nHost: a\r\n\r\n"
                          for p in paths))
        assert [peer.reply().body for _ in paths] == one_by_one


def test_pipelined_bodies_do_not_mix(probe):
    with probe.connect() as peer:
        data = b""
        for i in range(20):
            body = b"%d" % i * (i * 500)
            data += (b"POST /half?%d HTTP/1.1\r\nHost: a\r\n"
                     b"Content-Length: %d\r\n\r\n%s"
                     % (len(body), len(body), body))
        peer.send(data)
        for i in range(20):
            assert peer.reply().body == b"%d" % i * (i * 500)


def test_sl16_pipelined_requests_behind_a_slow_reader_all_arrive(probe):
    with probe.connect() as peer:
        peer.send(b"GET /big?300000 HTTP/1.1\r\nHost: a\r\n\r\n" * 20)
        for _ in range(20):
            assert peer.reply().body == b"x" * 300000


def test_sl08_a_half_closed_client_gets_its_reply_and_then_the_end(probe):
    with probe.connect() as peer:
        peer.get("/generator").end_sending()
        assert peer.reply().body == b"part 0\npart 1\npart 2\n"
        peer.assert_closed()


def test_a_client_that_says_nothing_and_goes_leaves_no_trace(probe):
    with probe.connect() as peer:
        peer.end_sending()
        peer.assert_closed()
    with probe.connect() as peer:
        peer.send("GET /one HTTP/1.1\r\nHos").end_sending()
        assert b" 200 " not in peer.rest()
    assert probe.get("/one").body == b"one item"


def test_clients_that_reset_do_not_disturb_others(probe):
    for _ in range(50):
        peer = probe.connect()
        peer.send("GET /big?1000000 HTTP/1.1\r\nHost: a\r\n\r\n")
        peer.reset()
    assert probe.get("/one").body == b"one item"


def test_sl11_the_last_byte_arrives_although_the_client_sends_too_much(probe):
    with probe.connect() as peer:
        peer.get("/one", "Connection: close")
        peer.send_leniently(b"x" * 65536)
        assert peer.reply().body == b"one item"


def test_lm05_sl13_an_idle_connection_is_closed_after_keepalive(server):
    s = server("probe:app", "--keep-alive", "1", apps=["probe.py"])
    with s.connect() as peer:
        assert peer.get("/one").reply().status == 200
        peer.assert_closed()


def test_keepalive_0_closes_after_each_request(server):
    s = server("probe:app", "--keep-alive", "0", apps=["probe.py"])
    with s.connect() as peer:
        assert peer.get("/one").reply().says_close()
        peer.assert_closed()


def test_idle_connections_do_not_keep_a_sync_worker_from_others(probe):
    idle = [probe.connect() for _ in range(50)]
    for peer in idle:
        assert peer.get("/one").reply().body == b"one item"
    assert probe.get("/one").body == b"one item"
    for peer in idle:
        assert peer.get("/one").reply().body == b"one item"
        peer.close()


def test_the_next_request_may_come_over_the_same_unix_connection(server):
    s = server("probe:app", apps=["probe.py"], bind="unix")
    with s.connect() as peer:
        for _ in range(3):
            assert peer.get("/one").reply().body == b"one item"


def test_a_refused_request_is_told_in_full_and_closed(probe):
    with probe.connect() as peer:
        r = peer.send("GET /one\r\n\r\n").reply()
        assert (r.status, r.reason) == (400, "Bad Request")
        assert r.says_close()
        assert r.one("content-type").startswith("text/html")
        peer.assert_closed()


def test_markup_in_a_refused_request_is_escaped(probe):
    with probe.connect() as peer:
        r = peer.send("GET /<b></b> HTTP/9x\r\nHost: a\r\n\r\n").reply()
        assert r.status == 400
        assert b"<b>" not in r.body


@pytest.mark.parametrize("request_line, status", [
    ("GET /" + "a" * 5000 + " HTTP/1.1\r\nHost: a\r\n\r\n", 414),
    ("GET / HTTP/1.1\r\nHost: a\r\n" + "X: 1\r\n" * 120 + "\r\n", 431),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: " + "a" * 9000 + "\r\n\r\n", 431),
])
def test_lm06_a_head_over_a_limit_is_refused_with_the_right_status(
        probe, request_line, status):
    with probe.connect() as peer:
        peer.send_leniently(request_line.encode())
        assert peer.reply().status == status


def test_limits_are_settings(server):
    s = server("probe:app", "--limit-request-line", "50",
               "--limit-request-fields", "3",
               "--limit-request-field_size", "60", apps=["probe.py"])
    assert s.get("/one").status == 200
    assert s.get("/one?" + "a" * 50).status == 414
    assert s.get("/one", "A: 1", "B: 1", "C: 1").status == 431
    assert s.get("/one", "A: " + "a" * 60).status == 431


def test_host_is_needed_unless_the_setting_allows_its_absence(server, probe):
    line = "GET /one HTTP/1.1\r\n\r\n"
    with probe.connect() as peer:
        assert peer.send(line).reply().status == 400
    s = server("probe:app", config="allow_missing_host = True\n",
               apps=["probe.py"])
    with s.connect() as peer:
        assert peer.send(line).reply().status == 200


def test_max_connections_beyond_worker_connections_wait_and_are_served(
        server):
    s = server("probe:app", "--worker-connections", "5", apps=["probe.py"])
    peers = [wire.Peer(s.address).get("/one", "Connection: close")
             for _ in range(30)]
    for peer in peers:
        assert peer.reply().body == b"one item"
        peer.close()


# ---- late bytes of a client whose connection ends ----


@pytest.mark.parametrize("head", [
    "POST /{} HTTP/1.0\r\nContent-Length: 3\r\n\r\n",
    "POST /{} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
    "Content-Length: 3\r\n\r\n"])
def test_a_crlf_behind_a_body_costs_no_reply(server, head):
    s = server("late:app", files={"late.py": """\
import os
import time

def app(environ, start_response):
    name = environ["PATH_INFO"][1:]
    open(name + ".runs", "w").close()
    while not os.path.exists(name + ".go"):
        time.sleep(0.001)
    start_response("200 OK", [("Content-Length", str(1 << 20))])
    return [b"x" * (1 << 20)]
"""})
    with s.connect() as peer:
        peer.send(head.format("a") + "abc")
        until(lambda: (s.folder / "a.runs").exists(), s.tail)
        peer.send("\r\n")  # unread when the reply is out
        (s.folder / "a.go").touch()
        (s.folder / "b.go").touch()
        assert s.get("/b").status == 200  # the first one's connection is over
        assert peer.reply().body == b"x" * (1 << 20)
        peer.assert_closed()
        assert not peer.was_reset
