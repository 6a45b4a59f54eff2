"""Names of gunicorn.util that configuration files import."""
import os


def getcwd():
    return os.getcwd()


def import_app(module):
    from _cgunicorn_glue.app import load

    return load(module)
