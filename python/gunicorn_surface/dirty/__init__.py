# SPDX-License-Identifier: MIT
"""gunicorn.dirty: calls of the dirty workers, and what they are written with."""
from . import stash
from .app import DirtyApp
from .arbiter import DirtyArbiter
from .client import (DirtyClient, close_dirty_client, close_dirty_client_async,
                     get_dirty_client, get_dirty_client_async, set_dirty_socket_path)
from .errors import (DirtyAppError, DirtyAppNotFoundError, DirtyConnectionError, DirtyError,
                     DirtyProtocolError, DirtyTimeoutError, DirtyWorkerError)
from .stash import (StashClient, StashError, StashKeyNotFoundError, StashTable,
                    StashTableNotFoundError)

__all__ = [
    "DirtyError", "DirtyTimeoutError", "DirtyConnectionError", "DirtyWorkerError",
    "DirtyAppError", "DirtyAppNotFoundError", "DirtyProtocolError", "DirtyApp", "DirtyClient",
    "get_dirty_client", "get_dirty_client_async", "close_dirty_client",
    "close_dirty_client_async", "set_dirty_socket_path", "stash", "StashClient", "StashTable",
    "StashError", "StashTableNotFoundError", "StashKeyNotFoundError", "DirtyArbiter",
]
