"""Which platform identities become which users: the rules of a token exchange, as values (docs: the rules file).

Read from a file by ``gossamer.auth.exchange.reading``, or made by hand.
"""

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from gossamer.auth.claims import UserGrant
from gossamer.auth.keys import KeyPair
from gossamer.auth.xkeys import CurveKeyPair

#: What a token may be signed with. Symmetric algorithms and ``none`` are not among them, whatever a key set says.
ALGORITHMS = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
)  # fmt: skip
DISCOVERY = "/.well-known/openid-configuration"
_PLACE = re.compile(r"\{([^{}]*)\}")


class Condition(Struct, frozen=True):
    """A claim must have one of these values, in which ``*`` stands for any text. ``claim`` is a path: ``a.b`` is member
    ``b`` of member ``a``, or a member whose name holds the dot. A claim that is a list needs one value that fits."""

    claim: str
    patterns: tuple[str, ...]

    def holds(self, claims: Mapping[str, Any]) -> bool:
        """Does a token with these claims fulfil it?"""
        return any(fits(pattern, value) for value in texts(find(claims, self.claim)) for pattern in self.patterns)


class Issuer(Struct, frozen=True, kw_only=True):
    """A platform whose tokens are believed. ``url`` is its ``iss``, exactly; ``audiences``: one of them must be in
    ``aud``. Its keys are at ``jwks_url``, in ``jwks_file``, or where its discovery document says."""

    name: str
    url: str
    audiences: tuple[str, ...]
    algorithms: tuple[str, ...] = ALGORITHMS
    jwks_url: str = ""
    jwks_file: str = ""
    discovery_url: str = ""


class Target(Struct, frozen=True, kw_only=True):
    """An account that users are placed in. ``name`` is what rules call it, and in configuration mode what the server
    does; ``key`` is its public key (operator mode, else empty). ``signer`` signs its users."""

    name: str
    signer: KeyPair
    key: str = ""


class Rule(Struct, frozen=True, kw_only=True):
    """Who fulfils all ``conditions`` becomes this user. ``user``, ``tags`` and the subjects of ``grant`` are templates:
    ``{claim}`` is replaced. ``scoped``: ``target.signer`` is a scoped key, whose template grants, and ``grant`` is
    empty. ``lifetime_s``: how long the user may stay at most, in seconds."""

    name: str
    issuer: str
    target: Target
    conditions: tuple[Condition, ...] = ()
    user: str = "{sub}"
    tags: tuple[str, ...] = ()
    grant: UserGrant = UserGrant.fresh()
    scoped: bool = False
    lifetime_s: int = 3600


class Rules(Struct, frozen=True, kw_only=True):
    """``signer`` signs the answers: the callout's issuer key, or in operator mode the account's key or a signing key of
    it. ``account`` is the public key of the callout's account in operator mode, else empty. ``curve`` opens sealed
    requests. The first rule that fits decides."""

    issuers: tuple[Issuer, ...]
    rules: tuple[Rule, ...]
    signer: KeyPair
    account: str = ""
    curve: CurveKeyPair | None = None
    leeway_s: int = 30

    @property
    def operator_mode(self) -> bool:
        """Are accounts known by keys?"""
        return bool(self.account)


# --- claims by path, and values that fit ----------------------------------------------------------------------------
def find(claims: Mapping[str, Any], path: str) -> Any:
    """The claim at a path; None: there is none. Names that hold dots (``kubernetes.io``) are found as well."""
    if path in claims:
        return claims[path]
    parts = path.split(".")
    for length in range(len(parts) - 1, 0, -1):
        inner = claims.get(".".join(parts[:length]))
        if isinstance(inner, Mapping):
            found = find(inner, ".".join(parts[length:]))
            if found is not None:
                return found
    return None


def texts(value: Any) -> list[str]:
    """The values of a claim as texts: none for what is no text, number or truth value, several for a list."""
    if isinstance(value, bool):
        return ["true" if value else "false"]
    if isinstance(value, str | int):
        return [str(value)]
    if isinstance(value, list):
        return [text for each in value if not isinstance(each, list) for text in texts(each)]
    return []


def fits(pattern: str, text: str) -> bool:
    """Does the whole text fit a pattern in which ``*`` stands for any text, the empty one included?"""
    head, *rest = pattern.split("*")
    if not rest:
        return text == head
    if not text.startswith(head):
        return False
    place = len(head)
    for part in rest[:-1]:
        found = text.find(part, place)
        if found < 0:
            return False
        place = found + len(part)
    return len(text) - place >= len(rest[-1]) and text.endswith(rest[-1])


def places(template: str) -> list[str]:
    """The claims that a template names."""
    return _PLACE.findall(template)


def filled(template: str, values: Mapping[str, str]) -> str:
    """The template with every ``{claim}`` replaced; all of them must be in ``values``."""
    return _PLACE.sub(lambda place: values[place[1]], template)
