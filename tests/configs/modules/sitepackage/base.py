bind = "0.0.0.0:8100"
workers = 1
timeout = 70
_secret = 5
