# SPDX-License-Identifier: MIT
"""A memory control group of a test's own, version 1 or 2, where that is allowed."""
import contextlib
import os
import pathlib
import shlex

import pytest

from . import processes
from .waiting import until

V1 = pathlib.Path("/sys/fs/cgroup/memory")
V2 = pathlib.Path("/sys/fs/cgroup")
# version -> where, what sets the limit, what keeps it out of swap
KINDS = [(V2, "memory.max", [("memory.swap.max", "0")]),
         (V1, "memory.limit_in_bytes", [("memory.swappiness", "0")])]


class Group:
    def __init__(self, path, mount):
        self.path = path
        self.mount = mount

    def command(self, words, alone=False):
        """A command that runs in the group; alone: it sees no other group,
        as in a container that shares the name space of its host."""
        inside = f"echo $$ > {self.path}/cgroup.procs; "
        if alone:
            inside += f"mount --bind {self.path} {self.mount} && "
        run = ["sh", "-c", inside + 'exec "$0" "$@"', *words]
        return shlex.join(["unshare", "-m", *run] if alone else run)

    def pids(self):
        return [int(n) for n in (self.path / "cgroup.procs").read_text().split()]


def _make(name, limit):
    for mount, setting, more in KINDS:
        path = mount / name
        try:
            path.mkdir()
        except OSError as e:
            why = f"no control group can be made: {e}"
            continue
        if not (path / setting).exists():
            path.rmdir()
            why = f"{mount} does not control memory"
            continue
        (path / setting).write_text(str(limit))
        for key, value in more:
            with contextlib.suppress(OSError):
                (path / key).write_text(value)
        return Group(path, mount)
    pytest.skip(why)


@contextlib.contextmanager
def memory(limit):
    group = _make(f"cgunicorn-test-{os.getpid()}", limit)
    try:
        yield group
    finally:
        processes.end_all(group.pids())
        until(lambda: not group.pids(), "the control group is empty")
        group.path.rmdir()
