# SPDX-License-Identifier: MIT
"""The interpreter inside the program under test: what it is, what it has."""
import functools
import json
import pathlib
import subprocess
import tempfile

import pytest

from .server import command, environment

PROBE = """\
import importlib.util, json, sys
told = {"executable": sys.executable, "base_prefix": sys.base_prefix,
        "version": sys.version_info[:2]}
def is_there(name):
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False
for name in \"\"\"aiohttp apscheduler cgunicorn ddtrace django dulwich eventlet fastapi flask
        flask_socketio gevent geventwebsocket mercurial mlflow newrelic
        opentelemetry.instrumentation.wsgi opentelemetry.sdk prometheus_client
        pypiserver pyramid requests sanic sentry_sdk simple_websocket socketio
        tornado uvicorn uvicorn_worker wagtail websocket wsgidav\"\"\".split():
    if is_there(name):
        told[name] = True
with open("told.json", "w") as f:
    json.dump(told, f)
app = print
"""


@functools.lru_cache(maxsize=None)
def told(plain=False):
    """What it says of itself; plain: without an active environment."""
    without = {"VIRTUAL_ENV": None, "PATH": "/usr/bin:/bin"} if plain else {}
    with tempfile.TemporaryDirectory() as folder:
        with open(f"{folder}/probe.py", "w") as f:
            f.write(PROBE)
        done = subprocess.run(
            [*command(), "--check-config", "probe:app"], cwd=folder,
            env=environment(folder, without), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert done.returncode == 0, done.stderr.decode()
        with open(f"{folder}/told.json") as f:
            return json.load(f)


def executable():
    return told()["executable"]


def is_for_everybody():
    """Others than its owner reach its library: not below a folder of root's."""
    prefix = pathlib.Path(told()["base_prefix"])
    return all(p.stat().st_mode & 0o001 for p in [prefix, *prefix.parents])


def has(package):
    return package in told()


def needs(package):
    """Skips a test when the embedded interpreter has no such package."""
    if not has(package):
        pytest.skip(f"{executable()}, which is embedded, has no {package} "
                    "(make test-matrix installs it)")


@functools.lru_cache(maxsize=None)
def is_free_threaded():
    """It can run without a GIL."""
    done = subprocess.run(
        [executable(), "-c",
         "import sysconfig; print(sysconfig.get_config_var('Py_GIL_DISABLED'))"],
        capture_output=True, text=True, check=True)
    return done.stdout.strip() == "1"


def needs_gil():
    """Skips a test about those who keep the GIL where nobody can."""
    if is_free_threaded():
        pytest.skip(f"{executable()}, which is embedded, runs without a GIL")


def needs_free_threading():
    """Skips a test where there is always a GIL."""
    if not is_free_threaded():
        pytest.skip(f"{executable()}, which is embedded, is no free-threaded build "
                    "(make PYTHON=python3.14t)")
