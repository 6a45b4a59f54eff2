# SPDX-License-Identifier: MIT
"""What an application sees of request_timeout.

Python 3.13.0 and 3.14 leave a loop's jump back to its head out of the `try`
around it, and that jump is where most loops are interrupted: what is raised
there passes the loop's own `finally` by. There the exception is raised at the
next line instead, by a trace function; in another thread, which may be in the
midst of a `try`, at the next instruction that is no such jump.
"""
import signal
import sys

from _cgunicorn import RequestTimeout, is_late


def _is_in_try(code, at):
    """Whether the instruction is in a `try` of its function."""
    table, i = code.co_exceptiontable, 0

    def number():
        nonlocal i
        value, more = 0, True
        while more:
            value, more = value << 6 | table[i] & 63, table[i] & 64
            i += 1
        return value

    while i < len(table):
        start, length, _, _ = number() * 2, number() * 2, number(), number()
        if start <= at < start + length:
            return True
    return False


def _is_bare_jump(code, at):
    """The function has a `try`, and the jump back is in none of them."""
    if not getattr(code, "co_exceptiontable", b""):  # before 3.11: no table
        return False
    from opcode import opmap

    return code.co_code[at] == opmap.get("JUMP_BACKWARD") and not _is_in_try(code, at)


def _sample(go_on):
    try:
        while True:
            if go_on():
                break
    finally:
        go_on()


def leaves_jumps_out():
    """Whether this Python does that."""
    code = _sample.__code__
    return any(_is_bare_jump(code, at) for at in range(0, len(code.co_code), 2))


def _at_next_line(frame, event, arg):
    """Whose request has ended meanwhile is left alone."""
    if event == "call":
        return None
    stop()
    if is_late():
        raise RequestTimeout
    return None


def _at_next_instruction(frame, event, arg):
    """The same; a line may end behind the `try` that a call is in."""
    if event != "opcode" or _is_bare_jump(frame.f_code, frame.f_lasti):
        return _at_next_instruction
    return _at_next_line(frame, event, arg)


def _nothing(frame, event, arg):
    return None


def stop():
    """No thread is traced any more."""
    if sys.gettrace() is _nothing:
        getattr(sys, "_settraceallthreads", sys.settrace)(None)


def listen(number):
    """The main thread is interrupted by that signal, when the request that
    runs in it is late."""
    def handle(sig, frame):
        if sys.gettrace() is None and _is_bare_jump(frame.f_code, frame.f_lasti):
            frame.f_trace = _at_next_line
            sys.settrace(_nothing)
        elif is_late():
            raise RequestTimeout

    signal.signal(number, handle)


def raise_in(thread):
    """False: it has to be raised by the interpreter itself, wherever the
    thread is. Else at its next instruction."""
    import threading

    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        return False  # no other thread's frames may be touched
    frame = sys._current_frames().get(thread)
    if (frame is None or sys.gettrace() is not None or not leaves_jumps_out()
            or not hasattr(threading, "settrace_all_threads")
            or threading.gettrace() is not None):
        return False
    sys._settraceallthreads(_nothing)
    while frame is not None:
        frame.f_trace = _at_next_instruction
        frame.f_trace_opcodes = True
        frame = frame.f_back
    return True


def stack(greenlet):
    """Where a greenlet waits, for the log; "" if it runs or has ended."""
    import traceback
    frame = greenlet.gr_frame
    return "".join(traceback.format_stack(frame)).rstrip() if frame else ""
