# SPDX-License-Identifier: MIT
"""HaltServer, ConfigError, AppImportError."""
import sys

import cgunicorn.as_gunicorn  # noqa: F401  gunicorn is ours from here on
import gunicorn.errors

sys.modules[__name__] = gunicorn.errors
