# SPDX-License-Identifier: MIT
"""What applications and hooks find of gunicorn: names, objects, attributes."""
import json

import pytest

from harness import classes

APP = """\
import json

def app(environ, start_response):
    body = b"ok"
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
MODULES = """\
import json, sys

def app(environ, start_response):
    body = json.dumps({n: type(m).__name__ for n, m in sys.modules.items()
                       if n.partition(".")[0] == "gunicorn"}).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
MODULE_OF = {"sync": "sync", "gthread": "gthread", "gevent": "ggevent",
             "eventlet": "geventlet", "tornado": "gtornado"}


def class_module():
    name = classes.under_test()
    if name == "sync" and classes.multithread():
        name = "gthread"
    return f"gunicorn.workers.{MODULE_OF[name]}"


# ---- names ----


def test_gunicorn_is_among_the_modules_of_a_worker(server):
    """MLflow decides by it whether its security middleware is on."""
    s = server("shop:app", files={"shop.py": MODULES})
    found = json.loads(s.get("/").body)
    for name in ("gunicorn", "gunicorn.app", "gunicorn.app.base",
                 "gunicorn.arbiter", "gunicorn.errors", "gunicorn.util",
                 "gunicorn.workers", "gunicorn.workers.base",
                 "gunicorn.glogging", class_module()):
        assert name in found


def test_gunicorn_is_there_when_the_configuration_runs(server):
    s = server("shop:app", files={"shop.py": APP}, config="""\
import sys
assert "gunicorn.app.wsgiapp" in sys.modules
assert "gunicorn.workers" in sys.modules
assert "gunicorn.glogging" not in sys.modules
del sys
""")
    assert s.get("/").status == 200


def test_modules_that_nobody_looks_at_are_not_loaded(server):
    s = server("shop:app", files={"shop.py": MODULES})
    found = json.loads(s.get("/").body)
    assert found["gunicorn.app.wsgiapp"] == "Late"
    assert found["gunicorn.arbiter"] == "Late"


@pytest.mark.parametrize("use", [
    "import gunicorn.arbiter\nassert gunicorn.arbiter.Arbiter.APP_LOAD_ERROR == 4",
    "from gunicorn.arbiter import Arbiter\nassert Arbiter.WORKER_BOOT_ERROR == 3",
    "from gunicorn import errors\nassert issubclass(errors.ConfigError, Exception)",
    "import gunicorn.app.wsgiapp\nassert gunicorn.app.base.Application",
    "import sys\nassert sys.modules['gunicorn.app'].base.Application",
    "import importlib, gunicorn.util\nimportlib.reload(gunicorn.util)\n"
    "assert gunicorn.util.getcwd()",
    "import sys\nfor m in list(sys.modules.values()):\n"
    "    getattr(m, '__file__', None)\n",
    "import gunicorn.util as u\nu.mine = 1\nimport gunicorn.util\n"
    "assert gunicorn.util.mine == 1 and u.getcwd",
])
def test_a_module_is_whole_when_it_is_looked_at(server, use):
    s = server("shop:app", files={"shop.py": use + "\n" + APP})
    assert s.get("/").status == 200


FOREIGN = {"site/gunicorn/__init__.py": "__version__ = '99'\n"
                                        "SERVER = 'theirs'\n",
           "site/gunicorn/util.py": "mine = 'installed'\n",
           "site/gunicorn/broken.py": "1 / 0\n",
           "site/gunicorn/workers/__init__.py": "",
           "site/gunicorn/arbiter.py": "open('loaded', 'w')\n"}


def test_an_installed_gunicorn_is_registered_and_loaded_when_it_is_used(server):
    s = server("shop:app", files={**FOREIGN, "shop.py": MODULES},
               env={"PYTHONPATH": "site"})
    found = json.loads(s.get("/").body)
    assert found["gunicorn"] == "module"
    assert found["gunicorn.util"] == found["gunicorn.arbiter"] == "Late"
    assert "gunicorn.errors" not in found  # this one has none
    assert not (s.folder / "loaded").exists()


def test_an_installed_gunicorn_answers_imports(server):
    s = server("shop:app", env={"PYTHONPATH": "site"}, files={
        **FOREIGN, "shop.py": "import gunicorn.util\n"
        "assert gunicorn.__version__ == '99'\n"
        "assert gunicorn.util.mine == 'installed'\n" + APP})
    assert s.get("/").status == 200


def test_a_folder_of_that_name_in_the_project_is_not_taken_for_it(server):
    s = server("shop:app", files={
        "gunicorn/conf.py": "", "shop.py":
        "import gunicorn.arbiter\nassert gunicorn.SERVER\n" + APP})
    assert s.get("/").status == 200


def test_a_broken_gunicorn_does_not_keep_the_server_from_starting(server):
    s = server("shop:app", env={"PYTHONPATH": "site"}, files={
        "site/gunicorn/__init__.py": "import nothing_of_this_name\n",
        "shop.py": APP})
    assert s.get("/").status == 200
