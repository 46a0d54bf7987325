"""PING from the server (spec: client-protocol section 15; checklist items 31, 32)."""

import time

from gossamer.mesh.testing.plugin import Dial, Join, StartServer
from gossamer.mesh.testing.process import ServerProcess
from gossamer.mesh.testing.wire import WireClient


def seconds_to_ping(client: WireClient) -> float:
    start = time.monotonic()
    client.expect(b"PING\r\n")
    return time.monotonic() - start


def test_first_ping_after_two_seconds(server: ServerProcess, join: Join) -> None:
    """Item 31: 2.0 to 2.4 s after CONNECT, and some for a busy machine."""
    assert 1.95 < seconds_to_ping(join(server)) < 3.2


def test_no_early_ping_before_connect(server: ServerProcess, dial: Dial, join: Join) -> None:
    """Item 31: it is CONNECT that starts the short timer. (Another connection is the clock.)"""
    silent, clock = dial(server, answers_pings=False), join(server)
    silent.read_info()
    clock.expect(b"PING\r\n")
    silent.ping()


def test_ping_every_interval_when_idle(shared_server: StartServer, join: Join) -> None:
    """Item 31: PONG in between, nothing else."""
    client = join(shared_server(config='ping_interval: "400ms"\n'))
    gaps = []
    for _ in range(4):
        gaps.append(seconds_to_ping(client))
        client.send(b"PONG\r\n")
    assert 0.35 < gaps[0] < 1.2
    assert all(0.3 < gap < 1.2 for gap in gaps), gaps


def test_no_ping_while_data_flows(shared_server: StartServer, join: Join) -> None:
    """Item 31: after the first one, whose answer measures the round trip."""
    client = join(shared_server(config='ping_interval: "400ms"\n'))
    client.expect(b"PING\r\n")
    client.answers_pings = False
    client.send(b"PONG\r\nSUB live.a 1\r\n")
    end = time.monotonic() + 1.5
    while time.monotonic() < end:
        client.publish("live.a")
        client.expect(b"MSG live.a 1 0\r\n\r\n")
        time.sleep(0.02)  # the pace of the data, not a wait for anything


def test_stale_after_unanswered_pings(shared_server: StartServer, join: Join) -> None:
    """Item 32: ping_max 2: PING, PING, error."""
    client = join(shared_server(config='ping_interval: "200ms"\nping_max: 2\n'))
    client.expect(b"PING\r\nPING\r\n-ERR 'Stale Connection'\r\n")
    client.expect_close()


def test_stale_with_ping_max_1(shared_server: StartServer, join: Join) -> None:
    """Item 32: transcript 28.8: the first PING after min(2 s, interval), the error an interval later."""
    client = join(shared_server(config='ping_interval: "300ms"\nping_max: 1\n'))
    start = time.monotonic()
    client.expect(b"PING\r\n-ERR 'Stale Connection'\r\n")
    assert 0.5 < time.monotonic() - start < 2.5
    client.expect_close()


def test_pong_resets_the_count(shared_server: StartServer, join: Join) -> None:
    """Item 32: an answer now and then keeps the connection."""
    client = join(shared_server(config='ping_interval: "200ms"\nping_max: 2\n'))
    for _ in range(3):
        client.expect(b"PING\r\nPING\r\n")
        client.send(b"PONG\r\n")
    client.ping()


def test_silent_client_before_connect_goes_stale(shared_server: StartServer, dial: Dial) -> None:
    """Items 31, 32: on an open server the plain interval runs before CONNECT."""
    client = dial(shared_server(config='ping_interval: "200ms"\nping_max: 1\n'))
    client.read_info()
    client.expect(b"PING\r\n-ERR 'Stale Connection'\r\n")
    client.expect_close()
