# SPDX-License-Identifier: MIT
"""`cgunicorn check`: what would hurt, before it does."""
import json

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


def test_a_good_configuration_is_good(check):
    done = check("app:app", "--user", "65534", "--group", "65534")
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
