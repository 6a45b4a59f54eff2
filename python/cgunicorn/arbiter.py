# SPDX-License-Identifier: MIT
"""Arbiter, for programs that extend it."""
import sys

import cgunicorn.as_gunicorn  # noqa: F401  gunicorn is ours from here on
import gunicorn.arbiter

sys.modules[__name__] = gunicorn.arbiter
