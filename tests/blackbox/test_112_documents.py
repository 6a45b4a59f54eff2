# SPDX-License-Identifier: MIT
"""The documents say what is so: links lead somewhere, options and settings in them
are the program's (test_150 tries commands and configurations), and the guide for trouble has each line
that the server can log at WARNING and above."""
import pathlib
import re
import shlex
import subprocess

import pytest

from harness import classes
from harness.control import program
from harness.logcheck import lines

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
GUIDES = [p for p in PAGES if p.name == "README.md" or p.parent.parent.name == "docs"]
LOGGED = re.compile(
    r'CG_(?:WARNING|ERROR|CRITICAL)\s*,\s*(?:CG_SLICE\(\s*)?((?:"(?:[^"\\]|\\.)*"\s*)+)')


def name_of(page):
    return str(page.relative_to(ROOT))


def anchors(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
    heads = re.findall(r"^#+ (.*)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).strip().replace(" ", "-")
            for h in heads}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
    lost = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path) if path else page
        if not there.exists() or (
                anchor and there.suffix == ".md" and anchor not in anchors(there)):
            lost.append(target)
    assert not lost


def words():
    """The options, commands and settings that the program knows."""
    shown = subprocess.run([*program(), "--help"], capture_output=True,
                           text=True, timeout=60).stdout
    return (set(re.findall(r"(?<![\w-])--?[A-Za-z][\w-]*", shown)),
            set(re.findall(r"^  ([a-z]+)", shown, re.M)))


def command_lines(page):
    for line in page.read_text().splitlines():
        found = re.match(r"\s*(?:\$ |web: )?((?:\S+/bin/)?cgunicorn .*)", line)
        if found and (line.startswith("    ") or line.startswith("web: ")):
            yield found.group(1).split("  #")[0].rstrip(" \\")


@pytest.mark.parametrize("page", GUIDES, ids=name_of)
def test_options_in_the_guides_are_the_programs(page):
    options, _ = words()
    unknown = []
    for line in command_lines(page):
        for word in shlex.split(line, comments=True)[1:]:
            option = word.split("=")[0]
            if re.match(r"--?[A-Za-z]", word) and option not in options and \
                    option not in {"--json", "--wait", "--now", "--pid"}:
                unknown.append(f"{option} in: {line}")
    assert not unknown


def settings():
    return set(re.findall(r"^### (\w+)$", (ROOT / "docs/settings.md").read_text(),
                          re.M))


@pytest.mark.parametrize("page", GUIDES, ids=name_of)
def test_settings_in_the_guides_are_the_programs(page):
    """`name = value` in a sentence names a setting of ours, where the other
    side of a table does not name another program's."""
    known = settings()
    unknown = []
    for line in page.read_text().splitlines():
        cells = [c for c in line.split("|") if c.strip()]
        text = cells[-1] if line.startswith("|") and cells else line
        unknown += [name for name in re.findall(
            r"`([a-z][a-z0-9_]+) = [^`]*`", text) if name not in known]
    assert not unknown


def flat(text):
    return re.sub(r"[^a-z0-9:,;.'()_ ]+", " ", text.lower())


def longest_piece(form):
    """The longest text between two conversions of a printf format."""
    form = form.replace('\\"', '"').split("\\n")[0].replace("%%", "%")
    pieces = re.split(r"%[-+ #0]*[\d.*]*(?:ll|l|h|z|j)?[a-zA-Z]", form)
    return re.sub(r"\s+", " ", flat(max(pieces, key=len))).strip(" :;,.(")


def logged_lines():
    for folder in ("core", "config", "logging", "cmd"):
        for source in sorted((ROOT / folder).rglob("*.c")):
            for found in LOGGED.finditer(source.read_text()):
                form = "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', found.group(1)))
                if len(longest_piece(form)) > 3:
                    yield source.relative_to(ROOT), form


def test_trouble_that_is_logged_is_explained():
    page = (ROOT / "docs/guides/troubleshooting.md").read_text()
    page = re.sub(r"\s+", " ", flat(page))
    lines = list(logged_lines())
    assert len(lines) > 60, "the sources are not read as they are written"
    missing = [f"{source}: {form}" for source, form in lines
               if not any(part in page for part in (
                   longest_piece(form), longest_piece(form)[:40].rstrip()))]
    assert not missing, "\n".join(missing)


def test_the_index_names_every_document():
    index = (ROOT / "docs/index.md").read_text()
    missing = [name_of(p) for p in PAGES if p.parent != ROOT and
               p.name != "index.md" and
               f"({p.relative_to(ROOT / 'docs')})" not in index]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_targets_of_make_in_the_documents_are_there(page):
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z][\w-]*):", makefile, re.M))
    meant = re.findall(r"(?:^    |`)make ((?:[A-Z]+=[^\s`]+ |-j\d* )*)([a-z][\w-]*)",
                       page.read_text(), re.M)
    assert {target for _, target in meant} <= targets


def test_make_help_lists_what_a_newcomer_may_want():
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    for target in ("help", "run PORT=", "test", "check", "install PREFIX=",
                   "deb", "site", "release", "bench", "docs"):
        assert f"make {target}" in done.stdout, done.stdout


# ---- the access log's page ----

def atoms_of_the_guide():
    page = (ROOT / "docs/guides/access-log.md").read_text()
    for left, right in re.findall(r"^\| (`%\(.*?) \| .* \| (.*) \|$", page, re.M):
        yield from zip(re.findall(r"`([^`]*)`", left), re.findall(r"`([^`]*)`", right),
                       strict=True)


@pytest.mark.skipif(classes.under_test() == "asgi", reason="a scope has no environ")
def test_each_atom_of_the_guide_prints_what_it_says(server):
    atoms = list(atoms_of_the_guide())
    assert {a[2] for a, _ in atoms if a[3] == ")"} == set("hlutrmUqHsBbfaTMDLp")
    s = server("app:app", files={"app.py": """\
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"eight..."]
"""}, config="accesslog = 'a.log'\nrequest_id = 'X-Request-ID'\n"
      f"access_log_format = {' | '.join(a for a, _ in atoms)!r}\n")
    s.get("/cart/a%20b?page=2", "Authorization: Basic YWRhOng=",
          "Referer: https://shop.example/", "User-Agent: curl/8.5",
          "X-Forwarded-For: 10.0.0.7", "X-Request-ID: order-7", "traceparent: "
          "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    found = lines(s.folder / "a.log", 1)[0].split(" | ")
    assert len(found) == len(atoms)
    for (atom, example), text in zip(atoms, found):
        if atom[2] in "tTMDLp" or atom == "%({queue}x)s":  # another moment
            form = re.sub(r"[A-Z][a-z]{2}", "[A-Z][a-z]{2}", re.sub(
                r"\d+", r"\\d+", re.escape(example)))
            assert re.fullmatch(form, text), atom
        else:
            assert text == example, atom


# ---- the site ----

def test_the_navigation_of_the_site_has_every_page():
    """mkdocs checks the links; it is not needed for this."""
    nav = (ROOT / "mkdocs.yml").read_text().split("\nnav:\n")[1]
    named = re.findall(r": (\S+\.md)$", nav, re.M)
    assert len(set(named)) == len(named)
    assert set(named) == {name_of(p) for p in PAGES} | {"tests/README.md"}


def test_the_site_is_built_without_a_lost_link():
    """`make site` makes the environment; nothing is fetched here."""
    if not (ROOT / "build/site-env/bin/mkdocs").exists():
        pytest.skip("no mkdocs: make site installs it")
    done = subprocess.run([ROOT / "tools/site"], capture_output=True, text=True,
                          timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    for page in PAGES:
        made = ROOT / "build/site" / page.relative_to(ROOT).with_suffix(".html")
        if page.name == "README.md":
            made = made.with_name("index.html")
        text = re.sub(r"<pre>.*?</pre>|<code>.*?</code>", "", made.read_text(),
                      flags=re.S)
        # what would be if a table, a list or a block were not seen as one
        assert not re.search(r"```|\|---|^\| |<p>- |<br />\n- ", text, re.M), page
