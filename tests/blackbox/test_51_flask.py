# SPDX-License-Identifier: MIT
"""A Flask application: JSON, cookies, redirects, streams, uploads, errors."""
import hashlib
import json

import pytest

from harness import embedded
from harness.clients import Browser, curl
from harness.waiting import until

UPLOAD = bytes(range(256)) * 4096 * 20  # 20 MiB
SHA = hashlib.sha256(UPLOAD).hexdigest()


@pytest.fixture(scope="module", params=["app over tcp", "checked over unix"])
def shop(request, module_server):
    embedded.needs("flask")
    name, _, bind = request.param.partition(" over ")
    return module_server(f"flask_shop:{name}", bind=bind,
                         apps=["flask_shop.py"],
                         files={"upload.bin": UPLOAD})


@pytest.fixture(autouse=True)
def clean_log(request):
    yield
    if "shop" in request.fixturenames:
        request.getfixturevalue("shop").check_log()


@pytest.fixture
def browser(shop):
    with Browser(shop.address) as one:
        yield one


def test_a_page_is_served(shop):
    assert curl(shop.address, "/") == b"the shop"


def test_json_goes_both_ways(shop, browser):
    given = {"name": "caf\u00e9 \u2603", "list": [1, None, {"a": 0.5}]}
    r = browser.ask("POST", "/json?a=1&b=%E2%98%83", json.dumps(given), {
        "Content-Type": "application/json", "User-Agent": "test"})
    assert r.headers["Content-Type"] == "application/json"
    assert json.loads(r.data) == {
        "got": given, "args": {"a": "1", "b": "\u2603"}, "agent": "test"}
    told = json.loads(curl(shop.address, "--header",
                           "Content-Type: application/json", "--data",
                           '{"x": 1}', "/json"))
    assert told["got"] == {"x": 1}


def test_broken_json_is_a_400(browser):
    r = browser.ask("POST", "/json", "{", {"Content-Type": "application/json"})
    assert r.status == 400
    assert browser.get("/").status == 200


def test_urls_are_built_for_the_host_the_client_named(browser):
    told = json.loads(browser.get("/environment", Host="shop.example").data)
    assert told["external"] == "http://shop.example/"
    assert told["url"] == "http://shop.example/environment"
    told = json.loads(browser.get("/environment", Host="shop.example",
                                  X_Forwarded_Proto="https").data)
    assert told["external"] == "https://shop.example/"


def test_the_session_lives_in_a_cookie(browser):
    assert [browser.get("/count").data for _ in range(3)] == [b"1", b"2", b"3"]


def test_each_cookie_is_a_field_of_its_own(browser):
    r = browser.get("/count")
    names = [c.split("=")[0] for c in r.headers.get_all("Set-Cookie")]
    assert sorted(names) == ["second", "seen", "session"]
    told = json.loads(browser.get("/cookies").data)
    assert told["seen"] == "caf\u00e9" and told["second"] == "2"


def test_redirects_are_followed(shop):
    assert curl(shop.address, "--location", "--data", "x=1", "/moved") \
        == b"the shop"
    head = curl(shop.address, "--include", "/moved").decode()
    assert "303 SEE OTHER" in head


def test_a_generator_is_streamed(shop, browser):
    want = b"".join(b"line %d\n" % i for i in range(5000))
    r = browser.get("/stream?count=5000")
    assert (r.headers["Transfer-Encoding"], r.data) == ("chunked", want)
    assert curl(shop.address, "/stream?count=5000") == want
    assert curl(shop.address, "--http1.0", "/stream?count=3") == want[:21]


def test_uploads_arrive_whole(shop):
    told = json.loads(curl(
        shop.address, "--form", f"big=@{shop.folder}/upload.bin", "--form",
        "small=@-;filename=empty.txt", "--form", "note=with it", "/upload"))
    assert told["form"] == {"note": "with it"}
    assert told["files"]["big"] == ["upload.bin", len(UPLOAD), SHA]
    assert told["files"]["small"][:2] == ["empty.txt", 0]


@pytest.mark.parametrize("coding", ["length", "chunked"])
def test_a_body_is_read_as_a_stream(shop, browser, coding):
    if coding == "length":
        r = browser.ask("POST", "/body", UPLOAD, {})
    else:
        parts = (UPLOAD[i:i + 100000] for i in range(0, len(UPLOAD), 100000))
        r = browser.ask("POST", "/body", parts)
    assert json.loads(r.data) == {"size": len(UPLOAD), "sha": SHA}


def test_curl_uploads_with_chunks_and_expect(shop):
    told = json.loads(curl(
        shop.address, "--header", "Transfer-Encoding: chunked",
        "--header", "Expect: 100-continue", "--upload-file",
        f"{shop.folder}/upload.bin", "/body"))
    assert told == {"size": len(UPLOAD), "sha": SHA}


def test_files_are_sent_whole_in_part_and_not_again(shop, browser):
    text = (shop.folder / "flask_shop.py").read_bytes()
    r = browser.get("/file")
    assert (r.status, r.data) == (200, text)
    part = browser.get("/file", Range="bytes=10-19")
    assert (part.status, part.data) == (206, text[10:20])
    again = browser.get("/file", If_None_Match=r.headers["ETag"])
    assert (again.status, again.data) == (304, b"")
    assert browser.get("/memory").data == b"from memory" * 1000


def test_replies_without_a_body_leave_the_connection_usable(browser):
    assert browser.get("/empty").status == 204
    assert browser.ask("HEAD", "/").data == b""
    r = browser.ask("OPTIONS", "/")
    assert "GET" in r.headers["Allow"]
    assert browser.get("/").data == b"the shop"
    assert browser.connects == 1


def test_error_pages_are_the_applications(shop, browser):
    r = browser.get("/nothing/here")
    assert (r.status, r.data) == (404, b"nothing at /nothing/here")
    r = browser.get("/teapot")
    assert (r.status, r.reason) == (418, "I'M A TEAPOT")
    assert browser.ask("DELETE", "/").status == 405


def test_an_exception_is_flasks_500_with_a_traceback_in_the_log(shop, browser):
    shop.announce("the till is jammed")
    r = browser.get("/boom")
    assert r.status == 500 and b"Internal Server Error" in r.data
    shop.wait_log("RuntimeError: the till is jammed")
    assert browser.get("/").status == 200


def test_a_factory_makes_the_application(server):
    embedded.needs("flask")
    s = server("flask_shop:create_app(title='made')", bind="unix",
               apps=["flask_shop.py"])
    assert curl(s.address, "/") == b"made"


def test_a_daemon_serves_it(server):
    embedded.needs("flask")
    s = server("-D", "-w", "2", "-p", "app.pid", "--log-file", "error.log",
               "flask_shop:app", daemon=True, pidfile="app.pid",
               errorlog="error.log", apps=["flask_shop.py"])
    pids = set()
    for _ in range(100):
        with Browser(s.address) as browser:
            assert browser.get("/count").data == b"1"
            pids.add(json.loads(browser.get("/environment").data)["pid"])
    assert pids <= set(s.workers())
    s.signal("HUP")
    until(lambda: len(s.workers()) == 2 and not pids & set(s.workers()),
          lambda: "new workers:\n" + s.tail())
    assert curl(s.address, "/") == b"the shop"
