"""The command line ``nats`` (github.com/nats-io/natscli) against both servers: what a person would try first.

It is a Go program: these tests run where it is on the path, and are skipped with the reason elsewhere.
"""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gossamer.mesh.testing.plugin import Join, StartServer
from gossamer.mesh.testing.process import ServerProcess

NATS = shutil.which("nats")

pytestmark = [
    pytest.mark.foreign,
    pytest.mark.skipif(NATS is None, reason="nats is not on the PATH (it is a Go program: github.com/nats-io/natscli)"),
]

TENANTS = """
accounts {
  SYS { users: [{user: sys, password: spw}] }
  A   { users: [{user: ann, password: apw}] }
  B   { users: [{user: bob, password: bpw, permissions: {publish: {deny: ["secret.>"]}}}] }
}
system_account: SYS
"""


@pytest.fixture
def tenants(shared_server: StartServer) -> ServerProcess:
    """A server with two tenants and a system account."""
    return shared_server(config=TENANTS)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where the program keeps its contexts."""
    return tmp_path


class NatsCli:
    """Runs the program as one user of one server."""

    def __init__(self, server: ServerProcess, home: Path, user: str = "", password: str = "") -> None:
        host, port = server.address
        self.url = f"nats://{host}:{port}"
        self._login = ["--user", user, "--password", password] if user else []
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("NATS_", "XDG_"))}
        self._environment = {**clean, "HOME": str(home)}

    def command(self, *arguments: str) -> list[str]:
        assert NATS is not None
        return [NATS, "--server", self.url, *self._login, *arguments]

    def attempt(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run to the end; the exit code is the caller's business."""
        return subprocess.run(
            self.command(*arguments), env=self._environment, capture_output=True, text=True, timeout=30, check=False
        )

    def __call__(self, *arguments: str) -> str:
        """Run to the end, which must be good; both its streams."""
        done = self.attempt(*arguments)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return done.stdout + done.stderr

    @contextmanager
    def running(self, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
        """Run beside the test; ended with it. Both its streams are its ``stdout``."""
        process = subprocess.Popen(
            self.command(*arguments),
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


def rest_of(process: "subprocess.Popen[str]") -> str:
    """What a process says until it ends by itself, which must be good."""
    text, _ = process.communicate(timeout=30)
    assert process.returncode == 0, text
    return text


def await_interest(join: Join, server: ServerProcess, subject: str, **login: Any) -> None:
    """Return when somebody listens to ``subject``: when a request no longer finds nobody there. That request is one
    message to whoever it is."""
    client = join(server, headers=True, no_responders=True, **login)
    client.subscribe("probe", 1)
    end = time.monotonic() + 20
    while time.monotonic() < end:
        client.publish(subject, b"probe", reply="probe")
        if b" 503" not in client.read_until_pong():
            return
    raise AssertionError(f"nobody listens to {subject}")


def test_rtt(tenants: ServerProcess, home: Path) -> None:
    out = NatsCli(tenants, home, "ann", "apw")("rtt", "3")
    assert re.search(r"nats://127\.0\.0\.1:\d+: [\d.]+(µs|ms)", out), out


def test_a_wrong_password_is_refused(tenants: ServerProcess, home: Path) -> None:
    done = NatsCli(tenants, home, "ann", "wrong").attempt("pub", "a", "b")
    assert done.returncode != 0
    assert "Authorization Violation" in done.stdout + done.stderr


def test_pub_and_sub(tenants: ServerProcess, home: Path, join: Join) -> None:
    nats = NatsCli(tenants, home, "ann", "apw")
    with nats.running("sub", "cli.>", "--count", "3") as subscriber:
        await_interest(join, tenants, "cli.probe", user="ann", **{"pass": "apw"})
        nats("pub", "cli.plain", "hello world")
        nats("pub", "cli.headers", "with headers", "-H", "Colour:green")
        out = rest_of(subscriber)
    assert 'Received on "cli.probe"' in out
    assert 'Received on "cli.plain"' in out
    assert "hello world" in out
    assert "Colour: green" in out
    assert "with headers" in out


def test_tenants_hear_nothing_of_each_other(tenants: ServerProcess, home: Path, join: Join) -> None:
    ann, bob = NatsCli(tenants, home, "ann", "apw"), NatsCli(tenants, home, "bob", "bpw")
    with ann.running("sub", "both", "--count", "2") as subscriber:
        await_interest(join, tenants, "both", user="ann", **{"pass": "apw"})
        bob("pub", "both", "from bob")
        ann("pub", "both", "from ann")
        out = rest_of(subscriber)
    assert "from ann" in out
    assert "from bob" not in out


def test_a_denied_publish_is_told(tenants: ServerProcess, home: Path) -> None:
    done = NatsCli(tenants, home, "bob", "bpw").attempt("pub", "secret.plans", "x")
    text = done.stdout + done.stderr
    assert 'Permissions Violation for Publish to "secret.plans"' in text, text


def test_request_and_reply(tenants: ServerProcess, home: Path, join: Join) -> None:
    nats = NatsCli(tenants, home, "ann", "apw")
    with nats.running("reply", "service.echo", "answer to {{.Request}}", "--count", "2"):
        await_interest(join, tenants, "service.echo", user="ann", **{"pass": "apw"})
        assert nats("req", "service.echo", "question", "--raw").strip() == "answer to question"


def test_a_request_without_a_service_ends_at_once(tenants: ServerProcess, home: Path) -> None:
    out = NatsCli(tenants, home, "ann", "apw")("req", "service.none", "question", "--timeout", "25s")
    assert "No responders are available" in out


def test_bench_publish_and_subscribe(tenants: ServerProcess, home: Path, join: Join) -> None:
    nats = NatsCli(tenants, home, "ann", "apw")
    # It counts to the end of its own number, so the probe is one of the 2001.
    with nats.running("bench", "sub", "bench.a", "--msgs", "2001", "--no-progress") as subscriber:
        await_interest(join, tenants, "bench.a", user="ann", **{"pass": "apw"})
        published = nats("bench", "pub", "bench.a", "--msgs", "2000", "--size", "16", "--no-progress")
        received = rest_of(subscriber)
    assert "publisher stats" in published
    assert "subscriber stats" in received


def test_bench_requests(tenants: ServerProcess, home: Path, join: Join) -> None:
    nats = NatsCli(tenants, home, "ann", "apw")
    with nats.running("bench", "service", "serve", "bench.s", "--size", "16", "--no-progress"):
        await_interest(join, tenants, "bench.s", user="ann", **{"pass": "apw"})
        out = nats("bench", "service", "request", "bench.s", "--msgs", "200", "--size", "16", "--no-progress")
    assert "requester stats" in out, out


def test_check_connection(tenants: ServerProcess, home: Path) -> None:
    nats = NatsCli(tenants, home, "ann", "apw")
    said = json.loads(nats("server", "check", "connection", "--format", "json"))
    assert (said["status"], said["check_name"]) == ("OK", "Connection")
    assert {entry["name"] for entry in said["perf_data"]} == {"connect_time", "rtt", "request_time"}


def test_check_connection_of_a_dead_server(start_server: StartServer, home: Path) -> None:
    server = start_server()
    nats = NatsCli(server, home)
    server.stop()
    done = nats.attempt("server", "check", "connection", "--format", "json")
    assert done.returncode == 2, done
    assert json.loads(done.stdout)["status"] == "CRITICAL"


def test_account_info(tenants: ServerProcess, home: Path) -> None:
    out = NatsCli(tenants, home, "bob", "bpw")("account", "info")
    assert re.search(r"User: bob\n", out), out
    assert re.search(r"Account: B\b", out), out
    assert "Headers Supported: true" in out


def test_system_account_reports(tenants: ServerProcess, home: Path) -> None:
    nats = NatsCli(tenants, home, "sys", "spw")
    assert "1 replies" in nats("server", "ping", "1")
    listed = json.loads(nats("server", "list", "1", "--json"))
    assert [len(entry["server"]["id"]) for entry in listed] == [56]
    told = json.loads(nats("server", "request", "variables", "1").splitlines()[0])
    checked = nats("server", "check", "server", "--name", told["server"]["name"])
    assert checked.startswith("OK ")
    assert "Top" in nats("server", "report", "connections")
