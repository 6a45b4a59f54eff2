# SPDX-License-Identifier: MIT
"""Sockets that others made, and what the service manager is told."""
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys

import pytest

from harness import processes, wire
from harness.server import ROOT, command, free_port
from harness.waiting import DEADLINE, until

APP = """\
import os

def app(environ, start_response):
    body = b"%d %s" % (os.getppid(), ",".join(sorted(
        k for k in os.environ if k.startswith("LISTEN_"))).encode())
    start_response("200 OK", [("Content-Type", "text/plain"),
                              ("Content-Length", str(len(body)))])
    return [body]
"""
# Does what systemd does before it executes a service.
ACTIVATE = """\
import os, sys
fds = [int(x) for x in sys.argv[1].split(",")]
high = [os.dup(fd) for fd in fds]
high = [os.dup2(fd, 60 + i) for i, fd in enumerate(high)]
for i, fd in enumerate(high):
    os.dup2(fd, 3 + i)
    os.set_inheritable(3 + i, True)
    os.close(fd)
os.environ["LISTEN_FDS"] = str(len(fds))
os.environ["LISTEN_FDNAMES"] = os.environ.get(
    "NAMES", ":".join(["shop"] * len(fds)))
os.environ["LISTEN_PID"] = sys.argv[2] if sys.argv[2] != "me" else str(os.getpid())
os.execvp(sys.argv[3], sys.argv[3:])
"""


@pytest.fixture
def sockets(tmp_path):
    """A TCP and a unix socket that listen, as systemd would hold them."""
    tcp = socket.socket()
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    tcp.bind(("127.0.0.1", 0))
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(str(tmp_path / "systemd.sock"))
    for s in (tcp, unix):
        s.listen(64)
    yield [tcp, unix]
    tcp.close()
    unix.close()


@pytest.fixture
def activated(server, sockets, tmp_path, monkeypatch):
    """A server that was started with those sockets."""
    script = tmp_path / "activate.py"
    script.write_text(ACTIVATE)
    plain = command()

    def make(*args, pid="me", bind=None, **options):
        fds = [s.fileno() for s in sockets]
        words = [sys.executable, str(script), ",".join(map(str, fds)), pid]
        monkeypatch.setenv("CGUNICORN", " ".join(words + plain))
        return server("shop:app", *args, bind=bind, pass_fds=fds,
                      files={"shop.py": APP}, **options)
    return make


def test_sockets_of_systemd_are_served(activated, sockets):
    s = activated("--bind", "127.0.0.1:1")  # would fail if it were used
    for one in sockets:
        body = wire.fetch(one.getsockname(), "/").body
        assert body == b"%d LISTEN_FDNAMES" % s.pid
    tcp, unix = (x.getsockname() for x in sockets)
    s.wait_log(f"Listening at: http://127.0.0.1:{tcp[1]},unix:{unix}")


def test_sockets_for_another_process_are_left_alone(activated):
    s = activated(pid="1", bind="tcp")
    assert s.get("/").status == 200
    s.wait_log(f"Listening at: {s.url('')} ")


def test_a_stop_keeps_what_waits_in_the_sockets_of_systemd(activated, sockets):
    tcp, unix = (x.getsockname() for x in sockets)
    s = activated()
    assert wire.fetch(tcp, "/").status == 200
    assert s.stop() == 0
    assert os.path.exists(unix)
    with wire.Peer(tcp) as a, wire.Peer(unix) as b:  # the kernel answers
        a.get("/")
        b.get("/")
        again = activated()
        assert int(a.reply().body.split()[0]) == again.pid
        assert int(b.reply().body.split()[0]) == again.pid


def test_hup_keeps_the_sockets_of_systemd(activated, sockets):
    s = activated()
    old = s.workers()
    s.signal("HUP")
    until(lambda: s.workers() and not set(old) & set(s.workers()),
          "a new worker")
    for one in sockets:
        assert wire.fetch(one.getsockname(), "/").status == 200


def test_usr2_gives_the_sockets_of_systemd_to_the_new_master(
        activated, sockets):
    s = activated("--pid", "shop.pid")
    s.signal("HUP")  # moves descriptors away from 3 and 4
    s.wait_log("Booting worker", 2)
    until(lambda: len(s.workers()) == 1, "one worker")
    s.signal("USR2")
    path = s.folder / "shop.pid.2"
    new = int(until(lambda: path.exists() and path.read_text(), "its pidfile"))
    s.wait_log("Booting worker", 3)
    assert s.stop() == 0
    for one in sockets:
        body = wire.fetch(one.getsockname(), "/").body
        assert body == b"%d LISTEN_FDNAMES" % new
    os.kill(new, signal.SIGTERM)
    assert processes.reap(new) == 0
    assert os.path.exists(sockets[1].getsockname())


def test_names_of_systemds_sockets_are_logged(activated, sockets):
    tcp, unix = (x.getsockname() for x in sockets)
    s = activated(env={"NAMES": "web:ad\x1bmin"})
    s.wait_log(rf"Sockets of systemd: web \(http://127.0.0.1:{tcp[1]}\), "
               rf"ad\\x1bmin \(unix:{unix}\)")


@pytest.mark.parametrize("chosen", [0, 1])
def test_a_bind_by_name_serves_only_that_socket(activated, sockets, chosen):
    s = activated("--bind", f"fd://{['web', 'admin'][chosen]}", "--pid", "p",
                  env={"NAMES": "web:admin"})
    used, other = sockets[chosen], sockets[1 - chosen]

    def check(pid):
        assert wire.fetch(used.getsockname(), "/").body.startswith(b"%d " % pid)

    check(s.pid)
    with wire.Peer(other.getsockname()) as peer:
        peer.get("/")
        for _ in range(5):
            check(s.pid)
        other.settimeout(1)
        other.accept()[0].close()  # it waits for somebody else
    s.signal("HUP")
    s.wait_log("Booting worker", 2)
    until(lambda: len(s.workers()) == 1, "one worker")
    check(s.pid)
    s.signal("USR2")
    path = s.folder / "p.2"
    new = int(until(lambda: path.exists() and path.read_text(), "its pidfile"))
    s.wait_log("Booting worker", 3)
    assert s.stop() == 0
    check(new)
    os.kill(new, signal.SIGTERM)
    assert processes.reap(new) == 0


def test_one_name_may_be_that_of_several_sockets(activated, sockets):
    s = activated("--bind", "fd://shop")
    for one in sockets:
        assert wire.fetch(one.getsockname(), "/").status == 200
    assert s.stop() == 0


def test_a_reload_may_choose_another_name(activated, sockets):
    s = activated("-c", "conf.py", env={"NAMES": "web:admin"}, config="""\
bind = ["fd://web", "fd://admin"]
""")
    for one in sockets:
        assert wire.fetch(one.getsockname(), "/").status == 200
    (s.folder / "conf.py").write_text('bind = "fd://admin"\n')
    old = s.workers()
    s.signal("HUP")
    until(lambda: s.workers() and not set(old) & set(s.workers()), "new ones")
    assert wire.fetch(sockets[1].getsockname(), "/").status == 200
    (s.folder / "conf.py").write_text('bind = "fd://nobody"\n')
    s.signal("HUP")
    s.wait_log("'nobody' is not a valid file descriptor. Nor is it the name "
               r"of a socket that systemd gave \(LISTEN_FDNAMES='web:admin'\)")
    assert wire.fetch(sockets[1].getsockname(), "/").status == 200


def test_a_name_that_systemd_did_not_give_is_told(run):
    r = run("--bind", "fd://web", "shop:app", files={"shop.py": APP})
    assert r.status == 1
    r.line_with("'web' is not a valid file descriptor.",
                "LISTEN_FDNAMES=''")


@pytest.mark.skipif(not shutil.which("systemd-analyze"),
                    reason="systemd-analyze is not installed")
def test_the_sample_units_are_valid(tmp_path):
    for name in ("cgunicorn.service", "cgunicorn.socket"):
        unit = (ROOT / "sample_configs" / "systemd" / name).read_text()
        unit = unit.replace("/usr/local/bin/cgunicorn", "/bin/true")
        (tmp_path / name).write_text(unit.replace("/srv/shop", "/tmp"))
    r = subprocess.run(
        ["systemd-analyze", "verify", tmp_path / "cgunicorn.service",
         tmp_path / "cgunicorn.socket"], capture_output=True, text=True,
        check=False)
    assert r.returncode == 0 and r.stderr == "", r.stderr


# ---- sd_notify ----


class Manager:
    """The receiving end of NOTIFY_SOCKET."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(path)
        self.sock.settimeout(DEADLINE)
        self.heard = []

    def wait(self, *lines):
        """Hears until one message has all of these lines."""
        while True:
            try:
                message = self.sock.recv(4096).decode().split("\n")
            except socket.timeout:
                raise AssertionError(f"{lines} not in {self.heard}") from None
            self.heard.append(message)
            if set(lines) <= set(message):
                return message


@pytest.fixture
def manager(tmp_path):
    made = Manager(str(tmp_path / "notify"))
    yield made
    made.sock.close()


def test_ready_is_told_when_the_workers_serve_and_not_before(server, manager):
    s = server("shop:app", start=False,
               env={"NOTIFY_SOCKET": manager.sock.getsockname()},
               files={"shop.py": "open('began', 'w').close()\n"
                                 "open('go').close()\n" + APP})
    os.mkfifo(s.folder / "go")
    until(lambda: (s.folder / "began").exists(), "it is loading")
    manager.wait("EXTEND_TIMEOUT_USEC=30000000")
    assert not any("READY=1" in m for m in manager.heard)
    with open(s.folder / "go", "w"):
        pass
    manager.wait("READY=1", "STATUS=Serving with 1 workers")
    assert s.get("/").status == 200
    assert s.stop() == 0
    manager.wait("STOPPING=1")


def test_stopping_is_told_when_the_shutdown_delay_begins(server, manager):
    s = server("shop:app", "--shutdown-delay", "3600",
               env={"NOTIFY_SOCKET": manager.sock.getsockname()},
               files={"shop.py": APP})
    manager.wait("READY=1")
    s.signal("TERM")
    manager.wait("STOPPING=1",
                 "STATUS=Serving on until shutdown_delay is over")
    assert s.get("/").status == 200
    assert s.stop() == 0
    manager.wait("STOPPING=1", "STATUS=Finishing requests")


def test_a_reload_is_told_with_its_end(server, manager):
    s = server("shop:app", config="workers = 1\n", files={"shop.py": APP},
               env={"NOTIFY_SOCKET": manager.sock.getsockname()})
    manager.wait("READY=1")
    (s.folder / "conf.py").write_text("workers = 2\n")
    s.signal("HUP")
    message = manager.wait("RELOADING=1")
    assert any(x.startswith("MONOTONIC_USEC=") for x in message)
    manager.wait("READY=1", "STATUS=Serving with 2 workers")
    (s.folder / "conf.py").write_text("workers = 'many'\n")
    s.signal("HUP")
    manager.wait("RELOADING=1")
    manager.wait("READY=1", "STATUS=The reload failed: see the error log")


def test_the_watchdog_is_fed(server, manager):
    server("shop:app", files={"shop.py": APP},
           env={"NOTIFY_SOCKET": manager.sock.getsockname(),
                "WATCHDOG_USEC": "200000"})
    for _ in range(3):
        manager.wait("WATCHDOG=1")


def test_the_new_master_tells_that_it_is_the_main_process(server, manager):
    s = server("shop:app", "--pid", "shop.pid", files={"shop.py": APP},
               env={"NOTIFY_SOCKET": manager.sock.getsockname()})
    manager.wait("READY=1")
    s.signal("USR2")
    manager.wait("READY=1")
    new = int((s.folder / "shop.pid.2").read_text())
    assert s.stop() == 0
    manager.wait(f"MAINPID={new}", "READY=1")
    os.kill(new, signal.SIGTERM)
    assert processes.reap(new) == 0


def test_a_service_manager_that_does_not_listen_is_no_matter(server):
    s = server("shop:app", env={"NOTIFY_SOCKET": "/no/such/socket"},
               files={"shop.py": APP})
    assert s.get("/").status == 200


# ---- other binds ----


def abstract_peer(name):
    return wire.Peer("\0" + name)


@pytest.mark.parametrize("form", ["unix:@{}", "unix:\\0{}"])
def test_an_abstract_socket_is_served_and_let_go(server, form):
    name = f"cgunicorn-test-{os.getpid()}"
    s = server("shop:app", "--bind", form.format(name), bind=None,
               files={"shop.py": APP})
    with abstract_peer(name) as peer:
        assert peer.get("/").reply().status == 200
    old = s.workers()
    s.signal("HUP")
    until(lambda: s.workers() and not set(old) & set(s.workers()),
          "a new worker")
    with abstract_peer(name) as peer:
        assert peer.get("/").reply().status == 200
    assert s.stop() == 0
    with pytest.raises(ConnectionRefusedError):
        abstract_peer(name)


def test_a_configuration_file_names_an_abstract_socket_as_python_does(server):
    name = f"cgunicorn-test-{os.getpid()}-file"
    server("shop:app", bind=None, files={"shop.py": APP},
           config=f"bind = 'unix:\\0{name}'\n")
    with abstract_peer(name) as peer:
        assert peer.get("/").reply().status == 200


# both addresses, in a network of its own, where nothing but its loopback is
ASK = """
import fcntl, socket, struct, subprocess, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
fcntl.ioctl(s, 0x8914, struct.pack("16sH14x", b"lo", 0x49))  # up, running
server = subprocess.Popen(sys.argv[1:], stderr=subprocess.PIPE, text=True)
log = ""
try:
    while "Booting worker" not in log:
        line = server.stderr.readline()
        assert line and "in use" not in line, log + line
        log += line
    for host in ("127.0.0.1", "::1"):
        with socket.create_connection((host, 8000), 20) as peer:
            peer.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
            print(peer.recv(12))
finally:
    server.terminate()
    server.wait()
"""


@pytest.mark.parametrize("hosts", [("0.0.0.0", "[::]"), ("[::]", "0.0.0.0"),
                                   ("127.0.0.1", "[::]")])
def test_a_port_may_be_bound_for_ipv4_and_ipv6(tmp_path, hosts):
    """[::] alone is for both; beside an IPv4 bind it is for IPv6."""
    (tmp_path / "shop.py").write_text(APP)
    alone = ["unshare", "-rn"]
    if subprocess.run([*alone, "true"], capture_output=True,
                      check=False).returncode != 0:
        pytest.skip("no network of our own: unshare -rn is refused here")
    binds = [word for host in hosts for word in ("-b", f"{host}:8000")]
    done = subprocess.run([*alone, sys.executable, "-c", ASK, *command(),
                           *binds, "shop:app"], cwd=tmp_path, timeout=DEADLINE,
                          capture_output=True, text=True, check=False)
    assert done.stdout.count("HTTP/1.0 200") == 2, done.stderr


def test_two_servers_share_a_port_with_reuse_port(server):
    port = free_port()
    servers = []
    for _ in range(2):
        s = server("shop:app", "--bind", f"127.0.0.1:{port}", "--reuse-port",
                   bind=None, files={"shop.py": APP})
        s.address = ("127.0.0.1", port)
        servers.append(s)
    seen = set()
    until(lambda: seen.add(int(servers[0].get("/").body.split()[0]))
          or len(seen) == 2, "both answer")
    assert servers[0].stop() == 0
    assert int(servers[1].get("/").body.split()[0]) == servers[1].pid


def test_a_removed_unix_socket_is_made_anew_by_hup(server):
    s = server("shop:app", bind="unix", files={"shop.py": APP})
    assert s.get("/").status == 200
    pathlib.Path(s.address).unlink()
    s.signal("HUP")
    s.wait_log("was gone: made anew")
    until(lambda: os.path.exists(s.address), "the socket file is back")
    assert s.get("/").status == 200
    assert s.stop() == 0
    assert not os.path.exists(s.address)
