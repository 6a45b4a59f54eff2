"""The class of gevent, by its name in gunicorn."""
from _cgunicorn_glue.hooks import GeventWorker, GeventPyWSGIWorker  # noqa: F401
