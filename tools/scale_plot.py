"""Draws docs/scale.svg from docs/scale.json: what was measured (dots) beside what the design costs on paper (lines).

python tools/scale_plot.py
"""

import json
from collections.abc import Callable, Sequence
from math import log10
from pathlib import Path
from typing import NamedTuple

DOCS = Path(__file__).parent.parent / "docs"
WIDTH, HEIGHT = 860, 400
LEFT, RIGHT, TOP, BOTTOM = 70, 330, 20, 350
DECADES = (0, 6)
NODES = (3, 1000)
#: As captured: INFO and CONNECT of both sides of a route; ``host:port`` in a list.
ROUTE_HANDSHAKE_BYTES = 1100
ADDRESS_BYTES = 22


class Series(NamedTuple):
    """``points`` are measured, ``paper`` is the formula; both of the number of nodes."""

    label: str
    colour: str
    points: Sequence[tuple[float, float]]
    paper: Callable[[float], float] | None = None


def route_connections(nodes: float) -> float:
    """Three pooled and one for the system account between any two (routes 4)."""
    return nodes * (nodes - 1) / 2 * 4


def clustered_connections(nodes: float, size: int = 5) -> float:
    """Clusters of ``size``: routes within, and an outbound of each node to every other cluster (gateways 1)."""
    clusters = nodes / size
    return clusters * route_connections(size) + nodes * (clusters - 1)


def leaf_connections(nodes: float) -> float:
    """A hub of three and leaf nodes with one remote each (leafnodes 1)."""
    return route_connections(3) + nodes - 3


def route_gossip_kb(nodes: float) -> float:
    """Two INFO and a CONNECT for each connection (routes 3)."""
    return route_connections(nodes) * ROUTE_HANDSHAKE_BYTES / 1000


def clustered_gossip_kb(nodes: float, size: int = 5) -> float:
    """Beside the routes: for each gateway connection two INFO and a CONNECT, an INFO about every third cluster, and one
    to each other node of the solicitor's cluster, each with the addresses of a cluster (gateways 2, 6.1, 6.2)."""
    clusters = nodes / size
    addresses = ADDRESS_BYTES * size
    each = 800 + 2 * addresses + (clusters - 2) * (160 + addresses) + (size - 1) * (300 + addresses)
    return clusters * route_gossip_kb(size) + nodes * (clusters - 1) * each / 1000


def leaf_gossip_kb(nodes: float) -> float:
    """Two INFO and a CONNECT for each (leafnodes 2)."""
    return route_gossip_kb(3) + (nodes - 3) * 1.4


def all_series(kept: dict[str, dict[str, dict[str, float]]]) -> list[Series]:
    def points(what: str, count: Callable[[str], int], *keys: str) -> list[tuple[float, float]]:
        found = [(float(count(size)), sum(figures[key] for key in keys)) for size, figures in kept[what].items()]
        return sorted(found)

    def product(size: str) -> int:
        clusters, nodes = size.split("x")
        return int(clusters) * int(nodes)

    links = ("routes", "gateways", "leafs")
    fives = {size: figures for size, figures in kept["clusters"].items() if size.endswith("x5")}
    kept = {**kept, "clusters": fives}
    return [
        Series("one cluster: connections", "#b33", points("nodes", int, *links), route_connections),
        Series("clusters of 5: connections", "#36a", points("clusters", product, *links), clustered_connections),
        Series(
            "hub of 3, the rest leafs: connections",
            "#393",
            points("leafs", lambda size: int(size) + 3, *links),
            leaf_connections,
        ),
        Series("one cluster: gossip to gather, kB", "#e90", points("nodes", int, "gossip_kb"), route_gossip_kb),
        Series(
            "clusters of 5: gossip to gather, kB", "#60a", points("clusters", product, "gossip_kb"), clustered_gossip_kb
        ),
        Series(
            "leafs: gossip to gather, kB",
            "#088",
            points("leafs", lambda size: int(size) + 3, "gossip_kb"),
            leaf_gossip_kb,
        ),
    ]


def draw(series: Sequence[Series]) -> str:
    """Both axes logarithmic."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" '
        'font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    right = WIDTH - RIGHT
    for power in range(DECADES[0], DECADES[1] + 1):
        at = _y(10**power)
        parts.append(f'<line x1="{LEFT}" x2="{right}" y1="{at:.0f}" y2="{at:.0f}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{at + 4:.0f}" text-anchor="end">{10**power:,}</text>')
    parts.extend(
        f'<text x="{_x(nodes):.0f}" y="{BOTTOM + 18}" text-anchor="middle">{nodes}</text>'
        for nodes in (3, 10, 30, 100, 300, 1000)
    )
    parts.append(f'<text x="{(LEFT + right) / 2:.0f}" y="{BOTTOM + 38}" text-anchor="middle">nodes</text>')
    for index, each in enumerate(series):
        if each.paper is not None:
            steps = [NODES[0] * (NODES[1] / NODES[0]) ** (step / 60) for step in range(61)]
            line = " ".join(
                f"{_x(nodes):.1f},{_y(each.paper(nodes)):.1f}"
                for nodes in steps
                if 1 <= each.paper(nodes) <= 10 ** DECADES[1]
            )
            parts.append(f'<polyline points="{line}" fill="none" stroke="{each.colour}" opacity="0.5"/>')
        else:
            line = " ".join(f"{_x(nodes):.1f},{_y(value):.1f}" for nodes, value in each.points)
            parts.append(
                f'<polyline points="{line}" fill="none" stroke="{each.colour}" stroke-dasharray="4 3" opacity="0.6"/>'
            )
        for nodes, value in each.points:
            parts.append(f'<circle cx="{_x(nodes):.1f}" cy="{_y(value):.1f}" r="3" fill="{each.colour}"/>')
        top = TOP + 16 + 20 * index
        parts.append(f'<circle cx="{right + 20}" cy="{top - 4}" r="4" fill="{each.colour}"/>')
        parts.append(f'<text x="{right + 30}" y="{top}">{each.label}</text>')
    top = TOP + 30 + 20 * len(series)
    parts.append(f'<text x="{right + 20}" y="{top}">dots: measured; full lines: on paper</text>')
    return "\n".join([*parts, "</svg>", ""])


def _x(nodes: float) -> float:
    return LEFT + (WIDTH - RIGHT - LEFT) * log10(nodes / NODES[0]) / log10(NODES[1] / NODES[0])


def _y(value: float) -> float:
    return BOTTOM - (BOTTOM - TOP) * (log10(max(value, 1)) - DECADES[0]) / (DECADES[1] - DECADES[0])


def main() -> None:
    kept = json.loads((DOCS / "scale.json").read_text())
    (DOCS / "scale.svg").write_text(draw(all_series(kept)))


if __name__ == "__main__":
    main()
