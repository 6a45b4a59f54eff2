# SPDX-License-Identifier: MIT
"""Static files: served by the engine, without the application."""
import os
import re

import pytest

from harness import classes, control
from harness.blocked import APP, Blocked
from harness.logcheck import lines
from harness.waiting import until

FILES = {
    "app.py": APP,
    "www/a.css": "body { color: red }\n",
    "www/a.css.gz": "not really gzip",
    "www/a.css.br": "nor brotli",
    "www/app.3f2a91c4.js": "1",
    "www/sub/index.html": "<p>index",
    "www/.env": "SECRET",
    "www/.git/config": "SECRET",
    "secret": "SECRET",
}
CSS = FILES["www/a.css"].encode()


def lay_traps(folder):
    www = folder / "www"
    for name, target in (("out", "/etc/passwd"), ("up", "../secret"),
                         ("etc", "/etc"), ("in", "a.css")):
        (www / name).symlink_to(target)
    os.mkfifo(www / "pipe")
    (www / "big.bin").write_bytes(bytes(range(256)) * 4096 * 12)


@pytest.fixture
def static(server):
    def start(*args, app="app:app", traps=False, files=FILES, **kw):
        s = server("--static", "/static=www", "--access-logfile", "a.log",
                   *args, app, files=files, **kw)
        if traps:
            lay_traps(s.folder)
        return s
    return start


def test_its_access_line_has_the_fields_of_request_and_reply(static):
    s = static("--access-logformat",
               '%(s)s "%({user-agent}i)s" "%({X-None}i)s" "%({etag}o)s" '
               '"%({PATH_INFO}e)s"')
    etag = s.get("/static/a.css", "User-Agent: old", "User-Agent: me").one("ETag")
    s.get("/static/a.css", f"If-None-Match: {etag}")
    shown = etag.replace('"', '\\"')
    assert lines(s.folder / "a.log", 2) == [
        f'200 "me" "-" "{shown}" "-"', f'304 "-" "-" "{shown}" "-"']


def test_a_file_comes_with_what_a_cache_wants(static):
    s = static()
    r = s.get("/static/a.css")
    assert (r.status, r.body) == (200, CSS)
    assert r.one("Content-Type") == "text/css; charset=utf-8"
    assert r.one("Content-Length") == str(len(CSS))
    assert r.one("Accept-Ranges") == "bytes"
    assert r.one("Vary") == "Accept-Encoding"
    assert re.fullmatch(r'"[0-9a-f]+-[0-9a-f]+"', r.one("ETag"))
    head = s.get("/static/a.css", method="HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.one("Content-Length") == str(len(CSS))
    for field in (f"If-None-Match: {r.one('ETag')}",
                  f"If-Modified-Since: {r.one('Last-Modified')}"):
        again = s.get("/static/a.css", field)
        assert (again.status, again.body) == (304, b"")
        assert again.one("ETag") == r.one("ETag")
    assert s.get("/static/a.css", 'If-Match: "x"').status == 412
    immutable = s.get("/static/app.3f2a91c4.js")
    assert "immutable" in immutable.one("Cache-Control")
    assert r.one("Cache-Control") is None
    lines = (s.folder / "a.log").read_text()
    assert f'"GET /static/a.css HTTP/1.1" 200 {len(CSS)} ' in lines
    until(lambda: control.status(s)["requests_total"] >= 6, "it is counted")


def test_ranges_and_a_large_file(static):
    s = static(traps=True)
    whole = (s.folder / "www/big.bin").read_bytes()
    with s.connect() as c:
        r = c.get("/static/big.bin").reply()
        assert r.status == 200 and r.body == whole
        r = c.get("/static/big.bin", "Range: bytes=5-10").reply()
        assert (r.status, r.body) == (206, whole[5:11])
        assert r.one("Content-Range") == f"bytes 5-10/{len(whole)}"
        r = c.get("/static/big.bin", "Range: bytes=-3000000").reply()
        assert r.body == whole[-3000000:]
        r = c.get("/static/big.bin", "Range: bytes=0-1,300-301").reply()
        boundary = r.one("Content-Type").partition("boundary=")[2]
        assert r.status == 206 and r.body.endswith(
            f"\r\n--{boundary}--\r\n".encode())
        assert b"\r\n\r\n\x00\x01\r\n--" in r.body
        r = c.get("/static/big.bin", f"Range: bytes={len(whole)}-").reply()
        assert r.status == 416
        assert r.one("Content-Range") == f"bytes */{len(whole)}"
        r = c.get("/static/big.bin", "Range: bytes=0-0", 'If-Range: "old"')
        assert r.reply().status == 200
        parts = ",".join(f"{i}-{i}" for i in range(500))
        c.get("/static/big.bin", f"Range: bytes={parts}")
        assert c.reply().status == 200


def test_what_lies_beside_it_is_sent_to_who_takes_it(static):
    s = static()
    for accepted, coding in (("gzip", "gzip"), ("gzip, br", "br"),
                             ("gzip;q=1, br;q=0.1", "gzip"),
                             ("zstd", None), ("gzip;q=0", None)):
        r = s.get("/static/a.css", f"Accept-Encoding: {accepted}")
        assert r.one("Content-Encoding") == coding, accepted
        ending = {"gzip": ".gz", "br": ".br", None: ""}[coding]
        assert r.body == FILES[f"www/a.css{ending}"].encode()
        assert r.one("Content-Type") == "text/css; charset=utf-8"


OUTSIDE = (".env", ".git/config", "../secret", "%2e%2e/secret",
           "..%2fsecret", "sub/../../secret", "%2e%2e%2fsecret", "out", "up",
           "etc/passwd", "pipe", "a.css%00", "/a.css", "a.css/", "no", "sub",
           "%")


def test_nothing_hidden_or_outside_is_served(static):
    s = static("--static-missing", "404", traps=True)
    for name in OUTSIDE:
        with s.connect() as c:
            r = c.get(f"/static/{name}").reply()
        wanted = (404, 200) if name.endswith(("%", "%00")) else (404,)
        assert r.status in wanted and b"SECRET" not in r.body, name
    assert s.get("/static/in").body == CSS


def test_what_is_not_there_is_the_applications(static):
    s = static()
    assert s.get("/static/no").body.isdigit()
    assert s.get("/statics/a.css").body.isdigit()
    assert s.post("/static/a.css", b"abc").body.split()[1] == b"3"


def test_a_folder_has_its_index_and_a_page_its_fallback(static):
    s = static("--static-index", "index.html", "--static-fallback",
               "sub/index.html", "--static-expires", "index.html=0")
    r = s.get("/static/sub?x=1")
    assert (r.status, r.one("Location")) == (301, "/static/sub/?x=1")
    r = s.get("/static/sub/")
    assert r.body == b"<p>index" and r.one("Cache-Control") == "no-cache"
    assert s.get("/static/deep/page").body == b"<p>index"
    assert s.get("/static/no.js").body.isdigit()


def test_files_are_served_while_all_workers_are_blocked(static):
    s = static()
    blocked = Blocked(s, s.connect(), "n0")
    for _ in range(3):
        with s.connect() as c:
            for _ in range(2):
                assert c.get("/static/a.css").reply().body == CSS
    blocked.go()
    assert blocked.peer.reply().status == 200
    blocked.peer.close()


def test_a_mapping_of_a_file_counts_and_a_reload_changes_it(static):
    s = static(config="static = {'/other': 'www/sub', '/static': 'www'}\n")
    assert s.get("/static/a.css").body == CSS
    if not classes.has_package():
        assert s.get("/other/index.html").body.isdigit()  # the options win


def test_a_folder_may_be_a_path_object(server):
    """As Django's settings have it."""
    s = server("app:app", files=FILES, config="""
import pathlib
static = {"/static": pathlib.Path("www")}
""")
    assert s.get("/static/a.css").body == CSS


@pytest.mark.parametrize("args, words", [
    (["--static", "/static=no/such"], ["no/such", "No such file"]),
    (["--static", "/static=app.py"], ["app.py", "Not a directory"]),
    (["--static", "/static"], ["'/static'", "PREFIX=FOLDER"]),
    (["--static", "static=."], ["/static=.", "slash"]),
    (["--static", "/s=.", "--static-expires", "*=soon"], ["*=soon", "seconds"]),
    (["--sendfile-root", "no/such"], ["sendfile_root", "no/such"]),
])
def test_what_cannot_be_served_is_told_at_the_start(run, args, words):
    done = run(*args, "app:app", files=FILES)
    assert done.status == 1
    done.line_with(*words)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_folder_that_the_workers_may_not_read_is_told(run, other_user, tmp_path):
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    done = run("--preload", "--user", "nobody", "--group", "nogroup", "-b", "127.0.0.1:0",
               "--static", f"/s={private}", "app:app", files=FILES)
    assert done.status == 3
    done.line_with("static", str(private), "for the user that workers run as")


SENDING = """
def app(environ, start_response):
    name = environ["QUERY_STRING"]
    field = "X-Sendfile" if environ["PATH_INFO"] == "/file" else "X-Accel-Redirect"
    fields = [("Content-Type", "text/x-mine"), (field, name), ("X-Kept", "1"),
              ("Content-Length", "4")]
    start_response("200 OK", fields)
    return [b"body"] if environ["PATH_INFO"] != "/parts" else iter([b"bo", b"dy"])
"""


def test_an_application_has_a_file_sent(static):
    s = static("--sendfile-root", "www", traps=True,
               files={**FILES, "app.py": SENDING})
    folder = s.folder / "www"
    for target in (f"/file?{folder}/a.css", "/file?a.css", "/path?/a.css",
                   "/path?/%61.css", "/parts?/a.css"):
        with s.connect() as c:
            r = c.get(target).reply()
            assert (r.status, r.body) == (200, CSS), target
            assert r.one("Content-Type") == "text/x-mine"
            assert r.one("X-Kept") == "1"
            assert r.one("X-Sendfile") is r.one("X-Accel-Redirect") is None
            part = c.get(target, "Range: bytes=0-3").reply()
            assert (part.status, part.body) == (206, CSS[:4])
            same = c.get(target, f"If-None-Match: {r.one('ETag')}").reply()
            assert same.status == 304
            assert c.get(target, method="HEAD").reply("HEAD").body == b""
    assert s.get("/file?no").status == 404
    for outside in ("/file?/etc/passwd", "/file?../secret", "/path?/out",
                    "/path?/%2e%2e/secret", "/path?/etc/passwd"):
        r = s.get(outside)
        assert r.status in (404, 500) and b"SECRET" not in r.body, outside
    s.wait_log("sendfile_root: cannot send")


def test_without_a_folder_the_field_is_one_like_any_other(static):
    r = static(files={**FILES, "app.py": SENDING}).get("/file?a.css")
    assert (r.body, r.one("X-Sendfile")) == (b"body", "a.css")
