accesslog = None
errorlog = None
pidfile = None
user = None
group = None
proc_name = None
syslog_prefix = None
worker_tmp_dir = None
