# SPDX-License-Identifier: MIT
"""How long a start takes: `cgunicorn --check-config` with a trivial
configuration and application, beside `python -c pass` of the same interpreter.

usage: start.py CGUNICORN PYTHON [RUNS]. Runs alternate; the least and the
middle of wall and CPU time are printed. The goal is 1.3 at most.
"""
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

APP = "def app(environ, start_response):\n    pass\n"
# modules are compiled once, as everywhere
ENV = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
CONFIG = "bind = '127.0.0.1:8000'\nworkers = 2\n"


def measure(command, cwd):
    """(wall, CPU) seconds of one run."""
    before = os.times()
    start = time.perf_counter()
    subprocess.run(command, cwd=cwd, check=True, env=ENV)
    wall = time.perf_counter() - start
    after = os.times()
    return wall, (after.children_user - before.children_user
                  + after.children_system - before.children_system)


def show(name, runs):
    wall, cpu = zip(*runs)
    print(f"{name:32} wall {min(wall) * 1000:6.1f} ms least, "
          f"{statistics.median(wall) * 1000:6.1f} middle; "
          f"CPU {statistics.mean(cpu) * 1000:6.1f} ms")
    return min(wall), statistics.median(wall), statistics.mean(cpu)


def main(program, python, runs=60):
    commands = {
        "cgunicorn --check-config": [os.path.abspath(program), "--check-config",
                                     "-c", "conf.py", "shop:app"],
        "python -c pass": [python, "-c", "pass"],
    }
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "shop.py").write_text(APP)
        (pathlib.Path(folder) / "conf.py").write_text(CONFIG)
        measured = {name: [] for name in commands}
        for _ in range(int(runs)):
            for name, command in commands.items():
                measured[name].append(measure(command, folder))
    ours, theirs = (show(name, runs) for name, runs in measured.items())
    print("ratio: " + ", ".join(
        f"{what} {a / b:.2f}" for what, a, b in
        zip(("least wall", "middle wall", "CPU"), ours, theirs)))


if __name__ == "__main__":
    main(*sys.argv[1:])
