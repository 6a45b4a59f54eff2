# SPDX-License-Identifier: MIT
"""What a release consists of: the source archive builds a module with others' sources
(`make sources`) inside and hidden, which serves HTTP/2; and the wheels in dist/, which
`make wheels` has made, are what their names promise."""
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest

from harness import classes, embedded
from harness.h2wire import DATA, END_STREAM, HEADERS, connect
from harness.server import ROOT, environment

pytestmark = pytest.mark.skipif(
    bool(classes.under_test() != "sync" or classes.multithread()), reason="once is enough")
sys.path.insert(0, str(ROOT / "tools/package"))
import audit  # noqa: E402

WHEELS = sorted((ROOT / "dist").glob("*.whl"))
MOST = 1500000  # bytes of a wheel
H2 = ("--http-protocols", "h2,h1", "--http2-cleartext", "prior-knowledge")
HELLO = """\
def app(environ, start_response):
    body = environ["SERVER_PROTOCOL"].encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


def done(*words, **more):
    if "input" not in more:
        more["stdin"] = subprocess.DEVNULL
    found = subprocess.run(words, capture_output=True, text=True, **more)
    assert found.returncode == 0, found.stdout + found.stderr
    return found


def new_venv(python, root):
    done(python, "-m", "venv", "--without-pip", root)
    return root


def pip_of(python):
    """The wheel of pip that every Python brings."""
    code = ("import ensurepip, glob, os\n"
            "for d in (os.path.join(os.path.dirname(ensurepip.__file__), '_bundled'),\n"
            "          '/usr/share/python-wheels'):\n"
            "    for w in glob.glob(os.path.join(d, 'pip-*.whl')): print(w)")
    found = subprocess.run([python, "-c", code], capture_output=True, text=True)
    if not found.stdout:
        pytest.skip(f"{python} brings no pip (Debian: python3-venv)")
    return found.stdout.splitlines()[0] + "/pip"


def installed(python, root, wheel):
    new_venv(python, root)
    done(root / "bin/python", pip_of(python), "install", "-q", "--no-index",
         "--disable-pip-version-check", "--no-cache-dir", wheel, env=environment(root))
    return root


def files(root):
    return {p for p in root.rglob("*") if "__pycache__" not in p.parts and not p.is_dir()}


def serves_http2(server, root):
    s = server(*H2, "shop:app", files={"shop.py": HELLO}, program=[str(root / "bin/cgunicorn")])
    assert s.get("/").status == 400, "HTTP/1, of which prior knowledge says nothing"
    c = connect(s)
    stream = c.request("/")
    c.until(HEADERS, stream)
    assert c.until(DATA, stream, END_STREAM)[3] == b"HTTP/2.0"
    c.close()
    assert s.stop() == 0


@pytest.fixture(scope="module")
def python():
    return embedded.told(True)["executable"]


@pytest.fixture(scope="module")
def from_sources(python, tmp_path_factory):
    """(wheel, what its build said), built from the source archive."""
    if not (ROOT / "third_party/.complete").exists():
        pytest.skip("others' sources are not here: make sources")
    if shutil.which("make") is None or shutil.which("strip") is None:
        pytest.skip("there is no make or no strip")
    folder = tmp_path_factory.mktemp("sources")

    def backend(root, call):
        code = "import sys; sys.path.insert(0, sys.argv[1]); import backend; print(backend.%s)"
        return done(python, "-c", code % call, root / "tools/package", cwd=folder,
                    env=environment(folder))

    name = backend(ROOT, "build_sdist('.')").stdout.splitlines()[-1]
    with tarfile.open(folder / name) as tar:
        tar.extractall(folder)
    built = backend(folder / name[:-len(".tar.gz")], "build_wheel('.')")
    return folder / built.stdout.splitlines()[-1], built.stderr


def test_the_source_archive_builds_a_module_that_needs_libc_alone(from_sources, tmp_path):
    wheel, said = from_sources
    assert "no HTTP/2" not in said
    assert audit.check_wheel(str(wheel)) == []
    assert wheel.stat().st_size <= MOST
    with zipfile.ZipFile(wheel) as z:
        module, = (n for n in z.namelist() if n.endswith(".so"))
        symbols = done("nm", "-D", z.extract(module, tmp_path)).stdout
    assert not re.search(r"nghttp2_|yaml_|http_parser|inflate", symbols)


def test_it_serves_http2_and_leaves_nothing_behind(server, from_sources, python, tmp_path):
    root = new_venv(python, tmp_path / "venv")
    before = files(root)
    done(root / "bin/python", pip_of(python), "install", "-q", "--no-index", "--no-cache-dir",
         from_sources[0], env=environment(root))
    serves_http2(server, root)
    done(root / "bin/python", pip_of(python), "uninstall", "-q", "--yes", "cgunicorn",
         env=environment(root))
    assert files(root) == before


def test_a_build_without_http2_says_so(python, tmp_path):
    """The one line of make that tells it, when no archive can be taken."""
    said = done("make", "-n", "-B", f"PYTHON={python}", "FRONT=module", "HTTP2=",
                f"OUT={tmp_path}", "module", cwd=ROOT).stdout
    assert "this module has no HTTP/2" in said and "make sources" in said


@pytest.mark.parametrize("code, taken", [
    ("int Py_BytesMain(int n, char **words) { return n; }", True),
    ("int py_hash(void); int Py_BytesMain(int n, char **words) { return py_hash(); }", False),
], ids=["whole", "incomplete"])
def test_an_archive_of_debians_python_is_linked_where_it_is_whole(tmp_path, code, taken):
    """That of Debian 13 lacks what Python's own hashes are made of: there it is the
    shared library, or `make` would end with what the linker says."""
    if shutil.which("make") is None or shutil.which("gcc") is None:
        pytest.skip("there is no make or no gcc")
    done("gcc", "-w", "-x", "c", "-c", "-o", tmp_path / "o.o", "-", input=code)
    for name in ("libpython3.99.a", "libpython3.99-pic.a"):
        done("ar", "rc", tmp_path / name, tmp_path / "o.o")
    told = f"exe=python3.99 abi=3.99 shared=1 tag=x suffix=.so libpl={tmp_path} libdir={tmp_path}"
    said = done("make", "-s", f"PYASK={told}", "--eval=told: ; @echo static=$(STATIC)", "told",
                cwd=ROOT).stdout
    assert f"static={int(taken)}\n" in said


def test_what_was_compiled_with_other_flags_is_compiled_again(python, tmp_path):
    """As by `make sources`, behind which a module has HTTP/2."""
    if shutil.which("make") is None or shutil.which("gcc") is None:
        pytest.skip("there is no make or no gcc")
    made = tmp_path / "core/base/clock.o"

    def make(*words):
        done("make", f"PYTHON={python}", f"OUT={tmp_path}", *words, made, cwd=ROOT,
             env={k: v for k, v in os.environ.items() if not k.startswith("MAKE")})
        return made.stat().st_mtime_ns

    first = make()
    assert make() == first
    second = make("OPT=-O1 -DCG_OTHER='\"x\"'")
    assert second != first
    assert make("OPT=-O1 -DCG_OTHER='\"x\"'") == second


@pytest.mark.skipif(not WHEELS, reason="dist/ has no wheels: make wheels")
def test_wheels_are_what_their_names_promise():
    for wheel in WHEELS:
        check_wheel(wheel)


def check_wheel(wheel):
    assert audit.check_wheel(str(wheel)) == [], wheel.name
    assert wheel.stat().st_size <= MOST
    tag = wheel.stem.split("-", 2)[2]
    with zipfile.ZipFile(wheel) as z:
        info, = (n for n in z.namelist() if n.endswith(".dist-info/WHEEL"))
        text = z.read(info).decode()
    python, abi, platforms = tag.split("-")
    assert re.findall(r"^Tag: (.*)$", text, re.M) == [
        f"{python}-{abi}-{p}" for p in platforms.split(".")]


def tag_of(python):
    return done(python, "-c", "import sys, sysconfig as s; print('cp%d%d' % sys.version_info"
                "[:2] + ('t' if s.get_config_var('Py_GIL_DISABLED') else ''))").stdout.strip()


def test_the_wheel_for_this_python_serves(server, python, tmp_path):
    abi = tag_of(python)
    found = [w for w in WHEELS if f"-{abi}-manylinux" in w.name
             and w.name.endswith(os.uname().machine + ".whl")]
    if not found:
        pytest.skip(f"dist/ has no wheel for {abi} and this machine: make wheels")
    serves_http2(server, installed(python, tmp_path / "venv", found[0]))
