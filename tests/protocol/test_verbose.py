"""When +OK comes (spec: client-protocol section 6; checklist item 25)."""

import pytest

from gossamer.mesh.testing.plugin import Join, StartServer
from gossamer.mesh.testing.process import ServerProcess
from gossamer.mesh.testing.wire import WireClient

OK = b"+OK\r\n"
PERMISSIONS = """
max_subscriptions: 10
authorization { users: [ {
  user: v, password: w, permissions: { publish: { deny: "no.>" }, subscribe: { deny: "no.>" } }
} ] }
"""


@pytest.fixture
def verbose(server: ServerProcess, join: Join) -> WireClient:
    client = join(server, headers=True)
    client.connect(verbose=True, headers=True)
    client.expect(OK)
    return client


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        pytest.param(b"SUB verbose.a 1\r\n", OK, id="SUB"),
        pytest.param(b"SUB verbose.a q 1\r\n", OK, id="SUB queue"),
        pytest.param(b"SUB verbose.a 1\r\nSUB verbose.b 1\r\n", OK * 2, id="SUB duplicate sid"),
        pytest.param(b"SUB foo..bar 1\r\n", b"-ERR 'Invalid Subject'\r\n", id="SUB invalid"),
        pytest.param(b"UNSUB 9\r\n", OK, id="UNSUB unknown"),
        pytest.param(b"SUB verbose.a 1\r\nUNSUB 1 5\r\nUNSUB 1\r\nUNSUB 1\r\n", OK * 4, id="UNSUB"),
        pytest.param(b"PUB verbose.x 2\r\nhi\r\n", OK, id="PUB"),
        pytest.param(b"HPUB verbose.x 12 12\r\nNATS/1.0\r\n\r\n\r\n", OK, id="HPUB"),
        pytest.param(b"PUB a..b 0\r\n\r\n", OK, id="PUB to nobody"),
        pytest.param(b"PING\r\nPONG\r\n+OK\r\n", b"PONG\r\n", id="PING PONG +OK"),
        pytest.param(b"INFO {}\r\n", b"", id="INFO"),
        pytest.param(
            b"PUB _GR_.x 0\r\n\r\n", b"-ERR 'Permissions Violation for Publish to \"_GR_.x\"'\r\n", id="reserved"
        ),
        pytest.param(
            b"PUB a _R_.x 0\r\n\r\n",
            b"-ERR 'Permissions Violation for Publish with Reply of \"_R_.x\"'\r\n",
            id="reserved reply",
        ),
        pytest.param(
            b"SUB verbose.q _sys_ 1\r\n",
            b'-ERR \'Permissions Violation for Subscription to "verbose.q" using queue "_sys_"\'\r\n',
            id="reserved queue",
        ),
        pytest.param(
            b"SUB verbose.y 1\r\nPUB verbose.y 2\r\nhi\r\n",
            OK + OK + b"MSG verbose.y 1 2\r\nhi\r\n",
            id="PUB is confirmed before its own delivery",
        ),
    ],
)
def test_ok(verbose: WireClient, sent: bytes, expected: bytes) -> None:
    """Item 25."""
    verbose.send(sent)
    verbose.expect(expected)
    verbose.ping()


def test_pedantic_error_precedes_ok(server: ServerProcess, join: Join) -> None:
    """Items 24, 25."""
    client = join(server)
    client.send(b'CONNECT {"verbose":true,"pedantic":true}\r\nPUB verbose.* 0\r\n\r\n')
    client.expect(OK, b"-ERR 'Invalid Publish Subject'\r\n", OK)
    client.ping()


def test_no_ok_on_a_violation(shared_server: StartServer, join: Join) -> None:
    """Item 25."""
    server = shared_server(config=PERMISSIONS)
    client = join(server, user="v", **{"pass": "w"})
    client.connect(verbose=True, user="v", **{"pass": "w"})
    client.expect(OK)
    client.send(b"PUB no.x 0\r\n\r\nSUB no.x 1\r\nPUB yes.x 0\r\n\r\nSUB yes.x 1\r\nSUB no.x q 2\r\n")
    client.expect_error('Permissions Violation for Publish to "no.x"')
    client.expect_error('Permissions Violation for Subscription to "no.x"')
    client.expect(OK, OK)
    client.expect_error('Permissions Violation for Subscription to "no.x" using queue "q"')
    client.ping()


def test_no_ok_on_a_limit(shared_server: StartServer, join: Join) -> None:
    """Items 25, 33."""
    client = join(shared_server(config="max_subscriptions: 1\n"))
    client.send(b'CONNECT {"verbose":true}\r\nSUB a 1\r\nSUB b 2\r\n')
    client.expect(OK, OK, b"-ERR 'maximum subscriptions exceeded'\r\n")
    client.ping()
