"""A node's clock: the loop's time seen through a wrong wall clock and a crystal that is off."""

from gossamer.mesh.sim.loop import VirtualLoop

#: 2026-01-01 00:00:00 UTC: the time of day at which every simulation begins.
EPOCH_NS = 1_767_225_600 * 1_000_000_000
_MILLION = 1_000_000


class SimulatedClock:
    """``skew_ns``: how far the time of day is off; ``drift_ppm``: how much faster this machine's time goes, in parts
    per million; ``boot_ns``: what the monotonic clock showed at the beginning."""

    def __init__(
        self, loop: VirtualLoop, *, skew_ns: int = 0, drift_ppm: int = 0, boot_ns: int = 1_000_000_000
    ) -> None:
        self._loop = loop
        self.skew_ns = skew_ns
        self.drift_ppm = drift_ppm
        self.boot_ns = boot_ns

    def wall_ns(self) -> int:
        return EPOCH_NS + self.skew_ns + self._passed_ns()

    def monotonic_ns(self) -> int:
        return self.boot_ns + self._passed_ns()

    def true_ns(self, duration_ns: int) -> int:
        """How long that time of this clock takes."""
        return duration_ns * _MILLION // (_MILLION + self.drift_ppm)

    def _passed_ns(self) -> int:
        now_ns = self._loop.now_ns
        return now_ns + now_ns * self.drift_ppm // _MILLION
