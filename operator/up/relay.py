"""The relay between the clusters of a mesh on one machine: it carries bytes as a long line would, late but in order.

Each *wire* is a port of the relay that leads to one port of a node. What arrives waits for half of the round trip and
goes on; it is never cut, joined or dropped, and as much as ``QUEUE_BYTES`` may be on its way in each direction, so
that a line is long without being thin. A wire can be cut, with all that is on it, and mended.

A gateway's address is told from node to node, so every other cluster dials the same one: who it is, and with that how
far away, stands in the first line it sends (CONNECT, spec gateways 2.2). Until then nothing is held back.
"""

import asyncio
import functools
import re
from collections import deque
from collections.abc import Iterable, Mapping
from typing import cast

from msgspec import Struct

from gossamer.operator.failure import Failure

#: What may be on its way in one direction of one connection: 40 ms of it are 400 MB/s.
QUEUE_BYTES = 16 * 1024 * 1024
_WRITE_BUFFER_BYTES = 1024 * 1024
_CALLER = re.compile(rb'^CONNECT [^\r\n]*"gateway":"([^"\r\n]*)"')


class Wire(Struct, frozen=True, kw_only=True):
    """One port of the relay. ``callers`` are the clusters that may dial it, with the time a byte needs from there, in
    seconds; ``host`` is what they call the relay."""

    name: str
    callers: Mapping[str, float]
    listen: str
    host: str
    port: int
    target_host: str
    target_port: int

    @property
    def address(self) -> str:
        """What others are told to dial."""
        return f"{self.host}:{self.port}"

    def delay_s(self, caller: str) -> float:
        """For a cluster; for an unknown one that of the farthest."""
        return self.callers.get(caller, max(self.callers.values(), default=0.0))


class Relay:
    """The wires of a mesh, carried by the running event loop. An asynchronous context manager."""

    def __init__(self, wires: Iterable[Wire]) -> None:
        self.wires = tuple(wires)
        self._servers: list[asyncio.Server] = []
        self._open: dict[str, set[_Line]] = {wire.name: set() for wire in self.wires}
        self._cut: set[str] = set()

    async def __aenter__(self) -> "Relay":
        loop = asyncio.get_running_loop()
        for wire in self.wires:
            try:
                server = await loop.create_server(functools.partial(self._accept, wire), wire.listen, wire.port)
            except OSError as error:
                await self.__aexit__()
                raise Failure(
                    f"port {wire.port}, meant for the relay, cannot be used: {error.strerror or error}",
                    code="port-taken",
                    hint="end what listens there, choose another --base-port, or leave it out for free ports",
                ) from None
            self._servers.append(server)
        return self

    async def __aexit__(self, *_: object) -> None:
        for server in self._servers:
            server.close()
        for name in self._open:
            self._drop(name)
        for server in self._servers:
            await server.wait_closed()

    def cut(self, names: Iterable[str]) -> None:
        """End all that is on these wires; whoever dials them is turned away until they are mended."""
        for name in names:
            self._cut.add(name)
            self._drop(name)

    def mend(self, names: Iterable[str]) -> None:
        """Let these wires carry again."""
        self._cut.difference_update(names)

    def connections(self, name: str) -> int:
        """How many connections are on a wire now."""
        return len(self._open[name])

    def _accept(self, wire: Wire) -> "_End":
        line = _Line(wire, self._open[wire.name], refused=wire.name in self._cut)
        return line.near

    def _drop(self, name: str) -> None:
        for line in list(self._open[name]):
            line.abort()


class _Line:
    """One connection: two ends, and what is on its way between them."""

    def __init__(self, wire: Wire, register: "set[_Line]", *, refused: bool) -> None:
        self._wire = wire
        self._register = register
        self._refused = refused
        self._dialling: asyncio.Task[None] | None = None
        self.near = _End(self)
        self.far = _End(self)
        self.near.other, self.far.other = self.far, self.near
        only = len(wire.callers) == 1
        self.delay_s = next(iter(wire.callers.values())) if only else 0.0
        self._caller_known = only

    def begun(self, end: "_End") -> None:
        """One of the two is connected."""
        if end is self.near:
            if self._refused:
                end.abort()
                return
            self._register.add(self)
            self._dialling = asyncio.get_running_loop().create_task(self._dial())
        else:
            end.flush()

    def look(self, end: "_End", data: bytes) -> None:
        """The first bytes of whoever dialled say how far away it is."""
        if self._caller_known or end is not self.near:
            return
        self._caller_known = True
        found = _CALLER.match(data)
        self.delay_s = self._wire.delay_s(found[1].decode(errors="replace") if found else "")

    def ended(self, end: "_End") -> None:
        """An end has closed: what it sent still arrives, then the other closes too."""
        if end is self.near and self.far.transport is None:
            self.abort()  # it gave up before the node answered
            return
        end.other.finish()
        if self.near.is_closed and self.far.is_closed:
            self._register.discard(self)

    def abort(self) -> None:
        """End it at once."""
        self._register.discard(self)
        if self._dialling is not None:
            self._dialling.cancel()
        self.near.abort()
        self.far.abort()

    async def _dial(self) -> None:
        try:
            await asyncio.get_running_loop().create_connection(
                lambda: self.far, self._wire.target_host, self._wire.target_port
            )
        except OSError:
            self.abort()


class _End(asyncio.Protocol):
    """One socket of a line. ``queue`` is what waits to be written to it, each piece with the time when it is due."""

    other: "_End"

    def __init__(self, line: _Line) -> None:
        self._line = line
        self.transport: asyncio.Transport | None = None
        self.is_closed = False
        self._queue: deque[tuple[float, bytes]] = deque()
        self._queued_bytes = 0
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._writable = True
        self._last = False

    # --- what the event loop says -------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Either end is connected."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=_WRITE_BUFFER_BYTES)
        self._line.begun(self)

    def data_received(self, data: bytes) -> None:
        """Send it on its way to the other end."""
        self._line.look(self, data)
        self.other.put(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Closed by its peer, or by us."""
        self.is_closed = True
        self._forget()
        self._line.ended(self)

    def pause_writing(self) -> None:
        """The peer does not read fast enough."""
        self._writable = False

    def resume_writing(self) -> None:
        """It does again."""
        self._writable = True
        self.flush()

    # --- what the other end says --------------------------------------------------------------------------------------

    def put(self, data: bytes) -> None:
        """Let ``data`` arrive here when its time has come."""
        if self.is_closed or self._last:
            return
        self._due = max(self._due, asyncio.get_running_loop().time() + self._line.delay_s)
        self._queue.append((self._due, data))
        self._queued_bytes += len(data)
        if self._queued_bytes > QUEUE_BYTES and self.other.transport is not None:
            self.other.transport.pause_reading()
        if self._timer is None:
            self.flush()

    def finish(self) -> None:
        """Nothing more will come: close behind what is on its way."""
        if not self._last:
            self._due = max(self._due, asyncio.get_running_loop().time() + self._line.delay_s)
            self._last = True
            self._queue.append((self._due, b""))
            if self._timer is None:
                self.flush()

    def abort(self) -> None:
        """End at once."""
        self._last = True
        self._forget()
        if self.transport is not None:
            self.transport.abort()

    def flush(self) -> None:
        """Write what is due and wait for the next piece."""
        self._timer = None
        if self.transport is None or self.is_closed:
            return
        if self.transport.is_closing():
            self._forget()
            return
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._queue and self._writable:
            due, data = self._queue[0]
            if due > now:
                self._timer = loop.call_at(due, self.flush)
                break
            self._queue.popleft()
            self._queued_bytes -= len(data)
            if data:
                self.transport.write(data)
            else:
                self.transport.close()
        source = self.other.transport
        if self._queued_bytes <= QUEUE_BYTES // 2 and source is not None and not self.other.is_closed:
            source.resume_reading()

    def _forget(self) -> None:
        self._queue.clear()
        self._queued_bytes = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
