"""/subsz: how many subscriptions, and which (spec system-and-monitoring section 12.5)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from gossamer.mesh.engine.kinds import LinkKind
from gossamer.mesh.monitor.formats import timestamp
from gossamer.mesh.monitor.parameters import BadParameter, boolean, integer
from gossamer.mesh.monitor.subscriptions import detail

if TYPE_CHECKING:
    from gossamer.mesh.node import Node

LIMIT_DEFAULT = 1024


class SubszOptions(Struct, frozen=True, kw_only=True):
    """What is asked. ``test``: a literal subject, only what matches it is listed."""

    subscriptions: bool = False
    offset: int = 0
    limit: int = 0
    account: str = ""
    test: str = ""


def options_from_query(query: Mapping[str, str]) -> SubszOptions:
    """Raises BadParameter."""
    asked = SubszOptions(
        subscriptions=boolean(query, "subs"),
        offset=max(0, integer(query, "offset")),
        limit=integer(query, "limit"),
        account=query.get("acc", ""),
        test=query.get("test", ""),
    )
    check(asked)
    return asked


def check(asked: SubszOptions) -> None:
    """Raises BadParameter for a ``test`` that nobody could publish to."""
    tokens = asked.test.split(".")
    if asked.test and (not all(tokens) or "*" in tokens or ">" in tokens):
        raise BadParameter(f"invalid test subject, must be valid publish subject: {asked.test}")


def subsz(node: "Node", asked: SubszOptions) -> dict[str, Any]:
    """The document. Inserts, removes and fan-out are not counted by the engine and are 0."""
    totals = node.engine.totals()
    looked = totals.cache_hits + totals.cache_misses
    limit = asked.limit if asked.limit > 0 else LIMIT_DEFAULT
    document: dict[str, Any] = {
        "server_id": node.identity.server_id,
        "now": timestamp(node.world.clock.wall_ns()),
        "num_subscriptions": totals.subscriptions,
        "num_cache": totals.cache_entries,
        "num_inserts": 0,
        "num_removes": 0,
        "num_matches": looked,
        "cache_hit_rate": totals.cache_hits / looked if looked else 0,
        "max_fanout": 0,
        "avg_fanout": 0,
        "total": 0,
        "offset": asked.offset,
        "limit": limit,
    }
    if asked.subscriptions:
        rows = _rows(node, asked)
        document["total"] = len(rows)
        page = rows[asked.offset : asked.offset + limit]
        if page:
            document["subscriptions_list"] = page
    return document


def _rows(node: "Node", asked: SubszOptions) -> list[dict[str, object]]:
    account = node.accounts.find(asked.account) if asked.account else None
    if asked.account and account is None:
        return []
    number = account.number if account is not None else 0
    if asked.test:
        subject = asked.test.encode()
        chosen = [account] if account is not None else list(node.accounts)
        found = [entry for one in chosen for entry in node.engine.matches(one.number, subject)]
    else:
        found = node.engine.subscriptions(account=number)
    rows = []
    for entry in found:
        if entry.kind not in (LinkKind.CLIENT, LinkKind.SYSTEM):
            continue
        owner = node.accounts.of_number(entry.account)
        rows.append(
            detail(
                entry,
                account=owner.name if owner is not None else "",
                account_tag=owner.label if owner is not None else "",
            )
        )
    return rows
