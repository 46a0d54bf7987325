"""The public keys of issuers: fetched when they are needed, kept, fetched again when an unknown one turns up.

Nothing is fetched here: ``find`` says what is needed. A document is asked for at most every ``RETRY_S`` seconds,
whatever tokens arrive, so that nobody can make us flood an issuer by inventing key ids. Keys that were once fetched go
on being used while their issuer cannot be reached, up to ``STALE_S``.
"""

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt
from msgspec import Struct

from gossamer.auth.exchange.outcomes import BYTES_MAX, Cause, Denied, Needed
from gossamer.auth.exchange.rules import Issuer

#: Keys are fetched anew after this long, in seconds.
FRESH_S = 3600
#: The shortest time between two fetches, successful or not.
RETRY_S = 10
#: Keys of an issuer that cannot be reached are believed for this long.
STALE_S = 24 * 3600
#: Keys of a set beyond this are ignored.
KEYS_MAX = 100
_KEY_TYPES = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}


class Key(Struct, frozen=True):
    """A public key of an issuer. ``algorithm`` empty: any that its type allows."""

    id: str
    kind: str
    curve: str
    algorithm: str
    raw: dict[str, Any]

    def does(self, algorithm: str) -> bool:
        """May a token with this algorithm be signed by it?"""
        if self.kind != _KEY_TYPES.get(algorithm[:2]) or self.algorithm not in ("", algorithm):
            return False
        return self.curve == _CURVES.get(algorithm, self.curve)


class _Kept(Struct):
    """What is known of one issuer. Times are unix seconds; -1: never."""

    keys: tuple[Key, ...] = ()
    jwks_url: str = ""
    fetched_at: float = -1
    tried_at: float = -1
    trouble: str = ""


class KeySets:
    """The key sets of all issuers."""

    def __init__(self, issuers: tuple[Issuer, ...]) -> None:
        """Nothing is read before it is needed."""
        self._issuers = issuers
        self._kept = {issuer.name: _Kept(jwks_url=issuer.jwks_url) for issuer in issuers}

    def find(self, issuer: Issuer, key_id: str, algorithm: str, now: float) -> tuple[Key, ...] | Needed | Denied:
        """The keys that a token may be signed with: one, or all that fit if it names none."""
        kept = self._kept[issuer.name]
        found = _fitting(kept.keys, key_id, algorithm)
        due = kept.tried_at < 0 or now - kept.tried_at >= RETRY_S
        if due and (not found or now - kept.fetched_at >= FRESH_S):
            if not issuer.jwks_file:
                return Needed(kept.jwks_url or issuer.discovery_url)
            self._read(issuer, now)
            found = _fitting(kept.keys, key_id, algorithm)
        if kept.fetched_at < 0 or now - kept.fetched_at > STALE_S:
            text = f"the keys of {issuer.name} cannot be had: {kept.trouble or 'they were not fetched'}"
            return Denied(cause=Cause.KEYS_UNAVAILABLE, text=text, issuer=issuer.name)
        if not found:
            what = f"no key {key_id!r}" if key_id else "no key"
            text = f"{issuer.name} has {what} for {algorithm}"
            return Denied(cause=Cause.KEY_UNKNOWN, text=text, issuer=issuer.name)
        return found

    def learned(self, needed: Needed, body: bytes, now: float) -> str:
        """A document has come. Returns what is wrong with it; empty: nothing."""
        trouble = ""
        for issuer in self._waiting(needed):
            kept = self._kept[issuer.name]
            discovering = not issuer.jwks_url and needed.url == issuer.discovery_url
            try:
                if len(body) > BYTES_MAX:
                    raise ValueError(f"it is longer than {BYTES_MAX} bytes")
                if discovering:
                    kept.jwks_url = _discovered(issuer, body)
                    kept.tried_at = -1  # the keys themselves are to be fetched at once
                else:
                    kept.keys = read_keys(body)
                    kept.fetched_at = kept.tried_at = now
                kept.trouble = ""
            except ValueError as error:
                trouble = f"{needed.url}: {error}"
                kept.trouble, kept.tried_at = trouble, now
        return trouble

    def failed(self, needed: Needed, why: str, now: float) -> None:
        """It could not be fetched."""
        for issuer in self._waiting(needed):
            kept = self._kept[issuer.name]
            kept.trouble, kept.tried_at = f"{needed.url}: {why}", now
            if needed.url == kept.jwks_url and not issuer.jwks_url:
                kept.jwks_url = ""  # it may have moved: begin with the discovery again

    def _waiting(self, needed: Needed) -> list[Issuer]:
        return [
            issuer
            for issuer in self._issuers
            if needed.url in (self._kept[issuer.name].jwks_url, issuer.discovery_url) and not issuer.jwks_file
        ]

    def _read(self, issuer: Issuer, now: float) -> None:
        kept = self._kept[issuer.name]
        kept.tried_at = now
        try:
            kept.keys = read_keys(Path(issuer.jwks_file).read_bytes())
            kept.fetched_at, kept.trouble = now, ""
        except (OSError, ValueError) as error:
            kept.trouble = f"{issuer.jwks_file}: {error}"


def read_keys(body: bytes) -> tuple[Key, ...]:
    """The signing keys of a key set (RFC 7517); those we cannot use are left out. Raises ValueError for no set."""
    document = _object(body)
    entries = document.get("keys")
    if not isinstance(entries, list):
        raise ValueError('it has no list "keys"')
    found = []
    for raw in entries[:KEYS_MAX]:
        if not isinstance(raw, dict) or raw.get("use", "sig") != "sig" or raw.get("kty") not in ("RSA", "EC", "OKP"):
            continue
        words = {name: raw.get(name, "") for name in ("kid", "kty", "crv", "alg")}
        if not all(isinstance(word, str) for word in words.values()) or words["crv"] in ("X25519", "X448"):
            continue
        found.append(Key(words["kid"], words["kty"], words["crv"], words["alg"], raw))
    return tuple(found)


def public_key(key: Key, algorithm: str) -> Any:
    """The key as ``cryptography`` has it. Raises ValueError if the set holds nonsense, or a key too weak."""
    try:
        made = jwt.PyJWK(key.raw, algorithm=algorithm).key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError) as error:
        raise ValueError(f"key {key.id!r} cannot be used: {error}") from None
    size = getattr(made, "key_size", 0)
    if key.kind == "RSA" and size < 2048:
        raise ValueError(f"key {key.id!r} has only {size} bits")
    return made


def _fitting(keys: tuple[Key, ...], key_id: str, algorithm: str) -> tuple[Key, ...]:
    return tuple(key for key in keys if (not key_id or key.id == key_id) and key.does(algorithm))


def _discovered(issuer: Issuer, body: bytes) -> str:
    """Where the keys are. The document must be the issuer's own (OpenID Connect Discovery, section 4.3)."""
    document = _object(body)
    if document.get("issuer") != issuer.url:
        raise ValueError(f"it is the document of {document.get('issuer')!r}, not of {issuer.url!r}")
    url = document.get("jwks_uri")
    if not isinstance(url, str):
        raise ValueError("it names no jwks_uri")
    scheme, own = urlsplit(url).scheme, urlsplit(issuer.discovery_url).scheme
    if scheme != "https" and scheme != own:
        raise ValueError(f"its jwks_uri {url!r} is not https")
    if scheme not in ("https", "http"):
        raise ValueError(f"its jwks_uri {url!r} cannot be fetched")
    return url


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON") from None
    if not isinstance(found, dict):
        raise ValueError("it is not a JSON object")
    return found
