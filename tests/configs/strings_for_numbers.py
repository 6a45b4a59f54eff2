workers = "3"
threads = " 2 "
timeout = "0x20"
max_requests = "1_000"
keepalive = "75"
preload_app = "true"
reload = "False"
backlog = True
