"""Latency of services, told in the exporter's account (spec auth section 19)."""

import json
import re

import pytest
from shapes import Shape, measured, service, take_service

THRESHOLD_NS = 300_000_000
SHAPE = Shape(
    extra="server_name: X1\n",
    A={
        "exports": [
            measured("help.*", "lat.help"),
            measured("slow", "lat.slow", response_threshold_ns=THRESHOLD_NS),
            measured("hdr", "lat.hdr", sampling=0),
            service("unmeasured"),
        ]
    },
    B={
        "imports": [
            take_service("A", "help.*", "ask.*"),
            take_service("A", "slow", share=True),
            take_service("A", "hdr"),
            take_service("A", "unmeasured"),
        ]
    },
)
SERVED = ("help.*", "slow", "hdr", "unmeasured")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z")


@pytest.fixture
def sides(place):
    """The place, a client that serves and hears the records, and one that asks and hears answers."""
    here = place(SHAPE)
    server, client = here.join("A", name="served"), here.join("B", name="asked")
    server.subscribe("lat.*", "lat")
    for subject in SERVED:
        server.subscribe(subject, f"s-{subject}")
    client.subscribe("inb.*", "i")
    server.ping()
    client.ping()
    return here, server, client


def record_of(server):
    """The next record, its changing parts checked and taken out."""
    message = server.read_message()
    assert message.sid == b"lat", message
    record = json.loads(message.payload)
    assert record.pop("type") == "io.nats.server.metric.v1.service_latency"
    assert re.fullmatch(r"[0-9A-Za-z]{22}", record.pop("id"))
    for name in ("timestamp", "start"):
        assert TIME.fullmatch(record.pop(name))
    return message.subject, record


def answered(server):
    request = server.read_message()
    assert request.sid.startswith(b"s-")
    server.publish(request.reply.decode(), b"answer")
    return request


def test_an_answered_request(sides):
    here, server, client = sides
    client.publish("ask.1", b"hi", reply="inb.1")
    request = answered(server)
    assert request.reply.startswith(b"_R_.")
    assert client.read_message().payload == b"answer"
    subject, record = record_of(server)
    assert (subject, record["status"]) == (b"lat.help", 200)
    assert list(record) == ["status", "requestor", "responder", "service", "system", "total"]
    assert record["requestor"].keys() == {"acc", "rtt"}
    assert record["requestor"]["acc"] == here.id("B")
    responder = record["responder"]
    assert (responder["acc"], responder["name"], responder["server"]) == (here.id("A"), "served", "X1")
    assert responder["rtt"] > 0
    assert min(record["service"], record["system"]) >= 0
    assert record["total"] >= record["service"] + record["system"]


def test_no_answer_within_the_threshold(sides):
    here, server, client = sides
    client.publish("slow", b"hi", reply="inb.1")
    request = server.read_message()
    subject, record = record_of(server)
    assert (subject, record["status"], record["description"]) == (b"lat.slow", 504, "Service Timeout")
    requestor = record.pop("requestor")
    assert (requestor["acc"], requestor["name"], requestor["kind"]) == (here.id("B"), "asked", "Client")
    assert record == {"status": 504, "description": "Service Timeout", "service": 0, "system": 0, "total": 0}
    server.publish(request.reply.decode(), b"too late")
    server.ping()
    assert client.read_messages_until_pong() == []


def test_a_request_without_reply(sides):
    here, server, client = sides
    client.publish("ask.1", b"hi")
    client.ping()
    told = {}
    for _ in range(2):
        message = server.read_message()
        told[message.sid] = message
    assert told[b"s-help.*"].reply is None
    record = json.loads(told[b"lat"].payload)
    assert (record["status"], record["description"]) == (400, "Bad Request")
    assert (record["requestor"]["acc"], "responder" in record) == (here.id("B"), False)
    assert (record["service"], record["system"], record["total"]) == (0, 0, 0)


def test_nobody_serves(sides):
    _, server, client = sides
    server.send(b"UNSUB s-help.*\r\n")
    server.ping()
    client.publish("ask.1", b"hi", reply="inb.1")
    assert client.read_message().headers.startswith(b"NATS/1.0 503\r\n")
    _, record = record_of(server)
    assert (record["status"], record["description"]) == (503, "Service Unavailable")


def test_a_requestor_that_hangs_up(sides):
    here, server, _ = sides
    client = here.join("B")
    client.subscribe("gone", "g")
    client.publish("slow", b"hi", reply="gone")
    assert server.read_message().payload == b"hi"
    client.close()
    _, record = record_of(server)
    assert (record["status"], record["description"]) == (408, "Request Timeout")


def test_what_is_not_measured_is_not_told(sides):
    _, server, client = sides
    client.publish("unmeasured", b"hi", reply="inb.1")
    answered(server)
    assert client.read_message().payload == b"answer"
    assert server.read_messages_until_pong() == []


@pytest.mark.parametrize(
    ("headers", "shown"),
    [
        ("Traceparent: 00-a-b-01\r\nTracestate: z\r\nOther: x", {"Traceparent": ["00-a-b-01"], "Tracestate": ["z"]}),
        ("Traceparent: 00-a-b-00", None),
        ("Uber-Trace-Id: a:b:c:1\r\nTraceparent: 00-a-b-00", {"Uber-Trace-Id": ["a:b:c:1"]}),
        ("Uber-Trace-Id: a:b:c:2\r\nX-B3-Sampled: 1", None),
        ("X-B3-TraceId: t\r\nX-B3-SpanId: s", {"X-B3-Spanid": ["s"], "X-B3-Traceid": ["t"]}),
        ("X-B3-Sampled: 0\r\nX-B3-TraceId: t", None),
        ("b3: a-b-1-c", {"B3": ["a-b-1-c"]}),
        ("B3: a-b-0-c", None),
        ("Other: x", None),
    ],
    ids=["w3c", "w3c-no", "jaeger-first", "jaeger-no", "b3", "b3-no", "b3-single", "b3-single-no", "none"],
)
def test_headers_that_ask_for_a_record(sides, headers, shown):
    _, server, client = sides
    client.publish("hdr", b"hi", headers=f"NATS/1.0\r\n{headers}\r\n\r\n".encode())
    client.publish("ask.1", b"fence")
    client.ping()
    # The record of the second request is the last to come: what the first one brought stands before it.
    found = None
    while (message := server.read_message()).subject != b"lat.help":
        if message.subject == b"lat.hdr":
            found = json.loads(message.payload)["header"]
    assert found == shown
