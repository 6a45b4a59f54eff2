statsd_host = "localhost:8125"
statsd_prefix = "shop"
dogstatsd_tags = "env:prod,team:web"
enable_backlog_metric = True
