"""Who may publish and subscribe to what, and which rule says so (spec auth section 15).

Plain, slow and readable: the engine compiles the same permissions and is tested against this; ``explain`` shows what
this says. Deny wins over allow.

Subscribing differs from nats-server on purpose (section 26.1): there, a wildcard in the subscription is taken for a
literal, so that ``allow "a.*"`` lets ``a.>`` in and with it ``a.b.c``. Here a subscription must be *contained* in an
allow entry. ``literal_wildcards=True`` gives the old behaviour. Deny entries are looked up as nats-server does, and a
delivery filter hides what a wider subscription would otherwise bring in.
"""

from collections.abc import Iterable

from msgspec import Struct

from gossamer.auth.permissions import Permissions, SubjectPermissions
from gossamer.auth.subjects import covers, has_wildcards, matches, overlaps

NO_RESTRICTION = "no restriction"
EMPTY_ALLOW = "the allow list is empty"
NOT_ALLOWED = "no allow entry covers it"
ONLY_RESPONSES = "allow_responses without an allow list permits responses only"


class Verdict(Struct, frozen=True, kw_only=True):
    """``rule`` is the entry that decided (``deny "ok.no"``), or why none did. ``response_may_allow``: refused by the
    lists, but allowed as long as the subject is a pending reply of a message the client was given."""

    allowed: bool
    rule: str
    response_may_allow: bool = False

    def __bool__(self) -> bool:
        """Allowed?"""
        return self.allowed


def may_publish(permissions: Permissions | None, subject: str) -> Verdict:
    """May a message be published on this literal subject (before mappings)?"""
    if permissions is None:
        return Verdict(allowed=True, rule=NO_RESTRICTION)
    verdict = _publish_by_lists(permissions, subject)
    if verdict.allowed or permissions.responses is None:
        return verdict
    return Verdict(allowed=False, rule=verdict.rule, response_may_allow=True)


def _publish_by_lists(permissions: Permissions, subject: str) -> Verdict:
    lists = permissions.publish
    for entry in lists.deny:
        if matches(entry, subject):
            return _by("deny", entry, allowed=False)
    if lists.allow is None:
        if permissions.responses is not None:
            return Verdict(allowed=False, rule=ONLY_RESPONSES)
        return Verdict(allowed=True, rule=NO_RESTRICTION)
    for entry in lists.allow:
        if matches(entry, subject):
            return _by("allow", entry, allowed=True)
    return Verdict(allowed=False, rule=NOT_ALLOWED if lists.allow else EMPTY_ALLOW)


def may_subscribe(
    permissions: Permissions | None, subject: str, queue: str = "", *, literal_wildcards: bool = False
) -> Verdict:
    """May this subject, wildcards and all, be subscribed to (in this queue group, if one is named)?"""
    if permissions is None:
        return Verdict(allowed=True, rule=NO_RESTRICTION)
    verdict = _allowed_subscription(permissions.subscribe, subject, queue, literal_wildcards)
    if not verdict.allowed:
        return verdict
    for entry in permissions.subscribe.deny:
        denied, denied_queue = split_entry(entry)
        if matches(denied, subject) and (not denied_queue or (queue and _queue_matches(denied_queue, queue))):
            return _by("deny", entry, allowed=False)
    return verdict


def _allowed_subscription(lists: SubjectPermissions, subject: str, queue: str, literal_wildcards: bool) -> Verdict:
    if lists.allow is None:
        return Verdict(allowed=True, rule=NO_RESTRICTION)
    holds = matches if literal_wildcards else covers
    parts = [(entry, *split_entry(entry)) for entry in lists.allow]
    # Which entries name queues for it is always asked as nats-server does: to pass over one of them because it does
    # not contain the whole subscription would open to any queue what it reserves for its own.
    queued = [(entry, allowed, group) for entry, allowed, group in parts if group and matches(allowed, subject)]
    if queue and queued:
        for entry, allowed, group in queued:
            if _queue_matches(group, queue) and holds(allowed, subject):
                return _by("allow", entry, allowed=True)
        named = _listed(entry for entry, _, _ in queued)
        return Verdict(allowed=False, rule=f"its queue group is not let in by allow {named}")
    for entry, allowed, group in parts:
        if not group and holds(allowed, subject):
            return _by("allow", entry, allowed=True)
    if queued:
        return Verdict(allowed=False, rule=f"only in a queue group: allow {_listed(entry for entry, _, _ in queued)}")
    return Verdict(allowed=False, rule=NOT_ALLOWED if lists.allow else EMPTY_ALLOW)


def filters_delivery(permissions: Permissions | None, subject: str, queue: str = "") -> bool:
    """Does making this subscription turn on the delivery filter for the whole connection?

    It does when it is a wildcard or queue subscription and overlaps a deny entry.
    """
    if permissions is None or not (queue or has_wildcards(subject)):
        return False
    return any(overlaps(split_entry(entry)[0], subject) for entry in permissions.subscribe.deny)


def may_deliver(permissions: Permissions | None, subject: str, queue: str = "") -> Verdict:
    """With the filter on: may a message with this literal subject be delivered to a subscription (of this queue)?"""
    if permissions is not None:
        for entry in permissions.subscribe.deny:
            denied, denied_queue = split_entry(entry)
            if matches(denied, subject) and (not denied_queue or (queue and _queue_matches(denied_queue, queue))):
                return _by("deny", entry, allowed=False)
    return Verdict(allowed=True, rule=NO_RESTRICTION)


def split_entry(entry: str) -> tuple[str, str]:
    """Subject and queue (empty: none) of a subscribe entry."""
    subject, _, queue = entry.partition(" ")
    return subject, queue


def _queue_matches(pattern: str, queue: str) -> bool:
    return pattern == queue or matches(pattern, queue)


def _by(list_name: str, entry: str, *, allowed: bool) -> Verdict:
    return Verdict(allowed=allowed, rule=f'{list_name} "{entry}"')


def _listed(entries: Iterable[str]) -> str:
    return ", ".join(f'"{entry}"' for entry in entries)
