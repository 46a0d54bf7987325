"""Fuzz targets of the engine: what a client, a route, a leaf node or a gateway may send, byte for byte.

An input begins with four option bytes (how the link is admitted, how the rest is cut into reads); the rest is the
stream. Beside the attacker sit witnesses who must not notice: their connection lives, their answers come, their output
is well-formed. Every few hundred inputs the engine is emptied and must then hold nothing.
"""

import itertools

from gossamer.mesh.engine.core import LINK_ID, Engine
from gossamer.mesh.engine.events import Closed, Hello, Message, Output, PeerInfo
from gossamer.mesh.engine.kinds import CloseReason, LinkKind

#: Inputs after which one engine is emptied, checked and replaced.
INPUTS_PER_ENGINE = 300
STEPS_MAX = 5000
COMMAND = b'INFO {"gateway":"E","gateway_cmd":%d,"gateway_cmd_payload":"%s"}\r\n'
PAYLOAD_VERBS = (b"MSG", b"HMSG", b"RMSG", b"LMSG")
OPTION_BYTES = 4


class Broken(AssertionError):
    """The engine did something it must never do."""


class Node:
    """An engine in step mode whose control plane says yes to everything."""

    def __init__(self, seed: int = 1) -> None:
        self.engine = Engine(seed=seed)
        self.engine.configure(mailbox_limit=1 << 20, max_pending=8 << 20, route_pool_size=3)
        # An input cut into many reads lasts for minutes: nobody is to be found dead meanwhile.
        self.engine.configure(gateway_ping_interval_ns=10**13, leaf_ping_interval_ns=10**13)
        self.now_ns = 1_000_000_000
        self.output: dict[int, bytearray] = {}
        self.closed: set[int] = set()
        self.options: dict[int, int] = {}
        self.kinds: dict[int, LinkKind] = {}
        self.joined: set[int] = set()
        self.accounts = [self.engine.account(name) for name in (b"A", b"B", b"$G")]
        self.permissions = [
            0,
            self.engine.permissions(
                publish_allow=(b"a.>", b"b.*"),
                publish_deny=(b"a.b",),
                subscribe_allow=((b"a.>", b""), (b"*.c", b"q.*")),
                subscribe_deny=((b"a.b.*", b""), (b">", b"x")),
                response_max=2,
                response_ttl_ns=1_000_000_000,
            ),
        ]
        self.clients = self.engine.listen(
            None, kind=LinkKind.CLIENT, info=(b'INFO {"client_id":', LINK_ID, b"} \r\n"), auth_timeout_ns=10**12
        )
        self.routes = self.engine.listen(None, kind=LinkKind.ROUTE, info=(b"INFO {} \r\n",))
        self.numbers = itertools.count(1)
        self.engine.subscribe(self.accounts[0], b"mail.>")
        self.engine.subscribe(self.accounts[0], b"a.*", b"q")
        self.witnesses = [self.open(LinkKind.CLIENT, 0), self.open(LinkKind.CLIENT, 8)]
        self.peer = self.open(LinkKind.ROUTE, 0)
        self.engine.gateway_identity(name=b"O", cluster_hash=b"oooooo", server_hash=b"ssssss")
        self.engine.subscribe_loop_detection(self.accounts[0], b"$LDS.own")
        self.servers = [self.open(kind, options) for kind in (LinkKind.LEAF, LinkKind.GATEWAY) for options in (0, 1)]
        for link in self.witnesses:
            self.engine.feed(link, b"CONNECT {}\r\nSUB > 1\r\nSUB a.> q 2\r\nSUB *.b q 3\r\n")
        self.engine.feed(self.peer, b"CONNECT {}\r\nINFO {}\r\nRS+ A a.>\r\nRS+ A a.b q 2\r\nRS+ B >\r\n")
        for link in self.servers:
            self.engine.feed(link, b"INFO {}\r\n")
        self.settle()
        for link in self.servers[:2]:
            self.engine.feed(link, b"LS+ a.>\r\nLS+ a.b q 2\r\n")
        wanted = b"RS+ A a.>\r\nRS+ A a.b q 1\r\n"
        self.engine.feed(self.servers[3], COMMAND % (2, b"QQ==") + wanted + COMMAND % (3, b"QQ=="))
        self.settle()

    def open(self, kind: LinkKind, options: int) -> int:
        """A memory link; the bits of ``options`` say how it will be admitted. Leaf nodes and gateways are solicited."""
        listener = {LinkKind.CLIENT: self.clients, LinkKind.ROUTE: self.routes}.get(kind, 0)
        link = self.engine.open(kind=kind, listener=listener, host="127.0.0.1", port=1)
        self.options[link] = options
        self.kinds[link] = kind
        return link

    def settle(self) -> None:
        """Step until two steps bring no event."""
        quiet = 0
        for _ in range(STEPS_MAX):
            self.now_ns += 1_000_000
            self.engine.step(self.now_ns)
            events = self.engine.drain()
            quiet = 0 if events else quiet + 1
            for event in events:
                self._handle(event)
            if quiet == 2:
                return
        raise Broken("the engine does not come to rest")

    def _handle(self, event: object) -> None:
        if isinstance(event, Output):
            self.output.setdefault(event.link, bytearray()).extend(event.data)
        elif isinstance(event, Closed):
            if event.link in self.closed:
                raise Broken(f"closed twice: {event}")
            self.closed.add(event.link)
        elif isinstance(event, PeerInfo):
            self._join(event)
        elif isinstance(event, Hello):
            self._admit(event)
        elif isinstance(event, Message) and event.header_size > len(event.data):
            raise Broken(f"more headers than data: {event}")

    def _join(self, event: PeerInfo) -> None:
        options, kind = self.options[event.link], self.kinds[event.link]
        if event.link in self.joined:
            self.engine.resume(event.link)
        elif kind is LinkKind.LEAF:
            self.engine.join_leaf(
                event.link,
                account=self.accounts[0],
                spoke=bool(options & 1),
                cluster=(b"X", b"Y")[bool(options & 2)],
                headers=not options & 4,
                permissions=self.permissions[bool(options & 16)],
                isolated=bool(options & 8),
                remote_account=b"A",
            )
        elif kind is LinkKind.GATEWAY:
            self.engine.join_gateway(
                event.link,
                outbound=bool(options & 1),
                name=b"E",
                cluster_hash=b"eeeeee",
                headers=not options & 4,
                interest_only=not options & 2,
            )
        else:
            self.engine.join_route(
                event.link,
                node=next(self.numbers),
                headers=not options & 1,
                leaf_origin=bool(options & 2),
                pooled=bool(options & 4),
                pool_index=2,
                account=self.accounts[0] if options & 8 else 0,
                server_hash=b"rrrrrr",
            )
        self.joined.add(event.link)

    def _admit(self, event: Hello) -> None:
        options = self.options[event.link]
        if event.link == getattr(self, "peer", 0) or options & 0x100:
            self.engine.admit_route(event.link)
            return
        self.engine.admit(
            event.link,
            account=self.accounts[bool(options & 8)],
            permissions=self.permissions[bool(options & 16)],
            verbose=bool(options & 1),
            pedantic=bool(options & 2),
            echo=not options & 4,
            headers=bool(options & 32),
            no_responders=bool(options & 64),
            reset=event.again,
        )

    def check(self) -> None:
        """The witnesses live, answer, and got nothing but whole frames."""
        for link in (*self.witnesses, self.peer, *self.servers):
            self.engine.feed(link, b"PONG\r\nPING\r\n")
        self.settle()
        for link in (*self.witnesses, self.peer, *self.servers):
            if link in self.closed:
                raise Broken(f"witness {link} was closed: {bytes(self.output.get(link, b''))[-200:]!r}")
            frames = split_frames(bytes(self.output.pop(link, b"")))
            if b"PONG\r\n" not in frames:
                raise Broken(f"witness {link} got no PONG")
        for stream in self.output.values():
            split_frames(bytes(stream))
        self.output.clear()

    def finish(self) -> None:
        """Close everything: nothing may be left."""
        for one in self.engine.links():
            self.engine.close(one.link, reason=CloseReason.SERVER_SHUTDOWN)
        self.settle()
        totals = self.engine.totals()
        if (totals.links, totals.subscriptions, totals.pending_bytes, totals.mailbox_bytes) != (0, 2, 0, 0):
            raise Broken(f"left behind: {totals}")
        self.engine.destroy()


def split_frames(stream: bytes) -> list[bytes]:
    """The frames of an output. Raises Broken where it is not well-formed."""
    frames = []
    place = 0
    while place < len(stream):
        end = stream.find(b"\r\n", place)
        if end < 0:
            raise Broken(f"a line without an end: {stream[place : place + 200]!r}")
        fields = stream[place:end].split(b" ")
        end += 2
        if fields[0] in PAYLOAD_VERBS:
            if not fields[-1].isdigit():
                raise Broken(f"no size: {fields}")
            end += int(fields[-1]) + 2
            if stream[end - 2 : end] != b"\r\n":
                raise Broken(f"a wrong size: {stream[place : place + 200]!r}")
        frames.append(stream[place:end])
        place = end
    return frames


class Target:
    """Inputs for one kind of link, over engines that live for a while."""

    def __init__(self, kind: LinkKind) -> None:
        self.kind = kind
        self.node: Node | None = None
        self.count = 0

    def consume(self, data: bytes) -> None:
        """One attacker. Raises Broken; a crash or a sanitizer's report ends the process."""
        if len(data) < OPTION_BYTES:
            return
        node = self.node = self.node or Node(seed=data[3])
        options, stream = data[0] | 0x100 * (self.kind is LinkKind.ROUTE), data[OPTION_BYTES:]
        link = node.open(self.kind, options)
        if self.kind is LinkKind.ROUTE and data[1] & 1:
            node.engine.feed(link, b"CONNECT {}\r\nINFO {}\r\n")
        elif self.kind in (LinkKind.LEAF, LinkKind.GATEWAY) and data[1] & 3:
            node.engine.feed(link, b"INFO {}\r\n")
        width = (data[2] & 127) * (1 if data[2] & 128 else 64) or len(stream) or 1
        for start in range(0, len(stream), width):
            node.engine.feed(link, stream[start : start + width])
            if data[1] & 2:
                node.settle()
        node.settle()
        if data[1] & 4 and options & 16:
            node.engine.change(link, permissions=0)
        if data[1] & 8:
            node.engine.close(link, reason=CloseReason.KICKED, error=b"fuzz", flush=bool(data[1] & 16))
        else:
            node.engine.feed(link, b"", end=True)
        node.check()
        if link not in node.closed:
            raise Broken("the attacker's link lives on")
        self.count += 1
        if self.count % INPUTS_PER_ENGINE == 0:
            node.finish()
            self.node = None

    def finish(self) -> None:
        """The end of a run."""
        if self.node:
            self.node.finish()
            self.node = None


_client, _route = Target(LinkKind.CLIENT), Target(LinkKind.ROUTE)
_leaf, _gateway = Target(LinkKind.LEAF), Target(LinkKind.GATEWAY)
consume_leaf, finish_leaf = _leaf.consume, _leaf.finish
consume_gateway, finish_gateway = _gateway.consume, _gateway.finish
consume_client, finish_client = _client.consume, _client.finish
consume_route, finish_route = _route.consume, _route.finish
