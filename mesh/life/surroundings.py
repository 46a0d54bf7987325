"""What a node's server links take from outside, beside its ``World``: sockets, time on the loop, dialling.

``Surroundings`` are the real ones. ``SteppedSurroundings`` open nothing: for a node that is driven by hand. A simulator
hands its own to ``Node(surroundings=...)``, and so replaces these for routes, gateways and leaf nodes alike.
"""

import asyncio
from typing import TYPE_CHECKING

from gossamer.mesh.monitor.process import ProcessorShare
from gossamer.mesh.peers.route_world import Dialer, Scheduler
from gossamer.mesh.world import Randomness
from gossamer.mesh.world.listening import BoundSocket, bind

if TYPE_CHECKING:
    from gossamer.mesh.engine.core import Engine


class Surroundings:
    """Asked while a node starts, on its loop. ``link_engine`` before ``bind``, ``scheduler`` and ``dialer``."""

    def processor(self, now_ns: int) -> ProcessorShare:
        """How busy this process is."""
        return ProcessorShare(now_ns)

    def link_engine(self, engine: "Engine") -> "Engine":
        """The engine as managers of server links use it: ``listen`` and ``adopt`` take what ``bind`` and the dialer
        gave them."""
        return engine

    def bind(self, host: str, port: int, *, what: str, option: str) -> BoundSocket:
        """Listen there. Its ``descriptor`` is -1 where only memory links come in. Raises PortTaken."""
        return bind(host, port, what=what, option=option)

    def scheduler(self) -> Scheduler:
        from gossamer.mesh.peers.route_dialer import LoopScheduler

        return LoopScheduler(asyncio.get_running_loop())

    def dialer(self, randomness: Randomness) -> Dialer:
        from gossamer.mesh.peers.route_dialer import LoopDialer

        return LoopDialer(asyncio.get_running_loop(), randomness)


class SteppedSurroundings(Surroundings):
    """No port is opened."""

    def bind(self, host: str, port: int, *, what: str, option: str) -> BoundSocket:
        return BoundSocket(-1, host, max(0, port))


def listening_descriptor(bound: BoundSocket) -> int | None:
    """What ``Engine.listen`` takes: None where only memory links come in."""
    return bound.descriptor if bound.descriptor >= 0 else None
