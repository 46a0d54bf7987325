"""Time: of day for stamps and expiry, monotonic for intervals."""

import time
from typing import Protocol


class Clock(Protocol):
    """Both in nanoseconds. Deadlines belong to the event loop; this is for stamps and for measuring."""

    def wall_ns(self) -> int:
        """Time of day since 1970 in UTC."""
        ...

    def monotonic_ns(self) -> int:
        """Time since an arbitrary moment; never goes back."""
        ...


class SystemClock:
    """The machine's clock."""

    __slots__ = ()

    def wall_ns(self) -> int:
        return time.time_ns()

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()
