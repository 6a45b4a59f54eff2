# SPDX-License-Identifier: MIT
"""The listening sockets are shared: whoever has one in a worker (an application
that closes what it finds, or one that was broken into) can stop it for all. The
server notices, says so and listens again."""
import re
import shutil
import socket
import subprocess
import time

import pytest

from harness import processes
from harness.waiting import until

APP = r"""
import os, socket, struct

def listeners():
    for fd in range(3, 256):
        try:
            s = socket.socket(fileno=os.dup(fd))
        except OSError:
            continue
        with s:
            try:
                if s.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    yield s
            except OSError:
                pass

def shut(s):
    s.shutdown(socket.SHUT_RDWR)

def shut_reading(s):
    s.shutdown(socket.SHUT_RD)

def use_up(s):
    # a connection of its own in the listener's place
    s.shutdown(socket.SHUT_RDWR)
    with socket.create_server(("127.0.0.1", 0)) as other:
        s.connect_ex(other.getsockname())

def deafen(s):
    # a filter that drops all that comes: BPF_RET | BPF_K, 0
    from ctypes import create_string_buffer, addressof
    code = create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0))
    s.setsockopt(socket.SOL_SOCKET, 26, struct.pack("HP", 1, addressof(code)))

def shorten(s):
    s.listen(0)

def app(environ, start_response):
    attack = globals().get(environ["PATH_INFO"][1:])
    n = 0
    if attack is not None:
        for s in listeners():
            attack(s)
            n += 1
    body = str(n).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
SHUT = r"The listening socket .* was shut down"


def serves(server):
    def answers():
        try:
            return server.get("/").status == 200
        except (OSError, AssertionError, EOFError):
            return False
    until(answers, lambda: "it serves again; the log is:\n" + server.tail())


def start(server, *args, **options):
    s = server("shop:app", "-w", "2", *args, files={"shop.py": APP}, **options)
    s.wait_log("Booting worker", 2)
    s.announce(SHUT, r"a filter", "made anew", "Handling signal: hup")
    return s


@pytest.mark.parametrize("attack", ["shut", "shut_reading", "use_up"])
def test_a_tcp_listener_that_a_worker_shuts_down_listens_again(server, attack):
    s = start(server)
    before = set(s.workers())
    for times in (1, 2):
        assert s.get("/" + attack).body == b"1"
        s.wait_log(SHUT + ".*it listens again", times)
        serves(s)
    assert s.log_count("Handling signal: hup") == 0
    assert set(s.workers()) == before  # nobody was replaced


def test_one_port_of_several_is_enough_to_notice(server):
    s = start(server, "-b", "127.0.0.1:0")
    assert s.get("/shut").body == b"2"
    s.wait_log(SHUT + ".*it listens again", 2)
    serves(s)


def test_a_port_that_the_kernel_chose_stays_the_same(server):
    s = start(server, "-b", "127.0.0.1:0")
    told = re.search(r"Listening at: .*,http://127\.0\.0\.1:(\d+) \(", s.log())
    port = int(told.group(1))
    assert s.get("/shut").body == b"2"
    s.wait_log(SHUT + ".*it listens again", 2)
    with socket.create_connection(("127.0.0.1", port), timeout=5) as peer:
        peer.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert peer.recv(64).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("attack", ["shut", "shut_reading"])
def test_a_unix_listener_that_a_worker_shuts_down_is_made_anew(server, attack):
    s = start(server, bind="unix")
    assert s.get("/" + attack).body == b"1"
    s.wait_log(SHUT + ".*a reload makes it anew")
    s.wait_log("was broken: made anew")
    serves(s)
    assert s.log_count("Handling signal: hup") == 1


def test_what_cannot_be_made_anew_is_told_once_and_costs_no_cpu(server):
    """The name of an abstract socket stays taken while workers have it."""
    name = f"cgunicorn-test-{time.monotonic_ns()}"
    s = start(server, "-b", f"unix:@{name}")
    assert s.get("/shut").body == b"2"
    s.wait_log(SHUT + ".*it listens again")
    s.wait_log(SHUT + ".*start the server again")
    serves(s)
    before = {p: processes.spent(p) for p in s.workers()}
    s.signal("TTIN")  # as a clock: a worker boots
    s.wait_log("Booting worker", 3)
    for _ in range(20):
        serves(s)
    for p, seconds in before.items():
        assert processes.spent(p) - seconds < 100  # ticks of 10 ms
    assert s.log_count("start the server again") == 1


def test_a_filter_that_a_worker_puts_on_a_listener_is_taken_off(server):
    s = start(server)
    assert s.get("/deafen").body == b"1"
    s.wait_log("a filter")
    serves(s)


def test_a_backlog_that_a_worker_shortens_is_put_right(server):
    if shutil.which("ss") is None:
        pytest.skip("there is no ss (Debian: iproute2)")
    s = start(server)
    s.announce("a shorter backlog")
    assert s.get("/shorten").body == b"1"

    def backlog():
        out = subprocess.run(["ss", "-Hltn", f"sport = :{s.address[1]}"],
                             capture_output=True, text=True).stdout.split()
        return out and int(out[2]) > 0
    until(backlog, "the backlog is as it was")
