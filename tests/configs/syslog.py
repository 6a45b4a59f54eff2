syslog = True
syslog_addr = "udp://logs.example.com:5514"
syslog_facility = "local3"
syslog_prefix = "shop"
