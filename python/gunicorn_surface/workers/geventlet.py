# SPDX-License-Identifier: MIT
"""The class of eventlet, which gunicorn no longer has, by its name in gunicorn. It
is served by the server's own alone: there is nothing of it to extend."""
from gunicorn.workers import base


class EventletWorker(base.Worker):
    refused = ("a subclass of gunicorn.workers.geventlet.EventletWorker has nothing to "
               "extend: gunicorn 26 took that class away, and here it is the server's "
               "own. Serve with -k eventlet")

    def patch(self):
        """Tools look for it by this name."""
        raise RuntimeError(self.refused)

    def run(self):
        raise RuntimeError(self.refused)
