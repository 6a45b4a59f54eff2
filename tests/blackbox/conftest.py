# SPDX-License-Identifier: MIT
"""Fixtures: servers that are started, watched and surely ended.

CGUNICORN names the command under test; ./cgunicorn of the project otherwise.
"""
import os
import signal
import subprocess
import threading

import pytest

from harness import classes, embedded, logcheck, processes
from harness.server import Server, command, environment, fill
from harness.waiting import DEADLINE, until

ALIVE = []  # servers of wider scope than a test, not to be taken for leftovers


def heed_signals():
    """Whoever started us in the background may have had them ignored, which
    servers would inherit: a stop before they have handlers would be lost."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler
                          if number == signal.SIGINT else signal.SIG_DFL)


def bury_keepers_for_ever():
    pause = threading.Event()
    while not pause.wait(0.25):
        processes.bury_keepers()


def pytest_configure(config):
    heed_signals()
    processes.become_subreaper()
    threading.Thread(target=bury_keepers_for_ever, daemon=True).start()


def pytest_report_header(config):
    return f"program under test: {' '.join(command())}"


def pytest_collection_modifyitems(items):
    for item in items:
        reason = classes.why_not(item.nodeid)
        if reason:
            item.add_marker(pytest.mark.skip(reason=reason))


def leftovers():
    known = set()
    for server in ALIVE:
        if server.pid is not None:
            known |= server.tree()
    return processes.descendants(os.getpid()) - known


def end_leftovers():
    """Gives processes that are ending a moment, then kills and tells."""
    try:
        until(lambda: not leftovers(), "no process is left", 10)
    except AssertionError:
        told = {p: processes.command_line(p) for p in leftovers()}
        processes.end_all(leftovers())
        raise AssertionError(f"processes were left behind: {told}") from None


def finish(server):
    """Stops what still runs and asserts a clean end."""
    problems = []
    if server.process is not None and server.status is None:
        if server.process.poll() is not None and not server.daemon:
            server.status = server.process.returncode
            problems.append(f"it ended by itself with {server.status}")
        else:
            status = server.stop()
            if status != server.expected_status:
                problems.append(f"TERM ended it with {status}")
    try:
        server.check_log()
    except AssertionError as e:
        problems.append(str(e))
    assert not problems, "\n".join(problems) + "\nthe log is:\n" + server.tail()


def end_servers(servers):
    errors = []
    for server in servers:
        if server in ALIVE:
            ALIVE.remove(server)
        try:
            finish(server)
        except Exception as e:  # the others have to be ended all the same
            errors.append(str(e))
    try:
        end_leftovers()
    except AssertionError as e:
        errors.append(str(e))
    assert not errors, "\n".join(errors)


@pytest.fixture
def server(tmp_path):
    """server(*args, **options): a started Server that lives for this test."""
    made = []

    def make(*args, start=True, folder=None, **options):
        where = folder or tmp_path / f"s{len(made)}"
        where.mkdir(exist_ok=True)
        one = Server(where, *args, **options)
        made.append(one)
        return one.start() if start else one.launch()

    yield make
    end_servers(made)


@pytest.fixture(scope="module")
def module_server(tmp_path_factory):
    """As `server`, for servers that all tests of a module share."""
    made = []

    def make(*args, start=True, folder=None, **options):
        one = Server(folder or tmp_path_factory.mktemp("m"), *args, **options)
        made.append(one)
        ALIVE.append(one)
        return one.start() if start else one.launch()

    yield make
    end_servers(made)


@pytest.fixture
def other_user():
    """For workers that are not root's: they import what their class needs."""
    if classes.has_package() and not embedded.is_for_everybody():
        pytest.skip("only root reaches the library of " + embedded.executable())


class Run:
    """A run of the program to its end."""

    def __init__(self, status, out, err):
        self.status = status
        self.out = out
        self.err = err

    def lines(self):
        return [line for line in self.err.splitlines() if line.strip()]

    def line_with(self, *words):
        """The line of stderr that has all the words, in whatever case."""
        for line in self.lines():
            if all(w.lower() in line.lower() for w in words):
                return line
        raise AssertionError(f"no line has all of {words}:\n{self.err}")


@pytest.fixture
def run(tmp_path):
    """run(*args, files=…): runs the program in tmp_path until it ends."""

    def make(*args, files=None, apps=(), env=None, announced=(), cwd=None,
             pass_fds=(), seconds=DEADLINE, prefix=(), program=None):
        fill(tmp_path, files, apps)
        process = subprocess.Popen(
            [*prefix, *(program or command()), *args], cwd=cwd or tmp_path,
            env=environment(tmp_path, env), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            pass_fds=pass_fds, start_new_session=True,
        )
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise AssertionError(f"it does not end:\n{err.decode()}") from None
        done = Run(process.returncode, out.decode(), err.decode())
        found = logcheck.trouble(done.err, announced)
        assert not found, "unexpected on stderr:\n" + "\n".join(found)
        return done

    yield make
    end_leftovers()
