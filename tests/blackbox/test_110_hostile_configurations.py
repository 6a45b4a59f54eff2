# SPDX-License-Identifier: MIT
"""Objects of a configuration that raise, lie or are huge: a start ends with words
that name the setting, a server that runs goes on."""
import pytest

from harness.waiting import until

APP = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""
HOSTILE = """
class Hostile:
    def bad(self, *args):
        raise ValueError("hostile")
    __str__ = __repr__ = __bool__ = __int__ = __index__ = __float__ = bad
    __iter__ = __len__ = __eq__ = __fspath__ = __getattr__ = bad
    __hash__ = None

class Text(str):
    def __str__(self):
        raise ValueError("hostile")
    __repr__ = encode = lower = strip = __str__

class Number(int):
    def __index__(self):
        raise ValueError("hostile")
    __int__ = __str__ = __repr__ = __bool__ = __index__

class Colon(RuntimeError):
    pass
Colon.__name__ = Colon.__qualname__ = "Colon:"
"""
SETTINGS = ["bind", "workers", "timeout", "raw_env", "proc_name", "user",
            "loglevel", "logger_class", "worker_class", "forwarded_allow_ips",
            "secure_scheme_headers", "post_fork", "accesslog", "logconfig_dict",
            "certfile", "chdir", "umask", "statsd_host", "wsgi_app"]


def start(server, config, **more):
    return server("shop:app", files={"shop.py": APP},
                  config=HOSTILE + config, **more)


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_value_that_raises_is_told_with_its_setting(run, tmp_path, setting):
    (tmp_path / "shop.py").write_text(APP)
    (tmp_path / "conf.py").write_text(HOSTILE + f"{setting} = Hostile()\n")
    r = run("-c", "conf.py", "--check-config", "shop:app", cwd=tmp_path)
    assert r.status == 1, r.err
    assert setting in r.err and "Fatal" not in r.err, r.err


@pytest.mark.parametrize("value", [
    '"x" * 10_000_000', '["y" * 1_000_000] * 20', '"\\0"', '"\\ud800"',
    '10 ** 5000', '-1', 'float("nan")', 'b"\\xff"', 'Text("x")',
    'Number(3)', 'type', 'lambda: 1', 'iter(())', '...',
])
@pytest.mark.parametrize("setting", [
    "bind", "workers", "raw_env", "proc_name", "timeout", "logger_class"])
def test_values_of_other_kinds_never_crash(run, tmp_path, setting, value):
    (tmp_path / "shop.py").write_text(APP)
    (tmp_path / "conf.py").write_text(HOSTILE + f"{setting} = {value}\n")
    r = run("-c", "conf.py", "--check-config", "shop:app", cwd=tmp_path)
    assert r.status in (0, 1), r.err
    assert len(r.err) < 100_000
    if r.status:
        assert setting in r.err, r.err


@pytest.mark.parametrize("raised", [
    "RuntimeError()", "RuntimeError('')", "RuntimeError(':')", "Colon()",
    "Colon('why')", "KeyError(Hostile())", "BaseException('why')",
    "RuntimeError('x' * 100000)"])
def test_a_logger_that_raises_ends_the_start_with_words(run, tmp_path, raised):
    (tmp_path / "shop.py").write_text(APP)
    (tmp_path / "conf.py").write_text(HOSTILE + f"""
from gunicorn.glogging import Logger
class logger_class(Logger):
    def __init__(self, cfg):
        raise {raised}
""")
    r = run("-c", "conf.py", "-b", "127.0.0.1:0", "shop:app", cwd=tmp_path,
            announced=("Traceback", "hostile"))
    assert r.status == 1, r.err
    assert r.err.strip() and "Fatal" not in r.err


def test_what_hooks_write_to_worker_server_and_cfg_may_be_anything(server):
    s = start(server, """
def assault(*objects):
    for o in objects:
        for name in ("alive", "nr", "max_requests", "age", "ppid",
                     "tmp", "aborted", "wsgi",
                     "sockets", "pid", "num_workers", "WORKERS", "address"):
            for value in (Number(7), "x" * 100000, None):
                if name in ("alive", "wsgi", "num_workers"):
                    continue  # these have their meaning
                try:
                    setattr(o, name, value)
                except Exception:
                    pass
        for name in ("nr", "age", "tmp", "booted"):
            try:
                setattr(o, name, Hostile())
            except Exception:
                pass
        for name in ("timeout", "keepalive", "limit_request_line", "bind"):
            for value in (Hostile(), Text("x"), "y" * 100000, -1, None):
                try:
                    o.cfg.set(name, value)
                except Exception:
                    pass

def when_ready(server):
    assault(server)

def post_fork(server, worker):
    assault(worker)

def post_request(worker, req, environ, resp):
    assault(worker, req, resp)
""")
    for _ in range(3):
        assert s.get("/").body == b"ok"
    s.signal("HUP")
    s.wait_log("Booting worker", 2)
    assert s.get("/").body == b"ok"
    assert s.stop() == 0


@pytest.mark.parametrize("name", ["alive", "nr", "max_requests", "wsgi", "log"])
def test_a_hostile_attribute_of_a_worker_costs_that_worker_at_most(server, name):
    s = start(server, f"""
done = []
def post_request(worker, req, environ, resp):
    if environ["PATH_INFO"] == "/assault":
        worker.{name} = Hostile()
""")
    s.announce("hostile", r"Worker \\(pid:\\d+\\)", "Exception", "Error")
    assert s.get("/assault").body == b"ok"

    def serves():
        try:
            return s.get("/").body == b"ok" or name == "wsgi"
        except (OSError, AssertionError):
            return False
    until(serves, lambda: s.tail())
    assert s.is_alive()
