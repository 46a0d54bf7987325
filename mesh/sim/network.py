"""Hosts and the ways between them: latency, bandwidth, blocked directions, dark and sleeping hosts, all changeable."""

import hashlib
import itertools
from collections.abc import Callable
from dataclasses import dataclass

from gossamer.mesh.sim.chance import Chance
from gossamer.mesh.sim.loop import VirtualLoop
from gossamer.mesh.sim.wire import End

_SECOND_NS = 1_000_000_000
#: A connect without an answer (spec routes 13).
CONNECT_TIMEOUT_NS = _SECOND_NS
#: TCP tries again at the latest so long after a direction is open again.
RETRY_MAX_NS = 200_000_000
_LATENCY_NS = 200_000
_JITTER_NS = 100_000

#: A connection has come in: our end, and the caller's host.
Accept = Callable[[End, str], None]
#: The caller's end, or None and why.
Connected = Callable[[End | None, str], None]


@dataclass
class Way:
    """One direction between two hosts. ``bytes_per_s`` 0: any number."""

    latency_ns: int = _LATENCY_NS
    jitter_ns: int = _JITTER_NS
    bytes_per_s: int = 0
    blocked: bool = False


class Call:
    """A connect on its way; ``cancel`` gives it up."""

    def __init__(self) -> None:
        self.live = True

    def cancel(self) -> None:
        self.live = False


class Network:
    """``digest`` is over everything that ever arrived, when and where: equal runs have equal ones."""

    def __init__(self, loop: VirtualLoop, chance: Chance) -> None:
        self.loop = loop
        self.ordinary = Way()
        self.bytes_passed = 0
        self.connections_made = 0
        self.disturbed_ns: dict[frozenset[str], list[int]] = {}  # by pair of hosts (or one host): when, ascending
        self.overhear: Callable[[End, bytes], None] | None = None  # told of all bytes that arrive
        self._chance = chance
        self._ways: dict[tuple[str, str], Way] = {}
        self._ports: dict[tuple[str, int], Accept] = {}
        self._ends: dict[str, dict[int, End]] = {}
        self._dark: set[str] = set()
        self._asleep: set[str] = set()
        self._sum = hashlib.blake2b(digest_size=8)

    @property
    def digest(self) -> str:
        return self._sum.hexdigest()

    # --- conditions -----------------------------------------------------------------------------------------------

    def way(self, source: str, target: str) -> Way:
        """For reading; ``shape`` changes."""
        return self._ways.get((source, target), self.ordinary)

    def shape(self, source: str, target: str, *, latency_ns: int | None = None, bytes_per_s: int | None = None) -> None:
        """Make one direction slower or faster."""
        way = self._own_way(source, target)
        if latency_ns is not None:
            way.latency_ns, way.jitter_ns = latency_ns, latency_ns // 5
        if bytes_per_s is not None:
            way.bytes_per_s = bytes_per_s

    def block(self, source: str, target: str) -> None:
        """Nothing gets through in this direction."""
        self._own_way(source, target).blocked = True
        self.disturb(source, target)

    def clear(self, source: str, target: str) -> None:
        way = self._own_way(source, target)
        if way.blocked:
            way.blocked = False
            self.disturb(source, target)
            for end in list(self._ends.get(source, {}).values()):
                if end.peer.host == target:
                    self.loop.after_ns(self._chance.below(RETRY_MAX_NS), end.retry)

    def part(self, ones: list[str], others: list[str]) -> None:
        """Both directions between two groups of hosts."""
        for one in ones:
            for other in others:
                self.block(one, other)
                self.block(other, one)

    def clear_all(self) -> None:
        for source, target in list(self._ways):
            self.clear(source, target)

    def widen_all(self) -> None:
        """No direction is bound to a number of bytes per second."""
        for (source, target), way in self._ways.items():
            if way.bytes_per_s:
                way.bytes_per_s = 0
                self.disturb(source, target)
                for end in list(self._ends.get(source, {}).values()):
                    if end.peer.host == target:
                        end.hurry()

    def is_blocked(self, source: str, target: str) -> bool:
        return self.way(source, target).blocked

    def is_dark(self, host: str) -> bool:
        return host in self._dark

    def sleeps(self, host: str) -> bool:
        return host in self._asleep

    def sleep(self, host: str) -> None:
        """The host reads nothing; what arrives waits."""
        self._asleep.add(host)
        self.disturb(host)

    def wake(self, host: str) -> None:
        self._asleep.discard(host)
        self.disturb(host)
        for end in list(self._ends.get(host, {}).values()):
            end.read_on()

    def latency_ns(self, way: Way) -> int:
        return way.latency_ns + self._chance.below(way.jitter_ns + 1)

    # --- what was not whole, and when -------------------------------------------------------------------------------

    def disturb(self, *hosts: str) -> None:
        """Remember that a fault struck this host or pair of hosts now."""
        self.disturbed_ns.setdefault(frozenset(hosts), []).append(self.loop.now_ns)

    def was_whole(self, hosts: tuple[str, ...], since_ns: int, until_ns: int) -> bool:
        """Has no fault struck the path over these hosts, in this order, in that time (ends included)?"""
        keys = [frozenset((host,)) for host in hosts] + [frozenset(pair) for pair in itertools.pairwise(hosts)]
        return not any(since_ns <= at_ns <= until_ns for key in keys for at_ns in self.disturbed_ns.get(key, ()))

    def was_quiet(self, hosts: frozenset[str], since_ns: int, until_ns: int) -> bool:
        """Has no fault struck any of these hosts, nor anything between two of them, in that time (ends included)?"""
        return not any(
            key <= hosts and any(since_ns <= at_ns <= until_ns for at_ns in moments)
            for key, moments in self.disturbed_ns.items()
        )

    # --- connections ------------------------------------------------------------------------------------------------

    def listen(self, host: str, port: int, accept: Accept) -> None:
        self._dark.discard(host)
        self._ports[(host, port)] = accept

    def silence(self, host: str, *, dark: bool) -> None:
        """The process is gone: nobody listens, its connections end; ``dark``: the machine too, so nobody is told."""
        for key in [key for key in self._ports if key[0] == host]:
            del self._ports[key]
        self.disturb(host)
        if dark:
            self._dark.add(host)
        for end in list(self._ends.get(host, {}).values()):
            if not dark:
                end.finish()
            end.vanish()
            self.forget(end)

    def connect(self, caller: str, host: str, port: int, done: Connected) -> Call:
        call = Call()
        there, back = self.way(caller, host), self.way(host, caller)
        if there.blocked or back.blocked or host in self._dark:
            self.loop.after_ns(CONNECT_TIMEOUT_NS, self._answer, call, None, "connect timed out", done)
        else:
            self.loop.after_ns(self.latency_ns(there), self._knock, call, caller, host, port, done)
        return call

    def _knock(self, call: Call, caller: str, host: str, port: int, done: Connected) -> None:
        if not call.live:
            return
        back_ns = self.latency_ns(self.way(host, caller))
        accept = self._ports.get((host, port))
        if host in self._dark or self.is_blocked(host, caller):
            self.loop.after_ns(CONNECT_TIMEOUT_NS, self._answer, call, None, "connect timed out", done)
            return
        if accept is None:
            self.loop.after_ns(back_ns, self._answer, call, None, "Connection refused", done)
            return
        self.connections_made += 1
        ours, theirs = (End(self, each, self.connections_made) for each in (caller, host))
        ours.peer, theirs.peer = theirs, ours
        for end in (ours, theirs):
            self._ends.setdefault(end.host, {})[end.number] = end
        accept(theirs, caller)
        self.loop.after_ns(back_ns, self._answer, call, ours, "", done)

    def _answer(self, call: Call, end: End | None, error: str, done: Connected) -> None:
        if call.live:
            done(end, error)
        elif end is not None:
            end.finish()
            self.forget(end)

    def connections(self, one: str, other: str) -> list[End]:
        """Ends at ``one`` whose other end is at ``other``."""
        return [end for end in self._ends.get(one, {}).values() if end.peer.host == other]

    def cut(self, end: End) -> None:
        """Both sides learn, each in its own time, that the connection is gone; what was under way is lost."""
        self.disturb(end.host, end.peer.host)
        for side in (end, end.peer):
            self.loop.after_ns(self._chance.below(2_000_000), self._break, side)

    def _break(self, side: End) -> None:
        self.disturb(side.host, side.peer.host)
        side.break_off()

    def halve(self, end: End) -> None:
        """One side learns that the connection is gone, the other has to find out."""
        self.disturb(end.host, end.peer.host)
        end.break_off()

    def forget(self, end: End) -> None:
        self._ends.get(end.host, {}).pop(end.number, None)

    def passed(self, end: End, data: bytes, last: bool) -> None:
        """Bytes have come through."""
        self.bytes_passed += len(data)
        self._sum.update(b"%d %d %s %d " % (self.loop.now_ns, end.number, end.host.encode(), last))
        self._sum.update(data)
        if self.overhear is not None:
            self.overhear(end, data)

    def _own_way(self, source: str, target: str) -> Way:
        way = self._ways.get((source, target))
        if way is None:
            ordinary = self.ordinary
            way = Way(ordinary.latency_ns, ordinary.jitter_ns, ordinary.bytes_per_s)
            self._ways[(source, target)] = way
        return way
