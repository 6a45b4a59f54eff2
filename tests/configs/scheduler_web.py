# The web part of a scheduler: titles that its parent counts.
import sys

sys.path.append("modules")
bind = "0.0.0.0:8080"
workers = 4
worker_class = "sync"
timeout = 120
max_requests = 10000


def post_worker_init(dummy_worker):
    dummy_worker.ready = True
