"""Who tests the oracle? nats-server does: the same random operations against the real server behind sockets.

What the reference does differently on purpose is left out: subscriptions with wildcards by clients that have an allow
list (auth 26.1).
"""

import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest
from comparison import Comparison, split_frames
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from operations import admissions, operations, violations

from gossamer.mesh.engine.reference import Admission, ReferencePermissions
from gossamer.mesh.testing.process import NatsServerProcess

USERS = {
    "open": Admission(account=b"A"),
    "other": Admission(account=b"B"),
    "filtered": Admission(
        account=b"A",
        permissions=ReferencePermissions(
            publish_deny=(b"a.b", b"c.>"), subscribe_deny=((b"b.*", b""), (b"a.>", b"q"), (b"c", b"q.*"))
        ),
    ),
    "answering": Admission(
        account=b"A",
        permissions=ReferencePermissions(publish_allow=(b"b.>",), response_max=2, response_ttl_ns=3600 * 10**9),
    ),
}
CONFIG = """
accounts {
  A { users = [
    { user: open, password: x }
    { user: filtered, password: x, permissions: {
        publish: { deny: ["a.b", "c.>"] }, subscribe: { deny: ["b.*", "a.> q", "c q.*"] } } }
    { user: answering, password: x, permissions: {
        publish: { allow: ["b.>"] }, allow_responses: { max: 2, expires: "1h" } } }
  ] }
  B { users = [ { user: other, password: x } ] }
}
"""


class ServerNode(Comparison):
    """nats-server on sockets; at rest when every link has answered a PING after the exchange."""

    def __init__(self, address: tuple[str, int]) -> None:
        super().__init__()
        self.address = address
        self.sockets: dict[int, socket.socket] = {}

    def open(self, user: str, options: Admission) -> int:
        link = len(self.sockets) + 1
        connection = self.sockets[link] = socket.create_connection(self.address, timeout=20)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection.makefile("rb", buffering=0) as lines:
            assert lines.readline().startswith(b"INFO ")
        known = USERS[user]
        changes: dict[str, object] = {
            "account": known.account,
            "permissions": known.permissions,
            "max_subscriptions": -1,
            "pedantic": False,  # nats-server 2.15.1 tells an invalid subject twice when a payload comes in two reads
        }
        chosen = replace(options, **changes)  # type: ignore[arg-type]
        self.model.open_client(link, lambda number, connect, again: chosen)
        flags = ("verbose", "pedantic", "echo", "headers", "no_responders")
        fields = ",".join(f'"{name}":{str(getattr(chosen, name)).lower()}' for name in flags)
        self.act(link, f'CONNECT {{{fields},"user":"{user}","pass":"x"}}\r\n'.encode())
        return link

    def act(self, link: int, data: bytes, *, closes: bool = False) -> None:
        self.note(f"feed {link} {data!r}")
        pings = data.count(b"PING\r\n")
        self.sockets[link].sendall(data if closes else data + b"PING\r\n")
        self._read(link, None if closes else pings + 1)
        for number in self.sockets:
            if number != link and number not in self.closed:
                self.sockets[number].sendall(b"PING\r\n")
                self._read(number, 1)
        self.observe()
        self.model.feed(link, data)
        self.compare()

    def _read(self, link: int, pongs: int | None) -> None:
        """Up to that many PONGs, of which the last is taken off, or (None) to the end.

        The server's own PINGs are taken off too: the first comes two seconds after the connection, anywhere.
        """
        stream = self.output.setdefault(link, bytearray())
        while True:
            frames = [frame for frame in _complete(bytes(stream)) if frame != b"PING\r\n"]
            if pongs is not None and frames.count(b"PONG\r\n") == pongs:
                assert frames.pop() == b"PONG\r\n", stream
                stream[:] = b"".join(frames)
                return
            part = self.sockets[link].recv(65536)
            if not part:
                self.closed.add(link)
                return
            stream += part

    def shut(self) -> None:
        for connection in self.sockets.values():
            connection.close()


def _complete(stream: bytes) -> list[bytes]:
    """The frames of a stream that may end in the middle of one."""
    for end in range(len(stream), 0, -1):
        if stream[end - 2 : end] == b"\r\n":
            try:
                return split_frames(stream[:end])
            except AssertionError:
                continue
    return []


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    if missing := NatsServerProcess.missing():
        pytest.skip(missing)
    with NatsServerProcess(tmp_path_factory.mktemp("server"), config=CONFIG) as server:
        yield server.address


@given(data=st.data())
@settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
def test_the_reference_agrees_with_nats_server(address: tuple[str, int], data: st.DataObject) -> None:
    node = ServerNode(address)
    try:
        clients = {
            node.open(data.draw(st.sampled_from(sorted(USERS))), options): options
            for options in data.draw(st.lists(admissions(with_permissions=False), min_size=1, max_size=3))
        }
        for _ in range(data.draw(st.integers(1, 12))):
            link = data.draw(st.sampled_from(sorted(clients)))
            if link not in node.closed:
                node.act(link, data.draw(st.lists(operations(clients[link].headers), max_size=6).map(b"".join)))
        last = data.draw(st.sampled_from(sorted(clients)))
        if last not in node.closed:
            node.act(last, data.draw(violations), closes=True)
    finally:
        node.shut()
