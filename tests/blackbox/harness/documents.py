# SPDX-License-Identifier: MIT
"""The samples in the documents for users: blocks between fences, indented blocks,
and commands between backticks; and which of them no test tries."""
import pathlib
import re
import shlex

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
# CONTRIBUTING.md names what these are for
FOR_BUILDERS = {"architecture", "contributing", "engine", "glossary", "http",
                "performance", "releasing"}
PAGES = [ROOT / "README.md", *sorted(
    p for p in (ROOT / "docs").rglob("*.md") if p.stem not in FOR_BUILDERS)]
PROGRAMS = re.compile(
    r"(?:\$ )?(?:\S*/)?(?:cgunicorn|gunicorn|kill|pip|python3|make|django-admin|pserve|curl"
    r"|sudo|systemctl|nginx|journalctl|cd|\.) ")
NGINX = re.compile(r"(?:upstream|server|location)\b.*\{$")
PYTHON = re.compile(r"[a-z_]+ = |def |class |import |from ")
NOT_TRIED = [  # (its beginning, why)
    (r"pip install|pip uninstall", "of a registry; test_90 installs with pip"),
    (r"python3 -m venv|\. env/bin/activate|cd |cp ", "the reader's shell"),
    (r"make ", "test_112 looks for the targets, CI builds with them"),
    (r"python3 tests/bench/", "measures for minutes"),
    (r"sudo |systemctl |journalctl ", "the machine's own services"),
    (r"django-admin ", "makes a project: test_151 and test_50 do"),
    (r"systemd-analyze ", "test_105 gives it the unit"),
    (r"cgunicorn status and ", "a line of the log"),
    (r"pserve ", "test_122 starts it with pyramid"),
    (r"cgunicorn top$", "a screen: test_119 reads it in a terminal"),
    (r"cgunicorn --dev --dev-cert", "makes an authority in the home: test_111"),
    (r"# gunicorn_config.py +# model.py", "two columns: test_101 calls such a model"),
    (r"response = HttpResponse", "a view: test_98 has applications that send such a field"),
    (r"SLOW REQUEST", "what is logged: test_107"),
    (r"cgunicorn (-- )?config(:app)?$", "a module called config: test_08 serves it"),
    (r"gunicorn -k uvicorn.workers.UvicornWorker$", "a part of a command"),
]
FOR_A_SERVER = {"status", "requests", "stacks", "why", "events", "reload", "scale", "drain",
                "resume", "recycle", "reopen", "loglevel", "upgrade", "stop", "top"}
ENDS = {"config", "generate", "check", "--check-config", "--version", "--help"}


class Sample:
    def __init__(self, page, line, language, text):
        self.page, self.line, self.language, self.text = page, line, language, text
        self.first = text.split("\n")[0]

    def __repr__(self):
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    def commands(self):
        """Lines of a shell, without comments and prompts."""
        found = []
        for line in self.text.replace("\\\n", " ").splitlines():
            line = re.sub(r"(?:^|\s)#( .*)?$", "", line).strip()
            found += [part.strip() for part in
                      re.split(r" && | \|\| exit 1", line.removeprefix("$ "))]
        return [Command(self, line) for line in found if line]


class Command:
    def __init__(self, where, line):
        self.where, self.line = where, line
        self.words = shlex.split(line)

    def __repr__(self):
        return f"{self.where}: {self.line}"

    def program(self):
        return self.words[0].rpartition("/")[2]


def guess(first):
    for language, form in (("sh", PROGRAMS), ("nginx", NGINX), ("python", PYTHON)):
        if form.match(first):
            return language
    return "text"


def dedent(lines):
    least = min(len(s) - len(s.lstrip()) for s in lines if s.strip())
    return "\n".join(s[least:] for s in lines).rstrip("\n") + "\n"


class Reader:
    """Goes through a page line by line."""

    def __init__(self, page):
        self.page, self.found = page, []
        self.lines = page.read_text().split("\n")

    def samples(self):
        n, needed, blank = 0, 4, True
        while n < len(self.lines):
            line = self.lines[n]
            if line.lstrip().startswith("```"):
                n = self._fence(n)
                blank = True
                continue
            if blank and line.startswith(" " * needed):
                n = self._indented(n, needed)
                continue
            if line and not line.startswith(" "):  # code in an item stands deeper
                needed = 8 if re.match(r"\d+\. ", line) else 4
            blank = not line.strip()
            n += 1
        return self.found

    def _fence(self, start):
        end = next(i for i in range(start + 1, len(self.lines))
                   if self.lines[i].lstrip().startswith("```"))
        self._keep(start, self.lines[start].strip()[3:], self.lines[start + 1:end])
        return end + 1

    def _indented(self, start, needed):
        end = start
        while end < len(self.lines) and (
                not self.lines[end].strip() or self.lines[end].startswith(" " * needed)):
            end += 1
        self._keep(start, "", self.lines[start:end])
        return end

    def _keep(self, line, language, lines):
        text = dedent(lines)
        self.found.append(Sample(self.page, line + 1,
                                 language or guess(text.split("\n")[0]), text))


def inline_commands():
    """`cgunicorn ...` in sentences and tables, without those that say only a part."""
    for page in PAGES:
        text = re.sub(r"^ *```.*?^ *```", lambda m: "\n" * m[0].count("\n"),
                      page.read_text(), flags=re.S | re.M)
        for n, line in enumerate(text.split("\n"), 1):
            for found in re.findall(r"(?<!`)`(g?c?gunicorn [^`]*)`", line):
                if not re.search(r"…|\||\[|(?<![-\w])[A-Z]+\b", found):
                    yield Command(Sample(page, n, "sh", found), found)


SAMPLES = [s for page in PAGES for s in Reader(page).samples()]
COMMANDS = [c for s in SAMPLES if s.language == "sh" for c in s.commands()]


def why_not_tried(line):
    return next((why for form, why in NOT_TRIED if re.match(form, line)), None)


def kind_of(cmd):
    """start, ends, control, signal or other."""
    if cmd.program() == "kill":
        return "signal"
    if cmd.program() not in ("cgunicorn", "gunicorn"):
        return "other"
    if "--running" in cmd.words:
        return "control"
    if set(cmd.words[1:]) & ENDS:
        return "ends"
    return "control" if cmd.words[1] in FOR_A_SERVER | {"ctl"} else "start"


def once(kind):
    """The commands of that kind, each line once."""
    tried = {c.line: c for c in [*inline_commands(), *COMMANDS]
             if kind_of(c) == kind and not why_not_tried(c.line)}
    return [pytest.param(c, id=line) for line, c in tried.items()]


def language_of(sample):
    if sample.language == "yaml" and "apiVersion" in sample.text:
        return "kubernetes"
    if sample.first.startswith("/") and sample.first.endswith("{"):
        return "logrotate"
    if sample.first.startswith("web: "):
        return "procfile"
    if "with two mistakes" in sample.first:
        return "mistaken"
    named = re.match(r"# (\S+\.py)\b", sample.first)
    if sample.language == "python" and named and "conf" not in named[1]:
        return "module"
    return sample.language


def of(language):
    return [pytest.param(s, id=repr(s)) for s in SAMPLES
            if language_of(s) == language and not why_not_tried(s.first)]
