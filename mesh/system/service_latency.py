"""How long services take: a record for each sampled request, published in the exporter's account (spec auth 19).

The engine says what happened and when; who the two sides are is known here.
"""

import re
from typing import TYPE_CHECKING, Any

import msgspec

from gossamer.mesh.monitor.formats import timestamp
from gossamer.mesh.system.requestors import client_info
from gossamer.mesh.system.voice import EventIds

if TYPE_CHECKING:
    from gossamer.mesh.engine.events import Latency
    from gossamer.mesh.node import Node

TYPE = "io.nats.server.metric.v1.service_latency"
DESCRIPTIONS = {
    400: "Bad Request",
    408: "Request Timeout",
    503: "Service Unavailable",
    504: "Service Timeout",
}
_DONE = 200


class ServiceLatency:
    """``measured`` handles the engine's events."""

    def __init__(self, node: "Node") -> None:
        self._node = node
        self._ids = EventIds(node.world.randomness)
        self._offset_ns: int | None = None

    def measured(self, event: "Latency") -> None:
        """Publish the record, unless the import is gone meanwhile."""
        sharing = self._node.sharing
        found = sharing.of_number(event.service_import) if sharing is not None else None
        if found is None or found.export.latency is None:
            return
        exporter = self._node.accounts.find(found.entry.exporter)
        if exporter is None:
            return
        requestor_rtt_ns, responder_rtt_ns = max(0, event.requestor_rtt_ns), max(0, event.responder_rtt_ns)
        record: dict[str, Any] = {
            "type": TYPE,
            "id": self._ids.take(),
            "timestamp": timestamp(self._node.world.clock.wall_ns()),
            "status": event.status,
        }
        if event.status in DESCRIPTIONS:
            record["description"] = DESCRIPTIONS[event.status]
        record["requestor"] = self._requestor(event, found.importer, found.entry.share)
        responder = self._node.clients.find(event.responder) if event.responder else None
        if responder is not None and responder.account is not None:
            record["responder"] = client_info(self._node, responder, responder_rtt_ns)
        header = triggers(event.headers)
        if header:
            record["header"] = header
        record["start"] = timestamp(self._wall_ns(event.start_ns) - requestor_rtt_ns)
        service_ns = system_ns = total_ns = 0
        if event.status == _DONE:
            # From one node's view: what the answer took, less the way to the responder and back.
            service_ns = max(0, event.service_ns - responder_rtt_ns)
            total_ns = max(event.service_ns, responder_rtt_ns) + requestor_rtt_ns
            system_ns = max(0, total_ns - service_ns - requestor_rtt_ns - responder_rtt_ns)
        record |= {"service": service_ns, "system": system_ns, "total": total_ns}
        self._node.engine.publish(exporter.number, found.export.latency.subject.encode(), msgspec.json.encode(record))

    def _requestor(self, event: "Latency", importer: str, share: bool) -> Any:
        client = self._node.clients.find(event.requestor)
        rtt_ns = max(0, event.requestor_rtt_ns)
        if client is None or client.account is None:
            return {"acc": importer, "rtt": rtt_ns}
        if share:
            return client_info(self._node, client, rtt_ns)
        return {"acc": client.account.name, "rtt": rtt_ns}

    def _wall_ns(self, engine_ns: int) -> int:
        """A moment of the engine's clock as time of day. The two clocks run alike: their distance is measured once."""
        clock = self._node.world.clock
        if self._offset_ns is None:
            self._offset_ns = self._node.engine.totals().now_ns - clock.monotonic_ns()
        return clock.wall_ns() - (clock.monotonic_ns() + self._offset_ns - engine_ns)


#: In order of precedence: the headers that decide, and those that a record then shows beside them.
_FAMILIES: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (("uber-trace-id",), ()),
    (("x-b3-sampled", "x-b3-traceid"), ("x-b3-spanid", "x-b3-parentspanid")),
    (("b3",), ()),
    (("traceparent",), ("tracestate",)),
)
_LINE = re.compile(rb"([^:\r\n]+):[ \t]*([^\r\n]*)\r\n")


def triggers(headers: bytes) -> dict[str, list[str]]:
    """The headers that made a request a sample, out of its header block (empty: none did). Names as nats-server writes
    them: each word with one capital."""
    found: dict[str, list[str]] = {}
    for name, value in _LINE.findall(headers):
        found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("utf-8", "replace").rstrip())
    for deciding, beside in _FAMILIES:
        if any(name in found for name in deciding):
            return {name.title(): found[name] for name in sorted(deciding + beside) if name in found}
    return {}
