# In a container: everything on standard output and error, all addresses, and a
# stop that ends within the orchestrator's patience.
import os

bind = "0.0.0.0:" + os.environ.get("PORT", "8000")
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
accesslog = "-"
errorlog = "-"
graceful_timeout = 25

# The load balancer's address range, whose X-Forwarded-Proto is believed.
forwarded_allow_ips = os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1,::1")

# Load balancers wait 60 s between requests: the server must wait longer.
keepalive = 75
