"""Leaf links in the engine: who is told of which interest, where messages go, what may cross (leafnodes 8 to 12)."""

import pytest
from peers import Peers

from gossamer.mesh.engine.kinds import CloseReason
from gossamer.mesh.engine.reference import ReferencePermissions


@pytest.fixture
def node() -> Peers:
    return Peers()


def lines(data: bytes) -> list[bytes]:
    return sorted(data.split(b"\r\n")[:-1])


def test_a_hub_tells_everything_and_a_spoke_its_own(node: Peers) -> None:
    client, route = node.client(), node.join_raw()
    node.feed(client, b"SUB mine 1\r\nSUB work q 2\r\nSUB work q 3\r\n")
    node.feed(route, b"RS+ A routed\r\nRS+ A work q 5\r\nLS+ X A of.x\r\n")
    below = node.leaf(b"X")
    assert lines(node.take(below)) == [b"LS+ mine", b"LS+ routed", b"LS+ work q 7"]
    other = node.leaf(b"Y")
    assert lines(node.take(other)) == [b"LS+ mine", b"LS+ of.x", b"LS+ routed", b"LS+ work q 7"]
    above = node.leaf(b"H", hub=True)
    assert lines(node.take(above)) == [b"LS+ mine", b"LS+ work q 2"]
    node.feed(below, b"LS+ below\r\nLS+ work q 3\r\n")
    assert lines(node.take(above)) == [b"LS+ below", b"LS+ work q 5"]
    assert lines(node.take(other)) == [b"LS+ below", b"LS+ work q 10"]
    assert node.take(below) == b""
    node.feed(above, b"LS+ from.hub\r\n")
    assert node.take(below) == b"LS+ from.hub\r\n"
    assert node.take(other) == b"LS+ from.hub\r\n"
    assert node.take(route) == b"RS+ A below\r\nRS+ A work q 5\r\n"


def test_routes_that_know_origins_are_told_them(node: Peers) -> None:
    route = node.join_raw()
    link = node.open_route_with_origins()
    leaf = node.leaf(b"X")
    node.take(route)
    node.take(link)
    node.feed(leaf, b"LS+ a\r\nLS+ a q 2\r\n")
    assert node.take(link) == b"LS+ X A a\r\nLS+ X A a q 2\r\n"
    assert node.take(route) == b"RS+ A a\r\nRS+ A a q 2\r\n"
    again = node.leaf(b"X")
    node.feed(again, b"LS+ a\r\nLS+ a q 3\r\n")
    assert node.take(link) == b"LS+ X A a q 5\r\n"
    node.feed(leaf, b"LS- a\r\nLS- a q\r\n")
    assert node.take(link) == b"LS+ X A a q 3\r\n"
    node.feed(again, b"", end=True)
    assert lines(node.take(link)) == [b"LS- X A a", b"LS- X A a q"]
    late = node.leaf(b"Z")
    node.feed(late, b"LS+ b\r\n")
    assert node.take(node.open_route_with_origins()) == b"LS+ Z A b\r\n"


def test_an_older_route_leaves_the_origin_out(node: Peers) -> None:
    node.account(b"A")
    old, leaf = node.join_raw(leaf_origin_unsubscribe=False), node.leaf(b"Y")
    node.feed(old, b"LS+ X A a\r\nLS+ X A a q 2\r\n")
    assert node.take(leaf) == b"LS+ a\r\nLS+ a q 2\r\n"
    node.feed(old, b"LS- A a\r\nLS- A a q\r\n")
    assert node.take(leaf) == b"LS- a\r\nLS- a q\r\n"
    assert old not in node.closed


def test_first_and_last_only(node: Peers) -> None:
    leaf = node.leaf(b"X")
    one, two = node.client(), node.client()
    node.feed(one, b"SUB a 1\r\n")
    node.feed(two, b"SUB a 1\r\nSUB a 2\r\n")
    assert node.take(leaf) == b"LS+ a\r\n"
    node.feed(two, b"UNSUB 1\r\nUNSUB 2\r\n")
    assert node.take(leaf) == b""
    node.feed(one, b"UNSUB 1\r\n")
    assert node.take(leaf) == b"LS- a\r\n"


def test_messages_down_and_up(node: Peers) -> None:
    leaf, client = node.leaf(b"X"), node.client()
    node.feed(leaf, b"LS+ a.*\r\nLS+ work q 2\r\n")
    node.feed(
        client, b"SUB up.> 7\r\nPUB a.b inbox 2\r\nhi\r\nHPUB a.c 12 14\r\nNATS/1.0\r\n\r\nhi\r\nPUB work 1\r\nx\r\n"
    )
    assert node.take(leaf) == (
        b"LS+ up.>\r\nLMSG a.b inbox 2\r\nhi\r\nHMSG a.c 12 14\r\nNATS/1.0\r\n\r\nhi\r\nLMSG work | q 1\r\nx\r\n"
    )
    node.feed(leaf, b"LMSG up.1 2\r\nho\r\nLMSG up.2 back 2\r\nho\r\nHMSG up.3 12 14\r\nNATS/1.0\r\n\r\nhi\r\n")
    assert node.take(client) == (
        b"MSG up.1 7 2\r\nho\r\nMSG up.2 7 back 2\r\nho\r\nHMSG up.3 7 12 14\r\nNATS/1.0\r\n\r\nhi\r\n"
    )


def test_a_queue_group_is_served_when_it_is_named(node: Peers) -> None:
    leaf, client = node.leaf(b"X"), node.client()
    node.feed(client, b"SUB work q 1\r\nSUB work 2\r\n")
    node.feed(leaf, b"LMSG work 1\r\nx\r\n")
    assert node.take(client) == b"MSG work 2 1\r\nx\r\n"
    node.feed(leaf, b"LMSG work | other q 1\r\nx\r\n")
    assert lines(node.take(client).replace(b"\r\nx\r\n", b"\r\n")) == [b"MSG work 1 1", b"MSG work 2 1"]
    node.feed(leaf, b"LMSG work + back q 1\r\nx\r\n")
    assert b"MSG work 1 back 1\r\n" in node.take(client)


def test_leaf_members_are_a_fallback(node: Peers) -> None:
    leaf, client, publisher = node.leaf(b"X"), node.client(), node.client()
    node.feed(leaf, b"LS+ work q 9\r\n")
    node.feed(client, b"SUB work q 1\r\n")
    node.take(leaf)
    node.feed(publisher, b"PUB work 1\r\nx\r\n" * 50)
    assert node.take(client).count(b"MSG") == 50
    node.feed(client, b"UNSUB 1\r\n")
    node.take(leaf)
    node.feed(publisher, b"PUB work 1\r\nx\r\n" * 5)
    assert node.take(leaf) == b"LMSG work | q 1\r\nx\r\n" * 5


def test_nothing_comes_back_to_its_cluster(node: Peers) -> None:
    one, same, other = node.leaf(b"X"), node.leaf(b"X"), node.leaf(b"Y")
    route = node.open_route_with_origins()
    for link in (one, same, other):
        node.feed(link, b"LS+ a\r\n")
        node.take(link)
    node.feed(route, b"LS+ X A a\r\n")
    for link in (one, same, other, route):
        node.take(link)
    node.feed(one, b"LMSG a 1\r\nx\r\n")
    assert node.take(other) == b"LMSG a 1\r\nx\r\n"
    assert node.take(same) == b""
    assert node.take(route) == b""
    node.feed(route, b"RS+ A a\r\n")
    node.feed(one, b"LMSG a 1\r\nx\r\n")
    assert node.take(route) == b"LMSG X A a 0 1\r\nx\r\n"
    node.take(other)
    node.feed(route, b"LMSG X A a 0 1\r\nx\r\n")
    assert node.take(other) == b"LMSG a 1\r\nx\r\n"
    assert node.take(one) == b""
    assert node.take(same) == b""


def test_a_spoke_keeps_a_hubs_messages_from_its_routes(node: Peers) -> None:
    above, route, below, second = node.leaf(b"H", hub=True), node.join_raw(), node.leaf(b"X"), node.leaf(b"G", hub=True)
    node.feed(route, b"RS+ A a\r\n")
    node.feed(below, b"LS+ a\r\n")
    node.feed(second, b"LS+ a\r\n")
    client = node.client()
    node.feed(client, b"SUB a 1\r\n")
    for link in (above, route, below, second):
        node.take(link)
    node.feed(above, b"LMSG a 1\r\nx\r\n")
    assert node.take(client) == b"MSG a 1 1\r\nx\r\n"
    assert node.take(below) == b"LMSG a 1\r\nx\r\n"
    assert node.take(second) == b"LMSG a 1\r\nx\r\n"
    assert node.take(route) == b""
    node.feed(route, b"RMSG A a 1\r\nx\r\n")
    assert node.take(below) == b"LMSG a 1\r\nx\r\n"
    assert node.take(above) == b""
    assert node.take(second) == b""


def test_isolation(node: Peers) -> None:
    lonely, other, client = node.leaf(b"X", isolated=True), node.leaf(b"Y"), node.client()
    node.feed(other, b"LS+ y\r\nLS+ $LDS.other\r\n")
    node.feed(client, b"SUB mine 1\r\n")
    assert node.take(lonely) == b"LS+ mine\r\n"
    node.feed(lonely, b"LS+ x\r\n")
    assert node.take(other) == b"LS+ mine\r\nLS+ x\r\n"


def test_loops(node: Peers) -> None:
    node.engine.subscribe_loop_detection(node.account(b"A"), b"$LDS.abc")
    below, above = node.leaf(b"X"), node.leaf(b"H", hub=True)
    assert node.take(below) == b"LS+ $LDS.abc\r\n"
    assert node.take(above) == b"LS+ $LDS.abc\r\n"
    node.feed(below, b"LS+ $LDS.def\r\n")
    assert node.take(above) == b"LS+ $LDS.def\r\n"
    text = b'Loop detected for leafnode account="A". Delaying attempt to reconnect for 30s'
    assert node.feed(above, b"LS+ $LDS.abc\r\n") == b"-ERR '" + text + b"'\r\n"
    assert node.reasons[above].error == text
    assert below not in node.closed


def test_rights_of_a_leaf(node: Peers) -> None:
    rights = ReferencePermissions(
        publish_allow=(b"up.>",),
        publish_deny=(b"up.no",),
        subscribe_allow=((b"down.>", b""),),
        subscribe_deny=((b"down.no", b""),),
    )
    client = node.client()
    node.feed(client, b"SUB up.* 1\r\nSUB up.no 2\r\nSUB elsewhere 3\r\nSUB > 4\r\n")
    leaf = node.leaf(b"X", permissions=rights)
    assert lines(node.take(leaf)) == [b"LS+ >", b"LS+ up.*"]
    node.feed(leaf, b"LS+ down.*\r\nLS+ other.*\r\n")
    node.feed(client, b"PUB down.yes 1\r\nx\r\nPUB down.no 1\r\nx\r\nPUB other.1 1\r\nx\r\n")
    assert node.take(leaf) == b"LMSG down.yes 1\r\nx\r\n"
    node.take(client)
    node.feed(leaf, b"LMSG up.yes 1\r\nx\r\n")
    assert node.take(client).count(b"MSG up.yes") == 2
    second = node.leaf(b"Y", permissions=rights)
    node.take(second)
    assert node.feed(second, b"LS+ other\r\n") == b"-ERR 'Permissions Violation for Subscription to \"other\"'\r\n"
    assert node.feed(leaf, b"LMSG up.no 1\r\nx\r\n") == b"-ERR 'Permissions Violation for Publish to \"up.no\"'\r\n"
    assert {leaf, second} <= node.closed
    assert b"up.no" not in node.take(client)


def test_rights_that_a_hub_gave_us(node: Peers) -> None:
    rights = ReferencePermissions(publish_allow=(b"up.>",), subscribe_allow=((b"down.>", b""),))
    client = node.client()
    node.feed(client, b"SUB down.a 1\r\nSUB other 2\r\n")
    hub = node.leaf(b"H", hub=True, permissions=rights)
    assert node.take(hub) == b"LS+ down.a\r\n"
    node.feed(hub, b"LS+ up.a\r\nLS+ elsewhere\r\n")
    node.feed(client, b"PUB up.a 1\r\nx\r\nPUB elsewhere 1\r\nx\r\n")
    assert node.take(hub) == b"LMSG up.a 1\r\nx\r\n"
    assert node.feed(hub, b"LMSG other 1\r\nx\r\nLMSG down.a 1\r\nx\r\n") == b""
    assert node.take(client) == b"MSG down.a 1 1\r\nx\r\n"
    node.engine.change(hub, permissions=node.compiled(ReferencePermissions(subscribe_allow=((b"other", b""),))))
    node.settle()
    assert lines(node.take(hub)) == [b"LS+ other", b"LS- down.a"]
    node.feed(client, b"PUB elsewhere 1\r\nx\r\n")
    assert node.take(hub) == b"LMSG elsewhere 1\r\nx\r\n"


def test_limits_and_bad_lines(node: Peers) -> None:
    leaf = node.leaf(b"X", max_subscriptions=1)
    error = b"-ERR 'maximum subscriptions exceeded'\r\n"
    assert node.feed(leaf, b"LS+ a\r\nLS+ a\r\nLS+ b\r\n") == error
    assert node.feed(leaf, b"LS- a\r\nLS+ b..c\r\n") == b"-ERR 'Invalid Subscription'\r\n"
    assert node.feed(leaf, b"LS- nothing\r\nLS+ b\r\n") == b""
    assert node.feed(leaf, b"LS+ a b\r\n") == b""
    assert node.reasons[leaf].reason == CloseReason.PROTOCOL_VIOLATION
    other = node.leaf(b"X")
    assert node.feed(other, b"RMSG A a 1\r\nx\r\n") == b"-ERR 'Unknown Protocol Operation'\r\n"
    third = node.leaf(b"X")
    node.engine.configure(max_payload=10)
    assert node.feed(third, b"LMSG a 11\r\nxxxxxxxxxxx\r\n") == b"-ERR 'Maximum Payload Violation'\r\n"


def test_a_request_through_a_leaf_and_no_responders(node: Peers) -> None:
    leaf, client = node.leaf(b"X"), node.client()
    node.feed(client, b"SUB inbox.* 1\r\n")
    assert node.feed(client, b"PUB svc inbox.1 0\r\n\r\n").startswith(b"HMSG inbox.1 1 ")
    node.feed(leaf, b"LS+ svc\r\n")
    node.take(leaf)
    assert node.feed(client, b"PUB svc inbox.1 0\r\n\r\n") == b""
    assert node.take(leaf) == b"LMSG svc inbox.1 0\r\n\r\n"
    node.feed(leaf, b"LMSG inbox.1 2\r\nok\r\n")
    assert node.take(client) == b"MSG inbox.1 1 2\r\nok\r\n"


def test_a_leaf_uses_a_service_import_and_a_mapping(node: Peers) -> None:
    a, b = node.account(b"A"), node.account(b"B")
    node.engine.mapping(a, b"old", [(100, [(0, b"new", ())])])
    node.engine.service_import(a, local=b"ask", exporter=b, program=[(0, b"svc", ())])
    leaf = node.leaf(b"X")
    assert lines(node.take(leaf)) == [b"LS+ ask", b"LS+ old"]
    client, service = node.client(), node.client(b"B")
    node.feed(client, b"SUB new 1\r\nSUB new q 2\r\n")
    node.feed(service, b"SUB svc 1\r\n")
    node.feed(leaf, b"LMSG old 1\r\nx\r\n")
    assert lines(node.take(client).replace(b"\r\nx\r\n", b"\r\n")) == [b"MSG new 1 1", b"MSG new 2 1"]
    node.feed(leaf, b"LS+ back\r\nLMSG ask back 1\r\nx\r\n")
    request = node.take(service)
    assert b'Nats-Request-Info: {"acc":"A","rtt":' in request
    reply = request.split(b" ")[3]
    node.take(leaf)
    node.feed(service, b"PUB " + reply + b" 2\r\nok\r\n")
    assert node.take(leaf) == b"LMSG back 2\r\nok\r\n"
    node.engine.mapping(a, b"old", None)
    node.settle()
    assert node.take(leaf) == b"LS- old\r\n"


def test_a_stream_import_feeds_a_leaf(node: Peers) -> None:
    a, b = node.account(b"A"), node.account(b"B")
    node.engine.stream_import(a, exporter=b, subject=b"feed.*", program=[(0, b"in", ()), (1, b"", (1,))])
    leaf, publisher = node.leaf(b"X"), node.client(b"B")
    node.feed(leaf, b"LS+ in.x\r\nLS+ in.* q 1\r\n")
    node.feed(publisher, b"PUB feed.x 1\r\nx\r\nPUB feed.y 1\r\ny\r\n")
    # One line for plain interest and groups, as plain interest is implied by every line.
    assert node.take(leaf) == b"LMSG in.x | q 1\r\nx\r\nLMSG in.y | q 1\r\ny\r\n"


def test_a_leaf_asks_itself_through_its_hub(node: Peers) -> None:
    a, b = node.account(b"A"), node.account(b"B")
    node.engine.service_import(b, local=b"do", exporter=a, program=[(0, b"svc", ())])
    node.engine.stream_import(b, exporter=a, subject=b"feed", program=[(0, b"in", ())])
    serving, asking = node.leaf(b"X"), node.leaf(b"X", account=b"B")
    node.feed(serving, b"LS+ svc\r\n")
    node.feed(asking, b"LS+ inbox\r\nLS+ in\r\nLMSG do inbox 1\r\nx\r\n")
    request = node.take(serving)
    assert b"HMSG svc _R_." in request
    reply = request.partition(b"HMSG svc ")[2].split(b" ")[0]
    node.take(asking)
    node.feed(serving, b"LMSG " + reply + b" 2\r\nok\r\n")
    assert node.take(asking) == b"LMSG inbox 2\r\nok\r\n"
    node.feed(serving, b"LMSG feed 1\r\nx\r\n")
    assert node.take(asking) == b"LMSG in 1\r\nx\r\n"


def test_a_stream_import_feeds_a_hub(node: Peers) -> None:
    a, b = node.account(b"A"), node.account(b"B")
    node.engine.stream_import(b, exporter=a, subject=b"feed", program=[(0, b"in", ())])
    source, hub, client = node.leaf(b"H", hub=True), node.leaf(b"H", account=b"B", hub=True), node.client()
    node.feed(hub, b"LS+ in\r\n")
    assert node.take(source) == b"LS+ feed\r\n"
    node.feed(client, b"PUB feed 1\r\nx\r\n")
    assert node.take(hub) == b"LMSG in 1\r\nx\r\n"
    node.feed(source, b"LMSG feed 1\r\nx\r\n")
    assert node.take(hub) == b""  # it came from there


def test_headers_are_left_out_for_a_peer_without(node: Peers) -> None:
    leaf, client = node.leaf(b"X", headers=False), node.client()
    node.feed(leaf, b"LS+ a\r\n")
    node.feed(client, b"HPUB a 12 14\r\nNATS/1.0\r\n\r\nhi\r\n")
    assert node.take(leaf) == b"LMSG a 2\r\nhi\r\n"


def test_a_group_without_a_member_goes_on_to_a_node_that_has_no_copy(node: Peers) -> None:
    node.account(b"A")
    source, with_copy, without = node.join_raw(), node.join_raw(), node.join_raw()
    node.feed(with_copy, b"RS+ A a\r\nRS+ A a q 1\r\n")
    node.feed(source, b"RMSG A a | q 1\r\nx\r\n")
    assert node.take(with_copy) == b""  # its plain subscribers would hear the message again
    node.feed(without, b"RS+ A a q 1\r\n")
    for _ in range(20):
        node.feed(source, b"RMSG A a | q 1\r\nx\r\n")
    assert node.take(with_copy) == b""
    assert node.take(without) == b"RMSG A a | q 1\r\nx\r\n" * 20


def test_a_leafs_own_write_deadline(node: Peers) -> None:
    """Neither the clients' nor the routes' counts."""
    node.engine.configure(
        write_deadline_ns=60_000_000_000, route_write_deadline_ns=60_000_000_000, leaf_write_deadline_ns=2_000_000_000
    )
    leaf, client = node.leaf(b"EDGE"), node.client()
    node.feed(leaf, b"LS+ a\r\n")
    node.engine.hold(leaf, True)
    node.feed(client, b"PUB a 1\r\nx\r\n")
    node.pass_time(1_500_000_000)
    assert not node.closed
    node.pass_time(1_000_000_000)
    assert node.closed == {leaf}
    assert node.reasons[leaf].reason == CloseReason.SLOW_CONSUMER_WRITE_DEADLINE


def test_a_stream_import_feeds_a_leaf_from_another_node(node: Peers) -> None:
    """Plain and group; the local member of a group comes before the one behind the leaf link."""
    exporter, importer = node.account(b"X"), node.account(b"A")
    node.engine.stream_import(importer, exporter=exporter, subject=b"feed", program=[(0, b"in", ())])
    leaf, route = node.leaf(b"EDGE"), node.join_raw()
    node.feed(leaf, b"LS+ in\r\nLS+ in q 1\r\n")
    node.take(route)
    for _ in range(3):
        node.feed(route, b"RMSG X feed 1\r\nx\r\nRMSG X feed | q 1\r\ny\r\n")
        assert node.take(leaf) == b"LMSG in 1\r\nx\r\nLMSG in | q 1\r\ny\r\n"
    here = node.client()
    node.feed(here, b"SUB in q 1\r\n")
    assert node.take(leaf) == b"LS+ in q 1\r\n"
    publisher = node.client(b"X")
    for _ in range(20):
        node.feed(route, b"RMSG X feed | q 1\r\ny\r\n")
        node.feed(publisher, b"PUB feed 1\r\nz\r\n")
    assert node.take(here) == b"MSG in 1 1\r\ny\r\nMSG in 1 1\r\nz\r\n" * 20
    assert node.take(leaf) == b"LMSG in 1\r\ny\r\nLMSG in 1\r\nz\r\n" * 20  # its plain subscription


def test_an_isolated_hub_is_not_told_of_other_leafs(node: Peers) -> None:
    below, hub, client = node.leaf(b"X"), node.leaf(b"H", hub=True, isolated=True), node.client()
    node.take(hub)
    node.feed(below, b"LS+ a\r\nLS+ a q 1\r\nLS+ $LDS.x\r\n")
    assert node.take(hub) == b""
    node.feed(client, b"SUB a 1\r\n")
    assert node.take(hub) == b"LS+ a\r\n"


def test_a_group_goes_on_to_a_node_that_stands_for_a_leaf(node: Peers) -> None:
    node.account(b"A")
    other, source = node.open_route_with_origins(), node.open_route_with_origins()
    node.feed(other, b"LS+ Y A a q 3\r\n")
    node.feed(source, b"RMSG A a | q 1\r\nx\r\nLMSG X A a | q 0 1\r\ny\r\nLMSG Y A a | q 0 1\r\nz\r\n")
    # Not back to the cluster it came from.
    assert node.take(other) == b"RMSG A a | q 1\r\nx\r\nLMSG X A a | q 0 1\r\ny\r\n"
