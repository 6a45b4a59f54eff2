"""The sample application of `make run`: a page that says what serves it."""
import html
import mmap
import os
import platform
import struct
import sys

try:
    import _cgunicorn
    SOFTWARE = "cgunicorn " + _cgunicorn.__version__
except ImportError:  # served by something else
    SOFTWARE = None

# Shared by the workers, which are forked after the configuration made it: a
# count of requests for each of the first 64 workers. Without a configuration
# file (nothing is called __config__ then) each worker sees its own alone.
CONFIG = sys.modules.get("__config__")
COUNTS = getattr(CONFIG, "counts", None) or mmap.mmap(-1, 64 * 16)

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>cgunicorn</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 40rem; margin: 3rem auto; padding: 0 1rem }}
table {{ border-collapse: collapse }} td, th {{ text-align: left; padding: .2rem 1.5rem .2rem 0 }}
</style></head><body>
<h1>It works</h1>
<table>
<tr><th>served by</th><td>{software}</td></tr>
<tr><th>Python</th><td>{python}</td></tr>
<tr><th>this worker</th><td>{pid}</td></tr>
<tr><th>your address</th><td>{peer}</td></tr>
<tr><th>you asked for</th><td>{method} {path}</td></tr>
</table>
<h2>Requests by worker</h2>
<table><tr><th>worker</th><th>requests</th></tr>{rows}</table>
</body></html>
"""


def count():
    """Adds one for this worker; [(pid, requests)] of all of them."""
    pid, found = os.getpid(), []
    for i in range(64):
        at = i * 16
        owner, n = struct.unpack_from("qq", COUNTS, at)
        if owner == pid or owner == 0:
            struct.pack_into("qq", COUNTS, at, pid, n + 1)
            found.append((pid, n + 1))
            found += [(p, k) for p, k in (struct.unpack_from("qq", COUNTS, j * 16)
                                          for j in range(i + 1, 64)) if p]
            break
        found.append((owner, n))
    return found


def app(environ, start_response):
    rows = "".join("<tr><td>%d</td><td>%d</td></tr>" % row for row in count())
    body = PAGE.format(
        software=html.escape(SOFTWARE or environ["SERVER_SOFTWARE"]),
        python=html.escape(platform.python_version()),
        pid=os.getpid(),
        peer=html.escape(environ.get("REMOTE_ADDR", "")),
        method=html.escape(environ["REQUEST_METHOD"]),
        path=html.escape(environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace")),
        rows=rows,
    ).encode()
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8"),
                              ("Content-Length", str(len(body)))])
    return [body]
