# SPDX-License-Identifier: MIT
"""HTTPS: listeners of both kinds, certificates by name, renewed ones."""
import shutil
import socket
import ssl

import pytest

from harness import certificates, h2wire
from harness.server import free_port
from harness.waiting import until
from test_85_tls import APP, Client, context

CONFIG = """
bind = ["127.0.0.1:{plain}", "tls:127.0.0.1:{secure}"]
certfile, keyfile = {pair}
"""


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    authority = certificates.Authority(tmp_path_factory.mktemp("pki"))
    return (authority, *authority.issue("server"))


def both(server, pki, more="", **options):
    plain, secure = free_port(), free_port()
    s = server("shop:app", bind=None, files={"shop.py": APP}, config=CONFIG.format(
        plain=plain, secure=secure, pair=tuple(map(str, pki[1:]))) + more,
        **options)
    s.address = ("127.0.0.1", secure)
    s.plain = ("127.0.0.1", plain)
    return s


def fetch_plain(s, path, *fields):
    from harness import wire

    return wire.fetch(s.plain, path, *fields)


def test_one_listener_speaks_tls_and_the_other_does_not(server, pki):
    s = both(server, pki)
    s.wait_log(r"Listening at: http://127\.0\.0\.1:%d,https://127\.0\.0\.1:%d "
               % (s.plain[1], s.address[1]))
    assert fetch_plain(s, "/").body == b"hello"
    assert b"'http'" in fetch_plain(s, "/environ").body
    with Client(s, context(pki)) as c:
        assert c.get("/") == b"hello"


def test_plain_listeners_send_clients_to_https(server, pki):
    s = both(server, pki, "redirect_https = True\naccesslog = '-'\n")
    with socket.create_connection(s.plain, 30) as peer:
        peer.sendall(b"GET /a%20b?c=d HTTP/1.1\r\nHost: shop.example:80\r\n\r\n")
        data = b""
        while True:
            more = peer.recv(65536)
            if not more:
                break
            data += more
    assert data.startswith(b"HTTP/1.1 308 Permanent Redirect\r\n")
    assert (b"\r\nLocation: https://shop.example:%d/a%%20b?c=d\r\n"
            % s.address[1]) in data
    until(lambda: '"GET /a%20b?c=d HTTP/1.1" 308 0 ' in s.stdout(),
          "the access line")
    assert "Invalid request" not in s.log()
    with Client(s, context(pki)) as c:
        assert c.get("/") == b"hello"


def test_a_reload_gives_a_listener_tls(server, pki):
    port = free_port()
    pair = f"certfile, keyfile = {tuple(map(str, pki[1:]))}\n"
    s = server("shop:app", bind=None, files={"shop.py": APP},
               config=f"bind = '127.0.0.1:{port}'\n")
    s.address = ("127.0.0.1", port)
    (s.folder / "conf.py").write_text(f"bind = 'tls:127.0.0.1:{port}'\n" + pair)
    s.signal("HUP")
    s.wait_log("Listening at: https://")

    def speaks():
        try:
            with Client(s, context(pki)) as c:
                return c.get("/") == b"hello"
        except (ssl.SSLError, OSError):
            return False
    until(speaks, "TLS is spoken")


@pytest.mark.parametrize("config,words", [
    ("bind = 'tls:127.0.0.1:0'\n", ["bind = tls:", "no certificate"]),
    ("redirect_https = True\ncertfile = 'x'\n", ["redirect_https needs"]),
    ("certificates = [{'certfile': 'x'}]\n", ["certificates: TLS is asked"]),
    ("certificates = [{'keyfile': 'x'}]\n", ["certfile is missing"]),
    ("certificates = [{'certfile': 'x', 'hosts': 'a'}]\n",
     ["only certfile, keyfile and names", "not hosts"]),
    ("certificates = 'x.pem'\n", ["not a list of dictionaries"]),
    ("bind = 'tls:fd://3'\ncertfile = 'x'\n", ["tls:fd://3", "leave tls: out"]),
])
def test_what_cannot_be(run, config, words):
    done = run("--check-config", "-c", "conf.py", "shop:app",
               files={"shop.py": APP, "conf.py": config})
    assert done.status == 1
    done.line_with("Error:", *words)


# ---- certificates by name ----


def test_certificates_are_chosen_by_name(server, pki):
    star = pki[0].issue("star", names=["*.shop.example", "shop.example"])
    named = pki[0].issue("named", names=["other.example"])
    s = server("--certfile", pki[1], "--keyfile", pki[2], "shop:app", config=(
        f"certificates = [dict(certfile={str(star[0])!r}, keyfile={str(star[1])!r}),"
        f" dict(certfile={str(named[0])!r}, keyfile={str(named[1])!r},"
        " names='other.example')]\n"), files={"shop.py": APP})
    for name in ("www.shop.example", "shop.example", "other.example",
                 "localhost"):
        with Client(s, context(pki), name=name) as c:  # verifies the name
            assert c.get("/") == b"hello"
    unchecked = context(pki)
    unchecked.check_hostname = False
    for name in ("a.b.shop.example", "unknown.example", None):
        with Client(s, unchecked, name=name) as c:
            subject = dict(x[0] for x in c.sock.getpeercert()["subject"])
            assert subject["commonName"] == "server"


def test_certificates_in_yaml(server, pki):
    other = pki[0].issue("yaml", names=["yaml.example"])
    s = server("-c", "conf.yaml", "shop:app", files={
        "shop.py": APP, "conf.yaml": (
            f"certfile: {pki[1]}\nkeyfile: {pki[2]}\ncertificates:\n"
            f"  - certfile: {other[0]}\n    keyfile: {other[1]}\n"
            "    names: [yaml.example]\n")})
    with Client(s, context(pki), name="yaml.example") as c:
        assert c.get("/") == b"hello"


def test_a_broken_one_among_them_is_named(run, pki):
    done = run("--check-config", "-c", "conf.py", "shop:app", files={
        "shop.py": APP, "conf.py": (
            f"certfile, keyfile = {tuple(map(str, pki[1:]))}\n"
            f"certificates = [dict(certfile={str(pki[1])!r},"
            " keyfile='no.key')]\n")})
    assert done.status == 1
    done.line_with('keyfile "no.key" does not exist')


# ---- a connection for another host (421) ----

def many_hosts(server, pki, *args, trusted="192.0.2.1"):
    star = pki[0].issue("star421", names=["*.shop.example", "shop.example"])
    named = pki[0].issue("named421", names=["other.example"])
    return server("--certfile", pki[1], "--keyfile", pki[2], "--http-protocols", "h2,h1",
                  "--forwarded-allow-ips", trusted, "--access-logfile", "access.log", *args,
                  "shop:app", files={"shop.py": APP}, config=(
                      f"certificates = [dict(certfile={str(star[0])!r},"
                      f" keyfile={str(star[1])!r}),"
                      f" dict(certfile={str(named[0])!r}, keyfile={str(named[1])!r})]\n"))


def h2_to(s, pki, name):
    c = context(pki)
    c.check_hostname = False
    c.set_alpn_protocols(["h2"])
    sock = c.wrap_socket(socket.create_connection(s.address, 30), server_hostname=name)
    return h2wire.Client(sock, settings=[h2wire.NO_TABLE])


def statuses(c, *hosts):
    found = []
    for host in hosts:
        stream = c.next_id
        c.next_id += 2
        c.send(h2wire.frame(h2wire.HEADERS, h2wire.END_HEADERS | h2wire.END_STREAM, stream,
                            h2wire.head(authority=host)))
        found.append(h2wire.status_of(c.until(h2wire.HEADERS, stream)[3]))
    return found


def test_a_host_of_another_certificate_is_misdirected(server, pki):
    """RFC 9110, 7.4 and 15.5.20; the connection goes on."""
    s = many_hosts(server, pki)
    c = h2_to(s, pki, "www.shop.example")
    assert statuses(c, "www.shop.example", "WWW.Shop.Example:443", "shop.example",
                    "a.shop.example", "other.example", "OTHER.example:8443",
                    "localhost", "shop.example") == [200, 200, 200, 200, 421, 421, 421, 200]
    c.close()
    c = h2_to(s, pki, "other.example")
    assert statuses(c, "other.example", "shop.example", "other.example") == [200, 421, 200]
    c.close()
    until(lambda: '"GET / HTTP/2.0" 421 ' in (s.folder / "access.log").read_text(),
          "its line in the access log")


def test_a_host_that_no_certificate_is_for_is_served(server, pki):
    s = many_hosts(server, pki)
    for name in ("other.example", "localhost", "unknown.example"):
        c = h2_to(s, pki, name)
        assert statuses(c, "unknown.example", "10.1.2.3:8000", "[::1]") == [200] * 3
        c.close()


def test_who_asked_for_no_name_is_served(server, pki):
    s = many_hosts(server, pki)
    c = h2_to(s, pki, None)
    assert statuses(c, "localhost", "other.example") == [200, 200]
    c.close()


def test_a_gateway_that_is_trusted_speaks_for_many(server, pki):
    s = many_hosts(server, pki, trusted="127.0.0.1")
    c = h2_to(s, pki, "localhost")
    assert statuses(c, "localhost", "other.example") == [200, 200]
    c.close()


def test_one_certificate_serves_every_host(server, pki):
    s = server("--certfile", pki[1], "--keyfile", pki[2], "--http-protocols", "h2,h1",
               "--forwarded-allow-ips", "192.0.2.1", "shop:app", files={"shop.py": APP})
    c = h2_to(s, pki, "localhost")
    assert statuses(c, "localhost", "other.example") == [200, 200]
    c.close()


def test_a_misdirected_body_is_not_run(server, pki):
    s = many_hosts(server, pki)
    c = h2_to(s, pki, "localhost")
    c.send(h2wire.frame(h2wire.HEADERS, h2wire.END_HEADERS, 1, h2wire.head(
        "/", "POST", authority="other.example")) +
        h2wire.frame(h2wire.DATA, 0, 1, b"a") + h2wire.frame(h2wire.DATA, h2wire.END_STREAM, 1))
    assert h2wire.status_of(c.until(h2wire.HEADERS, 1)[3]) == 421
    c.next_id = 3
    assert statuses(c, "localhost") == [200]
    c.close()


# ---- renewal without a signal ----


def test_renewed_files_are_taken_without_a_signal(server, pki, tmp_path):
    pem, key = tmp_path / "c.pem", tmp_path / "c.key"
    for source, to in zip(pki[1:], (pem, key)):
        shutil.copy(source, to)
    s = server("--certfile", pem, "--keyfile", key, "shop:app",
               files={"shop.py": APP},
               announced=["The certificates have changed, and this worker"])
    first = ssl.get_server_certificate(s.address)
    new = pki[0].issue("renewed")
    shutil.copy(new[0], pem)  # the key is not there yet

    def connect():
        ssl.get_server_certificate(s.address)
        return s.log()
    until(lambda: "this worker keeps the old ones" in connect(), "it is told")
    assert ssl.get_server_certificate(s.address) == first
    shutil.copy(new[1], key)
    until(lambda: "new connections get the new ones" in connect(), "renewed")
    assert ssl.get_server_certificate(s.address) != first
