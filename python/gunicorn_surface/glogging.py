# SPDX-License-Identifier: MIT
"""gunicorn.glogging: the module that the server itself uses, so that what a
configuration changes in it counts."""
import sys

import _cgunicorn_glue.glogging

sys.modules[__name__] = _cgunicorn_glue.glogging
