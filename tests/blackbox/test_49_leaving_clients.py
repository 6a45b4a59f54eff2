# SPDX-License-Identifier: MIT
"""Clients that leave in every phase leave nothing behind: the short form of
tests/soak/async_soak.py, which goes on for minutes."""
import importlib.util

import pytest

from harness import classes
from harness.server import ROOT

SECONDS = 10


def load():
    path = ROOT / "tests" / "soak" / "async_soak.py"
    spec = importlib.util.spec_from_file_location("async_soak", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("kind", ["gevent", "eventlet", "tornado",
                                  "tornado-application"])
def test_clients_that_leave_leave_nothing_behind(run, server, kind):
    soak = load()
    classes.skip_unless_installed(run, kind.partition("-")[0])
    args, apps = soak.arguments(kind)
    s = server(*args, apps=apps)
    s.wait_log("Booting worker")
    done, grown = soak.soak(s, kind, SECONDS, number=4, seed=1)
    assert not grown, (grown, done)
    assert set(done) == {p.__name__ for p in soak.phases_of(kind)}
