#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Random signals, kills, upgrades and load for as long as wanted.

  make soak SOAK_SECONDS=600 SOAK="--seed 7 -- -k gthread --threads 4"

What stands behind -- is added to the server's command line. A failure tells
the seed that repeats it.
"""
import argparse
import pathlib
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "blackbox"))
from harness import processes  # noqa: E402
from harness.soak import Soak  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--pause", type=float, default=20,
                        help="seconds between two quiet moments")
    parser.add_argument("args", nargs="*")
    o = parser.parse_args()
    processes.become_subreaper()
    print(f"seed {o.seed}, {o.seconds:.0f} s, {' '.join(o.args) or 'sync'}")
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        soak = Soak(pathlib.Path(folder), o.seed, o.args, tell=lambda t: print(
            f"{time.monotonic() - began:5.0f} s: {t}", flush=True))
        try:
            soak.run(o.seconds, o.pause)
            soak.judge()
            status = soak.server.stop()
            assert status == 0, f"TERM ended it with {status}"
        except BaseException:
            print(f"failed; --seed {o.seed} repeats it. The end of the log:\n"
                  + soak.server.tail(), flush=True)
            raise
        finally:
            soak.end()
    print("all is well")


main()
