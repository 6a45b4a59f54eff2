# SPDX-License-Identifier: MIT
"""What servers of the packages' own share: gevent's pywsgi, and tornado's
HTTPServer for its Applications. They listen on our sockets."""
import os
import socket

TICK = 1.0


def beat_period(worker):
    """Often enough that a loop which turns is never silent for `timeout`."""
    return min(TICK, worker.cfg.timeout / 4 or TICK)


def sockets_of(worker):
    """The listeners as sockets of whatever type `socket` has now."""
    return [socket.socket(fileno=os.dup(s.fileno())) for s in worker.sockets]


def is_orphan(worker):
    if worker.ppid == os.getppid():
        return False
    worker.log.info("Parent changed, shutting down: %s", worker)
    return True


def count(worker):
    """After a request, or a connection of tornado's."""
    worker.nr += 1
    if worker.alive and worker.nr >= worker.max_requests:
        worker.log.info("Autorestarting worker after current request.")
        worker._alive = False
