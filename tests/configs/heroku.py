# env: PORT=5000 WEB_CONCURRENCY=3
# The platform names the port and the number of workers.
worker_class = "gthread"
threads = 5
keepalive = 95
timeout = 20
preload_app = True
reuse_port = True
forwarded_allow_ips = "*"
secure_scheme_headers = {"X-FORWARDED-PROTO": "https"}
accesslog = "-"
access_log_format = 'method=%(m)s path="%(U)s" status=%(s)s us=%(D)s'
