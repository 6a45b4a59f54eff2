# SPDX-License-Identifier: MIT
"""Makes `import gunicorn` mean this server, for programs that embed gunicorn.

    import cgunicorn.as_gunicorn                    # before anything imports gunicorn
    python -m cgunicorn.as_gunicorn -m airflow …    # a program, as it is
    python -m cgunicorn.as_gunicorn script.py …

An installed gunicorn is passed over in this process.
"""
import sys


def take_the_name():
    """From here on `gunicorn` is the server's own package; ImportError when another
    one is loaded already."""
    loaded = sys.modules.get("gunicorn")
    if loaded is not None and getattr(loaded, "__path__", None):
        raise ImportError(
            "gunicorn %s (%s) is imported already: import cgunicorn.as_gunicorn before "
            "it, or start the program with python -m cgunicorn.as_gunicorn"
            % (getattr(loaded, "__version__", "?"), getattr(loaded, "__file__", "?")))
    if "_cgunicorn_glue" not in sys.modules:
        from cgunicorn.__main__ import _cgunicorn

        _cgunicorn.takes_name = True  # before an installed package of that name
        _cgunicorn.install()


def main(words):
    """Runs what the words name, as `python` would."""
    import runpy

    if not words or words[0] in ("-h", "--help"):
        sys.exit("usage: python -m cgunicorn.as_gunicorn (-m MODULE | SCRIPT) [ARGUMENT …]")
    if words[0] == "-m":
        if len(words) < 2:
            sys.exit("python -m cgunicorn.as_gunicorn: -m needs the name of a module")
        sys.argv = words[1:]
        if type(sys.modules.get(words[1])).__name__ == "Late":  # not loaded yet
            del sys.modules[words[1]]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = list(words)
        import os

        sys.path[0] = os.path.dirname(os.path.abspath(words[0]))
        runpy.run_path(words[0], run_name="__main__")


take_the_name()

if __name__ == "__main__":
    main(sys.argv[1:])
