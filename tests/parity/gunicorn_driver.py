# SPDX-License-Identifier: MIT
"""Runs gunicorn many times in one interpreter, a fork for each run.

Reads JSON lines {"argv", "env", "cwd"} on standard input and answers with
{"status", "out", "err"}. Needs an interpreter that can import gunicorn.
"""
import json
import os
import sys
import tempfile
import traceback


def child(case, out, err):
    os.dup2(out.fileno(), 1)
    os.dup2(err.fileno(), 2)
    os.chdir(case["cwd"])
    os.environ["PWD"] = case["cwd"]
    os.environ.pop("GUNICORN_CMD_ARGS", None)
    os.environ.update(case["env"])
    sys.argv = ["gunicorn"] + case["argv"]
    status = 0
    try:
        from gunicorn.app.wsgiapp import WSGIApplication
        # as the console script does it
        WSGIApplication("%(prog)s [OPTIONS] [APP_MODULE]", prog="gunicorn").run()
    except SystemExit as e:
        status = e.code if isinstance(e.code, int) else 0 if e.code is None else 1
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def run(case):
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        pid = os.fork()
        if pid == 0:
            child(case, out, err)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        texts = []
        for f in (out, err):
            f.seek(0)
            texts.append(f.read().decode("utf-8", "backslashreplace"))
    return {"status": status, "out": texts[0], "err": texts[1]}


def main():
    # defaults are evaluated at the import, in the folder of the cases
    os.chdir(sys.argv[1])
    os.environ["PWD"] = os.getcwd()
    import gunicorn.app.wsgiapp  # noqa: F401
    import gunicorn.workers.sync  # noqa: F401

    sys.path.insert(0, os.getcwd())
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), flush=True)


main()
