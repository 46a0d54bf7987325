"""Account claims (spec auth section 5)."""

from gossamer.auth.claims import AccountClaims, AccountLimits, StorageLimits
from gossamer.auth.claims.account import EVERYBODY, ExternalAuthorization, UserScope
from gossamer.auth.issues import Findings, quoted
from gossamer.auth.keys import KeyKind, is_public
from gossamer.auth.subjects import has_wildcards, is_literal
from gossamer.auth.validation.sharing import check_exports, check_imports, check_mappings
from gossamer.auth.validation.subject import check_information, check_permissions
from gossamer.auth.validation.user import check_grant

_CLUSTER_TRAFFIC = ("", "system", "owner")


def check_account(claims: AccountClaims, found: Findings) -> None:
    """Everything in an account claim but its times."""
    check_imports(claims.imports, claims.subject, found)
    check_exports(claims.exports, found)
    _check_limits(claims, found)
    for entry in claims.signing_keys:
        key = entry.key if isinstance(entry, UserScope) else entry
        if not is_public(key, KeyKind.ACCOUNT):
            found.block(f"{quoted(key)} is not a valid account signing key")
        if isinstance(entry, UserScope):
            # Templates are no subjects before they are expanded: only the rest can be judged.
            check_grant(entry.template, found, subjects=False)
    defaults = claims.default_permissions
    check_permissions(defaults.publish, defaults.subscribe, found)
    check_mappings(claims.mappings, found)
    _check_authorization(claims.authorization, found)
    if claims.trace is not None:
        destination = claims.trace.destination
        if not is_literal(destination):
            what = "the account Trace.Destination subject"
            found.block(f"{what} {quoted(destination)} is not a valid publish subject")
        if not 0 <= claims.trace.sampling <= 100:
            what = "the account Trace.Sampling value"
            found.block(f"{what} '{claims.trace.sampling}' is not valid, should be in the range [1..100]")
    check_information(claims.description, claims.info_url, found)
    if claims.cluster_traffic not in _CLUSTER_TRAFFIC:
        found.block(f"unknown cluster traffic option: {quoted(claims.cluster_traffic)}")
    if is_public(claims.issuer, KeyKind.ACCOUNT) and claims.limits != AccountLimits():
        found.warn("self-signed account JWTs shouldn't contain operator limits")


def _check_limits(claims: AccountClaims, found: Findings) -> None:
    limits = claims.limits
    if 0 <= limits.imports < len(claims.imports):
        found.block("the account contains more imports than allowed by the operator")
    if 0 <= limits.exports < len(claims.exports):
        found.block("the account contains more exports than allowed by the operator")
    limited = limits.exports >= 0
    if limited and not limits.wildcards and any(has_wildcards(export.subject) for export in claims.exports):
        found.block("the account contains wildcard exports that are not allowed by the operator")
    if "" in limits.tiered:
        found.block('tiered JetStream Limits can not contain a blank "tier" name')
    if limits.tiered and limits.storage != StorageLimits():
        found.block("JetStream Limits and tiered JetStream Limits are mutually exclusive")


def _check_authorization(external: ExternalAuthorization, found: Findings) -> None:
    if external.allowed_accounts and not external.auth_users:
        found.block("External authorization cannot have accounts without users specified")
    for user in external.auth_users:
        if not is_public(user, KeyKind.USER):
            found.block(f"AuthUser {quoted(user)} is not a valid user public key")
    for account in external.allowed_accounts:
        if account == EVERYBODY and len(external.allowed_accounts) > 1:
            found.block('AllowedAccounts can only be a list of accounts or "*"')
        elif account != EVERYBODY and not is_public(account, KeyKind.ACCOUNT):
            found.block(f"Account {quoted(account)} is not a valid account public key")
    if external.xkey and not is_public(external.xkey, KeyKind.CURVE):
        found.block(f"XKey {quoted(external.xkey)} is not a valid public xkey")
