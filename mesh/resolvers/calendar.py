"""Is the time of day to be believed, when files are removed by it? A clock that jumps must not empty a directory."""

from gossamer.mesh.logs.log import Log
from gossamer.mesh.world import Clock

_SECOND_NS = 1_000_000_000
#: The time of day may run ahead of the monotonic clock by this between two looks.
_DRIFT_NS = 300 * _SECOND_NS
#: After a jump nothing is removed for so long: time to set the clock right.
_DOUBT_NS = 3600 * _SECOND_NS


class Calendar:
    """Compares both clocks of the machine."""

    def __init__(self, clock: Clock, log: Log) -> None:
        """``log`` is told of a jump."""
        self._clock = clock
        self._log = log
        self._ahead_ns = self._ahead()
        self._doubt_until_ns: int | None = None  # of the monotonic clock

    def trusted(self) -> bool:
        """False for an hour after the time of day has jumped forward, unless it jumps back."""
        ahead_ns, now_ns = self._ahead(), self._clock.monotonic_ns()
        jump_ns, self._ahead_ns = ahead_ns - self._ahead_ns, ahead_ns
        if jump_ns > _DRIFT_NS:
            self._doubt_until_ns = now_ns + _DOUBT_NS
            self._log.warning(
                f"The time of day has jumped {jump_ns // _SECOND_NS} s forward: expired account files are kept for "
                f"{_DOUBT_NS // _SECOND_NS} s, in case it is wrong"
            )
        elif jump_ns < -_DRIFT_NS or (self._doubt_until_ns is not None and now_ns >= self._doubt_until_ns):
            self._doubt_until_ns = None
        return self._doubt_until_ns is None

    def _ahead(self) -> int:
        return self._clock.wall_ns() - self._clock.monotonic_ns()
