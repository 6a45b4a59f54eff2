# SPDX-License-Identifier: MIT
"""Logs that cannot be written or opened, and logs after a change of user:
serving goes on, and somebody is told."""
import os
import pathlib
import pwd
import subprocess

import pytest

from harness.logcheck import lines
from harness.waiting import until

APPS = ["probe.py"]
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root may do that")


def serves(s, count=5):
    for _ in range(count):
        assert s.get("/one").body == b"one item"


# ---- full disks ----


def test_a_full_disk_for_the_access_log_costs_no_request(server):
    s = server("probe:app", "--access-logfile", "/dev/full", apps=APPS)
    serves(s)
    s.wait_log(r"\[WARNING\] the accesslog '/dev/full' cannot be written: No "
               r"space left on device; its lines are lost until it can")
    assert s.log_count("cannot be written") == 1


def test_a_full_disk_for_the_error_log_is_told_on_standard_error(server):
    s = server("probe:app", "--error-logfile", "/dev/full", apps=APPS,
               start=False)
    until(lambda: _answers(s), "it serves")
    serves(s)
    with s.connect() as peer:
        assert peer.send("BAD\r\n\r\n").reply().status == 400
    told = ("cgunicorn: the errorlog '/dev/full' cannot be written: No space "
            "left on device; its lines are lost until it can\n")
    s.wait_log(told)
    assert s.stderr().count(told) <= 2  # the master and the worker, once each


def test_a_full_disk_of_a_python_logger_costs_no_request(server):
    s = server("probe:app", apps=APPS, announced=["."],
               config="accesslog = '/dev/full'\n"
                      "logconfig_dict = {'root': {'level': 'INFO', 'handlers': []},\n"
                      "  'loggers': {'gunicorn.error': {'level': 'INFO',\n"
                      "    'handlers': ['error_console']}}}\n")
    serves(s)


# ---- standard error ----


def test_a_full_pipe_as_standard_error_blocks_nobody(tmp_path, server):
    # the program writes to a pipe that nobody reads until the end
    from harness.server import ROOT as project, command, faced, fill
    from harness.server import environment
    from harness.server import free_port
    from harness import wire
    fill(tmp_path, {}, APPS)
    port = free_port()
    process = subprocess.Popen(
        [*command(), *faced(tmp_path, [
            "-b", f"127.0.0.1:{port}", "--log-level", "debug",
            "--access-logfile", "-", "probe:app"])],
        cwd=tmp_path, env=environment(tmp_path), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        address = ("127.0.0.1", port)

        def answers():
            try:
                return wire.fetch(address, "/one").status == 200
            except (OSError, AssertionError):
                return False
        until(answers, "it serves")
        path = "/one?" + "x" * 3000
        for _ in range(100):  # far more than both pipes hold
            assert wire.fetch(address, path).status == 200
            with wire.Peer(address) as peer:
                assert peer.send(f"GET {'y' * 1500} HTTP/1.1\r\n\r\n"
                                 ).reply().status == 400
    finally:
        process.terminate()
        out, err = process.communicate(timeout=40)
    assert process.returncode == 0
    assert out.count(b"\n") >= 10 and err.count(b"\n") >= 10
    assert project.exists()


@pytest.mark.parametrize("name, stream", [("/dev/stderr", "stderr"),
                                          ("/dev/stdout", "stdout")])
def test_device_names_of_standard_streams_work(server, name, stream):
    s = server("probe:app", "--access-logfile", name, apps=APPS)
    s.get("/one?seen")
    until(lambda: "GET /one?seen" in getattr(s, stream)(), "the line")
    s.signal("USR1")
    s.wait_log("Handling signal: usr1")
    s.get("/one?again")
    until(lambda: "GET /one?again" in getattr(s, stream)(), "the next line")


def test_standard_error_that_is_a_socket_works_by_its_name(tmp_path, server):
    import socket
    from harness.server import command, environment, fill, free_port
    fill(tmp_path, {}, APPS)
    ours, theirs = socket.socketpair()
    with ours:
        process = subprocess.Popen(
            [*command(), "-b", f"127.0.0.1:{free_port()}",
             "--error-logfile", "/dev/stderr", "probe:app"],
            cwd=tmp_path, env=environment(tmp_path),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=theirs.fileno())
        theirs.close()
        try:
            ours.settimeout(40)
            got = b""
            while b"Booting worker" not in got:
                data = ours.recv(65536)
                assert data, got
                got += data
        finally:
            process.terminate()
            process.wait(40)
    assert process.returncode == 0, got


# ---- daemons ----


@pytest.mark.parametrize("keep", [False, True])
def test_a_daemon_keeps_its_streams_only_if_asked_to(server, keep):
    args = ["-D", "-R"] if keep else ["-D"]
    s = server("talk:app", *args, "--error-logfile", "error.log", "-p",
               "app.pid", daemon=True, errorlog="error.log", pidfile="app.pid",
               files={"talk.py": """\
import sys

def app(environ, start_response):
    print("printed by the application", flush=True)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"x"]
"""})
    s.get("/")
    target = os.readlink(f"/proc/{s.workers()[0]}/fd/1")
    if keep:
        until(lambda: "printed by the application" in s.stdout(), "the text")
    else:
        assert target == "/dev/null"
        assert s.stdout() == ""


# ---- folders and users ----


def test_usr1_with_a_folder_that_is_gone_keeps_the_old_file(server):
    s = server("probe:app", "--access-logfile", "logs/a.log", apps=APPS,
               files={"logs/keep": ""})
    s.get("/one")
    (s.folder / "logs").rename(s.folder / "gone")
    s.signal("USR1")
    s.wait_log(r"\[ERROR\] cannot reopen, the old file stays: accesslog: "
               r"'.*/logs/a\.log' isn't writable: the folder '.*/logs' "
               "doesn't exist", 2)  # the master and the worker
    s.get("/one?after")
    assert "after" in lines(s.folder / "gone" / "a.log", 2)[1]


SMALL = """\
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "1")])
    return [b"x"]
"""


def nobody():
    try:
        return pwd.getpwnam("nobody")
    except KeyError:
        return None


def open_path(path):
    """Lets another user reach pytest's folder."""
    for folder in [path, *path.parents]:
        if str(folder).startswith("/tmp/") and folder.owner() == "root":
            folder.chmod(folder.stat().st_mode | 0o055)


@ROOT
@pytest.mark.skipif(nobody() is None, reason="there is no user nobody")
@pytest.mark.usefixtures("other_user")
class TestAfterAChangeOfUser:
    @pytest.fixture
    def dropped(self, server, tmp_path):
        def make(folder_mode):
            folder = tmp_path / "s0"
            (folder / "logs").mkdir(parents=True)
            open_path(folder)
            (folder / "logs").chmod(folder_mode)
            s = server("small:app", "-u", "nobody", "-g",
                       str(nobody().pw_gid), "--access-logfile", "logs/a.log",
                       files={"small.py": SMALL})
            s.get("/one?before")
            lines(folder / "logs" / "a.log", 1)
            return s, folder / "logs"
        return make

    def test_log_files_belong_to_the_user(self, dropped):
        _, logs = dropped(0o755)
        assert (logs / "a.log").stat().st_uid == nobody().pw_uid

    def test_usr1_reopens_in_a_folder_that_only_root_may_write(self, dropped):
        s, logs = dropped(0o755)
        (logs / "a.log").rename(logs / "a.log.1")
        s.signal("USR1")

        def arrives():
            s.get("/one?after")
            path = logs / "a.log"
            return path.exists() and "after" in path.read_text()
        until(arrives, "lines arrive in the new file")
        assert (logs / "a.log").stat().st_uid == nobody().pw_uid
        assert "cannot reopen" not in s.log()

    def test_what_the_user_may_not_open_is_told_with_the_user(self, dropped):
        s, logs = dropped(0o700)
        (logs / "a.log").rename(logs / "a.log.1")
        s.signal("USR1")
        s.wait_log(r"cannot reopen, the old file stays: accesslog: "
                   r"'.*/logs/a\.log' isn't writable: Permission denied for "
                   rf"user {nobody().pw_uid}: let that user write the file")
        s.get("/one?after")
        until(lambda: "after" in (logs / "a.log.1").read_text(),
              "the old file goes on")


def _answers(s):
    try:
        return s.get("/one").status == 200
    except (OSError, AssertionError):
        return False


def test_paths_are_those_of_the_start_whatever_the_application_does(server):
    s = server("moves:app", "--access-logfile", "a.log", files={
        "moves.py": "import os\nfrom probe import app\nos.chdir('/')\n"},
        apps=APPS)
    s.get("/one?before")
    lines(s.folder / "a.log", 1)
    (s.folder / "a.log").rename(s.folder / "a.log.1")
    s.signal("USR1")

    def arrives():
        s.get("/one?after")
        path = s.folder / "a.log"
        return path.exists() and "after" in path.read_text()
    until(arrives, "lines arrive in the new file")
    assert not pathlib.Path("/a.log").exists()
