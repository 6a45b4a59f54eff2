# SPDX-License-Identifier: MIT
"""What `pip install .` and its kin make of the tree: wheel, sources, editable
install; all without an index."""
import base64
import csv
import hashlib
import io
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest

from harness import embedded, h2wire, processes
from harness.server import ROOT, environment
from harness.waiting import until

HELLO = """\
import sys
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [repr((sys.prefix, sys.flags.dev_mode, sys.path)).encode()]
"""
# libc's own libraries, and its loader
LIBC = re.compile(r"(libc|libpthread|libm|libdl|librt|libutil)\.so\.\d|"
                  r"ld-linux\S*\.so\.\d|libc\.musl-\S+\.so\.1")


@pytest.fixture(scope="module")
def python():
    """The interpreter of the program under test, outside of environments."""
    return embedded.told(True)["executable"]


def backend(python, folder, call, root=ROOT):
    """Runs a hook of the build backend as installers do."""
    code = ("import sys; sys.path.insert(0, sys.argv[1]); import backend; "
            f"print(backend.{call})")
    done = subprocess.run([python, "-c", code, str(root / "tools/package")], cwd=folder,
                          capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          env=environment(folder))
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def wheel(python, tmp_path_factory):
    if shutil.which("make") is None or shutil.which("strip") is None:
        pytest.skip("there is no make or no strip")
    folder = tmp_path_factory.mktemp("wheel")
    return folder / backend(python, folder, "build_wheel('.')")


@pytest.fixture(scope="module")
def module(wheel, tmp_path_factory):
    """The extension module, taken out of the wheel."""
    with zipfile.ZipFile(wheel) as z:
        name, = (n for n in z.namelist() if n.endswith(".so"))
        return z.extract(name, tmp_path_factory.mktemp("module"))


@pytest.fixture(scope="module")
def pip(python):
    """pip(environment, *words), by the wheel of pip that every Python brings."""
    code = ("import ensurepip, glob, os\n"
            "for d in (os.path.join(os.path.dirname(ensurepip.__file__), '_bundled'),\n"
            "          '/usr/share/python-wheels'):\n"
            "    for w in glob.glob(os.path.join(d, 'pip-*.whl')): print(w)")
    found = subprocess.run([python, "-c", code], capture_output=True, text=True)
    if not found.stdout:
        pytest.skip(f"{python} brings no pip (Debian: python3-venv)")
    program = found.stdout.splitlines()[0] + "/pip"

    def run(root, *words):
        done = subprocess.run(
            [root / "bin/python", program, "--disable-pip-version-check", *words],
            capture_output=True, text=True, env=environment(root), cwd=root,
            stdin=subprocess.DEVNULL)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout
    return run


def new_venv(python, root):
    subprocess.run([python, "-m", "venv", "--without-pip", root], check=True)
    return root


@pytest.fixture
def venv(python, tmp_path):
    return new_venv(python, tmp_path / "venv")


@pytest.fixture
def install(pip):
    def run(root, *what):
        return pip(root, "install", "--no-index", "--no-cache-dir", *what)
    return run


@pytest.fixture(scope="module")
def installed(python, pip, wheel, tmp_path_factory):
    """An environment with the wheel in it."""
    root = new_venv(python, tmp_path_factory.mktemp("installed") / "venv")
    pip(root, "install", "--no-index", "--no-cache-dir", wheel)
    return root


def output(*words, **more):
    return subprocess.run(words, capture_output=True, text=True, check=True, **more).stdout


def files(root):
    return {str(p.relative_to(root)) for p in root.rglob("*")
            if "__pycache__" not in p.parts and not p.is_dir()}


def version():
    return re.search(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.M)[1]


# ---- the description ----

def test_the_project_file_is_read_as_toml_reads_it(python):
    """The reader for Pythons that have none."""
    tomllib = pytest.importorskip("tomllib", reason="Python before 3.11")
    theirs = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = theirs["project"]
    flat = {"build-system": theirs["build-system"],
            "project.optional-dependencies": project.pop("optional-dependencies"),
            "project.entry-points.paste.server_runner":
                project.pop("entry-points")["paste.server_runner"],
            "project": project}
    sys.path.insert(0, str(ROOT / "tools/package"))
    try:
        import project as ours
    finally:
        sys.path.pop(0)
    assert ours.TABLES == flat
    for bad in ("x = 1", "[a]\nx = {b = 1}", "[a]\nx = [\n\"b\",", "[a]\nx", "[a]\nx = 3"):
        with pytest.raises(ours.Malformed):
            ours.parse(bad)


def test_the_version_has_one_place(run):
    assert run("--version").out.splitlines()[0].endswith(f"(version {version()})")
    others = [name for name in ("Makefile", "python/cgunicorn/__init__.py",
                                "tools/package/project.py", "tools/package/wheel.py")
              if version() in (ROOT / name).read_text()]
    assert others == []


# ---- the wheel ----

def test_the_list_of_the_wheel_is_true(wheel):
    with zipfile.ZipFile(wheel) as z:
        info = f"cgunicorn-{version()}.dist-info/"
        listed = list(csv.reader(io.StringIO(z.read(info + "RECORD").decode())))
        assert sorted(row[0] for row in listed) == sorted(z.namelist())
        for name, digest, size in listed:
            if name != info + "RECORD":
                data = z.read(name)
                found = base64.urlsafe_b64encode(hashlib.sha256(data).digest())
                assert (digest, size) == ("sha256=" + found.rstrip(b"=").decode(),
                                          str(len(data))), name
        assert {info + n for n in ("METADATA", "WHEEL",
                                   "licenses/LICENSE")} <= set(z.namelist())
        tags = re.findall(r"^Tag: (.*)$", z.read(info + "WHEEL").decode(), re.M)
    assert tags == [wheel.stem.split("-", 2)[2]]


def test_the_wheel_is_small(wheel):
    assert wheel.stat().st_size <= 1500000


def test_the_module_needs_nothing_but_libc(module):
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", output("readelf", "-d", module))
    assert needed and all(LIBC.fullmatch(name) for name in needed), needed


def test_the_module_shows_nothing_but_its_entry(module):
    """Other extensions carry http-parser and libyaml too."""
    shown = output("nm", "-D", "--defined-only", module).split("\n")
    assert [line.split()[-1] for line in shown if line] == ["PyInit__cgunicorn",
                                                               "PyInit__cgunicorn_gil"]


def test_a_wheel_serves_and_leaves_nothing_behind(server, venv, wheel, pip, install):
    before = files(venv)
    install(venv, wheel)
    program = str(venv / "bin/cgunicorn")
    s = server("shop:app", files={"shop.py": HELLO}, program=[program])
    prefix, dev, path = eval(s.get("/").body)
    assert (prefix, dev) == (str(venv), False)
    assert path[0] == str(s.folder) and str(venv / "bin") not in path
    assert processes.command_line(s.pid) == "gunicorn: master [shop:app]"
    assert s.stop() == 0
    pip(venv, "uninstall", "--yes", "cgunicorn")
    assert files(venv) == before


def test_a_module_speaks_http2_or_says_how_it_gets_to(server, installed):
    s = server("--http-protocols", "h2,h1", "--http2-cleartext", "prior-knowledge", "shop:app",
               files={"shop.py": HELLO}, program=[str(installed / "bin/cgunicorn")])
    if "this build has no HTTP/2" in s.log():  # the archives of Debian 12
        assert "run `make sources` in its checkout and `pip install .` again" in s.log()
        assert s.get("/").status == 200
    else:
        connection = h2wire.connect(s)
        stream = connection.request("/")
        connection.until(h2wire.HEADERS, stream)
        connection.close()


def test_extras_are_gunicorn_s(wheel):
    with zipfile.ZipFile(wheel) as z:
        text = z.read(f"cgunicorn-{version()}.dist-info/METADATA").decode()
    extras = re.findall(r"^Provides-Extra: (.*)$", text, re.M)
    assert set(extras) >= {"gevent", "eventlet", "tornado", "gthread", "setproctitle",
                           "asgi"}
    assert re.findall(r"^Requires-Dist: (?!.*extra ==).*$", text, re.M) == []


def test_the_command_costs_little_more_than_python(installed):
    """In instructions, since the machine may have other things to do."""
    if shutil.which("valgrind") is None:
        pytest.skip("there is no valgrind")
    python = str(installed / "bin/python")

    def instructions(*words):
        done = subprocess.run(
            ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", python,
             *words], capture_output=True, text=True, env=environment(installed))
        assert done.returncode == 0, done.stderr
        return int(re.search(r"Collected : (\d+)", done.stderr)[1])

    instructions("-m", "cgunicorn", "--version")  # bytecode is written
    plain = instructions("-c", "pass")
    ours = instructions(str(installed / "bin/cgunicorn"), "--version")
    assert ours <= 1.5 * plain


# ---- the module's own ways ----

def test_upgrade_keeps_the_options_of_python(server, installed):
    s = server("shop:app", "--pid", "shop.pid", files={"shop.py": HELLO},
               program=[str(installed / "bin/python"), "-X", "dev", "-m", "cgunicorn"])
    assert eval(s.get("/").body)[1] is True
    s.signal("USR2")
    new = int(until(lambda: _text(s.folder / "shop.pid.2"), lambda: s.tail()))
    until(lambda: processes.children(new), lambda: s.tail())
    assert s.stop() == 0
    s.wait_log("Master has been promoted")
    prefix, dev, path = eval(s.get("/").body)
    assert (prefix, dev) == (str(installed), True)
    os.kill(new, 15)
    assert processes.reap(new) == 0


def _text(path):
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


def test_it_runs_once_and_in_the_main_thread(installed, tmp_path):
    (tmp_path / "t.py").write_text("""\
import _cgunicorn, threading
def go():
    try:
        _cgunicorn.main(["x", "--version"], ["x"])
    except RuntimeError as e:
        print(e, flush=True)
t = threading.Thread(target=go)
t.start()
t.join()
go()
go()
""")
    told = output(str(installed / "bin/python"), str(tmp_path / "t.py")).splitlines()
    assert "main thread" in told[0]
    assert "version" in told[1]
    assert "already" in told[-1]


def test_words_that_are_none_are_refused(installed):
    told = output(str(installed / "bin/python"), "-c", """\
import _cgunicorn
for args in ([], ["x"]), (["x"], []), ([1], ["x"]), (["a\\0b"], ["x"]), ("x", ["x"]):
    try:
        print(_cgunicorn.main(*args))
    except (TypeError, ValueError) as e:
        print("refused", e)
""")
    assert told.count("refused") == 5, told


# ---- the tree ----

def test_an_editable_install_serves_from_the_tree(server, venv, install):
    install(venv, "-e", str(ROOT))
    python = str(venv / "bin/python")
    where = output(python, "-c", "import cgunicorn; print(cgunicorn.__file__)")
    assert where.strip() == str(ROOT / "python/cgunicorn/__init__.py")
    s = server("shop:app", files={"shop.py": HELLO}, program=[str(venv / "bin/cgunicorn")])
    assert s.get("/").status == 200


def test_the_source_archive_has_all_that_a_build_needs(python, tmp_path):
    (tmp_path / "out").mkdir()
    name = backend(python, tmp_path, "build_sdist('out')")
    with tarfile.open(tmp_path / "out" / name) as tar:
        members = tar.getnames()
        tar.extractall(tmp_path)
    root = tmp_path / f"cgunicorn-{version()}"
    assert f"{root.name}/PKG-INFO" in members
    for wanted in ("Makefile", "pyproject.toml", "LICENSE", "README.md",
                   "config/settings.def", "core/py/embed.py", "tools/package/backend.py",
                   "python/cgunicorn/__main__.py", "tests/blackbox/conftest.py"):
        assert f"{root.name}/{wanted}" in members, wanted
    plan = output("make", "-n", f"PYTHON={python}", "FRONT=module", "module", cwd=root)
    theirs = output("make", "-n", "-B", f"PYTHON={python}", "FRONT=module", "module",
                    cwd=ROOT)
    compiled = re.compile(r"^gcc .*-c -o \S+ (\S+\.c)$", re.M)
    assert compiled.findall(plan) == compiled.findall(theirs) != []
    # the archive of the unpacked archive is the same one
    again = backend(python, tmp_path, "build_sdist('.')", root=pathlib.Path(root))
    with tarfile.open(tmp_path / again) as tar:
        assert sorted(tar.getnames()) == sorted(members)


def test_a_setting_that_is_no_variable_is_refused(python, tmp_path):
    code = ("import sys; sys.path.insert(0, sys.argv[1]); import backend; "
            "backend.build_wheel('.', {'--what': 'x'})")
    done = subprocess.run([python, "-c", code, str(ROOT / "tools/package")], cwd=tmp_path,
                          capture_output=True, text=True)
    assert done.returncode == 1
    assert "--what" in done.stderr and "NAME=VALUE" in done.stderr


# ---- wheels for other systems ----

@pytest.fixture(scope="module")
def audit():
    sys.path.insert(0, str(ROOT / "tools/package"))
    try:
        import audit
    finally:
        sys.path.pop(0)
    return audit


def test_the_audit_finds_nothing_at_the_module(audit, module):
    machine = os.uname().machine
    assert audit.problems(module, [f"linux_{machine}"]) == []


def test_the_audit_finds_what_breaks_a_promise(audit, module, tmp_path):
    machine = os.uname().machine
    other = {"x86_64": "aarch64"}.get(machine, "x86_64")
    assert any("the tag for" in p for p in audit.problems(module, [f"linux_{other}"]))
    old = audit.problems(module, [f"manylinux_2_5_{machine}"])
    assert any("needs a newer glibc" in p for p in old)
    assert any("linked with glibc" in p
               for p in audit.problems(module, [f"musllinux_1_2_{machine}"]))
    if shutil.which("gcc") is None:
        pytest.skip("there is no gcc to make a bad module")
    (tmp_path / "bad.c").write_text(
        "#include <zlib.h>\nextern int _Py_Secret(void);\nint PyInit__cgunicorn(void);\n"
        "int shown(void);\nint shown(void) { return _Py_Secret(); }\n"
        "int PyInit__cgunicorn(void) { return (int)(long)zlibVersion(); }\n")
    done = subprocess.run(["gcc", "-shared", "-fPIC", "-o", "bad.so", "bad.c", "-lz",
                           "-Wl,-rpath,/opt/x"], cwd=tmp_path, capture_output=True)
    assert done.returncode == 0, done.stderr
    found = "\n".join(audit.problems(str(tmp_path / "bad.so"), [f"linux_{machine}"]))
    for text in ("needs libz.so", "shows", "_Py_Secret", "RPATH"):
        assert text in found


def test_what_made_a_release_is_written_down(python, tmp_path, wheel):
    if not (ROOT / "third_party/.complete").exists():
        pytest.skip("others' sources are not here: make sources")
    shutil.copy(wheel, tmp_path)
    output(python, str(ROOT / "tools/package/release.py"), "finish", str(tmp_path))
    sums = dict(reversed(line.split("  "))
                for line in (tmp_path / "SHA256SUMS").read_text().splitlines())
    for name, digest in sums.items():
        assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == digest
    assert set(sums) == {wheel.name, "sbom.cdx.json"}
    bill = json.loads((tmp_path / "sbom.cdx.json").read_text())
    assert {"http-parser", "libyaml", "nghttp2", "zlib", wheel.name} == {
        c["name"] for c in bill["components"]}


def test_third_parties_licences_are_theirs():
    if not (ROOT / "third_party/.complete").exists():
        pytest.skip("others' sources are not here: make sources")
    text = (ROOT / "LICENSE.third-party").read_text()
    for name in ("http-parser/LICENSE-MIT", "libyaml/License", "zlib/LICENSE"):
        assert (ROOT / "third_party" / name).read_text() in text
    # behind its licence it has words for those who contribute
    nghttp2 = (ROOT / "third_party/nghttp2/COPYING").read_text().partition("[The text below")[0]
    assert " ".join(nghttp2.split()) in " ".join(text.split())


# ---- installed without pip ----

def test_install_takes_what_was_built_and_uninstall_leaves_nothing(tmp_path):
    """Another Python than make would choose: as sudo forgets an environment."""
    built = tmp_path / "built"
    built.write_text("#!/bin/sh\necho 'cgunicorn (version 9)'; echo 'Python 3.99, /x/python3'\n")
    built.chmod(0o755)

    def make(goal):
        return output("make", f"BUILT={built}", "PREFIX=/opt/x", f"DESTDIR={tmp_path}",
                      "PYTHON=/bin/false", goal, cwd=ROOT)
    told = make("install")
    assert "/opt/x/bin/cgunicorn" in told and "Python 3.99, /x/python3" in told
    assert (tmp_path / "opt/x/bin/cgunicorn").read_bytes() == built.read_bytes()
    make("uninstall")
    assert [p for p in (tmp_path / "opt").rglob("*") if not p.is_dir()] == []
    assert not (tmp_path / "opt/x/share/doc/cgunicorn").exists()


def test_the_debian_package_has_what_it_should_and_serves(server, tmp_path):
    needed = ("dpkg-deb", "dpkg-shlibdeps", "dpkg-architecture", "make", "gcc")
    missing = [n for n in needed if shutil.which(n) is None]
    if missing or not (ROOT / "cgunicorn").exists():
        pytest.skip(f"missing: {missing or 'a build'}")
    if embedded.told(True)["executable"] != "/usr/bin/python3":
        pytest.skip("it is made for the system's own Python, which is not under test")
    env = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    done = subprocess.run([ROOT / "tools/deb", tmp_path], capture_output=True, text=True,
                          cwd=ROOT, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    deb, = tmp_path.glob("*.deb")
    names = set(re.findall(r"\./(\S+)$", output("dpkg-deb", "-c", deb), re.M))
    assert names >= {"usr/bin/cgunicorn", "usr/share/man/man1/cgunicorn.1.gz",
                     "lib/systemd/system/cgunicorn@.service", "etc/default/cgunicorn",
                     "usr/share/doc/cgunicorn/copyright",
                     "usr/share/bash-completion/completions/cgunicorn"}
    control = output("dpkg-deb", "-f", deb)
    assert f"Version: {version()}-1\n" in control
    assert re.search(r"^Depends: .*libc6.*python3 \(>= 3\.\d+\), python3 \(<< 3\.\d+\)$",
                     control, re.M)
    if shutil.which("lintian"):
        found = subprocess.run(["lintian", "--fail-on=none", deb], text=True,
                               capture_output=True).stdout
        assert re.findall(r"^[EW]: .*", found, re.M) == []
    output("dpkg-deb", "-x", deb, tmp_path / "root")
    s = server("shop:app", files={"shop.py": HELLO},
               program=[str(tmp_path / "root/usr/bin/cgunicorn")])
    assert s.get("/").status == 200


def test_the_image_is_small_unprivileged_and_in_stages():
    """No daemon builds it here: its text is looked at."""
    text = (ROOT / "sample_configs/docker/Dockerfile").read_text()
    instructions = re.findall(r"^([A-Z]+) (.*)$", text.replace("\\\n", " "), re.M)
    words = [word for word, _ in instructions]
    assert words.count("FROM") == 2 and words.index("USER") > words.index("FROM", 2)
    assert ("USER", "app") in instructions
    last = max(i for i, w in enumerate(words) if w == "FROM")
    assert not any("gcc" in rest for _, rest in instructions[last:])
    for word, rest in instructions:
        if word == "COPY":
            source = rest.split()[-2]
            if source.startswith("/src/"):
                assert (ROOT / source[5:]).exists(), source
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {".git", "build", "dist"} <= set(ignored)
