# SPDX-License-Identifier: MIT
"""gunicorn.systemd: sockets of systemd, and what it is told."""
import os
import socket

SD_LISTEN_FDS_START = 3


def listen_fds(unset_environment=True):
    """How many sockets systemd handed to this process."""
    try:
        count = int(os.environ.get("LISTEN_FDS", 0))
        if int(os.environ.get("LISTEN_PID", 0)) != os.getpid():
            return 0
    except ValueError:
        return 0
    if unset_environment:
        os.environ.pop("LISTEN_PID", None)
        os.environ.pop("LISTEN_FDS", None)
    return count


def sd_notify(state, logger, unset_environment=False):
    """Sends it to the socket that NOTIFY_SOCKET names, if there is one."""
    addr = os.environ.get("NOTIFY_SOCKET")
    if not addr:
        return
    if addr[0] == "@":
        addr = "\0" + addr[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as s:
            s.connect(addr)
            s.sendall(state.encode("utf-8"))
    except OSError:
        logger.debug("Exception while invoking sd_notify()", exc_info=True)
    finally:
        if unset_environment:
            os.environ.pop("NOTIFY_SOCKET")
