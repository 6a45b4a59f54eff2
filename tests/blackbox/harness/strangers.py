# SPDX-License-Identifier: MIT
"""Running the program as a user that exists nowhere."""
import functools
import os
import shutil
import subprocess

import pytest

from .server import command


def as_user(uid):
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]


@functools.lru_cache
def _why_not(words):
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        return "needs root and setpriv"
    tried = subprocess.run([*as_user(12345), *words, "--version"],
                           capture_output=True, check=False)
    # a checkout or an interpreter below root's home is closed to others
    return "" if tried.returncode == 0 else \
        "other users cannot run the program: " + tried.stderr.decode().strip()


def needed():
    """Skips the test when no other user can run the program."""
    why = _why_not(tuple(command()))
    if why:
        pytest.skip(why)
