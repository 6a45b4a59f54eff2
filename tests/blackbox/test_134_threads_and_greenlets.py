# SPDX-License-Identifier: MIT
"""What the server hands to others than the thread or greenlet of a request is
misused there: by two threads of one request at once, by who finds the functions
that run greenlets, by handlers and files that the master meets at run time."""
import os

import pytest

from harness import classes
from harness.wire import Peer

# ---- a request that reads in one thread and answers in another ----

BLOCK, BLOCKS = 4096, 4096
BOTH_WAYS = """\
import os, threading

def app(environ, start_response):
    if environ["PATH_INFO"] == "/pid":
        body = b"%%d" %% os.getpid()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]
    write = start_response("200 OK", [("Content-Length", str(%d * %d))])
    stream, got = environ["wsgi.input"], []

    def read():
        while stream.read(1):
            got.append(1)

    reader = threading.Thread(target=read)
    reader.start()
    for i in range(%d):
        write(b"%%08d" %% i * %d)
    reader.join()
    return []
""" % (BLOCK, BLOCKS, BLOCKS, BLOCK // 8)


def read_while_sending(peer, wanted):
    """All of the reply's body, a byte of the request's for every piece of it."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += peer.sock.recv(4096)
    parts = [data.split(b"\r\n\r\n", 1)[1]]
    left = wanted - len(parts[0])
    while left > 0:
        peer.send(b"1\r\nx\r\n")
        got = peer.sock.recv(16384)
        assert got, f"{left} bytes are missing"
        parts.append(got)
        left -= len(got)
    peer.send(b"0\r\n\r\n")
    return b"".join(parts)


@pytest.mark.parametrize("args", [(), ("--response-file-size", "0")],
                         ids=["spilled", "waiting"])
def test_one_thread_reads_while_another_writes(server, args):
    """Only one of them sends what the client has not taken yet."""
    if not classes.streams() or classes.shares_thread():
        pytest.skip("this class has no two threads of a request")
    s = server("--stream-requests", "--timeout", "60", *args, "both:app",
               files={"both.py": BOTH_WAYS})
    pid = s.get("/pid").body
    wanted = b"".join(b"%08d" % i * (BLOCK // 8) for i in range(BLOCKS))
    for _ in range(2):
        with Peer(s.address) as peer:
            peer.get("/", "Transfer-Encoding: chunked", method="POST")
            got = read_while_sending(peer, len(wanted))
        at = next((i for i, (a, b) in enumerate(zip(
            got[::BLOCK], wanted[::BLOCK])) if a != b), None)
        assert got == wanted, f"it differs near block {at}"
    assert s.get("/pid").body == pid


GREENLETS = """\
import threading, time

def app(environ, start_response):
    stream, got = environ["wsgi.input"], []

    def read():
        while stream.read(1):
            got.append(1)

    reader = threading.Thread(target=read)
    reader.start()
    while not got:
        time.sleep(0.001)
    time.sleep(0.001)  # it waits for the second byte by now
    write = start_response("200 OK", [("Content-Length", "12")])
    write(b"answered ")
    reader.join()
    write(b"%03d" % len(got))
    return []
"""


@pytest.mark.parametrize("kind", ["gevent", "eventlet"])
def test_one_greenlet_reads_while_another_writes(run, server, kind):
    """A write does not make the server forget who waits for the body."""
    classes.skip_unless_installed(run, kind)
    s = server("-k", kind, "--stream-requests", "both:app",
               files={"both.py": GREENLETS})
    with s.connect() as peer:
        peer.get("/", "Transfer-Encoding: chunked", method="POST")
        peer.send(b"1\r\nx\r\n")
        data = b""
        while not data.endswith(b"answered "):
            data += peer.sock.recv(4096)
        peer.send(b"1\r\ny\r\n0\r\n\r\n")
        while len(data.partition(b"\r\n\r\n")[2]) < 12:
            data += peer.sock.recv(4096)
        assert data.endswith(b"answered 002")


# ---- the functions behind greenlets and loops ----

# Whoever looks at all objects finds the server's own.
FINDER = """\
import atexit, gc, os, time
KEPT = []

def found(*names):
    return [o for o in gc.get_objects() if type(o) is type(len)
            and o.__name__ in names and type(o.__self__).__name__ == "PyCapsule"]

def outcome(f, *args):
    try:
        f(*args)
        return "called"
    except BaseException as e:
        return type(e).__name__

def at_end():
    for f in found("poll", "set_over"):
        args = (print,) if f.__name__ == "set_over" else ()
        with open("outcomes", "a") as out:
            out.write(outcome(f, *args) + "\\n")

atexit.register(at_end)

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/keep":
        KEPT.extend(found("requests"))
        time.sleep(0.001)  # whoever has waited is not used again
        said = ["kept"]
    elif path == "/call":
        said = [outcome(f) for f in KEPT + found("requests")]
        del KEPT[:]
    else:
        said = [str(os.getpid())]
    body = " ".join(said).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


@pytest.mark.parametrize("kind", ["gevent", "eventlet"])
def test_what_runs_requests_in_a_greenlet_is_nobody_elses(run, server, kind):
    """Neither its own greenlet calls it again, nor another one, nor anybody
    when that greenlet rests or is over."""
    classes.skip_unless_installed(run, kind)
    s = server("-k", kind, "finder:app", files={"finder.py": FINDER})
    pid = s.get("/pid").body
    assert s.get("/keep").body == b"kept"
    for _ in range(3):
        said = s.get("/call").body.split()
        assert said and set(said) == {b"RuntimeError"}
        assert s.get("/pid").body == pid


@pytest.mark.parametrize("kind", ["gevent", "eventlet", "tornado"])
def test_what_turns_the_loop_is_of_no_use_after_its_end(run, server, kind):
    classes.skip_unless_installed(run, kind)
    s = server("-k", kind, "finder:app", files={"finder.py": FINDER + """
KEPT_BY_US = []
inner = app
def app(environ, start_response):
    KEPT_BY_US[:] = found("poll", "set_over")
    return inner(environ, start_response)
"""})
    assert s.get("/pid").status == 200
    assert s.stop() == 0
    said = (s.folder / "outcomes").read_text().split()
    assert said and set(said) == {"ValueError"}


# ---- what the master meets at run time ----


def test_a_configuration_that_became_a_pipe_does_not_keep_the_master(server):
    """As one in YAML: nobody writes to it, and a reload must not wait."""
    s = server("probe:app", apps=["probe.py"], config="workers = 1\n",
               announced=["Reload failed", "Failed to read", "regular file"])
    path = s.folder / "conf.py"
    path.unlink()
    os.mkfifo(path)
    s.signal("HUP")
    s.wait_log("Reload failed")
    assert s.get("/one").status == 200
    path.unlink()
    path.write_text("workers = 2\n")
    s.signal("HUP")
    s.wait_workers(2)


HANDLER = """
import sys
def on_starting(server):
    def handle():
        raise %s
    server.handle_ttin = handle
"""


@pytest.mark.parametrize("raised", ["GeneratorExit('odd')", "MemoryError('odd')"])
def test_a_handler_of_the_arbiter_that_raises_is_told_and_counts(server, raised):
    s = server("probe:app", apps=["probe.py"], config=HANDLER % raised,
               announced=["Exception in", "odd"])
    s.signal("TTIN")
    s.wait_log("odd")
    s.wait_workers(1)
    assert s.get("/one").status == 200


def test_a_handler_of_the_arbiter_may_end_the_server(server):
    s = server("probe:app", apps=["probe.py"], config=HANDLER % "SystemExit(7)",
               announced=["told to"])
    s.signal("TTIN")
    assert s.wait() == 7
