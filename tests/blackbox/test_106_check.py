# SPDX-License-Identifier: MIT
"""`cgunicorn check`: what would hurt, before it does."""
import json
import os
import pathlib
import socket
import tempfile

import pytest

from harness import classes, control

APP = {"app.py": """
def app(environ, start_response):
    start_response("200 OK", [])
    return [b"ok"]
"""}


@pytest.fixture
def check(tmp_path):
    def run(*words, files=APP, env=None):
        for name, text in files.items():
            (tmp_path / name).write_text(text)
        return control.ctl(tmp_path, "check", *words, env=env)
    return run


def findings(done, level):
    return [f["text"] for f in done.json()["findings"] if f["level"] == level]


def test_a_good_configuration_is_good(other_user):
    with tempfile.TemporaryDirectory() as folder:
        top = pathlib.Path(folder)
        top.chmod(0o755)
        (top / "app.py").write_text(APP["app.py"])
        done = control.ctl(top, "check", "app:app", "--user", "65534",
                           "--group", "65534")
    assert done.status == 0, done
    assert "was imported in" in done.out


def test_json_tells_what_the_import_cost(check):
    files = {"app.py": "import time\ntime.sleep(0.2)\nx = b'x' * (20 << 20)\n"
             + APP["app.py"]}
    done = check("--json", "app:app", files=files)
    told = done.json()
    assert done.status == 0 and told["ok"] is True, done
    assert 0.2 <= told["import_s"] < 30
    assert told["import_rss_bytes"] > 15 << 20


@pytest.mark.parametrize("words, text, told", [
    (("app:app",), "raise RuntimeError('boom')", "RuntimeError: boom"),
    (("app:none",), "", "none"),
    (("app:app", "-b", "127.0.0.1:x"), APP["app.py"], "bind"),
    (("app:app", "--worker-class", "nosuch"), APP["app.py"], "nosuch"),
    ((), "", "No application module"),
])
def test_an_error_is_told_and_fails(check, words, text, told):
    done = check("--json", *words, files={"app.py": text})
    assert done.status == 1 and done.json()["ok"] is False, done
    assert any(told in text for text in findings(done, "error")), done
    done = check(*words, files={"app.py": text})
    assert done.status == 1 and told in done.err, done


def test_an_import_that_ends_the_process_is_told(check):
    done = check("app:app", files={"app.py": "import os; os.abort()"})
    assert done.status == 1 and "ended by signal 6" in done.err, done
    done = check("app:app", files={"app.py": "import os; os._exit(7)"})
    assert done.status == 1 and "with status 7" in done.err, done


def test_a_misspelt_name_is_told(check):
    done = check("-c", "conf.py", "app:app",
                 files={**APP, "conf.py": "worker = 3\nbacklogs = 5\n"})
    assert "workers" in done.err and "backlog" in done.err, done


def test_warnings_count_when_that_is_asked_for(check):
    config = {**APP, "conf.py": "max_requests_jitter = 5\n"}
    done = check("-c", "conf.py", "app:app", files=config)
    assert done.status == 0 and "max_requests_jitter" in done.err, done
    done = check("--strict", "-c", "conf.py", "app:app", files=config)
    assert done.status == 3, done


WORDS = [
    ("loglevel = 'loud'", "conf.py:1: loglevel: 'loud' is no level"),
    ("access_log_format = '%(h)s %(zz)s'", "conf.py:1: access_log_format: there is no atom 'zz'"),
    ("access_log_format = '%(h)s 5%'", "'%' is no atom"),
    ("access_log_format = 'jsonn'", "each line is just that; did you mean 'json'?"),
    ("access_log_format = 'Combined'", "did you mean 'combined'?"),
    ("access_log_format = 'hello'", "or json, logfmt, common or combined"),
]


@pytest.mark.parametrize("line, told", WORDS)
def test_a_word_that_no_log_understands_is_told(run, check, line, told):
    files = {**APP, "conf.py": line + "\n"}
    done = check("--json", "-c", "conf.py", "app:app", files=files)
    assert done.status == 0 and any(told in t for t in findings(done, "warning")), done
    assert check("--strict", "-c", "conf.py", "app:app", files=files).status == 3
    for words, status, level in (([], 0, "Warning: "), (["--strict"], 1, "Error: ")):
        done = run("--check-config", *words, "-c", "conf.py", "app:app", files=files)
        assert done.status == status and f"{level}" in done.err and told in done.err, done


@pytest.mark.parametrize("line", [
    "access_log_format = 'json'", "access_log_format = 'common'", "access_log_format = ''",
    "loglevel = 'warning'",
    "import gunicorn.glogging\nclass Mine(gunicorn.glogging.Logger): pass\n"
    "logger_class = Mine\naccess_log_format = '%(mine)s'"])
def test_words_that_a_log_understands_are_good(check, line):
    done = check("--json", "-c", "conf.py", "app:app", files={**APP, "conf.py": line + "\n"})
    told = " ".join(findings(done, "warning"))
    assert done.status == 0 and "log" not in told, done


def test_the_routers_time_limit_is_known(check):
    env = {"DYNO": "web.1", "PORT": "5000"}
    done = check("--json", "app:app", env=env)
    assert any("Heroku" in text for text in findings(done, "warning")), done
    done = check("--json", "--request-timeout", "25", "app:app", env=env)
    assert not any("Heroku" in text for text in findings(done, "warning"))


def test_what_does_not_survive_a_fork_is_told(check):
    files = {"app.py": """
import select, socket, threading, time
kept = socket.socket(), select.epoll()
threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
""" + APP["app.py"]}
    done = check("--json", "--preload", "app:app", files=files)
    told = " ".join(findings(done, "warning"))
    for what in ("1 thread:", "1 socket:", "1 event loop:"):
        assert what in told, done
    done = check("--json", "app:app", files=files)
    assert not any("preload" in t for t in findings(done, "warning")), done


def test_a_module_of_that_name_is_served(run):
    done = run("check:app", "--check-config",
               files={"check.py": APP["app.py"]})
    assert done.status == 0, done.err


# ---- what a start would meet on this machine ----

@pytest.mark.parametrize("words, told", [
    (("--error-logfile", "/no/such/error.log"), "errorlog: the folder '/no/such'"),
    (("--access-logfile", "/no/such/a.log"), "accesslog: the folder '/no/such'"),
    (("--pid", "/no/such/pid"), "pidfile: the folder '/no/such'"),
    (("--error-logfile", "/"), "errorlog: '/' is a folder"),
    (("-b", "unix:/no/such/s.sock"), "bind: the folder '/no/such'"),
    (("-b", "unix:app.py"), "is no socket"),
    (("-b", "192.0.2.1:8000"), "No interface of this machine"),
])
def test_a_place_that_cannot_be_used_is_told(run, check, words, told):
    done = check("app:app", *words)
    assert done.status == 1 and told in done.err, done
    # the configuration may be for another machine
    done = run("--check-config", "app:app", *words, files=APP)
    assert done.status == 0 and "Warning: " in done.err and told in done.err
    done = run("--check-config", "--strict", "app:app", *words, files=APP)
    assert done.status == 1 and told in done.err, done


def test_an_address_in_use_is_told_and_is_no_error(run, check):
    """A reload of the server that has it is checked the same way."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = "127.0.0.1:%d" % taken.getsockname()[1]
        done = check("--json", "app:app", "-b", where)
        assert done.status == 0, done
        assert any(where + " is in use" in t for t in findings(done, "warning"))
        done = run("--check-config", "app:app", "-b", where, files=APP)
        assert done.status == 0 and where + " is in use" in done.err
        done = run("--check-config", "app:app", "-b", where, "--reuse-port",
                   files=APP)
        assert done.status == 0 and "in use" not in done.err


def test_a_socket_of_a_running_server_is_left_alone(check, tmp_path):
    with socket.socket(socket.AF_UNIX) as taken:
        taken.bind(str(tmp_path / "s.sock"))
        taken.listen()
        done = check("app:app", "-b", "unix:s.sock")
        assert done.status == 0, done
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / "s.sock"))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("shut, told", [
    ("shop", "the folder of the application"), ("shop/app.py", "shop/app.py")])
def test_code_that_the_user_cannot_read_is_told(run, other_user, shut, told):
    """At run time it would be "No module named …"."""
    with tempfile.TemporaryDirectory() as folder:
        top = pathlib.Path(folder)
        top.chmod(0o755)
        (top / "shop").mkdir()
        (top / "shop" / "app.py").write_text(APP["app.py"])
        words = ("--check-config", "--strict", "app:app", "-u", "65534", "-g",
                 "65534")
        assert run(*words, cwd=top / "shop").status == 0
        (top / shut).chmod(0o600)
        done = run(*words, cwd=top / "shop")
        assert done.status == 1, done.err
        assert "who runs the workers, may not read" in done.err
        assert told in done.err
