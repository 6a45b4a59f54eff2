# SPDX-License-Identifier: MIT
from _cgunicorn_glue.dirty_broker import Broker as DirtyArbiter  # noqa: F401
