# SPDX-License-Identifier: MIT
"""
tools/site_pages.py FOLDER: what the site is made of. Our Markdown is GitHub's;
what mkdocs would read otherwise is written for it: a pipe in the code of a
table needs no backslash, and files that links lead to come along.
"""
import pathlib
import re
import shutil
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
LINK = re.compile(r"\]\(([^)\s#]+)(?:#[^)]*)?\)")


def without_code(text):
    return re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.S)


def as_mkdocs_reads(text):
    rows = (re.sub(r"`[^`]*`", lambda code: code[0].replace("\\|", "|"), line)
            if line.startswith("|") else line for line in text.split("\n"))
    return "\n".join(rows)


def take(page, folder, taken):
    """A page, and the files of ours that it leads to."""
    if page in taken:
        return
    taken.add(page)
    to = folder / page.relative_to(ROOT)
    to.parent.mkdir(parents=True, exist_ok=True)
    if page.suffix != ".md":
        shutil.copy(page, to)
        return
    text = page.read_text()
    to.write_text(as_mkdocs_reads(text))
    for target in LINK.findall(without_code(text)):
        there = (page.parent / target).resolve()
        if ":" not in target and there.is_file():
            take(there, folder, taken)


def main(folder):
    shutil.rmtree(folder, ignore_errors=True)
    taken = set()
    for page in [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md"))]:
        take(page, folder, taken)


if __name__ == "__main__":
    main((ROOT / sys.argv[1]).resolve())
