# SPDX-License-Identifier: MIT
"""Prints what the Makefile must know of the interpreter that runs this.

One word `key=value` each; values have no blanks. The interpreter itself is
asked, never a python3-config found on PATH, which may belong to another one.
"""
import hashlib
import os
import sys
import sysconfig

var = sysconfig.get_config_var
libdir = var("LIBDIR") or ""
if not os.path.isdir(libdir):  # relocated builds name a folder of their maker
    base = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
    libdir = os.path.join(os.path.dirname(os.path.dirname(base)), "lib")
print("exe=" + sys.executable)
print("abi=" + (var("LDVERSION") or var("VERSION")))
# the binary remembers the interpreter, so each has a build of its own
print("tag=" + hashlib.sha1(sys.executable.encode()).hexdigest()[:6])
print("suffix=" + (var("EXT_SUFFIX") or ".so"))
print("shared=%d" % bool(var("Py_ENABLE_SHARED")))
print("libdir=" + libdir)
print("libpl=" + (var("LIBPL") or ""))
for name in ("include", "platinclude"):
    print("include=" + sysconfig.get_path(name))
for word in ((var("LIBS") or "") + " " + (var("SYSLIBS") or "")).split():
    print("libs=" + word)
