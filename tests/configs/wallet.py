# Names of options in place of settings: nothing of this has an effect.
access_logfile = "-"
error_logfile = "-"
log_file = "-"
log_level = "debug"
keep_alive = 3
max_requests = 20_000
max_requests_jitter = 10_000
graceful_timeout = 90
timeout = 60
worker_class = "gevent"
worker_connections = 2000
