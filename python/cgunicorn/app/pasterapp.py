# SPDX-License-Identifier: MIT
"""The server of `pserve`: egg:cgunicorn#main."""
import sys

import cgunicorn.as_gunicorn  # noqa: F401  gunicorn is ours from here on
import gunicorn.app.pasterapp

sys.modules[__name__] = gunicorn.app.pasterapp
