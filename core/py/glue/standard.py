# SPDX-License-Identifier: MIT
"""The standard library's own modules, whatever lies in the project's folders.

A process of gunicorn has loaded these before it looks there, so that a project's
logging.py or signal.py is nobody's but the project's. Here a module that nobody
needs is not loaded; the names are looked for where this process began instead.
The master, which may be root, so imports nothing of the project's by accident.
"""
import sys
from _frozen_importlib import BuiltinImporter, FrozenImporter
from _frozen_importlib_external import PathFinder

NAMES = frozenset("""
__future__ _abc _ast _bisect _bootlocale _bz2 _codecs _collections _collections_abc
_colorize _compat_pickle _compression _csv _datetime _frozen_importlib
_frozen_importlib_external _functools _heapq _imp _io _json _locale _lzma _opcode
_opcode_metadata _operator _pickle _posixsubprocess _queue _random _sha2 _sha512 _signal
_sitebuiltins _socket _sre _ssl _stat _string _struct _thread _tokenize _typing
_py_warnings _warnings _weakref _weakrefset abc annotationlib argparse array ast atexit
base64 binascii bisect bz2 calendar codecs collections concurrent configparser
contextlib copy copyreg csv dataclasses datetime dis email encodings enum errno fcntl
fnmatch functools genericpath gettext glob grp heapq html importlib inspect io ipaddress
itertools json keyword linecache locale logging lzma marshal math ntpath opcode operator
os pathlib pickle platform posix posixpath pwd queue quopri random re reprlib select
selectors shlex shutil signal site socket socketserver sre_compile sre_constants
sre_parse ssl stat string struct subprocess tempfile textwrap threading time token
tokenize traceback types typing urllib uu warnings weakref zipfile zipimport zlib
""".split())
_path = list(sys.path)  # before the project's folders


def find(name):
    for finder in BuiltinImporter, FrozenImporter:
        spec = finder.find_spec(name)
        if spec is not None:
            return spec
    return PathFinder.find_spec(name, _path)


class outside:
    """with outside(): what is imported there is not of the project."""

    def __enter__(self):
        self._saved = sys.path[:]
        sys.path[:] = _path

    def __exit__(self, *exception):
        sys.path[:] = self._saved


def is_inside(name):
    """Whether only the project's folders have that module."""
    return PathFinder.find_spec(name, _path) is None and \
        PathFinder.find_spec(name, sys.path) is not None
