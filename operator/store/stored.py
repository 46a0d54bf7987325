"""A claim as a store holds it: the token beside what it says, and the making of new ones."""

from typing import Generic, TypeVar

from msgspec import Struct, structs

from gossamer.auth.claims import Claims, ClaimsError
from gossamer.auth.claims.envelope import VERSION
from gossamer.auth.jwt import TokenError, decode_as, encode
from gossamer.auth.keys import KeyPair, NkeyError
from gossamer.auth.validation import blocking, validate
from gossamer.operator.failure import ExitCode, Failure

AnyClaims = TypeVar("AnyClaims", bound=Claims)

REMEDY = "restore the file from a backup, or remove it and make it anew"

#: How far versions that follow each other closely may run ahead of the clock.
AHEAD_S_MAX = 60


class Stored(Struct, Generic[AnyClaims], frozen=True):
    """A token and what it says."""

    token: str
    claims: AnyClaims


def open_token(kind: type[AnyClaims], text: str, place: str) -> Stored[AnyClaims]:
    """Read the content of a claim's file and check its signature. Raises Failure naming ``place`` and the remedy."""
    token = text.strip()
    try:
        claims = decode_as(kind, token)
    except TokenError as error:
        raise Failure(f"{place} is broken: {error}", code="broken-file", hint=REMEDY, path=place) from None
    if claims.version != VERSION:
        raise Failure(
            f"{place} is a claim of version {claims.version}",
            code="old-claim",
            hint="bring the store up to version 2 with: nsc upgrade-jwt",
            path=place,
        )
    return Stored(token, claims)


def sign(claims: AnyClaims, signer: KeyPair, *, now: int, newer_than: int = 0) -> Stored[AnyClaims]:
    """Sign new claims. Raises Failure when they cannot be written.

    ``now`` is in unix seconds; two versions of one claim never carry the same second or go back in time
    (``newer_than`` is the time of the one on disk; spec operator-cli section 10.4).
    """
    issued_at = max(now, newer_than + 1)
    try:
        token = encode(claims, signer, issued_at=issued_at)
        return Stored(token, decode_as(type(claims), token))
    except (TokenError, ClaimsError, NkeyError) as error:
        raise Failure(f"the claim of {claims.name!r} cannot be signed: {error}", code="unsignable") from None


def refuse_new_faults(after: Claims, before: Claims | None = None) -> None:
    """Raises Failure when servers would refuse ``after`` for something that was not wrong with ``before`` already.

    What was wrong before stays for ``gossamer validate`` to tell: it must not keep anybody from mending another part.
    """
    known = set() if before is None else set(blocking(validate(before, 0), times=False))
    fresh = [text for text in blocking(validate(after, 0), times=False) if text not in known]
    if fresh:
        raise Failure(
            f"servers would refuse {after.TYPE} {after.name!r}: {'; '.join(fresh)}",
            code="invalid",
            hint="change what you ask for",
            exit_code=ExitCode.INVALID,
        )


def same_content(first: Claims, second: Claims) -> bool:
    """Do two claims say the same? Who signed and when is noise (spec operator-cli section 10.4)."""
    return _bare(first) == _bare(second)


def _bare(claims: Claims) -> Claims:
    return structs.replace(claims, id="", issued_at=0, issuer="")
