# SPDX-License-Identifier: MIT
"""The commands for a running server, and the channel that they use."""
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from harness import classes, control, processes
from harness.blocked import APP, Blocked
from harness.control import ask, ctl
from harness.waiting import until

FILES = {"app.py": APP}
WORKERS = ("-w", "2")


@pytest.fixture
def shop(server):
    return server(*WORKERS, "app:app", files=FILES)


def serving(s):
    until(lambda: control.status(s)["serving"], "its workers serve")
    return s


# ---- status ----

KEYS = {"version", "pid", "uptime_s", "state", "generation", "name",
        "config_file", "listeners", "workers", "requests_total", "responses",
        "queue_wait_s", "app_time_s", "events"}
WORKER_KEYS = {"pid", "state", "age_s", "requests", "busy", "connections",
               "rss_bytes", "pss_bytes", "cpu_s", "current"}


def test_status_tells_what_the_server_is_and_did(shop):
    serving(shop)
    for _ in range(3):
        assert shop.get("/").status == 200
    told = control.status(shop)
    assert KEYS <= set(told)
    assert (told["pid"], told["state"]) == (shop.pid, "running")
    assert told["generation"] == 1 and told["uptime_s"] > 0
    until(lambda: control.status(shop)["requests_total"] == 3, "3 are counted")
    told = control.status(shop)
    assert told["responses"]["2xx"] == 3
    for key in ("queue_wait_s", "app_time_s"):
        assert set(told[key]) == {"p50", "p95", "p99"}
        assert 0 < told[key]["p50"] <= told[key]["p99"] < 60
    port = shop.address[1]
    assert [x["address"] for x in told["listeners"]] == [
        f"http://127.0.0.1:{port}"]
    assert told["listeners"][0]["backlog_max"] > 0
    assert sorted(w["pid"] for w in told["workers"]) == sorted(shop.workers())
    for w in told["workers"]:
        assert WORKER_KEYS <= set(w)
        assert w["rss_bytes"] > 1 << 20
    assert [e["kind"] for e in told["events"]] == ["start", "serving"]


def test_status_for_people_fits_a_narrow_screen(shop):
    serving(shop)
    out = ask(shop, "status").out
    assert re.search(r"app:app: running, up .*pid %d" % shop.pid, out)
    for pid in shop.workers():
        assert re.search(rf"^{pid} +idle ", out, re.M), out
    assert "\033" not in out  # no terminal: no colour


def test_a_request_in_flight_is_shown_with_its_age(shop):
    serving(shop)
    with shop.connect() as peer:
        request = Blocked(shop, peer, "one")
        told = control.status(shop)
        flights = [f for w in told["workers"] for f in w["current"]]
        assert [(f["method"], f["path"], f["peer"], f["phase"])
                for f in flights] == [
            ("GET", "/block?one", "127.0.0.1", "application")]
        assert flights[0]["age_s"] > 0
        assert "busy" in [w["state"] for w in told["workers"]]
        asked = ask(shop, "requests", "--json").json()["requests"]
        assert [f["path"] for f in asked] == ["/block?one"]
        assert "/block?one" in ask(shop, "requests").out
        request.go()
        peer.reply()
    until(lambda: "no request" in ask(shop, "requests").out, "none is left")


def test_status_answers_while_all_workers_are_blocked(shop):
    serving(shop)
    peers = [shop.connect() for _ in range(4)]
    blocked = [Blocked(shop, p, f"n{i}") for i, p in enumerate(peers[:2])] \
        if not classes.has_package() else [Blocked(shop, peers[0], "n0")]
    assert sum(len(w["current"]) for w in control.status(shop)["workers"]) >= 1
    for one in blocked:
        one.go()
        one.peer.reply()
    for p in peers:
        p.close()


def test_counters_of_workers_that_ended_stay(shop):
    serving(shop)
    assert shop.get("/").status == 200
    until(lambda: control.status(shop)["requests_total"] == 1, "it is counted")
    ask(shop, "reload", "--wait")
    shop.wait_log("Worker exiting", 2)
    until(lambda: len(control.status(shop)["workers"]) == 2, "the old are gone")
    assert control.status(shop)["requests_total"] == 1


def test_a_unix_listener_tells_its_queue(server):
    s = serving(server(*WORKERS, "app:app", files=FILES, bind="unix",
                       config="backlog = 64\n"))
    told = control.status(s)["listeners"][0]
    assert (told["backlog"], told["backlog_max"]) == (0, 64)


def test_the_configuration_file_is_named(server):
    s = server("app:app", files=FILES, config="proc_name = 'corner'\n")
    told = control.status(s)
    assert told["config_file"] == str(s.folder / "conf.py")
    assert told["name"] == "corner"


# ---- which server ----


def test_two_servers_are_listed_and_told_apart(server):
    left, right = f"left-{os.getpid()}", f"right-{os.getpid()}"  # others test beside us
    a = server("app:app", "-n", left, "-p", "a.pid", files=FILES)
    b = server("app:app", "-n", right, files=FILES)
    until(lambda: (a.folder / "a.pid").exists(), "the pidfile is there")
    done = ctl(a.folder, "status")
    assert done.status == 1
    assert "--pid" in done.err
    for s, name in ((a, left), (b, right)):
        assert re.search(rf"^ +{s.pid} +{name} ", done.err, re.M), done

    def pid_by(*words):
        done = ctl(a.folder, "status", "--json", *words)
        return done.json()["pid"] if done.out else done

    assert pid_by("-n", right) == b.pid
    assert pid_by(f"--name={left}") == a.pid
    assert pid_by("-p", a.folder / "a.pid") == a.pid
    assert pid_by("--pid", b.pid) == b.pid


def test_no_such_server_is_an_error(tmp_path):
    none = ctl(tmp_path, "status", "--pid", "1073741823")
    assert (none.status, none.out) == (1, "")
    assert "no server of yours answers as pid 1073741823" in none.err
    named = ctl(tmp_path, "status", "-n", "nobody-has-this")
    assert named.status == 1 and "nobody-has-this" in named.err
    missing = ctl(tmp_path, "status", "-p", tmp_path / "no.pid")
    assert missing.status == 1 and "no.pid" in missing.err
    (tmp_path / "bad.pid").write_text("x\n")
    bad = ctl(tmp_path, "status", "-p", tmp_path / "bad.pid")
    assert bad.status == 1 and "bad.pid" in bad.err


def test_misuse_names_the_words_and_the_close_one(tmp_path):
    for words, told in (
            (("staus",), ("did you mean the command 'status'", "recycle")),
            (("cehck",), ("did you mean the command 'check'",)),
            (("generat", "systemd"), ("did you mean the command 'generate'",)),
            (("confg", "explain"), ("did you mean the command 'config'",)),
            (("relaod", "--wait"), ("did you mean the command 'reload'?",)),
            (("ctl", "staus"), ("did you mean 'status'", "recycle")),
            (("ctl",), ("is no command", "recycle")),
            (("status", "all"), ("one word too many: 'all'",)),
            (("scale",), ("needs N",)),
            (("scale", "--jsn", "2"), ("did you mean '--json'",)),
            (("status", "--wait"), ("no option '--wait'",)),
            (("status", "--pid", "x"), ("'x' is no positive number",)),
            (("why", "1", "2"), ("too many: '2'",)),
            (("status", "--pid"), ("needs a value",))):
        done = ctl(tmp_path, *words)
        assert (done.status, done.out) == (2, ""), (words, done)
        for text in told:
            assert text in done.err, (words, done)


def test_a_module_with_a_commands_name_is_served(server):
    s = server("status:app", files={"status.py": APP})
    s.stop()
    s = server("events", files={
        "events.py": APP + "\napplication = app\n"})
    assert s.get("/").status == 200
    assert ctl(s.folder, "ctl", "events", "--pid", s.pid).status == 0


def test_help_needs_no_server(tmp_path):
    done = ctl(tmp_path, "reload", "--help")
    assert done.status == 0 and "[--wait]" in done.out


# ---- orders ----


def test_reload_waits_until_the_new_generation_serves(shop):
    serving(shop)
    old = set(shop.workers())
    done = ask(shop, "reload", "--wait")
    assert "generation 2 serves" in done.out
    assert control.status(shop)["generation"] == 2
    until(lambda: not old & set(shop.workers()), "the old workers are gone")


def test_reload_tells_why_it_was_rolled_back(server):
    s = serving(server(*WORKERS, "app:app", files=FILES,
                       announced=["no database", "Exception in worker"]))
    (s.folder / "app.py").write_text("raise RuntimeError('no database')\n")
    done = ctl(s.folder, "reload", "--wait", "--pid", s.pid)
    assert done.status == 1
    assert "rolled back" in done.err and "no database" in done.err
    assert s.get("/").status == 200
    kinds = [e["kind"] for e in ask(s, "events", "--json").json()["events"]]
    assert "rolled-back" in kinds and "reload" in kinds


def test_reload_tells_what_is_wrong_with_the_configuration(server):
    s = serving(server("app:app", files=FILES, config="workers = 1\n"))
    (s.folder / "conf.py").write_text("workers = 'many'\n")
    done = ctl(s.folder, "reload", "--wait", "--pid", s.pid)
    assert done.status == 1 and "many" in done.err
    assert s.get("/").status == 200


def test_scale_takes_a_number_and_a_difference(shop):
    serving(shop)
    for word, count in (("4", 4), ("-1", 3), ("+2", 5), ("1", 1)):
        assert ask(shop, "scale", word).out == f"scale: {count} workers\n"
        until(lambda: len(shop.workers()) == count, f"{count} workers")
    for word in ("0", "-9", "x", "2x", "99999999"):
        done = ctl(shop.folder, "scale", word, "--pid", shop.pid)
        assert done.status == 1 and done.err, word


def test_drain_closes_after_replies_and_resume_takes_it_back(shop):
    serving(shop)
    assert not shop.get("/").says_close()
    ask(shop, "drain")
    done = ctl(shop.folder, "status", "--json", "--pid", shop.pid)
    assert (done.status, done.json()["state"]) == (3, "draining")
    with shop.connect() as peer:
        assert peer.get("/").reply().says_close()
    ask(shop, "resume")
    done = ctl(shop.folder, "status", "--json", "--pid", shop.pid)
    assert (done.status, done.json()["state"]) == (0, "running")
    with shop.connect() as peer:
        assert not peer.get("/").reply().says_close()


def test_recycle_replaces_one_worker_or_all(shop):
    serving(shop)
    one, other = shop.workers()
    ask(shop, "recycle", one)
    until(lambda: one not in shop.workers() and len(shop.workers()) == 2,
          "that one is replaced")
    assert other in shop.workers()
    until(lambda: all(w["state"] == "idle"
                      for w in control.status(shop)["workers"]), "they serve")
    old = set(shop.workers())
    ask(shop, "recycle", "all")
    until(lambda: not old & set(shop.workers()), "all are replaced")
    done = ctl(shop.folder, "recycle", "1", "--pid", shop.pid)
    assert done.status == 1 and "no worker" in done.err


def test_reopen_opens_the_log_files_again(server):
    s = serving(server("app:app", "--error-logfile", "e.log", files=FILES,
                       errorlog="e.log"))
    (s.folder / "e.log").rename(s.folder / "old.log")
    ask(s, "reopen")
    until((s.folder / "e.log").exists, "there is a new file")


def test_loglevel_counts_in_master_and_workers_at_once(server):
    s = serving(server("app:app", files=FILES))
    s.get("/")
    assert s.log_count(r"\[DEBUG\]") == 0
    ask(s, "loglevel", "debug")

    def both():
        s.get("/")
        ask(s, "scale", "+1")
        return s.log_count(r"\[DEBUG\]") > 0
    until(both, "DEBUG lines appear")
    ask(s, "loglevel", "error")
    before = s.log_count(r"\[INFO\]")
    ask(s, "scale", "1")
    until(lambda: len(s.workers()) == 1, "one is left")
    assert s.log_count(r"\[INFO\]") == before
    done = ctl(s.folder, "loglevel", "loud", "--pid", s.pid)
    assert done.status == 1 and "critical" in done.err


def test_stop_returns_when_the_server_has_ended(shop):
    serving(shop)
    assert "has ended" in ask(shop, "stop").out
    assert shop.wait() == 0


def test_stop_now_does_not_wait_for_requests(server):
    s = serving(server("app:app", files=FILES,
                       announced=["SystemExit", "Traceback"]))
    with s.connect() as peer:
        Blocked(s, peer, "one")
        ask(s, "stop", "--now")
    assert s.wait() == 0


def test_orders_are_told_in_the_log_with_who_gave_them(shop):
    ask(shop, "drain")
    shop.wait_log(rf"Command of uid {os.getuid()} \(pid:\d+\): drain")
    kinds = {e["kind"]: e["text"]
             for e in ask(shop, "events", "--json").json()["events"]}
    assert kinds["command"].startswith("drain (uid ")


def test_upgrade_ends_the_old_master_when_the_new_one_serves(server):
    s = serving(server(*WORKERS, "app:app", "-p", "server.pid", files=FILES))
    old = s.pid
    done = ask(s, "upgrade", "--wait")
    assert s.process.wait(30) == 0
    new = int(re.search(r"new master \(pid:(\d+)\) serves", done.out)[1])
    assert control.channel_of(old) is None
    s.pid = new
    s.status = None
    s.daemon = True  # it is no child of ours that Popen knows
    assert control.status(s)["pid"] == new
    assert s.get("/").status == 200
    assert s.read_pidfile() == new  # what comes next may go by it
    ask(s, "stop")
    until(lambda: not processes.is_running(new), "it has ended")
    s.status = 0


def test_upgrade_that_fails_leaves_the_old_master(server):
    s = serving(server("app:app", files=FILES, config="workers = 1\n",
                       announced=["broken"]))
    (s.folder / "conf.py").write_text("raise SystemError('broken')\n")
    done = ctl(s.folder, "upgrade", "--wait", "--pid", s.pid)
    assert done.status == 1 and "serves on" in done.err, done
    assert s.get("/").status == 200


# ---- who answers in a server's place ----

FAKE = """
import json, os, socket, sys
master, name, says = int(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
os.setgid(65534); os.setuid(65534)
pid = os.getpid() if name == "own" else master
says = {"pid": pid, "name": "app:app", "state": "running", "address": "http://127.0.0.1:1",
        "version": "0.1.0", "workers": 1, "serving": True, **says}
made = []
for i in range(300 if name == "many" else 1):
    made.append(socket.socket(socket.AF_UNIX))
    made[-1].bind("\\0cgunicorn-control/%d/%016x" % (pid, i))
    made[-1].listen(16)
print("there", flush=True)
while True:
    s, _ = made[0].accept()
    print(s.recv(100).decode().strip(), flush=True)
    s.sendall(json.dumps(says).encode() + b"\\n")
    s.close()
"""


@contextlib.contextmanager
def fake(master, name, **says):
    with subprocess.Popen([sys.executable, "-c", FAKE, str(master), name, json.dumps(says)],
                          stdout=subprocess.PIPE, text=True) as p:
        assert p.stdout.readline() == "there\n"
        yield p
        p.kill()
        p.asked = p.stdout.read().split()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user")
@pytest.mark.parametrize("name", ["one", "many"])
def test_another_user_cannot_answer_in_a_servers_place(shop, name):
    """By as many names with its pid as it likes."""
    serving(shop)
    with fake(shop.pid, name) as f:
        for _ in range(2):
            assert len(control.status(shop)["workers"]) == 2
        assert ask(shop, "drain").status == 0
        assert ask(shop, "resume").status == 0
    assert f.asked == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user")
def test_another_user_cannot_be_the_new_master_of_an_upgrade(server):
    """The old one would be stopped for it."""
    s = serving(server("app:app", files=FILES, config="workers = 1\n", announced=["broken"]))
    (s.folder / "conf.py").write_text("raise SystemError('broken')\n")
    with fake(s.pid, "own", old_master_pid=s.pid):
        done = ctl(s.folder, "upgrade", "--wait", "--pid", s.pid)
    assert done.status == 1 and "serves on" in done.err, done
    assert s.get("/").status == 200


# ---- in every class ----

ASGI = """
import asyncio, os, pathlib

async def app(scope, receive, send):
    while scope["type"] == "lifespan":
        what = (await receive())["type"]
        await send({"type": what + ".complete"})
        if what == "lifespan.shutdown":
            return
    name = scope["query_string"].decode()
    if scope["path"] == "/block":
        pathlib.Path(name + ".in").touch()
        while not os.path.exists(name + ".go"):
            await asyncio.sleep(0.002)
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})
"""
# sync's run starts each class but eventlet, which takes seconds to import, in each
# of a dozen workers; CGUNICORN="./cgunicorn -k eventlet" runs that one
KINDS = {"sync": (), "gthread": ("--threads", "2")} | {
    name: ("-k", name) for name in ("gevent", "tornado", "asgi")} \
    if classes.under_test() == "sync" else {classes.under_test(): ()}


def look(s):
    """Each command that only looks, while a request is in the application."""
    with s.connect() as peer:
        request = Blocked(s, peer, "one")
        assert "/block?one" in ask(s, "requests").out
        assert "/block?one" in str(control.status(s)["workers"])
        assert str(s.pid) in ask(s, "status").out
        until(lambda: re.search(r"in app\b", ask(s, "stacks").out), "its stack")
        request.go()
        assert peer.reply().status == 200
    assert "no worker died" in ask(s, "why").out
    assert [e["kind"] for e in control.events(s)] == ["start", "serving"]
    running = ctl(s.folder, "config", "diff", "--running", "--pid", s.pid)
    assert (running.status, running.out) == (0, "")
    explained = ctl(s.folder, "config", "explain", "--running", "--pid", s.pid,
                    "worker_class")
    assert "worker_class = " + control.status(s)["worker_class"] in explained.out


def give_orders(s):
    """Each command that changes something, until the server has ended."""
    assert ask(s, "scale", "+1").out == "scale: 3 workers\n"
    assert ask(s, "scale", "2").out == "scale: 2 workers\n"
    ask(s, "loglevel", "warning")
    ask(s, "loglevel", "info")
    ask(s, "reopen")
    ask(s, "drain")
    assert s.get("/").says_close()
    ask(s, "resume")
    assert "generation 2 serves" in ask(s, "reload", "--wait").out
    old = s.wait_workers(2)
    ask(s, "recycle", "all")
    until(lambda: not set(old) & set(s.workers()), "all are replaced")
    serving(s)
    victim = s.wait_workers(2)[0]
    os.kill(victim, signal.SIGKILL)
    until(lambda: [d["pid"] for d in control.deaths(s)] == [victim], "it is told")
    until(lambda: len(s.workers()) == 2, "there is another one")
    serving(s)
    done = ask(s, "upgrade", "--wait")
    assert s.process.wait(30) == 0
    s.pid = int(re.search(r"new master \(pid:(\d+)\) serves", done.out)[1])
    assert s.get("/").status == 200
    ask(s, "stop")
    until(lambda: not processes.is_running(s.pid), "it has ended")


@pytest.mark.parametrize("kind", KINDS)
def test_every_command_works_in_every_class(run, server, kind):
    if kind in ("gevent", "eventlet", "tornado"):
        classes.skip_unless_installed(run, kind)
    s = serving(server(*WORKERS, *KINDS[kind], "-p", "server.pid", "app:app",
                       files={"app.py": ASGI if kind == "asgi" else APP},
                       env={"PYTHONWARNINGS": "ignore"}))
    assert control.status(s)["worker_class"] == kind
    look(s)
    s.status, s.daemon = None, True  # the last one is no child of ours
    give_orders(s)
    s.status = 0


# ---- deaths ----


def test_why_tells_who_killed_a_worker_and_what_ran(server):
    s = serving(server("app:app", files=FILES))
    assert "no worker died" in ask(s, "why").out
    with s.connect() as peer:
        request = Blocked(s, peer, "one")
        pid = s.workers()[0]
        os.kill(pid, signal.SIGKILL)
        until(lambda: ask(s, "why", "--json").json()["deaths"], "it is told")
        request.go()
    death = ask(s, "why", pid, "--json").json()["deaths"][0]
    assert (death["pid"], death["cause"]) == (pid, "killed")
    assert "/block?one" in death["story"]
    assert "SIGKILL" in death["text"]
    text = ask(s, "why").out
    assert "/block?one" in text and "cause: killed" in text
    assert not ask(s, "why", "1", "--json").json()["deaths"]
    last = ask(s, "events", "--json").json()["events"]
    assert [e["pid"] for e in last if e["kind"] == "death"] == [pid]


@classes.needs_sleep_that_blocks
def test_why_has_the_stacks_of_a_timeout(server):
    s = serving(server("app:app", "-t", "1", files=FILES,
                       announced=["WORKER TIMEOUT", "is running"]))
    with s.connect() as peer:
        Blocked(s, peer, "one", "/burn")
        deaths = until(lambda: ask(s, "why", "--json").json()["deaths"],
                       "the worker is dead")
    assert deaths[0]["cause"] == "timeout"
    assert "in app" in deaths[0]["story"]
    assert "/burn?one" in deaths[0]["story"]


def test_why_tells_a_crash_and_an_exit(server):
    app = """
import os, signal
def app(environ, start_response):
    if environ["PATH_INFO"] == "/crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    os._exit(7)
"""
    s = serving(server("app:app", files={"app.py": app},
                       announced=["Segmentation", "Fatal", "SIGSEGV"]))
    if processes.is_sanitized(s.workers()[0]):
        pytest.skip("a sanitizer ends who crashes by itself")
    for n, (path, cause) in enumerate((("/crash", "signal"), ("/", "exit")), 1):
        with s.connect() as peer:
            peer.get(path)
            deaths = until(
                lambda: (lambda d: len(d) == n and d)(
                    ask(s, "why", "--json").json()["deaths"]), "it is dead")
        assert deaths[0]["cause"] == cause
        until(lambda: s.workers(), "there is another one")
        serving(s)


def test_stacks_show_where_a_request_is(server):
    s = serving(server("app:app", files=FILES))
    with s.connect() as peer:
        request = Blocked(s, peer, "one")

        def shown():
            return "in app" in ask(s, "stacks").out
        until(shown, "the application's frame is shown")
        pid = s.workers()[0]
        told = ask(s, "stacks", pid, "--json").json()["workers"]
        assert [w["pid"] for w in told] == [pid]
        request.go()
        assert peer.reply().status == 200
    done = ctl(s.folder, "stacks", "1", "--pid", s.pid)
    assert done.status == 1 and "no worker" in done.err


# ---- the channel ----


def test_control_false_opens_no_channel(server):
    s = server("app:app", files=FILES, config="control = False\n")
    assert control.channel_of(s.pid) is None
    s = server("app:app", "--no-control", files=FILES)
    assert control.channel_of(s.pid) is None


def test_a_worker_has_none_of_the_channel(shop):
    serving(shop)
    assert control.channel_of(shop.pid)
    inode = {line.split()[6] for line in open("/proc/net/unix")
             if f"{control.PREFIX}{shop.pid}/" in line}
    for pid in shop.workers():
        for name in os.listdir(f"/proc/{pid}/fd"):
            target = os.readlink(f"/proc/{pid}/fd/{name}")
            assert target not in {f"socket:[{i}]" for i in inode}


def test_a_daemon_has_its_channel(server):
    s = server("app:app", "-D", "-p", "server.pid", "--error-logfile", "e.log",
               files=FILES, daemon=True, errorlog="e.log")
    assert control.status(s)["pid"] == s.pid


REFUSED = """
import os, socket, sys
os.setgid(65534)
os.setuid(65534)
s = socket.socket(socket.AF_UNIX)
s.settimeout(30)
s.connect("\\0" + sys.argv[1])
try:
    s.sendall(b"stop\\n")
    got = s.recv(100)
except (BrokenPipeError, ConnectionResetError):
    got = b""
print(got)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user")
def test_another_user_is_not_heard(shop):
    serving(shop)
    done = subprocess.run(
        [sys.executable, "-c", REFUSED, control.channel_of(shop.pid)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    assert done.stdout == b"b''\n", done
    assert shop.is_alive()
    assert "Command of" not in shop.log()
    assert control.status(shop)["state"] == "running"


LINGERS = """
import array, os, socket, struct, sys
os.setgid(65534); os.setuid(65534)
with socket.create_server(("127.0.0.1", 0)) as listener:
    mine = socket.create_connection(listener.getsockname())
    peer, _ = listener.accept()
mine.setblocking(False)
try:
    while True:
        mine.send(bytes(65536))
except BlockingIOError:
    pass
mine.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 90))
sent = False
while not sent:
    with socket.socket(socket.AF_UNIX) as s:
        s.connect("\\0" + sys.argv[1])
        try:
            s.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                                array.array("i", [mine.fileno()]))])
            sent = True
        except BrokenPipeError:  # it was faster, and has closed
            pass
        except PermissionError:  # the kernel's: none are taken (Linux 6.16)
            sent = True
            peer.close()
mine.close()
print("sent", flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user")
def test_what_a_stranger_sends_along_does_not_keep_the_master(shop):
    """A connection in its message, whose close waits for its peer."""
    serving(shop)
    began = time.monotonic()
    with subprocess.Popen([sys.executable, "-c", LINGERS, control.channel_of(shop.pid)],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as stranger:
        assert stranger.stdout.readline() == b"sent\n"
        for _ in range(3):
            is_well(shop)
        assert time.monotonic() - began < 60
        stranger.stdin.close()


def is_well(s):
    assert s.get("/").status == 200
    assert control.status(s)["state"] == "running"


@pytest.mark.parametrize("junk", [
    b"\n", b"nosuch\n", b"stop now now\n", b"\x00\xff\xfe\n", b"status",
    b"x" * 5000, b"a b c d e f g h i j k l\n", b"scale 99999999999999999999\n",
    b"scale -\n", b"recycle \xf0\n", b"GET / HTTP/1.1\r\n\r\n"])
def test_garbage_gets_an_error_and_nothing_else(shop, junk):
    with control.connect(shop.pid) as s:
        s.sendall(junk)
        s.shutdown(1)
        got = control.rest(s)
    if got:  # a reset may have come first
        assert set(json.loads(got)) == {"error"}, got
    is_well(shop)


def test_half_questions_and_floods_do_not_keep_the_master(shop):
    serving(shop)
    idle = [control.connect(shop.pid) for _ in range(10)]
    for s in idle:
        s.sendall(b"sta")
    began = time.monotonic()
    is_well(shop)
    assert time.monotonic() - began < 30
    for _ in range(300):
        s = control.connect(shop.pid)
        s.close()
    is_well(shop)
    for s in idle:
        s.close()
    # an answer that nobody reads
    deaf = [control.connect(shop.pid) for _ in range(5)]
    for s in deaf:
        s.sendall(b"status\n")
    is_well(shop)
    for s in deaf:
        s.close()
