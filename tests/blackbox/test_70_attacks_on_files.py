# SPDX-License-Identifier: MIT
"""What a worker's user may put into folders that root opens files in. The
attacker is `nobody`; what is root's must be as it was afterwards."""
import os
import pathlib
import pwd
import shutil
import stat
import tempfile

import pytest

from harness.waiting import until

root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
pytestmark = [root, pytest.mark.usefixtures("other_user")]
APP = """\
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"served"]
"""


@pytest.fixture
def nobody():
    user = pwd.getpwnam("nobody")
    return user.pw_uid, user.pw_gid


@pytest.fixture
def folder(nobody):
    """Root's, with `logs`, which is nobody's, and a secret of root's."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="cgunicorn-test-"))
    path.chmod(0o755)
    (path / "logs").mkdir()
    os.chown(path / "logs", *nobody)
    secret = path / "secret"
    secret.write_text("root's\n")
    secret.chmod(0o600)
    yield path
    shutil.rmtree(path)


def owner(path):
    st = os.lstat(path)
    return st.st_uid, st.st_gid


def as_nobody(args, nobody):
    return [*args, "--user", "nobody", "--group", str(nobody[1])]


def assert_untouched(folder):
    assert (folder / "secret").read_text() == "root's\n"
    assert owner(folder / "secret") == (0, 0)
    assert stat.S_IMODE(os.stat(folder / "secret").st_mode) == 0o600


def plant(folder, nobody, how, name="access.log"):
    """Nobody replaces its log by another name for the secret."""
    path = folder / "logs" / name
    path.unlink(missing_ok=True)
    if how == "link":
        path.symlink_to("../secret")
        os.lchown(path, *nobody)
    else:
        os.link(folder / "secret", path)


@pytest.mark.parametrize("how", ["link", "name"])
@pytest.mark.parametrize("sig", ["USR1", "HUP"])
def test_a_log_that_now_names_a_file_of_root_is_not_opened_again(
        folder, server, nobody, how, sig):
    s = server("shop:app", *as_nobody(
        ["--access-logfile", "logs/access.log"], nobody),
        files={"shop.py": APP}, folder=folder)
    s.get("/")
    plant(folder, nobody, how)
    s.signal(sig)
    s.wait_log("(cannot reopen|reloading the log configuration failed).*"
               "accesslog: '.*logs/access.log'")
    s.get("/")
    assert s.stop() == 0
    assert_untouched(folder)


@pytest.mark.parametrize("how", ["link", "name"])
def test_a_log_that_names_a_file_of_root_stops_the_start(
        folder, server, nobody, how):
    plant(folder, nobody, how)
    s = server("shop:app", *as_nobody(
        ["--access-logfile", "logs/access.log"], nobody),
        files={"shop.py": APP}, folder=folder, start=False)
    s.expected_status = s.wait()
    assert s.expected_status == 1
    s.wait_log("accesslog: '.*logs/access.log' isn't writable: .*"
               "(symbolic link of uid|has another name)")
    assert_untouched(folder)


def test_a_folder_that_became_a_link_gets_no_log_of_root(
        folder, server, nobody):
    """The folder above is nobody's as well: `etc` stands for one of root's."""
    (folder / "etc").mkdir()
    (folder / "site").mkdir()
    os.rename(folder / "logs", folder / "site" / "logs")
    os.chown(folder / "site", *nobody)
    s = server("shop:app", *as_nobody(
        ["--access-logfile", "site/logs/access.log"], nobody),
        files={"shop.py": APP}, folder=folder)
    s.get("/")
    os.rename(folder / "site" / "logs", folder / "site" / "gone")
    os.symlink(folder / "etc", folder / "site" / "logs")
    os.lchown(folder / "site" / "logs", *nobody)
    s.signal("USR1")
    s.wait_log("cannot reopen, the old file stays: accesslog: .*symbolic link")
    assert os.listdir(folder / "etc") == []


def test_a_link_that_root_made_is_followed(folder, server, nobody):
    (folder / "logs" / "access.log").symlink_to("real.log")
    os.symlink("/dev/stdout", folder / "out.log")
    s = server("shop:app", *as_nobody(
        ["--access-logfile", "logs/access.log", "--error-logfile", "out.log"],
        nobody), files={"shop.py": APP}, folder=folder, start=False)
    until(lambda: "Listening at" in s.stdout(), "the error log is stdout")
    s.connect().close()
    until(lambda: (folder / "logs" / "real.log").exists(), "the log is made")
    assert owner(folder / "logs" / "real.log") == nobody


def test_a_log_of_an_earlier_run_as_root_is_written_and_stays_roots(
        folder, server, nobody):
    """Where others can put names it may be another file of root's by now."""
    (folder / "logs" / "access.log").touch()
    s = server("shop:app", *as_nobody(
        ["--access-logfile", "logs/access.log"], nobody),
        files={"shop.py": APP}, folder=folder)
    s.wait_log("WARNING.*accesslog: .*keeps its owner")
    s.get("/told")
    until(lambda: "/told" in (folder / "logs" / "access.log").read_text(),
          "the line is in the log")
    assert owner(folder / "logs" / "access.log") == (0, 0)


def test_a_device_as_log_keeps_its_owner(folder, server, nobody):
    try:
        os.mknod(folder / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        open(folder / "null", "ab").close()
    except OSError as e:
        pytest.skip(f"no device can be made: {e}")
    s = server("shop:app", *as_nobody(
        ["--access-logfile", "null"], nobody),
        files={"shop.py": APP}, folder=folder)
    s.get("/")
    s.signal("USR1")
    s.get("/")
    assert s.stop() == 0
    assert owner(folder / "null") == (0, 0)
    assert stat.S_ISCHR(os.lstat(folder / "null").st_mode)


def test_a_pipe_as_log_waits_for_no_reader(folder, server, nobody):
    os.mkfifo(folder / "logs" / "access.log")
    os.chown(folder / "logs" / "access.log", *nobody)
    s = server("shop:app", *as_nobody(
        ["--access-logfile", "logs/access.log"], nobody),
        files={"shop.py": APP}, folder=folder)
    assert s.get("/").status == 200


@pytest.mark.parametrize("kind", ["device", "pipe", "link to a device"])
def test_a_pidfile_that_is_no_file_stops_the_start_and_stays(
        folder, server, kind):
    path = folder / "pid"
    try:
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "device":
            os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        else:
            os.symlink("/dev/null", path)
    except OSError as e:
        pytest.skip(f"it cannot be made: {e}")
    before = os.lstat(path)
    s = server("shop:app", "-p", "pid", files={"shop.py": APP}, folder=folder,
               start=False)
    s.expected_status = s.wait()
    assert s.expected_status == 1
    s.wait_log("pidfile: '.*/pid' is no regular file")
    assert os.lstat(path).st_ino == before.st_ino
    assert os.lstat(path).st_mode == before.st_mode


def test_a_pidfile_that_became_a_pipe_does_not_hang_the_stop(
        folder, server, nobody):
    s = server("shop:app", *as_nobody(["-p", "logs/pid"], nobody),
               files={"shop.py": APP}, folder=folder)
    until((folder / "logs" / "pid").exists, "the pidfile is there")
    (folder / "logs" / "pid").unlink()
    os.mkfifo(folder / "logs" / "pid")
    assert s.stop() == 0


def test_a_socket_of_somebody_else_is_not_removed_at_the_stop(
        folder, server, nobody):
    import socket
    s = server("shop:app", *as_nobody([], nobody), files={"shop.py": APP},
               folder=folder, bind="unix")
    os.unlink(s.address)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(s.address)
        assert s.stop() == 0
        assert os.path.exists(s.address)
