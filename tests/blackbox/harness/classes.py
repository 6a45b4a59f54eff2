# SPDX-License-Identifier: MIT
"""Worker classes: which one is under test, and in what it differs.

CGUNICORN="./cgunicorn -k gevent" runs the whole suite for that class.
"""
import pytest

from .server import command

MULTITHREAD = {"sync": False, "tornado": False}


def under_test():
    words = command()
    for i, word in enumerate(words[:-1]):
        if word in ("-k", "--worker-class"):
            return words[i + 1]
    return "sync"


def multithread():
    """wsgi.multithread of that class with its settings' defaults."""
    words, name = command(), under_test()
    if "--threads" in words[:-1]:
        return int(words[words.index("--threads") + 1]) > 1
    return MULTITHREAD.get(name, name != "gthread")


def shares_thread():
    """Requests of that class take turns on one thread, in greenlets."""
    return under_test() in ("gevent", "eventlet")


def keeps_replies():
    """What a slow reader has not read goes to a file, and the request ends; in
    the other classes its greenlet waits, which holds nobody."""
    return not shares_thread()


def streams():
    """request_buffering = False has an effect."""
    return under_test() != "tornado"


def has_package():
    """The loop of that class is a Python package's."""
    return under_test() not in ("sync", "gthread")


needs_sleep_that_blocks = pytest.mark.skipif(
    shares_thread(), reason="time.sleep lets others go on in this class")
needs_no_package = pytest.mark.skipif(
    has_package(),
    reason="the package of this class imports what it likes")
needs_other_than_tornado = pytest.mark.skipif(
    under_test() == "tornado", reason="requests run on an asyncio loop: Django "
    "refuses its database there, under gunicorn as well, and a long reply to "
    "a slow reader stops it")
needs_passes = pytest.mark.skipif(
    has_package(),
    reason="the loop is the package's: a line is written when its request ends, "
    "not at the end of a pass")
needs_turns = pytest.mark.skipif(
    has_package(),
    reason="the package's loop waits for the engine's descriptor, so that a "
    "connection wakes all workers and the first of them takes it")
needs_kept_replies = pytest.mark.skipif(
    not keeps_replies(), reason="a greenlet waits for its slow reader and holds "
    "nobody: nothing is put into a file")
needs_streaming = pytest.mark.skipif(
    not streams(), reason="this class waits for the whole body")


def skip_unless_installed(run, name):
    """For classes that need a package of the interpreter inside."""
    if name != "tornado" and _checks_stacks():
        pytest.skip("AddressSanitizer's checks of the stack know no greenlets: "
                    "OPT='-O1 --param asan-stack=0' leaves them out")
    done = run("-k", name, "--check-config", "shop:app",
               files={"shop.py": "app = print\n"})
    # the second: Debian's package, which has no binary part for this Python
    for reason in ("it needs", "cannot be imported: ModuleNotFoundError"):
        if reason in done.err:
            pytest.skip(done.line_with(reason))
    assert done.status == 0, done.err


def _checks_stacks():
    with open(command()[0], "rb") as f:
        return b"__asan_stack_malloc" in f.read()
