def pre_request(worker, req):
    req.start = 1


def post_request(worker, req):
    worker.log.debug("%s", req.path)
