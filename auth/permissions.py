"""Permissions as values: what a user may publish and subscribe to, wherever it was written down.

A configuration file, a user JWT and a scoped signing key all end as one of these; the engine compiles them, and
``gossamer.auth.policy`` says which entry decided (spec auth section 15).
"""

from msgspec import Struct

#: Defaults of ``allow_responses`` (spec auth section 15.5): one message within two minutes.
RESPONSE_MESSAGES_DEFAULT = 1
RESPONSE_TTL_DEFAULT_NS = 120 * 1_000_000_000


class SubjectPermissions(Struct, frozen=True, kw_only=True):
    """One direction. ``allow`` None: no allow list, everything passes; (): nothing passes. Deny wins.

    In the subscribe direction an entry may be ``"subject queue"``, one blank between.
    """

    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] = ()


class ResponsePermissions(Struct, frozen=True, kw_only=True):
    """A receiver may publish to the reply subject of a message it got: so often, so long. Negative: unlimited."""

    max_messages: int = RESPONSE_MESSAGES_DEFAULT
    ttl_ns: int = RESPONSE_TTL_DEFAULT_NS


class Permissions(Struct, frozen=True, kw_only=True):
    """Both directions, and responses. The empty value restricts nothing."""

    publish: SubjectPermissions = SubjectPermissions()
    subscribe: SubjectPermissions = SubjectPermissions()
    responses: ResponsePermissions | None = None
