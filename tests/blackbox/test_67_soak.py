# SPDX-License-Identifier: MIT
"""Everything at once, at random, for a short while; tests/soak for a long one."""
import pytest

from harness import classes
from harness.soak import Soak


@pytest.mark.parametrize("args", [
    ("-k", "sync"), ("-k", "gthread", "--threads", "4")],
    ids=lambda args: args[1])
def test_random_signals_kills_and_upgrades_under_load(
        tmp_path, request, run, args):
    classes.skip_unless_installed(run, args[1])
    folder = tmp_path / "s"
    folder.mkdir()
    soak = Soak(folder, 4711, args)
    request.addfinalizer(soak.end)
    soak.run(10, 5)
    soak.judge()
    assert soak.server.stop() == 0
