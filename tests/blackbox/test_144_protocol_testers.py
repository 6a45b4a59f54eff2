# SPDX-License-Identifier: MIT
"""Testers of protocols that others wrote: h2spec, testssl.sh, sslyze, tlsfuzzer.
`make test-protocols` brings them and says where they are; each is skipped where
it is not. They judge by servers on the same libraries: nothing fails here that
nghttp2's own server, or nginx with the same OpenSSL, passes.

What they said stays in the test's folder; what failed is printed.
"""
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import xml.etree.ElementTree

import pytest

from harness import certificates, sealed
from harness.server import free_port
from harness.waiting import until

pytestmark = sealed.in_the_clear("they bring their own")
APP = """
def app(environ, start_response):
    body = environ["wsgi.input"].read() and b"read" or b"hello, world\\n"
    start_response("200 OK", [("Content-Type", "text/plain"),
                              ("Content-Length", str(len(body)))])
    return [body]
"""
MINUTES = 60


def named(variable, what):
    """The program or folder that the environment names."""
    found = os.environ.get(variable)
    if not found or not os.path.exists(found):
        pytest.skip(f"there is no {what} ({variable}; make test-protocols brings it)")
    return found


def run(*words, minutes=10, **more):
    return subprocess.run([str(w) for w in words], capture_output=True, check=False,
                          timeout=minutes * MINUTES, **more)


class Beside:
    """Another server, until end()."""

    def __init__(self, words, port, folder):
        self.address = ("127.0.0.1", port)
        self.log = open(folder / "beside.log", "wb")
        self.process = subprocess.Popen([str(w) for w in words], stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log)
        until(self._listens, f"{words[0]} listens")

    def _listens(self):
        assert self.process.poll() is None, pathlib.Path(self.log.name).read_text()
        try:
            socket.create_connection(self.address).close()
        except ConnectionRefusedError:
            return False
        return True

    def end(self):
        self.process.terminate()
        self.process.wait(20)
        self.log.close()


# ---- h2spec ----

def h2spec(program, port, report, *more):
    """{case: what was wrong} and how many cases there were."""
    done = run(program, "-h", "127.0.0.1", "-p", port, "-o", "5", "-j", report, *more)
    assert report.exists(), done.stdout.decode() + done.stderr.decode()
    failed, count = {}, 0
    for suite in xml.etree.ElementTree.parse(report).getroot():
        for case in suite:
            count += 1
            wrong = case.find("failure")
            if wrong is not None or case.find("error") is not None:
                name = f"{case.get('package')}: {case.get('classname')}"
                failed[name] = wrong.text if wrong is not None else "error"
    return failed, count


# What is another server's way, and ours for a reason.
OURS = {
    "http2/3.5: Sends invalid connection preface":
        "in clear text it is a request of HTTP/1, and answered by a page (gunicorn's way)",
    "http2/5.3.1: Sends PRIORITY frame that depend on itself":
        "priorities of RFC 7540 mean nothing here, as SETTINGS say (RFC 9113, 5.3.2)",
}


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """nghttp2's own server: {case: …} that it fails, over TLS and not."""
    program = named("H2SPEC", "h2spec")
    if not shutil.which("nghttpd"):
        pytest.skip("there is no nghttpd (Debian: nghttp2-server)")
    folder = tmp_path_factory.mktemp("bare")
    (folder / "index.html").write_text("hello, world\n")
    _, pem, key = certificates.shared()
    failed = {}
    for over, words in (("clear", ["--no-tls"]), ("tls", [])):
        port = free_port()
        pair = [] if words else [key, pem]
        other = Beside(["nghttpd", "-d", folder, *words, port, *pair], port, folder)
        try:
            failed[over], count = h2spec(program, port, folder / f"{over}.xml",
                                         *(["-t", "-k"] if over == "tls" else []))
        finally:
            other.end()
        assert count > 100, count
    return failed


@pytest.mark.parametrize("over", ["clear", "tls"])
def test_h2spec(server, bare, over, tmp_path):
    _, pem, key = certificates.shared()
    how = ["--certfile", pem, "--keyfile", key] if over == "tls" \
        else ["--http2-cleartext", "both"]
    s = server("--http-protocols", "h2,h1", *how, "shop:app", files={"shop.py": APP})
    failed, count = h2spec(named("H2SPEC", "h2spec"), s.address[1], tmp_path / "report.xml",
                           *(["-t", "-k"] if over == "tls" else []))
    print(f"h2spec over {over}: {count - len(failed)} of {count}, nghttpd "
          f"{count - len(bare[over])}; fails here: {sorted(failed)}, there: {sorted(bare[over])}")
    worse = {name: failed[name] for name in failed
             if name not in bare[over] and name not in OURS}
    assert count > 100 and not worse, json.dumps(worse, indent=1)


# ---- servers of TLS side by side ----

NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
{user}
events {{ worker_connections 256; }}
http {{
    access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
    fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    server {{
        listen 127.0.0.1:{port} ssl http2;
        ssl_certificate {pem}; ssl_certificate_key {key};
        ssl_protocols TLSv1.2 TLSv1.3; {more}
        location / {{ return 200 "hello, world\\n"; }}
    }}
}}
"""


@pytest.fixture(scope="module", params=["ec", "rsa:2048"])
def pair(request, tmp_path_factory, module_server):
    """(ours, nginx) with the same certificate."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/sbin")
    if program is None:
        pytest.skip("there is no nginx (tools/setup clients installs it)")
    folder = tmp_path_factory.mktemp("pair")
    pem, key = certificates.Authority(folder).issue("server", key=request.param)
    port = free_port()
    (folder / "nginx.conf").write_text(NGINX.format(
        folder=folder, port=port, pem=pem, key=key, more="",
        user="user root;" if os.geteuid() == 0 else ""))
    nginx = Beside([program, "-e", folder / "error.log", "-c", folder / "nginx.conf"], port,
                   folder)
    ours = module_server("--certfile", pem, "--keyfile", key, "--http-protocols", "h2,h1",
                         "-w", "2", "shop:app", files={"shop.py": APP})
    ours.key = nginx.key = request.param
    yield ours, nginx
    nginx.end()


# ---- testssl.sh ----

GRADES = ["LOW", "MEDIUM", "HIGH", "CRITICAL"]


def findings_of(program, port, report):
    """{finding's id: its grade}, of those that are none of our business left out."""
    done = run(program, "--quiet", "--color", "0", "--warnings", "batch", "--ip", "127.0.0.1",
               "--jsonfile", report, "-p", "-s", "-f", "-S", "-U", f"localhost:{port}", minutes=15)
    assert report.exists(), done.stdout.decode() + done.stderr.decode()
    return {f["id"]: (f["severity"], f["finding"]) for f in json.loads(report.read_text())}


def test_testssl(pair, tmp_path):
    program = named("TESTSSL", "testssl.sh")
    ours, theirs = (findings_of(program, s.address[1], tmp_path / f"{name}.json")
                    for name, s in zip(("ours", "nginx"), pair))
    assert len(ours) > 40, ours

    def grade(found):
        return GRADES.index(found[0]) if found and found[0] in GRADES else -1
    worse = {name: (found, theirs.get(name)) for name, found in ours.items()
             if grade(found) > grade(theirs.get(name))}
    print(f"testssl.sh: {len(ours)} findings, "
          f"{sum(grade(f) >= 0 for f in ours.values())} of them with a grade, nginx "
          f"{sum(grade(f) >= 0 for f in theirs.values())}")
    assert not worse, json.dumps(worse, indent=1)


# ---- sslyze ----

def sslyze(python, port, report):
    done = run(python, "-m", "sslyze", "--json_out", report, f"localhost:{port}")
    assert report.exists(), done.stdout.decode() + done.stderr.decode()
    (result,) = json.loads(report.read_text())["server_scan_results"]
    assert result["scan_status"] == "COMPLETED", result
    return result["scan_result"]


def flat(what, name=""):
    if isinstance(what, dict):
        for key, value in what.items():
            yield from flat(value, f"{name}.{key}")
    elif isinstance(what, (bool, str)):
        yield name, what


def test_sslyze(pair, tmp_path):
    python = named("SSLYZE_PYTHON", "sslyze")
    ours, theirs = (sslyze(python, s.address[1], tmp_path / f"{name}.json")
                    for name, s in zip(("ours", "nginx"), pair))
    bad = re.compile(r"is_vulnerable|supports_(?!secure|fallback|ecdh|ems)|_renegotiation")
    of_ours, of_theirs = dict(flat(ours)), dict(flat(theirs))
    worse = {name: value for name, value in of_ours.items()
             if bad.search(name) and value is True and of_theirs.get(name) is not True}
    worse.update({name: value for name, value in of_ours.items()
                  if re.search(r"supports_(secure|fallback|ecdh|ems)", name)
                  and value is False and of_theirs.get(name) is True})
    for version in ("ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1"):
        suites = ours[version + "_cipher_suites"]["result"]["accepted_cipher_suites"]
        assert suites == [], (version, suites)
    print(f"sslyze: {len(of_ours)} facts; worse than nginx: {worse}")
    assert not worse


# ---- tlsfuzzer ----

# Those of its scripts that ask nothing of a server but TLS 1.2 and 1.3, and end
# within seconds.
SCRIPTS = """
aes-gcm-nonces alpn-negotiation ccs chacha20 client-hello-max-size connection-abort
conversation cve-2016-2107 cve-2016-6309 downgrade-protection early-application-data
ecdhe-rsa-key-exchange empty-extensions encrypt-then-mac export-ciphers-rejected
extended-master-secret-extension extensions fallback-scsv ffdhe-negotiation fuzzed-ciphertext
fuzzed-finished fuzzed-plaintext heartbeat hello-request-by-client interleaved-CKE-with-CCS
invalid-cipher-suites invalid-client-hello invalid-client-hello-w-record-overflow
invalid-compression-methods invalid-content-type invalid-server-name-extension
invalid-session-id invalid-version large-hello large-number-of-extensions legacy-renegotiation
message-duplication message-skipping no-heartbeat openssl-3712 point-extension
record-layer-fragmentation renegotiation-disabled serverhello-random sessionID-resumption
session-ticket-resumption sig-algs signature-algorithms sslv2-connection sslv2hello-protocol
truncating-of-client-hello truncating-of-finished unsupported-curve-fallback version-numbers
x25519 zero-length-data
tls13-0rtt-garbage tls13-ccs tls13-connection-abort tls13-conversation tls13-count-tickets
tls13-ecdhe-curves tls13-empty-alert tls13-finished tls13-finished-plaintext tls13-hrr
tls13-invalid-ciphers tls13-keyshare-omitted tls13-keyupdate tls13-large-number-of-extensions
tls13-legacy-version tls13-lengths tls13-multiple-ccs-messages tls13-no-unknown-groups
tls13-nociphers tls13-non-support tls13-obsolete-curves tls13-record-layer-limits
tls13-record-padding tls13-session-resumption tls13-shuffled-extentions
tls13-signature-algorithms tls13-symetric-ciphers tls13-unencrypted-alert
tls13-unrecognised-groups tls13-version-negotiation tls13-zero-content-type
tls13-zero-length-data
""".split()


def conversations(python, folder, name, port):
    """{conversation: …} that failed."""
    done = run(python, folder / "scripts" / f"test-{name}.py", "-h", "127.0.0.1", "-p", port,
               "-n", "40", env={**os.environ, "PYTHONPATH": str(folder)}, minutes=5)
    text = done.stdout.decode(errors="replace")
    assert re.search(r"^TOTAL: [1-9]", text, re.M), text + done.stderr.decode()
    failed = re.search(r"^FAILED:\n((?:\t.*\n)+)", text, re.M)
    names = re.findall(r"^\t'(.*)'$", failed[1], re.M) if failed else []
    if done.returncode != 0 and not names:
        return {"": (text + done.stderr.decode())[-2000:]}
    return {n: text[-2000:] for n in names}


@pytest.mark.parametrize("name", SCRIPTS)
def test_tlsfuzzer(pair, name):
    folder = pathlib.Path(named("TLSFUZZER", "tlsfuzzer"))
    python = named("SSLYZE_PYTHON", "tlslite-ng")
    if pair[0].key == "ec":
        pytest.skip("its scripts want a certificate of RSA")
    if not (folder / "scripts" / f"test-{name}.py").exists():
        pytest.skip("this tlsfuzzer has no such script")
    ours = conversations(python, folder, name, pair[0].address[1])
    if not ours:
        return
    theirs = conversations(python, folder, name, pair[1].address[1])
    worse = {n: said for n, said in ours.items() if n not in theirs}
    print(f"{name}: fails {sorted(ours)}, nginx {sorted(theirs)}")
    assert not worse, worse
    pair[0].check_log()
