bind = "10.0.0.1:8000"
raw_env = "ONE=1"
reload_extra_files = []
forwarded_allow_ips = "10.0.0.0/8, 192.168.0.1"
proxy_allow_ips = "*"
