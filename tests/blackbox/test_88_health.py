# SPDX-License-Identifier: MIT
"""Health and readiness on the service's own port, without the application."""
import pytest

from harness import classes, control
from harness.blocked import APP, Blocked
from harness.waiting import until

FILES = {"app.py": APP}
PATHS = ("--health-path", "/healthz", "--ready-path", "/readyz")


@pytest.fixture
def asked(server):
    s = server("-w", "2", *PATHS, "app:app", files=FILES)
    until(lambda: s.get("/readyz").status == 200, "it is ready")
    return s


def test_they_are_answered_and_reach_nobody(server):
    s = server(*PATHS, "--access-logfile", "a.log", "app:app", files=FILES)
    until(lambda: s.get("/readyz").status == 200, "it is ready")
    reply = s.get("/healthz?x=1")
    assert (reply.status, reply.body) == (200, b"ok\n")
    assert reply.one("Cache-Control") == "no-store"
    assert s.get("/", method="HEAD").status == 200
    until(lambda: "HEAD /" in (s.folder / "a.log").read_text(), "it is logged")
    assert "healthz" not in (s.folder / "a.log").read_text()
    assert control.status(s)["requests_total"] == 1


def test_other_paths_and_methods_are_the_applications(asked):
    assert asked.get("/healthz/").body.isdigit()
    assert asked.post("/healthz", b"abc").body.split()[1] == b"3"


def test_they_are_answered_while_all_workers_are_blocked(asked):
    peers = [asked.connect() for _ in range(2)]
    count = 1 if classes.has_package() else 2
    blocked = [Blocked(asked, p, f"n{i}")
               for i, p in enumerate(peers[:count])]
    for _ in range(5):
        assert asked.get("/healthz").status == 200
        assert asked.get("/readyz").status == 200
    for one in blocked:
        one.go()
        assert one.peer.reply().status == 200
    for p in peers:
        p.close()


def test_readiness_is_withdrawn_by_drain_and_health_is_not(asked):
    control.ask(asked, "drain")
    assert asked.get("/readyz").status == 503
    assert asked.get("/healthz").status == 200
    control.ask(asked, "resume")
    assert asked.get("/readyz").status == 200


def test_without_the_settings_they_are_the_applications(server):
    s = server("app:app", files=FILES)
    assert s.get("/healthz").body.isdigit()


def test_a_path_that_no_request_has_is_told(run):
    done = run("--health-path", "healthz", "--check-config", "app:app",
               files=FILES)
    done.line_with("health_path", "begin with '/'")
