"""Whole clusters in memory: virtual time, seeded latencies, many route managers.

Every run is decided by its seed: the latency of each direction of each connection, the order of what happens at the
same moment, and the managers' own random numbers.
"""

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from route_shim import LineEngine, Link

from gossamer.mesh.options.options import ClusterOptions
from gossamer.mesh.peers.route_manager import RouteManager
from gossamer.mesh.peers.route_world import DialOutcome, RouteIdentity

SECOND = 1_000_000_000
MILLISECOND = 1_000_000


@dataclass
class Timer:
    live: bool = True

    def cancel(self) -> None:
        self.live = False


class Time:
    """Things to be done at a moment, oldest first; those of one moment in an order that the seed decides."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now = 0
        self._heap: list[tuple[int, float, int, Timer, Callable[[], None]]] = []
        self._count = 0

    def now_ns(self) -> int:
        return self.now

    def call_later(self, delay_ns: int, callback: Callable[[], None]) -> Timer:
        timer = Timer()
        self._count += 1
        heapq.heappush(self._heap, (self.now + max(delay_ns, 0), self.random.random(), self._count, timer, callback))
        return timer

    def run(self, seconds: float, until: Callable[[], bool] | None = None) -> bool:
        """Let time pass. True: ``until`` came true."""
        end = self.now + int(seconds * SECOND)
        while self._heap and self._heap[0][0] <= end:
            if until is not None and until():
                return True
            self.now, _, _, timer, callback = heapq.heappop(self._heap)
            if timer.live:
                callback()
        if until is not None and until():
            return True
        self.now = end
        return False


class Chance:
    """The ``Randomness`` of one node."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def token(self, size: int) -> bytes:
        return self._random.randbytes(size)

    def uniform(self, low: float, high: float) -> float:
        return self._random.uniform(low, high)

    def below(self, limit: int) -> int:
        return self._random.randrange(limit)

    def engine_seed(self) -> int | None:
        return self._random.randrange(1 << 32)


class Log:
    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def debug(self, text: str) -> None:
        self.lines.append(("debug", text))

    def info(self, text: str) -> None:
        self.lines.append(("info", text))

    def warning(self, text: str) -> None:
        self.lines.append(("warning", text))

    def error(self, text: str) -> None:
        self.lines.append(("error", text))


class End:
    """One side of a connection: a ``Wire`` whose bytes arrive in order, each a latency later."""

    def __init__(self, net: "Net") -> None:
        self.net = net
        self.peer: End | None = None
        self.owner: LineEngine | None = None
        self.link: Link | None = None
        self.latency = net.latency()
        self.early: list[bytes | None] = []
        self.busy_until = 0
        self.cut = False

    def write(self, data: bytes) -> None:
        self._carry(data)

    def finish(self) -> None:
        self._carry(None)

    def _carry(self, data: bytes | None) -> None:
        peer = self.peer
        assert peer is not None
        if self.cut:
            return
        # in order: nothing overtakes, whatever the order within one moment
        self.busy_until = max(self.busy_until + 1, self.net.time.now + self.latency)
        self.net.time.call_later(self.busy_until - self.net.time.now, lambda: peer.arrive(data))

    def arrive(self, data: bytes | None) -> None:
        if self.cut:
            return
        if self.owner is None or self.link is None:
            self.early.append(data)
        elif data is None:
            self.owner.ended(self.link)
        elif self.link.state != "closed":
            self.owner.feed(self.link, data)

    def belong(self, owner: LineEngine, link: Link) -> None:
        self.owner, self.link = owner, link
        early, self.early = self.early, []
        for data in early:
            self.arrive(data)


class Net:
    """Ports on hosts. ``names`` resolves host names to several hosts."""

    def __init__(self, time: Time, *, slowest_ms: float = 5.0) -> None:
        self.time = time
        self.slowest_ms = slowest_ms
        self.ports: dict[tuple[str, int], Node] = {}
        self.names: dict[str, list[str]] = {}
        self.blocked: set[frozenset[str]] = set()
        self.dials: list[tuple[int, str, str, int]] = []
        self._descriptors: dict[int, tuple[End, str, int]] = {}

    def latency(self) -> int:
        return int(self.time.random.uniform(0.05, self.slowest_ms) * MILLISECOND)

    def connect(self, caller: "Node", host: str, port: int, excluded: frozenset[tuple[str, int]]) -> DialOutcome:
        places = [place for place in self.names.get(host, [host]) if (place, port) not in excluded]
        if not places:
            return DialOutcome(-1, host, port, "the name leads only to this node")
        host = self.time.random.choice(places)
        self.dials.append((self.time.now, caller.name, host, port))
        node = self.ports.get((host, port))
        if node is None or not node.alive or frozenset({caller.host, host}) in self.blocked:
            return DialOutcome(-1, host, port, "Connection refused")
        ours, theirs = End(self), End(self)
        ours.peer, theirs.peer = theirs, ours
        node.accept(theirs, caller.host)
        number = len(self._descriptors) + 100
        self._descriptors[number] = (ours, host, port)
        return DialOutcome(number, host, port)

    def end(self, descriptor: int) -> End:
        return self._descriptors[descriptor][0]


@dataclass
class Node:
    """A route manager on a line engine at a host and port of the net."""

    net: Net
    name: str
    host: str
    port: int
    options: ClusterOptions
    seed: int
    system_account: str = "$SYS"
    server_id: str = ""
    client_urls: tuple[str, ...] = ()
    alive: bool = False
    urls: tuple[str, ...] = ()
    cluster: str = ""
    log: Log = field(default_factory=Log)
    accounts: tuple[str, ...] = ("$G", "A", "B")

    def start(self) -> None:
        time = self.net.time
        self.server_id = self.server_id or f"N{self.name}{self.net.time.random.randrange(1 << 40):010X}"
        self.engine = LineEngine(self.net.end, self._wake)
        self._waking = False
        self.manager = RouteManager(
            RouteIdentity(
                server_id=self.server_id, server_name=self.name, version="0.1.0", system_account=self.system_account
            ),
            self.options,
            self.engine,
            time,
            self,
            self._urls_changed,
            self.log,
            randomness=Chance(self.seed),
            on_cluster_name_changed=self._name_changed,
            account_exists=lambda account: account in self.accounts,
        )
        if self.system_account:
            self.engine.account(self.system_account.encode(), dedicated_route=self.manager.pins_system_account)
        self.alive = True
        self.net.ports[(self.host, self.port)] = self
        self.cluster = self.manager.cluster_name
        self.manager.start(descriptor=None, port=self.port, client_urls=self.client_urls)

    def stop(self) -> None:
        """In good order."""
        self.manager.stop()
        self.alive = False

    def kill(self) -> None:
        """The process is gone: the kernel closes its sockets."""
        self.alive = False
        self.manager.stop_accepting()
        for link in list(self.engine.links.values()):
            self.engine.close(link.number, reason=0)
        self.engine.drain()

    # the Dialer of this node

    def dial(
        self, host: str, port: int, excluded: frozenset[tuple[str, int]], done: Callable[[DialOutcome], None]
    ) -> Timer:
        delay = self.net.latency()

        def connect() -> None:
            if self.alive:
                outcome = self.net.connect(self, host, port, excluded)
                end = self.net.end(outcome.descriptor) if outcome.descriptor >= 0 else None
                done(outcome)
                if end is not None:
                    link = next(each for each in [*self.engine.links.values(), *self.engine.gone] if each.wire is end)
                    end.belong(self.engine, link)

        return self.net.time.call_later(delay, connect)

    def verify_password(self, given: str, expected: str, done: Callable[[bool], None]) -> Timer:
        return self.net.time.call_later(self.net.latency(), lambda: done(given == expected))

    def accept(self, end: End, host: str) -> None:
        listener = next(iter(self.engine.listeners), 0)
        if not listener:
            end.finish()
            return
        link = self.engine.attach(end, listener, host, 40000)
        end.belong(self.engine, link)

    def _wake(self) -> None:
        if not self._waking:
            self._waking = True
            self.net.time.call_later(self.net.time.random.randrange(1, 200_000), self._turn)

    def _turn(self) -> None:
        self._waking = False
        for event in self.engine.drain():
            if self.alive:
                self.manager.on_event(event)

    def _urls_changed(self, urls: tuple[str, ...]) -> None:
        self.urls = urls

    def _name_changed(self, name: str) -> None:
        self.cluster = name


class Cluster:
    """Nodes A, B, C ... on hosts 10.0.0.1, 10.0.0.2 ..., all on port 6222."""

    def __init__(self, seed: int, *, slowest_ms: float = 5.0) -> None:
        self.time = Time(seed)
        self.net = Net(self.time, slowest_ms=slowest_ms)
        self.nodes: dict[str, Node] = {}

    def host(self, name: str) -> str:
        return f"10.0.0.{ord(name[0]) - ord('A') + 1}"

    def url(self, name: str, credentials: str = "") -> str:
        return f"nats-route://{credentials}{self.host(name)}:6222"

    def add(
        self,
        name: str,
        seeds: str = "",
        *,
        cluster: str = "CL",
        system_account: str = "$SYS",
        start: bool = True,
        **options: object,
    ) -> Node:
        """``seeds``: names of the nodes in its configured routes. Started at once unless told otherwise."""
        options.setdefault("routes", tuple(self.url(seed) for seed in seeds))
        node = Node(
            self.net,
            name,
            self.host(name),
            6222,
            ClusterOptions(name=cluster, host=self.host(name), port=6222, **options),  # type: ignore[arg-type]
            seed=self.time.random.randrange(1 << 40),
            system_account=system_account,
            client_urls=(f"{self.host(name)}:4222",),
        )
        node.engine_interest = f"to.{name}"  # type: ignore[attr-defined]
        self.nodes[name] = node
        if start:
            self.start(name)
        return node

    def start(self, name: str) -> Node:
        node = self.nodes[name]
        node.start()
        for account in ("$G", "A", "B", "$SYS"):
            node.engine.own.add((account, f"to.{name}"))
        return node

    def restart(self, name: str) -> Node:
        self.nodes[name].server_id = ""
        return self.start(name)

    @property
    def living(self) -> list[Node]:
        return [node for node in self.nodes.values() if node.alive]

    def places(self, one: Node, other: Node) -> list[tuple[int, str]]:
        """(slot, account) of the registered connections that ``one`` has to ``other``."""
        return sorted((row.pool_index, row.account) for row in one.manager.routez() if row.remote_id == other.server_id)

    def same_ends(self, one: Node, other: Node) -> bool:
        """Have both sides registered the same connections, each in the same place?"""
        theirs = {row.rid: (row.pool_index, row.account) for row in other.manager.routez()}
        for row in one.manager.routez():
            if row.remote_id != other.server_id:
                continue
            if row.rid not in one.engine.links:
                return False  # it has ended, the manager is about to hear of it
            peer = one.engine.links[row.rid].wire.peer.link  # type: ignore[attr-defined]
            if theirs.get(peer.number) != (row.pool_index, row.account):
                return False
        return True

    def expected(self, one: Node, other: Node) -> list[tuple[int, str]]:
        sizes = [one.options.pool_size, other.options.pool_size]
        if min(sizes) < 1:
            return [(0, "")]
        places = [(index, "") for index in range(max(sizes))]
        if one.system_account and one.system_account == other.system_account:
            places.append((-1, one.system_account))
        return sorted(places)

    def whole(self) -> bool:
        """Is every pair connected by exactly the right connections, with everybody's interest known everywhere?"""
        living = self.living
        for one in living:
            for other in living:
                if one is other:
                    continue
                if self.places(one, other) != self.expected(one, other) or not self.same_ends(one, other):
                    return False
                node = next(row.node for row in one.manager.routez() if row.remote_id == other.server_id)
                for account in ("$G", "A", "B"):
                    if node not in one.engine.knows_interest(account, f"to.{other.name}"):
                        return False
            if one.manager.remotes != len(living) - 1:
                return False
        return True

    def settle(self, seconds: float = 30.0) -> None:
        """Wait until the mesh is whole, and see that it stays so."""
        assert self.time.run(seconds, self.whole), self.report()
        before = {node.name: node.manager.routez() for node in self.living}
        self.time.run(3.0)
        assert self.whole(), self.report()
        assert {node.name: [row.rid for row in node.manager.routez()] for node in self.living} == {
            name: [row.rid for row in rows] for name, rows in before.items()
        }, "connections still come and go"

    def report(self) -> str:
        lines = [f"at {self.time.now / SECOND:.3f}"]
        lines += [
            f"{one.name}->{other.name}: {self.places(one, other)} of {self.expected(one, other)}"
            for one, other in itertools.permutations(self.living, 2)
        ]
        for one in self.living:
            lines += [f"{one.name} {level}: {text}" for level, text in one.log.lines[-15:]]
        return "\n".join(lines)
