# env: HOST=0.0.0.0 PORT=80 LOG_LEVEL=warning WORKERS_PER_CORE=0.5 GRACEFUL=120
# cpus: workers = max(int(0.5 * cpus), 2)
# The image's start script: everything may come from the environment.
import json
import multiprocessing
import os

workers_per_core = float(os.getenv("WORKERS_PER_CORE", "1"))
web_concurrency = os.getenv("WORKERS", None)
if web_concurrency:
    count = int(web_concurrency)
else:
    count = max(int(workers_per_core * multiprocessing.cpu_count()), 2)
use_bind = os.getenv("BIND") or "%s:%s" % (os.getenv("HOST"), os.getenv("PORT"))
loglevel = os.getenv("LOG_LEVEL", "info")
workers = count
bind = use_bind
errorlog = os.getenv("ERROR_LOG", "-") or None
accesslog = os.getenv("ACCESS_LOG", "-") or None
worker_tmp_dir = "/dev/shm"
graceful_timeout = int(os.getenv("GRACEFUL", "120"))
timeout = int(os.getenv("TIMEOUT", "120"))
keepalive = int(os.getenv("KEEP_ALIVE", "5"))
print(json.dumps({"workers": workers, "bind": bind}))
