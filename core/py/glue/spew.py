# SPDX-License-Identifier: MIT
"""spew: every line that is executed, on standard output, as gunicorn has it:
`module:line: source`. By sys.monitoring where there is one (all threads), by
sys.settrace before 3.12 (this thread, and those that threading starts)."""
import linecache
import sys

TOOL = 4  # of sys.monitoring: none of those that have a name


def _print(name, path, number):
    line = linecache.getline(path, number).rstrip()
    sys.stdout.write("%s:%s: %s\n" % (name, number, line))


def _on_line(code, number):
    if code.co_filename in (_on_line.__code__.co_filename, linecache.__file__):
        return  # we are no file, and have no __file__
    frame = sys._getframe(1)
    _print(frame.f_globals.get("__name__", "[unknown]"), code.co_filename, number)


def _trace(frame, event, arg):
    if event == "line":
        _print(frame.f_globals.get("__name__", "[unknown]"), frame.f_code.co_filename,
               frame.f_lineno)
    return _trace


def start():
    monitoring = getattr(sys, "monitoring", None)
    if monitoring is None:
        import threading

        threading.settrace(_trace)
        sys.settrace(_trace)
        return
    monitoring.use_tool_id(TOOL, "spew")
    monitoring.register_callback(TOOL, monitoring.events.LINE, _on_line)
    monitoring.set_events(TOOL, monitoring.events.LINE)
