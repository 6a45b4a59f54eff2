# SPDX-License-Identifier: MIT
"""The command `cgunicorn`, and `python -m cgunicorn`."""
import os
import sys

if getattr(sys, "_is_gil_enabled", lambda: True)():
    import _cgunicorn
else:
    # a build without a GIL turns it on and warns; the server tells it instead
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The global interpreter lock")
        import _cgunicorn


def _restart():
    """What USR2 executes: this process's own command, options of Python's
    included, by the interpreter's full path."""
    try:
        with open("/proc/self/cmdline", "rb") as f:
            words = [os.fsdecode(word) for word in f.read().split(b"\0")[1:-1]]
    except OSError:  # no /proc
        words = ["-m", "cgunicorn", *sys.argv[1:]]
    return [sys.executable or "/proc/self/exe", *words]


def _forget_own_folder(is_module):
    """The folder of the script, which Python put on its path, is nobody's
    business: the application's own comes there."""
    here = os.getcwd() if is_module else os.path.dirname(os.path.realpath(sys.argv[0]))
    if not getattr(sys.flags, "safe_path", False) and not sys.flags.isolated:
        if sys.path and os.path.realpath(sys.path[0] or ".") == os.path.realpath(here):
            del sys.path[0]


def main():
    is_module = os.path.basename(sys.argv[0]) == "__main__.py"
    _forget_own_folder(is_module)
    if is_module:
        sys.argv[0] = "cgunicorn"
    return _cgunicorn.main(list(sys.argv), _restart())


if __name__ == "__main__":
    sys.exit(main())
