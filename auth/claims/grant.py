"""What a user is granted: permissions, limits, places and times. A user claim holds one; so does the template of a
scoped signing key (spec auth sections 4.3, 4.4 and 12)."""

from typing import Any, ClassVar

from msgspec import field

from gossamer.auth.claims.part import Integer, Part
from gossamer.auth.permissions import (
    RESPONSE_MESSAGES_DEFAULT,
    RESPONSE_TTL_DEFAULT_NS,
    Permissions,
    ResponsePermissions,
    SubjectPermissions,
)

UNLIMITED = -1


class SubjectList(Part, frozen=True, kw_only=True):
    """One direction of permissions. Empty lists restrict nothing; deny wins."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()

    @property
    def permissions(self) -> SubjectPermissions:
        """The same as the house's own value."""
        return SubjectPermissions(allow=self.allow or None, deny=self.deny)


class ResponseGrant(Part, frozen=True, kw_only=True):
    """``allow_responses``: 0 means the default of one message within two minutes, negative unlimited."""

    ALWAYS: ClassVar[frozenset[str]] = frozenset({"max", "ttl"})

    max_messages: Integer = field(default=0, name="max")
    ttl_ns: Integer = field(default=0, name="ttl")

    @property
    def permissions(self) -> ResponsePermissions:
        """The same as the house's own value, defaults filled in."""
        return ResponsePermissions(
            max_messages=self.max_messages or RESPONSE_MESSAGES_DEFAULT, ttl_ns=self.ttl_ns or RESPONSE_TTL_DEFAULT_NS
        )


class TimeRange(Part, frozen=True, kw_only=True):
    """From ``start`` to ``end``, both ``HH:MM:SS``; a start after the end spans midnight."""

    start: str = ""
    end: str = ""


def house_permissions(
    publish: SubjectList, subscribe: SubjectList, responses: ResponseGrant | None
) -> Permissions | None:
    """Permissions of a claim as the house's own value; None where nothing is restricted."""
    if not (publish.allow or publish.deny or subscribe.allow or subscribe.deny or responses):
        return None
    return Permissions(
        publish=publish.permissions,
        subscribe=subscribe.permissions,
        responses=None if responses is None else responses.permissions,
    )


class UserGrant(Part, frozen=True, kw_only=True):
    """Absent limits are 0; tools write -1 (unlimited) for normal users and leave them out for scoped ones."""

    publish: SubjectList = field(default_factory=SubjectList, name="pub")
    subscribe: SubjectList = field(default_factory=SubjectList, name="sub")
    responses: ResponseGrant | None = field(default=None, name="resp")
    source_networks: tuple[str, ...] = field(default=(), name="src")
    times: tuple[TimeRange, ...] = ()
    times_location: str = ""
    subscriptions: Integer = field(default=0, name="subs")
    data: Integer = 0
    payload: Integer = 0
    bearer_token: bool = False
    proxy_required: bool = False
    allowed_connection_types: tuple[str, ...] = ()

    @classmethod
    def fresh(cls) -> "UserGrant":
        """What tools begin with: nothing restricted."""
        return cls(subscriptions=UNLIMITED, data=UNLIMITED, payload=UNLIMITED)

    @property
    def is_empty(self) -> bool:
        """Does it say nothing at all, as a user of a scoped key must?"""
        return self == UserGrant()

    @property
    def permissions(self) -> Permissions | None:
        """None: no permissions of its own, the account's defaults apply."""
        return house_permissions(self.publish, self.subscribe, self.responses)


#: JSON members that belong to a grant and stand directly in ``nats`` of a user claim.
GRANT_MEMBERS = frozenset(
    {
        "pub",
        "sub",
        "resp",
        "src",
        "times",
        "times_location",
        "subs",
        "data",
        "payload",
        "bearer_token",
        "proxy_required",
        "allowed_connection_types",
    }
)


def shaped_grant(raw: dict[str, Any]) -> dict[str, Any]:
    """``src`` was once a text with commas."""
    networks = raw.get("src")
    if isinstance(networks, str):
        raw = {**raw, "src": [part.strip() for part in networks.lower().split(",") if part.strip()]}
    return raw
