# SPDX-License-Identifier: MIT
"""Which application a dirty worker has, and how it is found."""
import sys


def parse(spec):
    """(module:Class, how many workers have it or None); ValueError."""
    parts = spec.split(":")
    if len(parts) not in (2, 3) or not parts[0] or not parts[1]:
        raise ValueError("Invalid import path format: %s. Expected 'module.path:ClassName' or "
                         "'module.path:ClassName:N'" % spec)
    if len(parts) == 2:
        return spec, None
    try:
        count = int(parts[2])
    except ValueError:
        raise ValueError("Invalid worker count in spec: %s. Expected integer, got %r"
                         % (spec, parts[2])) from None
    if count < 1:
        raise ValueError("Invalid worker count in spec: %s. Worker count must be >= 1, got %d"
                         % (spec, count))
    return parts[0] + ":" + parts[1], count


def check(specs):
    for spec in specs:
        parse(spec)


def find(path):
    """The class; TypeError if it is none."""
    module, _, name = path.partition(":")
    __import__(module)
    found = sys.modules[module]
    for part in name.split("."):
        found = getattr(found, part)
    if not isinstance(found, type):
        raise TypeError("%s is no class, it is %r: a dirty app is a class that extends "
                        "gunicorn.dirty.DirtyApp" % (path, type(found).__name__))
    return found


def share(path, count, cls, number, workers):
    """Whether the worker of that number has it: `count` of them, from one that
    the path chooses, so that several of such are spread."""
    count = count if count is not None else getattr(cls, "workers", None)
    if number > workers:  # one that an operator has added
        return count is None
    if count is None or count >= workers:
        return True
    first = sum(path.encode()) % workers
    return (number - 1 - first) % workers < count
