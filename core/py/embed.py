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
    rows = []
    for package in packages:
        rows += sources(*package.split("="))
    with open(out, "w", encoding="utf-8") as f:
        f.write('#include <stddef.h>\n#include "core/py/runtime/glue.h"\n')
        f.write("const struct cg_glue_source cg_glue_sources[] = {\n")
        for (name, package), text in rows:
            code, size = bytecode(name, text)
            f.write('    {"%s",\n%s,\n     %d,\n%s,\n     %d},\n' % (
                name, c_string(text), package, code, size))
        f.write("    {NULL, NULL, 0, NULL, 0}};\n")


main(*sys.argv[1:])
