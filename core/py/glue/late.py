# SPDX-License-Identifier: MIT
"""What an application sees of request_timeout."""
import signal

from _cgunicorn import RequestTimeout, is_late


def listen(number):
    """The main thread is interrupted by that signal, when the request that
    runs in it is late."""
    def handle(sig, frame):
        if is_late():
            raise RequestTimeout

    signal.signal(number, handle)


def stack(greenlet):
    """Where a greenlet waits, for the log; "" if it runs or has ended."""
    import traceback
    frame = greenlet.gr_frame
    return "".join(traceback.format_stack(frame)).rstrip() if frame else ""
