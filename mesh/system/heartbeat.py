"""STATSZ of this server: a heartbeat for others, and whenever somebody asks for it (section 3.1).

The first one comes 250 ms after the start, then the gap doubles up to 10 s; unless asked for, never two within a
second. A server without peers speaks only to listeners.
"""

import asyncio
from typing import TYPE_CHECKING, Any

from gossamer.mesh.system.statsz import statsz
from gossamer.mesh.system.voice import Voice

if TYPE_CHECKING:
    from gossamer.mesh.node import Node
    from gossamer.mesh.system.known_servers import KnownServers

FIRST_S = 0.25
GAP_MIN_S = 1.0
GAP_MAX_S = 10.0
_SECOND_NS = 1_000_000_000


class Heartbeat:
    """``start`` and ``stop``; ``beat`` sends one now."""

    def __init__(self, node: "Node", voice: Voice, known: "KnownServers") -> None:
        self._node = node
        self._voice = voice
        self._known = known
        self._subject = f"$SYS.SERVER.{voice.server_id}.STATSZ".encode()
        self._gap_s = GAP_MIN_S
        self._beat_ns: int | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._after(FIRST_S)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def message(self) -> dict[str, Any]:
        """The content, numbered."""
        return {"server": self._voice.server_info.take(), "statsz": statsz(self._node, self._known.active)}

    def beat(self, *, asked: bool = False) -> None:
        """Tell everybody; if that was done within the last second and nobody ``asked`` for it, a second later."""
        now_ns = self._node.world.clock.monotonic_ns()
        if not asked and self._beat_ns is not None and now_ns - self._beat_ns < _SECOND_NS:
            if self._timer is not None and self._timer.when() - asyncio.get_running_loop().time() > GAP_MIN_S:
                self._after(GAP_MIN_S)
            return
        self._beat_ns = now_ns
        self._voice.say(self._subject, self.message())

    def _after(self, delay_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._due)

    def _due(self) -> None:
        self._timer = None
        if self._node.routes is not None or self._voice.is_heard(self._subject):
            self.beat()
        if self._timer is None:
            self._after(self._gap_s)
        self._gap_s = min(GAP_MAX_S, self._gap_s * 2)
