"""Random lives of a node with links of every kind: what each peer is told, and who gets each message."""

from federation_model import Kind, Message, Peer, Wish
from federation_node import RTT_NS, Federation
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from operations import ACCOUNTS

from gossamer.mesh.engine.reference import EVERYTHING, ReferencePermissions

SIDS = [b"1", b"2", b"3"]
#: Of leaf nodes below and of a route's; and of hubs, two of whom may be of one cluster.
CLUSTERS = [b"X", b"Y"]
HUBS = [b"G", b"H"]
MOST = {Kind.CLIENT: 3, Kind.ROUTE: 3, Kind.LEAF: 3, Kind.HUB: 2, Kind.INBOUND: 2, Kind.OUTBOUND: 2}
MAPPED_REPLY = b"_GR_.EEEEEE.zzzzzz.back.2"

LITERALS = [b"a", b"b", b"a.b"]
accounts = st.sampled_from([*[ACCOUNTS[0]] * 5, ACCOUNTS[1]])
literals = st.sampled_from(LITERALS)
patterns = st.sampled_from([*LITERALS, b">", b"a.*", b"*.b", b"*", b">", b"a.>", b"back.*", b"back.1"])
queues = st.sampled_from([b"", b"", b"q", b"q", b"r"])
weights = st.integers(1, 3)
rights = st.sampled_from(
    [
        EVERYTHING,
        EVERYTHING,
        ReferencePermissions(publish_deny=(b"a.b",)),
        ReferencePermissions(subscribe_deny=((b"a.>", b""),)),
        ReferencePermissions(publish_deny=(b"*.b",), subscribe_deny=((b"a", b""), (b"b.b", b""))),
    ]
)
kinds = st.sampled_from([kind for kind in Kind for _ in range(MOST[kind])])
named = st.sampled_from([(b"q", b"r"), (b"r", b"q"), (b"q",), (b"r",), ()])
gateway_verbs = st.sampled_from(["RS+", "RS+", "RS+", "RS+", "RS-", "RS-", "A-", "A+", "start", "start", "complete"])


class FederationLives(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.mesh = Federation()

    def some(self, data: st.DataObject, *kinds: Kind) -> Peer | None:
        found = [one for one in self.mesh.model.peers.values() if one.kind in kinds]
        return data.draw(st.sampled_from(found), label="peer") if found else None

    @initialize(data=st.data(), more=st.lists(kinds, max_size=6))
    def begin(self, data: st.DataObject, more: list[Kind]) -> None:
        """One of each kind at least, and a second node, each of which wants something."""
        for kind in [*Kind, Kind.ROUTE, *more]:
            self.join(data, kind)
        for peer in list(self.mesh.model.peers.values()):
            subject, queue = data.draw(patterns), data.draw(queues)
            if peer.kind is Kind.CLIENT:
                self.mesh.subscribe(peer, subject, queue, SIDS[0])
            elif peer.kind is Kind.OUTBOUND:
                if peer.opinions[ACCOUNTS[0]].generous:
                    self.mesh.gateway_says(peer, "RS-", ACCOUNTS[0], data.draw(literals), b"")
                for verb in ["RS+"] if peer.opinions[ACCOUNTS[0]].generous else ["start", "RS+", "complete"]:
                    self.mesh.gateway_says(peer, verb, ACCOUNTS[0], subject, queue)
            elif peer.kind is not Kind.INBOUND:
                self.mesh.announce(
                    peer, self.wish(data, peer, ACCOUNTS[0], subject, queue, data.draw(st.booleans())), 2
                )

    @rule(data=st.data(), kind=kinds)
    def come(self, data: st.DataObject, kind: Kind) -> None:
        self.join(data, kind)

    def join(self, data: st.DataObject, kind: Kind) -> None:
        mesh = self.mesh
        there = [one for one in mesh.model.peers.values() if one.kind is kind]
        if len(there) >= MOST[kind]:
            return
        if kind is Kind.CLIENT:
            mesh.client(data.draw(accounts), data.draw(st.sampled_from([True, True, False])))
        elif kind is Kind.ROUTE:
            mesh.route(data.draw(st.booleans()))
        elif kind is Kind.INBOUND:
            mesh.inbound(data.draw(st.sampled_from([b"E", b"F"])))
        elif kind is Kind.OUTBOUND:
            name = data.draw(st.sampled_from(sorted(RTT_NS.keys() - {one.cluster for one in there})))
            mesh.outbound(name, data.draw(st.sampled_from([True, True, False])))
        else:
            cluster = data.draw(st.sampled_from(HUBS if kind is Kind.HUB else CLUSTERS))
            isolated = data.draw(st.sampled_from([False, False, True]))
            mesh.leaf(data.draw(accounts), cluster, kind is Kind.HUB, isolated, data.draw(rights))

    @precondition(lambda self: len(self.mesh.model.peers) > 3)
    @rule(data=st.data(), alone=st.booleans())
    def go(self, data: st.DataObject, alone: bool) -> None:
        """One, or all of its kind, so that those who come next in a queue group have their turn."""
        peer = self.some(data, *Kind)
        assert peer is not None
        for one in list(self.mesh.model.peers.values()):
            if one is peer or (one.kind is peer.kind and not alone):
                self.mesh.end(one)

    @rule(data=st.data(), rights=rights)
    def change(self, data: st.DataObject, rights: ReferencePermissions) -> None:
        if peer := self.some(data, Kind.LEAF, Kind.HUB):
            self.mesh.change(peer, rights)

    @rule()
    def pass_time(self) -> None:
        self.mesh.pass_time()

    @rule(data=st.data(), subject=patterns, queue=queues, sid=st.sampled_from(SIDS), ends=st.booleans())
    def subscribe(self, data: st.DataObject, subject: bytes, queue: bytes, sid: bytes, ends: bool) -> None:
        if peer := self.some(data, Kind.CLIENT):
            if ends and any((one.peer, one.sid) == (peer.number, sid) for one in self.mesh.model.wishes):
                self.mesh.unsubscribe(peer, sid)
            else:
                self.mesh.subscribe(peer, subject, queue, sid)

    @rule(data=st.data(), account=accounts, subject=patterns, queue=queues, weight=weights, origin=st.booleans())
    def announce(
        self, data: st.DataObject, account: bytes, subject: bytes, queue: bytes, weight: int, origin: bool
    ) -> None:
        if peer := self.some(data, Kind.ROUTE, Kind.LEAF, Kind.HUB):
            self.mesh.announce(peer, self.wish(data, peer, account, subject, queue, origin), weight)

    @staticmethod
    def wish(data: st.DataObject, peer: Peer, account: bytes, subject: bytes, queue: bytes, origin: bool) -> Wish:
        if peer.kind is not Kind.ROUTE:
            return Wish(peer.number, peer.account, subject, queue, peer.cluster)
        cluster = data.draw(st.sampled_from([*CLUSTERS, b"Z"])) if origin and peer.origins else b""
        return Wish(peer.number, account, subject, queue, cluster)

    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        """Mostly something that was announced."""
        peers = self.mesh.model.peers
        found = [one for one in self.mesh.model.wishes if peers[one.peer].kind in {Kind.ROUTE, Kind.LEAF, Kind.HUB}]
        if found:
            wish = data.draw(st.sampled_from(found), label="wish")
            self.mesh.withdraw(peers[wish.peer], wish)

    @rule(data=st.data(), verb=gateway_verbs, account=accounts, subject=patterns, literal=literals, queue=queues)
    def gateway_says(
        self, data: st.DataObject, verb: str, account: bytes, subject: bytes, literal: bytes, queue: bytes
    ) -> None:
        if peer := self.some(data, Kind.OUTBOUND):
            self.mesh.gateway_says(peer, verb, account, literal if verb == "RS-" and not queue else subject, queue)

    @rule(data=st.data(), reply=st.sampled_from([b"", b"back.1"]), times=st.integers(1, 3))
    def publish(self, data: st.DataObject, reply: bytes, times: int) -> None:
        """Some more than once, so that what was remembered of the subject is used."""
        if peer := self.some(data, Kind.CLIENT):
            for subject in LITERALS * times:
                self.mesh.publish(Message(peer.number, peer.account, subject, reply), b"payload")

    @rule(data=st.data(), subject=st.sampled_from([b"back.1", b"back.2"]), mapped=st.booleans())
    def answer(self, data: st.DataObject, subject: bytes, mapped: bool) -> None:
        """To a reply that a gateway mapped, where a client has seen one."""
        if mapped and self.mesh.model.answers:
            number, subject = data.draw(st.sampled_from(sorted(self.mesh.model.answers)))
            peer: Peer | None = self.mesh.model.peers[number]
        else:
            peer = self.some(data, Kind.CLIENT)
        if peer:
            self.mesh.publish(Message(peer.number, peer.account, subject), b"answer")

    @rule(
        data=st.data(),
        account=accounts,
        reply=st.sampled_from([b"", b"back.1", MAPPED_REPLY]),
        groups=named,
        origin=st.booleans(),
        times=st.integers(1, 3),
    )
    def pass_on(
        self,
        data: st.DataObject,
        account: bytes,
        reply: bytes,
        groups: tuple[bytes, ...],
        origin: bool,
        times: int,
    ) -> None:
        """A message from another server."""
        peer = self.some(data, Kind.ROUTE, Kind.LEAF, Kind.HUB, Kind.INBOUND)
        if peer is None:
            return
        cluster = b""
        if peer.kind in {Kind.LEAF, Kind.HUB}:
            account, cluster = peer.account, peer.cluster
            reply = reply if reply != MAPPED_REPLY else b"back.1"
        elif peer.origins and origin:
            cluster = data.draw(st.sampled_from([*CLUSTERS, b"Z"]))
        for subject in LITERALS * times:
            if peer.number in self.mesh.model.peers:
                self.mesh.publish(Message(peer.number, account, subject, reply, groups, cluster), b"payload")

    def teardown(self) -> None:
        self.mesh.finish()


FederationLives.TestCase.settings = settings(
    max_examples=220,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
TestFederationLives = FederationLives.TestCase
