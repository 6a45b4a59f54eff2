dirty_apps = ["shop.ml:Model", "shop.pdf:Render:2"]
dirty_workers = 2
dirty_timeout = 600
dirty_threads = 4
control_socket_disable = True
control_socket_mode = 0o660
