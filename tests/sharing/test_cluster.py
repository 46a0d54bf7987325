"""Sharing over routes: two of our nodes, two of nats-server, one of each either way (spec auth sections 18 to 20)."""

import json
import re

import pytest
from shapes import Shape, join, measured, service, stream, take_service, take_stream

from gossamer.mesh.testing.cluster import ClusterProcesses
from gossamer.mesh.testing.process import SERVER_KINDS

SHAPE = Shape(
    A={
        "exports": [
            service("svc.*"),
            service("shared"),
            service("st", response_type="Stream"),
            measured("timed", "lat"),
            stream("ev.>"),
        ]
    },
    B={
        "imports": [
            take_service("A", "svc.*", "ask.*"),
            take_service("A", "shared", share=True),
            take_service("A", "st"),
            take_service("A", "timed"),
            take_stream("A", "ev.>", "in.>"),
        ],
        "exports": [service("ask.*")],
        "mappings": {"here": [("elsewhere", 100, ""), ("scoped", 100, "mesh")]},
    },
    C={"imports": [take_service("B", "ask.*", "chain.*")]},
)


OURS, THEIRS = "gossamer", "nats-server"
MESHES = [
    ("config", OURS, OURS),
    ("config", THEIRS, THEIRS),
    ("config", OURS, THEIRS),
    ("config", THEIRS, OURS),
    ("operator", OURS, OURS),
    ("operator", OURS, THEIRS),
    ("operator", THEIRS, OURS),
]


class Mesh:
    """Two nodes; requestors and importers are at the first, services and publishers at the second."""

    def __init__(self, mode, nodes):
        self.mode, self.nodes = mode, nodes

    def id(self, account):
        return SHAPE.id(account, self.mode).encode()


@pytest.fixture(scope="module", params=MESHES, ids="-".join)
def mesh(request, tmp_path_factory):
    mode, *names = request.param
    kinds = [SERVER_KINDS[name] for name in names]
    for kind in kinds:
        if kind.missing() is not None:
            pytest.skip(kind.missing())
    cluster = ClusterProcesses(tmp_path_factory.mktemp("sharing"), kinds, config=SHAPE.text(mode))
    try:
        yield Mesh(mode, cluster.start().nodes)
    finally:
        cluster.stop()


@pytest.fixture
def sides(mesh, dial):
    """``sides("B", "A")``: a client at the first node and one at the second."""

    def enter(*users):
        return [join(dial, node, SHAPE, mesh.mode, user) for node, user in zip(mesh.nodes, users, strict=True)]

    return enter


def await_service(client, subject):
    """Until a request on a subject of the importer finds somebody. The service sees empty messages."""
    client.subscribe("probe", "probe")
    while True:
        client.publish(subject, reply="probe")
        if not any(b"503" in message.headers for message in client.read_messages_until_pong()):
            break
    client.send(b"UNSUB probe\r\n")
    client.ping()


def next_with(client, payload):
    """The next message with that payload; what served as a probe stands before it."""
    while (message := client.read_message()).payload != payload:
        assert message.payload == b"", message
    return message


@pytest.mark.parametrize(("importer", "asked"), [("B", "ask.1"), ("C", "chain.1")])
def test_a_request_and_its_answer(sides, mesh, importer, asked):
    client, server = sides(importer, "A")
    client.subscribe("inb.*", "i")
    server.subscribe("svc.*", "s")
    server.ping()
    await_service(client, asked)
    for number in range(20):
        client.publish(asked, b"hi %d" % number, reply=f"inb.{number}")
        request = next_with(server, b"hi %d" % number)
        assert request.subject == b"svc.1"
        told = b'{"acc":"%s","rtt":' % mesh.id("B")
        if importer == "C":
            told = b'{"acc":"%s","svc":"%s","rtt":' % (mesh.id("C"), mesh.id("B"))
        assert b"Nats-Request-Info: " + told in request.headers
        server.publish(request.reply.decode(), b"answer %d" % number)
        answer = client.read_message()
        assert (answer.subject, answer.payload) == (b"inb.%d" % number, b"answer %d" % number)


def test_only_one_answer(sides):
    client, server = sides("B", "A")
    client.subscribe("inb", "i")
    server.subscribe("svc.*", "s")
    server.ping()
    await_service(client, "ask.1")
    client.publish("ask.1", b"hi", reply="inb")
    reply = next_with(server, b"hi").reply.decode()
    for payload in (b"one", b"two"):
        server.publish(reply, payload)
    server.ping()
    assert client.read_message().payload == b"one"
    client.publish("ask.1", b"again", reply="inb")  # comes behind the second answer
    server.publish(next_with(server, b"again").reply.decode(), b"three")
    assert client.read_message().payload == b"three"


def test_a_stream_of_answers(sides):
    client, server = sides("B", "A")
    client.subscribe("inb", "i")
    server.subscribe("st", "s")
    server.ping()
    await_service(client, "st")
    client.publish("st", b"hi", reply="inb")
    reply = next_with(server, b"hi").reply.decode()
    for payload in (b"1", b"2", b""):
        server.publish(reply, payload)
    assert [client.read_message().payload for _ in range(3)] == [b"1", b"2", b""]


def test_sharing_tells_where_the_requestor_is(sides, mesh):
    client, server = sides("B", "A")
    server.subscribe("shared", "s")
    server.ping()
    await_service(client, "shared")
    client.publish("shared", b"hi", reply="inb")
    headers = next_with(server, b"hi").headers
    assert b'"acc":"%s","user":"' % mesh.id("B") in headers
    assert b'"server":"n1","cluster":"mesh",' in headers
    assert b'"kind":"Client","client_type":"nats"}' in headers


def test_nobody_serves_any_more(sides):
    client, server = sides("B", "A")
    client.subscribe("inb", "i")
    server.subscribe("svc.*", "s")
    server.ping()
    await_service(client, "ask.1")
    server.close()
    while True:
        client.publish("ask.1", b"hi", reply="inb")
        found = client.read_messages_until_pong()
        if found:
            break
    assert found[0].headers == b"NATS/1.0 503\r\nNats-Subject: ask.1\r\n\r\n"


def test_a_queue_group_on_both_nodes_gets_each_request_once(sides, mesh, dial):
    client, far = sides("B", "A")
    near = join(dial, mesh.nodes[0], SHAPE, mesh.mode, "A")
    client.subscribe("inb", "i")
    for server in (near, far):
        server.subscribe("svc.q", "q", "g")
        server.ping()
    near.subscribe("fence", "f")
    near.ping()
    await_heard(far, "fence", near)
    for _ in range(30):
        client.publish("ask.q", b"r", reply="inb")
    client.ping()
    seen = 0
    seen += sum(message.payload == b"r" for message in near.read_messages_until_pong())
    while seen < 30:
        message = far.read_message()
        assert message.payload == b"r"
        seen += 1
    assert far.read_messages_until_pong() == []


def await_heard(publisher, subject, listener):
    """Until a message gets from the one to the other."""
    while True:
        publisher.publish(subject, b"?")
        publisher.ping()
        if any(message.payload == b"?" for message in listener.read_messages_until_pong()):
            return


@pytest.mark.parametrize("queue", ["", "g"])
def test_streams(sides, queue):
    importer, exporter = sides("B", "A")
    importer.subscribe("in.x.*", "s", queue)
    importer.ping()
    await_heard(exporter, "ev.x.probe", importer)
    exporter.publish("ev.y", b"no")
    exporter.publish("ev.x.1", b"yes", reply="back")
    while (message := importer.read_message()).payload == b"?":
        pass
    assert (message.subject, message.reply, message.payload) == (b"in.x.1", b"back", b"yes")
    importer.send(b"UNSUB s\r\n")
    importer.ping()


def test_a_mapping_of_this_cluster(sides):
    listener, publisher = sides("B", "B")
    listener.subscribe("scoped", "s")
    listener.ping()
    while True:
        publisher.publish("here", b"?")
        publisher.ping()
        found = listener.read_messages_until_pong()
        if found:
            break
    assert found[0].subject == b"scoped"


def record_of(client, server):
    """The record of a request from the first node that is answered at the second one."""
    client.subscribe("inb", "i")
    server.subscribe("timed", "s")
    server.subscribe("lat", "l")
    server.ping()
    await_service(client, "timed")
    client.publish("timed", b"hi", reply="inb")
    while (request := server.read_message()).payload != b"hi":  # probes, and records of them
        pass
    reply = request.reply.decode()
    assert re.fullmatch(r"_R_\.\w{6}\.\w{6}\.\w{8}\.T", reply)
    server.publish(reply, b"answer")
    assert client.read_message().payload == b"answer"
    while (message := server.read_message()).sid != b"l" or b'"status":200' not in message.payload:
        pass
    return json.loads(message.payload)


def test_latency_of_an_answer_from_elsewhere(sides, mesh):
    client, server = sides("B", "A")
    record = record_of(client, server)
    fields = ["type", "id", "timestamp", "status", "requestor", "responder", "start", "service", "system", "total"]
    assert list(record) == fields
    assert record["type"] == "io.nats.server.metric.v1.service_latency"
    requestor, responder = record["requestor"], record["responder"]
    assert requestor.keys() == {"acc", "rtt"}
    assert requestor["acc"].encode() == mesh.id("B")
    assert (responder["acc"].encode(), responder["server"], responder["cluster"]) == (mesh.id("A"), "n2", "mesh")
    assert (responder["kind"], responder["client_type"]) == ("Client", "nats")
    assert min(requestor["rtt"], responder["rtt"]) > 0
    assert min(record["service"], record["system"]) >= 0
    assert record["total"] >= record["service"] + record["system"] + requestor["rtt"]
    if mesh.nodes[0].kind == OURS:  # nats-server's sum is less when a round trip took longer than the answer
        assert record["total"] == sum((record["service"], record["system"], requestor["rtt"], responder["rtt"]))


def test_the_other_half_goes_by_the_system_account(sides, mesh, dial):
    watcher = join(dial, mesh.nodes[0], SHAPE, mesh.mode, "SYS")
    watcher.subscribe("$SYS.LATENCY.M2.*", "m")
    watcher.ping()
    record = record_of(*sides("B", "A"))
    told = json.loads(watcher.read_message().payload)
    assert list(told) == ["account", "req_id", "m2"]
    half = told["m2"]
    assert told["account"].encode() == mesh.id("A")
    assert list(half) == ["type", "id", "timestamp", "status", "responder", "start", "service", "system", "total"]
    assert (half["type"], half["id"], half["timestamp"], half["status"]) == ("", "", "0001-01-01T00:00:00Z", 200)
    assert half["responder"] == record["responder"]
    assert half["service"] == record["service"]
    assert half["system"] == 0
    if mesh.nodes[1].kind == OURS:  # nats-server's sum is less when the round trip took longer than the answer
        assert half["total"] == half["service"] + half["responder"]["rtt"]
