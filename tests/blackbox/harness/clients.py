# SPDX-License-Identifier: MIT
"""Real clients: curl, and http.client over TCP or a unix socket."""
import http.client
import http.cookies
import socket
import subprocess
import urllib.parse

from .waiting import DEADLINE


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=DEADLINE)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def connection(address):
    if isinstance(address, str):
        return UnixConnection(address)
    return http.client.HTTPConnection(*address, timeout=DEADLINE)


def url(address, path):
    if isinstance(address, str):
        return f"http://localhost{path}"
    host, port = address
    return f"http://[{host}]:{port}{path}" if ":" in host \
        else f"http://{host}:{port}{path}"


def curl(address, *args, status=0):
    """Runs curl; the last argument is the path. Returns its stdout."""
    over = ["--unix-socket", address] if isinstance(address, str) else []
    done = subprocess.run(
        ["curl", "--disable", "--silent", "--show-error", "--noproxy", "*",
         "--max-time", str(int(DEADLINE)), *over, *args[:-1],
         url(address, args[-1])],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE)
    assert done.returncode == status, (done.returncode, done.stderr.decode())
    return done.stdout


class Browser:
    """http.client on one connection, with cookies and redirects."""

    def __init__(self, address):
        self.http = connection(address)
        self.cookies = http.cookies.SimpleCookie()
        self.connects = 0

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.http.close()

    def ask(self, method, path, body=None, fields=()):
        sent = dict(fields)
        if self.cookies:
            sent["Cookie"] = "; ".join(
                f"{k}={v.coded_value}" for k, v in self.cookies.items())
        self.connects += self.http.sock is None
        self.http.request(method, path, body, sent)
        reply = self.http.getresponse()
        reply.data = reply.read()
        for text in reply.headers.get_all("Set-Cookie", []):
            self.cookies.load(text)
        return reply

    def get(self, path, **fields):
        return self.ask("GET", path, fields={
            k.replace("_", "-"): v for k, v in fields.items()})

    def post_form(self, path, **values):
        return self.ask("POST", path, urllib.parse.urlencode(values), {
            "Content-Type": "application/x-www-form-urlencoded"})
