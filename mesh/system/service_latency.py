"""How long services take: a record for each sampled request, published in the exporter's account (spec auth 19).

The engine says what happened and when; who the two sides are is known here. A responder at another server is known
there: see ``latency_halves``.
"""

import re
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from gossamer.mesh.gateways.hashes import short_hash
from gossamer.mesh.monitor.formats import timestamp
from gossamer.mesh.system.latency_halves import Half, LatencyHalves, read_half, write_half
from gossamer.mesh.system.requestors import client_info
from gossamer.mesh.system.voice import EventIds

if TYPE_CHECKING:
    from gossamer.mesh.engine.events import Latency, Message, Served
    from gossamer.mesh.node import Node

TYPE = "io.nats.server.metric.v1.service_latency"
DESCRIPTIONS = {
    400: "Bad Request",
    408: "Request Timeout",
    503: "Service Unavailable",
    504: "Service Timeout",
}
#: Letters of the hash of a server's name, and where it stands in ``_R_.xxxxxx.yyyyyy.ssssssss.T``.
HASH_LENGTH = 8
_HASH = slice(18, 18 + HASH_LENGTH)
_SUBJECT = b"$SYS.LATENCY.M2."
_DONE = 200


class _Sample(Struct, frozen=True, kw_only=True):
    """What is told of a request; ``span_ns``: from its delivery until the answer was here."""

    exporter: str
    subject: str
    status: int
    requestor: Any
    header: dict[str, list[str]]
    start_ns: int
    requestor_rtt_ns: int
    span_ns: int


class ServiceLatency:
    """``measured`` and ``served`` handle the engine's events; ``start`` begins to measure together with other servers,
    which needs a system account."""

    def __init__(self, node: "Node") -> None:
        self._node = node
        self._ids = EventIds(node.world.randomness)
        self._halves = LatencyHalves()
        self._offset_ns: int | None = None

    def start(self) -> None:
        system = self._node.accounts.system
        if system is None:
            return
        own = short_hash(self._node.name, HASH_LENGTH)
        self._node.engine.latency_identity(server_hash=own)
        self._node.subscribe(system.number, _SUBJECT + own, self._told)

    def stop(self) -> None:
        """What still waits for its other half is not told any more."""
        self._halves.stop()

    # --- the requestor is here ----------------------------------------------------------------------------------
    def measured(self, event: "Latency") -> None:
        """Publish the record, at once or when the responder's server has told its half; unless the import is gone."""
        sharing = self._node.sharing
        found = sharing.of_number(event.service_import) if sharing is not None else None
        if found is None or found.export.latency is None:
            return
        requestor_rtt_ns = max(0, event.requestor_rtt_ns)
        sample = _Sample(
            exporter=found.entry.exporter,
            subject=found.export.latency.subject,
            status=event.status,
            requestor=self._requestor(event, found.importer, found.entry.share),
            header=triggers(event.headers),
            start_ns=self._wall_ns(event.start_ns) - requestor_rtt_ns,
            requestor_rtt_ns=requestor_rtt_ns,
            span_ns=event.service_ns,
        )
        if event.reply:
            self._halves.sample((sample.exporter, event.reply.decode()), partial(self._publish, sample))
            return
        half = None
        if event.responder:
            # From one node's view: what the answer took, less the way to the responder and back.
            half = self._half(event.responder, event.service_ns, max(0, event.responder_rtt_ns))
        self._publish(sample, half)

    def _publish(self, sample: _Sample, half: Half | None) -> None:
        exporter = self._node.accounts.find(sample.exporter)
        if exporter is None:
            return
        record: dict[str, Any] = {
            "type": TYPE,
            "id": self._ids.take(),
            "timestamp": timestamp(self._node.world.clock.wall_ns()),
            "status": sample.status,
        }
        if sample.status in DESCRIPTIONS:
            record["description"] = DESCRIPTIONS[sample.status]
        record["requestor"] = sample.requestor
        if half is not None and half.responder is not None:
            record["responder"] = half.responder
        if sample.header:
            record["header"] = sample.header
        record["start"] = timestamp(sample.start_ns)
        service_ns = system_ns = total_ns = 0
        if sample.status == _DONE:
            # What neither the service nor the ways to the two clients took was the system's.
            service_ns, rtt_ns = (half.service_ns, half.rtt_ns) if half is not None else (sample.span_ns, 0)
            system_ns = max(0, sample.span_ns - service_ns - rtt_ns)
            total_ns = sample.requestor_rtt_ns + service_ns + rtt_ns + system_ns
        record |= {"service": service_ns, "system": system_ns, "total": total_ns}
        self._node.engine.publish(exporter.number, sample.subject.encode(), msgspec.json.encode(record))

    def _told(self, message: "Message") -> None:
        """Another server's half."""
        try:
            key, half = read_half(message.data[message.header_size :])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self._node.journal.error(f"Another server told of a service's latency what cannot be read: {error}")
            return
        self._halves.half(key, half)

    # --- the responder is here ----------------------------------------------------------------------------------
    def served(self, event: "Served") -> None:
        """Tell the requestor's server our half."""
        system, account = self._node.accounts.system, self._node.accounts.of_number(event.account)
        server_hash = event.reply[_HASH]
        if system is None or account is None or not server_hash.isalnum():  # another one would be no server's
            return
        half = self._half(event.link, event.service_ns, max(0, event.rtt_ns))
        told = write_half((account.name, event.reply.decode("latin-1")), half, timestamp(self._wall_ns(event.start_ns)))
        self._node.engine.publish(system.number, _SUBJECT + server_hash, msgspec.json.encode(told))

    # --- both ---------------------------------------------------------------------------------------------------
    def _half(self, link: int, span_ns: int, rtt_ns: int) -> Half:
        client = self._node.clients.find(link)
        return Half(
            service_ns=max(0, span_ns - rtt_ns),
            rtt_ns=rtt_ns,
            responder=client_info(self._node, client, rtt_ns) if client is not None and client.account else None,
        )

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
