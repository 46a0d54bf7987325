"""Subjects and permission lists inside claims (spec auth section 5)."""

from collections.abc import Iterable
from typing import Protocol
from urllib.parse import urlsplit

from gossamer.auth.issues import Findings, quoted

INFO_BYTES_MAX = 8 * 1024


class Lists(Protocol):
    """One direction of permissions."""

    @property
    def allow(self) -> tuple[str, ...]:
        """Entries that allow."""

    @property
    def deny(self) -> tuple[str, ...]:
        """Entries that deny."""


def check_subject(subject: str, found: Findings) -> None:
    """A subject as claims may hold it."""
    if not subject:
        found.block("subject cannot be empty")
        return
    if " " in subject:
        found.block(f"subject {quoted(subject)} cannot have spaces")
    if subject.startswith(".") or subject.endswith("."):
        found.block(f"subject {quoted(subject)} cannot start or end with a `.`")
    if ".." in subject:
        found.block(f"subject {quoted(subject)} cannot contain consecutive `.`")


def check_permissions(publish: Lists, subscribe: Lists, found: Findings) -> None:
    """Both directions; only subscriptions know queues."""
    _check_entries((*publish.allow, *publish.deny), False, found)
    _check_entries((*subscribe.allow, *subscribe.deny), True, found)


def _check_entries(entries: Iterable[str], queues: bool, found: Findings) -> None:
    for entry in entries:
        parts = entry.split(" ")
        if len(parts) > 2:
            found.block(f"Permission Subject {quoted(entry)} contains too many spaces")
        elif len(parts) == 2 and not queues:
            found.block(f"Permission Subject {quoted(entry)} is not allowed to contain queue")
        else:
            for part in parts:
                check_subject(part, found)


def check_information(description: str, info_url: str, found: Findings) -> None:
    """Description and link of an account or export."""
    if len(description.encode(errors="replace")) > INFO_BYTES_MAX:
        found.block("description is too long")
    if len(info_url.encode(errors="replace")) > INFO_BYTES_MAX:
        found.block("info url is too long")
    elif info_url:
        try:
            parts = urlsplit(info_url)
            complete = bool(parts.scheme and parts.hostname)
        except ValueError:
            complete = False
        if not complete:
            found.block(f"info url {quoted(info_url)} needs a scheme and a host")
