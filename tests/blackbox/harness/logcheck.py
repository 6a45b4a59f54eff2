# SPDX-License-Identifier: MIT
"""Reading logs. No server's log may hold trouble that its test did not announce."""
import re

from harness.waiting import until

SANITIZER = re.compile(
    r"(Address|Leak|Thread|Memory|UndefinedBehavior)Sanitizer"
    r"|runtime error: "
)
TROUBLE = re.compile(
    r"\[CRITICAL\]|[Ff]atal|assertion failed|Assertion `|Segmentation fault"
    r"|Traceback \(most recent call last\)|--- Logging error ---"
    r"|Exception ignored in"
)
STAMP = re.compile(r"^\[\d{4}-\d\d-\d\d ")


def blocks(text):
    """Lines with what belongs to them: an unstamped line goes on a block."""
    block = []
    for line in text.splitlines():
        if STAMP.match(line) and block:
            yield "\n".join(block)
            block = []
        block.append(line)
    if block:
        yield "\n".join(block)


def trouble(text, announced):
    """Blocks that nobody announced; sanitizer reports cannot be announced."""
    found = []
    for block in blocks(text):
        if SANITIZER.search(block):
            found.append(block)
        elif TROUBLE.search(block):
            if not any(re.search(a, block) for a in announced):
                found.append(block)
    return found


def lines(path, count):
    """The first `count` lines of a log, once they are there."""
    def enough():
        if path.exists():
            found = path.read_bytes().decode("latin-1").splitlines()
            return found if len(found) >= count else None
        return None
    return until(enough, lambda: f"{count} lines in {path}: "
                 + (path.read_text() if path.exists() else "no file"))
