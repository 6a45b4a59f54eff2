# SPDX-License-Identifier: MIT
"""control_socket: gunicorn's control protocol, and the file that it comes by."""
import json
import os
import shutil
import signal
import socket
import stat
import struct
import subprocess

import pytest

from harness import beside, control
from harness.waiting import DEADLINE, until

APP = """\
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""
FILES = {"app.py": APP}
PATH = "run/deep/c.ctl"


class Client:
    """Frames: a length of four bytes, then JSON."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(DEADLINE)
        self.sock.connect(str(path))

    def send(self, raw):
        self.sock.sendall(struct.pack(">I", len(raw)) + raw)

    def ask(self, command, *args, number=1):
        self.send(json.dumps({"id": number, "command": command, "args": args}).encode())
        return self.answer()

    def receive(self, n):
        data = b""
        while len(data) < n:
            part = self.sock.recv(n - len(data))
            if not part:
                return None
            data += part
        return data

    def answer(self):
        head = self.receive(4)
        return None if head is None else json.loads(self.receive(struct.unpack(">I", head)[0]))

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


def start(server, *args, path=PATH, **more):
    more.setdefault("files", FILES)
    s = server("-w", "2", "--control-socket", path, "app:app", *args, **more)
    until(lambda: (s.folder / path).exists() and control.status(s)["serving"],
          lambda: "it serves, and the socket is there:\n" + s.tail())
    return s


@pytest.fixture
def shop(server):
    return start(server)


@pytest.fixture
def client(shop):
    with Client(shop.folder / PATH) as c:
        yield c


def data(answer):
    assert answer["status"] == "ok", answer
    return answer["data"]


# ---- the protocol ----


def test_workers_are_shown_by_age(shop, client):
    told = data(client.ask("show workers"))
    assert told["count"] == 2
    assert sorted(w["pid"] for w in told["workers"]) == sorted(shop.workers())
    assert [w["age"] for w in told["workers"]] == [1, 2]
    for w in told["workers"]:
        assert set(w) == {"pid", "age", "booted", "aborted", "last_heartbeat"}
        assert w["booted"] is True and w["aborted"] is False


def test_show_all_names_every_process(shop, client):
    told = data(client.ask("show all"))
    assert told["arbiter"] == {"pid": shop.pid, "type": "arbiter", "role": "master"}
    assert told["web_worker_count"] == 2 == len(told["web_workers"])
    assert told["dirty_arbiter"] is None and told["dirty_workers"] == []


def test_config_stats_and_listeners_have_gunicorns_keys(shop, client):
    config = data(client.ask("show config"))
    assert config["workers"] == 2 and config["timeout"] == 30
    assert config["control_socket"] == PATH
    stats = data(client.ask("show stats"))
    assert (stats["pid"], stats["workers_current"], stats["workers_target"],
            stats["workers_spawned"], stats["reloads"]) == (shop.pid, 2, 2, 2, 0)
    listeners = data(client.ask("show listeners"))
    assert listeners["count"] == 1
    assert listeners["listeners"][0]["type"] == "tcp"
    assert data(client.ask("show dirty")) == {
        "enabled": False, "pid": None, "workers": [], "apps": []}
    assert len(data(client.ask("help"))["commands"]) == 15


def test_the_id_comes_back_as_it_was_sent(client):
    for number in (7, "seven", None, [1, {"a": "\u00e4\U0001f600"}], 1.5, True,
                   12345678901234567890):
        assert client.ask("help", number=number)["id"] == number
    client.send(b'{"command": "help"}')
    assert client.answer()["id"] == 0


def test_words_are_split_and_of_any_case(client):
    assert data(client.ask("  SHOW   'Workers' more words "))["count"] == 2
    assert data(client.ask("show", "workers"))["count"] == 2
    client.send(b'{"id": 1, "command": "show workers", "args": null}')
    assert data(client.answer())["count"] == 2


@pytest.mark.parametrize("command, error", [
    ("", "Empty command"),
    ("''", "Invalid argument: Unknown command: "),
    ("bogus", "Invalid argument: Unknown command: bogus"),
    ("show", "Invalid argument: Missing show target (all|workers|dirty|config|stats|listeners)"),
    ("show x", "Invalid argument: Unknown show target: x"),
    ("worker", "Invalid argument: Missing worker action (add|remove|kill)"),
    ("worker x", "Invalid argument: Unknown worker action: x"),
    ("worker kill", "Invalid argument: Missing PID for worker kill"),
    ("worker add x", "Invalid argument: invalid literal for int() with base 10: 'x'"),
    ("worker add 99999999999999999999", "Invalid argument: 99999999999999999999 is out of range"),
    ("dirty x", "Invalid argument: Unknown dirty action: x"),
    ("show 'x", "Invalid argument: No closing quotation"),
])
def test_a_wrong_command_is_told_and_the_connection_goes_on(client, command, error):
    assert client.ask(command) == {"id": 1, "status": "error", "error": error}
    assert client.ask("help")["status"] == "ok"


def test_what_cannot_be_done_is_no_error_of_the_protocol(client):
    assert data(client.ask("worker kill 1")) == {
        "success": False, "error": "Worker 1 not found"}
    assert data(client.ask("dirty add 2")) == {
        "success": False, "error": "Dirty arbiter not running"}


def test_several_questions_at_once_are_answered_in_order(client):
    raw = b"".join(struct.pack(">I", len(q)) + q for q in (
        json.dumps({"id": i, "command": "help"}).encode() for i in range(100)))
    client.sock.sendall(raw)
    client.sock.shutdown(socket.SHUT_WR)
    assert [client.answer()["id"] for _ in range(100)] == list(range(100))
    assert client.answer() is None


def test_a_question_may_come_in_pieces(client):
    raw = b'{"id": 1, "command": "show stats"}'
    for byte in struct.pack(">I", len(raw)) + raw:
        client.sock.sendall(bytes([byte]))
    assert client.answer()["status"] == "ok"


@pytest.mark.parametrize("raw", [
    struct.pack(">I", 0), struct.pack(">I", 1 << 30), b"GET / HTTP/1.1\r\n\r\n",
    struct.pack(">I", 3) + b"{x}", struct.pack(">I", 2) + b"[]",
    struct.pack(">I", 4) + b"\"\xff\xff\"", struct.pack(">I", 13) + b'{"command":1}',
], ids=["empty", "huge", "http", "json", "list", "utf8", "command"])
def test_what_is_no_question_ends_the_connection(shop, client, raw):
    client.sock.sendall(raw)
    assert client.answer() is None
    with Client(shop.folder / PATH) as another:
        assert another.ask("help")["status"] == "ok"


def test_clients_that_stay_silent_keep_nobody_out(shop):
    silent = [Client(shop.folder / PATH) for _ in range(40)]
    with Client(shop.folder / PATH) as c:
        assert data(c.ask("show stats"))["pid"] == shop.pid
        assert shop.get("/").body == b"ok"
    for one in silent:
        one.close()


# ---- orders ----


def test_workers_are_added_and_removed(shop, client):
    assert data(client.ask("worker add 2")) == {"added": 2, "previous": 2, "total": 4}
    until(lambda: len(shop.workers()) == 4, "there are four")
    assert data(client.ask("worker remove", 9)) == {"removed": 3, "previous": 4, "total": 1}
    until(lambda: len(shop.workers()) == 1, "there is one")
    shop.wait_log(r"Command of uid \d+ \(pid:\d+\): worker remove 9")


def test_a_worker_that_is_killed_has_a_successor(shop, client):
    pid = shop.workers()[0]
    assert data(client.ask("worker kill", pid)) == {"success": True, "killed": pid}
    until(lambda: pid not in shop.workers() and len(shop.workers()) == 2, "it is replaced")


def test_a_client_stays_connected_while_workers_come_and_go(shop, client):
    assert data(client.ask("reload")) == {"status": "reloading"}
    shop.wait_log("Reload done")
    assert data(client.ask("show stats"))["reloads"] == 1
    assert data(client.ask("reopen")) == {"status": "reopening"}
    shop.wait_log("Handling signal: usr1")


@pytest.mark.parametrize("mode, sig", [("", "term"), ("quick", "int")])
def test_shutdown_stops_the_server(shop, client, mode, sig):
    told = data(client.ask(("shutdown " + mode).strip()))
    assert told == {"status": "shutting_down", "mode": mode or "graceful"}
    shop.status = shop.process.wait(DEADLINE)
    assert shop.status == 0
    assert f"Handling signal: {sig}" in shop.log()
    assert not (shop.folder / PATH).exists()


# ---- the file ----


def mode_of(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def test_the_file_and_its_folders_are_for_the_owner_alone(shop):
    assert mode_of(shop.folder / PATH) == 0o600
    assert mode_of(shop.folder / "run") == mode_of(shop.folder / "run/deep") == 0o700


def test_the_mode_is_as_the_setting_says(server):
    s = start(server, "--control-socket-mode", "0o660", "--umask", "0o77")
    assert mode_of(s.folder / PATH) == 0o660


def test_no_control_socket_makes_none(server):
    s = server("--control-socket", "c.ctl", "--no-control-socket", "app:app", files=FILES)
    s.get("/")
    assert not (s.folder / "c.ctl").exists()


def test_nothing_is_made_where_nobody_asks(server):
    s = server("app:app", files=FILES)
    s.get("/")
    assert not list(s.folder.glob("*.ctl")) and not (s.folder / ".gunicorn").exists()


def test_a_socket_that_nobody_answers_at_is_replaced(server, tmp_path):
    folder = tmp_path / "s0"
    folder.mkdir()
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(folder / "c.ctl"))
    s = start(server, path="c.ctl")
    with Client(s.folder / "c.ctl") as c:
        assert data(c.ask("show stats"))["pid"] == s.pid


def test_a_file_that_is_no_socket_stays_and_the_server_serves(server):
    s = server("--control-socket", "notes.txt", "app:app",
               files={**FILES, "notes.txt": "mine"})
    s.wait_log("Control server error: .*notes.txt' is not a socket")
    assert s.get("/").body == b"ok"
    assert (s.folder / "notes.txt").read_text() == "mine"
    (s.folder / "notes.txt").unlink()
    until(lambda: (s.folder / "notes.txt").exists(), "it tries again")
    with Client(s.folder / "notes.txt") as c:
        assert c.ask("help")["status"] == "ok"


def test_a_link_in_its_place_is_not_followed(server, tmp_path):
    folder = tmp_path / "s0"
    folder.mkdir()
    (tmp_path / "precious").write_text("mine")
    (folder / "c.ctl").symlink_to(tmp_path / "precious")
    s = server("--control-socket", "c.ctl", "app:app", files=FILES)
    s.wait_log("Control server error")
    assert (tmp_path / "precious").read_text() == "mine"
    assert (folder / "c.ctl").is_symlink()


def test_another_servers_socket_is_left_to_it(server, shop):
    path = shop.folder / PATH
    other = server("--control-socket", str(path), "app:app", files=FILES)
    other.wait_log("Control server error: another server answers at")
    with Client(path) as c:
        assert data(c.ask("show stats"))["pid"] == shop.pid
    assert other.stop() == 0
    assert path.exists()


def test_a_socket_that_is_removed_comes_back(shop):
    (shop.folder / PATH).unlink()
    until(lambda: (shop.folder / PATH).exists(), "it is there again")
    with Client(shop.folder / PATH) as c:
        assert data(c.ask("show stats"))["pid"] == shop.pid


def test_a_reload_moves_it(server):
    s = server("app:app", files=FILES, config="control_socket = 'a.ctl'\n")
    until(lambda: (s.folder / "a.ctl").exists(), "the first is there")
    (s.folder / "conf.py").write_text("control_socket = 'b.ctl'\n")
    s.signal("HUP")
    until(lambda: (s.folder / "b.ctl").exists(), "the second is there")
    assert not (s.folder / "a.ctl").exists()


def test_usr2_gives_it_to_the_new_master_and_back(server):
    s = start(server, "-p", "shop.pid")
    path = s.folder / PATH
    s.signal("USR2")
    new_file = s.folder / "shop.pid.2"
    new = int(until(lambda: new_file.exists() and new_file.read_text(), "the new one's pidfile"))

    def owner():
        try:
            with Client(path) as c:
                return data(c.ask("show stats"))["pid"]
        except OSError:
            return None
    until(lambda: owner() == new, "the new master answers")
    os.kill(new, signal.SIGTERM)
    until(lambda: owner() == s.pid, "the old master answers again")


# ---- gunicorn's own program ----


def gunicornc():
    near = [os.path.join(os.path.dirname(g), "gunicornc") for g in beside.GUNICORN[:1]]
    found = next((p for p in near if os.path.exists(p)), None) or shutil.which("gunicornc")
    if not found:
        pytest.skip("there is no gunicornc: GUNICORN names a gunicorn 25.1 or newer")
    return found


def run_gunicornc(s, *args, given=None):
    return subprocess.run([gunicornc(), "-s", str(s.folder / PATH), *args], input=given,
                          capture_output=True, text=True, timeout=DEADLINE)


def test_gunicornc_shows_its_tables(shop):
    for command, sign in (("show all", "WEB WORKERS (2)"), ("show workers", "Total: 2 workers"),
                          ("show stats", f"PID:              {shop.pid}"),
                          ("show listeners", "Total: 1 listeners"), ("help", "worker add [N]"),
                          ("show config", "workers: 2"), ("show dirty", "not running")):
        done = run_gunicornc(shop, "-c", command)
        assert (done.returncode, done.stderr) == (0, ""), command
        assert sign in done.stdout, command


def test_gunicornc_gives_orders_and_talks(shop):
    assert '"total": 3' in run_gunicornc(shop, "-c", "worker add 1").stdout
    until(lambda: len(shop.workers()) == 3, "there are three")
    done = run_gunicornc(shop, given="show stats\nworker remove\nquit\n")
    assert done.returncode == 0 and '"removed": 1' in done.stdout
    assert run_gunicornc(shop, "-c", "bogus").returncode == 1
