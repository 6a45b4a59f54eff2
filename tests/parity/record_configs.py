# SPDX-License-Identifier: MIT
"""Writes tests/configs/expected.json: what gunicorn makes of the configurations
there. usage: record_configs.py PYTHON (one that can import gunicorn 27.0.1)."""
import json
import os
import pathlib
import re
import subprocess
import sys

CONFIGS = pathlib.Path(__file__).resolve().parent.parent / "configs"
# what depends on the machine, the folder or the way of the start
OWN = {"chdir", "config", "control_socket", "print_config", "user", "group",
       "wsgi_app"}


def header(path, word):
    found = re.search(rf"^# {word}: (.*)$", path.read_text(), re.M)
    return found.group(1) if found else ""


def environment(path):
    env = {k: v for k, v in os.environ.items()
           if not re.match(r"C?GUNICORN|WEB_CONC|PORT\Z|FORWARDED|SENDFILE", k)}
    env.update(x.split("=", 1) for x in header(path, "env").split())
    env["PYTHONPATH"] = "modules"
    return env


def printed(text):
    found = (re.match(r"(\w+) +=(?: (.*))?$", x) for x in text.splitlines())
    return {m.group(1): m.group(2) or "" for m in found if m}


def main(python):
    expected, default = {}, None
    for path in [pathlib.Path(os.devnull), *sorted(CONFIGS.glob("*.py"))]:
        is_default = default is None
        done = subprocess.run(
            [python, "-m", "gunicorn", "--print-config", "-c",
             os.devnull if is_default else path.name, "okapp:application"],
            cwd=CONFIGS, capture_output=True, text=True,
            env=environment(path) if not is_default else environment(
                CONFIGS / "minimal.py"))
        values = {k: v for k, v in printed(done.stdout).items() if k not in OWN}
        if done.returncode != 0:
            sys.exit(f"{path.name}: {done.stderr}")
        if is_default:
            default = values
            continue
        counted = header(path, "cpus").split(" ")[0]
        expected[path.stem] = {k: v for k, v in values.items()
                               if v != default[k] and k != counted}
    text = json.dumps({"default": default, "differs": expected}, indent=1)
    (CONFIGS / "expected.json").write_text(text + "\n")
    print(f"{len(expected)} configurations")


if __name__ == "__main__":
    main(sys.argv[1])
