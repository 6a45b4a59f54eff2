# SPDX-License-Identifier: MIT
"""-D: the shell hears whether the server came up; the daemon leaves it."""
import os
import re
import signal
import subprocess

import pytest

from harness import processes
from harness.server import command, environment
from harness.waiting import DEADLINE, until

HELLO = """\
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]
"""
LOGS = ("--error-logfile", "error.log", "-p", "app.pid")


@pytest.fixture
def daemon(server):
    def make(*args, app=HELLO, **options):
        options = {"errorlog": "error.log", "pidfile": "app.pid", **options}
        return server("-D", *LOGS, *args, "shop:app", daemon=True,
                      files={"shop.py": app, **options.pop("files", {})},
                      **options)
    return make


def status_of(pid, field):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return re.search(rf"^{field}:\s+(\S+)", f.read(), re.M)[1]


def test_the_command_returns_when_requests_are_answered(daemon):
    s = daemon()
    assert s.process.returncode == 0
    assert s.get("/").body == b"hello"
    assert s.stdout() == "" and s.stderr() == ""
    assert s.stop() == 0
    assert not s.pidfile.exists()


def test_all_workers_have_booted_when_the_command_returns(daemon):
    s = daemon("-w", "3")
    assert s.log_count("Booting worker") == 3
    assert len(s.workers()) == 3


def test_the_daemon_leaves_the_shells_session_and_terminal(daemon):
    s = daemon()
    assert os.getsid(s.pid) not in (os.getsid(0), s.pid)
    for fd in (0, 1, 2):
        assert os.readlink(f"/proc/{s.pid}/fd/{fd}") == "/dev/null"
    assert os.readlink(f"/proc/{s.pid}/cwd") == str(s.folder.resolve())
    assert int(status_of(s.pid, "Umask"), 8) == 0o22


def test_a_shell_that_reads_its_output_is_not_kept_waiting(tmp_path):
    (tmp_path / "shop.py").write_text(HELLO)
    done = subprocess.run(
        [*command(), "-D", *LOGS, "--bind", "unix:s.sock", "shop:app"],
        cwd=tmp_path, env=environment(tmp_path), timeout=DEADLINE,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT)
    pid = int((tmp_path / "app.pid").read_text())
    os.kill(pid, signal.SIGTERM)
    assert processes.reap(pid) == 0
    assert (done.returncode, done.stdout) == (0, b"")


@pytest.mark.parametrize("text, status, told", [
    ("raise RuntimeError('no database')\n", 3, "no database"),
    ("import no_such_module_here\n", 3, "no_such_module_here"),
    ("ap = 1\n", 4, "'app'"),
])
def test_a_failure_to_boot_is_told_to_the_shell(run, tmp_path, text, status,
                                                told):
    done = run("-D", *LOGS, "--bind", "unix:s.sock", "shop:app",
               files={"shop.py": text})
    assert done.status == status
    done.line_with("Error: ", told)
    assert "Traceback" not in done.err
    until(lambda: not (tmp_path / "app.pid").exists(), "the pidfile is gone")


def test_a_bind_that_fails_is_told_to_the_shell(run):
    done = run("-D", *LOGS, "--bind", "unix:notes.txt", "shop:app",
               files={"shop.py": HELLO, "notes.txt": "precious"})
    assert done.status == 1
    done.line_with("Error: ", "notes.txt", "socket")


def test_a_second_daemon_with_the_same_pidfile_is_refused(run, daemon):
    s = daemon(bind="unix")
    done = run("-D", "--error-logfile", "second.log", "-p",
               str(s.pidfile), "--bind", "unix:other.sock", "shop:app",
               files={"shop.py": HELLO})
    assert done.status == 1
    done.line_with("Already running on PID", str(s.pid))
    assert s.get("/").body == b"hello"


def test_relative_paths_count_from_the_applications_folder(server):
    s = server("-D", "--chdir", "src", "--error-logfile", "log/error.log",
               "-p", "run/app.pid", "--bind", "unix:run/app.sock", "shop:app",
               bind=None, daemon=True, pidfile="src/run/app.pid",
               errorlog="src/log/error.log",
               files={"src/shop.py": HELLO, "src/log/x": "", "src/run/x": ""})
    s.address = str(s.folder / "src/run/app.sock")
    assert s.get("/").body == b"hello"
    s.signal("HUP")
    s.wait_log("Booting worker", 2)
    s.signal("USR1")
    s.wait_log("Handling signal: usr1")
    assert s.get("/").body == b"hello"
    assert s.stop() == 0
    assert sorted(p.name for p in (s.folder / "src/run").iterdir()) == ["x"]


def test_daemon_is_a_setting_of_the_config_file(server):
    s = server("shop:app", files={"shop.py": HELLO}, daemon=True,
               pidfile="app.pid", errorlog="error.log",
               config='daemon = True\npidfile = "app.pid"\n'
                      'errorlog = "error.log"\n')
    assert s.get("/").body == b"hello"


def test_a_resized_terminal_stops_the_workers_of_a_daemon(daemon):
    s = daemon(bind="unix")
    s.wait_workers(1)
    s.signal("WINCH")
    s.wait_log("graceful stop of workers")
    until(lambda: s.workers() == [], "the workers are gone")
    s.signal("HUP")
    s.wait_workers(1)
    assert s.get("/").body == b"hello"
