"""The claims that a declaration asks for, made over those that are there: what a file cannot say is kept."""

from collections.abc import Callable, Mapping

from msgspec import structs

from gossamer.auth.claims import (
    SERVICE,
    AccountClaims,
    DefaultPermissions,
    Export,
    ExternalAuthorization,
    Import,
    MessageTrace,
    OperatorClaims,
    ServiceLatency,
    UserClaims,
    UserScope,
)
from gossamer.auth.keys import KeyKind, is_public
from gossamer.operator.commands.amounts import parse_moment
from gossamer.operator.failure import ExitCode, Failure
from gossamer.operator.plan.declaration import (
    NOW,
    AccountDeclaration,
    ExportDeclaration,
    ImportDeclaration,
    OperatorDeclaration,
    UserDeclaration,
)
from gossamer.operator.plan.ledger import AccountLedger, OperatorLedger
from gossamer.operator.plan.names import Names
from gossamer.operator.plan.terms import end_of, moment
from gossamer.operator.tenants.operators import SYSTEM_EXPORTS

#: Gives the token of an import: importing account's key, the declared import, the token it has.
Activate = Callable[[str, ImportDeclaration, str], str]


def operator_claims(
    declared: OperatorDeclaration,
    before: OperatorClaims | None,
    ledger: OperatorLedger,
    names: Names,
    *,
    prune: bool,
    now: int,
) -> tuple[OperatorClaims, OperatorLedger]:
    """What the operator's claim shall say, and the names of its signing keys."""
    base = before or OperatorClaims(name=declared.name, subject=names.operator(declared.name, None))
    keys = names.operator_signing_keys(declared.signing_keys, ledger)
    dropped = {key for name, key in ledger.signing_keys.items() if name not in keys}
    kept = () if prune else tuple(key for key in base.signing_keys if key not in dropped)
    urls, server, system = declared.service_urls, declared.account_server_url, declared.system_account
    claims = structs.replace(
        base,
        tags=declared.tags,
        expires=end_of(declared.term, before, now),
        signing_keys=tuple(dict.fromkeys((*kept, *keys.values()))),
        account_server_url=base.account_server_url if server is None else server,
        operator_service_urls=base.operator_service_urls if urls is None else urls,
        system_account=base.system_account if system is None else names.account(system) if system else "",
        strict_signing_key_usage=declared.strict_signing_keys,
    )
    return claims, OperatorLedger(signing_keys=keys)


def account_claims(
    declared: AccountDeclaration,
    before: AccountClaims | None,
    ledger: AccountLedger,
    names: Names,
    *,
    system: bool,
    prune: bool,
    now: int,
    revoked: Mapping[str, int],
) -> tuple[AccountClaims, AccountLedger]:
    """What an account's claim shall say, imports left as they are (they need the exporters' claims first).

    ``revoked``: user keys that lose their claim with this plan, and until when.
    """
    base = before or AccountClaims(name=declared.name, subject=names.account(declared.name))
    keys = names.signing_keys(declared, ledger)
    scopes = names.scopes(declared, before)
    authorization, users = _authorization(declared, base, ledger, names)
    claims = structs.replace(
        base,
        limits=structs.replace(declared.limits, unknown=base.limits.unknown),
        description=declared.description,
        info_url=declared.info_url,
        tags=declared.tags,
        expires=end_of(declared.term, before, now),
        signing_keys=_signing_keys(base, ledger, keys, scopes, prune=prune),
        exports=_exports(declared, base, system=system),
        default_permissions=structs.replace(
            base.default_permissions,
            publish=declared.default_permissions.publish,
            subscribe=declared.default_permissions.subscribe,
            responses=declared.default_permissions.responses,
        )
        if before is not None
        else DefaultPermissions(
            publish=declared.default_permissions.publish,
            subscribe=declared.default_permissions.subscribe,
            responses=declared.default_permissions.responses,
        ),
        mappings=declared.mappings,
        revocations=_revocations(declared, base, ledger, revoked, now),
        authorization=authorization,
        trace=MessageTrace(destination=declared.trace_destination, sampling=declared.trace_sampling)
        if declared.trace_destination
        else None,
        cluster_traffic=declared.cluster_traffic,
    )
    return claims, structs.replace(
        ledger,
        signing_keys=keys,
        roles=tuple(role.name for role in declared.roles),
        users={**ledger.users, **users},
        removal_since=0,
    )


def imports_of(
    declared: AccountDeclaration, base: AccountClaims, names: Names, activate: Activate
) -> tuple[Import, ...]:
    """The imports of an account, their activations wired."""
    present = {(entry.type, entry.subject, entry.account): entry for entry in base.imports}
    found = []
    for wanted in declared.imports:
        account = names.account(wanted.account)
        old = present.get((wanted.type, wanted.subject, account), Import())
        found.append(
            structs.replace(
                old,
                name=wanted.name,
                subject=wanted.subject,
                account=account,
                token=activate(base.subject, wanted, old.token),
                to=wanted.prefix,
                local_subject=wanted.local,
                type=wanted.type,
                share=wanted.share,
                allow_trace=wanted.allow_trace,
            )
        )
    return tuple(found)


def user_claims(
    declared: UserDeclaration,
    before: UserClaims | None,
    account: AccountClaims,
    signer: str,
    subject: str,
    *,
    now: int,
) -> UserClaims:
    """What a user's claim shall say under a signer."""
    base = before or UserClaims(name=declared.name, subject=subject)

    return structs.replace(
        base,
        tags=declared.tags,
        expires=end_of(declared.term, before, now),
        not_before=parse_moment(declared.not_before, moment(now)) if declared.not_before else 0,
        grant=structs.replace(declared.grant, unknown=base.grant.unknown),
        issuer_account="" if signer == account.subject else account.subject,
    )


def user_signer(
    declared: UserDeclaration,
    before: UserClaims | None,
    account: AccountClaims,
    keys: Mapping[str, str],
    *,
    strict: bool,
    stored: Callable[[str], bool],
) -> str:
    """The public key that shall have signed a user; ``stored`` says whether the seed of a key is at hand.

    Raises Failure when the account has none that may.
    """
    if declared.role:
        return next(
            entry.key for entry in account.signing_keys if isinstance(entry, UserScope) and entry.role == declared.role
        )
    if declared.sign_with:
        return keys.get(declared.sign_with, declared.sign_with)
    plain = [key for key in account.signing_key_texts if account.scope(key) is None]
    allowed = plain if strict else [account.subject, *plain]
    if before is not None and before.issuer in allowed:
        return before.issuer
    if not allowed:
        raise Failure(
            f"no plain key of account {account.name!r} may sign user {declared.name!r}",
            code="no-signer",
            hint="the operator wants signing keys: write signing_keys for the account, or a role for the user",
            exit_code=ExitCode.INVALID,
        )
    return next((key for key in allowed if stored(key)), allowed[0])


def _signing_keys(
    base: AccountClaims, ledger: AccountLedger, keys: Mapping[str, str], scopes: tuple[UserScope, ...], *, prune: bool
) -> tuple[str | UserScope, ...]:
    wanted = {**dict.fromkeys(keys.values()), **{scope.key: scope for scope in scopes}}
    dropped = {key for name, key in ledger.signing_keys.items() if name not in keys}
    kept: list[str | UserScope] = []
    for entry in base.signing_keys:
        if isinstance(entry, UserScope):
            managed = entry.key in wanted or entry.role in ledger.roles
        else:
            managed = entry in wanted or entry in dropped
        if not (managed or prune):
            kept.append(entry)
    return (*kept, *(scope or key for key, scope in wanted.items()))


def _exports(declared: AccountDeclaration, base: AccountClaims, *, system: bool) -> tuple[Export, ...]:
    if declared.exports is None:
        return SYSTEM_EXPORTS if system else ()
    present = {(entry.type, entry.subject): entry for entry in base.exports}
    return tuple(_export(wanted, present.get((wanted.type, wanted.subject), Export())) for wanted in declared.exports)


def _export(wanted: ExportDeclaration, old: Export) -> Export:
    latency = None
    if wanted.latency_subject:
        latency = ServiceLatency(sampling=wanted.latency_sampling, results=wanted.latency_subject)
    # Nothing said about answers of a service is the same as single ones.
    response = wanted.response_type
    if not response and wanted.type == SERVICE and old.response_type == "Singleton":
        response = old.response_type
    return structs.replace(
        old,
        name=wanted.name,
        subject=wanted.subject,
        type=wanted.type,
        token_required=wanted.private,
        revocations={**old.revocations, **wanted.revoked},
        response_type=response,
        response_threshold_ns=wanted.response_threshold_ns,
        service_latency=latency,
        account_token_position=wanted.account_token_position,
        advertise=wanted.advertise,
        allow_trace=wanted.allow_trace,
        description=wanted.description,
        info_url=wanted.info_url,
    )


def _revocations(
    declared: AccountDeclaration, base: AccountClaims, ledger: AccountLedger, revoked: Mapping[str, int], now: int
) -> dict[str, int]:
    """Entries are never taken away, and never moved to an earlier time."""
    found = dict(base.revocations)
    for key, at in revoked.items():
        found[key] = max(at, found.get(key, 0))
    for entry in declared.revocations:
        key = entry.who
        if key != "*" and not is_public(key, KeyKind.USER):
            key = ledger.users.get(key) or ledger.former.get(key, "")
            if not key:
                raise Failure(
                    f"account {declared.name!r} revokes user {entry.who!r}, whose key is not known",
                    code="not-found",
                    hint="write key = instead of user =",
                    exit_code=ExitCode.INVALID,
                )
        if entry.at == NOW:
            # Once is enough: asking again must not move the moment.
            found.setdefault(key, now)
        else:
            found[key] = max(entry.at, found.get(key, 0))
    return found


def _authorization(
    declared: AccountDeclaration, base: AccountClaims, ledger: AccountLedger, names: Names
) -> tuple[ExternalAuthorization, dict[str, str]]:
    """The auth callout, and the keys of its users by name: they may have to be made before the users are."""
    callout = declared.callout
    if callout is None:
        return ExternalAuthorization(unknown=base.authorization.unknown), {}
    named = {
        name: names.user(declared.name, name, declared.users[name].key, ledger.users.get(name, ""))
        for name in callout.users
        if not is_public(name, KeyKind.USER)
    }
    accounts = tuple(name if name == "*" else names.account(name) for name in callout.allowed_accounts)
    authorization = structs.replace(
        base.authorization,
        auth_users=tuple(named.get(name, name) for name in callout.users),
        allowed_accounts=accounts,
        xkey=names.curve_key(callout.xkey, base.authorization.xkey),
    )
    return authorization, named
