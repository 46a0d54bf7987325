"""Consumers that do not keep up (spec: client-protocol section 16; checklist items 43, 44)."""

import threading
import time
from contextlib import suppress

from gossamer.mesh.testing.plugin import Dial, Join, StartServer
from gossamer.mesh.testing.process import ServerProcess
from gossamer.mesh.testing.wire import WireClient, WireError

PAYLOAD = b"p" * 32_000
CONFIG = "max_payload: 64K\nmax_pending: 4MB\n"
MESSAGE_BYTES = len(PAYLOAD) + 40


def lazy_consumer(server: ServerProcess, dial: Dial, subject: str, buffer_bytes: int = 4096) -> WireClient:
    """Subscribed, with a small receive buffer, and not reading."""
    client = dial(server, receive_buffer_bytes=buffer_bytes)
    client.handshake()
    client.subscribe(subject, "lazy")
    client.ping()
    return client


def closed_reason(server: ServerProcess, client_id: int, *, timeout_s: float = 10.0) -> str:
    """The reason that monitoring shows for a connection, once it is closed."""
    deadline = time.monotonic() + timeout_s
    while True:
        for entry in server.monitor("/connz?state=closed&limit=10000")["connections"]:
            if entry["cid"] == client_id:
                return str(entry["reason"])
        if time.monotonic() > deadline:
            raise WireError(f"connection {client_id} is not among the closed ones")
        time.sleep(0.01)


def test_slow_consumer_is_cut_and_others_hear_everything(shared_server: StartServer, dial: Dial, join: Join) -> None:
    """Item 43: without -ERR, whole messages up to the cut; the other subscriber gets all of them."""
    server = shared_server(config=CONFIG, monitor=True)
    lazy, keen, publisher = lazy_consumer(server, dial, "slow.a"), join(server), join(server)
    keen.subscribe("slow.a", "keen")
    keen.ping()
    rounds, per_round = 100, 8
    for number in range(rounds):
        publisher.send(b"PUB slow.a 32000\r\n" + PAYLOAD + b"\r\n")
        for _ in range(per_round - 1):
            publisher.publish("slow.a", PAYLOAD)
        publisher.ping()
        assert len(keen.read_messages_until_pong()) == per_round, number
    rest = lazy.read_to_end()
    assert b"-ERR" not in rest
    assert len(rest) < rounds * per_round * MESSAGE_BYTES
    assert rest.count(b"MSG slow.a lazy 32000\r\n") < rounds * per_round


def test_slow_consumer_shows_its_reason(shared_server: StartServer, dial: Dial, join: Join) -> None:
    """Items 43, 72: Slow Consumer (Pending Bytes), and it is counted."""
    server = shared_server(config=CONFIG, monitor=True)
    before = server.monitor("/varz")["slow_consumers"]
    lazy = dial(server, receive_buffer_bytes=4096)
    client_id = lazy.handshake()["client_id"]
    lazy.subscribe("slow.b", 1)
    lazy.ping()
    publisher = join(server)
    for _ in range(100):
        for _ in range(8):
            publisher.publish("slow.b", PAYLOAD)
        publisher.ping()
    assert closed_reason(server, client_id) == "Slow Consumer (Pending Bytes)"
    assert server.monitor("/varz")["slow_consumers"] > before


def test_stalled_producer_loses_nothing(shared_server: StartServer, dial: Dial, join: Join) -> None:
    """Item 44: by default the producer is slowed down; once the consumer reads it gets every message."""
    server = shared_server(config="max_payload: 64K\n", monitor=True)
    before = server.monitor("/varz").get("stalled_clients", 0)
    lazy, publisher = lazy_consumer(server, dial, "slow.c", 262_144), join(server)
    lazy.timeout_s = publisher.timeout_s = 20
    stop = threading.Event()
    count = 0

    def publish() -> None:
        nonlocal count
        while not stop.is_set() and count < 20_000:
            publisher.publish("slow.c", PAYLOAD)
            count += 1

    producer = threading.Thread(target=publish)
    producer.start()
    try:
        deadline = time.monotonic() + 10
        while server.monitor("/varz").get("stalled_clients", 0) <= before:
            assert time.monotonic() < deadline, "the producer is not stalled"
            assert producer.is_alive()
    finally:
        stop.set()
    received = 0
    while producer.is_alive():  # its last message may be waiting for the consumer to make room
        received += lazy.read_message().payload == PAYLOAD
    publisher.ping()
    received += len(lazy.read_messages_until_pong())
    assert received == count


def test_without_stall_messages_are_dropped_for_the_lazy_one(
    shared_server: StartServer, dial: Dial, join: Join
) -> None:
    """Item 44: no_fast_producer_stall: it stays connected, what it gets is in order, others get everything."""
    server = shared_server(config=CONFIG + "no_fast_producer_stall: true\n")
    lazy, keen, publisher = lazy_consumer(server, dial, "slow.d"), join(server), join(server)
    keen.subscribe("slow.d", 1)
    keen.ping()
    total = 800
    for start in range(0, total, 8):
        for number in range(start, start + 8):
            publisher.publish("slow.d", b"%08d" % number + PAYLOAD[8:])
        publisher.ping()
        assert len(keen.read_messages_until_pong()) == 8
    lazy.timeout_s = 20
    numbers = [int(message.payload[:8]) for message in lazy.read_messages_until_pong()]
    assert numbers == sorted(set(numbers))
    assert 0 < len(numbers) < total
    publisher.publish("slow.d", b"%08d" % total)
    publisher.ping()
    assert [int(message.payload) for message in lazy.read_messages_until_pong()] == [total]


def test_write_deadline(shared_server: StartServer, dial: Dial, join: Join) -> None:
    """Section 16: a write that does not finish in time closes, with its own reason."""
    server = shared_server(config='max_payload: 64K\nmax_pending: 512MB\nwrite_deadline: "500ms"\n', monitor=True)
    lazy = dial(server, receive_buffer_bytes=4096)
    client_id = lazy.handshake()["client_id"]
    lazy.subscribe("slow.e", 1)
    lazy.ping()
    publisher = join(server)
    for _ in range(50):
        for _ in range(8):
            publisher.publish("slow.e", PAYLOAD)
        publisher.ping()
    assert closed_reason(server, client_id) == "Slow Consumer (Write Deadline)"


def test_who_takes_a_little_is_kept_with_retry(shared_server: StartServer, dial: Dial, join: Join) -> None:
    """``write_timeout: retry``: a deadline in which anything was taken is not the end."""
    limits = 'max_payload: 1M\nmax_pending: 512MB\nwrite_deadline: "500ms"\nwrite_timeout: retry\n'
    server = shared_server(config=limits, monitor=True)
    lazy = dial(server, receive_buffer_bytes=4096)
    client_id = lazy.handshake()["client_id"]
    lazy.subscribe("slow.f", 1)
    lazy.ping()
    publisher = join(server)
    for _ in range(20):
        publisher.publish("slow.f", b"x" * 900_000)
    lazy.socket.setblocking(False)
    end = time.monotonic() + 2.0
    while time.monotonic() < end:  # four deadlines, some hundred kilobytes in each
        with suppress(BlockingIOError):
            lazy.socket.recv(1 << 16)
        time.sleep(0.05)
    assert [one["cid"] for one in server.monitor("/connz")["connections"] if one["cid"] == client_id]
