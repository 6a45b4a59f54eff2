# SPDX-License-Identifier: MIT
"""pyproject.toml, and the core metadata that is made of it.

Pythons before 3.11 have no reader of TOML, and a build must need nothing from
an index: here is one for what the file uses: tables, strings and lists of
strings, which are written as Python's. Anything else is refused.
"""
import ast
import os
import re

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
KEY = re.compile(r"([A-Za-z0-9_-]+)\s*=\s*(.*)\Z", re.S)


class Malformed(ValueError):
    """A line of pyproject.toml that is not understood here."""


def _value(text):
    value = ast.literal_eval(text)
    if not isinstance(value, str) and not (
            isinstance(value, list) and all(isinstance(v, str) for v in value)):
        raise ValueError(text)
    return value


def parse(text):
    """{"project": {"name": …}, "project.optional-dependencies": {…}}"""
    tables = {}
    table = None
    pending = ""
    for number, line in enumerate(text.splitlines(), 1):
        pending += line + "\n"
        bare = pending.strip()
        if not bare or bare.startswith("#"):
            pending = ""
            continue
        if bare.startswith("["):
            if not re.fullmatch(r"\[[A-Za-z0-9_.\"-]+\]", bare):
                raise Malformed(f"pyproject.toml, line {number}: {bare}")
            table = tables.setdefault(bare[1:-1].replace('"', ""), {})
            pending = ""
            continue
        found = KEY.match(bare)
        if table is None or not found:
            raise Malformed(f"pyproject.toml, line {number}: {bare}")
        try:
            table[found[1]] = _value(found[2])
        except SyntaxError:
            if not found[2].startswith("[") or line.rstrip().endswith("]"):
                raise Malformed(f"pyproject.toml, line {number}: {bare}") from None
            continue  # a list goes on
        except ValueError:
            raise Malformed(f"pyproject.toml, line {number}: {bare}") from None
        pending = ""
    if pending.strip():
        raise Malformed(f"pyproject.toml ends inside of: {pending.strip()}")
    return tables


def read(*names):
    with open(os.path.join(ROOT, *names), encoding="utf-8") as f:
        return f.read()


TABLES = parse(read("pyproject.toml"))
PROJECT = TABLES["project"]
NAME = PROJECT["name"]
VERSION = PROJECT["version"]
EXTRAS = TABLES["project.optional-dependencies"]


def entry_points():
    """The text of entry_points.txt: what other programs look for."""
    first = "project.entry-points."
    return "\n".join(
        "[%s]\n%s\n" % (table[len(first):], "\n".join("%s = %s" % p for p in rows.items()))
        for table, rows in TABLES.items() if table.startswith(first))


def metadata():
    """The text of METADATA and PKG-INFO, version 2.4."""
    lines = ["Metadata-Version: 2.4", "Name: " + NAME, "Version: " + VERSION,
             "Summary: " + PROJECT["description"],
             "License-Expression: " + PROJECT["license"],
             "Keywords: " + ",".join(PROJECT["keywords"]),
             "Requires-Python: " + PROJECT["requires-python"],
             "Description-Content-Type: text/markdown"]
    lines += ["License-File: " + name for name in PROJECT["license-files"]]
    lines += ["Classifier: " + c for c in PROJECT["classifiers"]]
    for extra, wanted in EXTRAS.items():
        lines.append("Provides-Extra: " + extra)
        for requirement in wanted:
            name, _, marker = (part.strip() for part in requirement.partition(";"))
            marker = f"({marker}) and " if marker else ""
            lines.append(f'Requires-Dist: {name} ; {marker}extra == "{extra}"')
    return "\n".join(lines) + "\n\n" + read(PROJECT["readme"])

