# SPDX-License-Identifier: MIT
"""The probe, and /measure: what this process holds. Debug builds of Python
count all references; others are asked for those of every object they track."""
import ctypes
import gc
import json
import os
import sys

import probe

seen = []  # values that live for ever: keys and constants of environ


class Mallinfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in (
        "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks",
        "uordblks", "fordblks", "keepcost")]


try:
    mallinfo = ctypes.CDLL(None).mallinfo2
    mallinfo.restype = Mallinfo
except AttributeError:  # an older C library
    mallinfo = None


def measure():
    gc.collect()
    objects = gc.get_objects()
    used = mallinfo() if mallinfo else None
    found = {
        "blocks": sys.getallocatedblocks(),
        "objects": len(objects),
        "references": sum(map(sys.getrefcount, objects))
        + sum(map(sys.getrefcount, seen)),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "malloc": used.uordblks + used.hblkhd if used else 0,
    }
    if hasattr(sys, "gettotalrefcount"):
        found["references"] = sys.gettotalrefcount()
    return found


leaked = []
LEAKS = {"object": lambda: [[]], "bytes": lambda: b"%d" % len(leaked),
         "reference": lambda: app}


def app(environ, start_response):
    if environ["PATH_INFO"] == "/leak":
        leaked.append(LEAKS[environ["QUERY_STRING"]]())
    if environ["PATH_INFO"] != "/measure":
        return probe.app(environ, start_response)
    if not seen:
        constant = [v for k, v in environ.items() if k != "wsgi.input"]
        seen.extend([*environ, *constant, None, True, False, b"", "", (),
                     environ["wsgi.file_wrapper"], type(start_response)])
    body = json.dumps(measure()).encode()
    start_response("200 OK", [("Content-Type", "application/json"),
                              ("Content-Length", str(len(body)))])
    return [body]
