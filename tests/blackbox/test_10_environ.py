# SPDX-License-Identifier: MIT
"""The environ (PEP 3333, and the keys that gunicorn adds)."""
import json
import os

import pytest

from harness import classes, sealed
from harness.server import has_ipv6


@pytest.fixture(scope="module")
def tcp(module_server):
    return module_server("probe:app", apps=["probe.py"])


@pytest.fixture(scope="module")
def unix(module_server):
    return module_server("probe:app", apps=["probe.py"], bind="unix")


@pytest.fixture(autouse=True)
def clean_log(request):
    yield
    for name in ("tcp", "unix"):
        if name in request.fixturenames:
            request.getfixturevalue(name).check_log()


def environ(server, path="/environ", *fields, **kw):
    r = server.get(path, *fields, **kw)
    assert r.status == 200, r
    return json.loads(r.body)


def raw_environ(server, request):
    with server.connect() as peer:
        r = peer.send(request).reply()
    assert r.status == 200, r
    return json.loads(r.body)


def test_the_environ_is_a_dict_of_native_strings(tcp):
    e = environ(tcp)
    assert e["is dict"]
    for key, value in e.items():
        if "." not in key and " " not in key:
            assert isinstance(value, str), (key, value)


def test_the_request_line_is_told(tcp):
    e = environ(tcp, "/environ/a//b?x=1&y=%20")
    assert e["REQUEST_METHOD"] == "GET"
    assert e["PATH_INFO"] == "/environ/a//b"
    assert e["QUERY_STRING"] == "x=1&y=%20"
    assert e["RAW_URI"] == "/environ/a//b?x=1&y=%20"
    assert e["SERVER_PROTOCOL"] == "HTTP/1.1"
    assert e["SCRIPT_NAME"] == ""


def test_a_request_without_query_has_an_empty_one(tcp):
    assert environ(tcp)["QUERY_STRING"] == ""


@pytest.mark.parametrize("method", ["GET", "DELETE", "PROPFIND", "QUERY"])
def test_the_method_is_as_sent(tcp, method):
    assert environ(tcp, method=method)["REQUEST_METHOD"] == method


def test_http_1_0_is_told(tcp):
    e = raw_environ(tcp, "GET /environ HTTP/1.0\r\n\r\n")
    assert e["SERVER_PROTOCOL"] == "HTTP/1.0"


def test_the_wsgi_keys_are_right_for_one_worker(tcp):
    e = environ(tcp)
    assert e["wsgi.version"] == [1, 0] and e["version is tuple"]
    assert e["wsgi.url_scheme"] == sealed.scheme()
    assert e["wsgi.multithread"] is classes.multithread()
    assert e["wsgi.multiprocess"] is False
    assert e["wsgi.run_once"] is False
    assert e["wsgi.input_terminated"] is True


def test_several_workers_are_multiprocess(server):
    s = server("probe:app", "-w", "2", apps=["probe.py"], bind="unix")
    assert environ(s)["wsgi.multiprocess"] is True


def test_gunicorns_own_keys_are_there(tcp):
    e = environ(tcp)
    assert e["SERVER_SOFTWARE"].startswith("gunicorn/")
    for key in ("wsgi.errors", "wsgi.input", "wsgi.file_wrapper",
                "gunicorn.socket"):
        assert "type" in e[key], key


def test_the_error_stream_answers_what_streams_are_asked(server):
    s = server("shop:app", files={"shop.py": """\
import os
def app(environ, start_response):
    e = environ["wsgi.errors"]
    told = [e.isatty(), e.closed, e.encoding, e.errors, e.writable(),
            e.readable(), e.seekable(), os.fstat(e.fileno()).st_size >= 0]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [repr(told).encode()]
"""})
    assert s.get("/").body == (b"[False, False, 'utf-8', 'backslashreplace', "
                               b"True, False, False, True]")


def test_the_peer_and_the_server_are_told_over_ipv4(tcp):
    with tcp.connect() as peer:
        port = peer.sock.getsockname()[1]
        e = json.loads(peer.get("/environ").reply().body)
    assert e["REMOTE_ADDR"] == "127.0.0.1"
    assert e["REMOTE_PORT"] == str(port)
    assert e["SERVER_NAME"] == "127.0.0.1"
    assert e["SERVER_PORT"] == str(tcp.address[1])


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 loopback here")
def test_the_peer_and_the_server_are_told_over_ipv6(server):
    s = server("probe:app", apps=["probe.py"], bind="tcp6")
    e = environ(s)
    assert e["REMOTE_ADDR"] == "::1"
    assert e["SERVER_NAME"] == "::1"
    assert e["SERVER_PORT"] == str(s.address[1])


def test_the_peer_and_the_server_are_told_over_a_unix_socket(unix):
    e = environ(unix)
    assert e["REMOTE_ADDR"] == ""
    assert "REMOTE_PORT" not in e
    assert (e["SERVER_NAME"], e["SERVER_PORT"]) == (
        "test", "443" if sealed.wanted() else "80")
    e = raw_environ(unix, "GET /environ HTTP/1.1\r\nHost: shop:81\r\n\r\n")
    assert (e["SERVER_NAME"], e["SERVER_PORT"]) == ("shop", "81")


def test_fields_become_http_keys(tcp):
    e = environ(tcp, "/environ", "X-Some-Thing: value", "accept:\t a b \t")
    assert e["HTTP_HOST"] == "test"
    assert e["HTTP_X_SOME_THING"] == "value"
    assert e["HTTP_ACCEPT"] == "a b"


def test_repeated_fields_are_joined_with_a_comma(tcp):
    e = environ(tcp, "/environ", "X-A: 1", "Cookie: a=1", "x-a: 2", "X-A: 3")
    assert e["HTTP_X_A"] == "1,2,3"


def test_content_fields_have_no_http_prefix(tcp):
    r = tcp.post("/environ", b"{}", "Content-Type: application/json")
    e = json.loads(r.body)
    assert e["CONTENT_TYPE"] == "application/json"
    assert e["CONTENT_LENGTH"] == "2"
    assert "HTTP_CONTENT_TYPE" not in e and "HTTP_CONTENT_LENGTH" not in e


def test_absent_content_fields_are_absent(tcp):
    e = environ(tcp)
    assert "CONTENT_LENGTH" not in e
    assert e.get("CONTENT_TYPE", "") == ""


def test_the_path_is_percent_decoded_to_latin_1(tcp):
    e = environ(tcp, "/environ/%E2%98%83/%41%2f%25")
    assert e["PATH_INFO"] == "/environ/\xe2\x98\x83/A/%"
    assert e["RAW_URI"] == "/environ/%E2%98%83/%41%2f%25"


@pytest.mark.parametrize("path", ["/environ/%", "/environ/%4", "/environ/%zz"])
def test_a_percent_sign_that_escapes_nothing_stays(tcp, path):
    assert environ(tcp, path)["PATH_INFO"] == path


def test_bytes_above_ascii_in_a_field_are_latin_1(tcp):
    e = environ(tcp, "/environ", "X-Name: caf\xe9")
    assert e["HTTP_X_NAME"] == "caf\xe9"


def test_the_absolute_form_gives_its_path(tcp):
    e = raw_environ(tcp, "GET http://test/environ?x=1 HTTP/1.1\r\n"
                         "Host: test\r\n\r\n")
    assert e["PATH_INFO"] == "/environ"
    assert e["QUERY_STRING"] == "x=1"
    assert e["RAW_URI"] == "http://test/environ?x=1"


def test_names_with_an_underscore_are_dropped(tcp):
    e = environ(tcp, "/environ", "X_Forwarded_For: 1.2.3.4", "X-Real: yes")
    assert "HTTP_X_FORWARDED_FOR" not in e
    assert e["HTTP_X_REAL"] == "yes"


def test_a_trusted_peer_tells_the_scheme(tcp, unix):
    for server in (tcp, unix):
        e = environ(server, "/environ", "X-Forwarded-Proto: https")
        assert e["wsgi.url_scheme"] == "https"
        assert e["HTTP_X_FORWARDED_PROTO"] == "https"
        e = environ(server, "/environ", "X-Forwarded-Proto: http")
        assert e["wsgi.url_scheme"] == "http"


def test_an_untrusted_peer_does_not_tell_the_scheme(server):
    s = server("probe:app", "--forwarded-allow-ips", "192.0.2.1",
               apps=["probe.py"])
    e = environ(s, "/environ", "X-Forwarded-Proto: https")
    assert e["wsgi.url_scheme"] == sealed.scheme()
    assert e["HTTP_X_FORWARDED_PROTO"] == "https"


def test_scheme_headers_that_contradict_are_refused(tcp):
    r = tcp.get("/environ", "X-Forwarded-Proto: https",
                "X-Forwarded-Ssl: off")
    assert r.status == 400


def test_x_forwarded_for_does_not_change_the_peer(tcp):
    e = environ(tcp, "/environ", "X-Forwarded-For: 1.2.3.4")
    assert e["REMOTE_ADDR"] == "127.0.0.1"
    assert e["HTTP_X_FORWARDED_FOR"] == "1.2.3.4"


def test_a_script_name_from_a_trusted_peer_is_taken_off_the_path(tcp):
    with tcp.connect() as peer:
        r = peer.send("GET /environ/x HTTP/1.1\r\nHost: test\r\n"
                      "SCRIPT_NAME: /environ\r\n\r\n").reply()
    # the route is found by PATH_INFO, which is /x now
    assert r.status == 404


def test_a_script_name_of_the_environment_is_the_default(server):
    s = server("probe:app", apps=["probe.py"], env={"SCRIPT_NAME": "/shop"})
    e = environ(s, "/shop/environ")
    assert (e["SCRIPT_NAME"], e["PATH_INFO"]) == ("/shop", "/environ")


def test_a_path_outside_the_script_name_is_a_500(server):
    s = server("probe:app", apps=["probe.py"], env={"SCRIPT_NAME": "/shop"},
               announced=["SCRIPT_NAME"])
    assert s.get("/environ").status == 500


def test_the_proxy_field_never_reaches_the_process_environment(tcp):
    e = environ(tcp, "/environ", "Proxy: http://evil")
    assert e["HTTP_PROXY"] == "http://evil"
    assert "HTTP_PROXY" not in os.environ


def test_each_request_has_an_environ_of_its_own(tcp):
    for _ in range(2):
        assert environ(tcp, "/environ_is_fresh") == {"old": None}


def test_wsgi_errors_goes_to_the_error_log(tcp):
    assert tcp.get("/errors").body == b"written"
    tcp.wait_log("one line: \u00e9\u2603\n")
    tcp.wait_log("two parts\n")


def test_proxy_protocol_tells_the_peer(server):
    s = server("probe:app", config="proxy_protocol = True\n",
               apps=["probe.py"])
    e = raw_environ(s, "PROXY TCP4 192.0.2.7 192.0.2.8 1111 80\r\n"
                       "GET /environ HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (e["REMOTE_ADDR"], e["REMOTE_PORT"]) == ("192.0.2.7", "1111")
