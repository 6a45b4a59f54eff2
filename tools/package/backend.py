# SPDX-License-Identifier: MIT
"""The build backend (PEP 517 and 660): the Makefile builds, this packs.

It needs gcc, make, Python's headers and the archives of libyaml and
http-parser, or their sources in third_party/ (`make sources`); nothing from an
index. Settings are variables of the Makefile: pip install . -C CC=clang
"""
import fcntl
import gzip
import io
import os
import subprocess
import sys
import sysconfig
import tarfile
import tempfile

import project
from wheel import Wheel, info_files, source_date

PACKAGE = os.path.join(project.ROOT, "python", "cgunicorn")
MODULE = "_cgunicorn"
# settings that installers pass to every backend
FOREIGN = ("--global-option", "--build-option", "editable_mode")


def suffix():
    return sysconfig.get_config_var("EXT_SUFFIX") or ".so"


def tag():
    """That of the interpreter that runs this, on this system."""
    version = "cp%d%d" % sys.version_info[:2]
    threads = "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    return f"{version}-{version}{threads}-{platform}"


# ---- make ----

def _variables(settings):
    given = []
    for name, value in (settings or {}).items():
        if name in FOREIGN:
            continue
        if not name.isidentifier() or not isinstance(value, str):
            raise SystemExit(f"cgunicorn: the setting {name!r} is no variable of the "
                             "Makefile: give it as NAME=VALUE")
        given.append(f"{name}={value}")
    return given


def make(out, settings=None):
    """Builds the module for this interpreter; returns its file."""
    path = os.path.join(out, MODULE + suffix())
    command = ["make", "-C", project.ROOT, "--no-print-directory",
               "-j%d" % (os.cpu_count() or 1), "FRONT=module", "STRICT=",
               "PYTHON=" + sys.executable, "OUT=" + out, "module"]
    # the caller's make, if there is one, has nothing to say to this one
    env = {k: v for k, v in os.environ.items()
           if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    try:
        subprocess.run(command + _variables(settings), check=True, env=env,
                       stdout=sys.stderr)
    except FileNotFoundError:
        raise SystemExit("cgunicorn: there is no make: install make and gcc") from None
    except subprocess.CalledProcessError:
        raise SystemExit(
            "cgunicorn: the build failed, see above. It needs gcc, make, the headers of "
            "Python and the archives of libyaml and http-parser; on Debian: apt-get "
            "install gcc make python3-dev libyaml-dev libhttp-parser-dev (and libnghttp2-dev, "
            "for HTTP/2)") from None
    return path


def _stripped(path, out):
    done = os.path.join(out, "stripped.so")
    subprocess.run([os.environ.get("STRIP", "strip"), "-s", "-o", done, path], check=True)
    with open(done, "rb") as f:
        return f.read()


class _Out:
    """Where objects go: the tree's build/, which one build has at a time, or a
    passing folder where that cannot be written to."""

    def __enter__(self):
        self.passing = self.lock = None
        folder = os.path.join(project.ROOT, "build", "pip" + suffix())
        try:
            os.makedirs(folder, exist_ok=True)
            self.lock = open(os.path.join(folder, "lock"), "w", encoding="ascii")
            fcntl.flock(self.lock, fcntl.LOCK_EX)
        except OSError:
            self.passing = tempfile.TemporaryDirectory()
            return self.passing.name
        return folder

    def __exit__(self, *_):
        if self.lock:
            self.lock.close()
        if self.passing:
            self.passing.cleanup()


# ---- wheels ----

def add_command(wheel):
    wheel.add(wheel.scripts + "/cgunicorn", project.read("python", "bin", "cgunicorn"), 0o755)


def package_files():
    """Those of the package, below its folder."""
    for folder, folders, files in os.walk(PACKAGE):
        folders.sort()
        for name in sorted(files):
            if name.endswith(".py"):
                yield os.path.relpath(os.path.join(folder, name), PACKAGE)


# CGUNICORN_AS_GUNICORN=1: before a program runs, `gunicorn` is this server
AS_GUNICORN = ('import os; os.environ.get("CGUNICORN_AS_GUNICORN") == "1" and '
               '__import__("cgunicorn.as_gunicorn")\n')


def add_package(wheel):
    add_command(wheel)
    for name in package_files():
        wheel.add("cgunicorn/" + name, project.read("python", "cgunicorn", name))
    wheel.add("cgunicorn.pth", AS_GUNICORN)


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    with _Out() as out:
        module = _stripped(make(out, config_settings), out)
    wheel = Wheel(wheel_directory, tag())
    add_package(wheel)
    wheel.add(MODULE + suffix(), module, 0o755)
    return wheel.close()


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    """The package stays in the tree, and the module in build/, where another
    `pip install -e .` brings it up to date."""
    with _Out() as out:
        if not out.startswith(project.ROOT):
            raise SystemExit("cgunicorn: an editable install needs a tree to write to")
        make(out, config_settings)
    wheel = Wheel(wheel_directory, tag())
    add_command(wheel)
    wheel.add("cgunicorn.pth",
              os.path.dirname(PACKAGE) + "\n" + out + "\n" + AS_GUNICORN)
    return wheel.close()


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    folder = f"{project.NAME}-{project.VERSION}.dist-info"
    for name, text in info_files(tag()).items():
        path = os.path.join(metadata_directory, folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
    return folder


prepare_metadata_for_build_editable = prepare_metadata_for_build_wheel


# ---- sources ----

def _is_source(path):
    top = path.split("/", 1)[0]
    return (top not in ("build", "dist", "cgunicorn", "PKG-INFO")
            and not top.startswith((".git", ".venv", ".pytest"))
            and "__pycache__" not in path)


def sources():
    """Files of the tree, by git where it is one of git's; third_party/, which
    is not git's, besides."""
    try:
        names = subprocess.run(["git", "ls-files", "-z"], cwd=project.ROOT, check=True,
                               capture_output=True).stdout.decode().split("\0")
        names = [n for n in names if n]
        roots = [os.path.join(project.ROOT, "third_party")]
    except (OSError, subprocess.CalledProcessError):
        names, roots = [], [project.ROOT]
    for root in roots:
        for folder, _, files in os.walk(root):
            names += (os.path.relpath(os.path.join(folder, f), project.ROOT)
                      for f in files)
    return sorted({n for n in names if _is_source(n)
                   and os.path.isfile(os.path.join(project.ROOT, n))})


def build_sdist(sdist_directory, config_settings=None):
    stem = f"{project.NAME}-{project.VERSION}"
    date = source_date()

    def plain(info):
        info.uid = info.gid = 0
        info.uname = info.gname = ""
        info.mtime = date
        info.mode = 0o755 if info.mode & 0o100 else 0o644
        return info

    name = stem + ".tar.gz"
    with open(os.path.join(sdist_directory, name), "wb") as raw, \
            gzip.GzipFile("", "wb", mtime=date, fileobj=raw) as zipped, \
            tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for source in sources():
            tar.add(os.path.join(project.ROOT, source), f"{stem}/{source}",
                    recursive=False, filter=plain)
        data = project.metadata().encode()
        info = plain(tarfile.TarInfo(stem + "/PKG-INFO"))
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
    return name
