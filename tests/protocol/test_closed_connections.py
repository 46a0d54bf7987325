"""The reasons that monitoring shows for closed connections (spec: client-protocol section 20; items 21, 72, 76)."""

import time
from collections.abc import Callable

import pytest

from gossamer.mesh.testing.plugin import Dial, StartServer
from gossamer.mesh.testing.process import ServerError, ServerProcess
from gossamer.mesh.testing.wire import WireClient

CONFIG = """
max_payload: 1000
authorization { timeout: 0.3 }
accounts {
  A { users: [ {user: a, password: p} ] }
  B { users: [ {user: b, password: p} ], limits: { max_connections: 0 } }
}
"""
Action = Callable[[WireClient], None]


def sends(data: bytes) -> Action:
    """Connected as a, and then these bytes."""

    def act(client: WireClient) -> None:
        client.connect(user="a", **{"pass": "p"})
        client.ping()
        client.send(data)

    return act


def starts_with(data: bytes) -> Action:
    return lambda client: client.send(data)


def is_silent(client: WireClient) -> None:
    client.expect(b"-ERR 'Authentication Timeout'\r\n")


def finishes(client: WireClient) -> None:
    sends(b"PING\r\n")(client)
    client.finish_sending()


def closed(server: ServerProcess, client_id: int) -> dict[str, object]:
    """The entry of a connection among the closed ones; waits for it."""
    deadline = time.monotonic() + 10
    while True:
        for entry in server.monitor("/connz?state=closed&limit=10000")["connections"]:
            if entry["cid"] == client_id:
                return dict(entry)
        if time.monotonic() > deadline:
            raise ServerError(f"connection {client_id} is not among the closed ones")
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        pytest.param(finishes, "Client Closed", id="end of stream"),
        pytest.param(is_silent, "Authentication Timeout", id="silence"),
        pytest.param(starts_with(b"PING\r\n"), "Authentication Failure", id="verb before CONNECT"),
        pytest.param(starts_with(b'CONNECT {"user":"a","pass":"x"}\r\n'), "Authentication Failure", id="password"),
        pytest.param(sends(b"FOO\r\n"), "Protocol Violation", id="unknown verb"),
        pytest.param(sends(b"PUB a b c d\r\n"), "Protocol Violation", id="arguments"),
        pytest.param(sends(b"PUB a 1\r\nxyz"), "Protocol Violation", id="payload end"),
        pytest.param(sends(b"-ERR 'no more'\r\n"), "Parse Error", id="-ERR"),
        pytest.param(sends(b"SUB " + b"a" * 5000), "Maximum Control Line Exceeded", id="control line"),
        pytest.param(sends(b"PUB a 1001\r\n"), "Maximum Message Payload Exceeded", id="payload"),
        pytest.param(
            starts_with(b'CONNECT {"user":"a","pass":"p","protocol":7}\r\n'),
            "Bad Client Protocol Version",
            id="protocol",
        ),
        pytest.param(
            starts_with(b'CONNECT {"user":"a","pass":"p","no_responders":true}\r\n'),
            "No Responders Requires Headers",
            id="no_responders",
        ),
    ],
)
def test_reason(shared_server: StartServer, dial: Dial, action: Action, reason: str) -> None:
    """Items 21, 72, 76."""
    server = shared_server(config=CONFIG, monitor=True)
    client = dial(server)
    client_id = client.read_info()["client_id"]
    action(client)
    client.read_to_end()
    assert closed(server, client_id)["reason"] == reason


def test_reset_is_a_read_error(shared_server: StartServer, dial: Dial) -> None:
    """Item 72: or an end of the stream, if the server noticed the reset only when it wrote."""
    server = shared_server(config=CONFIG, monitor=True)
    client = dial(server)
    client_id = client.handshake(user="a", **{"pass": "p"})["client_id"]
    client.reset()
    assert closed(server, client_id)["reason"] in ("Read Error", "Client Closed")


def test_stale(shared_server: StartServer, dial: Dial) -> None:
    """Item 72."""
    server = shared_server(config='ping_interval: "200ms"\nping_max: 1\n', monitor=True)
    client = dial(server)
    client_id = client.handshake()["client_id"]
    client.read_to_end()
    assert closed(server, client_id)["reason"] == "Stale Connection"


def test_max_connections(start_server: StartServer, dial: Dial) -> None:
    """Item 72."""
    server = start_server(config="max_connections: 1\n", monitor=True)
    dial(server).handshake()
    client = dial(server)
    client_id = client.read_info()["client_id"]
    client.read_to_end()
    assert closed(server, client_id)["reason"] == "Maximum Connections Exceeded"


def test_account_connections(start_server: StartServer, dial: Dial) -> None:
    """Item 72."""
    config = "accounts { A { users: [ {user: a, password: p} ], limits: { max_connections: 1 } } }\n"
    server = start_server(config=config, monitor=True)
    dial(server).handshake(user="a", **{"pass": "p"})
    client = dial(server)
    client_id = client.read_info()["client_id"]
    client.connect(user="a", **{"pass": "p"})
    client.read_to_end()
    assert closed(server, client_id)["reason"] == "Maximum Account Connections Exceeded"


def test_entry_of_a_closed_connection(shared_server: StartServer, dial: Dial) -> None:
    """Item 72: who it was and what it did."""
    server = shared_server(monitor=True)
    client = dial(server)
    client_id = client.handshake(name="tester", lang="python", version="1.2")["client_id"]
    client.send(b"SUB closed.a 1\r\nPUB closed.a 3\r\nabc\r\nPUB closed.b 2\r\nab\r\n")
    client.expect(b"MSG closed.a 1 3\r\nabc\r\n")
    client.ping()
    client.finish_sending()
    client.expect_close()
    entry = closed(server, client_id)
    wanted = {"in_msgs": 2, "out_msgs": 1, "in_bytes": 5, "out_bytes": 3, "name": "tester", "lang": "python"}
    wanted |= {"version": "1.2", "ip": "127.0.0.1", "kind": "Client", "type": "nats", "reason": "Client Closed"}
    assert {name: entry.get(name) for name in wanted} == wanted
    assert {"start", "stop", "last_activity", "uptime", "idle", "rtt"} <= set(entry)
