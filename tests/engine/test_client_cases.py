"""Single cases of the client protocol on the engine that are worth being readable: the transcripts of the specification
(section 28) and what the random tests leave out."""

from collections import Counter
from collections.abc import Iterator

import pytest
from memory_node import MemoryNode

from gossamer.mesh.engine.kinds import Action, CloseReason
from gossamer.mesh.engine.reference import Admission, ReferencePermissions


@pytest.fixture
def node() -> Iterator[MemoryNode]:
    made = MemoryNode()
    yield made
    made.finish()


PLAIN = Admission(account=b"A")


def connected(node: MemoryNode, admission: Admission = PLAIN) -> int:
    link = node.open_raw(admission)
    assert node.feed(link, b"CONNECT {}\r\n") == (b"+OK\r\n" if admission.verbose else b"")
    return link


def test_no_connect_uses_the_verdict_of_the_first_verb(node: MemoryNode) -> None:
    link = node.open_raw(Admission(account=b"A", verbose=True, pedantic=True))
    answer = node.feed(link, b"SUB a 1\r\nPUB a.* 0\r\n\r\n")
    assert answer == b"+OK\r\n-ERR 'Invalid Publish Subject'\r\n+OK\r\n"


def test_verbose_with_self_delivery(node: MemoryNode) -> None:
    link = node.open_raw(Admission(account=b"A", verbose=True))
    stream = b"CONNECT {}\r\nSUB foo 1\r\nSUB  foo   q  2 \r\nPUB foo 2\r\nhi\r\nUNSUB 99\r\nPING\r\n"
    assert node.feed(link, stream) == (
        b"+OK\r\n+OK\r\n+OK\r\n+OK\r\nMSG foo 1 2\r\nhi\r\nMSG foo 2 2\r\nhi\r\n+OK\r\nPONG\r\n"
    )


def test_no_responders(node: MemoryNode) -> None:
    link = connected(node, Admission(account=b"A", headers=True, no_responders=True))
    answer = node.feed(link, b"SUB inbox.* 7\r\nPUB svc inbox.1 0\r\n\r\n")
    assert answer == b"HMSG inbox.1 7 35 35\r\nNATS/1.0 503\r\nNats-Subject: svc\r\n\r\n\r\n"


def test_no_responders_does_not_use_up_the_subscription(node: MemoryNode) -> None:
    """As nats-server: an auto-unsubscribe of one is still waiting for its message after a 503."""
    link = connected(node, Admission(account=b"A", headers=True, no_responders=True))
    status = b"HMSG r.x 1 33 33\r\nNATS/1.0 503\r\nNats-Subject: a\r\n\r\n\r\n"
    request = b"PUB a r.x 1\r\nx\r\n"
    assert node.feed(link, b"SUB r.* 1\r\nUNSUB 1 1\r\n" + request + request) == status + status


def test_unsubscribe_after_a_number_of_messages(node: MemoryNode) -> None:
    link = connected(node)
    message, delivery = b"PUB z 1\r\na\r\n", b"MSG z 1 1\r\na\r\n"
    assert node.feed(link, b"SUB z 1\r\nUNSUB 1 2\r\n" + message * 4 + b"PING\r\n") == delivery * 2 + b"PONG\r\n"
    stream = b"SUB z 2\r\n" + message * 3 + b"UNSUB 2 2\r\n" + message + b"PING\r\n"
    assert node.feed(link, stream) == delivery.replace(b"z 1", b"z 2", 1) * 3 + b"PONG\r\n"


def test_permissions(node: MemoryNode) -> None:
    permissions = ReferencePermissions(
        publish_allow=(b"ok.>",),
        publish_deny=(b"ok.no",),
        subscribe_allow=((b"s.>", b""), (b"qq", b"g1")),
        subscribe_deny=((b"s.deny", b""),),
    )
    link = connected(node, Admission(account=b"A", permissions=permissions))
    stream = b"PUB ok.no 0\r\n\r\nPUB ok.1 0\r\n\r\n"
    stream += b"SUB s.deny 1\r\nSUB s.* 3\r\nSUB qq 4\r\nSUB qq g1 5\r\nSUB qq g2 6\r\nPING\r\n"
    assert node.feed(link, stream) == (
        b"-ERR 'Permissions Violation for Publish to \"ok.no\"'\r\n"
        b"-ERR 'Permissions Violation for Subscription to \"s.deny\"'\r\n"
        b"-ERR 'Permissions Violation for Subscription to \"qq\"'\r\n"
        b'-ERR \'Permissions Violation for Subscription to "qq" using queue "g2"\'\r\nPONG\r\n'
    )
    assert [(one.action, one.subject, one.queue) for one in node.denied] == [
        (Action.PUBLISH, b"ok.no", b""),
        (Action.SUBSCRIBE, b"s.deny", b""),
        (Action.SUBSCRIBE, b"qq", b""),
        (Action.SUBSCRIBE, b"qq", b"g2"),
    ]


def test_an_allowed_star_does_not_admit_a_full_wildcard(node: MemoryNode) -> None:
    link = connected(
        node,
        Admission(account=b"A", permissions=ReferencePermissions(subscribe_allow=((b"a.*", b""), (b"b.*.c", b"")))),
    )
    for refused in (b"a.>", b">", b"*.*", b"b.>", b"b.*.*", b"*.x.c"):
        expected = b"-ERR 'Permissions Violation for Subscription to \"" + refused + b"\"'\r\n"
        assert node.feed(link, b"SUB " + refused + b" 1\r\n") == expected
    assert node.feed(link, b"SUB a.* 1\r\nSUB b.x.c 2\r\nSUB b.*.c 3\r\n") == b""


def test_headers_to_mixed_subscribers(node: MemoryNode) -> None:
    with_headers = connected(node, Admission(account=b"A", headers=True))
    without = connected(node)
    node.feed(with_headers, b"SUB h 11\r\n")
    node.feed(without, b"SUB h 1\r\n")
    message = b"h rep 18 20\r\nNATS/1.0\r\nA: b\r\n\r\nhi\r\n"
    assert node.feed(with_headers, b"HPUB " + message) == b"HMSG " + message.replace(b"h ", b"h 11 ", 1)
    assert node.take(without) == b"MSG h 1 rep 2\r\nhi\r\n"


def test_a_second_connect_drops_the_subscriptions(node: MemoryNode) -> None:
    link = connected(node)
    node.feed(link, b"SUB a 1\r\n")
    node.admissions[link] = Admission(account=b"B")
    assert node.feed(link, b"CONNECT {}\r\nPUB a 1\r\nx\r\nSUB a 1\r\nPUB a 1\r\ny\r\n") == b"MSG a 1 1\r\ny\r\n"
    assert [one.account for one in node.engine.subscriptions()] == [node.account(b"B")]


@pytest.mark.parametrize(
    ("stream", "answer", "reason"),
    [
        (b"PUB foo\r\n", b"", CloseReason.PROTOCOL_VIOLATION),
        (b"PUB foo xx\r\n", b"", CloseReason.PROTOCOL_VIOLATION),
        (b"PUB foo 0000000002\r\n", b"", CloseReason.PROTOCOL_VIOLATION),
        (b"PUB\r\n", b"-ERR 'Unknown Protocol Operation'\r\n", CloseReason.PROTOCOL_VIOLATION),
        (b"GET / HTTP/1.1\r\n", b"-ERR 'Unknown Protocol Operation'\r\n", CloseReason.PROTOCOL_VIOLATION),
        (b"\r\n", b"-ERR 'Unknown Protocol Operation'\r\n", CloseReason.PROTOCOL_VIOLATION),
        (b"RMSG $G a 1\r\na\r\n", b"-ERR 'Unknown Protocol Operation'\r\n", CloseReason.PROTOCOL_VIOLATION),
        (b"RS+ $G a\r\n", b"-ERR 'Unknown Protocol Operation'\r\n", CloseReason.PROTOCOL_VIOLATION),
        (b"HMSG a 1 2 2\r\nab\r\n", b"-ERR 'Unknown Protocol Operation'\r\n", CloseReason.PROTOCOL_VIOLATION),
        (b"PUB foo 1048577\r\n", b"-ERR 'Maximum Payload Violation'\r\n", CloseReason.MAX_PAYLOAD_EXCEEDED),
        (b"PUB a 2\r\nhi\n\n", b"-ERR 'Unknown Protocol Operation'\r\n", CloseReason.PROTOCOL_VIOLATION),
        (b"-ERR 'bad'\r\n", b"", CloseReason.PARSE_ERROR),
        (b"HPUB a 2 2\r\nhi\r\n", b"", CloseReason.PROTOCOL_VIOLATION),
    ],
)
def test_what_ends_a_connection(node: MemoryNode, stream: bytes, answer: bytes, reason: CloseReason) -> None:
    link = connected(node)
    assert node.feed(link, stream) == answer
    assert node.reasons[link].reason == reason


@pytest.mark.parametrize("stream", [b"PINGxyz abc\r\n", b"ping\n", b"PING\r\n", b"PING \r\n"])
def test_lenient_ping(node: MemoryNode, stream: bytes) -> None:
    assert node.feed(connected(node), stream) == b"PONG\r\n"


def test_leading_zeros_of_a_size(node: MemoryNode) -> None:
    """Passed on as they came, like nats-server does."""
    assert node.feed(connected(node), b"SUB a 1\r\nPUB a 000000002\r\nhi\r\n") == b"MSG a 1 000000002\r\nhi\r\n"


def test_pedantic_and_denied_gives_both_errors(node: MemoryNode) -> None:
    """As nats-server: the subject is judged with the line, the permission with the payload."""
    permissions = ReferencePermissions(publish_allow=(b"x",))
    link = connected(node, Admission(account=b"A", pedantic=True, permissions=permissions))
    assert node.feed(link, b"PUB a.* 0\r\n\r\n") == (
        b"-ERR 'Invalid Publish Subject'\r\n-ERR 'Permissions Violation for Publish to \"a.*\"'\r\n"
    )


def test_permission_is_judged_before_the_subject_of_a_subscription(node: MemoryNode) -> None:
    permissions = ReferencePermissions(subscribe_allow=((b"x", b""),))
    link = connected(node, Admission(account=b"A", permissions=permissions))
    assert node.feed(link, b"SUB a. 1\r\n") == b"-ERR 'Permissions Violation for Subscription to \"a.\"'\r\n"


def test_subjects_are_quoted_in_errors(node: MemoryNode) -> None:
    """Quotes, backslashes and unprintable bytes are escaped (section 7); UTF-8 stays."""
    permissions = ReferencePermissions(subscribe_allow=(), publish_allow=())
    link = connected(node, Admission(account=b"A", permissions=permissions))
    for text, shown in (
        (b'a"b', b'a\\"b'),
        (b"a\\b", b"a\\\\b"),
        (b"a\x01\xff", b"a\\x01\\xff"),
        ("ü.→".encode(), "ü.→".encode()),
    ):
        expected = b"-ERR 'Permissions Violation for Subscription to \"" + shown + b"\"'\r\n"
        assert node.feed(link, b"SUB " + text + b" 1\r\n") == expected
        expected = expected.replace(b"Subscription", b"Publish")
        assert node.feed(link, b"PUB " + text + b" 0\r\n\r\n") == expected


def test_a_sid_in_use_is_ignored_whatever_follows(node: MemoryNode) -> None:
    """As nats-server: the sid is looked up before the subject is judged (section 8)."""
    link = connected(node, Admission(account=b"A", verbose=True))
    assert node.feed(link, b"SUB a 1\r\nSUB b 1\r\nSUB b. 1\r\nSUB b. 2\r\nPING\r\n") == (
        b"+OK\r\n+OK\r\n+OK\r\n-ERR 'Invalid Subject'\r\nPONG\r\n"
    )


def test_queue_choice_is_even(node: MemoryNode) -> None:
    members = [connected(node) for _ in range(4)]
    for link in members:
        node.feed(link, b"SUB work q 1\r\n")
    publisher = connected(node)
    node.feed(publisher, b"PUB work 1\r\nx\r\n" * 4000)
    shares = Counter({link: len(node.take(link)) // len(b"MSG work 1 1\r\nx\r\n") for link in members})
    assert sum(shares.values()) == 4000
    # Four standard deviations around 1000.
    assert all(890 < share < 1110 for share in shares.values()), shares


def test_same_group_on_different_subjects_is_one_group(node: MemoryNode) -> None:
    link = connected(node)
    node.feed(link, b"SUB foo.* q 1\r\nSUB foo.bar q 2\r\nSUB > r 3\r\n")
    answer = node.feed(link, b"PUB foo.bar 1\r\nx\r\n" * 200)
    counts = Counter(line.split(b" ")[2] for line in answer.split(b"\r\n") if line.startswith(b"MSG"))
    assert counts[b"3"] == 200
    assert counts[b"1"] + counts[b"2"] == 200
    assert min(counts.values()) > 50


def test_cached_matches_follow_changes(node: MemoryNode) -> None:
    """The same literal subject before and after literal and wildcard subscriptions come and go."""
    link, other = connected(node), connected(node)
    publish = b"PUB a.b 1\r\nx\r\n"
    assert node.feed(link, publish) == b""
    assert node.feed(link, b"SUB a.b 1\r\n" + publish) == b"MSG a.b 1 1\r\nx\r\n"
    node.feed(other, b"SUB a.* 2\r\n")
    assert node.feed(link, publish) == b"MSG a.b 1 1\r\nx\r\n"
    assert node.take(other) == b"MSG a.b 2 1\r\nx\r\n"
    node.feed(other, b"UNSUB 2\r\nSUB > 3\r\nSUB a.b q 4\r\n")
    assert node.feed(link, b"UNSUB 1\r\n" + publish) == b""
    assert node.take(other) == b"MSG a.b 3 1\r\nx\r\nMSG a.b 4 1\r\nx\r\n"
    node.feed(other, b"", end=True)
    assert node.feed(link, publish + b"PING\r\n") == b"PONG\r\n"


def test_many_subjects_and_deep_ones(node: MemoryNode) -> None:
    """More subjects than any cache holds, and more tokens than any fixed array."""
    link = connected(node)
    node.feed(link, b"".join(b"SUB many.%d %d\r\n" % (number, number) for number in range(5000)))
    answer = node.feed(link, b"".join(b"PUB many.%d 1\r\nx\r\n" % number for number in range(5000)) * 2)
    once = b"".join(b"MSG many.%d %d 1\r\nx\r\n" % (number, number) for number in range(5000))
    assert answer == once * 2
    for depth in (10, 60, 127, 128, 129, 255, 256, 257, 1000, 1999):
        literal = b".".join([b"t"] * depth)
        wild = b".".join([b"*"] * depth)
        sid = b"%d" % depth
        answer = node.feed(link, b"SUB %b s%b\r\nSUB %b w%b\r\nPUB %b 1\r\nx\r\n" % (literal, sid, wild, sid, literal))
        frames = [b"MSG %b %b%b 1\r\nx\r\n" % (literal, kind, sid) for kind in (b"s", b"w")]
        assert answer in (frames[0] + frames[1], frames[1] + frames[0]), depth
        node.feed(link, b"UNSUB s%b\r\nUNSUB w%b\r\n" % (sid, sid))


def test_response_permissions_end(node: MemoryNode) -> None:
    second = 1_000_000_000
    permissions = ReferencePermissions(publish_allow=(), response_max=2, response_ttl_ns=second)
    server = connected(node, Admission(account=b"A", permissions=permissions))
    client = connected(node)
    node.feed(server, b"SUB svc 1\r\n")
    node.feed(client, b"SUB inbox.> 1\r\n")
    violation = b"-ERR 'Permissions Violation for Publish to \"inbox.1\"'\r\n"
    answer = b"PUB inbox.1 1\r\nx\r\n"
    assert node.feed(server, answer) == violation
    node.feed(client, b"PUB svc inbox.1 0\r\n\r\n")
    assert node.take(server) == b"MSG svc 1 inbox.1 0\r\n\r\n"
    assert node.feed(server, answer * 3) == violation
    assert node.take(client) == b"MSG inbox.1 1 1\r\nx\r\n" * 2
    node.feed(client, b"PUB svc inbox.1 0\r\n\r\n")
    node.take(server)
    node.pass_time(second // 2)
    assert node.feed(server, answer) == b""
    node.pass_time(second)
    assert node.feed(server, answer) == violation


def test_response_permissions_are_bounded(node: MemoryNode) -> None:
    """A hundred thousand requests leave a bounded table behind: the engine comes back and frees it."""
    permissions = ReferencePermissions(publish_allow=(), response_max=1, response_ttl_ns=1_000_000_000)
    server = connected(node, Admission(account=b"A", permissions=permissions))
    client = connected(node)
    node.feed(server, b"SUB svc 1\r\n")
    for part in range(10):
        node.feed(client, b"".join(b"PUB svc i.%d.%d 0\r\n\r\n" % (part, number) for number in range(10_000)))
        node.take(server)
        node.pass_time(1_100_000_000)
    assert node.feed(server, b"PUB i.0.1 0\r\n\r\n").startswith(b"-ERR")
