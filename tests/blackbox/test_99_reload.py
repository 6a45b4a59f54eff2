# SPDX-License-Identifier: MIT
"""Development: reload on a change, a page for what cannot be loaded, --dev,
spew."""
import os

import pytest

from harness import classes, control
from harness.waiting import until

APP = """
import os, word

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [("%s %d" % (word.WORD, os.getpid())).encode()]
"""
FILES = {"app.py": APP, "word.py": "WORD = 'one'\n"}


@pytest.fixture(params=["inotify", "poll"])
def watched(server, request):
    return server("--reload", "--reload-engine", request.param, "app:app",
                  files=FILES)


def word(s):
    return s.get("/").body.split()[0].decode()


def save(s, text, name="word.py"):
    """As an editor does: another file that takes its place."""
    path = s.folder / name
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(path)


def test_a_change_is_served_and_named(watched):
    s = watched
    assert word(s) == "one"
    for new in ("two", "three"):
        save(s, f"WORD = '{new}'\n")
        until(lambda: word(s) == new, "the new code is served")
    s.wait_log(r"Worker reloading: .*/word\.py modified", 2)
    assert s.log_count(r"Worker reloading") == 2


def test_what_cannot_be_loaded_is_shown_and_mended(server):
    s = server("--reload", "app:app", files=FILES)
    s.announce("Traceback", "SyntaxError", "ModuleNotFoundError")
    for broken, why in (("WORD = 'thr\n", b"SyntaxError"),
                        ("import no_such_thing\n", b"no_such_thing")):
        save(s, broken)
        until(lambda: s.get("/").status == 500, "the page is shown")
        page = s.get("/any/path")
        assert why in page.body and b"word.py" in page.body
        assert page.one("Content-Type").startswith("text/plain")
        html = s.get("/", "Accept: text/html,*/*;q=0.1")
        assert html.one("Content-Type").startswith("text/html")
        assert b"<pre>" in html.body and why in html.body
        save(s, "WORD = 'mended'\n")
        until(lambda: s.get("/").status == 200, "it is mended")
    assert word(s) == "mended"


def test_files_beside_the_code_count_only_when_they_are_named(server):
    s = server("--reload", "--reload-extra-file", "page.html",
               "--reload-extra-file", "more", "--reload-extra-file",
               "*.globbed", "--access-logfile", "access.log", "app:app",
               files={**FILES, "page.html": "1", "more/deep/a.txt": "1"})
    for name in ("note.txt", "a.pyc", ".hidden.py", "more/a.log"):
        (s.folder / name).write_text("x")
    for _ in range(5):
        word(s)
    count = 0
    for name in ("page.html", "more/deep/a.txt", "b.globbed", "new.py"):
        before = s.get("/").body
        (s.folder / name).write_text("2")
        count += 1
        s.wait_log(r"Worker reloading: .*%s modified" % name, 1)
        until(lambda: s.get("/").body != before, "another worker serves")
    os.utime(s.folder / "word.py")
    s.wait_log(r"Worker reloading: .*word.py modified", 1)
    assert s.log_count("Worker reloading") == count + 1


def test_the_configuration_file_counts_and_a_broken_one_stops_nobody(server):
    s = server("app:app", files=FILES,
               config="reload = True\nraw_env = ['A=1']\n")
    s.announce("Traceback", "SyntaxError", "Reload failed")
    name = next(p.name for p in s.folder.iterdir() if "conf" in p.name)
    save(s, "reload = \n", name)
    s.wait_log("Reload failed", 1)
    until(lambda: word(s) == "one", "the old one serves")
    save(s, "reload = True\nproc_name = 'mended'\n", name)
    s.wait_log(r"Worker reloading", 2)
    save(s, "WORD = 'two'\n")
    until(lambda: word(s) == "two", "code counts, too")


SLOW = """
import os, time, word

def app(environ, start_response):
    told = word.WORD
    if environ["PATH_INFO"] == "/slow":
        open("began", "w").close()
        while not os.path.exists("go"):
            time.sleep(0.01)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [told.encode()]
"""


def test_a_request_that_is_under_way_is_finished(server):
    s = server("--reload", "app:app", files={**FILES, "app.py": SLOW})
    with s.connect() as c:
        c.get("/slow")
        until(lambda: (s.folder / "began").exists(), "it runs")
        save(s, "WORD = 'two'\n")
        s.wait_log("Reload done")
        assert word(s) == "two"
        (s.folder / "go").touch()
        assert c.reply().body == b"one"


def test_preload_app_gives_way(server):
    """The master stays, with its PID, and what cannot be loaded has its page."""
    s = server("--reload", "--preload", "app:app", files=FILES)
    s.announce("Traceback", "SyntaxError")
    s.wait_log("preload_app: with reload each worker loads", 1)
    save(s, "WORD = 'two'\n")
    until(lambda: word(s) == "two", "the new code is served")
    save(s, "WORD = 'thr\n")
    until(lambda: s.get("/").status == 500, "the page is shown")
    save(s, "WORD = 'three'\n")
    until(lambda: s.get("/").status == 200, "it is mended")
    assert word(s) == "three" and control.status(s)["pid"] == s.pid


def test_dev_is_one_word_for_all_of_it(server):
    s = server("--dev", "app:app", files=FILES)
    assert word(s) == "one"
    until(lambda: '"GET / HTTP/1.1" 200' in s.stdout(), "it is on stdout")
    save(s, "WORD = 'two'\n")
    until(lambda: word(s) == "two", "the new code is served")


def test_dev_sets_what_nothing_else_sets(run):
    done = run("--dev", "-w", "3", "--print-config", "app:app", files=FILES)
    lines = (line.partition("=") for line in done.out.splitlines())
    told = {name.strip(): value.strip() for name, _, value in lines}
    assert [told[n] for n in ("reload", "timeout", "accesslog", "workers")] == [
        "True", "0", "-", "3"]


@pytest.mark.parametrize("args, status, words", [
    (["--dev", "-D"], 1, ["dev is for a terminal"]),
    (["--dev", "-b", "0.0.0.0:0", "--check-config"], 0, ["dev: others can"]),
    (["--reload-extra-file", "no/such"], 1, ["no/such"]),
])
def test_what_is_no_place_for_development_is_told(run, args, status, words):
    done = run(*args, "app:app", files=FILES)
    assert done.status == status
    done.line_with(*words)


def test_spew_prints_lines(server):
    s = server("--spew", "app:app", files=FILES, env={"PYTHONUNBUFFERED": "1"})
    assert word(s) == "one"
    until(lambda: "word:1: WORD = 'one'" in s.stdout(), "it is printed")
    if not classes.has_package():
        assert "app:5:     start_response(" in s.stdout()
