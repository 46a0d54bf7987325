"""Service imports, asked of our node and of nats-server alike (spec auth sections 17.3 and 18)."""

import json
import re
import time

import pytest
from shapes import Shape, service, stream, take_service

THRESHOLD_NS = 400_000_000
SHAPE = Shape(
    extra="server_name: X1\n",
    A={
        "exports": [
            service("svc.*"),
            service("shared.*"),
            service("st.*", response_type="Stream"),
            service("ch.*", response_type="Chunked"),
            service("late.*", response_type="Stream", response_threshold_ns=THRESHOLD_NS),
            service("two.*.*"),
            service("all.>"),
            service("pos.*", account_token_position=2),
            stream("ev.>"),
            service("ev.in"),
        ],
        "mappings": {"svc.map": [("svc.mapped", 100, "")], "svc.away": [("other.mapped", 100, "")]},
    },
    B={
        "imports": [
            take_service("A", "svc.*", "ask.*"),
            take_service("A", "shared.*", share=True),
            take_service("A", "st.*"),
            take_service("A", "ch.*"),
            take_service("A", "late.*"),
            take_service("A", "two.*.*", "turn.$2.$1"),
            take_service("A", "all.>", "every.>"),
            take_service("A", "pos.{B}", "pos"),
            take_service("A", "ev.in"),
        ],
        "exports": [service("ask.*")],
    },
    C={"imports": [take_service("B", "ask.*", "chain.*")]},
)
REPLY = re.compile(rb"_R_\.[0-9A-Za-z]{6}\.[0-9A-Za-z]{6}\Z")


def request_info(message):
    """What the header says, without the one number that nobody knows before."""
    found = re.fullmatch(rb"NATS/1\.0\r\n(.*)Nats-Request-Info: (\{.*\})\r\n\r\n", message.headers, re.DOTALL)
    assert found, message.headers
    info = json.loads(found[2])
    assert info.pop("rtt") >= 0
    assert b" " not in found[2]
    return found[1], info


@pytest.fixture
def here(place):
    return place(SHAPE)


def only(client):
    """The one message that has come."""
    messages = client.read_messages_until_pong()
    assert len(messages) == 1, messages
    return messages[0]


def served(here, subject):
    """A client of the exporter that serves a subject."""
    client = here.join("A")
    client.subscribe(subject, "s")
    client.ping()
    return client


def asking(here, account="B", reply="inb.*"):
    """A client of an importer that hears answers."""
    client = here.join(account)
    client.subscribe(reply, "i")
    client.ping()
    return client


def test_a_request_and_its_answer(here):
    server, client = served(here, "svc.*"), asking(here)
    client.publish("ask.1", b"hi", reply="inb.1")
    client.ping()
    request = only(server)
    assert (request.subject, request.payload) == (b"svc.1", b"hi")
    assert REPLY.match(request.reply)
    assert request_info(request) == (b"", {"acc": here.id("B")})
    server.publish(request.reply.decode(), b"answer", headers=b"NATS/1.0\r\nA: b\r\n\r\n")
    server.ping()
    answer = client.read_message()
    assert (answer.subject, answer.reply, answer.headers) == (b"inb.1", None, b"NATS/1.0\r\nA: b\r\n\r\n")
    assert answer.payload == b"answer"


def test_a_second_answer_is_dropped_without_error(here):
    server, client = served(here, "svc.*"), asking(here)
    client.publish("ask.1", reply="inb.1")
    client.ping()
    reply = only(server).reply.decode()
    server.publish(reply, b"one")
    server.publish(reply, b"two")
    server.ping()
    assert [message.payload for message in client.read_messages_until_pong()] == [b"one"]


@pytest.mark.parametrize(
    ("headers", "kept"),
    [
        (b"NATS/1.0\r\nFoo: bar\r\nNats-Request-Info: {}\r\nBar: x\r\n\r\n", b"Foo: bar\r\nBar: x\r\n"),
        (b"NATS/1.0\r\nNats-Request-Info: a\r\nX: y\r\nNats-Request-Info: b\r\n\r\n", b"X: y\r\n"),
        (b"NATS/1.0\r\n\r\n", b""),
    ],
    ids=["between", "twice", "empty"],
)
def test_own_headers_stay_and_nobody_speaks_for_the_server(here, headers, kept):
    server, client = served(here, "svc.*"), asking(here)
    client.publish("ask.1", b"hi", reply="inb.1", headers=headers)
    client.ping()
    request = only(server)
    assert request_info(request) == (kept, {"acc": here.id("B")})
    assert request.payload == b"hi"


def test_a_status_line_is_kept(here):
    server, client = served(here, "svc.*"), asking(here)
    client.publish("ask.1", b"hi", headers=b"NATS/1.0 100 Idle\r\nA: b\r\n\r\n")
    client.ping()
    assert only(server).headers.startswith(b"NATS/1.0 100 Idle\r\nA: b\r\nNats-Request-Info: {")


def test_without_reply_there_is_no_answer_to_give(here):
    server, client = served(here, "svc.*"), asking(here)
    client.publish("ask.1", b"told")
    client.ping()
    request = only(server)
    assert request.reply is None
    assert request_info(request) == (b"", {"acc": here.id("B")})


def test_who_wants_no_headers_gets_the_payload(here):
    plain = here.join("A.plain", headers=False, no_responders=False)
    plain.subscribe("svc.*", "p")
    plain.ping()
    client = asking(here)
    client.publish("ask.1", b"hi", reply="inb.1")
    client.ping()
    request = only(plain)
    assert (request.headers, request.payload) == (b"", b"hi")
    assert REPLY.match(request.reply)


def test_sharing_tells_who_asks(here):
    server = served(here, "shared.*")
    client = here.join("B", name="bee", lang="lab", version="7")
    client.publish("shared.x", b"hi", reply="inb.1")
    client.ping()
    _, info = request_info(only(server))
    assert list(info)[:7] == ["start", "host", "id", "acc", "user", "name", "lang"]
    assert info["acc"] == here.id("B")
    assert (info["name"], info["lang"], info["ver"], info["host"]) == ("bee", "lab", "7", "127.0.0.1")
    assert (info["server"], info["kind"], info["client_type"]) == ("X1", "Client", "nats")
    if here.mode == "operator":
        assert info["user"].startswith("U")
        assert (info["issuer_key"], info["name_tag"]) == (here.id("B"), "B")
        assert info["jwt"].count(".") == 2
        assert list(info)[-4:] == ["issuer_key", "name_tag", "kind", "client_type"]
    else:
        assert info["user"] == "b"
        assert list(info)[-3:] == ["server", "kind", "client_type"]


@pytest.mark.parametrize("subject", ["st.1", "ch.1"])
def test_a_stream_of_answers_ends_with_an_empty_one(here, subject):
    server, client = served(here, subject), asking(here)
    client.publish(subject, reply="inb.1")
    client.ping()
    reply = only(server).reply.decode()
    server.publish(reply, b"1")
    server.publish(reply, b"2")
    server.publish(reply, b"", headers=b"NATS/1.0\r\nX: y\r\n\r\n")
    server.publish(reply, b"3")
    server.publish(reply, b"")
    server.publish(reply, b"4")
    server.ping()
    answers = client.read_messages_until_pong()
    assert [answer.payload for answer in answers] == [b"1", b"2", b"", b"3", b""]
    assert {answer.subject for answer in answers} == {b"inb.1"}


@pytest.mark.parametrize("mode", ["config"])
def test_each_answer_of_a_stream_begins_the_threshold_anew(here):
    """nats-server looks only once in a threshold: an answer may be up to two of them late."""
    server, client = served(here, "late.1"), asking(here)
    client.publish("late.1", reply="inb.1")
    client.ping()
    reply = only(server).reply.decode()
    for payload in (b"1", b"2", b"3"):
        pause(0.75)
        server.publish(reply, payload)
        assert client.read_message().payload == payload
    pause(2.5)
    server.publish(reply, b"late")
    server.ping()
    assert client.read_messages_until_pong() == []


def pause(thresholds):
    """Time itself is what is tested here."""
    time.sleep(thresholds * THRESHOLD_NS / 1e9)


def test_wildcards_in_another_order_and_a_tail(here):
    server, client = served(here, "two.>"), asking(here)
    server.subscribe("all.>", "a")
    server.ping()
    client.publish("turn.x.y", b"1")
    client.publish("every.a.b.c", b"2")
    client.ping()
    assert [message.subject for message in server.read_messages_until_pong()] == [b"two.y.x", b"all.a.b.c"]


def test_the_importers_own_account_in_the_subject(here):
    server, client = served(here, "pos.*"), asking(here)
    client.publish("pos", b"1")
    client.ping()
    assert only(server).subject == f"pos.{here.id('B')}".encode()


def test_a_chain_tells_the_first_and_the_middle_account(here):
    server, client = served(here, "svc.*"), asking(here, "C", "inc.*")
    client.publish("chain.1", b"hi", reply="inc.1")
    client.ping()
    request = only(server)
    assert request.subject == b"svc.1"
    assert request_info(request) == (b"", {"acc": here.id("C"), "svc": here.id("B")})
    server.publish(request.reply.decode(), b"answer")
    server.ping()
    answer = only(client)
    assert (answer.subject, answer.payload) == (b"inc.1", b"answer")


@pytest.mark.parametrize(("account", "subject"), [("B", "ask.none"), ("C", "chain.none")])
def test_nobody_serves(here, account, subject):
    client = asking(here, account)
    client.publish(subject, b"x", reply="inb.9")
    message = only(client)
    assert (message.subject, message.payload) == (b"inb.9", b"")
    assert message.headers == f"NATS/1.0 503\r\nNats-Subject: {subject}\r\n\r\n".encode()


def test_subscribers_of_the_importer_get_the_message_too(here):
    server, client = served(here, "svc.*"), asking(here)
    local = here.join("B.local")
    local.subscribe("ask.*", "l")
    local.ping()
    client.publish("ask.1", b"both", reply="inb.1")
    client.ping()
    message = only(local)
    assert (message.subject, message.reply, message.headers, message.payload) == (b"ask.1", b"inb.1", b"", b"both")
    assert only(server).payload == b"both"


def test_a_subscriber_of_the_importer_is_a_responder(here):
    client = asking(here)
    client.subscribe("ask.here", "l")
    client.ping()
    client.publish("ask.here", b"x", reply="inb.1")
    assert [message.sid for message in client.read_messages_until_pong()] == [b"l"]


@pytest.mark.parametrize(("asked", "reached"), [("ask.map", b"svc.mapped"), ("ask.away", b"other.mapped")])
def test_mappings_of_the_exporter_apply_to_requests(here, asked, reached):
    server, client = served(here, "svc.*"), asking(here)
    server.subscribe("other.*", "o")
    server.ping()
    client.publish(asked, b"m", reply="inb.1")
    client.ping()
    request = only(server)
    assert request.subject == reached
    server.publish(request.reply.decode(), b"answer")
    server.ping()
    assert only(client).payload == b"answer"


def test_what_comes_as_a_request_is_not_told_on_as_a_stream(here):
    """B asks for ``ev.in``, which A also exports as a stream; only A's own subscribers get it."""
    server = served(here, "ev.>")
    client = asking(here)
    client.publish("ev.in", b"1", reply="inb.1")
    client.ping()
    assert only(server).payload == b"1"


def test_answers_are_seen_by_who_listens_in_the_exporter(here):
    server, client = served(here, "svc.*"), asking(here)
    listener = here.join("A.listener", headers=False, no_responders=False)
    listener.subscribe("_R_.>", "r")
    listener.ping()
    client.publish("ask.1", reply="inb.1")
    client.ping()
    reply = only(server).reply
    server.publish(reply.decode(), b"one")
    server.publish(reply.decode(), b"two")
    server.ping()
    assert [(m.subject, m.payload) for m in listener.read_messages_until_pong()] == [(reply, b"one"), (reply, b"two")]
    assert only(client).payload == b"one"


def test_a_reply_that_nobody_gave_out_leads_nowhere(here):
    server, client = served(here, "svc.*"), asking(here, reply=">")
    server.publish("_R_.abcdef.abcdef", b"bogus")
    server.ping()
    assert client.read_messages_until_pong() == []


def test_an_answer_may_ask_back(here):
    server, client = served(here, "svc.*"), asking(here)
    server.subscribe("back", "b")
    server.ping()
    client.publish("ask.1", reply="inb.1")
    client.ping()
    server.publish(only(server).reply.decode(), b"answer", reply="back")
    server.ping()
    answer = only(client)
    assert REPLY.match(answer.reply)


@pytest.mark.parametrize("reply", ["_R_.abcdef.abcdef", "$JS.ACK.x"])
def test_clients_cannot_use_reserved_replies(here, reply):
    client = here.join("B")
    client.publish("ask.1", b"x", reply=reply)
    client.expect_error(f'Permissions Violation for Publish with Reply of "{reply}"')


def test_services_share_their_requests_among_a_queue_group(here):
    servers = [here.join("A"), here.join("A.second")]
    for server in servers:
        server.subscribe("svc.q", "q", "group")
        server.ping()
    client = asking(here)
    for number in range(40):
        client.publish("ask.q", str(number).encode(), reply="inb.1")
    client.ping()
    counts = [len(server.read_messages_until_pong()) for server in servers]
    assert sum(counts) == 40
    assert all(counts)
