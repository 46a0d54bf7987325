"""Single cases of the route protocol on the engine (routes sections 11, 12, 21)."""

from collections import Counter
from collections.abc import Iterator

import pytest
from comparison import split_frames
from memory_node import MemoryNode

from gossamer.mesh.engine.events import AccountSeen, PeerError
from gossamer.mesh.engine.kinds import CloseReason, LinkKind
from gossamer.mesh.engine.reference import Admission

HEADER = b"NATS/1.0\r\nA: b\r\n\r\n"


@pytest.fixture
def node() -> Iterator[MemoryNode]:
    made = MemoryNode()
    made.account(b"A")
    made.account(b"B")
    yield made
    made.finish()


def client(node: MemoryNode, account: bytes = b"A", *, headers: bool = False) -> int:
    link = node.open_raw(Admission(account=account, headers=headers))
    node.feed(link, b"CONNECT {}\r\n")
    return link


def test_interest_counts_once(node: MemoryNode) -> None:
    route, local = node.join_raw(), client(node)
    said = []
    for line in (b"SUB a 1", b"SUB a 2", b"UNSUB 1", b"UNSUB 2"):
        node.feed(local, line + b"\r\n")
        said.append(node.take(route))
    assert said == [b"RS+ A a\r\n", b"", b"", b"RS- A a\r\n"]


def test_queue_weights(node: MemoryNode) -> None:
    route, local = node.join_raw(), client(node)
    said = []
    for line in (b"SUB a q 1", b"SUB a q 2", b"UNSUB 1", b"UNSUB 2"):
        node.feed(local, line + b"\r\n")
        said.append(node.take(route))
    assert said == [b"RS+ A a q 1\r\n", b"RS+ A a q 2\r\n", b"RS+ A a q 1\r\n", b"RS- A a q\r\n"]


def test_a_closed_client_takes_its_interest_along(node: MemoryNode) -> None:
    route, local = node.join_raw(), client(node)
    node.feed(local, b"SUB a 1\r\nSUB b q 2\r\nSUB b q 3\r\nUNSUB 3 9\r\n")
    node.take(route)
    node.feed(local, b"", end=True)
    lines = split_frames(node.take(route))
    assert sorted(lines)[-1] == b"RS- A b q\r\n"
    assert b"RS- A a\r\n" in lines


def test_full_interest_on_registration(node: MemoryNode) -> None:
    for account in (b"A", b"B"):
        node.feed(client(node, account), b"SUB a 1\r\nSUB a 2\r\nSUB b.> q 3\r\n")
    route = node.join_raw()
    assert sorted(split_frames(node.take(route))) == sorted(
        [b"RS+ A a\r\n", b"RS+ A b.> q 1\r\n", b"RS+ B a\r\n", b"RS+ B b.> q 1\r\n"]
    )


def test_dedicated_link_has_no_account_token() -> None:
    node = MemoryNode()
    node.accounts[b"D"] = node.engine.account(b"D", dedicated_route=True)
    local = client(node, b"D", headers=True)
    node.feed(local, b"SUB a 1\r\nSUB a q 2\r\n")
    route = node.join_raw(account=b"D")
    assert sorted(split_frames(node.take(route))) == [b"RS+ a\r\n", b"RS+ a q 1\r\n"]
    node.feed(route, b"RS+ b\r\nRMSG a 1\r\nx\r\nHMSG a | q 18 19\r\n" + HEADER + b"y\r\n")
    assert node.take(local) == (
        b"MSG a 1 1\r\nx\r\nHMSG a 1 18 19\r\n" + HEADER + b"y\r\nHMSG a 2 18 19\r\n" + HEADER + b"y\r\n"
    )
    node.feed(local, b"PUB b 1\r\nz\r\n")
    assert node.take(route) == b"RMSG b 1\r\nz\r\n"
    node.finish()


def test_pool_index_decides(node: MemoryNode) -> None:
    """``$G`` belongs to slot 2 of 3, ``$SYS`` to slot 0 (routes section 4.1)."""
    node.engine.configure(route_pool_size=3)
    slots = [node.join_raw(node=7, pooled=True, pool_index=index) for index in range(3)]
    node.account(b"$G")
    node.account(b"$SYS")
    node.feed(client(node, b"$G"), b"SUB a 1\r\n")
    node.feed(client(node, b"$SYS"), b"SUB s 1\r\n")
    assert [node.take(slot) for slot in slots] == [b"RS+ $SYS s\r\n", b"", b"RS+ $G a\r\n"]


def test_one_line_for_plain_and_two_groups(node: MemoryNode) -> None:
    route, local = node.join_raw(), client(node, headers=True)
    node.feed(route, b"RS+ A a\r\nRS+ A * g1 1\r\nRS+ A a g2 2\r\n")
    node.feed(local, b"PUB a r.x 1\r\nx\r\nPUB a 1\r\ny\r\nHPUB a r.x 18 19\r\n" + HEADER + b"z\r\n")
    frames = split_frames(node.take(route))
    fields = [frame.split(b"\r\n")[0].split(b" ") for frame in frames]
    assert [sorted(one) for one in fields] == [
        sorted([b"RMSG", b"A", b"a", b"+", b"r.x", b"g1", b"g2", b"1"]),
        sorted([b"RMSG", b"A", b"a", b"|", b"g1", b"g2", b"1"]),
        sorted([b"HMSG", b"A", b"a", b"+", b"r.x", b"g1", b"g2", b"18", b"19"]),
    ]
    assert fields[0][:5] == [b"RMSG", b"A", b"a", b"+", b"r.x"]


def test_headers_are_stripped_for_a_peer_without(node: MemoryNode) -> None:
    route, local = node.join_raw(headers=False), client(node, headers=True)
    node.feed(route, b"RS+ A a\r\n")
    node.feed(local, b"HPUB a r 18 20\r\n" + HEADER + b"hi\r\n")
    assert node.take(route) == b"RMSG A a r 2\r\nhi\r\n"


def test_only_named_groups_get_a_routed_message(node: MemoryNode) -> None:
    route, local = node.join_raw(), client(node)
    node.feed(local, b"SUB a 1\r\nSUB a q 2\r\nSUB a q 3\r\nSUB a r 4\r\n")
    node.take(route)
    assert node.feed(route, b"RMSG A a 1\r\nx\r\n") == b""
    assert node.take(local) == b"MSG a 1 1\r\nx\r\n"
    node.feed(route, b"RMSG A a | q 1\r\ny\r\n" * 100)
    counts = Counter(frame.split(b" ")[2] for frame in split_frames(node.take(local)))
    assert counts[b"1"] == 100
    assert counts[b"2"] + counts[b"3"] == 100
    assert min(counts[b"2"], counts[b"3"]) > 20
    assert counts[b"4"] == 0


def test_one_hop(node: MemoryNode) -> None:
    """What came by a route is never sent on, and interest learned from one is not told to the other."""
    one, other = node.join_raw(), node.join_raw()
    node.feed(one, b"RS+ A a\r\nRS+ A b q 1\r\n")
    node.feed(other, b"RS+ A a\r\n")
    assert node.feed(one, b"RMSG A a 1\r\nx\r\n") == b""
    assert node.take(other) == b""


def test_a_queue_message_whose_member_left_goes_on_once(node: MemoryNode) -> None:
    origin, other, third = (node.join_raw() for _ in range(3))
    for route in (origin, other, third):
        node.feed(route, b"RS+ A a q 1\r\n")
    assert node.feed(origin, b"RMSG A a + r q 1\r\nx\r\n") == b""
    sent = [node.take(other), node.take(third)]
    assert sorted(sent) == [b"", b"RMSG A a + r q 1\r\nx\r\n"]


def test_weights_decide_the_share(node: MemoryNode) -> None:
    heavy, light, local = node.join_raw(), node.join_raw(), client(node)
    node.feed(heavy, b"RS+ A a q 9\r\n")
    node.feed(light, b"RS+ A a q 1\r\n")
    node.feed(local, b"PUB a 1\r\nx\r\n" * 2000)
    shares = [len(split_frames(node.take(route))) for route in (heavy, light)]
    assert sum(shares) == 2000
    assert 140 < shares[1] < 260, shares
    node.feed(heavy, b"RS+ A a q 1\r\n")
    node.feed(local, b"PUB a 1\r\nx\r\n" * 2000)
    shares = [len(split_frames(node.take(route))) for route in (heavy, light)]
    assert 900 < shares[0] < 1100, shares


def test_many_queue_groups(node: MemoryNode) -> None:
    """More groups on one line than any array of a message holds."""
    route, local = node.join_raw(), client(node)
    names = [b"group-%04d" % number for number in range(300)]
    node.feed(route, b"".join(b"RS+ A a %b 1\r\n" % name for name in names))
    node.feed(local, b"PUB a 1\r\nx\r\n")
    sent = b" ".join(frame.split(b"\r\n")[0] for frame in split_frames(node.take(route)))
    assert sorted(field for field in sent.split(b" ") if field.startswith(b"group")) == names
    node.feed(local, b"".join(b"SUB a %b %b\r\n" % (name, name) for name in names))
    node.take(route)
    node.feed(route, b"RMSG A a | " + b" ".join(names) + b" 1\r\ny\r\n")
    assert sorted(frame.split(b" ")[2] for frame in split_frames(node.take(local))) == names


def test_no_responders_counts_remote_interest(node: MemoryNode) -> None:
    route = node.join_raw()
    local = node.open_raw(Admission(account=b"A", headers=True, no_responders=True))
    node.feed(local, b"CONNECT {}\r\nSUB r 1\r\n")
    node.feed(route, b"RS+ A a\r\n")
    assert node.feed(local, b"PUB a r 0\r\n\r\n") == b""
    node.feed(route, b"RS- A a\r\n")
    assert node.feed(local, b"PUB a r 0\r\n\r\n").startswith(b"HMSG r 1 33 33\r\nNATS/1.0 503")


def test_acknowledgement_replies_show_the_subject_behind(node: MemoryNode) -> None:
    route, local = node.join_raw(), client(node)
    node.feed(local, b"SUB dlv.py 7\r\n")
    node.take(route)
    ack = b"$JS.ACK.S1.C1.1.1.1.1795444848927211061.0"
    node.feed(route, b"RMSG A dlv.py " + ack + b"@s1 7\r\npayload\r\n")
    assert node.take(local) == b"MSG s1 7 " + ack + b" 7\r\npayload\r\n"


def test_leaf_lines(node: MemoryNode) -> None:
    """LS+ and RS+ with equal tails are two; LS- with origin takes away the right one; LMSG delivers."""
    route, local = node.join_raw(), client(node, headers=True)
    node.feed(route, b"LS+ leaf A a\r\nRS+ A a\r\nLS- leaf A a\r\n")
    node.feed(local, b"PUB a 1\r\nx\r\nSUB b 1\r\nSUB b q 2\r\n")
    assert split_frames(node.take(route))[0] == b"RMSG A a 1\r\nx\r\n"
    node.feed(route, b"RS- A a\r\n")
    node.feed(local, b"PUB a 1\r\nx\r\n")
    assert node.take(route) == b""
    node.feed(route, b"LMSG leaf A b 0 1\r\nx\r\nLMSG leaf A b r 18 19\r\n" + HEADER + b"y\r\n")
    assert node.take(local) == b"MSG b 1 1\r\nx\r\nHMSG b 1 r 18 19\r\n" + HEADER + b"y\r\n"
    node.feed(route, b"LMSG leaf A b | q 0 1\r\nz\r\n")
    assert sorted(split_frames(node.take(local))) == [b"MSG b 1 1\r\nz\r\n", b"MSG b 2 1\r\nz\r\n"]


@pytest.mark.parametrize("blank", [b"  ", b"\t", b" \t "])
@pytest.mark.parametrize(
    "line", [b"RMSG A a 1", b"RMSG A a r 1", b"RMSG A a | q 1", b"RMSG A a + r q q2 1", b"RS+ A a q 1"]
)
def test_wide_blanks(node: MemoryNode, line: bytes, blank: bytes) -> None:
    route, local = node.join_raw(), client(node)
    node.feed(local, b"SUB a q 1\r\nSUB a 2\r\n")
    node.take(route)
    payload = b"x\r\n" if line.startswith(b"RMSG") else b""
    for _ in range(2):  # the account and the subject of the line before are tried first
        node.take(local)
        assert node.feed(route, line.replace(b" ", blank) + b"\r\n" + payload + b"PING\r\n") == b"PONG\r\n"
    said = node.take(local)
    assert said.count(b"MSG a") == (0 if not payload else 2 if b" q" in line else 1)
    assert said.count(b" r 1\r\n") == (said.count(b"MSG a") if b" r" in line else 0)


@pytest.mark.parametrize(
    ("stream", "answer"),
    [
        (b"RS+ A a q\r\n", b""),
        (b"RS+ A\r\n", b""),
        (b"RS- A a q 1\r\n", b""),
        (b"RMSG A a ! q 1\r\nx\r\n", b""),
        (b"RMSG A a - r q 1\r\nx\r\n", b""),
        (b"RMSG A a x\r\n", b""),
        (b"RMSG A a 1\r\nxy\r\n", b"-ERR 'Unknown Protocol Operation'\r\n"),
        (b"HMSG A a 5 1\r\nx\r\n", b""),
        (b"SUB A a 1\r\n", b"-ERR 'Unknown Protocol Operation'\r\n"),
        (b"NONSENSE\r\n", b"-ERR 'Unknown Protocol Operation'\r\n"),
        (b"RS+ A " + b"a" * 65600 + b"\r\n", b"-ERR 'maximum control line exceeded'\r\n"),
        (b"-ERR 'go away'\r\n", b""),
    ],
)
def test_what_ends_a_route(node: MemoryNode, stream: bytes, answer: bytes) -> None:
    route = node.join_raw()
    assert node.feed(route, stream) == answer
    assert route in node.closed
    if stream.startswith(b"-ERR"):
        assert [event.text for event in node.events if isinstance(event, PeerError)] == [b"'go away'"]
        assert node.reasons[route].reason == CloseReason.PARSE_ERROR


@pytest.mark.parametrize("first", [b"PING\r\n", b'INFO {"server_id":"X"}\r\n', b"RS+ A a\r\n"])
def test_the_first_line_must_be_connect(node: MemoryNode, first: bytes) -> None:
    route = node.open_raw(Admission(account=b""), kind=LinkKind.ROUTE)
    assert node.feed(route, first) == b"-ERR 'Authorization Violation'\r\n"
    assert route in node.closed


def test_unknown_accounts(node: MemoryNode) -> None:
    """Interest for an account nobody programmed is told and dropped, or kept as a placeholder; a message is dropped."""
    route = node.join_raw()
    assert node.feed(route, b"RS+ NEW a\r\nRMSG NEW a 1\r\nx\r\nPING\r\n") == b"PONG\r\n"
    assert [(event.name, event.kept) for event in node.events if isinstance(event, AccountSeen)][:1] == [
        (b"NEW", False)
    ]
    node.engine.configure(placeholder_accounts=True)
    assert node.feed(route, b"RS+ LATER a\r\nPING\r\n") == b"PONG\r\n"
    seen = [event for event in node.events if isinstance(event, AccountSeen)][-1]
    assert (seen.name, seen.kept) == (b"LATER", True)
    node.accounts[b"LATER"] = node.engine.account(b"LATER")
    node.feed(client(node, b"LATER"), b"PUB a 1\r\nx\r\n")
    assert node.take(route) == b"RMSG LATER a 1\r\nx\r\n"


def test_lost_link_takes_its_interest_along(node: MemoryNode) -> None:
    route, local = node.join_raw(), client(node)
    node.feed(route, b"RS+ A a\r\nRS+ A > q 3\r\nRS+ B b\r\n")
    accounts = {one.name: one.remote_subscriptions for one in node.engine.accounts()}
    assert (accounts[b"A"], accounts[b"B"]) == (2, 1)
    node.feed(route, b"", end=True)
    node.feed(local, b"PUB a 1\r\nx\r\n")
    assert {one.remote_subscriptions for one in node.engine.accounts()} == {0}


def test_big_routed_message(node: MemoryNode) -> None:
    """No payload limit on routes; CR LF inside does no harm; the reads are small."""
    route, local = node.join_raw(), client(node)
    node.feed(local, b"SUB a 1\r\n")
    node.take(route)
    data = b"PING\r\nRMSG A a 1\r\n" * 170_000
    stream = b"RMSG A a %d\r\n" % len(data) + data + b"\r\nPING\r\n"
    for place in range(0, len(stream), 65_536):
        node.engine.feed(route, stream[place : place + 65_536])
    node.settle()
    assert node.take(route) == b"PONG\r\n"
    assert node.take(local) == b"MSG a 1 %d\r\n" % len(data) + data + b"\r\n"
