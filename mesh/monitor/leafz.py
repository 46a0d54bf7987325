"""/leafz and /gatewayz of a server that has neither leaf nodes nor gateways (spec system-and-monitoring 12.3, 12.4)."""

from typing import TYPE_CHECKING, Any

from gossamer.mesh.monitor.formats import timestamp

if TYPE_CHECKING:
    from gossamer.mesh.node import Node


def leafz(node: "Node") -> dict[str, Any]:
    """There are none: this node does not take leaf nodes yet."""
    return {
        "server_id": node.identity.server_id,
        "now": timestamp(node.world.clock.wall_ns()),
        "leafnodes": 0,
        "leafs": [],
    }


def gatewayz(node: "Node") -> dict[str, Any]:
    """There are none: this node does not speak to other clusters yet."""
    return {
        "server_id": node.identity.server_id,
        "now": timestamp(node.world.clock.wall_ns()),
        "outbound_gateways": {},
        "inbound_gateways": {},
    }
