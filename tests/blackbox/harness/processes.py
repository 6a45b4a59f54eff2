# SPDX-License-Identifier: MIT
"""The process tree below the test runner, read from /proc.

The runner is a subreaper: whatever a server leaves behind, daemons included,
becomes our child, so that nothing can hide and every exit status is ours.
"""
import contextlib
import ctypes
import os
import re
import resource
import shutil
import signal
import subprocess
import time

import pytest

from .waiting import until

PR_SET_CHILD_SUBREAPER = 36


def needs_root_and_unshare(*options):
    """Marks a test that makes such namespaces: skipped where the kernel (or a
    chroot whose root is no mount) refuses them."""
    done = None
    if os.geteuid() == 0 and shutil.which("unshare"):
        done = subprocess.run(["unshare", *options, "true"],
                              stderr=subprocess.PIPE, text=True)
    return pytest.mark.skipif(
        done is None or done.returncode != 0,
        reason="needs root and unshare" if done is None
        else f"no namespaces here: {done.stderr.strip()}")


def become_subreaper():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def _stat(pid):
    """(state, ppid) or None when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as f:
            fields = f.read().rsplit(b")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return fields[0].decode(), int(fields[1])


def parents():
    """{pid: ppid} of all processes that are not zombies."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            stat = _stat(int(name))
            if stat and stat[0] not in "ZX":
                found[int(name)] = stat[1]
    return found


def descendants(root):
    table = parents()
    found = set()
    grown = True
    while grown:
        grown = False
        for pid, ppid in table.items():
            if pid not in found and (ppid == root or ppid in found):
                found.add(pid)
                grown = True
    return found


def is_keeper(pid):
    """Of a worker's connections: an orphan, or the child of who takes orphans."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8") as f:
            return f.read().strip() == "gunicorn-keeper"
    except (FileNotFoundError, ProcessLookupError):
        return False


def children(pid):
    """Without the keepers that a master which is PID 1 takes in."""
    return sorted(p for p, parent in parents().items()
                  if parent == pid and not is_keeper(p))


def keepers(pid):
    """Those of the workers of that master: they stay in its session."""
    try:
        session = os.getsid(pid)
        return sorted(p for p in parents()
                      if is_keeper(p) and os.getsid(p) == session)
    except ProcessLookupError:
        return []


def bury_keepers():
    """They come to us, who take orphans, and want somebody to wait for them."""
    for pid in zombies(os.getpid()):
        if is_keeper(pid):
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def zombies(pid):
    """Its children that have ended and that nobody has waited for."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        stat = _stat(int(name))
        if stat and stat[0] == "Z" and stat[1] == pid:
            found.append(int(name))
    return found


def is_running(pid):
    stat = _stat(pid)
    return stat is not None and stat[0] not in "ZX"


def command_line(pid):
    with open(f"/proc/{pid}/cmdline", "rb") as f:
        return f.read().rstrip(b"\0").replace(b"\0", b" ").decode()


def spent(pid):
    """Processor time of a process, in ticks."""
    with open(f"/proc/{pid}/stat", "rb") as f:
        fields = f.read().rsplit(b")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def resident_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        for line in f:
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    raise AssertionError(f"process {pid} has no VmRSS")


def is_sanitized(pid):
    """Whether it runs under a sanitizer, which keeps memory for a while."""
    with open(f"/proc/{pid}/maps", encoding="utf-8") as f:
        if re.search(r"lib[a-z]san\.so|__[a-z]san|clang_rt", f.read()):
            return True
    with open(f"/proc/{pid}/exe", "rb") as f:  # clang's is in the program itself
        return bool(re.search(rb"__[at]san_init", f.read()))


def open_descriptors(pid):
    return sorted(int(fd) for fd in os.listdir(f"/proc/{pid}/fd"))


def descriptor_targets(pid):
    """What each of them is."""
    found = {}
    for fd in open_descriptors(pid):
        with contextlib.suppress(FileNotFoundError):
            found[fd] = os.readlink(f"/proc/{pid}/fd/{fd}")
    return found


@contextlib.contextmanager
def spare_descriptors(pid, spare):
    """Leaves a process only so many descriptors to open."""
    used = set(open_descriptors(pid))
    limit = 0
    while limit in used or spare > 0:
        spare -= limit not in used
        limit += 1
    while limit in used:
        limit += 1
    old = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, old[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, old)


def sleeps(pid):
    """Whether the main thread waits, with nothing to do."""
    stat = _stat(pid)
    return stat is not None and stat[0] == "S"


def all_sleep(pid):
    """The same of all its threads."""
    return all(_stat(f"{pid}/task/{tid}")[0] == "S"
               for tid in os.listdir(f"/proc/{pid}/task"))


def describe(pid):
    """What a process is doing, for messages."""
    wanted = re.compile(r"(State|PPid|Threads|Sig\w+|ShdPnd):")
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as f:
            lines = [line.strip() for line in f if wanted.match(line)]
        for name in ("wchan", "syscall"):
            with open(f"/proc/{pid}/{name}", encoding="ascii") as f:
                lines.append(f"{name}: {f.read().strip()}")
        lines.append("title: " + command_line(pid))
    except OSError as e:
        lines = [str(e)]
    return "\n  ".join(["", *lines])


def _switches(pid):
    """How often its threads went to sleep."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/status", encoding="ascii") as f:
            for line in f:
                if line.startswith("voluntary_ctxt_switches"):
                    total += int(line.split()[1])
    return total


def is_quiet(pid):
    """Whether nothing wakes it for a second."""
    before, end = _switches(pid), time.monotonic() + 1
    until(lambda: time.monotonic() > end, "a second is over")
    return _switches(pid) == before


def wait_gone(pid, what):
    until(lambda: not is_running(pid),
          lambda: f"{what} (pid {pid}) has ended{describe(pid)}")


def reap(pid):
    """Collects an adopted child (a daemon) and returns its exit status."""
    status = until(lambda: _reaped(pid), f"process {pid} has ended")
    return os.waitstatus_to_exitcode(status[0])


def _reaped(pid):
    got, status = os.waitpid(pid, os.WNOHANG)
    return (status,) if got == pid else None


def end_all(pids):
    """Kills exactly these and collects those that are our own children."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    for pid in pids:
        until(lambda p=pid: not is_running(p), f"process {pid} is gone")
        try:
            os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            pass
