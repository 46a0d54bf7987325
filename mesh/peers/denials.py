"""Why somebody may not: the last permissions violations, the last clients that were not let in, the last that were cut
off, each with the rule that decided. For logs, monitoring and explanations."""

from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

from msgspec import Struct

from gossamer.auth.reasons import Reason
from gossamer.mesh.engine.kinds import Action, CloseReason

#: How many of each are remembered.
REMEMBERED = 1000


class Denial(Struct, frozen=True, gc=False):
    """A client, let in, did what it may not. ``rule`` says which entry decided; ``at_ns`` is time of day."""

    at_ns: int
    link: int
    account: str
    user: str
    action: Action
    subject: str
    queue: str
    rule: str


class RefusedClient(Struct, frozen=True, gc=False):
    """A client was not let in. ``error`` is the -ERR it got, ``because`` what is true. Nothing here is a secret."""

    at_ns: int
    link: int
    host: str
    port: int
    account: str
    user: str
    reason: CloseReason
    error: str
    because: Reason


class ForcedClose(Struct, frozen=True, gc=False):
    """A client that had been let in was cut off. ``at_ns`` is time of day."""

    at_ns: int
    link: int
    host: str
    port: int
    account: str
    user: str
    reason: CloseReason
    error: str
    because: Reason


Entry = TypeVar("Entry", Denial, RefusedClient, ForcedClose)


class Ring(Generic[Entry]):
    """The newest entries. ``total`` counts all, those reported only as a number included."""

    __slots__ = ("_entries", "total")

    def __init__(self, limit: int = REMEMBERED) -> None:
        self._entries: deque[Entry] = deque(maxlen=limit)
        self.total = 0

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, entry: Entry, skipped: int = 0) -> None:
        """``skipped`` more came before this one without a report."""
        self._entries.append(entry)
        self.total += 1 + skipped
