"""Where clients come in: one listener of the engine, programmed anew when INFO or the need to authenticate changes."""

import os
from typing import TYPE_CHECKING

from gossamer.mesh.engine.kinds import LinkKind
from gossamer.mesh.peers.judge import Judge
from gossamer.mesh.peers.welcome import Welcome

if TYPE_CHECKING:
    from gossamer.mesh.engine.core import Engine


class ClientListener:
    """``open`` once, ``refresh`` whenever the welcome changed, ``close`` to take nobody any more."""

    __slots__ = ("_engine", "_judge", "_spare", "_timeout_ns", "_welcome", "number", "port")

    def __init__(self, engine: "Engine", welcome: Welcome, judge: Judge, port: int) -> None:
        self._engine = engine
        self._welcome = welcome
        self._judge = judge
        self._spare = -1  # the same socket once more, to listen again with another timeout
        self._timeout_ns = 0
        self.number = 0
        self.port = port

    @property
    def is_open(self) -> bool:
        return self.number != 0

    def open(self, descriptor: int | None) -> None:
        """Take over a listening socket (None: memory links only)."""
        if descriptor is not None:
            self._spare = os.dup(descriptor)
        self._listen(descriptor)

    def refresh(self, judge: Judge | None = None) -> None:
        """Newcomers get the INFO of now; with another ``judge``, also its time to authenticate."""
        if not self.is_open:
            return
        if judge is not None:
            self._judge = judge
        if self._judge.timeout_ns == self._timeout_ns:
            self._engine.set_info(self.number, self._welcome.template())
            return
        old = self.number
        self._listen(os.dup(self._spare) if self._spare >= 0 else None)
        self._engine.close_listener(old)

    def close(self) -> None:
        if self.is_open:
            self._engine.close_listener(self.number)
            self.number = 0
        if self._spare >= 0:
            os.close(self._spare)
            self._spare = -1

    def _listen(self, descriptor: int | None) -> None:
        self._timeout_ns = self._judge.timeout_ns
        self.number = self._engine.listen(
            descriptor, kind=LinkKind.CLIENT, info=self._welcome.template(), auth_timeout_ns=self._timeout_ns
        )
