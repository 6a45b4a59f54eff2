# SPDX-License-Identifier: MIT
"""Logger, for programs that extend it."""
import sys

import cgunicorn.as_gunicorn  # noqa: F401  gunicorn is ours from here on
import gunicorn.glogging

sys.modules[__name__] = gunicorn.glogging
