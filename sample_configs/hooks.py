# The server hooks that most configurations use.
bind = "127.0.0.1:8000"
workers = 2


def when_ready(server):
    server.log.info("ready: %s", server.address)


def post_fork(server, worker):
    # connections of the master must not be shared: open the worker's own here
    server.log.info("worker %s", worker.pid)


def child_exit(server, worker):
    server.log.info("worker %s is gone", worker.pid)


def worker_exit(server, worker):
    server.log.info("worker %s says goodbye", worker.pid)
