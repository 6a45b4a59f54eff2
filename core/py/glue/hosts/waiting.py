# SPDX-License-Identifier: MIT
"""What waits in a worker whose requests share a thread: greenlets and tasks have
no thread whose stack could be written, so they are told from Python, as soon as
the loop gets to it. For `cgunicorn stacks`."""
import os
import signal
import sys

MOST, FRAMES = 64, 32


def _line(frame):
    code = frame.f_code
    return '    File "%s", line %s in %s' % (
        code.co_filename, frame.f_lineno, code.co_name)


def of_coroutine(coro, most=FRAMES):
    """Lines of one that waits, the outermost first."""
    lines = []
    while coro is not None and len(lines) < most:
        for kind, wait in (("cr", "await"), ("gi", "yieldfrom"),
                           ("ag", "await")):
            frame = getattr(coro, kind + "_frame", None)
            if frame is not None:
                lines.append(_line(frame))
                coro = getattr(coro, "%s_%s" % (kind, wait), None)
                break
        else:
            break
    return lines


def _of_frame(frame):
    lines = []
    while frame is not None and len(lines) < FRAMES:
        lines.append(_line(frame))
        frame = frame.f_back
    return lines[::-1]


def _tasks():
    asyncio = sys.modules.get("asyncio")
    loop = asyncio._get_running_loop() if asyncio else None
    for task in asyncio.all_tasks(loop) if loop else ():
        coro = task.get_coro()
        if not getattr(coro, "cr_running", False):
            yield "Task %s" % task.get_name(), of_coroutine(coro)


def _greenlets():
    """Those of a request's that wait, and the application's; not the hub, and
    not those that are kept for the next request, which run no Python."""
    greenlet = sys.modules.get("greenlet")
    if greenlet is None:
        return
    import gc
    me = greenlet.getcurrent()
    for g in gc.get_objects():
        if isinstance(g, greenlet.greenlet) and g is not me:
            lines = _of_frame(g.gr_frame)
            if lines and type(g).__name__ not in ("Hub", "BaseHub"):
                yield "Greenlet %s" % (getattr(g, "name", "") or hex(id(g))), lines


def text():
    found = list(_tasks()) + list(_greenlets())
    shown = ["%s waits, outermost call first:\n%s" % (name, "\n".join(lines))
             for name, lines in found[:MOST]]
    if len(found) > MOST:
        shown.append("and %d more" % (len(found) - MOST))
    return "\n".join(shown)


def listen(number, fd):
    """That signal follows the one that writes the threads' stacks to fd; once
    these have been read the file is empty, and it is too late."""
    def handle(sig, frame):
        try:
            if os.fstat(fd).st_size:
                told = text()
                if told and os.fstat(fd).st_size:
                    os.write(fd, ("\n" + told + "\n").encode(
                        "utf-8", "backslashreplace"))
        except Exception:
            pass  # a look must not harm what is looked at

    signal.signal(number, handle)
