"""The engine's side of the route seam in plain Python, line by line: enough to hold a cluster together in tests.

It keeps interest and messages per account and nothing else: no queues of its own, no permissions. ``LineEngine`` knows
no sockets; a ``Wire`` carries its bytes, in memory (route_fabric) or over TCP (test_real_shim).
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gossamer.mesh.engine.events import Closed, Event, Hello, Opened, PeerError, PeerInfo, Pong
from gossamer.mesh.engine.kinds import CloseReason, LinkKind
from gossamer.mesh.peers.route_protocol import pool_index


class Wire(Protocol):
    def write(self, data: bytes) -> None: ...

    def finish(self) -> None:
        """Close after what was written; the other side sees the end."""


@dataclass
class Link:
    number: int
    wire: Wire
    listener: int
    host: str
    port: int
    state: str  # connect, info, joined, closed
    parked: bool = False
    buffer: bytearray = field(default_factory=bytearray)
    node: int = 0
    index: int = 0
    pooled: bool = True
    account: str = ""
    sent: list[bytes] = field(default_factory=list)
    received: list[bytes] = field(default_factory=list)
    interest: set[tuple[str, str]] = field(default_factory=set)
    pings: int = 0
    error: str = ""


class LineEngine:
    """``wake`` is called when there is something to drain."""

    def __init__(self, wire_for: Callable[[int], Wire], wake: Callable[[], None], ping_every: int = 0) -> None:
        self._wire_for = wire_for
        self._wake = wake
        self._events: deque[Event] = deque()
        self._numbers = 0
        self.links: dict[int, Link] = {}
        self.gone: list[Link] = []
        self.listeners: dict[int, list[bytes | int]] = {}
        self.listener_descriptors: dict[int, int | None] = {}
        self.accounts: dict[str, int] = {}
        self.dedicated: set[str] = set()
        self.settings: dict[str, object] = {}
        #: Interest of this node: (account, subject).
        self.own: set[tuple[str, str]] = set()
        #: Messages that arrived: (account, subject, payload).
        self.messages: list[tuple[str, str, bytes]] = []
        self.pings_answered = True
        #: Levels of compression that were asked for, by link.
        self.levels: dict[int, list[int]] = {}

    # --- the seam -------------------------------------------------------------------------------------------------

    def configure(self, **settings: object) -> None:
        self.settings.update(settings)

    def account(self, name: bytes, *, dedicated_route: bool = False) -> int:
        text = name.decode()
        if dedicated_route:
            self.dedicated.add(text)
        return self.accounts.setdefault(text, len(self.accounts) + 1)

    def listen(
        self, descriptor: int | None, *, kind: int, info: Sequence[bytes | int], auth_timeout_ns: int = 0
    ) -> int:
        assert kind == LinkKind.ROUTE
        self._numbers += 1
        self.listeners[self._numbers] = list(info)
        self.listener_descriptors[self._numbers] = descriptor
        return self._numbers

    def set_info(self, listener: int, info: Sequence[bytes | int]) -> None:
        self.listeners[listener] = list(info)

    def close_listener(self, listener: int) -> None:
        self.listeners.pop(listener)

    def adopt(
        self, descriptor: int, *, kind: int, listener: int = 0, greeting: bytes = b"", host: str = "", port: int = 0
    ) -> int:
        assert kind == LinkKind.ROUTE
        link = self.attach(self._wire_for(descriptor), listener, host, port)
        if greeting:
            self._write(link, greeting)
        return link.number

    def send(self, link: int, data: bytes) -> None:
        if link in self.links:
            self._write(self.links[link], data)

    def ping(self, link: int) -> None:
        if link in self.links:
            self.links[link].pings += 1
            self._write(self.links[link], b"PING\r\n")

    def close(self, link: int, *, reason: int, error: bytes = b"", flush: bool = True) -> None:
        if link in self.links:
            if error:
                self._write(self.links[link], b"-ERR '" + error + b"'\r\n")
            self._end(self.links[link], reason, error)

    def admit_route(self, link: int) -> None:
        if link in self.links:
            self.links[link].state = "info"
            self._go_on(self.links[link])

    def compress(self, link: int, level: int, *, both: bool = True) -> None:
        """What is compressed is still readable here: only the levels are kept."""
        self.levels.setdefault(link, []).append(level)

    def resume(self, link: int) -> None:
        if link in self.links:
            self._go_on(self.links[link])

    def join_route(
        self,
        link: int,
        *,
        node: int,
        headers: bool,
        leaf_origin: bool = False,
        leaf_origin_unsubscribe: bool = False,
        pool_index: int = 0,
        pooled: bool = True,
        account: int = 0,
        leaf_origin_always: bool = False,
        server_hash: bytes = b"",
        permissions: int = 0,
    ) -> None:
        if link not in self.links:
            return
        joined = self.links[link]
        joined.state, joined.node, joined.index, joined.pooled = "joined", node, pool_index, pooled
        joined.account = next((name for name, number in self.accounts.items() if number == account), "")
        for name, subject in sorted(self.own):
            if self._carries(joined, name):
                self._write(joined, self._subscribe_line(joined, name, subject))
        self._go_on(joined)

    def permissions(self, **_: object) -> int:
        raise AssertionError("this engine knows of no permissions: tests/routes/test_permissions.py uses the real one")

    def remove_permissions(self, permissions: int) -> None:
        raise AssertionError("nor this")

    # --- for tests --------------------------------------------------------------------------------------------------

    def drain(self) -> list[Event]:
        events = list(self._events)
        self._events.clear()
        return events

    def subscribe(self, account: str, subject: str) -> None:
        self.own.add((account, subject))
        for link in self.links.values():
            if link.state == "joined" and self._carries(link, account):
                self._write(link, self._subscribe_line(link, account, subject))

    def publish(self, account: str, subject: str, payload: bytes) -> int:
        """To every node with literal interest. Returns how many there were."""
        nodes = set()
        for link in self.links.values():
            if link.state == "joined" and (account, subject) in link.interest and link.node not in nodes:
                nodes.add(link.node)
                token = "" if link.account else f"{account} "
                self._write(link, f"RMSG {token}{subject} {len(payload)}\r\n".encode() + payload + b"\r\n")
        return len(nodes)

    def knows_interest(self, account: str, subject: str) -> set[int]:
        """Numbers of the nodes that want it."""
        return {link.node for link in self.links.values() if (account, subject) in link.interest}

    # --- bytes --------------------------------------------------------------------------------------------------

    def attach(self, wire: Wire, listener: int, host: str, port: int) -> Link:
        """A new link; with a listener it was accepted there."""
        self._numbers += 1
        link = Link(self._numbers, wire, listener, host, port, "connect" if listener else "info")
        self.links[link.number] = link
        self._tell(Opened(link.number, listener, LinkKind.ROUTE, host, port))
        if listener:
            for piece in self.listeners[listener]:
                assert isinstance(piece, bytes)
                self._write(link, piece)
        return link

    def feed(self, link: Link, data: bytes) -> None:
        link.buffer += data
        self._parse(link)

    def ended(self, link: Link) -> None:
        """The other side closed."""
        if link.state != "closed":
            self._end(link, CloseReason.CLIENT_CLOSED, b"")

    def _parse(self, link: Link) -> None:
        while not link.parked and link.state != "closed":
            end = link.buffer.find(b"\n")
            if end < 0:
                return
            line = bytes(link.buffer[:end]).rstrip(b"\r")
            verb = line.split(b" ", 1)[0].upper()
            if verb in (b"RMSG", b"HMSG", b"LMSG"):
                size = int(line.rsplit(b" ", 1)[1])
                if len(link.buffer) < end + 1 + size + 2:
                    return
                payload = bytes(link.buffer[end + 1 : end + 1 + size])
                del link.buffer[: end + 1 + size + 2]
                self._message(link, line, payload)
                continue
            del link.buffer[: end + 1]
            link.received.append(line)
            self._line(link, verb, line)

    def _line(self, link: Link, verb: bytes, line: bytes) -> None:
        rest = line[len(verb) :].strip()
        if link.state == "connect" or verb == b"CONNECT":
            link.parked = True
            connect = rest if verb == b"CONNECT" else None
            self._tell(Hello(link.number, connect, link.state != "connect", b""))
        elif verb == b"INFO":
            link.parked = True
            self._tell(PeerInfo(link.number, rest))
        elif verb == b"-ERR":
            self._tell(PeerError(link.number, rest))
            self._end(link, CloseReason.PROTOCOL_VIOLATION, b"")
        elif verb == b"PING":
            if self.pings_answered:
                self._write(link, b"PONG\r\n")
        elif verb == b"PONG":
            self._tell(Pong(link.number, 1000 if link.pings else 0))
        elif verb in (b"RS+", b"RS-"):
            words = rest.decode().split(" ")
            account = link.account or words.pop(0)
            entry = (account, words[0])
            (link.interest.add if verb == b"RS+" else link.interest.discard)(entry)

    def _message(self, link: Link, line: bytes, payload: bytes) -> None:
        words = line.decode().split(" ")[1:]
        account = link.account or words.pop(0)
        self.messages.append((account, words[0], payload))

    def _carries(self, link: Link, account: str) -> bool:
        if not link.pooled:
            return True
        if link.account or account in self.dedicated:
            return link.account == account
        size = self.settings["route_pool_size"]
        assert isinstance(size, int)
        return link.index == pool_index(account, size)

    def _subscribe_line(self, link: Link, account: str, subject: str) -> bytes:
        return f"RS+ {subject}\r\n".encode() if link.account else f"RS+ {account} {subject}\r\n".encode()

    def _go_on(self, link: Link) -> None:
        if link.parked:
            link.parked = False
            self._parse(link)

    def _write(self, link: Link, data: bytes) -> None:
        if link.state != "closed":
            link.sent.append(data)
            link.wire.write(data)

    def _end(self, link: Link, reason: int, error: bytes) -> None:
        link.state = "closed"
        link.error = error.decode()
        del self.links[link.number]
        self.gone.append(link)
        link.wire.finish()
        self._tell(Closed(link.number, reason, error, 0, 0, 0, 0, 0, 0, 0))

    def _tell(self, event: Event) -> None:
        self._events.append(event)
        self._wake()
