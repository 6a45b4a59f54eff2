# SPDX-License-Identifier: MIT
"""Which of the two front ends is under test.

CGUNICORN="/v/bin/cgunicorn", of an environment that the package is installed
in, runs the suite for the module; "/v/bin/python -m cgunicorn" too.
"""
import pytest

from .server import command


def is_module():
    if "-m" in command()[:3]:
        return True
    with open(command()[0], "rb") as f:
        return f.read(2) == b"#!"


needs_program = pytest.mark.skipif(
    is_module(), reason="a Python that runs already is started, and chosen, by "
    "others")
needs_module = pytest.mark.skipif(
    not is_module(), reason="the program has its Python inside (CGUNICORN names a "
    "console script to test the module)")
