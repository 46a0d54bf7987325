"""Which wires of the relay a mesh needs: what goes between clusters goes through it, what stays inside goes direct.

A node with gateways is reached by all other clusters on one wire, whose address it advertises, so that gossip leads
there too. A hub's node has one wire for each cluster that hangs on it: leafs dial what their configuration says and no
address they are told (``ignore_discovered_servers``).
"""

import itertools
from collections.abc import Iterator, Mapping

from msgspec import Struct

from gossamer.operator.up import addresses
from gossamer.operator.up.addresses import HOST, RELAY_PORT, Address
from gossamer.operator.up.relay import Wire
from gossamer.operator.up.topology import ClusterPlan, Topology

#: The relay's container.
RELAY_HOST = "relay"


class Wiring(Struct, frozen=True, kw_only=True):
    """The wires to the gateways of nodes, by node, and those of leaf links, by leaf cluster and node of the hub."""

    gateways: Mapping[str, Wire] = {}
    leafs: Mapping[tuple[str, str], Wire] = {}

    @property
    def wires(self) -> tuple[Wire, ...]:
        """All of them."""
        return (*self.gateways.values(), *self.leafs.values())

    def leaf_wires(self, cluster: str) -> list[str]:
        """Names of the wires by which a cluster reaches its hubs."""
        return [wire.name for (leaf, _), wire in self.leafs.items() if leaf == cluster]


def ports_needed(topology: Topology) -> int:
    """How many ports the relay of a mesh listens on."""
    gateways = sum(len(cluster.nodes) for cluster in topology.all_clusters if topology.gateway_peers(cluster))
    return gateways + sum(len(hub.nodes) for _, hub in _leaf_pairs(topology))


def wire(
    topology: Topology,
    places: Mapping[str, Address],
    ports: Iterator[int],
    *,
    host: str = HOST,
    listen: str = HOST,
) -> Wiring:
    """Plan them. ``ports`` yields those of the relay, as many as ``ports_needed``."""
    gateways = {}
    for cluster in topology.all_clusters:
        peers = topology.gateway_peers(cluster)
        delays = {peer.name: _delay_s(topology, peer, cluster) for peer in peers}
        for node in cluster.nodes if peers else ():
            address = places[node.name]
            gateways[node.name] = Wire(
                name=f"gateway of {node.name}",
                callers=delays,
                listen=listen,
                host=host,
                port=next(ports),
                target_host=address.host,
                target_port=address.gateway_port,
            )
    leafs = {}
    for leaf, hub in _leaf_pairs(topology):
        for node in hub.nodes:
            address = places[node.name]
            leafs[leaf.name, node.name] = Wire(
                name=f"leaf nodes of {leaf.name} at {node.name}",
                callers={leaf.name: _delay_s(topology, leaf, hub)},
                listen=listen,
                host=host,
                port=next(ports),
                target_host=address.host,
                target_port=address.leaf_port,
            )
    return Wiring(gateways=gateways, leafs=leafs)


def container_wiring(topology: Topology) -> Wiring:
    """The wires where every node has a container, and the relay one of its own, called ``relay``."""
    places = addresses.containers(topology.node_names)
    return wire(topology, places, itertools.count(RELAY_PORT), host=RELAY_HOST, listen="0.0.0.0")


def _leaf_pairs(topology: Topology) -> list[tuple[ClusterPlan, ClusterPlan]]:
    """Each leaf cluster with each of its hubs, once, however many accounts the link joins."""
    return [
        (leaf, topology.cluster_named(hub))
        for leaf in topology.all_clusters
        for hub in dict.fromkeys(remote.hub for remote in leaf.remotes)
    ]


def _delay_s(topology: Topology, one: ClusterPlan, other: ClusterPlan) -> float:
    return topology.round_trip_ms(one.name, other.name) / 2000
