"""Subjects, wildcards and reserved names (spec: client-protocol section 7; checklist items 9, 23, 24, 36, 69)."""

import pytest

from gossamer.mesh.testing.plugin import Join, StartServer
from gossamer.mesh.testing.process import ServerProcess


@pytest.mark.parametrize(
    ("pattern", "subject", "matches"),
    [
        ("w1.a", "w1.a", True),
        ("w1.a", "w1.A", False),
        ("w1.a", "w1.a.b", False),
        ("w1.a.b", "w1.a", False),
        ("w1.*", "w1.a", True),
        ("w1.*", "w1", False),
        ("w1.*", "w1.a.b", False),
        ("w1.*.c", "w1.b.c", True),
        ("w1.*.c", "w1.b.d", False),
        ("*.w1", "a.w1", True),
        ("*.w1", "w1", False),
        ("*.*.w1", "a.b.w1", True),
        ("w1.>", "w1.a", True),
        ("w1.>", "w1.a.b.c.d.e.f.g.h.i.j", True),
        ("w1.>", "w1", False),
        ("w1.*.>", "w1.a.b", True),
        ("w1.*.>", "w1.a", False),
        ("w1.*.*", "w1.a.b", True),
        ("w1foo*bar", "w1foo*bar", True),
        ("w1foo*bar", "w1fooxbar", False),
        ("w1.a>", "w1.a>", True),
        ("w1.a>", "w1.ab", False),
        ("w1.**", "w1.**", True),
        ("w1.**", "w1.a", False),
        ("w1.>>", "w1.>>", True),
        ("w1.>>", "w1.a", False),
        ("w1.\xe4.\u65e5", "w1.\xe4.\u65e5", True),
        ("w1.*.\u65e5", "w1.\xe4.\u65e5", True),
        ("$SYS.w1", "$SYS.w1", True),
        ("$JS.w1.>", "$JS.w1.a", True),
        ("_R_.w1", "_R_.w1", True),
        # Wildcards in a published subject are literal tokens, matched token by token.
        ("w1.>", "w1.*.c", True),
        ("w1.*.c", "w1.*.c", True),
        ("w1.*.*", "w1.*.c", True),
        ("w1.b.c", "w1.*.c", False),
        ("w1.b", "w1.>", False),
        ("w1.*", "w1.>", True),
        ("w1.>", "w1.>", True),
        ("w1.a.b", "w1.>", False),
        # A published subject with an empty token matches nothing.
        ("w1.>", "w1..c", False),
        ("w1.*.c", "w1..c", False),
        ("w1.>", "w1.", False),
        ("w1.*", "w1.", False),
        ("w1.>", "w1.a.", False),
        ("*.w1", ".w1", False),
        ("*.w1.>", ".w1.a", False),
    ],
)
def test_match(server: ServerProcess, join: Join, pattern: str, subject: str, matches: bool) -> None:
    """Item 9."""
    client, other = join(server), join(server)
    other.subscribe(pattern, 1)
    other.ping()
    client.subscribe(pattern, 1)
    client.publish(subject, b"x")
    expected = b"MSG %b 1 1\r\nx\r\n" % subject.encode() if matches else b""
    client.expect(expected)
    client.ping()
    other.expect(expected)
    other.ping()


def test_full_wildcard_gets_everything(start_server: StartServer, join: Join) -> None:
    """Item 9: also subjects that nobody named before, and from system-like prefixes; not those with empty tokens."""
    server = start_server()
    client = join(server)
    client.subscribe(">", 1)
    subjects = ["a", "a.b", "$SYS.x", "$JS.API.y", "_INBOX.1", "*", ">", "a.*", "\xe4"]
    for subject in [*subjects, "a..b", ".", "a.", ".a"]:
        client.publish(subject)
    assert [message.subject.decode() for message in client.read_messages_until_pong()] == subjects


@pytest.mark.parametrize("subject", ["foo..bar", "foo.", ".foo", "foo.>.x", ".", "..", ">.a", "a.>.>", "a..>"])
def test_invalid_subscription_subject(server: ServerProcess, join: Join, subject: str) -> None:
    """Item 23: the connection goes on, the subscription does not exist, its sid is free."""
    client = join(server)
    client.subscribe(subject, 1)
    client.expect_error("Invalid Subject")
    client.send(b"SUB invalid.next 1\r\nPUB invalid.next 0\r\n\r\n")
    client.expect(b"MSG invalid.next 1 0\r\n\r\n")
    client.ping()


@pytest.mark.parametrize(
    "subject", ["a..c", "a.", ".a", "*", "pedantic.*", "pedantic.*.c", "pedantic.>", ">", "a.>.b", "."]
)
def test_pedantic_publish(server: ServerProcess, join: Join, subject: str) -> None:
    """Item 24: an error, and the message is processed all the same."""
    client = join(server, pedantic=True)
    client.send(b"SUB pedantic.> 1\r\n")
    client.publish(subject, b"x")
    client.expect_error("Invalid Publish Subject")
    if subject.startswith("pedantic."):
        client.expect(b"MSG %b 1 1\r\nx\r\n" % subject.encode())
    client.ping()


@pytest.mark.parametrize("subject", ["pedantic.a", "pedantic.a*b", "pedantic.>a", "pedantic.**", "$SYS.a", "a\x01b"])
def test_pedantic_publish_of_a_literal(server: ServerProcess, join: Join, subject: str) -> None:
    """Item 24: a token that merely contains a wildcard character is literal."""
    client = join(server, pedantic=True)
    client.publish(subject, b"x")
    client.ping()


def test_not_pedantic_publishes_anything(server: ServerProcess, join: Join) -> None:
    """Section 7."""
    client = join(server)
    for subject in ["a..c", ".", "*", ">", "a.>.b"]:
        client.publish(subject, b"x")
    client.ping()


@pytest.mark.parametrize("subject", ["_GR_.x", "_GR_.a.b", "$GR.x", "$NRG.x", "$NRG.a.b"])
def test_reserved_publish_prefix(server: ServerProcess, join: Join, subject: str) -> None:
    """Item 69."""
    client = join(server)
    client.subscribe(subject, 1)
    client.publish(subject, b"x")
    client.expect_error(f'Permissions Violation for Publish to "{subject}"')
    client.ping()


@pytest.mark.parametrize("subject", ["_R_.x", "$JS.ACK.x", "_GR_", "$NRG", "_GRX_.a", "$SYS.x", "$JS.API.x"])
def test_prefix_that_is_not_reserved_for_publish(server: ServerProcess, join: Join, subject: str) -> None:
    """Item 69."""
    client = join(server)
    client.subscribe(subject, 1)
    client.publish(subject, b"x")
    client.expect(b"MSG %b 1 1\r\nx\r\n" % subject.encode())


@pytest.mark.parametrize("reply", ["_R_.x", "_R_.", "$JS.ACK.x", "$JS.ACK.a.b.c", "_GR_.x", "$GR.x"])
def test_reserved_reply(server: ServerProcess, join: Join, reply: str) -> None:
    """Item 69."""
    client = join(server)
    client.subscribe("reserved.a", 1)
    client.publish("reserved.a", b"x", reply=reply)
    client.expect_error(f'Permissions Violation for Publish with Reply of "{reply}"')
    client.ping()


@pytest.mark.parametrize("reply", ["_R_", "$JS.ACK", "_GR_", "_INBOX.x", "$NRG.x", "a._R_.x", "$JS.API.x", "_r_.x"])
def test_reply_that_is_not_reserved(server: ServerProcess, join: Join, reply: str) -> None:
    """Item 69."""
    client = join(server)
    client.subscribe("reserved.b", 1)
    client.publish("reserved.b", b"x", reply=reply)
    client.expect(b"MSG reserved.b 1 %b 1\r\nx\r\n" % reply.encode())


def test_reserved_queue_name(server: ServerProcess, join: Join) -> None:
    """Item 69."""
    client = join(server)
    client.subscribe("reserved.q", 1, "_sys_")
    client.expect_error('Permissions Violation for Subscription to "reserved.q" using queue "_sys_"')
    client.publish("reserved.q")
    client.ping()


def test_quoting_in_errors(server: ServerProcess, join: Join) -> None:
    """Section 7: quotes, backslashes and what cannot be printed are escaped in the text."""
    client = join(server)
    client.send(b'PUB _GR_."a\\b\x01\x7f 0\r\n\r\n')
    client.expect(b'-ERR \'Permissions Violation for Publish to "_GR_.\\"a\\\\b\\x01\\x7f"\'\r\n')
    client.send("PUB _GR_.ä日 0\r\n\r\n".encode())
    client.expect("-ERR 'Permissions Violation for Publish to \"_GR_.ä日\"'\r\n".encode())
    client.send(b"PUB _GR_.\xff 0\r\n\r\n")
    client.expect(b"-ERR 'Permissions Violation for Publish to \"_GR_.\\xff\"'\r\n")
    client.ping()


def test_max_subscription_tokens(shared_server: StartServer, join: Join) -> None:
    """Item 36."""
    client = join(shared_server(config="max_sub_tokens: 3\n"))
    client.send(b"SUB a.b.c 1\r\nSUB a.b.c.d 2\r\nSUB a.b.> 3\r\nSUB *.*.*.> q 4\r\n")
    client.expect_error('Permissions Violation for Subscription to "a.b.c.d", too many tokens')
    client.expect_error('Permissions Violation for Subscription to "*.*.*.>", too many tokens')
    client.publish("a.b.c.d.e", b"x")
    client.expect(b"MSG a.b.c.d.e 3 1\r\nx\r\n")
    client.ping()
