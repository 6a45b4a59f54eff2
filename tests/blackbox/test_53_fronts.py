# SPDX-License-Identifier: MIT
"""Behind nginx and HAProxy: kept connections, sockets, the PROXY protocol."""
import hashlib
import json

import pytest

from harness.clients import Browser, curl
from harness.fronts import Front
from harness.wire import Peer

DATA = bytes(range(256)) * 4096 * 3
DIGEST = {"size": len(DATA), "sha": hashlib.sha256(DATA).hexdigest()}
# front, bind, what is said about the server behind it, settings of ours
FRONTS = {
    "nginx": ("nginx", "tcp", "", ()),
    "nginx, unix": ("nginx", "unix", "", ()),
    "nginx, unbuffered": ("nginx", "tcp", "proxy_request_buffering off; "
                          "proxy_buffering off;", ()),
    "haproxy": ("haproxy", "tcp", "", ()),
    "haproxy, unix": ("haproxy", "unix", "", ()),
    "haproxy, v1": ("haproxy", "tcp", "send-proxy", ("--proxy-protocol",)),
    "haproxy, v2": ("haproxy", "tcp", "send-proxy-v2", ("--proxy-protocol",)),
    "haproxy, unix v1": ("haproxy", "unix", "send-proxy",
                         ("--proxy-protocol",)),
    "haproxy, unix v2": ("haproxy", "unix", "send-proxy-v2",
                         ("--proxy-protocol",)),
}


class Pair:
    def __init__(self, name, module_server, folder):
        kind, bind, more, args = FRONTS[name]
        self.announces = bool(args)
        self.server = module_server("probe:app", *args, bind=bind,
                                    apps=["probe.py"],
                                    files={"data.bin": DATA})
        self.front = Front(kind, self.server, folder, more)
        self.address = self.front.address


@pytest.fixture(scope="module", params=FRONTS)
def pair(request, module_server, tmp_path_factory):
    made = Pair(request.param, module_server, tmp_path_factory.mktemp("f"))
    yield made
    made.front.end()


@pytest.fixture(autouse=True)
def clean_log(pair):
    yield
    pair.server.check_log()


def environ(browser):
    return json.loads(browser.get("/environ").data)


def test_all_kinds_of_replies_come_through(pair):
    with Browser(pair.address) as browser:
        for path, body in (("/one", b"one item"), ("/nothing", b""),
                           ("/several", b"first,second,third"),
                           ("/generator", b"part 0\npart 1\npart 2\n"),
                           ("/status?204", b""), ("/status?404", b"status"),
                           ("/big?3000000", b"x" * 3000000)):
            assert browser.get(path).data == body
        reply = browser.ask("HEAD", "/closing_length")
        assert (reply.headers["Content-Length"], reply.data) == ("2", b"")


@pytest.mark.parametrize("args", [
    (), ("--header", "Expect: 100-continue"), ("--header", "Expect:"),
    ("--header", "Transfer-Encoding: chunked")])
def test_uploads_come_through(pair, args):
    out = curl(pair.address, *args, "--request", "POST", "--upload-file",
               f"{pair.server.folder}/data.bin", "/digest")
    assert json.loads(out) == DIGEST


def test_an_iri_comes_through_as_its_bytes(pair):
    if "haproxy" in pair.front.log.name:
        pytest.skip("HAProxy accepts no such target")
    told = json.loads(curl(pair.address, "/environ/\u00e9"))
    assert told["PATH_INFO"] == "/environ/\u00e9".encode().decode("latin-1")


def test_a_connection_to_us_is_kept(pair):
    """Nobody but us knows its number: it is the same for several requests."""
    if isinstance(pair.server.address, str) or pair.announces:
        pytest.skip("the peer's port is not that of the connection")
    with Browser(pair.address) as browser:
        ports = {environ(browser)["REMOTE_PORT"] for _ in range(5)}
    assert len(ports) == 1


def test_the_scheme_of_the_front_is_believed(pair):
    with Browser(pair.address) as browser:
        told = environ(browser)
    if pair.announces and not isinstance(pair.server.address, str):
        # whoever the PROXY protocol names is here, and trusted
        assert told["REMOTE_ADDR"] == "127.0.0.1"
    assert told["wsgi.url_scheme"] == "https"


def test_the_client_is_the_one_of_the_proxy_protocol(pair):
    if not pair.announces:
        pytest.skip("this front announces nobody")
    with Browser(pair.address) as browser:
        told = environ(browser)
        assert told["REMOTE_ADDR"] == "127.0.0.1"
        assert told["REMOTE_PORT"] == str(browser.http.sock.getsockname()[1])


def test_an_error_is_the_applications(pair):
    pair.server.announce("ZeroDivisionError: before the headers")
    with Browser(pair.address) as browser:
        assert browser.get("/raising").status == 500
        assert browser.get("/one").status == 200


def test_a_cut_reply_is_not_taken_for_whole(pair):
    pair.server.announce("ZeroDivisionError: after the headers")
    with Peer(pair.address) as peer:
        data = peer.get("/raising_later", "Connection: close").rest()
    assert not data.endswith(b"0\r\n\r\n"), data
