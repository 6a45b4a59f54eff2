# SPDX-License-Identifier: MIT
"""Every configuration of sample_configs serves, and the page of `make run`."""
import json
import os
import re
import signal

import pytest

from harness.server import ROOT, free_port
from harness.waiting import until

SAMPLES = ROOT / "sample_configs"
APP = """\
import json, os

def app(environ, start_response):
    body = json.dumps({"pid": os.getpid(),
                       "scheme": environ["wsgi.url_scheme"]}).encode()
    start_response("200 OK", [("Content-Type", "application/json"),
                              ("Content-Length", str(len(body)))])
    return [body]
"""
TRIED = {"container.py", "django_nginx.py", "heroku.py", "hooks.py",
         "plain.py", "plain.yaml"}


@pytest.fixture
def sample(server):
    def make(name, *args, **options):
        options.setdefault("files", {"shop.py": APP})
        spec = options.pop("spec", "shop:app")
        return server("-c", str(SAMPLES / name), *args, spec, **options)
    return make


def scheme(server):
    reply = server.get("/", "X-Forwarded-Proto: https")
    return json.loads(reply.body)["scheme"]


def test_every_sample_is_tried_here():
    assert {p.name for p in SAMPLES.iterdir() if p.is_file()} == TRIED


def test_plain_serves_the_sample_page(sample):
    s = sample("plain.py", "--chdir", str(ROOT / "samples/hello"),
               spec="hello:app", files={})
    workers = s.wait_workers(2)
    with s.connect() as peer:
        pages = [peer.get("/").reply().body.decode() for _ in range(3)]
    for i, page in enumerate(pages, 1):
        assert re.search(r"cgunicorn \d+\.\d+\.\d+", page)
        assert re.search(r"<th>Python</th><td>3\.\d+\.\d+", page)
        pid = re.search(r"<th>this worker</th><td>(\d+)<", page)[1]
        assert int(pid) in workers
        assert f"<tr><td>{pid}</td><td>{i}</td></tr>" in page
    until(lambda: '"GET / HTTP/1.1" 200' in s.stdout(), "an access line")


def test_the_sample_page_needs_no_configuration(server):
    s = server("--chdir", str(ROOT / "samples/hello"), "hello:app")
    pid, = s.wait_workers(1)
    assert f"<tr><td>{pid}</td><td>1</td></tr>" in s.get("/").body.decode()


def test_plain_yaml_says_the_same(sample):
    port = free_port()
    s = sample("plain.yaml", bind=None, env={"BIND": f"127.0.0.1:{port}"})
    s.address = ("127.0.0.1", port)
    s.wait_workers(2)
    assert s.get("/").status == 200
    until(lambda: '"GET / HTTP/1.1" 200' in s.stdout(), "an access line")


def test_container_takes_its_numbers_from_the_environment(sample):
    s = sample("container.py", env={"WEB_CONCURRENCY": 3})
    s.wait_workers(3)
    assert scheme(s) == "https"
    until(lambda: '"GET / HTTP/1.1" 200' in s.stdout(), "an access line")


def test_heroku_trusts_its_router_and_loads_once(sample):
    s = sample("heroku.py", env={"WEB_CONCURRENCY": 2})
    s.wait_workers(2)
    assert scheme(s) == "https"


def test_django_nginx_listens_where_nginx_looks(sample, tmp_path):
    path = str(tmp_path / "nginx.sock")
    s = sample("django_nginx.py", bind=None, env={"SHOP_SOCKET": path})
    s.address = path
    s.wait_workers(2 * os.cpu_count() + 1)
    assert scheme(s) == "https"


def test_hooks_tell_what_happens(sample):
    s = sample("hooks.py")
    first, second = s.wait_workers(2)
    s.wait_log(r"\[INFO\] ready: \[\('127.0.0.1', \d+\)\]")
    for pid in (first, second):
        s.wait_log(rf"\[INFO\] worker {pid}\n")
    seen, kept = set(), []

    def both_serve():
        # who has more connections than the other is the last to get the next
        kept.append(s.connect().send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
        seen.add(json.loads(kept[-1].reply().body)["pid"])
        return seen == {first, second}

    until(both_serve, "both have booted")
    for peer in kept:
        peer.close()
    os.kill(first, signal.SIGTERM)
    s.wait_log(rf"\[INFO\] worker {first} says goodbye")
    s.wait_log(rf"\[INFO\] worker {first} is gone")
    assert re.search(rf"\[{first}\] \[INFO\] worker {first} says", s.log())
