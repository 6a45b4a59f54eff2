# SPDX-License-Identifier: MIT
"""Turns the Python sources of folders into a C table.

usage: embed.py OUT.c PACKAGE=FOLDER ...

For _cgunicorn_glue=core/py/glue, hooks.py in that folder becomes the module
_cgunicorn_glue.hooks. Sources are embedded as
text, which every Python understands, and as the bytecode of the interpreter
that runs this, which the binary is linked with: a start compiles nothing. The
bytecode counts only where the interpreter's magic number is the same.
"""
import importlib.util
import marshal
import os
import sys


def module_name(top, path):
    parts = [top] + path[:-3].split(os.sep)
    package = parts[-1] == "__init__"
    return ".".join(parts[:-1] if package else parts), package


def c_string(text):
    lines = []
    for line in text.splitlines(keepends=True):
        out = []
        for byte in line.encode():
            char = chr(byte)
            if char in '"\\':
                out.append("\\" + char)
            elif char == "\n":
                out.append("\\n")
            elif 32 <= byte < 127:
                out.append(char)
            else:
                out.append("\\%03o" % byte)
        lines.append('     "' + "".join(out) + '"')
    return "\n".join(lines) or '     ""'


def bytecode(name, text):
    code = compile(text, "<cgunicorn>/" + name, "exec", dont_inherit=True)
    data = importlib.util.MAGIC_NUMBER + marshal.dumps(code)
    lines = []
    for i in range(0, len(data), 20):
        lines.append('     "%s"' % "".join("\\%03o" % b for b in data[i:i + 20]))
    return "\n".join(lines), len(data)


def sources(top, folder):
    for root, dirs, files in os.walk(folder):
        dirs.sort()
        for name in sorted(files):
            if name.endswith(".py"):
                path = os.path.join(root, name)
                with open(path, encoding="utf-8") as f:
                    yield module_name(top, os.path.relpath(path, folder)), f.read()


def main(out, *packages):
    rows, table = [], []
    for package in packages:
        rows += sources(*package.split("="))
    with open(out + ".new", "w", encoding="utf-8") as f:
        f.write('#include <stddef.h>\n#include "core/py/runtime/glue.h"\n')
        # names lie together: a search must not touch the pages of the texts
        f.write("static const char names[] =\n")
        for (name, _), _ in rows:
            f.write('    "%s\\0"\n' % name)
        f.write("    ;\n")
        for i, ((name, package), text) in enumerate(rows):
            # nor does a start touch what it does not import, or what lies beside
            kept = "" if name.startswith("_") else ' __attribute__((section("surface")))'
            code, size = bytecode(name, text)
            f.write("/* %s */\nstatic const char text_%d[]%s =\n%s;\n"
                    "static const char code_%d[]%s =\n%s;\n" % (
                        name, i, kept, c_string(text), i, kept, code))
            table.append((len(name) + 1, i, package, size))
        f.write("const struct cg_glue_source cg_glue_sources[] = {\n")
        at = 0
        for length, i, package, size in table:
            f.write("    {names + %d, text_%d, %d, code_%d, %d},\n" % (
                at, i, package, i, size))
            at += length
        f.write("    {NULL, NULL, 0, NULL, 0}};\n")
    os.replace(out + ".new", out)  # half a file is none


main(*sys.argv[1:])
