def set_gunicorn_defaults(names):
    names.setdefault("workers", 2)
    names.setdefault("timeout", 600)
    names.setdefault("worker_class", "gthread")
    names.setdefault("loglevel", "INFO")
