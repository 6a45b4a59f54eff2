# SPDX-License-Identifier: MIT
"""A server under load that gets signals, kills and upgrades at random.

What happens depends on the seed alone (when it happens, on the machine). At
the end, and at quiet moments on the way, there have to be the right workers,
no zombie, as many descriptors and as much memory as before; every line of the
log names its cause, and whatever a client lost was taken by a kill of ours.
"""
import contextlib
import os
import random
import re
import signal
import threading
import time

from . import processes
from .server import Server
from .waiting import until
from .wire import Closed, Peer

WORKERS = 3
APP = """\
import os, time

def app(environ, start_response):
    time.sleep(0.002)
    body = b"%d" % os.getpid()
    start_response("200 OK", [("Content-Type", "text/plain"),
                              ("Content-Length", str(len(body)))])
    return [body]
"""
# Every line of the log is one of these, and so says what caused it.
LINES = re.compile("|".join([
    r"Starting cgunicorn \S+$", r"Workers run as root: ",
    r"Listening at: \S+ \(\d+\)$", r"Using worker: \w+$",
    r"The GIL is o(n|ff)",  # a free-threaded Python
    r"Booting worker with pid: \d+$", r"Worker exiting \(pid: \d+\)$",
    r"Handling signal: \w+$", r"Hang up: Master(\.2)?$",
    r"Reload done: \d+ workers, generation \d+, \d+\.\d s$",
    r"A reload is under way, another one follows it$",
    r"the new master follows the reload under way$",
    r"New master started \(pid:\d+\)$", r"Master has been promoted\.$",
    r"The new master \(pid:\d+\) (has ended|was sent SIG\w+: this one keeps "
    r"serving)$",
    r"the \d+ workers from before WINCH come back$",
    r"graceful stop of workers$", r"Shutting down: Master(\.2)?$",
    r"USR2 signal ignored\. (Child|Parent) exists\.$",
    r"Autorestarting worker after current request\.$",
    r"Worker \(pid:\d+\) was sent SIG(TERM|KILL|ABRT)!",
    r"Worker \(pid:\d+\) exited with code 1\.$",  # ABRT, with its handler
    r"Stacks of worker at its end \(pid:\d+\)$",  # ABRT, before that
    r"Worker \(pid:\d+\) ended before it served, without an error: ",
    r"Worker \(pid:\d+\) took \d+ requests? with it: ",
    r"Worker \(pid:\d+\) had \d+ (other )?connections?",
    r"\d+ workers in a row ended within 5 s: the next one is started in ",
    r"Error handling request ",  # the one that ABRT ended
    r"Parent changed, shutting down: ",  # of a new master that was killed
]))
STAMP = re.compile(r"\[\d{4}-[^]]*\] \[\d+\] \[([A-Z]+)\] (.*)")


class Client(threading.Thread):
    """Asks again and again; what got no answer goes to `lost`."""

    def __init__(self, soak, keep):
        super().__init__(daemon=True)
        self.soak, self.keep = soak, keep
        self.answered = 0
        self.peer = None
        self.heard = 0.0  # the last that is known of the connection

    def run(self):
        while not self.soak.halt.wait(0.005):
            reused = self.peer is not None
            try:
                self.ask()
            except (Closed, OSError, AssertionError) as e:
                self.drop()
                now = time.monotonic()
                # an idle connection may be ended: no request is lost by that
                if not reused or now - self.heard < 1 or "mid" in str(e):
                    self.soak.lost.append((self.heard, now, repr(e)))
        self.drop()

    def ask(self):
        if self.peer is None:
            self.heard = time.monotonic()
            self.peer = Peer(self.soak.server.address)
        fields = () if self.keep else ("Connection: close",)
        reply = self.peer.get("/", *fields).reply()
        assert reply.status == 200, f"mid-life {reply}"
        self.heard = time.monotonic()
        self.answered += 1
        if reply.says_close():
            self.drop()

    def drop(self):
        if self.peer is not None:
            self.peer.close()
            self.peer = None


class Soak:
    def __init__(self, folder, seed, args=(), clients=4, tell=None):
        self.rng = random.Random(seed)
        self.seed = seed
        self.tell = tell or (lambda text: None)
        self.halt = threading.Event()
        self.lost, self.kills, self.samples = [], [], []
        self.history = []
        self.server = Server(
            folder, "-D", "--pid", "server.pid", "--error-logfile", "error.log",
            "-w", str(WORKERS), "--max-requests", "400", "--recycle-share",
            "40", *args, "shop:app", daemon=True, errorlog="error.log",
            files={"shop.py": APP})
        self.server.start()
        self.pid = self.server.pid
        self.new = None
        self.clients = [Client(self, keep) for keep in (True, False)
                        for _ in range(clients)]
        self.done = 0

    # ---- the tree ----

    def workers(self):
        return [p for p in processes.children(self.pid) if p != self.new]

    @contextlib.contextmanager
    def killing(self, pids):
        """Until these are gone, what their clients lose is excused."""
        began = time.monotonic()
        yield
        for pid in pids:
            processes.wait_gone(pid, "a killed process")
        if pids:
            self.kills.append((began, time.monotonic()))

    def send(self, pid, name):
        self.history.append((time.monotonic(), f"{name} to {pid}"))
        try:
            os.kill(pid, getattr(signal, "SIG" + name))
        except ProcessLookupError:
            pass

    def settle(self):
        """Back to three workers and one master."""
        before = set(self.workers())
        self.send(self.pid, "HUP")
        until(lambda: len(self.workers()) == WORKERS
              and not before & set(self.workers()),
              lambda: f"{WORKERS} new workers, not {self.workers()}:\n"
                      + self.server.tail(), 120)

    # ---- what happens ----

    def to_master(self):
        self.send(self.pid, self.rng.choice(
            ["HUP", "TTIN", "TTIN", "TTOU", "TTOU", "USR1", "CHLD", "URG"]))

    def burst(self):
        for _ in range(self.rng.randrange(5, 60)):
            self.to_master()

    def kill(self, *names):
        victims = self.workers()
        if victims:
            victim = self.rng.choice(victims)
            with self.killing([victim]):
                self.send(victim, self.rng.choice(names or ["KILL", "ABRT"]))

    def end_worker(self):
        victims = self.workers()
        if victims:
            self.send(self.rng.choice(victims), "TERM")

    def stand_still(self):
        victims = [*self.workers(), self.pid]
        victim = self.rng.choice(victims)
        self.send(victim, "STOP")
        self.rest()
        self.rng.choice([self.to_master, self.rest,
                         lambda: self.kill("KILL")])()
        self.rest()
        self.send(victim, "CONT")

    def winch(self):
        self.send(self.pid, "WINCH")
        self.rest()
        self.send(self.pid, "HUP")

    def upgrade(self):
        self.send(self.pid, "USR2")
        path = self.server.folder / "server.pid.2"
        until(lambda: path.exists() and path.read_text(),
              lambda: "the new master's pidfile:\n" + self.server.tail(), 120)
        self.new = int(path.read_text())
        until(lambda: len(processes.children(self.new)) >= WORKERS,
              lambda: "its workers:\n" + self.server.tail(), 120)
        self.rest()
        self.rng.choice([self.take_over, self.take_over, self.back_out])()

    def take_over(self):
        old, self.pid, self.new = self.pid, self.new, None
        if self.rng.random() < 0.5:
            self.send(old, "WINCH")
            self.rest()
        name = self.rng.choice(["TERM", "TERM", "QUIT"])
        doomed = [old] if name == "QUIT" else []  # it waits for nobody
        with self.killing(doomed):
            self.send(old, name)
        status = processes.reap(old)
        assert status == 0, f"the old master ended with {status}"
        self.server.pid = self.pid
        until(lambda: self.server.read_pidfile() == self.pid,
              lambda: "promoted:\n" + self.server.tail(), 120)

    def back_out(self):
        new = self.new
        name = self.rng.choice(["TERM", "QUIT", "KILL"])
        doomed = [new, *processes.children(new)] if name != "TERM" else []
        with self.killing(doomed):
            self.send(new, name)
        processes.wait_gone(new, "the new master")
        self.new = None
        self.server.wait_log(rf"The new master \(pid:{new}\) (has|was)")

    def rest(self):
        self.halt.wait(self.rng.random() * 0.3)

    # ---- quiet moments ----

    def look(self):
        """How much the tree uses, once it is at rest."""
        self.settle()
        everybody = [self.pid, *self.workers()]
        until(lambda: not any(map(processes.zombies, everybody)),
              "no zombie is left")
        fds = self.count_descriptors()
        rss = processes.resident_kib(self.pid)
        self.samples.append((fds, rss))
        self.tell(f"{self.done} actions, {self.answered()} answers, "
                  f"{len(self.lost)} lost to {len(self.kills)} kills; master: "
                  f"{fds} descriptors, {rss} KiB")

    def count_descriptors(self):
        """Of the master, when those of a reload that was still to come (a HUP
        from before) are closed again: as many as at the beginning."""
        def count():
            return len(processes.open_descriptors(self.pid))
        most = self.samples[0][0] + 1 if self.samples else count()
        until(lambda: count() <= most,
              lambda: f"no more than {most} descriptors, not {count()}:\n"
                      + self.server.tail(), 120)
        return count()

    def answered(self):
        return sum(c.answered for c in self.clients)

    def run(self, seconds, pause):
        """Something happens for that long; a quiet moment each `pause`."""
        for client in self.clients:
            client.start()
        end = time.monotonic() + seconds
        quiet = time.monotonic() + pause
        self.look()
        while time.monotonic() < end:
            self.step()
            if time.monotonic() > quiet:
                self.look()
                quiet = time.monotonic() + pause
        self.look()
        self.halt.set()
        for client in self.clients:
            client.join()

    def step(self):
        what = self.rng.choices(
            [self.to_master, self.burst, self.kill, self.end_worker,
             self.stand_still, self.winch, self.upgrade],
            [40, 3, 12, 8, 8, 2, 2])[0]
        what()
        self.done += 1
        self.rest()

    def end(self):
        """Nothing stays behind, whatever went wrong."""
        self.halt.set()
        if self.server.status is None:
            processes.end_all(processes.descendants(self.pid) | {self.pid})

    # ---- the verdict ----

    def unexplained(self):
        """Losses without a kill since the client last heard something."""
        return [(e, f"{end - since:.2f} s", self.around(end))
                for since, end, e in self.lost
                # a reply may have been read late by a client that stood still
                if not any(begun < end and since < over + 1
                           for begun, over in self.kills)]

    def around(self, moment):
        """What had happened in the seconds before."""
        return [f"{at - moment:.2f} s: {what}" for at, what in self.history
                if moment - 3 < at < moment]

    def strange_lines(self):
        found, known = [], True
        for line in self.server.log().splitlines():
            match = STAMP.match(line)
            if match:
                known = LINES.match(match.group(2))
            if not known:
                found.append(line)
        return found

    def judge(self):
        assert self.answered() > 0
        assert not self.strange_lines(), "\n".join(self.strange_lines())
        assert not self.unexplained(), self.unexplained()
        rss = [r for _, r in self.samples]
        most = rss[0] * (3 if processes.is_sanitized(self.pid) else 1.25)
        assert max(rss) <= most + 4096, f"KiB of the master: {rss}"
