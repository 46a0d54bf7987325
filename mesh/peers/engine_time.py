"""Times of day on the engine's clock, for deadlines that the engine keeps."""

from typing import TYPE_CHECKING

from gossamer.mesh.world import Clock

if TYPE_CHECKING:
    from gossamer.mesh.engine.core import Engine


#: Some 146 years after the engine's beginning.
LATEST_NS = 1 << 62


class EngineTime:
    """The engine counts from a moment of its own. The distance to our monotonic clock is measured once; time of day is
    looked at anew each time, so a corrected clock moves only deadlines set later."""

    __slots__ = ("_clock", "_engine", "_offset_ns")

    def __init__(self, engine: "Engine", clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._offset_ns: int | None = None

    def of_wall(self, wall_ns: int) -> int:
        """The engine's time at that time of day; never 0, which would mean no deadline, nor more than it can hold:
        credentials may name any year."""
        monotonic_ns = self._clock.monotonic_ns()
        if self._offset_ns is None:
            self._offset_ns = self._engine.totals().now_ns - monotonic_ns
        return min(max(1, wall_ns - self._clock.wall_ns() + monotonic_ns + self._offset_ns), LATEST_NS)
