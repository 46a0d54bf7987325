"""What a mesh costs as it grows, measured in the simulator; prints tables and keeps the figures for the plot.

    PYTHONPATH=build/tree python tools/scale.py nodes 3 5 10 20 50
    PYTHONPATH=build/tree python tools/scale.py clusters 3x3 6x5 10x10
    PYTHONPATH=build/tree python tools/scale.py leafs 10 100 300
    PYTHONPATH=build/tree python tools/scale.py subscriptions 100 1000 10000
    PYTHONPATH=build/tree python tools/scale.py accounts 10 100 1000
    python tools/scale_plot.py

``nodes --no-idle`` leaves out the minute of idling, which costs the simulator more than all the rest beyond 50 nodes.
The figures of each line are kept in docs/scale.json, from which the plot is drawn.
"""

import argparse
import asyncio
import json
import resource
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

from gossamer.mesh.engine.kinds import LinkKind
from gossamer.mesh.sim.checks import missing_interest, missing_links, missing_routes
from gossamer.mesh.sim.loop import VirtualLoop
from gossamer.mesh.sim.mesh import Mesh
from gossamer.mesh.sim.shapes import cluster, supercluster, with_hub, with_leafs
from gossamer.mesh.sim.topology import TWO_TENANTS, LeafPlan, Topology
from gossamer.mesh.sim.wire import End

FIGURES = Path(__file__).parent.parent / "docs" / "scale.json"
_KINDS = {
    b"INFO": "gossip",
    b"CONN": "gossip",
    b"RS+ ": "interest",
    b"RS- ": "interest",
    b"LS+ ": "interest",
    b"LS- ": "interest",
    b"PING": "pings",
    b"PONG": "pings",
}

Figures = dict[str, float]
Measurement = Callable[[Mesh], Awaitable[Figures]]


class Meter:
    """Counts what passes between nodes, by kind. Client hosts begin with 10.128."""

    def __init__(self, mesh: Mesh) -> None:
        self.sizes: Counter[str] = Counter()
        self._original = mesh.network.passed
        mesh.network.passed = self._passed  # type: ignore[method-assign]

    def _passed(self, end: End, data: bytes, last: bool) -> None:
        if not end.host.startswith("10.128.") and not end.peer.host.startswith("10.128."):
            for line in data.split(b"\r\n"):
                self.sizes[_KINDS.get(line[:4], "messages")] += len(line) + 2
        self._original(end, data, last)

    @property
    def total(self) -> int:
        return sum(self.sizes.values())


def simulate(scenario: Measurement, seed: int = 1) -> Figures:
    """Run it; returns what it measured."""
    loop = VirtualLoop()
    asyncio.set_event_loop(loop)
    mesh = Mesh(loop, seed)
    began_s = time.perf_counter()

    async def whole() -> Figures:
        figures = await scenario(mesh)
        mesh.judge()
        await mesh.end()
        return figures

    try:
        figures = loop.run_until_complete(whole())
    finally:
        asyncio.set_event_loop(None)
        loop.close()
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {**figures, "real_s": time.perf_counter() - began_s, "memory_mb": memory_mb}


async def until_whole(mesh: Mesh, step_s: float) -> float:
    """Until everybody has every connection, and knows what is wanted in its cluster."""
    begun_s = mesh.loop.time()
    while missing_routes(mesh.living) or missing_links(mesh.living) or not _is_interest_equal(mesh):  # noqa: ASYNC110
        await asyncio.sleep(step_s)
    return mesh.loop.time() - begun_s


def _is_interest_equal(mesh: Mesh) -> bool:
    federated = any(member.place.gateway or member.place.hub for member in mesh.members.values())
    return not missing_interest(mesh.living, federated=federated)


def connections(mesh: Mesh, kind: LinkKind) -> int:
    """Those of one kind that are open now."""
    return sum(
        1
        for member in mesh.living
        for link, end in member.ends.items()
        if end.open and link in member.solicited and member.kinds[link] == kind
    )


def _growth(topology: Topology, *, idle: bool = True) -> Measurement:
    """Everybody starts but the first, who is there already; then the last one goes and comes back; then all idle."""

    async def scenario(mesh: Mesh) -> Figures:
        mesh.build(topology)
        meter = Meter(mesh)
        first, *others = topology.names
        await mesh.start(first)
        await mesh.start(*others)
        together_s = await until_whole(mesh, 0.01)
        gossip, interest, tried = meter.sizes["gossip"], meter.sizes["interest"], mesh.network.connections_made
        figures = {
            "routes": connections(mesh, LinkKind.ROUTE),
            "gateways": connections(mesh, LinkKind.GATEWAY),
            "leafs": connections(mesh, LinkKind.LEAF),
            "tried": tried,
            "together_s": together_s,
            "gossip_kb": gossip / 1000,
            "interest_kb": interest / 1000,
        }
        await asyncio.sleep(10)
        member = mesh.members[topology.names[-1]]
        await member.stop()
        await asyncio.sleep(1)
        before = Counter(meter.sizes)
        await member.start()
        figures["rejoin_s"] = await until_whole(mesh, 0.002)
        figures["rejoin_kb"] = (meter.sizes["gossip"] - before["gossip"]) / 1000
        figures["rejoin_interest_kb"] = (meter.sizes["interest"] - before["interest"]) / 1000
        if idle:
            await asyncio.sleep(10)
            total = meter.total
            await asyncio.sleep(60)
            figures["idle_kb_s"] = (meter.total - total) / 60_000
        return {key: float(value) for key, value in figures.items()}

    return scenario


def nodes(text: str, *, idle: bool = True) -> Measurement:
    """One cluster of so many nodes."""
    return _growth(cluster(int(text)), idle=idle)


def clusters(text: str, *, idle: bool = True) -> Measurement:
    """``3x5``: three clusters of five nodes; each knows one node of every other by configuration."""
    count, size = map(int, text.split("x"))
    return _growth(supercluster([size] * count), idle=idle)


def leafs(text: str, *, idle: bool = True) -> Measurement:
    """So many leaf nodes behind a hub of three, with one account each."""
    hub = with_hub(cluster(3))
    return _growth(with_leafs(hub, int(text), [LeafPlan(to=tuple(hub.names))]), idle=idle)


def subscriptions(text: str, *, idle: bool = True) -> Measurement:
    """One client subscribes so often at a node of 3 x 3 that has three leaf nodes."""

    async def scenario(mesh: Mesh) -> Figures:
        mesh.network.ordinary.bytes_per_s = 125_000_000
        topology = with_hub(supercluster([3, 3, 3]), "c1-1")
        topology = with_leafs(topology, 3, [LeafPlan(to=("c1-1",))])
        mesh.build(topology)
        await mesh.start()
        client = mesh.client("A", "c1-1")
        await mesh.settle()
        by_kind: Counter[str] = Counter()
        original = mesh.network.passed

        def passed(end: End, data: bytes, last: bool) -> None:
            if data.startswith((b"RS+ ", b"LS+ ")):
                there = "routes" if end.peer.host.startswith("10.1.") else "gateways"
                by_kind["leafs" if data[:1] == b"L" else there] += len(data)
            original(end, data, last)

        mesh.network.passed = passed  # type: ignore[method-assign]
        begun_s = mesh.loop.time()
        for number in range(int(text)):
            client.subscribe(f"device.{number:06d}.state")
        await client.ready()
        before = -1
        while before != mesh.network.bytes_passed:
            before = mesh.network.bytes_passed
            last_s = mesh.loop.time()
            await asyncio.sleep(0.01)
        return {
            "spread_s": last_s - begun_s,
            **{f"{kind}_kb": by_kind[kind] / 1000 for kind in ("routes", "gateways", "leafs")},
        }

    return scenario


def accounts(text: str, *, idle: bool = True) -> Measurement:
    """So many accounts with one subscription each at c1-1 of 2 x 3; then a node joins each cluster."""
    more = "".join(f"  T{number}: {{ users: [ {{ user: t{number}, password: p }} ] }}\n" for number in range(int(text)))
    both = supercluster([3, 3], accounts=TWO_TENANTS.replace("  A:", more + "  A:"))

    async def scenario(mesh: Mesh) -> Figures:
        mesh.build(both)
        meter = Meter(mesh)
        late = ("c1-3", "c2-3")
        await mesh.start(*(name for name in both.names if name not in late))
        for number in range(int(text)):
            mesh.client(f"T{number}", "c1-1").subscribe("orders.>")
        await mesh.settle()
        figures = {"interest_kb": meter.sizes["interest"] / 1000, "gossip_kb": meter.sizes["gossip"] / 1000}
        for name, key in zip(late, ("route", "gateway"), strict=True):
            before = Counter(meter.sizes)
            await mesh.members[name].start()
            figures[f"{key}_join_s"] = await until_whole(mesh, 0.002)
            await asyncio.sleep(3)
            for kind in ("interest", "gossip"):
                figures[f"{key}_join_{kind}_kb"] = (meter.sizes[kind] - before[kind]) / 1000
        return figures

    return scenario


WHAT = {each.__name__: each for each in (nodes, clusters, leafs, subscriptions, accounts)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=sorted(WHAT))
    parser.add_argument("sizes", nargs="+")
    parser.add_argument("--no-idle", action="store_true", help="measure no idle traffic")
    arguments = parser.parse_args()
    for size in arguments.sizes:
        figures = {
            key: float(f"{value:.4g}")
            for key, value in simulate(WHAT[arguments.what](size, idle=not arguments.no_idle)).items()
        }
        print(
            f"{arguments.what} {size}: " + ", ".join(f"{key} {value:g}" for key, value in figures.items()), flush=True
        )
        kept = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
        known = kept.setdefault(arguments.what, {})
        known[size] = {key: value for key, value in figures.items() if key not in ("real_s", "memory_mb")}
        FIGURES.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
