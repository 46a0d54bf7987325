"""One connection between two hosts: two ends, bytes in order, and all the ways in which it may die.

Each direction has the latency and bandwidth of its hosts at the moment of sending. What is on its way when a direction
is blocked waits until it is open again, as TCP's retransmissions do. An end that is gone without a word (half-open)
answers what still arrives with a reset. What has been sent and not been read counts against a window: a sender beyond
it is held, as a full socket holds a process.
"""

from asyncio import TimerHandle
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from gossamer.mesh.sim.network import Network

WINDOW_BYTES = 1 << 20
#: What a thin line carries at once.
SEGMENT_BYTES = 1400
_SECOND_NS = 1_000_000_000

#: Takes bytes and whether the connection has ended.
Receive = Callable[[bytes, bool], None]


class Piece(NamedTuple):
    """Bytes on their way, numbered from 1; ``end``: nothing follows."""

    number: int
    data: bytes
    end: bool


class End:
    """One side. ``attach`` says who reads it; until then bytes wait."""

    def __init__(self, network: "Network", host: str, number: int) -> None:
        self.network = network
        self.host = host
        self.number = number
        self.peer: End = self
        self.open = True
        self.since_ns = network.loop.now_ns
        self.sent = 0  # bytes, ever
        self._receive: Receive | None = None
        self._hold: Callable[[bool], None] | None = None
        self._held = False
        self._early: deque[tuple[bytes, bool]] = deque()
        self._stuck: list[Piece] = []
        self._arrived: dict[int, Piece] = {}  # out of order
        self._last_sent = 0
        self._last_taken = 0
        self._unread = 0
        self._queue: deque[Piece] = deque()  # waits for the line
        self._sending = False
        self._line: TimerHandle | None = None
        self._last_arrival_ns = 0

    def attach(self, receive: Receive, hold: Callable[[bool], None] | None = None) -> None:
        """Begin to read; ``hold`` is told when the other side takes nothing more, and when it does again."""
        self._receive, self._hold = receive, hold
        self.read_on()

    def send(self, data: bytes) -> None:
        if self.open:
            self.sent += len(data)
            self._unread += len(data)
            if self._hold is not None and not self._held and self._unread > WINDOW_BYTES:
                self._held = True
                self._hold(True)
            if self.network.way(self.host, self.peer.host).bytes_per_s:
                while len(data) > SEGMENT_BYTES:
                    self._carry(data[:SEGMENT_BYTES], False)
                    data = data[SEGMENT_BYTES:]
            self._carry(data, False)

    def finish(self) -> None:
        """The owner closes: the other side hears of it after all that was sent."""
        if self.open:
            self.open = False
            self._carry(b"", True)

    def vanish(self) -> None:
        """The owner is gone without a word."""
        self.open = False
        self._early.clear()

    def break_off(self) -> None:
        """The owner learns that the connection is gone; the other side does not, until it says something."""
        if self.open:
            self.open = False
            self._deliver(b"", True)

    def read_on(self) -> None:
        """Deliver what waited: for a reader, or for a host that slept."""
        while self._early and self._receive is not None and not self.network.sleeps(self.host):
            data, end = self._early.popleft()
            self._deliver(data, end)

    def retry(self) -> None:
        """The direction is open again: what was stuck is sent once more."""
        stuck, self._stuck = self._stuck, []
        self._queue.extend(stuck)
        if not self._sending:
            self._send_next()

    def hurry(self) -> None:
        """The line has become wider."""
        if self._sending and self._line is not None:
            self._line.cancel()
            self._send_next()

    # --- on its way -----------------------------------------------------------------------------------------------

    def _carry(self, data: bytes, end: bool) -> None:
        self._last_sent += 1
        piece = Piece(self._last_sent, data, end)
        if self._stuck or self.network.way(self.host, self.peer.host).blocked:
            self._stuck.append(piece)
            return
        self._queue.append(piece)
        if not self._sending:
            self._send_next()

    def _send_next(self) -> None:
        """Put what waits on the line, one piece after the other."""
        network = self.network
        while self._queue:
            way = network.way(self.host, self.peer.host)
            if way.bytes_per_s and not self._sending:
                self._sending = True
                delay_ns = len(self._queue[0].data) * _SECOND_NS // way.bytes_per_s
                self._line = network.loop.after_ns(delay_ns, self._send_next)
                return
            self._sending = False
            piece = self._queue.popleft()
            now_ns = network.loop.now_ns
            arrives_ns = max(now_ns + network.latency_ns(way), self._last_arrival_ns + 1)
            self._last_arrival_ns = arrives_ns
            network.loop.after_ns(arrives_ns - now_ns, self._arrive, piece)
        self._sending = False

    def _arrive(self, piece: Piece) -> None:
        if self.network.way(self.host, self.peer.host).blocked:
            self._stuck.append(piece)
            return
        # What is sent again may come after what was sent later: the receiver sorts.
        self._arrived[piece.number] = piece
        while (following := self._arrived.pop(self._last_taken + 1, None)) is not None:
            self._last_taken += 1
            self._take(following.data, following.end)

    def _take(self, data: bytes, end: bool) -> None:
        network, peer = self.network, self.peer
        network.passed(self, data, end)
        if end:
            network.forget(self)
        if not peer.open:
            self._unread = 0
            if self.open and not network.is_dark(peer.host):
                network.loop.after_ns(network.latency_ns(network.way(peer.host, self.host)), self._reset)
            return
        if peer._receive is None or peer._early or network.sleeps(peer.host):
            peer._early.append((data, end))
        else:
            peer._deliver(data, end)

    def _deliver(self, data: bytes, end: bool) -> None:
        if end:
            self.open = False
            self._early.clear()
            self.network.forget(self)
        if self._receive is None:
            return
        self._receive(data, end)
        sender = self.peer
        sender._unread -= len(data)
        if sender._held and sender._unread <= WINDOW_BYTES // 2:
            sender._held = False
            if sender._hold is not None and sender.open:
                sender._hold(False)

    def _reset(self) -> None:
        """The other side says that it knows nothing of this connection."""
        if not self.network.way(self.peer.host, self.host).blocked:
            self.break_off()
