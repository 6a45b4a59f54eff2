# SPDX-License-Identifier: MIT
"""Real programs and monitoring tools, as their documents have them run under gunicorn:
each starts, answers, takes and gives files where it does such, survives HUP, stops at
TERM, and writes nothing into the log that is not expected. `make test-apps` installs them
from PyPI; what is not there is skipped."""
import http.server
import json
import os
import pathlib
import re
import shutil
import subprocess
import threading
import urllib.request

import pytest

from harness import classes, embedded
from harness.server import command
from harness.waiting import until

pytestmark = pytest.mark.skipif(
    bool(classes.under_test() != "sync" or classes.multithread()),
    reason="the class is the test's own")
EXPECTED = re.compile(r"Workers run as root")


def request(server, path, data=None, method=None, **fields):
    """(status, body)"""
    r = urllib.request.Request(server.url(path), data, {
        k.replace("_", "-"): v for k, v in fields.items()}, method=method)
    try:
        with urllib.request.urlopen(r, timeout=30) as found:
            return found.status, found.read()
    except urllib.error.HTTPError as e:
        return e.code, e.read()


def live(server, path="/", workers=1):
    """A reload, after which others serve, and a stop; nothing unexpected is logged."""
    old = server.wait_workers(workers)
    server.signal("HUP")
    until(lambda: len(server.workers()) == workers and not set(old) & set(server.workers()),
          lambda: "other workers\n" + server.tail())
    until(lambda: request(server, path)[0] == 200, "it serves again")
    assert server.stop() == 0
    trouble = [line for line in server.log().splitlines()
               if re.search(r"\[(WARNING|ERROR|CRITICAL)\]", line) and not EXPECTED.search(line)]
    assert trouble == []


# ---- monitoring ----

def test_prometheus_client_counts_over_all_workers(server, tmp_path):
    embedded.needs("prometheus_client")
    (tmp_path / "metrics").mkdir()
    s = server("-w", "2", "shop:app", env={"PROMETHEUS_MULTIPROC_DIR": tmp_path / "metrics"},
               files={"shop.py": """\
from prometheus_client import CollectorRegistry, Counter, generate_latest, multiprocess
REQUESTS = Counter("shop_requests", "requests")

def app(environ, start_response):
    if environ["PATH_INFO"] == "/metrics":
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)
        body = generate_latest(registry)
    else:
        REQUESTS.inc()
        body = b"sold"
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""}, config="""\
from prometheus_client import multiprocess
def child_exit(server, worker):
    multiprocess.mark_process_dead(worker.pid)
""")
    for _ in range(10):
        assert request(s, "/")[0] == 200
    assert b"shop_requests_total 10.0" in request(s, "/metrics")[1]
    live(s, workers=2)


class Envelopes(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        size = int(self.headers.get("Content-Length") or 0)
        self.server.bodies.append(self.rfile.read(size))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    do_GET = do_PUT = do_POST

    def log_message(self, *args):
        pass


@pytest.fixture
def collector():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Envelopes) as s:
        s.bodies = []
        thread = threading.Thread(target=s.serve_forever)
        thread.start()
        yield s
        s.shutdown()
        thread.join()


def test_sentry_is_told_of_a_failure(server, collector):
    embedded.needs("sentry_sdk")
    embedded.needs("flask")
    s = server("shop:app", announced=["ZeroDivisionError"], files={"shop.py": f"""\
import sentry_sdk
sentry_sdk.init("http://key@127.0.0.1:{collector.server_port}/1", auto_session_tracking=False)
from flask import Flask
app = Flask(__name__)

@app.get("/")
def index():
    return "shop"

@app.get("/fail")
def fail():
    1 / 0
"""}, env={"no_proxy": "127.0.0.1", "SENTRY_KEEP_ALIVE": "0"})
    assert request(s, "/fail")[0] == 500
    told = until(lambda: [b for b in collector.bodies if b], "an envelope")
    assert told and request(s, "/") == (200, b"shop")
    live(s)


def test_datadogs_tracer_sees_requests(server, collector):
    """By the command that its documents name, around the server's."""
    embedded.needs("ddtrace")
    embedded.needs("flask")
    tracer = pathlib.Path(os.environ["VIRTUAL_ENV"], "bin/ddtrace-run")
    s = server("shop:app", files={"shop.py": "from flask import Flask\napp = Flask(__name__)\n"
                                             "app.get('/')(lambda: 'shop')\n"},
               program=[str(tracer), *command()], env={
        "DD_TRACE_AGENT_URL": f"http://127.0.0.1:{collector.server_port}", "no_proxy": "*",
        "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
        "DD_REMOTE_CONFIGURATION_ENABLED": "false"})
    assert request(s, "/") == (200, b"shop")
    until(lambda: any(b"flask" in b for b in collector.bodies), "a trace")
    live(s)


def test_opentelemetry_has_a_span_of_each_request(server):
    embedded.needs("opentelemetry")
    s = server("shop:app", files={"shop.py": """\
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware

def shop(environ, start_response):
    start_response("200 OK", [("Content-Length", "4")])
    return [b"shop"]

app = OpenTelemetryMiddleware(shop)
"""}, config="""\
def post_fork(server, worker):
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(
        ConsoleSpanExporter(out=open("spans", "a", buffering=1))))
    trace.set_tracer_provider(provider)
""")
    assert request(s, "/seen") == (200, b"shop")
    spans = s.folder / "spans"
    until(lambda: spans.exists() and '"http.method": "GET"' in spans.read_text(), "a span")
    live(s)


# ---- programs ----

def test_wsgidav_keeps_files(server):
    embedded.needs("wsgidav")
    s = server("--threads", "4", "dav:app", files={"share/a.txt": "first", "dav.py": """\
from wsgidav.wsgidav_app import WsgiDAVApp
app = WsgiDAVApp({"provider_mapping": {"/": "share"}, "simple_dc": {"user_mapping": {"*": True}},
                  "verbose": 1, "logging": {"enable": False}})
"""})
    assert request(s, "/a.txt") == (200, b"first")
    assert request(s, "/b.bin", b"x" * 3000000, "PUT")[0] == 201
    assert request(s, "/b.bin")[1] == b"x" * 3000000
    assert request(s, "/folder", method="MKCOL")[0] == 201
    status, body = request(s, "/", method="PROPFIND", Depth="1")
    assert status == 207 and b"b.bin" in body and b"folder" in body
    assert request(s, "/b.bin", method="DELETE")[0] == 204
    live(s, "/a.txt")


def test_pypiserver_takes_and_gives_packages(server):
    embedded.needs("pypiserver")
    s = server("--threads", "2", "index:app", files={"index.py": """\
import os, pypiserver
os.makedirs("packages", exist_ok=True)
app = pypiserver.app(roots=["packages"], password_file=".", authenticate=[])
"""})
    edge = "edge"
    fields = [('name=":action"', b"file_upload"),
              ('name="content"; filename="shop-1.0.tar.gz"', b"\x1f\x8b" + b"p" * 200000)]
    body = b"".join(b"--%s\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n"
                    % (edge.encode(), n.encode(), v) for n, v in fields)
    body += b"--%s--\r\n" % edge.encode()
    status, said = request(s, "/", body, Content_Type="multipart/form-data; boundary=" + edge)
    assert status == 200, said
    assert b"shop-1.0.tar.gz" in request(s, "/simple/shop/")[1]
    assert request(s, "/packages/shop-1.0.tar.gz")[1].endswith(b"p" * 200000)
    live(s)


def test_git_clones_and_pushes_over_dulwich(server, tmp_path):
    embedded.needs("dulwich")
    if shutil.which("git") is None:
        pytest.skip("there is no git")
    s = server("--threads", "2", "hub:app", files={"hub.py": """\
import os
from dulwich.repo import Repo
from dulwich.server import DictBackend
from dulwich.web import make_wsgi_chain
repo = Repo("r.git") if os.path.exists("r.git") else Repo.init_bare("r.git", mkdir=True)
app = make_wsgi_chain(DictBackend({"/r": repo}))
"""})
    env = {**os.environ, "HOME": str(tmp_path), "GIT_TERMINAL_PROMPT": "0", "no_proxy": "*"}
    for name in ("AUTHOR", "COMMITTER"):
        env |= {f"GIT_{name}_NAME": "T", f"GIT_{name}_EMAIL": "t@localhost"}

    def git(*words, cwd=tmp_path):
        done = subprocess.run(["git", *words], cwd=cwd, env=env, capture_output=True, text=True,
                              timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    git("init", "-q", "-b", "main", "one")
    (tmp_path / "one/big").write_bytes(os.urandom(1 << 20))
    git("add", "big", cwd=tmp_path / "one")
    git("commit", "-qm", "first", cwd=tmp_path / "one")
    git("push", "-q", s.url("/r"), "main", cwd=tmp_path / "one")
    git("clone", "-q", "-b", "main", s.url("/r"), "two")
    assert (tmp_path / "two/big").read_bytes() == (tmp_path / "one/big").read_bytes()
    live(s, "/r/info/refs?service=git-upload-pack")


FASTAPI = """\
from fastapi import FastAPI, Request
app = FastAPI()

@app.get("/")
def index():
    return {"shop": 1}

@app.post("/upload")
async def upload(request: Request):
    return {"size": len(await request.body())}
"""
CLASSES = {
    "subclass": "from uvicorn.workers import UvicornWorker\n\nclass Mine(UvicornWorker):\n"
                "    CONFIG_KWARGS = {'loop': 'asyncio', 'http': 'h11'}\n",
    "uvicorn_worker": "from uvicorn_worker import UvicornWorker\n\n"
                      "class Mine(UvicornWorker):\n    pass\n",
}


@pytest.mark.parametrize("kind", CLASSES)
def test_fastapi_by_a_subclass_of_uvicorns_worker(server, kind):
    embedded.needs("fastapi")
    embedded.needs("uvicorn" if kind == "subclass" else kind)
    s = server("-k", "mine.Mine", "shop:app", files={"shop.py": FASTAPI, "mine.py": CLASSES[kind]},
               env={"PYTHONWARNINGS": "ignore"}, announced=["was sent SIGTERM"])
    assert request(s, "/") == (200, b'{"shop":1}')
    assert json.loads(request(s, "/upload", b"x" * 2000000)[1]) == {"size": 2000000}
    global EXPECTED
    before, EXPECTED = EXPECTED, re.compile(EXPECTED.pattern + "|was sent SIGTERM")
    try:
        live(s)
    finally:
        EXPECTED = before


def test_aiohttp_by_its_own_worker(server):
    embedded.needs("aiohttp")
    s = server("-k", "aiohttp.GunicornWebWorker", "shop:app", files={"shop.py": """\
from aiohttp import web

async def index(request):
    return web.Response(text="shop")

async def upload(request):
    return web.Response(text=str(len(await request.read())))

app = web.Application(client_max_size=1 << 24)
app.add_routes([web.get("/", index), web.post("/upload", upload)])
"""})
    assert request(s, "/") == (200, b"shop")
    assert request(s, "/upload", b"x" * 2000000)[1] == b"2000000"
    live(s)


def test_sanic_is_an_asgi_application(server):
    """The worker that Sanic had for gunicorn is gone since 22.9."""
    embedded.needs("sanic")
    s = server("-k", "asgi", "shop:app", files={"shop.py": """\
from sanic import Sanic
from sanic.response import text
app = Sanic("shop")

@app.get("/")
async def index(request):
    return text("shop")

@app.post("/upload")
async def upload(request):
    return text(str(len(request.body)))
"""})
    assert request(s, "/") == (200, b"shop")
    assert request(s, "/upload", b"x" * 2000000)[1] == b"2000000"
    live(s)


def test_pyramid_is_served_by_its_ini_file(server):
    embedded.needs("pyramid")
    s = server("--paste", "production.ini", files={"pyramid_shop.py": """\
from pyramid.config import Configurator
from pyramid.response import Response

def main(global_config, **settings):
    with Configurator(settings=settings) as config:
        config.add_route("index", "/")
        config.add_view(lambda request: Response(settings["greeting"]), route_name="index")
        return config.make_wsgi_app()
""", "production.ini": """\
[app:main]
paste.app_factory = pyramid_shop:main
greeting = shop
"""})
    assert request(s, "/") == (200, b"shop")
    live(s)
