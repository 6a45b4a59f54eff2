# SPDX-License-Identifier: MIT
"""Rows of bench.py for TLS and HTTP/2: how each server is told to speak them, and
who asks. nginx is there when it is installed, granian and hypercorn when the
interpreter that BENCH_PYTHON names has them."""
import atexit
import os
import re
import shutil
import subprocess
import tempfile

NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
    access_log off; keepalive_requests 100000000; client_body_temp_path {folder}/b;
    proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u;
    scgi_temp_path {folder}/s; default_type text/plain;
    server {{
        listen 127.0.0.1:@PORT@{listen}; {certificate}
        location = / {{ return 200 "Hello, world!\\n"; }}
        location = /big {{ alias {folder}/big; }}
    }}
}}
"""


class Kind:
    """How a connection is spoken to: TLS or not, HTTP/2 or not."""

    def __init__(self, tls, h2):
        self.tls, self.h2 = tls, h2


_made = {}


def folder():
    """Of certificates and configurations, made once and removed at the end."""
    if "folder" not in _made:
        _made["folder"] = where = tempfile.mkdtemp(prefix="bench-tls-")
        atexit.register(shutil.rmtree, where, ignore_errors=True)
        os.chmod(where, 0o755)
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-days", "7", "-subj",
             "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
            cwd=where, check=True, stderr=subprocess.DEVNULL)
        with open(os.path.join(where, "big"), "wb") as f:
            f.write(b"x" * (1 << 20))
    return _made["folder"]


def pair():
    return [os.path.join(folder(), name) for name in ("cert.pem", "key.pem")]


def cgunicorn_args(kind):
    args = ["--certfile", pair()[0], "--keyfile", pair()[1]] if kind.tls else []
    if kind.h2:
        args += ["--http-protocols", "h2,h1"]
        args += [] if kind.tls else ["--http2-cleartext", "both"]
    return args


def nginx(kind):
    listen = (" ssl" if kind.tls else "") + (" http2" if kind.h2 else "")
    certificate = "ssl_certificate %s; ssl_certificate_key %s;" % tuple(pair()) if kind.tls else ""
    path = os.path.join(folder(), "nginx%s.conf" % listen.replace(" ", "-"))
    text = NGINX.format(folder=folder(), listen=listen, certificate=certificate)
    # the port is known when the server starts: a shell writes it
    with open(path, "w") as f:
        f.write(text)
    return ["sh", "-c", "sed s/@PORT@/$0/ %s >%s.run && exec nginx -c %s.run" % (path, path, path),
            "{port}"]


def has(python, module):
    return python and subprocess.run([python, "-c", "import " + module], cwd="/",
                                     stderr=subprocess.DEVNULL).returncode == 0


def peers(kind, python):
    """{name: command} of who else can do it."""
    found = {}
    cert, key = pair()
    if shutil.which("nginx"):
        found["nginx"] = nginx(kind)
    if has(python, "granian"):
        found["granian"] = [python, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1",
                            "--port", "{port}", "--workers", "1", "--no-ws", "apps:app"]
        found["granian"] += (["--ssl-certificate", cert, "--ssl-keyfile", key] if kind.tls
                             else ["--http", "2"])
    if has(python, "hypercorn"):
        found["hypercorn"] = [python, "-m", "hypercorn", "-w", "1", "-b", "127.0.0.1:{port}",
                              "wsgi:apps:app"]
        found["hypercorn"] += ["--certfile", cert, "--keyfile", key] if kind.tls else []
    return found


# ---- who asks: (requests, requests/s, p99, what went wrong) of so many seconds ----


def _run(command, cores):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          stdin=subprocess.DEVNULL,
                          preexec_fn=lambda: os.sched_setaffinity(0, cores))
    return done.stdout


def _number(pattern, text):
    match = re.search(pattern, text)
    return float(match[1]) if match else 0.0


def h2load(server, workload, seconds, cores):
    scheme = "https" if workload.kind.tls else "http"
    out = _run(["h2load", "-t1", "-c%d" % workload.connections, "-m%d" % workload.streams,
                "-D%d" % seconds, "%s://127.0.0.1:%d%s" % (scheme, server.port, workload.path)],
               cores)
    n = _number(r"(\d+) succeeded", out)
    failed = _number(r"(\d+) failed", out)
    return n, n / seconds, "-", "%d failed" % failed if failed else ""


def handshakes(server, workload, seconds, cores):
    """New connections, none resumed, each with a request."""
    out = _run(["openssl", "s_time", "-new", "-connect", "127.0.0.1:%d" % server.port, "-www", "/",
                "-time", str(seconds)], cores)
    n = _number(r"(\d+) connections in \d+ real seconds", out)
    return n, n / seconds, "-", "" if n else out.strip()[-200:]
