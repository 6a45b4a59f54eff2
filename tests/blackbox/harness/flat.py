# SPDX-License-Identifier: MIT
"""Whether requests leave something behind in the worker: its /measure is asked
before and after many of them (apps/leaks.py has what it tells)."""
import json
import os

from . import processes
from .waiting import until

# CGUNICORN_LEAK_COUNT=100000 finds what leaks once in a thousand requests.
COUNT = int(os.environ.get("CGUNICORN_LEAK_COUNT", "1000"))
# A leak of one object, reference or 16 bytes a request would be twice that; what
# is below are caches of the interpreter, and connections that are being closed.
MOST = {"blocks": COUNT / 2, "objects": COUNT / 2, "references": COUNT / 2,
        "descriptors": 3, "malloc": 16 * COUNT / 2, "resident": 512, "tasks": 0}


def measured(server):
    """Where a request may take two seconds a loaded machine needs some tries."""
    def told():
        r = server.get("/measure")
        return json.loads(r.body) if r.status == 200 else None
    return until(told, "it is measured")


def growth(server, ask, what, count=COUNT):
    before = measured(server)
    ask(server, what, count)
    after = measured(server)
    return {name: after[name] - before[name] for name in before}


def too_much(server, ask, what):
    """What grew by more than it may."""
    worker = server.workers()
    resident = processes.resident_kib(worker[0])
    grown = growth(server, ask, what)
    assert server.workers() == worker
    if not processes.is_sanitized(worker[0]):
        grown["resident"] = processes.resident_kib(worker[0]) - resident
    return {k: v for k, v in grown.items() if v > MOST[k]}


def assert_flat(server, ask, what, first=100, but=()):
    """A cache fills up once or twice, a leak goes on. The first ones are to be as
    many as are there at once; `but` is not looked at."""
    ask(server, what, first)
    measured(server)
    found = []
    for _ in range(3):
        found.append({k: v for k, v in too_much(server, ask, what).items()
                      if k not in but})
        if not found[-1]:
            return
    raise AssertionError(found)


# ---- ways to ask ----


def kept(server, text, count):
    """Pipelined in batches: the replies are read by the rules all the same."""
    method = text.split(" ", 1)[0]
    with server.connect() as peer:
        for _ in range(count // 25):
            peer.send((25 * text).encode())
            for _ in range(25):
                peer.reply(method)


def ending(server, text, count):
    """Each ends its connection."""
    for _ in range(count):
        with server.connect() as peer:
            peer.send(text.encode())
            peer.end_sending()
            peer.rest()
