# SPDX-License-Identifier: MIT
"""Users, groups, owners, and strange places to run in. As root only, but for
the last ones."""
import grp
import os
import pathlib
import pwd
import shutil
import signal
import tempfile

import pytest

from harness import processes, strangers
from harness.server import command
from harness.waiting import until

APP = """\
import os

def app(environ, start_response):
    body = repr((os.getresuid(), os.getresgid(), sorted(os.getgroups()),
                 os.getcwd())).encode()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body]
"""
root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def folder():
    """A folder that everybody may enter; those of pytest are root's."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="cgunicorn-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def nobody():
    user = pwd.getpwnam("nobody")
    return user.pw_uid, user.pw_gid


def seen(server):
    return eval(server.get("/").body)


def owner(path):
    st = os.stat(path)
    return st.st_uid, st.st_gid


@root
@pytest.mark.usefixtures("other_user")
def test_workers_become_the_user_and_group_and_the_master_does_not(
        folder, server, nobody):
    s = server("shop:app", "--user", "nobody", "--group", str(nobody[1]),
               files={"shop.py": APP}, folder=folder)
    uids, gids, _, _ = seen(s)
    assert set(uids) == {nobody[0]} and set(gids) == {nobody[1]}
    assert os.stat(f"/proc/{s.pid}").st_uid == 0
    assert "run as root" not in s.log()


@root
@pytest.mark.parametrize("extra", [(), ("--initgroups",)])
@pytest.mark.usefixtures("other_user")
def test_initgroups_gives_the_groups_of_the_user(
        folder, server, nobody, extra):
    s = server("shop:app", "--user", "nobody", "--group", str(nobody[1]),
               *extra, files={"shop.py": APP}, folder=folder)
    named = {g.gr_gid for g in grp.getgrall() if "nobody" in g.gr_mem}
    # root's own are not among them, whatever the setting
    assert set(seen(s)[2]) == (named | {nobody[1]} if extra else set())


@root
@pytest.mark.usefixtures("other_user")
def test_a_uid_without_a_name_will_do(folder, server):
    s = server("shop:app", "--user", "54321", "--group", "54321",
               "--initgroups", files={"shop.py": APP}, folder=folder)
    assert set(seen(s)[0]) == {54321}


@root
@pytest.mark.usefixtures("other_user")
@pytest.mark.parametrize("extra", [(), ("--initgroups",)])
def test_a_worker_keeps_no_group_of_root_s(folder, server, extra, monkeypatch):
    """Started by a root with groups of its own, as a login has them."""
    if not shutil.which("setpriv"):
        pytest.skip("needs setpriv")
    monkeypatch.setenv("CGUNICORN", " ".join(
        ["setpriv", "--groups", "0,6,27", *command()]))
    s = server("shop:app", "--user", "54321", "--group", "54321", *extra,
               files={"shop.py": APP}, folder=folder)
    assert seen(s)[2] == []


@root
@pytest.mark.usefixtures("other_user")
def test_a_user_without_a_group_is_told_that_roots_stays(folder, server):
    s = server("shop:app", "--user", "nobody", files={"shop.py": APP},
               folder=folder)
    uids, gids, groups, _ = seen(s)
    assert set(gids) == {0} and groups == []
    s.wait_log(r"\[WARNING\] Workers stay in root's group \(0\): name another")


@pytest.mark.parametrize("extra,bound", [((), b"1"), (
    ("--allow-new-privs",), b"0")])
def test_what_a_worker_starts_gains_no_rights(server, extra, bound):
    s = server("shop:app", *extra, files={"shop.py": """\
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    with open("/proc/self/status", "rb") as f:
        return [dict(line.split(b":\\t") for line in f)[b"NoNewPrivs"].strip()]
"""})
    assert s.get("/").body == bound
    with open(f"/proc/{s.pid}/status", encoding="ascii") as f:
        assert "NoNewPrivs:\t0" in f.read()


@root
def test_running_as_root_is_told_once(server):
    s = server("shop:app", "-w", "3", files={"shop.py": APP})
    s.wait_workers(3)
    s.signal("HUP")
    s.wait_log("Booting worker", 6)
    assert s.log_count(r"\[WARNING\] Workers run as root") == 1


@root
@pytest.mark.usefixtures("other_user")
def test_sockets_and_logs_belong_to_the_user(folder, server, nobody):
    s = server("shop:app", "--user", "nobody", "--group", str(nobody[1]),
               "--error-logfile", "error.log", "--access-logfile",
               "access.log", "--umask", "0o117", files={"shop.py": APP},
               folder=folder, bind="unix", errorlog="error.log")
    s.get("/")
    assert owner(folder / "error.log") == nobody
    assert owner(folder / "access.log") == nobody
    assert owner(s.address) == nobody
    assert os.stat(s.address).st_mode & 0o777 == 0o660
    assert s.stop() == 0
    assert not os.path.exists(s.address)


@root
@pytest.mark.usefixtures("other_user")
def test_an_id_beyond_31_bits_owns_its_socket_and_log(folder, server):
    big = 3000000000  # as containers with a range of their own have them
    try:
        os.chown(folder, big, big)
    except OSError:
        pytest.skip("no such id in this user namespace")
    s = server("shop:app", "--user", str(big), "--group", str(big),
               "--error-logfile", "error.log", files={"shop.py": APP},
               folder=folder, bind="unix", errorlog="error.log")
    assert set(seen(s)[0]) == {big}
    assert owner(folder / "error.log") == owner(s.address) == (big, big)


@root
@pytest.mark.usefixtures("other_user")
def test_usr1_reopens_logs_after_the_privileges_are_gone(
        folder, server, nobody):
    # the folder is root's: only the master can make the new files
    s = server("shop:app", "--user", "nobody", "--group", str(nobody[1]),
               "--error-logfile", "error.log", "--access-logfile",
               "access.log", files={"shop.py": APP}, folder=folder,
               errorlog="error.log")
    s.get("/first")
    for name in ("error.log", "access.log"):
        (folder / name).rename(folder / (name + ".1"))
    s.signal("USR1")
    until(lambda: (folder / "access.log").exists(), "the log is made anew")

    def is_reopened():
        s.get("/again")
        return "/again" in (folder / "access.log").read_text()
    until(is_reopened, "the worker writes into the new file")
    assert owner(folder / "access.log") == nobody


def without_root(folder, *args):
    """A run of the program as uid 12345 without entry, home or shell."""
    return [*strangers.as_user(12345), *args]


def test_a_random_uid_with_no_entry_and_no_home_can_serve(
        folder, server, monkeypatch):
    strangers.needed()
    folder.chmod(0o777)
    monkeypatch.setenv("CGUNICORN", " ".join(
        without_root(folder, *command())))
    s = server("shop:app", "-w", "2", files={"shop.py": APP}, folder=folder,
               env={"HOME": "/", "XDG_RUNTIME_DIR": None, "USER": None})
    assert set(seen(s)[0]) == {12345}
    assert "WARNING" not in s.log() and "ERROR" not in s.log()


def test_user_without_the_right_to_it_stops_the_start(
        folder, server, monkeypatch):
    strangers.needed()
    folder.chmod(0o777)
    monkeypatch.setenv("CGUNICORN", " ".join(
        without_root(folder, *command())))
    s = server("shop:app", "--user", "nobody", files={"shop.py": APP},
               folder=folder, start=False, announced=["Exception in worker"])
    s.expected_status = s.wait()
    assert s.expected_status == 3
    s.wait_log("user: cannot become user")


# ---- what containers are like ----


@processes.needs_root_and_unshare("--mount")
def test_a_read_only_root_without_shm_is_enough(folder, server, monkeypatch):
    inside = ("mount --make-rprivate / && mount -o remount,ro,bind / / ; "
              "mount -t tmpfs -o ro,size=4k none /dev/shm; "
              "mount -t tmpfs -o ro,size=4k none /tmp/ro 2>/dev/null; "
              'exec "$@"')
    script = folder / "inside.sh"
    script.write_text("#!/bin/sh\n" + inside + "\n")
    script.chmod(0o755)
    plain = [os.path.abspath(command()[0])]
    monkeypatch.setenv("CGUNICORN", " ".join(
        ["unshare", "--mount", str(script), *plain]))
    s = server("shop:app", "-w", "2", files={"shop.py": APP}, folder=folder,
               env={"TMPDIR": "/proc/no-such-folder"})
    assert s.get("/").status == 200
    assert "ERROR" not in s.log()


@processes.needs_root_and_unshare("--pid", "--fork", "--mount-proc")
def test_as_pid_1_it_reaps_orphans_of_others(folder, server, monkeypatch):
    plain = [os.path.abspath(command()[0])]
    monkeypatch.setenv("CGUNICORN", " ".join(
        ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child",
         *plain]))
    s = server("shop:app", "--log-level", "debug", folder=folder,
               files={"shop.py": """\
import os, subprocess

def app(environ, start_response):
    # its child is left to PID 1 and ends with 3, as a failed boot would
    subprocess.run(["sh", "-c", "(sleep 0.1; exit 3) &"])
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d" % os.getppid()]
"""})
    assert s.get("/").body == b"1"
    s.wait_log(r"Reaped unknown child process \(pid:\d+, status:768\)")
    master = processes.children(s.pid)[0]
    until(lambda: processes.zombies(master) == [], "no zombie is left")
    assert s.get("/").status == 200
    os.kill(master, signal.SIGTERM)
    assert s.wait() == 0
