"""Advice about a store that is valid: what works, but is wider, longer or closer to a leak than it need be
(spec operator-cli section 10.3, checklist 63)."""

from collections.abc import Iterator

from msgspec import Struct

from gossamer.auth.claims import AccountClaims, OperatorClaims, SubjectList, UserClaims, UserGrant, UserScope
from gossamer.auth.credentials import CredentialsError, parse_credentials
from gossamer.auth.keys import is_public
from gossamer.operator.failure import Failure
from gossamer.operator.store.workspace import Workspace
from gossamer.operator.tenants.keyfiles import collect_credentials

UNLIMITED = -1


class Advice(Struct, frozen=True, kw_only=True):
    """One thing that could be better. ``object`` names the claim (``ACME/TEAM/alice``)."""

    code: str
    object: str
    message: str
    hint: str = ""


def lint_store(workspace: Workspace, operator: str, *, account: str = "") -> list[Advice]:
    """Advice about an operator and its accounts (or one of them). Raises Failure for a store that cannot be read."""
    claims = workspace.store.operator(operator).claims
    found = [] if account else list(_operator(workspace, claims))
    for name in workspace.store.accounts(operator):
        if not account or name == account:
            found += _account(workspace, operator, workspace.store.account(operator, name).claims)
    return found


def _operator(workspace: Workspace, claims: OperatorClaims) -> Iterator[Advice]:
    label = claims.name
    if not claims.signing_keys:
        yield Advice(
            code="no-signing-key",
            object=label,
            message="the identity key signs every account: it cannot be taken offline",
            hint="gossamer operator edit --sk generate",
        )
    elif not claims.strict_signing_key_usage:
        yield Advice(
            code="not-strict",
            object=label,
            message="the identity key may still sign accounts",
            hint="gossamer operator edit --require-signing-keys",
        )
    if claims.signing_keys and workspace.keystore.has_seed(claims.subject):
        yield Advice(
            code="online-root",
            object=label,
            message="the seed of the identity key is in the keystore, though signing keys do the daily work",
            hint="take it offline: gossamer key offline",
        )
    if not claims.system_account:
        yield Advice(
            code="no-system-account",
            object=label,
            message="without a system account nothing can be pushed or observed",
            hint="gossamer operator create NAME --sys --exist-ok",
        )


def _account(workspace: Workspace, operator: str, claims: AccountClaims) -> Iterator[Advice]:
    label = f"{operator}/{claims.name}"
    system = claims.subject == workspace.store.operator(operator).claims.system_account
    limits = claims.limits
    unlimited = [
        name
        for name, value in (
            ("connections", limits.connections),
            ("subscriptions", limits.subscriptions),
            ("payload", limits.payload),
        )
        if value == UNLIMITED
    ]
    if unlimited and not system:
        yield Advice(
            code="unlimited",
            object=label,
            message=f"without a limit: {', '.join(unlimited)}",
            hint="gossamer account edit --conns --subscriptions --payload",
        )
    users = [workspace.store.user(operator, claims.name, name).claims for name in _users(workspace, operator, claims)]
    for key in claims.signing_key_texts:
        scope = claims.scope(key)
        if scope is not None:
            yield from _role(label, scope, [user for user in users if user.issuer == key])
        elif not system:
            yield Advice(
                code="unscoped-key",
                object=label,
                message=f"whoever holds the signing key {key} may issue users that may do everything",
                hint="bind it to a role: gossamer account signing-key create --sk KEY --role NAME",
            )
    defaults = claims.default_permissions
    yield from _widening(label, "default permissions", defaults.subscribe)
    for user in users:
        yield from _user(label, claims, user, system)
    yield from _leftovers(workspace, operator, claims)


def _role(label: str, scope: UserScope, users: list[UserClaims]) -> Iterator[Advice]:
    what = f"role {scope.role!r}"
    template = scope.template
    yield from _unrestricted(label, what, template)
    yield from _widening(label, what, template.subscribe)
    entries = [*template.publish.allow, *template.subscribe.allow]
    for user in users:
        values = []
        if any("{{name()" in entry.replace(" ", "").lower() for entry in entries):
            values.append(user.name)
        if any("{{tag(" in entry.replace(" ", "").lower() for entry in entries):
            values += [tag.partition(":")[2] for tag in user.tags]
        wide = [value for value in values if any(letter in value for letter in "*>. ")]
        if wide:
            yield Advice(
                code="wide-template-value",
                object=f"{label}/{user.name}",
                message=f"{', '.join(map(repr, wide))} goes into the template of {what} as it is, wildcards too",
                hint="issue it under another name or tag",
            )


def _user(label: str, account: AccountClaims, user: UserClaims, system: bool) -> Iterator[Advice]:
    name = f"{label}/{user.name}"
    if not user.expires:
        yield Advice(
            code="no-expiry",
            object=name,
            message="its credentials never end",
            hint="gossamer user edit --expiry 90d, and renew them in time",
        )
    if account.scope(user.issuer) is not None:
        return
    if account.default_permissions.permissions is None and not system:
        yield from _unrestricted(name, "it", user.grant)
    yield from _widening(name, "it", user.grant.subscribe)
    if user.grant.bearer_token:
        yield Advice(
            code="bearer",
            object=name,
            message="its token alone is enough: whoever sees it is it",
            hint="gossamer user edit --no-bearer",
        )


def _unrestricted(label: str, what: str, grant: UserGrant) -> Iterator[Advice]:
    for direction, lists in (("publish", grant.publish), ("subscribe", grant.subscribe)):
        if not lists.allow and not lists.deny:
            yield Advice(
                code="empty-permissions",
                object=label,
                message=f"{what} may {direction} everywhere: the lists are empty",
                hint=f"name what it needs with --allow-{direction[:3]}",
            )


def _widening(label: str, what: str, lists: SubjectList) -> Iterator[Advice]:
    for entry in lists.allow:
        subject = entry.split(" ")[0]
        if subject.split(".")[-1] == "*":
            yield Advice(
                code="widening",
                object=label,
                message=f"under the entry {entry!r} of {what} nats-server also lets {subject[:-1]}> be subscribed to",
                hint=f"deny {subject[:-1]}*.> as well, or set the safe permissions of gossamer serve",
            )


def _leftovers(workspace: Workspace, operator: str, claims: AccountClaims) -> Iterator[Advice]:
    """Credentials of users that are no longer in the store but were not revoked."""
    present = set(_users(workspace, operator, claims))
    for account, name in collect_credentials(workspace.keystore.root, operator):
        if account != claims.name or name in present:
            continue
        try:
            # Sealed credentials that nothing unlocks here are passed over: advice needs no secrets.
            held = parse_credentials(workspace.keystore.read_credentials(operator, account, name) or "").claims
        except (CredentialsError, Failure):
            continue
        if is_public(held.subject) and not claims.is_revoked(held.subject, held.issued_at):
            yield Advice(
                code="not-revoked",
                object=f"{operator}/{account}/{name}",
                message="it was removed from the store, but its credentials are here and count",
                hint=f"gossamer revocation create {held.subject} -a {account}",
            )


def _users(workspace: Workspace, operator: str, claims: AccountClaims) -> list[str]:
    return workspace.store.users(operator, claims.name)
