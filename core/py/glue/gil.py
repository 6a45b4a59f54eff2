# SPDX-License-Identifier: MIT
"""Free-threaded Python: who has turned the GIL on."""
import re
import sys
import warnings

_names = []
_text = re.compile(r"The global interpreter lock \(GIL\) has been enabled to load module '([^']*)'")


def watch():
    """From here on Python's warnings about it are remembered, not shown: the log
    tells what they say."""
    shown = warnings.showwarning

    def show(message, category, filename, lineno, file=None, line=None):
        found = _text.match(str(message)) if category is RuntimeWarning else None
        if found:
            _names.append(found.group(1))
        else:
            shown(message, category, filename, lineno, file, line)

    warnings.showwarning = show


def names():
    """The modules, as far as Python has warned of them."""
    return ", ".join(n for n in dict.fromkeys(_names) if n != "_cgunicorn_gil")


def is_on():
    return getattr(sys, "_is_gil_enabled", lambda: True)()


def turn_on():
    """For good, unless it was turned off by the user."""
    import _cgunicorn

    if is_on():
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        if "_cgunicorn_gil" in sys.builtin_module_names:
            import _cgunicorn_gil  # noqa: F401
        else:  # both are in one file
            from importlib import util

            util.module_from_spec(util.spec_from_file_location(
                "_cgunicorn_gil", _cgunicorn.__file__))
