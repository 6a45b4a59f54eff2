# SPDX-License-Identifier: MIT
"""--dev-cert: HTTPS for development, by an authority of the user's own."""
import os
import socket
import ssl
import stat

import pytest

from harness import certificates
from harness.waiting import until

APP = """
def app(environ, start_response):
    body = environ["wsgi.url_scheme"].encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
FILES = {"shop.py": APP}
WARNING = "dev_cert: for development only"


@pytest.fixture(autouse=True)
def has_openssl():
    certificates.needs_openssl()


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


def start(server, data, *args, **more):
    return server("--dev-cert", *args, "shop:app", files=FILES, announced=[WARNING],
                  env={"XDG_DATA_HOME": data}, **more)


def folder(data):
    return data / "cgunicorn" / "dev-cert"


def get(address, authority, name):
    context = ssl.create_default_context(cafile=authority)
    with socket.create_connection(address, 20) as plain, \
            context.wrap_socket(plain, server_hostname=name) as sock:
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        reply = b""
        while data := sock.recv(4096):
            reply += data
    return reply.split(b"\r\n\r\n")[1]


def test_it_serves_who_trusts_the_authority(server, data):
    s = start(server, data)
    authority = folder(data) / "authority.pem"
    for name in ("localhost", "127.0.0.1"):
        assert get(s.address, authority, name) == b"https"
    with pytest.raises(ssl.SSLCertVerificationError):
        get(s.address, None, "localhost")
    said = [line for line in s.log().split("\n") if WARNING in line]
    assert len(said) == 1 and "[WARNING]" in said[0] and str(authority) in said[0]


def test_nobody_else_reads_it(server, data):
    start(server, data)
    assert stat.S_IMODE(folder(data).stat().st_mode) == 0o700
    names = {"authority.pem", "authority.key", "certificate.pem", "certificate.key", "lock"}
    assert set(os.listdir(folder(data))) == names
    for name in names:
        assert stat.S_IMODE((folder(data) / name).stat().st_mode) == 0o600


def test_it_is_made_once(server, data):
    def all_of_it():
        return {p.name: p.read_bytes() for p in folder(data).iterdir()}
    start(server, data).stop()
    first = all_of_it()
    start(server, data)
    assert all_of_it() == first


def test_another_address_gets_another_certificate_of_the_same_authority(server, data):
    start(server, data).stop()
    before = {p.name: p.read_bytes() for p in folder(data).iterdir()}
    port = socket.create_server(("127.0.0.9", 0))
    address = port.getsockname()
    port.close()
    s = start(server, data, "-b", "127.0.0.9:%d" % address[1])
    after = {p.name: p.read_bytes() for p in folder(data).iterdir()}
    assert before["authority.pem"] == after["authority.pem"]
    assert before["certificate.pem"] != after["certificate.pem"]
    assert get(address, folder(data) / "authority.pem", "127.0.0.9") == b"https"
    s.stop()


def test_one_that_is_over_soon_is_made_anew(server, data):
    start(server, data).stop()
    old = folder(data) / "certificate.pem"
    short = certificates.openssl(
        "req", "-x509", "-new", "-key", folder(data) / "certificate.key", "-days", "3",
        "-subj", "/CN=localhost", "-addext",
        "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1")
    old.write_bytes(short)
    s = start(server, data)
    assert old.read_bytes() != short
    assert get(s.address, folder(data) / "authority.pem", "localhost") == b"https"


def test_a_reload_keeps_it(server, data):
    s = start(server, data)
    before = (folder(data) / "certificate.pem").read_bytes()
    old = s.workers()
    s.signal("HUP")
    until(lambda: len(s.workers()) == 1 and s.workers() != old, "another worker")
    assert (folder(data) / "certificate.pem").read_bytes() == before
    assert get(s.address, folder(data) / "authority.pem", "localhost") == b"https"


# ---- refused ----

def refused(run, data, *args, **env):
    r = run("--dev-cert", *args, "shop:app", files=FILES, env={"XDG_DATA_HOME": data, **env})
    assert r.status == 1 and "Traceback" not in r.err
    return r.err


def test_as_a_daemon_it_is_refused(run, data):
    assert "dev_cert is for development: leave out daemon" in refused(run, data, "-D")
    assert not data.exists()


def test_beside_a_certificate_it_is_refused(run, data):
    assert "dev_cert makes a certificate, and certfile (" in refused(
        run, data, "--certfile", "a.pem")


def test_a_folder_that_is_open_to_others_is_refused(run, data):
    folder(data).mkdir(parents=True)
    folder(data).chmod(0o755)
    assert "chmod 700 it, or remove it" in refused(run, data)


def test_a_folder_that_cannot_be_made_is_named(run, data):
    data.write_text("a file")
    err = refused(run, data)
    assert "dev_cert: the folder '%s' cannot be made: Not a directory" % folder(data) in err


def test_without_the_program_openssl_it_says_so(run, data):
    err = refused(run, data, PATH="/nonexistent")
    assert "the program openssl makes the certificate, and cannot be run" in err


def test_a_key_without_its_certificate_is_refused(run, data):
    assert "dev_cert makes a certificate, and keyfile (" in refused(run, data, "--keyfile", "a.key")
