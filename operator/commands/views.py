"""Claims as people and programs want to see them: the one model behind ``list`` and ``describe``."""

from typing import Any

from gossamer.auth.claims import (
    AccountClaims,
    Claims,
    Export,
    OperatorClaims,
    ResponseGrant,
    SubjectList,
    UserClaims,
    UserGrant,
)
from gossamer.operator.commands.amounts import show_limit, show_moment
from gossamer.operator.output.document import Document, Facts, Section, Table, Text, cell
from gossamer.operator.store.stored import Stored
from gossamer.operator.store.workspace import Workspace

Pairs = list[tuple[str, str]]


def summary(claims: Claims) -> dict[str, Any]:
    """What ``list`` says about any claim; ``expires`` is null when it never does."""
    return {
        "name": claims.name,
        "key": claims.subject,
        "issuer": claims.issuer,
        "issued": claims.issued_at,
        "expires": claims.expires or None,
        "tags": list(claims.tags),
    }


def payload(claims: Claims) -> dict[str, Any]:
    """The whole claim as it is in the token."""
    return claims.members()


def operator_sections(workspace: Workspace, stored: Stored[OperatorClaims]) -> list[Section]:
    """An operator for people."""
    claims = stored.claims
    system = workspace.system_account_name(claims.name)
    pairs = _head(claims)
    pairs += [
        ("signing keys", cell(claims.signing_keys)),
        ("signing keys required", cell(claims.strict_signing_key_usage)),
        ("system account", f"{system} ({claims.system_account})" if system else claims.system_account),
        ("service URLs", cell(claims.operator_service_urls)),
        ("account server URL", claims.account_server_url),
        ("server version at least", claims.assert_server_version),
        ("managed", cell(workspace.store.is_managed(claims.name))),
    ]
    return [Facts(title=f"Operator {claims.name}", pairs=_filled(pairs))]


def account_sections(claims: AccountClaims) -> list[Section]:
    """An account for people: facts, limits, signing keys and roles, then what it shares."""
    limits = claims.limits
    pairs = [*_head(claims), ("description", claims.description), ("information", claims.info_url)]
    pairs += _permission_pairs(
        claims.default_permissions.publish,
        claims.default_permissions.subscribe,
        claims.default_permissions.responses,
        "default ",
    )
    if claims.trace:
        pairs.append(("traces", f"{claims.trace.destination} ({claims.trace.sampling or 100} %)"))
    rows = [
        ("connections", show_limit(limits.connections)),
        ("leaf nodes", show_limit(limits.leafnodes)),
        ("subscriptions", show_limit(limits.subscriptions)),
        ("payload", show_limit(limits.payload)),
        ("data", show_limit(limits.data)),
        ("exports", show_limit(limits.exports)),
        ("imports", show_limit(limits.imports)),
        ("wildcard exports", cell(limits.wildcards)),
        ("bearer tokens", cell(not limits.disallow_bearer)),
    ]
    for tier, storage in [("", limits.storage), *limits.tiered.items()]:
        if storage.memory_storage or storage.disk_storage:
            what = f"storage {tier}".strip()
            rows.append((f"{what} in memory", show_limit(storage.memory_storage)))
            rows.append((f"{what} on disk", show_limit(storage.disk_storage)))
            rows.append((f"{what} streams", show_limit(storage.streams)))
            rows.append((f"{what} consumers", show_limit(storage.consumers)))
    sections: list[Section] = [
        Facts(title=f"Account {claims.name}", pairs=_filled(pairs)),
        Facts(title="Limits", pairs=tuple(rows)),
    ]
    if claims.signing_keys:
        sections.append(signing_key_table(claims))
    callout = claims.authorization
    if callout.auth_users:
        facts = (
            ("users that answer", cell(callout.auth_users)),
            (
                "may place others in",
                "any account" if callout.allowed_accounts == ("*",) else cell(callout.allowed_accounts),
            ),
            ("requests are sealed for", callout.xkey),
        )
        sections.append(Facts(title="Auth callout", pairs=_filled(list(facts))))
    if claims.exports:
        export_rows = tuple(
            (e.name, e.type, e.subject, cell(not e.token_required), _export_facts(e)) for e in claims.exports
        )
        columns = ("Name", "Type", "Subject", "Public", "")
        sections.append(Table(title="Exports", columns=columns, rows=export_rows))
    if claims.imports:
        import_rows = tuple((i.name, i.type, i.subject, i.local, i.account) for i in claims.imports)
        columns = ("Name", "Type", "Subject", "Local subject", "Account")
        sections.append(Table(title="Imports", columns=columns, rows=import_rows))
    if claims.mappings:
        targets = tuple(
            (source, target.subject, f"{target.weight or 100} %", target.cluster)
            for source, entries in claims.mappings.items()
            for target in entries
        )
        sections.append(Table(title="Mappings", columns=("From", "To", "Weight", "Cluster"), rows=targets))
    if claims.revocations:
        revoked = tuple((key, show_moment(moment)) for key, moment in claims.revocations.items())
        sections.append(Table(title="Revocations", columns=("User key", "Issued until"), rows=revoked))
    return sections


def _export_facts(export: Export) -> str:
    """What is special about an export, in a few words."""
    facts = [export.response_type] if export.response_type not in ("", "Singleton") else []
    if export.account_token_position:
        facts.append(f"account at {export.account_token_position}")
    if export.response_threshold_ns:
        facts.append(f"answers within {export.response_threshold_ns / 1e9:g} s")
    if export.service_latency is not None:
        share = f"{export.service_latency.sampling} %" if export.service_latency.sampling else "by header"
        facts.append(f"latency to {export.service_latency.results} ({share})")
    if export.revocations:
        facts.append(f"{len(export.revocations)} revoked")
    return ", ".join(facts)


def signing_key_table(claims: AccountClaims) -> Table:
    """The signing keys of an account, with the roles of the scoped ones."""
    rows = []
    for key in claims.signing_key_texts:
        scope = claims.scope(key)
        if scope is None:
            rows.append((key, "", "", ""))
        else:
            facts = "; ".join(f"{label}: {value}" for label, value in _grant_pairs(scope.template) if value)
            rows.append((key, scope.role, facts, scope.description))
    return Table(title="Signing keys", columns=("Key", "Role", "Template", "Description"), rows=tuple(rows))


def user_sections(claims: UserClaims, account: AccountClaims) -> list[Section]:
    """A user for people. Under a role the template's facts are shown, as they are what counts."""
    scope = account.scope(claims.issuer)
    pairs = [*_head(claims), ("account", f"{account.name} ({account.subject})")]
    if scope is not None:
        pairs.append(("role", scope.role))
    if account.is_revoked(claims.subject, claims.issued_at):
        pairs.append(("revoked", "yes"))
    pairs += _grant_pairs(claims.grant if scope is None else scope.template)
    return [Facts(title=f"User {claims.name}", pairs=_filled(pairs))]


def _head(claims: Claims) -> Pairs:
    return [
        ("name", claims.name),
        ("key", claims.subject),
        ("issued by", claims.issuer),
        ("issued", show_moment(claims.issued_at)),
        ("not before", show_moment(claims.not_before)),
        ("expires", show_moment(claims.expires) or "never"),
        ("tags", cell(claims.tags)),
    ]


def _grant_pairs(grant: UserGrant) -> Pairs:
    pairs = _permission_pairs(grant.publish, grant.subscribe, grant.responses, "")
    pairs += [
        ("subscriptions", show_limit(grant.subscriptions)),
        ("payload", show_limit(grant.payload)),
        ("data", show_limit(grant.data)),
        ("bearer token", cell(grant.bearer_token) if grant.bearer_token else ""),
        ("proxy required", cell(grant.proxy_required) if grant.proxy_required else ""),
        ("source networks", cell(grant.source_networks)),
        ("connection types", cell(grant.allowed_connection_types)),
        ("times", cell([f"{entry.start}-{entry.end}" for entry in grant.times])),
        ("time zone", grant.times_location),
    ]
    return pairs


def _permission_pairs(
    publish: SubjectList, subscribe: SubjectList, responses: ResponseGrant | None, prefix: str
) -> Pairs:
    pairs = [
        (f"{prefix}publish allow", cell(publish.allow)),
        (f"{prefix}publish deny", cell(publish.deny)),
        (f"{prefix}subscribe allow", cell(subscribe.allow)),
        (f"{prefix}subscribe deny", cell(subscribe.deny)),
    ]
    if responses is not None:
        effective = responses.permissions
        count = "any number" if effective.max_messages < 0 else str(effective.max_messages)
        within = "" if effective.ttl_ns < 0 else f" within {effective.ttl_ns / 1e9:g} s"
        pairs.append((f"{prefix}responses", f"{count}{within}"))
    return pairs


def _filled(pairs: Pairs) -> tuple[tuple[str, str], ...]:
    return tuple((label, value) for label, value in pairs if value)


def raw_document(stored: Stored[Any]) -> Document:
    """The token itself: no secret, but nothing to type by hand."""
    return Document(data={"jwt": stored.token}, sections=[Text(content=f"{stored.token}\n")])
