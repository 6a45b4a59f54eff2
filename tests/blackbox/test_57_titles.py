# SPDX-License-Identifier: MIT
"""Titles of processes: the server's, and those that setproctitle sets.

The application's package and the server write into the same memory. Airflow
finds its workers by what they have put there.
"""
import os

import pytest

from harness import processes
from harness.waiting import until

APP = """\
import ctypes, os, subprocess, sys
from urllib.parse import unquote

def app(environ, start_response):
    import setproctitle
    what, _, text = unquote(environ["QUERY_STRING"]).partition("=")
    if what == "set":
        setproctitle.setproctitle(text)
    elif what == "thread":
        setproctitle.setthreadtitle(text)
    elif what == "child":
        pid = os.fork()
        if pid == 0:
            setproctitle.setproctitle(text)
            with open("child", "wb") as f:
                f.write(open("/proc/self/cmdline", "rb").read())
            os._exit(0)
        os.waitpid(pid, 0)
    body = setproctitle.getproctitle().encode()
    if what == "environment":
        getenv = ctypes.CDLL(None).getenv
        getenv.restype = ctypes.c_char_p
        given = subprocess.run([sys.executable, "-c",
            "import os; print(os.environ['LAST'], 'GONE' in os.environ, "
            "os.environ['SET'])"], capture_output=True, check=True).stdout
        body = b" ".join([getenv(b"FIRST"), getenv(b"LAST"),
                          getenv(b"SET"), given.strip()])
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


@pytest.fixture(autouse=True)
def _installed(run):
    done = run("--print-config", "-c", "conf.py", files={
        "conf.py": "try:\n    import setproctitle\nexcept ImportError:\n"
                   "    print('none here')\n"})
    if "none here" in done.out:
        pytest.skip("setproctitle is not installed")


def start(server, *args, **kw):
    return server("shop:app", "--name", "n", *args, files={"shop.py": APP}, **kw)


def shown(pid):
    """As psutil and ps show it: arguments end with a NUL, the last may be
    followed by more of them."""
    with open(f"/proc/{pid}/cmdline", "rb") as f:
        return f.read().rstrip(b"\0").decode()


def comm(pid):
    with open(f"/proc/{pid}/comm", encoding="utf-8") as f:
        return f.read().strip()


def test_setproctitle_finds_the_servers_title_and_sets_its_own(server):
    s = start(server)
    pid = s.wait_workers(1)[0]
    assert s.get("/").body == b"gunicorn: worker [n]"
    assert shown(pid) == "gunicorn: worker [n]"
    assert comm(pid) == "gunicorn-worker"
    for text in ("[ready] gunicorn: worker [n]", "x", "a longer one", ""):
        assert s.get("/?set=" + text.replace(" ", "%20")).body == text.encode()
        assert shown(pid) == text
    assert shown(s.pid) == "gunicorn: master [n]"


def test_a_prefix_in_post_worker_init_is_airflows_ready(server):
    s = start(server, "-w", "2", config="""\
import setproctitle
def post_worker_init(worker):
    old = setproctitle.getproctitle()
    setproctitle.setproctitle("[ready] " + old)
""")
    for pid in s.wait_workers(2):
        until(lambda p=pid: shown(p) == "[ready] gunicorn: worker [n]",
              "it is ready")
    assert shown(s.pid) == "gunicorn: master [n]"


def test_a_title_of_the_configuration_is_followed_by_the_servers(server):
    """The package has found the memory before the server has a title."""
    s = start(server, config="""\
import setproctitle
setproctitle.setproctitle("a title that is longer than those of the server is, "
                          "so that something of it could stay")
def post_fork(server, worker):
    setproctitle.setproctitle("forked " + setproctitle.getproctitle())
""")
    first = s.wait_workers(1)[0]
    until(lambda: shown(first) == "forked gunicorn: worker [n]", "post_fork")
    assert shown(s.pid) == "gunicorn: master [n]"
    assert comm(s.pid) == "gunicorn"
    s.signal("HUP")
    second = until(lambda: first not in s.workers() and s.workers(),
                   "another worker")[0]
    until(lambda: shown(second) == "forked gunicorn: worker [n]", "post_fork")
    assert shown(s.pid) == "gunicorn: master [n]"


def test_a_short_title_leaves_nothing_of_a_longer_one(server):
    """The package only wipes what it knows of."""
    s = start(server, config="""\
import setproctitle
setproctitle.setproctitle("x")
def post_fork(server, worker):
    setproctitle.setproctitle("y")
""")
    pid = s.wait_workers(1)[0]
    until(lambda: shown(pid) == "y", "post_fork's title and nothing else")


def test_a_title_before_and_after_an_upgrade(server):
    s = start(server, "--pid", "server.pid", config="""\
import setproctitle
def when_ready(server):
    setproctitle.setproctitle("ready")
""")
    assert shown(s.pid) == "gunicorn: master [n]"
    s.signal("USR2")
    new = until(lambda: [p for p in s.workers()
                         if shown(p) == "gunicorn: master [n.2]"],
                "a new master")[0]
    s.wait_log("Booting worker", count=2)
    os.kill(new, 15)
    processes.wait_gone(new, "the new master")


def test_setthreadtitle_names_the_thread(server):
    s = start(server)
    pid = s.wait_workers(1)[0]
    s.get("/?thread=worker-of-mine")
    names = []
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/comm", encoding="utf-8") as f:
            names.append(f.read().strip())
    assert "worker-of-mine" in names
    assert shown(pid) == "gunicorn: worker [n]"


def test_a_child_of_the_application_has_a_title_of_its_own(server):
    s = start(server)
    pid = s.wait_workers(1)[0]
    assert s.get("/?child=pool%20member").body == b"gunicorn: worker [n]"
    text = (s.folder / "child").read_bytes()
    assert text.rstrip(b"\0") == b"pool member"
    assert shown(pid) == "gunicorn: worker [n]"


def test_the_environment_is_whole_afterwards(server):
    s = start(server, env={"FIRST": "1", "GONE": "x", "LAST": "2"}, config="""\
import os
raw_env = ["LAST=changed"]
os.environ["SET"] = "set"
del os.environ["GONE"]
""")
    assert s.get("/?environment").body == b"1 changed set changed False set"
