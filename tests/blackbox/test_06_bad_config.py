# SPDX-License-Identifier: MIT
"""Configurations that cannot be: what is said, and that it ends."""
import os

import pytest

from harness.server import command

APP = "def app(environ, start_response):\n    pass\n"
CHECK = ("--check-config", "shop:app")


def check(run, config, *args, name="conf.py", announced=(), files=None,
          **options):
    return run(*CHECK, "-c", name, *args, announced=announced, files={
        "shop.py": APP, name: config, **(files or {})}, **options)


# ---- TLS without a certificate; those with one are in test_85_tls.py ----

TLS = {
    "ca_certs": "ca_certs = 'ca.pem'", "ciphers": "ciphers = 'HIGH'",
    "cert_reqs": "import ssl; cert_reqs = ssl.CERT_REQUIRED",
    "ssl_context": "def ssl_context(config, make): return make()",
}


@pytest.mark.parametrize("name", TLS)
@pytest.mark.parametrize("start", [(), ("--check-config",), ("-D",)])
def test_tls_without_a_certificate_is_refused(run, name, start):
    done = run(*start, "-b", "127.0.0.1:0", "-c", "conf.py", "shop:app",
               files={"shop.py": APP, "conf.py": TLS[name] + "\n"})
    assert done.status == 1
    line = done.line_with(f"Error: conf.py:1: {name}: TLS is asked for, and "
                          "there is no certificate: set certfile", "plain HTTP")
    assert line and "Listening" not in done.err + done.out


def test_empty_settings_of_tls_ask_for_nothing(run):
    done = check(run, "certfile = keyfile = ''\ncert_reqs = 0\n")
    assert (done.status, done.err) == (0, "")


# ---- Python ----


def test_an_exception_shows_the_frames_of_the_user_only(run):
    done = check(run, "import helper\nhelper.workers()\n", files={
        "helper.py": "def workers():\n    raise LookupError('no cores')\n"},
        announced=["no cores"])
    assert done.status == 1
    frames = [x for x in done.lines() if x.strip().startswith("File ")]
    assert len(frames) == 2, done.err
    assert 'conf.py", line 2' in frames[0]
    assert 'helper.py", line 2' in frames[1]
    done.line_with("LookupError: no cores")


def test_a_long_traceback_is_told_to_its_end(run):
    done = check(run, "def f(n):\n    g(n)\ndef g(n):\n    h(n)\n"
                 "def h(n):\n    f(n - 1) if n else 1 // 0\nf(40)\n",
                 announced=["ZeroDivisionError"])
    assert done.lines()[-1].startswith("ZeroDivisionError")


def test_a_missing_import_is_named_without_frames_of_the_importer(run):
    done = check(run, "import nosuchmodule\n", announced=["nosuchmodule"])
    assert done.status == 1
    done.line_with("ModuleNotFoundError", "nosuchmodule")
    assert "importlib" not in done.err and "<frozen" not in done.err


def test_a_module_that_cannot_be_imported_shows_no_frames_of_the_importer(run):
    done = run(*CHECK, "-c", "python:nosuch.settings",
               files={"shop.py": APP}, announced=["nosuch"])
    assert done.status == 1
    done.line_with("Failed to read config file: nosuch.settings")
    done.line_with("ModuleNotFoundError", "'nosuch'")
    assert "File " not in done.err
    done = run(*CHECK, "-c", "python:conf", announced=["KeyError"], files={
        "conf.py": "def f():\n    return {}['workers']\nworkers = f()\n"})
    assert done.status == 1
    frames = [x for x in done.lines() if x.strip().startswith("File ")]
    assert ["conf.py" in x for x in frames] == [True, True], done.err


def test_files_that_import_each_other_are_told(run):
    done = check(run, "import helper\nworkers = helper.N\n", files={
        "helper.py": "import other\nN = 2\n",
        "other.py": "from helper import N\n"}, announced=["ImportError"])
    assert done.status == 1
    done.line_with("Failed to read config file", "conf.py")
    done.line_with("ImportError", "'N'", "circular import")


@pytest.mark.parametrize("line, words", [
    ("bind = b'127.0.0.1:80'", ("Not a list of strings", "b'127.0.0.1:80'")),
    ("workers = 10 ** 30", ("Value must be at most 2147483647",)),
    ("workers = b'2'", ("workers",)), ("loglevel = b'info'", ("b'info'",)),
    ("timeout = float('nan')", ("timeout",)),
])
def test_a_value_of_an_odd_type_is_told(run, line, words):
    done = check(run, line + "\n")
    assert done.status == 1
    done.line_with("Error: conf.py:1: ", *words)


@pytest.mark.parametrize("line, name", [
    ("errorlog = 'x\\0y'", "errorlog"), ("accesslog = 'x\\0y'", "accesslog"),
    ("pidfile = '\\0'", "pidfile"), ("raw_env = ['A=b\\0c']", "raw_env"),
    ("logconfig_dict = {'a\\0b': 1}", "logconfig_dict"),
    ("logconfig_dict = {'a': {'b': ['c\\0']}}", "logconfig_dict"),
    ("bind = '127.0.0.1\\0:80'", "bind"), ("bind = 'unix:/run/a\\0b'", "bind"),
    ("bind = ['unix:\\0a\\0b']", "bind"), ("worker_class = 'sync\\0'",
                                           "worker_class"),
])
def test_a_nul_in_a_string_is_refused(run, line, name):
    """The system would see the part before it."""
    done = check(run, line + "\n")
    assert done.status == 1
    done.line_with(f"Error: conf.py:1: {name}: ", "a NUL character in a value")


def test_a_directory_is_named(run, tmp_path):
    (tmp_path / "conf.py").mkdir()
    done = run(*CHECK, "-c", "conf.py", files={"shop.py": APP})
    assert done.status == 1
    done.line_with("'conf.py' is a directory", "-c")


@pytest.mark.parametrize("text", [b"name = '\xff\xfe'\n", b"a\0b\n"])
def test_what_is_no_text_is_named(run, text):
    done = check(run, text, announced=["conf.py"])
    assert done.status == 1
    done.line_with("Failed to read config file", "conf.py")


@pytest.mark.parametrize("code, status", [
    ("sys.exit()", 0), ("sys.exit(7)", 7), ("sys.exit('no licence')", 1),
])
def test_an_exit_in_the_file_is_an_exit(run, code, status):
    done = check(run, f"import sys\n{code}\n")
    assert done.status == status
    assert done.err == ("no licence\n" if "licence" in code else "")


def test_a_file_that_forks_does_not_start_two_servers(run):
    done = check(run, "import os, time\npid = os.fork()\n"
                 "if pid:\n    os.waitpid(pid, 0)\nworkers = 2\n")
    assert done.status == 0
    done.line_with("conf.py", "forked", "subprocess")


def test_a_child_that_ends_by_itself_is_no_fault(run):
    done = check(run, "import os, subprocess\nif os.fork() == 0:\n"
                 "    os._exit(0)\nos.wait()\nsubprocess.run(['true'])\n")
    assert (done.status, done.err) == (0, "")


def test_what_a_file_prints_is_printed_once(server):
    s = server("shop:app", "-w", "2", bind="unix", files={"shop.py": APP},
               config="print('hello from the file')\n")
    s.wait_log("Booting worker", 2)
    s.stop()
    assert s.stdout() == "hello from the file\n"


def test_the_child_of_a_bad_value_is_found_behind_conditions(run):
    done = check(run, "import os\nif True:\n    try:\n        workers = 'x'\n"
                 "    except OSError:\n        workers = 3\n")
    assert done.status == 1
    done.line_with("conf.py:6: workers: invalid literal")


def test_without_a_line_the_file_is_named(run):
    done = check(run, "globals()['workers'] = 'x'\n")
    done.line_with("Error: conf.py: workers: invalid literal")


# ---- YAML ----


# not under a sanitizer, whose shadow memory is larger than any bound
BOUND = () if "address" in os.path.realpath(command()[0]) else (
    "sh", "-c", 'ulimit -v 1000000; exec "$@"', "sh")


def limited(run, text):
    """Runs with a bound on memory, so that a bomb is seen as one."""
    done = check(run, text, name="conf.yaml", prefix=BOUND)
    assert done.status == 1
    return done


def test_100_mb_of_yaml_are_not_read(run, tmp_path):
    with open(tmp_path / "conf.yaml", "wb") as f:
        f.truncate(100 << 20)
    done = run(*CHECK, "-c", "conf.yaml", files={"shop.py": APP}, prefix=BOUND)
    assert done.status == 1
    done.line_with("conf.yaml", "larger than 1 MiB")


def test_an_alias_bomb_is_refused(run):
    lines = ["x-a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    for i in range(1, 9):
        lines.append(f"x-a{i}: &a{i} [" + ", ".join([f"*a{i - 1}"] * 9) + "]")
    lines.append("raw_env: *a8")
    limited(run, "\n".join(lines) + "\n").line_with("conf.yaml:", "too large")


DEEP = {
    "lists": "raw_env: " + "[" * 5000 + "]" * 5000 + "\n",
    "maps": "raw_env: " + "{a: " * 5000 + "1" + "}" * 5000 + "\n",
    "blocks": "raw_env:\n" + "".join(
        " " * i + "a:\n" for i in range(1, 900)),
    "itself": "raw_env: &a [*a]\n",
    "merges itself": "<<: &a\n  <<: *a\n",
}


@pytest.mark.parametrize("name", DEEP)
def test_a_deep_file_is_refused(run, name):
    assert "conf.yaml:" in limited(run, DEEP[name]).err


@pytest.mark.parametrize("text, words", [
    ("workers: 2\nworkers: 3\n", ("conf.yaml:2:1", "workers", "twice")),
    ("workers:\t2\n\tx: 1\n", ("conf.yaml:2:",)),
    ("workers: !!python/object:os.system 1\n",
     ("conf.yaml:1:10", "unknown tag")),
    ("preload_app: on\n", ("conf.yaml:1:14", "preload_app", "write true")),
    ("daemon: no\n", ("conf.yaml:1:9", "daemon", "write false")),
    ("workers: [1]\n", ("conf.yaml:1:10", "workers")),
    ("umask: 0022\n", ("conf.yaml:1:8", "0o22")),
    ("- workers\n", ("conf.yaml:1:1", "map of settings")),
    ("workers: ${NOT_THERE}\n", ("conf.yaml:1:10", "NOT_THERE", "not set")),
    ("a: 1\n---\nb: 2\n", ("conf.yaml:3:1", "second document")),
])
def test_bad_yaml_is_told_with_line_and_column(run, text, words):
    done = check(run, text, name="conf.yaml")
    assert done.status == 1
    done.line_with("Error: ", *words)


def test_every_wrong_value_of_a_yaml_file_is_told(run):
    done = check(run, "workers: x\ntimeout: 5\nthreads: y\n", name="conf.yaml")
    done.line_with("conf.yaml:1:10: workers")
    done.line_with("conf.yaml:3:10: threads")


# ---- sources ----


@pytest.mark.parametrize("source, options", [
    ("environment CGUNICORN_TIMEOUT", {"env": {"CGUNICORN_TIMEOUT": "x"}}),
    ("conf.py:1", {"config": "timeout = 'x'\n"}),
    ("conf.yaml:1:10", {"config": "timeout: x\n", "name": "conf.yaml"}),
    ("environment GUNICORN_CMD_ARGS",
     {"env": {"GUNICORN_CMD_ARGS": "--cert-reqs x"}}),
    ("command line", {"args": ("--cert-reqs", "x")}),
])
def test_a_wrong_type_is_told_with_its_source(run, source, options):
    done = check(run, options.get("config", ""), *options.get("args", ()),
                 name=options.get("name", "conf.py"), env=options.get("env"))
    assert done.status == 1
    done.line_with(f"Error: {source}", "invalid literal", "'x'")


@pytest.mark.parametrize("args, words", [
    (("--preload_app",), ("--preload_app", "did you mean '--preload'?")),
    (("--keepalive", "5"), ("did you mean '--keep-alive'?",)),
    (("--proc_name", "x"), ("did you mean '--name'?",)),
    (("--post_fork", "x"), ("post_fork", "configuration files")),
    (("--secure-scheme-headers", "x"), ("configuration files",)),
])
def test_a_setting_that_is_no_option_says_what_is(run, args, words):
    done = run(*CHECK, *args, files={"shop.py": APP})
    assert done.status == 2
    done.line_with("error: unrecognized arguments", *words)


@pytest.mark.parametrize("line, right", [
    ("error_logfile = 'x'", "errorlog"), ("log_file = 'x'", "errorlog"),
    ("access_logfile = '-'", "accesslog"), ("keep_alive = 5", "keepalive"),
    ("pid = 'x'", "pidfile"), ("name = 'x'", "proc_name"),
    ("python_path = 'x'", "pythonpath"),
    ("max_request_jitter = 5", "max_requests_jitter"),
])
def test_an_option_that_is_no_setting_says_what_is(run, line, right):
    done = check(run, line + "\n")
    assert done.status == 0
    done.line_with("Warning: conf.py:1", "no effect", f"'{right}'")


def test_ordinary_variables_are_left_alone(run):
    done = check(run, "import os, sys\nfrom os import path\nhost = 'x'\n"
                 "port = 5\ncores = 2\nBASE = '/'\n_preload = 1\n"
                 "logger = None\ndef on_start(server):\n    pass\n")
    assert (done.status, done.err) == (0, "")


@pytest.mark.parametrize("text, words", [
    ("nosuch.hook", ("nosuch",)), ("os.nothing", ("nothing", "'os'")),
    ("os", ("not import string",)), ("os.sep", ("not callable", "os.sep")),
    ("os.getcwd", ("arity of: 2",)),
])
def test_an_import_string_that_fails_is_told(run, text, words):
    done = check(run, f"post_fork = '{text}'\n")
    assert done.status == 1
    done.line_with("Error: conf.py:1: post_fork", *words)


def test_an_empty_web_concurrency_counts_as_not_set(run):
    done = run("--print-config", "shop:app", files={"shop.py": APP},
               env={"WEB_CONCURRENCY": "", "PORT": ""})
    assert done.status == 0
    assert "\nworkers                            = 1\n" in done.out
    assert "['127.0.0.1:8000']" in done.out
    done.line_with("Warning: environment WEB_CONCURRENCY is empty")


def test_conflicting_sources_are_settled_and_shown(run):
    done = run("config", "explain", "bind", "-c", "conf.py", "-b", ":4",
               files={"conf.py": "bind = ':2'\n"},
               env={"PORT": "1", "GUNICORN_CMD_ARGS": "-b :3"})
    assert done.status == 0
    at = [done.out.index(x) for x in (
        "bind = [':4']", "from     command line",
        "hides    [':3'] from environment GUNICORN_CMD_ARGS",
        "hides    [':2'] from conf.py:1",
        "hides    ['0.0.0.0:1'] from environment PORT")]
    assert at == sorted(at)


@pytest.mark.parametrize("config, words", [
    ("worker_class = 'gevent'\nthreads = 4\n",
     ("conf.py:2", "threads = 4", "no effect", "gevent")),
    ("keepalive = 5\nforwarded_allow_ips = '*'\n",
     ("conf.py:1", "keepalive = 5", "60 s", "502")),
    ("timeout = 0\n", ("conf.py:1", "timeout = 0", "never replaced")),
    ("backlog = 2000000000\n", ("conf.py:1", "backlog", "somaxconn")),
    ("max_requests_jitter = 5\n", ("conf.py:1", "max_requests")),
    ("sendfile = True\n", ("conf.py:1", "sendfile", "off")),
])
def test_what_cannot_be_right_together_is_told(run, config, words):
    done = check(run, config)
    done.line_with("Warning: ", *words)


def test_workers_for_the_hosts_cpus_are_told_in_a_small_container(run):
    done = check(run, "workers = 1000\n", prefix=("taskset", "-c", "0"))
    done.line_with("Warning: conf.py:1", "workers = 1000", "1 CPU",
                   "affinity 1")
