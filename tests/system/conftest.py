"""A listener on the system account, and somebody to come and go, the same for both servers."""

import json
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from gossamer.mesh.testing.process import GossamerProcess, NatsServerProcess, ServerProcess
from gossamer.mesh.testing.wire import Received, WireClient

TENANTS = """
accounts {
  A: {
    users: [{user: ann, password: pa}, {user: lim, password: pl, permissions: {publish: "x.>", subscribe: "_INBOX.>"}}]
    limits { max_connections: 3 }
  }
  B: { users: [{user: bob, password: pb}] }
  SYS: { users: [{user: sys, password: ps}] }
}
system_account: SYS
"""
PASSWORDS = {"ann": "pa", "lim": "pl", "bob": "pb", "sys": "ps"}


class Event(NamedTuple):
    """What was heard."""

    subject: str
    body: Any


class Listener:
    """A connection of the system account (or another user) with subscriptions, and requests."""

    def __init__(self, server: ServerProcess, user: str = "sys", *subjects: str, password: str = "") -> None:
        self.wire = WireClient(server.address)
        self.info = self.wire.read_info()
        secret = password or PASSWORDS.get(user, "")
        self.wire.connect(user=user, name="listener", lang="test", version="1", headers=True, no_responders=True,
                          **{"pass": secret})  # fmt: skip
        self._asked = 0
        for number, subject in enumerate(subjects):
            self.wire.subscribe(subject, f"s{number}")
        # Servers speak when they like, also before all subscriptions are in force.
        self._early = deque(self.wire.read_messages_until_pong())

    def next(self, wanted: Callable[[Event], bool]) -> Event:
        """The next event of that kind; those before it are passed over."""
        while True:
            event = _event(self._early.popleft() if self._early else self.wire.read_message())
            if wanted(event):
                return event

    def of(self, *subjects: str) -> list[Event]:
        """The next event on each of these subjects, in the order in which they come."""
        found: list[Event] = []
        missing = set(subjects)
        while missing:
            found.append(self.next(lambda event: event.subject in missing))
            missing.remove(found[-1].subject)
        return found

    def ask(self, subject: str, body: Any = None, *, answers: int = 1) -> list[Any]:
        """The answers to a request, decoded. Raises WireError (time-out) when there are fewer; an empty list: nobody
        is there."""
        self._asked += 1
        sid = f"r{self._asked}"
        inbox = f"_INBOX.{sid}"
        self.wire.subscribe(inbox, sid)
        text = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        self.wire.publish(subject, text, reply=inbox)
        found: list[Any] = []
        while len(found) < answers:
            message = self.wire.read_message()
            if message.sid != sid.encode():
                continue
            if b"503" in message.headers:
                return []
            found.append(json.loads(message.payload) if message.payload else None)
        self.wire.send(f"UNSUB {sid}\r\n".encode())
        return found

    def is_silent(self, subject: str, body: Any, server: str) -> bool:
        """Does that server say nothing to a request, before it answers a later one?"""
        self._asked += 1
        sid, inbox = f"r{self._asked}", f"_INBOX.r{self._asked}"
        self.wire.subscribe(inbox, sid)
        self.wire.publish(subject, json.dumps(body).encode(), reply=inbox)
        self.ask(f"$SYS.REQ.SERVER.{server}.VARZ")
        return not [each for each in self.wire.read_messages_until_pong() if each.sid == sid.encode()]


def _event(message: Received) -> Event:
    try:
        body = json.loads(message.payload)
    except ValueError:
        body = message.payload
    return Event(message.subject.decode(), body)


def shape(value: Any) -> Any:
    """The types, and the names in their order."""
    if isinstance(value, dict):
        return {name: shape(part) for name, part in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    if isinstance(value, bool) or value is None:
        return type(value).__name__
    return "number" if isinstance(value, int | float) else type(value).__name__


@pytest.fixture
def listen() -> Iterator[Callable[..., Listener]]:
    """Call with the arguments of Listener; closed after the test."""
    made: list[Listener] = []

    def start(*arguments: Any, **more: Any) -> Listener:
        made.append(Listener(*arguments, **more))
        return made[-1]

    yield start
    for one in made:
        one.wire.close()


@pytest.fixture(scope="module")
def tenants(shared_server: Callable[..., ServerProcess]) -> ServerProcess:
    """A server with two tenants and a system account."""
    return shared_server(config=TENANTS, monitor=True)


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ServerProcess]]:
    """Ours and nats-server, with the same accounts and the same client in each; to be left as they are found."""
    reason = NatsServerProcess.missing()
    if reason is not None:
        pytest.skip(reason)
    kinds: tuple[type[ServerProcess], ...] = (GossamerProcess, NatsServerProcess)
    running: list[ServerProcess] = []
    clients: list[WireClient] = []
    try:
        for kind in kinds:
            running.append(kind(tmp_path_factory.mktemp(kind.kind), config=TENANTS, monitor=True).start())
            client = WireClient(running[-1].address)
            clients.append(client)
            client.handshake(user="ann", name="watcher", lang="test", version="1.0", **{"pass": "pa"})
            client.send(b"SUB watched.> group 7\r\nSUB watched.* 8\r\n")
            client.ping()
        yield running
    finally:
        for client in clients:
            client.close()
        for server in running:
            server.stop()
