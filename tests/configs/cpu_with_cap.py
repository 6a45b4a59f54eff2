# env: MAX_WORKERS=2
# cpus: workers = min(cpus * 2 + 1, 2)
import multiprocessing
import os

cores = multiprocessing.cpu_count()
wanted = cores * 2 + 1
cap = os.getenv("MAX_WORKERS")
workers = min(wanted, int(cap)) if cap else wanted
