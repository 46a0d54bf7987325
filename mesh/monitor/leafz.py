"""/leafz: one row for each leaf link, accepted or solicited (spec system-and-monitoring section 12.4)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gossamer.mesh.engine.kinds import LinkKind
from gossamer.mesh.monitor.formats import duration, timestamp
from gossamer.mesh.monitor.parameters import boolean
from gossamer.mesh.monitor.subscriptions import subject_text

if TYPE_CHECKING:
    from gossamer.mesh.engine.core import LinkStatistics
    from gossamer.mesh.leafnodes.leafs import LeafNodes
    from gossamer.mesh.leafnodes.world import LeafRow
    from gossamer.mesh.node import Node


def leaf_nodes(node: "Node") -> "LeafNodes | None":
    """Who looks after the node's leaf links; None: it has none to look after."""
    links = node.links.of(LinkKind.LEAF)
    found: LeafNodes | None = getattr(links, "leafs", None)
    return found


def leafz(node: "Node", *, account: str = "", subscriptions: bool = False) -> dict[str, Any]:
    """The document; ``account`` chooses links bound to that one."""
    leafs = leaf_nodes(node)
    rows = []
    for row in leafs.table.rows() if leafs is not None else ():
        if account and row.account != account:
            continue
        entry = _row(row, node.engine.link(row.id))
        if subscriptions:
            found = node.engine.subscriptions(link=row.id)
            if found:
                entry["subscriptions_list"] = [subject_text(one) for one in found]
        entry["compression"] = row.compression
        if row.proxy:
            entry["proxy"] = {"key": row.proxy}
        rows.append(entry)
    return {
        "server_id": node.identity.server_id,
        "now": timestamp(node.world.clock.wall_ns()),
        "leafnodes": len(rows),
        "leafs": rows,
    }


def from_query(node: "Node", query: Mapping[str, str]) -> dict[str, Any]:
    """Raises BadParameter."""
    return leafz(node, account=query.get("acc", ""), subscriptions=boolean(query, "subs"))


def from_body(node: "Node", body: Mapping[str, Any], account: str = "") -> dict[str, Any]:
    """For a request in a message; ``account`` is the only one that may be shown."""
    asked = body.get("account")
    chosen = account or (asked if isinstance(asked, str) else "")
    return leafz(node, account=chosen, subscriptions=bool(body.get("subscriptions")))


def _row(row: "LeafRow", numbers: "LinkStatistics | None") -> dict[str, Any]:
    """In nats-server's order of fields."""
    entry: dict[str, Any] = {"id": row.id, "name": row.name, "is_spoke": row.spoke}
    if row.isolated:
        entry["is_isolated"] = True
    return entry | {
        "account": row.account,
        "ip": row.ip,
        "port": row.port,
        "rtt": duration(numbers.rtt_ns if numbers is not None else row.rtt_ns),
        "in_msgs": numbers.in_messages if numbers is not None else 0,
        "out_msgs": numbers.out_messages if numbers is not None else 0,
        "in_bytes": numbers.in_bytes if numbers is not None else 0,
        "out_bytes": numbers.out_bytes if numbers is not None else 0,
        "subscriptions": numbers.subscriptions if numbers is not None else 0,
    }
