# SPDX-License-Identifier: MIT
"""Plain WSGI by curl and http.client: TCP, IPv6, a unix socket, a daemon; and by
the clients that measure."""
import hashlib
import json
import re
import shutil
import subprocess

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


def test_curl_sends_an_iri_as_its_bytes(probe):
    told = json.loads(curl(probe.address, "/environ/\u00e9?\u00fc"))
    assert told["PATH_INFO"] == "/environ/\u00e9".encode().decode("latin-1")
    assert told["QUERY_STRING"] == "\u00fc".encode().decode("latin-1")


def measured(probe, tool, *args):
    """What the tool says; it knows TCP only."""
    if not shutil.which(tool):
        pytest.skip(f"there is no {tool} (tools/setup clients installs it)")
    if isinstance(probe.address, str):
        pytest.skip(f"{tool} knows no unix sockets")
    done = subprocess.run([tool, *args, probe.url("/one")], text=True,
                          capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_wrk_sees_no_error(probe):
    out = measured(probe, "wrk", "-t", "1", "-c", "8", "-d", "1s")
    assert int(re.search(r"(\d+) requests in", out)[1]) > 0
    assert "Non-2xx" not in out and "Socket errors" not in out, out


@pytest.mark.parametrize("ahead", ["1", "4"])
def test_h2load_gets_every_reply_also_with_pipelining(probe, ahead):
    if ":" in probe.address[0]:
        pytest.skip("h2load's Host has no brackets around an IPv6 address")
    out = measured(probe, "h2load", "--h1", "-n", "2000", "-c", "8", "-m", ahead)
    assert "2000 succeeded, 0 failed, 0 errored, 0 timeout" in out, out


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
