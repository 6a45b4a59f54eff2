# SPDX-License-Identifier: MIT
"""gunicorn.debug: a trace of every line that is executed."""
import linecache
import sys

__all__ = ["spew", "unspew"]


class Spew:
    """A trace function that prints lines, and the values of names in them."""

    def __init__(self, trace_names=None, show_values=True):
        self.trace_names, self.show_values = trace_names, show_values

    def __call__(self, frame, event, arg):
        if event == "line":
            self._line(frame)
        return self

    def _line(self, frame):
        name = frame.f_globals.get("__name__", "[unknown]")
        if self.trace_names is not None and name not in self.trace_names:
            return
        line = linecache.getline(frame.f_code.co_filename, frame.f_lineno).rstrip()
        print("%s:%s: %s" % (name, frame.f_lineno, line))
        if self.show_values:
            self._values(frame)

    def _values(self, frame):
        shown = ["%s=%r" % (n, v) for n in frame.f_code.co_names
                 for scope in (frame.f_locals, frame.f_globals) if n in scope
                 for v in (scope[n],)]
        if shown:
            print(" ".join(dict.fromkeys(shown)))


def spew(trace_names=None, show_values=False):
    sys.settrace(Spew(trace_names, show_values))


def unspew():
    sys.settrace(None)
