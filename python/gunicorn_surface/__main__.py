# SPDX-License-Identifier: MIT
"""python -m gunicorn"""
from gunicorn.app.wsgiapp import run

if __name__ == "__main__":
    run(prog="gunicorn")
