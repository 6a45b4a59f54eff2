# SPDX-License-Identifier: MIT
"""The package gunicorn that the server brings along, name by name beside gunicorn
27: what is there, signatures, constants. docs/gunicorn-surface.md is made of it:
SURFACE_TABLE=docs/gunicorn-surface.md has the test write it anew."""
import json
import os
import re
import subprocess

import pytest

from harness import beside, classes
from harness.server import APPS, ROOT, environment, fill

pytestmark = [beside.needs_gunicorn, pytest.mark.skipif(
    bool(classes.under_test() != "sync" or classes.multithread()), reason="once is enough")]
# Parts of settings' classes that are documentation.
PROSE = {"desc", "short", "meta", "default_doc", "order"}
HTTP2 = "HTTP/2 is the server's own classes' business"
INNER = "an inner part of gunicorn's module"
ABSENT = {
    "arbiter.Arbiter.handle_dirty_arbiter_exit": "the server watches its own dirty arbiter",
    "dirty.client.DirtyStreamIterator": "stream() gives a generator",
    "dirty.client.DirtyAsyncStreamIterator": "stream_async() gives an asynchronous generator",
    "config.ALPN_PROTOCOL_MAP": INNER, "http.body.CHUNK_EXT_RE": INNER,
    "http.body.DEFAULT_MAX_CHUNK_SIZE_LINE": INNER,
    "http.body.DEFAULT_MAX_TRAILER_SECTION": INNER, "http.body.MAX_READ_STEP": INNER,
    "http.body.ChunkedReader.get_data": INNER, "http.body.ChunkedReader.read_into": INNER,
    "http.message.HeaderPolicy": INNER, "http.message.PPCommand": INNER,
    "http.message.PPFamily": INNER, "http.message.PPProtocol": INNER,
    "http.message.PP_V2_SIGNATURE": INNER,
    "http.message.RFC9110_5_3_SINGLETON_FIELDS": INNER,
    "http.message.RFC9110_6_5_1_FORBIDDEN_TRAILER": INNER,
    "http.unreader.SocketUnreader.max_body_chunk": INNER,
    "config.Config.reuse_port": "a setting, not a property: it reads the same",
    "reloader.COMPILED_EXT_RE": INNER, "reloader.symlink_target_dir": INNER,
    "sock.PLATFORM": INNER, "util.GLOB_MAGIC_RE": INNER, "util.positionals": INNER,
    "util.SUPPORTED_WORKERS": "it is gunicorn.workers.SUPPORTED_WORKERS",
    "workers.base_async.AsyncWorker.handle_http2": HTTP2,
    "workers.base_async.AsyncWorker.handle_http2_request": HTTP2,
    "workers.gthread.ThreadWorker.handle_h2c_upgrade": HTTP2,
    "workers.gthread.ThreadWorker.handle_http2": HTTP2,
    "workers.gthread.ThreadWorker.handle_http2_request": HTTP2,
    "workers.gthread.STOP_KEEPALIVE_LINGER": INNER,
    "config.reloader_engines": INNER, "workers.base.reloader_engines": INNER,
    "workers.gtornado.gversion": INNER, "workers.workertmp.IS_CYGWIN": INNER, "workers.workertmp.PLATFORM": INNER,
}
METHOD = "a method of its own, which the base class has as a builtin"
OWN = "the class is the server's own: a subclass is refused with that reason"
DIFFERS = {
    "http.body.ChunkedReader.parse_chunk_size": "data is b\"\" by default, not None",
    "http.message.RFC9110_5_5_INVALID_AND_DANGEROUS": "the same pattern, written otherwise",
    "workers.SUPPORTED_WORKERS": "the same names in another order",
    "glogging.SYSLOG_FACILITIES": "the same names in another order",
    "config.Keepalive.default": "75 seconds, not 2: idle connections cost little here",
    "config.NewSSLContext.default": "another name of an argument",
    "config.NewSSLContext.ssl_context": "another name of an argument",
    "config.NumWorkersChanged.default": "other names of arguments",
    "config.NumWorkersChanged.nworkers_changed": "other names of arguments",
    "config.Chdir.default": "the folder of the start", "config.ControlSocket.default":
    "no control socket by default",
    "config.Threads.type": "a function of one argument, which takes a range",
    "config.Umask.type": "a function of one argument",
    "config.ControlSocketMode.type": "a function of one argument",
    "http.wsgi.WSGIErrorsWrapper.fileno": METHOD,
    "http.wsgi.WSGIErrorsWrapper.writable": METHOD,
    "sock.TCPSocket.FAMILY": "found when it is asked for",
    "sock.TCP6Socket.FAMILY": "found when it is asked for",
    "sock.UnixSocket.FAMILY": "found when it is asked for",
}
for _name in ("GeventWorker", "GeventPyWSGIWorker"):
    ABSENT[f"workers.ggevent.{_name}.handle_http2"] = HTTP2
    ABSENT[f"workers.ggevent.{_name}.handle_http2_request"] = HTTP2
for _name in ("check_config", "handle_abort_signal", "handle_exit_signal",
              "handle_quit_signal", "handle_usr1_signal", "handle_winch_signal"):
    ABSENT["workers.gasgi.ASGIWorker." + _name] = OWN
DIFFERS["workers.gasgi.ASGIWorker"] = OWN


def names(program, folder):
    fill(folder, {"shop.py": "def app(environ, start_response):\n    pass\n"},
         ["gunicorn_names.py"])
    done = subprocess.run([*program, "--check-config", "-c", "gunicorn_names.py", "shop:app"],
                          cwd=folder, env=environment(folder), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "names.json").read_text())


def compare(theirs, ours):
    """[(name, state, what)] of every name that gunicorn has."""
    rows = []
    for module, contents in sorted(theirs.items()):
        mine = ours[module]
        if "!" in contents or "!" in mine:
            rows.append((module, "skipped", contents.get("!") or mine.get("!")))
            continue
        for name, their in sorted(contents.items()):
            rows += compare_name(f"{module}.{name}", their, mine.get(name))
    return rows


def compare_name(full, their, our):
    if our is None:
        return [(full, "absent", "")]
    rows = []
    for key in ("kind", "signature", "value"):
        if their.get(key) != our.get(key):
            rows.append((full, "differs", f"{their.get(key)} / {our.get(key)}"))
    for member, value in their.get("members", {}).items():
        if member in PROSE:
            continue
        found = our["members"].get(member)
        if found is None:
            rows.append((f"{full}.{member}", "absent", ""))
        elif found != value:
            rows.append((f"{full}.{member}", "differs", f"{value} / {found}"))
    return rows or [(full, "works", "")]


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    if beside.is_old():
        pytest.skip("beside gunicorn 27 only")
    theirs, ours = (names(p, tmp_path_factory.mktemp(n)) for p, n in (
        (beside.GUNICORN, "theirs"), (beside.PROGRAMS[1], "ours")))
    return compare(theirs, ours)


def test_names_that_are_missing_are_declared(rows):
    missing = {name for name, state, _ in rows if state == "absent"}
    assert missing == {n for n in ABSENT if any(r[0] == n for r in rows)}


def test_names_that_differ_are_declared(rows):
    found = {name: what for name, state, what in rows if state == "differs"}
    assert not {n: w for n, w in found.items() if n not in DIFFERS}


def test_most_of_it_is_the_same(rows):
    assert sum(state == "works" for _, state, _ in rows) > 250


def test_behaviours_are_the_same(tmp_path):
    """Values of functions that others call."""
    calls = """\
import gunicorn.config as _config  # `config` is a setting
from gunicorn import util
import json
def said(f, *args):
    try:
        return repr(f(*args))
    except Exception as e:
        return "%s: %s" % (type(e).__name__, e)
out = []
for a in ("1.2.3.4:80", "[::1]:9", "::1", "host", ":8000", "unix:/a/b", "unix:///a", "fd://3",
          "x:y", "", "tcp://h:1"):
    out.append(said(util.parse_address, a))
for f, values in ((_config.validate_bool, (True, None, " TRUE", "no", 1)),
                  (_config.validate_pos_int, (3, "0x10", -1, "010", True)),
                  (_config.validate_string, (" a ", None, 3)),
                  (_config.validate_list_string, ("a", ["a", "b"], "", None, ["a", 1])),
                  (_config.validate_string_to_list, ("a, b,,c", None, ["a"])),
                  (_config.validate_string_to_addr_list, ("*", "10.0.0.0/8,::1", "x", "10.0.0.1/8")),
                  (_config.validate_dict, ({}, [])), (_config.validate_class, ("a.b", int, 3)),
                  (_config.validate_proxy_protocol, (True, False, "auto", "V1", "x", 3)),
                  (_config.validate_http_protocols, ("h1", "h1,h1", "x", None)),
                  (_config.validate_statsd_address, ("h", "h:1", "unix:/a", "unix:1", "a:b:c")),
                  (_config.validate_header_map_behaviour, ("DROP", None, "x")),
                  (_config.validate_reload_engine, ("auto", "x", None)),
                  (util.http_date, (0, 1e9)), (util.is_hoppish, ("TE", "x", " server ")),
                  (util.unquote_to_wsgi_str, ("/a%20b%ff",)), (util.is_ipv6, ("::1", "1.2.3.4")),
                  (util.split_request_uri, ("//a//b?c", "/a?b#c", "http://h/p?q")),
                  (util.bytes_to_str, (b"a\\xff", "x")), (util.to_bytestring, ("a", b"b", 3))):
    out += [said(f, v) for v in values]
c = _config.Config()
out += [c.worker_class_str, repr(c.address), repr(c.proc_name), repr(c.is_ssl), repr(c.env),
        repr(sorted(c.ssl_options)), repr(len([s for s in _config.KNOWN_SETTINGS]) >= 120),
        repr([s.name for s in _config.KNOWN_SETTINGS][:120])]
c.set("threads", 2)
out += [c.worker_class_str, said(c.set, "nothing", 1), said(setattr, c, "workers", 2)]
from gunicorn.http import errors
for e in (errors.InvalidRequestLine("GET"), errors.InvalidHeader("A"),
          errors.LimitRequestLine(9, 8), errors.NoMoreData(b"x"), errors.InvalidChunkSize(b"z"),
          errors.ForbiddenProxyRequest("h"), errors.InvalidSchemeHeaders(),
          errors.UnsupportedTransferCoding("foo"), errors.LimitRequestHeaders("m"),
          errors.ConfigurationProblem("i"), errors.ExpectationFailed("x"),
          errors.ObsoleteFolding("h"), errors.InvalidProxyLine("l")):
    out.append("%s: %s %s" % (type(e).__name__, e, getattr(e, "code", None)))
with open("calls.json", "w") as f:
    json.dump(out, f)
"""
    told = []
    for program, name in zip(beside.PROGRAMS, ("theirs", "ours")):
        folder = tmp_path / name
        folder.mkdir()
        fill(folder, {"shop.py": "def app(environ, start_response):\n    pass\n",
                      "calls.py": calls})
        done = subprocess.run([*program, "--check-config", "-c", "calls.py", "shop:app"],
                              cwd=folder, env=environment(folder), capture_output=True,
                              text=True)
        assert done.returncode == 0, done.stderr
        told.append(json.loads((folder / "calls.json").read_text()))
    different = [pair for pair in zip(*told) if pair[0] != pair[1]]
    assert not different and len(told[0]) == len(told[1])


def table(rows):
    lines = ["# The importable `gunicorn`, name by name", "",
             "Made by tests/blackbox/test_84_surface_parity.py, which imports this server's "
             "package and gunicorn 27 and", "compares names, signatures and constants. Names "
             "that are in no table work as gunicorn's do.", ""]
    modules = {}
    for name, state, _ in rows:
        module = max((m for m in MODULES if (name + ".").startswith(m + ".")), key=len)
        modules.setdefault(module, []).append((name[len(module) + 1:], state))
    lines += ["| module | names that work | others |", "|---|---|---|"]
    for module, found in sorted(modules.items()):
        same = sum(state == "works" for _, state in found)
        shown = "gunicorn" if module == "gunicorn" else "gunicorn." + module
        lines.append(f"| `{shown}` | {same} | {len({n for n, s in found if s != 'works'})} |")
    lines += ["", "| name | state |", "|---|---|"]
    for name, state, _ in rows:
        if state == "absent":
            lines.append(f"| `gunicorn.{name}` | is not there: {ABSENT.get(name, '?')} |")
        elif state == "differs":
            lines.append(f"| `gunicorn.{name}` | works, differs so: {DIFFERS.get(name, '?')} |")
    return "\n".join(lines) + "\n"


MODULES = re.search(r'MODULES = """(.*?)"""', (APPS / "gunicorn_names.py").read_text(),
                    re.S)[1].split()


def test_the_table_of_the_documents_is_this_one(rows):
    missing = [(name, what) for name, state, what in rows if state == "skipped"]
    if missing:
        pytest.skip(f"packages are missing: {missing}")
    wanted = os.environ.get("SURFACE_TABLE")
    if wanted:
        (ROOT / wanted).write_text(table(rows))
    assert (ROOT / "docs/gunicorn-surface.md").read_text() == table(rows)
