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
    name = under_test()
    return MULTITHREAD.get(name, name != "gthread")


def skip_unless_installed(run, name):
    """For classes that need a package of the interpreter inside."""
    done = run("-k", name, "--check-config", "shop:app",
               files={"shop.py": "app = print\n"})
    if "it needs" in done.err:
        pytest.skip(done.line_with("it needs"))
    assert done.status == 0, done.err
