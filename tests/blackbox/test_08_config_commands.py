# SPDX-License-Identifier: MIT
"""The truth about a configuration: check, explain, diff, convert, strict."""
import re

import pytest

from harness import control

APP = "def app(environ, start_response):\n    pass\n"
CHECK = ("--check-config", "shop:app")


def values(done):
    found = (re.match(r"(\w+) += ?(.*)$", x) for x in done.out.splitlines())
    return {m.group(1): m.group(2) for m in found if m}


# ---- --check-config ----


def test_check_config_lists_every_problem_with_its_source(run):
    done = run("--timeout", "-1", "-b", "h:x", *CHECK, "-c", "conf.py", files={
        "shop.py": APP,
        "conf.py": "import os\nworkers = -1\n\nloglevel = 5\n"},
        env={"GUNICORN_CMD_ARGS": "--threads -2",
             "CGUNICORN_BACKLOG": "many"})
    assert done.status == 1
    done.line_with("Error: conf.py:2: workers: Value must be positive: -1")
    done.line_with("Error: conf.py:4: loglevel: Not a string: 5")
    done.line_with("Error: command line: timeout: Value must be positive: -1")
    done.line_with("Error: environment GUNICORN_CMD_ARGS: threads: "
                   "Value must be positive: -2")
    done.line_with("Error: environment CGUNICORN_BACKLOG: backlog: invalid")


def test_check_config_lists_what_a_start_would_find(run):
    done = run(*CHECK, "-c", "conf.py", files={
        "shop.py": "raise RuntimeError('no database')\n",
        "conf.py": "worker_class = 'sinc'\nbind = ['h:x', 'h:y']\n"
                   "raw_env = ['A']\npost_fork = 'nosuch.hook'\n"
                   "pre_fork = 'os.nothing'\n"},
        announced=["no database"])
    assert done.status == 1
    done.line_with("sinc")
    done.line_with("conf.py:2: bind: 'x' is not a valid port number")
    done.line_with("conf.py:2: bind: 'y' is not a valid port number")
    done.line_with("conf.py:3: raw_env", "'A'")
    done.line_with("conf.py:4: post_fork", "nosuch")
    done.line_with("conf.py:5: pre_fork", "Can not load 'nothing' from 'os'")
    done.line_with("RuntimeError", "no database")


def test_check_config_sees_the_application_as_a_start_would(run):
    done = run("--pythonpath", "lib", "-e", "MODE=x", *CHECK, files={
        "shop.py": "import os, stock\nos.environ['MODE']\n" + APP,
        "lib/stock.py": ""})
    assert (done.status, done.err) == (0, "")


def test_strict_makes_warnings_errors(run):
    files = {"shop.py": APP, "conf.py": "preload = True\n"}
    done = run(*CHECK, "-c", "conf.py", files=files)
    assert done.status == 0
    done.line_with("Warning: conf.py:1: 'preload'", "'preload_app'")
    for more in (("--strict",), ("-c", "strict.py")):
        done = run(*CHECK, "-c", "conf.py", *more, files={
            **files, "strict.py": "strict = True\nlog_level = 'info'\n"})
        assert done.status == 1
        done.line_with("Error: ", "did you mean")
        assert "Warning" not in done.err


def test_what_has_no_effect_says_so_once(run):
    done = run("--ssl-version", "TLSv1_2", *CHECK, files={"shop.py": APP})
    assert done.status == 0
    done.line_with("command line: option `ssl_version` is deprecated and it is ignored")
    assert done.err.count("ssl_version") == 1


# ---- environment ----


def test_every_setting_can_come_from_the_environment_below_the_file(run):
    files = {"shop.py": APP, "gunicorn.conf.py": "timeout = 40\n"}
    env = {"CGUNICORN_TIMEOUT": "50", "CGUNICORN_WORKERS": "3",
           "CGUNICORN_RAW_ENV": "A=1 'B=two words'",
           "CGUNICORN_PRELOAD_APP": "true", "WEB_CONCURRENCY": "9"}
    done = run("--print-config", "shop:app", files=files, env=env)
    assert done.status == 0
    got = values(done)
    assert got["timeout"] == "40"
    assert got["workers"] == "3"
    assert got["raw_env"] == "['A=1', 'B=two words']"
    assert got["preload_app"] == "True"


def test_the_environment_can_name_the_config_file(run):
    files = {"shop.py": APP, "a.py": "workers = 2\n", "b.py": "workers = 3\n"}
    env = {"CGUNICORN_CONFIG": "a.py"}
    done = run("--print-config", "shop:app", files=files, env=env)
    assert values(done)["workers"] == "2"
    done = run("--print-config", "shop:app", "-c", "b.py", files=files, env=env)
    assert values(done)["workers"] == "3"


# ---- workers = auto ----


@pytest.mark.parametrize("args, env, config", [
    (("-w", "auto"), {}, ""), ((), {"WEB_CONCURRENCY": "auto"}, ""),
    ((), {}, "workers = 'auto'\n"),
])
def test_workers_auto_is_counted_and_said_in_the_log(server, args, env, config):
    s = server("shop:app", *args, files={"shop.py": APP}, env=env,
               config=config, bind="unix")
    n = int(s.wait_log(r"workers = auto: (\d+), one for each of \d+ CPU"))
    s.wait_log("Booting worker", n)
    assert len(s.workers()) == n


def test_workers_auto_follows_the_affinity(run):
    done = run("--print-config", "-w", "auto", "shop:app",
               files={"shop.py": APP}, prefix=("taskset", "-c", "0"))
    assert values(done)["workers"] == "1"


# ---- explain ----


def test_explain_says_value_source_default_effect_and_help(run):
    done = run("config", "explain", "workers", "timeout", "-c", "conf.py",
               "-w", "4",
               files={"conf.py": "timeout = 9\nworkers = 3\n"},
               env={"WEB_CONCURRENCY": "2"})
    assert (done.status, done.err) == (0, "")
    workers, timeout = done.out.split("\n\n")
    for line in ("workers = 4", "from     command line",
                 "hides    3 from conf.py:2",
                 "hides    2 from environment WEB_CONCURRENCY",
                 "default  1", "CGUNICORN_WORKERS",
                 "The number of worker processes."):
        assert line in workers
    assert workers.index("hides    3") < workers.index("hides    2")
    for line in ("timeout = 9", "from     conf.py:1", "default  30",
                 "reload (HUP)"):
        assert line in timeout


def test_explain_names_lines_and_columns_of_yaml(run):
    done = run("config", "explain", "-c", "conf.yaml", "bind",
               files={"conf.yaml": "workers: 2\nbind:\n  - unix:a\n"})
    assert "from     conf.yaml:3:3" in done.out


def test_explain_without_names_tells_all(run):
    done = run("config", "explain")
    assert done.status == 0
    listed = re.findall(r"^(\w+) = ", done.out, re.M)
    assert len(listed) > 120 and len(set(listed)) == len(listed)


@pytest.mark.parametrize("words, value, why", [
    (("--threads", "2"), "gthread", "'sync' with threads = 2"),
    (("--threads", "2-8", "-k", "gunicorn.workers.sync.SyncWorker"), "gthread",
     "'gunicorn.workers.sync.SyncWorker' with threads = 2-8"),
    (("--threads", "1"), "sync", None),
    (("--threads", "2", "-k", "asgi"), "asgi", None)])
def test_explain_tells_the_class_that_will_serve(run, words, value, why):
    done = run("config", "explain", "worker_class", *words)
    assert done.status == 0
    assert done.out.startswith(f"worker_class = {value}\n"), done.out
    assert "    default  sync\n" in done.out
    if why:
        assert f"    because  {why} means this class, as in gunicorn" in done.out
    else:
        assert "because" not in done.out


def test_explain_brings_up_the_right_name(run):
    done = run("config", "explain", "log_level")
    assert done.status == 1
    done.line_with("'log_level' is no setting", "'loglevel'")


@pytest.mark.parametrize("name, right", [("bnd", "bind"), ("usr", "user"),
                                         ("workrs", "workers")])
def test_explain_brings_up_the_right_name_of_a_short_one(run, name, right):
    done = run("config", "explain", name)
    assert done.status == 1
    done.line_with(f"'{name}' is no setting", f"'{right}'")


def test_options_may_stand_before_the_command(run):
    done = run("-c", "conf.py", "config", "explain", "timeout",
               files={"conf.py": "timeout = 9\n"})
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith("timeout = 9\n")


@pytest.mark.parametrize("words, says", [
    (("config", "explian"), ("no command 'explian'", "did you mean 'explain'?")),
    (("config", "foo"), ("no command 'foo'", "explain, diff, convert")),
    (("-w", "2", "config", "dif"), ("no command 'dif'", "'diff'")),
    (("config",), ("config needs a word", "explain, diff, convert"))])
def test_a_word_that_is_no_command_is_a_usage_error(run, words, says):
    done = run(*words)
    assert done.status == 2
    done.line_with("usage: cgunicorn config explain|diff|convert")
    done.line_with("cgunicorn: error: ", *says)


def test_a_module_called_config_is_still_an_application(run):
    files = {"config.py": APP + "application = app\n"}
    for words in (("config",), ("config:app",), ("config", "--check-config"),
                  ("--", "config", "explain"), ("config", "explian")):
        args = () if "--check-config" in words else ("--check-config",)
        assert run(*args, *words, files=files).status == 0, words


# ---- diff ----


def test_diff_tells_what_two_files_make_different(run):
    files = {"a.py": "workers = 2\ntimeout = 30\n",
             "b.yaml": "workers: 4\nkeepalive: 75\n"}
    done = run("config", "diff", "a.py", "b.yaml", files=files)
    assert done.status == 1
    assert done.out == "workers: 2 (a.py:1) -> 4 (b.yaml:1:10)\n"
    done = run("config", "diff", "a.py", "a.py", files=files)
    assert (done.status, done.out) == (0, "")
    done = run("config", "diff", "a.py", files=files)
    assert done.status == 2
    done.line_with("usage: ", "diff FILE FILE")


def test_diff_tells_of_another_class_by_threads(run):
    files = {"a.py": "workers = 2\n", "b.py": "workers = 2\nthreads = 4\n",
             "c.py": "worker_class = 'gthread'\nworkers = 2\nthreads = 4\n"}
    done = run("config", "diff", "a.py", "b.py", files=files)
    assert done.out == ("worker_class: sync (default) -> gthread (threads = 4)\n"
                        "threads: 1 (default) -> 4 (b.py:2)\n")
    assert run("config", "diff", "b.py", "c.py").out == ""


# ---- secrets ----


SECRETS = """\
raw_env = ["MODE=fast", "API_KEY=k123", "MONKEY=m456",
           "DATABASE_URL=postgres://shop:p789@db/shop"]
"""


def secret_output(run, *words, file="conf.py"):
    yaml = 'raw_env: ["MODE=fast", "API_KEY=k123", "MONKEY=m456", ' \
           '"DATABASE_URL=postgres://shop:p789@db/shop"]\n'
    done = run(*words, files={"shop.py": APP, "conf.py": SECRETS,
                              "conf.yaml": yaml, "other.py": ""})
    assert "MODE=fast" in done.out and "MONKEY=m456" in done.out, done.err
    return done


@pytest.mark.parametrize("words", [
    ("--print-config", "-c", "conf.py", "shop:app"),
    ("config", "explain", "raw_env", "-c", "conf.py"),
    ("config", "explain", "raw_env", "-c", "conf.py", "-e", "MODE=fast",
     "-e", "MONKEY=m456"),
    ("config", "diff", "conf.py", "other.py"),
    ("config", "convert", "conf.py"), ("config", "convert", "conf.yaml")],
    ids=["print", "explain", "hidden", "diff", "to-yaml", "to-python"])
def test_values_that_are_secret_are_not_shown(run, words):
    done = secret_output(run, *words)
    for secret in ("k123", "p789"):
        assert secret not in done.out + done.err


@pytest.mark.parametrize("words", [
    ("--print-config", "-c", "conf.py", "shop:app"),
    ("config", "explain", "raw_env", "-c", "conf.py"),
    ("config", "convert", "conf.py"), ("config", "convert", "conf.yaml")],
    ids=["print", "explain", "to-yaml", "to-python"])
def test_secrets_are_shown_when_that_is_asked_for(run, words):
    done = secret_output(run, *words, "--show-secrets")
    assert "API_KEY=k123" in done.out
    assert "postgres://shop:p789@db/shop" in done.out


@pytest.mark.parametrize("name", ["conf.py", "conf.yaml"])
def test_a_converted_file_takes_its_secrets_from_the_environment(
        run, tmp_path, name):
    done = secret_output(run, "config", "convert", name)
    done.line_with("raw_env: the value of", "API_KEY", "--show-secrets")
    into = tmp_path / ("out.yaml" if name == "conf.py" else "out.py")
    into.write_text(done.out)
    again = run("config", "explain", "raw_env", "-c", into.name,
                "--show-secrets",
                env={"API_KEY": "new", "DATABASE_URL": "db"})
    assert "API_KEY=new" in again.out and "DATABASE_URL=db" in again.out


# ---- convert ----


DATA = """\
import os

bind = ["0.0.0.0:" + os.environ.get("PORT", "8000"), "unix:run/a b.sock"]
workers = int(os.environ.get("WORKERS", 4))
timeout = 60
daemon = False
pidfile = None
umask = 0o027
access_log_format = '%(h)s "%(r)s" 100$ \\u00e9'
raw_env = ("A=$HOME", "B=it's")
secure_scheme_headers = {"X-FORWARDED-PROTO": "https"}
loglevel = "off"
"""


def test_data_survives_the_way_to_yaml_and_back(run, tmp_path):
    files = {"shop.py": APP, "a.py": DATA.replace("off", "info")}
    yaml = run("config", "convert", "a.py", files=files)
    assert yaml.status == 0, yaml.err
    (tmp_path / "b.yaml").write_text(yaml.out)
    python = run("config", "convert", "b.yaml")
    assert python.status == 0, python.err
    (tmp_path / "c.py").write_text(python.out)
    for env in ({}, {"PORT": "1", "WORKERS": "2"}):
        shown = [run("--print-config", "-c", name, "shop:app", env=env).out
                 for name in ("a.py", "b.yaml", "c.py")]
        shown = [re.sub(r"^config .*\n", "", x, flags=re.M) for x in shown]
        assert shown[0] == shown[1] == shown[2]
        assert "unix:run/a b.sock" in shown[0]


def test_words_that_yaml_takes_for_something_else_are_quoted(run, tmp_path):
    texts = ["on", "null", "~", "1e3", "- x", "a: b", "#x", "'", '"', "0x1",
             "${A}", "a\\nb", "\\u2028", "\\x7f", "*a", "&a", "!x", "%x", "@"]
    body = "raw_env = [" + ", ".join(f"'''N={t}''', '''{t} '''"
                                     for t in texts) + "]\n"
    files = {"a.py": body}
    done = run("config", "convert", "a.py", files=files)
    (tmp_path / "b.yaml").write_text(done.out)
    assert run("config", "diff", "a.py", "b.yaml").out == ""


def test_convert_says_what_yaml_cannot_say(run):
    done = run("config", "convert", "a.py", files={"a.py": """\
import os
import gunicorn
from shop import hook
gunicorn.SERVER_SOFTWARE = "x"
workers = 2 * 3
if os.environ.get("DEBUG"):
    loglevel = "debug"
def post_fork(server, worker):
    pass
when_ready = hook
logger_class = object()
os.makedirs("run", exist_ok=True)
""", "shop.py": "def hook(server):\n    pass\n"})
    assert done.status == 0
    assert "workers: 6\n" in done.out
    assert 'when_ready: "shop:hook"\n' in done.out
    assert "\npost_fork" not in done.out
    done.line_with("a.py:5: workers: computed", "2 * 3")
    done.line_with("a.py:8: post_fork", "module:name")
    done.line_with("a.py:11: logger_class", "object")
    done.line_with("a.py:4", "gunicorn.SERVER_SOFTWARE = 'x'")
    done.line_with("a.py:12", "os.makedirs")


def test_convert_of_a_broken_file_says_why(run):
    done = run("config", "convert", "a.yaml", files={"a.yaml": "workers: -1\n"})
    assert (done.status, done.out) == (1, "")
    done.line_with("a.yaml:1:10: workers: Value must be positive: -1")
    done = run("config", "convert", "a.py", files={"a.py": "workers = \n"},
               announced=["SyntaxError"])
    assert (done.status, done.out) == (1, "")
    done.line_with("a.py", "line 1")
    done = run("config", "convert", "nothing.py", announced=["nothing.py"])
    assert done.status == 1
    done.line_with("nothing.py")


def test_import_strings_get_dots_in_python(run):
    done = run("config", "convert", "a.yaml", files={
        "a.yaml": "post_fork: 'hooks:post_fork'\npre_fork: null\n"})
    assert done.out == "post_fork = 'hooks.post_fork'\n"


# ---- of a server that runs ----

RUNNING = {"app.py": """
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "0")])
    return []
"""}


@pytest.fixture
def running(server):
    s = server("app:app", "--threads", "2", files=RUNNING, config="workers = 2\ntimeout = 33\n"
               "raw_env = ['API_SECRET=abc']\n", env={"CGUNICORN_KEEPALIVE": "9"})

    def ask(*words, folder="/"):
        return control.ctl(folder, "config", *words, "--running", "--pid", s.pid)
    s.config = ask
    return s


def test_explain_tells_what_a_running_server_has(running):
    done = running.config("explain", "timeout", "keepalive", "raw_env")
    assert done.status == 0, done
    assert "timeout = 33\n    from     conf.py:2" in done.out
    assert "keepalive = 9\n    from     environment CGUNICORN_KEEPALIVE" in done.out
    assert "raw_env = ['API_SECRET=***']" in done.out and "abc" not in done.out
    assert "worker_class = gthread\n" in running.config(
        "explain", "worker_class").out
    (running.folder / "conf.py").write_text("timeout = 44\n")
    assert "timeout = 33\n" in running.config("explain", "timeout").out
    assert "graceful_timeout = 30\n" in running.config("explain").out
    wrong = running.config("explain", "timeuot")
    assert wrong.status == 1 and "did you mean 'timeout'" in wrong.err


def test_diff_tells_what_a_reload_would_change(running):
    assert running.config("diff").out == ""
    assert running.config("diff").status == 0
    (running.folder / "conf.py").write_text(
        "workers = 3\ntimeout = 33\nraw_env = ['API_SECRET=abd']\n")
    done = running.config("diff")
    assert done.status == 1
    assert done.out.splitlines() == [
        "workers: 2 (conf.py:1) -> 3 (conf.py:1)",
        "raw_env: ['API_SECRET=***'] (conf.py:3) -> ['API_SECRET=***'] "
        "(conf.py:3): a secret in it differs"]
    control.ask(running, "reload", "--wait")
    assert running.config("diff").status == 0


def test_diff_takes_another_command_line(running):
    done = running.config("diff", "-w", "7", folder=running.folder)
    assert done.status == 1
    assert "workers: 2 (conf.py:1) -> 7 (command line)\n" in done.out
    assert "timeout: 33 (conf.py:2) -> 30 (default)\n" in done.out


@pytest.mark.parametrize("words", [
    ("-p", "one.pid"), ("--pidfile=one.pid",), ("-n", "first"), ("--name", "first")])
def test_a_running_server_is_named_by_its_pidfile_or_its_name(server, words):
    first = server("app:app", "-p", "one.pid", "-n", "first", files=RUNNING)
    server("app:app", "-n", "second", files=RUNNING)
    for what in ("explain", "diff"):
        named = ["workers"] if what == "explain" else []
        done = control.ctl(first.folder, "config", what, "--running", *words, *named)
        assert (done.status, done.err) == (0, ""), done
    assert "proc_name = first\n" in control.ctl(
        first.folder, "config", "explain", "--running", *words, "proc_name").out
    done = control.ctl(first.folder, "config", "diff", "--running", *words, "-w", "3",
                       "app:app")
    assert "workers: 1 (default) -> 3 (command line)\n" in done.out, done
    wrong = control.ctl(first.folder, "config", "diff", "--running", "-n", "third")
    assert wrong.status == 1 and "no server of yours is called 'third'" in wrong.err


def test_diff_says_why_the_files_cannot_be_read(running):
    (running.folder / "conf.py").write_text("workers = 'many'\n")
    done = running.config("diff")
    assert done.status == 1 and "conf.py:1" in done.err and "many" in done.err


def test_running_needs_a_server(tmp_path):
    for words, status, told in (
            (("diff", "--running", "--pid", "1073741823"), 1, "no server of yours"),
            (("explain", "--running", "--pid", "x"), 2, "needs the number"),
            (("explain", "--running", "--pid"), 2, "needs the number")):
        done = control.ctl(tmp_path, "config", *words)
        assert (done.status, done.out) == (status, ""), done
        assert told in done.err
