"""Everything fed from outside has a bound: sizes, counts, pending bytes, time."""

from collections.abc import Iterator

import pytest
from memory_node import MemoryNode

from gossamer.mesh.engine.events import Closed, Opened
from gossamer.mesh.engine.kinds import CloseReason, LinkKind
from gossamer.mesh.engine.reference import Admission

SECOND = 1_000_000_000
PLAIN = Admission(account=b"A")


@pytest.fixture
def node() -> Iterator[MemoryNode]:
    made = MemoryNode()
    yield made
    made.finish()


def connected(node: MemoryNode, admission: Admission = PLAIN) -> int:
    link = node.open_raw(admission)
    node.feed(link, b"CONNECT {}\r\n")
    return link


def test_control_line(node: MemoryNode) -> None:
    node.engine.configure(max_control_line=100)
    link = connected(node)
    assert node.feed(link, b"SUB " + b"a" * 98 + b" 1\r\n") == b""
    assert node.feed(link, b"SUB   " + b"b" * 98 + b" 2\r\n") == b""
    assert node.feed(link, b"SUB " + b"a" * 99 + b" 3\r\n") == b"-ERR 'maximum control line exceeded'\r\n"
    assert node.reasons[link].reason == CloseReason.MAX_CONTROL_LINE_EXCEEDED


def test_control_line_without_an_end(node: MemoryNode) -> None:
    """Refused as soon as it is too long, also when it trickles in."""
    link = connected(node)
    assert node.feed(link, b"SUB ") == b""
    for _ in range(4):
        assert node.feed(link, b"a" * 1000) == b""
    assert node.feed(link, b"a" * 200) == b"-ERR 'maximum control line exceeded'\r\n"


def test_default_control_line(node: MemoryNode) -> None:
    link = connected(node)
    assert node.feed(link, b"SUB " + b"a" * 4094 + b" 1\r\nPING\r\n") == b"PONG\r\n"
    assert node.feed(link, b"SUB " + b"a" * 4095 + b" 2\r\n") == b"-ERR 'maximum control line exceeded'\r\n"


@pytest.mark.parametrize(("server", "user", "fits"), [(100, -1, 100), (100, 50, 50), (100, 200, 100)])
def test_payload(node: MemoryNode, server: int, user: int, fits: int) -> None:
    node.engine.configure(max_payload=server)
    link = connected(node, Admission(account=b"A", max_payload=user))
    assert node.feed(link, b"PUB a %d\r\n" % fits + b"x" * fits + b"\r\nPING\r\n") == b"PONG\r\n"
    assert node.feed(link, b"PUB a %d\r\n" % (fits + 1)) == b"-ERR 'Maximum Payload Violation'\r\n"
    assert node.reasons[link].reason == CloseReason.MAX_PAYLOAD_EXCEEDED


def test_subscriptions(node: MemoryNode) -> None:
    node.engine.configure(max_subscriptions=2)
    link = connected(node)
    error = b"-ERR 'maximum subscriptions exceeded'\r\n"
    assert node.feed(link, b"SUB a 1\r\nSUB b 2\r\nSUB c 3\r\n") == error
    assert node.feed(link, b"UNSUB 1\r\nSUB c 3\r\nPUB c 1\r\nx\r\n") == b"MSG c 3 1\r\nx\r\n"
    fewer = connected(node, Admission(account=b"A", max_subscriptions=1))
    assert node.feed(fewer, b"SUB a 1\r\nSUB b 2\r\n") == error


def test_subscription_tokens(node: MemoryNode) -> None:
    node.engine.configure(max_subscription_tokens=3)
    link = connected(node)
    answer = node.feed(link, b"SUB a.b.c 1\r\nSUB a.b.c.d 2\r\nPUB a.b.c.d 0\r\n\r\nPING\r\n")
    assert answer == b"-ERR 'Permissions Violation for Subscription to \"a.b.c.d\", too many tokens'\r\nPONG\r\n"


def test_connections(node: MemoryNode) -> None:
    node.engine.configure(max_connections=2)
    first, _ = connected(node), connected(node)
    refused = node.engine.open(kind=LinkKind.CLIENT, listener=node.clients)
    node.settle()
    answer = node.take(refused)
    assert answer.startswith(b"INFO {")
    assert answer.endswith(b" \r\n-ERR 'maximum connections exceeded'\r\n")
    assert node.reasons[refused].reason == CloseReason.MAX_CONNECTIONS_EXCEEDED
    node.feed(first, b"", end=True)
    assert node.feed(connected(node), b"PING\r\n") == b"PONG\r\n"


def test_authentication_timeout() -> None:
    node = MemoryNode()
    listener = node.engine.listen(None, kind=LinkKind.CLIENT, info=(b"INFO {} \r\n",), auth_timeout_ns=2 * SECOND)
    silent, late, good = (node.engine.open(kind=LinkKind.CLIENT, listener=listener) for _ in range(3))
    node.admissions[good] = PLAIN
    node.settle()
    assert node.feed(late, b"CONN") == b"INFO {} \r\n"
    node.feed(good, b"CONNECT {}\r\nPING\r\n")
    node.pass_time(1_900_000_000)
    assert not node.closed
    node.pass_time(200_000_000)
    assert node.closed == {silent, late}
    assert node.take(silent).endswith(b"-ERR 'Authentication Timeout'\r\n")
    assert node.take(late) == b"-ERR 'Authentication Timeout'\r\n"
    assert node.reasons[silent].reason == CloseReason.AUTHENTICATION_TIMEOUT
    assert node.feed(good, b"PING\r\n").endswith(b"PONG\r\n")
    node.finish()


def test_expiry(node: MemoryNode) -> None:
    link = connected(node)
    start_ns = node.now_ns
    node.engine.expire(
        link,
        at_ns=start_ns + 5 * SECOND,
        reason=CloseReason.AUTHENTICATION_EXPIRED,
        error=b"User Authentication Expired",
    )
    node.pass_time(4 * SECOND)
    assert node.feed(link, b"PONG\r\nPING\r\n").replace(b"PING\r\n", b"") == b"PONG\r\n"
    node.pass_time(2 * SECOND)
    assert node.take(link) == b"-ERR 'User Authentication Expired'\r\n"
    assert node.reasons[link].reason == CloseReason.AUTHENTICATION_EXPIRED


def test_pings_and_stale_connection(node: MemoryNode) -> None:
    """First PING 2 to 2.4 s after CONNECT, then every interval; unanswered ones end it (section 15)."""
    node.engine.configure(ping_interval_ns=10 * SECOND, ping_max=2)
    silent, awake = connected(node), connected(node)
    node.pass_time(1_900_000_000)
    assert not node.output
    node.pass_time(600_000_000)
    assert node.take(silent) == b"PING\r\n"
    assert node.take(awake) == b"PING\r\n"
    node.feed(awake, b"PONG\r\n")
    seen = []
    for second in range(3, 40):
        node.pass_time(SECOND)
        if b"PING" in node.take(awake):
            node.feed(awake, b"PONG\r\n")
        seen.append((second, node.take(silent)))
    said = [(second, text) for second, text in seen if text]
    assert [text for _, text in said] == [b"PING\r\n", b"-ERR 'Stale Connection'\r\n"], said
    assert 11 <= said[0][0] <= 14
    assert 21 <= said[1][0] <= 25
    assert node.closed == {silent}
    assert node.reasons[silent].reason == CloseReason.STALE_CONNECTION


def test_a_busy_client_is_not_pinged(node: MemoryNode) -> None:
    node.engine.configure(ping_interval_ns=10 * SECOND)
    link = connected(node)
    node.pass_time(3 * SECOND)
    node.take(link)
    node.feed(link, b"PONG\r\n")
    for _ in range(60):
        node.pass_time(SECOND)
        assert node.feed(link, b"PUB a 0\r\n\r\n") == b""


def test_mailbox_limit_drops_and_counts(node: MemoryNode) -> None:
    node.engine.configure(mailbox_limit=100_000)
    node.subscriptions[node.engine.subscribe(node.account(b"A"), b"mail")] = b"A"
    link = connected(node)
    node.engine.feed(link, (b"PUB mail 1000\r\n" + b"x" * 1000 + b"\r\n") * 1000)
    for _ in range(100):
        node.engine.step(node.now_ns)
    totals = node.engine.totals()
    assert totals.mailbox_bytes <= 110_000
    assert totals.mailbox_dropped > 800
    node.settle()
    assert len(node.mailbox) + totals.mailbox_dropped == 1000
    node.mailbox.clear()
    assert node.engine.totals().mailbox_bytes == 0


def test_close_reports_the_counters(node: MemoryNode) -> None:
    link = connected(node)
    node.feed(link, b"SUB a 1\r\nSUB b 2\r\nPUB a 5\r\nhello\r\nPUB b 1\r\nx\r\nPUB c 1\r\nx\r\n", end=True)
    closed = node.reasons[link]
    assert (closed.in_messages, closed.out_messages, closed.in_bytes, closed.out_bytes) == (3, 2, 7, 6)
    assert closed.reason == CloseReason.CLIENT_CLOSED
    assert [type(event) for event in node.events if isinstance(event, (Opened, Closed))] == [Opened, Closed]
