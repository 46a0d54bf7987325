"""What the command line ``nats`` shows of accounts, connections and events of a server: the same of both.

It is a Go program (github.com/nats-io/natscli): these tests run where it is on the path, and are skipped with the
reason elsewhere.
"""

import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gossamer.mesh.testing.plugin import Dial, Join, StartServer
from gossamer.mesh.testing.process import ServerProcess

NATS = shutil.which("nats")

pytestmark = [
    pytest.mark.foreign,
    pytest.mark.skipif(NATS is None, reason="nats is not on the PATH (it is a Go program: github.com/nats-io/natscli)"),
]


class NatsCli:
    """Runs the program as one user."""

    def __init__(self, server: ServerProcess, home: Path, user: str, password: str) -> None:
        assert NATS is not None
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("NATS_", "XDG_"))}
        self._environment = {**clean, "HOME": str(home), "TERM": "dumb"}
        self._command = [NATS, "--server", server.url, "--user", user, "--password", password]

    def __call__(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self._command, *arguments], env=self._environment, capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return done.stdout + done.stderr

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [*self._command, *arguments], env=self._environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True,
        )  # fmt: skip


@pytest.fixture
def operator(tenants: ServerProcess, tmp_path: Path) -> NatsCli:
    """The program on the system account."""
    return NatsCli(tenants, tmp_path, "sys", "ps")


def test_account_info(tenants: ServerProcess, tmp_path: Path) -> None:
    shown = NatsCli(tenants, tmp_path, "bob", "pb")("account", "info")
    assert re.search(r"User: bob\n", shown)
    assert re.search(r"Account: B", shown)
    assert re.search(r"Expires: never", shown)


def test_report_accounts(tenants: ServerProcess, operator: NatsCli, join: Join) -> None:
    client = join(tenants, user="bob", **{"pass": "pb"})
    client.subscribe("x", 1)
    client.publish("y", b"12345")
    client.ping()
    shown = operator("server", "report", "accounts")
    rows = {cells[0]: cells for cells in _rows(shown)}
    assert rows["B"] == ["B", "1", "1", "0", "5 B", "0 B", "1"]
    assert rows["SYS"][1] == "1"


def _rows(table: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in line.strip("│").split("│")] for line in table.splitlines() if line.startswith("│")
    ]


def test_report_connections(tenants: ServerProcess, operator: NatsCli, join: Join) -> None:
    join(tenants, user="bob", name="a worker", **{"pass": "pb"})
    shown = operator("server", "report", "connections")
    assert re.search(r"a worker .*│ B ", shown)


def test_account_details(operator: NatsCli) -> None:
    shown = operator("server", "account", "info", "A")
    assert "Account information for account A" in shown
    assert "$SYS.REQ.USER.INFO from subject $SYS.REQ.USER.A.INFO in account SYS" in shown
    (line,) = [line for line in operator("server", "request", "accounts").splitlines() if line.strip()]
    assert set(json.loads(line)["data"]["accounts"]) == {"$G", "A", "B", "SYS"}


@pytest.mark.parametrize(
    ("what", "field"),
    [
        (("accounts", "--account", "A"), "account_detail"),
        (("connections",), "connections"),
        (("gateways",), "outbound_gateways"),
        (("leafnodes",), "leafs"),
        (("routes",), "routes"),
        (("subscriptions",), "num_subscriptions"),
        (("variables",), "server_id"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else value,
)
def test_requests(operator: NatsCli, what: tuple[str, ...], field: str) -> None:
    answers = [json.loads(line) for line in operator("server", "request", *what).splitlines() if line.strip()]
    assert [field in answer["data"] for answer in answers] == [True]


def test_kick(tenants: ServerProcess, operator: NatsCli, dial: Dial) -> None:
    client = dial(tenants)
    info = client.handshake(user="bob", **{"pass": "pb"})
    operator("server", "request", "kick", str(info["client_id"]), info["server_id"])
    client.expect_close()


def test_reload(start_server: StartServer, tmp_path: Path, listen: Callable[..., Any]) -> None:
    config = "accounts { SYS: { users: [{user: sys, password: ps}] } }\nsystem_account: SYS\nmax_payload: %d\n"
    server = start_server(config=config % 1000)
    identity = listen(server).info["server_id"]
    server.config_path.write_text(config % 2000)
    NatsCli(server, tmp_path, "sys", "ps")("server", "config", "reload", identity, "--force")
    assert listen(server).info["max_payload"] == 2000


def test_events(tenants: ServerProcess, operator: NatsCli, dial: Dial) -> None:
    """The event viewer understands our events, reasons included."""
    watching = operator.start("events", "--all", "--json")
    lines: list[str] = []
    assert watching.stdout is not None
    output = watching.stdout
    reader = threading.Thread(target=lambda: lines.extend(iter(output.readline, "")))
    reader.start()
    try:
        while not any("client_disconnect" in line for line in list(lines)):  # it says nothing when it is ready
            client = dial(tenants)
            client.read_info()
            client.connect(user="bob", name="shown", **{"pass": "no"})
            client.read_to_end()
    finally:
        watching.terminate()
        watching.wait(10)
        reader.join(10)
        output.close()
    shown = "".join(lines)
    assert '"shown"' in shown
    assert "Authentication Failure" in shown
