from gunicorn import glogging


class QuietLogger(glogging.Logger):
    """No line for the health check."""

    def access(self, resp, req, environ, request_time):
        if req.path != "/health":
            super().access(resp, req, environ, request_time)


logger_class = QuietLogger
accesslog = "-"
