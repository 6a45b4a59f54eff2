# SPDX-License-Identifier: MIT
"""Real programs and monitoring tools, as their documents have them run under gunicorn:
each starts, answers, takes and gives files where it does such, survives HUP, stops at
TERM, and writes nothing into the log that is not expected. `make test-apps` installs them
from PyPI; what is not there is skipped."""
import http.cookiejar
import http.server
import json
import os
import pathlib
import re
import shutil
import subprocess
import threading
import urllib.request
import zipfile
import zlib

import pytest

from harness import classes, embedded
from harness.server import command, free_port
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


NEW_RELIC = """\
import json
import newrelic.agent
from newrelic.core.environment import environment_settings

def app(environ, start_response):
    seen = newrelic.agent.current_transaction()
    told = dict(environment_settings())
    body = json.dumps([seen is not None and seen._request_uri, told.get("Dispatcher")]).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


@pytest.mark.parametrize("kind", ["native", "subclass"])
def test_new_relic_sees_requests_and_knows_gunicorn(server, kind):
    """By newrelic-admin around the server; its developer mode needs no network."""
    embedded.needs("newrelic")
    admin = pathlib.Path(os.environ["VIRTUAL_ENV"], "bin/newrelic-admin")
    words = ["-k", "mine.Mine"] if kind == "subclass" else []
    s = server(*words, "shop:app", files={"shop.py": NEW_RELIC, "mine.py": (
        "from gunicorn.workers.sync import SyncWorker\n\nclass Mine(SyncWorker):\n    pass\n")},
        program=[str(admin), "run-program", *command()], env={
            "NEW_RELIC_DEVELOPER_MODE": "true", "NEW_RELIC_APP_NAME": "shop",
            "NEW_RELIC_STARTUP_TIMEOUT": "20", "NEW_RELIC_LOG": "new_relic.log"})
    assert json.loads(request(s, "/sold?a=1")[1]) == ["/sold", "gunicorn"]
    live(s)


def test_opentelemetry_has_a_span_of_each_request(server):
    embedded.needs("opentelemetry.sdk")
    embedded.needs("opentelemetry.instrumentation.wsgi")
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


def command_of(name):
    """A command of the embedded interpreter's environment, or of the system."""
    own = pathlib.Path(os.environ.get("VIRTUAL_ENV", "/usr"), "bin", name)
    if not own.exists():
        pytest.skip(f"there is no {own} (make test-apps installs it)")
    return str(own)


def ran(*words, cwd, env=None, seconds=120):
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, timeout=seconds,
                          stdin=subprocess.DEVNULL,
                          env={**os.environ, "HOME": str(cwd), "no_proxy": "*", **(env or {})})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def small_wheel(folder):
    path = folder / "shelf-1.0-py3-none-any.whl"
    info = "shelf-1.0.dist-info/"
    with zipfile.ZipFile(path, "w") as z:
        z.writestr("shelf.py", "SIZE = 3\n# " + "x" * 200000)
        z.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: shelf\nVersion: 1.0\n")
        z.writestr(info + "WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\n"
                                   "Tag: py3-none-any\n")
        z.writestr(info + "RECORD", f"shelf.py,,\n{info}METADATA,,\n{info}WHEEL,,\n"
                                    f"{info}RECORD,,\n")
    return path


def test_pypiserver_takes_from_twine_and_gives_to_pip(server, tmp_path):
    embedded.needs("pypiserver")
    s = server("--threads", "2", "index:app", files={"index.py": """\
import os, pypiserver
os.makedirs("packages", exist_ok=True)
app = pypiserver.app(roots=["packages"], password_file=".", authenticate=[])
"""})
    ran(command_of("twine"), "upload", "--disable-progress-bar", "--repository-url", s.url("/"),
        "-u", "a", "-p", "b", small_wheel(tmp_path), cwd=tmp_path)
    assert b"shelf-1.0-py3-none-any.whl" in request(s, "/simple/shelf/")[1]
    ran(command_of("pip"), "install", "-q", "--no-cache-dir", "--isolated",
        "--disable-pip-version-check", "--index-url", s.url("/simple/"), "--trusted-host",
        "127.0.0.1", "--target", "got", "shelf", cwd=tmp_path)
    assert "SIZE = 3" in (tmp_path / "got/shelf.py").read_text()
    live(s)


def test_mercurial_clones_and_pushes_over_hgweb(server, tmp_path):
    embedded.needs("mercurial")
    hg = command_of("hg")
    env = {"HGRCPATH": "", "HGUSER": "T", "LC_ALL": "C.UTF-8"}
    ran(hg, "init", "shop", cwd=tmp_path, env=env)
    (tmp_path / "shop/.hg/hgrc").write_text("[web]\nallow-push = *\npush_ssl = false\n")
    s = server("--threads", "2", "hub:app", files={"hub.py": f"""\
from mercurial import demandimport
demandimport.enable()
from mercurial.hgweb import hgweb
app = hgweb({os.fsencode(tmp_path / 'shop')!r})
"""})
    ran(hg, "clone", "-q", s.url("/"), "one", cwd=tmp_path, env=env)
    (tmp_path / "one/big").write_bytes(os.urandom(1 << 20))
    ran(hg, "commit", "-qAm", "first", cwd=tmp_path / "one", env=env)
    ran(hg, "push", "-q", cwd=tmp_path / "one", env=env)
    ran(hg, "clone", "-q", s.url("/"), "two", cwd=tmp_path, env=env)
    assert (tmp_path / "two/big").read_bytes() == (tmp_path / "one/big").read_bytes()
    assert b"first" in request(s, "/log")[1]
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


# ---- whole sites ----

class Visitor:
    """A browser's side: cookies, forms with Django's token, redirects."""

    def __init__(self, server):
        self.server = server
        self.jar = http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(self.jar))

    def get(self, path):
        with self.opener.open(self.server.url(path), timeout=60) as r:
            return r.url, r.read()

    def post(self, path, files=(), **fields):
        """The form of that page, filled in; (where one is led to, the page)."""
        page = self.get(path)[1].decode()
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[1]
        edge, body = "edge9e1f", b""
        parts = [(f'name="{n}"', v.encode()) for n, v in {
            **fields, "csrfmiddlewaretoken": token}.items()]
        parts += [(f'name="{n}"; filename="{f}"\r\nContent-Type: image/png', v)
                  for n, f, v in files]
        for head, value in parts:
            body += (f"--{edge}\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode()
                     + value + b"\r\n")
        r = urllib.request.Request(self.server.url(path), body + f"--{edge}--\r\n".encode(), {
            "Content-Type": "multipart/form-data; boundary=" + edge,
            "Referer": self.server.url(path)})
        with self.opener.open(r, timeout=60) as done:
            return done.url, done.read()


def png(side):
    """A grey square."""
    def chunk(kind, data):
        return (len(data).to_bytes(4, "big") + kind + data
                + zlib.crc32(kind + data).to_bytes(4, "big"))
    head = side.to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
    rows = b"".join(b"\0" + os.urandom(side) for _ in range(side))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head)
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def test_a_wagtail_site_is_administered(server, tmp_path):
    embedded.needs("wagtail")
    folder = tmp_path / "site"
    folder.mkdir()
    python = embedded.executable()
    ran(command_of("wagtail"), "start", "shop", ".", cwd=folder)
    ran(python, "manage.py", "migrate", "-v0", cwd=folder, seconds=300)
    ran(python, "manage.py", "createsuperuser", "--noinput", "--username", "ann", "--email",
        "a@localhost", cwd=folder, env={"DJANGO_SUPERUSER_PASSWORD": "cinnamon-9"})
    s = server("--threads", "2", "shop.wsgi:application", folder=folder,
               env={"DJANGO_SETTINGS_MODULE": "shop.settings.dev"})
    assert b"Welcome to your new Wagtail site" in request(s, "/")[1]
    ann = Visitor(s)
    assert "/admin/login/" in ann.get("/admin/")[0]
    where, page = ann.post("/admin/login/", username="ann", password="cinnamon-9", next="/admin/")
    assert where.endswith("/admin/") and b"Dashboard" in page
    picture = png(600)
    where, page = ann.post("/admin/images/add/", [("file", "grey.png", picture)], title="grey",
                           collection="1")
    assert where.endswith("/admin/images/") and b"grey" in page
    stored, = (folder / "media/original_images").iterdir()
    assert ann.get("/media/original_images/" + stored.name)[1] == picture
    live(s)


MLFLOW_USER = """\
import os, sys
import mlflow
mlflow.set_tracking_uri(sys.argv[1])
mlflow.set_experiment("shop")
with open("model.bin", "wb") as f:
    f.write(os.urandom(3000000))
with mlflow.start_run() as run:
    mlflow.log_param("trees", 9)
    mlflow.log_metric("error", 0.5)
    mlflow.log_artifact("model.bin")
found = mlflow.MlflowClient().get_run(run.info.run_id).data
assert (found.params, found.metrics) == ({"trees": "9"}, {"error": 0.5}), found
got = mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="model.bin",
                                          dst_path="got")
assert open(got, "rb").read() == open("model.bin", "rb").read()
print("tracked")
"""


def test_mlflows_command_starts_this_server_in_gunicorns_place(server, tmp_path):
    """It runs `python -m gunicorn`, which CGUNICORN_AS_GUNICORN=1 makes this server."""
    embedded.needs("mlflow")
    embedded.needs("cgunicorn")
    port = free_port()
    s = server(bind=None, program=[
        command_of("mlflow"), "server", "--host", "127.0.0.1", "--port", str(port),
        "--backend-store-uri", "sqlite:///m.db", "--artifacts-destination", "kept",
        "--workers", "2", "--gunicorn-opts", "--timeout 120"], env={
            "CGUNICORN_AS_GUNICORN": "1", "MLFLOW_DISABLE_TELEMETRY": "true", "no_proxy": "*"})
    s.address = ("127.0.0.1", port)
    command_line, s.pid = s.pid, int(s.wait_log(r"Listening at: .* \((\d+)\)"))
    assert command_line != s.pid
    assert "/_cgunicorn." in pathlib.Path(f"/proc/{s.pid}/maps").read_text()
    assert request(s, "/health") == (200, b"OK") and b"<title>" in request(s, "/")[1]
    (tmp_path / "user.py").write_text(MLFLOW_USER)
    assert ran(embedded.executable(), "user.py", s.url(""), cwd=tmp_path, seconds=240,
               env={"MLFLOW_DISABLE_TELEMETRY": "true"}).endswith("tracked\n")
    live(s, "/health", workers=2)
