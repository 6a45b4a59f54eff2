# env: ACCESS_LOG= ERROR_LOG= WORKER_CLASS=gevent
# Empty variables stand for what the program likes best.
import os

worker_class = os.environ.get("WORKER_CLASS") or "sync"
accesslog = os.environ.get("ACCESS_LOG") or "-"
errorlog = os.environ.get("ERROR_LOG") or "-"
worker_tmp_dir = "/dev/shm"
