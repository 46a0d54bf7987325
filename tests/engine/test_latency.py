"""Latency of services across servers: whose reply is marked, what is remembered of it, what is told (auth 19)."""

import re

import pytest
from peers import OURS, Peers

from gossamer.mesh.engine.events import Latency, Served

OURS_HASH = b"hhhhhhhh"
#: The reply of a request that another server samples.
REPLY = b"_R_.aaaaaa.bbbbbb.tttttttt.T"
PREFIX = b"_GR_." + b".".join(OURS) + b"."


@pytest.fixture
def node() -> Peers:
    node = Peers()
    node.engine.latency_identity(server_hash=OURS_HASH)
    for name in (b"A", b"B"):
        node.account(name)
    return node


def imports(node: Peers, *, sampling: int = 100, local: bytes = b"ask", exported: bytes = b"svc") -> int:
    """B takes a service of A."""
    return node.engine.service_import(
        node.account(b"B"),
        local=local,
        exporter=node.account(b"A"),
        program=[(0, exported, ())],
        sampling=sampling,
        threshold_ns=1_000_000_000,
    )


def taken(node: Peers, kind: type) -> list:
    found = [event for event in node.events if isinstance(event, kind)]
    node.events = [event for event in node.events if not isinstance(event, kind)]
    return found


def reply_in(line: bytes) -> bytes:
    found = re.search(rb"_R_\S+", line[line.index(b"MSG") :])
    assert found is not None, line
    return found.group()


# --- the requestor is here --------------------------------------------------------------------------------------------


def test_the_reply_of_a_sampled_request_names_this_node(node: Peers) -> None:
    number = imports(node)
    client, route = node.client(b"B"), node.join_raw()
    node.feed(route, b"RS+ A svc\r\n")
    node.take(route)
    node.feed(client, b"SUB inbox 1\r\nPUB ask inbox 2\r\nhi\r\n")
    reply = reply_in(node.take(route))
    assert re.fullmatch(rb"_R_\.\w{6}\.\w{6}\.hhhhhhhh\.T", reply)
    node.pass_time(5_000_000)
    node.feed(route, b"RMSG A %b 3\r\nyes\r\n" % reply)
    assert node.take(client) == b"MSG inbox 1 3\r\nyes\r\n"
    (found,) = taken(node, Latency)
    assert (found.service_import, found.status, found.requestor, found.responder) == (number, 200, client, 0)
    assert (found.reply, found.service_ns) == (reply, 5_000_000)
    node.feed(route, b"RMSG A %b 3\r\nyes\r\n" % reply)
    assert node.take(client) == b"", "a singleton answers once"


def test_a_reply_that_is_not_sampled_is_as_short_as_ever(node: Peers) -> None:
    imports(node, sampling=0)
    client, route = node.client(b"B"), node.join_raw()
    node.feed(route, b"RS+ A svc\r\n")
    node.take(route)
    node.feed(client, b"SUB inbox 1\r\nPUB ask inbox 2\r\nhi\r\n")
    assert re.fullmatch(rb"_R_\.\w{6}\.\w{6}", reply_in(node.take(route)))


def test_a_node_that_has_no_name_for_it_marks_nothing() -> None:
    node = Peers()
    imports(node)
    client, route = node.client(b"B"), node.join_raw()
    node.feed(route, b"RS+ A svc\r\n")
    node.take(route)
    node.feed(client, b"SUB inbox 1\r\nPUB ask inbox 2\r\nhi\r\n")
    reply = reply_in(node.take(route))
    assert re.fullmatch(rb"_R_\.\w{6}\.\w{6}", reply)
    node.feed(route, b"RMSG A %b 3\r\nyes\r\n" % reply)
    (found,) = taken(node, Latency)
    assert (found.status, found.reply) == (200, b"")


def test_nothing_is_awaited_where_the_responder_is_here_or_nobody_answered(node: Peers) -> None:
    imports(node)
    client, server = node.client(b"B"), node.client(b"A")
    node.feed(server, b"SUB svc 1\r\n")
    node.feed(client, b"SUB inbox 1\r\nPUB ask inbox 2\r\nhi\r\n")
    node.feed(server, b"PUB %b 2\r\nok\r\n" % reply_in(node.take(server)))
    assert node.take(client) == b"MSG inbox 1 2\r\nok\r\n"
    (found,) = taken(node, Latency)
    assert (found.status, found.responder, found.reply) == (200, server, b"")
    assert taken(node, Served) == []
    node.feed(client, b"PUB ask inbox 2\r\nhi\r\n")
    node.pass_time(1_100_000_000)
    (found,) = taken(node, Latency)
    assert (found.status, found.reply) == (504, b"")


def test_only_the_last_of_a_chain_is_known_to_the_responders_server(node: Peers) -> None:
    """C asks B, B asks A: the other server has only seen the reply in A."""
    imports(node)
    number = node.engine.service_import(
        node.account(b"C"), local=b"chain", exporter=node.account(b"B"), program=[(0, b"ask", ())], sampling=100
    )
    client, route = node.client(b"C"), node.join_raw()
    node.feed(route, b"RS+ A svc\r\n")
    node.take(route)
    node.feed(client, b"SUB inbox 1\r\nPUB chain inbox 2\r\nhi\r\n")
    reply = reply_in(node.take(route))
    node.feed(route, b"RMSG A %b 3\r\nyes\r\n" % reply)
    assert node.take(client) == b"MSG inbox 1 3\r\nyes\r\n"
    awaited = {found.service_import: found.reply for found in taken(node, Latency)}
    assert awaited.pop(number) == b""
    assert list(awaited.values()) == [reply]


def test_a_marked_reply_comes_back_from_another_cluster(node: Peers) -> None:
    node.identity()
    imports(node)
    client, outbound, inbound = node.client(b"B"), node.gateway(outbound=True), node.gateway(outbound=False)
    told = b'INFO {"gateway":"E","gateway_cmd":%d,"gateway_cmd_payload":"QQ=="}\r\n'  # of account A
    node.feed(outbound, told % 2 + b"RS+ A svc\r\n" + told % 3)
    node.feed(client, b"SUB inbox 1\r\nPUB ask inbox 2\r\nhi\r\n")
    sent = node.take(outbound)
    reply = reply_in(sent)
    assert b" " + PREFIX + reply + b" " in sent
    node.feed(inbound, b"RMSG A " + PREFIX + reply + b" 2\r\nok\r\n")
    assert node.take(client) == b"MSG inbox 1 2\r\nok\r\n"
    (found,) = taken(node, Latency)
    assert found.reply == reply


@pytest.mark.parametrize("wrong", [b"", b"seven77", b"nine99999", b"with.dot"])
def test_a_wrong_hash_is_refused(wrong: bytes) -> None:
    with pytest.raises(ValueError, match="eight characters"):
        Peers().engine.latency_identity(server_hash=wrong)


# --- the responder is here --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["route", "leaf", "gateway"])
def test_an_answer_to_a_marked_reply_is_told_once(node: Peers, kind: str) -> None:
    node.identity()
    links = {"route": node.join_raw, "leaf": lambda: node.leaf(b"L"), "gateway": lambda: node.gateway(outbound=False)}
    peer, server, other = links[kind](), node.client(), node.client()
    line, reply = {
        "route": (b"RMSG A svc %b 2\r\nhi\r\n", REPLY),
        "leaf": (b"LMSG svc %b 2\r\nhi\r\n", REPLY),
        "gateway": (b"RMSG A svc %b 2\r\nhi\r\n", b"_GR_.EEEEEE.zzzzzz." + REPLY),
    }[kind]
    node.feed(server, b"SUB svc 1\r\n")
    node.feed(peer, line % reply)
    assert node.take(server) == b"MSG svc 1 %b 2\r\nhi\r\n" % REPLY
    given_ns = node.now_ns
    node.pass_time(7_000_000)
    node.feed(other, b"PUB %b 2\r\nno\r\n" % REPLY)
    assert taken(node, Served) == [], "who was not asked"
    node.feed(server, b"PUB %b 2\r\nok\r\nPUB %b 2\r\nok\r\n" % (REPLY, REPLY))
    (found,) = taken(node, Served)
    assert (found.link, found.account, found.reply) == (server, node.account(b"A"), REPLY)
    assert (found.start_ns, found.service_ns) == (given_ns, 7_000_000)


def test_answers_of_another_cluster_still_go_straight_back(node: Peers) -> None:
    node.identity()
    server, inbound, back = node.client(), node.gateway(outbound=False), node.gateway(b"E", outbound=True)
    mapped = b"_GR_.EEEEEE.zzzzzz." + REPLY
    node.feed(server, b"SUB svc 1\r\n")
    node.feed(inbound, b"RMSG A svc %b 2\r\nhi\r\n" % mapped)
    node.take(back)
    node.feed(server, b"PUB %b 2\r\nok\r\n" % REPLY)
    assert node.take(back) == b"RMSG A " + mapped + b" 2\r\nok\r\n"
    assert len(taken(node, Served)) == 1


@pytest.mark.parametrize(
    "reply",
    [b"inbox", REPLY[:-1], REPLY + b"x", REPLY[:-1] + b"S", REPLY.replace(b".T", b"xT"), b"x" + REPLY[1:]],
    ids=["plain", "short", "long", "S", "joined", "no-R"],
)
def test_other_replies_are_not_remembered(node: Peers, reply: bytes) -> None:
    route, server = node.join_raw(), node.client()
    node.feed(server, b"SUB svc 1\r\n")
    node.feed(route, b"RMSG A svc %b 2\r\nhi\r\n" % reply)
    node.feed(server, b"PUB %b 2\r\nok\r\n" % reply)
    assert taken(node, Served) == []


def test_a_client_that_is_given_it_twice_answers_once(node: Peers) -> None:
    route, member = node.join_raw(), node.client()
    node.feed(member, b"SUB svc q 1\r\nSUB svc 2\r\n")
    node.feed(route, b"RMSG A svc + %b q 2\r\nhi\r\n" % REPLY)
    assert node.take(member).count(REPLY) == 2
    node.feed(member, b"PUB %b 2\r\nok\r\n" % REPLY)
    assert len(taken(node, Served)) == 1, "given twice, answered once"


def test_who_answers_too_late_is_forgotten(node: Peers) -> None:
    route, server = node.join_raw(), node.client()
    node.feed(server, b"SUB svc 1\r\n")
    node.feed(route, b"RMSG A svc %b 2\r\nhi\r\n" % REPLY)
    node.pass_time(300_000_000_000)
    node.feed(server, b"PUB %b 2\r\nok\r\n" % REPLY)
    assert taken(node, Served) == []


def test_replies_that_nobody_answers_take_no_more_than_their_place(node: Peers) -> None:
    """65,536 are remembered: the first of one more is not."""
    route, server = node.join_raw(), node.client()
    node.feed(server, b"SUB svc 1\r\n")
    names = [b"_R_.aaaaaa.%06d.tttttttt.T" % number for number in range(65_537)]
    for start in range(0, len(names), 4096):
        node.feed(route, b"".join(b"RMSG A svc %b 0\r\n\r\n" % name for name in names[start : start + 4096]))
        node.take(server)
    for name in (names[0], names[1], names[-1]):
        node.feed(server, b"PUB %b 0\r\n\r\n" % name)
    assert [found.reply for found in taken(node, Served)] == [names[1], names[-1]]


def test_a_node_that_does_not_measure_remembers_nothing() -> None:
    node = Peers()
    route, server = node.join_raw(), node.client()
    node.feed(server, b"SUB svc 1\r\n")
    node.feed(route, b"RMSG A svc %b 2\r\nhi\r\n" % REPLY)
    node.feed(server, b"PUB %b 2\r\nok\r\n" % REPLY)
    assert taken(node, Served) == []
