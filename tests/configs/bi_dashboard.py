# env: SERVER_WORKER_AMOUNT=3 SERVER_THREADS_AMOUNT=20 GUNICORN_TIMEOUT=60
import os

bind = "{}:{}".format(os.environ.get("SUPER_BIND", "0.0.0.0"), os.environ.get("SUPER_PORT", "8088"))
workers = os.environ.get("SERVER_WORKER_AMOUNT")
worker_class = "gthread"
threads = os.environ.get("SERVER_THREADS_AMOUNT")
timeout = os.environ["GUNICORN_TIMEOUT"]
keepalive = "2"
limit_request_line = "0"
limit_request_field_size = "0"
