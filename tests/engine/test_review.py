"""The paths where bytes are easily lost: full sockets, waiting producers, links that end in the middle of a fan-out."""

import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self

import pytest
from memory_node import MemoryNode

from gossamer.mesh.engine.core import Engine
from gossamer.mesh.engine.events import Closed, Hello
from gossamer.mesh.engine.kinds import CloseReason, LinkKind
from gossamer.mesh.engine.reference import Admission, ReferencePermissions

SECOND = 1_000_000_000
PLAIN = Admission(account=b"A")
#: Seconds after which a wait counts as lost.
PATIENCE = 20.0
MEBIBYTE = 1 << 20


class LiveEngine:
    """An engine with real sockets in its own thread; a thread here admits everybody to one account."""

    def __init__(self, **limits: int | bool) -> None:
        self.engine = Engine()
        self.engine.configure(ping_interval_ns=0)  # the bytes of a test are the test's own
        self.engine.configure(**limits)  # type: ignore[arg-type]
        self.account = self.engine.account(b"A")
        listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        listener.setblocking(False)
        self.address: tuple[str, int] = listener.getsockname()
        self.engine.listen(listener.detach(), kind=LinkKind.CLIENT, info=(b"INFO {} \r\n",))
        self.closed: dict[int, Closed] = {}
        self._news = threading.Condition()
        self._ending = False
        self._threads = [threading.Thread(target=self.engine.run), threading.Thread(target=self._control)]
        self._sockets = ExitStack()

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sockets.close()
        self._ending = True
        self.engine.stop()
        for thread in self._threads:
            thread.join()
        self.engine.destroy()

    def _control(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self.engine.wakeup_fd, selectors.EVENT_READ)
            while not self._ending:
                if not selector.select(0.05):
                    continue
                for event in self.engine.drain():
                    if isinstance(event, Hello):
                        self.engine.admit(event.link, account=self.account, headers=True, reset=event.again)
                    elif isinstance(event, Closed):
                        with self._news:
                            self.closed[event.link] = event
                            self._news.notify_all()

    def wait_closed(self, link: int) -> Closed:
        with self._news:
            assert self._news.wait_for(lambda: link in self.closed, PATIENCE)
        return self.closed[link]

    def wait(self, holds: Callable[[], bool]) -> None:
        """For a figure only a look inside shows."""
        end = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < end
            threading.Event().wait(0.005)

    def client(self, commands: bytes = b"", *, receive_buffer: int = 0) -> "LiveClient":
        """Connected and through its first PING; ``receive_buffer``: bytes its kernel keeps for it."""
        connection = self._sockets.enter_context(socket.socket())
        if receive_buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.settimeout(PATIENCE)
        before = {one.link for one in self.engine.links()}
        connection.connect(self.address)
        client = LiveClient(connection)
        connection.sendall(b"CONNECT {}\r\n" + commands + b"PING\r\n")
        client.expect(b"INFO {} \r\nPONG\r\n")
        (client.link,) = {one.link for one in self.engine.links()} - before
        return client


class LiveClient:
    """A socket and what it is to receive."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.link = 0

    def expect(self, wanted: bytes) -> None:
        """Exactly these bytes come next."""
        got = bytearray()
        while len(got) < len(wanted):
            piece = self.connection.recv(min(len(wanted) - len(got), 1 << 18))
            assert piece, f"the end after {len(got)} of {len(wanted)} bytes"
            assert wanted.startswith(piece, len(got)), f"other bytes than wanted after {len(got)}"
            got += piece

    def expect_end(self) -> None:
        assert self.connection.recv(100) == b""

    def send_aside(self, data: bytes) -> threading.Thread:
        """A producer that may be made to wait."""
        thread = threading.Thread(target=self.connection.sendall, args=(data,))
        thread.start()
        return thread


@pytest.fixture
def node() -> Iterator[MemoryNode]:
    made = MemoryNode()
    yield made
    made.finish()


def connected(node: MemoryNode, commands: bytes = b"", admission: Admission = PLAIN) -> int:
    link = node.open_raw(admission)
    node.feed(link, b"CONNECT {}\r\n" + commands)
    return link


def numbered(count: int, size: int) -> list[bytes]:
    """Payloads of which no two are alike anywhere."""
    return [(b"%08d" % number) * (size // 8) for number in range(count)]


def published(subject: bytes, payloads: Sequence[bytes]) -> bytes:
    return b"".join(b"PUB %s %d\r\n%s\r\n" % (subject, len(one), one) for one in payloads)


def received(subject: bytes, sid: bytes, payloads: Sequence[bytes]) -> bytes:
    return b"".join(b"MSG %s %s %d\r\n%s\r\n" % (subject, sid, len(one), one) for one in payloads)


def test_a_producer_waits_and_nothing_is_lost_or_reordered() -> None:
    """A receiver that reads late gets every byte in order, and its producer was made to wait meanwhile."""
    payloads = numbered(1500, 8000)
    with LiveEngine() as live:
        late = live.client(b"SUB a 1\r\n", receive_buffer=4096)
        producer = live.client()
        sending = producer.send_aside(published(b"a", payloads) + b"PING\r\n")
        live.wait(lambda: live.engine.totals().stalled_clients > 0)
        late.expect(received(b"a", b"1", payloads))
        producer.expect(b"PONG\r\n")
        sending.join()
        live.wait(lambda: live.engine.totals().pending_bytes == 0)
        assert not live.closed


def test_shared_payloads_arrive_whole_when_a_receiver_blocks() -> None:
    """Payloads that receivers hold by reference: what a full socket did not take is copied before the read buffer is
    used again."""
    payloads = numbered(40, 100_000) + numbered(60, 9_000)
    with LiveEngine() as live:
        receivers = [live.client(b"SUB a %d\r\n" % number, receive_buffer=4096) for number in range(1, 7)]
        producer = live.client()
        sending = producer.send_aside(published(b"a", payloads) + b"PING\r\n")
        for number, receiver in enumerate(receivers, 1):
            receiver.expect(received(b"a", b"%d" % number, payloads))
        producer.expect(b"PONG\r\n")
        sending.join()
        assert not live.closed


def test_a_receiver_that_never_reads_is_cut_at_64_mebibytes() -> None:
    """With the default limit: only it ends, and the reader beside it misses nothing."""
    payloads = [bytes([65 + number % 26]) * MEBIBYTE for number in range(80)]
    with LiveEngine() as live:
        stuck = live.client(b"SUB a 1\r\n", receive_buffer=4096)
        reader = live.client(b"SUB a 2\r\n")
        producer = live.client()
        sending = producer.send_aside(published(b"a", payloads) + b"PING\r\n")
        for payload in payloads:
            reader.expect(received(b"a", b"2", [payload]))
        producer.expect(b"PONG\r\n")
        sending.join()
        closed = live.wait_closed(stuck.link)
        assert closed.reason == CloseReason.SLOW_CONSUMER_PENDING_BYTES
        assert 64 * MEBIBYTE < closed.pending_bytes < 72 * MEBIBYTE
        assert set(live.closed) == {stuck.link}
        live.wait(lambda: live.engine.totals().pending_bytes == 0)


def test_a_half_closed_client_gets_the_rest() -> None:
    """It ends its side while its socket is full: what was queued still goes out, then the end."""
    payloads = numbered(100, 8000)
    with LiveEngine() as live:
        client = live.client(b"SUB a 1\r\n", receive_buffer=4096)
        client.connection.sendall(published(b"a", payloads))
        client.connection.shutdown(socket.SHUT_WR)
        assert live.wait_closed(client.link).reason == CloseReason.CLIENT_CLOSED
        client.expect(received(b"a", b"1", payloads))
        client.expect_end()
        live.wait(lambda: live.engine.totals().links == 0)


def test_the_last_words_wait_for_a_full_socket() -> None:
    """Closed by us behind a backlog: the -ERR comes after everything that was queued before."""
    payloads = numbered(100, 8000)
    with LiveEngine() as live:
        client = live.client(b"SUB a 1\r\n", receive_buffer=4096)
        producer = live.client(published(b"a", payloads))
        live.engine.close(client.link, reason=CloseReason.KICKED, error=b"enough")
        live.wait_closed(client.link)
        producer.connection.sendall(published(b"a", payloads) + b"PING\r\n")
        producer.expect(b"PONG\r\n")
        client.expect(received(b"a", b"1", payloads) + b"-ERR 'enough'\r\n")
        client.expect_end()


@pytest.mark.parametrize("width", [997, 32_767, 65_537, 131_072, 262_145])
def test_a_mebibyte_in_odd_pieces_between_other_commands(width: int) -> None:
    """Through a socket, cut where a read may end: before, inside and behind the long message."""
    payload = bytes(range(256)) * 4096
    stream = (
        b"SUB a 1\r\nPING\r\n"
        + published(b"a", [b"before", payload, b"between", payload, b""])
        + b"UNSUB 1\r\nPUB a 1\r\nx\r\nPING\r\n"
    )
    with LiveEngine() as live:
        client = live.client()
        client.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def pieces() -> None:
            for place in range(0, len(stream), width):
                client.connection.sendall(stream[place : place + width])

        sending = threading.Thread(target=pieces)
        sending.start()
        wanted = received(b"a", b"1", [b"before", payload, b"between", payload, b""])
        client.expect(b"PONG\r\n" + wanted + b"PONG\r\n")
        sending.join()


@pytest.mark.parametrize("cut", [1, 2, 4, 5, 13, 14, 15, 16, -9, -8, -7])
def test_a_mebibyte_cut_at_every_joint(node: MemoryNode, cut: int) -> None:
    link = connected(node, b"SUB a 1\r\n")
    payload = b"\r\nPUB a 1\r\n" * (MEBIBYTE // 11)
    stream = published(b"a", [payload]) + b"PING\r\n"
    assert node.feed(link, stream[:cut]) == b""
    assert node.feed(link, stream[cut:]) == received(b"a", b"1", [payload]) + b"PONG\r\n"


def test_a_receiver_doomed_in_the_middle_of_a_fan_out(node: MemoryNode) -> None:
    """One of nine runs over its limit while the message is handed out; the others get it once, from one publisher's
    read with more messages behind it."""
    node.engine.configure(max_pending=300_000, fast_producer_stall=False)
    receivers = [connected(node, b"SUB a %d\r\nSUB a.* %d9\r\n" % (number, number)) for number in range(1, 10)]
    publisher = connected(node)
    full = receivers[4]
    node.engine.hold(full, True)
    payloads = numbered(9, 100_000)
    assert node.feed(publisher, published(b"a", payloads) + b"PING\r\n") == b"PONG\r\n"
    node.settle()
    assert node.closed == {full}
    assert node.reasons[full].reason == CloseReason.SLOW_CONSUMER_PENDING_BYTES
    for number, link in enumerate(receivers, 1):
        if link != full:
            assert node.take(link) == received(b"a", b"%d" % number, payloads)
    assert node.feed(publisher, b"PUB a.b 1\r\nx\r\nPING\r\n") == b"PONG\r\n"
    assert node.take(receivers[0]) == b"MSG a.b 19 1\r\nx\r\n"


def test_subscriptions_that_end_while_they_are_delivered_to(node: MemoryNode) -> None:
    """Auto-unsubscribe in one read of many messages: plain, in a queue group, and the one that keeps the entry."""
    one = connected(node, b"SUB a 1\r\nUNSUB 1 2\r\nSUB a q 2\r\nUNSUB 2 1\r\nSUB * 3\r\nUNSUB 3 3\r\n")
    other = connected(node, b"SUB a q 4\r\nUNSUB 4 1\r\n")
    publisher = connected(node)
    assert node.feed(publisher, b"PUB a 0\r\n\r\n" * 5 + b"PING\r\n") == b"PONG\r\n"
    lines = node.take(one).split(b"\r\n")
    assert lines.count(b"MSG a 1 0") == 2
    assert lines.count(b"MSG a 2 0") == 1
    assert lines.count(b"MSG a 3 0") == 3
    assert node.take(other) == b"MSG a 4 0\r\n\r\n"
    assert node.engine.totals().subscriptions == 0


def test_a_second_connect_moves_to_another_account_between_publishes(node: MemoryNode) -> None:
    """What the cache knows of the old account's subscriptions is not used again, nor the other way round."""
    mover = connected(node, b"SUB a 1\r\n")
    stays = connected(node, b"SUB a 2\r\n")
    away = connected(node, b"SUB a 3\r\n", Admission(account=b"B"))
    for _ in range(3):  # often enough to be cached
        node.feed(mover, b"PUB a 0\r\n\r\n")
        node.feed(away, b"PUB a 0\r\n\r\n")
    node.take(mover), node.take(stays), node.take(away)
    node.admissions[mover] = Admission(account=b"B")
    answer = node.feed(mover, b"PUB a 1\r\n1\r\nCONNECT {}\r\nPUB a 1\r\n2\r\nSUB a 4\r\nPUB a 1\r\n3\r\n")
    assert answer == b"MSG a 1 1\r\n1\r\nMSG a 4 1\r\n3\r\n"
    assert node.take(stays) == b"MSG a 2 1\r\n1\r\n"
    assert node.take(away) == b"MSG a 3 1\r\n2\r\nMSG a 3 1\r\n3\r\n"


def test_a_route_leaves_while_its_groups_are_in_the_cache(node: MemoryNode) -> None:
    """Queue members behind a route end with it, between two publishes of one tick."""
    node.account(b"A")
    route = node.join_raw()
    node.feed(route, b"RS+ A a q 5\r\nRS+ A a\r\n")
    publisher = connected(node)
    node.feed(publisher, b"PUB a 0\r\n\r\n" * 3)
    assert node.take(route) == b"RMSG A a | q 0\r\n\r\n" * 3
    node.engine.feed(route, b"", end=True)
    node.engine.feed(publisher, b"PUB a 0\r\n\r\n" * 3 + b"PING\r\n")
    node.settle()
    assert node.take(publisher) == b"PONG\r\n"
    assert node.engine.totals().subscriptions == 0


def test_garbage_and_go() -> None:
    """A closing link whose last write fails is freed all the same."""
    with LiveEngine() as live:
        for _ in range(100):
            with socket.create_connection(live.address) as one:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                one.sendall(b"PING\r\nGARBAGE\r\n")
        live.wait(lambda: len(live.closed) == 100)
        live.wait(lambda: live.engine.totals().links == 0)


def test_doomed_beside_one_that_dies_at_once(node: MemoryNode) -> None:
    """One link that is doomed and dies in the same tick takes no other out of the list of the doomed."""
    blocked, other = connected(node, b"SUB a 1\r\n"), connected(node, b"SUB a 1\r\n")
    publisher = connected(node)
    node.engine.hold(blocked, True)
    node.feed(publisher, b"PUB a 2\r\nhi\r\n")
    node.engine.expire(blocked, at_ns=node.now_ns + 3 * SECOND, reason=CloseReason.AUTHENTICATION_EXPIRED, error=b"x")
    node.settle()
    node.now_ns += 3 * SECOND + 100_000_000
    node.engine.close(other, reason=CloseReason.KICKED)
    node.settle()
    assert node.closed == {blocked, other}


def test_budget_takes_only_the_worst(node: MemoryNode) -> None:
    """Who has nothing pending is not closed for what another one holds."""
    node.engine.configure(pending_budget=100_000)
    slow = connected(node, b"SUB a 1\r\n")
    for _ in range(10):
        connected(node, b"SUB a 1\r\n")
    publisher = connected(node)
    node.engine.hold(slow, True)
    for _ in range(6):
        node.feed(publisher, b"PUB a 20000\r\n" + b"x" * 20000 + b"\r\n")
        node.pass_time(30_000_000)
    assert node.closed == {slow}


def test_a_routes_backlog_is_not_the_clients(node: MemoryNode) -> None:
    """The budget is for clients: a slow route does not close them."""
    node.account(b"A")
    node.engine.configure(pending_budget=100_000)
    route = node.join_raw()
    node.feed(route, b"RS+ A big\r\n")
    publisher, bystander = connected(node), connected(node)
    node.engine.hold(route, True)
    for _ in range(7):
        node.engine.feed(publisher, b"PUB big 20000\r\n" + b"x" * 20000 + b"\r\n")
        node.pass_time(30_000_000)
    node.feed(bystander, b"PING\r\n")
    assert not node.closed


def test_an_account_that_comes_back(node: MemoryNode) -> None:
    """Removed and made again while a client is still in it: newcomers are let in after it has left."""
    first = connected(node)
    node.engine.remove_account(node.accounts.pop(b"A"))
    second = connected(node)
    node.feed(first, b"", end=True)
    node.feed(second, b"", end=True)
    assert node.feed(connected(node), b"PING\r\n") == b"PONG\r\n"


def test_gone_permissions_allow_nothing(node: MemoryNode) -> None:
    """A permission set that is gone does not become no restriction."""
    none = ReferencePermissions(publish_allow=())
    node.engine.remove_permissions(node.compiled(none))
    link = node.open_raw(Admission(account=b"A", permissions=none))
    output = node.feed(link, b"CONNECT {}\r\nSUB a 1\r\nPUB a 0\r\n\r\nPING\r\n")
    assert b"MSG" not in output
    assert b"Authorization Violation" in output


@pytest.mark.parametrize("sizes", [(300, 300, 1000), (16, 300, 5_000, 200_000), (1_100_000, 300)], ids=str)
def test_deliveries_composed_once_for_equal_sids(sizes: tuple[int, ...]) -> None:
    """Many receivers, some with the same sid and some that block: each gets exactly its own bytes in order."""
    payloads = [payload for size in sizes for payload in numbered(max(4, 600_000 // size), size)]
    with LiveEngine(max_payload=2 * MEBIBYTE) as live:
        sids = [b"1", b"1", b"22", b"1", b"1", b"1", b"333", b"1", b"1", b"22", b"1", b"1"]
        receivers = [live.client(b"SUB a " + sid + b"\r\n", receive_buffer=4096) for sid in sids]
        doubled = live.client(b"SUB a 1\r\nSUB a 22\r\n")
        producer = live.client()
        sending = producer.send_aside(published(b"a", payloads) + b"PING\r\n")
        readers = [
            threading.Thread(target=receiver.expect, args=(received(b"a", sid, payloads),))
            for receiver, sid in zip(receivers, sids, strict=True)
        ]
        for reader in readers:
            reader.start()
        total = sum(len(received(b"a", sid, payloads)) for sid in (b"1", b"22"))
        seen = 0
        while seen < total:
            piece = doubled.connection.recv(1 << 18)
            assert piece
            seen += len(piece)
        for reader in readers:
            reader.join()
        producer.expect(b"PONG\r\n")
        sending.join()
        assert not live.closed
