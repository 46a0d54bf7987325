"""ServerInfo: who sent this event or answer (spec system-and-monitoring section 1.1)."""

from typing import TYPE_CHECKING, Any

import msgspec

from gossamer.mesh.monitor.formats import timestamp
from gossamer.mesh.version import NATS_VERSION

if TYPE_CHECKING:
    from gossamer.mesh.node import Node


class ServerInfo:
    """One counter for everything that carries it: peers complain of numbers out of order."""

    __slots__ = ("_cluster", "_head", "_made_of", "_node", "sequence")

    def __init__(self, node: "Node") -> None:
        self._node = node
        self._head = b""
        self._made_of: object = None  # the options and the name of which the head was made
        self._cluster = ""
        self.sequence = 0

    def take(self) -> msgspec.Raw:
        """The object for one message, as JSON; the counter goes on."""
        node = self._node
        if self._made_of is not node.options or self._cluster != node.cluster_name:
            self._made_of, self._cluster = node.options, node.cluster_name
            self._head = msgspec.json.encode(self._constant())[:-1]
        self.sequence += 1
        now = timestamp(node.world.clock.wall_ns()).encode()
        return msgspec.Raw(b'%b,"seq":%d,"time":"%b"}' % (self._head, self.sequence, now))

    def _constant(self) -> dict[str, Any]:
        """What does not change from message to message."""
        node, options = self._node, self._node.options
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
        return fields | {"jetstream": False, "flags": 0}
