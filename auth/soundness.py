"""Permissions that can be enforced: every entry a subject, and a queue where one may stand.

Claims may hold entries that are no subjects (``a.>.b``). Such an allow entry matches nothing and is dropped; such a
deny entry would silently protect nothing, so nobody gets in with it.
"""

from msgspec import structs

from gossamer.auth.permissions import Permissions, SubjectPermissions
from gossamer.auth.subjects import is_valid


def sound(permissions: Permissions | None) -> tuple[Permissions | None, str]:
    """The permissions without allow entries that mean nothing, and the first deny entry that does (empty: none)."""
    if permissions is None:
        return None, ""
    publish, bad_publish = _sound_lists(permissions.publish, queues=False)
    subscribe, bad_subscribe = _sound_lists(permissions.subscribe, queues=True)
    return structs.replace(permissions, publish=publish, subscribe=subscribe), bad_publish or bad_subscribe


def _sound_lists(lists: SubjectPermissions, *, queues: bool) -> tuple[SubjectPermissions, str]:
    bad = next((entry for entry in lists.deny if not _is_entry(entry, queues)), "")
    if lists.allow is None or all(_is_entry(entry, queues) for entry in lists.allow):
        return lists, bad
    return structs.replace(lists, allow=tuple(entry for entry in lists.allow if _is_entry(entry, queues))), bad


def _is_entry(entry: str, queues: bool) -> bool:
    parts = entry.split(" ") if queues else [entry]
    return len(parts) <= 2 and all(is_valid(part) for part in parts)
