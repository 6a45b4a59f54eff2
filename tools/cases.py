#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tests/cases/http-cases.json as a C table, for unit tests, and as seeds for fuzzers
(N bytes of zero in front of each).

    cases.py table FILE.json OUT.inc     rows for test_cases.c
    cases.py seeds FILE.json FOLDER N    one file for each case's bytes
    cases.py bodies FILE.json FOLDER N   only what follows the head
"""
import json
import pathlib
import sys


def parts_of(case):
    """Long runs are stored as [text, times]."""
    raw = case["raw"]
    return [(p, 1) if isinstance(p, str) else (p[0], p[1])
            for p in ([raw] if isinstance(raw, str) else raw)]


def literal(text):
    """One string per byte that needs an escape, so that none runs on."""
    plain = set(range(32, 127)) - set(b'"\\?')
    return '"' + "".join(chr(b) if b in plain else f"\\{b:03o}"
                         for b in text.encode("latin-1")) + '"'


def escaped(text):
    """As the program escapes a peer's bytes."""
    out = ""
    for c in text:
        if c in '"\\':
            out += "\\" + c
        elif not " " <= c <= "~":
            out += f"\\x{ord(c):02x}"
        else:
            out += c
    return out


def row(case):
    requests = case.get("requests") or []
    told = "".join(f"request {escaped(m)} {escaped(t)}\nbody {escaped(b)}\n"
                   for m, t, b in requests)
    parts = ", ".join(f"{{{literal(t)}, {len(t.encode('latin-1'))}, {n}}}"
                      for t, n in parts_of(case))
    return (f'{{"{case["id"]}", "{case["expect"]}", '
            f'"{case.get("status", "")}", {literal(told)}, '
            f'{int(bool(case.get("keepalive")))}, '
            f'{int(bool(case.get("settings")))}, (const struct part[]){{{parts}, {{0}}}}}},')


def main():
    what, source, out, *choices = sys.argv[1:]
    cases = json.loads(pathlib.Path(source).read_text(encoding="utf-8"))
    if what == "table":
        pathlib.Path(out).write_text("\n".join(map(row, cases)) + "\n")
        return
    folder = pathlib.Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    for case in cases:
        raw = "".join(t * n for t, n in parts_of(case)).encode("latin-1")
        if what == "bodies":
            raw = raw.partition(b"\r\n\r\n")[2]
        # in front: what the fuzzers read to choose with, the defaults
        if 0 < len(raw) < 8192:
            (folder / case["id"]).write_bytes(b"\0" * int(choices[0]) + raw)


main()
