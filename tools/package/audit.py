# SPDX-License-Identifier: MIT
"""Whether an extension module may bear the tag of its wheel.

It needs libc and nothing else, no symbol of a libc newer than promised, shows
its init function only, and uses no function of Python's that is private.
usage: audit.py WHEEL...
"""
import re
import subprocess
import sys
import tempfile
import zipfile

LIBC = re.compile(r"(libc|libpthread|libm|libdl|librt|libutil)\.so(\.\d)?|"
                  r"ld-linux\S*\.so\.\d|libc\.musl-\S+\.so\.1")
# what Python's own macros and inline functions use
PRIVATE = re.compile(r"_Py_(Dealloc|NoneStruct|TrueStruct|FalseStruct|EllipsisObject|"
                     r"NotImplementedStruct|NegativeRefcount|MergeZeroLocalRefcount|"
                     r"DecRefShared|DecRefSharedDebug|IsOwnedByCurrentThread)|"
                     r"_PyLong_Sign|_PyArg_\w+|_PyObject_CallMethod_SizeT|"
                     r"_Py_BuildValue_SizeT|_PyObject_CallFunction_SizeT|_PyUnicode_\w+|"
                     r"_PyObject_(Vectorcall|MakeTpCall|GC_\w+)|_Py_CheckFunctionResult|"
                     r"_PyThreadState_\w+|_PyTrash_\w+|_Py_HashSecret|_PyObject_CallMethod\w*|_Py_FatalErrorFunc")
MACHINES = {"x86_64": "X86-64", "aarch64": "AArch64"}


def _told(*words):
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def problems(path, platforms):
    """What is wrong with a module for these platforms of a tag."""
    found = []
    dynamic = _told("readelf", "--wide", "-d", path)
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic)
    found += [f"it needs {name}" for name in needed if not LIBC.fullmatch(name)]
    if "TEXTREL" in dynamic:
        found.append("its code has to be changed when it is loaded (TEXTREL)")
    if re.search(r"\((RPATH|RUNPATH)\)", dynamic):
        found.append("it looks for libraries in a folder of its maker (RPATH)")
    shown, used = [], []
    for line in _told("nm", "-D", path).splitlines():
        kind, name = line.split()[-2:]
        (used if kind in "Uw" else shown).append(name)
    if {n for n in shown if n not in ("_init", "_fini")} != {"PyInit__cgunicorn",
                                                             "PyInit__cgunicorn_gil"}:
        found.append("it shows " + " ".join(shown))
    found += [f"it uses {name}" for name in used
              if name.startswith("_Py") and not PRIVATE.fullmatch(name)]
    machine = re.search(r"Machine:\s+(.*)", _told("readelf", "-h", path))[1]
    for platform in platforms:
        name = next(m for m in MACHINES if platform.endswith(m))
        if MACHINES[name] not in machine:
            found.append(f"it is for {machine}, the tag for {name}")
        promise = re.match(r"manylinux_(\d+)_(\d+)_", platform)
        if promise:
            newest = tuple(map(int, promise.groups()))
            found += [f"{n} needs a newer glibc than {platform} promises" for n in used
                      for v in re.findall(r"@GLIBC_(\d+)\.(\d+)", n)
                      if tuple(map(int, v)) > newest]
        elif platform.startswith("musllinux") and any("@GLIBC" in n for n in used):
            found.append("it is linked with glibc")
    return found


def check_wheel(path):
    with zipfile.ZipFile(path) as z, tempfile.TemporaryDirectory() as folder:
        names = [n for n in z.namelist() if n.endswith(".so")]
        if len(names) != 1:
            return [f"it has {len(names)} modules"]
        platforms = path.rsplit("-", 1)[1][:-len(".whl")].split(".")
        return problems(z.extract(names[0], folder), platforms)


def main(paths):
    bad = False
    for path in paths:
        found = check_wheel(path)
        for line in found:
            print(f"{path}: {line}", file=sys.stderr)
        bad = bad or bool(found)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
