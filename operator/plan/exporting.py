"""The tenants file that a store would be declared by: what is there, written so that a plan of it is empty.

Names only; keys stay in the store. Plain signing keys, which have no names in claims, are given some and pinned.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from gossamer.auth.claims import (
    AccountClaims,
    AccountLimits,
    ActivationClaims,
    Export,
    Import,
    OperatorClaims,
    StorageLimits,
    SubjectList,
    UserClaims,
    UserGrant,
    UserScope,
)
from gossamer.auth.jwt import TokenError, decode_as
from gossamer.operator.plan.activations import find_export
from gossamer.operator.plan.ledger import AccountLedger, Ledgers
from gossamer.operator.plan.toml import Comment, document
from gossamer.operator.store.workspace import Workspace
from gossamer.operator.tenants.operators import SYSTEM_EXPORTS

Table = dict[str, Any]


def export_spec(workspace: Workspace, operator: str) -> str:
    """The TOML text. Raises Failure when the store cannot be read."""
    claims = workspace.store.operator(operator).claims
    ledgers = Ledgers(workspace, operator)
    accounts = {name: workspace.store.account(operator, name).claims for name in workspace.store.accounts(operator)}
    exporting = _Exporting(accounts)
    tables: Table = {
        "version": 1,
        "operator": exporting.operator(claims, ledgers.operator().signing_keys),
        "accounts": {},
    }
    for name, account in accounts.items():
        users = [workspace.store.user(operator, name, user).claims for user in workspace.store.users(operator, name)]
        ledger = ledgers.account(name) or AccountLedger()
        tables["accounts"][name] = exporting.account(
            account, users, ledger, system=account.subject == claims.system_account
        )
    heading = Comment("Accounts and users that this file does not name are left alone, unless prune = true.")
    return document(tables, heading)


class _Exporting:
    def __init__(self, accounts: Mapping[str, AccountClaims]) -> None:
        self._accounts = accounts
        self._names = {claims.subject: name for name, claims in accounts.items()}

    def operator(self, claims: OperatorClaims, known: Mapping[str, str]) -> Table:
        return _said(
            {
                "name": claims.name,
                "strict_signing_keys": claims.strict_signing_key_usage,
                "signing_keys": _named_keys(claims.signing_keys, known),
                "service_urls": claims.operator_service_urls,
                "account_server_url": claims.account_server_url,
                "system_account": self._names.get(claims.system_account, claims.system_account),
                "tags": claims.tags,
                "expires": _date(claims.expires),
            }
        )

    def account(
        self, claims: AccountClaims, users: Iterable[UserClaims], ledger: AccountLedger, *, system: bool
    ) -> Table:
        plain = [entry for entry in claims.signing_keys if isinstance(entry, str)]
        exports: Any = [self._export(entry, claims.subject) for entry in claims.exports]
        if system and claims.exports == SYSTEM_EXPORTS:
            exports = None
        table = _said(
            {
                "description": claims.description,
                "info_url": claims.info_url,
                "tags": claims.tags,
                "expires": _date(claims.expires),
                "cluster_traffic": claims.cluster_traffic,
                "signing_keys": _named_keys(plain, ledger.signing_keys),
                "limits": _limits(claims.limits),
                "trace": {"destination": claims.trace.destination, "sampling": claims.trace.sampling}
                if claims.trace
                else None,
                "default_permissions": _permissions(
                    UserGrant(
                        publish=claims.default_permissions.publish,
                        subscribe=claims.default_permissions.subscribe,
                        responses=claims.default_permissions.responses,
                    )
                ),
                "auth_callout": self._callout(claims),
                "mappings": {
                    source: [
                        _said({"to": target.subject, "weight": target.weight, "cluster": target.cluster})
                        for target in targets
                    ]
                    for source, targets in claims.mappings.items()
                },
                "roles": {
                    scope.role: _said({"description": scope.description} | _grant(scope.template, UserGrant.fresh()))
                    for scope in claims.signing_keys
                    if isinstance(scope, UserScope)
                },
                "imports": [self._import(entry, claims.subject) for entry in claims.imports],
                "users": {user.name: _user(user, claims, plain, ledger) for user in users},
            }
        )
        if exports or (system and exports is not None):
            table["exports"] = exports
        return table

    def _export(self, entry: Export, exporter: str) -> Table:
        latency = None
        if entry.service_latency is not None:
            latency = {
                "subject": entry.service_latency.results,
                "sampling": entry.service_latency.sampling or "headers",
            }
        responses = {"Stream": "stream", "Chunked": "chunked", "Singleton": "single"}
        return _said(
            {
                entry.type or "stream": entry.subject,
                "name": entry.name,
                "private": entry.token_required,
                "grants": self._grants(entry, exporter) if entry.token_required else None,
                "response": responses.get(entry.response_type),
                "threshold": f"{entry.response_threshold_ns}ns" if entry.response_threshold_ns else "",
                "latency": latency,
                "account_token_position": entry.account_token_position,
                "advertise": entry.advertise,
                "allow_trace": entry.allow_trace,
                "description": entry.description,
                "info_url": entry.info_url,
                "revoked": {key: _date(at) for key, at in entry.revocations.items()},
            }
        )

    def _grants(self, export: Export, exporter: str) -> list[str]:
        """The accounts of the store whose imports hold an activation of this export."""
        claims = self._accounts[self._names[exporter]]
        found = []
        for name, account in self._accounts.items():
            for entry in account.imports:
                if entry.account != exporter or entry.type != export.type or not entry.token:
                    continue
                subject = entry.to if entry.type == "service" and entry.to else entry.subject
                if find_export(claims, entry.type, subject) == export:
                    found.append(name)
        return sorted(set(found))

    def _import(self, entry: Import, importer: str) -> Table:
        exporter = self._names.get(entry.account, entry.account)
        token = entry.token
        if token and exporter in self._accounts and self._is_wired(entry, importer, self._accounts[exporter]):
            token = ""
        return _said(
            {
                entry.type or "stream": entry.subject,
                "from": exporter,
                "name": entry.name,
                "as": entry.local_subject,
                "to": entry.to,
                "share": entry.share,
                "allow_trace": entry.allow_trace,
                "token": token,
            }
        )

    def _is_wired(self, entry: Import, importer: str, exporter: AccountClaims) -> bool:
        """Would the tool keep this very token by itself?"""
        subject = entry.to if entry.type == "service" and entry.to else entry.subject
        export = find_export(exporter, entry.type, subject)
        if export is None or not export.token_required:
            return False
        try:
            token = decode_as(ActivationClaims, entry.token)
        except TokenError:
            return False
        trusted = token.issuer == exporter.subject or token.issuer in exporter.signing_key_texts
        revoked = any(export.revocations.get(key, -1) >= token.issued_at for key in (importer, "*"))
        return trusted and token.subject == importer and not token.expires and not revoked

    def _callout(self, claims: AccountClaims) -> Table:
        external = claims.authorization
        return _said(
            {
                "users": external.auth_users,
                "allowed_accounts": tuple(self._names.get(key, key) for key in external.allowed_accounts),
                "xkey": external.xkey,
            }
        )


def _user(user: UserClaims, account: AccountClaims, plain: list[str], ledger: AccountLedger) -> Table:
    scope = account.scope(user.issuer)
    names = {key: name for name, key in _named_keys(plain, ledger.signing_keys).items()}
    base = UserGrant() if scope is not None else UserGrant.fresh()
    return _said(
        {
            "role": scope.role if scope is not None else "",
            "sign_with": names.get(user.issuer, "") if scope is None else "",
            "tags": user.tags,
            "expires": _date(user.expires),
            "not_before": _date(user.not_before),
        }
        | _grant(user.grant, base)
    )


def _grant(grant: UserGrant, base: UserGrant) -> Table:
    found = _permissions(grant)
    for name, member in (("subscriptions", "subscriptions"), ("data", "data"), ("payload", "payload")):
        if getattr(grant, member) != getattr(base, member):
            found[name] = _Said(getattr(grant, member))
    return found | {
        "networks": grant.source_networks,
        "times": [{"start": span.start, "end": span.end} for span in grant.times],
        "locale": grant.times_location,
        "bearer": grant.bearer_token,
        "proxy_required": grant.proxy_required,
        "connection_types": grant.allowed_connection_types,
    }


def _permissions(grant: UserGrant) -> Table:
    found: Table = {"pub": _subjects(grant.publish), "sub": _subjects(grant.subscribe)}
    if grant.responses is not None:
        found["responses"] = {
            "max": grant.responses.max_messages,
            "ttl": f"{grant.responses.ttl_ns}ns" if grant.responses.ttl_ns else "0",
        }
    return {name: value for name, value in found.items() if value}


def _subjects(lists: SubjectList) -> Any:
    if lists.deny:
        return _said({"allow": lists.allow, "deny": lists.deny})
    return list(lists.allow)


def _limits(limits: AccountLimits) -> Table:
    fresh = AccountLimits.fresh()
    found: Table = {
        name: getattr(limits, name)
        for name in ("connections", "leafnodes", "subscriptions", "payload", "data", "exports", "imports")
        if getattr(limits, name) != getattr(fresh, name)
    }
    if not limits.wildcards:
        found["wildcards"] = False
    if limits.disallow_bearer:
        found["disallow_bearer"] = True
    if limits.tiered:
        found["storage"] = {name: _storage(tier) for name, tier in limits.tiered.items()}
    elif limits.storage != StorageLimits():
        found["storage"] = _storage(limits.storage)
    return found


def _storage(limits: StorageLimits) -> Table:
    names = {
        "memory": limits.memory_storage,
        "disk": limits.disk_storage,
        "streams": limits.streams,
        "consumers": limits.consumers,
        "max_ack_pending": limits.max_ack_pending,
        "memory_max_stream": limits.memory_max_stream_bytes,
        "disk_max_stream": limits.disk_max_stream_bytes,
    }
    return names | ({"max_bytes_required": True} if limits.max_bytes_required else {})


def _named_keys(keys: Iterable[str], known: Mapping[str, str]) -> dict[str, str]:
    """Plain signing keys by the names they have, or ``key-1`` ... and the key itself."""
    names = {key: name for name, key in known.items()}
    found: dict[str, str] = {}
    number = 1
    for key in keys:
        name = names.get(key)
        while name is None:
            name = f"key-{number}" if f"key-{number}" not in known else None
            number += 1
        found[name] = key
    return found


class _Said:
    """A value to be written though it is 0."""

    def __init__(self, value: Any) -> None:
        self.value = value


def _said(table: Table) -> Table:
    """Without what says nothing."""
    found: Table = {}
    for name, value in table.items():
        if isinstance(value, _Said):
            found[name] = value.value
        elif value not in (None, "", 0, False, (), [], {}):
            found[name] = value
    return found


def _date(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if seconds else ""
