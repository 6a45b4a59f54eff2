# SPDX-License-Identifier: MIT
"""Dirty workers: calls, streams, what ends them, and what HUP does."""
import json
import os
import signal
import socket
import struct
import threading

import pytest

from harness import classes, control, embedded, processes
from harness.waiting import until

SHOP = """\
import json
import os
import sys
from gunicorn.dirty import get_dirty_client, stash

def call(path, query):
    client = get_dirty_client(timeout=20)
    if path == "stream":
        return list(client.stream("model:Model", query or "count", 3))
    if path == "first":
        return next(client.stream("model:Model", query or "endless"))
    if path == "stash":
        stash.put("t", "k", {"error": 1})
        t = stash.table("t")
        return [t["k"], "k" in t, "x" in t, stash.get("t", "x", 5), stash.tables(), len(t)]
    if path == "big":
        value = ["\u00e9" * int(query), bytes(int(query))]
        return client.execute("model:Model", "echo", value) == value
    if path == "impatient":
        from gunicorn.dirty.client import DirtyClient, get_dirty_socket_path
        with DirtyClient(get_dirty_socket_path(), timeout=0.3) as hasty:
            return hasty.execute("model:Model", "slow", query)
    args = [query] if query else []
    if ":" in path:
        return client.execute(path.replace("|", ":"), "pid")
    return client.execute("model:Model", path, *args)

def app(environ, start_response):
    from gunicorn.dirty.errors import DirtyError
    try:
        told = call(environ["PATH_INFO"][1:], environ["QUERY_STRING"])
    except DirtyError as e:
        told = [type(e).__name__, e.message]
    except Exception as e:
        told = ["other", repr(e)]
    body = json.dumps(told).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
MODEL = """\
import asyncio
import os
import sys
import time
from gunicorn.dirty import DirtyApp

VERSION = 1

class Model(DirtyApp):
    def init(self):
        self.loaded = os.getpid()
    def echo(self, x="-"):
        return x
    def pid(self):
        return os.getpid()
    def version(self):
        return VERSION
    def fails(self):
        raise ValueError("no such row")
    def leaves(self):
        sys.exit(3)
    def dies(self):
        os.kill(os.getpid(), 9)
    def unsendable(self):
        return object()
    def count(self, n):
        yield from range(n)
    async def acount(self, n):
        for i in range(n):
            await asyncio.sleep(0)
            yield i
    async def coroutine(self):
        return "awaited"
    def meets(self, folder):
        open(os.path.join(folder, "began"), "a").write("x")
        while not os.path.exists(os.path.join(folder, "go")):
            time.sleep(0.01)
        return "met"
    def slow(self, folder):
        open(os.path.join(folder, "slow"), "a").write("x")
        try:
            while True:
                time.sleep(0.01)
        finally:
            open(os.path.join(folder, "ended"), "a").write("x")
    def endless(self, *n):
        try:
            while True:
                yield "x" * 10000
                open("made", "a").write("x")
        finally:
            open("stream-ended", "w").close()
    def _hidden(self):
        return 1
    def close(self):
        print("model closed", flush=True)

class Few(DirtyApp):
    workers = 1
    def pid(self):
        return os.getpid()
"""
OWN = "from gunicorn.workers.sync import SyncWorker\nclass Own(SyncWorker):\n    pass\n"
FILES = {"shop.py": SHOP, "model.py": MODEL, "own.py": OWN}
DIRTY = ("--dirty-app", "model:Model", "--dirty-workers")


def ask(server, path, *more):
    return json.loads(server.get(path, *more).body)


@pytest.fixture
def shop(server):
    return server("shop:app", *DIRTY, "1", files=FILES)


def test_a_call_runs_in_a_process_of_its_own(shop):
    assert ask(shop, "/echo?hello") == "hello"
    assert ask(shop, "/pid") not in (shop.pid, *[w["pid"] for w in control.status(shop)["workers"]])
    assert ask(shop, "/coroutine") == "awaited"
    names = {c["name"]: c["state"] for c in control.status(shop)["companions"]}
    assert names == {"dirty-arbiter": "running", "dirty-worker-1": "running"}
    assert processes.command_line(ask(shop, "/pid")) == "gunicorn: dirty-worker [shop:app]"


@pytest.mark.parametrize("args", [
    [], ["--threads", "4"], ["-k", "gevent"], ["-k", "eventlet"], ["-k", "tornado"],
    ["-k", "own.Own"]], ids=lambda args: args[-1] if args else "sync")
def test_every_class_calls(run, server, args):
    if args[:1] == ["-k"] and "." not in args[1]:
        classes.skip_unless_installed(run, args[1])
    s = server(*args, "shop:app", *DIRTY, "1", files=FILES)
    assert ask(s, "/echo?hello") == "hello"
    assert ask(s, "/stream") == [0, 1, 2]
    assert ask(s, "/big?3000000") is True
    told = ask(s, f"/impatient?{s.folder}")
    assert told == ["DirtyTimeoutError", "Timeout waiting for response"]
    until(lambda: (s.folder / "ended").exists(), "the call was cancelled")
    assert ask(s, "/echo?after") == "after"


def test_streams(shop):
    assert ask(shop, "/stream") == [0, 1, 2]
    assert ask(shop, "/stream?acount") == [0, 1, 2]
    assert ask(shop, "/stream?echo") == [3]
    told = ask(shop, "/endless")
    assert told == ["DirtyError", "the action streams: call stream() or stream_async()"]


def test_a_stream_waits_for_its_reader_and_ends_with_it(shop):
    assert ask(shop, "/first") == "x" * 10000
    until(lambda: (shop.folder / "stream-ended").exists(), "the generator was closed")
    made = shop.folder / "made"  # one is made when the reader has had another
    assert not made.exists() or made.stat().st_size < 5000
    assert ask(shop, "/echo?after") == "after"


@pytest.mark.parametrize("path, kind, text", [
    ("/fails", "DirtyAppError", "no such row"),
    ("/nothing", "DirtyAppError", "Unknown action: nothing"),
    ("/_hidden", "DirtyAppError", "Unknown action: _hidden"),
    ("/leaves", "DirtyAppError", "the application called sys.exit(3)"),
    ("/unsendable", "DirtyAppError", "Unsupported type for TLV encoding: object"),
    ("/other|Model:", "DirtyAppNotFoundError", "Dirty app not found"),
    ("/dies", "DirtyWorkerError", "has ended"),
])
def test_what_goes_wrong_is_raised_in_the_client(server, path, kind, text):
    s = server("shop:app", *DIRTY, "1", files=FILES, announced=["Traceback"])
    told = ask(s, path)
    assert told[0] == kind and text in told[1]
    assert ask(s, "/echo?still") == "still"


def test_the_stash(shop):
    assert ask(shop, "/stash") == [{"error": 1}, True, False, 5, ["t"], 1]


def test_a_full_stash_takes_no_more_and_goes_on():
    import importlib.util
    from harness.server import ROOT
    where = importlib.util.spec_from_file_location(
        "dirty_stash", ROOT / "core/py/glue/dirty_stash.py")
    dirty_stash = importlib.util.module_from_spec(where)
    where.loader.exec_module(dirty_stash)
    stash = dirty_stash.Stash(most=5000)

    def put(key, size):
        return stash.run({"op": dirty_stash.PUT, "table": "t", "key": key, "value": 1}, size)
    assert put("a", 2000) and put("b", 2000)
    with pytest.raises(KeyError, match="The stash is full"):
        put("c", 2000)
    assert put("a", 100) and put("c", 1000)
    assert stash.run({"op": dirty_stash.GET, "table": "t", "key": "b"}, 9) == 1
    for op in ({"op": dirty_stash.DELETE, "table": "t", "key": "b"},
               {"op": dirty_stash.CLEAR, "table": "t"}, {"op": dirty_stash.DROP, "table": "t"}):
        assert stash.run(op, 9) is True
    assert stash.used == 0 and stash.tables == {}


def test_threads_count(server):
    s = server("shop:app", "--threads", "4", *DIRTY, "1", "--dirty-threads", "2", files=FILES)
    threads = [threading.Thread(target=ask, args=(s, f"/meets?{s.folder}")) for _ in range(2)]
    for t in threads:
        t.start()
    until(lambda: (s.folder / "began").exists()
          and (s.folder / "began").read_text() == "xx", "both run")
    (s.folder / "go").touch()
    for t in threads:
        t.join()


def test_a_call_that_takes_too_long_is_ended_and_the_worker_lives(server):
    s = server("shop:app", *DIRTY, "1", "--dirty-timeout", "1", files=FILES,
               announced=["Traceback"])
    pid = ask(s, "/pid")
    assert ask(s, f"/slow?{s.folder}")[0] == "DirtyTimeoutError"
    until(lambda: (s.folder / "ended").exists(), "its finally ran")
    assert ask(s, "/pid") == pid


def test_without_a_timeout_a_call_has_all_the_time(server):
    s = server("shop:app", *DIRTY, "1", "--dirty-timeout", "0", files=FILES)
    told = []
    t = threading.Thread(target=lambda: told.append(ask(s, f"/meets?{s.folder}")))
    t.start()
    until(lambda: any(c["age_s"] > 0.5 for c in worker_told(s)["current"]),
          "the arbiter has looked at the times")
    (s.folder / "go").touch()
    t.join()
    assert told == ["met"]


def test_a_call_whose_client_left_is_cancelled(shop):
    path = environ_of_workers(shop)
    payload = tlv({"app_path": "model:Model", "action": "slow",
                   "args": [str(shop.folder)], "kwargs": {}})
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(path)
        s.sendall(struct.pack(">2sBBIQ", b"GD", 1, 1, len(payload), 7) + payload)
        until(lambda: (shop.folder / "slow").exists(), "it runs")
    until(lambda: (shop.folder / "ended").exists(), "it was cancelled")
    assert ask(shop, "/echo?1") == "1"


ODD = """\
import json
from gunicorn.dirty import stash

ODD = {
    "key": lambda: stash.put("t", ["no", "key"], 1),
    "table": lambda: stash.put({"no": "table"}, "k", 1),
    "get": lambda: stash.get("t", {"no": "key"}),
    "info": lambda: stash.info(["t"]),
    "pattern": lambda: stash.keys("t", 5),
    "numbers": lambda: (stash.put("n", 5, 1), stash.keys("n", "*")),
    "delete": lambda: stash.delete("t", [1]),
    "drop": lambda: stash.delete_table([1]),
    "exists": lambda: stash.exists("t", [1]),
}

def app(environ, start_response):
    path = environ["PATH_INFO"][1:]
    try:
        told = ODD[path]() if path in ODD else [stash.put("t", "k", 1), stash.get("t", "k")]
    except Exception as e:
        told = [type(e).__name__, str(e)]
    body = json.dumps(told).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


def test_odd_questions_to_the_stash_are_errors_of_who_asks(server):
    s = server("odd:app", *DIRTY, "1", files={"odd.py": ODD, "model.py": MODEL})
    assert ask(s, "/") == [None, 1]
    broker = control.status(s)["companions"][0]["pid"]
    for name in ("key", "table", "get", "info", "pattern", "delete", "drop", "exists"):
        told = ask(s, "/" + name)
        assert told[0] == "StashError", (name, told)
    assert ask(s, "/numbers")[1] == [5]
    assert ask(s, "/") == [None, 1]
    assert control.status(s)["companions"][0]["pid"] == broker


@pytest.mark.parametrize("kind, value", [
    (0x20, []), (0x20, {"pid": "1"}), (0x21, {"pid": "1"}), (0x21, []), (0x24, []),
    (0x24, {"apps": "model:Model"}), (0x10, []), (0x10, "text"), (1, {"app_path": []}),
    (0x20, {"pid": [], "age": "", "apps": [], "threads": "", "specs": [], "timeout": ""})])
def test_a_frame_that_means_nothing_costs_its_connection_alone(shop, kind, value):
    path = environ_of_workers(shop)
    until(lambda: os.path.exists(path), "its socket")
    assert ask(shop, "/echo?1") == "1"
    broker = control.status(shop)["companions"][0]["pid"]
    payload = tlv(value)
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(path)
        s.settimeout(40)
        s.sendall(struct.pack(">2sBBIQ", b"GD", 1, kind, len(payload), 7) + payload)
        s.shutdown(socket.SHUT_WR)
        while s.recv(4096):  # an answer, perhaps
            pass
    assert ask(shop, "/echo?1") == "1"
    assert ask(shop, "/stash")
    assert control.status(shop)["companions"][0]["pid"] == broker


def frame_of(number, *args):
    payload = tlv({"app_path": "model:Model", "action": "echo", "args": list(args),
                   "kwargs": {}})
    return struct.pack(">2sBBIQ", b"GD", 1, 1, len(payload), number) + payload


def frame_from(s):
    def exactly(n):
        data = b""
        while len(data) < n:
            data += s.recv(n - len(data))
        return data
    _, _, kind, n, number = struct.unpack(">2sBBIQ", exactly(16))
    return kind, number, exactly(n)


def test_frames_may_come_in_pieces_and_together(shop):
    with socket.socket(socket.AF_UNIX) as s:
        path = environ_of_workers(shop)
        assert ask(shop, "/echo?1") == "1"
        s.settimeout(40)
        s.connect(path)
        s.sendall(frame_of(1, "one") + frame_of(2, "two") + frame_of(3, "three")[:30])
        answers = {n: (kind, data) for kind, n, data in (frame_from(s), frame_from(s))}
        s.sendall(frame_of(3, "three")[30:])
        kind, number, data = frame_from(s)
        answers[number] = kind, data
    assert answers == {n: (2, tlv({"result": text}))
                       for n, text in ((1, "one"), (2, "two"), (3, "three"))}


def environ_of_workers(server):
    pid = control.status(server)["workers"][0]["pid"]
    with open(f"/proc/{pid}/environ", "rb") as f:
        found = dict(x.partition(b"=")[::2] for x in f.read().split(b"\0"))
    return (found.get(b"GUNICORN_DIRTY_SOCKET") or _from_log(server)).decode()


def _from_log(server):
    return server.wait_log(r"Dirty arbiter listening on (\S+)").encode()


def tlv(value):
    if isinstance(value, str):
        raw = value.encode()
        return b"\x11" + struct.pack(">I", len(raw)) + raw
    if isinstance(value, list):
        return b"\x20" + struct.pack(">I", len(value)) + b"".join(map(tlv, value))
    return b"\x21" + struct.pack(">I", len(value)) + b"".join(
        tlv(k) + tlv(v) for k, v in value.items())


@pytest.mark.parametrize("bad, text", [
    (b"GET / HTTP/1.1\r\n\r\n", "Invalid magic"),
    (struct.pack(">2sBBIQ", b"GD", 9, 1, 0, 0), "Unsupported protocol version: 9"),
    (struct.pack(">2sBBIQ", b"GD", 1, 99, 0, 0), "Unknown message type"),
    (struct.pack(">2sBBIQ", b"GD", 1, 1, 1 << 31, 0), "Message too large"),
    (struct.pack(">2sBBIQ", b"GD", 1, 1, 5, 0) + b"\x20\xff\xff\xff\xff", "TLV length"),
    (struct.pack(">2sBBIQ", b"GD", 1, 1, 1, 0) + b"\x77", "Unknown TLV type code"),
])
def test_a_bad_frame_ends_its_connection_and_is_told(shop, bad, text):
    with socket.socket(socket.AF_UNIX) as s:
        path = environ_of_workers(shop)
        until(lambda: os.path.exists(path), "its socket")
        assert ask(shop, "/echo?1") == "1"
        s.connect(path)
        s.settimeout(40)
        s.sendall(bad)
        assert s.recv(100) == b""
    shop.wait_log("Client connection error: " + text)
    assert ask(shop, "/echo?1") == "1"


def test_hup_replaces_the_old_code(shop):
    assert ask(shop, "/version") == 1
    ask(shop, "/stash")
    (shop.folder / "model.py").write_text(MODEL.replace("VERSION = 1", "VERSION = 2"))
    shop.signal("HUP")
    shop.wait_log("model closed")
    until(lambda: ask(shop, "/version") == 2, "the new code answers")
    assert ask(shop, "/stash")[4] == ["t"]


def test_an_app_that_does_not_load_fails_fast_and_is_tried_with_pauses(server):
    s = server("shop:app", *DIRTY, "1", announced=["Traceback"], files={
        **FILES, "model.py": "raise RuntimeError('no weights')\n"})
    s.wait_log("Dirty app model:Model cannot be loaded: RuntimeError: no weights")
    until(lambda: ask(s, "/echo?1")[0] == "DirtyNoWorkersAvailableError", "it fails fast")
    assert "no weights" in ask(s, "/echo?1")[1]
    s.wait_log("status 3; the next one is started in 2 s")
    (s.folder / "model.py").write_text(MODEL)
    until(lambda: ask(s, "/echo?1") == "1", "it serves when it is mended")


def test_sys_exit_while_it_loads_is_told_apart(server):
    s = server("shop:app", *DIRTY, "1", announced=["Traceback"], files={
        **FILES, "model.py": "import sys\nsys.exit(7)\n"})
    s.wait_log(r"cannot be loaded: it called sys\.exit\(7\) while it was loaded")


def test_an_app_that_is_no_class_is_told(server):
    s = server("shop:app", *DIRTY, "1", announced=["Traceback"], files={
        **FILES, "model.py": "Model = 5\n"})
    s.wait_log("model:Model is no class, it is 'int'")


@pytest.mark.parametrize("spec, text", [
    ("model", "Invalid import path format: model"),
    ("model:Model:0", "Worker count must be >= 1"),
    ("model:Model:x", "Expected integer"),
])
def test_a_spec_that_cannot_be_is_told_at_the_start(run, spec, text):
    done = run("-b", "127.0.0.1:0", "--dirty-app", spec, "--dirty-workers", "1",
               "shop:app", files=FILES)
    assert done.status == 1 and text in done.err


def test_a_limited_app_is_in_as_many_workers(server):
    s = server("shop:app", *DIRTY, "3", "--dirty-app", "model:Few", files=FILES)
    until(lambda: len(control.status(s)["companions"]) == 4, "all are there")
    s.wait_log("has the apps", count=3)
    assert s.log_count("Initialized dirty app: model:Few") == 1
    assert s.log_count("Initialized dirty app: model:Model") == 3
    assert len({ask(s, "/pid") for _ in range(12)}) == 3


def test_an_arbiter_that_is_killed_comes_back_at_the_same_place(shop):
    assert ask(shop, "/echo?1") == "1"
    arbiter = next(c for c in control.status(shop)["companions"]
                   if c["name"] == "dirty-arbiter")
    os.kill(arbiter["pid"], signal.SIGKILL)
    until(lambda: ask(shop, "/echo?1") == "1", "it answers again")


def test_signals_of_the_masters_are_told_and_end_nobody(shop):
    worker = ask(shop, "/pid")
    ask(shop, "/stash")
    arbiter = next(c["pid"] for c in control.status(shop)["companions"]
                   if c["name"] == "dirty-arbiter")
    for name in ("HUP", "USR1", "USR2", "TTIN", "TTOU"):
        for pid, who in ((arbiter, "dirty-arbiter"), (worker, "dirty-worker-1")):
            os.kill(pid, getattr(signal, "SIG" + name))
            shop.wait_log(f"Companion {who}: SIG{name} has no effect here: .*{shop.pid}")
    assert ask(shop, "/pid") == worker and ask(shop, "/stash")[4] == ["t"]


def test_nobody_of_them_holds_the_listener_and_all_end_with_a_killed_master(server):
    s = server("shop:app", *DIRTY, "1", files=FILES)
    dirty = [ask(s, "/pid")] + [c["pid"] for c in control.status(s)["companions"]]
    with open("/proc/net/tcp") as f:
        inodes = {line.split()[9] for line in f
                  if line.split()[1].endswith(":%04X" % s.address[1])}
    for pid in dirty:
        held = {os.readlink(f"/proc/{pid}/fd/{n}") for n in os.listdir(f"/proc/{pid}/fd")}
        assert not held & {f"socket:[{i}]" for i in inodes}
    folder = os.path.dirname(environ_of_workers(s))
    os.kill(s.pid, signal.SIGKILL)
    s.status = s.process.wait()
    assert s.status == -signal.SIGKILL
    until(lambda: not any(processes.is_running(p) for p in dirty), "all have ended")
    until(lambda: not os.path.exists(folder), "their folder is gone")


def test_a_stop_ends_them_and_removes_their_folder(shop):
    pid = ask(shop, "/pid")
    folder = os.path.dirname(environ_of_workers(shop))
    assert shop.stop() == 0
    assert not processes.is_running(pid) and not os.path.exists(folder)


# ---- what operators see ----


def worker_told(server):
    return next(c for c in control.status(server)["companions"] if c["name"] == "dirty-worker-1")


def test_status_tells_what_a_worker_has_did_and_runs(shop):
    assert ask(shop, "/echo?1") == "1"
    told = worker_told(shop)
    assert (told["booted"], told["apps"], told["threads"]) == (True, ["model:Model"], 1)
    until(lambda: worker_told(shop)["calls"] == 1, "the call is counted")
    assert worker_told(shop)["current"] == []
    t = threading.Thread(target=ask, args=(shop, f"/meets?{shop.folder}"))
    t.start()
    now = until(lambda: worker_told(shop)["current"], "it runs")
    assert now[0]["call"] == "model:Model.meets" and now[0]["age_s"] >= 0
    assert worker_told(shop)["busy"] == 1
    out = control.ask(shop, "status").out
    assert "1 calls, 0 failed, 1 of 1 threads busy" in out and "model:Model.meets for " in out
    (shop.folder / "go").touch()
    t.join()


def test_calls_that_fail_are_counted(server):
    s = server("shop:app", *DIRTY, "1", files=FILES, announced=["Traceback"])
    ask(s, "/fails")
    until(lambda: (worker_told(s)["calls"], worker_told(s)["calls_failed"]) == (1, 1), "counted")


def test_why_tells_who_died_and_what_it_ran(shop):
    pid = ask(shop, "/pid")
    assert ask(shop, "/dies")[0] == "DirtyWorkerError"
    shop.wait_log(r"Companion dirty-worker-1 \(pid:%d\) took with it: model:Model.dies for" % pid)
    death = until(lambda: control.ask(shop, "why", "--json").json()["deaths"], "it is told")[0]
    assert (death["pid"], death["cause"], death["requests"]) == (pid, "killed", 1)
    assert "was ended by signal 9" in death["text"]
    assert "took with it: model:Model.dies for" in death["story"]


def test_why_tells_what_does_not_load(server):
    s = server("shop:app", *DIRTY, "1", announced=["Traceback"], files={
        **FILES, "model.py": "raise RuntimeError('no weights')\n"})
    death = until(lambda: control.ask(s, "why", "--json").json()["deaths"], "it is told")[0]
    assert death["cause"] == "boot"


def test_gunicornc_sees_them_and_adds_some(server):
    from test_117_control_socket import Client, data
    s = server("shop:app", "--control-socket", "c.ctl", *DIRTY, "1", files=FILES)
    assert ask(s, "/echo?1") == "1"
    with Client(s.folder / "c.ctl") as c:
        told = data(c.ask("show dirty"))
        assert told["enabled"] and [w["apps"] for w in told["workers"]] == [["model:Model"]]
        assert told["apps"] == [{"import_path": "model:Model", "worker_count": None,
                                 "current_workers": 1,
                                 "worker_pids": [told["workers"][0]["pid"]]}]
        assert data(c.ask("dirty add 2")) == {
            "success": True, "operation": "add", "requested": 2, "spawned": 2,
            "total_workers": 3, "target_workers": 3}
        s.wait_log("has the apps", count=3)
        assert data(c.ask("show all"))["dirty_worker_count"] == 3
        assert data(c.ask("dirty remove 5"))["removed"] == 2
        until(lambda: data(c.ask("show all"))["dirty_worker_count"] == 1, "one is left")
    assert ask(s, "/echo?2") == "2"


def test_hooks(server):
    s = server("shop:app", files=FILES, config="""\
import os
dirty_apps = ["model:Model"]
dirty_workers = 1
def on_dirty_starting(arbiter):
    print("hook starting", arbiter.pid, flush=True)
    arbiter.spawn_worker()
def dirty_post_fork(arbiter, worker):
    print("hook post_fork", worker.pid, flush=True)
    if not os.path.exists("killed"):
        open("killed", "w").close()
        arbiter.kill_worker(worker.pid, 9)
def dirty_worker_init(worker):
    print("hook init", worker.booted, list(worker.apps), flush=True)
def dirty_worker_exit(arbiter, worker):
    print("hook exit", worker.pid, flush=True)
""")
    for text in ("hook starting", r"spawn_worker\(\) has no effect here: the number",
                 r"hook init False \['model:Model'\]", "hook exit"):
        s.wait_log(text)
    s.wait_log("hook post_fork", count=2)
    assert ask(s, "/echo?1") == "1"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.skipif("not embedded.is_for_everybody()",
                    reason="Python's library is below a folder of root's")
def test_the_workers_user_may_call(server, other_user):
    s = server("shop:app", "--preload", "--user", "nobody", "--group", "nogroup",
               *DIRTY, "1", files={**FILES, "shop.py": "import model\n" + SHOP})
    assert ask(s, "/echo?1") == "1"


ASGI = """\
from gunicorn.dirty import DirtyClient
from gunicorn.dirty.client import get_dirty_socket_path
import json

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    client = DirtyClient(get_dirty_socket_path())
    told = [await client.execute_async("model:Model", "echo", "a")]
    async for x in client.stream_async("model:Model", "count", 3):
        told.append(x)
    await client.close_async()
    body = json.dumps(told).encode()
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-length", str(len(body)).encode())]})
    await send({"type": "http.response.body", "body": body})
"""


def test_asgi_applications_call(server):
    s = server("face:app", "-k", "asgi", *DIRTY, "1", files={**FILES, "face.py": ASGI})
    assert ask(s, "/") == ["a", 0, 1, 2]
