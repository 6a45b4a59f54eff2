"""The class of sync, by its name in gunicorn."""
from _cgunicorn_glue.hooks import SyncWorker  # noqa: F401
