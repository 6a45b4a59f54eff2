"""The class of tornado, by its name in gunicorn."""
from _cgunicorn_glue.hooks import TornadoWorker  # noqa: F401
