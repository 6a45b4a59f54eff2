# SPDX-License-Identifier: MIT
"""gunicorn.workers.gasgi: the class asgi, by its name in gunicorn. It is served
by the server's own alone: there is nothing of it to extend."""
from gunicorn.workers import base


class ASGIWorker(base.Worker):
    refused = ("a subclass of gunicorn.workers.gasgi.ASGIWorker has nothing to extend: "
               "that class is the server's own. Extend uvicorn's "
               "(uvicorn_worker.UvicornWorker), or serve with -k asgi")

    def run(self):
        raise RuntimeError(self.refused)
