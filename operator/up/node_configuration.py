"""The configuration file of one node, in nats-server's language: our nodes and the real server read the same text."""

import secrets
from collections.abc import Mapping
from pathlib import Path

from gossamer.operator.failure import from_os_error
from gossamer.operator.store.changes import REMEDY_WRITE
from gossamer.operator.up.addresses import Address
from gossamer.operator.up.topology import NodePlan, Topology

TRUST_FILE = "trust.conf"
_ROUTE_USER = "route"


def configuration(
    topology: Topology, node: NodePlan, addresses: Mapping[str, Address], secret: str, *, advertise: bool = True
) -> str:
    """The text. ``secret`` is the password between the nodes; without ``advertise`` clients are told no other URLs
    than the one they came by (names of containers mean nothing outside)."""
    own = addresses[node.name]
    lines = [
        f"# Node {node.name} of a mesh that gossamer up has made",
        f"server_name: {node.name}",
        f"listen: {own.listen}:{own.client_port}",
        f"http: {own.listen}:{own.monitor_port}",
        "",
        f"include './{TRUST_FILE}'",
    ]
    if topology.cluster:
        routes = [f"nats://{_ROUTE_USER}:{secret}@{_cluster(addresses[route])}" for route in node.routes]
        lines += [
            "",
            "cluster {",
            f'    name: "{topology.cluster}"',
            f"    listen: {own.listen}:{own.cluster_port}",
            f'    authorization {{ user: {_ROUTE_USER}, password: "{secret}" }}',
            f"    routes: [{', '.join(_quoted(route) for route in routes)}]",
            *([] if advertise else ["    no_advertise: true"]),
            "}",
        ]
    return "\n".join(lines) + "\n"


def write_all(
    topology: Topology, addresses: Mapping[str, Address], trust: str, folder: Path, *, advertise: bool = True
) -> dict[str, Path]:
    """Write ``<node>.conf`` for every node and the file they include; returns the paths by node. Raises Failure."""
    secret = f"p{secrets.token_hex(16)}"  # begins with a letter: never taken for a number
    paths = {}
    try:
        _write(folder / TRUST_FILE, trust)
        for node in topology.nodes:
            paths[node.name] = folder / f"{node.name}.conf"
            _write(paths[node.name], configuration(topology, node, addresses, secret, advertise=advertise))
    except OSError as error:
        raise from_os_error(error, "write", folder, REMEDY_WRITE) from None
    return paths


def _write(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)


def _cluster(address: Address) -> str:
    return f"{address.host}:{address.cluster_port}"


def _quoted(text: str) -> str:
    return f'"{text}"'
