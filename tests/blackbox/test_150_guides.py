# SPDX-License-Identifier: MIT
"""Every command in the documents for users does what it should: what starts a server
passes --check-config in a project of that name, what ends by itself is run, commands
and signals for a running server are sent to one. What is printed is what the documents
say. test_151 has configurations and files; NOT_TRIED of harness/documents.py names what
nothing tries, and why."""
import re
import shlex
import subprocess

import pytest

from harness import control, documents, shop
from harness.documents import (COMMANDS, NOT_TRIED, SAMPLES, kind_of, language_of, once,
                               why_not_tried)
from harness.logcheck import lines as lines_of
from harness.server import command
from harness.shop import PROJECT, checked, here
from harness.waiting import DEADLINE, until

pytestmark = pytest.mark.skipif(
    command() != control.program(), reason="the documents are the same for all classes")


@pytest.fixture
def project(tmp_path):
    return shop.made(tmp_path)


# ---- nothing is forgotten ----

def test_every_sample_is_tried_or_its_reason_is_told():
    tried = {"sh", "python", "module", "yaml", "kubernetes", "nginx", "ini", "logrotate",
             "procfile", "mistaken", "output"}
    left = [s for s in SAMPLES if language_of(s) not in tried and not why_not_tried(s.first)]
    left += [c for c in COMMANDS if kind_of(c) == "other" and not why_not_tried(c.line)]
    assert not left
    assert len(SAMPLES) > 50 and len(COMMANDS) > 50, "the documents are not read as written"


def test_what_is_not_tried_is_in_the_documents():
    lines = [c.line for c in COMMANDS] + [s.first for s in SAMPLES]
    lines += [c.line for c in documents.inline_commands()]
    assert not [form for form, _ in NOT_TRIED
                if not any(re.match(form, line) for line in lines)]


# ---- commands ----

@pytest.mark.parametrize("cmd", once("start"))
def test_what_starts_a_server_would(cmd, project):
    checked(project, *shlex.split(here(cmd.line, project))[1:])


@pytest.mark.parametrize("cmd", once("ends"))
def test_what_ends_by_itself_goes_well(cmd, project):
    words, _, target = here(cmd.line, project).partition(" > ")
    done = control.ctl(project, *shlex.split(words)[1:])
    differs = "diff" in cmd.words and done.out  # as diff does
    assert done.status == (1 if differs else 0), done
    assert not target or done.out


LAST = re.compile(r"upgrade|stop|USR2|TERM|QUIT|WINCH")


def for_a_server(wanted):
    """Commands and signals, of those that end a master or of the others."""
    return [p.values[0] for p in [*once("control"), *once("signal")]
            if bool(LAST.search(p.id)) == wanted]


@pytest.fixture
def running(server):
    def make():
        s = server("-w", "2", "-p", "app.pid", "shop:app", pidfile="app.pid", files=PROJECT)
        s.wait_workers(2)
        until(lambda: control.status(s)["serving"], "it serves")
        return s
    return make


def test_commands_and_signals_for_a_running_server_reach_it(running):
    s, asked = running(), for_a_server(False)
    assert len(asked) > 6
    for cmd in asked:
        to(s, cmd)
        until(lambda: settled(control.status(s)), "what it asked for is done")


def settled(told):
    return told["serving"] and told["reloads_begun"] == told["reloads_ended"]


def test_commands_that_end_a_master_end_it(running):
    asked = for_a_server(True)
    assert len(asked) > 2 and not [c for c in asked if kind_of(c) == "signal"]
    for cmd in asked:
        s = running()
        to(s, cmd)
        if "stop" in cmd.words:
            assert s.wait() == 0


def to(s, cmd):
    """Sends it to that server, whatever pidfile it names."""
    if kind_of(cmd) == "signal":
        line = re.sub(r"\$\(cat [^)]*\)|\$old", str(s.pid), cmd.line)
        subprocess.run(["sh", "-ec", line], check=True)
        return
    words = re.sub(r"-p \S+", "", here(cmd.line, s.folder)).split()[1:]
    if "upgrade" in words:  # without it there would be two masters in the end
        words = ["upgrade", "--wait"]
    done = control.ctl(s.folder, *words, "--pid", s.pid)
    assert done.status == 0, (cmd, done)
    if "upgrade" in words:
        s.process.wait(DEADLINE)
        s.pid, s.daemon = s.read_pidfile(), True  # it is no child that Popen knows


# ---- what is printed ----

def outputs_after(page, words):
    """The blocks of output below one with these words."""
    found = [s for s in SAMPLES if s.page.stem == page]
    start = next(i for i, s in enumerate(found) if words in s.text)
    return [s.text for s in found[start:] if s.language == "output"]


def output_after(page, words):
    return outputs_after(page, words)[0]


def normal(text):
    return [re.sub(r"\d+(\.\d+)?", "N", re.sub(r"\s+", " ", line)).strip()
            for line in text.splitlines() if line.strip()]


def test_mistakes_are_told_as_the_first_steps_say(project):
    sample = next(s for s in SAMPLES if "worker = 3" in s.text)
    (project / "gunicorn.conf.py").write_text(sample.text)
    done = control.ctl(project, "--check-config", "shop.wsgi")
    assert done.status == 1
    assert normal(done.err) == normal(output_after("first-steps", "worker = 3"))


def test_a_start_is_logged_as_the_first_steps_say(server):
    s = server("shop.wsgi", files=PROJECT, config="workers = 1\n")
    s.wait_workers(1)
    s.wait_log("Booting worker")
    told = "\n".join(n for n in s.log().splitlines() if "[INFO]" in n)
    assert normal(told) == normal(output_after("first-steps", "cgunicorn shop.wsgi"))


def test_a_reload_tells_how_it_went_as_the_first_steps_say(server):
    config = next(s for s in SAMPLES if 'warmup = "http://127.0.0.1/"' in s.text)
    well, ill = outputs_after("first-steps", "cgunicorn reload --wait")[:2]
    s = server("shop.wsgi", config=config.text, files=PROJECT, pidfile="app.pid",
               announced=["broken", "warmup", "Reload failed"])
    until(lambda: control.status(s)["serving"], "it serves")
    done = control.ctl(s.folder, "reload", "--wait", "-p", "app.pid")
    assert (done.status, normal(done.out)) == (0, normal(well)), done
    (s.folder / "shop/__init__.py").write_text(
        PROJECT["shop/__init__.py"].replace("    start_response", "    broken\n    start_response"))
    done = control.ctl(s.folder, "reload", "--wait", "-p", "app.pid")
    assert (done.status, normal(done.err)) == (1, normal(ill)), done
    assert s.get("/").status == 200


def test_an_access_line_looks_as_the_guide_says(server):
    format_of = next(s for s in SAMPLES if "access_log_format = '%(h)s" in s.text)
    s = server("shop:app", files=PROJECT,
               config=re.sub('"/var/log/shop/', '"', format_of.text))
    s.get("/cart?page=2")
    line = lines_of(s.folder / "access.log", 1)[0]
    assert normal(line) == normal(output_after("access-log", format_of.text))


@pytest.mark.parametrize("page", ["first-steps", "deploying"])
def test_behind_nginx_the_access_line_names_the_client(server, page):
    """Through a socket file the server itself sees no address."""
    sample = next(s for s in SAMPLES if s.page.stem == page and "access_log_format" in s.text)
    line = next(n for n in sample.text.splitlines() if n.startswith("access_log_format"))
    s = server("shop:app", files=PROJECT, config=f"accesslog = 'access.log'\n{line}\n")
    s.get("/", "X-Forwarded-For: 10.1.2.3")
    assert lines_of(s.folder / "access.log", 1)[0].startswith("10.1.2.3 ")


def test_a_healthy_log_is_explained(server):
    """Each line of a start, a reload, a change of size and a stop."""
    page = documents.ROOT / "docs/guides/troubleshooting.md"
    text = re.sub(r"\s+", " ", page.read_text())
    s = server("-w", "1", "--threads", "2", "shop:app", files=PROJECT)
    s.wait_workers(1)
    old = s.workers()
    s.signal("HUP")
    s.wait_log("Reload done")
    until(lambda: not set(old) & set(s.workers()), "the old worker has ended")
    for name, count in (("TTIN", 2), ("TTOU", 1)):
        s.signal(name)
        s.wait_workers(count)
    s.signal("USR1")
    s.wait_log("Handling signal: usr1")
    s.stop()
    lines = re.findall(r"^\[.*?\] \[\d+\] \[INFO\] (.*)$", s.log(), re.M)
    assert len(lines) > 10
    unknown = set()
    for line in lines:
        line = re.sub(r"http://\S+", "ADDRESS", line)
        line = re.sub(r"(signal: )\w+", r"\1NAME", re.sub(r"worker: \w+", "worker: CLASS", line))
        line = re.sub(r"cgunicorn [\d.]+", "cgunicorn V", line)
        line = re.sub(r"\d+(\.\d+)?", "N", line)
        if f"`{line}`" not in text:
            unknown.add(line)
    assert not unknown


# ---- words ----

@pytest.mark.parametrize("page", documents.PAGES, ids=lambda p: p.name)
def test_no_word_of_the_builders_is_in_the_users_pages(page):
    found = re.findall(r"\b(?:batons?|the floor|signs? of life)\b", page.read_text(), re.I)
    assert not found


def test_the_table_of_options_has_their_defaults(project):
    """README's table: option, default, what it is."""
    rows = re.findall(r"^\| (`-[^|]*`) \| ([^|]*) \| .* \|$",
                      (documents.ROOT / "README.md").read_text(), re.M)
    assert len(rows) >= 10
    asked = control.ctl(project, "--help").out
    for options, default in rows:
        for option in re.findall(r"--?[a-z][\w-]*", options):
            assert re.search(rf"^  .*(?<![\w-]){option}\b", asked, re.M), option
        named = re.findall(r"`([^`]*)`", default)
        if named:
            long = re.findall(r"--[\w-]*", options)[-1]
            text = re.search(rf"^  [^\n]*{long}\b.*?(?=^  -|^\S|\Z)", asked, re.M | re.S)[0]
            assert f"[{named[0]}]" in re.sub(r"\s+", " ", text), (options, text)
