"""A mesh under test: its members, its clients, the ledger, and the verdict."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from gossamer.mesh.sim.borders import missing_beyond
from gossamer.mesh.sim.chance import Chance
from gossamer.mesh.sim.checks import missing_interest, missing_links, missing_routes
from gossamer.mesh.sim.client import Client
from gossamer.mesh.sim.ledger import FLIGHT_NS, Ledger
from gossamer.mesh.sim.loop import VirtualLoop
from gossamer.mesh.sim.member import Member
from gossamer.mesh.sim.network import RETRY_MAX_NS, Network
from gossamer.mesh.sim.oracle import Crossing, Oracle
from gossamer.mesh.sim.topology import Place, Topology

if TYPE_CHECKING:
    from gossamer.mesh.sim.wire import End

_SECOND_NS = 1_000_000_000
_JOURNAL_LINES = 4000
#: Between two looks whether the mesh is whole.
_LOOK_S = 0.02
#: Interest that has not changed for so long is not on its way any more.
_STILL_S = 0.5
_CLIENTS = "10.128."
_MESSAGES = (b"RMSG ", b"LMSG ", b"HMSG ")
#: What has just been done to the mesh is felt by then.
_FELT_S = RETRY_MAX_NS / _SECOND_NS + 0.05


class Broken(AssertionError):
    """Something happened that must not, or did not happen that must. The text says what, and what led there."""


class Mesh:
    """Everything of one run. Methods that let time pass raise ``Broken`` as soon as an invariant is violated."""

    def __init__(self, loop: VirtualLoop, seed: object) -> None:
        self.loop = loop
        self.chance = Chance(seed)
        self.network = Network(loop, self.chance.fork("network"))
        self.members: dict[str, Member] = {}
        self.clients: list[Client] = []
        self.violations: list[str] = []
        self.figures: dict[str, float] = {}  # what a scenario measured
        self.journal: deque[tuple[int, str, str]] = deque(maxlen=_JOURNAL_LINES)
        self._oracle = Oracle(Topology(places=()))
        self.ledger = Ledger(self.network, self._violated, self._oracle)
        self._shares = False
        self._federated = False
        self._counts: tuple[int, ...] = ()
        self._counted_s = 0.0
        loop.set_exception_handler(self._raised)

    # --- building -------------------------------------------------------------------------------------------------

    def build(self, topology: Topology, *, crossings: Sequence[Crossing] = ()) -> None:
        """Place the members; none of them runs yet."""
        self._oracle = Oracle(topology, crossings)
        self.ledger = Ledger(self.network, self._violated, self._oracle)
        self._federated = any(place.gateway or place.hub for place in topology.places)
        self._shares = bool(crossings) or self._federated
        for place in topology.places:
            self.members[place.name] = Member(
                place,
                topology,
                self.network,
                self.chance.fork("member", place.name),
                self._log,
                lambda: self.ledger.settled_ns,
                self._violated,
            )

        for member in self.members.values():
            member.on_leaf = self.ledger.moved

    async def start(self, *names: str, within_s: float = 0.0) -> None:
        """Start these members (none: all), each at some moment within that time."""
        wanted = [self.members[name] for name in names] if names else list(self.members.values())
        moments = sorted((self.chance.uniform(0, within_s), index) for index in range(len(wanted)))
        begun_s = self.loop.time()
        for moment_s, index in moments:
            await asyncio.sleep(max(0.0, begun_s + moment_s - self.loop.time()))
            await wanted[index].start()
            self.note(f"{wanted[index].name} started")

    @property
    def living(self) -> list[Member]:
        return [member for member in self.members.values() if member.alive]

    def client(self, account: str, at: str = "") -> Client:
        """A client of that account at that member (empty: any that lives). When it loses its connection, it goes to
        another member of the same cluster."""
        number = len(self.clients) + 1
        name = f"c{number}"
        chance = self.chance.fork("client", number)
        host = f"{_CLIENTS}{number // 250}.{number % 250 + 1}"
        member = self.members[at] if at else self._refuge(chance)
        if member is None:
            raise Broken("no member lives for a client to connect to")
        place = member.place
        client = Client(name, account, host, self.ledger, chance, lambda: self._refuge(chance, place))
        self.clients.append(client)
        client.connect(member)
        return client

    # --- letting time pass ------------------------------------------------------------------------------------------

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self.judge()

    async def until(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        end_s = self.loop.time() + seconds
        while not condition():
            if self.loop.time() > end_s:
                raise Broken(self.report(f"after {seconds} s still not: {what}"))
            await self.sleep(_LOOK_S)

    async def settle(self, seconds: float = 60.0) -> float:
        """Wait until all clients are connected and have been heard, and the living members are whole: fully connected,
        with equal interest. From then on messages must arrive. Returns how long it took, in seconds."""
        begun_s = self.loop.time()
        await self.sleep(_FELT_S)
        await self.until(self._are_clients_connected, seconds, "all clients connected")
        await asyncio.gather(*(client.ready() for client in self.clients if client.connected))
        left_s = max(0.0, begun_s + seconds - self.loop.time())
        await self.until(self._is_whole, left_s, "the mesh whole")
        self.ledger.settled_ns = self.loop.now_ns
        took_s = self.loop.time() - begun_s
        self.note(f"settled after {took_s:.3f} s")
        return took_s

    async def finish(self) -> None:
        """Let everything arrive, see that nothing goes round and round, and judge the whole run."""
        await self.sleep(FLIGHT_NS / _SECOND_NS + 0.1)
        self.network.overhear = self._overhear
        await self.sleep(_STILL_S)
        self.network.overhear = None
        self.ledger.close()
        self.judge()

    async def end(self) -> None:
        """Take everything down; nothing is judged any more."""
        for client in self.clients:
            client.hang_up()
        for member in self.living:
            member.crash()
        await asyncio.sleep(0.1)

    # --- faults that need the mesh ----------------------------------------------------------------------------------

    def hosts(self, names: Sequence[str]) -> list[str]:
        return [self.members[name].host for name in names]

    def part(self, ones: Sequence[str], others: Sequence[str]) -> None:
        """Nothing gets through between two groups of members."""
        self.note(f"parted: {' '.join(ones)} | {' '.join(others)}")
        self.network.part(self.hosts(ones), self.hosts(others))

    def heal(self) -> None:
        """All directions are open, everybody is awake."""
        self.note("healed")
        self.network.clear_all()
        self.network.widen_all()
        for member in self.members.values():
            if self.network.sleeps(member.host):
                member.wake()

    def connections(self, one: str, other: str) -> "list[End]":
        return self.network.connections(self.members[one].host, self.members[other].host)

    # --- verdict ----------------------------------------------------------------------------------------------------

    def judge(self) -> None:
        """Raises Broken if anything was violated so far."""
        if self.violations:
            raise Broken(self.report(f"{len(self.violations)} violations"))

    def note(self, text: str) -> None:
        """A line in the journal."""
        self.journal.append((self.loop.now_ns, "mesh", text))

    def report(self, what: str) -> str:
        lines = [f"{what} (at {self.loop.time():.6f} s)", *self.violations[:5]]
        if not self.violations:
            lines += (
                missing_routes(self.living)
                or missing_links(self.living)
                or missing_interest(self.living, shares=self._shares, federated=self._federated)
                or missing_beyond(self.living, self._oracle)
            )[:10]
        lines += ["the last lines of the journal:"]
        lines += [f"  {at_ns / _SECOND_NS:.6f} {who}: {text}" for at_ns, who, text in list(self.journal)[-40:]]
        return "\n".join(lines)

    def _are_clients_connected(self) -> bool:
        """All that have somewhere to go."""
        return all(client.connected or client.is_homeless for client in self.clients)

    def _is_whole(self) -> bool:
        living = self.living
        if missing_routes(living):
            return False
        if not self._federated:
            return not missing_interest(living, shares=self._shares)
        if missing_links(living) or missing_interest(living, federated=True):
            return False
        return self._is_still(living) and not missing_beyond(living, self._oracle)

    def _is_still(self, living: list[Member]) -> bool:
        """Has nobody learnt or forgotten any interest for a while? What is then missing, no message will bring back."""
        counts = tuple(member.node.engine.totals().subscriptions for member in living if member.node is not None)
        if counts != self._counts:
            self._counts, self._counted_s = counts, self.loop.time()
        return self.loop.time() - self._counted_s >= _STILL_S

    def _overhear(self, end: "End", data: bytes) -> None:
        """Nobody says anything any more: what now passes between two nodes has come back."""
        if end.host.startswith(_CLIENTS) or end.peer.host.startswith(_CLIENTS):
            return
        for line in data.split(b"\r\n"):
            if line.startswith(_MESSAGES) and b"$" not in line:  # $SYS has its own
                self._violated(f"{line[:80]!r} still goes from {end.host} to {end.peer.host}")

    def _refuge(self, chance: Chance, place: Place | None = None) -> Member | None:
        """Anywhere, or in the same cluster as that place."""
        candidates = [
            member
            for member in self.living
            if not member.leaving
            and (
                place is None
                or member.place.name == place.name
                or (place.cluster and member.place.cluster == place.cluster)
            )
        ]
        return chance.choose(candidates) if candidates else None

    def _log(self, who: str, line: bytes) -> None:
        text = line.decode("utf-8", "replace").rstrip()
        self.journal.append((self.loop.now_ns, who, text))
        if "Internal error" in text:
            self._violated(f"{who}: {text}")

    def _violated(self, text: str) -> None:
        self.violations.append(text)
        self.note(f"VIOLATION: {text.splitlines()[0]}")

    def _raised(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        where = ""
        if error is not None and error.__traceback__ is not None:
            import traceback

            where = "".join(traceback.format_exception(error))
        self._violated(f"{context.get('message')}: {error!r}\n{where}")
