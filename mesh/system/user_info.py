"""``$SYS.REQ.USER.INFO``: a client asks who it is and what it may do (spec auth section 23.3)."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gossamer.auth.permissions import Permissions, SubjectPermissions
    from gossamer.mesh.peers.client import Client

_SECOND_NS = 1_000_000_000
#: The longest time that clients can read: they count nanoseconds in 63 bits.
_LONGEST_S = (1 << 63) // _SECOND_NS


def user_info(client: "Client", now_ns: int) -> dict[str, Any]:
    """The ``data`` of the answer; ``now_ns`` is time of day. ``expires`` is what remains, in whole seconds."""
    fields: dict[str, Any] = {"user": client.user}
    if client.account is not None:
        fields["account"] = client.account.name
        fields["account_name"] = client.account.label or client.account.name
    admission = client.admission
    if admission is None:
        return fields
    if admission.user_name:
        fields["user_name"] = admission.user_name
    if client.permissions is not None:
        fields["permissions"] = _permissions(client.permissions.value)
    ends = [end for end in (admission.expires_at, admission.account_expires_at) if end is not None]
    if ends:
        left_s = min(max(0, min(ends) - now_ns // _SECOND_NS), _LONGEST_S)
        fields["expires"] = left_s * _SECOND_NS
    return fields


def _permissions(value: "Permissions") -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, direction in (("publish", value.publish), ("subscribe", value.subscribe)):
        lists = _lists(direction)
        if lists:
            fields[name] = lists
    if value.responses is not None:
        fields["responses"] = {"max": value.responses.max_messages, "ttl": value.responses.ttl_ns}
    return fields


def _lists(direction: "SubjectPermissions") -> dict[str, list[str]]:
    lists = {}
    if direction.allow is not None:
        lists["allow"] = list(direction.allow)
    if direction.deny:
        lists["deny"] = list(direction.deny)
    return lists
