"""Faults of a configuration that only show when its parts are seen together (spec auth sections 9 and 10.1).

The texts are those of nats-server, where it has one. The option layer finds most faults of single values itself and
knows their places; what is repeated here protects settings that were made by hand.
"""

import re
from collections.abc import Iterator

from gossamer.auth.claims import OperatorClaims, UserClaims
from gossamer.auth.decisions import CONNECTION_TYPES
from gossamer.auth.jwt import TokenError, decode_as
from gossamer.auth.keys import KeyKind, is_public
from gossamer.auth.resolver import AccountSource, ResolverError, checked_account
from gossamer.auth.settings import GLOBAL_ACCOUNT, AuthSettings
from gossamer.auth.trust import trust_of

_WRITABLE = ("memory", "full", "cache")
_SYNCED = ("full", "cache")
_VERSION = re.compile(r"(\d{1,9})\.(\d{1,9})\.(\d{1,9})", re.ASCII)


def validate_settings(
    settings: AuthSettings, accounts: AccountSource | None = None, *, server_version: str = ""
) -> list[str]:
    """All faults; an empty list means that the node may start.

    ``accounts``: when given, the system account must be there. ``server_version``: when given, operators may insist on
    a newer one.
    """
    found = [*_user_faults(settings), *_single_faults(settings), *_no_auth_faults(settings), *_proxy_faults(settings)]
    if not settings.operator_mode:
        if settings.default_sentinel:
            found.append("default sentinel requires operators and accounts")
        found += _system_account_faults(settings)
        return found
    found += _operator_mode_faults(settings)
    try:
        trust = trust_of(settings)
    except TokenError as error:
        return [*found, str(error)]
    found += _operator_faults(settings, trust.operators, server_version)
    kind = settings.resolver.kind if settings.resolver else ""
    if kind in _SYNCED and not trust.system_account:
        what = "the system account needs to be specified in configuration or the operator jwt"
        found.append(f"using nats based account resolver - {what}")
    if accounts is not None and trust.system_account:
        found += _missing_system_account(trust.system_account, accounts)
    return found


def _user_faults(settings: AuthSettings) -> Iterator[str]:
    names = set()
    for user in settings.users:
        what, name = ("nkey", user.nkey) if user.nkey else ("user", user.name)
        if not name:
            yield "User entry requires a user"
        elif name in names:
            yield f'Duplicate {what} "{name}" detected'
        names.add(name)
        if user.nkey and not is_public(user.nkey, KeyKind.USER):
            yield "Not a valid public nkey for a user"
        if user.nkey and (user.name or user.password):
            yield "Nkey users do not take usernames or passwords"
        unknown = [kind for kind in user.connection_types if kind not in CONNECTION_TYPES]
        if unknown:
            yield "invalid connection types [" + " ".join(f'"{kind}"' for kind in unknown) + "]"
    if any(account.name == GLOBAL_ACCOUNT for account in settings.accounts):
        yield f'"{GLOBAL_ACCOUNT}" is a Reserved Account'


def _single_faults(settings: AuthSettings) -> Iterator[str]:
    if settings.user and settings.token:
        yield "Cannot have a user/pass and token"
    own = any(user.account == GLOBAL_ACCOUNT for user in settings.users)
    others = any(user.account != GLOBAL_ACCOUNT for user in settings.users)
    if settings.user and own:
        yield "Can not have a single user/pass and a users array"
    if settings.token and own:
        yield "Can not have a token and a users array"
    if settings.user and others:
        yield "Can not have a single user/pass and accounts"
    if settings.token and others:
        yield "Can not have a token and accounts"


def _no_auth_faults(settings: AuthSettings) -> Iterator[str]:
    name = settings.no_auth_user
    if not name:
        return
    if settings.operator_mode:
        yield "no_auth_user not compatible with Trusted Operator"
    elif not settings.users:
        yield f'no_auth_user: "{name}" present, but users/nkeys are not defined'
    elif all(name not in (user.name, user.nkey) for user in settings.users):
        where = "authorization block or account configuration"
        yield f'no_auth_user: "{name}" not present as user or nkey in {where}'


def _proxy_faults(settings: AuthSettings) -> Iterator[str]:
    for key in settings.trusted_proxies:
        if not is_public(key) or is_public(key, KeyKind.CURVE):
            yield f'trusted proxy key "{key}" is not a valid public nkey'


def _system_account_faults(settings: AuthSettings) -> Iterator[str]:
    name = settings.system_account
    names = {account.name for account in settings.accounts} | {GLOBAL_ACCOUNT, "$SYS"}
    if name and name not in names:
        yield "error resolving system account: account missing"


def _operator_mode_faults(settings: AuthSettings) -> Iterator[str]:
    if settings.operators and settings.trusted_keys:
        yield "conflicting options for 'TrustedKeys' and 'TrustedOperators'"
    for key in settings.trusted_keys:
        if not is_public(key, KeyKind.OPERATOR):
            yield f'trusted key "{key}" is not a valid public operator nkey'
    if settings.accounts:
        yield "operators do not allow Accounts to be configured directly"
    if settings.users or settings.user or settings.token:
        yield "operators do not allow users to be configured directly"
    if settings.callout is not None:
        yield "operators do not allow authorization callouts to be configured directly"
    if settings.resolver is None:
        yield "operators require an account resolver to be configured"
    elif settings.resolver_preload and settings.resolver.kind not in _WRITABLE:
        yield "resolver preloads only available for writeable resolver types MEM/DIR/CACHE_DIR"
    for key, token in settings.resolver_preload:
        try:
            checked_account(key, token)
        except ResolverError as error:
            yield str(error)
    for key in settings.resolver_pinned_accounts:
        if not is_public(key, KeyKind.ACCOUNT):
            yield f'pinned account key "{key}" is not a valid public account nkey'
    if settings.default_sentinel:
        yield from _sentinel_faults(settings.default_sentinel)


def _sentinel_faults(token: str) -> Iterator[str]:
    try:
        sentinel = decode_as(UserClaims, token)
    except TokenError as error:
        yield f"default sentinel JWT not valid: {error}"
        return
    # A user of a scoped key says nothing itself: its template may make it a bearer.
    if not sentinel.grant.bearer_token and not (sentinel.grant.is_empty and sentinel.issuer_account):
        yield "default sentinel must be a bearer token"


def _operator_faults(
    settings: AuthSettings, operators: tuple[OperatorClaims, ...], server_version: str
) -> Iterator[str]:
    for operator in operators:
        named = operator.system_account
        if settings.system_account and named and settings.system_account != named:
            yield "system_account in config and operator JWT must be identical"
        wanted, given = _VERSION.match(operator.assert_server_version), _VERSION.match(server_version)
        if wanted and given:
            yield from _version_fault(operator.subject, wanted.groups(), given.groups())


def _version_fault(operator: str, wanted: tuple[str, ...], given: tuple[str, ...]) -> Iterator[str]:
    for part, at_least, have in zip(("major", "minor", "update"), wanted, given, strict=True):
        if int(at_least) > int(have):
            yield f"operator {operator} expected {part} version {int(at_least)} > server {part} version {int(have)}"
        if int(at_least) != int(have):
            return


def _missing_system_account(key: str, accounts: AccountSource) -> Iterator[str]:
    try:
        if accounts.account_jwt(key) is None:
            yield "error resolving system account: account missing"
    except ResolverError as error:
        yield f"error resolving system account: {error}"
