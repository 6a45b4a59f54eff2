# An identity provider: a name that gunicorn ignores, and one it knows.
import os
import tempfile
from pathlib import Path

_tmp = Path(tempfile.gettempdir())
worker_tmp_dir = str(_tmp)
reuse_port = True
preload = True
max_requests = 1000
max_requests_jitter = 50
bind = "unix://%s" % (_tmp / "identity-core.sock")
workers = int(os.getenv("WEB_WORKERS", 2))
threads = int(os.getenv("WEB_THREADS", 4))


def when_ready(server):
    server.started = True
