# SPDX-License-Identifier: MIT
"""`cgunicorn generate`: files of others that fit a configuration."""
import configparser
import json
import re
import shlex
import shutil
import subprocess

import pytest

from harness import control, embedded
from harness.server import command, environment
from harness.waiting import DEADLINE, until

KINDS = ("systemd", "docker", "kubernetes", "nginx", "haproxy", "logrotate",
         "supervisor")
CONFIG = """
bind = "127.0.0.1:8123"
workers = 3
timeout = 40
graceful_timeout = 20
shutdown_delay = 7
max_request_body = 5000000
ready_path = "/ready now"
accesslog = "logs/a %b \\".log"
wsgi_app = "shop.wsgi:app"
"""


@pytest.fixture
def made(tmp_path):
    def make(kind, *words, config=CONFIG):
        (tmp_path / "conf.py").write_text(config)
        done = control.ctl(tmp_path, "generate", kind, "-c", "conf.py", *words)
        assert done.status == 0, done
        return done.out
    return make


def tool(name):
    found = shutil.which(name) or shutil.which(f"/usr/sbin/{name}")
    if found is None:
        pytest.skip(f"there is no {name}")
    return found


def passes(tmp_path, *words):
    done = subprocess.run(words, cwd=tmp_path, env=environment(tmp_path),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=DEADLINE, encoding="utf-8")
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_each_says_why(made, kind):
    out = made(kind)
    assert out.endswith("\n") and re.search(r"^\s*[#;] ", out, re.M)


def test_systemd_takes_the_unit(made, tmp_path):
    unit = made("systemd")
    assert "TimeoutStopSec=37" in unit
    (tmp_path / "shop.service").write_text(unit)
    said = passes(tmp_path, tool("systemd-analyze"), "verify",
                  "./shop.service")
    assert "shop.service" not in said, said


def test_the_unit_makes_the_folders_that_the_server_needs(made, tmp_path):
    unit = made("systemd", config=CONFIG + """
bind = ["127.0.0.1:8123", "unix:/run/shop-sock/app.sock"]
pidfile = "/run/shop-pid/app.pid"
errorlog = "/home/shop/log/error.log"
daemon = True
""")
    assert "\nRuntimeDirectory=shop-sock shop-pid\n" in unit
    assert "\nReadWritePaths=/home/shop/log\n" in unit
    assert "# the configuration says daemon = True: take that out" in unit
    unit = made("systemd", config=CONFIG + """
bind = "unix:/run/shop/app.sock"
pidfile = "/run/shop/app.pid"
""")
    assert "\nRuntimeDirectory=shop\n" in unit


needs_program = pytest.mark.skipif(
    "-m" in command(), reason="the module has its Python")


def started(kind, text):
    """The words of the command that the file starts."""
    head = {"systemd": "ExecStart=", "supervisor": "command="}[kind]
    line = next(x for x in text.splitlines() if x.startswith(head))
    return shlex.split(line.removeprefix(head))


@needs_program
@pytest.mark.parametrize("kind", ["systemd", "supervisor"])
@pytest.mark.parametrize("way", ["active", "named", "on PATH"])
def test_what_starts_the_server_names_the_environment(kind, way, tmp_path):
    """Nobody activates it there."""
    root = tmp_path / "v"
    python = embedded.told(True)["executable"]
    subprocess.run([python, "-m", "venv", "--without-pip", str(root)], check=True,
                   env=environment(tmp_path), stdin=subprocess.DEVNULL)
    (tmp_path / "conf.py").write_text(CONFIG)
    env = {"active": {"VIRTUAL_ENV": root}, "named": {},
           "on PATH": {"PATH": f"{root}/bin:/usr/bin:/bin"}}[way]
    words = ["--python", root] if way == "named" else []
    made = control.ctl(tmp_path, "generate", kind, "-c", "conf.py", *words,
                       env={"VIRTUAL_ENV": None, "CGUNICORN_PYTHON": None, **env})
    assert made.status == 0, made
    words = started(kind, made.out)
    assert words[1:3] == ["--python", str(root)]
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/wsgi.py").write_text(
        f"import sys\nassert sys.prefix == {str(root)!r}, sys.prefix\ndef app(*a): pass\n")
    (tmp_path / "logs").mkdir()
    there = subprocess.run([*words, "--check-config"], cwd=tmp_path, timeout=DEADLINE,
                           env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True)
    assert there.returncode == 0, there


@needs_program
def test_an_environment_that_has_the_program_needs_no_name(tmp_path):
    root = tmp_path / "v"
    python = embedded.told(True)["executable"]
    subprocess.run([python, "-m", "venv", "--without-pip", str(root)], check=True,
                   env=environment(tmp_path), stdin=subprocess.DEVNULL)
    shutil.copy(control.program()[-1], root / "bin/cgunicorn")
    done = subprocess.run([root / "bin/cgunicorn", "generate", "systemd", "shop:app"],
                          cwd=tmp_path, timeout=DEADLINE, capture_output=True, text=True,
                          env={"PATH": "/usr/bin:/bin", "VIRTUAL_ENV": str(root)})
    assert started("systemd", done.stdout) == [str(root / "bin/cgunicorn"), "shop:app"], done


def reload_of(unit):
    line = next(x for x in unit.splitlines() if x.startswith("ExecReload="))
    return line.removeprefix("ExecReload=")


def test_the_unit_s_reload_fails_when_it_is_rolled_back(made, server, tmp_path):
    s = server("app:app", files={"app.py": """
def app(environ, start_response):
    start_response("200 OK", [])
    return [b"ok"]
"""}, announced=["Reload failed", "broken", "Traceback", "Worker", "rolled back"])
    s.get("/")
    words = [str(s.pid) if w == "$MAINPID" else w for w in shlex.split(reload_of(made("systemd")))]
    env = {"PATH": "/usr/bin:/bin"}
    run = {"cwd": "/", "env": env, "capture_output": True, "text": True, "timeout": DEADLINE}
    well = subprocess.run(words, **run)
    assert (well.returncode, well.stdout) == (0, "generation 2 serves\n"), well
    (s.folder / "app.py").write_text("broken\n")
    ill = subprocess.run(words, **run)
    assert ill.returncode == 1 and "rolled back" in ill.stderr, ill
    assert s.get("/").body == b"ok"


def test_a_server_that_hears_no_commands_gets_a_signal(made):
    unit = made("systemd", config=CONFIG + "control = False\n")
    assert reload_of(unit) == "/bin/kill -HUP $MAINPID"


def test_nginx_is_told_to_name_the_host(made):
    out = made("nginx")
    assert "name your host in server_name" in out and "sites-enabled/default" in out
    assert 'request_id = "X-Request-ID"' in out and "%({queue}x)s" in out


def test_nginx_comes_by_a_socket_file_if_there_is_one(made):
    out = made("nginx", config=CONFIG + """
bind = ["127.0.0.1:8123", "unix:/run/shop/app.sock"]
""")
    assert 'server "unix:/run/shop/app.sock"' in out


@pytest.mark.parametrize("more, seconds, why", [
    ("", 45, "longer than timeout (40 s)"),
    ("threads = 4\ntimeout = 30\n", 60, "request_timeout would"),
    ("timeout = 0\n", 3600, "request_timeout would"),
    ("threads = 4\nrequest_timeout = 12\n", 17,
     "longer than request_timeout (12 s): the server answers first"),
])
def test_a_front_s_patience_is_longer_than_the_server_s(made, more, seconds, why):
    out = made("nginx", config=CONFIG + more)
    assert f"proxy_read_timeout {seconds}s;" in out and why in out
    out = made("haproxy", config=CONFIG + more)
    assert f"timeout server {seconds}s" in out and why in out


def test_the_unit_leaves_little_to_attack(made, tmp_path):
    (tmp_path / "shop.service").write_text(made("systemd"))
    program = tool("systemd-analyze")
    said = subprocess.run([program, "security", "--offline=yes",
                           "--threshold=30", "./shop.service"], cwd=tmp_path,
                          capture_output=True, encoding="utf-8")
    if "unrecognized option" in said.stderr:
        pytest.skip("this systemd-analyze looks at running units only")
    assert said.returncode == 0, said.stdout[-300:] + said.stderr


def test_words_of_a_command_are_quoted(made, tmp_path):
    folder = tmp_path / 'a %s "$x'
    folder.mkdir()
    config = CONFIG + f"chdir = {str(folder)!r}\n"
    shutil.copy(control.program()[-1], tmp_path / "p")
    unit = made("systemd", config=config)
    assert 'WorkingDirectory=' + str(folder).replace("%", "%%") in unit
    line = next(x for x in unit.splitlines() if x.startswith("ExecStart="))
    assert shlex.split(line)[-1] == "shop.wsgi:app"


def test_nginx_takes_its_file_and_passes_requests(made, server, tmp_path):
    nginx = tool("nginx")
    s = server("app:app", "--request-id", "X-Request-ID",
               "--access-logfile", "a.log", "--access-logformat",
               "%({request_id}x)s %({queue}x)s", files={"app.py": """
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""})
    text = made("nginx", config=CONFIG.replace("8123", str(s.address[1])))
    assert "client_max_body_size 5000000;" in text
    assert "proxy_read_timeout 45s;" in text
    front = tmp_path / "front.sock"
    text = text.replace("listen 80;", f"listen unix:{front};")
    (tmp_path / "nginx.conf").write_text(
        f"pid {tmp_path}/nginx.pid; error_log {tmp_path}/nginx.log;\n"
        "daemon off; worker_processes 1;\nevents {}\nhttp { access_log off;\n"
        + "".join(f"{x}_temp_path {tmp_path}/{x};\n" for x in (
            "client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        + text + "}\n")
    passes(tmp_path, nginx, "-t", "-c", tmp_path / "nginx.conf")
    process = subprocess.Popen([nginx, "-c", str(tmp_path / "nginx.conf")],
                               stderr=subprocess.DEVNULL)
    try:
        until(lambda: front.exists(), "nginx listens")
        reply = subprocess.run(
            [tool("curl"), "-s", "--max-time", "20", "--unix-socket",
             str(front), "http://shop/"], capture_output=True)
        assert reply.stdout == b"ok", (tmp_path / "nginx.log").read_text()
    finally:
        process.terminate()
        process.wait(DEADLINE)
    until(lambda: (s.folder / "a.log").read_text(), "it is logged")
    name, queue = (s.folder / "a.log").read_text().split()
    assert re.fullmatch("[0-9a-f]{32}", name) and float(queue) < 60


def test_haproxy_takes_its_file(made, tmp_path):
    haproxy = tool("haproxy")
    for config in (CONFIG.replace(" now", ""),
                   'bind = "unix:/run/shop.sock"\n'):
        (tmp_path / "haproxy.cfg").write_text(
            made("haproxy", config=config))
        passes(tmp_path, haproxy, "-c", "-f", tmp_path / "haproxy.cfg")


def test_haproxy_asks_the_ready_path(made):
    assert "option httpchk GET /readyz" in made(
        "haproxy", "--ready-path", "/readyz")
    assert "httpchk" not in made("haproxy", config="workers = 1\n")


def test_logrotate_takes_its_file(made, tmp_path):
    (tmp_path / "logs").mkdir()
    out = made("logrotate")
    assert f'"{tmp_path}/logs/a %b \\".log"' in out
    (tmp_path / "rotate").write_text(out)
    (tmp_path / "rotate").chmod(0o644)
    passes(tmp_path, tool("logrotate"), "-d", "-s", tmp_path / "state",
           tmp_path / "rotate")


def test_its_shell_script_reopens_the_files(made, server, tmp_path):
    s = server("app:app", "--access-logfile", "a.log", "--pid", "m.pid",
               files={"app.py": """
def app(environ, start_response):
    start_response("200 OK", [])
    return [b"ok"]
"""})
    out = made("logrotate", "--pid", s.folder / "m.pid")
    script = out[out.index("postrotate\n") + 11:out.index("    endscript")]
    (s.folder / "a.log").rename(s.folder / "a.log.1")
    passes(tmp_path, "sh", "-e", "-c", script)
    until(lambda: (s.folder / "a.log").exists(), "the file is there again")


def test_without_log_files_there_is_nothing_to_rotate(tmp_path):
    done = control.ctl(tmp_path, "generate", "logrotate")
    assert done.status == 1 and "nothing to rotate" in done.err


def test_supervisors_file_is_read(made):
    out = made("supervisor")
    parser = configparser.RawConfigParser()
    parser.read_string(out)
    section = dict(parser["program:shop"])
    assert section["stopwaitsecs"] == "37"
    assert shlex.split(section["command"])[-1] == "shop.wsgi:app"


def test_a_dockerfile_keeps_the_rules(made):
    """Those of hadolint that apply: a fixed base, no root, exec form, no
    cache of pip."""
    out = made("docker")
    words = {}
    for line in out.splitlines():
        if line and not line.startswith("#"):
            word, rest = line.split(" ", 1)
            words.setdefault(word, []).append(rest)
    assert re.fullmatch(r"python:3\.\d+-slim-bookworm", words["FROM"][0])
    assert words["USER"] == ["1000:1000"]
    assert "--no-cache-dir" in words["RUN"][0]
    command = json.loads(words["CMD"][0])
    assert command == ["cgunicorn", "-c", "conf.py", "--bind", "0.0.0.0:8123",
                       "shop.wsgi:app"]
    assert json.loads(words["HEALTHCHECK"][0].split(" CMD ")[1])[0] == \
        "cgunicorn"


def test_kubernetes_objects_fit_their_schemas(made):
    yaml = pytest.importorskip("yaml")
    objects = list(yaml.safe_load_all(made("kubernetes")))
    assert [o["kind"] for o in objects] == [
        "Deployment", "Service", "HorizontalPodAutoscaler"]
    pod = objects[0]["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] == 37
    container = pod["containers"][0]
    assert container["readinessProbe"]["httpGet"]["path"] == "/ready now"
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert "--health-path" in container["args"]
    assert "--ready-path" not in container["args"]
    assert "--shutdown-delay" not in container["args"]
    names = {p["name"] for p in container["ports"]}
    for probe in ("readinessProbe", "livenessProbe", "startupProbe"):
        assert container[probe]["httpGet"]["port"] in names
    labels = objects[0]["spec"]["template"]["metadata"]["labels"]
    assert objects[0]["spec"]["selector"]["matchLabels"].items() <= \
        labels.items()
    assert objects[1]["spec"]["selector"].items() <= labels.items()
    assert objects[2]["spec"]["scaleTargetRef"]["name"] == \
        objects[0]["metadata"]["name"]
    validate = pytest.importorskip("kubernetes_validate")
    for o in objects:
        validate.validate(o, "1.27", strict=True)


def test_an_application_has_to_be_named(tmp_path):
    done = control.ctl(tmp_path, "generate", "systemd")
    assert done.status == 1 and "shop:app" in done.err
    assert control.ctl(tmp_path, "generate", "systemd", "a:b").status == 0


def test_a_kind_that_is_none_is_named(tmp_path):
    done = control.ctl(tmp_path, "generate", "sistemd")
    assert done.status == 2 and "did you mean 'systemd'?" in done.err
    done = control.ctl(tmp_path, "generate", "nginx", "--no-such-option")
    assert done.status == 2 and "--no-such-option" in done.err


def test_a_module_of_that_name_is_served(run):
    done = run("generate", "--check-config", files={"generate.py": """
def application(environ, start_response):
    pass
"""})
    assert done.status == 0, done.err
