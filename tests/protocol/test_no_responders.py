"""Requests that nobody can answer (spec: client-protocol section 12; checklist items 8, 12)."""

import pytest

from gossamer.mesh.testing.plugin import Join
from gossamer.mesh.testing.process import ServerProcess
from gossamer.mesh.testing.wire import WireClient


def no_responders(reply: str, sid: str, subject: str) -> bytes:
    """The status message, byte by byte."""
    size = 32 + len(subject.encode())
    return f"HMSG {reply} {sid} {size} {size}\r\nNATS/1.0 503\r\nNats-Subject: {subject}\r\n\r\n\r\n".encode()


@pytest.fixture
def requester(server: ServerProcess, join: Join) -> WireClient:
    return join(server, headers=True, no_responders=True)


@pytest.mark.parametrize(
    "subject", ["nobody.svc", "nobody", "nobody." + "x" * 200, "nobody.ä", "nobody..x", "nobody.*"]
)
def test_exact_bytes(requester: WireClient, subject: str) -> None:
    """Item 8."""
    requester.subscribe("nobody.inbox.*", "i7")
    requester.publish(subject, b"question", reply="nobody.inbox.1")
    requester.expect(no_responders("nobody.inbox.1", "i7", subject))
    requester.ping()


def test_for_a_request_with_headers(requester: WireClient) -> None:
    """Item 8: HPUB too."""
    requester.subscribe("nobody.inbox.2", 1)
    requester.publish("nobody.svc", b"question", reply="nobody.inbox.2", headers=b"NATS/1.0\r\nA: b\r\n\r\n")
    requester.expect(no_responders("nobody.inbox.2", "1", "nobody.svc"))


def test_not_without_a_reply(requester: WireClient) -> None:
    """Item 8."""
    requester.subscribe("nobody.inbox.3", 1)
    requester.publish("nobody.svc", b"x")
    requester.ping()


def test_not_without_an_own_subscription_on_the_reply(server: ServerProcess, join: Join, requester: WireClient) -> None:
    """Item 8: a subscription of another connection does not count, and hears nothing."""
    other = join(server, headers=True, no_responders=True)
    other.subscribe("nobody.inbox.4", 1)
    other.ping()
    requester.publish("nobody.svc", b"x", reply="nobody.inbox.4")
    requester.ping()
    other.ping()


def test_not_for_a_queue_subscription_on_the_reply(requester: WireClient) -> None:
    """Item 8."""
    requester.subscribe("nobody.inbox.5", 1, "q")
    requester.publish("nobody.svc", b"x", reply="nobody.inbox.5")
    requester.ping()


@pytest.mark.parametrize("fields", [{"headers": True}, {}])
def test_not_without_asking_for_it(server: ServerProcess, join: Join, fields: dict[str, bool]) -> None:
    """Item 8."""
    client = join(server, **fields)
    client.subscribe("nobody.inbox.6", 1)
    client.publish("nobody.svc", b"x", reply="nobody.inbox.6")
    client.ping()


def test_not_when_somebody_hears_it(server: ServerProcess, join: Join, requester: WireClient) -> None:
    """Item 8: plain or queue subscriber, and on itself."""
    other = join(server)
    requester.subscribe("nobody.inbox.7", 1)
    for queue in ("", "q"):
        other.subscribe("somebody.svc", 1, queue)
        other.ping()
        requester.publish("somebody.svc", b"x", reply="nobody.inbox.7")
        requester.ping()
        other.expect(b"MSG somebody.svc 1 nobody.inbox.7 1\r\nx\r\n")
        other.send(b"UNSUB 1\r\n")
        other.ping()
    requester.publish("somebody.svc", b"x", reply="nobody.inbox.7")
    requester.expect(no_responders("nobody.inbox.7", "1", "somebody.svc"))
    requester.subscribe("somebody.svc", 2)
    requester.publish("somebody.svc", b"x", reply="nobody.inbox.7")
    requester.expect(b"MSG somebody.svc 2 nobody.inbox.7 1\r\nx\r\n")
    requester.ping()


def test_request_to_oneself_without_echo(server: ServerProcess, join: Join) -> None:
    """Item 12: it counts as not delivered."""
    client = join(server, echo=False, headers=True, no_responders=True)
    client.send(b"SUB nobody.self 1\r\nSUB nobody.self q 2\r\nSUB nobody.inbox.8 3\r\n")
    client.publish("nobody.self", b"x", reply="nobody.inbox.8")
    client.expect(no_responders("nobody.inbox.8", "3", "nobody.self"))
    client.ping()


def test_does_not_count_against_an_unsub_maximum(requester: WireClient) -> None:
    """Items 8, 13: the status message is no delivery of the subscription."""
    requester.send(b"SUB nobody.inbox.9 1\r\nUNSUB 1 1\r\n")
    for _ in range(2):
        requester.publish("nobody.svc", reply="nobody.inbox.9")
        requester.expect(no_responders("nobody.inbox.9", "1", "nobody.svc"))
    requester.publish("nobody.inbox.9", b"answer")
    requester.expect(b"MSG nobody.inbox.9 1 6\r\nanswer\r\n")
    requester.publish("nobody.inbox.9", b"late")
    requester.ping()


def test_order_among_other_answers(requester: WireClient) -> None:
    """Item 8: in its place between what came before and after."""
    requester.send(b"SUB nobody.inbox.10 1\r\nSUB nobody.own 2\r\n")
    requester.send(
        b"PUB nobody.own 1\r\na\r\nPUB nobody.svc nobody.inbox.10 0\r\n\r\nPUB nobody.own 1\r\nb\r\nPING\r\n"
    )
    requester.expect(
        b"MSG nobody.own 2 1\r\na\r\n",
        no_responders("nobody.inbox.10", "1", "nobody.svc"),
        b"MSG nobody.own 2 1\r\nb\r\nPONG\r\n",
    )
