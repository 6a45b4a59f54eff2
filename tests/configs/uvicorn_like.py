worker_class = "sitepackage.workers.Worker"
workers = 2
bind = "0.0.0.0:8000"
keepalive = 120
