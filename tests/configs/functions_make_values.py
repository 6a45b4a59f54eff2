# env: GUNICORN_RELOAD=true GUNICORN_MAX=50
import os


def flag(name, default=False):
    return os.environ.get(name, str(default)).strip().lower() in ("1", "true", "yes")


def number(name, default):
    value = os.environ.get(name)
    return default if value is None else int(value)


reload = flag("GUNICORN_RELOAD")
max_requests = number("GUNICORN_MAX", 0)
threads = number("GUNICORN_THREADS", 4)
