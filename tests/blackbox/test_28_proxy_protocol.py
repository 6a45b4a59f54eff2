# SPDX-License-Identifier: MIT
"""The PROXY protocol: what HAProxy's send-proxy and send-proxy-v2 write."""
import contextlib
import json
import os
import re
import socket
import struct

import pytest

from harness import classes
from harness.waiting import until

GET = b"GET /environ HTTP/1.1\r\nHost: a\r\n\r\n"
V1 = b"PROXY TCP4 192.0.2.7 192.0.2.8 1111 80\r\n"
V1_6 = b"PROXY TCP6 2001:db8::7 2001:db8::8 1111 80\r\n"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def v2(command=0x21, how=0x11, data=None, tlvs=b""):
    if data is None:
        data = (socket.inet_aton("192.0.2.7") + socket.inet_aton("192.0.2.8")
                + struct.pack(">HH", 1111, 80))
    return SIGNATURE + struct.pack(">BBH", command, how,
                                   len(data + tlvs)) + data + tlvs


V2 = v2()
V2_6 = v2(how=0x21, data=socket.inet_pton(socket.AF_INET6, "2001:db8::7")
          + socket.inet_pton(socket.AF_INET6, "2001:db8::8")
          + struct.pack(">HH", 1111, 80))


@pytest.fixture(scope="module")
def servers(module_server):
    """One for each mode, made when it is asked for."""
    made = {}

    def get(mode):
        if mode not in made:
            made[mode] = module_server(
                "probe:app", apps=["probe.py"],
                config=f"proxy_protocol = {mode!r}\naccesslog = '-'\n")
        return made[mode]

    return get


@pytest.fixture
def auto(servers):
    server = servers("auto")
    yield server
    server.check_log()


KEYS = ["REMOTE_ADDR", "REMOTE_PORT", "PROXY_PROTOCOL", "PROXY_ADDR",
        "PROXY_PORT"]
if classes.under_test() == "asgi":  # whose scope knows the client only
    KEYS = KEYS[:2]


def told(reply):
    assert reply.status == 200, reply
    e = json.loads(reply.body)
    return {k: e.get(k) for k in KEYS}


def expected(protocol, client, server):
    return dict(zip(KEYS, [client, "1111", protocol, server, "80"]))


TCP4 = expected("TCP4", "192.0.2.7", "192.0.2.8")
TCP6 = expected("TCP6", "2001:db8::7", "2001:db8::8")


def of_socket(peer):
    port = str(peer.sock.getsockname()[1])
    return dict(zip(KEYS, ["127.0.0.1", port, None, None, None]))


@pytest.mark.parametrize("preamble, want", [
    (V1, TCP4), (V1_6, TCP6), (V2, TCP4), (V2_6, TCP6),
    (v2(tlvs=b"\x04\0\x02hi"), TCP4)], ids=["v1", "v1-6", "v2", "v2-6", "tlv"])
def test_a_preamble_tells_the_client(auto, preamble, want):
    with auto.connect() as peer:
        assert told(peer.send(preamble + GET).reply()) == want
        # it holds for the whole connection
        assert told(peer.send(GET).reply()) == want


@pytest.mark.parametrize("preamble", [V1, V2], ids=["v1", "v2"])
def test_a_preamble_may_come_in_parts(auto, preamble):
    data = preamble + GET
    peers = [auto.connect() for _ in range(1, len(data), 5)]
    try:
        for i, peer in enumerate(peers):
            peer.send(data[:1 + 5 * i])
        for i, peer in enumerate(peers):
            peer.send(data[1 + 5 * i:])
        for peer in peers:
            assert told(peer.reply()) == TCP4
    finally:
        for peer in peers:
            peer.close()


@pytest.mark.parametrize("preamble", [V1, V2], ids=["v1", "v2"])
def test_a_preamble_may_come_byte_by_byte(auto, preamble):
    with auto.connect() as peer:
        for i in range(len(preamble + GET)):
            peer.send((preamble + GET)[i:i + 1])
        assert told(peer.reply()) == TCP4


def test_a_preamble_alone_waits_for_its_request(auto):
    with auto.connect() as peer, auto.connect() as other:
        peer.send(V1)
        assert told(other.send(V2 + GET).reply()) == TCP4
        assert told(peer.send(GET).reply()) == TCP4


@pytest.mark.parametrize("preamble", [
    b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN x y z\r\n", v2(command=0x20),
    v2(command=0x20, how=0, data=b""), v2(how=0, data=b""), b"", b"\r\n"],
    ids=["unknown", "unknown-rest", "local", "local-empty", "unspec",
         "nothing", "crlf"])
def test_without_addresses_the_sockets_hold(auto, preamble):
    with auto.connect() as peer:
        assert told(peer.send(preamble + GET).reply()) == of_socket(peer)


@pytest.mark.parametrize("preamble", [
    b"PROXY TCP4 1.2.3.4 5.6.7.8 +1 80\r\n", b"PROXY TCP4 1.2.3.4\r\n",
    b"PROXY TCP5 1.2.3.4 5.6.7.8 1 80\r\n", b"PROXY TCP4 " + b"1" * 300,
    v2(command=0x11), v2(how=0x12), v2(data=b"short"), v2()[:14] + b"\xff\xff"],
    ids=["sign", "short", "protocol", "long", "version", "udp", "data",
         "length"])
def test_a_bad_preamble_is_refused(auto, preamble):
    auto.announce("Invalid request from ip=127.0.0.1: 'Invalid PROXY")
    with auto.connect() as peer:
        reply = peer.send(preamble + GET).reply()
        assert reply.status == 400 and reply.says_close()
        assert b"Invalid PROXY" in reply.body
        peer.assert_closed()


def test_a_second_preamble_is_no_request(auto):
    with auto.connect() as peer:
        assert peer.send(V1 + V1 + GET).reply().status == 400
        peer.assert_closed()


@pytest.mark.parametrize("mode, preamble, is_heard", [
    ("off", V1, False), ("off", V2, False), ("v1", V1, True),
    ("v1", V2, False), ("v2", V1, False), ("v2", V2, True)])
def test_a_mode_hears_its_own_version(servers, mode, preamble, is_heard):
    server = servers(mode)
    with server.connect() as peer:
        reply = peer.send(preamble + GET).reply()
        if is_heard:
            assert told(reply) == TCP4
        else:
            assert reply.status == 400
    server.check_log()


@pytest.mark.parametrize("preamble", [V1, V2], ids=["v1", "v2"])
def test_who_may_not_send_a_preamble_is_forbidden(server, preamble):
    s = server("probe:app", apps=["probe.py"], config=(
        "proxy_protocol = 'auto'\nproxy_allow_ips = '192.0.2.1,10.0.0.0/8'\n"))
    with s.connect() as peer:
        reply = peer.send(preamble + GET).reply()
        assert reply.status == 403 and b"Request forbidden" in reply.body
        peer.assert_closed()
    s.wait_log("Invalid request from ip=127.0.0.1: Request forbidden")
    # a client that comes without one is served, as by gunicorn
    with s.connect() as peer:
        assert told(peer.send(GET).reply()) == of_socket(peer)


def test_networks_may_send_preambles(server):
    s = server("probe:app", "--proxy-protocol", "auto",
               "--proxy-allow-from", "127.0.0.0/8", apps=["probe.py"])
    with s.connect() as peer:
        assert told(peer.send(V1 + GET).reply()) == TCP4


def test_a_preamble_over_a_unix_socket_is_heard(server):
    s = server("probe:app", apps=["probe.py"], bind="unix", config=(
        "proxy_protocol = True\nproxy_allow_ips = ''\n"))
    with s.connect() as peer:
        assert told(peer.send(V1 + GET).reply()) == TCP4


def test_trust_is_in_the_proxy_and_not_in_whom_it_names(server):
    s = server("probe:app", apps=["probe.py"], config=(
        "proxy_protocol = True\nforwarded_allow_ips = '192.0.2.7'\n"))
    with s.connect() as peer:
        e = json.loads(peer.send(V1 + GET.replace(
            b"\r\n\r\n", b"\r\nX-Forwarded-Proto: https\r\n\r\n")).reply().body)
    assert e["wsgi.url_scheme"] == "http"


def test_the_access_log_shows_the_client(auto):
    with auto.connect() as peer:
        peer.send(V1 + GET.replace(b"/environ", b"/environ/logged")).reply()
    until(lambda: re.search("192.0.2.7 - - .*/environ/logged", auto.stdout()),
          auto.stdout)


def test_a_preamble_without_end_has_the_heads_time(server):
    s = server("probe:app", apps=["probe.py"], config=(
        "proxy_protocol = True\nheader_timeout = 1\n"))
    with s.connect() as peer:
        peer.send(V1[:-1])
        assert peer.head().status == 408


WHO = """\
import contextlib
import json
import os
import os

def app(environ, start_response):
    if environ["PATH_INFO"] == "/block":
        with open("blocked", "w") as f:
            f.write(str(os.getpid()))
        with open("gate") as gate:  # a FIFO
            gate.read()
    start_response("200 OK", [])
    return [json.dumps([os.getpid(), environ["REMOTE_ADDR"],
                        environ.get("PROXY_ADDR")]).encode()]
"""


def writer(fifo):
    """Its descriptor once somebody reads, else None."""
    with contextlib.suppress(OSError):
        return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
    return None


def test_what_a_proxy_told_moves_with_a_request_to_another_worker(server):
    s = server("who:app", "-w", "2", files={"who.py": WHO},
               config="proxy_protocol = True\n")
    os.mkfifo(s.folder / "gate")
    peers = [s.connect() for _ in range(20)]
    try:
        for peer in peers:
            assert peer.send(V1 + GET).reply().status == 200
        peers[0].get("/block")
        gate = until(lambda: writer(s.folder / "gate"), "a worker is blocked")
        # a worker that was late may have passed it on before it blocked
        blocked = int((s.folder / "blocked").read_text())
        for peer in peers[1:]:
            answer = json.loads(peer.send(GET).reply().body)
            assert answer[0] != blocked
            assert answer[1:] == ["192.0.2.7", "192.0.2.8"]
        os.close(gate)
        assert json.loads(peers[0].reply().body)[0] == blocked
    finally:
        for peer in peers:
            peer.close()
