"""The configuration file of one node, in nats-server's language: our nodes and the real server read the same text."""

import secrets
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from gossamer.operator.failure import from_os_error
from gossamer.operator.store.changes import REMEDY_WRITE
from gossamer.operator.up.addresses import Address
from gossamer.operator.up.topology import ClusterPlan, NodePlan, RemotePlan, Topology
from gossamer.operator.up.trust import Trust
from gossamer.operator.up.wiring import Wiring

TRUST_FILE = "trust.conf"
_ROUTE_USER, _GATEWAY_USER = "route", "gateway"


class Secrets(Struct, frozen=True, kw_only=True):
    """The passwords between nodes: of one cluster (by its name), and of all gateways."""

    routes: Mapping[str, str]
    gateways: str


class Paper(Struct, frozen=True, kw_only=True):
    """All that the configuration of a node is written from. Without ``advertise`` clients are told no other URLs than
    the one they came by (names of containers mean nothing outside)."""

    topology: Topology
    addresses: Mapping[str, Address]
    wiring: Wiring
    trust: Trust
    secrets: Secrets
    advertise: bool = True


def configuration(paper: Paper, cluster: ClusterPlan, node: NodePlan) -> str:
    """The text for one node of a cluster."""
    own = paper.addresses[node.name]
    lines = [
        f"# Node {node.name} of a mesh that gossamer up has made",
        f"server_name: {node.name}",
        f"listen: {own.listen}:{own.client_port}",
        f"http: {own.listen}:{own.monitor_port}",
        "",
        f"include './{trust_file(paper.topology, cluster)}'",
    ]
    if cluster.name and (len(cluster.nodes) > 1 or not paper.topology.clusters):
        lines += ["", *_cluster(paper, cluster, node)]
    if paper.topology.gateway_peers(cluster):
        lines += ["", *_gateway(paper, cluster, node)]
    leafs = bool(paper.topology.leaf_clusters(cluster))
    if leafs or cluster.remotes:
        lines += ["", "leafnodes {"]
        lines += [f"    listen: {own.listen}:{own.leaf_port}"] if leafs else []
        lines += _remotes(paper, cluster) if cluster.remotes else []
        lines += ["}"]
    return "\n".join(lines) + "\n"


def trust_file(topology: Topology, cluster: ClusterPlan) -> str:
    """The file that the nodes of a cluster include: who they trust."""
    return f"trust-{cluster.name}.conf" if topology.clusters else TRUST_FILE


def file_names(topology: Topology) -> list[str]:
    """Every file that ``write_all`` writes."""
    trusts = [trust_file(topology, cluster) for cluster in topology.all_clusters]
    return [*trusts, *(f"{name}.conf" for name in topology.node_names)]


def write_all(
    topology: Topology,
    addresses: Mapping[str, Address],
    wiring: Wiring,
    trust: Trust,
    folder: Path,
    *,
    advertise: bool = True,
) -> dict[str, Path]:
    """Write ``<node>.conf`` for every node and the files they include; returns the paths by node. Raises Failure."""
    paper = Paper(
        topology=topology,
        addresses=addresses,
        wiring=wiring,
        trust=trust,
        secrets=Secrets(routes={cluster.name: _secret() for cluster in topology.all_clusters}, gateways=_secret()),
        advertise=advertise,
    )
    paths = {}
    try:
        for cluster in topology.all_clusters:
            _write(folder / trust_file(topology, cluster), trust.configuration(cluster))
            for node in cluster.nodes:
                paths[node.name] = folder / f"{node.name}.conf"
                _write(paths[node.name], configuration(paper, cluster, node))
    except OSError as error:
        raise from_os_error(error, "write", folder, REMEDY_WRITE) from None
    return paths


def _cluster(paper: Paper, cluster: ClusterPlan, node: NodePlan) -> list[str]:
    own, secret = paper.addresses[node.name], paper.secrets.routes[cluster.name]
    peers = [paper.addresses[route] for route in node.routes]
    routes = [f'"nats://{_ROUTE_USER}:{secret}@{peer.host}:{peer.cluster_port}"' for peer in peers]
    return [
        "cluster {",
        f'    name: "{cluster.name}"',
        f"    listen: {own.listen}:{own.cluster_port}",
        f'    authorization {{ user: {_ROUTE_USER}, password: "{secret}" }}',
        f"    routes: [{', '.join(routes)}]",
        *([] if paper.advertise else ["    no_advertise: true"]),
        "}",
    ]


def _gateway(paper: Paper, cluster: ClusterPlan, node: NodePlan) -> list[str]:
    own, secret = paper.addresses[node.name], paper.secrets.gateways
    lines = [
        "gateway {",
        f'    name: "{cluster.name}"',
        f"    listen: {own.listen}:{own.gateway_port}",
        "    # Where the relay stands for this node",
        f'    advertise: "{paper.wiring.gateways[node.name].address}"',
        f'    authorization {{ user: {_GATEWAY_USER}, password: "{secret}" }}',
        "    gateways: [",
    ]
    for peer in paper.topology.gateway_peers(cluster):
        wires = [paper.wiring.gateways[other.name] for other in peer.nodes]
        urls = ", ".join(f'"nats://{_GATEWAY_USER}:{secret}@{wire.address}"' for wire in wires)
        lines.append(f'        {{ name: "{peer.name}", urls: [{urls}] }}')
    return [*lines, "    ]", "}"]


def _remotes(paper: Paper, cluster: ClusterPlan) -> list[str]:
    lines = ["    remotes: ["]
    for remote in cluster.remotes:
        lines += _remote(paper, cluster, remote)
    return [*lines, "    ]"]


def _remote(paper: Paper, cluster: ClusterPlan, remote: RemotePlan) -> list[str]:
    hub = paper.topology.cluster_named(remote.hub)
    urls = [f'"nats-leaf://{paper.wiring.leafs[cluster.name, node.name].address}"' for node in hub.nodes]
    return [
        "        {",
        f"            # Tenant {remote.tenant} here, {remote.user} there",
        f"            urls: [{', '.join(urls)}]",
        f"            account: {paper.trust.account_key(remote.tenant)}",
        f'            credentials: "{paper.trust.credentials_path(remote.user)}"',
        "            # All nodes of the hub are named above, behind the relay",
        "            ignore_discovered_servers: true",
        "        }",
    ]


def _secret() -> str:
    return f"p{secrets.token_hex(16)}"  # begins with a letter: never taken for a number


def _write(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)
