# SPDX-License-Identifier: MIT
"""The access log and the error log."""
import base64
import os
import re

import pytest

from harness.load import Load
from harness.logcheck import lines
from harness.waiting import until

APPS = ["probe.py"]
ATOMS = ("h", "l", "u", "t", "r", "m", "U", "q", "H", "s", "B", "b", "f", "a",
         "T", "M", "D", "L", "p", "{x-in}i", "{X-Kept}o", "{REMOTE_ADDR}e",
         "{no-such}i", "nosuchatom")


def test_there_is_no_access_log_unless_asked_for(server):
    s = server("probe:app", apps=APPS)
    s.get("/one")
    s.stop()
    assert s.stdout() == ""
    assert "GET /one" not in s.stderr()


def test_the_default_access_line_is_gunicorns(server):
    s = server("probe:app", "--access-logfile", "access.log", apps=APPS)
    s.get("/one?x=1", "Referer: http://shop/", "User-Agent: test/1")
    line = lines(s.folder / "access.log", 1)[0]
    assert re.fullmatch(
        r'127\.0\.0\.1 - - \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d '
        r'[+-]\d{4}\] "GET /one\?x=1 HTTP/1\.1" 200 8 '
        r'"http://shop/" "test/1"', line), line


def test_the_access_log_dash_is_stdout(server):
    s = server("probe:app", "--access-logfile", "-", apps=APPS)
    s.get("/one")
    until(lambda: '"GET /one HTTP/1.1" 200 8 "-" "-"\n' in s.stdout(),
          lambda: "an access line on stdout: " + s.stdout())


def test_every_atom_has_its_value(server):
    form = " ".join(f"{a}=%({a})s" for a in ATOMS)
    s = server("probe:app", apps=APPS, config=f"accesslog = 'access.log'\n"
               f"access_log_format = {form!r}\n")
    secret = base64.b64encode(b"ada:secret").decode()
    s.get("/own_fields/a%20b?q=1", "Referer: ref", "User-Agent: agent",
          f"Authorization: Basic {secret}", "X-In: inward")
    pid = s.workers()[0]
    line = lines(s.folder / "access.log", 1)[0]
    want = [
        r"h=127\.0\.0\.1", "l=-", "u=ada",
        r"t=\[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\]",
        r"r=GET /own_fields/a%20b\?q=1 HTTP/1\.1", "m=GET",
        "U=/own_fields/a b", "q=q=1", r"H=HTTP/1\.1", "s=200", "B=3", "b=3",
        "f=ref", "a=agent", "T=0", r"M=\d+", r"D=\d+", r"L=0\.\d{6}",
        rf"p=<{pid}>", r"\{x-in\}i=inward", r"\{X-Kept\}o=kept",
        r"\{REMOTE_ADDR\}e=127\.0\.0\.1", r"\{no-such\}i=-", "nosuchatom=-",
    ]
    assert re.fullmatch(" ".join(want), line), line


def test_the_peer_of_a_unix_socket_is_empty(server):
    s = server("probe:app", apps=APPS, bind="unix",
               config="accesslog = 'a.log'\n"
                      "access_log_format = '[%(h)s] %(s)s'\n")
    s.get("/one")
    assert lines(s.folder / "a.log", 1)[0] == "[] 200"


@pytest.mark.parametrize("path, status, size", [
    ("/generator", 200, 21), ("/status?404", 404, 6), ("/status?204", 204, 0),
    ("/nothing", 200, 0), ("/big?300000", 200, 300000),
    ("/writing", 200, 22)])
def test_status_and_size_are_what_was_sent(server, path, status, size):
    s = server("probe:app", apps=APPS, config="accesslog = 'a.log'\n"
               "access_log_format = '%(s)s %(B)s'\n")
    s.get(path)
    assert lines(s.folder / "a.log", 1) == [f"{status} {size}"]


def test_a_file_counts_its_bytes(server):
    s = server("probe:app", apps=APPS, config="accesslog = 'a.log'\n"
               "access_log_format = '%(s)s %(B)s'\n")
    s.get("/file")
    assert lines(s.folder / "a.log", 1)[0] in ("200 262144", "200 0")


def test_an_exception_is_a_500_in_the_access_log_once(server):
    s = server("probe:app", apps=APPS, announced=["ZeroDivisionError"],
               config="accesslog = 'a.log'\naccess_log_format = '%(s)s'\n")
    s.get("/raising")
    s.get("/one")
    assert lines(s.folder / "a.log", 2) == ["500", "200"]


def test_there_is_one_line_for_each_pipelined_request_in_order(server):
    s = server("probe:app", apps=APPS, config="accesslog = 'a.log'\n"
               "access_log_format = '%(q)s'\n")
    with s.connect() as peer:
        peer.send("".join(f"GET /one?{i} HTTP/1.1\r\nHost: a\r\n\r\n"
                          for i in range(20)))
        for _ in range(20):
            peer.reply()
    assert lines(s.folder / "a.log", 20) == [str(i) for i in range(20)]


def test_atoms_have_pythons_width_and_precision(server):
    s = server("shop:app", config="accesslog = 'a.log'\naccess_log_format = "
               "'[%(m)-6s|%(B)05d|%(T).1f|%(h).3s|%({set-cookie}o)s|%(s)4d]'\n",
               files={"shop.py": """\
def app(environ, start_response):
    start_response("200 OK", [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
    return [b"eight..."]
"""}, announced=["no form of that atom"])
    s.get("/")
    assert lines(s.folder / "a.log", 1) == ["[GET   |00008|0.0|127|b=2| 200]"]
    s.wait_log(r"\[WARNING\] access_log_format: '%\(s\)4d' is no form of that "
               "atom: it prints as with s")


def test_quotes_and_controls_of_a_peer_are_escaped(server):
    s = server("probe:app", "--access-logfile", "a.log", apps=APPS)
    s.get('/one?"%0d%0aX:%1b[31m', 'User-Agent: a"b\tc\xe9')
    s.get("/one%0d%0a127.0.0.1%20-%20-%20forged")
    found = lines(s.folder / "a.log", 2)
    assert len(found) == 2, "a peer made a line of its own"
    assert r'a\"b' in found[0]
    assert "\x1b" not in "".join(found) and "\r" not in "".join(found)


def test_controls_in_the_decoded_path_do_not_make_a_line(server):
    s = server("probe:app", apps=APPS, config="accesslog = 'a.log'\n"
               "access_log_format = '%(U)s|%({X-In}i)s'\n")
    s.get("/one%0a%0dforged%1b", "X-In: x")
    s.get("/one")
    found = lines(s.folder / "a.log", 2)
    assert len(found) == 2 and found[0].startswith("/one"), found
    assert found[1].startswith("/one|")


def test_a_refused_request_is_a_warning_with_the_peers_address(server):
    s = server("probe:app", apps=APPS)
    with s.connect() as peer:
        peer.send("BAD\r\n\r\n").reply()
    s.wait_log(r"\[WARNING\] Invalid request from ip=127\.0\.0\.1: ")


def test_bytes_of_a_refused_request_are_escaped_in_the_error_log(server):
    s = server("probe:app", apps=APPS)
    with s.connect() as peer:
        peer.send(b"GET /\x1b[31m\xff HTTP/1.1\r\nHost: a\r\n\r\n").reply()
    s.wait_log("Invalid request from")
    assert "\x1b" not in s.log()


def test_the_error_log_goes_to_a_file(server):
    s = server("probe:app", "--error-logfile", "error.log",
               apps=APPS, errorlog="error.log")
    s.get("/one")
    assert s.stderr() == ""
    assert "Listening at" in (s.folder / "error.log").read_text()


def test_the_error_log_is_appended_to(server):
    s = server("probe:app", "--error-logfile", "error.log", apps=APPS,
               errorlog="error.log", files={"error.log": "old line\n"})
    s.get("/one")
    assert s.log().startswith("old line\n")


@pytest.mark.parametrize("level, shown, hidden", [
    ("debug", "[DEBUG]", "\0"), ("warning", "[WARNING]", "[INFO]"),
    ("error", "", "[WARNING]")])
def test_the_log_level_filters(server, level, shown, hidden):
    s = server("probe:app", "--log-level", level, "--error-logfile",
               "error.log", apps=APPS, errorlog="error.log", start=False)
    until(lambda: _answers(s), "the server answers")
    with s.connect() as peer:
        assert peer.send("BAD\r\n\r\n").reply().status == 400
    assert s.stop() == 0
    assert shown in s.log()
    assert hidden not in s.log()


def _answers(s):
    try:
        return s.get("/one").status == 200
    except (OSError, AssertionError):
        return False


@pytest.mark.parametrize("name", ["error.log", "access.log"])
def test_usr1_reopens_a_log_that_was_moved(server, name):
    s = server("probe:app", "-w", "2", "--error-logfile", "error.log",
               "--access-logfile", "access.log", apps=APPS,
               errorlog="error.log")
    s.wait_log("Booting worker", 2)
    s.get("/one?before")
    lines(s.folder / "access.log", 1)
    (s.folder / name).rename(s.folder / "moved")
    s.signal("USR1")
    until(lambda: (s.folder / name).exists(), f"{name} is made anew")
    # both workers reopen in their own time
    def in_the_new_one():
        s.get("/one?after")
        with s.connect() as peer:
            peer.send("BAD\r\n\r\n").reply()
        text = (s.folder / name).read_text()
        return "after" in text if name == "access.log" else "Invalid" in text
    until(in_the_new_one, f"lines arrive in the new {name}")
    old = (s.folder / "moved").read_text()
    assert "before" in old or name == "error.log"


def test_output_of_the_application_goes_to_the_error_log_if_captured(server):
    s = server("talk:app", "--capture-output", "--error-logfile", "error.log",
               errorlog="error.log", files={"talk.py": """\
import os, sys

def app(environ, start_response):
    print("printed by python", flush=True)
    print("to stderr", file=sys.stderr, flush=True)
    os.system("echo by a child")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"x"]
"""})
    s.get("/")
    for text in ("printed by python", "to stderr", "by a child"):
        s.wait_log(text)


def test_lines_of_several_workers_do_not_mix(server):
    s = server("probe:app", "-w", "3", "--access-logfile", "a.log", apps=APPS)
    with Load(s.address, "/one?" + "y" * 300, clients=6) as load:
        load.wait_answers(600)
    assert load.lost == []
    for line in lines(s.folder / "a.log", load.answered):
        assert line.count("GET /one?" + "y" * 300 + " HTTP/1.1") == 1, line


def test_a_log_pipe_without_reader_costs_no_request(server, tmp_path):
    folder = tmp_path / "s0"
    folder.mkdir()
    os.mkfifo(folder / "pipe")
    reader = os.open(folder / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    s = server("probe:app", "--access-logfile", "pipe", apps=APPS)
    assert s.get("/one").body == b"one item"
    os.close(reader)
    for _ in range(20):
        assert s.get("/one").body == b"one item"
    assert s.get("/one?" + "z" * 3000).body == b"one item"
