"""An engine in step mode with memory links and a small control plane, beside the reference.

The control plane here does what the node's does, without judging: every ``Hello`` is admitted with the ``Admission``
that the test gave to ``open``; a route's CONNECT and INFO are played by the test (``join``).
"""

import itertools
from collections.abc import Sequence

from comparison import Comparison

from gossamer.mesh.engine.core import LINK_ID, NONCE, Engine
from gossamer.mesh.engine.events import Closed, Denied, Event, Hello, Output, PeerInfo
from gossamer.mesh.engine.events import Message as MessageEvent
from gossamer.mesh.engine.kinds import CloseReason, LinkKind
from gossamer.mesh.engine.reference import EVERYTHING, Admission, Message, ReferencePermissions

INFO = (b'INFO {"client_id":', LINK_ID, b',"nonce":"', NONCE, b'"} \r\n')
#: Engine steps without an event after which it counts as being at rest.
QUIET_STEPS = 2
#: Engine steps after which it counts as never coming to rest.
STEPS_MAX = 10_000


class MemoryNode(Comparison):
    """``act`` does one thing to both sides and compares; ``feed`` and its like only touch the engine."""

    def __init__(self, *, seed: int = 1, now_ns: int = 1_000_000_000, **limits: int) -> None:
        super().__init__(**limits)
        self.engine = Engine(seed=seed)
        names = {"pool_size": "route_pool_size", "max_subscription_tokens": "max_subscription_tokens"}
        self.engine.configure(**{names.get(name, name): value for name, value in limits.items()})  # type: ignore[arg-type]
        self.now_ns = self.model.now_ns = now_ns
        self.clients = self.engine.listen(None, kind=LinkKind.CLIENT, info=INFO)
        self.routes = self.engine.listen(None, kind=LinkKind.ROUTE, info=(b'INFO {"route":1} \r\n',))
        self.admissions: dict[int, Admission] = {}
        self.accounts: dict[bytes, int] = {}
        self.permissions: dict[ReferencePermissions, int] = {EVERYTHING: 0}
        self.subscriptions: dict[int, bytes] = {}
        self.events: list[Event] = []
        self.reasons: dict[int, Closed] = {}
        self.denied: list[Denied] = []
        self._nodes = itertools.count(1)
        self._parked: dict[int, bytes] = {}

    # --- the engine alone ----------------------------------------------------------------------------------------

    def account(self, name: bytes) -> int:
        """The account's id."""
        if name not in self.accounts:
            self.accounts[name] = self.engine.account(name)
        return self.accounts[name]

    def compiled(self, permissions: ReferencePermissions) -> int:
        """The id of the permission set (0: everything)."""
        if permissions not in self.permissions:
            self.permissions[permissions] = self.engine.permissions(
                publish_allow=permissions.publish_allow,
                publish_deny=permissions.publish_deny,
                subscribe_allow=permissions.subscribe_allow,
                subscribe_deny=permissions.subscribe_deny,
                response_max=permissions.response_max,
                response_ttl_ns=permissions.response_ttl_ns,
            )
        return self.permissions[permissions]

    def settle(self) -> None:
        """Step until nothing more happens, playing the control plane."""
        quiet = 0
        for _ in range(STEPS_MAX):
            self.engine.step(self.now_ns)
            events = self.engine.drain()
            quiet = 0 if events else quiet + 1
            for event in events:
                self._handle(event)
            if quiet == QUIET_STEPS:
                return
        raise AssertionError(f"the engine does not come to rest: {self.events[-5:]}")

    def pass_time(self, duration_ns: int) -> None:
        """Move the clock and let the timers act."""
        self.now_ns += duration_ns
        self.model.now_ns = self.now_ns
        self.settle()

    def take(self, link: int) -> bytes:
        """What the link has put out since it was last asked."""
        return bytes(self.output.pop(link, b""))

    def open_raw(self, admission: Admission, *, kind: LinkKind = LinkKind.CLIENT) -> int:
        """A link of which the model knows nothing; its INFO is taken away."""
        listener = self.clients if kind is LinkKind.CLIENT else self.routes
        link = self.engine.open(kind=kind, listener=listener, host="127.0.0.1", port=1)
        self.admissions[link] = admission
        self.settle()
        info, newline, rest = self.take(link).partition(b"\r\n")
        assert info.startswith(b"INFO {"), info
        assert newline
        assert not rest
        return link

    def feed(self, link: int, data: bytes, *, end: bool = False) -> bytes:
        """Bytes for one link; what it answers (the output of others stays)."""
        self.engine.feed(link, data, end=end)
        self.settle()
        return self.take(link)

    def _handle(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, Output):
            self.output.setdefault(event.link, bytearray()).extend(event.data)
        elif isinstance(event, Closed):
            assert event.link not in self.closed, f"closed twice: {event}"
            self.closed.add(event.link)
            self.reasons[event.link] = event
        elif isinstance(event, Denied):
            self.denied.append(event)
        elif isinstance(event, MessageEvent):
            name = next(name for name, number in self.accounts.items() if number == event.account)
            message = Message(event.link, name, event.subject, event.reply, event.header_size, event.data)
            self.mailbox.append((event.subscription, message))
        elif isinstance(event, PeerInfo):
            self._parked[event.link] = event.info
        elif isinstance(event, Hello):
            self._admit(event)

    def _admit(self, event: Hello) -> None:
        admission = self.admissions[event.link]
        if event.connect is not None and b'"server_id"' in event.connect:
            self.engine.admit_route(event.link)
            return
        self.engine.admit(
            event.link,
            account=self.account(admission.account),
            permissions=self.compiled(admission.permissions),
            verbose=admission.verbose,
            pedantic=admission.pedantic,
            echo=admission.echo,
            headers=admission.headers,
            no_responders=admission.no_responders,
            max_payload=admission.max_payload,
            max_subscriptions=admission.max_subscriptions,
            reset=event.again,
        )

    def join_raw(
        self,
        *,
        node: int = 0,
        headers: bool = True,
        pooled: bool = False,
        pool_index: int = 0,
        account: bytes = b"",
        leaf_origin_unsubscribe: bool = True,
        permissions: ReferencePermissions = EVERYTHING,
    ) -> int:
        """A route link that has done its handshake (the peer dialled); what it was announced is still in ``output``."""
        link = self.open_raw(Admission(account=b""), kind=LinkKind.ROUTE)
        assert not self.feed(link, b'CONNECT {"server_id":"PEER"}\r\n')
        assert not self.feed(link, b'INFO {"server_id":"PEER"}\r\n')
        assert self._parked.pop(link) == b'{"server_id":"PEER"}'
        self.engine.join_route(
            link,
            node=node or 1000 + next(self._nodes),
            headers=headers,
            pooled=pooled,
            pool_index=pool_index,
            account=self.account(account) if account else 0,
            leaf_origin_unsubscribe=leaf_origin_unsubscribe,
            permissions=self.compiled(permissions),
        )
        self.settle()
        return link

    # --- both sides ------------------------------------------------------------------------------------------------

    def open(self, admission: Admission) -> int:
        """A client on both sides."""
        link = self.open_raw(admission)
        self.note(f"open {link} {admission}")

        def judge(number: int, connect: bytes | None, again: bool) -> Admission:
            return Admission(**{**vars(self.admissions[number]), "reset": again})

        self.model.open_client(link, judge)
        return link

    def join(self, *, headers: bool = True, pool_index: int = -1, account: bytes = b"") -> int:
        """A route on both sides, each to a node of its own."""
        link = self.join_raw(headers=headers, pooled=pool_index >= 0, pool_index=max(pool_index, 0), account=account)
        self.note(f"join {link} headers={headers} pool_index={pool_index} account={account!r}")
        self.observe()
        self.model.join_route(link, headers=headers, pool_index=pool_index, dedicated=account)
        self.compare()
        return link

    def act(self, link: int, data: bytes, cuts: Sequence[int] = ()) -> None:
        """Feed the bytes, cut at these places into reads, to both sides, and compare."""
        self.note(f"feed {link} {data!r} cut at {list(cuts)}")
        places = [0, *sorted({cut for cut in cuts if 0 < cut < len(data)}), len(data)]
        for start, stop in itertools.pairwise(places):
            self.engine.feed(link, data[start:stop])
            if start % 2:  # some reads share a tick
                self.settle()
        self.settle()
        self.observe()
        self.model.feed(link, data)
        self.compare()

    def end(self, link: int) -> None:
        """The peer closes."""
        self.note(f"end {link}")
        self.engine.feed(link, b"", end=True)
        self.settle()
        self.observe()
        self.model.close(link)
        self.compare()

    def kick(self, link: int) -> None:
        """The control plane closes the link."""
        self.note(f"kick {link}")
        self.engine.close(link, reason=CloseReason.KICKED)
        self.settle()
        self.observe()
        self.model.close(link, CloseReason.KICKED)
        self.compare()

    def change(self, link: int, permissions: ReferencePermissions) -> None:
        """New permissions for a client."""
        self.note(f"change {link} {permissions}")
        self.engine.change(link, permissions=self.compiled(permissions))
        self.settle()
        self.observe()
        self.admissions[link].permissions = permissions
        if self.model.links[link].settings is not None:
            self.model.change(link, permissions)
        self.compare()

    def subscribe(self, account: bytes, subject: bytes, queue: bytes = b"") -> int:
        """A subscription of the control plane."""
        identity = self.engine.subscribe(self.account(account), subject, queue)
        self.note(f"subscribe {identity} {account!r} {subject!r} {queue!r}")
        self.subscriptions[identity] = account
        self.settle()
        self.observe()
        self.model.subscribe(identity, account, subject, queue)
        self.compare()
        return identity

    def unsubscribe(self, identity: int) -> None:
        """Its end."""
        self.note(f"unsubscribe {identity}")
        self.engine.unsubscribe(identity)
        self.settle()
        self.observe()
        self.model.unsubscribe(identity)
        self.compare()

    def publish(self, account: bytes, subject: bytes, data: bytes, *, reply: bytes = b"", header_size: int = 0) -> None:
        """A message of the control plane."""
        self.note(f"publish {account!r} {subject!r} {data!r} reply={reply!r} header_size={header_size}")
        self.engine.publish(self.account(account), subject, data, reply=reply, header_size=header_size)
        self.settle()
        self.observe()
        self.model.publish(account, subject, data, reply=reply, header_size=header_size)
        self.compare()

    def finish(self) -> None:
        """Close everything; the engine must be empty."""
        for one in self.engine.links():
            self.engine.close(one.link, reason=CloseReason.SERVER_SHUTDOWN)
        for identity in self.subscriptions:
            self.engine.unsubscribe(identity)
        self.settle()
        totals = self.engine.totals()
        assert (totals.links, totals.subscriptions, totals.pending_bytes) == (0, 0, 0), totals
        self.engine.destroy()
