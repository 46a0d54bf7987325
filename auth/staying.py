"""Who is in already when the JWT of an account changes: as what to stay, or why to go (spec auth section 24.1).

Pure: the node holds each of the account's connections against the change, and carries out what comes of it.
"""

from msgspec import Struct, structs

from gossamer.auth.callout.scope import without_asking
from gossamer.auth.claims import AccountClaims
from gossamer.auth.decisions import AUTHORIZATION_VIOLATION, Admission, smaller_limit
from gossamer.auth.reasons import Reason, ReasonCode
from gossamer.auth.settings import AccountLimits
from gossamer.auth.soundness import sound

ACCOUNT_EXPIRED = "Account Authentication Expired"
USER_REVOKED = "User Authentication Revoked"


class Departure(Struct, frozen=True, kw_only=True):
    """Must go. ``error`` is the text for ``-ERR``, empty for none; ``close_reason`` names the engine's close reason."""

    reason: Reason
    error: str
    close_reason: str


def limits_of(claims: AccountClaims) -> AccountLimits:
    """The limits of an account as the node keeps them."""
    limits = claims.limits
    return AccountLimits(
        max_connections=smaller_limit(limits.connections),
        max_subscriptions=smaller_limit(limits.subscriptions),
        max_payload=smaller_limit(limits.payload),
        max_leafnodes=smaller_limit(limits.leafnodes),
    )


def staying(
    admission: Admission, before: AccountClaims, now: AccountClaims, at: float, *, place: str
) -> Admission | Departure:
    """What becomes of one connection. ``at``: unix seconds; ``place``: where the new JWT stands.

    The user's own claims do not change: its permissions, and an expanded template, stay as they were admitted."""
    departure = _departure(admission, before, now, at, place)
    if departure is not None:
        return departure
    limits = now.limits
    permissions, permissions_place = admission.permissions, admission.permissions_place
    if admission.default_permissions:
        permissions, bad = sound(now.default_permissions.permissions)
        if bad:
            text = f'the deny entry "{bad}" of the account\'s default permissions is no subject'
            reason = _reason(ReasonCode.PERMISSIONS_UNSOUND, text, now, place, rule=f'deny "{bad}"')
            return Departure(reason=reason, error=AUTHORIZATION_VIOLATION, close_reason="AUTHENTICATION_VIOLATION")
        permissions_place = f"default_permissions of account {now.subject}" if permissions is not None else ""
    if now.authorization.auth_users:
        permissions = without_asking(permissions)
    return structs.replace(
        admission,
        account_name=now.name,
        permissions=permissions,
        permissions_place=permissions_place,
        max_payload=smaller_limit(admission.own_payload, limits.payload),
        max_subscriptions=smaller_limit(admission.own_subscriptions, limits.subscriptions),
        account_limits=limits_of(now),
        account_expires_at=now.expires or None,
    )


def _departure(
    admission: Admission, before: AccountClaims, now: AccountClaims, at: float, place: str
) -> Departure | None:
    if 0 < now.expires <= at:
        reason = _reason(
            ReasonCode.ACCOUNT_EXPIRED, "the account has expired", now, place, rule=f"exp {now.expires} of the account"
        )
        return Departure(reason=reason, error=ACCOUNT_EXPIRED, close_reason="AUTHENTICATION_EXPIRED")
    if now.not_before > at:
        text, rule = "the account is not valid yet", f"nbf {now.not_before} of the account"
        reason = _reason(ReasonCode.ACCOUNT_INVALID, text, now, place, rule=rule)
        return Departure(reason=reason, error=AUTHORIZATION_VIOLATION, close_reason="AUTHENTICATION_VIOLATION")
    user = admission.subject or admission.user
    if now.is_revoked(user, admission.issued_at):
        everybody = now.revocations.get(user, -1) < admission.issued_at
        rule = f"revocations of {'*' if everybody else user}, JWT issued at {admission.issued_at}"
        reason = _reason(ReasonCode.REVOKED, "the user was revoked", now, place, rule=rule)
        return Departure(reason=reason, error=USER_REVOKED, close_reason="REVOCATION")
    if admission.bearer and now.limits.disallow_bearer:
        text = "the account no longer allows bearer tokens"
        reason = _reason(ReasonCode.BEARER_DISALLOWED, text, now, place, rule="limits.disallow_bearer")
        return Departure(reason=reason, error=AUTHORIZATION_VIOLATION, close_reason="AUTHENTICATION_VIOLATION")
    key = admission.issuer
    if key == now.subject and not before.has_signing_key(key):
        return None
    if not now.has_signing_key(key):
        text = f"{key}, which signed the user, is no signing key of the account any more"
        reason = _reason(ReasonCode.ISSUER_UNKNOWN, text, now, place, rule="signing_keys")
    elif now.scope(key) != before.scope(key):
        text = f"the scope of {key}, which signed the user, has changed"
        reason = _reason(ReasonCode.SCOPE, text, now, place, rule="signing_keys")
    else:
        return None
    return Departure(reason=reason, error="", close_reason="CLIENT_CLOSED")


def deleted(key: str, place: str) -> Departure:
    """Everybody of an account that was deleted."""
    text = f"account {key} was deleted"
    reason = Reason(code=ReasonCode.ACCOUNT_GONE, text=text, rule="CLAIMS.DELETE, or a reload", place=place)
    return Departure(reason=reason, error=ACCOUNT_EXPIRED, close_reason="AUTHENTICATION_EXPIRED")


def _reason(code: ReasonCode, text: str, claims: AccountClaims, place: str, *, rule: str) -> Reason:
    return Reason(code=code, text=text, rule=rule, place=place, signer=claims.issuer)
