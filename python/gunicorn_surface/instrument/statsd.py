# SPDX-License-Identifier: MIT
"""gunicorn.instrument.statsd: metrics of a logger as datagrams."""
import socket

from _cgunicorn_glue.statsd import (  # noqa: F401  names that others import
    COUNTER_TYPE, GAUGE_TYPE, HISTOGRAM_TYPE, METRIC_VAR, MTYPE_VAR, TIMER_TYPE, VALUE_VAR,
    Metrics, dotted)
from gunicorn.glogging import Logger


class Statsd(Metrics, Logger):
    def __init__(self, cfg):
        Logger.__init__(self, cfg)
        self.prefix = dotted(cfg.statsd_prefix)
        self.dogstatsd_tags = cfg.dogstatsd_tags
        host = cfg.statsd_host
        family = (socket.AF_UNIX if isinstance(host, str)
                  else socket.AF_INET6 if host and ":" in host[0] else socket.AF_INET)
        try:
            self.sock = socket.socket(family, socket.SOCK_DGRAM)
            self.sock.connect(host)
        except Exception:
            self.sock = None

    def _sock_send(self, msg):
        try:
            if isinstance(msg, str):
                msg = msg.encode("ascii")
            if self.dogstatsd_tags:
                msg += b"|#" + self.dogstatsd_tags.encode("ascii")
            if self.sock:
                self.sock.send(msg)
        except Exception:
            Logger.warning(self, "Error sending message to statsd", exc_info=True)
