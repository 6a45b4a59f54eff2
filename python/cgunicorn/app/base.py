# SPDX-License-Identifier: MIT
"""BaseApplication and Application, for programs that embed the server."""
import sys

import cgunicorn.as_gunicorn  # noqa: F401  gunicorn is ours from here on
import gunicorn.app.base

sys.modules[__name__] = gunicorn.app.base
