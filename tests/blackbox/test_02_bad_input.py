# SPDX-License-Identifier: MIT
"""Bad input: one clear line that names it, where it came from and the way
out; a defined exit status; no traceback of ours."""
import os
import shutil
import socket

import pytest

from harness.server import free_port

HELLO = """\
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]
"""
FILES = {"shop.py": HELLO}
BIND = ("--bind", "unix:s.sock")


def assert_no_traceback(done):
    assert "Traceback" not in done.err, done.err


# ---- the command line ----


def test_an_unknown_option_is_named_and_the_status_is_2(run):
    done = run("--wrokers", "4", "shop:app", files=FILES)
    assert done.status == 2
    assert "usage:" in done.err
    done.line_with("error:", "--wrokers")
    assert_no_traceback(done)


@pytest.mark.parametrize("number", ["1000000000", "2000000000"])
def test_more_workers_than_there_is_memory_for_are_named(run, number):
    done = run("-w", number, *BIND, "shop:app", files=FILES)
    assert done.status == 1
    done.line_with("workers", number, "memory", "lower")
    assert_no_traceback(done)


def test_a_misspelt_option_brings_up_the_right_one(run):
    done = run("--wrokers", "4", "shop:app", files=FILES)
    assert "--workers" in done.err.split("error:")[1]


@pytest.mark.parametrize("args, words", [
    (("--workers", "many"), ("-w/--workers", "'many'")),
    (("-w", "1.5"), ("-w/--workers", "'1.5'")),
    (("--umask", "rwx"), ("-m/--umask", "'rwx'")),
    (("--workers",), ("-w/--workers", "expected one argument")),
    (("--reload=1",), ("--reload", "'1'")),
    (("--access-log", "x"), ("--access-log", "--access-logformat")),
])
def test_a_value_that_does_not_parse_is_named_and_the_status_is_2(
        run, args, words):
    done = run("shop:app", *args, files=FILES)
    assert done.status == 2
    done.line_with("error:", *words)
    assert_no_traceback(done)


@pytest.mark.parametrize("args, words", [
    (("--timeout", "-1"), ("Value must be positive: -1", "timeout")),
    (("--reload-engine", "guess"), ("Invalid reload_engine: 'guess'",)),
    (("--user", "nobody-of-this-name"), ("nobody-of-this-name",)),
    (("--user", "4294967296"), ("4294967296", "user")),
    (("--group", "99999999999999999999"), ("99999999999999999999", "group")),
    (("--forwarded-allow-ips", "10.0.0.300"), ("10.0.0.300",)),
    (("--chdir", "no/such/folder"), ("no/such/folder",)),
])
def test_a_value_out_of_range_is_named_with_its_source(run, args, words):
    done = run(*BIND, *args, "shop:app", files=FILES)
    assert done.status == 1
    done.line_with("Error: ", "command line", *words)
    assert_no_traceback(done)


def test_a_bad_value_in_the_environment_names_the_variable(run):
    done = run(*BIND, "shop:app", files=FILES,
               env={"GUNICORN_CMD_ARGS": "--timeout -1"})
    assert done.status == 1
    done.line_with("GUNICORN_CMD_ARGS", "timeout", "-1")
    done = run(*BIND, "shop:app", files=FILES,
               env={"WEB_CONCURRENCY": "many"})
    assert done.status == 1
    done.line_with("WEB_CONCURRENCY", "many")
    assert_no_traceback(done)


def test_no_application_says_how_to_name_one(run):
    done = run(*BIND)
    assert done.status == 1
    done.line_with("Error: No application module specified")
    assert_no_traceback(done)


@pytest.mark.parametrize("bind", [
    "127.0.0.1:eighty", "127.0.0.1:99999", "fd://stdin", "::1",
])
def test_an_address_that_is_none_is_named(run, bind):
    done = run("--bind", bind, "shop:app", files=FILES)
    assert done.status == 1
    shown = bind.rsplit("/", 1)[-1] if "//" in bind else bind
    assert shown in done.err or shown.rsplit(":", 1)[-1] in done.err
    assert_no_traceback(done)


# ---- configuration files ----


def test_a_missing_config_file_is_named_with_where_it_was_looked_for(
        run, tmp_path):
    done = run("-c", "settings/prod.py", "shop:app", files=FILES)
    assert done.status == 1
    done.line_with("Error: ", "'settings/prod.py'", "doesn't exist",
                   str(tmp_path), "-c")
    assert_no_traceback(done)


def test_a_syntax_error_in_the_config_file_is_told_with_file_and_line(run):
    done = run("-c", "conf.py", "shop:app", files={
        **FILES, "conf.py": "workers = 2\nbind = = 3\ntimeout = 3\n"},
        announced=["SyntaxError"])
    assert done.status == 1
    done.line_with("conf.py", "line 2")
    assert "SyntaxError" in done.err
    assert "importlib" not in done.err and "<frozen" not in done.err


def test_an_exception_in_the_config_file_is_told_with_file_and_line(run):
    done = run("-c", "conf.py", "shop:app", files={
        **FILES, "conf.py": "import os\n\nworkers = 1 // 0\n"},
        announced=["ZeroDivisionError"])
    assert done.status == 1
    assert "ZeroDivisionError" in done.err
    assert "conf.py" in done.err and "line 3" in done.err \
        or "conf.py:3" in done.err
    assert "importlib" not in done.err and "<frozen" not in done.err


def test_a_bad_value_in_the_config_file_is_told_with_file_and_setting(run):
    done = run("-c", "conf.py", "shop:app", files={
        **FILES, "conf.py": "timeout = 30\nworkers = 'many'\n"})
    assert done.status == 1
    done.line_with("conf.py", "workers", "many")
    assert_no_traceback(done)


def test_a_bad_hook_in_the_config_file_is_told_with_its_arity(run):
    done = run("-c", "conf.py", "shop:app", files={
        **FILES, "conf.py": "def post_fork(server):\n    pass\n"})
    assert done.status == 1
    done.line_with("conf.py", "post_fork", "2")
    assert_no_traceback(done)


def test_a_config_file_that_exits_gives_its_status(run):
    done = run("-c", "conf.py", "shop:app", files={
        **FILES, "conf.py": "import sys\nsys.exit(7)\n"})
    assert done.status == 7
    assert_no_traceback(done)


@pytest.mark.parametrize("name, right", [
    ("keepallive", "keepalive"), ("preload", "preload_app"),
    ("log_level", "loglevel"), ("worker_clas", "worker_class"),
])
def test_a_near_miss_of_a_setting_in_the_config_file_is_pointed_out(
        run, name, right):
    done = run("--check-config", "-c", "conf.py", "shop:app",
               files={**FILES, "conf.py": f"{name} = 5\n"})
    assert done.status == 0
    done.line_with("conf.py", name, right)


def test_invalid_yaml_is_told_with_line_and_column(run):
    done = run("-c", "conf.yaml", "shop:app", files={
        **FILES, "conf.yaml": "workers: 2\nbind: [a, b\ntimeout: 3\n"})
    assert done.status == 1
    done.line_with("conf.yaml:3:", "YAML")
    assert_no_traceback(done)


def test_a_bad_value_in_yaml_is_told_with_line_and_column(run):
    done = run("-c", "conf.yaml", "shop:app", files={
        **FILES, "conf.yaml": "timeout: 30\nworkers: many\n"})
    assert done.status == 1
    done.line_with("conf.yaml:2:", "workers", "many")
    assert_no_traceback(done)


def test_yaml_settings_count(run):
    done = run("--print-config", "-c", "conf.yaml", "shop:app", files={
        **FILES, "conf.yaml": "workers: 5\nbind: ['127.0.0.1:1', 'unix:s']\n"})
    assert done.status == 0, done.err
    assert "5" in [line.split("=")[1].strip()
                   for line in done.out.splitlines()
                   if line.startswith("workers ")]


# ---- the application ----


def test_a_missing_module_is_named_and_the_status_is_3(run, tmp_path):
    done = run(*BIND, "shpo:app", files=FILES, announced=["shpo"])
    assert done.status == 3
    assert "'shpo'" in done.err
    done.line_with("Worker failed to boot")


def test_a_missing_module_is_told_with_where_it_was_looked_for(
        run, tmp_path):
    done = run(*BIND, "shpo:app", files=FILES, announced=["shpo"])
    done.line_with("shpo", str(tmp_path), "--chdir")


def test_a_module_in_a_folder_beside_is_found_for_the_user(run):
    done = run(*BIND, "shop:app", files={"src/shop.py": HELLO},
               announced=["shop"])
    assert done.status == 3
    done.line_with("shop", "--chdir", "src")


def test_a_file_name_in_place_of_a_module_is_understood(run):
    done = run(*BIND, "shop.py", files=FILES, announced=["shop"])
    assert done.status in (3, 4)
    done.line_with("did you mean", "'shop:application'")
    for spec in ("shop.py:app", "./shop.py:app"):
        done = run(*BIND, spec, files=FILES, announced=["shop"])
        assert done.status == 3
        done.line_with("did you mean", "'shop:app'?")


ASGI = {
    "function": "async def app(scope, receive, send):\n    pass\n",
    "object": "class App:\n    async def __call__(self, *args):\n        pass\n"
              "app = App()\n",
    "method": "class App:\n    async def m(self, *args):\n        pass\n"
              "app = App().m\n",
    "factory": "async def inner(scope, receive, send):\n    pass\n"
               "def app():\n    return inner\n",
}


@pytest.mark.parametrize("kind", ASGI)
def test_an_asgi_application_in_a_wsgi_class_is_told(run, kind):
    spec = "shop:app()" if kind == "factory" else "shop:app"
    for how in ((), ("--check-config",)):
        done = run(*BIND, *how, spec, files={"shop.py": ASGI[kind]},
                   announced=["ASGI"])
        assert done.status in (1, 4)
        done.line_with("is an ASGI application", "-k asgi")
    done = run(*BIND, "-k", "asgi", "--check-config", spec,
               files={"shop.py": ASGI[kind]})
    assert (done.status, done.err) == (0, "")


def test_an_exception_in_the_module_shows_the_users_traceback_only(run):
    done = run(*BIND, "shop:app", files={
        "shop.py": "def price():\n    return 1 // 0\n\n\nprice()\n"},
        announced=["ZeroDivisionError"])
    assert done.status == 3
    assert 'shop.py", line 2, in price' in done.err
    assert "ZeroDivisionError" in done.err
    assert "importlib" not in done.err, "frames that are not the user's"


def test_a_missing_attribute_is_named_with_close_names_and_the_status_is_4(
        run):
    done = run(*BIND, "shop:ap", files=FILES)
    assert done.status == 4
    line = done.line_with("'ap'", "shop")
    assert "'app'" in line or "shop:app" in line, "no close name"
    done.line_with("App failed to load")
    assert_no_traceback(done)


def test_an_object_that_is_not_callable_is_told_and_the_status_is_4(run):
    done = run(*BIND, "shop:app", files={"shop.py": "app = 42\n"})
    assert done.status == 4
    done.line_with("app", "shop", "callable", "int")
    assert_no_traceback(done)


def test_a_factory_that_returns_none_is_told_and_the_status_is_4(run):
    done = run(*BIND, "shop:make()", files={
        "shop.py": "def make():\n    pass\n"})
    assert done.status == 4
    done.line_with("make()", "None")
    assert_no_traceback(done)


def test_a_spec_that_does_not_parse_is_named_and_the_status_is_4(run):
    done = run(*BIND, "shop:app[", files=FILES)
    assert done.status == 4
    done.line_with("app[")
    assert_no_traceback(done)


def test_check_config_tells_what_is_wrong_with_the_application(run):
    done = run("--check-config", "shop:ap", files=FILES)
    assert done.status == 1
    done.line_with("'ap'", "shop")


def test_four_workers_that_cannot_boot_end_with_status_3_and_no_traceback_of_ours(
        run):
    done = run(*BIND, "-w", "4", "shop:app",
               files={"shop.py": "raise RuntimeError('no database')\n"},
               announced=["no database"])
    assert done.status == 3
    assert "HaltServer" not in done.err


def test_a_start_that_fails_tells_the_terminal_when_the_log_is_a_file(run):
    done = run(*BIND, "--error-logfile", "e.log", "shop:app",
               files={"shop.py": "raise RuntimeError('no database')\n"})
    assert done.status == 3
    assert "Error: Worker failed to boot." in done.err
    assert "more in e.log" in done.err
    assert "Traceback" not in done.err


def test_a_start_that_fails_is_told_once_when_the_log_is_the_terminal(run):
    done = run(*BIND, "shop:app",
               files={"shop.py": "raise RuntimeError('no database')\n"},
               announced=["no database"])
    assert done.err.count("Worker failed to boot") == 1


# ---- the machine ----


@pytest.fixture
def taken_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        yield s.getsockname()[1]


def test_a_port_in_use_is_named_tried_five_times_and_the_status_is_1(
        run, taken_port):
    done = run("--bind", f"127.0.0.1:{taken_port}", "shop:app", files=FILES)
    assert done.status == 1
    lines = [x for x in done.lines() if "Connection in use" in x]
    assert len(lines) == 5, done.err
    assert all("127.0.0.1" in x and str(taken_port) in x for x in lines)
    done.line_with("Can't connect to", "127.0.0.1", str(taken_port))
    assert_no_traceback(done)


def test_a_port_that_gets_free_in_time_is_taken(server):
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    port = taken.getsockname()[1]
    s = server("--bind", f"127.0.0.1:{port}", "shop:app", bind=None,
               files=FILES, start=False)
    s.wait_log("Connection in use")
    taken.close()
    s.address = ("127.0.0.1", port)
    s.wait_log("Listening at")
    assert s.get("/").body == b"hello"


def test_an_address_of_another_machine_is_named(run):
    port = free_port()
    done = run("--bind", f"192.0.2.1:{port}", "shop:app", files=FILES)
    assert done.status == 1
    done.line_with("Invalid address", "192.0.2.1")
    assert_no_traceback(done)


def unprivileged():
    """What to put before a command so that file permissions count."""
    if os.geteuid() != 0:
        return ()
    if not shutil.which("setpriv"):
        pytest.skip("root, and there is no setpriv to give up rights with")
    return ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


@pytest.mark.parametrize("option, name", [
    ("--bind", "unix:locked/s.sock"), ("--pid", "locked/shop.pid"),
    ("--error-logfile", "locked/error.log"),
    ("--access-logfile", "locked/access.log"),
])
def test_no_permission_is_told_with_the_path(run, tmp_path, option, name):
    (tmp_path / "locked").mkdir(mode=0o555)
    done = run(*(BIND if option != "--bind" else ()), option, name,
               "shop:app", files=FILES, prefix=unprivileged())
    assert done.status == 1
    assert name.replace("unix:", "") in done.err
    assert "denied" in done.err
    assert_no_traceback(done)


def test_a_regular_file_in_place_of_the_socket_is_left_alone(run, tmp_path):
    done = run("--bind", "unix:notes.txt", "shop:app",
               files={**FILES, "notes.txt": "precious\n"})
    assert done.status == 1
    done.line_with("notes.txt", "socket")
    assert (tmp_path / "notes.txt").read_text() == "precious\n"
    assert_no_traceback(done)


def test_a_pidfile_of_a_running_server_is_respected(run, tmp_path):
    (tmp_path / "shop.pid").write_text(f"{os.getpid()}\n")
    done = run(*BIND, "--pid", "shop.pid", "shop:app", files=FILES)
    assert done.status == 1
    done.line_with("Already running on PID", str(os.getpid()), "shop.pid")
    assert (tmp_path / "shop.pid").read_text() == f"{os.getpid()}\n"
    assert_no_traceback(done)


def test_a_stale_pidfile_is_replaced(server, tmp_path):
    import subprocess

    gone = subprocess.Popen(["true"])
    gone.wait()
    s = server("--pid", "shop.pid", "shop:app",
               files={**FILES, "shop.pid": f"{gone.pid}\n"})
    assert (s.folder / "shop.pid").read_text() == f"{s.pid}\n"


def test_a_pidfile_in_a_missing_folder_is_told(run):
    done = run(*BIND, "--pid", "run/shop.pid", "shop:app", files=FILES)
    assert done.status == 1
    done.line_with("run", "doesn't exist", "pid")
    assert_no_traceback(done)


@pytest.mark.parametrize("daemon", [(), ("-D",)])
def test_a_missing_log_folder_is_told_to_the_caller(run, daemon):
    done = run(*BIND, *daemon, "--error-logfile", "log/error.log",
               "shop:app", files=FILES)
    assert done.status not in (0, None)
    line = done.line_with("log/error.log", "isn't writable")
    assert "log" in line
    assert_no_traceback(done)


def test_a_worker_class_that_is_none_is_named_with_the_known_ones(run):
    done = run(*BIND, "-k", "sinc", "shop:app", files=FILES,
               announced=["class uri 'sinc' invalid"])
    assert done.status == 1
    done.line_with("sinc", "sync")


# ---- once is enough ----

SAYS = """
why = "no database today"

def fail(server=None):
    raise RuntimeError(why)
"""
LIFESPAN = SAYS + """
async def app(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.failed", "message": why})
"""


@pytest.mark.parametrize("words, files", [
    ((), {"app.py": SAYS + "fail()\n"}),
    (("--preload",), {"app.py": SAYS + "fail()\n"}),
    (("--check-config",), {"app.py": SAYS + "fail()\n"}),
    (("app:app()",), {"app.py": SAYS + "app = fail\n"}),
    (("-k", "asgi"), {"app.py": LIFESPAN}),
    (("-c", "conf.py"), {"app.py": "app = print\n", "conf.py": SAYS + "fail()\n"}),
    (("-c", "conf.py"), {"app.py": "app = print\n",
                         "conf.py": SAYS + "when_ready = fail\n"}),
    (("-c", "conf.py"), {"app.py": "app = print\n",
                         "conf.py": SAYS + "post_worker_init = fail\n"}),
], ids=["import", "preload", "check", "factory", "lifespan", "config",
        "when_ready", "post_worker_init"])
def test_the_reason_of_a_failed_start_is_said_once(run, words, files):
    app = () if "app:app()" in words else ("app:app",)
    r = run("-b", "unix:s.sock", *words, *app, files=files, announced=["."])
    assert r.status != 0
    assert r.err.count("no database today") == 1, r.err
    if "asgi" not in words:
        assert "in fail" in r.err


@pytest.mark.parametrize("words", [(), ("--preload",)])
def test_the_reason_is_on_the_terminal_when_the_log_is_a_file(run, tmp_path, words):
    r = run("-b", "unix:s.sock", "--error-logfile", "e.log", *words, "app:app",
            files={"app.py": SAYS + "fail()\n"})
    assert r.status != 0
    assert r.err.count("RuntimeError: no database today") == 1, r.err
    log = (tmp_path / "e.log").read_text()
    assert log.count("RuntimeError: no database today") == 1, log
    assert "in fail" in log


def test_what_helps_stays_behind_the_exception(run):
    """The traceback has no place for it; its last line is not repeated."""
    r = run("--check-config", "app:app", announced=["."],
            files={"app.py": "def f():\n    raise KeyError('x')\nf()\n"})
    assert "KeyError: 'x' (" in r.err and "app.py, line 2)" in r.err
    assert r.err.count("KeyError: 'x'") == 1
