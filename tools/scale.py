"""What a cluster costs as it grows, measured in the simulator; prints the tables and draws docs/scale.svg.

PYTHONPATH=build/tree python tools/scale.py [--nodes 3 5 10 20 50] [--subscriptions 100 1000 10000]
"""

import argparse
import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

from gossamer.mesh.sim.checks import missing_interest, missing_routes
from gossamer.mesh.sim.loop import VirtualLoop
from gossamer.mesh.sim.mesh import Mesh
from gossamer.mesh.sim.shapes import cluster
from gossamer.mesh.sim.wire import End

PLOT = Path(__file__).parent.parent / "docs" / "scale.svg"
_KINDS = {
    b"INFO": "gossip",
    b"CONN": "gossip",
    b"RS+ ": "interest",
    b"RS- ": "interest",
    b"PING": "pings",
    b"PONG": "pings",
}

Measurement = Callable[[Mesh], Awaitable[dict[str, float]]]


class Meter:
    """Counts what passes over routes, by kind. Client hosts begin with 10.128."""

    def __init__(self, mesh: Mesh) -> None:
        self.sizes: Counter[str] = Counter()
        self._original = mesh.network.passed
        mesh.network.passed = self._passed  # type: ignore[method-assign]

    def _passed(self, end: End, data: bytes, last: bool) -> None:
        if not end.host.startswith("10.128.") and not end.peer.host.startswith("10.128."):
            for line in data.split(b"\r\n"):
                self.sizes[_KINDS.get(line[:4], "messages")] += len(line) + 2
        self._original(end, data, last)


def simulate(scenario: Measurement, seed: int = 1) -> dict[str, float]:
    """Run it; returns what it measured."""
    loop = VirtualLoop()
    asyncio.set_event_loop(loop)
    mesh = Mesh(loop, seed)
    began_s = time.perf_counter()

    async def whole() -> dict[str, float]:
        figures = await scenario(mesh)
        mesh.judge()
        await mesh.end()
        return figures

    try:
        figures = loop.run_until_complete(whole())
    finally:
        asyncio.set_event_loop(None)
        loop.close()
    return {**figures, "real_s": time.perf_counter() - began_s}


async def until_whole(mesh: Mesh, step_s: float) -> float:
    begun_s = mesh.loop.time()
    while missing_routes(mesh.living) or missing_interest(mesh.living):  # noqa: ASYNC110 - virtual time
        await asyncio.sleep(step_s)
    return mesh.loop.time() - begun_s


def gathering(nodes: int) -> Measurement:
    async def scenario(mesh: Mesh) -> dict[str, float]:
        mesh.build(cluster(nodes))
        meter = Meter(mesh)
        await mesh.start("n1")
        await mesh.start(*(name for name in mesh.members if name != "n1"))
        together_s = await until_whole(mesh, 0.01)
        gossip, connections = meter.sizes["gossip"], mesh.network.connections_made
        await asyncio.sleep(10)
        before = Counter(meter.sizes)
        member = mesh.members[f"n{nodes}"]
        await member.stop()
        await asyncio.sleep(1)
        left = meter.sizes["gossip"]
        await member.start()
        rejoin_s = await until_whole(mesh, 0.002)
        rejoin = meter.sizes["gossip"] - left
        await asyncio.sleep(10)
        before = Counter(meter.sizes)
        await asyncio.sleep(60)
        return {
            "connections": nodes * (nodes - 1) / 2 * 4,
            "tried": connections,
            "together_s": together_s,
            "gossip_kb": gossip / 1000,
            "rejoin_ms": rejoin_s * 1000,
            "rejoin_kb": rejoin / 1000,
            "idle_kb_s": (sum(meter.sizes.values()) - sum(before.values())) / 60_000,
        }

    return scenario


def interest(nodes: int, subscriptions: int) -> Measurement:
    async def scenario(mesh: Mesh) -> dict[str, float]:
        mesh.network.ordinary.bytes_per_s = 125_000_000
        mesh.build(cluster(nodes))
        meter = Meter(mesh)
        await mesh.start(*list(mesh.members)[:-1])
        client = mesh.client("A", "n1")
        await mesh.settle()
        before = meter.sizes["interest"]
        begun_s = mesh.loop.time()
        for number in range(subscriptions):
            client.subscribe(f"device.{number:06d}.state")
        await client.ready()
        await until_whole(mesh, 0.001)
        spread_s = mesh.loop.time() - begun_s
        spread = meter.sizes["interest"] - before
        await mesh.members[f"n{nodes}"].start()
        await until_whole(mesh, 0.001)
        joined = meter.sizes["interest"] - before - spread
        return {"spread_ms": spread_s * 1000, "spread_kb": spread / 1000, "join_kb": joined / 1000}

    return scenario


def draw(rows: list[tuple[int, dict[str, float]]]) -> str:
    """Gossip and connections against nodes, both axes logarithmic."""
    from math import log10

    def x(nodes: float) -> float:
        return 60 + 500 * log10(nodes / 2) / log10(60)

    def y(value: float) -> float:
        return 300 - 270 * log10(max(value, 1)) / 5

    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" width="640" height="350" font-family="sans-serif" font-size="12">'
    ]
    parts.append('<rect width="640" height="350" fill="white"/>')
    for power in range(6):
        at = y(10**power)
        parts.append(f'<line x1="60" x2="560" y1="{at:.0f}" y2="{at:.0f}" stroke="#ddd"/>')
        parts.append(f'<text x="52" y="{at + 4:.0f}" text-anchor="end">{10**power}</text>')
    for nodes, _ in rows:
        parts.append(f'<text x="{x(nodes):.0f}" y="318" text-anchor="middle">{nodes}</text>')
    parts.append('<text x="310" y="338" text-anchor="middle">nodes</text>')
    for name, colour, label in (
        ("gossip_kb", "#b33", "gossip to gather, kB"),
        ("connections", "#36a", "connections"),
        ("rejoin_kb", "#393", "gossip when one comes back, kB"),
    ):
        points = [(x(nodes), y(figures[name])) for nodes, figures in rows]
        line = " ".join(f"{across:.1f},{down:.1f}" for across, down in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        across, down = points[-1]
        parts.append(f'<text x="{across - 8:.0f}" y="{down - 8:.0f}" text-anchor="end" fill="{colour}">{label}</text>')
    return "\n".join([*parts, "</svg>", ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, nargs="+", default=[3, 5, 10, 20, 50])
    parser.add_argument("--subscriptions", type=int, nargs="+", default=[100, 1000, 10_000])
    arguments = parser.parse_args()
    rows = []
    for nodes in arguments.nodes:
        figures = simulate(gathering(nodes))
        rows.append((nodes, figures))
        print(f"| {nodes} | " + " | ".join(f"{value:.6g}" for value in figures.values()) + " |", flush=True)
    for nodes in (3, 10):
        for count in arguments.subscriptions:
            figures = simulate(interest(nodes, count))
            print(
                f"| {nodes} | {count} | " + " | ".join(f"{value:.5g}" for value in figures.values()) + " |", flush=True
            )
    PLOT.write_text(draw(rows))


if __name__ == "__main__":
    main()
