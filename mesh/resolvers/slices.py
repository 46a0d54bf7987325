"""Long work in short pieces: the event loop goes on in between."""

import asyncio
from collections.abc import Callable, Iterator

from gossamer.mesh.world import Clock

#: A piece takes about this long, then everybody else has a turn.
_PIECE_NS = 4_000_000
_PAUSE_S = 0.001


class Slices:
    """Drives generators that ``yield`` after each small step."""

    def __init__(self, clock: Clock, failed: Callable[[Exception], None]) -> None:
        """``failed`` is told what a generator raises; that work is over."""
        self._clock = clock
        self._failed = failed
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._numbers = 0
        self._stopped = False

    def begin(self, work: Iterator[None], done: Callable[[], None] | None = None) -> None:
        """The first piece at once; ``done`` after the last. Nothing is begun any more after ``stop``."""
        if self._stopped:
            return
        self._numbers += 1
        self._go_on(self._numbers, work, done)

    def stop(self) -> None:
        """Drop whatever is not finished: also what a piece of work is in the middle of, at its next step."""
        self._stopped = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _go_on(self, number: int, work: Iterator[None], done: Callable[[], None] | None) -> None:
        self._timers.pop(number, None)
        until_ns = self._clock.monotonic_ns() + _PIECE_NS
        try:
            for _ in work:
                if self._stopped:
                    return
                if self._clock.monotonic_ns() >= until_ns:
                    self._timers[number] = asyncio.get_running_loop().call_later(
                        _PAUSE_S, self._go_on, number, work, done
                    )
                    return
        except Exception as error:
            self._failed(error)
            return
        if done is not None:
            done()
