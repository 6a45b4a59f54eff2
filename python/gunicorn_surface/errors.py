# SPDX-License-Identifier: MIT
"""gunicorn.errors"""


class HaltServer(BaseException):
    """Raised in a hook or an Arbiter's method: the server ends."""

    def __init__(self, reason, exit_status=1):
        super().__init__(reason, exit_status)
        self.reason, self.exit_status = reason, exit_status

    def __str__(self):
        return "<HaltServer %r %d>" % (self.reason, self.exit_status)


class ConfigError(Exception):
    """A wrong configuration."""


class AppImportError(Exception):
    """The application cannot be loaded."""
