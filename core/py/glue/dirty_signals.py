# SPDX-License-Identifier: MIT
"""Signals that are the master's, sent to a dirty worker or to the dirty arbiter:
they would end it, or stop it for good. What was meant is told instead."""
import os
import signal

_WAYS = {
    "SIGHUP": "kill -HUP %d replaces the dirty workers",
    "SIGUSR1": "kill -USR1 %d opens the log files anew",
    "SIGUSR2": "kill -USR2 %d starts a new master, which has dirty workers of its own",
    "SIGTTIN": "gunicornc's 'dirty add' starts one more with the master (pid:%d)",
    "SIGTTOU": "gunicornc's 'dirty remove' ends one with the master (pid:%d)",
}


def _tell(sig, frame):
    name = signal.Signals(sig).name
    text = "%s has no effect here: %s\n" % (name, _WAYS[name] % os.getppid())
    os.write(2, text.encode())  # not print(), which may be under way


def watch():
    """In the main thread. What such a process executes has the system's own."""
    for name in _WAYS:
        signal.signal(getattr(signal, name), _tell)
