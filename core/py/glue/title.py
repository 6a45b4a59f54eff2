# SPDX-License-Identifier: MIT
"""setproctitle beside the server's own titles.

Its extension, and the copies of it that projects carry, look for the memory of
the command line when they begin. The server has used that for its titles by
then, so it is lent to them for that moment.
"""
import sys
from _frozen_importlib_external import ExtensionFileLoader

import _cgunicorn

_modules = []  # those that have found it


def find(front, name, path, target):
    """The spec of such an extension, as the other finders give it."""
    for finder in list(sys.meta_path):
        if finder is front or not hasattr(finder, "find_spec"):
            continue
        spec = finder.find_spec(name, path, target)
        if spec is not None:
            if type(spec.loader) is ExtensionFileLoader:
                spec.loader = _Loader(spec.loader.name, spec.loader.path)
            return spec
    return None


class _Loader(ExtensionFileLoader):
    def create_module(self, spec):
        _cgunicorn.title_lend()
        try:
            return super().create_module(spec)
        finally:
            _cgunicorn.title_take_back()

    def exec_module(self, module):
        _cgunicorn.title_lend()
        try:
            super().exec_module(module)
            if hasattr(module, "getproctitle"):
                module.getproctitle()  # newer ones look for it now
        finally:
            _cgunicorn.title_take_back()
        if hasattr(module, "setproctitle"):
            _modules.append(module)
            follow()


def follow():
    """They remember how long the last title was, so they are told ours."""
    title = _cgunicorn.title()
    if title is not None:
        for module in _modules:
            module.setproctitle(title)
        _cgunicorn.name_process()
