# SPDX-License-Identifier: MIT
"""The project of the documents: what their commands and configurations name."""
import re
import shutil

from . import certificates, control, embedded
from .server import fill

WSGI = """\
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "3")])
    return [b"ok\\n"]

def create_app(*args, **named):
    return app
"""
ASGI = """\
async def application(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})

app = application
"""
CONFIG = """\
workers = 1
accesslog = "log/access.log"
pidfile = "app.pid"
wsgi_app = "shop.wsgi"
"""
PROJECT = {
    "shop/__init__.py": WSGI, "shop/wsgi.py": "from shop import app as application\n",
    "shop/asgi.py": ASGI, "app/__init__.py": WSGI, "app/wsgi.py": WSGI + "application = app\n",
    "shop/jobs.py": "def poll(): pass\n", "main.py": ASGI, "wsgi.py": WSGI + "application = app\n",
    "hooks.py": "def when_ready(server): pass\ndef post_fork(server, worker): pass\n",
    "mypackage.py": "from gunicorn.workers.sync import SyncWorker as MyWorker\n"
                    "def __getattr__(name):\n"
                    "    from uvicorn.workers import UvicornWorker\n"
                    "    return UvicornWorker\n",
    "paste/__init__.py": "", "production.ini": "[app:main]\n",
    "paste/deploy.py": "from shop import create_app as loadapp\n",
    "gunicorn.conf.py": CONFIG, "gunicorn_config.py": CONFIG,
    "new.conf.py": CONFIG + "threads = 2\n",
    "gunicorn.yaml": "workers: 1\n", "log/access.log": "", "run/.keep": "",
    "staticfiles/.keep": "", "dist/index.html": "",
}
PACKAGES = {"gevent": "gevent", "eventlet": "eventlet", "tornado": "tornado",
            "aiohttp.GunicornWebWorker": "aiohttp", "mypackage.UvicornWorker": "uvicorn"}


def made(folder):
    """The folder, with all that the documents name."""
    fill(folder, PROJECT)
    _, pem, key = certificates.shared()
    shutil.copy(pem, folder / "server.pem")
    shutil.copy(key, folder / "server.key")
    return folder


def here(text, folder):
    """Absolute paths of the documents lie below that folder, and are there."""
    def placed(found):
        path = folder / found[0].lstrip("/")
        (path.parent if path.suffix else path).mkdir(parents=True, exist_ok=True)
        return str(path)
    return re.sub(r"/(?:srv|run|var/log)(?:/[\w.-]+)+", placed, text)


def needs_packages(words):
    for word in words:
        if word in PACKAGES:
            embedded.needs(PACKAGES[word])


def checked(project, *words):
    needs_packages(words)
    done = control.ctl(project, "--check-config", *words)
    assert done.status == 0, done
    assert "no setting" not in done.err and "no effect" not in done.err, done
