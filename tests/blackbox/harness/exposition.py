# SPDX-License-Identifier: MIT
"""A strict reader of what a scrape gets: OpenMetrics 1.0 (the ABNF and rules of
its specification) and the text format 0.0.4 of Prometheus. Whatever breaks a
rule fails the test, with the line."""
import re

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"')
SAMPLE = re.compile(rf"({NAME})(\{{[^ ]*(?: [^ ]*)*\}})? (\S+)\Z")
TYPES = {"gauge", "counter", "histogram"}
SUFFIXES = {"gauge": {""}, "counter": {"_total"},
            "histogram": {"_bucket", "_sum", "_count"}}


class Family:
    def __init__(self, name):
        self.name = name
        self.type = self.help = None
        self.unit = ""
        self.samples = []  # (name, labels, value)

    def __repr__(self):
        return f"<{self.type} {self.name} {self.samples}>"

    def values(self):
        return {(name, tuple(sorted(labels.items()))): value
                for name, labels, value in self.samples}


def _labels(text, line):
    found, at = {}, 1
    while text and at < len(text) - 1:
        m = LABEL.match(text, at)
        assert m, f"bad label: {line!r}"
        assert m[1] not in found and not m[1].startswith("__"), line
        found[m[1]] = re.sub(r"\\(.)", lambda e: {"n": "\n"}.get(e[1], e[1]), m[2])
        at = m.end()
        if text[at] == ",":
            at += 1
            assert text[at] != "}", f"comma at the end: {line!r}"
        else:
            assert at == len(text) - 1, f"bad labels: {line!r}"
    return found


def _number(text, line):
    if text == "+Inf":
        return float("inf")
    assert re.fullmatch(r"-?\d+(\.\d+)?(e[+-]?\d+)?", text), f"number: {line!r}"
    return float(text)


def _check_histogram(f):
    groups = {}
    for name, labels, value in f.samples:
        key = tuple(sorted((k, v) for k, v in labels.items() if k != "le"))
        group = groups.setdefault(key, {"_bucket": [], "_sum": [], "_count": []})
        suffix = name[len(f.name):]
        assert (suffix == "_bucket") == ("le" in labels), (f.name, labels)
        group[suffix].append((labels.get("le"), value))
    for key, g in groups.items():
        bounds = [_number(le, le) for le, _ in g["_bucket"]]
        counts = [value for _, value in g["_bucket"]]
        assert bounds == sorted(set(bounds)) and bounds[-1] == float("inf"), key
        assert counts == sorted(counts), (f.name, key, counts)
        assert len(g["_sum"]) == len(g["_count"]) == 1, (f.name, key)
        assert g["_count"][0][1] == counts[-1], (f.name, key)
        assert g["_sum"][0][1] >= 0


def _check(f, open_metrics):
    assert f.type in TYPES, f
    assert f.help, f"no HELP: {f}"
    if open_metrics and f.unit:
        assert f.name.endswith("_" + f.unit), f
    seen = set()
    for name, labels, value in f.samples:
        base = f.name
        if f.type == "counter" and not open_metrics:
            assert base.endswith("_total"), f"a counter's name: {base}"
            base = base[:-len("_total")]
        assert name.startswith(base), (f.name, name)
        assert name[len(base):] in SUFFIXES[f.type], (f.name, name)
        key = (name, tuple(sorted(labels.items())))
        assert key not in seen, f"twice: {key}"
        seen.add(key)
        assert value >= 0 or f.type == "gauge", (name, value)
    if f.type == "histogram":
        _check_histogram(f)


def read(text, open_metrics):
    """The families, in their order."""
    assert text.endswith("\n") and "\r" not in text
    all_lines = text[:-1].split("\n")
    if open_metrics:
        assert all_lines.pop() == "# EOF", "OpenMetrics ends with # EOF"
    families, names = [], set()
    for line in all_lines:
        assert line and line == line.strip(), f"a line: {line!r}"
        if line.startswith("#"):
            m = re.fullmatch(rf"# (HELP|TYPE|UNIT) ({NAME}) (\S.*)", line)
            assert m, f"no metadata: {line!r}"
            if not families or families[-1].name != m[2]:
                assert m[2] not in names, f"a family comes again: {line!r}"
                names.add(m[2])
                families.append(Family(m[2]))
            f, key = families[-1], m[1].lower()
            assert not getattr(f, key) and not f.samples, f"late: {line!r}"
            assert key != "unit" or open_metrics, line
            setattr(f, key, m[3])
            continue
        m = SAMPLE.match(line)
        assert m and families, f"no sample: {line!r}"
        families[-1].samples.append(
            (m[1], _labels(m[2], line), _number(m[3], line)))
    for f in families:
        _check(f, open_metrics)
    return families
