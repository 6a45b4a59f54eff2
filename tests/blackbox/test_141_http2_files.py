# SPDX-License-Identifier: MIT
"""Files over HTTP/2: static ones, X-Sendfile and X-Accel-Redirect, file_wrapper,
ASGI's pathsend. What they are over HTTP/1 is in test_98_static."""
import re
import shutil
import subprocess

import pytest

from harness import certificates, sealed
from harness.h2wire import DATA, END_STREAM, HEADERS, NO_TABLE, connect, status_of

pytestmark = [sealed.in_the_clear("HTTP/2 is agreed on by ALPN"),
              pytest.mark.skipif(not shutil.which("curl"), reason="no curl")]
CSS = b"body { color: red }\n"
BIG = bytes(range(256)) * 4096 * 3  # 3 MiB: more than all windows
FILES = {"www/a.css": CSS, "www/a.css.gz": b"not really gzip", "www/big.bin": BIG,
         "www/sub/index.html": b"<p>index", "www/.env": b"SECRET", "secret": b"SECRET"}
APP = """
def app(environ, start_response):
    path, name = environ["PATH_INFO"], environ["QUERY_STRING"]
    if path == "/wrapped":
        start_response("200 OK", [("Content-Type", "application/octet-stream")])
        return environ["wsgi.file_wrapper"](open("www/big.bin", "rb"))
    if path == "/wrapped-part":
        f = open("www/big.bin", "rb")
        f.seek(1000000)
        start_response("200 OK", [("Content-Length", "2000000")])
        return environ["wsgi.file_wrapper"](f)
    field = "X-Sendfile" if path == "/file" else "X-Accel-Redirect"
    start_response("200 OK", [("Content-Type", "text/x-mine"), (field, name), ("X-Kept", "1"),
                              ("Content-Length", "4")])
    return [b"body"] if path != "/parts" else iter([b"bo", b"dy"])
"""
ASGI = """
import os
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return
    assert "http.response.pathsend" in scope["extensions"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.pathsend", "path": os.path.abspath("www/big.bin")})
"""
CLEAR = ["--http-protocols", "h2,h1", "--http2-cleartext", "both"]
SERVES = ["--static", "/static=www", "--sendfile-root", "www", "--access-logfile", "a.log"]


class Over:
    """A server, and how curl speaks HTTP/2 with it."""

    def __init__(self, server, scheme, *options):
        self.server, self.scheme, self.options = server, scheme, options

    def ask(self, path, *options):
        r = subprocess.run(
            ["curl", "-sS", "-m", "60", "--path-as-is", *self.options, *options,
             "-D", self.server.folder / "head", f"{self.scheme}://127.0.0.1:"
             f"{self.server.address[1]}{path}"], capture_output=True, check=False)
        assert r.returncode == 0, r.stderr
        head = (self.server.folder / "head").read_text()
        assert head.startswith("HTTP/2 "), head
        self.status = int(head.split()[1])
        self.fields = dict(re.findall(r"^([a-z-]+): (.*?)\r?$", head, re.M))
        return r.stdout


@pytest.fixture(scope="module", params=["clear", "tls"])
def over(request, module_server):
    if request.param == "tls":
        _, pem, key = certificates.shared()
        s = module_server("--certfile", pem, "--keyfile", key, "--http-protocols", "h2,h1",
                          *SERVES, "app:app", files={**FILES, "app.py": APP})
        return Over(s, "https", "--http2", "--cacert", certificates.shared()[0].certificate)
    s = module_server(*CLEAR, *SERVES, "app:app", files={**FILES, "app.py": APP})
    return Over(s, "http", "--http2-prior-knowledge")


def test_a_static_file_has_what_a_cache_wants(over):
    assert over.ask("/static/a.css") == CSS
    assert over.status == 200 and over.fields["content-type"] == "text/css; charset=utf-8"
    assert over.fields["content-length"] == str(len(CSS))
    assert "connection" not in over.fields and "transfer-encoding" not in over.fields
    etag, modified = over.fields["etag"], over.fields["last-modified"]
    for field in (f"If-None-Match: {etag}", f"If-Modified-Since: {modified}"):
        assert over.ask("/static/a.css", "-H", field) == b"" and over.status == 304
        assert over.fields["etag"] == etag
    assert over.ask("/static/a.css", "-H", 'If-Match: "x"') == b"" and over.status == 412
    assert over.ask("/static/a.css", "-I").startswith(b"HTTP/2 200")
    assert over.fields["content-length"] == str(len(CSS))
    assert over.ask("/static/a.css", "-H", "Accept-Encoding: gzip") == b"not really gzip"
    assert over.fields["content-encoding"] == "gzip"
    log = (over.server.folder / "a.log").read_text()
    assert f'"GET /static/a.css HTTP/2.0" 200 {len(CSS)} ' in log


def test_large_files_and_ranges_of_them(over):
    assert over.ask("/static/big.bin") == BIG
    assert over.ask("/static/big.bin", "-H", "Range: bytes=5-10") == BIG[5:11]
    assert over.status == 206 and over.fields["content-range"] == f"bytes 5-10/{len(BIG)}"
    assert over.ask("/static/big.bin", "-H", "Range: bytes=-2000000") == BIG[-2000000:]
    parts = over.ask("/static/big.bin", "-H", "Range: bytes=0-1,300-301")
    boundary = over.fields["content-type"].partition("boundary=")[2].encode()
    assert over.status == 206 and parts.endswith(b"\r\n--" + boundary + b"--\r\n")
    assert over.ask("/static/big.bin", "-H", f"Range: bytes={len(BIG)}-") == b""
    assert over.status == 416 and over.fields["content-range"] == f"bytes */{len(BIG)}"


def test_nothing_hidden_or_outside(over):
    for name in (".env", "../secret", "%2e%2e/secret", "..%2fsecret", "sub/../../secret"):
        assert b"SECRET" not in over.ask(f"/static/{name}"), name
    over.server.announce("sendfile_root: cannot send")
    for target in ("/file?/etc/passwd", "/file?../secret", "/path?/%2e%2e/secret"):
        assert b"SECRET" not in over.ask(target) and over.status in (404, 500), target
    assert over.ask("/file?no") is not None and over.status == 404


@pytest.mark.parametrize("target", ["/file?a.css", "/path?/a.css", "/path?/%61.css",
                                    "/parts?/a.css", "/file?FOLDER/a.css"])
def test_an_application_has_a_file_sent(over, target):
    target = target.replace("FOLDER", str(over.server.folder / "www"))
    assert over.ask(target) == CSS
    assert over.status == 200 and over.fields["content-type"] == "text/x-mine"
    assert over.fields["x-kept"] == "1" and over.fields["content-length"] == str(len(CSS))
    assert "x-sendfile" not in over.fields and "x-accel-redirect" not in over.fields
    etag = over.fields["etag"]
    assert over.ask(target, "-H", "Range: bytes=0-3") == CSS[:4] and over.status == 206
    assert over.ask(target, "-H", f"If-None-Match: {etag}") == b"" and over.status == 304
    assert over.ask(target, "-I").startswith(b"HTTP/2 200")


def test_a_large_one_too(over):
    assert over.ask("/file?big.bin") == BIG
    assert over.ask("/path?/big.bin") == BIG


def test_file_wrapper(over):
    assert over.ask("/wrapped") == BIG
    assert over.ask("/wrapped-part") == BIG[1000000:3000000]
    assert over.fields["content-length"] == "2000000"


def test_many_at_once_on_one_connection(over):
    """They share windows, and none gets bytes of another."""
    if over.scheme == "http":
        pytest.skip("curl does not do that with prior knowledge, with nobody's server")
    targets = ["/static/big.bin", "/file?big.bin", "/wrapped", "/static/a.css"] * 3
    words = []
    for i, target in enumerate(targets):
        url = f"{over.scheme}://127.0.0.1:{over.server.address[1]}{target}"
        words += ["-o", str(over.server.folder / f"out{i}"), url]
    r = subprocess.run(["curl", "-sS", "-m", "60", "--parallel", *over.options, *words],
                       capture_output=True, check=False)
    assert r.returncode == 0, r.stderr
    for i, target in enumerate(targets):
        wanted = CSS if target.endswith(".css") else BIG
        assert (over.server.folder / f"out{i}").read_bytes() == wanted, target


def test_a_file_whose_client_leaves_is_no_trouble(over):
    if over.scheme == "https":
        pytest.skip("the client of this test speaks clear text")
    for _ in range(3):
        c = connect(over.server, settings=[NO_TABLE])
        stream = c.request("/static/big.bin")
        assert status_of(c.until(HEADERS, stream)[3]) == 200
        c.until(DATA, stream)
        c.close()
    c = connect(over.server)
    assert c.body(c.request("/static/a.css")) == CSS
    c.close()
    over.server.check_log()


def test_a_folder_has_its_slash(server):
    s = server(*CLEAR, "--static", "/static=www", "--static-index", "index.html", "app:app",
               files={**FILES, "app.py": APP})
    o = Over(s, "http", "--http2-prior-knowledge")
    o.ask("/static/sub?x=1")
    assert (o.status, o.fields["location"]) == (301, "/static/sub/?x=1")
    assert o.ask("/static/sub/") == b"<p>index"


def test_pathsend(server):
    s = server(*CLEAR, "-k", "asgi", "app:app", files={**FILES, "app.py": ASGI})
    c = connect(s)
    stream = c.request("/")
    assert c.body(stream) == BIG
    stream = c.request("/", "HEAD")
    assert c.body(stream) == b""
    c.close()


def test_a_window_of_the_size_of_a_page(server):
    """A file leaves in as many pieces as the client has room for."""
    s = server(*CLEAR, "--static", "/static=www", "app:app", files={**FILES, "app.py": APP})
    c = connect(s, settings=[(4, 4096)])
    stream = c.request("/static/big.bin")
    first = c.until(DATA, stream)
    assert 0 < len(first[3]) <= 4096 and not first[1] & END_STREAM
    c.close()
