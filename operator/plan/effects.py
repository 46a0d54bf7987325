"""What an account's new claim does to connections that are up (spec auth section 24): the blast radius.

An ``Effect`` says what is cut and why; ``struck`` names the live connections that it meets. Changes that close nothing
(names, permissions that are taken away, flows that stop) are effects too, with ``cuts`` False.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from gossamer.auth.claims import AccountClaims, UserClaims, UserScope
from gossamer.auth.jwt import TokenError, decode_as
from gossamer.operator.mesh.answers import Connection


class Effect(Struct, frozen=True, kw_only=True):
    """``users``: user key to the moment until which its claims are void, for revocations. ``signers``: keys whose users
    are cut. ``over``: connections beyond this number, the newest first; -1: no such limit. ``bearer``: those whose
    token alone let them in. How many subscriptions a connection has is not looked at: what they limit is told
    without names.
    """

    kind: str
    account: str
    key: str
    text: str
    cuts: bool = True
    everybody: bool = False
    users: dict[str, int] = {}
    signers: tuple[str, ...] = ()
    over: int = -1
    bearer: bool = False


class Struck(Struct, frozen=True, kw_only=True):
    """A live connection that an effect would close."""

    connection: str
    user: str
    server: str
    why: str


def effects(before: AccountClaims, after: AccountClaims, *, name: str, now: int) -> list[Effect]:
    """What servers do when ``after`` takes the place of ``before``."""
    found: list[Effect] = []

    def add(kind: str, text: str, **more: object) -> None:
        found.append(Effect(kind=kind, account=name, key=before.subject, text=text, **more))  # type: ignore[arg-type]

    if 0 < after.expires <= now:
        add("expired", "the account is expired: all its connections are closed", everybody=True)
    revoked = {key: at for key, at in after.revocations.items() if before.revocations.get(key, -1) < at}
    if revoked:
        who = "everybody" if "*" in revoked else f"{len(revoked)} user{'s' if len(revoked) > 1 else ''}"
        add("revoked", f"{who} revoked: what was issued until then is closed", users=revoked)
    lost = _lost_signers(before, after)
    if lost:
        add(
            "signing-key",
            f"users signed by {', '.join(lost)} are closed, without an error",
            signers=tuple(lost.values()),
        )
    if _lower(before.limits.connections, after.limits.connections):
        limit = after.limits.connections
        add("connections", f"at most {limit} connections stay, the oldest", over=limit)
    if _lower(before.limits.leafnodes, after.limits.leafnodes):
        add("leafnodes", f"at most {after.limits.leafnodes} leaf nodes stay", cuts=False)
    if _lower(before.limits.subscriptions, after.limits.subscriptions):
        limit = after.limits.subscriptions
        add("subscriptions", f"connections with {limit} subscriptions or more are closed", cuts=False)
    if after.limits.disallow_bearer and not before.limits.disallow_bearer:
        add("bearer", "users with bearer tokens are closed", bearer=True)
    if before.default_permissions.permissions != after.default_permissions.permissions:
        text = "users without permissions of their own get the new defaults; subscriptions not allowed any more end"
        add("default-permissions", text, cuts=False)
    before, after = before.sorted_for_signing(), after.sorted_for_signing()
    if before.exports != after.exports:
        add("exports", "importers are authorized anew: flows that the exports no longer allow stop", cuts=False)
    if before.imports != after.imports:
        add("imports", "imports are built anew", cuts=False)
    if before.mappings != after.mappings:
        add("mappings", "subjects are mapped by the new rules from then on", cuts=False)
    return found


def removal_effect(claims: AccountClaims, *, name: str) -> Effect:
    """What the removal of an account from the servers does."""
    return Effect(
        kind="removed",
        account=name,
        key=claims.subject,
        text="the account is removed: all its connections are closed",
        everybody=True,
    )


def struck(effect: Effect, connections: Sequence[Connection]) -> list[Struck]:
    """The connections (of the effect's account) that it closes, by name."""
    if not effect.cuts:
        return []
    return [
        Struck(connection=one.label, user=one.user_name or one.user, server=one.server.label, why=effect.kind)
        for one in _met(effect, connections)
    ]


def _met(effect: Effect, connections: Sequence[Connection]) -> Iterable[Connection]:
    if effect.everybody:
        return connections
    if effect.over >= 0:
        # Servers tell how old a connection is by its number; which one of two servers goes first is theirs to say.
        return sorted(connections, key=lambda one: one.cid)[effect.over :]
    if effect.signers:
        return [one for one in connections if one.issuer in effect.signers]
    if effect.bearer:
        return [one for one in connections if _is_bearer(one.token)]
    return [
        one for one in connections if max(effect.users.get(one.user, -1), effect.users.get("*", -1)) >= one.issued_at
    ]


def _is_bearer(token: str) -> bool:
    try:
        return bool(token) and decode_as(UserClaims, token).grant.bearer_token
    except TokenError:
        return False


def _lost_signers(before: AccountClaims, after: AccountClaims) -> dict[str, str]:
    """Label to key of signing keys that are gone, or grant something else now."""
    found: dict[str, str] = {}
    for entry in before.signing_keys:
        key = entry.key if isinstance(entry, UserScope) else entry
        label = f"role {entry.role!r}" if isinstance(entry, UserScope) else key
        scope = after.scope(key)
        gone = key not in after.signing_key_texts
        if gone or (isinstance(entry, UserScope) and scope is not None and scope.template != entry.template):
            found[label] = key
    return found


def _lower(before: int, after: int) -> bool:
    return after >= 0 and (before < 0 or after < before)
