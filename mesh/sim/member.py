"""A host with a node on it: the production node, with its surroundings replaced.

``SimulatedNode`` differs from ``Node`` only in what it is handed (``_RouteSide``): server links go through the
simulated network, and the processor's load is none. ``Member`` is the machine: it drives the node's ticks, crashes and
restarts it, and keeps its disk. A tick comes a few microseconds after somebody asked for something; the control plane
sees the events of a tick some time later still, as with two threads.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

from msgspec import structs

from gossamer.mesh.engine.core import Engine
from gossamer.mesh.engine.kinds import CloseReason, LinkKind
from gossamer.mesh.life.lame_duck import leave
from gossamer.mesh.life.surroundings import SteppedSurroundings
from gossamer.mesh.logs.log import Log
from gossamer.mesh.monitor.process import ProcessorShare
from gossamer.mesh.node import Node
from gossamer.mesh.options.options import Options
from gossamer.mesh.peers.route_world import Dialer, DialOutcome, Scheduler, Timer
from gossamer.mesh.sim.chance import Chance
from gossamer.mesh.sim.clock import SimulatedClock
from gossamer.mesh.sim.disk import SimulatedDisk
from gossamer.mesh.sim.engine import SteppedEngine, make_engine
from gossamer.mesh.sim.loop import VirtualLoop
from gossamer.mesh.sim.network import Network
from gossamer.mesh.sim.release import Filter, Release
from gossamer.mesh.sim.topology import CLIENT_PORT, GATEWAY_PORT, LEAF_PORT, ROUTE_PORT, Place, Topology
from gossamer.mesh.sim.wire import End
from gossamer.mesh.world import Randomness, World
from gossamer.mesh.world.listening import BoundSocket

_SERVER_PORTS: Final = ((ROUTE_PORT, LinkKind.ROUTE), (GATEWAY_PORT, LinkKind.GATEWAY), (LEAF_PORT, LinkKind.LEAF))
#: From a call to the tick that carries it out, and from a tick to the control plane's turn, at most.
_TURN_MAX_NS: Final = 20_000
_LAG_MAX_NS: Final = 300_000
#: A control plane that is busy for once.
_LONG_LAG_NS: Final = 20_000_000
_LONG_LAG_CHANCE: Final = 0.01
#: A connection so young when the mesh settled may have been one too many.
_YOUNG_NS: Final = 3_000_000_000


class _Idle(ProcessorShare):
    """The machine's real load would make no two runs alike."""

    def percent(self, now_ns: int) -> float:
        return 0.0


class _Scheduler:
    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def now_ns(self) -> int:
        return self._loop.now_ns

    def call_later(self, delay_ns: int, callback: Callable[[], None]) -> Timer:
        return self._loop.after_ns(delay_ns, callback)


class _RouteSide(SteppedSurroundings):
    """The surroundings of a node's server links, their dialer, and the engine as they use it: a descriptor is the
    number of a connection."""

    def __init__(self, member: "Member", engine: SteppedEngine) -> None:
        self._member = member
        self._engine = engine
        self._dialled: dict[int, End] = {}
        self._kinds: dict[int, int] = {}  # by listener
        self.listeners: dict[int, int] = {}  # by kind of link

    def processor(self, now_ns: int) -> ProcessorShare:
        return _Idle(now_ns)

    def link_engine(self, engine: Engine) -> Engine:
        return self  # type: ignore[return-value]

    def bind(self, host: str, port: int, *, what: str, option: str) -> BoundSocket:
        # Only its number is used: what this node says others should dial.
        return BoundSocket(-1, host, port if port > 0 else ROUTE_PORT)

    def scheduler(self) -> Scheduler:
        return _Scheduler(self._member.loop)

    def dialer(self, randomness: Randomness) -> Dialer:
        return self

    def __getattr__(self, name: str) -> object:
        return getattr(self._engine, name)

    def listen(self, descriptor: int | None, *, kind: int, **named: object) -> int:
        listener = self._engine.listen(None, kind=kind, **named)  # type: ignore[arg-type]
        self.listeners[kind] = listener
        self._kinds[listener] = kind
        return listener

    def close_listener(self, listener: int) -> None:
        self.listeners.pop(self._kinds.pop(listener, -1), None)
        self._engine.close_listener(listener)

    def adopt(
        self, descriptor: int, *, kind: int, listener: int = 0, greeting: bytes = b"", host: str = "", port: int = 0
    ) -> int:
        link = self._engine.open(kind=kind, listener=listener, greeting=greeting, host=host, port=port)
        self._member.solicited.add(link)
        if kind == LinkKind.LEAF:
            self._member.on_leaf(self._member.host)
        self._member.join(link, self._dialled.pop(descriptor), kind)
        return link

    def dial(
        self, host: str, port: int, excluded: frozenset[tuple[str, int]], done: Callable[[DialOutcome], None]
    ) -> Timer:
        def connected(end: End | None, error: str) -> None:
            if end is None:
                done(DialOutcome(-1, host, port, error))
            else:
                self._dialled[end.number] = end
                done(DialOutcome(end.number, host, port))

        return self._member.network.connect(self._member.host, host, port, connected)

    def verify_password(self, given: str, expected: str, done: Callable[[bool], None]) -> Timer:
        return self._member.loop.after_ns(0, done, given == expected)


class SimulatedNode(Node):
    """See the top of the file."""

    def __init__(self, member: "Member", options: Options, world: World, log: Log, engine: SteppedEngine) -> None:
        self.route_side = _RouteSide(member, engine)
        super().__init__(options, world, log=log, engine=engine, stepped=True, surroundings=self.route_side)

    def receive(self, link: int, receiver: Callable[[bytes, bool], None]) -> None:
        """Have the output of a memory link brought there."""
        self._receivers[link] = receiver

    def put_out(self, link: int, data: bytes, end: bool) -> None:
        """Bring it."""
        receiver = self._receivers.get(link)
        if receiver is not None:
            receiver(data, end)
            if end:
                self._receivers.pop(link, None)


class Member:
    """Public: ``start``, ``stop``, ``leave``, ``crash``, ``sleep``, ``wake``; ``node`` while it lives."""

    def __init__(
        self,
        place: Place,
        topology: Topology,
        network: Network,
        chance: Chance,
        journal: Callable[[str, bytes], None],
        settled_ns: Callable[[], int],
        broken: Callable[[str], None],
    ) -> None:
        """``settled_ns``: when the mesh last settled; ``broken`` is told of what must not be."""
        self.settled_ns = settled_ns
        self._broken = broken
        self.place = place
        self.name, self.host = place.name, place.host
        self.options = topology.options(place)
        self.network = network
        self.loop = network.loop
        self.disk = SimulatedDisk()
        self.lives = 0
        self.ticks = 0
        self.leaving = False
        self.ends: dict[int, End] = {}  # by link
        self.kinds: dict[int, int] = {}  # of those links
        self.solicited: set[int] = set()  # links that this node dialled
        self.on_leaf: Callable[[str], None] = lambda host: None  # it has dialled a hub
        self.node: SimulatedNode | None = None
        self._chance = chance
        self._journal = journal
        self._engine: SteppedEngine | None = None
        self._clock = SimulatedClock(self.loop)
        self._tick_at_ns = -1
        self._tick_timer: Timer | None = None
        self._turn_due = False

    @property
    def alive(self) -> bool:
        return self.node is not None

    async def start(self, *, with_disk: bool = True) -> None:
        """Start, or start again; without its disk everything written is gone. Raises RuntimeError while it runs."""
        if self.node is not None:
            raise RuntimeError(f"{self.name} runs already")
        if not with_disk:
            self.disk = SimulatedDisk()
        self.lives += 1
        self.leaving = False
        chance = self._chance.fork("life", self.lives)
        place = self.place
        self._clock = SimulatedClock(
            self.loop, skew_ns=place.skew_ns, drift_ppm=place.drift_ppm, boot_ns=1 + chance.below(1 << 50)
        )
        self._tick_at_ns = -1
        engine = make_engine(chance.fork("engine").engine_seed())
        engine.wake = self._wake
        self._engine = engine
        world = World(self._clock, chance.fork("world"), self.disk)
        log = Log(self._clock, _Lines(self.name, self._journal))
        node = SimulatedNode(self, self.options, world, log, engine)
        await node.start()
        self.node = node
        self.network.listen(self.host, CLIENT_PORT, self._accept_client)
        for port, kind in _SERVER_PORTS:
            self.network.listen(self.host, port, partial(self._accept_server, kind))
        self._wake()  # ticks that came while it started found nobody

    def install(self, release: Release) -> None:
        """What it starts with the next time."""
        self.place = structs.replace(self.place, release=release)

    async def leave(self) -> None:
        """Lame duck, then stop."""
        if self.node is None:
            return
        self.leaving = True
        node = self.node
        self.network.disturb(self.host)
        await leave(node)
        if node is self.node:
            await self.stop()

    async def stop(self) -> None:
        """In good order, as on a signal."""
        node, engine = self.node, self._engine
        if node is None or engine is None:
            return
        self.leaving = True
        self.network.disturb(self.host)
        # ``Node.stop`` destroys the engine at once, which in a process has written by then: tick by hand before.
        node.running = False
        node.listener.close()
        node.links.stop_dialling()
        if node.system is not None:
            node.system.stop()
        if node.sharing is not None:
            node.sharing.stop()
        for client in node.clients:
            engine.close(client.link, reason=CloseReason.SERVER_SHUTDOWN)
        node.links.stop()
        for _ in range(3):
            self._step()
            node.pump.finish()
        self._end(dark=False)

    def crash(self, *, dark: bool = False) -> None:
        """The process is killed; ``dark``: the machine loses power, so that no connection is closed."""
        if self.node is None:
            return
        node = self.node
        node.running = False
        node.pump.stop()
        node.links.stop_dialling()  # its timers must not fire in the dead
        if node.system is not None:
            node.system.stop()
        if node.sharing is not None:
            node.sharing.stop()
        self._end(dark=dark)

    def _end(self, *, dark: bool) -> None:
        assert self.node is not None
        assert self._engine is not None
        self.network.silence(self.host, dark=dark)
        self.node.judge.stop()
        self._engine.wake = _nothing
        self._engine.destroy()
        self.node = self._engine = None
        self.ends.clear()
        self.kinds.clear()
        self.solicited.clear()
        if self._tick_timer is not None:
            self._tick_timer.cancel()
        self._tick_at_ns = -1

    def sleep(self) -> None:
        """The process is stopped: it reads nothing and does nothing."""
        self.network.sleep(self.host)

    def wake(self) -> None:
        self.network.wake(self.host)
        self._wake()

    # --- connections ----------------------------------------------------------------------------------------------

    def join(self, link: int, end: End, kind: int) -> None:
        """From now on that memory link of the engine is one end of a connection."""
        node, engine = self.node, self._engine
        assert node is not None
        assert engine is not None

        def put_out(data: bytes, last: bool) -> None:
            if data:
                end.send(data)
            if last:
                self._closing(end)
                end.finish()
                self.ends.pop(link, None)
                self.kinds.pop(link, None)
                self.solicited.discard(link)

        def read(data: bytes, last: bool) -> None:
            if self._engine is engine:
                engine.feed(link, data, end=last)

        def hold(held: bool) -> None:
            if self._engine is engine:
                engine.hold(link, held)

        self.ends[link], self.kinds[link] = end, kind
        unsaid = frozenset() if kind == LinkKind.CLIENT else self.place.release.unsaid
        node.receive(link, Filter(unsaid, put_out).take if unsaid else put_out)
        end.attach(Filter(unsaid, read).take if unsaid else read, hold)

    def _closing(self, end: End) -> None:
        """The node closes a connection. One that was there when the mesh settled, and that no fault has struck since,
        must not be closed by anybody who stays."""
        settled_ns = self.settled_ns()
        if (
            not end.open
            or not end.peer.open  # somebody who is gone: it was high time
            or self.leaving
            or self.node is None
            or not self.node.running
            or end.since_ns > settled_ns - _YOUNG_NS
        ):
            return
        if self.network.was_whole((self.host, end.peer.host), settled_ns, self.loop.now_ns):
            self._broken(f"{self.name} closed its connection {end.number} with {end.peer.host} for no reason")

    def _accept_client(self, end: End, host: str) -> None:
        node, engine = self.node, self._engine
        if node is None or engine is None or not node.listener.number:
            end.finish()
            return
        link = engine.open(kind=LinkKind.CLIENT, listener=node.listener.number, host=host, port=end.number)
        self.join(link, end, LinkKind.CLIENT)

    def _accept_server(self, kind: LinkKind, end: End, host: str) -> None:
        node, engine = self.node, self._engine
        listener = node.route_side.listeners.get(kind, 0) if node is not None else 0
        if engine is None or not listener:
            end.finish()
            return
        self.join(engine.open(kind=kind, listener=listener, host=host, port=end.number), end, kind)

    # --- ticks ----------------------------------------------------------------------------------------------------

    def _wake(self) -> None:
        self._tick_after(1 + self._chance.below(_TURN_MAX_NS))

    def _tick_after(self, delay_ns: int) -> None:
        """At the latest then."""
        at_ns = self.loop.now_ns + delay_ns
        if self._tick_at_ns >= 0 and self._tick_at_ns <= at_ns:
            return
        if self._tick_timer is not None:
            self._tick_timer.cancel()
        self._tick_at_ns = at_ns
        self._tick_timer = self.loop.after_ns(delay_ns, self._tick)

    def _tick(self) -> None:
        self._tick_at_ns = -1
        if self.node is None or self.network.sleeps(self.host):
            return
        due_ns = self._step()
        if due_ns >= 0:
            self._tick_after(max(self._clock.true_ns(due_ns), 1000))

    def _step(self) -> int:
        node, engine = self.node, self._engine
        assert node is not None
        assert engine is not None
        self.ticks += 1
        due_ns = engine.step(self._clock.monotonic_ns())
        for output in engine.collect():
            node.put_out(output.link, output.data, output.end)
        if engine.mailbox and not self._turn_due:
            self._turn_due = True
            limit_ns = _LONG_LAG_NS if self._chance.happens(_LONG_LAG_CHANCE) else _LAG_MAX_NS
            self.loop.after_ns(self._chance.below(limit_ns), self._turn, engine)
        return due_ns

    def _turn(self, engine: SteppedEngine) -> None:
        """The control plane looks into its mailbox."""
        self._turn_due = False
        if self.node is None or self._engine is not engine:
            if self._engine is not None and self._engine.mailbox:
                self._turn_due = True
                self.loop.after_ns(1000, self._turn, self._engine)
            return
        if self.network.sleeps(self.host):
            self._turn_due = True
            self.loop.after_ns(10_000_000, self._turn, engine)
            return
        self.node.pump.finish()


class _Lines:
    """A log destination that brings lines to the mesh's journal."""

    def __init__(self, name: str, journal: Callable[[str, bytes], None]) -> None:
        self._name = name
        self._journal = journal

    def write(self, line: bytes) -> None:
        self._journal(self._name, line)

    def reopen(self) -> None:
        pass

    def close(self) -> None:
        pass


def _nothing() -> None:
    pass
