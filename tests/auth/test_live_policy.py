"""Random permissions, enforced by the real nats-server and judged by us: the same answers (spec auth section 15).

With the switch for literal wildcards the semantics are exactly those of nats-server; the safe default differs from them
only where a subscription is wider than any allow entry.
"""

import json
import random
import socket

import pytest

from gossamer.auth.permissions import Permissions, SubjectPermissions
from gossamer.auth.policy import filters_delivery, may_deliver, may_publish, may_subscribe
from gossamer.auth.subjects import matches

USERS = 40

LITERALS = ["a", "b", "a.a", "a.b", "b.a", "b.b", "a.a.a", "a.b.a", "b.b.b"]
PATTERNS = [">", "*", "a.>", "b.>", "a.*", "*.a", "*.>", "*.*", "a.*.a", "a.*.>", "*.b.*", *LITERALS]
QUEUES = ["v1", "v2", "x.v1"]
QUEUE_PATTERNS = [*QUEUES, "*", "*.v1", "x.>"]


def random_entries(chance, queues):
    found = []
    for _ in range(chance.randrange(4)):
        entry = chance.choice(PATTERNS)
        if queues and chance.random() < 0.35:
            entry += f" {chance.choice(QUEUE_PATTERNS)}"
        found.append(entry)
    return tuple(found)


def random_permissions(chance):
    sides = [
        SubjectPermissions(allow=random_entries(chance, queues) or None, deny=random_entries(chance, queues))
        for queues in (False, True)
    ]
    return Permissions(publish=sides[0], subscribe=sides[1])


PERMISSIONS = [random_permissions(random.Random(seed)) for seed in range(USERS)]


def block(lists):
    return json.dumps({"allow": list(lists.allow or ()), "deny": list(lists.deny)})


@pytest.fixture(scope="module")
def port(tmp_path_factory, real_server):
    users = "".join(
        f"    {{user: u{number}, password: p, permissions: {{publish: {block(granted.publish)}, "
        f"subscribe: {block(granted.subscribe)}}}}}\n"
        for number, granted in enumerate(PERMISSIONS)
    )
    config = tmp_path_factory.mktemp("server") / "server.conf"
    config.write_text(f"listen: 127.0.0.1:-1\nauthorization {{ users: [\n    {{user: all, password: p}}\n{users}] }}\n")
    with real_server(config) as port:
        yield port


class Client:
    """A plain connection; ``send`` returns what came back before the next PONG."""

    def __init__(self, port, user):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.lines = self.socket.makefile("rb")
        self.lines.readline()
        assert self.send(f'CONNECT {{"user":"{user}","pass":"p","verbose":false}}') == []

    def send(self, *lines):
        self.socket.sendall("".join(f"{line}\r\n" for line in (*lines, "PING")).encode())
        found = []
        while (line := self.lines.readline()) != b"PONG\r\n":
            assert line, "the server closed the connection"
            if line.strip() and not line.startswith(b"INFO "):
                found.append(line.strip().decode())
        return found

    def close(self):
        self.lines.close()
        self.socket.close()


@pytest.fixture
def client(request, port):
    made = Client(port, f"u{request.param}")
    yield made
    made.close()


by_user = pytest.mark.parametrize(
    ("client", "permissions"), list(enumerate(PERMISSIONS)), indirect=["client"], ids=range(USERS)
)


@by_user
def test_publishing(client, permissions):
    for subject in LITERALS:
        answer = client.send(f"PUB {subject} 0", "")
        expected = (
            [] if may_publish(permissions, subject) else [f"-ERR 'Permissions Violation for Publish to \"{subject}\"'"]
        )
        assert answer == expected, (permissions.publish, subject)


@by_user
def test_subscribing(client, permissions):
    for number, subject in enumerate(PATTERNS):
        for queue in ("", *QUEUES):
            sid = f"{number}{len(queue)}{queue[-1:]}"
            answer = client.send(f"SUB {subject} {queue} {sid}" if queue else f"SUB {subject} {sid}", f"UNSUB {sid}")
            upstream = may_subscribe(permissions, subject, queue, literal_wildcards=True)
            assert (answer == []) == upstream.allowed, (permissions.subscribe, subject, queue, answer, upstream)
            # The safe default is only ever stricter, and only where a wildcard was taken for a literal.
            ours = may_subscribe(permissions, subject, queue)
            assert ours.allowed <= upstream.allowed, (permissions.subscribe, subject, queue)
            if ours.allowed != upstream.allowed:
                assert subject.endswith(">"), (permissions.subscribe, subject, queue)


@by_user
def test_delivering(client, permissions, port):
    everybody = Client(port, "all")
    for subject in (">", "*.*", "a.>"):
        if client.send(f"SUB {subject} 1"):
            continue
        everybody.send(*(line for literal in LITERALS for line in (f"PUB {literal} 0", "")))
        given = {line.split()[1] for line in client.send() if line.startswith("MSG ")}
        filtered = filters_delivery(permissions, subject)
        expected = {
            literal
            for literal in LITERALS
            if matches(subject, literal) and (not filtered or may_deliver(permissions, literal))
        }
        assert given == expected, (permissions.subscribe, subject)
        client.send("UNSUB 1")
    everybody.close()
