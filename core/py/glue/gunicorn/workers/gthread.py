"""The class of gthread, by its name in gunicorn."""
from _cgunicorn_glue.hooks import ThreadWorker  # noqa: F401
