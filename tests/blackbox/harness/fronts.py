# SPDX-License-Identifier: MIT
"""Other servers in front of the one under test: nginx and HAProxy."""
import os
import shutil
import socket
import subprocess

import pytest

from .server import free_port
from .waiting import until

NGINX = """\
daemon off;
worker_processes 1;
{user}
pid {folder}/nginx.pid;
error_log {folder}/nginx.log warn;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream app {{
        server {backend};
        keepalive 4;
    }}
    server {{
        listen 127.0.0.1:{port};
        client_max_body_size 0;
        location / {{
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-Proto https;
            proxy_set_header X-Forwarded-For $remote_addr;
            {more}
        }}
    }}
}}
"""
HAPROXY = """\
defaults
    mode http
    timeout connect 40s
    timeout client 40s
    timeout server 40s
    http-reuse always
frontend f
    bind 127.0.0.1:{port}
    http-request set-header X-Forwarded-Proto https
    default_backend app
backend app
    server s {backend} {more}
"""


class Front:
    """Started in front of `server`; ended by end()."""

    def __init__(self, kind, server, folder, more=""):
        program = shutil.which(kind) or shutil.which(
            kind, path="/usr/sbin:/sbin")
        if program is None:
            pytest.skip(f"there is no {kind} (tools/setup clients installs it)")
        self.address = ("127.0.0.1", free_port())
        self.log = folder / f"{kind}.log"
        conf = folder / f"{kind}.conf"
        text = NGINX if kind == "nginx" else HAPROXY
        conf.write_text(text.format(
            folder=folder, port=self.address[1], more=more,
            user="user root;" if os.geteuid() == 0 else "",
            backend=self._backend(kind, server.address)))
        args = ["-p", str(folder), "-e", str(self.log), "-c", str(conf)] \
            if kind == "nginx" else ["-db", "-f", str(conf)]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [program, *args], stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, cwd=folder)
        until(self._listens, lambda: f"{kind} listens: {self.told()}")

    @staticmethod
    def _backend(kind, address):
        if isinstance(address, str):
            return f"unix:{address}" if kind == "nginx" else f"unix@{address}"
        return f"{address[0]}:{address[1]}"

    def told(self):
        return self.log.read_text(errors="replace")

    def _listens(self):
        assert self.process.poll() is None, self.told()
        try:
            socket.create_connection(self.address).close()
        except ConnectionRefusedError:
            return False
        return True

    def end(self):
        self.process.terminate()
        self.process.wait()
