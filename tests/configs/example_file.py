# After the shape of the sample that everybody starts from.
bind = '127.0.0.1:8000'
backlog = 2048
workers = 1
worker_class = 'sync'
worker_connections = 1000
timeout = 30
keepalive = 2
spew = False
daemon = False
raw_env = ['DJANGO_SECRET_KEY=something', 'SPAM=eggs']
pidfile = None
umask = 0
user = None
group = None
tmp_upload_dir = None
errorlog = '-'
loglevel = 'info'
accesslog = '-'
access_log_format = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'
proc_name = None


def worker_int(worker):
    worker.log.info("worker received INT or QUIT signal")
    import threading
    import traceback
    names = {t.ident: t.name for t in threading.enumerate()}
    worker.log.debug("%s %s", names, traceback.format_stack())
