# SPDX-License-Identifier: MIT
"""The commands for a running server, and its control channel itself."""
import json
import os
import pathlib
import re
import socket
import subprocess

from .server import command, environment
from .waiting import DEADLINE, until

PREFIX = "@cgunicorn-control/"


def program():
    """The program under test without the options of a worker class."""
    words = command()
    n = next(i for i, w in enumerate(words)
             if pathlib.Path(w).name == "cgunicorn")
    return words[:n + 1]


class Done:
    def __init__(self, process):
        self.status = process.returncode
        self.out = process.stdout
        self.err = process.stderr

    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        return f"status {self.status}\n{self.out}\n{self.err}"


def ctl(folder, *words, user=None, env=None):
    """Runs a command for a running server to its end."""
    return Done(subprocess.run(
        [*program(), *map(str, words)], cwd=folder,
        env=environment(folder, env), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=DEADLINE,
        encoding="utf-8", user=user))


def ask(server, *words):
    """A command for that server, which has to go well."""
    done = ctl(server.folder, *words, "--pid", server.pid)
    assert done.status == 0, done
    return done


def status(server):
    """Whatever its state is."""
    done = ctl(server.folder, "status", "--json", "--pid", server.pid)
    assert done.status in (0, 3), done
    return done.json()


def events(server):
    return ask(server, "events", "--json").json()["events"]


def deaths(server):
    """The reports of `why`, the newest first."""
    return ask(server, "why", "--json").json()["deaths"]


def told(server, kind, text):
    """Waits for an event of that kind that says so."""
    until(lambda: [e for e in events(server)
                   if e["kind"] == kind and re.search(text, e["text"])],
          lambda: f"{kind} {text!r} in {events(server)}")


def channel_of(pid):
    """The name of its socket, or None."""
    for line in open("/proc/net/unix", encoding="latin-1"):
        at = line.find(f"{PREFIX}{pid}/")
        if at >= 0:
            return line[at + 1:].rstrip("\n").rstrip("@")
    return None


def connect(pid):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(DEADLINE)
    s.connect("\0" + channel_of(pid))
    return s


def rest(s):
    found = b""
    while True:
        try:
            more = s.recv(65536)
        except ConnectionResetError:
            return found
        if not more:
            return found
        found += more


def is_there(pid):
    return os.path.exists(f"/proc/{pid}")
