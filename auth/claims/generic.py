"""Claims of any other type: ``nats`` is a free map (spec auth section 4.6)."""

from typing import Any, ClassVar

from msgspec import field

from gossamer.auth.claims.envelope import VERSION, Claims
from gossamer.auth.claims.part import plain

_DATA = "data"


class GenericClaims(Claims, frozen=True, kw_only=True):
    """``data`` is everything in ``nats`` except the version (a ``type`` and ``tags`` too, if it holds some)."""

    TYPE: ClassVar[str] = ""

    data: dict[str, Any] = field(default_factory=dict, name="nats.data")

    def body(self) -> dict[str, Any]:
        """A map: sorted by key."""
        found: dict[str, Any] = plain({**self.data, "version": VERSION})
        return found

    @classmethod
    def shaped(cls, nats: dict[str, Any]) -> dict[str, Any]:
        """All members but the version are data."""
        version = nats.get("version", 0)
        return {_DATA: {name: value for name, value in nats.items() if name != "version"}, "version": version}
