"""Two engines with a route between them over memory links: interest and messages go both ways; the test plays CONNECT
and INFO, and carries the bytes."""

from memory_node import MemoryNode

from gossamer.mesh.engine.kinds import LinkKind
from gossamer.mesh.engine.reference import Admission


class Pair:
    """Left dialled, right accepted. Bytes move in pieces of ``width``."""

    def __init__(self, *, width: int) -> None:
        self.nodes = (MemoryNode(seed=1), MemoryNode(seed=2))
        self.width = width
        for node in self.nodes:
            node.account(b"A")
            node.account(b"B")
        left, right = self.nodes
        dialled = left.engine.open(
            kind=LinkKind.ROUTE, greeting=b'CONNECT {"server_id":"L"}\r\nINFO {"server_id":"L"}\r\n'
        )
        accepted = right.engine.open(kind=LinkKind.ROUTE, listener=right.routes)
        for node, link in ((left, dialled), (right, accepted)):
            node.admissions[link] = Admission(account=b"")
        self.links = (dialled, accepted)
        self.carry()
        for node, link in zip(self.nodes, self.links, strict=True):
            assert node._parked.pop(link)
            node.engine.join_route(link, node=1, headers=True, pooled=False)
        self.carry()

    def carry(self) -> None:
        """Until neither has anything to say to the other."""
        while True:
            for node in self.nodes:
                node.settle()
            said = [node.take(link) for node, link in zip(self.nodes, self.links, strict=True)]
            if not any(said):
                return
            for node, link, stream in zip(self.nodes, self.links, reversed(said), strict=True):
                for place in range(0, len(stream), self.width):
                    node.engine.feed(link, stream[place : place + self.width])

    def client(self, side: int, account: bytes = b"A", *, headers: bool = True, no_responders: bool = True) -> int:
        node = self.nodes[side]
        link = node.open_raw(Admission(account=account, headers=headers, no_responders=headers and no_responders))
        self.feed(side, link, b"CONNECT {}\r\n")
        return link

    def feed(self, side: int, link: int, data: bytes) -> bytes:
        """What the client got back when everything was carried over."""
        self.nodes[side].engine.feed(link, data)
        self.carry()
        return self.nodes[side].take(link)


def test_a_request_across() -> None:
    pair = Pair(width=7)
    service, requester, stranger = pair.client(1), pair.client(0), pair.client(0, b"B")
    pair.feed(1, service, b"SUB svc 1\r\n")
    pair.feed(0, requester, b"SUB inbox.> 9\r\n")
    assert pair.feed(0, requester, b"HPUB svc inbox.1 12 14\r\nNATS/1.0\r\n\r\nhi\r\n") == b""
    assert pair.nodes[1].take(service) == b"HMSG svc 1 inbox.1 12 14\r\nNATS/1.0\r\n\r\nhi\r\n"
    pair.feed(1, service, b"PUB inbox.1 3\r\nyes\r\n")
    assert pair.nodes[0].take(requester) == b"MSG inbox.1 9 3\r\nyes\r\n"
    pair.feed(1, service, b"UNSUB 1\r\n")
    assert pair.feed(0, requester, b"PUB svc inbox.1 0\r\n\r\n").startswith(b"HMSG inbox.1 9 35 35\r\nNATS/1.0 503\r\n")
    pair.feed(0, stranger, b"SUB > 1\r\n")
    pair.feed(1, service, b"PUB secret 1\r\nx\r\n")
    assert pair.nodes[0].take(stranger) == b""


def test_a_queue_group_over_both() -> None:
    pair = Pair(width=100_000)
    members = [(side, pair.client(side)) for side in (0, 0, 0, 1)]
    for side, link in members:
        pair.feed(side, link, b"SUB work q 1\r\n")
    publisher = pair.client(0)
    pair.feed(0, publisher, b"PUB work 1\r\nx\r\n" * 2000)
    shares = [pair.nodes[side].take(link).count(b"MSG work 1") for side, link in members]
    assert sum(shares) == 2000
    assert all(400 < share < 600 for share in shares), shares


def test_every_message_arrives_once_in_order() -> None:
    pair = Pair(width=1000)
    near, far, publisher = pair.client(0), pair.client(1), pair.client(0)
    pair.feed(0, near, b"SUB a.> 1\r\n")
    pair.feed(1, far, b"SUB a.* 2\r\n")
    stream = b"".join(b"PUB a.%d %d\r\n%d\r\n" % (n % 10, len(str(n)), n) for n in range(3000))
    pair.feed(0, publisher, stream)
    for side, link, sid in ((0, near, b"1"), (1, far, b"2")):
        expected = b"".join(b"MSG a.%d %b %d\r\n%d\r\n" % (n % 10, sid, len(str(n)), n) for n in range(3000))
        assert pair.nodes[side].take(link).replace(b"PING\r\n", b"") == expected
    pair.nodes[0].engine.feed(pair.links[0], b"", end=True)
    pair.carry()
    assert pair.feed(0, publisher, b"PUB a.1 1\r\nx\r\nPING\r\n") == b"PONG\r\n"
