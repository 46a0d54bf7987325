"""What comes of a token: a grant, a denial with its reason, or a document that must be fetched first."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct

from gossamer.auth.claims import UserGrant
from gossamer.auth.exchange.rules import Target


class Cause(StrEnum):
    """Why nobody gets in by a token, one word each."""

    TOKEN_MISSING = "token_missing"
    TOKEN_MALFORMED = "token_malformed"
    ALGORITHM = "algorithm"
    ISSUER_UNKNOWN = "issuer_unknown"
    KEYS_UNAVAILABLE = "keys_unavailable"
    KEY_UNKNOWN = "key_unknown"
    SIGNATURE_WRONG = "signature_wrong"
    AUDIENCE_WRONG = "audience_wrong"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    NO_RULE = "no_rule"
    CLAIM_MISSING = "claim_missing"
    CLAIM_UNSAFE = "claim_unsafe"


class Denied(Struct, frozen=True, kw_only=True):
    """``text`` is a sentence for the server's log and for people; it holds no secret. ``rule`` is the one that
    would have applied, if it got that far; ``steps`` say what was looked at, one line each."""

    cause: Cause
    text: str
    issuer: str = ""
    rule: str = ""
    steps: tuple[str, ...] = ()


class Granted(Struct, frozen=True, kw_only=True):
    """A user, ready to be signed. ``expires``: unix seconds; ``claims`` are those of the platform's token."""

    rule: str
    issuer: str
    target: Target
    user: str
    tags: tuple[str, ...]
    grant: UserGrant
    expires: int
    scoped: bool = False
    claims: Mapping[str, Any] = {}
    steps: tuple[str, ...] = ()


class Needed(Struct, frozen=True):
    """Fetch this (HTTP GET, no more than ``BYTES_MAX``), give it to ``learned`` or say ``failed``, and ask again."""

    url: str


#: Of a key set or a discovery document.
BYTES_MAX = 1024 * 1024
