# SPDX-License-Identifier: MIT
"""HUP: new values, no lost request, and nothing breaks a running server."""
import os
import signal
import subprocess

import pytest

from harness import processes
from harness.load import Load
from harness.server import free_port
from harness.waiting import until


def shop(word):
    return f"""\
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"{word}"]
"""


def write(server, name, text):
    """Whole at once, as a deployment does."""
    new = server.folder / (name + ".new")
    new.write_text(text)
    new.rename(server.folder / name)


def wait_body(server, body):
    until(lambda: server.get("/").body == body,
          lambda: f"{body} is answered:\n{server.tail()}")


def test_hup_takes_new_values_of_the_config_file(server):
    s = server("shop:app", config="workers = 1\n",
               files={"shop.py": shop("one")})
    s.wait_workers(1)
    s.get("/")
    write(s, "conf.py", "workers = 3\n")
    s.signal("HUP")
    s.wait_log("Hang up: Master")
    s.wait_workers(3)


def test_the_end_of_a_reload_is_told_with_its_figures(server):
    s = server("shop:app", "-w", "2", files={"shop.py": shop("x")})
    s.wait_workers(2)
    s.signal("HUP")
    s.wait_log("Reload done: 2 workers, generation 2, ")


def test_hup_loads_the_new_application(server):
    s = server("shop:app", files={"shop.py": shop("before")})
    assert s.get("/").body == b"before"
    write(s, "shop.py", shop("afterwards"))
    s.signal("HUP")
    wait_body(s, b"afterwards")


def test_hup_replaces_every_worker(server):
    s = server("shop:app", "-w", "2", files={"shop.py": shop("x")})
    s.wait_log("Booting worker", 2)
    old = set(s.wait_workers(2))
    s.signal("HUP")
    until(lambda: len(s.workers()) == 2 and not old & set(s.workers()),
          lambda: f"two new workers; old {old}, now {s.workers()}")
    assert s.get("/").status == 200


def test_hup_under_load_loses_nothing(server):
    s = server("shop:app", "-w", "2", files={"shop.py": shop("x")})
    s.wait_log("Booting worker", 2)
    with Load(s.address, clients=4, keep=True) as load:
        for _ in range(3):
            load.wait_answers(100)
            old = set(s.workers())
            s.signal("HUP")
            until(lambda: len(s.workers()) == 2
                  and not old & set(s.workers()), "two new workers")
        load.wait_answers(100)
    assert load.lost == []


def test_hup_under_load_of_single_requests_loses_nothing(server):
    s = server("shop:app", "-w", "2", files={"shop.py": shop("x")})
    s.wait_log("Booting worker", 2)
    with Load(s.address, clients=4) as load:
        load.wait_answers(100)
        old = set(s.workers())
        s.signal("HUP")
        until(lambda: len(s.workers()) == 2
              and not old & set(s.workers()), "two new workers")
        load.wait_answers(100)
    assert load.lost == []


def test_hup_under_constant_load_ends_the_old_workers(server):
    # the listen queue is never empty: nobody may wait for that
    s = server("shop:app", "-w", "2", "--graceful-timeout", "8", files={
        "shop.py": "import time\n" + shop("x").replace(
            "    start", "    time.sleep(0.005)\n    start", 1)})
    s.wait_log("Booting worker", 2)
    with Load(s.address, clients=10, keep=True) as keep, \
            Load(s.address, clients=8) as single:
        for _ in range(2):
            keep.wait_answers(50)
            old = set(s.workers())
            s.signal("HUP")
            until(lambda: len(s.workers()) == 2
                  and not old & set(s.workers()), "two new workers")
        single.wait_answers(50)
    assert keep.lost == [] and single.lost == []
    assert "SIGKILL" not in s.log()


def test_the_old_workers_serve_until_the_new_ones_are_ready(server):
    s = server("shop:app", files={"shop.py": shop("old")})
    assert s.get("/").body == b"old"
    os.mkfifo(s.folder / "go")
    write(s, "shop.py", "open('began', 'w').close()\n"
          "with open('go') as f:\n    f.read()\n" + shop("new"))
    s.signal("HUP")
    until(lambda: (s.folder / "began").exists(), "the new one is loading")
    for _ in range(10):
        assert s.get("/").body == b"old"
    with open(s.folder / "go", "w"):
        pass
    wait_body(s, b"new")


@pytest.mark.parametrize("text, told", [
    ("workers = (\n", "SyntaxError"),
    ("workers = 1 // 0\n", "ZeroDivisionError"),
    ("workers = 'many'\n", "many"),
    ("timeout = -1\n", "-1"),
])
def test_a_broken_config_file_keeps_the_server_as_it_is(server, text, told):
    s = server("shop:app", config="workers = 1\n", announced=[told],
               files={"shop.py": shop("kept")})
    assert s.get("/").body == b"kept"
    workers = s.workers()
    write(s, "conf.py", text)
    s.signal("HUP")
    s.wait_log(r"\[ERROR\] [^\n]*conf\.py")
    assert told in s.log()
    assert s.get("/").body == b"kept"
    assert s.workers() == workers
    write(s, "conf.py", "workers = 2\n")
    s.signal("HUP")
    s.wait_workers(2)


def test_a_missing_config_file_keeps_the_server_as_it_is(server):
    s = server("shop:app", config="workers = 1\n",
               files={"shop.py": shop("kept")})
    s.get("/")
    workers = s.workers()
    (s.folder / "conf.py").unlink()
    s.signal("HUP")
    s.wait_log(r"\[ERROR\] [^\n]*conf\.py")
    assert s.get("/").body == b"kept"
    assert s.workers() == workers


@pytest.mark.parametrize("text", [
    "import no_such_module_here\n", "raise RuntimeError('no database')\n",
    "application = None\n"])
def test_a_broken_application_keeps_the_old_workers(server, text):
    s = server("shop:app", files={"shop.py": shop("kept")}, announced=["."])
    assert s.get("/").body == b"kept"
    old = s.workers()
    write(s, "shop.py", text)
    s.signal("HUP")
    s.wait_log(r"\[ERROR\]")
    for _ in range(5):
        assert s.get("/").body == b"kept"
    assert set(old) <= set(s.workers())
    write(s, "shop.py", shop("repaired"))
    s.signal("HUP")
    wait_body(s, b"repaired")


ENDS = {
    "status": "import os\nos._exit(255)\n",
    "signal": "import os, signal\nos.kill(os.getpid(), signal.SIGALRM)\n",
    "killed": "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n",
}


@pytest.mark.parametrize("how", list(ENDS))
def test_new_workers_that_end_some_other_way_fail_the_reload_too(server, how):
    s = server("shop:app", files={"shop.py": shop("kept")}, announced=["."])
    old = s.wait_workers(1)
    s.get("/")
    write(s, "shop.py", ENDS[how])
    s.signal("HUP")
    s.wait_log("Reload failed: the new workers do not boot")
    until(lambda: s.workers() == old, "only the old one is left")
    assert s.get("/").body == b"kept"
    write(s, "shop.py", shop("repaired"))
    s.signal("HUP")
    wait_body(s, b"repaired")


def test_new_workers_that_hang_are_told_and_given_up_by_another_hup(server):
    s = server("shop:app", "--timeout", "1", files={"shop.py": shop("kept")},
               announced=["still boot", "Reload failed"])
    old = s.wait_workers(1)
    s.get("/")
    write(s, "shop.py", "import time\nwhile True:\n    time.sleep(1)\n")
    s.signal("HUP")
    s.wait_log(r"\[WARNING\] The new workers of the reload still boot")
    assert s.get("/").body == b"kept" and set(old) < set(s.workers())
    write(s, "shop.py", shop("repaired"))
    s.signal("HUP")
    wait_body(s, b"repaired")
    s.wait_workers(1)
    # the repaired ones may boot as long, where they import a package
    assert 1 <= s.log_count("still boot") <= 2


@pytest.mark.parametrize("hook, args", [
    ("post_fork", "server, worker"), ("post_worker_init", "worker")])
@pytest.mark.parametrize("deed", ["1 / 0", "raise SystemExit(7)",
                                  "raise SystemExit(0)"])
def test_a_hook_that_ends_new_workers_fails_the_reload(
        server, hook, args, deed):
    good = "workers = 1\n"
    s = server("shop:app", config=good, files={"shop.py": shop("kept")},
               announced=["."])
    old = s.wait_workers(1)
    s.get("/")
    write(s, "conf.py", good + f"def {hook}({args}):\n    {deed}\n")
    s.signal("HUP")
    s.wait_log("Reload failed: the new workers do not boot")
    assert s.get("/").body == b"kept"
    until(lambda: s.workers() == old, "only the old one is left")
    write(s, "conf.py", "workers = 2\n")
    s.signal("HUP")
    until(lambda: len(s.workers()) == 2 and not set(old) & set(s.workers()),
          "new workers")
    assert s.get("/").body == b"kept"


def test_one_new_worker_that_is_killed_does_not_end_a_reload(server):
    """That may be chance."""
    s = server("shop:app", files={"shop.py": shop("old")}, announced=["."])
    s.get("/")
    write(s, "shop.py", """\
import os, signal
if not os.path.exists("once"):
    open("once", "w").close()
    os.kill(os.getpid(), signal.SIGKILL)
""" + shop("new"))
    s.signal("HUP")
    wait_body(s, b"new")
    assert "Reload failed" not in s.log()


def test_hup_takes_new_listeners(server):
    s = server("shop:app", config="bind = ['unix:a.sock']\n", bind=None,
               files={"shop.py": shop("x")})
    s.address = str(s.folder / "a.sock")
    assert s.get("/").body == b"x"
    write(s, "conf.py", "bind = ['unix:b.sock']\n")
    s.signal("HUP")
    s.wait_log("Listening at: unix:b.sock")
    s.address = str(s.folder / "b.sock")
    assert s.get("/").body == b"x"


def test_hup_leaves_nobody_at_the_old_address(server):
    ports = [free_port(), free_port()]
    s = server("shop:app", bind=None, files={"shop.py": shop("x")},
               config=f"bind = '127.0.0.1:{ports[0]}'\n")
    s.address = ("127.0.0.1", ports[0])
    assert s.get("/").body == b"x"
    write(s, "conf.py", f"bind = '127.0.0.1:{ports[1]}'\n")
    s.signal("HUP")

    def is_refused():
        try:
            s.connect().close()
        except ConnectionRefusedError:
            return True
        return False
    until(is_refused, "nobody listens there")
    s.address = ("127.0.0.1", ports[1])
    assert s.get("/").body == b"x"


def test_hup_reopens_the_logs(server):
    s = server("shop:app", "--error-logfile", "error.log",
               errorlog="error.log", files={"shop.py": shop("x")})
    s.get("/")
    (s.folder / "error.log").rename(s.folder / "error.log.1")
    s.signal("HUP")
    until(lambda: (s.folder / "error.log").exists(), "the log is made anew")
    s.wait_log("Booting worker")


def test_hup_takes_the_environment_of_the_new_config(server):
    app = """\
import os

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [os.environ.get("WORD", "none").encode()]
"""
    s = server("shop:app", config="raw_env = ['WORD=first']\n",
               files={"shop.py": app})
    assert s.get("/").body == b"first"
    write(s, "conf.py", "raw_env = ['WORD=second']\n")
    s.signal("HUP")
    wait_body(s, b"second")
    write(s, "conf.py", "\n")
    s.signal("HUP")
    wait_body(s, b"none")


def test_a_config_file_is_read_again_in_the_original_environment(server):
    s = server("shop:app", files={"shop.py": shop("x")}, env={"WORD": "was"},
               config="import os\nraw_env = ['WORD=set']\n"
                      "print('read with', os.environ['WORD'], flush=True)\n")
    s.get("/")
    s.signal("HUP")
    s.wait_log("Booting worker", 2)
    assert s.stdout() == "read with was\n" * 2


def test_a_storm_of_hups_leaves_one_set_of_workers(server):
    s = server("shop:app", "-w", "2", files={"shop.py": shop("x")})
    s.wait_log("Booting worker", 2)
    for _ in range(20):
        s.signal("HUP")
    old = set(s.workers())
    s.signal("HUP")
    until(lambda: len(s.workers()) == 2 and not old & set(s.workers()),
          lambda: f"two new workers, not {s.workers()}")
    assert s.get("/").body == b"x"


def test_a_hup_during_a_reload_is_followed_when_it_has_ended(server):
    s = server("shop:app", files={"shop.py": shop("first")})
    assert s.get("/").body == b"first"
    os.mkfifo(s.folder / "go")
    write(s, "shop.py", "open('began', 'w').close()\n"
          "with open('go') as f:\n    f.read()\n" + shop("second"))
    s.signal("HUP")
    until(lambda: (s.folder / "began").exists(), "the second one is loading")
    write(s, "shop.py", shop("third"))
    s.signal("HUP")
    s.wait_log("Hang up: Master", 2)
    with open(s.folder / "go", "w"):
        pass
    wait_body(s, b"third")


def test_reload_notices_a_changed_module(server):
    s = server("shop:app", "--reload", files={"shop.py": shop("before")})
    assert s.get("/").body == b"before"
    write(s, "shop.py", shop("after it changed"))
    wait_body(s, b"after it changed")
    s.wait_log("Worker reloading: .*shop.py modified")


def test_a_preloaded_application_stays_and_the_log_says_what_to_do(server):
    s = server("--preload", "--pid", "shop.pid", "shop:app",
               files={"shop.py": shop("loaded")})
    assert s.get("/").body == b"loaded"
    old = s.workers()
    write(s, "shop.py", shop("deployed"))
    s.signal("HUP")
    until(lambda: s.workers() and not set(old) & set(s.workers()),
          "a new worker")
    assert s.get("/").body == b"loaded"
    told = s.wait_log(r"\[WARNING\] preload_app: the application is not loaded "
                      r"again by a reload, .* For new code: (kill -USR2 \d+), "
                      r".*: (kill -TERM \d+)")
    # and what it says is true
    subprocess.run(told[0], shell=True, check=True)
    path = s.folder / "shop.pid.2"
    until(lambda: path.exists() and path.read_text(), "the second pidfile")
    new = int(path.read_text())
    until(lambda: processes.children(new), "a worker of the new master")
    subprocess.run(told[1], shell=True, check=True)
    assert s.wait() == 0
    assert s.get("/").body == b"deployed"
    s.wait_log("Master has been promoted")
    os.kill(new, signal.SIGTERM)
    assert processes.reap(new) == 0


WHERE = """\
import os
loaded_by = os.getpid()

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"master" if loaded_by == os.getppid() else b"worker"]
"""


def test_a_reload_that_sets_preload_app_loads_it_in_the_master(server):
    s = server("shop:app", config="raw_env = ['WORD=x']\n", files={
        "shop.py": WHERE + "\nassert os.environ['WORD'] == 'x'\n"})
    assert s.get("/").body == b"worker"
    write(s, "conf.py", "raw_env = ['WORD=x']\npreload_app = True\n")
    s.signal("HUP")
    wait_body(s, b"master")


def test_a_reload_that_cannot_preload_changes_nothing(server):
    s = server("shop:app", config="workers = 1\n", files={"shop.py": WHERE},
               announced=["no_such_module"])
    assert s.get("/").body == b"worker"
    old = s.workers()
    write(s, "shop.py", "import no_such_module\n")
    write(s, "conf.py", "workers = 3\npreload_app = True\n")
    s.signal("HUP")
    s.wait_log(r"\[ERROR\] Reload failed, the previous configuration stays: "
               r".*no_such_module")
    assert s.get("/").body == b"worker"
    assert s.workers() == old
    write(s, "shop.py", WHERE)
    s.signal("HUP")
    wait_body(s, b"master")
    s.wait_workers(3)
