"""From a decoded claim that somebody sent to the claims that are signed.

Issuer, id, time of issue and version are the service's own: a claim that names another issuer, another type or a newer
version than it will get is refused, and after signing the token is read back and must say what was asked for.
"""

import hashlib
from typing import Any

import msgspec

from gossamer.auth.claims import AccountClaims, ActivationClaims, Claims, ClaimsError, OperatorClaims, UserClaims
from gossamer.auth.claims.envelope import VERSION, read_claims
from gossamer.auth.jwt import decode
from gossamer.auth.keys import KeyPair
from gossamer.operator.failure import Failure
from gossamer.operator.signer.judging import read_json_object
from gossamer.operator.signer.refusal import Grounds, Refused
from gossamer.operator.store.stored import refuse_new_faults, same_content, sign

KINDS: dict[str, type[Claims]] = {
    kind.TYPE: kind for kind in (UserClaims, ActivationClaims, AccountClaims, OperatorClaims)
}
CLAIM_BYTES_MAX = 1024 * 1024
_OURS = ("iat", "jti", "iss")


def claims_from(kind: str, claim_json: str, key: str) -> Claims:
    """The claims. Raises Refused for JSON that is no claim of this kind, or that says something else than it will."""
    if kind not in KINDS:
        raise Refused(Grounds.INVALID, f"{kind!r} is not a kind of claim: {', '.join(sorted(KINDS))}")
    if len(claim_json) > CLAIM_BYTES_MAX:
        raise Refused(Grounds.INVALID, "the claim is too large")
    try:
        raw = read_json_object(claim_json)
        nats = raw.get("nats")
        if not isinstance(nats, dict) or nats.get("type") != kind:
            raise Refused(Grounds.INVALID, f"the claim is not a {kind} claim")
        if nats.get("version", VERSION) != VERSION:
            raise Refused(Grounds.INVALID, f"the claim is not of version {VERSION}")
        issuer = raw.get("iss", key)
        if issuer != key:
            raise Refused(Grounds.INVALID, f"the claim says that {issuer} issued it, but {key} would")
        return read_claims(KINDS[kind], {name: value for name, value in raw.items() if name not in _OURS})
    except (ValueError, ClaimsError, RecursionError) as error:
        raise Refused(Grounds.INVALID, f"the claim cannot be read: {error}") from None


def digest_of(kind: str, key: str, claims: Claims) -> str:
    """What an approver names: SHA-256 of kind, key and the claim as it will be written, without the service's part."""
    members: dict[str, Any] = claims.members()
    for name in _OURS:
        members.pop(name, None)
    text = msgspec.json.encode([kind, key, members], order="deterministic")
    return hashlib.sha256(text).hexdigest()


def signed_token(claims: Claims, pair: KeyPair, *, now: int, newer_than: int = 0) -> str:
    """Sign, and read it back. Raises Refused when servers would refuse it, or it does not say what was asked for."""
    try:
        refuse_new_faults(claims)
        token = sign(claims, pair, now=now, newer_than=newer_than).token
    except Failure as failure:
        raise Refused(Grounds.INVALID, failure.message) from None
    wanted = claims.sorted_for_signing() if isinstance(claims, AccountClaims) else claims
    if not same_content(decode(token), wanted):
        raise Refused(Grounds.INVALID, "the claim cannot be written the way it was sent")
    return token
