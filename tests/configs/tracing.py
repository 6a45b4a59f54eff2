import collector


def post_fork(server, worker):
    server.log.info("Worker spawned (pid: %s)", worker.pid)
    collector.trace(service="shop", instance=worker.pid)


def post_request(worker, req, environ, resp):
    collector.gauge(resp)
