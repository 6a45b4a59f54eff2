# Patches before anything else is imported.
from greenlib import monkey

monkey.patch_all()

worker_class = "gevent"
worker_connections = 1000
workers = 2
timeout = 300


def post_fork(server, worker):
    from greenlib import drivers

    drivers.patch()
