# SPDX-License-Identifier: MIT
"""Applications that PasteDeploy names. The package is a stand-in that says what it
was asked, so that the tests need none."""
import json

import pytest

from harness import classes

pytestmark = pytest.mark.skipif(classes.under_test() == "asgi",
                                reason="what PasteDeploy loads is WSGI")
DEPLOY = """\
import json
def loadapp(uri, name=None, relative_to=None, global_conf=None):
    if "#nothing" in uri:
        raise LookupError("No section 'nothing'")
    told = json.dumps([uri, name, global_conf]).encode()
    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", str(len(told)))])
        return [told]
    return app
"""
FILES = {"paste/__init__.py": "", "paste/deploy.py": DEPLOY, "shop.ini": "[app:main]\n"}


@pytest.mark.parametrize("words, uri", [
    (["--paste", "shop.ini"], "config:{}/shop.ini"),
    (["--paste", "shop.ini#two"], "config:{}/shop.ini#two"),
    (["--paster", "shop.ini"], "config:{}/shop.ini"),
    (["paste:shop.ini#two"], "config:{}/shop.ini#two"),
    (["egg:shop#main"], "egg:shop#main"),
])
def test_an_application_is_named_by_paste(server, words, uri):
    s = server(*words, files=FILES)
    assert json.loads(s.get("/").body) == [uri.format(s.folder), None, None]


def test_global_variables_are_handed_on(server):
    s = server("--paste", "shop.ini", "--paste-global", "a=1", "--paste-global", "b=x\\=y",
               files=FILES)
    assert json.loads(s.get("/").body)[2] == {"a": "1", "b": "x=y"}


def test_the_file_names_the_process(server):
    s = server("--paste", "shop.ini", files=FILES, config="""\
def when_ready(server):
    server.log.info("name: %s", server.proc_name)
""")
    s.wait_log(f"name: {s.folder}/shop.ini")


def test_its_loggers_are_the_logconfig(server):
    s = server("--paste", "shop.ini", files={**FILES, "shop.ini": """\
[app:main]
use = egg:shop
[loggers]
keys = root, gunicorn
[handlers]
keys = console
[formatters]
keys = own
[logger_root]
level = INFO
handlers = console
[logger_gunicorn]
level = INFO
handlers = console
propagate = 0
qualname = gunicorn.error
[handler_console]
class = StreamHandler
args = (sys.stderr,)
formatter = own
[formatter_own]
format = OWN %(levelname)s %(message)s
"""})
    assert s.get("/").status == 200
    s.wait_log("OWN INFO Booting worker")


@pytest.mark.parametrize("words, told, status", [
    (["--paste", "none.ini"], ["none.ini' not found", "--paste FILE"], 1),
    (["paste:none.ini"], ["none.ini' not found"], 1),
    (["--paste", "shop.ini#nothing"], ["No section 'nothing'"], 3),
    (["--paste", "shop.ini", "--paste-global", "ab"], ["'ab' is not KEY=VALUE"], 3),
])
def test_what_cannot_be_loaded_is_named(run, words, told, status):
    done = run("-b", "127.0.0.1:0", *words, files=FILES, announced=["."])
    assert done.status == status
    assert done.line_with(*told)


def test_a_missing_package_is_named(run):
    files = {**FILES, "paste/deploy.py": "raise ImportError('none here')\n"}
    done = run("-b", "127.0.0.1:0", "--paste", "shop.ini", files=files, announced=["."])
    assert done.status == 3
    assert done.line_with("pip install PasteDeploy")


def test_a_module_called_paste_is_one(server):
    s = server("paste:app", files={"paste.py": """\
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""})
    assert s.get("/").body == b"ok"


def test_the_check_loads_it_too(run):
    assert run("--check-config", "--paste", "shop.ini", files=FILES).status == 0
