# SPDX-License-Identifier: MIT
"""The ways to name an application."""
import importlib.util

import pytest

from harness.waiting import until

SHOP = """\
class Shop:
    def __init__(self, name):
        self.name = name

    def __call__(self, environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [self.name.encode()]


def create_app(debug=True, name="factory"):
    return Shop(f"{name} debug={debug}")


app = Shop("app")
application = Shop("application")
holder = Shop("holder")
holder.wsgi = Shop("attribute")
"""


@pytest.mark.parametrize("spec, body", [
    ("shop:app", b"app"),
    ("shop", b"application"),
    ("shop:create_app()", b"factory debug=True"),
    ("shop:create_app(debug=False)", b"factory debug=False"),
    ("shop:create_app(False, name='x')", b"x debug=False"),
    ("pkg.mod:holder.wsgi", b"attribute"),
    ("pkg.mod:app", b"app"),
])
def test_an_application_named_so_is_found(server, spec, body):
    s = server(spec, bind="unix", files={
        "shop.py": SHOP, "pkg/__init__.py": "", "pkg/mod.py": SHOP})
    assert s.get("/").body == body


def test_the_layout_of_a_django_project_is_found(server):
    s = server("app.wsgi", bind="unix",
               files={"app/__init__.py": "", "app/wsgi.py": SHOP})
    assert s.get("/").body == b"application"


def test_an_application_named_in_the_config_file_is_found(server):
    s = server(bind="unix", config='wsgi_app = "shop:app"\n',
               files={"shop.py": SHOP})
    assert s.get("/").body == b"app"


def test_the_command_line_wins_over_the_config_file(server):
    s = server("shop:application", bind="unix",
               config='wsgi_app = "shop:app"\n', files={"shop.py": SHOP})
    assert s.get("/").body == b"application"


def test_chdir_makes_a_module_elsewhere_importable(server):
    s = server("--chdir", "src", "shop:app", bind="unix",
               files={"src/shop.py": SHOP})
    assert s.get("/").body == b"app"


def test_pythonpath_makes_a_module_elsewhere_importable(server):
    s = server("--pythonpath", "src", "shop:app", bind="unix",
               files={"src/shop.py": SHOP})
    assert s.get("/").body == b"app"


def test_an_application_is_loaded_once_per_process(server):
    s = server("shop:app", "-w", "2", bind="unix", files={
        "shop.py": 'print("loaded", flush=True)\n' + SHOP})
    until(lambda: s.stdout() == "loaded\nloaded\n",
          lambda: "both have loaded it: " + s.stdout())
    s.get("/")
    s.stop()
    assert s.stdout() == "loaded\nloaded\n"


def test_a_preloaded_application_is_loaded_once_in_the_master(server):
    s = server("--preload", "shop:app", "-w", "2", bind="unix", files={
        "shop.py": 'import os\nprint(os.getpid(), flush=True)\n' + SHOP})
    assert s.get("/").body == b"app"
    s.stop()
    assert s.stdout() == f"{s.pid}\n"


def test_raw_env_reaches_the_application(server):
    s = server("--env", "GREETING=a=b", "shop:app", bind="unix", files={
        "shop.py": "import os\n" + SHOP +
        'app = Shop(os.environ["GREETING"])\n'})
    assert s.get("/").body == b"a=b"


def test_the_program_names_itself_to_the_application(server):
    s = server("shop:app", bind="unix", files={
        "shop.py": "import os, sys\n" + SHOP +
        'app = Shop(os.environ["SERVER_SOFTWARE"] + " " + sys.argv[0])\n'})
    software, argv0 = s.get("/").body.decode().split(" ", 1)
    assert software.startswith("gunicorn/")
    assert argv0


@pytest.mark.parametrize("package", [None, "gunicorn"])
def test_a_configuration_may_change_how_the_server_names_itself(
        server, package, tmp_path):
    """Whether or not there is a package of gunicorn's name to import."""
    if package:
        there = tmp_path / "site" / package
        there.mkdir(parents=True)
        (there / "__init__.py").write_text(
            "__version__ = '27.0.1'\nSERVER = 'gunicorn'\n"
            "SERVER_SOFTWARE = 'gunicorn/27.0.1'\n")
    s = server("shop:app", env={"PYTHONPATH": str(tmp_path / "site")}, config="""\
import gunicorn
gunicorn.SERVER = "Mine"
gunicorn.SERVER_SOFTWARE = "Mine/1"
""", files={"shop.py": """\
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["SERVER_SOFTWARE"].encode()]
"""})
    reply = s.get("/")
    assert (reply.one("server"), reply.body) == ("Mine", b"Mine/1")


# ---- applications that embed gunicorn ----

STANDALONE = """\
import gunicorn.app.base

class Standalone(gunicorn.app.base.BaseApplication):
    def load_config(self):
        self.cfg.set("workers", 2)

    def load(self):
        return app

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"standalone"]
"""
without_gunicorn = pytest.mark.skipif(
    importlib.util.find_spec("gunicorn") is not None,
    reason="an installed gunicorn wins")


@without_gunicorn
def test_the_callable_of_an_application_that_embeds_gunicorn_is_served(server):
    s = server("shop:app", bind="unix", files={
        "shop.py": STANDALONE +
        'if __name__ == "__main__":\n    Standalone().run()\n'})
    assert s.get("/").body == b"standalone"


@without_gunicorn
def test_an_application_that_starts_gunicorn_is_told_what_to_do(run):
    done = run("-b", "unix:s.sock", "shop:app",
               files={"shop.py": STANDALONE + "Standalone().run()\n"},
               announced=["Standalone"])
    assert done.status == 3
    done.line_with("Standalone.run()", "cgunicorn module:callable")
