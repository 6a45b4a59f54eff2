# SPDX-License-Identifier: MIT
"""Settings that make the reading of requests wider or narrower, in both
positions, and whom a request is believed."""
import json

import pytest

HOST = "Host: a"


@pytest.fixture(scope="module")
def servers(module_server):
    """A server for each configuration, shared by the tests that ask for it."""
    made = {}

    def get(config="", **kw):
        if config not in made:
            made[config] = module_server("probe:app", apps=["probe.py"],
                                         config=config, **kw)
        return made[config]

    yield get
    for server in made.values():
        server.check_log()


def ask(server, line="GET /plain/environ HTTP/1.1", *fields):
    with server.connect() as peer:
        peer.send("\r\n".join([line, HOST, *fields]) + "\r\n\r\n")
        reply = peer.reply()
        if reply.status != 200:
            assert reply.says_close()
            peer.assert_closed()
        return reply


def environ(server, *fields, line="GET /plain/environ HTTP/1.1"):
    reply = ask(server, line, *fields)
    assert reply.status == 200, reply
    return json.loads(reply.body)


def status(server, *fields, line="GET /plain/environ HTTP/1.1"):
    return ask(server, line, *fields).status


# ---- syntax ----

def test_folded_fields_are_refused(servers):
    reply = ask(servers(), "GET / HTTP/1.1", "X: a", " b")
    assert reply.status == 400
    assert b"Obsolete line folding is unacceptable" in reply.body


def test_folded_fields_can_be_permitted(servers):
    s = servers("permit_obsolete_folding = True\n")
    assert environ(s, "X-Folded: a", " \tb", "\tc")["HTTP_X_FOLDED"] == "a b c"
    assert status(s, "X: 1", " \x01") == 400
    with s.connect() as peer:  # a line in front of the first field is none
        peer.send("GET / HTTP/1.1\r\n Host: a\r\n\r\n")
        assert peer.reply().status == 400


def test_a_folded_length_frames_as_it_reads(servers):
    s = servers("permit_obsolete_folding = True\n")
    with s.connect() as peer:
        peer.send("POST /digest HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n"
                  " 5\r\n\r\nhello").reply()
        peer.get("/one")
        assert peer.reply().body == b"one item"


def test_blanks_before_a_colon_are_refused(servers):
    reply = ask(servers(), "GET / HTTP/1.1", "X : 1")
    assert reply.status == 400 and b"Invalid HTTP header name" in reply.body


def test_blanks_before_a_colon_can_be_permitted(servers):
    s = servers("strip_header_spaces = True\n")
    assert environ(s, "X-Spaced \t : 1")["HTTP_X_SPACED"] == "1"
    assert status(s, "X y: 1") == 400


@pytest.mark.parametrize("method", ["get", "G", "A" * 21, "GET#"])
def test_unconventional_methods_are_refused(servers, method):
    reply = ask(servers(), f"{method} /plain/environ HTTP/1.1")
    assert reply.status == 400 and b"Invalid HTTP method" in reply.body


@pytest.mark.parametrize("method", ["get", "G", "A" * 21, "GET#"])
def test_unconventional_methods_can_be_permitted(servers, method):
    s = servers("permit_unconventional_http_method = True\n")
    line = f"{method} /plain/environ HTTP/1.1"
    assert environ(s, line=line)["REQUEST_METHOD"] == method
    assert status(s, line="G:T / HTTP/1.1") == 400


def test_the_case_of_a_method_can_be_folded(servers):
    s = servers("permit_unconventional_http_method = True\n"
                "casefold_http_method = True\n")
    line = "pRop-find /plain/environ HTTP/1.1"
    assert environ(s, line=line)["REQUEST_METHOD"] == "PROP-FIND"


def test_folding_the_case_alone_permits_nothing(servers):
    s = servers("casefold_http_method = True\n")
    assert status(s, line="get /plain/environ HTTP/1.1") == 400


@pytest.mark.parametrize("version", ["2.0", "0.9", "3.1"])
def test_unconventional_versions_are_refused(servers, version):
    reply = ask(servers(), f"GET /plain/environ HTTP/{version}")
    assert reply.status == 400 and b"Invalid HTTP Version" in reply.body


@pytest.mark.parametrize("version", ["2.0", "0.9", "3.1"])
def test_unconventional_versions_can_be_permitted(servers, version):
    s = servers("permit_unconventional_http_version = True\n")
    assert status(s, line=f"GET /plain/environ HTTP/{version}") == 200
    assert status(s, line="GET / HTTP/x.1") == 400


def test_a_host_must_be_named_unless_it_may_be_missing(servers):
    request = "GET /plain/environ HTTP/1.1\r\n\r\n"
    with servers().connect() as peer:
        assert peer.send(request).reply().status == 400
    with servers("allow_missing_host = True\n").connect() as peer:
        assert "HTTP_HOST" not in json.loads(peer.send(request).reply().body)


# ---- names with an underscore ----

def test_names_with_an_underscore_are_dropped(servers):
    e = environ(servers(), "X_Odd: 1", "X-Odd: 2")
    assert e["HTTP_X_ODD"] == "2"


def test_names_with_an_underscore_can_be_refused(servers):
    s = servers("header_map = 'refuse'\nforwarded_allow_ips = ''\n")
    reply = ask(s, "GET / HTTP/1.1", "X_Odd: 1")
    assert reply.status == 400 and b"Invalid HTTP header name" in reply.body
    assert environ(s, "X-Odd: 1")["HTTP_X_ODD"] == "1"


def test_names_with_an_underscore_can_be_passed_on(servers):
    s = servers("header_map = 'dangerous'\nforwarded_allow_ips = ''\n")
    e = environ(s, "X_Odd: 1", "X-Odd: 2")
    assert e["HTTP_X_ODD"] == "1,2"


def test_a_trusted_proxy_may_send_what_forwarder_headers_names(servers):
    e = environ(servers(), "SCRIPT_NAME: /plain", "PATH_INFO: /x",
                "REMOTE_USER: eve")
    assert e["SCRIPT_NAME"] == "/plain" and e["PATH_INFO"] == "/environ"
    assert e["HTTP_PATH_INFO"] == "/x"
    assert "HTTP_REMOTE_USER" not in e


def test_forwarder_headers_can_name_others(servers):
    s = servers("forwarder_headers = 'remote_user'\n")
    e = environ(s, "REMOTE_USER: bob", "SCRIPT_NAME: /plain")
    assert e["HTTP_REMOTE_USER"] == "bob" and e["SCRIPT_NAME"] == ""


def test_forwarder_headers_can_name_all(servers):
    s = servers("forwarder_headers = '*'\nheader_map = 'refuse'\n")
    assert environ(s, "ANY_NAME: 1")["HTTP_ANY_NAME"] == "1"


def test_an_untrusted_peer_sends_no_forwarder_headers(servers):
    s = servers("forwarded_allow_ips = '192.0.2.1'\n")
    e = environ(s, "SCRIPT_NAME: /plain", "X-Forwarded-Proto: https",
                "X-Forwarded-Ssl: off")
    assert e["SCRIPT_NAME"] == "" and "HTTP_SCRIPT_NAME" not in e
    assert e["wsgi.url_scheme"] == "http"
    assert e["HTTP_X_FORWARDED_PROTO"] == "https"


# ---- limits ----

def line_of(n):
    """A request line of n bytes."""
    front, back = "GET /plain/environ?", " HTTP/1.1"
    return front + "q" * (n - len(front) - len(back)) + back


@pytest.mark.parametrize("config, most", [
    ("", 4094), ("limit_request_line = 100\n", 100),
    ("limit_request_line = 9000\n", 8190)])
def test_a_request_line_has_its_limit(servers, config, most):
    assert status(servers(config), line=line_of(most)) == 200
    reply = ask(servers(config), line_of(most + 1))
    assert reply.status == 414 and b"Request Line is too large" in reply.body


def test_a_request_line_without_a_limit_has_that_of_the_head(servers):
    s = servers("limit_request_line = 0\n")
    assert status(s, line=line_of(60000)) == 200
    assert status(s, line=line_of(70000)) == 431


@pytest.mark.parametrize("config, most", [
    ("", 100), ("limit_request_fields = 5\n", 5)])
def test_fields_have_their_limit(servers, config, most):
    fields = [f"X-{i}: 1" for i in range(most - 1)]  # and Host
    assert status(servers(config), *fields) == 200
    assert status(servers(config), *fields, "Y: 1") == 431
    # dropped ones are not counted, as in gunicorn
    assert status(servers(config), *fields, "Y_Y: 1") == 200


def field_of(n):
    """A field of n bytes with its line end."""
    return "X: " + "v" * (n - len("X: \r\n"))


@pytest.mark.parametrize("config, most", [
    ("", 8190), ("limit_request_field_size = 50\n", 50),
    ("limit_request_field_size = 0\n", 8190),
    ("limit_request_field_size = 30000\n", 30000)])
def test_a_field_has_its_limit(servers, config, most):
    assert status(servers(config), field_of(most)) == 200
    assert status(servers(config), field_of(most + 1)) == 431


def test_a_head_has_its_limit(servers):
    fields = [f"X-{i}: " + "v" * 990 for i in range(60)]
    assert status(servers(), *fields) == 200
    assert status(servers(), *fields, *fields[:10]) == 431
    s = servers("max_head_size = 0\n")
    assert status(s, *fields, *fields[:30]) == 200
    s = servers("max_head_size = 500\n")
    assert status(s, field_of(400)) == 200
    assert status(s, field_of(480)) == 431


# ---- schemes ----

@pytest.mark.parametrize("fields, want", [
    ([], "http"),
    (["X-Forwarded-Proto: https"], "https"),
    (["X-Forwarded-Protocol: ssl"], "https"),
    (["X-Forwarded-Ssl: on"], "https"),
    (["X-Forwarded-Proto: http"], "http"),
    (["X-Forwarded-Proto: HTTPS"], "http"),
    (["X-Forwarded-Proto: https,http"], "http"),
    (["X-Forwarded-Proto: https", "X-Forwarded-Ssl: on"], "https")])
def test_a_trusted_proxy_says_the_scheme(servers, fields, want):
    assert environ(servers(), *fields)["wsgi.url_scheme"] == want


def test_contradicting_schemes_are_refused(servers):
    reply = ask(servers(), "GET / HTTP/1.1", "X-Forwarded-Proto: https",
                "X-Forwarded-Ssl: off")
    assert reply.status == 400
    assert b"Contradictory scheme headers" in reply.body


def test_other_fields_can_say_the_scheme(servers):
    s = servers("secure_scheme_headers = {'X-Tls': 'yes'}\n")
    assert environ(s, "X-TLS: yes")["wsgi.url_scheme"] == "https"
    assert environ(s, "X-Tls: no")["wsgi.url_scheme"] == "http"
    assert environ(s, "X-Forwarded-Proto: https")["wsgi.url_scheme"] == "http"


# ---- who is trusted ----

SECURE = "X-Forwarded-Proto: https"


@pytest.mark.parametrize("allowed, is_trusted", [
    ("127.0.0.1", True), ("127.0.0.0/8", True), ("*", True),
    ("10.0.0.1, 127.0.0.1", True), ("127.0.0.0/255.0.0.0", True),
    ("10.0.0.0/8", False), ("127.0.0.2", False), ("::1", False), ("", False)])
def test_forwarded_allow_ips_names_addresses_and_networks(
        servers, allowed, is_trusted):
    e = environ(servers(f"forwarded_allow_ips = {allowed!r}\n"), SECURE)
    assert e["wsgi.url_scheme"] == ("https" if is_trusted else "http")


def test_forwarded_allow_ips_is_read_from_the_environment(server):
    s = server("probe:app", apps=["probe.py"],
               env={"FORWARDED_ALLOW_IPS": "192.0.2.1"})
    assert environ(s, SECURE)["wsgi.url_scheme"] == "http"


def test_a_unix_peer_is_trusted(server):
    s = server("probe:app", apps=["probe.py"], bind="unix",
               config="forwarded_allow_ips = ''\n")
    assert environ(s, SECURE)["wsgi.url_scheme"] == "https"


def test_a_network_with_host_bits_is_told(run):
    r = run("--forwarded-allow-ips", "10.0.0.1/8", "probe:app",
            apps=["probe.py"])
    assert r.status == 1
    r.line_with("10.0.0.1/8 has host bits set", "forwarded_allow_ips")
