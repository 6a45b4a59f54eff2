# SPDX-License-Identifier: MIT
"""Every configuration in the documents for users is good, their applications answer,
and files of others are taken by the programs that they are for."""
import json
import re
import shlex
import shutil
import subprocess

import pytest

from harness import control, documents, embedded, shop
from harness.documents import SAMPLES, of
from harness.server import command, environment, free_port
from harness.shop import checked, here
from harness.waiting import DEADLINE

pytestmark = pytest.mark.skipif(
    command() != control.program(), reason="the documents are the same for all classes")
OTHER_PYTHON = {s.text for s in SAMPLES if "get_resolver" in s.text}


@pytest.fixture
def project(tmp_path):
    return shop.made(tmp_path)


# ---- configurations ----

def checks_as(project, suffix, text):
    (project / f"tried.{suffix}").write_text(here(text, project))
    checked(project, "-c", f"tried.{suffix}", "shop:app")


@pytest.mark.parametrize("sample", of("yaml"))
def test_a_configuration_in_yaml_is_good(sample, project):
    checks_as(project, "yaml", sample.text)


@pytest.mark.parametrize("sample", of("python"))
def test_python_is_a_good_configuration(sample, project):
    """What is no configuration says `# name.py` at its head, or is tried below."""
    if sample.text in OTHER_PYTHON:
        pytest.skip("tried by a test of its own")
    if "BaseApplication" in sample.text:
        compile(sample.text, repr(sample), "exec")
        pytest.skip("a program: it is read here, and test_92 starts such ones")
    checks_as(project, "py", sample.text)


@pytest.mark.parametrize("sample", [
    p for language in ("python", "yaml") for p in of(language)
    if p.values[0].page.name == "README.md"])
def test_the_readme_s_configurations_start_where_nothing_else_is(sample, tmp_path):
    """A newcomer has shop.py alone: no folder of logs, no hooks."""
    app = next(s for s in SAMPLES if s.first == "# shop.py")
    (tmp_path / "shop.py").write_text(app.text)
    suffix = "yaml" if sample.language == "yaml" else "py"
    (tmp_path / f"tried.{suffix}").write_text(sample.text)
    done = control.ctl(tmp_path, "--check-config", "--strict", "-c", f"tried.{suffix}",
                       "shop:app")
    assert done.status == 0, done


def test_the_recipe_for_djangos_urls_fails_a_start(tmp_path):
    """A mistake in urls.py shows at the start, not at the first request."""
    embedded.needs("django")
    recipe = next(iter(OTHER_PYTHON))
    passes(tmp_path, embedded.executable(), "-m", "django", "startproject", "shop", ".")
    (tmp_path / "shop/urls.py").write_text("urlpatterns = [missing]\n")
    assert control.ctl(tmp_path, "--check-config", "shop.wsgi").status == 0
    with open(tmp_path / "shop/wsgi.py", "a") as f:
        f.write(recipe)
    done = control.ctl(tmp_path, "--check-config", "shop.wsgi")
    assert done.status != 0 and "NameError: name 'missing'" in done.err, done


@pytest.mark.parametrize("sample", of("module"))
def test_an_application_of_the_documents_answers(sample, server, tmp_path):
    name = re.match(r"# (\w+)\.py", sample.first)[1]
    for package in ("flask", "fastapi", "django"):
        if re.search(rf"^(?:from|import) {package}\b", sample.text, re.M):
            embedded.needs(package)
    words = ["-k", "asgi"] if re.search("async def|FastAPI", sample.text) else []
    s = server(*words, f"{name}:app", files={f"{name}.py": sample.text})
    reply = s.get("/")
    assert reply.status == 200 and b"Hello" in reply.body


# ---- files of others ----

def tool(name):
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"there is no {name}")
    return found


def passes(folder, *words):
    done = subprocess.run(words, cwd=folder, env=environment(folder),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=DEADLINE, encoding="utf-8")
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.parametrize("sample", of("nginx"))
def test_nginx_takes_its_lines(sample, tmp_path):
    text = here(sample.text, tmp_path).replace(
        "listen 80;", f"listen 127.0.0.1:{free_port()};")
    (tmp_path / "nginx.conf").write_text(
        f"pid {tmp_path}/nginx.pid; error_log {tmp_path}/nginx.log;\nevents {{}}\n"
        "http { access_log off;\n"
        + "".join(f"{x}_temp_path {tmp_path}/{x};\n" for x in (
            "client_body", "proxy", "fastcgi", "uwsgi", "scgi")) + text + "}\n")
    passes(tmp_path, tool("nginx"), "-t", "-c", tmp_path / "nginx.conf")


@pytest.mark.parametrize("sample", of("ini"))
def test_systemd_takes_its_unit(sample, project):
    text = here(sample.text, project)
    start = re.search(r"^ExecStart=(.*)$", text, re.M)[1]
    checked(project, *shlex.split(start)[1:])
    (project / "shop.service").write_text(
        text.replace(start.split()[0], "/bin/true"))
    said = passes(project, tool("systemd-analyze"), "verify", "./shop.service")
    assert "shop.service" not in said, said


@pytest.mark.parametrize("sample", of("logrotate"))
def test_logrotate_takes_its_file(sample, tmp_path):
    (tmp_path / "rotate").write_text(here(sample.text, tmp_path).replace(
        str(tmp_path / "var/log/shop"), str(tmp_path / "log")))
    (tmp_path / "log").mkdir()
    (tmp_path / "rotate").chmod(0o644)
    passes(tmp_path, tool("logrotate"), "-d", "-s", tmp_path / "state",
           tmp_path / "rotate")


@pytest.mark.parametrize("sample", of("kubernetes"))
def test_a_pod_starts_a_server_within_its_time(sample, project):
    yaml = pytest.importorskip("yaml")
    spec = yaml.safe_load(sample.text)["spec"]["template"]["spec"]
    args = spec["containers"][0]["args"]
    assert args[0] == "cgunicorn"
    checked(project, *args[1:])
    given = dict(zip(args, args[1:]))
    assert int(given["--shutdown-delay"]) + int(given["--graceful-timeout"]) < \
        spec["terminationGracePeriodSeconds"]
    probed = {spec["containers"][0][p]["httpGet"]["path"]
              for p in ("livenessProbe", "readinessProbe")}
    assert probed == {given["--health-path"], given["--ready-path"]}


@pytest.mark.parametrize("sample", of("procfile"))
def test_a_procfile_starts_a_server(sample, project):
    checked(project, *shlex.split(sample.text)[2:])


def test_the_image_starts_its_configuration(tmp_path):
    root = documents.ROOT
    text = (root / "sample_configs/docker/Dockerfile").read_text()
    words = json.loads(re.search(r"^CMD (\[.*\])$", text, re.M)[1])
    assert words[0] == "cgunicorn"
    shutil.copytree(root / "samples/hello", tmp_path / "srv")
    shutil.copy(root / "sample_configs/container.py", tmp_path / "c.py")
    words = ["../c.py" if w == "/etc/cgunicorn.py" else w for w in words]
    checked(tmp_path / "srv", *words[1:])
