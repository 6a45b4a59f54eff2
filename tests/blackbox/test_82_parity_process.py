# SPDX-License-Identifier: MIT
"""Signals, boot errors and hooks, step by step with gunicorn and with us: exit
statuses, log lines and pidfiles have to be the same, but for what we add on
purpose (ADDED) and what gunicorn has of its own (THEIRS).
"""
import collections
import os
import re
import signal

import pytest

from harness import beside, classes, processes
from harness.beside import PROGRAMS, needs_gunicorn
from harness.load import Load
from harness.waiting import until

pytestmark = needs_gunicorn
APP = """\
import os, time

def app(environ, start_response):
    if environ["PATH_INFO"] == "/stuck":
        open("began", "w").close()
        time.sleep(60)
    body = b"%d" % os.getpid()
    start_response("200 OK", [("Content-Type", "text/plain"),
                              ("Content-Length", str(len(body)))])
    return [body]
"""
ADDED = re.compile(
    "run as root|is running:|Stacks of worker|took .* with it|in a row ended"
    "|New master started|The new master|Reload failed|will be replaced"
    "|preload_app: ")
THEIRS = re.compile("[Cc]ontrol socket|control.sock")


def lines(server):
    """What is the same in every run of every program, sorted: two processes
    write at the same time."""
    out = []
    for line in server.log().splitlines():
        stamp = re.match(r"\[\d{4}[^]]*\] \[\d+\] ", line)
        if not stamp or ADDED.search(line) or THEIRS.search(line):
            continue
        line = line[stamp.end():]
        line = re.sub(r"Starting c?gunicorn \S+", "Starting", line)
        line = re.sub(r"127\.0\.0\.1:\d+", "ADDRESS", line)
        line = re.sub(r"(SIGKILL!).*", r"\1", line)  # who sent it is known here
        if beside.is_old():  # every signal is an error, no status told just once
            line = re.sub(r"\[\w+\] (Worker .* was sent)", r"\1", line)
            if re.search(r"exited with code \d+$", line):
                continue
        out.append(re.sub(r"(pid: ?|\(|Worker )\d+\)?", r"\1N", line))
    return sorted(out)


# gunicorn sends TERM again to a worker that is ending, which may kill it
TOLD_AGAIN = "was sent SIGTERM!"


class Act:
    """What happens to a server, in words."""

    def __init__(self, server):
        self.s = server
        self.s.wait_log("Booting worker")
        until(self.answers, "it answers")

    def booted(self, count):
        self.s.wait_log("Booting worker", count)
        until(self.answers, "it answers")

    def answers(self):
        try:
            return self.s.get("/", "Connection: close").status == 200
        except (AssertionError, OSError):
            return False

    def signal(self, *names):
        for name in names:
            self.s.signal(name)
            self.s.wait_log(f"Handling signal: {name.lower()}",
                            self.count(name))

    def count(self, name):
        n = getattr(self, "n_" + name, 0) + 1
        setattr(self, "n_" + name, n)
        return n

    def kill_worker(self, name):
        worker = self.s.workers()[-1]
        os.kill(worker, getattr(signal, "SIG" + name))
        processes.wait_gone(worker, "the worker")

    def workers(self, n):
        self.s.wait_workers(n)

    def exits(self, n):
        self.s.wait_log("Worker exiting|" + TOLD_AGAIN, n)

    def stuck(self):
        self.peer = self.s.connect().get("/stuck")
        until(lambda: (self.s.folder / "began").exists(), "it is stuck")

    def upgrade(self, workers=1):
        self.signal("USR2")
        path = self.s.folder / "p.2"
        until(lambda: path.exists() and path.read_text(), "its pidfile")
        self.new = int(path.read_text())
        until(lambda: len(processes.children(self.new)) == workers,
              "the new master's workers")
        self.s.wait_log("Booting worker", 2)


def nothing(a):
    pass


def hup(a):
    a.signal("HUP")
    a.booted(2)
    a.exits(1)


def two_hups(a):
    hup(a)
    a.signal("HUP")
    a.booted(3)
    a.exits(2)


def ttin(a):
    a.signal("TTIN")
    a.booted(2)
    a.workers(2)
    with Load(a.s.address, clients=6) as load:  # both of them serve
        until(lambda: len(load.bodies) == 2, "two workers answer")


def ttin_ttou(a):
    ttin(a)
    a.signal("TTOU")
    a.workers(1)


def just(name):
    return lambda a: a.signal(name)


def worker(name):
    def act(a):
        a.kill_worker(name)
        a.booted(2)
    return act


def recycled(a):
    a.exits(1)  # by the request that showed that it answers
    a.s.wait_log("Booting worker", 2)


def upgraded(a):
    a.upgrade()
    a.s.stop()
    a.s.wait_log("Master has been promoted")
    until(lambda: (a.s.folder / "p").read_text() == f"{a.new}\n", "renamed")
    os.kill(a.new, signal.SIGTERM)
    processes.reap(a.new)


def backed_out(a):
    a.upgrade()
    os.kill(a.new, signal.SIGTERM)
    processes.wait_gone(a.new, "the new master")
    assert not (a.s.folder / "p.2").exists()


def twice_usr2(a):
    a.upgrade()
    a.signal("USR2")
    a.s.wait_log("Child exists")
    os.kill(a.new, signal.SIGUSR2)
    a.s.wait_log("Parent exists")
    os.kill(a.new, signal.SIGTERM)
    processes.wait_gone(a.new, "the new master")


def hurried(a):
    a.stuck()
    a.signal("TERM")
    a.s.signal("INT")  # only we have a line for the signal itself
    a.s.wait_log("Quick shutdown requested")
    a.s.wait()


def ended_by_int(a):
    a.signal("INT")
    a.s.wait()


def preloaded_hup(a):
    """The application stays, with gunicorn too."""
    a.s.folder.joinpath("shop.py").write_text("import no_such_module\n")
    a.signal("HUP")
    a.booted(2)
    a.exits(1)


def quick_after_term(a):
    a.stuck()
    a.signal("TERM")
    a.s.signal("QUIT")
    a.s.wait_log("Quick shutdown requested")
    a.s.wait()


def usr2_winch_term(a):
    """WINCH means nothing to a master in the foreground."""
    a.upgrade()
    a.signal("WINCH")
    a.s.stop()
    a.s.wait_log("Master has been promoted")
    until(lambda: (a.s.folder / "p").read_text() == f"{a.new}\n", "renamed")
    os.kill(a.new, signal.SIGTERM)
    processes.reap(a.new)


def more_workers(a):
    """HUP takes the new number and forgets TTIN."""
    a.signal("TTIN")
    a.booted(2)
    conf = a.s.folder / "conf.py"
    conf.write_text(conf.read_text() + "workers = 3\n")
    a.signal("HUP")
    a.booted(5)
    a.exits(2)
    a.workers(3)


# gunicorn's gevent workers may use all of it when a new master ends
HURRY = ["--graceful-timeout", "4"]
# name -> (what happens, more arguments, the signal that ends it)
LIVES = {
    "TERM": (nothing, [], "TERM"), "INT": (nothing, [], "INT"),
    "QUIT": (nothing, [], "QUIT"), "INT once": (ended_by_int, [], None),
    "HUP": (hup, [], "TERM"), "HUP twice": (two_hups, [], "TERM"),
    "TTIN": (ttin, [], "TERM"), "TTIN TTOU": (ttin_ttou, [], "TERM"),
    "TTOU of the last": (just("TTOU"), [], "TERM"),
    "USR1": (just("USR1"), [], "TERM"), "WINCH": (just("WINCH"), [], "TERM"),
    "worker KILL": (worker("KILL"), [], "TERM"),
    "worker TERM": (worker("TERM"), [], "TERM"),
    "worker INT": (worker("INT"), [], "TERM"),
    "worker HUP": (worker("HUP"), [], "TERM"),
    "worker USR2": (worker("USR2"), [], "TERM"),
    "max_requests": (recycled, ["--max-requests", "1"], "TERM"),
    "USR2 TERM": (upgraded, HURRY, None), "USR2, back": (backed_out, HURRY, "TERM"),
    "USR2 twice": (twice_usr2, HURRY, "TERM"),
    "INT after TERM": (hurried, ["--graceful-timeout", "20"], None),
    "QUIT after TERM": (quick_after_term, ["--graceful-timeout", "20"], None),
    "worker ABRT": (worker("ABRT"), [], "TERM"),
    "worker QUIT": (worker("QUIT"), [], "TERM"),
    "worker SEGV": (worker("SEGV"), [], "TERM"),
    "HUP of a preloaded one": (preloaded_hup, ["--preload"], "TERM"),
    "USR2 WINCH TERM": (usr2_winch_term, HURRY, None),
    "HUP, another number": (more_workers, ["-c", "conf.py"], "TERM"),
}


# A worker that still boots, which takes a while where it imports a package,
# dies of the signal here; gunicorn's may lose it and be killed in the end.
BOOTING = r"Worker exiting|was sent SIG(TERM|KILL)!"
# What only one of the two says, and may.
KNOWN = {
    # gunicorn's gevent worker does not say it then
    "max_requests": "Worker exiting" if classes.shares_thread() else "^$",
    "USR2 TERM": BOOTING, "USR2, back": BOOTING, "USR2 twice": BOOTING,
    "USR2 WINCH TERM": BOOTING,
    # gunicorn takes the signal of an idle worker for a request's error
    "worker INT": "Error handling request",
    "worker QUIT": "Error handling request",
    # and then the worker has no status to tell
    "worker ABRT": "Error handling request|exited with code 1",
    "TTIN TTOU": "Worker exiting|" + TOLD_AGAIN,
    # gunicorn has no line for a signal that comes while it stops; whether its
    # worker's last lines get out is a race with the KILL, and it takes the
    # signal for a request's error
    "INT after TERM":
        "Handling signal: int|Worker exiting|Error handling request",
    "QUIT after TERM":
        "Handling signal: quit|Worker exiting|Error handling request",
}
UNKNOWN = ()  # what gunicorn does not know
if beside.is_old():  # sends TERM ten times a second, ignores INT while it stops
    KNOWN.update({name: KNOWN["TTIN TTOU"] for name in LIVES if "HUP" in name
                  and "worker" not in name})
    UNKNOWN = "INT after TERM", "QUIT after TERM"


@pytest.mark.parametrize("name", LIVES)
def test_a_life_is_gunicorns(server, name):
    if name in UNKNOWN:
        pytest.skip("that gunicorn's master hears no signal while it stops")
    act, args, end = LIVES[name]
    told = []
    for program in PROGRAMS:
        s = server("shop:app", "--pid", "p", *args, program=program,
                   files={"shop.py": APP, "conf.py": ""}, announced=["."])
        assert (s.folder / "p").read_text() == f"{s.pid}\n"
        act(Act(s))
        status = s.stop(end) if end else s.wait()
        told.append([status, (s.folder / "p").exists(),
                     [x for x in lines(s)
                      if not re.search(KNOWN.get(name, "^$"), x)]])
    assert told[1][:2] == told[0][:2]
    assert only(told[1][2], told[0][2]) == only(told[0][2], told[1][2]) == []


def only(these, others):
    left = collections.Counter(these)
    left.subtract(others)
    return list(left.elements())


def test_a_pidfile_follows_a_reload_as_gunicorns(server):
    for program in PROGRAMS:
        s = server("shop:app", program=program, files={"shop.py": APP},
                   config="pidfile = 'first'\n")
        a = Act(s)
        assert (s.folder / "first").read_text() == f"{s.pid}\n"
        (s.folder / "conf.py").write_text("pidfile = 'second'\n")
        a.signal("HUP")
        a.booted(2)
        until(lambda f=s.folder: (f / "second").exists(), "the new file")
        assert (s.folder / "second").read_text() == f"{s.pid}\n"
        until(lambda f=s.folder: not (f / "first").exists(), "no old file")
        assert s.stop() == 0
        assert not (s.folder / "second").exists()


# hook -> its arguments; each calls sys.exit(7) in a server that serves
EXITS = {"child_exit": "s, w", "on_exit": "s", "worker_exit": "s, w"}


@pytest.mark.parametrize("hook", EXITS)
def test_sys_exit_in_a_hook_at_the_end_is_gunicorns(server, hook):
    told = []
    for program in PROGRAMS:
        s = server("shop:app", program=program, files={"shop.py": APP},
                   config=f"""\
import os, sys
def {hook}({EXITS[hook]}):
    sys.exit(7)
""")
        s.expected_status = None
        until(Act(s).answers, "it answers")
        told.append([s.stop(), [x for x in lines(s) if "Shutting" not in x]])
    assert told[1] == told[0]


FAILURES = {
    "import": (["bad:app"], {"bad.py": "import no_such_module\n"}),
    "raise": (["bad:app"], {"bad.py": "1 / 0\n"}),
    "attribute": (["shop:none"], {}),
    "post_fork": (["shop:app", "-c", "c.py"],
                  {"c.py": "def post_fork(s, w):\n    1 / 0\n"}),
    "post_worker_init": (["shop:app", "-c", "c.py"],
                         {"c.py": "def post_worker_init(w):\n    1 / 0\n"}),
    "when_ready": (["shop:app", "-c", "c.py"],
                   {"c.py": "def when_ready(s):\n    1 / 0\n"}),
    "pidfile folder": (["shop:app", "--pid", "no/p"], {}),
    **{f"sys.exit in {hook}": (["shop:app", "-c", "c.py"], {
        "c.py": f"import sys\ndef {hook}({args}):\n    sys.exit(7)\n"})
       for hook, args in (("on_starting", "s"), ("when_ready", "s"),
                          ("nworkers_changed", "s, n, o"))},
    "preload": (["shop:none", "--preload"], {}),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_failed_start_is_gunicorns(run, name):
    args, files = FAILURES[name]
    ends = []
    for program in PROGRAMS:
        r = run("-b", "unix:s.sock", *args, files={"shop.py": APP, **files},
                announced=["."], program=program)
        ends.append((r.status, "Reason:" in r.err, "Shutting down" in r.err))
    assert ends[1] == ends[0]
