# SPDX-License-Identifier: MIT
"""A real Django project: admin, sessions, uploads, streams, static files."""
import hashlib
import json
import os
import re
import shutil
import subprocess

import pytest

from harness import classes, embedded, processes
from harness.clients import Browser, curl
from harness.server import APPS, environment, free_port
from harness.waiting import until

pytestmark = classes.needs_other_than_tornado

UPLOAD = bytes(range(256)) * 4096 * 20  # 20 MiB
SHA = hashlib.sha256(UPLOAD).hexdigest()
# as users have it; `debug` is no setting any more
CONFIG = '''\
import multiprocessing
debug = False
daemon = True
bind = ["127.0.0.1:8000", "unix:/run/user/app.sock"]
workers = multiprocessing.cpu_count() * 2 + 1
backlog = 2048
worker_class = "sync"
worker_connections = 1000
threads = 1
timeout = 30
pidfile = "gunicorn.pid"
errorlog = "log/error.log"
accesslog = "log/access.log"
loglevel = "info"
proc_name = "shop"
def when_ready(server): server.log.info("ready: %s", server.address)
def post_fork(server, worker): server.log.info("worker %s", worker.pid)
'''


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """The project with its database made and a user in it."""
    embedded.needs("django")
    folder = tmp_path_factory.mktemp("django") / "project"
    shutil.copytree(APPS / "django_shop", folder)
    done = subprocess.run(
        [embedded.executable(), "prepare.py"], cwd=folder,
        env=environment(folder), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout.decode()
    (folder / "upload.bin").write_bytes(UPLOAD)
    return folder


@pytest.fixture(scope="module")
def project(prepared, tmp_path_factory):
    """project(): a copy of one's own."""
    def make():
        folder = tmp_path_factory.mktemp("shop") / "project"
        shutil.copytree(prepared, folder)
        return folder
    return make


@pytest.fixture(scope="module", params=["app.wsgi over tcp",
                                        "app.checked over unix"])
def shop(request, project, module_server):
    spec, _, bind = request.param.partition(" over ")
    return module_server(spec, "-w", "2", folder=project(), bind=bind)


@pytest.fixture(autouse=True)
def clean_log(request):
    yield
    if "shop" in request.fixturenames:
        request.getfixturevalue("shop").check_log()


@pytest.fixture
def browser(shop):
    with Browser(shop.address) as one:
        yield one


def log_in(browser, name="ada", password="lovelace"):
    page = browser.get("/admin/login/?next=/admin/")
    assert page.status == 200
    token = re.search(rb'name="csrfmiddlewaretoken" value="(\w+)"', page.data)
    return browser.post_form("/admin/login/", username=name, password=password,
                             next="/admin/",
                             csrfmiddlewaretoken=token[1].decode())


def csrf(page):
    return re.search(rb'name="csrfmiddlewaretoken" value="(\w+)"',
                     page.data)[1].decode()


def test_a_view_is_served(shop):
    assert curl(shop.address, "/") == b"welcome to the shop"


def test_the_database_is_asked(shop):
    assert json.loads(curl(shop.address, "/items/")) == {"items": []}


def test_requests_of_one_client_share_a_connection(browser):
    for _ in range(5):
        assert browser.get("/").data == b"welcome to the shop"
    assert browser.connects == 1


def test_the_admin_lets_a_user_log_in_and_add_something(browser):
    r = log_in(browser)
    assert (r.status, r.headers["Location"]) == (302, "/admin/")
    assert "sessionid" in browser.cookies
    assert b"Site administration" in browser.get("/admin/").data
    page = browser.get("/admin/app/item/add/")
    r = browser.post_form("/admin/app/item/add/", name="kettle", price="12.50",
                          csrfmiddlewaretoken=csrf(page), _save="Save")
    assert (r.status, r.headers["Location"]) == (302, "/admin/app/item/")
    page = browser.get("/admin/app/item/")
    assert b"kettle" in page.data and b"was added successfully" in page.data
    item = re.search(rb"/admin/app/item/(\d+)/change/", page.data)[1].decode()
    page = browser.get(f"/admin/app/item/{item}/delete/")
    r = browser.post_form(f"/admin/app/item/{item}/delete/", post="yes",
                          csrfmiddlewaretoken=csrf(page))
    assert r.status == 302
    assert json.loads(browser.get("/items/").data) == {"items": []}


def test_curl_logs_in_with_its_cookie_jar(shop, tmp_path):
    jar = ["-b", str(tmp_path / "jar"), "-c", str(tmp_path / "jar")]
    page = curl(shop.address, *jar, "/admin/login/")
    token = re.search(rb'name="csrfmiddlewaretoken" value="(\w+)"', page)[1]
    page = curl(shop.address, *jar, "--location", "--data-urlencode",
                "username=ada", "--data-urlencode", "password=lovelace",
                "--data", b"next=/admin/", "--data",
                b"csrfmiddlewaretoken=" + token, "/admin/login/")
    assert b"Site administration" in page
    assert json.loads(curl(shop.address, *jar, "/whoami/"))["user"] == "ada"


def test_a_wrong_password_is_told_in_the_form(browser):
    r = log_in(browser, password="babbage")
    assert r.status == 200
    assert b"Please enter the correct username and password" in r.data


def test_a_form_without_its_token_is_refused(browser, shop):
    shop.announce("Forbidden")
    browser.get("/admin/login/")
    r = browser.post_form("/admin/login/", username="ada", password="lovelace")
    assert r.status == 403 and b"CSRF" in r.data


def test_a_session_lasts_from_worker_to_worker(shop, browser):
    visits, pids = [], set()
    for i in range(60):
        told = json.loads(browser.get("/whoami/").data)
        visits.append(told["visits"])
        pids.add(told["pid"])
        browser.http.close()  # so that the next one may go elsewhere
        if len(pids) == 2:
            break
    assert visits == list(range(1, len(visits) + 1))
    assert pids <= set(shop.workers())


@pytest.mark.parametrize("expect", [(), ("--header", "Expect:")])
def test_an_uploaded_file_of_20_mib_arrives_whole(shop, expect):
    told = json.loads(curl(
        shop.address, *expect, "--form", f"file=@{shop.folder}/upload.bin",
        "--form", "note=caf\u00e9", "/upload/"))
    assert told == {"name": "upload.bin", "size": len(UPLOAD), "sha": SHA,
                    "note": "caf\u00e9"}


def test_a_request_body_arrives_whole(browser):
    data = UPLOAD[:2 << 20]
    r = browser.ask("POST", "/raw/", data, {"Content-Type": "text/plain"})
    assert json.loads(r.data)["sha"] == hashlib.sha256(data).hexdigest()


def test_a_streaming_response_arrives_whole(shop, browser):
    r = browser.get("/rows/?count=20000")
    assert r.headers["Transfer-Encoding"] == "chunked"
    assert r.data == b"".join(b"%d,%d\n" % (i, i * i) for i in range(20000))
    assert curl(shop.address, "/rows/?count=3") == b"0,0\n1,1\n2,4\n"
    assert curl(shop.address, "--http1.0", "/rows/?count=3") \
        == b"0,0\n1,1\n2,4\n"


def test_a_file_is_downloaded(shop, browser):
    r = browser.get("/download/?name=upload.bin")
    assert r.headers["Content-Disposition"].startswith("attachment")
    assert r.headers["Content-Length"] == str(len(UPLOAD))
    assert hashlib.sha256(r.data).hexdigest() == SHA
    got = curl(shop.address, "/download/?name=upload.bin")
    assert hashlib.sha256(got).hexdigest() == SHA


def test_static_files_are_served_in_debug(shop, browser):
    r = browser.get("/static/shop.css")
    assert (r.status, r.headers["Content-Type"]) == (200, "text/css")
    assert r.data == (shop.folder / "app/static/shop.css").read_bytes()
    again = browser.get("/static/shop.css",
                        If_Modified_Since=r.headers["Last-Modified"])
    assert (again.status, again.data) == (304, b"")
    assert browser.get("/static/admin/css/base.css").status == 200


def test_a_missing_page_is_a_404(shop, browser):
    shop.announce("Not Found")
    assert browser.get("/nothing/").status == 404
    assert browser.get("/").status == 200


def test_a_missing_slash_is_redirected(browser):
    r = browser.get("/items")
    assert (r.status, r.headers["Location"]) == (301, "/items/")


def test_head_has_the_fields_and_no_body(shop, browser):
    r = browser.ask("HEAD", "/")
    assert (r.status, r.data) == (200, b"")
    assert b"200 OK" in curl(shop.address, "--head", "/")


def test_redirects_are_followed_by_curl(shop):
    assert curl(shop.address, "--location", "/moved/") == b"welcome to the shop"


def test_an_exception_in_a_view_is_djangos_page(shop, browser):
    shop.announce("the till is jammed")
    r = browser.get("/boom/")
    assert r.status == 500
    assert b"the till is jammed" in r.data
    assert browser.get("/").status == 200


def test_x_forwarded_proto_of_a_trusted_peer_makes_it_secure(browser):
    told = json.loads(browser.get("/whoami/", X_Forwarded_Proto="https").data)
    assert told["secure"] is True


# ---- the configuration that must work as it is ----


def test_the_config_is_taken_to_the_letter(run, project):
    folder = project()
    (folder / "gunicorn_config.py").write_text(CONFIG)
    done = run("--print-config", "-c", "gunicorn_config.py", "app.wsgi",
               cwd=folder)
    assert done.status == 0, done.err
    values = dict(re.split(r"\s+= ", line, maxsplit=1)
                  for line in done.out.splitlines() if " = " in line)
    assert values["bind"].startswith(
        "['127.0.0.1:8000', 'unix:/run/user/app.sock']")
    assert values["workers"].startswith(str(2 * os.cpu_count() + 1))
    assert values["daemon"].startswith("True")
    assert values["proc_name"].startswith("shop")
    done.line_with("gunicorn_config.py:2", "debug", "no effect")


def test_the_config_serves_django_as_a_daemon(server, project):
    folder = project()
    for name in ("log", "run"):
        (folder / name).mkdir()
    port, sock = free_port(), folder / "run/app.sock"
    text = CONFIG.replace("127.0.0.1:8000", f"127.0.0.1:{port}") \
        .replace("unix:/run/user/app.sock", f"unix:{sock}")
    (folder / "gunicorn_config.py").write_text(text)
    s = server("-c", "gunicorn_config.py", "-D", "-p", "run/app.pid",
               "app.wsgi", folder=folder, bind=None, daemon=True,
               pidfile="run/app.pid", errorlog="log/error.log")
    workers = s.wait_workers(2 * os.cpu_count() + 1)
    for address in (("127.0.0.1", port), str(sock)):
        assert curl(address, "/") == b"welcome to the shop"
        with Browser(address) as browser:
            assert log_in(browser).status == 302
            assert b"Site administration" in browser.get("/admin/").data
            r = browser.ask("POST", "/raw/", UPLOAD[:2 << 20], {})
            assert r.status == 200
    s.wait_log(rf"\[INFO\] ready: \[\('127.0.0.1', {port}\), '{sock}'\]")
    for pid in workers:
        s.wait_log(rf"\[{pid}\] \[INFO\] worker {pid}\n")
    assert processes.command_line(s.pid) == "gunicorn: master [shop]"
    until(lambda: (folder / "log/access.log").read_text().count("/raw/") == 2,
          "the access log has both requests")
    s.signal("HUP")
    until(lambda: len(s.workers()) == len(workers)
          and not set(workers) & set(s.workers()),
          lambda: "new workers:\n" + s.tail())
    assert curl(("127.0.0.1", port), "/") == b"welcome to the shop"
    assert s.stop() == 0
    assert not sock.exists() and not (folder / "run/app.pid").exists()
