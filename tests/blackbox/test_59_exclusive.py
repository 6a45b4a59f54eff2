# SPDX-License-Identifier: MIT
"""Applications that hold what only one process can have (Zope's FileStorage, a
port, a GPU): they cannot start beside their predecessor."""
import pytest

from harness import processes
from harness.waiting import until

LOCKED = """\
import fcntl, os
lock = open("lock", "w")
fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

def app(environ, start_response):
    body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
HINT = r'replace = "before" old workers end before new ones are started'
FAILS = ("BlockingIOError", "exited with code 3", "successors in a row",
         "Reload failed", "Exception in worker process")


def start(server, *args, **kw):
    return server("shop:app", *args, files={"shop.py": LOCKED}, **kw)


def pid_of(s):
    return int(s.get("/").body)


def test_a_worker_that_holds_something_is_replaced_by_max_requests(server):
    s = start(server, "--max-requests", "3", "--replace", "before")
    seen = []

    def three():
        seen.append(pid_of(s))
        return len(set(seen)) >= 3
    until(three, "the third worker answers")
    assert s.log_count("Booting worker") <= len(set(seen)) + 1
    assert s.log_count("exited with code") == 0


def test_a_worker_that_holds_something_is_replaced_by_hup(server):
    s = start(server, config='replace = "before"\n')
    first = pid_of(s)
    for _ in range(3):
        s.signal("HUP")
        processes.wait_gone(first, "the old worker")
        second = pid_of(s)
        assert second != first
        first = second
    assert s.log_count("exited with code") == 0


def test_several_that_hold_something_each_are_replaced_by_hup(server):
    s = server("shop:app", "-w", "3", "--replace", "before", files={
        "shop.py": LOCKED.replace('open("lock", "w")', """next(
    f for f in (open("lock%d" % i, "w") for i in range(3)) if is_free(f))""")
        .replace("lock = ", """
def is_free(f):
    try:
        fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except OSError:
        return False

lock = """, 1)})
    old = set(s.wait_workers(3))
    s.signal("HUP")
    until(lambda: len(s.workers()) == 3 and not old & set(s.workers()),
          "three others")
    assert s.get("/").status == 200
    s.signal("HUP")
    s.wait_log("Hang up", count=2)
    assert s.log_count("exited with code") == 0


def test_without_the_setting_the_log_has_few_lines_and_a_hint(server):
    """There were 379 in 15 s."""
    s = start(server, "--max-requests", "1")
    s.announce(*FAILS)
    first = pid_of(s)
    s.wait_log("successors in a row ended before they served", count=2)
    assert pid_of(s) == first  # it serves on
    assert s.log_count(HINT) == 1
    s.wait_log("the next successor is started in 2 s")
    assert s.log_count("Booting worker") <= 5


def test_a_failed_reload_has_the_hint(server):
    s = start(server)
    s.announce(*FAILS)
    first = pid_of(s)
    s.signal("HUP")
    s.wait_log("Reload failed")
    s.wait_log(HINT)
    assert pid_of(s) == first


def test_a_reload_that_fails_for_another_reason_has_none(server):
    """It would mislead: the place of the fault is told instead."""
    s = server("shop:app", files={"shop.py": "import api\napp = api.app\n",
                                  "api.py": "app = print\n"})
    s.announce("ModuleNotFoundError", *FAILS)
    (s.folder / "api.py").write_text("import nosuch\n")
    s.signal("HUP")
    s.wait_log("Reload failed")
    s.wait_log(r"No module named 'nosuch' \(\S*/api.py, line 1\)")
    s.signal("HUP")
    s.wait_log("Reload failed", count=2)
    assert s.log_count(HINT) == 0


def test_code_that_does_not_boot_any_more_is_tried_until_it_does(server):
    s = start(server, "--replace", "before")
    s.announce("exited with code 3", "Reload failed", "SyntaxError",
               "Exception in worker process", "in a row ended within")
    assert s.get("/").status == 200
    (s.folder / "shop.py").write_text("def\n")
    s.signal("HUP")
    s.wait_log("others are started with the previous settings")
    (s.folder / "shop.py").write_text(LOCKED)
    assert s.get("/").status == 200  # it waited in the listen queue


@pytest.mark.parametrize("given, text", [
    ('"both"', "replace must be after or before: both"), ("3", "replace")])
def test_another_word_is_refused(run, given, text):
    done = run("-c", "conf.py", "--check-config", "shop:app", files={
        "shop.py": LOCKED, "conf.py": f"replace = {given}\n"})
    assert done.status == 1
    assert text in done.err


def test_a_function_that_the_configuration_imports_is_no_setting(run):
    done = run("-c", "conf.py", "--print-config", "shop:app", files={
        "shop.py": LOCKED, "conf.py": "from dataclasses import replace\n"})
    assert done.status == 0
    assert "after" in next(line for line in done.out.splitlines()
                           if line.split()[:1] == ["replace"])
