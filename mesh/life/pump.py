"""Events of the engine on the control plane's loop.

The engine wakes us through its descriptor; ``drain`` empties its mailbox at once. Ten thousand clients that connect in
the same moment are ten thousand events: they are handled in slices, so that timers stay punctual meanwhile, and the
mailbox is left alone (its own bound holds) until the last slice is done.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gossamer.mesh.world import Clock

if TYPE_CHECKING:
    from gossamer.mesh.engine.core import Engine
    from gossamer.mesh.engine.events import Event

#: How long events may keep the loop before everything else has its turn.
SLICE_NS = 3_000_000
#: Events between two looks at the clock.
_STRIDE = 16

Handler = Callable[[Any], object]


class Pump:
    """Dispatches by the type of the event. A handler that raises is reported and costs only its event."""

    __slots__ = ("_backlog", "_clock", "_engine", "_failed", "_handlers", "_loop", "_waiting")

    def __init__(
        self, engine: "Engine", clock: Clock, handlers: dict[type, Handler], failed: Callable[[Exception], None]
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._handlers = handlers
        self._failed = failed
        self._backlog: deque[Event] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting = False

    @property
    def backlog(self) -> int:
        """Events taken from the engine that wait for their turn."""
        return len(self._backlog)

    def handle(self, kind: type, handler: Handler) -> None:
        """Have events of one more type handled."""
        self._handlers[kind] = handler

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        loop.add_reader(self._engine.wakeup_fd, self.turn)

    def stop(self) -> None:
        """No further event is handled, except by ``finish``."""
        if self._loop is not None:
            self._loop.remove_reader(self._engine.wakeup_fd)
            self._loop = None

    def finish(self) -> None:
        """Handle everything there is, now."""
        self._backlog.extend(self._engine.drain())
        while self._backlog:
            self._handle(self._backlog.popleft())

    def turn(self) -> None:
        """Handle events for at most one slice."""
        backlog = self._backlog
        if not backlog:
            backlog.extend(self._engine.drain())
        end_ns = self._clock.monotonic_ns() + SLICE_NS
        handle, count = self._handle, 0
        while backlog:
            handle(backlog.popleft())
            count += 1
            if count % _STRIDE == 0 and self._clock.monotonic_ns() >= end_ns:
                break
        if self._loop is None:
            return
        if backlog:
            if not self._waiting:
                self._waiting = True
                self._loop.remove_reader(self._engine.wakeup_fd)
            self._loop.call_soon(self.turn)
        elif self._waiting:
            self._waiting = False
            self._loop.add_reader(self._engine.wakeup_fd, self.turn)

    def _handle(self, event: "Event") -> None:
        handler = self._handlers.get(type(event))
        if handler is None:
            return
        try:
            handler(event)
        except Exception as error:
            self._failed(error)
