"""The last permissions violations of a node, each with the rule that decided: for logs, monitoring and explanations."""

from collections import deque
from collections.abc import Iterator

from msgspec import Struct

from gossamer.mesh.engine.kinds import Action

#: How many are remembered.
DENIALS_MAX = 1000


class Denial(Struct, frozen=True, gc=False):
    """``rule`` says which entry decided, and where it stands; ``at_ns`` is time of day."""

    at_ns: int
    link: int
    account: str
    user: str
    action: Action
    subject: str
    queue: str
    rule: str


class DenialRing:
    """The newest denials. ``total`` counts all, those the engine reported only as a number included."""

    __slots__ = ("_entries", "total")

    def __init__(self, limit: int = DENIALS_MAX) -> None:
        self._entries: deque[Denial] = deque(maxlen=limit)
        self.total = 0

    def __iter__(self) -> Iterator[Denial]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, denial: Denial, skipped: int) -> None:
        """``skipped`` more came before this one without a report."""
        self._entries.append(denial)
        self.total += 1 + skipped
