"""/reasons: who was denied or refused what lately, and by which rule. Gossamer's own; nats-server has no such."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gossamer.mesh.monitor.formats import timestamp
from gossamer.mesh.monitor.parameters import integer

if TYPE_CHECKING:
    from gossamer.mesh.node import Node
    from gossamer.mesh.peers.denials import Denial, RefusedClient

LIMIT_DEFAULT = 100


def reasons(node: "Node", query: Mapping[str, str]) -> dict[str, Any]:
    """The document, newest first; ``acc`` and ``user`` choose, ``limit`` is for each list. Raises BadParameter."""
    limit = integer(query, "limit")
    limit = limit if limit > 0 else LIMIT_DEFAULT
    account, user = query.get("acc", ""), query.get("user", "")

    def wanted(entry: "Denial | RefusedClient") -> bool:
        return (not account or entry.account == account) and (not user or entry.user == user)

    denials = [entry for entry in node.clients.denials if wanted(entry)]
    refusals = [entry for entry in node.clients.refusals if wanted(entry)]
    return {
        "server_id": node.identity.server_id,
        "now": timestamp(node.world.clock.wall_ns()),
        "denials_total": node.clients.denials.total,
        "denials": [_denial(entry) for entry in denials[: -limit - 1 : -1]],
        "refusals_total": node.clients.refusals.total,
        "refusals": [_refusal(entry) for entry in refusals[: -limit - 1 : -1]],
    }


def _denial(entry: "Denial") -> dict[str, Any]:
    fields: dict[str, Any] = {
        "time": timestamp(entry.at_ns),
        "cid": entry.link,
        "account": entry.account,
        "user": entry.user,
        "action": entry.action.name.lower(),
        "subject": entry.subject,
    }
    if entry.queue:
        fields["queue"] = entry.queue
    return fields | {"rule": entry.rule}


def _refusal(entry: "RefusedClient") -> dict[str, Any]:
    fields: dict[str, Any] = {
        "time": timestamp(entry.at_ns),
        "cid": entry.link,
        "ip": entry.host,
        "port": entry.port,
        "reason": entry.reason.text,
        "error": entry.error,
        "text": entry.text,
    }
    more = {name: getattr(entry, name) for name in ("account", "user", "code", "rule", "place", "signer")}
    return fields | {name: value for name, value in more.items() if value}
