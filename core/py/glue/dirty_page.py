# SPDX-License-Identifier: MIT
"""What a dirty worker shows the master: its applications, its calls so far, the
one that each seat runs. The numbers are those of core/share/dirty_page.h."""
import functools
import struct
import time

HEAD, NAMES, SEAT, WHAT = 1024, 8, 256, 24
_U32, _U64, _ENDED = struct.Struct("=I"), struct.Struct("=Q"), struct.Struct("=QQ")


@functools.lru_cache(maxsize=256)
def _what(app, action):
    return ("%s.%s" % (app, action)).encode("utf-8", "replace")[:SEAT - WHAT - 1] + b"\0"


class Page:
    def __init__(self, view):
        self.view = view

    def boot(self, apps):
        if self.view is not None:
            names = b"".join(a.encode("utf-8", "replace")[:200] + b"\0" for a in apps)
            names = names[:HEAD - NAMES - 1]
            self.view[NAMES:NAMES + len(names)] = names
            _U32.pack_into(self.view, 0, 1)

    def seat(self, number):
        at = HEAD + number * SEAT
        if self.view is None or at + SEAT > len(self.view):
            return Seat(bytearray(SEAT), 0)
        return Seat(self.view, at)


class Seat:
    """One thread writes it."""

    def __init__(self, view, at):
        self.view, self.at = view, at
        self.calls = self.failed = 0

    def begin(self, app, action):
        what = _what(app, action)
        at = self.at + WHAT
        self.view[at:at + len(what)] = what
        _U64.pack_into(self.view, self.at, time.monotonic_ns() // 1000)

    def fail(self):
        self.failed += 1
        _U64.pack_into(self.view, self.at + 16, self.failed)

    def end(self):
        self.calls += 1
        _ENDED.pack_into(self.view, self.at, 0, self.calls)
