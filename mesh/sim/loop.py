"""An event loop whose time is virtual: it leaps to the next timer instead of waiting.

Nothing comes from outside: no sockets, no signals, no threads (``run_in_executor`` does the work at once). What runs
when is therefore decided by the times of the timers alone, and those by the seed.
"""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

_T = TypeVar("_T")
_SECOND_NS = 1_000_000_000


class NothingLeft(Exception):
    """Somebody waits, and no timer will ever wake them."""


class VirtualLoop(asyncio.BaseEventLoop):
    """``now_ns`` counts from 0 at the loop's birth."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ns = 0
        self.turns = 0  # how often the loop looked for something to do
        self._clock_resolution = 1e-9
        self._selector = _Leap(self)  # BaseEventLoop asks it how long to wait

    def time(self) -> float:
        return self.now_ns / _SECOND_NS

    def after_ns(self, delay_ns: int, callback: Callable[..., object], *arguments: Any) -> asyncio.TimerHandle:
        """``call_later`` in nanoseconds."""
        return self.call_at((self.now_ns + max(delay_ns, 0)) / _SECOND_NS, callback, *arguments)

    def run_in_executor(  # type: ignore[override]
        self, executor: object, function: Callable[..., _T], *arguments: Any
    ) -> "asyncio.Future[_T]":
        future: asyncio.Future[_T] = self.create_future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future

    def _process_events(self, events: list[object]) -> None:
        """There are none: the leap returns an empty list."""

    def _write_to_self(self) -> None:
        """Nobody else is there to be woken by."""


class _Leap:
    """What BaseEventLoop takes for its selector."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[object]:
        self._loop.turns += 1
        if timeout is None:
            raise NothingLeft("no timer is set and nothing is ready: whoever waits now waits for ever")
        if timeout > 0:
            self._loop.now_ns += max(1, int(timeout * _SECOND_NS + 0.5))
        return []
