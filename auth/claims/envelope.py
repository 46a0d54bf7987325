"""What all claims share: the standard members around ``nats``, and the tags, type and version at its end
(spec auth sections 3.2 and 3.3).

Members of ``nats`` are fields whose JSON name begins with ``nats.``; the Structs themselves are flat.
"""

import base64
import functools
import hashlib
from collections.abc import Iterable
from typing import Any, ClassVar, TypeVar

from msgspec import field

from gossamer.auth.claims.part import ClaimsError, Integer, Part, json_text, layout, plain, read_part
from gossamer.auth.keys import KeyKind

VERSION = 2
_NATS = "nats."
_LAST = ("nats.tags", "nats.version")


class Claims(Part, frozen=True, kw_only=True):
    """The standard members. Times are whole unix seconds, UTC; 0: not set."""

    TYPE: ClassVar[str] = ""
    SUBJECTS: ClassVar[tuple[KeyKind, ...]] = ()
    ISSUERS: ClassVar[tuple[KeyKind, ...]] = ()
    SUBJECT_ERROR: ClassVar[str] = ""

    audience: str = field(default="", name="aud")
    expires: Integer = field(default=0, name="exp")
    id: str = field(default="", name="jti")
    issued_at: Integer = field(default=0, name="iat")
    issuer: str = field(default="", name="iss")
    name: str = ""
    not_before: Integer = field(default=0, name="nbf")
    subject: str = field(default="", name="sub")
    tags: tuple[str, ...] = field(default=(), name="nats.tags")
    version: Integer = field(default=VERSION, name="nats.version")

    def body(self) -> dict[str, Any]:
        """The members of ``nats`` in the order in which they are written."""
        found: dict[str, Any] = {}
        for attribute, name, always, simple in body_members(type(self)):
            value = getattr(self, attribute)
            if value or always:  # a Part is always true
                found[name] = value if simple else plain(value)
        if self.unknown:
            found.update({name.removeprefix(_NATS): v for name, v in self.unknown.items() if name.startswith(_NATS)})
        if self.tags:
            found["tags"] = list(self.tags)
        found["type"] = self.TYPE
        found["version"] = self.version
        return found

    def standard(self) -> dict[str, Any]:
        """The members beside ``nats``, in order, those left out that are not set."""
        found = {
            "aud": self.audience,
            "exp": self.expires,
            "jti": self.id,
            "iat": self.issued_at,
            "iss": self.issuer,
            "name": self.name,
            "nbf": self.not_before,
            "sub": self.subject,
        }
        return {name: value for name, value in found.items() if value}

    def members(self) -> dict[str, Any]:
        """The whole claim, ready for JSON."""
        found = self.standard()
        found["nats"] = self.body()
        if self.unknown:
            found.update({name: value for name, value in self.unknown.items() if not name.startswith(_NATS)})
        return found

    def json(self) -> str:
        """The payload of a token, exactly as the reference would write it. Raises ClaimsError."""
        return json_text(self.members())

    def computed_id(self) -> str:
        """``jti``: a hash over the standard members only, the id itself left out."""
        found = self.standard()
        found.pop("jti", None)
        digest = hashlib.new("sha512_256", json_text(found).encode()).digest()
        return base64.b32encode(digest).rstrip(b"=").decode()

    @classmethod
    def shaped(cls, nats: dict[str, Any]) -> dict[str, Any]:
        """Old spellings of members of ``nats`` brought into the present form, before they are read."""
        return nats


AnyClaims = TypeVar("AnyClaims", bound=Claims)


@functools.cache
def body_members(kind: type[Claims]) -> tuple[tuple[str, str, bool, bool], ...]:
    """Attribute, name in ``nats``, always written?, a simple value? of the members of a kind's body, in order."""
    return tuple(
        (member.attribute, name, name in kind.ALWAYS, member.simple)
        for member in layout(kind).members
        if member.name.startswith(_NATS) and member.name not in _LAST
        for name in (member.name.removeprefix(_NATS),)
    )


def read_claims(kind: type[AnyClaims], raw: dict[str, Any], *, clean: bool = False) -> AnyClaims:
    """Claims from the decoded payload of a version 2 token. Raises ClaimsError naming the member that does not fit.

    ``clean``: see ``gossamer.auth.claims.part.is_clean``.
    """
    flat: dict[str, Any] = {}
    for name, value in raw.items():
        if name.startswith(_NATS):
            raise ClaimsError(f'unexpected member "{name}"')
        if name != "nats":
            flat[name] = value
    nats = raw.get("nats")
    if nats is not None and not isinstance(nats, dict):
        raise ClaimsError('member "nats" is not an object')
    for name, value in kind.shaped(dict(nats or {})).items():
        if name != "type":
            flat[_NATS + name] = value
    try:
        return read_part(kind, flat, clean=clean)
    except ClaimsError as error:
        raise ClaimsError(str(error).replace(".(grant)", "")) from None


def clean_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """Tags as tools write them: trimmed, lower case, each once, in order of first appearance (section 3.4)."""
    return tuple(dict.fromkeys(tag for tag in (tag.strip().lower() for tag in tags) if tag))


def padded_base32_sha256(text: str) -> str:
    """Base32 with its padding, of the SHA-256 of a text."""
    return base64.b32encode(hashlib.sha256(text.encode()).digest()).decode()
