"""Gateways in the engine: interest both ways, where messages go, replies that are mapped (gateways 7 to 9)."""

import base64

import pytest
from peers import OURS, Peers

from gossamer.mesh.engine.views import GatewayAccount

SECOND_NS = 1_000_000_000
PREFIX = b"_GR_." + b".".join(OURS) + b"."


@pytest.fixture
def node() -> Peers:
    node = Peers()
    node.identity()
    node.account(b"A")
    return node


def command(number: int, account: bytes = b"A", gateway: bytes = b"O") -> bytes:
    return (
        b'INFO {"server_id":"","server_name":"","version":"","proto":0,"go":"","host":"","port":0,"headers":false,'
        b'"max_payload":0,"gateway":"%s","gateway_cmd":%d,"gateway_cmd_payload":"%s"}\r\n'
        % (gateway, number, base64.b64encode(account))
    )


def wants(*subjects: bytes) -> bytes:
    """What an outbound peer says of account A in interest-only mode."""
    return command(2, gateway=b"E") + b"".join(b"RS+ A %s\r\n" % one for one in subjects) + command(3, gateway=b"E")


# --- what solicitors are told -----------------------------------------------------------------------------------------


def test_an_inbound_is_told_what_the_cluster_wants(node: Peers) -> None:
    client, route, leaf, hub = node.client(), node.join_raw(), node.leaf(b"X"), node.leaf(b"H", hub=True)
    node.feed(client, b"SUB a 1\r\nSUB work q 2\r\n")
    node.feed(route, b"RS+ A a\r\nRS+ A b\r\nRS+ A work q 7\r\n")
    node.feed(leaf, b"LS+ c\r\n")
    node.feed(hub, b"LS+ d\r\n")
    inbound = node.gateway(outbound=False)
    told = node.take(inbound)
    assert told == b"RS+ A work q 1\r\n" + command(2) + b"RS+ A a\r\nRS+ A b\r\nRS+ A c\r\n" + command(3)
    node.feed(client, b"UNSUB 1\r\nUNSUB 2\r\nSUB b 3\r\nSUB e 4\r\nSUB e q 5\r\n")
    assert node.take(inbound) == b"RS+ A e\r\nRS+ A e q 1\r\n"
    node.feed(route, b"RS+ A work q 9\r\nRS- A a\r\n")
    assert node.take(inbound) == b"RS- A a\r\n"
    node.feed(route, b"", end=True)
    assert node.take(inbound) == b"RS- A work q\r\n"
    node.account(b"long name \xc3\xa9")
    node.settle()
    assert node.take(inbound) == command(2, b"long name \xc3\xa9") + command(3, b"long name \xc3\xa9")
    assert GatewayAccount(b"A", "interest-only", 3, 1, 0) in node.engine.gateway_accounts(inbound)


def test_service_imports_are_not_counted(node: Peers) -> None:
    node.engine.service_import(node.account(b"A"), local=b"ask", exporter=node.account(b"B"), program=[(0, b"svc", ())])
    inbound = node.gateway(outbound=False)
    assert b"ask" not in node.take(inbound)


def test_a_solicitor_that_speaks_of_interest(node: Peers) -> None:
    inbound = node.gateway(outbound=False)
    node.take(inbound)
    assert node.feed(inbound, b"A+ A\r\nA- A\r\nA- NEW\r\n") == b""
    assert inbound not in node.closed
    node.feed(inbound, b"RS+ A a\r\n")
    assert inbound in node.closed
    other = node.gateway(outbound=False)
    node.take(other)
    assert node.feed(other, b"LMSG A a 1\r\nx\r\n") == b"-ERR 'Unknown Protocol Operation'\r\n"


# --- what acceptors want ----------------------------------------------------------------------------------------------


def sent(node: Peers, link: int, client: int, *subjects: bytes) -> list[bytes]:
    """Which of the subjects were sent to the link."""
    node.take(link)
    found = []
    for subject in subjects:
        node.feed(client, b"PUB %s 1\r\nx\r\n" % subject)
        if b"RMSG A %s 1\r\nx\r\n" % subject == node.take(link):
            found.append(subject)
    return found


def test_interest_only(node: Peers) -> None:
    client, outbound = node.client(), node.gateway(outbound=True)
    assert sent(node, outbound, client, b"a") == []
    node.feed(outbound, b"RS+ A a\r\n")
    assert sent(node, outbound, client, b"a") == []
    node.feed(outbound, command(2) + b"RS+ A a\r\nRS+ A b.*\r\n")
    assert sent(node, outbound, client, b"a", b"b.c", b"c") == [b"a", b"b.c"]
    node.feed(outbound, command(3) + b"RS- A a\r\nRS+ A c\r\n")
    assert sent(node, outbound, client, b"a", b"b.c", b"c") == [b"b.c", b"c"]
    assert node.engine.gateway_accounts(outbound) == [GatewayAccount(b"A", "interest-only", 2, 0, 0)]
    assert node.feed(outbound, b'INFO {"gateway":"E","gateway_cmd":7}\r\n') == b""
    assert node._parked.pop(outbound).endswith(b"7}")
    node.engine.resume(outbound)
    assert sent(node, outbound, client, b"c") == [b"c"]


def test_an_account_that_becomes_known_later() -> None:
    node = Peers()
    node.engine.configure(placeholder_accounts=True)
    node.identity()
    outbound = node.gateway(outbound=True)
    node.feed(outbound, wants(b"a"))
    client = node.client()
    node.feed(outbound, b"RS+ A b\r\n")
    assert sent(node, outbound, client, b"a", b"b", b"c") == [b"a", b"b"]


def test_a_peer_without_interest_only_mode(node: Peers) -> None:
    client, outbound = node.client(), node.gateway(outbound=True, interest_only=False)
    assert sent(node, outbound, client, b"a", b"b") == [b"a", b"b"]
    node.feed(outbound, b"RS- A a\r\nRS- A b.c\r\nRS- A b.d\r\n")
    assert sent(node, outbound, client, b"a", b"b", b"b.c", b"b.e") == [b"b", b"b.e"]
    assert node.engine.gateway_accounts(outbound) == [GatewayAccount(b"A", "optimistic", 0, 0, 3)]
    node.feed(outbound, b"RS+ A b.*\r\n")
    assert sent(node, outbound, client, b"a", b"b.c", b"b.d") == [b"b.c", b"b.d"]
    node.feed(outbound, b"A- A\r\n")
    assert sent(node, outbound, client, b"b") == []
    node.feed(outbound, b"A+ A\r\n")
    assert sent(node, outbound, client, b"a", b"b") == [b"a", b"b"]
    node.feed(outbound, b"A- A\r\nRS+ A work q 1\r\n")
    assert sent(node, outbound, client, b"b") == [b"b"]
    node.feed(outbound, b"RS- A b\r\n" + command(2) + b"RS+ A x\r\n")
    assert sent(node, outbound, client, b"b", b"c", b"x") == [b"c", b"x"]
    node.feed(outbound, command(3))
    assert sent(node, outbound, client, b"b", b"c", b"x") == [b"x"]
    later = node.client(b"LATER")
    node.feed(later, b"PUB a 1\r\nx\r\n")
    assert node.take(outbound) == b"RMSG LATER a 1\r\nx\r\n"


def test_a_peer_that_forgot_that_we_wait_to_be_told(node: Peers) -> None:
    client, outbound = node.client(), node.gateway(outbound=True)
    node.feed(outbound, wants(b"a"))
    node.feed(outbound, b"RS- A a\r\nA- A\r\n")
    assert sent(node, outbound, client, b"a", b"b") == []
    node.feed(outbound, b"A+ A\r\n")
    assert sent(node, outbound, client, b"a", b"b") == [b"a", b"b"]
    node.feed(outbound, b"RS- A a\r\n")
    assert sent(node, outbound, client, b"a", b"b") == [b"b"]
    node.feed(outbound, wants(b"c"))
    assert sent(node, outbound, client, b"a", b"b", b"c") == [b"c"]


def test_a_command_without_an_account(node: Peers) -> None:
    outbound = node.gateway(outbound=True)
    assert node.feed(outbound, b'INFO {"gateway":"E","gateway_cmd":2}\r\n') == (
        b"-ERR 'Account absent from receive-all-subscriptions-start command'\r\n"
    )
    other = node.gateway(outbound=True)
    assert node.feed(other, b'INFO {"gateway":"E","gateway_cmd":3,"gateway_cmd_payload":""}\r\n') == (
        b"-ERR 'Account absent from receive-all-subscriptions-complete command'\r\n"
    )


def test_everything_is_forgotten_with_the_link(node: Peers) -> None:
    client, outbound = node.client(), node.gateway(outbound=True, interest_only=False)
    node.feed(outbound, b"RS- A a\r\n" + wants(b"a") + b"RS+ A work q 1\r\n")
    node.feed(outbound, b"", end=True)
    again = node.gateway(outbound=True)
    assert sent(node, again, client, b"a", b"work") == []
    assert node.engine.gateway_accounts(outbound) == []


# --- messages ---------------------------------------------------------------------------------------------------------


def test_a_copy_to_each_cluster_and_groups_to_the_nearest(node: Peers) -> None:
    client, near, far = node.client(), node.gateway(b"N", outbound=True), node.gateway(b"F", outbound=True)
    for link, rtt in ((near, 1_000_000), (far, 50_000_000)):
        node.engine.ping(link)
        node.settle()
        node.take(link)
        node.pass_time(rtt)
        node.feed(link, b"PONG\r\n")
    node.feed(near, command(2) + command(3) + b"RS+ A work q 1\r\n")
    node.feed(far, wants(b"work", b"a") + b"RS+ A work q 1\r\nRS+ A work other 1\r\n")
    for link in (near, far):
        node.take(link)
    node.feed(client, b"PUB a 1\r\nx\r\nPUB work re 1\r\nx\r\n")
    assert node.take(near) == b"RMSG A work + re q 1\r\nx\r\n"
    assert node.take(far) == b"RMSG A a 1\r\nx\r\nRMSG A work + re other 1\r\nx\r\n"
    route = node.join_raw()
    node.feed(route, b"RS+ A work q 1\r\n")
    node.feed(client, b"PUB work 1\r\nx\r\n")
    assert node.take(near) == b""
    assert node.take(far) == b"RMSG A work | other 1\r\nx\r\n"
    assert node.take(route) == b"RMSG A work | q 1\r\nx\r\n"
    node.feed(route, b"RS- A work q\r\n")
    node.feed(near, b"", end=True)
    node.feed(client, b"PUB work 1\r\nx\r\n")
    assert node.take(far) in {b"RMSG A work | q other 1\r\nx\r\n", b"RMSG A work | other q 1\r\nx\r\n"}


def test_what_comes_by_gateway_stays_in_the_cluster(node: Peers) -> None:
    inbound, outbound, route = node.gateway(outbound=False), node.gateway(outbound=True), node.join_raw()
    client, leaf, hub = node.client(), node.leaf(b"X"), node.leaf(b"H", hub=True)
    node.feed(outbound, wants(b"a"))
    node.feed(route, b"RS+ A a\r\nRS+ A a q 1\r\n")
    node.feed(client, b"SUB a 1\r\nSUB a q 2\r\nSUB a p 3\r\n")
    node.feed(leaf, b"LS+ a\r\n")
    node.feed(hub, b"LS+ a\r\n")
    for link in (client, leaf, hub, route, outbound, inbound):
        node.take(link)
    node.feed(inbound, b"RMSG A a 1\r\nx\r\n")
    assert node.take(client) == b"MSG a 1 1\r\nx\r\n"
    assert node.take(leaf) == b"LMSG a 1\r\nx\r\n"
    assert node.take(route) == b"RMSG A a 1\r\nx\r\n"
    assert node.take(hub) + node.take(outbound) == b""
    served = 0
    for _ in range(20):
        node.feed(inbound, b"RMSG A a | q 1\r\nx\r\n")
        served += node.take(client).count(b"MSG a 2") + node.take(route).count(b"| q")
    assert served == 20
    node.feed(route, b"RMSG A a 1\r\nx\r\n")
    assert node.take(outbound) + node.take(hub) == b""
    node.feed(leaf, b"LMSG a 1\r\nx\r\n")
    assert node.take(outbound) == b"RMSG A a 1\r\nx\r\n"
    node.feed(inbound, b"RMSG UNKNOWN a 1\r\nx\r\n")
    assert inbound not in node.closed


def test_headers(node: Peers) -> None:
    client, with_them, without = (
        node.client(),
        node.gateway(outbound=True),
        node.gateway(b"F", outbound=True, headers=False),
    )
    for link in (with_them, without):
        node.feed(link, wants(b"a"))
    node.feed(client, b"HPUB a 12 14\r\nNATS/1.0\r\n\r\nhi\r\n")
    assert node.take(with_them) == b"HMSG A a 12 14\r\nNATS/1.0\r\n\r\nhi\r\n"
    assert node.take(without) == b"RMSG A a 2\r\nhi\r\n"


# --- replies ----------------------------------------------------------------------------------------------------------


def test_a_reply_is_mapped_while_its_subscription_is_new(node: Peers) -> None:
    client, outbound = node.client(), node.gateway(outbound=True)
    node.feed(outbound, wants(b"svc"))
    node.feed(client, b"SUB inbox.* 1\r\nPUB svc inbox.1 0\r\n\r\nPUB svc nobody 0\r\n\r\n")
    assert node.take(outbound) == b"RMSG A svc " + PREFIX + b"inbox.1 0\r\n\r\nRMSG A svc nobody 0\r\n\r\n"
    node.pass_time(2 * SECOND_NS)
    node.take(outbound)
    node.feed(client, b"PUB svc inbox.1 0\r\n\r\n")
    assert node.take(outbound) == b"RMSG A svc inbox.1 0\r\n\r\n"


def test_the_answer_goes_straight_back(node: Peers) -> None:
    service, inbound = node.client(), node.gateway(outbound=False)
    back, other = node.gateway(b"E", outbound=True), node.gateway(b"F", outbound=True)
    for link in (back, other):
        node.feed(link, wants(b"inbox.1"))
    listener = node.client()
    node.feed(listener, b"SUB inbox.1 1\r\n")
    node.feed(service, b"SUB svc 1\r\n")
    mapped = b"_GR_.EEEEEE.zzzzzz.inbox.1"
    node.feed(inbound, b"RMSG A svc " + mapped + b" 0\r\n\r\n")
    assert node.take(service) == b"MSG svc 1 inbox.1 0\r\n\r\n"
    for link in (back, other, listener):
        node.take(link)
    node.feed(service, b"PUB inbox.1 2\r\nok\r\nPUB inbox.1 3\r\nok2\r\n")
    assert node.take(back) == b"RMSG A " + mapped + b" 2\r\nok\r\nRMSG A " + mapped + b" 3\r\nok2\r\n"
    assert node.take(other) + node.take(listener) == b""
    node.feed(listener, b"PUB inbox.1 2\r\nmy\r\n")  # another connection's publish is an ordinary one
    assert node.take(other) == b"RMSG A inbox.1 2\r\nmy\r\n"
    node.pass_time(3 * SECOND_NS)
    for link in (back, other, listener):
        node.take(link)
    node.feed(service, b"PUB inbox.1 2\r\nok\r\n")
    assert node.take(back) == b"RMSG A inbox.1 2\r\nok\r\n"
    assert node.take(listener).endswith(b"MSG inbox.1 1 2\r\nok\r\n")


def test_replies_arrive_at_the_node_they_name(node: Peers) -> None:
    client, inbound, route, outbound = (
        node.client(),
        node.gateway(outbound=False),
        node.open_route_with_origins(),
        node.gateway(b"F", outbound=True),
    )
    node.feed(client, b"SUB inbox.* 1\r\nSUB inbox.q q 2\r\n")
    node.feed(outbound, wants(b"inbox.*"))
    for link in (client, inbound, route, outbound):
        node.take(link)
    node.feed(inbound, b"RMSG A " + PREFIX + b"inbox.q 1\r\nx\r\n")
    assert sorted(node.take(client).split(b"\r\n"))[1:] == [b"MSG inbox.q 1 1", b"MSG inbox.q 2 1", b"x", b"x"]
    assert node.take(outbound) == b"RMSG A inbox.q 1\r\nx\r\n"
    theirs = b"_GR_." + OURS[0] + b".rrrrrr.inbox.1"
    node.feed(inbound, b"RMSG A " + theirs + b" 1\r\nx\r\n")
    assert node.take(route) == b"RMSG A " + theirs + b" 1\r\nx\r\n"
    assert node.take(client) == b""
    node.feed(inbound, b"RMSG A _GR_." + OURS[0] + b".uuuuuu.inbox.1 1\r\nx\r\n")
    assert node.take(client) == b"MSG inbox.1 1 1\r\nx\r\n"
    node.take(outbound)
    node.feed(inbound, b"RMSG A _GR_.xxxxxx.ssssss.inbox.1 1\r\nx\r\n")
    assert node.take(client) + node.take(outbound) == b""
    node.feed(route, b"RS+ A inbox.1\r\n")
    other = node.join_raw()
    node.feed(other, b"RS+ A inbox.1\r\n")
    node.feed(route, b"RMSG A " + PREFIX + b"inbox.1 1\r\nx\r\n")
    assert node.take(client) == b"MSG inbox.1 1 1\r\nx\r\n"
    assert node.take(other) == b"RMSG A inbox.1 1\r\nx\r\n"
    assert node.take(route) == b""


def test_a_mapped_reply_crosses_routes_and_leafs_as_it_is(node: Peers) -> None:
    inbound, route, leaf = node.gateway(outbound=False), node.join_raw(), node.leaf(b"X")
    back = node.gateway(b"E", outbound=True)
    assert node.take(leaf) == b"LS+ _GR_.>\r\n"
    node.feed(route, b"RS+ A svc\r\n")
    node.feed(leaf, b"LS+ svc\r\n")
    mapped = b"_GR_.EEEEEE.zzzzzz.inbox.1"
    node.feed(inbound, b"RMSG A svc " + mapped + b" 0\r\n\r\n")
    assert node.take(route).endswith(b"RMSG A svc " + mapped + b" 0\r\n\r\n")
    assert node.take(leaf).endswith(b"LMSG svc " + mapped + b" 0\r\n\r\n")
    node.take(back)
    node.feed(leaf, b"LMSG " + mapped + b" 2\r\nok\r\n")
    assert node.take(back) == b"RMSG A " + mapped + b" 2\r\nok\r\n"


def test_a_leaf_below_without_gateways_sends_the_answer_up() -> None:
    node = Peers()
    hub, service = node.leaf(b"H", hub=True), node.client()
    node.feed(hub, b"LS+ _GR_.>\r\n")
    node.feed(service, b"SUB svc 1\r\n")
    node.take(hub)
    mapped = b"_GR_.EEEEEE.zzzzzz.inbox.1"
    node.feed(hub, b"LMSG svc " + mapped + b" 0\r\n\r\n")
    assert node.take(service) == b"MSG svc 1 inbox.1 0\r\n\r\n"
    node.feed(service, b"PUB inbox.1 2\r\nok\r\n")
    assert node.take(hub) == b"LMSG " + mapped + b" 2\r\nok\r\n"


def test_an_answer_to_a_cluster_that_is_gone_is_nobodys(node: Peers) -> None:
    service, inbound, listener, route = node.client(), node.gateway(outbound=False), node.client(), node.join_raw()
    node.feed(service, b"SUB svc 1\r\nSUB > 2\r\n")
    node.feed(listener, b"SUB > 1\r\n")
    node.feed(route, b"RS+ A >\r\n")
    node.feed(inbound, b"RMSG A svc _GR_.EEEEEE.zzzzzz.inbox.1 0\r\n\r\n")
    for link in (service, listener, route):
        node.take(link)
    assert node.feed(service, b"PUB inbox.1 2\r\nok\r\n") == b""
    assert node.take(listener) + node.take(route) == b""


def test_the_control_plane_answers(node: Peers) -> None:
    inbound, back = node.gateway(outbound=False), node.gateway(b"E", outbound=True)
    node.engine.subscribe(node.account(b"A"), b"svc")
    mapped = b"_GR_.EEEEEE.zzzzzz.inbox.1"
    node.feed(inbound, b"RMSG A svc " + mapped + b" 0\r\n\r\n")
    assert node.mailbox[-1][1].reply == mapped
    node.take(back)
    node.engine.publish(node.account(b"A"), mapped, b"ok")
    node.settle()
    assert node.take(back) == b"RMSG A " + mapped + b" 2\r\nok\r\n"


def test_clients_may_not_use_the_prefix(node: Peers) -> None:
    client = node.client()
    assert node.feed(client, b"PUB _GR_.a.b.c 0\r\n\r\n").startswith(
        b"-ERR 'Permissions Violation for Publish to \"_GR_"
    )
    assert node.feed(client, b"PUB a _GR_.a.b.c 0\r\n\r\n").startswith(
        b"-ERR 'Permissions Violation for Publish with Reply of \"_GR_"
    )


def test_a_service_import_across(node: Peers) -> None:
    a, b = node.account(b"A"), node.account(b"B")
    node.engine.service_import(a, local=b"ask", exporter=b, program=[(0, b"svc", ())])
    client, outbound, inbound = node.client(), node.gateway(outbound=True), node.gateway(outbound=False)
    node.feed(outbound, command(2, b"B") + b"RS+ B svc\r\n" + command(3, b"B"))
    node.take(inbound)
    node.feed(client, b"SUB inbox.* 1\r\nPUB ask inbox.1 1\r\nx\r\n")
    assert b"RS+ B _R_." in node.take(inbound)
    request = node.take(outbound)
    assert request.startswith(b"HMSG B svc " + PREFIX + b"_R_.")
    assert b'Nats-Request-Info: {"acc":"A"' in request
    reply = request.split(b" ")[3]
    node.feed(inbound, b"RMSG B " + reply + b" 2\r\nok\r\n")
    assert node.take(client) == b"MSG inbox.1 1 2\r\nok\r\n"
    assert node.take(outbound) == b""


def test_pings_of_gateways_and_leafs(node: Peers) -> None:
    node.engine.configure(gateway_ping_interval_ns=15 * SECOND_NS, leaf_ping_interval_ns=60 * SECOND_NS)
    gateway, leaf, hub = node.gateway(outbound=True), node.leaf(b"X"), node.leaf(b"H", hub=True)
    for link in (gateway, leaf, hub):
        node.take(link)
    node.pass_time(1_300_000_000)
    for link in (gateway, leaf, hub):
        assert node.take(link) == b"PING\r\n"
        node.feed(link, b"PONG\r\n")
    node.pass_time(50 * SECOND_NS)
    assert node.take(gateway).startswith(b"PING\r\n")
    node.feed(leaf, b"LMSG a 1\r\nx\r\n")
    node.feed(hub, b"LMSG a 1\r\nx\r\n")
    node.pass_time(11 * SECOND_NS)
    assert node.take(leaf) == b""  # a hub that hears something has no need to ask
    assert node.take(hub) == b"PING\r\n"


ACKNOWLEDGED = b"$JS.ACK.S1.C1.1.1.1.1795444848927211061.0"


@pytest.mark.parametrize("verb", [b"RMSG A", b"HMSG A"])
def test_acknowledgement_replies_go_on_to_other_servers_as_they_came(node: Peers, verb: bytes) -> None:
    """From another cluster to a node, a leaf node and a client: only the last one sees the subject behind."""
    node.account(b"A")
    gateway, route, leaf, client = node.gateway(outbound=False), node.join_raw(), node.leaf(b"EDGE"), node.client()
    for link, line in ((route, b"RS+ A dlv"), (leaf, b"LS+ dlv"), (client, b"SUB dlv 1")):
        node.feed(link, line + b"\r\n")
    for link in (route, leaf, client):
        node.take(link)
    head, body = (b"", b"hello") if verb == b"RMSG A" else (b" 12", b"NATS/1.0\r\n\r\nhi")
    sizes = head + b" %d\r\n" % len(body) + body + b"\r\n"
    node.feed(gateway, verb + b" dlv " + ACKNOWLEDGED + b"@orders.new" + sizes)
    assert node.take(route) == verb + b" dlv " + ACKNOWLEDGED + b"@orders.new" + sizes
    shown = b"HMSG" if head else b"LMSG"
    assert node.take(leaf) == shown + b" dlv " + ACKNOWLEDGED + b"@orders.new" + sizes
    assert node.take(client) == (b"HMSG" if head else b"MSG") + b" orders.new 1 " + ACKNOWLEDGED + sizes
