# SPDX-License-Identifier: MIT
"""The same application; both sides of PEP 3333 are checked."""
from wsgiref.validate import validator

from .wsgi import application as unchecked

application = validator(unchecked)
