"""What an operator sees of a mixed mesh with the command line ``nats``, asked at a node of each kind."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from meshes import Mesh
from pairings import both

from gossamer.mesh.testing.process import NatsServerProcess

NATS = shutil.which("nats")

pytestmark = [
    pytest.mark.foreign,
    pytest.mark.skipif(NATS is None, reason="nats is not on the PATH (it is a Go program: github.com/nats-io/natscli)"),
    pytest.mark.skipif(bool(NatsServerProcess.missing()), reason=str(NatsServerProcess.missing())),
]


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """Clusters G1 (one of each kind) and G2 (nats-server), and a leaf node of ours."""
    made = Mesh(tmp_path_factory.mktemp("mesh"), both(("OR", "RO"), "O"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture(params=["G11", "G12"])
def asked(request: pytest.FixtureRequest) -> str:
    """Who is asked: ours, and nats-server."""
    name: str = request.param
    return name


def nats(mesh: Mesh, home: Path, name: str, user: str, *arguments: str) -> str:
    """Run to the end, which must be good; both its streams."""
    assert NATS is not None
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("NATS_", "XDG_"))}
    done = subprocess.run(
        [NATS, "--server", mesh.nodes[name].url(user), *arguments],
        env={**clean, "HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, (arguments, done.stdout, done.stderr)
    return done.stdout + done.stderr


def rows(text: str, name: str) -> list[list[str]]:
    """Cells of the lines of a table that begin with a name, or stand below one that does."""
    found: list[list[str]] = []
    current = ""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split("│")[1:-1]]
        if not cells:
            current = ""
        elif len(cells) > 1:
            current = cells[0] or current
            if current == name:
                found.append(cells)
    return found


def test_all_servers_are_listed(mesh: Mesh, tmp_path: Path, asked: str) -> None:
    listed = nats(mesh, tmp_path, asked, "sys", "server", "ls", "4")
    for name, cluster in (("G11", "G1"), ("G12", "G1"), ("G21", "G2"), ("G22", "G2")):
        ((_, shown, _, version, _, _, _, routes, gateways, *_),) = rows(listed, name)
        assert (shown, version, routes, gateways) == (cluster, "2.15.1", "4", "1")
    for cluster in ("G1", "G2"):
        ((_, nodes, outgoing, incoming, _),) = rows(listed, cluster)
        assert (nodes, outgoing, incoming) == ("2", "2", "2")


def test_gateways_are_reported(mesh: Mesh, tmp_path: Path, asked: str) -> None:
    report = nats(mesh, tmp_path, asked, "sys", "server", "report", "gateways", "4")
    inbound = 0
    for name in ("G11", "G12", "G21", "G22"):
        heading, *connections = rows(report, name)
        other = "G2" if name.startswith("G1") else "G1"
        port = str(mesh.nodes[name].ports["gateway"])
        assert heading[1:3] == [name[:2], port]
        kinds = [cells[3] for cells in connections]
        assert kinds.count("Outbound") == 1
        inbound += len(kinds) - 1
        assert all(cells[4].startswith(f"{other} 127.0.0.1:") and cells[9] == "4" for cells in connections), connections
    assert inbound == 4


def test_leaf_nodes_are_reported(mesh: Mesh, tmp_path: Path, asked: str) -> None:
    report = nats(mesh, tmp_path, asked, "sys", "server", "report", "leafnodes", "4")
    links = [(cells[1], cells[2], cells[10].partition("_")[0], *cells[11:]) for cells in rows(report, "G22")]
    assert sorted(links) == [("L", account, "s2", "false") for account in "AB"]  # its level goes by round-trip time


def test_routes_are_reported(mesh: Mesh, tmp_path: Path, asked: str) -> None:
    report = nats(mesh, tmp_path, asked, "sys", "server", "report", "routes", "4")
    for name, other in (("G11", "G12"), ("G12", "G11"), ("G21", "G22"), ("G22", "G21")):
        found = rows(report, name)
        assert len(found) == 4
        assert {cells[2] for cells in found} <= {other, ""}
        assert "SYS" in {cells[3] for cells in found}


def test_gateways_are_told_on_request(mesh: Mesh, tmp_path: Path, asked: str) -> None:
    lines = nats(mesh, tmp_path, asked, "sys", "server", "request", "gateways", "4").splitlines()
    told = {entry["server"]["name"]: entry["data"] for entry in map(json.loads, filter(None, lines))}
    assert {name: set(each["outbound_gateways"]) for name, each in told.items()} == {
        "G11": {"G2"},
        "G12": {"G2"},
        "G21": {"G1"},
        "G22": {"G1"},
    }


def test_the_account_is_shown(mesh: Mesh, tmp_path: Path, asked: str) -> None:
    shown = nats(mesh, tmp_path, asked, "a", "account", "info")
    assert "Account: A" in shown
    assert "Connected Cluster: G1" in shown
    assert f"Connected Server Name: {asked}" in shown
