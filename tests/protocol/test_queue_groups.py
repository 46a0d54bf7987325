"""Queue groups on one server (spec: client-protocol section 11; checklist item 10)."""

from collections import Counter

from gossamer.mesh.testing.plugin import Join
from gossamer.mesh.testing.process import ServerProcess
from gossamer.mesh.testing.wire import receive_all


def test_one_member_per_message_and_uniform(server: ServerProcess, join: Join) -> None:
    """Item 10: 3,000 messages, three members on three connections; each share within 5 standard deviations."""
    client, plain = join(server), join(server)
    members = [join(server) for _ in range(3)]
    plain.subscribe("queue.a", 1)
    plain.ping()
    for member in members:
        member.subscribe("queue.a", 1, "workers")
        member.ping()
    client.send(b"".join(b"PUB queue.a 4\r\n%04d\r\n" % number for number in range(3000)))
    client.ping()
    shares = receive_all(members)
    everything = sorted(int(message.payload) for share in shares for message in share)
    assert everything == list(range(3000))
    assert all(871 < len(share) < 1129 for share in shares), [len(share) for share in shares]
    assert [int(message.payload) for message in plain.read_messages_until_pong()] == list(range(3000))


def test_members_on_one_connection(server: ServerProcess, join: Join) -> None:
    """Item 10: each subscription is a member."""
    client = join(server)
    client.send(b"SUB queue.b g 1\r\nSUB queue.b g 2\r\n")
    client.send(b"PUB queue.b 0\r\n\r\n" * 1000)
    shares = Counter(message.sid for message in client.read_messages_until_pong())
    assert sum(shares.values()) == 1000
    assert min(shares[b"1"], shares[b"2"]) > 420


def test_every_group_gets_a_copy(server: ServerProcess, join: Join) -> None:
    """Item 10: different queue names."""
    client = join(server)
    client.send(b"SUB queue.c g1 1\r\nSUB queue.c g1 2\r\nSUB queue.c g2 3\r\nSUB queue.c 4\r\nSUB queue.* g3 5\r\n")
    client.publish("queue.c")
    sids = [message.sid for message in client.read_messages_until_pong()]
    assert len(sids) == 4
    assert sids[0] == b"4", "plain copies precede queue copies"
    assert set(sids) >= {b"3", b"4", b"5"}


def test_same_name_on_overlapping_subjects_is_one_group(server: ServerProcess, join: Join) -> None:
    """Section 11: one delivery, and both members get their share."""
    client = join(server)
    client.send(b"SUB queue.d.e g 1\r\nSUB queue.d.* g 2\r\nSUB queue.> g 3\r\n")
    client.send(b"PUB queue.d.e 0\r\n\r\n" * 900)
    shares = Counter(message.sid for message in client.read_messages_until_pong())
    assert sum(shares.values()) == 900
    assert min(shares.values()) > 200
    assert len(shares) == 3


def test_a_member_that_refuses_is_passed_over(server: ServerProcess, join: Join) -> None:
    """Section 11: the publisher itself with echo off."""
    client, other = join(server, echo=False), join(server)
    client.subscribe("queue.f", 1, "g")
    other.subscribe("queue.f", 1, "g")
    other.ping()
    client.send(b"PUB queue.f 0\r\n\r\n" * 100)
    client.ping()
    assert len(other.read_messages_until_pong()) == 100


def test_members_count_their_own_maximum(server: ServerProcess, join: Join) -> None:
    """Section 11: UNSUB with a maximum; the group as a whole receives the sum."""
    client = join(server)
    client.send(b"SUB queue.h g 1\r\nUNSUB 1 5\r\nSUB queue.h g 2\r\nUNSUB 2 10\r\n")
    client.send(b"PUB queue.h 0\r\n\r\n" * 100)
    shares = Counter(message.sid for message in client.read_messages_until_pong())
    assert shares == {b"1": 5, b"2": 10}


def test_members_come_and_go(server: ServerProcess, join: Join) -> None:
    """Item 10: no message is lost or doubled while the group changes."""
    client = join(server)
    client.subscribe("queue.i", "stays", "g")
    for number in range(200):
        client.send(b"SUB queue.i g %d\r\nPUB queue.i 4\r\n%04d\r\nUNSUB %d\r\n" % (number, number, number))
    received = client.read_messages_until_pong()
    assert [int(message.payload) for message in received] == list(range(200))


def test_queue_name_is_any_token(server: ServerProcess, join: Join) -> None:
    """Section 7."""
    client = join(server)
    for number, queue in enumerate(["a.b", "*", ">", "ä", "_sys", "..", "9"]):
        client.subscribe(f"queue.j{number}", number, queue)
        client.publish(f"queue.j{number}")
        client.expect(b"MSG queue.j%d %d 0\r\n\r\n" % (number, number))
