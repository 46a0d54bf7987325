"""What a reload does to connections (spec: client-protocol 13, configuration 11; checklist items 70, 71)."""

import pytest

from gossamer.mesh.testing.plugin import Dial, Join, StartServer
from gossamer.mesh.testing.process import ServerError, ServerProcess

ALICE = "{ user: alice, password: p }"
BOB = "{ user: bob, password: p }"


def users(*entries: str) -> str:
    return f"authorization {{ users: [ {', '.join(entries)} ] }}\n"


def alice_may(permissions: str) -> str:
    return users(f"{{ user: alice, password: p, permissions: {{ {permissions} }} }}", BOB)


def assert_refused(server: ServerProcess, dial: Dial, **fields: str) -> None:
    client = dial(server)
    client.read_info()
    client.connect(fields)
    client.expect(b"-ERR 'Authorization Violation'\r\n")
    client.expect_close()


def test_removed_user(start_server: StartServer, dial: Dial, join: Join) -> None:
    """Item 70: a plain close; the others stay."""
    server = start_server(config=users(ALICE, BOB))
    alice, bob = join(server, user="alice", **{"pass": "p"}), join(server, user="bob", **{"pass": "p"})
    server.reload(users(BOB))
    alice.expect_close()
    bob.ping()
    assert_refused(server, dial, user="alice", **{"pass": "p"})


def test_changed_password(start_server: StartServer, dial: Dial, join: Join) -> None:
    """Item 70: the connection is judged again with what it had sent."""
    server = start_server(config=users(ALICE, BOB))
    alice, bob = join(server, user="alice", **{"pass": "p"}), join(server, user="bob", **{"pass": "p"})
    server.reload(users("{ user: alice, password: new }", BOB))
    alice.expect(b"-ERR 'Authorization Violation'\r\n")
    alice.expect_close()
    bob.ping()
    assert_refused(server, dial, user="alice", **{"pass": "p"})
    join(server, user="alice", **{"pass": "new"})


def test_user_moves_to_another_account(start_server: StartServer, join: Join) -> None:
    """Item 70: a plain close."""
    server = start_server(config=f"accounts {{ A {{ users: [ {ALICE} ] }}, B {{ users: [ {BOB} ] }} }}\n")
    alice, bob = join(server, user="alice", **{"pass": "p"}), join(server, user="bob", **{"pass": "p"})
    server.reload(f"accounts {{ A {{ users: [] }}, B {{ users: [ {ALICE}, {BOB} ] }} }}\n")
    alice.expect_close()
    bob.ping()


def test_authentication_added(start_server: StartServer, dial: Dial, join: Join) -> None:
    """Item 70: an open server gets users: all are judged by what they had sent; an unknown user is closed plainly."""
    server = start_server(config="max_payload: 1000\n")
    nobody, right = join(server), join(server, user="alice", **{"pass": "p"})
    wrong, unknown = join(server, user="alice", **{"pass": "x"}), join(server, user="carol", **{"pass": "x"})
    server.reload(users(ALICE))
    for client in (nobody, wrong):
        client.expect(b"-ERR 'Authorization Violation'\r\n")
        client.expect_close()
    unknown.expect_close()
    right.ping()
    assert dial(server).read_info()["auth_required"] is True
    assert_refused(server, dial)


def test_authentication_removed(start_server: StartServer, join: Join) -> None:
    """Item 70: those who sent a user are closed plainly."""
    server = start_server(config=users(ALICE))
    alice = join(server, user="alice", **{"pass": "p"})
    server.reload("max_payload: 1000\n")
    alice.expect_close()
    join(server)


def test_changed_token(start_server: StartServer, dial: Dial, join: Join) -> None:
    """Item 70."""
    server = start_server(config="authorization { token: one }\n")
    client = join(server, auth_token="one")
    server.reload("authorization { token: two }\n")
    client.expect(b"-ERR 'Authorization Violation'\r\n")
    client.expect_close()
    assert_refused(server, dial, auth_token="one")
    join(server, auth_token="two")


def test_subscription_permission_removed(start_server: StartServer, join: Join) -> None:
    """Item 71: the texts with the sid; the subscription is gone, others stay, so does the connection."""
    server = start_server(config=users(ALICE, BOB))
    alice, bob = join(server, user="alice", **{"pass": "p"}), join(server, user="bob", **{"pass": "p"})
    alice.send(b"SUB reload.a s7\r\nSUB reload.b q 8\r\nSUB reload.c 9\r\n")
    alice.ping()
    server.reload(alice_may('subscribe: { deny: ["reload.a", "reload.b"] }'))
    errors = sorted([alice.expect_line(), alice.expect_line()])
    assert errors == [
        b'-ERR \'Permissions Violation for Subscription to "reload.a" (sid "s7")\'',
        b'-ERR \'Permissions Violation for Subscription to "reload.b" using queue "q" (sid "8")\'',
    ]
    bob.send(b"PUB reload.a 0\r\n\r\nPUB reload.b 0\r\n\r\nPUB reload.c 0\r\n\r\n")
    bob.ping()
    alice.expect(b"MSG reload.c 9 0\r\n\r\n")
    alice.send(b"SUB reload.a s7\r\n")
    alice.expect_error('Permissions Violation for Subscription to "reload.a"')
    alice.ping()


def test_publish_permission_removed_and_given_back(start_server: StartServer, join: Join) -> None:
    """Item 71: the new rules hold at once, for a subject that had been published to before."""
    server = start_server(config=users(ALICE, BOB))
    alice = join(server, user="alice", **{"pass": "p"})
    alice.send(b"SUB reload.d 1\r\nPUB reload.d 0\r\n\r\n")
    alice.expect(b"MSG reload.d 1 0\r\n\r\n")
    server.reload(alice_may('publish: { allow: "other.>" }'))
    alice.publish("reload.d")
    alice.expect_error('Permissions Violation for Publish to "reload.d"')
    server.reload(users(ALICE, BOB))
    alice.publish("reload.d")
    alice.expect(b"MSG reload.d 1 0\r\n\r\n")


def test_deny_filter_added(start_server: StartServer, join: Join) -> None:
    """Items 19, 71: a wildcard subscription that is wider than the new deny stays and is filtered."""
    server = start_server(config=users(ALICE, BOB))
    alice, bob = join(server, user="alice", **{"pass": "p"}), join(server, user="bob", **{"pass": "p"})
    alice.subscribe("reload.*", 1)
    alice.ping()
    bob.send(b"PUB reload.e 0\r\n\r\n")
    alice.expect(b"MSG reload.e 1 0\r\n\r\n")
    server.reload(alice_may('subscribe: { deny: "reload.e" }'))
    bob.send(b"PUB reload.e 0\r\n\r\nPUB reload.f 0\r\n\r\n")
    bob.ping()
    alice.expect(b"MSG reload.f 1 0\r\n\r\n")
    alice.ping()


def test_max_payload(start_server: StartServer, dial: Dial, join: Join) -> None:
    """Section 4.3: enforced at once, without a new INFO; new connections are told."""
    server = start_server(config="max_payload: 1000\n")
    client = join(server, protocol=1)
    server.reload("max_payload: 500\n")
    client.ping()
    client.publish("reload.g", b"x" * 500)
    client.ping()
    client.send(b"PUB reload.g 501\r\n")
    client.expect(b"-ERR 'Maximum Payload Violation'\r\n")
    client.expect_close()
    assert dial(server).read_info()["max_payload"] == 500


def test_max_connections_lowered(start_server: StartServer, join: Join) -> None:
    """Configuration 11: the surplus is told and closed."""
    server = start_server(config="max_connections: 10\n")
    clients = [join(server) for _ in range(4)]
    server.reload("max_connections: 1\n")
    stayed = 0
    for client in clients:
        client.send(b"PING\r\n")
        line = client.expect_line()
        if line == b"PONG":
            stayed += 1
        else:
            assert line == b"-ERR 'maximum connections exceeded'"
    assert stayed == 1


def test_failed_reload_changes_nothing(start_server: StartServer, dial: Dial, join: Join) -> None:
    """Configuration 10: a parse error, or one option that cannot be reloaded, and all stays as it was."""
    server = start_server(config=users(ALICE))
    alice = join(server, user="alice", **{"pass": "p"})
    with pytest.raises(ServerError, match="Failed to reload server configuration"):
        server.reload(users(BOB) + "authorization {{{\n")
    with pytest.raises(ServerError, match="config reload not supported for ServerName"):
        server.reload(users(BOB) + "server_name: other\n")
    alice.ping()
    assert_refused(server, dial, user="bob", **{"pass": "p"})
    join(server, user="alice", **{"pass": "p"})
