# SPDX-License-Identifier: MIT
"""The gunicorn to compare with: GUNICORN names its command, such as
".venv/bin/gunicorn -k gevent"; make test-matrix does."""
import functools
import os
import re
import shlex
import subprocess

import pytest

from .server import command

GUNICORN = shlex.split(os.environ.get("GUNICORN", ""))
PROGRAMS = [GUNICORN, command()]
needs_gunicorn = pytest.mark.skipif(
    not GUNICORN, reason="GUNICORN names no gunicorn to compare with "
                         "(make test-matrix does)")


@functools.lru_cache(maxsize=None)
def major():
    out = subprocess.run([GUNICORN[0], "--version"], check=True, text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return int(re.search(r"version (\d+)", out.stdout).group(1))


def is_old():
    """We say what gunicorn 27 says, which has no eventlet any more. What 23,
    which has it, says otherwise is declared where it is compared."""
    return bool(GUNICORN) and major() < 27
