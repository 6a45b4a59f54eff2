# SPDX-License-Identifier: MIT
"""What a worker has of the master: descriptors, and the environment of an
upgrade that was another server's."""
import os
import re
import subprocess
import sys

from harness import processes
from harness.waiting import until

APP = """\
import os

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d" % os.getpid()]
"""


def rights(pid, fd):
    with open(f"/proc/{pid}/fdinfo/{fd}", encoding="ascii") as f:
        return int(re.search(r"flags:\s*(\d+)", f.read())[1], 8) & os.O_ACCMODE


def pipes(pid):
    """(inode, rights) of those that are nobody's standard streams."""
    return {(target, rights(pid, fd))
            for fd, target in processes.descriptor_targets(pid).items()
            if fd > 2 and target.startswith("pipe:")}


def workers_of(s, count, booted=None):
    """Pids once that many have booted and so many are there."""
    s.wait_log("Booting worker", booted or count)

    def found():
        try:
            pids = [p for p in s.workers() if "worker" in processes.command_line(p)]
        except FileNotFoundError:  # one of the old has just ended
            return None
        return pids if len(pids) == count else None
    return until(found, f"{count} workers")


def test_a_worker_writes_to_one_pipe_that_the_master_reads(server):
    s = server("shop:app", "-w", "3", files={"shop.py": APP})
    workers = workers_of(s, 3)
    s.get("/")
    for worker in workers:
        read = {name for name, how in pipes(s.pid) if how == os.O_RDONLY}
        wrote = {name for name, how in pipes(worker) if how != os.O_RDONLY}
        assert len(read & wrote) == 1, (pipes(s.pid), pipes(worker))


def test_a_worker_reads_nothing_that_the_master_reads(server):
    """The master's signals, and what its siblings say."""
    s = server("shop:app", "-w", "3", files={"shop.py": APP})
    for worker in workers_of(s, 3):
        shared = {name for name, how in pipes(s.pid) if how == os.O_RDONLY} & \
            {name for name, how in pipes(worker) if how == os.O_RDONLY}
        # the pipe that tells that the master has ended: it writes, they read
        written = {name for name, how in pipes(s.pid) if how != os.O_RDONLY}
        assert shared - written == set()


def test_a_worker_has_nothing_of_another_generation(server):
    s = server("shop:app", "-w", "2", "-b", "127.0.0.1:0",
               files={"shop.py": APP})
    workers_of(s, 2)
    s.signal("HUP")
    for worker in workers_of(s, 2, 4):
        targets = list(processes.descriptor_targets(worker).values())
        masters = list(processes.descriptor_targets(s.pid).values())
        listening = [t for t in masters if t.startswith("socket:")]
        extra = [t for t in targets if t.startswith("socket:")
                 and t not in listening]
        assert extra == [], (targets, masters)
        assert sum("cgunicorn-trace" in t for t in targets) <= 1


def test_variables_of_an_upgrade_count_from_the_parent_only(run, tmp_path):
    """A server that an application starts inherits them."""
    other = subprocess.Popen([sys.executable, "-c", "input()"],
                             stdin=subprocess.PIPE)
    try:
        done = run("--check-config", "shop:app", files={"shop.py": """\
import os
assert "GUNICORN_PID" not in os.environ and "GUNICORN_FD" not in os.environ
""" + APP}, env={"GUNICORN_PID": str(other.pid), "GUNICORN_FD": "7"})
    finally:
        other.communicate(b"\n")
    assert done.status == 0, done.err
    assert "GUNICORN_PID names a process that is not the parent" in done.err
