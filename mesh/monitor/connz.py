"""/connz: the connections, open and closed (spec system-and-monitoring section 11)."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from gossamer.auth.settings import GLOBAL_ACCOUNT
from gossamer.mesh.monitor.formats import duration, timestamp, uptime
from gossamer.mesh.monitor.parameters import BadParameter, boolean, integer, unsigned, with_detail
from gossamer.mesh.monitor.subscriptions import detail, subject_text
from gossamer.mesh.peers.clients import told_jwt

if TYPE_CHECKING:
    from gossamer.mesh.engine.core import LinkStatistics
    from gossamer.mesh.node import Node
    from gossamer.mesh.peers.client import Client
    from gossamer.mesh.peers.closed import ClosedClient

LIMIT_DEFAULT = 1024


class ConnzOptions(Struct, frozen=True, kw_only=True):
    """What is asked. ``limit`` below 1 is the default one; ``cid`` 0: all."""

    sort: str = ""
    auth: bool = False
    subscriptions: bool = False
    detail: bool = False
    offset: int = 0
    limit: int = 0
    cid: int = 0
    opened: bool = True
    closed: bool = False
    user: str = ""
    account: str = ""


class _Row(Struct, gc=False):
    """One connection with what may be sorted by; open and closed ones alike. Times of day in nanoseconds."""

    cid: int
    host: str
    port: int
    start_ns: int
    last_ns: int
    stop_ns: int
    reason: str
    rtt_ns: int
    pending: int
    in_msgs: int
    out_msgs: int
    in_bytes: int
    out_bytes: int
    stalls: int
    subscriptions: int
    name: str
    lang: str
    version: str
    user: str
    account: str
    jwt: str = ""
    issuer: str = ""
    tags: tuple[str, ...] = ()


#: Sort word -> key and whether the greatest comes first.
_SORTS: dict[str, tuple[Callable[[_Row], Any], bool]] = {
    "cid": (lambda row: row.cid, False),
    "start": (lambda row: row.cid, False),
    "subs": (lambda row: row.subscriptions, True),
    "pending": (lambda row: row.pending, True),
    "msgs_to": (lambda row: row.out_msgs, True),
    "msgs_from": (lambda row: row.in_msgs, True),
    "bytes_to": (lambda row: row.out_bytes, True),
    "bytes_from": (lambda row: row.in_bytes, True),
    "last": (lambda row: row.last_ns, True),
    "idle": (lambda row: -row.last_ns, True),
    "uptime": (lambda row: (row.stop_ns or 0) - row.start_ns, False),
    "stop": (lambda row: row.stop_ns, True),
    "reason": (lambda row: row.reason, False),
    "rtt": (lambda row: row.rtt_ns, True),
}


def options_from_query(query: Mapping[str, str]) -> ConnzOptions:
    """Raises BadParameter."""
    sort = query.get("sort", "")
    subscriptions, in_detail = with_detail(query, "subs")
    state = query.get("state", "").lower()
    if state not in ("", "open", "closed", "any", "all"):
        raise BadParameter(f"Error decoding state for {query['state']}")
    asked = ConnzOptions(
        sort=sort,
        auth=boolean(query, "auth"),
        subscriptions=subscriptions,
        detail=in_detail,
        offset=max(0, integer(query, "offset")),
        limit=integer(query, "limit"),
        cid=unsigned(query, "cid"),
        opened=state != "closed",
        closed=state in ("closed", "any", "all"),
        user=query.get("user", ""),
        account=query.get("acc", ""),
    )
    check(asked)
    return asked


def check(asked: ConnzOptions) -> None:
    """Raises BadParameter for a sort word that is unknown or does not fit."""
    if asked.sort and asked.sort not in _SORTS:
        raise BadParameter(f"invalid sorting option: {asked.sort}")
    if asked.sort in ("stop", "reason") and (asked.opened or not asked.closed):
        raise BadParameter(f"sort by {asked.sort} only valid on closed connections")


def connz(node: "Node", asked: ConnzOptions) -> dict[str, Any]:
    """The document."""
    now_ns = node.world.clock.wall_ns()
    server_id = node.identity.server_id
    known = not asked.account or node.accounts.find(asked.account) is not None
    rows = _rows(node, asked, now_ns)
    total = len(rows)
    if asked.user:
        rows = [row for row in rows if row.user == asked.user]
    key, descending = _SORTS[asked.sort or "cid"]
    rows.sort(key=key, reverse=descending)
    limit = 1 if asked.cid else asked.limit if asked.limit > 0 else LIMIT_DEFAULT
    page = rows[asked.offset : asked.offset + limit]
    for row in page:
        if not row.stop_ns and not row.rtt_ns:
            node.engine.ping(row.cid)  # the next look shows it
    return {
        "server_id": server_id if known else "",
        "now": timestamp(now_ns),
        "num_connections": len(page),
        "total": total,
        "offset": asked.offset,
        "limit": limit,
        "connections": [_info(node, row, asked, now_ns) for row in page] if known else None,
    }


def _rows(node: "Node", asked: ConnzOptions, now_ns: int) -> list[_Row]:
    rows: list[_Row] = []
    if asked.cid:
        client = node.clients.find(asked.cid) if asked.opened else None
        if client is not None:
            rows.append(_open_row(client, node.engine.link(client.link), node.engine.totals().now_ns, now_ns))
        if asked.closed and not rows:
            rows += [_closed_row(entry) for entry in node.clients.closed if entry.link == asked.cid]
        return rows
    if asked.opened:
        statistics = {entry.link: entry for entry in node.engine.links()}
        engine_ns = node.engine.totals().now_ns
        rows += [
            _open_row(client, statistics.get(client.link), engine_ns, now_ns)
            for client in node.clients
            if not asked.account or (client.account is not None and client.account.name == asked.account)
        ]
    if asked.closed:
        rows += [
            _closed_row(entry)
            for entry in node.clients.closed
            if not asked.account or (entry.account == asked.account and entry.account != GLOBAL_ACCOUNT)
        ]
    return rows


def _open_row(client: "Client", numbers: "LinkStatistics | None", engine_ns: int, now_ns: int) -> _Row:
    account = client.account.name if client.account is not None else ""
    admission = client.admission
    identity = ("", "", ()) if admission is None else (told_jwt(client), admission.issuer, admission.tags)
    texts = (client.name, client.lang, client.version, client.user, account, *identity)
    if numbers is None:  # just gone, or not there yet
        return _Row(client.link, client.host, client.port, client.start_ns, client.start_ns, 0, "", *(0,) * 8, *texts)
    last_ns = now_ns - (engine_ns - numbers.last_activity_ns) if numbers.last_activity_ns else client.start_ns
    return _Row(
        client.link,
        client.host,
        client.port,
        client.start_ns,
        max(client.start_ns, min(now_ns, last_ns)),
        0,
        "",
        numbers.rtt_ns,
        numbers.pending_bytes,
        numbers.in_messages,
        numbers.out_messages,
        numbers.in_bytes,
        numbers.out_bytes,
        numbers.stalls,
        numbers.subscriptions,
        *texts,
    )


def _closed_row(entry: "ClosedClient") -> _Row:
    return _Row(
        entry.link,
        entry.host,
        entry.port,
        entry.start_ns,
        entry.stop_ns,
        entry.stop_ns,
        entry.reason.text,
        entry.rtt_ns,
        entry.pending_bytes,
        entry.in_messages,
        entry.out_messages,
        entry.in_bytes,
        entry.out_bytes,
        0,
        entry.subscriptions,
        entry.name,
        entry.lang,
        entry.version,
        entry.user,
        entry.account,
        entry.jwt,
        entry.issuer,
        entry.tags,
    )


def _info(node: "Node", row: _Row, asked: ConnzOptions, now_ns: int) -> dict[str, Any]:
    """ConnInfo, in nats-server's order of fields."""
    end_ns = row.stop_ns or now_ns
    fields: dict[str, Any] = {
        "cid": row.cid,
        "kind": "Client",
        "type": "nats",
        "ip": row.host,
        "port": row.port,
        "start": timestamp(row.start_ns),
        "last_activity": timestamp(row.last_ns),
    }
    if row.stop_ns:
        fields["stop"] = timestamp(row.stop_ns)
        fields["reason"] = row.reason
    fields |= {
        "rtt": duration(row.rtt_ns),
        "uptime": uptime(end_ns - row.start_ns),
        "idle": uptime(end_ns - row.last_ns),
        "pending_bytes": row.pending,
        "in_msgs": row.in_msgs,
        "out_msgs": row.out_msgs,
        "in_bytes": row.in_bytes,
        "out_bytes": row.out_bytes,
    }
    if row.stalls:
        fields["stalls"] = row.stalls
    fields["subscriptions"] = row.subscriptions
    fields |= {
        name: value for name, value in (("name", row.name), ("lang", row.lang), ("version", row.version)) if value
    }
    if asked.auth:
        fields |= _identity(node, row)
    if asked.subscriptions and row.subscriptions and not row.stop_ns:
        found = node.engine.subscriptions(link=row.cid)
        if asked.detail:
            fields["subscriptions_list_detail"] = [detail(entry) for entry in found]
        else:
            fields["subscriptions_list"] = [subject_text(entry) for entry in found]
    return fields


def _identity(node: "Node", row: _Row) -> dict[str, Any]:
    fields: dict[str, Any] = {}  # in nats-server's order
    if row.user:
        fields["authorized_user"] = row.user
    if row.account and row.account != GLOBAL_ACCOUNT:
        fields["account"] = row.account
        if row.jwt:
            fields["jwt"] = row.jwt
        if row.issuer:
            fields["issuer_key"] = row.issuer
        account = node.accounts.find(row.account)
        fields["name_tag"] = account.label if account is not None else row.account
        if row.tags:
            fields["tags"] = list(row.tags)
    return fields
