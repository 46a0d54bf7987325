"""Clients that misbehave hurt nobody else: a pair of others goes on and gets every message, whole and in order."""

import contextlib
import itertools
import random
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from gossamer.mesh.testing.plugin import Dial, Join, StartServer
from gossamer.mesh.testing.process import ServerProcess
from gossamer.mesh.testing.wire import WireClient, WireError

CROWD = 2000
#: Ends of connections that an attack may well meet.
CUT = (OSError, WireError)


class Pair:
    """A publisher and a subscriber that check each other: every message is numbered and must arrive."""

    count = itertools.count(1)

    def __init__(self, publisher: WireClient, subscriber: WireClient) -> None:
        self.name = b"pair%d" % next(self.count)  # so that nothing is left of the pairs of other tests
        self.publisher = publisher
        self.subscriber = subscriber
        self.sent = 0
        subscriber.timeout_s = publisher.timeout_s = 20
        subscriber.send(self.named(b"SUB pair.data 1\r\nSUB pair.ask service 2\r\n"))
        subscriber.ping()

    def named(self, text: bytes) -> bytes:
        """The same with this pair's own name for ``pair``."""
        return text.replace(b"pair.", self.name + b".")

    def exchange(self, count: int = 100) -> None:
        """``count`` messages one way, all received, and then a request with its answer."""
        first = self.sent
        lines = [b"PUB pair.data 1008\r\n%08d%b\r\n" % (first + n, b"." * 1000) for n in range(count)]
        self.publisher.send(self.named(b"".join(lines)))
        for n in range(count):
            self.subscriber.expect(self.named(b"MSG pair.data 1 1008\r\n"), b"%08d%b\r\n" % (first + n, b"." * 1000))
        self.sent += count
        self.publisher.send(self.named(b"SUB pair.inbox 9\r\nUNSUB 9 1\r\nPUB pair.ask pair.inbox 1\r\n?\r\n"))
        self.subscriber.expect(self.named(b"MSG pair.ask 2 pair.inbox 1\r\n?\r\n"))
        self.subscriber.send(self.named(b"PUB pair.inbox 1\r\n!\r\n"))
        self.publisher.expect(self.named(b"MSG pair.inbox 9 1\r\n!\r\n"))

    def exchange_while(self, *attacks: Callable[[threading.Event], None], rounds: int = 30) -> None:
        """The attacks run in threads of their own until the rounds are over."""
        stop = threading.Event()
        threads = [threading.Thread(target=self._suppressed, args=(attack, stop)) for attack in attacks]
        for thread in threads:
            thread.start()
        try:
            for _ in range(rounds):
                self.exchange()
        finally:
            stop.set()
            for thread in threads:
                thread.join(30)
        self.exchange()

    @staticmethod
    def _suppressed(attack: Callable[[threading.Event], None], stop: threading.Event) -> None:
        with contextlib.suppress(*CUT):
            attack(stop)


@pytest.fixture
def victim(shared_server: StartServer) -> ServerProcess:
    return shared_server(config="max_pending: 8MB\n")


@pytest.fixture
def pair(victim: ServerProcess, join: Join) -> Iterator[Pair]:
    pair = Pair(join(victim), join(victim))
    yield pair
    pair.exchange()
    assert victim.running


def test_flood(victim: ServerProcess, pair: Pair, dial: Dial) -> None:
    """Two publishers send without end, to subjects nobody hears and to each other."""

    def attack(stop: threading.Event) -> None:
        client = dial(victim)
        client.handshake(echo=False)
        block = b"PUB flood.x 16\r\n0123456789abcdef\r\n" * 2000
        while not stop.is_set():
            client.send(block)

    pair.exchange_while(attack, attack)


def test_flood_of_pings_and_subscriptions(victim: ServerProcess, pair: Pair, dial: Dial) -> None:
    """Answers are demanded and read; interest comes and goes, also on the pair's subjects."""

    def attack(stop: threading.Event) -> None:
        client = dial(victim)
        client.handshake()
        block = pair.named(b"SUB pair.* 1\r\nSUB flood.*.> q 2\r\nUNSUB 1\r\nUNSUB 2\r\nPING\r\n") * 200
        while not stop.is_set():
            client.send(block)
            for _ in range(200):
                while client.expect_line() != b"PONG":
                    pass

    pair.exchange_while(attack)


def test_demands_answers_and_reads_none(victim: ServerProcess, pair: Pair, dial: Dial) -> None:
    """Millions of PINGs by a client that does not read."""

    def attack(stop: threading.Event) -> None:
        client = dial(victim, timeout_s=0.5, receive_buffer_bytes=4096)
        client.handshake()
        while not stop.is_set():
            client.send(b"PING\r\n" * 10_000)

    pair.exchange_while(attack)


def test_stalled_subscriber(victim: ServerProcess, pair: Pair, dial: Dial) -> None:
    """It subscribes to everything and reads nothing: it is cut, the pair loses nothing."""
    lazy = dial(victim, receive_buffer_bytes=4096)
    lazy.handshake()
    lazy.send(b"".join(b"SUB > %d\r\n" % sid for sid in range(20)))
    lazy.ping()
    for _ in range(20):
        pair.exchange()
    with contextlib.suppress(OSError):
        lazy.read_to_end()


@pytest.mark.parametrize(
    "piece",
    [
        *(b"PUB pair.data 10", b"PUB pair.data 100\r\nabc", b"SUB pa", b"CONN", b'CONNECT {"user":', b"P", b"-ERR 'x"),
        *(b"HPUB pair.data 12 20\r\nNATS", b"PUB pair.data 3\r\nabc", b"PUB pair.data 3\r\nabc\r", b"UNSUB 1"),
    ],
)
def test_half_a_line(victim: ServerProcess, pair: Pair, dial: Dial, piece: bytes) -> None:
    """Nothing of it is delivered, neither while the connection hangs nor when it ends."""
    ends: list[Callable[[WireClient], None]] = [WireClient.close, WireClient.reset, WireClient.finish_sending]
    clients = [dial(victim) for _ in range(9)]
    for client in clients:
        client.handshake(headers=True)
        client.send(pair.named(piece))
    pair.exchange()
    for number, client in enumerate(clients):
        ends[number % 3](client)
    pair.exchange()


@pytest.mark.parametrize(
    "lie",
    [
        *(b"PUB pair.data 3\r\nabcdefghijk\r\n", b"PUB pair.data 11\r\nabc\r\n", b"PUB pair.data 999999999\r\n"),
        *(b"PUB pair.data -5\r\nabc\r\n", b"PUB pair.data 99999999999999999999\r\n", b"PUB pair.data 0x10\r\n"),
        *(b"HPUB pair.data 20 10\r\nNATS/1.0\r\n\r\n\r\n", b"HPUB pair.data 999999999 999999999\r\n"),
        *(b"HPUB pair.data 5 1048577\r\n", b"HPUB pair.data 12 11\r\nNATS/1.0\r\n\r\n", b"PUB pair.data 1048577\r\n"),
        b"SUB pair.data 1\r\n" * 3 + b"UNSUB 1 99999999999999999999\r\n" + b"UNSUB 1 -1\r\nFOO\r\n",
    ],
)
def test_lies_about_lengths(victim: ServerProcess, pair: Pair, dial: Dial, lie: bytes) -> None:
    """Each ends its own connection only; the pair hears nothing of them."""
    lie = pair.named(lie)
    for step in (0, 1, 3):
        client = dial(victim)
        client.handshake(headers=True)
        with contextlib.suppress(OSError):
            if step:
                client.send_bytewise(lie, step=step)
            else:
                client.send(lie)
            client.finish_sending()
        assert b"MSG" not in client.read_to_end()
    pair.exchange()


def open_crowd(server: ServerProcess, stack: contextlib.ExitStack) -> list[socket.socket]:
    return [stack.enter_context(socket.create_connection(server.address, timeout=20)) for _ in range(CROWD)]


def test_crowd_without_connect(victim: ServerProcess, pair: Pair, join: Join) -> None:
    """2,000 connections that never say anything; each is greeted, newcomers are served."""
    with contextlib.ExitStack() as stack:
        crowd = open_crowd(victim, stack)
        pair.exchange()
        for silent in crowd:
            assert silent.recv(5) == b"INFO "
        join(victim).ping()
        pair.exchange()
    pair.exchange()
    join(victim).ping()


def test_crowd_without_connect_is_sent_away(start_server: StartServer, join: Join) -> None:
    """The same where credentials are needed: all are closed when their time is up."""
    server = start_server(config="authorization { user: u, password: p, timeout: 2 }\n")
    login = {"user": "u", "pass": "p"}
    pair = Pair(join(server, **login), join(server, **login))
    with contextlib.ExitStack() as stack:
        crowd = open_crowd(server, stack)
        pair.exchange()
        for silent in crowd:
            text = b""
            while block := silent.recv(4096):
                text += block
            assert text.endswith(b"-ERR 'Authentication Timeout'\r\n")
        pair.exchange()


def test_storm_of_short_connections(victim: ServerProcess, pair: Pair) -> None:
    """Connections that come, subscribe to the pair's subjects and are reset in the middle of a line."""

    def attack(stop: threading.Event) -> None:
        while not stop.is_set():
            with contextlib.suppress(*CUT), WireClient(victim.address) as client:
                client.send(pair.named(b"CONNECT {}\r\nSUB pair.> 1\r\nSUB pair.data q 2\r\nPUB other.x 5\r\nab"))
                client.reset()

    pair.exchange_while(attack, attack)


@pytest.mark.parametrize("seed", range(4))
def test_mutated_streams(victim: ServerProcess, pair: Pair, seed: int) -> None:
    """Legal streams with bytes changed, dropped and doubled, by seed; the subjects never reach the pair's."""
    chance = random.Random(seed)
    legal = (
        b'CONNECT {"verbose":false,"headers":true,"no_responders":true,"protocol":1}\r\n'
        b"PING\r\nSUB m.* q 1\r\nSUB m.> 2\r\n"
        b"PUB m.a r.b 5\r\nhello\r\nHPUB m.b 18 20\r\nNATS/1.0\r\nA: b\r\n\r\nhi\r\nUNSUB 1 3\r\nUNSUB 2\r\nPONG\r\n"
    )
    for _ in range(60):
        stream = bytearray(legal)
        for _ in range(chance.randint(1, 8)):
            place = chance.randrange(len(stream))
            match chance.randrange(4):
                case 0:
                    stream[place] = chance.randrange(256)
                case 1:
                    del stream[place : place + chance.randint(1, 9)]
                case 2:
                    stream[place:place] = stream[place : place + chance.randint(1, 30)]
                case _:
                    stream[place:place] = chance.choice([b"\r\n", b" ", b"\0", b"9" * 12, b"x" * 5000, b".", b">"])
        with contextlib.suppress(*CUT), WireClient(victim.address) as client:
            client.send(bytes(stream))
            client.finish_sending()
            client.read_to_end()
    pair.exchange()


def test_many_subscriptions(victim: ServerProcess, pair: Pair, join: Join) -> None:
    """50,000 subscriptions of one client, ended by a reset."""
    client = join(victim)
    client.timeout_s = 20
    for start in range(0, 50_000, 5000):
        client.send(b"".join(b"SUB many.%d.*.> %d\r\n" % (sid, sid) for sid in range(start, start + 5000)))
        pair.exchange(10)
    client.ping()
    client.reset()
    pair.exchange()
