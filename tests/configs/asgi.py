worker_class = "asgi"
asgi_loop = "uvloop"
asgi_lifespan = "on"
root_path = "/api"
websocket_max_message_size = 1048576
asgi_disconnect_grace_period = 0
