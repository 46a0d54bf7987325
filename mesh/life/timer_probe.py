"""How punctual is the control plane? A 2 ms timer on the node's loop, measured for a benchmark."""

import asyncio
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from gossamer.mesh.world import Disk

INTERVAL_S = 0.002
#: About half an hour of samples; then the oldest half is dropped.
_SAMPLES_MAX = 1_000_000


class TimerProbe:
    """Lateness of each tick against the moment it was due, in milliseconds."""

    __slots__ = ("_due_s", "_handle", "_loop", "_samples_ms")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._samples_ms: list[float] = []
        self._due_s = 0.0
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._due_s = self._loop.time() + INTERVAL_S
        self._handle = self._loop.call_at(self._due_s, self._tick)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()

    def write(self, path: str, disk: "Disk") -> None:
        """JSON with ``p50_ms``, ``p99_ms``, ``max_ms``, ``samples``. Raises OSError."""
        ordered = sorted(self._samples_ms) or [0.0]
        document = {
            "p50_ms": round(ordered[len(ordered) // 2], 3),
            "p99_ms": round(ordered[int(len(ordered) * 0.99)], 3),
            "max_ms": round(ordered[-1], 3),
            "samples": len(self._samples_ms),
        }
        disk.write(path, msgspec.json.encode(document))

    def _tick(self) -> None:
        now_s = self._loop.time()
        if len(self._samples_ms) >= _SAMPLES_MAX:
            del self._samples_ms[: _SAMPLES_MAX // 2]
        self._samples_ms.append(max(0.0, now_s - self._due_s) * 1000)
        self._due_s = max(self._due_s + INTERVAL_S, now_s)
        self._handle = self._loop.call_at(self._due_s, self._tick)
