"""Names of gunicorn.arbiter that configuration files import."""


class Arbiter:
    WORKER_BOOT_ERROR = 3
    APP_LOAD_ERROR = 4
    START_CTX = {}
    LISTENERS = []
    WORKERS = {}
