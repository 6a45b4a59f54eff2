# SPDX-License-Identifier: MIT
"""Every setting with good and bad values, from each source, through gunicorn
and through cgunicorn: the values that --print-config shows, the errors and the
exit statuses have to be the same, but for the differences listed here.

usage: config_matrix.py PYTHON [CGUNICORN] [SETTING...]

PYTHON is an interpreter that can import gunicorn 27.0.1.
"""
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
APP = "def application(environ, start_response):\n    pass\n"

# Python text of a value in a configuration file.
FILE_VALUES = [
    "None", "True", "False", "0", "1", "-1", "5", "20000", "1.5", "''", "' '",
    "'5'", "'-1'", "'0x10'", "'010'", "'1_0'", "'abc'", "' true '", "'FALSE'",
    "'yes'", "[]", "['a', 'b']", "[1]", "('a',)", "{}", "{'A': 'b'}",
    "'auto'", "'off'", "'h1,h2'", "'h1,H2 '", "'h1,h1'", "'h3'", "'127.0.0.1'",
    "'10.0.0.0/8, ::1'", "'10.0.0.1/8'", "'*'", "'root'", "'unix:/a'",
    "'unix:12'", "'h:1'", "'h:x'", "'[::1]:9'", "'gthread'",
]
HOOK_VALUES = [
    "lambda a: 0", "lambda a, b: 0", "lambda a, b, c: 0",
    "lambda a, b, c, d: 0", "lambda *a: 0", "lambda a, b=1: 0", "'okapp'",
    "'okapp.one'", "'okapp.two'", "'okapp.three'", "'okapp.four'",
    "'okapp.number'", "'okapp.nothing'", "'nosuchmodule.x'", "5", "None",
]
CLI_VALUES = [
    "", " ", "5", "-1", "0", "20000", "0x10", "010", "1_0", "1.5", "abc",
    "true", "auto", "off", "a,b", "h1,h2", "127.0.0.1", "10.0.0.0/8",
    "10.0.0.1/8", "*", "root", "unix:/a", "h:1", "h:x", "-x",
]
ENV_VALUES = ["5", "-1", "abc", "'a b'", "''", "off"]

# Rows of --print-config that are another thing here, whatever is set.
ROWS = {
    "keepalive": "75 s are the default",
    "control_socket": "there is none by default",
    "wsgi_app": "shows the application that the command line names",
}


class Difference:
    """A known one: what its line looks like, and the reason as
    docs/differences.md has it."""

    def __init__(self, reason, pattern):
        self.reason = reason
        self.pattern = re.compile(pattern, re.S)
        self.used = 0


DIFFERENCES = [
    Difference("`workers` may be `auto`", r"^workers = \S*auto"),
    Difference("`--check-config` and `--print-config` look at the worker "
               "class, too", r"class uri '.*' invalid|worker class '"),
    Difference("they look at the addresses of `bind`, too",
               r"^bind = .*bind: '.*' is not a valid port number|"
               r"^--bi\w* = .*valid port"),
    Difference("they look at `raw_env`, too", r"write NAME=VALUE"),
    Difference("`--print-config` shows the application of the command line as "
               "`wsgi_app`", r"^wsgi_app = .*'okapp'$"),
    Difference("`--print-config` shows a `post_request` with fewer parameters "
               "by its own name, not by that of a wrapper",
               r"validate_post_request"),
    Difference("a configuration file that is not there is named with the "
               "folder where it was looked for",
               r"the configuration file '.*' doesn't exist"),
    Difference("a wrong value that is a tuple is shown as a list",
               r"= \('a',\) \(file\)"),
    Difference("a user or a group is a name or a number: `True` is neither, "
               "and a list is said to be none",
               r"^(user|group) = .*No such (user|group)"),
    Difference("a list as `reload_engine` is said to be none, not to be "
               "unhashable", r"^reload_engine = .*unhashable type"),
    Difference("`chdir = None` is the directory of the start, not an error",
               r"^chdir = None"),
    Difference("HTTP/2 needs no Python package, and is there in `sync`, "
               "`eventlet` and `tornado`, too",
               r"the h2 package is not installed"),
    Difference("a `paste` file that is not there is named; gunicorn looks for "
               "Paste's package first", r"No module named \\*'past"),
    Difference("settings of TLS without `certfile` and `keyfile` are refused; "
               "gunicorn serves plain HTTP then",
               r"TLS is asked for, and there is no certificate"),
    Difference("`--python` is an option of its own, no abbreviation of "
               "`--pythonpath`", r"^--python = "),
]


class Case:
    def __init__(self, name, source, value, argv, env=None, config=None,
                 hook=False):
        self.name, self.source, self.value = name, source, value
        self.argv, self.env, self.config = argv, env or {}, config
        self.hook = hook

    def __str__(self):
        return f"{self.name} = {self.value} ({self.source})"


def settings_of(python):
    """[(name, [flag, …], takes an argument, is a hook)] of gunicorn."""
    text = subprocess.run([python, "-c", """
import json
from gunicorn import config
rows = [(s.name, s.cli or [], not (s.action or "").startswith("store_"),
         "callable" in s.validator.__name__ or s.name == "post_request")
        for s in config.KNOWN_SETTINGS]
print(json.dumps(rows))
"""], check=True, capture_output=True, text=True).stdout
    return json.loads(text)


def cases_of(rows, folder):
    for name, flags, argument, hook in rows:
        for value in HOOK_VALUES if hook else FILE_VALUES:
            n = len(list(folder.iterdir()))
            path = folder / f"c{n}.py"
            path.write_text(f"{name} = {value}\n")
            yield Case(name, "file", value, ["-c", str(path)], hook=hook)
        for flag in flags:
            if not argument:
                yield Case(name, "command line", flag, [flag])
                yield Case(name, "command line", flag + "=1", [flag + "=1"])
                yield Case(name, "env args", flag, [],
                           {"GUNICORN_CMD_ARGS": flag})
                continue
            yield Case(name, "command line", "nothing", ["okapp", flag])
            for value in CLI_VALUES:
                yield Case(name, "command line", value, [flag, value])
                if flag.startswith("--") and value in ("", "5", "-x"):
                    yield Case(name, "command line", flag + "=" + value,
                               [flag + "=" + value])
            for value in ENV_VALUES:
                yield Case(name, "env args", value, [],
                           {"GUNICORN_CMD_ARGS": f"{flag} {value}"})


def prefix_cases(rows):
    """Every abbreviation of every long option."""
    words = {flag[:n] for _, flags, _, _ in rows for flag in flags
             if flag.startswith("--") for n in range(3, len(flag) + 1)}
    for word in sorted(words):
        yield Case(word, "abbreviation", word, ["okapp", word + "=1"])


def printed(text):
    """{setting: value} of --print-config."""
    found = {}
    for line in text.splitlines():
        m = re.match(r"(\w+) +=(?: (.*))?$", line)
        if m:
            found[m.group(1)] = m.group(2) or ""
    return found


def error_text(done):
    """What the run complained about, without program and source."""
    found = re.search(r"^\S+: error: (.*)", done["err"], re.M)
    if found:
        text = re.sub(r"^environment GUNICORN_CMD_ARGS: ", "", found.group(1))
        text = re.sub(r"; (did you mean|\w+ is for conf).*", "", text)
        if "could match" in text:  # the names come in another order
            head, names = text.split("could match ")
            text = head + "could match " + ", ".join(sorted(names.split(", ")))
        return text
    found = re.search(r"^Error: (.*)", done["err"], re.M)
    return found.group(1).strip() if found else None


def difference(case, theirs, ours):
    """What is not the same; None when all is."""
    if theirs["status"] != ours["status"]:
        return (f"status {theirs['status']} | {ours['status']}: "
                f"{theirs['err'].strip()[-200:]} | {ours['err'].strip()[-200:]}")
    a, b = error_text(theirs), error_text(ours)
    if (a is None) != (b is None) or (a is not None and not b.endswith(a)):
        return f"error {a!r} | {b!r}"
    rows = printed(theirs["out"])
    mine = printed(ours["out"])
    for name, value in rows.items():
        if name in ROWS and name != case.name:
            continue
        if name in ("wsgi_app", "config", "default_proc_name") and name != case.name:
            continue
        if mine.get(name) != value:
            return f"{name}: {value!r} | {mine.get(name)!r}"
    return None


class Theirs:
    def __init__(self, python, folder):
        driver = pathlib.Path(__file__).with_name("gunicorn_driver.py")
        self.process = subprocess.Popen(
            [python, str(driver), str(folder)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, env=environment())
        self.folder = folder

    def run(self, argv, env):
        self.process.stdin.write(json.dumps(
            {"argv": argv, "env": env, "cwd": str(self.folder)}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def environment(extra=None):
    env = {k: v for k, v in os.environ.items()
           if not re.match(r"C?GUNICORN|WEB_CONC|PORT\Z|FORWARDED|SENDFILE", k)}
    env.update({"LC_ALL": "C.UTF-8", "PYTHONWARNINGS": "ignore", "COLUMNS": "200"},
               **(extra or {}))
    return env


def run_ours(program, argv, env, folder):
    done = subprocess.run([program, *argv], cwd=folder, env=environment(env),
                          capture_output=True, text=True, timeout=60,
                          errors="backslashreplace")
    return {"status": done.returncode, "out": done.stdout, "err": done.stderr}


def arguments(case):
    app = [] if "okapp" in case.argv else ["okapp"]
    return ["--print-config", *case.argv, *app]


def compare(cases, theirs, program, folder):
    """Yields (case, what differs)."""
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        jobs = [(c, pool.submit(run_ours, program,
                                ["--show-secrets", *arguments(c)], c.env, folder))
                for c in cases]
        for n, (case, job) in enumerate(jobs, 1):
            if n % 1000 == 0:
                print(f"{n} compared", flush=True)
            text = difference(case, theirs.run(arguments(case), case.env),
                              job.result())
            if text is not None:
                yield case, text


def judge(found):
    """Prints what no known difference covers; how many differ, and these."""
    differ = unknown = 0
    for case, text in found:
        differ += 1
        line = f"{case}: gunicorn | cgunicorn: {text}"
        known = [d for d in DIFFERENCES if d.pattern.search(line)]
        for d in known:
            d.used += 1
        if not known:
            unknown += 1
            print(line, flush=True)
    return differ, unknown


def main(python, program=None, *names):
    folder = pathlib.Path(tempfile.mkdtemp())
    program = program or str(ROOT / "cgunicorn")
    try:
        (folder / "okapp.py").write_text(
            APP + "number = 5\n" + "".join(
                f"def {name}({args}):\n    pass\n" for name, args in (
                    ("one", "a"), ("two", "a, b"), ("three", "a, b, c"),
                    ("four", "a, b, c, d"))))
        configs = folder / "configs"
        configs.mkdir()
        rows = [r for r in settings_of(python) if not names or r[0] in names]
        cases = list(cases_of(rows, configs))
        if not names:
            cases += prefix_cases(rows)
        theirs = Theirs(python, folder)
        print(f"{len(cases)} cases", flush=True)
        differ, unknown = judge(compare(cases, theirs, program, folder))
        theirs.close()
    finally:
        shutil.rmtree(folder)
    print(f"{len(cases)} cases, {differ} differ, {unknown} of them for no "
          "known reason")
    unused = [d.reason for d in DIFFERENCES if not d.used and not names]
    for reason in unused:
        print(f"a difference that is none any more: {reason}")
    return 1 if unknown or unused else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
