"""The class of eventlet, which gunicorn no longer has, by its name in gunicorn."""
from _cgunicorn_glue.hooks import EventletWorker  # noqa: F401
