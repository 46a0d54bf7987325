"""The reference transcripts, byte by byte (spec: client-protocol section 28; 28.10 is in test_cluster)."""

import pytest

from gossamer.mesh.testing.plugin import Dial, Join, StartServer
from gossamer.mesh.testing.process import ServerProcess

CONNECT = b'CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true}\r\n'
PERMISSIONS = """
authorization { users: [ { user: a, password: b, permissions: {
  publish: { allow: "ok.>", deny: "ok.no" }
  subscribe: { allow: ["s.>", "qq g1"], deny: "s.deny" }
} } ] }
"""


def test_28_1_plain_handshake(server: ServerProcess, dial: Dial) -> None:
    client = dial(server)
    first = client.read_info()
    client.send(
        b'CONNECT {"verbose":false,"pedantic":false,"protocol":1,"headers":true,"no_responders":true}\r\nPING\r\n'
    )
    client.expect(b"PONG\r\n")
    second = client.read_info()
    assert second.pop("connect_info") is True
    assert second.pop("remote_account") == "$G"
    assert second == first


def test_28_2_no_connect_on_an_open_server(server: ServerProcess, dial: Dial) -> None:
    client = dial(server)
    client.read_info()
    client.send(b"SUB a 1\r\nPUB a.* 0\r\n\r\n")
    client.expect(b"+OK\r\n-ERR 'Invalid Publish Subject'\r\n+OK\r\n")
    client.ping()


def test_28_3_verbose_with_self_delivery(server: ServerProcess, dial: Dial) -> None:
    client = dial(server)
    client.read_info()
    client.send(
        b'CONNECT {"verbose":true,"pedantic":false}\r\nSUB foo 1\r\nSUB  foo   q  2 \r\n'
        b"PUB foo 2\r\nhi\r\nUNSUB 99\r\nPING\r\n"
    )
    client.expect(b"+OK\r\n+OK\r\n+OK\r\n+OK\r\nMSG foo 1 2\r\nhi\r\nMSG foo 2 2\r\nhi\r\n+OK\r\nPONG\r\n")


def test_28_4_no_responders(server: ServerProcess, dial: Dial) -> None:
    client = dial(server)
    client.read_info()
    client.send(CONNECT + b"SUB inbox.* 7\r\nPUB svc inbox.1 0\r\n\r\n")
    client.expect(b"HMSG inbox.1 7 35 35\r\nNATS/1.0 503\r\nNats-Subject: svc\r\n\r\n\r\n")


def test_28_5_unsub_with_max(server: ServerProcess, join: Join) -> None:
    client = join(server)
    client.send(b"SUB z 1\r\nUNSUB 1 2\r\n" + b"PUB z 1\r\na\r\n" * 4 + b"PING\r\n")
    client.expect(b"MSG z 1 1\r\na\r\nMSG z 1 1\r\na\r\nPONG\r\n")
    client.send(b"SUB z 2\r\n" + b"PUB z 1\r\na\r\n" * 3 + b"UNSUB 2 2\r\nPUB z 1\r\nb\r\nPING\r\n")
    client.expect(b"MSG z 2 1\r\na\r\n" * 3 + b"PONG\r\n")


def test_28_6_permissions(shared_server: StartServer, join: Join) -> None:
    client = join(shared_server(config=PERMISSIONS), user="a", **{"pass": "b"})
    client.send(
        b"PUB ok.no 0\r\n\r\nPUB ok.1 0\r\n\r\nSUB s.deny 1\r\nSUB s.* 3\r\nSUB qq 4\r\nSUB qq g1 5\r\n"
        b"SUB qq g2 6\r\nPING\r\n"
    )
    client.expect(
        b"-ERR 'Permissions Violation for Publish to \"ok.no\"'\r\n"
        b"-ERR 'Permissions Violation for Subscription to \"s.deny\"'\r\n"
        b"-ERR 'Permissions Violation for Subscription to \"qq\"'\r\n"
        b'-ERR \'Permissions Violation for Subscription to "qq" using queue "g2"\'\r\nPONG\r\n'
    )


def test_28_7_headers_to_mixed_subscribers(server: ServerProcess, join: Join) -> None:
    client, plain = join(server, headers=True), join(server)
    client.send(b"SUB h 11\r\n")
    plain.send(b"SUB h 1\r\n")
    plain.ping()
    client.send(b"HPUB h rep 18 20\r\nNATS/1.0\r\nA: b\r\n\r\nhi\r\n")
    client.expect(b"HMSG h 11 rep 18 20\r\nNATS/1.0\r\nA: b\r\n\r\nhi\r\n")
    plain.expect(b"MSG h 1 rep 2\r\nhi\r\n")


def test_28_8_ping_before_connect(shared_server: StartServer, dial: Dial) -> None:
    client = dial(shared_server(config=PERMISSIONS))
    client.read_info()
    client.send(b"PING\r\n")
    client.expect(b"-ERR 'Authorization Violation'\r\n")
    client.expect_close()


def test_28_8_silence(shared_server: StartServer, dial: Dial) -> None:
    client = dial(shared_server(config="authorization { token: t, timeout: 0.3 }\n"))
    client.read_info()
    client.expect(b"-ERR 'Authentication Timeout'\r\n")
    client.expect_close()


def test_28_8_over_max_connections(start_server: StartServer, dial: Dial) -> None:
    server = start_server(config="max_connections: 1\n")
    client = dial(server)
    client.read_info()
    client.ping()
    surplus = dial(server)
    surplus.read_info()
    surplus.expect(b"-ERR 'maximum connections exceeded'\r\n")
    surplus.expect_close()


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"GET / HTTP/1.1\r\n", b"-ERR 'Unknown Protocol Operation'\r\n"),
        (b"\x16\x03\x01\x00\xf8\x01\x00", b"-ERR 'Unknown Protocol Operation'\r\n"),
        (b'CONNECT {"protocol":2}\r\n', b"-ERR 'invalid client protocol'\r\n"),
        (b'CONNECT {"no_responders":true}\r\n', b"-ERR 'no responders requires headers support'\r\n"),
        (b'CONNECT {"verbose":"yes"}\r\n', b""),
        (b"PUB foo\r\n", b""),
    ],
)
def test_28_8_refusals(server: ServerProcess, dial: Dial, sent: bytes, expected: bytes) -> None:
    client = dial(server)
    client.read_info()
    client.send(sent)
    client.expect(expected)
    client.expect_close()
