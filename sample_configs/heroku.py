# PORT and WEB_CONCURRENCY come from the platform and need no line here.
forwarded_allow_ips = "*"  # only the platform's router can reach the dyno
secure_scheme_headers = {"X-FORWARDED-PROTO": "https"}
keepalive = 95
timeout = 20
accesslog = "-"
preload_app = True
