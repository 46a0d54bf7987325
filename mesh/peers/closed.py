"""The last connections that ended: what /connz shows with ``state=closed`` (spec system-and-monitoring 11.1)."""

from collections import deque
from collections.abc import Iterator

from msgspec import Struct

from gossamer.auth.reasons import Reason
from gossamer.mesh.engine.kinds import CloseReason


class ClosedClient(Struct, frozen=True, gc=False):
    """A client that is gone, with its final counters. Times of day in nanoseconds."""

    link: int
    host: str
    port: int
    start_ns: int
    stop_ns: int
    reason: CloseReason
    error: str  # the -ERR text that went out, if any
    account: str
    user: str
    name: str
    lang: str
    version: str
    in_messages: int
    out_messages: int
    in_bytes: int
    out_bytes: int
    subscriptions: int
    rtt_ns: int
    pending_bytes: int
    because: Reason | None = None  # why we ended it; None: it left by itself, or nobody can say
    jwt: str = ""  # never that of a bearer, which would let anybody in
    issuer: str = ""
    tags: tuple[str, ...] = ()


class ClosedRing:
    """The newest ``limit`` entries; older ones fall out."""

    __slots__ = ("_entries", "total")

    def __init__(self, limit: int) -> None:
        self._entries: deque[ClosedClient] = deque(maxlen=max(0, limit))
        self.total = 0

    def __iter__(self) -> Iterator[ClosedClient]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, entry: ClosedClient) -> None:
        self._entries.append(entry)
        self.total += 1
