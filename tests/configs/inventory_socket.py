bind = "unix:/run/inventory/app.sock"
workers = 3
umask = 0o007
user = 0
group = 0
pidfile = "/run/inventory/app.pid"
