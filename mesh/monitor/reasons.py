"""/reasons: who was denied, refused or cut off lately, and by which rule. Gossamer's own; nats-server has no such."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gossamer.mesh.monitor.formats import timestamp
from gossamer.mesh.monitor.parameters import integer

if TYPE_CHECKING:
    from gossamer.auth.reasons import Reason
    from gossamer.mesh.node import Node
    from gossamer.mesh.peers.denials import Denial, ForcedClose, RefusedClient

LIMIT_DEFAULT = 100


def reasons(node: "Node", query: Mapping[str, str]) -> dict[str, Any]:
    """The document, newest first; ``acc`` and ``user`` choose, ``limit`` is for each list. Raises BadParameter."""
    limit = integer(query, "limit")
    limit = limit if limit > 0 else LIMIT_DEFAULT
    account, user = query.get("acc", ""), query.get("user", "")

    def wanted(entry: "Denial | RefusedClient | ForcedClose") -> bool:
        return (not account or entry.account == account) and (not user or entry.user == user)

    denials = [entry for entry in node.clients.denials if wanted(entry)]
    refusals = [entry for entry in node.clients.refusals if wanted(entry)]
    forced = [entry for entry in node.clients.forced if wanted(entry)]
    return {
        "server_id": node.identity.server_id,
        "now": timestamp(node.world.clock.wall_ns()),
        "denials_total": node.clients.denials.total,
        "denials": [{"time": timestamp(entry.at_ns)} | denial_fields(entry) for entry in denials[: -limit - 1 : -1]],
        "refusals_total": node.clients.refusals.total,
        "refusals": [_refusal(entry) for entry in refusals[: -limit - 1 : -1]],
        "forced_closes_total": node.clients.forced.total,
        "forced_closes": [_refusal(entry) for entry in forced[: -limit - 1 : -1]],
    }


def denial_fields(entry: "Denial") -> dict[str, Any]:
    """Who may not do what, and which rule says so."""
    fields: dict[str, Any] = {
        "cid": entry.link,
        "account": entry.account,
        "user": entry.user,
        "action": entry.action.name.lower(),
        "subject": entry.subject,
    }
    if entry.queue:
        fields["queue"] = entry.queue
    return fields | {"rule": entry.rule}


def _refusal(entry: "RefusedClient | ForcedClose") -> dict[str, Any]:
    fields: dict[str, Any] = {
        "time": timestamp(entry.at_ns),
        "cid": entry.link,
        "ip": entry.host,
        "port": entry.port,
        "reason": entry.reason.text,
        "error": entry.error,
        "text": entry.because.text,
    }
    who = {name: value for name, value in (("account", entry.account), ("user", entry.user)) if value}
    return fields | who | reason_fields(entry.because, text=False)


def reason_fields(reason: "Reason", *, text: bool = True) -> dict[str, str]:
    """A reason in a document or event; what it does not say is left out. Ours alone: other tools pass it over."""
    fields = {"text": reason.text} if text else {}
    fields["code"] = str(reason.code)
    more = {"rule": reason.rule, "place": reason.place, "signer": reason.signer}
    return fields | {name: value for name, value in more.items() if value}
