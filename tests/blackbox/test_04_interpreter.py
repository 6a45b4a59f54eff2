# SPDX-License-Identifier: MIT
"""The embedded interpreter is what `python` would be there: its paths, flags,
encodings and signals, for every way to choose an environment."""
import json
import os
import shutil
import subprocess

import pytest

from harness import embedded
from harness.front import needs_module, needs_program
from harness.server import command, environment

# Run as a script by python, and imported as the application by us.
DUMP = """\
import json, locale, os, signal, site, sys, sysconfig

def stream(s):
    return [s.encoding, s.errors, s.line_buffering]

folder = os.path.dirname(os.path.abspath(__file__))
told = dict(
    path=[p for p in sys.path if p not in ("", folder)],
    prefix=sys.prefix, base_prefix=sys.base_prefix,
    exec_prefix=sys.exec_prefix, executable=sys.executable,
    base_executable=getattr(sys, "_base_executable", None),
    flags=str(sys.flags), warnoptions=sys.warnoptions, x=sys._xoptions,
    version=sys.version, bytecode=sys.dont_write_bytecode,
    pycache=sys.pycache_prefix,
    file_system=[sys.getfilesystemencoding(),
                 sys.getfilesystemencodeerrors()],
    streams=[stream(sys.stdin), stream(sys.stdout), stream(sys.stderr)],
    ctype=locale.setlocale(locale.LC_CTYPE), set=os.environ.get("LC_CTYPE"),
    preferred=locale.getpreferredencoding(False),
    user_site=site.ENABLE_USER_SITE,
    signals=[str(signal.getsignal(getattr(signal, s)))
             for s in ("SIGPIPE", "SIGXFSZ", "SIGINT")],
    paths={n: sysconfig.get_path(n)
           for n in ("purelib", "scripts", "stdlib", "include")},
)
with open(os.path.join(folder, "told.json"), "w") as f:
    json.dump(told, f)
app = print
"""
# of everything that changes an interpreter, the runner's own is kept out
VARIABLES = ("PYTHON", "VIRTUAL_ENV", "LC_", "LANG", "CGUNICORN_PYTHON",
             "CONDA_")
SYSTEM = "/usr/local/bin:/usr/bin:/bin"
MANY = {
    "PYTHONPATH": "/a:/b", "PYTHONOPTIMIZE": "1", "PYTHONHASHSEED": "0",
    "PYTHONWARNINGS": "error::UserWarning", "PYTHONUNBUFFERED": "1",
    "PYTHONNOUSERSITE": "1", "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONPYCACHEPREFIX": "/nowhere", "PYTHONFAULTHANDLER": "1",
    "PYTHONIOENCODING": "latin-1:replace", "PYTHONTRACEMALLOC": "0",
    "PYTHONDEVMODE": "1", "PYTHONSAFEPATH": "1",
}


def base():
    """The interpreter that the binary was built for."""
    return embedded.told(True)["executable"]


def variables(folder, extra):
    env = {k: v for k, v in environment(folder).items()
           if not k.startswith(VARIABLES)}
    env["PATH"] = SYSTEM
    return {k: str(v) for k, v in {**env, **extra}.items() if v is not None}


def ask(argv, folder, env):
    done = subprocess.run(argv, cwd=folder, env=env, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == 0, (argv, done.stderr.decode())
    told = json.loads((folder / "told.json").read_text())
    (folder / "told.json").unlink()
    return told


@pytest.fixture
def same(tmp_path):
    """same(python, **variables): both tell the same of themselves."""
    def compare(python=None, program=None, options=(), **extra):
        (tmp_path / "dump.py").write_text(DUMP)
        env = variables(tmp_path, extra)
        theirs = ask([python or base(), "dump.py"], tmp_path, env)
        ours = ask([*(program or command()), *options, "--check-config",
                    "dump:app"], tmp_path, env)
        assert ours == theirs
        return ours
    return compare


@pytest.fixture
def venv(tmp_path):
    def make(*options):
        subprocess.run([base(), "-m", "venv", "--without-pip", *options,
                        str(tmp_path / "v")], check=True,
                       env=variables(tmp_path, {}), stdin=subprocess.DEVNULL)
        return tmp_path / "v"
    return make


@pytest.mark.parametrize("extra", [
    {}, {"LANG": "C"}, {"LC_ALL": "C"}, {"LANG": "C.UTF-8"},
    {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0"},
    {"PYTHONUTF8": "1", "LANG": "C"},
    {"PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"},
    {"PYTHONPATH": "lib:/b"}, MANY, {"HOME": None, "PATH": None}],
    ids=lambda extra: ",".join(extra)[:60] or "plain")
def test_it_is_the_interpreter_it_was_built_for(same, extra):
    same(**extra)


def test_pythonhome_counts(same):
    same(PYTHONHOME=embedded.told(True)["base_prefix"])


@needs_program
def test_an_active_environment_is_used(same, venv):
    root = venv()
    told = same(root / "bin/python3", VIRTUAL_ENV=root,
                PATH=f"{root}/bin:{SYSTEM}")
    assert told["prefix"] == str(root)


@needs_program
def test_an_environment_that_is_first_on_path_is_used(same, venv):
    root = venv()
    told = same(root / "bin/python3", PATH=f"{root}/bin:{SYSTEM}")
    assert told["prefix"] == str(root)


@needs_program
@pytest.mark.parametrize("option", ["--system-site-packages", "--copies"])
def test_environments_of_other_kinds_are_used(same, venv, option):
    root = venv(option)
    same(root / "bin/python3", VIRTUAL_ENV=root)


@needs_program
def test_a_named_environment_is_used(same, venv):
    root = venv()
    same(root / "bin/python3", options=["--python", str(root)])
    same(root / "bin/python3", options=["--python", f"{root}/bin/python3"])
    same(root / "bin/python3", CGUNICORN_PYTHON=root)


@needs_program
@pytest.mark.parametrize("how", [
    {"options": ["--python", "v"]}, {"options": ["--python", "./v"]},
    {"options": ["--python", "v/bin/python3"]}, {"CGUNICORN_PYTHON": "./v"},
    {"VIRTUAL_ENV": "v"}, {"PATH": f"v/bin:{SYSTEM}"},
], ids=str)
def test_a_relative_environment_is_absolute_in_python(same, venv, how):
    """Else sys.executable would be another file, or none, after --chdir."""
    root = venv()
    told = same(root / "bin/python3", **how)
    assert told["executable"] == f"{root}/bin/python3"


@needs_program
@pytest.mark.parametrize("way", ["copied", "linked"])
def test_an_environment_around_the_binary_is_used(same, venv, way):
    root = venv()
    binary = command()[0]
    if way == "copied":
        shutil.copy(binary, root / "bin/cgunicorn")
    else:
        os.symlink(os.path.realpath(binary), root / "bin/cgunicorn")
    same(root / "bin/python3", program=[str(root / "bin/cgunicorn")])


@needs_program
def test_an_environment_of_another_version_is_told(run, tmp_path):
    (tmp_path / "v/bin").mkdir(parents=True)
    (tmp_path / "v/pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.2.1\n")
    done = run("--check-config", "dump:app", files={"dump.py": DUMP},
               env={"VIRTUAL_ENV": tmp_path / "v", "CGUNICORN_PYTHON": None})
    assert done.status == 1
    assert "3.2" in done.err and str(tmp_path / "v") in done.err
    assert "make PYTHON=" in done.err


@needs_program
def test_an_environment_without_its_interpreter_is_told(run, venv, tmp_path):
    root = venv()
    for link in root.glob("bin/python*"):
        link.unlink()
    done = run("--check-config", "dump:app", files={"dump.py": DUMP},
               env={"VIRTUAL_ENV": root, "CGUNICORN_PYTHON": None})
    assert done.status == 1
    done.line_with(str(root), "bin/python3", "home = ")


def test_an_environment_that_is_none_is_told(run, tmp_path):
    done = run("--python", "missing", "--check-config", "dump:app",
               files={"dump.py": DUMP})
    assert done.status == 1
    done.line_with("--python", "missing")


@pytest.mark.parametrize("word", ["shop:app", "nosuch:app"])
def test_a_module_that_is_missing_with_its_environment_is_told(run, word):
    """A build in a virtual environment that was removed since."""
    done = run("--check-config", "-c", "conf.py", word, files={
        "conf.py": "import sys\nsys.executable = '/gone/bin/python3'\n",
        "shop.py": "import nosuch\n"}, announced=["Traceback", "nosuch"])
    assert done.status == 1 and "No module named 'nosuch'" in done.err
    assert "is gone (/gone/bin/python3): activate another" in done.err


@needs_module
def test_the_environment_of_the_module_may_be_named(same):
    python = embedded.executable()
    same(options=["--python", python])
    same(options=["--python", os.path.dirname(os.path.dirname(python))])
    same(CGUNICORN_PYTHON=python)


@needs_module
@pytest.mark.parametrize("way", ["option", "variable"])
def test_another_environment_than_the_module_s_is_refused(run, venv, way):
    python = str(venv() / "bin/python3")
    option, variable = ([], python) if way == "variable" else (["--python", python], None)
    done = run(*option, "--check-config", "dump:app", files={"dump.py": DUMP},
               env={"CGUNICORN_PYTHON": variable})
    assert done.status == 1
    done.line_with(python, embedded.executable(), "-m cgunicorn")


def test_processes_of_the_application_are_pythons(server):
    """multiprocessing's children run sys.executable, which is no server."""
    s = server("spawn:app", files={"tasks.py": """\
def double(x):
    return 2 * x
""", "spawn.py": """\
import multiprocessing
import tasks

def app(environ, start_response):
    method = environ["QUERY_STRING"]
    context = multiprocessing.get_context(method)
    with context.Pool(1) as pool:
        found = pool.map(tasks.double, [1, 2, 3])
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [repr(found).encode()]
"""})
    for method in ("fork", "spawn"):
        assert s.get(f"/?{method}").body == b"[2, 4, 6]"


def test_a_child_of_the_application_ends_at_term(server):
    """As multiprocessing ends its own; the worker's handlers are not its."""
    s = server("spawn:app", files={"spawn.py": """\
import os, signal, time

def app(environ, start_response):
    pid = os.fork()
    if pid == 0:
        os.write(write, b"x")
        time.sleep(60)
        os._exit(1)
    os.read(read, 1)
    os.kill(pid, signal.SIGTERM)
    status = os.waitpid(pid, 0)[1]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d" % os.WTERMSIG(status)]

read, write = os.pipe()
"""})
    assert s.get("/").body == b"15"
    assert s.get("/").body == b"15"
