# SPDX-License-Identifier: MIT
"""WSGIApplication, and the command's run()."""
import sys

import cgunicorn.as_gunicorn  # noqa: F401  gunicorn is ours from here on
import gunicorn.app.wsgiapp

sys.modules[__name__] = gunicorn.app.wsgiapp
