"""Stream imports, asked of our node and of nats-server alike (spec auth sections 17.3 and 20)."""

import pytest
from shapes import Shape, stream, take_stream

from gossamer.auth.claims import Import

SHAPE = Shape(
    A={
        "exports": [
            stream("ev.>"),
            stream("two.*.*"),
            stream("lit"),
            stream("same.*"),
            stream("pos.*", account_token_position=2),
        ]
    },
    B={
        "imports": [
            Import(type="stream", account="A", subject="ev.>", to="imp"),
            take_stream("A", "two.*.*", "turn.$2.$1"),
            take_stream("A", "lit", "renamed"),
            take_stream("A", "same.*"),
            take_stream("A", "pos.{B}", "mine"),
        ],
        "exports": [stream("imp.ev.>")],
    },
    C={"imports": [take_stream("B", "imp.ev.>"), take_stream("A", "two.*.*", "star.*.*")]},
    D={"imports": [take_stream("A", "ev.>", "other.>")]},
)


@pytest.fixture
def here(place):
    return place(SHAPE)


def hearing(here, account, *subjects, queue=""):
    """A client that subscribes; its interest is there when this returns."""
    client = here.join(account)
    for number, subject in enumerate(subjects):
        client.subscribe(subject, number, queue)
    client.ping()
    return client


def told(publisher, *clients):
    """What has come: subjects and payloads, for each client."""
    publisher.ping()
    return [[(message.subject, message.payload) for message in client.read_messages_until_pong()] for client in clients]


@pytest.mark.parametrize(
    ("published", "heard"),
    [
        ("ev.a.b", b"imp.ev.a.b"),
        ("two.x.y", b"turn.y.x"),
        ("lit", b"renamed"),
        ("same.z", b"same.z"),
    ],
)
def test_messages_come_under_the_local_subject(here, published, heard):
    importer, exporter = hearing(here, "B", ">"), here.join("A")
    exporter.publish(published, b"e", reply="r.1", headers=b"NATS/1.0\r\nA: b\r\n\r\n")
    exporter.ping()
    (message,) = importer.read_messages_until_pong()
    assert (message.subject, message.reply, message.payload) == (heard, b"r.1", b"e")
    assert message.headers == b"NATS/1.0\r\nA: b\r\n\r\n"


def test_only_what_is_imported_is_heard(here):
    importer, exporter = hearing(here, "B", ">"), here.join("A")
    for subject in ("other", "ev", "two.x", "two.x.y.z", "pos.other"):
        exporter.publish(subject)
    exporter.publish(f"pos.{here.id('B')}", b"mine")
    assert told(exporter, importer) == [[(b"mine", b"mine")]]


def test_the_exporters_name_is_not_the_importers(here):
    importer, exporter = hearing(here, "B", "ev.>", "lit"), here.join("A")
    exporter.publish("ev.a")
    exporter.publish("lit")
    assert told(exporter, importer) == [[]]


def test_a_narrow_subscription_gets_no_more_than_it_asked_for(here):
    importer, exporter = hearing(here, "B", "imp.ev.x.*", "turn.*.1"), here.join("A")
    for subject in ("ev.x.y", "ev.y.x", "ev.x", "two.1.2", "two.2.1", "two.1.9"):
        exporter.publish(subject)
    subjects = [subject for subject, _ in told(exporter, importer)[0]]
    assert subjects == [b"imp.ev.x.y", b"turn.2.1", b"turn.9.1"]


def test_unsubscribing_ends_it(here):
    importer, exporter = hearing(here, "B", "imp.ev.>"), here.join("A")
    exporter.publish("ev.1")
    assert told(exporter, importer) == [[(b"imp.ev.1", b"")]]
    importer.send(b"UNSUB 0\r\n")
    importer.ping()
    exporter.publish("ev.2")
    assert told(exporter, importer) == [[]]


@pytest.mark.only_server(
    "gossamer", reason="nats-server forgets what imported streams deliver when a limit is set later"
)
def test_a_limit_of_messages_counts_those_of_others(here):
    importer, exporter = hearing(here, "B", "imp.ev.>"), here.join("A")
    importer.send(b"UNSUB 0 2\r\n")
    importer.ping()
    for number in range(4):
        exporter.publish(f"ev.{number}")
    assert told(exporter, importer) == [[(b"imp.ev.0", b""), (b"imp.ev.1", b"")]]


def test_streams_are_not_passed_on(here):
    first, second, exporter = hearing(here, "B", "imp.ev.>"), hearing(here, "C", "imp.ev.>"), here.join("A")
    exporter.publish("ev.a", b"1")
    assert told(exporter, first, second) == [[(b"imp.ev.a", b"1")], []]


def test_a_group_of_one_name_is_one_group_whoever_is_in_it(here):
    members = [
        hearing(here, "A", "ev.q", queue="g"),
        hearing(here, "B", "imp.ev.q", queue="g"),
        hearing(here, "D", "other.q", queue="g"),
    ]
    exporter = here.join("A.publisher")
    for _ in range(60):
        exporter.publish("ev.q")
    counts = [len(messages) for messages in told(exporter, *members)]
    assert sum(counts) == 60
    assert all(counts)


def test_a_stream_importer_counts_as_somebody_who_listens(here):
    importer, exporter = hearing(here, "B", "imp.ev.>"), hearing(here, "A", "inb.*")
    exporter.publish("ev.a", b"1", reply="inb.1")
    assert exporter.read_messages_until_pong() == []
    assert len(importer.read_messages_until_pong()) == 1


def test_one_message_for_many_importers(here):
    clients = [
        hearing(here, "B", "imp.ev.>"),
        hearing(here, "B", ">"),
        hearing(here, "D", "other.>"),
        hearing(here, "A", "ev.>"),
    ]
    exporter = here.join("A.publisher")
    exporter.publish("ev.x", b"p")
    wanted = [b"imp.ev.x", b"imp.ev.x", b"other.x", b"ev.x"]
    assert told(exporter, *clients) == [[(subject, b"p")] for subject in wanted]
