"""ServerInfo: who sent this event or answer (spec system-and-monitoring section 1.1)."""

from typing import TYPE_CHECKING, Any

from gossamer.mesh.monitor.formats import timestamp
from gossamer.mesh.version import NATS_VERSION

if TYPE_CHECKING:
    from gossamer.mesh.node import Node


class ServerInfo:
    """One counter for everything that carries it: peers complain of numbers out of order."""

    __slots__ = ("_node", "sequence")

    def __init__(self, node: "Node") -> None:
        self._node = node
        self.sequence = 0

    def take(self) -> dict[str, Any]:
        """The object for one message; the counter goes on."""
        node, options = self._node, self._node.options
        self.sequence += 1
        fields: dict[str, Any] = {"name": node.name, "host": options.host, "id": node.identity.server_id}
        if node.cluster_name:
            fields["cluster"] = node.cluster_name
        fields["ver"] = NATS_VERSION
        if options.server_tags:
            fields["tags"] = list(options.server_tags)
        if options.server_metadata:
            fields["metadata"] = dict(options.server_metadata)
        if options.feature_flags:
            fields["feature_flags"] = dict(options.feature_flags)
        return fields | {
            "jetstream": False,
            "flags": 0,
            "seq": self.sequence,
            "time": timestamp(node.world.clock.wall_ns()),
        }
