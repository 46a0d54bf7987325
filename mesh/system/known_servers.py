"""The other servers that speak on the system account (spec system-and-monitoring section 4.1).

A server is known from its first heartbeat, or its first account numbers, on; it goes with its SHUTDOWN or LAMEDUCK,
when the last route to it ends, or when it was silent for too long.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from gossamer.mesh.system.voice import Voice

if TYPE_CHECKING:
    from gossamer.mesh.engine.events import Message
    from gossamer.mesh.node import Node

_SECOND_NS = 1_000_000_000
#: Silent for so long: gone. Looked after every ``SWEEP_S``.
SILENT_NS = 150 * _SECOND_NS
SWEEP_S = 90.0
#: Servers remembered: whoever may publish on the system account could invent any number.
KNOWN_MAX = 10_000


class _Sender(Struct, frozen=True):
    id: str
    seq: int = 0


class _Route(Struct, frozen=True):
    name: str = ""


class _Numbers(Struct, frozen=True):
    routes: list[_Route] = []


class _Heartbeat(Struct, frozen=True):
    server: _Sender
    statsz: _Numbers = _Numbers()


class _Seen(Struct):
    sequence: int
    at_ns: int
    routed: bool = False  # has there been a route to it?


_heartbeat = msgspec.json.Decoder(_Heartbeat).decode
_sender = msgspec.json.Decoder(_Sender).decode


class KnownServers:
    """``came`` is called for every new one, ``left`` for every one that goes."""

    def __init__(self, node: "Node", voice: Voice) -> None:
        self._node = node
        self._voice = voice
        self._seen: dict[str, _Seen] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.came: Callable[[str], None] = lambda server: None
        self.left: Callable[[str], None] = lambda server: None

    def start(self) -> None:
        number, subscribe = self._voice.account.number, self._node.subscribe
        subscribe(number, b"$SYS.SERVER.*.STATSZ", self._heard)
        subscribe(number, b"$SYS.SERVER.*.SHUTDOWN", self._leaving)
        subscribe(number, b"$SYS.SERVER.*.LAMEDUCK", self._leaving)
        self._timer = asyncio.get_running_loop().call_later(SWEEP_S, self._sweep)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def active(self) -> int:
        """How many servers there are, this one included: those that speak, and those with a route to us."""
        return 1 + len(self._seen.keys() | self._routed())

    def __contains__(self, server: str) -> bool:
        return server in self._seen

    def heard_from(self, server: str) -> None:
        """It spoke, without a number that could be compared."""
        self._note(server, 0)

    def forget(self, server: str) -> None:
        """It is gone."""
        if self._seen.pop(server, None) is not None:
            self.left(server)

    def routes_changed(self) -> None:
        """Some route has ended: a server that had one and has none cannot be heard, nor can its clients be here."""
        routed = self._routed()
        for server in [server for server, seen in self._seen.items() if seen.routed and server not in routed]:
            self.forget(server)

    def _routed(self) -> set[str]:
        routes = self._node.routes
        return {row.remote_id for row in routes.routez()} if routes is not None else set()

    def _heard(self, message: "Message") -> None:
        if not message.link:
            return  # our own
        try:
            heartbeat = _heartbeat(message.data[message.header_size :])
        except msgspec.DecodeError:
            return
        server = heartbeat.server
        if server.id == self._voice.server_id:
            return
        self._note(server.id, server.seq)
        if self._node.routes is not None:
            self._node.routes.has_routes_to(server.id, {route.name for route in heartbeat.statsz.routes})

    def _note(self, server: str, sequence: int) -> None:
        now_ns = self._node.world.clock.monotonic_ns()
        seen = self._seen.get(server)
        if seen is None:
            if len(self._seen) < KNOWN_MAX:
                self._seen[server] = _Seen(sequence, now_ns, server in self._routed())
                self.came(server)
        elif sequence and sequence <= seen.sequence:
            self._node.journal.debug(f"Received out of order update from server {server}: {sequence} is not new")
        else:
            seen.sequence = sequence or seen.sequence
            seen.at_ns = now_ns
            seen.routed = seen.routed or server in self._routed()

    def _leaving(self, message: "Message") -> None:
        if not message.link:
            return
        try:
            self.forget(_sender(message.data[message.header_size :]).id)
        except msgspec.DecodeError:
            pass

    def _sweep(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(SWEEP_S, self._sweep)
        self.forget_silent()

    def forget_silent(self) -> None:
        """Those that were not heard for too long are gone."""
        late_ns = self._node.world.clock.monotonic_ns() - SILENT_NS
        for server in [server for server, seen in self._seen.items() if seen.at_ns < late_ns]:
            self.forget(server)
