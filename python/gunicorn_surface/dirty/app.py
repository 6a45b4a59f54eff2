# SPDX-License-Identifier: MIT
"""What the applications of dirty workers extend."""


class DirtyApp:
    """One object in each worker that has it. Its public methods are the actions."""

    workers = None  # how many workers have it; None: all

    def __init__(self):
        pass

    def init(self):
        """Once, before calls come: load what is heavy."""

    def __call__(self, action, *args, **kwargs):
        method = None if action.startswith("_") else getattr(self, action, None)
        if not callable(method):
            raise ValueError("Unknown action: %s" % action)
        return method(*args, **kwargs)

    def close(self):
        """When the worker ends well."""
