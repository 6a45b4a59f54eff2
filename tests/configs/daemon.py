daemon = True
pidfile = "/tmp/shop.pid"
errorlog = "/tmp/shop.log"
accesslog = "/tmp/shop.access"
logconfig = None
initgroups = True
