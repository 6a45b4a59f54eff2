# SPDX-License-Identifier: MIT
"""Plain WSGI by curl and http.client: TCP, IPv6, a unix socket, a daemon."""
import hashlib
import json

import pytest

from harness.clients import Browser, curl, url
from harness.server import has_ipv6

DATA = bytes(range(256)) * 4096 * 3  # 3 MiB: beyond what is kept in memory
DIGEST = {"size": len(DATA), "sha": hashlib.sha256(DATA).hexdigest()}


@pytest.fixture(scope="module", params=["tcp", "tcp6", "unix", "daemon"])
def probe(request, module_server):
    if request.param == "tcp6" and not has_ipv6():
        pytest.skip("this machine has no IPv6")
    if request.param == "daemon":
        return module_server(
            "-D", "--log-file", "error.log", "-p", "app.pid", "probe:app",
            daemon=True, pidfile="app.pid", errorlog="error.log",
            apps=["probe.py"], files={"data.bin": DATA})
    return module_server("probe:app", bind=request.param, apps=["probe.py"],
                         files={"data.bin": DATA})


@pytest.fixture(autouse=True)
def clean_log(probe):
    yield
    probe.check_log()


def test_curl_gets_a_page(probe):
    assert curl(probe.address, "/one") == b"one item"
    assert curl(probe.address, "--http1.0", "/generator") \
        == b"part 0\npart 1\npart 2\n"


def test_curl_keeps_its_connection(probe):
    words = [word for path in ("/one", "/generator", "/nothing", "/writing")
             for word in (url(probe.address, path), "--output", "/dev/null")]
    out = curl(probe.address, "--write-out", "%{num_connects} ", *words,
               "--output", "/dev/null", "/one")
    assert out == b"1 0 0 0 0 "


def test_curl_heads_are_without_bodies(probe):
    out = curl(probe.address, "--head", "/closing_length").decode()
    assert out.startswith("HTTP/1.1 200 OK\r\n")
    assert "Content-Length: 2\r\n" in out


@pytest.mark.parametrize("args", [
    (), ("--header", "Expect: 100-continue"), ("--header", "Expect:"),
    ("--http1.0",), ("--header", "Transfer-Encoding: chunked")])
def test_curl_uploads(probe, args):
    out = curl(probe.address, *args, "--request", "POST", "--upload-file",
               f"{probe.folder}/data.bin", "/digest")
    assert json.loads(out) == DIGEST


def test_curl_is_told_of_an_error(probe):
    probe.announce("ZeroDivisionError: before the headers")
    curl(probe.address, "--fail", "/raising", status=22)
    curl(probe.address, "/raising_later", status=18)  # a partial transfer
    probe.announce("ZeroDivisionError: after the headers")


def test_http_client_keeps_its_connection_over_all_kinds_of_replies(probe):
    with Browser(probe.address) as browser:
        for _ in range(3):
            for path, body in (("/one", b"one item"), ("/nothing", b""),
                               ("/several", b"first,second,third"),
                               ("/status?204", b""), ("/lazy", b"lazy"),
                               ("/writing", b"written,twice,returned")):
                assert browser.get(path).data == body
            assert json.loads(browser.ask("POST", "/digest", DATA).data) \
                == DIGEST
            parts = (DATA[i:i + 70000] for i in range(0, len(DATA), 70000))
            assert json.loads(browser.ask("PUT", "/digest", parts).data) \
                == DIGEST
        assert browser.connects == 1
