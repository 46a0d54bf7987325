"""Is a platform's token true, and meant for us? OIDC tokens and Kubernetes service account tokens alike (RFC 7519)."""

import json
from collections.abc import Iterator
from typing import Any

import jwt

from gossamer.auth.exchange.keysets import KeySets, public_key
from gossamer.auth.exchange.outcomes import Cause, Denied, Needed
from gossamer.auth.exchange.rules import Issuer, Rules
from gossamer.auth.jwt import ALGORITHM as NKEY_ALGORITHM
from gossamer.auth.jwt import TokenError, decode_chunk

#: Longer tokens are not looked at.
TOKEN_BYTES_MAX = 64 * 1024


def looks_like_one(text: str) -> bool:
    """Three chunks with a header that names an algorithm, and not one of NATS's own tokens."""
    header = _chunk(text, 0)
    return header is not None and str(header.get("alg", "")).lower() not in (NKEY_ALGORITHM, "ed25519", "")


class Verifier:
    """Tokens of the issuers that rules name."""

    def __init__(self, rules: Rules, keys: KeySets) -> None:
        """``keys``: those of the same issuers."""
        self._issuers = {issuer.url: issuer for issuer in rules.issuers}
        self._leeway_s = rules.leeway_s
        self._keys = keys

    def verify(self, token: str, now: float) -> tuple[Issuer, dict[str, Any]] | Needed | Denied:
        """The issuer and the claims of a token that holds. ``now``: unix seconds."""
        if len(token) > TOKEN_BYTES_MAX:
            return Denied(cause=Cause.TOKEN_MALFORMED, text=f"the token is longer than {TOKEN_BYTES_MAX} bytes")
        header, payload = _chunk(token, 0), _chunk(token, 1)
        if header is None or payload is None or not _canonical(token.rpartition(".")[2]):
            return Denied(cause=Cause.TOKEN_MALFORMED, text="the token is no JWT")
        named = payload.get("iss")
        issuer = self._issuers.get(named) if isinstance(named, str) else None
        if issuer is None:
            text = f"tokens of issuer {_shown(payload.get('iss'))} are not believed"
            return Denied(cause=Cause.ISSUER_UNKNOWN, text=text)
        algorithm, key_id = header.get("alg"), header.get("kid", "")
        if not isinstance(algorithm, str) or algorithm not in issuer.algorithms:
            text = f"algorithm {_shown(algorithm)} is not one of {', '.join(issuer.algorithms)}"
            return Denied(cause=Cause.ALGORITHM, text=text, issuer=issuer.name)
        if "crit" in header or not isinstance(key_id, str):
            text = "the token's header asks for what we do not know"
            return Denied(cause=Cause.TOKEN_MALFORMED, text=text, issuer=issuer.name)
        keys = self._keys.find(issuer, key_id, algorithm, now)
        if isinstance(keys, Needed | Denied):
            return keys
        trouble = "no key of the issuer made its signature"
        for key in keys:
            try:
                claims = jwt.decode(token, public_key(key, algorithm), algorithms=[algorithm], options=_SIGNATURE_ONLY)
            except (jwt.PyJWTError, ValueError) as error:
                trouble = str(error)
                continue
            wrong = next(self._faults(issuer, claims, now), None)
            return wrong or (issuer, claims)
        text = f"the token's signature does not hold: {trouble}"
        return Denied(cause=Cause.SIGNATURE_WRONG, text=text, issuer=issuer.name)

    def _faults(self, issuer: Issuer, claims: dict[str, Any], now: float) -> Iterator[Denied]:
        def denied(cause: Cause, text: str) -> Denied:
            return Denied(cause=cause, text=text, issuer=issuer.name)

        if claims.get("iss") != issuer.url:
            yield denied(Cause.ISSUER_UNKNOWN, "the token's issuer is not who it seemed")
        audience = claims.get("aud")
        audiences = [audience] if isinstance(audience, str) else audience if isinstance(audience, list) else []
        if not any(name in issuer.audiences for name in audiences if isinstance(name, str)):
            wanted = " or ".join(issuer.audiences)
            yield denied(Cause.AUDIENCE_WRONG, f"the token is meant for {_shown(audience)}, not for {wanted}")
        expires = _moment(claims, "exp")
        if expires is None:
            yield denied(Cause.EXPIRED, "the token says not when it expires")
        elif expires + self._leeway_s <= now:
            yield denied(Cause.EXPIRED, f"the token expired {now - expires:.0f} s ago")
        for name in ("nbf", "iat"):
            begins = _moment(claims, name)
            if name in claims and begins is None:
                yield denied(Cause.TOKEN_MALFORMED, f"the token's {name} is no time")
            elif begins is not None and begins - self._leeway_s > now:
                yield denied(Cause.NOT_YET_VALID, f"the token is valid in {begins - now:.0f} s only ({name})")


_SIGNATURE_ONLY: Any = {
    "verify_signature": True,
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_iss": False,
    "verify_sub": False,
    "verify_jti": False,
}


def _moment(claims: dict[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 1e12 else None


def _chunk(token: str, place: int) -> dict[str, Any] | None:
    chunks = token.split(".")
    if len(chunks) != 3:
        return None
    try:
        found = json.loads(decode_chunk(chunks[place]))
    except (TokenError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _canonical(chunk: str) -> bool:
    """Spare bits of the last letter are zero: a token has one text only."""
    try:
        decode_chunk(chunk)
    except TokenError:
        return False
    return True


def _shown(value: Any) -> str:
    return repr(value)[:200]
