# SPDX-License-Identifier: MIT
"""Runs a companion that is a callable: module:callable, in a process of its own."""
import signal
import sys
import traceback


def _leave(sig, frame):
    sys.exit(0)


def _find(spec):
    module, _, names = spec.partition(":")
    __import__(module)
    found = sys.modules[module]
    for name in names.split("."):
        found = getattr(found, name)
    if not callable(found):
        raise TypeError("%s is no callable, it is %r" % (spec, type(found).__name__))
    return found


def _load(spec):
    """What cannot be loaded is named in a line of its own, behind its traceback."""
    try:
        return _find(spec)
    except Exception as e:
        traceback.print_exc()
        print("'%s' cannot be loaded: %s: %s; a companion is a command, or a callable as "
              "module:callable" % (spec, type(e).__name__, e), file=sys.stderr)
        sys.exit(1)


def _status(code):
    """As the interpreter's own end has it: a number, None, or a text to show."""
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xff
    print(code, file=sys.stderr)
    return 1


page = None  # memory that is shown to the master, see dirty_page


def run(spec, shown=None):
    global page
    page = shown
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(line_buffering=True)
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        _load(spec)()
        return 0
    except SystemExit as e:
        return _status(e.code)
    except BaseException:
        traceback.print_exc()
        return 1
