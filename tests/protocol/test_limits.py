"""Limits of server, account and connection (spec: client-protocol section 14; checklist items 17, 33-35)."""

import contextlib

import pytest

from gossamer.mesh.testing.plugin import Dial, Join, StartServer
from gossamer.mesh.testing.process import ServerProcess
from gossamer.mesh.testing.wire import WireError

TOO_MANY_SUBSCRIPTIONS = b"-ERR 'maximum subscriptions exceeded'\r\n"
PAYLOAD = b"-ERR 'Maximum Payload Violation'\r\n"
ACCOUNTS = """
max_payload: 2000
accounts {
  A { users: [ {user: a, password: p} ], limits: { max_payload: 500, max_connections: 2, max_subscriptions: 3 } }
  B { users: [ {user: b, password: p} ], limits: { max_payload: -1 } }
}
"""


@pytest.mark.parametrize("line", [b"PUB limit.a 1048577\r\n", b"PUB limit.a r 999999999\r\n"])
def test_max_payload(server: ServerProcess, join: Join, line: bytes) -> None:
    """Item 17: at once, before the payload."""
    client = join(server)
    client.send(line)
    client.expect(PAYLOAD)
    client.expect_close()


def test_max_payload_counts_headers(shared_server: StartServer, join: Join) -> None:
    """Item 17: for HPUB the total counts."""
    server = shared_server(config="max_payload: 1000\n")
    client = join(server, headers=True)
    client.subscribe("limit.b", 1)
    client.publish("limit.b", b"x" * 1000)
    client.publish("limit.b", b"x" * 988, headers=b"NATS/1.0\r\n\r\n")
    assert [len(m.headers + m.payload) for m in client.read_messages_until_pong()] == [1000, 1000]
    client.send(b"HPUB limit.b 12 1001\r\n")
    client.expect(PAYLOAD)
    client.expect_close()
    client = join(server)
    client.send(b"PUB limit.b 1001\r\n")
    client.expect(PAYLOAD)
    client.expect_close()


def test_max_payload_in_info(shared_server: StartServer, dial: Dial) -> None:
    """Item 35: the server's in the first INFO, the account's in the second."""
    server = shared_server(config=ACCOUNTS)
    client = dial(server)
    assert client.read_info()["max_payload"] == 2000
    client.connect(user="a", protocol=1, **{"pass": "p"})
    client.ping()
    assert client.read_info()["max_payload"] == 500
    client.publish("limit.c", b"x" * 500)
    client.ping()
    client.send(b"PUB limit.c 501\r\n")
    client.expect(PAYLOAD)
    client.expect_close()
    assert dial(server).handshake(user="b", protocol=1, **{"pass": "p"})["max_payload"] == 2000


def test_max_subscriptions(shared_server: StartServer, join: Join) -> None:
    """Item 33: the fifth is refused, the connection and the four stay; UNSUB makes room."""
    client = join(shared_server(config="max_subscriptions: 4\n"))
    client.send(b"".join(b"SUB limit.d %d\r\n" % sid for sid in range(1, 6)))
    client.expect(TOO_MANY_SUBSCRIPTIONS)
    client.publish("limit.d")
    assert sorted(m.sid for m in client.read_messages_until_pong()) == [b"1", b"2", b"3", b"4"]
    client.send(b"UNSUB 1\r\nSUB limit.d 5\r\nPUB limit.d 0\r\n\r\n")
    assert sorted(m.sid for m in client.read_messages_until_pong()) == [b"2", b"3", b"4", b"5"]


def test_max_subscriptions_is_per_connection(shared_server: StartServer, join: Join) -> None:
    """Item 33."""
    server = shared_server(config="max_subscriptions: 4\n")
    for _ in range(2):
        client = join(server)
        client.send(b"".join(b"SUB limit.e q %d\r\n" % sid for sid in range(4)))
        client.ping()


def test_account_subscriptions(shared_server: StartServer, join: Join) -> None:
    """Item 33: an account's limit holds for each of its connections."""
    server = shared_server(config=ACCOUNTS)
    for client in [join(server, user="a", **{"pass": "p"}) for _ in range(2)]:
        client.send(b"SUB a 1\r\nSUB b 2\r\nSUB c 3\r\n")
        client.ping()
        client.send(b"SUB d 4\r\n")
        client.expect(TOO_MANY_SUBSCRIPTIONS)
        client.send(b"UNSUB 2\r\nSUB d 4\r\n")
        client.ping()


def test_max_connections(start_server: StartServer, dial: Dial) -> None:
    """Item 34: INFO, then the error; the place is free after a disconnect."""
    server = start_server(config="max_connections: 2\n")
    first, second = dial(server), dial(server)
    first.handshake()
    second.handshake()
    surplus = dial(server)
    surplus.read_info()
    surplus.expect(b"-ERR 'maximum connections exceeded'\r\n")
    surplus.expect_close()
    first.finish_sending()
    first.expect_close()
    for _ in range(200):  # the server may close the socket a moment before it counts down
        client = dial(server)
        client.read_info()
        with contextlib.suppress(ConnectionError, WireError):  # it may be closed while PING is on its way
            client.ping()
            break
    else:
        pytest.fail("a closed connection still counts")
    second.ping()


@pytest.mark.parametrize("limit", [0, -1])
def test_max_connections_that_refuses_all(start_server: StartServer, dial: Dial, limit: int) -> None:
    """Item 34."""
    client = dial(start_server(config=f"max_connections: {limit}\n"))
    client.read_info()
    client.expect(b"-ERR 'maximum connections exceeded'\r\n")
    client.expect_close()


def test_account_connections(start_server: StartServer, dial: Dial, join: Join) -> None:
    """Item 35: the text; other accounts are not concerned."""
    server = start_server(config=ACCOUNTS)
    members = [join(server, user="a", **{"pass": "p"}) for _ in range(2)]
    surplus = dial(server)
    surplus.read_info()
    surplus.connect(user="a", **{"pass": "p"})
    surplus.expect(b"-ERR 'maximum account active connections exceeded'\r\n")
    surplus.expect_close()
    join(server, user="b", **{"pass": "p"}).ping()
    for member in members:
        member.ping()
