"""What a subscriber is sent (spec: client-protocol sections 8-10; checklist items 5-7, 12, 13, 37, 65, 68)."""

import os

import pytest

from gossamer.mesh.testing.plugin import Dial, Join, StartServer
from gossamer.mesh.testing.process import ServerProcess

HEADERS = b"NATS/1.0\r\nA: b\r\n\r\n"


@pytest.mark.parametrize(
    "payload",
    [
        *(
            b"",
            b"x",
            b"\r\n",
            b"\r\nPING\r\n",
            b"\0\1\2\xff" * 100,
            b"a\r\nMSG b 1 1\r\nc\r\n",
            bytes(range(256)) * 300,
        ),
        *(b"y" * 65_535, b"z" * 1_048_576),
    ],
    ids=["none", "one", "CR LF", "a verb", "binary", "a message", "76 KiB", "64 KiB - 1", "max_payload"],
)
def test_payload_arrives_unchanged(server: ServerProcess, join: Join, payload: bytes) -> None:
    """Item 5: to the publisher itself and to another connection."""
    one, other = join(server), join(server)
    one.subscribe("payload.same", 1)
    other.subscribe("payload.same", "other")
    other.ping()
    one.publish("payload.same", payload)
    one.expect(b"MSG payload.same 1 %d\r\n" % len(payload), payload, b"\r\n")
    other.expect(b"MSG payload.same other %d\r\n" % len(payload), payload, b"\r\n")
    one.ping()
    other.ping()


def test_random_payloads_of_all_sizes(server: ServerProcess, join: Join) -> None:
    """Item 5: pipelined, so that messages meet buffer ends at many places."""
    client, hearer = join(server), join(server)
    hearer.subscribe("payload.sizes", 1)
    hearer.ping()
    source = os.urandom(20_000)
    payloads = [source[:size] for size in [*range(0, 300), *range(300, 20_000, 777)]]
    client.send(b"".join(b"PUB payload.sizes %d\r\n%b\r\n" % (len(payload), payload) for payload in payloads))
    for payload in payloads:
        hearer.expect(b"MSG payload.sizes 1 %d\r\n" % len(payload), payload, b"\r\n")


def test_reply_subject(server: ServerProcess, join: Join) -> None:
    """Item 6."""
    client = join(server)
    client.send(
        b"SUB reply.a s1\r\nPUB reply.a an.inbox.1 2\r\nhi\r\nPUB reply.a 2\r\nhi\r\nPUB reply.a >.*.. 0\r\n\r\n"
    )
    client.expect(b"MSG reply.a s1 an.inbox.1 2\r\nhi\r\nMSG reply.a s1 2\r\nhi\r\nMSG reply.a s1 >.*.. 0\r\n\r\n")


def test_headers_to_mixed_subscribers(server: ServerProcess, join: Join) -> None:
    """Item 7."""
    client, plain = join(server, headers=True), join(server)
    client.subscribe("headers.mixed", 11)
    plain.subscribe("headers.mixed", 1)
    plain.ping()
    client.send(
        b"HPUB headers.mixed rep 18 20\r\n" + HEADERS + b"hi\r\nHPUB headers.mixed 18 18\r\n" + HEADERS + b"\r\n"
    )
    client.expect(b"HMSG headers.mixed 11 rep 18 20\r\n", HEADERS, b"hi\r\n")
    client.expect(b"HMSG headers.mixed 11 18 18\r\n", HEADERS, b"\r\n")
    plain.expect(b"MSG headers.mixed 1 rep 2\r\nhi\r\nMSG headers.mixed 1 0\r\n\r\n")
    plain.ping()


def test_hpub_without_header_bytes_arrives_as_msg(server: ServerProcess, join: Join) -> None:
    """Section 9: hdr_len 0."""
    client = join(server, headers=True)
    client.send(b"SUB headers.none 1\r\nHPUB headers.none 0 2\r\nhi\r\n")
    client.expect(b"MSG headers.none 1 2\r\nhi\r\n")


@pytest.mark.parametrize(
    "block",
    [
        *(
            b"NATS/1.0\r\nnO-cAsE: kept\r\nA:no blank\r\nA:   three\r\n\r\n",
            b"HTTP/9.9 nonsense\r\n\r\n",
            b"NATS/1.0\r\n",
        ),
        *(b"no end", b"\r\n", b"\0\xff\xfe", b"NATS/1.0 404 No Messages\r\n\r\n", b"NATS/1.0\r\nA\r\n: b\r\n\r\nrest"),
    ],
)
def test_malformed_headers_pass_through(server: ServerProcess, join: Join, block: bytes) -> None:
    """Item 65."""
    client, plain = join(server, headers=True), join(server)
    client.subscribe("headers.odd", 1)
    plain.subscribe("headers.odd", 1)
    plain.ping()
    client.publish("headers.odd", b"body", headers=block)
    client.expect(b"HMSG headers.odd 1 %d %d\r\n" % (len(block), len(block) + 4), block, b"body\r\n")
    plain.expect(b"MSG headers.odd 1 4\r\nbody\r\n")


def test_server_without_header_support(shared_server: StartServer, dial: Dial) -> None:
    """Item 68."""
    server = shared_server(config="no_header_support: true\n")
    client = dial(server)
    assert client.read_info()["headers"] is False
    client.connect(headers=True)
    client.ping()
    client.send(b"HPUB a 12 12\r\nNATS/1.0\r\n\r\n\r\n")
    client.expect_close()
    client = dial(server)
    client.read_info()
    client.connect(headers=True, no_responders=True)
    client.expect_error("no responders requires headers support")
    client.expect_close()


def test_every_matching_subscription_gets_a_copy(server: ServerProcess, join: Join) -> None:
    """Section 9: overlapping subscriptions of one client, one copy for each sid."""
    client = join(server)
    client.send(b"SUB copies.a 1\r\nSUB copies.* 2\r\nSUB copies.> 3\r\nSUB copies.a 4\r\nSUB copies.b 5\r\n")
    client.publish("copies.a", b"x")
    assert sorted(message.sid for message in client.read_messages_until_pong()) == [b"1", b"2", b"3", b"4"]


def test_order_per_subscription(server: ServerProcess, join: Join) -> None:
    """Section 9."""
    client, hearer = join(server), join(server)
    hearer.send(b"SUB order.* 1\r\nSUB order.a 2\r\n")
    hearer.ping()
    client.send(
        b"".join(b"PUB order.%b 5\r\n%05d\r\n" % (b"ab"[n % 2 : n % 2 + 1], n) for n in range(3000)) + b"PING\r\n"
    )
    client.expect(b"PONG\r\n")
    messages = hearer.read_messages_until_pong()
    assert [int(message.payload) for message in messages if message.sid == b"1"] == list(range(3000))
    assert [int(message.payload) for message in messages if message.sid == b"2"] == list(range(0, 3000, 2))


def test_own_deliveries_come_before_the_pong(server: ServerProcess, join: Join) -> None:
    """Section 9."""
    client = join(server)
    client.send(b"SUB before.pong 1\r\n" + b"PUB before.pong 1\r\nx\r\nPING\r\n" * 50)
    client.expect(b"MSG before.pong 1 1\r\nx\r\nPONG\r\n" * 50)


def test_no_echo(server: ServerProcess, join: Join) -> None:
    """Item 12."""
    client, other = join(server, echo=False), join(server)
    client.send(b"SUB echo.a 1\r\nSUB echo.* 2\r\n")
    other.subscribe("echo.a", 1)
    other.ping()
    client.publish("echo.a", b"x")
    client.ping()
    other.expect(b"MSG echo.a 1 1\r\nx\r\n")
    other.publish("echo.a", b"y")
    other.expect(b"MSG echo.a 1 1\r\ny\r\n")
    assert len(client.read_messages_until_pong()) == 2


@pytest.mark.parametrize("sid", ["1", "0", "abc", "-7", "ä", "a.b.>", "'quoted'", "9" * 40, "007"])
def test_sid_is_any_token(server: ServerProcess, join: Join, sid: str) -> None:
    """Section 8."""
    client = join(server)
    client.subscribe("sid.any", sid)
    client.publish("sid.any")
    client.expect(b"MSG sid.any %b 0\r\n\r\n" % sid.encode())
    client.send(b"UNSUB %b\r\nPUB sid.any 0\r\n\r\n" % sid.encode())
    client.ping()


def test_duplicate_sid_is_ignored(server: ServerProcess, join: Join) -> None:
    """Item 37: the old subscription stays, also if the subject differs."""
    client = join(server)
    client.send(b"SUB twice.a 1\r\nSUB twice.b 1\r\nSUB twice.a 1\r\nSUB twice.a q 1\r\n")
    client.send(b"PUB twice.a 0\r\n\r\nPUB twice.b 0\r\n\r\n")
    client.expect(b"MSG twice.a 1 0\r\n\r\n")
    client.ping()
    client.send(b"UNSUB 1\r\nSUB twice.b 1\r\nPUB twice.a 0\r\n\r\nPUB twice.b 0\r\n\r\n")
    client.expect(b"MSG twice.b 1 0\r\n\r\n")
    client.ping()


@pytest.mark.parametrize(
    ("script", "delivered"),
    [
        pytest.param(["S", "U", "P"], 0, id="at once"),
        pytest.param(["S", "P", "U", "P"], 1, id="after one"),
        pytest.param(["S", "U 2", "P", "P", "P", "P"], 2, id="two"),
        pytest.param(["S", "P", "U 3", "P", "P", "P"], 3, id="counted since SUB"),
        pytest.param(["S", "P", "P", "U 2", "P"], 2, id="n equals delivered"),
        pytest.param(["S", "P", "P", "P", "U 2", "P"], 3, id="n below delivered"),
        pytest.param(["S", "U 0", "P"], 0, id="zero"),
        pytest.param(["S", "U -1", "P"], 0, id="negative"),
        pytest.param(["S", "U x", "P"], 0, id="not a number"),
        pytest.param(["S", "U 5", "U", "P"], 0, id="plain UNSUB cancels a maximum"),
        pytest.param(["S", "U 1", "U 3", "P", "P", "P", "P"], 3, id="raised"),
        pytest.param(["S", "U 5", "P", "U 2", "P", "P"], 2, id="lowered"),
        pytest.param(["S", "U 1", "P", "P", "S", "P", "P"], 3, id="sid is free afterwards"),
        pytest.param(["U", "U 3", "S", "P"], 1, id="unknown sid"),
        pytest.param(["S", "U 2", "S", "P", "P", "P"], 2, id="duplicate SUB keeps the maximum"),
        pytest.param(["S", "U 999999999", "P", "P"], 2, id="nine digits"),
        pytest.param(["S", "U 1000000000", "P", "P"], 0, id="ten digits are not a number"),
    ],
)
def test_unsub(server: ServerProcess, join: Join, script: list[str], delivered: int) -> None:
    """Item 13."""
    client = join(server)
    steps = {"S": "SUB unsub.a 1\r\n", "P": "PUB unsub.a 1\r\nx\r\n", "U": "UNSUB 1{0}\r\n"}
    client.send("".join(steps[step[0]].format(step[1:]) for step in script).encode())
    client.expect(b"MSG unsub.a 1 1\r\nx\r\n" * delivered)
    client.ping()


def test_unsub_max_counts_messages_of_others(server: ServerProcess, join: Join) -> None:
    """Item 13: on another connection, each subscription for itself."""
    client, hearer = join(server), join(server)
    hearer.send(b"SUB unsub.b 1\r\nSUB unsub.b 2\r\nUNSUB 1 1\r\nUNSUB 2 3\r\n")
    hearer.ping()
    client.send(b"PUB unsub.b 1\r\nx\r\n" * 6)
    client.ping()
    assert sorted(message.sid for message in hearer.read_messages_until_pong()) == [b"1", b"2", b"2", b"2"]


def test_drain_as_clients_do_it(server: ServerProcess, join: Join) -> None:
    """Section 19: UNSUB, PING; what was sent before comes before the PONG, nothing after."""
    client, hearer = join(server), join(server)
    hearer.subscribe("drain.a", 1)
    hearer.ping()
    client.send(b"PUB drain.a 1\r\nx\r\n" * 100)
    client.ping()
    hearer.send(b"UNSUB 1\r\n")
    assert len(hearer.read_messages_until_pong()) == 100
    client.publish("drain.a", b"y")
    client.ping()
    hearer.ping()


def test_subscriptions_end_with_the_connection(server: ServerProcess, join: Join) -> None:
    """Section 9: the next request finds nobody."""
    client, gone = join(server, headers=True, no_responders=True), join(server)
    gone.subscribe("gone.svc", 1)
    gone.ping()
    client.subscribe("gone.inbox", 1)
    client.publish("gone.svc", reply="gone.inbox")
    client.ping()
    gone.read_message()
    gone.finish_sending()
    gone.expect_close()
    for _ in range(200):  # the server may close the socket a moment before it forgets the subscription
        client.publish("gone.svc", reply="gone.inbox")
        if client.read_messages_until_pong():
            break
    else:
        pytest.fail("the subscription outlives its connection")
