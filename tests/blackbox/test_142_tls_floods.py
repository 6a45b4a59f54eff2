# SPDX-License-Identifier: MIT
"""Floods over TLS: handshakes, records, and what comes before either. Each is
bounded or ended, and meanwhile others are served. What came of it is printed
(pytest -rP shows it)."""
import contextlib
import socket
import ssl
import subprocess
import threading
import time

import pytest

from harness import certificates, control, processes, sealed
from harness.waiting import until
from test_85_tls import APP, Client, context

pytestmark = sealed.in_the_clear("it would be the same")
FILES = {"shop.py": APP}
GROWS_KIB = 10 * 1024


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    authority = certificates.Authority(tmp_path_factory.mktemp("pki"))
    return (authority, *authority.issue("server"))


def start(make, pki, *args):
    return make("--certfile", pki[1], "--keyfile", pki[2], *args, "shop:app", files=FILES)


@pytest.fixture(scope="module")
def served(module_server, pki):
    return start(module_server, pki)


class Others:
    """Somebody else who asks all the while, on a connection that stays and on new
    ones in turn, and what the workers' memory does."""

    def __init__(self, server, pki, grows_kib=GROWS_KIB):
        self.server, self.context, self.most = server, context(pki), grows_kib

    def __enter__(self):
        with Client(self.server, self.context) as c:  # what is made once
            c.get("/")
        self.before = self._resident()
        self.took, self.error = [], None
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._ask, daemon=True)
        self.thread.start()
        return self

    def _resident(self):
        return sum(processes.resident_kib(p) for p in self.server.workers())

    def _ask(self):
        try:
            with Client(self.server, self.context) as kept:
                while not self.over.is_set():
                    begin = time.monotonic()
                    assert kept.get("/") == b"hello"
                    with Client(self.server, self.context) as c:
                        assert c.get("/") == b"hello"
                    self.took.append(time.monotonic() - begin)
        except Exception as e:  # told by the thread that waits for this one
            self.error = e

    def __exit__(self, kind, *exc):
        self.over.set()
        self.thread.join(60)
        if kind is not None:
            return
        grown, took = self._resident() - self.before, sorted(self.took)
        assert self.error is None and took, self.error
        print(f"others: {len(took)} answers, p99 {took[len(took) * 99 // 100] * 1000:.1f} ms; "
              f"memory {grown:+} KiB")
        if not processes.is_sanitized(self.server.workers()[0]):
            assert grown < self.most, f"{grown} KiB"


def first_flight(pki):
    """A client's hello, as bytes."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    o = context(pki).wrap_bio(incoming, outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        o.do_handshake()
    return outgoing.read()


def connect(server):
    return socket.create_connection(server.address, 30)


# ---- handshakes ----

def test_handshakes_that_are_begun_and_left(served, pki):
    """The server has signed for each; nobody goes on."""
    hello = first_flight(pki)
    failed = control.status(served)["tls_handshakes_failed_total"]
    with Others(served, pki):
        for _ in range(10):
            held = [connect(served) for _ in range(50)]
            for s in held:
                s.sendall(hello)
            for s in held:
                assert s.recv(100)[:1] == b"\x16"
                s.close()
    until(lambda: control.status(served)["tls_handshakes_failed_total"] >= failed + 500,
          "all are counted")


def test_handshakes_that_are_begun_and_held_end_with_the_time_for_heads(server, pki):
    s = start(server, pki, "--header-timeout", "2", "--worker-connections", "1000")
    hello = first_flight(pki)
    with Others(s, pki, grows_kib=300 * 100):  # what OpenSSL has for each of them
        held = [connect(s) for _ in range(300)]
        for i, c in enumerate(held):
            c.sendall(hello if i % 2 else hello[:50])
        for c in held:
            while c.recv(65536):
                pass
            c.close()
    assert control.status(s)["tls_handshakes_failed_total"] >= 300


def test_handshakes_one_after_the_other(served, pki):
    """Whole ones, by three clients at once: requests of others go in between."""
    c = context(pki)
    good = control.status(served)["tls_handshakes_total"]

    def flood():
        for _ in range(100):
            c.wrap_socket(connect(served), server_hostname="localhost").close()
    with Others(served, pki):
        threads = [threading.Thread(target=flood) for _ in range(3)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(60)
    until(lambda: control.status(served)["tls_handshakes_total"] >= good + 300,
          "all are counted")


def test_garbage_in_place_of_handshakes(served, pki):
    """Every kind of end, none of them with a line above DEBUG."""
    with Others(served, pki):
        for junk in (b"", b"\x16", b"\x16\x03\x01\xff\xff" + b"a" * 20000, b"\0" * 300,
                     b"\x80\x2e\x01\x03\x01" + b"\0" * 41, b"\x15\x03\x01\x00\x02\x02\x28",
                     b"\x17\x03\x03\x40\x00" + b"a" * 16384):
            for _ in range(20):
                with connect(served) as s, contextlib.suppress(OSError):
                    s.sendall(junk)
                    s.shutdown(socket.SHUT_WR)
                    while s.recv(65536):
                        pass
    served.check_log()


def test_renegotiation_is_refused_each_time(served, pki):
    """TLS 1.2: one handshake is all that a connection can cost."""
    good = control.status(served)["tls_handshakes_total"]
    with Others(served, pki) as others:
        for _ in range(5):
            done = subprocess.run(
                ["openssl", "s_client", "-connect", "127.0.0.1:%d" % served.address[1],
                 "-tls1_2"], input=b"R\nR\nR\n", capture_output=True, timeout=30, check=False)
            assert b"no renegotiation" in done.stderr + done.stdout
    most = 5 + len(others.took) + 3
    assert control.status(served)["tls_handshakes_total"] - good <= most


# ---- records ----

@pytest.mark.parametrize("most", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3],
                         ids=["1.2", "1.3"])
def test_tiny_records(served, pki, most):
    """A byte of a body in each: taken as they come."""
    n = 20000
    with Others(served, pki), Client(served, context(pki, most=most)) as c:
        c.sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % n)
        for _ in range(n):
            c.sock.sendall(b"a")
        assert c.reply() == b"%d %d" % (n, n * 97 % 65521)


def test_a_head_in_tiny_records_that_does_not_end(served, pki):
    """Whatever pieces a head comes in, it has its limits."""
    s = served
    with Others(s, pki), Client(s, context(pki)) as c, pytest.raises(OSError):
        c.sock.sendall(b"GET / HTTP/1.1\r\n")
        while True:
            c.sock.sendall(b"a")


def test_who_asks_for_much_and_reads_nothing_is_cut(server, pki):
    s = start(server, pki, "--write-timeout", "2", "--worker-connections", "500",
              "--response-memory", "1000000")
    with Client(s, context(pki)) as c:
        c.get("/")
    (worker,) = s.workers()
    before = len(processes.open_descriptors(worker))
    with Others(s, pki):
        held = []
        for _ in range(50):
            plain = socket.socket()
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            plain.settimeout(30)
            plain.connect(s.address)
            held.append(Client(s, context(pki), plain=plain))
            held[-1].sock.sendall(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
    until(lambda: len(processes.open_descriptors(worker)) <= before, "they are cut")
    for c in held:
        c.sock.close()
