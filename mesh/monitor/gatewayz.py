"""/gatewayz: connections to and from other clusters (spec system-and-monitoring section 12.3)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from gossamer.mesh.engine.kinds import LinkKind
from gossamer.mesh.monitor.formats import duration, timestamp, uptime
from gossamer.mesh.monitor.parameters import boolean, with_detail
from gossamer.mesh.monitor.subscriptions import detail, subject_text

if TYPE_CHECKING:
    from gossamer.mesh.engine.core import GatewayAccount, SubscriptionDetail
    from gossamer.mesh.gateways.gateway_manager import GatewayManager
    from gossamer.mesh.gateways.surroundings import GatewayRow
    from gossamer.mesh.node import Node

#: So many refused subjects make nats-server switch an account to interest-only; shown for those who compare.
_THRESHOLD = 1000
_MODES = {"interest-only": "Interest-Only", "transitioning": "Transitioning"}


class GatewayzOptions(Struct, frozen=True, kw_only=True):
    """``gateway`` and ``account`` choose one each; an account implies ``accounts``."""

    gateway: str = ""
    accounts: bool = False
    account: str = ""
    subscriptions: bool = False
    in_detail: bool = False


def gateways(node: "Node") -> "GatewayManager | None":
    """Who looks after the node's links to other clusters; None: it has none to look after."""
    found: GatewayManager | None = getattr(node.links.of(LinkKind.GATEWAY), "gateways", None)
    return found


def gatewayz(node: "Node", asked: GatewayzOptions) -> dict[str, Any]:
    """The document; without gateways it is empty."""
    document: dict[str, Any] = {
        "server_id": node.identity.server_id,
        "now": timestamp(node.world.clock.wall_ns()),
    }
    known = gateways(node)
    if known is None:
        return document | {"outbound_gateways": {}, "inbound_gateways": {}}
    host, port = known.address
    rows = [row for row in known.rows() if not asked.gateway or row.gateway == asked.gateway]
    outbound = {row.gateway: _remote(node, row, asked) for row in rows if row.outbound}
    inbound: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if not row.outbound:
            inbound.setdefault(row.gateway, []).append(_remote(node, row, asked))
    return document | {
        "name": known.name,
        "host": host,
        "port": port,
        "outbound_gateways": outbound if outbound or not asked.gateway else None,
        "inbound_gateways": inbound,
    }


def from_query(node: "Node", query: Mapping[str, str]) -> dict[str, Any]:
    """Raises BadParameter."""
    subscriptions, in_detail = with_detail(query, "subs")
    return gatewayz(
        node,
        GatewayzOptions(
            gateway=query.get("gw_name", ""),
            accounts=boolean(query, "accs"),
            account=query.get("acc_name", ""),
            subscriptions=subscriptions,
            in_detail=in_detail,
        ),
    )


def _remote(node: "Node", row: "GatewayRow", asked: GatewayzOptions) -> dict[str, Any]:
    entry: dict[str, Any] = {"configured": row.configured, "connection": _connection(node, row)}
    if asked.accounts or asked.account:
        found = _accounts(node, row, asked)
        if found:
            entry["accounts"] = found
    return entry


def _connection(node: "Node", row: "GatewayRow") -> dict[str, Any]:
    """As a row of /connz; the name is the remote's server id."""
    clock, numbers = node.world.clock, node.engine.link(row.link)
    now_ns = clock.wall_ns()
    start_ns = last_ns = now_ns - (clock.monotonic_ns() - row.start_ns)
    if numbers is not None and numbers.last_activity_ns:
        last_ns = max(start_ns, now_ns - (node.engine.totals().now_ns - numbers.last_activity_ns))
    rtt_ns = numbers.rtt_ns if numbers is not None and numbers.rtt_ns else row.rtt_ns
    return {
        "cid": row.link,
        "kind": "Gateway",
        "ip": row.ip,
        "port": row.port,
        "start": timestamp(start_ns),
        "last_activity": timestamp(last_ns),
        "rtt": duration(rtt_ns),
        "uptime": uptime(now_ns - start_ns),
        "idle": uptime(now_ns - last_ns),
        "pending_bytes": numbers.pending_bytes if numbers is not None else 0,
        "in_msgs": numbers.in_messages if numbers is not None else 0,
        "out_msgs": numbers.out_messages if numbers is not None else 0,
        "in_bytes": numbers.in_bytes if numbers is not None else 0,
        "out_bytes": numbers.out_bytes if numbers is not None else 0,
        "subscriptions": numbers.subscriptions if numbers is not None else 0,
        "name": row.remote_id,
    }


def _accounts(node: "Node", row: "GatewayRow", asked: GatewayzOptions) -> list[dict[str, Any]]:
    listed: dict[int, list[SubscriptionDetail]] = {}
    if row.outbound and asked.subscriptions:
        for one in node.engine.subscriptions(link=row.link):
            listed.setdefault(one.account, []).append(one)
    numbers = {entry.name: entry.account for entry in node.engine.accounts()} if listed else {}
    found = []
    for account in node.engine.gateway_accounts(row.link):
        if asked.account and account.account.decode("utf-8", "replace") != asked.account:
            continue
        entry = _account(account, told=row.outbound)
        subscriptions = listed.get(numbers.get(account.account, 0), [])
        if subscriptions and asked.in_detail:
            entry["subscriptions_list_detail"] = [detail(one) for one in subscriptions]
        elif subscriptions:
            entry["subscriptions_list"] = [subject_text(one) for one in subscriptions]
        found.append(entry)
    return found


def _account(account: "GatewayAccount", *, told: bool) -> dict[str, Any]:
    """Of an inbound nats-server counts nothing: it is this cluster's own interest."""
    entry: dict[str, Any] = {
        "name": account.account.decode("utf-8", "replace"),
        "interest_mode": _MODES.get(account.mode, "Optimistic"),
    }
    if account.refused:
        entry["no_interest_count"] = account.refused
    entry["interest_only_threshold"] = _THRESHOLD
    if told and account.subscriptions + account.queue_subscriptions:
        entry["num_subs"] = account.subscriptions + account.queue_subscriptions
    if told and account.queue_subscriptions:
        entry["num_queue_subs"] = account.queue_subscriptions
    return entry
