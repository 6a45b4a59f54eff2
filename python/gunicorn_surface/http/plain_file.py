# SPDX-License-Identifier: MIT
"""Which files the kernel may send: those whose bytes are what read() gives. A
gzip file has a descriptor too, and other bytes behind it."""
import io
import os
import stat
import tempfile


def _is_patched(file):
    own = getattr(file, "__dict__", {})
    return "read" in own or "readinto" in own


def _is_raw(file):
    return type(file) is io.FileIO and not _is_patched(file)


def _is_buffered(file):
    return (type(file) in (io.BufferedReader, io.BufferedRandom)
            and not _is_patched(file) and _is_raw(file.raw))


def is_plain(file):
    """tempfile's wrapper, which may delete the file, counts as what it wraps."""
    if type(file) is tempfile._TemporaryFileWrapper and not _is_patched(file):
        file = file.file
    return _is_raw(file) or _is_buffered(file)


def extent(file):
    """(where its reader stands, its size); OSError when it has no such things.
    What the kernel makes up while it is read (/proc, /sys) has no size before."""
    told = os.fstat(file.fileno())
    if not stat.S_ISREG(told.st_mode) or told.st_size == 0 or told.st_blocks == 0:
        raise OSError("no regular file of a known size")
    if hasattr(file, "flush") and file.writable():
        file.flush()
    return file.tell(), told.st_size
