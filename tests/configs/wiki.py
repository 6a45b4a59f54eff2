bind = ":8080"
backlog = 1024
worker_connections = 500
workers = 2
errorlog = "/dev/stderr"
