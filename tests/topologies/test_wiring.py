"""What a topology of clusters becomes: wires, and configuration files that both servers read."""

import itertools
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from gossamer.auth.credentials import load_credentials
from gossamer.mesh.options.language import parse_file
from gossamer.mesh.options.loading import load
from gossamer.operator.failure import Failure
from gossamer.operator.up import addresses, reading
from gossamer.operator.up.addresses import Address
from gossamer.operator.up.node_configuration import file_names, write_all
from gossamer.operator.up.node_process import program
from gossamer.operator.up.topology import Topology
from gossamer.operator.up.trust import GUIDE_SUBJECTS, Trust
from gossamer.operator.up.wiring import Wiring, container_wiring, ports_needed, wire


def three_clouds() -> Topology:
    return reading.read(reading.find("three-clouds"))


def places(topology: Topology) -> dict[str, Address]:
    """Made-up ports, each its own."""
    ports = itertools.count(20_001)
    return {
        name: Address(
            client_port=next(ports),
            cluster_port=next(ports),
            monitor_port=next(ports),
            gateway_port=next(ports),
            leaf_port=next(ports),
        )
        for name in topology.node_names
    }


def wired(topology: Topology) -> Wiring:
    return wire(topology, places(topology), itertools.count(30_001))


def test_every_gateway_and_every_node_of_a_hub_has_a_wire() -> None:
    topology = three_clouds()
    wiring = wired(topology)
    clouds = [name for name in topology.node_names if name != "corner-1"]
    assert list(wiring.gateways) == clouds
    assert list(wiring.leafs) == [("corner", f"paris-{number}") for number in (1, 2, 3)]
    assert wiring.leaf_wires("corner") == [wiring.leafs["corner", f"paris-{number}"].name for number in (1, 2, 3)]
    assert ports_needed(topology) == len(wiring.wires) == 12
    assert len({line.port for line in wiring.wires}) == len({line.name for line in wiring.wires}) == 12
    at = places(topology)
    for name, line in wiring.gateways.items():
        assert (line.target_host, line.target_port) == ("127.0.0.1", at[name].gateway_port)
    assert wiring.leafs["corner", "paris-2"].target_port == at["paris-2"].leaf_port


def test_a_wire_knows_half_of_the_round_trip_from_each_caller() -> None:
    wiring = wired(three_clouds())
    assert wiring.gateways["paris-3"].callers == {"london": 0.010, "rome": 0.015}
    assert wiring.gateways["rome-1"].callers == {"london": 0.020, "paris": 0.015}
    assert wiring.leafs["corner", "paris-1"].callers == {"corner": 0.012}
    assert wiring.gateways["rome-1"].delay_s("paris") == 0.015
    assert wiring.gateways["rome-1"].delay_s("somebody") == 0.020


def test_a_mesh_of_one_cluster_needs_no_wires() -> None:
    for name in ("single", "three-nodes", "mixed"):
        topology = reading.read(reading.find(name))
        assert ports_needed(topology) == 0
        assert wired(topology).wires == ()


def test_a_leaf_of_a_leaf_has_wires_to_the_leafs_above_it() -> None:
    wiring = wired(reading.read(reading.find("edge")))
    assert list(wiring.leafs) == [
        ("plant", "hub-1"),
        ("plant", "hub-2"),
        ("plant", "hub-3"),
        ("robot", "plant-1"),
        ("robot", "plant-2"),
    ]
    assert wiring.gateways == {}


def test_ports_are_all_different_and_fixed_ones_lie_where_they_should() -> None:
    free, relay = addresses.free(["a", "b"], 3)
    found = [port for at in free.values() for port in ports_of(at)] + relay
    assert len(found) == len(set(found)) == 13
    fixed, relay = addresses.fixed(["a", "b"], min(found), 0)
    assert fixed["b"].client_port == min(found) + 1
    assert relay == []


def ports_of(at: Address) -> list[int]:
    return [at.client_port, at.cluster_port, at.monitor_port, at.gateway_port, at.leaf_port]


@pytest.fixture
def trust(tmp_path: Path) -> Trust:
    found = Trust(three_clouds(), tmp_path / "trust")
    found.issue()
    return found


def test_configurations_say_what_the_topology_says(tmp_path: Path, trust: Trust) -> None:
    topology = three_clouds()
    at, wiring = places(topology), wired(topology)
    paths = write_all(topology, at, wiring, trust, tmp_path)
    assert sorted(path.name for path in tmp_path.glob("*.conf")) == sorted(file_names(topology))
    said = {name: parse_file(str(path), environment={}).plain for name, path in paths.items()}
    for name, values in said.items():
        assert ("gateway" in values) == (name != "corner-1")
        assert ("cluster" in values) == (name != "corner-1")
        assert ("leafnodes" in values) == (name == "corner-1" or name.startswith("paris"))
    gateway = said["london-2"]["gateway"]
    assert gateway["advertise"] == wiring.gateways["london-2"].address
    assert [remote["name"] for remote in gateway["gateways"]] == ["paris", "rome"]
    for remote in gateway["gateways"]:
        ports = [urlsplit(url).port for url in remote["urls"]]
        assert ports == [wiring.gateways[f"{remote['name']}-{number}"].port for number in (1, 2, 3)]
    (link,) = said["corner-1"]["leafnodes"]["remotes"]
    assert link == {
        "urls": [f"nats-leaf://{wiring.leafs['corner', f'paris-{number}'].address}" for number in (1, 2, 3)],
        "account": trust.account_key("till"),
        "credentials": str(trust.credentials_path("shop/corner")),
        "ignore_discovered_servers": True,
    }
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.glob("*.conf"))


def test_a_cluster_knows_its_own_tenants_only(tmp_path: Path, trust: Trust) -> None:
    topology = three_clouds()
    write_all(topology, places(topology), wired(topology), trust, tmp_path)
    keys = {tenant.name: trust.account_key(tenant.name) for tenant in topology.tenants}
    for cluster, known in (("london", {"shop", "bank"}), ("rome", {"shop", "bank"}), ("corner", {"till"})):
        text = (tmp_path / f"trust-{cluster}.conf").read_text()
        assert {name for name, key in keys.items() if f"{key}: " in text} == known
        assert {name for name in keys if f'# Account "{name}"' in text} == known
        assert '# Account "SYS"' in text


def test_a_leaf_link_lets_the_guides_through_and_no_more_than_it_says(trust: Trust) -> None:
    claims = load_credentials(trust.credentials_path("shop/corner")).claims
    assert claims.grant.publish.allow == ("orders.>", "events.>", GUIDE_SUBJECTS)
    assert claims.grant.subscribe.allow == ("_INBOX.>", "events.>", GUIDE_SUBJECTS)
    customer = load_credentials(trust.credentials_path("shop/customer")).claims
    assert GUIDE_SUBJECTS not in customer.grant.publish.allow


@pytest.mark.parametrize("kind", ["gossamer", "nats-server"])
@pytest.mark.parametrize("name", ["three-clouds", "edge"])
def test_both_servers_take_the_configurations(name: str, kind: str, tmp_path: Path) -> None:
    topology = reading.read(reading.find(name))
    found = Trust(topology, tmp_path / "trust")
    found.issue()
    paths = write_all(topology, places(topology), wired(topology), found, tmp_path)
    files = [str(paths[cluster.nodes[-1].name]) for cluster in topology.clusters]
    if kind == "gossamer":
        for file in files:
            load(["-c", file])
        return
    try:
        command = program("nats-server")
    except Failure as failure:
        pytest.skip(failure.line())
    for file in files:
        done = subprocess.run([*command, "-t", "-c", file], capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_containers_call_each_other_by_name_and_the_relay_too(tmp_path: Path, trust: Trust) -> None:
    topology = three_clouds()
    wiring = container_wiring(topology)
    assert [line.address for line in wiring.wires] == [f"relay:{9000 + place}" for place in range(12)]
    assert wiring.gateways["rome-2"].target_host == "rome-2"
    assert wiring.gateways["rome-2"].target_port == 7222
    assert wiring.leafs["corner", "paris-1"].target_port == 7422
    paths = write_all(topology, addresses.containers(topology.node_names), wiring, trust, tmp_path, advertise=False)
    text = paths["rome-2"].read_text()
    assert f'advertise: "{wiring.gateways["rome-2"].address}"' in text
    assert "listen: 0.0.0.0:7222" in text
