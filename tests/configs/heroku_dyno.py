# env: PORT=5000 WEB_CONCURRENCY=2 DYNO=web.1 DYNO_RAM=1024
import os

is_dyno = bool(os.getenv("DYNO"))
worker_tmp_dir = "/dev/shm" if is_dyno else None
max_requests = 1200 if int(os.environ["DYNO_RAM"]) > 512 else 400
max_requests_jitter = max_requests // 20
proc_name = os.getenv("DYNO")
