"""What is wrong with a request to change accounts, in the words of the reference (spec auth section 23.1)."""

from typing import Any

from gossamer.auth.claims import AccountClaims
from gossamer.auth.jwt import TokenError, decode_as, decode_generic
from gossamer.auth.keys import KeyKind, is_public
from gossamer.auth.resolver import KnownAccount
from gossamer.auth.trust import Trust
from gossamer.auth.validation import blocking, validate

UNTRUSTED = "account validation failed"


class ClaimsRefused(Exception):
    """``account``: whom the answer names, empty for nobody; the text is the answer's description."""

    def __init__(self, account: str, what: str, why: str) -> None:
        """``what`` was to be done, ``why`` it was not."""
        super().__init__(f"{what} - {why}")
        self.account = account


def decoded(text: str, what: str, account: str = "n/a") -> AccountClaims:
    """The claims of an account JWT; ``account``: whom it was pushed for. Raises ClaimsRefused."""
    try:
        return decode_as(AccountClaims, text)
    except TokenError as error:
        raise ClaimsRefused(account, f"{what} resulted in error", str(error)) from None


def assessed(
    claims: AccountClaims, text: str, key: str, trust: Trust, *, what: str, accept_untrusted: bool
) -> KnownAccount:
    """The account, if a node may take it over as that of ``key``. Times are not looked at: an account that has expired
    may be stored. Raises ClaimsRefused."""
    faults = blocking(validate(claims, 0), times=False)
    if faults:
        shown = "jwt" if what == "jwt update" else what
        raise ClaimsRefused(claims.subject, f"{shown} validation failed", f"validation errors: [{' '.join(faults)}]")
    if claims.subject != key:
        raise ClaimsRefused(key, f"{what} resulted in error", "subject does not match jwt content")
    first = trust.operators[0] if trust.operators else None
    if first is not None and first.strict_signing_key_usage and claims.issuer == first.subject:
        raise ClaimsRefused(key, f"{what} resulted in error", "operator requires issuer to be a signing key")
    if claims.issuer not in trust.keys and not accept_untrusted:
        raise ClaimsRefused(key, f"{what} resulted in error", UNTRUSTED)
    return KnownAccount(text, claims)


def accounts_to_delete(text: str, trust: Trust, *, allowed: bool, system_account: str, now_s: float) -> list[str]:
    """The accounts that a request to delete names; ``now_s``: unix seconds. Raises ClaimsRefused.

    Only keys of the first operator may ask, in a generic JWT that they signed for themselves and that has not expired:
    nobody else can send an old one again later."""
    requester = ""
    try:
        claims = decode_generic(text)
        requester = claims.subject
        why = _fault_of_deletion(claims.subject, claims.issuer, claims.data, trust, allowed, system_account)
        if not why and not claims.not_before <= now_s <= (claims.expires or now_s):
            why = "the request is out of date"
    except TokenError as error:
        why = str(error)
    if why:
        raise ClaimsRefused("", f"delete accounts request by {requester} failed", why)
    found: list[str] = claims.data["accounts"]
    return found


def _fault_of_deletion(
    subject: str, issuer: str, data: dict[str, Any], trust: Trust, allowed: bool, system_account: str
) -> str:
    if not allowed:
        return "delete must be enabled in server config"
    if subject != issuer:
        return "not self signed"
    keys = trust.operators[0].trusted_keys if trust.operators else trust.keys
    if issuer not in keys:
        return "not trusted"
    listed = data.get("accounts")
    if not isinstance(listed, list):
        return "malformed request"
    for entry in listed:
        if not isinstance(entry, str) or not is_public(entry, KeyKind.ACCOUNT):
            return "malformed request"
        if entry == system_account:
            return "not allowed to delete system account"
    return ""
