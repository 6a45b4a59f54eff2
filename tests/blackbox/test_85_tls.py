# SPDX-License-Identifier: MIT
"""HTTPS: requests, handshakes, and what is told about certificates."""
import os
import pathlib
import pty
import re
import shutil
import socket
import ssl
import subprocess
import sys

import pytest

from harness import certificates, control
from harness.certificates import openssl
from harness.waiting import until

APP = """
def app(environ, start_response):
    path = environ["PATH_INFO"]
    if environ["REQUEST_METHOD"] == "POST":
        n, h = 0, 0
        while True:
            block = environ["wsgi.input"].read(65536)
            if not block:
                break
            n += len(block)
            h = (h + sum(block)) % 65521
        body = b"%d %d" % (n, h)
    elif path == "/big":
        body = b"0123456789abcdef" * 250000
    elif path == "/stream":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return (b"%05d " % i * 1000 for i in range(300))
    elif path == "/file":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return environ["wsgi.file_wrapper"](open("large", "rb"))
    elif path == "/environ":
        body = repr({k: v for k, v in environ.items()
                     if isinstance(v, str)}).encode()
    elif path == "/pid":
        import os
        body = b"%d" % os.getpid()
    else:
        body = b"hello"
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    authority = certificates.Authority(tmp_path_factory.mktemp("pki"))
    pem, key = authority.issue("server")
    return authority, pem, key


@pytest.fixture(scope="module")
def tls(module_server, pki):
    s = module_server("--certfile", pki[1], "--keyfile", pki[2], "shop:app",
                      "--log-level", "debug",
                      files={"shop.py": APP, "large": b"abcdefgh" * 400000})
    return s


def context(pki, least=None, most=None, **more):
    c = ssl.create_default_context(cafile=pki[0].certificate)
    if least:
        c.minimum_version = least
    if most:
        c.maximum_version = most
    return c


class Client:
    """HTTP/1 over TLS by hand; `session` resumes."""

    def __init__(self, server, c, name="localhost", session=None, plain=None):
        self.plain = plain or socket.create_connection(server.address, 30)
        self.sock = c.wrap_socket(self.plain, server_hostname=name,
                                  session=session, suppress_ragged_eofs=False)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.sock.close()

    def more(self):
        data = self.sock.recv(65536)
        self.buffer += data
        return data

    def get(self, path, *fields):
        self.sock.sendall(("\r\n".join([f"GET {path} HTTP/1.1",
                                        "Host: localhost", *fields])
                           + "\r\n\r\n").encode())
        return self.reply()

    def post(self, path, body):
        self.sock.sendall(b"POST %s HTTP/1.1\r\nHost: localhost\r\n"
                          b"Content-Length: %d\r\n\r\n"
                          % (path.encode(), len(body)) + body)
        return self.reply()

    def reply(self):
        while b"\r\n\r\n" not in self.buffer:
            assert self.more(), self.buffer
        head, rest = self.buffer.split(b"\r\n\r\n", 1)
        self.head = head.decode()
        found = re.search(r"(?i)content-length: (\d+)", self.head)
        if found:
            n = int(found[1])
            while len(rest) < n:
                self.buffer = b""
                assert self.more(), len(rest)
                rest += self.buffer
            self.buffer = rest[n:]
            return rest[:n]
        body = b""
        while True:  # chunked
            while b"\r\n" not in rest:
                self.buffer = b""
                assert self.more()
                rest += self.buffer
            size, rest = rest.split(b"\r\n", 1)
            n = int(size, 16)
            while len(rest) < n + 2:
                self.buffer = b""
                assert self.more()
                rest += self.buffer
            body += rest[:n]
            rest = rest[n + 2:]
            if n == 0:
                self.buffer = rest
                return body


VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


@pytest.fixture(params=VERSIONS)
def version(request):
    return VERSIONS[request.param]


# ---- requests ----


def test_requests_on_one_connection(tls, pki, version):
    with Client(tls, context(pki, version, version)) as c:
        for _ in range(5):
            assert c.get("/") == b"hello"
        assert "keep-alive" in c.head.lower() or "close" not in c.head.lower()


@pytest.mark.parametrize("path,body", [
    ("/big", b"0123456789abcdef" * 250000), ("/file", b"abcdefgh" * 400000),
    ("/stream", b"".join(b"%05d " % i * 1000 for i in range(300)))])
def test_long_replies(tls, pki, version, path, body):
    with Client(tls, context(pki, version, version)) as c:
        assert c.get(path) == body
        assert c.get("/") == b"hello"


def test_a_slow_reader_gets_all_of_it(tls, pki, version):
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.settimeout(30)
    plain.connect(tls.address)
    with Client(tls, context(pki, version, version), plain=plain) as c:
        assert c.get("/big") == b"0123456789abcdef" * 250000
        assert c.get("/file") == b"abcdefgh" * 400000
        assert c.get("/") == b"hello"


@pytest.mark.parametrize("n", [1, 16384, 100_000, 131_072, 5_000_000])
def test_request_bodies(tls, pki, version, n):
    body = os.urandom(n)
    with Client(tls, context(pki, version, version)) as c:
        assert c.post("/", body) == b"%d %d" % (n, sum(body) % 65521)
        assert c.get("/") == b"hello"


def test_pipelined_requests(tls, pki, version):
    with Client(tls, context(pki, version, version)) as c:
        c.sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 10)
        assert [c.reply() for _ in range(10)] == [b"hello"] * 10


def test_tiny_records(tls, pki, version):
    with Client(tls, context(pki, version, version)) as c:
        for byte in b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 300\r\n\r\n":
            c.sock.sendall(bytes([byte]))
        for _ in range(300):
            c.sock.sendall(b"a")
        assert c.reply() == b"300 %d" % (300 * 97)


def test_the_end_of_a_connection_is_said(tls, pki, version):
    """close_notify: Python raises SSLEOFError without."""
    with Client(tls, context(pki, version, version)) as c:
        assert c.get("/", "Connection: close") == b"hello"
        assert c.sock.recv(10) == b""


def test_a_clients_close_notify_ends_an_idle_connection(tls, pki, version):
    with Client(tls, context(pki, version, version)) as c:
        assert c.get("/") == b"hello"
        c.sock.unwrap()  # waits for ours


def test_close_notify_right_behind_a_request(tls, pki, version):
    """The request is answered all the same, then the connection ends."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    o = context(pki, version, version).wrap_bio(
        incoming, outgoing, server_hostname="localhost")
    with socket.create_connection(tls.address, 30) as s:
        def turn(call):
            while True:
                try:
                    return call()
                except ssl.SSLWantReadError:
                    s.sendall(outgoing.read())
                    data = s.recv(65536)
                    assert data
                    incoming.write(data)
        turn(o.do_handshake)
        o.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        try:
            o.unwrap()
        except ssl.SSLWantReadError:
            pass
        s.sendall(outgoing.read())
        got = b""
        while True:
            data = s.recv(65536)
            if not data:
                break
            got += data
        assert len(got) > 100  # sealed; and the end came


def test_no_renegotiation(tls, pki):
    """TLS 1.2: a client cannot have the server sign again and again."""
    certificates.needs_openssl()
    done = subprocess.run(
        ["openssl", "s_client", "-connect", "127.0.0.1:%d" % tls.address[1],
         "-tls1_2"], input=b"R\n", capture_output=True, timeout=30,
        check=False)
    assert b"no renegotiation" in done.stderr + done.stdout


def test_curl(tls, pki):
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    done = subprocess.run(
        ["curl", "-sS", "--cacert", pki[0].certificate, "--data-binary", "@-",
         "https://localhost:%d/" % tls.address[1]], input=b"z" * 1_000_000,
        capture_output=True, timeout=60, check=False)
    assert done.stdout == b"1000000 %d" % (122_000_000 % 65521), done.stderr


# ---- the environ ----


def environ_of(client):
    return eval(client.get("/environ"))  # what our own application wrote


def test_the_environ_says_what_is_spoken(tls, pki, version):
    with Client(tls, context(pki, version, version)) as c:
        env = environ_of(c)
        assert env["wsgi.url_scheme"] == "https"
        assert env["HTTPS"] == "on"
        assert env["SSL_PROTOCOL"] == c.sock.version()
        assert env["SSL_CIPHER"] == c.sock.cipher()[0]
        assert not [k for k in env if k.startswith("SSL_CLIENT")]


def test_the_log_says_https(tls):
    tls.wait_log(r"Listening at: https://127\.0\.0\.1:\d+ ")


# ---- resumption ----


@pytest.fixture
def three(server, pki):
    s = server("-w", "3", "--certfile", pki[1], "--keyfile", pki[2],
               "shop:app", config="", files={"shop.py": APP})
    s.wait_workers(3)
    return s


def resumed_at_three(s, c, session, seen):
    """Until three workers have gone on with the session."""
    def try_once():
        with Client(s, c, session=session) as peer:
            pid = peer.get("/pid")
            assert peer.sock.session_reused
            seen.add(pid)
        return len(seen) >= 3
    held = []
    try:
        while not try_once():
            # who has a connection is asked less
            held.append(Client(s, c))
            held[-1].get("/")
            assert len(held) < 60
    finally:
        for peer in held:
            peer.sock.close()


def session_of(s, c):
    with Client(s, c) as peer:
        peer.get("/pid")
        assert not peer.sock.session_reused
        return peer.sock.session


def test_a_session_goes_on_in_every_worker(three, pki, version):
    c = context(pki, version, version)
    session = session_of(three, c)
    resumed_at_three(three, c, session, set())


def test_a_session_survives_a_reload(three, pki, version):
    c = context(pki, version, version)
    session = session_of(three, c)
    old = set(three.workers())
    three.signal("HUP")
    until(lambda: len(three.workers()) == 3 and not old & set(three.workers()),
          "the new workers serve")
    with Client(three, c, session=session) as peer:
        peer.get("/")
        assert peer.sock.session_reused


def test_a_session_survives_an_upgrade(server, pki, version):
    s = server("--certfile", pki[1], "--keyfile", pki[2], "shop:app",
               "-p", "a.pid", config="", files={"shop.py": APP})
    c = context(pki, version, version)
    session = session_of(s, c)
    s.signal("USR2")
    new = until(lambda: [p for p in s.workers()
                         if (s.folder / "a.pid.2").exists()
                         and str(p) == (s.folder / "a.pid.2").read_text().strip()],
                "the new master")[0]
    s.wait_log("Booting worker", 2)
    s.signal("WINCH") if False else None
    until(lambda: s.log_count("Listening at: https") == 2, "it listens")
    s.stop()
    s.pid, s.status, s.daemon = new, None, True
    with Client(s, c, session=session) as peer:
        peer.get("/")
        assert peer.sock.session_reused


# ---- handshakes that fail ----


def test_plain_http_is_told_to_use_https(tls):
    with tls.connect() as peer:
        peer.get("/")
        r = peer.reply()
        assert r.status == 400
        assert b"Plain HTTP was sent to a port that speaks HTTPS" in r.body
        peer.assert_closed()


def test_a_client_that_does_not_trust_us_is_one_line_at_debug(tls):
    before = tls.log_count("handshake with")
    with socket.create_connection(tls.address, 30) as s:
        with pytest.raises(ssl.SSLCertVerificationError):
            ssl.create_default_context().wrap_socket(
                s, server_hostname="localhost")
    tls.wait_log(r"\[DEBUG\] TLS handshake with 127\.0\.0\.1 failed: .*unknown ca",
                 1)
    assert tls.log_count("handshake with") == before + 1


def test_handshakes_are_counted(tls, pki):
    def told():
        found = control.status(tls)
        return found["tls_handshakes_total"], found["tls_handshakes_failed_total"]
    good, failed = told()
    with Client(tls, context(pki)) as c:
        c.get("/")
    with socket.create_connection(tls.address, 30) as s:
        s.sendall(b"\x16\x03\x01\x00\x05hello")
        while s.recv(1000):
            pass
    until(lambda: told() == (good + 1, failed + 1), told)


def test_garbage_is_one_line_at_debug(tls, pki):
    with socket.create_connection(tls.address, 30) as s:
        s.sendall(b"\x16\x03\x01\x00\x05hello")
        while s.recv(1000):
            pass
    tls.wait_log(r"\[DEBUG\] TLS handshake with 127\.0\.0\.1 failed: ")
    with Client(tls, context(pki)) as c:
        assert c.get("/") == b"hello"


def test_a_client_that_only_knows_old_versions(tls):
    done = subprocess.run(
        ["openssl", "s_client", "-connect", "127.0.0.1:%d" % tls.address[1],
         "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], input=b"",
        capture_output=True, timeout=30, check=False)
    assert done.returncode != 0
    tls.wait_log(r"TLS handshake with 127\.0\.0\.1 failed: (unsupported "
                 r"protocol|no protocols available|no suitable signature algorithm)")


def test_a_handshake_in_pieces(tls, pki, version):
    """One byte at a time, of the handshake and of the request."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    o = context(pki, version, version).wrap_bio(
        incoming, outgoing, server_hostname="localhost")
    with socket.create_connection(tls.address, 30) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def flush():
            for byte in outgoing.read():
                s.sendall(bytes([byte]))

        def turn(call):
            while True:
                try:
                    r = call()
                    flush()
                    return r
                except ssl.SSLWantReadError:
                    flush()
                    incoming.write(s.recv(65536))
        turn(o.do_handshake)
        turn(lambda: o.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
        got = b""
        while b"hello" not in got:
            got += turn(lambda: o.read(65536))


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01\x02\x00\x01"])
def test_silent_handshakes_are_ended(server, pki, sent):
    s = server("--certfile", pki[1], "--keyfile", pki[2], "--header-timeout",
               "2", "--log-level", "debug", "shop:app", files={"shop.py": APP})
    with socket.create_connection(s.address, 30) as silent:
        silent.sendall(sent)
        with Client(s, context(pki)) as c:  # nobody waits for it
            assert c.get("/") == b"hello"
        assert silent.recv(100) == b""
    s.wait_log("TLS handshake with 127.0.0.1 failed: it took too long")


# ---- bad input ----


def expect_error(run, pki, *words, args=(), config=None, files=None, prefix=()):
    """At a start and when the configuration is checked: one line, exit 1."""
    for check in ((), ("--check-config",)):
        done = run(*check, "-b", "127.0.0.1:0", *args, *(
            ["-c", "conf.py"] if config is not None else []), "shop:app",
            files={"shop.py": APP, **({"conf.py": config} if config is not None
                                      else {}), **(files or {})}, prefix=prefix)
        assert done.status == 1, done.err
        done.line_with("Error:", *words)
        assert "Traceback" not in done.err
        assert "Listening" not in done.err


def test_files_that_are_not_there(run, pki):
    expect_error(run, pki, 'certfile "no.pem" does not exist',
                 args=["--certfile", "no.pem"])
    expect_error(run, pki, 'keyfile "no.key" does not exist',
                 args=["--certfile", pki[1], "--keyfile", "no.key"])
    expect_error(run, pki, 'ca_certs "no.pem" does not exist',
                 args=["--certfile", pki[1], "--keyfile", pki[2],
                       "--ca-certs", "no.pem"])


def test_a_key_without_a_certificate(run, pki):
    expect_error(run, pki, "keyfile is set, and certfile is not",
                 args=["--keyfile", pki[2]])


def test_a_key_of_another_certificate(run, pki):
    other = pki[0].issue("other")
    expect_error(run, pki, f"keyfile '{other[1]}' is not the key of certfile",
                 args=["--certfile", pki[1], "--keyfile", other[1]])


def test_files_that_hold_something_else(run, pki, tmp_path):
    bad = tmp_path / "bad.pem"
    bad.write_text("hello\n")
    expect_error(run, pki, f"certfile '{bad}' has no certificate in PEM",
                 args=["--certfile", bad])
    expect_error(run, pki, f"certfile '{pki[1]}' has no private key",
                 args=["--certfile", pki[1]])
    expect_error(run, pki, f"keyfile '{bad}' has no private key",
                 args=["--certfile", pki[1], "--keyfile", bad])
    expect_error(run, pki, f"ca_certs '{bad}' has no certificates",
                 args=["--certfile", pki[1], "--keyfile", pki[2],
                       "--ca-certs", bad])


def like_anybody():
    """For root, who can read everything: a command without that right."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("root can read everything, and there is no setpriv")
    rights = "-dac_override,-dac_read_search"
    return ["setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}"]


@pytest.mark.parametrize("name", ["certfile", "keyfile", "ca_certs"])
def test_files_that_cannot_be_read(run, pki, tmp_path, name):
    given = {"certfile": pki[1], "keyfile": pki[2], "ca_certs": pki[0].certificate}
    secret = tmp_path / "secret.pem"
    shutil.copy(given[name], secret)
    secret.chmod(0)
    args = [w for n, path in {**given, name: secret}.items()
            for w in ("--" + n.replace("_", "-"), path)]
    expect_error(run, pki, f"{name} '{secret}' cannot be read: Permission denied: let the user",
                 args=args, prefix=like_anybody())
    secret.unlink()
    secret.mkdir()
    expect_error(run, pki, f"{name} '{secret}' cannot be read: Is a directory", args=args)


def test_an_encrypted_key_without_a_terminal(run, pki, tmp_path):
    sealed = tmp_path / "sealed.key"
    openssl("pkey", "-in", pki[2], "-aes256", "-passout", "pass:secret",
            "-out", sealed)
    expect_error(run, pki, f"keyfile '{sealed}' is encrypted", "openssl pkey",
                 args=["--certfile", pki[1], "--keyfile", sealed])


def typed(server, pki, tmp_path, *words):
    """A server whose key is sealed, and which has a terminal, where the words are
    typed one after the other, when they are asked for."""
    sealed = tmp_path / "sealed.key"
    openssl("pkey", "-in", pki[2], "-aes256", "-passout", "pass:secret", "-out", sealed)
    ours, its = pty.openpty()
    try:
        s = server("--certfile", pki[1], "--keyfile", sealed, "shop:app", config="",
                   files={"shop.py": APP}, stdin=its, start=False)
        for i, word in enumerate(words):
            s.wait_log("Passphrase for .*sealed.key", i + 1)
            os.write(ours, word.encode() + b"\n")
        return s, ours
    finally:
        os.close(its)


def test_a_passphrase_is_asked_once(server, pki, tmp_path):
    """A reload remembers it."""
    s, terminal = typed(server, pki, tmp_path, "secret")
    s.wait_log("Listening at: https")
    s.wait_log("Booting worker")
    with Client(s, context(pki)) as c:
        assert c.get("/") == b"hello"
    s.signal("HUP")
    s.wait_log("Booting worker", 2)
    with Client(s, context(pki)) as c:
        assert c.get("/") == b"hello"
    assert s.log_count("Passphrase for") == 1 and "secret" not in s.log()
    s.stop()
    os.close(terminal)


def test_a_wrong_passphrase_ends_the_start(server, pki, tmp_path):
    s, terminal = typed(server, pki, tmp_path, "a guess")
    assert s.wait() == 1
    s.wait_log("Error: .*keyfile '.*sealed.key': the passphrase is wrong")
    assert "Traceback" not in s.log()
    os.close(terminal)


def test_an_expired_certificate(run, pki):
    old = pki[0].issue("old", days=0)
    expect_error(run, pki, f"certfile '{old[0]}': the certificate has expired",
                 args=["--certfile", old[0], "--keyfile", old[1]])


def test_a_certificate_that_expires_soon(run, server, pki):
    soon = pki[0].issue("soon", days=10)
    args = ["--certfile", soon[0], "--keyfile", soon[1], "shop:app"]
    done = run("--check-config", *args, files={"shop.py": APP})
    assert done.status == 0
    done.line_with("Warning:", str(soon[0]), "the certificate expires in ")
    s = server(*args, files={"shop.py": APP})
    s.wait_log(r"\[WARNING\] certfile '.*soon.pem': the certificate expires "
               r"in (9|10) days: renew it")


def test_ciphers_that_there_are_not(run, pki):
    expect_error(run, pki, "ciphers: OpenSSL knows none of 'NONSENSE'",
                 args=["--certfile", pki[1], "--keyfile", pki[2],
                       "--ciphers", "NONSENSE"])


def test_cert_reqs_out_of_range(run, pki):
    expect_error(run, pki, "cert_reqs: 9 is none of 0",
                 args=["--certfile", pki[1], "--keyfile", pki[2],
                       "--cert-reqs", "9"])


def test_client_certificates_without_an_authority(run, pki):
    expect_error(run, pki, "no authority is known", "ca_certs",
                 args=["--certfile", pki[1], "--keyfile", pki[2],
                       "--cert-reqs", "2"])


def hook(body):
    return ("import ssl\n\ndef ssl_context(conf, make):\n    "
            + body.replace("\n", "\n    ") + "\n")


def test_a_hook_that_raises(run, pki):
    expect_error(run, pki, "the hook ssl_context raised KeyError: 'x'",
                 args=["--certfile", pki[1], "--keyfile", pki[2]],
                 config=hook("return {}['x']"))


def test_a_hook_that_returns_nothing(run, pki):
    expect_error(run, pki, "the hook ssl_context returned None",
                 args=["--certfile", pki[1], "--keyfile", pki[2]],
                 config=hook("make()"))


# ---- the hook, and what Python's ssl can do ----


def test_the_hook_changes_the_context(server, pki):
    s = server("--certfile", pki[1], "--keyfile", pki[2], "shop:app",
               config=hook("c = make()\n"
                           "c.minimum_version = ssl.TLSVersion.TLSv1_3\n"
                           "return c"), files={"shop.py": APP})
    with pytest.raises((ssl.SSLError, OSError)):
        Client(s, context(pki, most=ssl.TLSVersion.TLSv1_2))
    with Client(s, context(pki)) as c:
        assert c.get("/") == b"hello"


def test_the_hook_opens_an_encrypted_key(server, pki, tmp_path):
    sealed = tmp_path / "sealed.key"
    openssl("pkey", "-in", pki[2], "-aes256", "-passout", "pass:secret",
            "-out", sealed)
    s = server("--certfile", pki[1], "shop:app", config=hook(
        "c = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)\n"
        f"c.load_cert_chain({str(pki[1])!r}, {str(sealed)!r}, 'secret')\n"
        "return c"), files={"shop.py": APP})
    with Client(s, context(pki)) as c:
        assert c.get("/") == b"hello"


def test_ciphers_are_chosen(server, pki):
    s = server("--certfile", pki[1], "--keyfile", pki[2], "--ciphers",
               "ECDHE+CHACHA20", "shop:app", files={"shop.py": APP})
    v12 = ssl.TLSVersion.TLSv1_2
    with Client(s, context(pki, most=v12)) as c:
        assert environ_of(c)["SSL_CIPHER"] == "ECDHE-ECDSA-CHACHA20-POLY1305"


def test_sslkeylogfile_is_written_and_nothing_crashes(server, pki, tmp_path):
    """Python's own callback would take our connections for its objects."""
    s = server("--certfile", pki[1], "--keyfile", pki[2], "shop:app",
               files={"shop.py": APP}, env={"SSLKEYLOGFILE": "keys.log"})
    with Client(s, context(pki)) as c:
        assert c.get("/") == b"hello"
    assert "CLIENT_TRAFFIC_SECRET_0 " in (s.folder / "keys.log").read_text()


SNI = """
other = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
other.load_cert_chain(%r, %r)
def choose(sock, name, first):
    if name == "other.example":
        sock.context = other
    if name == "refused.example":
        return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
c = make()
c.sni_callback = choose
return c"""


def test_sni_callback_is_called(server, pki, version):
    other = pki[0].issue("sni", names=["other.example"])
    s = server("--certfile", pki[1], "--keyfile", pki[2], "shop:app",
               config=hook(SNI % tuple(map(str, other))),
               files={"shop.py": APP})
    c = context(pki, version, version)
    for _ in range(3):
        with Client(s, c, name="other.example") as peer:
            assert peer.get("/") == b"hello"
        with Client(s, c, name="localhost") as peer:
            assert peer.get("/") == b"hello"
        with pytest.raises(ssl.SSLError):
            Client(s, c, name="refused.example")


# ---- client certificates ----


@pytest.fixture(scope="module")
def client_pair(pki):
    return pki[0].issue("client", names=[], subject="/O=Shop, Inc/CN=Ada")


def demanding(server, pki, reqs):
    return server("--certfile", pki[1], "--keyfile", pki[2], "--ca-certs",
                  pki[0].certificate, "--cert-reqs", str(reqs), "shop:app",
                  "--log-level", "debug", files={"shop.py": APP})


def test_a_client_certificate_in_the_environ(server, pki, client_pair, version):
    s = demanding(server, pki, 1)
    c = context(pki, version, version)
    with Client(s, c) as peer:
        assert "SSL_CLIENT_CERT" not in environ_of(peer)
    c.load_cert_chain(*client_pair)
    with Client(s, c) as peer:
        env = environ_of(peer)
        assert env["SSL_CLIENT_VERIFY"] == "SUCCESS"
        assert env["SSL_CLIENT_S_DN"] == r"CN=Ada,O=Shop\, Inc"
        assert env["SSL_CLIENT_I_DN"] == "CN=Test CA"
        assert int(env["SSL_CLIENT_M_SERIAL"], 16) > 0
        assert env["SSL_CLIENT_CERT"].strip() in \
            pathlib.Path(client_pair[0]).read_text()
        session = peer.sock.session
    with Client(s, c, session=session) as peer:
        env = environ_of(peer)
        assert peer.sock.session_reused
        assert env["SSL_CLIENT_S_DN"] == r"CN=Ada,O=Shop\, Inc"


def test_a_client_certificate_is_demanded(server, pki, client_pair, version):
    s = demanding(server, pki, 2)
    c = context(pki, version, version)
    with pytest.raises((ssl.SSLError, OSError)):
        with Client(s, c) as peer:  # TLS 1.3: told with the first answer
            peer.get("/")
    s.wait_log("TLS handshake with 127.0.0.1 failed: peer did not return a "
               "certificate")
    stranger = certificates.Authority(pki[0].folder / "stranger").issue("eve")
    bad = context(pki, version, version)
    bad.load_cert_chain(*stranger)
    with pytest.raises((ssl.SSLError, OSError)):
        with Client(s, bad) as peer:
            peer.get("/")
    c.load_cert_chain(*client_pair)
    with Client(s, c) as peer:
        assert peer.get("/") == b"hello"


def test_fields_of_a_request_do_not_pass_for_facts(tls, pki):
    with Client(tls, context(pki)) as c:
        c.sock.sendall(b"GET /environ HTTP/1.1\r\nHost: x\r\n"
                       b"SSL-CLIENT-VERIFY: SUCCESS\r\n"
                       b"SSL_CLIENT_VERIFY: SUCCESS\r\n\r\n")
        assert b"'SSL_CLIENT_VERIFY'" not in c.reply()


# ---- certificates that change ----


def served_certificate(s):
    return ssl.get_server_certificate(s.address)


def test_a_reload_takes_a_new_certificate(server, pki, tmp_path):
    pem, key = tmp_path / "c.pem", tmp_path / "c.key"
    for source, to in zip(pki[1:], (pem, key)):
        shutil.copy(source, to)
    s = server("--certfile", pem, "--keyfile", key, "shop:app", config="",
               files={"shop.py": APP})
    first = served_certificate(s)
    new = pki[0].issue("renewed")
    for source, to in zip(new, (pem, key)):
        shutil.copy(source, to)
    s.signal("HUP")
    until(lambda: served_certificate(s) != first, "the new certificate")


def test_a_reload_with_a_broken_certificate_keeps_the_old_one(
        server, pki, tmp_path):
    pem, key = tmp_path / "c.pem", tmp_path / "c.key"
    for source, to in zip(pki[1:], (pem, key)):
        shutil.copy(source, to)
    s = server("--certfile", pem, "--keyfile", key, "shop:app", config="",
               files={"shop.py": APP})
    pem.write_text("half a certif")
    s.announce("Reload failed")
    s.signal("HUP")
    s.wait_log(r"\[ERROR\] Reload failed, the previous configuration stays: "
               r".*certfile '.*c\.pem' has no certificate in PEM form")
    with Client(s, context(pki)) as c:
        assert c.get("/") == b"hello"


BROKEN = {
    "missing": ("keyfile = 'no.key'", 'keyfile "no.key" does not exist'),
    "mismatched": ("keyfile = OTHER[1]", r"keyfile '.*other.key' is not the key of certfile"),
    "expired": ("certfile, keyfile = EXPIRED",
                r"certfile '.*expired.pem': the certificate has expired"),
    "encrypted": ("keyfile = SEALED", r"keyfile '.*sealed.key' is encrypted, and there is no"),
    "ciphers": ("ciphers = 'NONSENSE'", "ciphers: OpenSSL knows none of 'NONSENSE'"),
    "authorities": ("ca_certs = 'no.pem'", 'ca_certs "no.pem" does not exist'),
    "certificates": ("certificates = [dict(certfile=certfile, keyfile='no.key')]",
                     'keyfile "no.key" does not exist'),
    "hook": ("def ssl_context(conf, make): return {}['x']",
             "the hook ssl_context raised KeyError: 'x'"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_reload_with_anything_broken_keeps_what_there_was(server, pki, tmp_path, what):
    line, said = BROKEN[what]
    sealed = tmp_path / "sealed.key"
    openssl("pkey", "-in", pki[2], "-aes256", "-passout", "pass:secret", "-out", sealed)
    given = {"OTHER": pki[0].issue("other"), "EXPIRED": pki[0].issue("expired", days=0)}
    names = "".join(f"{n} = {tuple(map(str, v))!r}\n" for n, v in given.items())
    good = f"certfile, keyfile = {tuple(map(str, pki[1:]))!r}\n"
    s = server("shop:app", config=good, files={"shop.py": APP})
    first = served_certificate(s)
    (s.folder / "conf.py").write_text(f"{names}SEALED = {str(sealed)!r}\n{good}{line}\n")
    s.announce("Reload failed")
    s.signal("HUP")
    s.wait_log(r"\[ERROR\] Reload failed, the previous configuration stays: .*" + said)
    assert served_certificate(s) == first
    with Client(s, context(pki)) as c:
        assert c.get("/") == b"hello"


def test_a_reload_turns_tls_on(server, pki):
    s = server("shop:app", config="", files={"shop.py": APP})
    assert s.get("/").body == b"hello"
    (s.folder / "conf.py").write_text(
        f"certfile = {str(pki[1])!r}\nkeyfile = {str(pki[2])!r}\n")
    s.signal("HUP")
    s.wait_log(r"Listening at: https://")

    def speaks():
        try:
            with Client(s, context(pki)) as c:
                return c.get("/") == b"hello"
        except (ssl.SSLError, OSError):
            return False
    until(speaks, "TLS is spoken")


# ---- PROXY protocol ----


@pytest.mark.parametrize("preamble", [
    b"PROXY TCP4 10.1.2.3 10.9.9.9 1234 443\r\n",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\x0a\x01\x02\x03\x0a\x09\x09\x09"
    b"\x04\xd2\x01\xbb"])
@pytest.mark.parametrize("pieces", [False, True])
def test_a_proxy_preamble_comes_before_the_handshake(
        server, pki, preamble, pieces):
    s = server("--certfile", pki[1], "--keyfile", pki[2], "--proxy-protocol",
               "auto", "--proxy-allow-from", "127.0.0.1", "shop:app",
               files={"shop.py": APP})
    plain = socket.create_connection(s.address, 30)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for part in [bytes([b]) for b in preamble] if pieces else [preamble]:
        plain.sendall(part)
    with Client(s, context(pki), plain=plain) as c:
        env = environ_of(c)
        assert (env["REMOTE_ADDR"], env["HTTPS"]) == ("10.1.2.3", "on")
        assert c.get("/") == b"hello"


def test_a_preamble_of_nobody_who_may_is_refused(server, pki):
    s = server("--certfile", pki[1], "--keyfile", pki[2], "--proxy-protocol",
               "auto", "--proxy-allow-from", "10.0.0.1", "shop:app",
               files={"shop.py": APP})
    with s.connect() as peer:
        peer.send(b"PROXY TCP4 10.1.2.3 10.9.9.9 1234 443\r\n")
        assert peer.reply().status in (400, 403)
    with Client(s, context(pki)) as c:  # without one: a direct client
        assert c.get("/") == b"hello"


# ---- gunicorn.socket ----


SOCKET = """
def app(environ, start_response):
    sock = environ["gunicorn.socket"]
    if environ["PATH_INFO"] == "/facts":
        cert = sock.getpeercert()
        body = repr((sock.version(), sock.cipher()[0],
                     cert and cert["subject"],
                     len(sock.getpeercert(True) or b""))).encode()
    else:
        try:
            sock.sendall(b"raw")
            body = b"sent"
        except OSError as e:
            body = str(e).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


def test_gunicorn_socket_knows_tls(server, pki, client_pair):
    s = server("--certfile", pki[1], "--keyfile", pki[2], "--ca-certs",
               pki[0].certificate, "--cert-reqs", "1", "shop:app",
               files={"shop.py": SOCKET})
    c = context(pki)
    with Client(s, c) as peer:
        facts = eval(peer.get("/facts"))
        assert facts == (peer.sock.version(), peer.sock.cipher()[0], None, 0)
    c.load_cert_chain(*client_pair)
    with Client(s, c) as peer:
        facts = eval(peer.get("/facts"))
        assert (("commonName", "Ada"),) in facts[2] and facts[3] > 100


# ---- a Python whose OpenSSL cannot be had (simulated: its module says so) ----

@pytest.mark.parametrize("config, said", [
    ("import _ssl\n_ssl.__file__ = None\n",
     "this Python's ssl module is built into the interpreter, and its OpenSSL cannot be reached"),
    ("import sys\nsys.modules['_ssl'] = None\n", "this Python has no ssl module"),
    ("import _ssl\n_ssl.__file__ = '/nonexistent/_ssl.so'\n", "TLS cannot be served by this Python"),
    ("import _ssl, os, zlib\n"
     "_ssl.__file__ = getattr(zlib, '__file__', None) or '/nonexistent'\n",
     "TLS cannot be served by this Python"),
], ids=["built in", "none", "not loaded", "without OpenSSL"])
def test_an_openssl_out_of_reach_is_a_refusal(run, pki, tmp_path, config, said):
    (tmp_path / "conf.py").write_text(config)
    r = run("-c", "conf.py", "--certfile", pki[1], "--keyfile", pki[2], "shop:app",
            files={"shop.py": APP})
    assert r.status == 1 and "Traceback" not in r.err
    line = r.line_with(said)
    assert "let a proxy in front of the server do TLS" in line
