"""The heartbeat's content, also the answer to PING and STATSZ (spec system-and-monitoring section 3.1)."""

from typing import TYPE_CHECKING, Any

from gossamer.mesh.engine.kinds import LinkKind
from gossamer.mesh.monitor.formats import timestamp
from gossamer.mesh.monitor.gatewayz import gateways
from gossamer.mesh.monitor.process import cores, resident_bytes

if TYPE_CHECKING:
    from gossamer.mesh.gateways.surroundings import GatewayRow
    from gossamer.mesh.node import Node

_KINDS = {"clients": LinkKind.CLIENT, "routes": LinkKind.ROUTE, "gateways": LinkKind.GATEWAY, "leafs": LinkKind.LEAF}


def statsz(node: "Node", servers: int) -> dict[str, Any]:
    """The ``statsz`` object. ``servers``: how many there are, this one included."""
    totals = node.engine.totals()
    per_account = node.engine.accounts()
    rows = node.routes.routez() if node.routes is not None else []
    fields: dict[str, Any] = {
        "start": timestamp(node.started_ns),
        "mem": resident_bytes(node.world.disk),
        "cores": cores(),
        "cpu": node.processor.percent(node.world.clock.monotonic_ns()),
        "connections": len(node.clients),
        "total_connections": node.clients.total,
        "active_accounts": sum(1 for account in node.accounts if account.connections),
        "subscriptions": totals.subscriptions,
        "sent": _stats(totals.out_messages, totals.out_bytes),
        "sent_to_clients": _stats(
            sum(entry.out_messages for entry in per_account), sum(entry.out_bytes for entry in per_account)
        ),
        "received": _stats(totals.in_messages, totals.in_bytes),
        "received_from_clients": _stats(
            sum(entry.in_messages for entry in per_account), sum(entry.in_bytes for entry in per_account)
        ),
        "slow_consumers": sum(totals.slow_consumers),
    }
    if any(totals.slow_consumers):
        fields["slow_consumer_stats"] = {name: totals.slow_consumers[kind] for name, kind in _KINDS.items()}
    if node.stale:
        fields["stale_connections"] = sum(node.stale.values())
        fields["stale_connection_stats"] = {name: node.stale.get(kind, 0) for name, kind in _KINDS.items()}
    if totals.stalled_clients:
        fields["stalled_clients"] = totals.stalled_clients
    routes = []
    for row in rows:
        entry = node.engine.link(row.rid)  # not all links: there may be very many clients beside
        routes.append(
            {
                "rid": row.rid,
                "name": row.remote_name,
                "sent": _stats(entry.out_messages, entry.out_bytes) if entry is not None else _stats(0, 0),
                "received": _stats(entry.in_messages, entry.in_bytes) if entry is not None else _stats(0, 0),
                "pending": entry.pending_bytes if entry is not None else 0,
            }
        )
    if routes:
        fields["routes"] = routes
    known = gateways(node)
    entries = known.rows() if known is not None else []
    found = [_gateway(node, row, entries) for row in entries if row.outbound]
    if found:
        fields["gateways"] = found
    fields["active_servers"] = servers
    return fields | {"gomaxprocs": cores()}


def _gateway(node: "Node", row: "GatewayRow", rows: "list[GatewayRow]") -> dict[str, Any]:
    """An outbound, with the number of connections from the same cluster."""
    entry = node.engine.link(row.link)
    return {
        "gwid": row.link,
        "name": row.gateway,
        "sent": _stats(entry.out_messages, entry.out_bytes) if entry is not None else _stats(0, 0),
        "received": _stats(entry.in_messages, entry.in_bytes) if entry is not None else _stats(0, 0),
        "inbound_connections": sum(1 for each in rows if not each.outbound and each.gateway == row.gateway),
    }


def _stats(messages: int, payload_bytes: int) -> dict[str, int]:
    return {"msgs": messages, "bytes": payload_bytes}
