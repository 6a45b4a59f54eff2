# SPDX-License-Identifier: MIT
"""What calls of dirty workers raise. Each crosses the wire as a dictionary."""


class DirtyError(Exception):
    _shown = ()  # attributes that are in the details

    def __init__(self, message, details=None):
        super().__init__(message)
        self.message = message
        self.details = details or {}

    def __str__(self):
        return "%s: %s" % (self.message, self.details) if self.details else self.message

    def _keep(self, **values):
        for name, value in values.items():
            setattr(self, name, value)
            if value is not None and value != "":
                self.details[name] = value

    def to_dict(self):
        return {"error_type": type(self).__name__, "message": self.message,
                "details": self.details}

    @classmethod
    def from_dict(cls, data):
        kind = globals().get(data.get("error_type"), DirtyError)
        if not (isinstance(kind, type) and issubclass(kind, DirtyError)):
            kind = DirtyError
        error = kind.__new__(kind)
        DirtyError.__init__(error, data.get("message", "Unknown error"), data.get("details"))
        for name in kind._shown:
            setattr(error, name, error.details.get(name))
        return error


class DirtyTimeoutError(DirtyError):
    _shown = ("timeout",)

    def __init__(self, message="Operation timed out", timeout=None):
        super().__init__(message)
        self._keep(timeout=timeout)


class DirtyConnectionError(DirtyError):
    _shown = ("socket_path",)

    def __init__(self, message="Connection failed", socket_path=None):
        super().__init__(message)
        self._keep(socket_path=socket_path)


class DirtyWorkerError(DirtyError):
    _shown = ("worker_id", "traceback")

    def __init__(self, message, worker_id=None, traceback=None):
        super().__init__(message)
        self._keep(worker_id=worker_id, traceback=traceback)


class DirtyAppError(DirtyError):
    _shown = ("app_path", "action", "traceback")

    def __init__(self, message, app_path=None, action=None, traceback=None):
        super().__init__(message)
        self._keep(app_path=app_path, action=action, traceback=traceback)


class DirtyAppNotFoundError(DirtyAppError):
    def __init__(self, app_path):
        super().__init__("Dirty app not found: %s" % app_path, app_path=app_path)


class DirtyNoWorkersAvailableError(DirtyError):
    _shown = ("app_path",)

    def __init__(self, app_path, message=None):
        super().__init__(message or "No workers available for app: %s" % app_path)
        self._keep(app_path=app_path)


class DirtyProtocolError(DirtyError):
    def __init__(self, message="Protocol error", raw_data=None):
        super().__init__(message)
        self.raw_data = raw_data
        if raw_data is not None:
            self.details["raw_data"] = repr(bytes(raw_data[:100]))
