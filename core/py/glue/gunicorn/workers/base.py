"""The base class that configuration files name in annotations."""
from _cgunicorn_glue.hooks import Worker  # noqa: F401
