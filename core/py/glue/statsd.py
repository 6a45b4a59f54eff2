"""What a statsd logger adds to another one."""
import logging
import re

METRIC_VAR, VALUE_VAR, MTYPE_VAR = "metric", "value", "mtype"
GAUGE_TYPE, COUNTER_TYPE = "gauge", "counter"
HISTOGRAM_TYPE, TIMER_TYPE = "histogram", "timer"


def milliseconds(delta):
    return delta.seconds * 1000 + delta.microseconds / 1000


class Metrics:
    """What a statsd logger adds to another one; that one sends."""

    prefix = ""

    def critical(self, msg, *args, **kwargs):
        super().critical(msg, *args, **kwargs)
        self.increment("gunicorn.log.critical", 1)

    def error(self, msg, *args, **kwargs):
        super().error(msg, *args, **kwargs)
        self.increment("gunicorn.log.error", 1)

    def warning(self, msg, *args, **kwargs):
        super().warning(msg, *args, **kwargs)
        self.increment("gunicorn.log.warning", 1)

    def exception(self, msg, *args, **kwargs):
        super().exception(msg, *args, **kwargs)
        self.increment("gunicorn.log.exception", 1)

    def info(self, msg, *args, **kwargs):
        self.log(logging.INFO, msg, *args, **kwargs)

    def debug(self, msg, *args, **kwargs):
        self.log(logging.DEBUG, msg, *args, **kwargs)

    def log(self, lvl, msg, *args, **kwargs):
        """A line with metric, value and mtype in extra is a metric too."""
        try:
            extra = kwargs.get("extra") or {}
            metric, value = extra.get(METRIC_VAR), extra.get(VALUE_VAR)
            send = {GAUGE_TYPE: self.gauge, COUNTER_TYPE: self.increment,
                    HISTOGRAM_TYPE: self.histogram,
                    TIMER_TYPE: self.timer}.get(extra.get(MTYPE_VAR))
            if metric and value is not None and send:
                send(metric, value)
            if msg:
                super().log(lvl, msg, *args, **kwargs)
        except Exception:
            super().warning("Failed to log to statsd", exc_info=True)

    def access(self, resp, req, environ, request_time):
        super().access(resp, req, environ, request_time)
        status = resp.status
        if isinstance(status, bytes):
            status = status.decode()
        if isinstance(status, str):
            status = int(status.split(None, 1)[0])
        self.timer("gunicorn.request.duration", milliseconds(request_time))
        self.increment("gunicorn.requests", 1)
        self.increment("gunicorn.request.status.%d" % status, 1)

    def gauge(self, name, value):
        self._sock_send("%s%s:%s|g" % (self.prefix, name, value))

    def increment(self, name, value, sampling_rate=1.0):
        self._sock_send("%s%s:%s|c|@%s" % (self.prefix, name, value, sampling_rate))

    def decrement(self, name, value, sampling_rate=1.0):
        self._sock_send("%s%s:-%s|c|@%s" % (self.prefix, name, value, sampling_rate))

    def timer(self, name, value):
        self._sock_send("%s%s:%s|ms" % (self.prefix, name, value))

    def histogram(self, name, value):
        self._sock_send("%s%s:%s|h" % (self.prefix, name, value))


def dotted(prefix):
    """One dot at the end of a prefix of at least two characters."""
    return re.sub(r"^(.+[^.])\.*$", r"\1.", prefix)
