# SPDX-License-Identifier: MIT
"""What a worker holds in memory for clients that do not read has a bound, and
goes back to the system when they are gone."""
import contextlib
import re

import pytest

from harness import classes
from harness.server import command
from harness.waiting import until

MIB = 1 << 20
SIZE, CLIENTS, BOUND = 5 * MIB, 60, 16
APP = """\
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/":
        return [b"ok"]
    n = int(environ["QUERY_STRING"])
    return [b"%%08d" %% n * (%d // 8)]
""" % SIZE
KINDS = ["sync", "gthread", "gevent", "tornado"]


@pytest.fixture(autouse=True)
def plain_memory():
    with open(command()[0], "rb") as f:
        if b"__asan_init" in f.read():
            pytest.skip("a sanitizer keeps what is freed")


def resident(s):
    """MiB of the one worker."""
    with open(f"/proc/{s.wait_workers(1)[0]}/status") as f:
        return int(re.search(r"VmRSS:\s+(\d+) kB", f.read())[1]) // 1024


@pytest.mark.parametrize("kind", KINDS)
def test_replies_that_nobody_reads_have_a_bound(run, server, kind):
    if kind not in ("sync", "gthread"):
        classes.skip_unless_installed(run, kind)
    s = server("lazy:app", "-k", kind, "--response-memory", str(BOUND * MIB),
               files={"lazy.py": APP})
    assert s.get("/").body == b"ok"
    before = resident(s)
    with contextlib.ExitStack() as stack:
        lazy = []
        for n in range(CLIENTS):
            peer = stack.enter_context(s.connect())
            peer.get(f"/big?{n}")
            assert peer.head().status == 200
            lazy.append(peer)
        assert s.get("/").body == b"ok"
        assert resident(s) < before + BOUND + 30
        for n in (0, 1, CLIENTS // 2, CLIENTS - 1):
            assert lazy[n]._exactly(SIZE) == b"%08d" % n * (SIZE // 8)
            assert lazy[n].get("/").reply().body == b"ok"
    until(lambda: resident(s) < before + 12,
          lambda: f"{resident(s)} MiB after {before} before")


def test_without_a_bound_all_of_it_waits_in_memory(server):
    s = server("lazy:app", "--response-memory", "0", files={"lazy.py": APP})
    assert s.get("/").body == b"ok"
    before = resident(s)
    with contextlib.ExitStack() as stack:
        for n in range(20):
            peer = stack.enter_context(s.connect())
            peer.get(f"/big?{n}").head()
        assert s.get("/").body == b"ok"
        assert resident(s) > before + 80
    until(lambda: resident(s) < before + 12, "it goes back to the system")
