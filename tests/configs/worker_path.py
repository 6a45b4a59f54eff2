worker_class = "gunicorn.workers.gthread.ThreadWorker"
threads = 8
workers = 2
