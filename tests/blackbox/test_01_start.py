# SPDX-License-Identifier: MIT
"""The program starts, says so, answers and stops."""
import os
import re
import shutil
import socket

import pytest

from harness import classes, embedded, processes, wire
from harness.server import command
from harness.waiting import until

HELLO = """\
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]
"""


def test_version_is_printed_and_the_status_is_0(run):
    done = run("--version")
    assert done.status == 0
    first, second = done.out.splitlines()
    assert re.fullmatch(
        r"cgunicorn \(version \d+\.\d+\.\d+\S*\)|gunicorn \(version "
        r"\d+\.\d+\.\d+, cgunicorn \d+\.\d+\.\d+\S*\)", first)
    assert done.err == ""
    told = embedded.told(True)
    assert re.fullmatch(r"Python 3\.\d+\.\d+\S*, (/\S+)", second)[1] == told["executable"]


@pytest.mark.parametrize("name, shown", [
    ("gunicorn", r"gunicorn \(version 27\.\d+\.\d+, cgunicorn \d+\.\d+\.\d+\S*\)"),
    ("cgunicorn", r"cgunicorn \(version \d+\.\d+\.\d+\S*\)"),
    ("cgunicorn-3.11", r"cgunicorn \(version \d+\.\d+\.\d+\S*\)"),
    ("web server", r"cgunicorn \(version \d+\.\d+\.\d+\S*\)")])
def test_a_program_of_another_name_says_what_it_is(run, tmp_path, name, shown):
    link = tmp_path / name
    link.symlink_to(os.path.realpath(shutil.which(command()[0])))
    prog = "gunicorn" if name == "gunicorn" else "cgunicorn"
    done = run("--version", program=[str(link)])
    assert re.fullmatch(shown, done.out.splitlines()[0])
    done = run("--help", program=[str(link)])
    assert done.out.startswith(f"usage: {prog} [OPTIONS] [APP_MODULE]\n")
    done = run("--no-such-option", program=[str(link)])
    assert done.status == 2
    assert f"\n{prog}: error: " in done.err
    assert done.err.startswith(f"usage: {prog} ")
    for words in (["config", "explain", "--no-such-option"], ["config", "x"]):
        done = run(*words, program=[str(link)])
        assert done.status == 2
        assert f"{prog}: error: " in done.err


def test_a_program_called_gunicorn_serves(server, tmp_path):
    link = tmp_path / "gunicorn"
    link.symlink_to(os.path.realpath(shutil.which(command()[0])))
    s = server("hello:app", files={"hello.py": HELLO},
               program=[str(link), *command()[1:]])
    assert s.get("/").body == b"hello"


def test_v_is_version_not_verbose(run):
    assert run("-v").out == run("--version").out


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_lists_options_on_stdout_and_the_status_is_0(run, flag):
    done = run(flag)
    assert done.status == 0
    assert done.err == ""
    assert "[OPTIONS] [APP_MODULE]" in done.out
    for option in ("--bind", "--workers", "--config", "--log-level"):
        assert option in done.out


def test_a_request_is_answered(server):
    s = server("shop:app", files={"shop.py": HELLO})
    r = s.get("/")
    assert (r.status, r.reason, r.body) == (200, "OK", b"hello")


def test_a_request_over_a_unix_socket_is_answered(server):
    s = server("shop:app", files={"shop.py": HELLO}, bind="unix")
    assert s.get("/").body == b"hello"


def test_the_log_tells_the_start_as_gunicorn_does(server):
    s = server("shop:app", files={"shop.py": HELLO})
    pid = s.wait_log(r"Booting worker with pid: (\d+)")
    stamp = r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}\]"
    lines = [
        rf"{stamp} \[{s.pid}\] \[INFO\] Starting c?gunicorn \S+",
        rf"{stamp} \[{s.pid}\] \[INFO\] Listening at: "
        rf"http://127\.0\.0\.1:{s.address[1]} \({s.pid}\)",
        rf"{stamp} \[{s.pid}\] \[INFO\] Using worker: {classes.under_test()}",
        rf"{stamp} \[{pid}\] \[INFO\] Booting worker with pid: {pid}",
    ]
    at = 0
    for line in lines:
        found = re.compile(line).search(s.log(), at)
        assert found, f"{line} is not (in this place) in:\n{s.log()}"
        at = found.end()


def test_the_log_tells_the_stop_as_gunicorn_does(server):
    s = server("shop:app", files={"shop.py": HELLO})
    s.get("/")
    pid = s.workers()[0]
    assert s.stop() == 0
    log = s.log()
    assert f"[{s.pid}] [INFO] Handling signal: term" in log
    assert f"[{pid}] [INFO] Worker exiting (pid: {pid})" in log
    assert f"[{s.pid}] [INFO] Shutting down: Master" in log


@pytest.mark.parametrize("name", ["TERM", "INT", "QUIT"])
def test_a_stop_signal_ends_every_process_with_status_0(server, name):
    s = server("shop:app", "-w", "2", files={"shop.py": HELLO})
    s.wait_log("Booting worker", 2)
    # the master, two workers and the keepers of their connections
    tree = until(lambda: len(s.tree()) == 5 and s.tree(), "all are there")
    assert s.stop(name) == 0
    for pid in tree:
        processes.wait_gone(pid, "a process of the server")


def test_a_stop_in_the_middle_of_the_start_is_clean(server):
    s = server("shop:app", "-w", "3", files={"shop.py": HELLO})
    # the workers are being forked now
    assert s.stop() == 0


def test_the_listening_socket_is_closed_after_the_stop(server):
    s = server("shop:app", files={"shop.py": HELLO})
    s.stop()
    with pytest.raises(ConnectionRefusedError):
        s.connect()


def test_the_unix_socket_file_is_removed_at_the_stop(server):
    s = server("shop:app", files={"shop.py": HELLO}, bind="unix")
    assert (s.folder / "s.sock").is_socket()
    s.stop()
    assert not (s.folder / "s.sock").exists()


def test_a_stale_unix_socket_file_is_replaced(server, tmp_path):
    folder = tmp_path / "s0"
    folder.mkdir()
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(folder / "s.sock"))
    s = server("shop:app", files={"shop.py": HELLO}, bind="unix")
    assert s.get("/").body == b"hello"


def test_a_unix_socket_is_open_to_everybody_unless_umask_says_otherwise(server):
    s = server("shop:app", files={"shop.py": HELLO}, bind="unix")
    assert (s.folder / "s.sock").stat().st_mode & 0o777 == 0o777
    t = server("shop:app", "--umask", "0027", files={"shop.py": HELLO},
               bind="unix")
    assert (t.folder / "s.sock").stat().st_mode & 0o777 == 0o750


def test_check_config_loads_the_application_and_the_status_is_0(run):
    done = run("--check-config", "shop:app", files={"shop.py": HELLO})
    assert done.status == 0
    assert done.out == ""


def test_print_config_shows_every_value_on_stdout(run):
    done = run("--print-config", "--workers", "7", "shop:app",
               files={"shop.py": HELLO})
    assert done.status == 0
    values = dict(re.split(r"\s+= ", line, maxsplit=1)
                  for line in done.out.splitlines() if " = " in line)
    assert values["workers"] == "7"
    assert values["timeout"] == "30"
    assert "127.0.0.1:8000" in values["bind"]


def test_options_of_the_environment_yield_to_the_command_line(run):
    done = run("--print-config", "--workers", "7", "shop:app",
               files={"shop.py": HELLO},
               env={"GUNICORN_CMD_ARGS": "--workers=3 --threads 4"})
    assert re.search(r"^workers\s+= 7$", done.out, re.M)
    assert re.search(r"^threads\s+= 4$", done.out, re.M)


def test_the_default_config_file_is_read(run):
    done = run("--print-config", "shop:app", files={
        "shop.py": HELLO, "gunicorn.conf.py": "workers = 5\n"})
    assert re.search(r"^workers\s+= 5$", done.out, re.M)


def test_web_concurrency_sets_the_workers(run):
    done = run("--print-config", "shop:app", files={"shop.py": HELLO},
               env={"WEB_CONCURRENCY": "6"})
    assert re.search(r"^workers\s+= 6$", done.out, re.M)


def test_several_listeners_all_answer(server):
    s = server("shop:app", "--bind", "unix:second.sock",
               files={"shop.py": HELLO})
    assert s.get("/").body == b"hello"
    assert wire.fetch(str(s.folder / "second.sock")).body == b"hello"
    assert re.search(
        rf"Listening at: http://127\.0\.0\.1:{s.address[1]},unix:second\.sock ",
        s.log(),
    )


def test_a_listener_given_as_a_descriptor_answers(server):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        fd = listener.fileno()
        s = server("--bind", f"fd://{fd}", "shop:app", bind=None,
                   files={"shop.py": HELLO}, pass_fds=(fd,))
        assert wire.fetch(listener.getsockname()).body == b"hello"
        assert s.stop() == 0


def test_the_master_survives_its_terminal_being_resized(server):
    s = server("shop:app", files={"shop.py": HELLO})
    s.get("/")
    s.signal("WINCH")
    s.wait_log("Handling signal: winch")
    assert s.get("/").body == b"hello"


def test_names_need_not_be_utf_8(server, tmp_path):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    s = server("--name", os.fsdecode(b"caf\xe9"), "shop:app", folder=folder,
               files={"shop.py": HELLO}, config="""\
def when_ready(server):
    server.log.info("called %a", server.proc_name)
""")
    s.wait_log(r"called 'caf\\udce9'")
    assert s.get("/").body == b"hello"


@pytest.mark.parametrize("closed", ["<&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_are_nobody_elses(server, closed):
    # else a pipe of ours gets the number, and a line of a log is a signal
    s = server("--error-logfile", "error.log", "--access-logfile", "-",
               "shop:app", files={"shop.py": HELLO}, errorlog="error.log",
               program=["sh", "-c", f'exec "$@" {closed}', "sh", *command()])
    assert s.get("/").body == b"hello"
    for pid in [s.pid, *s.workers()]:
        for fd in range(3):
            target = os.readlink(f"/proc/{pid}/fd/{fd}")
            assert target.startswith("/"), (pid, fd, target)
    assert s.log_count("Handling signal") == 0
