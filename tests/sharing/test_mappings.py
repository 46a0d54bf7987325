"""Mapped subjects, asked of our node and of nats-server alike (spec auth section 21, client-protocol section 25)."""

import json

import pytest
from shapes import Shape

#: source, target, and pairs of published and received subjects. Cut by bytes.
FUNCTIONS = [
    ("lit", "changed", [("lit", "changed")]),
    ("m1.*", "n1.$1", [("m1.foo", "n1.foo")]),
    ("m2.*.*", "n2.$2.x.$1", [("m2.a.b", "n2.b.x.a")]),
    ("m3.*", "n3.{{wildcard(1)}}.{{Wildcard(1)}}", [("m3.a", "n3.a.a")]),
    ("m4.*.>", "n4.$1.>", [("m4.a.b.c", "n4.a.b.c")]),
    ("m5.>", "n5.>", [("m5.a", "n5.a"), ("m5.a.b", "n5.a.b")]),
    ("m6.*", "n6", [("m6.a", "n6")]),
    (
        "m7.*",
        "n7.{{partition(10,1)}}",
        [("m7.foo", "n7.3"), ("m7.bar", "n7.2"), ("m7.abcdef", "n7.6"), ("m7.é", "n7.7")],
    ),
    ("m8.*.*", "n8.{{partition(5,1,2)}}.{{partition(5,2,1)}}", [("m8.a.b", "n8.{ab}.{ba}")]),
    ("pa", "n9.{{partition(5)}}", [("pa", "n9.4")]),
    ("m10.*", "n10.{{partition(0,1)}}", [("m10.a", "n10.0")]),
    (
        "m11.*",
        "n11.{{split(1,-)}}",
        [("m11.a-b--c-", "n11.a.b.c"), ("m11.-a", "n11.a"), ("m11.ab", "n11.ab")],
    ),
    (
        "m12.*",
        "n12.{{splitFromLeft(1,3)}}",
        [("m12.abcdef", "n12.abc.def"), ("m12.abc", "n12.abc"), ("m12.aéb", "n12.aé.b")],
    ),
    ("m13.*", "n13.{{splitfromright(1,2)}}", [("m13.abcde", "n13.abc.de"), ("m13.a", "n13.a")]),
    ("m14.*", "n14.{{SliceFromLeft(1,2)}}", [("m14.abcde", "n14.ab.cd.e"), ("m14.ab", "n14.ab")]),
    ("m15.*", "n15.{{sliceFromRight(1,2)}}", [("m15.abcde", "n15.a.bc.de"), ("m15.abcd", "n15.ab.cd")]),
    ("m16.*", "n16.{{left(1,2)}}", [("m16.abc", "n16.ab"), ("m16.a", "n16.a")]),
    ("m17.*", "n17.{{right(1,2)}}", [("m17.abc", "n17.bc"), ("m17.a", "n17.a")]),
    ("m18.*", "n18.{{left(1,0)}}.{{splitFromLeft(1,-1)}}", [("m18.abc", "n18.abc.abc")]),
    ("m19.*", "n19.{{random(1)}}", [("m19.a", "n19.0")]),
    ("m20.*", "n20.$1x", [("m20.a", "n20.$1x")]),
    ("once", "twice", [("once", "twice")]),
    ("twice", "thrice", [("twice", "thrice")]),
    ("w.*", "n21.$1", []),
]


def fnv(text):
    state = 0x811C9DC5
    for byte in text.encode():
        state = ((state ^ byte) * 0x01000193) % 2**32
    return state


EXPECTED = [
    (published, received.format(ab=fnv("ab") % 5, ba=fnv("ba") % 5))
    for _, _, pairs in FUNCTIONS
    for published, received in pairs
]
LISTED = {
    "w.b": [("literal", 100, "")],
    "w.>": [("n22.>", 100, "")],
    "part": [("part.a", 25, ""), ("part.b", 25, "")],
    "lost": [("lost", 30, ""), ("lost.b", 20, "")],
    "far": [("far.here", 100, ""), ("far.there", 100, "elsewhere")],
    "off": [("off.never", 0, "")],
    "rnd": [("rnd.{{random(4)}}", 100, "")],
}
SHAPE = Shape(
    A={"mappings": {source: [(target, 100, "")] for source, target, _ in FUNCTIONS} | LISTED},
    B={"mappings": {"src": [("dst", 100, "")]}},
)


@pytest.fixture
def here(place):
    return place(SHAPE)


@pytest.fixture
def heard(here):
    """``heard(subjects)``: what comes of publishing them, in order."""
    listener, publisher = here.join("A"), here.join("A.second")
    listener.subscribe(">", "all")
    listener.ping()

    def publish(subjects):
        for subject in subjects:
            publisher.publish(subject)
        publisher.ping()
        return [message.subject.decode() for message in listener.read_messages_until_pong()]

    return publish


@pytest.mark.parametrize(("published", "received"), EXPECTED, ids=[published for published, _ in EXPECTED])
def test_functions(heard, published, received):
    assert heard([published]) == [received]


@pytest.mark.only_server(
    "gossamer", reason="nats-server takes overlapping sources in an order of its own, a random one"
)
def test_a_literal_source_comes_first_then_the_order_of_definition(heard):
    assert heard(["w.b", "w.c", "w.c.d"]) == ["literal", "n21.c", "n22.c.d"]


def test_a_split_that_leaves_nothing_loses_the_message(heard):
    assert heard(["m11.--"]) == []


def test_random_numbers_are_spread(heard):
    seen = heard(["rnd"] * 100)
    assert set(seen) == {f"rnd.{number}" for number in range(4)}


def test_weights_and_the_rest_that_stays(heard):
    seen = heard(["part"] * 400)
    counts = {subject: seen.count(subject) for subject in set(seen)}
    assert counts.keys() == {"part", "part.a", "part.b"}
    assert sum(counts.values()) == 400
    assert 140 < counts["part"] < 260
    assert min(counts["part.a"], counts["part.b"]) > 50


def test_the_rest_is_dropped_where_the_source_is_listed(heard):
    seen = heard(["lost"] * 400)
    assert set(seen) == {"lost", "lost.b"}
    assert 130 < len(seen) < 270


def test_targets_of_other_clusters_do_not_count_here(heard):
    assert set(heard(["far"] * 20)) == {"far.here"}


@pytest.mark.parametrize("mode", ["config"])
def test_no_weight_is_no_target(heard):
    """In a claim it is not written, and means all (auth section 5)."""
    assert set(heard(["off"] * 20)) == {"off"}


def test_subscribers_of_the_source_hear_nothing(here):
    listener, publisher = here.join("A"), here.join("A.second")
    listener.subscribe("lit", "s")
    listener.ping()
    publisher.publish("lit", reply="inb")
    publisher.subscribe("inb", "i")
    publisher.publish("lit", b"x", reply="inb")
    assert [b"503" in message.headers for message in publisher.read_messages_until_pong()] == [True]
    assert listener.read_messages_until_pong() == []


def test_payload_reply_and_headers_stay(here):
    listener, publisher = here.join("A"), here.join("A.second")
    listener.subscribe("n1.*", "s")
    listener.ping()
    publisher.publish("m1.x", b"body", reply="back", headers=b"NATS/1.0\r\nA: b\r\n\r\n")
    publisher.ping()
    (message,) = listener.read_messages_until_pong()
    assert message == (b"n1.x", b"s", b"back", b"NATS/1.0\r\nA: b\r\n\r\n", b"body")


PERMISSIONS = """
accounts { A {
  users: [
    {user: source, password: p, permissions: {publish: {allow: ["src"]}}},
    {user: target, password: p, permissions: {publish: {allow: ["dst"]}}},
    {user: free, password: p}
  ]
  mappings { src: dst }
} }
mappings { global: { destination: elsewhere, weight: 100% } }
authorization { timeout: 5 }
no_auth_user: free
"""


def test_permissions_are_asked_for_the_subject_a_message_has_then(shared_server, dial):
    server = shared_server(config=PERMISSIONS)

    def join(user):
        client = dial(server)
        client.handshake(**{"user": user, "pass": "p"})
        return client

    listener, source, target = join("free"), join("source"), join("target")
    listener.subscribe("dst", "s")
    listener.ping()
    source.publish("src", b"1")
    source.expect_error('Permissions Violation for Publish to "dst"')
    target.publish("src", b"2")
    target.ping()
    assert [message.payload for message in listener.read_messages_until_pong()] == [b"2"]


def test_mappings_of_the_global_account(shared_server, dial):
    mappings = {source: [{"destination": target, "weight": 100}] for source, target, _ in FUNCTIONS[:6]}
    server = shared_server(config=f"mappings {json.dumps(mappings)}\n")
    client = dial(server)
    client.handshake()
    client.subscribe(">", "all")
    client.publish("m2.a.b")
    assert [message.subject for message in client.read_messages_until_pong()] == [b"n2.b.x.a"]


def test_a_reload_brings_changes_and_removes_mappings(start_server, dial):
    server = start_server(config="accounts { A { users: [{user: a, password: p}], mappings { x: y, keep: kept } } }")
    client = dial(server)
    client.handshake(**{"user": "a", "pass": "p"})
    client.subscribe(">", "all")

    def seen():
        for subject in ("x", "keep"):
            client.publish(subject)
        return [message.subject for message in client.read_messages_until_pong()]

    assert seen() == [b"y", b"kept"]
    server.reload("accounts { A { users: [{user: a, password: p}], mappings { x: z, keep: kept } } }")
    assert seen() == [b"z", b"kept"]
    server.reload("accounts { A { users: [{user: a, password: p}], mappings { keep: kept } } }")
    assert seen() == [b"x", b"kept"]
