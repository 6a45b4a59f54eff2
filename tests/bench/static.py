# SPDX-License-Identifier: MIT
"""Static files for bench.py: what is fetched, and who serves it: cgunicorn without
its application, nginx with sendfile, and WhiteNoise under gunicorn where
BENCH_PYTHON has both."""
import os
import shutil
import subprocess

SIZES = {"static1k": 1 << 10, "static10k": 10 << 10, "static1m": 1 << 20}
# (what, path, connections, fields)
ROWS = {
    "static1k": ("a file of 1 KB", "/static/static1k", 64, []),
    "static10k": ("a file of 10 KB", "/static/static10k", 64, []),
    "static1m": ("a file of 1 MB", "/static/static1m", 16, []),
    "static304": ("a file that the client has (304)", "/static/static1k", 64,
                  ["If-Modified-Since: Wed, 01 Jan 2020 00:00:00 GMT"]),
}
MADE = 1577836800  # then
NGINX = """\
daemon off; worker_processes 1; pid nginx.pid; error_log stderr;
events { worker_connections 1024; }
http { access_log off; keepalive_requests 1000000000; sendfile on; tcp_nopush on;
  client_body_temp_path .; proxy_temp_path .; fastcgi_temp_path .;
  uwsgi_temp_path .; scgi_temp_path .;
  server { listen 127.0.0.1:PORT backlog=1024;
    location /static/ { alias FILES/; }
    location / { return 200 "Hello, World!\\n"; } } }
"""
START_NGINX = 'sed "s/PORT/$0/" %s >nginx.conf && exec nginx -p . -c "$PWD/nginx.conf"'


def make_files(folder):
    """The files, in a folder that nginx's worker may read, too."""
    os.chmod(folder, 0o755)
    for name, size in SIZES.items():
        path = os.path.join(folder, name)
        with open(path, "wb") as f:
            f.write(b"x" * size)
        os.chmod(path, 0o644)
        os.utime(path, (MADE, MADE))


def has_whitenoise(python):
    return python and subprocess.run([python, "-c", "import whitenoise"], cwd="/",
                                     stderr=subprocess.DEVNULL).returncode == 0


def servers(folder, commands, python):
    """The commands of bench.py with what serves files in place of the rest."""
    found = {}
    for name, command in commands.items():
        if name.startswith("cgunicorn"):
            found[name] = command[:-1] + ["--static", f"/static={folder}", command[-1]]
        elif name.startswith("gunicorn") and has_whitenoise(python):
            found[name + " WhiteNoise"] = (
                command[:-1] + ["--env", f"BENCH_FILES={folder}", "apps:whitenoise"])
    if shutil.which("nginx"):
        template = os.path.join(folder, ".nginx")
        with open(template, "w") as f:
            f.write(NGINX.replace("FILES", folder))
        found["nginx"] = ["sh", "-c", START_NGINX % template, "{port}"]
    return found
