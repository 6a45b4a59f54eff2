# SPDX-License-Identifier: MIT
"""Waiting for events with a deadline. Nothing here waits for time to pass."""
import os
import threading
import time

# For one event on a loaded machine with a sanitizer build.
DEADLINE = float(os.environ.get("CGUNICORN_DEADLINE", "40"))


def until(condition, what, seconds=DEADLINE):
    """Polls condition() until it is true and returns its value."""
    end = time.monotonic() + seconds
    pause = threading.Event()
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            text = what() if callable(what) else what
            raise AssertionError(f"after {seconds:.0f} s still not: {text}")
        pause.wait(0.01)

