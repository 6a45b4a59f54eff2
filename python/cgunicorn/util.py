# SPDX-License-Identifier: MIT
"""Helpers, by gunicorn's names."""
import sys

import cgunicorn.as_gunicorn  # noqa: F401  gunicorn is ours from here on
import gunicorn.util

sys.modules[__name__] = gunicorn.util
