"""Subscriptions in monitoring documents: as plain subjects or in detail (spec system-and-monitoring section 11)."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gossamer.mesh.engine.core import SubscriptionDetail


def subject_text(entry: "SubscriptionDetail") -> str:
    return entry.subject.decode("utf-8", "replace")


def detail(entry: "SubscriptionDetail", *, account: str = "", account_tag: str = "") -> dict[str, object]:
    """SubDetail; ``account`` only where the document says it (/subsz)."""
    fields: dict[str, object] = {}
    if account:
        fields["account"] = account
    if account_tag:
        fields["account_tag"] = account_tag
    fields["subject"] = subject_text(entry)
    if entry.queue:
        fields["qgroup"] = entry.queue.decode("utf-8", "replace")
    fields["sid"] = entry.sid.decode("utf-8", "replace")
    fields["msgs"] = entry.messages
    if entry.max_messages:
        fields["max"] = entry.max_messages
    fields["cid"] = entry.link
    return fields
