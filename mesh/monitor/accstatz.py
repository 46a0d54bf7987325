"""/accstatz: what each account does here (spec system-and-monitoring section 12.7)."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gossamer.mesh.monitor.formats import timestamp
from gossamer.mesh.monitor.parameters import boolean

if TYPE_CHECKING:
    from gossamer.mesh.accounts.account import Account
    from gossamer.mesh.engine.views import AccountStatistics
    from gossamer.mesh.node import Node


def accstatz(node: "Node", *, accounts: Sequence[str] = (), unused: bool = False) -> dict[str, Any]:
    """The document; ``accounts`` chooses, without ``unused`` those with connections only."""
    figures = {entry.account: entry for entry in node.engine.accounts()}
    if accounts:
        chosen = [account for account in map(node.accounts.find, accounts) if account is not None]
    else:
        chosen = list(node.accounts)
    return {
        "server_id": node.identity.server_id,
        "now": timestamp(node.world.clock.wall_ns()),
        "account_statz": [
            account_stat(account, figures.get(account.number)) for account in chosen if unused or account.connections
        ],
    }


def from_query(node: "Node", query: Mapping[str, str]) -> dict[str, Any]:
    """Raises BadParameter."""
    return accstatz(node, unused=boolean(query, "unused"))


def account_stat(account: "Account", figures: "AccountStatistics | None") -> dict[str, Any]:
    """AccountStat, in nats-server's order. The engine does not count by kind of link: those parts are 0."""
    sent, received, subscriptions, slow = (0, 0), (0, 0), 0, 0
    if figures is not None:
        sent = (figures.out_messages, figures.out_bytes)
        received = (figures.in_messages, figures.in_bytes)
        subscriptions = figures.subscriptions + figures.remote_subscriptions
        slow = figures.slow_consumers
    return {
        "acc": account.name,
        "name": account.label or account.name,
        "conns": account.clients,
        "leafnodes": account.leafnodes,
        "total_conns": account.connections,
        "num_subscriptions": subscriptions,
        "sent": _stats(*sent),
        "received": _stats(*received),
        "slow_consumers": slow,
    }


def _stats(messages: int, payload_bytes: int) -> dict[str, Any]:
    nothing = {"msgs": 0, "bytes": 0}
    return {"msgs": messages, "bytes": payload_bytes, "gateways": nothing, "routes": nothing, "leafs": nothing}
