"""/routez: one row for each route connection (spec system-and-monitoring section 12.2)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from gossamer.auth.permissions import Permissions
from gossamer.mesh.monitor.formats import duration, timestamp, uptime
from gossamer.mesh.monitor.parameters import with_detail
from gossamer.mesh.monitor.subscriptions import detail, subject_text
from gossamer.mesh.peers.route_protocol import SubjectLists, subject_lists

if TYPE_CHECKING:
    from gossamer.mesh.engine.core import LinkStatistics
    from gossamer.mesh.node import Node
    from gossamer.mesh.peers.route_world import RouteRow


def routez(node: "Node", *, subscriptions: bool = False, in_detail: bool = False) -> dict[str, Any]:
    """The document; without a cluster there are no rows."""
    now_ns = node.world.clock.wall_ns()
    rows = node.routes.routez() if node.routes is not None else []
    engine_ns = node.engine.totals().now_ns
    monotonic_ns = node.world.clock.monotonic_ns()
    routes = []
    for row in rows:
        start_ns = now_ns - (monotonic_ns - row.start_ns)
        entry = _row(row, node.engine.link(row.rid), start_ns, engine_ns, now_ns)
        if subscriptions:
            found = node.engine.subscriptions(link=row.rid)
            if found and in_detail:
                entry["subscriptions_list_detail"] = [detail(one) for one in found]
            elif found:
                entry["subscriptions_list"] = [subject_text(one) for one in found]
        entry |= _permissions(row.imports, row.exports)
        if row.account:
            entry["account"] = row.account
        entry["compression"] = row.compression
        routes.append(entry)
    own = node.options.cluster.permissions if node.options.cluster is not None else Permissions()
    return {
        "server_id": node.identity.server_id,
        "server_name": node.identity.server_name,
        "now": timestamp(now_ns),
        **_permissions(subject_lists(own.publish), subject_lists(own.subscribe)),
        "num_routes": len(routes),
        "routes": routes,
    }


def _permissions(imports: SubjectLists | None, exports: SubjectLists | None) -> dict[str, Any]:
    """What interest a node tells and keeps; nothing where it is not restricted."""
    told = {"import": imports, "export": exports}
    return {name: msgspec.to_builtins(lists) for name, lists in told.items() if lists is not None}


def from_query(node: "Node", query: Mapping[str, str]) -> dict[str, Any]:
    """Raises BadParameter."""
    subscriptions, in_detail = with_detail(query, "subs")
    return routez(node, subscriptions=subscriptions, in_detail=in_detail)


def _row(
    row: "RouteRow", numbers: "LinkStatistics | None", start_ns: int, engine_ns: int, now_ns: int
) -> dict[str, Any]:
    last_ns = start_ns
    if numbers is not None and numbers.last_activity_ns:
        last_ns = max(start_ns, now_ns - (engine_ns - numbers.last_activity_ns))
    return {
        "rid": row.rid,
        "remote_id": row.remote_id,
        "remote_name": row.remote_name,
        "did_solicit": row.did_solicit,
        "is_configured": row.is_configured,
        "ip": row.ip,
        "port": row.port,
        "start": timestamp(start_ns),
        "last_activity": timestamp(last_ns),
        "rtt": duration(row.rtt_ns),
        "uptime": uptime(now_ns - start_ns),
        "idle": uptime(now_ns - last_ns),
        "pending_size": numbers.pending_bytes if numbers is not None else 0,
        "in_msgs": numbers.in_messages if numbers is not None else 0,
        "out_msgs": numbers.out_messages if numbers is not None else 0,
        "in_bytes": numbers.in_bytes if numbers is not None else 0,
        "out_bytes": numbers.out_bytes if numbers is not None else 0,
        "subscriptions": numbers.subscriptions if numbers is not None else 0,
    }
