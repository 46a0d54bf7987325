"""/metrics: the figures for Prometheus, collected from the engine at the moment of the scrape.

Names begin with ``gossamer_``; counters end in ``_total``, sizes are bytes, times seconds.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from gossamer.mesh.engine.kinds import LinkKind
from gossamer.mesh.monitor.credentials import credential_metrics
from gossamer.mesh.monitor.gatewayz import gateways
from gossamer.mesh.monitor.leafz import leaf_nodes
from gossamer.mesh.monitor.process import processor_s, resident_bytes
from gossamer.mesh.version import NATS_VERSION, VERSION

if TYPE_CHECKING:
    from gossamer.mesh.node import Node

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """One registry of its own for each node."""

    def __init__(self, node: "Node") -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_NodeCollector(node))

    def text(self) -> bytes:
        """The exposition format 0.0.4."""
        return generate_latest(self._registry)


class _NodeCollector(Collector):
    def __init__(self, node: "Node") -> None:
        self._node = node

    def collect(self) -> Iterable[Metric]:
        yield from _server(self._node)
        yield from _traffic(self._node)
        yield from _accounts(self._node)
        yield from _routes(self._node)
        yield from _gateways(self._node)
        yield from _leaf_nodes(self._node)
        yield from _requests(self._node)
        yield from credential_metrics(self._node)

    def describe(self) -> Iterable[Metric]:
        return []


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"gossamer_{name}", text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"gossamer_{name}", text, value=value)


def _server(node: "Node") -> Iterator[Metric]:
    yield InfoMetricFamily(
        "gossamer_server",
        "Who this node is",
        value={
            "server_id": node.identity.server_id,
            "server_name": node.identity.server_name,
            "cluster": node.cluster_name,
            "version": VERSION,
            "nats_version": NATS_VERSION,
        },
    )
    yield _gauge("start_time_seconds", "Start of the node since 1970", node.started_ns / 1e9)
    yield _gauge("config_load_time_seconds", "Last load of the configuration since 1970", node.config_loaded_ns / 1e9)
    yield _gauge("resident_memory_bytes", "Memory of the process in RAM", resident_bytes(node.world.disk))
    yield _counter("cpu_seconds", "Processor time of the process, all threads", processor_s())
    yield _gauge("lame_duck", "1 while the node is leaving", int(node.lame_duck))


def _traffic(node: "Node") -> Iterator[Metric]:
    totals = node.engine.totals()
    yield _gauge("connections", "Clients connected now", len(node.clients))
    yield _counter("connections_accepted", "Clients since the start", node.clients.total)
    closed = CounterMetricFamily("gossamer_connections_closed", "Clients gone, by reason", labels=["reason"])
    for reason, count in sorted(node.clients.closed_by_reason.items()):
        closed.add_metric([reason.text], count)
    yield closed
    yield _counter("messages_received", "Messages in, all links", totals.in_messages)
    yield _counter("messages_sent", "Messages out, all links", totals.out_messages)
    yield _counter("bytes_received", "Payload bytes in, all links", totals.in_bytes)
    yield _counter("bytes_sent", "Payload bytes out, all links", totals.out_bytes)
    yield _gauge("subscriptions", "Subscriptions held", totals.subscriptions)
    yield _gauge("pending_bytes", "Output waiting to be written, all links", totals.pending_bytes)
    yield _gauge("stalled_clients", "Publishers held back now or once, see varz", totals.stalled_clients)
    yield _gauge("mailbox_bytes", "Events waiting for the control plane", totals.mailbox_bytes)
    yield _counter("mailbox_dropped", "Messages to the control plane lost to its bound", totals.mailbox_dropped)
    yield _gauge("match_cache_entries", "Entries of the match cache", totals.cache_entries)
    yield _counter("match_cache_hits", "Answered by the match cache", totals.cache_hits)
    yield _counter("match_cache_misses", "Not answered by the match cache", totals.cache_misses)
    slow = CounterMetricFamily("gossamer_slow_consumers", "Links cut or counted as too slow", labels=["kind"])
    for kind in (LinkKind.CLIENT, LinkKind.ROUTE, LinkKind.GATEWAY, LinkKind.LEAF):
        slow.add_metric([kind.name.lower()], totals.slow_consumers[kind])
    yield slow
    yield _counter("permission_denials", "Permissions violations", node.clients.denials.total)
    yield _counter("authentication_failures", "Clients refused at CONNECT", node.clients.refusals.total)
    yield _counter("forced_closes", "Clients cut off by a limit, an expiry or an order", node.clients.forced.total)


def _accounts(node: "Node") -> Iterator[Metric]:
    labels = ["account"]
    clients = GaugeMetricFamily("gossamer_account_connections", "Clients of an account now", labels=labels)
    remote = GaugeMetricFamily("gossamer_account_remote_connections", "Those on other servers", labels=labels)
    allowed = GaugeMetricFamily("gossamer_account_connections_limit", "How many may be, in all", labels=labels)
    for account in node.accounts:
        clients.add_metric([account.label], account.clients)
        remote.add_metric([account.label], account.remote_clients)
        if account.limits.max_connections >= 0:
            allowed.add_metric([account.label], account.limits.max_connections)
    yield from (clients, remote, allowed)
    messages_in = CounterMetricFamily("gossamer_account_messages_received", "Messages from an account", labels=labels)
    messages_out = CounterMetricFamily("gossamer_account_messages_sent", "Messages to an account", labels=labels)
    bytes_in = CounterMetricFamily("gossamer_account_bytes_received", "Bytes from an account", labels=labels)
    bytes_out = CounterMetricFamily("gossamer_account_bytes_sent", "Bytes to an account", labels=labels)
    subscriptions = GaugeMetricFamily("gossamer_account_subscriptions", "Subscriptions of an account", labels=labels)
    for entry in node.engine.accounts():
        known = node.accounts.of_number(entry.account)
        label = [known.label if known is not None else entry.name.decode("utf-8", "replace")]
        messages_in.add_metric(label, entry.in_messages)
        messages_out.add_metric(label, entry.out_messages)
        bytes_in.add_metric(label, entry.in_bytes)
        bytes_out.add_metric(label, entry.out_bytes)
        subscriptions.add_metric(label, entry.subscriptions)
    yield from (messages_in, messages_out, bytes_in, bytes_out, subscriptions)


def _routes(node: "Node") -> Iterator[Metric]:
    rows = node.routes.routez() if node.routes is not None else []
    yield _gauge("routes", "Route connections now", len(rows))
    yield _gauge("remotes", "Other nodes with a route to us", node.routes.remotes if node.routes is not None else 0)
    rtt = GaugeMetricFamily("gossamer_route_rtt_seconds", "Round-trip time", labels=["remote", "rid"])
    for row in rows:
        rtt.add_metric([row.remote_name, str(row.rid)], row.rtt_ns / 1e9)
    yield rtt


def _gateways(node: "Node") -> Iterator[Metric]:
    known = gateways(node)
    rows = known.rows() if known is not None else []
    labels = ["gateway", "direction"]
    family = GaugeMetricFamily("gossamer_gateways", "Gateway connections now, by cluster", labels=labels)
    counted = Counter((row.gateway, "outbound" if row.outbound else "inbound") for row in rows)
    for label, count in sorted(counted.items()):
        family.add_metric(label, count)
    yield family
    labels = ["gateway", "direction", "remote", "cid"]
    rtt = GaugeMetricFamily("gossamer_gateway_rtt_seconds", "Round-trip time", labels=labels)
    for row in rows:
        label = (row.gateway, "outbound" if row.outbound else "inbound")
        rtt.add_metric([*label, row.remote_name, str(row.link)], _rtt_ns(node, row.link, row.rtt_ns) / 1e9)
    yield rtt


def _leaf_nodes(node: "Node") -> Iterator[Metric]:
    leafs = leaf_nodes(node)
    rows = list(leafs.table.rows()) if leafs is not None else []
    labels = ["account", "role"]
    family = GaugeMetricFamily("gossamer_leafnodes", "Leaf links now, by our role on them", labels=labels)
    counted = Counter((row.account, "spoke" if row.spoke else "hub") for row in rows)
    for label, count in sorted(counted.items()):
        family.add_metric(label, count)
    yield family
    labels = ["account", "role", "remote", "id"]
    rtt = GaugeMetricFamily("gossamer_leafnode_rtt_seconds", "Round-trip time", labels=labels)
    for row in rows:
        role = "spoke" if row.spoke else "hub"
        rtt.add_metric([row.account, role, row.name, str(row.id)], _rtt_ns(node, row.id, row.rtt_ns) / 1e9)
    yield rtt


def _rtt_ns(node: "Node", link: int, known_ns: int) -> int:
    """The last one that the engine has measured, or what was known before."""
    numbers = node.engine.link(link)
    return numbers.rtt_ns if numbers is not None and numbers.rtt_ns else known_ns


def _requests(node: "Node") -> Iterator[Metric]:
    family = CounterMetricFamily("gossamer_http_requests", "Monitoring requests", labels=["path"])
    if node.monitor is not None:
        for path, count in sorted(node.monitor.requests.items()):
            family.add_metric([path], count)
    yield family
