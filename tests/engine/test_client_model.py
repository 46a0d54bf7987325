"""Random lives of clients in two accounts: what the engine does must be one of the outcomes the reference allows."""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from memory_node import MemoryNode
from operations import (
    ACCOUNTS,
    QUEUES,
    admissions,
    literals,
    operations,
    patterns,
    permissions,
    publishes,
    violations,
)

from gossamer.mesh.engine.reference import Admission, ReferencePermissions

#: Clients at a time; few, so that they meet.
CLIENTS_MAX = 5
cuts = st.lists(st.integers(1, 400), max_size=12)


class ClientLives(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.node = MemoryNode()
        self.clients: dict[int, Admission] = {}
        self.own: list[int] = []

    def alive(self, data: st.DataObject) -> int:
        return data.draw(st.sampled_from(sorted(self.clients)), label="client")

    def forget_closed(self) -> None:
        for link in self.node.closed & set(self.clients):
            del self.clients[link]

    @precondition(lambda self: len(self.clients) < CLIENTS_MAX)
    @rule(admission=admissions(), connect=st.sampled_from([b"", b"CONNECT {}\r\n", b"connect  {}  \r\nPING\r\n"]))
    def connect(self, admission: Admission, connect: bytes) -> None:
        link = self.node.open(admission)
        self.clients[link] = admission
        self.node.act(link, connect)

    @precondition(lambda self: self.clients)
    @rule(data=st.data(), cuts=cuts)
    def act(self, data: st.DataObject, cuts: list[int]) -> None:
        link = self.alive(data)
        stream = data.draw(st.lists(operations(self.clients[link].headers), min_size=1, max_size=8).map(b"".join))
        self.node.act(link, stream, cuts)
        self.forget_closed()

    @precondition(lambda self: self.clients)
    @rule(data=st.data())
    def act_byte_by_byte(self, data: st.DataObject) -> None:
        link = self.alive(data)
        stream = data.draw(st.lists(operations(self.clients[link].headers), min_size=1, max_size=3).map(b"".join))
        self.node.act(link, stream, range(1, len(stream)))
        self.forget_closed()

    @precondition(lambda self: self.clients)
    @rule(data=st.data(), before=st.booleans(), cuts=cuts)
    def violate(self, data: st.DataObject, before: bool, cuts: list[int]) -> None:
        link = self.alive(data)
        stream = data.draw(operations(self.clients[link].headers)) if before else b""
        self.node.act(link, stream + data.draw(violations) + b"PING\r\n", cuts)
        assert link in self.node.closed
        self.forget_closed()

    @precondition(lambda self: self.clients)
    @rule(data=st.data(), kick=st.booleans(), part=st.integers(0, 30))
    def leave(self, data: st.DataObject, kick: bool, part: int) -> None:
        """Also in the middle of an operation."""
        link = self.alive(data)
        self.node.act(link, data.draw(publishes(self.clients[link].headers))[:part])
        if link not in self.node.closed:
            (self.node.kick if kick else self.node.end)(link)
        self.forget_closed()

    @precondition(lambda self: self.clients)
    @rule(data=st.data(), new=permissions())
    def change(self, data: st.DataObject, new: ReferencePermissions) -> None:
        link = self.alive(data)
        if self.node.model.links[link].settings is not None:
            self.node.change(link, new)
            self.clients[link].permissions = new

    @rule(account=st.sampled_from(ACCOUNTS), subject=patterns(), queue=st.sampled_from([b"", *QUEUES]))
    def subscribe(self, account: bytes, subject: bytes, queue: bytes) -> None:
        self.own.append(self.node.subscribe(account, subject, queue))

    @precondition(lambda self: self.own)
    @rule(data=st.data())
    def unsubscribe(self, data: st.DataObject) -> None:
        identity = data.draw(st.sampled_from(self.own))
        self.own.remove(identity)
        self.node.unsubscribe(identity)

    @rule(
        account=st.sampled_from(ACCOUNTS),
        subject=literals,
        reply=st.sampled_from([b"", b"reply.1"]),
        number=st.integers(0, 2**60),
        header=st.sampled_from([b"", b"NATS/1.0\r\n\r\n"]),
    )
    def publish(self, account: bytes, subject: bytes, reply: bytes, number: int, header: bytes) -> None:
        self.node.publish(account, subject, header + b"#%d" % number, reply=reply, header_size=len(header))

    @precondition(lambda self: any(admission.permissions.response_max for admission in self.clients.values()))
    @rule(seconds=st.sampled_from([0.5, 0.6, 1.5]))
    def wait(self, seconds: float) -> None:
        """Response permissions end after a second."""
        self.node.now_ns += int(seconds * 1e9)
        self.node.model.now_ns = self.node.now_ns

    @invariant()
    def same_subscriptions(self) -> None:
        found = [(one.link, one.subject, one.queue, one.sid) for one in self.node.engine.subscriptions()]
        wanted = [
            (one.link, one.subject, one.queue, one.sid if one.link else b"") for one in self.node.model.subscriptions
        ]
        assert sorted((link, subject, queue, sid if link else b"") for link, subject, queue, sid in found) == sorted(
            wanted
        )

    def teardown(self) -> None:
        self.node.finish()


ClientLives.TestCase.settings = settings(
    max_examples=100, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
TestClientLives = ClientLives.TestCase
