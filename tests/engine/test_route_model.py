"""Random lives of clients and routes: interest out and in, messages both ways, queue groups over the cluster."""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from memory_node import MemoryNode
from operations import ACCOUNTS, QUEUES, admissions, literals, operations, patterns

from gossamer.mesh.engine.reference import Admission, pool_index

CLIENTS_MAX = 3
ROUTES_MAX = 3
POOL_SIZE = 3
groups = st.lists(st.sampled_from(QUEUES), max_size=3, unique=True)
cuts = st.lists(st.integers(1, 300), max_size=10)


@st.composite
def interest(draw: st.DrawFn, tokens: bool) -> bytes:
    """RS+ or RS-, plain or with a queue."""
    account = draw(st.sampled_from(ACCOUNTS)) + b" " if tokens else b""
    subject, queue = draw(patterns()), draw(st.sampled_from([b"", *QUEUES]))
    if draw(st.integers(0, 2)):
        tail = b" %b %d" % (queue, draw(st.integers(1, 4))) if queue else b""
        return b"RS+ " + account + subject + tail + b"\r\n"
    return b"RS- " + account + subject + (b" " + queue if queue else b"") + b"\r\n"


@st.composite
def routed(draw: st.DrawFn, tokens: bool) -> bytes:
    """RMSG or HMSG in every form."""
    data = b"#%d" % draw(st.integers(0, 2**60)) + draw(st.binary(max_size=8))
    fields = [draw(st.sampled_from(ACCOUNTS))] if tokens else []
    fields.append(draw(literals))
    reply, named = draw(st.sampled_from([b"", b"reply.1"])), draw(groups)
    if named:
        fields += [b"+", reply] if reply else [b"|"]
        fields += named
    elif reply:
        fields.append(reply)
    blank = b" " if named else draw(st.sampled_from([b" ", b" ", b" ", b"\t"]))
    if draw(st.booleans()):
        head = b"NATS/1.0\r\nA: b\r\n\r\n"
        fields += [b"%d" % len(head), b"%d" % len(head + data)]
        return b"HMSG " + blank.join(fields) + b"\r\n" + head + data + b"\r\n"
    return b"RMSG " + blank.join([*fields, b"%d" % len(data)]) + b"\r\n" + data + b"\r\n"


class RouteLives(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.node = MemoryNode(pool_size=POOL_SIZE)
        for account in ACCOUNTS:
            self.node.account(account)
        self.clients: dict[int, Admission] = {}
        self.routes: dict[int, bytes] = {}  # link -> account it carries alone, b"" for all

    @precondition(lambda self: len(self.clients) < CLIENTS_MAX)
    @rule(admission=admissions(with_permissions=False))
    def connect(self, admission: Admission) -> None:
        link = self.node.open(admission)
        self.clients[link] = admission
        self.node.act(link, b"CONNECT {}\r\n")

    @precondition(lambda self: len(self.routes) < ROUTES_MAX)
    @rule(headers=st.booleans(), pooled=st.booleans(), account=st.sampled_from(ACCOUNTS))
    def join(self, headers: bool, pooled: bool, account: bytes) -> None:
        index = pool_index(account, POOL_SIZE) if pooled else -1
        carried = account if pooled and pool_index(b"A", POOL_SIZE) != pool_index(b"B", POOL_SIZE) else b""
        self.routes[self.node.join(headers=headers, pool_index=index)] = carried

    @precondition(lambda self: self.clients)
    @rule(data=st.data(), cuts=cuts)
    def act(self, data: st.DataObject, cuts: list[int]) -> None:
        link = data.draw(st.sampled_from(sorted(self.clients)), label="client")
        stream = data.draw(st.lists(operations(self.clients[link].headers), min_size=1, max_size=6).map(b"".join))
        self.node.act(link, stream, cuts)

    @precondition(lambda self: self.routes)
    @rule(data=st.data(), cuts=cuts)
    def hear(self, data: st.DataObject, cuts: list[int]) -> None:
        """Interest only for the account that belongs on the link, as real peers do."""
        link = data.draw(st.sampled_from(sorted(self.routes)), label="route")
        lines = data.draw(st.lists(interest(tokens=True), min_size=1, max_size=5))
        carried = self.routes[link]
        self.node.act(link, b"".join(line for line in lines if not carried or line.split(b" ")[1] == carried), cuts)

    @precondition(lambda self: self.routes)
    @rule(data=st.data(), cuts=cuts)
    def receive(self, data: st.DataObject, cuts: list[int]) -> None:
        link = data.draw(st.sampled_from(sorted(self.routes)), label="route")
        self.node.act(link, data.draw(st.lists(routed(tokens=True), min_size=1, max_size=4).map(b"".join)), cuts)

    @precondition(lambda self: self.clients)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        link = data.draw(st.sampled_from(sorted(self.clients)))
        del self.clients[link]
        self.node.end(link)

    @precondition(lambda self: self.routes)
    @rule(data=st.data(), kick=st.booleans())
    def part(self, data: st.DataObject, kick: bool) -> None:
        link = data.draw(st.sampled_from(sorted(self.routes)))
        del self.routes[link]
        (self.node.kick if kick else self.node.end)(link)

    @rule(account=st.sampled_from(ACCOUNTS), subject=patterns(), queue=st.sampled_from([b"", *QUEUES]))
    def subscribe(self, account: bytes, subject: bytes, queue: bytes) -> None:
        self.node.subscribe(account, subject, queue)

    @rule(account=st.sampled_from(ACCOUNTS), subject=literals, number=st.integers(0, 2**60))
    def publish(self, account: bytes, subject: bytes, number: int) -> None:
        self.node.publish(account, subject, b"#%d" % number)

    def teardown(self) -> None:
        self.node.finish()


RouteLives.TestCase.settings = settings(
    max_examples=120, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
TestRouteLives = RouteLives.TestCase
