"""What a user may do (spec: client-protocol section 18; checklist items 18-20)."""

import time
from collections.abc import Callable

import pytest

from gossamer.mesh.testing.plugin import Join, StartServer
from gossamer.mesh.testing.process import ServerProcess
from gossamer.mesh.testing.wire import WireClient

CONFIG = """
authorization { users: [
  { user: admin, password: p }
  { user: both, password: p, permissions: {
      publish: { allow: ["ok.>", "one.*.x"], deny: ["ok.no", "ok.*.no"] }
      subscribe: { allow: ["s.>", "one.*.x"], deny: ["s.deny", "s.*.deny", "s.t.>"] } } }
  { user: allowed, password: p, permissions: { publish: "ok.>", subscribe: ["s.*", "t"] } }
  { user: empty, password: p, permissions: { publish: { allow: [] }, subscribe: { allow: [] } } }
  { user: denied, password: p, permissions: { publish: { deny: ">" }, subscribe: { deny: ">" } } }
  { user: partly, password: p, permissions: { subscribe: { deny: ["d.>", "e.*.f"] } } }
  { user: queues, password: p, permissions: { subscribe: {
      allow: ["qq g1", "qw *.dev", "plain", "multi v1", "multi v2.>", "deep.> g1"]
      deny: ["plain *.no", "deep.x g1"] } } }
  { user: filter, password: p, permissions: { subscribe: { deny: ["f.a *.prod", "g.a"] } } }
  { user: once, password: p, permissions: { subscribe: "svc.>", allow_responses: true } }
  { user: twice, password: p, permissions: {
      subscribe: "svc.>", publish: { allow: ["own.>"] }, allow_responses: { max: 2, expires: "1m" } } }
  { user: brief, password: p, permissions: { subscribe: "svc.>", allow_responses: { max: -1, expires: "400ms" } } }
] }
"""

Login = Callable[[str], WireClient]


@pytest.fixture
def guarded(shared_server: StartServer) -> ServerProcess:
    return shared_server(config=CONFIG)


@pytest.fixture
def login(guarded: ServerProcess, join: Join) -> Login:
    def connect(user: str) -> WireClient:
        return join(guarded, user=user, headers=True, no_responders=True, **{"pass": "p"})

    return connect


@pytest.mark.parametrize(
    ("user", "subject", "allowed"),
    [
        *(("both", "ok.1", True), ("both", "ok.a.b", True), ("both", "ok.no", False), ("both", "ok.a.no", False)),
        *(("both", "ok", False), ("both", "other", False), ("both", "one.a.x", True), ("both", "one.a.y", False)),
        *(("both", "ok.no.x", True), ("both", "ok.*", True), ("both", "ok.>", True)),
        *(("allowed", "ok.1", True), ("allowed", "s.1", False)),
        *(("empty", "ok.1", True), ("denied", "ok.1", False), ("partly", "d.x", True), ("admin", "any.thing", True)),
    ],
)
def test_publish(login: Login, user: str, subject: str, allowed: bool) -> None:
    """Item 18: the message is dropped, the connection stays; HPUB like PUB."""
    hearer, client = login("admin"), login(user)
    hearer.subscribe(subject, 1)
    hearer.ping()
    client.publish(subject, b"x")
    client.publish(subject, b"y", headers=b"NATS/1.0\r\n\r\n")
    if not allowed:
        client.expect(f"-ERR 'Permissions Violation for Publish to \"{subject}\"'\r\n".encode() * 2)
    client.ping()
    assert len(hearer.read_messages_until_pong()) == (2 if allowed else 0)


@pytest.mark.parametrize(
    ("user", "subject", "queue", "allowed"),
    [
        *(("both", "s.a", "", True), ("both", "s.a", "q", True), ("both", "s.deny", "", False)),
        *(("both", "s.deny", "q", False), ("both", "s.a.deny", "", False), ("both", "s.*", "", True)),
        *(("both", "s.>", "", True), ("both", "s", "", False), ("both", "x", "", False), ("both", "x", "q", False)),
        *(("both", ">", "", False), ("both", "*", "", False), ("both", "one.*.x", "", True)),
        *(("both", "one.>", "", False), ("both", "s.t.a", "", False), ("both", "s.t.>", "", False)),
        *(("both", "s.t", "", True), ("allowed", "s.a", "", True), ("allowed", "s.*", "", True)),
        *(("allowed", "t", "", True), ("allowed", "t.a", "", False), ("allowed", "s.a.b", "", False)),
        *(("empty", "a", "", True), ("denied", "a", "", False), ("partly", "d.x", "", False)),
        *(("partly", "d", "", True), ("partly", "e.x.f", "", False), ("partly", ">", "", True)),
        *(("queues", "qq", "", False), ("queues", "qq", "g1", True), ("queues", "qq", "g2", False)),
        *(("queues", "qw", "a.dev", True), ("queues", "qw", "dev", False), ("queues", "qw", "a.prod", False)),
        *(("queues", "plain", "", True), ("queues", "plain", "any", True), ("queues", "plain", "a.no", False)),
        *(("queues", "multi", "v1", True), ("queues", "multi", "v2.1", True), ("queues", "multi", "v3", False)),
        *(("queues", "multi", "", False), ("queues", "deep.a.b", "g1", True), ("queues", "deep.x", "g1", False)),
        *(("filter", "f.a", "", True), ("filter", "f.a", "x.prod", False), ("filter", "f.a", "x.dev", True)),
        *(("filter", "g.a", "", False), ("filter", "g.a", "q", False)),
    ],
)
def test_subscribe(login: Login, user: str, subject: str, queue: str, allowed: bool) -> None:
    """Item 18: the exact texts; the connection stays; the sid stays free."""
    client = login(user)
    client.subscribe(subject, 1, queue)
    if not allowed:
        tail = f' using queue "{queue}"' if queue else ""
        client.expect_error(f'Permissions Violation for Subscription to "{subject}"{tail}')
    client.ping()


def test_deny_inside_a_wildcard_filters(login: Login) -> None:
    """Item 19."""
    hearer, client = login("both"), login("admin")
    hearer.send(b"SUB s.* 1\r\nSUB s.> 2\r\n")
    hearer.ping()
    for subject in ("s.deny", "s.ok", "s.a.deny", "s.a.ok", "s.t.a", "s.t", "s.deny.x"):
        client.publish(subject)
    client.ping()
    heard = sorted((m.sid.decode(), m.subject.decode()) for m in hearer.read_messages_until_pong())
    assert heard == [("1", "s.ok"), ("1", "s.t"), ("2", "s.a.ok"), ("2", "s.deny.x"), ("2", "s.ok"), ("2", "s.t")]


def test_deny_alone_filters_too(login: Login) -> None:
    """Item 19: without an allow list, through the full wildcard; a request then has no responders."""
    hearer, client = login("partly"), login("admin")
    hearer.subscribe(">", 1)
    hearer.ping()
    for subject in ("d.x", "d", "e.x.f", "e.x.g"):
        client.publish(subject)
    client.ping()
    assert [m.subject for m in hearer.read_messages_until_pong()] == [b"d", b"e.x.g"]


def test_deny_filters_queue_members(login: Login) -> None:
    """Items 10, 19: the member that must not hear it is passed over."""
    filtered, other, client = login("partly"), login("admin"), login("admin")
    filtered.subscribe("d.>", 1)
    filtered.expect_error('Permissions Violation for Subscription to "d.>"')
    filtered.subscribe("*.z", 2, "workers")
    other.subscribe("d.z", 1, "workers")
    filtered.ping()
    other.ping()
    client.send(b"PUB d.z 0\r\n\r\n" * 50)
    client.ping()
    filtered.ping()
    assert len(other.read_messages_until_pong()) == 50


def ask(client: WireClient, subject: str, reply: str) -> None:
    client.publish(subject, b"question", reply=reply)
    client.ping()


def test_response_once(login: Login) -> None:
    """Item 20: allow_responses: true is one message."""
    service, client = login("once"), login("admin")
    service.subscribe("svc.a", 1)
    service.ping()
    client.subscribe("answer.*", 1)
    service.publish("answer.1", b"too early")
    service.expect_error('Permissions Violation for Publish to "answer.1"')
    ask(client, "svc.a", "answer.1")
    service.expect(b"MSG svc.a 1 answer.1 8\r\nquestion\r\n")
    service.publish("answer.2", b"elsewhere")
    service.expect_error('Permissions Violation for Publish to "answer.2"')
    service.publish("answer.1", b"one")
    service.publish("answer.1", b"two")
    service.expect_error('Permissions Violation for Publish to "answer.1"')
    service.ping()
    assert [m.payload for m in client.read_messages_until_pong()] == [b"one"]
    ask(client, "svc.a", "answer.1")
    service.read_message()
    service.publish("answer.1", b"again")
    service.ping()
    assert [m.payload for m in client.read_messages_until_pong()] == [b"again"]


def test_response_maximum(login: Login) -> None:
    """Item 20: max 2, each reply subject for itself; the publish permissions go on beside."""
    service, client = login("twice"), login("admin")
    service.subscribe("svc.b", 1)
    service.ping()
    client.subscribe("answer.*", 1)
    ask(client, "svc.b", "answer.3")
    ask(client, "svc.b", "answer.4")
    service.read_message()
    service.read_message()
    service.send(b"PUB answer.3 1\r\na\r\n" * 3 + b"PUB answer.4 1\r\nb\r\n" * 2 + b"PUB own.x 0\r\n\r\n")
    service.expect_error('Permissions Violation for Publish to "answer.3"')
    service.ping()
    assert [m.payload for m in client.read_messages_until_pong()] == [b"a", b"a", b"b", b"b"]


def test_response_expires(login: Login) -> None:
    """Item 20: any number of messages, for 400 ms."""
    service, client = login("brief"), login("admin")
    service.subscribe("svc.c", 1)
    service.ping()
    start = time.monotonic()
    ask(client, "svc.c", "answer.5")
    service.read_message()
    service.publish("answer.5")
    service.ping()
    error = b""
    while not error and time.monotonic() - start < 5:
        service.publish("answer.5")
        error = service.read_until_pong()
    assert error == b"-ERR 'Permissions Violation for Publish to \"answer.5\"'\r\n"
    assert 0.35 < time.monotonic() - start < 3


def test_no_response_right_without_a_reply(login: Login) -> None:
    """Item 20: a message without reply gives none; a user without allow_responses gets none."""
    service, plain, client = login("once"), login("allowed"), login("admin")
    service.subscribe("svc.d", 1)
    plain.subscribe("t", 1)
    service.ping()
    plain.ping()
    client.publish("svc.d", b"x")
    client.publish("t", b"x", reply="answer.6")
    client.ping()
    service.read_message()
    plain.read_message()
    plain.publish("answer.6")
    plain.expect_error('Permissions Violation for Publish to "answer.6"')


def test_reply_field_is_not_checked(login: Login) -> None:
    """Section 18: publishing with a reply that one may not publish to."""
    hearer, client = login("admin"), login("both")
    hearer.subscribe("ok.reply", 1)
    hearer.ping()
    client.publish("ok.reply", b"x", reply="not.mine")
    client.ping()
    hearer.expect(b"MSG ok.reply 1 not.mine 1\r\nx\r\n")


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"SUB no..c 9\r\n", "maximum subscriptions exceeded"),
        (b"SUB no.a.b.c _sys_ 9\r\n", 'Permissions Violation for Subscription to "no.a.b.c" using queue "_sys_"'),
        (b"SUB no.a.b.c 9\r\n", 'Permissions Violation for Subscription to "no.a.b.c"'),
        (b"SUB ok.a.b.c 9\r\n", 'Permissions Violation for Subscription to "ok.a.b.c", too many tokens'),
        (b"SUB ok.a 9\r\n", "maximum subscriptions exceeded"),
        (b"SUB ok.a 1\r\n", "maximum subscriptions exceeded"),
        (b"SUB ok..a 9\r\n", "maximum subscriptions exceeded"),
    ],
)
def test_order_of_checks(shared_server: StartServer, join: Join, line: bytes, error: str) -> None:
    """Section 8: permission, reserved queue, number of tokens, number of subscriptions, the sid, last the subject."""
    config = "max_subscriptions: 1\nmax_sub_tokens: 3\n"
    config += 'authorization { users: [ {user: u, password: p, permissions: {subscribe: {deny: "no.>"}}} ] }\n'
    client = join(shared_server(config=config), user="u", **{"pass": "p"})
    client.send(b"SUB ok.first 1\r\n" + line)
    client.expect_error(error)
    client.ping()
