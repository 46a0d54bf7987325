"""How punctual is the control plane? A 2 ms timer on the node's loop, measured for a benchmark."""

import asyncio
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from gossamer.mesh.world import Clock, Disk

INTERVAL_NS = 2_000_000
#: About half an hour of samples; then the oldest half is dropped.
_SAMPLES_MAX = 1_000_000


class TimerProbe:
    """Lateness of each tick against the moment it was due. The loop's own time is too coarse to measure with."""

    __slots__ = ("_at_ns", "_clock", "_due_ns", "_handle", "_late_ns", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: "Clock") -> None:
        self._loop = loop
        self._clock = clock
        self._at_ns: list[int] = []
        self._late_ns: list[int] = []
        self._due_ns = 0
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._arm(self._clock.monotonic_ns())

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()

    def write(self, path: str, disk: "Disk") -> None:
        """JSON with ``interval_ms``, ``at_s`` (monotonic time of each tick) and ``late_ms``. Raises OSError."""
        document = {
            "interval_ms": INTERVAL_NS / 1e6,
            "at_s": [at / 1e9 for at in self._at_ns],
            "late_ms": [late / 1e6 for late in self._late_ns],
        }
        disk.write(path, msgspec.json.encode(document))

    def _arm(self, now_ns: int) -> None:
        self._due_ns = now_ns + INTERVAL_NS
        self._handle = self._loop.call_later(INTERVAL_NS / 1e9, self._tick)

    def _tick(self) -> None:
        now_ns = self._clock.monotonic_ns()
        if len(self._at_ns) >= _SAMPLES_MAX:
            del self._at_ns[: _SAMPLES_MAX // 2]
            del self._late_ns[: _SAMPLES_MAX // 2]
        self._at_ns.append(now_ns)
        self._late_ns.append(max(0, now_ns - self._due_ns))
        self._arm(now_ns)
