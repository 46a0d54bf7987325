"""The table of cases, continued: gateways, leaf nodes, interest over the mesh, compression."""

from dataclasses import replace

from cases import (
    ANNOUNCE,
    CONNECTING,
    CPU,
    MESH_MEMORY,
    PROPAGATION_P50,
    PROPAGATION_P99,
    RATE,
    ROUND,
    WIRE,
    Case,
    Check,
    Work,
)
from topology import CLUSTER, Place, Topology

#: Two clusters; messages cross one gateway link, and in the big one a route behind it.
GATEWAY = Topology((Place("a"), Place("b")))
GATEWAY_2X2 = Topology((Place("a"), Place("a"), Place("b"), Place("b")))
#: A hub and a leaf node of it.
HUB_TO_LEAF = Topology((Place(), Place(hub=0)))
LEAF_TO_HUB = replace(HUB_TO_LEAF, publish_at=1, subscribe_at=0)
#: Three clusters, a leaf node at the first and one at the last: interest goes leaf, hub, gateway, hub, leaf.
THREE_CLOUDS = Topology((Place("a"), Place("b"), Place("c"), Place(hub=0), Place(hub=2)), publish_at=3, subscribe_at=4)
THREE_NODES = Topology((Place("a"), Place("a"), Place("a")))

_MESSAGE_CHECKS = (Check(RATE, factor=3.0), Check(CPU, factor=3.0))


def _floods(name: str, title: str, topology: Topology) -> tuple[Case, ...]:
    return tuple(
        Case(
            f"{name}-f{fan}",
            f"{title}, {'1:1' if fan == 1 else f'fan-out {fan}'}, 128 B",
            Work.FLOOD,
            _MESSAGE_CHECKS,
            size=128,
            subscribers=fan,
            topology=topology,
        )
        for fan in (1, 10)
    )


def _announce(name: str, topology: Topology) -> Case:
    return Case(
        f"announce/{name}",
        f"100,000 subscriptions announced to a joining {name}",
        Work.ANNOUNCE,
        (Check(ANNOUNCE, factor=2.0),),
        subjects=100_000,
        topology=replace(topology, relayed=True),
        runs_max=3,
    )


def _compression(name: str, topology: Topology) -> tuple[Case, ...]:
    return tuple(
        Case(
            f"compression/{name}-{mode}",
            f"{name}, compression {mode}, JSON text, 256 B",
            Work.FLOOD,
            (Check(WIRE), Check(CPU), Check(RATE)),
            size=256,
            subscribers=1,
            text=True,
            topology=replace(topology, relayed=True, compression=mode),
            runs_max=3,
        )
        for mode in ("off", "s2_fast")
    )


MESH_CASES: tuple[Case, ...] = (
    *_floods("gateway/1x1", "over a gateway", GATEWAY),
    *_floods("gateway/2x2", "over a gateway and a route", GATEWAY_2X2),
    *_floods("leaf/down", "hub to leaf", HUB_TO_LEAF),
    *_floods("leaf/up", "leaf to hub", LEAF_TO_HUB),
    _announce("route", CLUSTER),
    _announce("gateway", GATEWAY),
    _announce("leaf", HUB_TO_LEAF),
    Case(
        "propagation",
        "SUB on a leaf to deliverable from a leaf of another cloud",
        Work.PROPAGATION,
        (Check(PROPAGATION_P50, factor=1.0), Check(PROPAGATION_P99, factor=1.0)),
        topology=THREE_CLOUDS,
        runs_max=3,
    ),
    Case(
        "scatter50k",
        "50,000 subscribers on three nodes, one request, 50,000 replies",
        Work.MESH_SCATTER,
        (Check(ROUND, at_most=700.0), Check(CPU), Check(MESH_MEMORY), Check(CONNECTING)),
        connections=50_000,
        topology=THREE_NODES,
        runs_max=3,
    ),
    *_compression("route", CLUSTER),
    *_compression("leaf", HUB_TO_LEAF),
)
