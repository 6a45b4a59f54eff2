# SPDX-License-Identifier: MIT
"""Wheels for Pythons and systems other than the one that makes them.

zig's C compiler knows every glibc, musl, and ARM. Headers are those
of the Pythons named, whose pyconfig.h is the same on all these systems as far
as an extension sees it: all are little-endian with 64 bits.
"""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile

import audit
import backend
import project
from wheel import Wheel

# zig's name, the tag's platforms, the folder of Debian's multiarch headers
TARGETS = {
    "manylinux_x86_64": ("x86_64-linux-gnu.2.28",
                         "manylinux_2_28_x86_64"),
    "manylinux_aarch64": ("aarch64-linux-gnu.2.28",
                          "manylinux_2_28_aarch64"),
    "musllinux_x86_64": ("x86_64-linux-musl", "musllinux_1_2_x86_64"),
    "musllinux_aarch64": ("aarch64-linux-musl", "musllinux_1_2_aarch64"),
}
ASK = """
import sys, sysconfig as s, os
print("cp%d%d" % sys.version_info[:2])
print("t" if s.get_config_var("Py_GIL_DISABLED") else "")
print(s.get_path("include"))
print(s.get_config_var("MULTIARCH") or "")
try:
    import ensurepip, glob
    folders = [os.path.join(os.path.dirname(ensurepip.__file__), "_bundled"),
               "/usr/share/python-wheels"]
    print([w for f in folders for w in glob.glob(f + "/pip-*.whl")][0])
except (ImportError, IndexError):
    print()
"""


class Python:
    """One to build for: its tag, its headers."""

    def __init__(self, executable):
        told = subprocess.run([executable, "-c", ASK], check=True, capture_output=True,
                              text=True).stdout.split("\n")
        self.executable = executable
        self.version, threads, self.include, multiarch, self.pip = told[:5]
        self.abi = self.version + threads
        name = os.path.basename(self.include)
        self.own = os.path.join(os.path.dirname(self.include), multiarch, name)

    def headers(self, folder):
        """Options for the headers. Debian's pyconfig.h leads to one of several by the
        machine; all of them are this machine's here."""
        words = ["-I" + self.include]
        if os.path.exists(os.path.join(self.own, "pyconfig.h")):
            for triplet in ("x86_64-linux-gnu", "aarch64-linux-gnu", "x86_64-linux-musl",
                            "aarch64-linux-musl"):
                to = os.path.join(folder, triplet, os.path.basename(self.own))
                os.makedirs(to, exist_ok=True)
                shutil.copy(os.path.join(self.own, "pyconfig.h"), to)
            words.append("-I" + folder)
        return " ".join(words)


def run(*words, **more):
    subprocess.run(words, check=True, **more)


# ---- building ----

def build(python, target, zig, out):
    """The module's file. What knows nothing of Python is compiled once a target."""
    work = os.path.join(project.ROOT, "build", "wheels", target)
    folder = os.path.join(work, python.abi)
    shared = os.path.join(work, "shared")
    if not os.path.exists(folder) and os.path.exists(shared):
        run("cp", "-al", shared, folder)
    os.makedirs(folder, exist_ok=True)
    cc = f"{zig} cc -target {TARGETS[target][0]}"
    env = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    env["LDFLAGS"] = "-s"
    module = os.path.join(folder, "_cgunicorn.so")
    run("make", "-C", project.ROOT, "--no-print-directory", "-j%d" % (os.cpu_count() or 1),
        "FRONT=module", "STRICT=", "CC=" + cc, "PYTHON=" + python.executable,
        "OUT=" + folder, "MODULE=" + module, "OPT=-O2 -w",
        "PYINC=" + python.headers(os.path.join(folder, "headers")), "module",
        env=env, stdout=subprocess.DEVNULL)
    if not os.path.exists(shared):
        run("cp", "-al", folder, shared)
        for name in ("core/py", "glue.c", "glue.o", "headers", "_cgunicorn.so"):
            path = os.path.join(shared, name)
            if os.path.isdir(path):
                shutil.rmtree(path)
            elif os.path.exists(path):
                os.unlink(path)
    with open(module, "rb") as f:
        return f.read()


def pack(python, target, data, out):
    machine = target.split("_", 1)[1]
    wheel = Wheel(out, f"{python.version}-{python.abi}-{TARGETS[target][1]}")
    backend.add_package(wheel)
    # musl's Pythons do not agree on the name; this one all of them load
    digits = python.abi[2:]
    name = (f"_cgunicorn.cpython-{digits}-{machine}-linux-gnu.so"
            if target.startswith("many") else "_cgunicorn.so")
    wheel.add(name, data, 0o755)
    return os.path.join(out, wheel.close())


# ---- trying ----

HELLO = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"served"]
"""


def serve(command, folder):
    """Starts it on a free port and asks it something."""
    port = subprocess.run([sys.executable, "-c", "import socket; s = socket.socket(); "
                           "s.bind(('127.0.0.1', 0)); print(s.getsockname()[1])"],
                          check=True, capture_output=True, text=True).stdout.strip()
    with open(os.path.join(folder, "hello.py"), "w", encoding="utf-8") as f:
        f.write(HELLO)
    log = os.path.join(folder, "log")
    with open(log, "w", encoding="utf-8") as f:
        server = subprocess.Popen([*command, "-b", "127.0.0.1:" + port, "hello:app"],
                                  cwd=folder, stdout=f, stderr=f)
    try:
        end = time.monotonic() + 120
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as r:
                    answer = r.read()
                break
            except OSError:
                if server.poll() is not None or time.monotonic() > end:
                    with open(log, encoding="utf-8") as f:
                        raise SystemExit(f"{command[0]} does not serve:\n{f.read()}") from None
                time.sleep(0.1)
    finally:
        server.terminate()
        status = server.wait(60)
    if (answer, status) != (b"served", 0):
        raise SystemExit(f"{command[0]}: {answer!r}, status {status}")


def smoke(python, wheel):
    """Installs it into a fresh environment of its Python, which then serves."""
    with tempfile.TemporaryDirectory() as folder:
        root = os.path.join(folder, "venv")
        run(python.executable, "-m", "venv", "--without-pip", root)
        run(os.path.join(root, "bin/python"), python.pip + "/pip", "install", "-q",
            "--no-index", "--disable-pip-version-check", "--no-cache-dir", wheel)
        serve([os.path.join(root, "bin/cgunicorn")], folder)


def emulated(python, machine, roots):
    """The command of that Python for another machine, under qemu's user emulation; None:
    there is no root for the machine that has it, or no qemu."""
    root = roots.get(machine)
    qemu = shutil.which("qemu-" + machine) or shutil.which(f"qemu-{machine}-static")
    program = os.path.join(root or "", "usr/bin", "python%s.%s" % (
        python.version[2], python.version[3:]))
    if not root or not qemu or not os.path.exists(program):
        return None
    return [qemu, "-L", root, program]


def smoke_emulated(command, wheel):
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(wheel) as z:
            z.extractall(folder)
        serve([*command, "-m", "cgunicorn"], folder)


def attempt(python, target, wheel, args):
    """Starts it, if it can run here; how it was tried."""
    machine = target.split("_", 1)[1]
    if args.no_smoke or not target.startswith("many"):
        return "checked"
    if machine == os.uname().machine:
        if not python.pip:
            return "checked"
        smoke(python, wheel)
        return "checked, serves"
    command = emulated(python, machine, dict(args.root))
    if command is None:
        return "checked"
    smoke_emulated(command, wheel)
    return "checked, serves under qemu"


# ---- all of it ----

def arguments():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("python", nargs="+", help="interpreters that have headers")
    p.add_argument("--zig", required=True, help="the command of zig")
    p.add_argument("--out", default="dist")
    p.add_argument("--target", action="append", choices=list(TARGETS))
    p.add_argument("--only", action="append", metavar="cp311", help="only these Pythons")
    p.add_argument("--no-smoke", action="store_true", help="installs and starts nothing")
    p.add_argument("--root", action="append", default=[], metavar="aarch64=FOLDER",
                   type=lambda text: text.split("=", 1), help="a Debian for that machine "
                   "(tools/foreign_root), where its wheels are tried by qemu-user")
    return p.parse_args()


def main():
    args = arguments()
    newest = {}  # of each version, the last one named
    for executable in args.python:
        python = Python(executable)
        if not args.only or python.abi in args.only:
            newest[python.abi] = python
    if not newest:
        raise SystemExit("no Python with headers is left to build for")
    failed = False
    for target in args.target or TARGETS:
        for python in newest.values():
            wheel = pack(python, target, build(python, target, args.zig, args.out), args.out)
            wrong = audit.check_wheel(wheel)
            size = os.path.getsize(wheel)
            if size > 1500000:
                wrong.append(f"it has {size} bytes, more than 1.5 MB")
            tried = "" if wrong else attempt(python, target, wheel, args)
            print(f"{os.path.basename(wheel)}  {size}  {'; '.join(wrong) or tried}", flush=True)
            failed = failed or bool(wrong)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
