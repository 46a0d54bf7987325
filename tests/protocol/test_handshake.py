"""From the first INFO to the first PONG (spec: client-protocol sections 1, 4, 5; checklist items 1-4)."""

from collections.abc import Callable

from gossamer.mesh.testing.process import ServerProcess
from gossamer.mesh.testing.wire import WireClient

Dial = Callable[..., WireClient]


def test_proto_0_gets_pong_only(server: ServerProcess, dial: Dial) -> None:
    """Item 2."""
    client = dial(server)
    client.read_info()
    client.send(b'CONNECT {"verbose":false,"pedantic":false}\r\nPING\r\n')
    client.expect(b"PONG\r\n")
    client.ping()
