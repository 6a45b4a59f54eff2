# SPDX-License-Identifier: MIT
"""What the applications of dirty workers extend."""
from _cgunicorn_glue import dirty_app

from .errors import DirtyAppError, DirtyAppNotFoundError


class DirtyApp:
    """One object in each worker that has it. Its public methods are the actions."""

    workers = None  # how many workers have it; None: all

    def init(self):
        """Once, before calls come: load what is heavy."""

    def __call__(self, action, *args, **kwargs):
        method = None if action.startswith("_") else getattr(self, action, None)
        if not callable(method):
            raise ValueError("Unknown action: %s" % action)
        return method(*args, **kwargs)

    def close(self):
        """When the worker ends well."""


def parse_dirty_app_spec(spec):
    """(module:Class, how many workers have it, or None for all)"""
    try:
        return dirty_app.parse(spec)
    except ValueError as e:
        raise DirtyAppError(str(e), app_path=spec) from None


def _class_of(import_path):
    if ":" not in import_path:
        raise DirtyAppError("Invalid import path format: %s. Expected "
                            "'module.path:ClassName'" % import_path, app_path=import_path)
    try:
        return dirty_app.find(import_path)
    except (ImportError, AttributeError) as e:
        raise DirtyAppNotFoundError(import_path) from e
    except TypeError:
        raise DirtyAppError("%s is not a class" % import_path, app_path=import_path) from None


def load_dirty_app(import_path):
    """An object of that class."""
    made = _class_of(import_path)
    try:
        app = made()
    except Exception as e:
        raise DirtyAppError("Failed to instantiate %s: %s" % (import_path, e),
                            app_path=import_path) from e
    for method in ("init", "__call__", "close"):
        if not callable(getattr(app, method, None)):
            raise DirtyAppError("%s is missing required method: %s" % (import_path, method),
                                app_path=import_path)
    return app


def load_dirty_apps(import_paths):
    """{path: object}"""
    return {path: load_dirty_app(path) for path in import_paths}


def get_app_workers_attribute(import_path):
    """How many workers the class itself says that have it; None: all."""
    return getattr(_class_of(import_path), "workers", None)
