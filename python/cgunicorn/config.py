# SPDX-License-Identifier: MIT
"""Config and the settings' classes."""
import sys

import cgunicorn.as_gunicorn  # noqa: F401  gunicorn is ours from here on
import gunicorn.config

sys.modules[__name__] = gunicorn.config
