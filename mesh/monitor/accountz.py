"""/accountz: the accounts by name, or one in detail: who uses it, what it shares and what its JWT says (spec
system-and-monitoring section 12.6)."""

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from gossamer.auth.sharing.values import Export
from gossamer.mesh.accounts.automatic import automatic_exports, automatic_imports
from gossamer.mesh.monitor.formats import timestamp
from gossamer.mesh.monitor.parameters import BadParameter

if TYPE_CHECKING:
    from gossamer.auth.resolver import KnownAccount
    from gossamer.auth.sharing.resolution import Effective
    from gossamer.auth.sharing.values import AccountSharing, Import, Latency
    from gossamer.auth.sharing.values import Mapping as SubjectMapping
    from gossamer.mesh.accounts.account import Account
    from gossamer.mesh.node import Node

_SECOND_NS = 1_000_000_000
#: How the document names a response type that is not the usual one.
_STREAMED = {"Stream": "Streamed"}


def accountz(node: "Node", account: str = "") -> dict[str, Any]:
    """The document; ``account`` gives the details of one. Raises BadParameter for one that is not known."""
    document: dict[str, Any] = {
        "server_id": node.identity.server_id,
        "now": timestamp(node.world.clock.wall_ns()),
    }
    if node.accounts.system is not None:
        document["system_account"] = node.accounts.system.name
    if account:
        return document | {"account_detail": account_detail(node, account)}
    return document | {"accounts": [each.name for each in node.accounts]}


def from_query(node: "Node", query: Mapping[str, str]) -> dict[str, Any]:
    """Raises BadParameter."""
    return accountz(node, query.get("acc", ""))


def account_detail(node: "Node", name: str) -> dict[str, Any]:
    """One account in nats-server's order of fields. Raises BadParameter."""
    account = node.accounts.find(name)
    if account is None:
        raise BadParameter(f"Account {name} does not exist")
    known = node.resolving.live.loaded(name) if node.resolving is not None else None
    fields = _state(node, account, known)
    fields |= _shared(node, account)
    if known is not None:
        fields |= _claims(node, known)
    else:
        fields["name_tag"] = account.label or account.name
    fields["sublist_stats"] = _sublist(node, account)
    return fields


def _state(node: "Node", account: "Account", known: "KnownAccount | None") -> dict[str, Any]:
    now_s = node.world.clock.wall_ns() // _SECOND_NS
    changed_ns = node.config_loaded_ns if known is None else known.claims.issued_at * _SECOND_NS
    fields: dict[str, Any] = {"account_name": account.name, "update_time": timestamp(changed_ns)}
    if account.system:
        fields["is_system"] = True
    return fields | {
        "expired": known is not None and 0 < known.claims.expires <= now_s,
        "complete": True,
        "jetstream_enabled": False,
        "leafnode_connections": account.leafnodes,
        "client_connections": account.clients,
        "subscriptions": _subscriptions(node, account),
    }


def _subscriptions(node: "Node", account: "Account") -> int:
    for entry in node.engine.accounts():
        if entry.account == account.number:
            return entry.subscriptions + entry.remote_subscriptions
    return 0


def _sublist(node: "Node", account: "Account") -> dict[str, Any]:
    """The engine has one match cache for all accounts and counts neither inserts nor removes: those are 0."""
    names = ("num_cache", "num_inserts", "num_removes", "num_matches", "cache_hit_rate", "max_fanout", "avg_fanout")
    return {"num_subscriptions": _subscriptions(node, account), **dict.fromkeys(names, 0)}


# --- what it shares -----------------------------------------------------------------------------------------------
def _shared(node: "Node", account: "Account") -> dict[str, Any]:
    sharing: AccountSharing | None = None
    effective: Effective | None = None
    if node.sharing is not None:
        sharing = node.sharing.resolution.account(account.name)
        effective = node.sharing.resolution.effective(account.name)
    system = node.accounts.system
    fields: dict[str, Any] = {}
    if sharing is not None and sharing.mappings:
        fields["mappings"] = {each.source: _targets(each) for each in sharing.mappings}
    exports = [_export(each) for each in sharing.exports] if sharing is not None else []
    imports = []
    if sharing is not None and effective is not None:
        exported = {each.entry: each.export for each in (*effective.services, *effective.streams)}
        imports = [_import(each, exported.get(each)) for each in sharing.imports]
    if system is not None:
        if account is system:
            known = {row["subject"] for row in exports}
            exports += [row for row in map(_export, automatic_exports()) if row["subject"] not in known]
        automatic = Export(kind="service", subject="")
        imports += [_import(each, automatic) for each in automatic_imports(account, system)]
    if exports:
        fields["exports"] = exports
    if imports:
        fields["imports"] = imports
    return fields


def _targets(mapping: "SubjectMapping") -> list[dict[str, Any]]:
    """Weights add up, as the reference shows them."""
    rows, total = [], 0
    for target in mapping.targets:
        total += target.weight
        row: dict[str, Any] = {"subject": target.subject, "weight": total}
        if target.cluster:
            row["cluster"] = target.cluster
        rows.append(row)
    return rows


def _export(export: "Export") -> dict[str, Any]:
    row: dict[str, Any] = {"subject": export.subject, "type": export.kind}
    if export.token_required:
        row["token_req"] = True
    if export.kind == "service":
        row["response_type"] = _STREAMED.get(export.response, export.response)
        if export.latency is not None:
            row["service_latency"] = _latency(export.latency)
    if export.accounts:
        row["approved_accounts"] = list(export.accounts)
    if export.revocations:
        row["revoked_activations"] = {key: timestamp(at * _SECOND_NS) for key, at in export.revocations}
    return row


def _latency(latency: "Latency") -> dict[str, Any]:
    return {"sampling": latency.sampling or "headers", "results": latency.subject}


def _import(entry: "Import", export: "Export | None") -> dict[str, Any]:
    """``export``: what it takes; None: it is not in force."""
    row: dict[str, Any] = {"subject": entry.subject, "account": entry.exporter}
    if entry.kind == "service":
        row["to"] = entry.local
    row |= {"local_subject": entry.local, "type": entry.kind, "invalid": export is None, "share": entry.share}
    row["tracking"] = False
    if export is not None and export.latency is not None and entry.kind == "service":
        row["latency"] = _latency(export.latency)
    return row


# --- what its JWT says --------------------------------------------------------------------------------------------
def _claims(node: "Node", known: "KnownAccount") -> dict[str, Any]:
    from gossamer.auth.issues import Level
    from gossamer.auth.validation import validate

    claims = known.claims
    fields: dict[str, Any] = {"jwt": known.token, "issuer_key": claims.issuer, "name_tag": claims.name}
    if claims.tags:
        fields["tags"] = list(claims.tags)
    fields["decoded_jwt"] = _payload(known.token)
    issues = validate(claims, node.world.clock.wall_ns() / _SECOND_NS)
    if issues:
        fields["validation_result_jwt"] = [
            {
                "description": each.description,
                "blocking": each.level is not Level.WARNING,
                "time_check": each.level is Level.TIME,
            }
            for each in issues
        ]
    if claims.revocations:
        fields["revoked_user"] = {key: timestamp(at * _SECOND_NS) for key, at in claims.revocations.items()}
    return fields


def _payload(token: str) -> msgspec.Raw:
    """What the JWT holds, as it was written."""
    part = token.split(".")[1]
    return msgspec.Raw(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
