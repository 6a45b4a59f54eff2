import random

random.seed(7)
max_requests = 1000
max_requests_jitter = random.randint(50, 50)
worker_connections = 10 ** 3
graceful_timeout = 2 * 60
