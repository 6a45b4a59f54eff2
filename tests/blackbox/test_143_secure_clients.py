# SPDX-License-Identifier: MIT
"""Real clients over TLS and HTTP/2: httpx, curl, nghttp, h2load, and OpenSSL's own."""
import hashlib
import json
import re
import shutil
import ssl
import subprocess
import sys

import pytest

from harness import certificates, sealed
from harness.waiting import DEADLINE

pytestmark = sealed.in_the_clear("it would be the same")
DATA = bytes(range(256)) * 4096  # 1 MiB
CLEAR = ["--http2-cleartext", "both"]


@pytest.fixture(scope="module", params=["tls", "clear"])
def probe(request, module_server):
    _, pem, key = certificates.shared()
    over = ["--certfile", pem, "--keyfile", key] if request.param == "tls" else CLEAR
    s = module_server("--http-protocols", "h2,h1", *over, "probe:app", apps=["probe.py"],
                      files={"data.bin": DATA})
    s.secure = request.param == "tls"
    s.base = "http%s://127.0.0.1:%d" % ("s" if s.secure else "", s.address[1])
    return s


def run(*words, given=None, folder=None):
    done = subprocess.run([str(w) for w in words], input=given, capture_output=True,
                          timeout=DEADLINE * 2, check=False, cwd=folder)
    return done.returncode, done.stdout, done.stderr


def needs(program):
    if not shutil.which(program):
        pytest.skip(f"there is no {program} (tools/setup clients installs it)")


# ---- httpx ----

HTTPX = """
import json, ssl, sys
import httpx
base, authority = sys.argv[1:]
data = open("data.bin", "rb").read()
verify = ssl.create_default_context(cafile=authority) if authority else True
told = []
with httpx.Client(http2=True, http1=bool(authority), verify=verify, timeout=60,
                  trust_env=False) as c:
    for path in ("/one", "/nothing", "/generator", "/status?404", "/big?3000000"):
        r = c.get(base + path)
        told.append([r.http_version, r.status_code, len(r.content)])
    told.append(c.post(base + "/digest", content=data).json())
    told.append(c.put(base + "/digest", content=(data[i:i + 70000] for i in
                                                 range(0, len(data), 70000))).json())
    told.append(c.head(base + "/closing_length").headers["content-length"])
print(json.dumps(told))
"""
MANY = """
import asyncio, ssl, sys
import httpx
base, authority = sys.argv[1:]
async def main():
    verify = ssl.create_default_context(cafile=authority) if authority else True
    async with httpx.AsyncClient(http2=True, http1=bool(authority), verify=verify, timeout=60,
                                 trust_env=False,
                                 limits=httpx.Limits(max_connections=1)) as c:
        got = await asyncio.gather(*(c.get(base + "/big?%d" % n) for n in range(0, 200000, 4000)))
        print(all(r.http_version == "HTTP/2" and len(r.content) == 4000 * i
                  for i, r in enumerate(got)), len(got))
asyncio.run(main())
"""


def httpx_runs(probe, text):
    has = run(sys.executable, "-c", "import httpx, h2")
    if has[0] != 0:
        pytest.skip("there is no httpx with HTTP/2 (Debian: python3-httpx, python3-h2)")
    (probe.folder / "client.py").write_text(text)
    authority = str(certificates.shared()[0].certificate) if probe.secure else ""
    status, out, err = run(sys.executable, "client.py", probe.base, authority,
                           folder=probe.folder)
    assert status == 0, err.decode()
    return out.decode()


def test_httpx(probe):
    digest = {"size": len(DATA), "sha": hashlib.sha256(DATA).hexdigest()}
    assert json.loads(httpx_runs(probe, HTTPX)) == [
        ["HTTP/2", 200, 8], ["HTTP/2", 200, 0], ["HTTP/2", 200, 21], ["HTTP/2", 404, 6],
        ["HTTP/2", 200, 3000000], digest, digest, "2"]


def test_httpx_with_many_streams_of_one_connection(probe):
    assert httpx_runs(probe, MANY) == "True 50\n"


# ---- curl ----

def curl(probe, *words):
    needs("curl")
    how = ["--cacert", certificates.shared()[0].certificate, "--http2"] if probe.secure \
        else ["--http2-prior-knowledge"]
    status, out, err = run("curl", "-sS", "--noproxy", "*", "-m", int(DEADLINE), *how, *words)
    assert status == 0, err.decode()
    return out


def test_curl(probe):
    assert curl(probe, probe.base + "/one", "-w", " %{http_version}") == b"one item 2"
    for more in ((), ("-H", "Expect: 100-continue"), ("-H", "Expect:")):
        told = json.loads(curl(probe, *more, "-T", probe.folder / "data.bin",
                               probe.base + "/digest"))
        assert told["size"] == len(DATA)
    probe.announce("ZeroDivisionError: before the headers")
    text = curl(probe, "-i", probe.base + "/raising").decode()
    assert text.startswith("HTTP/2 500")


def test_curl_is_told_of_a_reply_that_breaks_off(probe):
    needs("curl")
    probe.announce("ZeroDivisionError: after the headers")
    how = ["-k", "--http2"] if probe.secure else ["--http2-prior-knowledge"]
    status, _, err = run("curl", "-sS", "--noproxy", "*", *how, probe.base + "/raising_later")
    assert status in (18, 56, 92), (status, err)  # 92: a stream was reset


def test_curl_uses_one_connection(probe):
    if not probe.secure:
        pytest.skip("curl does not do that with prior knowledge, with nobody's server")
    words = [w for _ in range(5) for w in (probe.base + "/one", "-o", "/dev/null")]
    out = curl(probe, "-w", "%{num_connects} ", *words)
    assert out == b"1 0 0 0 0 "


# ---- nghttp2's clients ----

def test_nghttp(probe):
    needs("nghttp")
    status, out, err = run("nghttp", "-v", "--no-verify-peer", probe.base + "/one")
    text = out.decode()
    assert status == 0 and "one item" in text and ":status: 200" in text, err
    status, out, err = run("nghttp", "-nas", "--no-verify-peer", "-m", "20",
                           probe.base + "/generator")
    assert status == 0 and len(re.findall(r" 200 +\d+", out.decode())) == 20, out
    status, out, err = run("nghttp", "--no-verify-peer", "-d", probe.folder / "data.bin",
                           probe.base + "/digest")
    assert status == 0 and json.loads(out)["size"] == len(DATA), err


def test_nghttp_upgrades(probe):
    needs("nghttp")
    if probe.secure:
        pytest.skip("over TLS ALPN decides")
    status, out, err = run("nghttp", "-u", "-v", probe.base + "/one")
    assert status == 0 and b"HTTP Upgrade success" in out and b"one item" in out, (out, err)


@pytest.mark.parametrize("words", [["-m", "1"], ["-m", "32"], ["--h1"]],
                         ids=["one stream", "many streams", "HTTP/1.1"])
def test_h2load(probe, words):
    needs("h2load")
    status, out, err = run("h2load", "-n", "3000", "-c", "8", *words, probe.base + "/one")
    assert status == 0 and b"3000 succeeded, 0 failed, 0 errored, 0 timeout" in out, (out, err)


# ---- OpenSSL's clients ----

def test_s_client_agrees_on_a_protocol(probe):
    if not probe.secure:
        pytest.skip("it speaks TLS")
    authority = certificates.shared()[0].certificate
    for version in ("-tls1_2", "-tls1_3"):
        for offered, agreed in (("h2,http/1.1", "h2"), ("http/1.1", "http/1.1"), ("h2", "h2")):
            _, out, err = run("openssl", "s_client", "-connect",
                              "localhost:%d" % probe.address[1], version, "-alpn", offered,
                              "-CAfile", authority, "-verify_return_error", given=b"")
            assert b"ALPN protocol: " + agreed.encode() in out, (out, err)
            assert b"Verify return code: 0 (ok)" in out
            assert b"Compression: NONE" in out
            # the latter of TLS 1.3 by OpenSSL 3.5, which is right: it has none at all
            assert (b"Secure Renegotiation IS" in out
                    or version == "-tls1_3" and b"TLS version forbids renegotiation" in out)


def test_s_client_asks(probe):
    if not probe.secure:
        pytest.skip("it speaks TLS")
    _, out, err = run("openssl", "s_client", "-quiet", "-connect",
                      "localhost:%d" % probe.address[1],
                      given=b"GET /one HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert b"\r\n\r\n8\r\none item\r\n" in out, err


@pytest.mark.parametrize("words", [["-new"], ["-reuse"]], ids=lambda w: w[0])
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_s_time(probe, words, version):
    if not probe.secure:
        pytest.skip("it speaks TLS")
    status, out, err = run("openssl", "s_time", "-connect", "localhost:%d" % probe.address[1],
                           "-www", "/one", "-time", "1", *words, version)
    text = out.decode() + err.decode()
    assert status == 0 and int(re.search(r"(\d+) connections in", text)[1]) > 0, text
    probe.check_log()


# ---- Python's own ----

def test_the_standard_library(probe):
    if not probe.secure:
        pytest.skip("it speaks TLS")
    import http.client

    context = ssl.create_default_context(cafile=certificates.shared()[0].certificate)
    c = http.client.HTTPSConnection("localhost", probe.address[1], context=context, timeout=30)
    for _ in range(3):
        c.request("GET", "/one")
        r = c.getresponse()
        assert (r.status, r.version, r.read()) == (200, 11, b"one item")
        c.request("POST", "/digest", DATA)
        assert json.loads(c.getresponse().read())["size"] == len(DATA)
    c.close()
