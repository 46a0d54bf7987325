"""Interest and messages over leaf links, as a hub and as a leaf sees them (spec leafnodes section 22, items 22, 23, 25,
26, 28 to 39 and 43 to 47)."""

import pytest
from leaf_peers import told

from gossamer.mesh.engine import s2

HUB = """
server_name: hub
leafnodes { listen: "127.0.0.1:-1", compression: off }
"""
RESTRICTED = """
accounts { A { users: [
  {user: a, password: p},
  {user: l, password: p, permissions {
    publish: {allow: ["up.>", "_INBOX.>"], deny: ["up.secret"]},
    subscribe: {allow: ["down.>", "wide.*", "$LDS.>"], deny: ["down.secret"]} }} ] } }
leafnodes { listen: "127.0.0.1:-1", compression: off }
"""
HEADERS = b"NATS/1.0\r\nA: b\r\n\r\n"


@pytest.fixture
def hub(shared_server):
    return shared_server(config=HUB)


@pytest.fixture
def linked(start_server, fake_hub):
    """A server that dials a hub of ours: both, joined."""

    def start(more="", block="", top="", **fields):
        listening = fake_hub()
        server = start_server(
            config=f"""
            {top}
            server_name: sol
            leafnodes {{ {block} remotes: [ {{ url: "{listening.url}", compression: off, {more} }} ] }}
            """
        )
        link = listening.accept()
        link.accept_leaf(**fields)
        link.lines_until_pong()
        return server, link

    return start


def test_25_plain_interest_once(hub, leaf, join):
    peer = leaf(hub)
    peer.lines_until_pong()
    client = join(hub)
    for sid in (1, 2, 3):
        client.subscribe("t25", sid)
    client.ping()
    assert [line for line in peer.lines_until_pong() if "t25" in line] == ["LS+ t25"]
    client.send(b"UNSUB 1\r\nUNSUB 2\r\n")
    client.ping()
    assert peer.lines_until_pong() == []
    client.send(b"UNSUB 3\r\n")
    client.ping()
    assert peer.lines_until_pong() == ["LS- t25"]


def test_26_queue_interest_with_its_weight(hub, leaf, join):
    peer = leaf(hub)
    peer.lines_until_pong()
    client = join(hub)
    seen = []
    for line in ("SUB t26 q 1", "SUB t26 q 2", "UNSUB 1", "UNSUB 2"):
        client.send(line.encode() + b"\r\n")
        client.ping()
        seen += peer.lines_until_pong()
    assert seen == ["LS+ t26 q 1", "LS+ t26 q 2", "LS+ t26 q 1", "LS- t26 q"]


def test_28_messages_both_ways(hub, leaf, join):
    peer = leaf(hub)
    client = join(hub)
    client.subscribe("t28.>", 1)
    client.ping()
    peer.want("t28leaf.*")
    peer.lines_until_pong()
    peer.lmsg("t28.a", b"one")
    peer.lmsg("t28.b", b"two", reply="back.to")
    assert [client.read_message()[:3] for _ in range(2)] == [(b"t28.a", b"1", None), (b"t28.b", b"1", b"back.to")]
    client.publish("t28leaf.x", b"three", reply="r")
    client.publish("t28leaf.y")
    got = [peer.read_leaf_message() for _ in range(2)]
    assert [(m.subject, m.reply, m.queues, m.payload) for m in got] == [
        ("t28leaf.x", "r", (), b"three"),
        ("t28leaf.y", "", (), b""),
    ]


def test_28_large_payload(hub, leaf, join):
    peer = leaf(hub)
    client = join(hub)
    client.subscribe("t28big", 1)
    client.ping()
    peer.want("t28back")
    peer.lines_until_pong()
    payload = bytes(range(256)) * 4000
    peer.lmsg("t28big", payload)
    assert client.read_message().payload == payload
    client.publish("t28back", payload)
    assert peer.read_leaf_message().payload == payload


def test_29_queue_groups_must_be_named(hub, leaf, join):
    peer = leaf(hub)
    client = join(hub)
    client.subscribe("t29", 1, "q")
    client.subscribe("t29", 2)
    client.ping()
    peer.lmsg("t29", b"plain")
    peer.lmsg("t29", b"queue", queues=("q",))
    peer.lmsg("t29", b"reply", reply="r", queues=("q",))
    peer.lines_until_pong()
    got = client.read_messages_until_pong()
    assert [m.payload for m in got if m.sid == b"2"] == [b"plain", b"queue", b"reply"]
    assert [m.payload for m in got if m.sid == b"1"] == [b"queue", b"reply"]


def test_30_a_member_of_the_hub_comes_first(hub, leaf, join):
    peer = leaf(hub)
    peer.want("t30 q 5")
    peer.lines_until_pong()
    here, publisher = join(hub), join(hub)
    here.subscribe("t30", 1, "q")
    here.ping()
    for _ in range(20):
        publisher.publish("t30", b"x")
    publisher.ping()
    assert len(here.read_messages_until_pong()) == 20
    assert not [line for line in peer.lines_until_pong() if line.startswith("LMSG")]


def test_31_several_groups_in_one_line(hub, leaf, join):
    peer = leaf(hub)
    peer.want("t31", "t31 a 1", "t31 b 2")
    peer.lines_until_pong()
    client = join(hub)
    client.publish("t31", b"1")
    client.publish("t31", b"2", reply="r")
    first, second = peer.read_leaf_message(), peer.read_leaf_message()
    assert (first.reply, sorted(first.queues)) == ("", ["a", "b"])
    assert (second.reply, sorted(second.queues)) == ("r", ["a", "b"])


@pytest.mark.parametrize("takes", [True, False])
def test_32_headers(hub, leaf, join, takes):
    peer = leaf(hub, headers=takes, name=f"h{takes}", cluster=f"h{takes}")
    peer.want("t32.out")
    peer.lines_until_pong()
    client = join(hub, headers=True)
    client.publish("t32.out", b"body", headers=HEADERS)
    got = peer.read_leaf_message()
    assert (got.headers, got.payload) == (HEADERS if takes else b"", b"body")
    client.subscribe("t32.in", 1)
    client.ping()
    peer.lines_until_pong()
    peer.send(b"HMSG t32.in r %d %d\r\n" % (len(HEADERS), len(HEADERS) + 4) + HEADERS + b"body\r\n")
    message = client.read_message()
    assert (message.headers, message.payload, message.reply) == (HEADERS, b"body", b"r")


def test_33_no_echo(hub, leaf):
    one, twin = leaf(hub, name="e1", cluster="E"), leaf(hub, name="e2", cluster="E")
    other = leaf(hub, name="o", cluster="O")
    for peer in (one, twin, other):
        peer.want("t33.>")
        peer.lines_until_pong()
    one.lmsg("t33.x", b"1")
    one.lines_until_pong()
    assert other.read_leaf_message().payload == b"1"
    for peer in (one, twin):
        assert not [line for line in peer.lines_until_pong() if line.startswith("LMSG")]


def test_34_from_leaf_to_leaf(hub, leaf):
    one, other = leaf(hub, name="s1", cluster="S1"), leaf(hub, name="s2", cluster="S2")
    one.lines_until_pong()
    other.lines_until_pong()
    one.want("t34", "t34 q 2")
    one.lines_until_pong()
    assert sorted(line for line in other.lines_until_pong() if "t34" in line) == ["LS+ t34", "LS+ t34 q 2"]
    other.lmsg("t34", b"east", queues=("q",))
    assert one.read_leaf_message()[2:] == (("q",), b"", b"east")
    one.close()
    other.wait_for_interest("t34", "t34 q", absent=True)


@pytest.mark.parametrize("by", ["hub", "leaf"])
def test_35_and_36_isolation(shared_server, leaf, join, by):
    config = HUB if by == "leaf" else HUB.replace("compression", "isolate_leafnode_interest: true, compression")
    server = shared_server(config=config, monitor=True)
    alone = leaf(server, name="i1", cluster="I1", isolate=(by == "leaf") or None)
    other = leaf(server, name="i2", cluster="I2")
    alone.lines_until_pong()
    other.lines_until_pong()
    other.want("t35.other")
    alone.want("t35.alone")
    client = join(server)
    client.subscribe("t35.client", 1)
    client.ping()
    other.lines_until_pong()
    seen_alone = alone.lines_until_pong()
    client.subscribe("t35.more", 2)
    client.ping()
    fresh_alone = leaf(server, name="i3", cluster="I3", isolate=(by == "leaf") or None)
    fresh_other = leaf(server, name="i4", cluster="I4")
    announced = fresh_alone.interest()
    assert "t35.client" in announced
    assert "t35.other" not in announced
    assert not any("t35.other" in line for line in seen_alone)
    assert ("t35.alone" in fresh_other.interest()) is (by == "leaf")
    flags = {row["name"]: row.get("is_isolated", False) for row in server.monitor("/leafz")["leafs"]}
    assert flags["i1"] is True
    assert flags["i2"] is (by == "hub")


def test_37_and_38_what_a_spoke_tells_its_hub(linked, attach, join):
    server, link = linked(block='listen: "127.0.0.1:-1", compression: off,')
    below = attach(server)
    below.join(name="below", cluster="below")
    below.lines_until_pong()
    below.want("t38.leaf")
    below.lines_until_pong()
    link.wait_for_interest("t38.leaf")
    link.want("t38.hub")
    link.lines_until_pong()
    below.wait_for_interest("t38.hub")
    below.lmsg("t38.hub", b"up")
    assert link.read_leaf_message().payload == b"up"
    link.lmsg("t38.leaf", b"down")
    assert below.read_leaf_message().payload == b"down"


def test_37_not_of_another_hub(start_server, fake_hub):
    one, other = fake_hub(), fake_hub()
    start_server(
        config=f"""
        server_name: two
        accounts {{ A {{}} }}
        leafnodes {{ remotes: [ {{ url: "{one.url}", compression: off }},
                                {{ url: "{other.url}", compression: off }} ] }}
        """
    )
    links = []
    for hub, name in ((one, "H1"), (other, "H2")):
        link = hub.accept()
        link.accept_leaf(server_name=name, cluster=name)
        link.lines_until_pong()
        links.append(link)
    links[0].want("t37")
    links[0].lines_until_pong()
    assert "t37" not in links[1].interest()


def test_39_not_to_routes_from_the_hub(start_server, fake_hub, join):
    """A leaf cluster of two: each has its own link, and each subscriber hears a message once."""
    hubs = [fake_hub(), fake_hub()]
    servers, links = [], []
    for number, hub in enumerate(hubs):
        routes = f'"nats-route://127.0.0.1:{servers[0].cluster_port}"' if servers else ""
        server = start_server(
            config=f"""
            server_name: l{number}
            cluster {{ name: LC, listen: "127.0.0.1:-1", routes: [{routes}] }}
            leafnodes {{ remotes: [ {{ url: "{hub.url}", compression: off }} ] }}
            """
        )
        servers.append(server)
        link = hub.accept()
        assert link.accept_leaf()["cluster"] == "LC"
        links.append(link)
    clients = [join(server) for server in servers]
    for client in clients:
        client.subscribe("t39.*", 1)
        client.ping()
    for link in links:
        link.wait_for_interest("t39.*")
    for number, client in enumerate(clients):  # both are told by their own server and nothing by the other's route
        publisher = join(servers[1 - number])
        wait_until_heard(publisher, client, "t39.route")
        clients[1 - number].read_messages_until_pong()
    links[0].lmsg("t39.x", b"first")
    assert clients[0].read_message().payload == b"first"
    assert clients[1].read_messages_until_pong() == []
    links[1].lmsg("t39.x", b"second")
    assert clients[1].read_message().payload == b"second"
    assert clients[0].read_messages_until_pong() == []


def wait_until_heard(publisher, receiver, subject):
    """Until interest has gone over the route; what was heard is read."""
    for number in range(200):
        publisher.publish(subject, b"%d" % number)
        publisher.ping()
        receiver.socket.settimeout(0.05)
        if receiver.read_messages_until_pong():
            receiver.read_messages_until_pong()
            return
    raise AssertionError("nothing was heard over the route")


def test_43_and_44_permissions_of_the_hub(linked, join):
    server, link = linked(
        'deny_imports: ["down.noimport"], deny_exports: ["up.noexport"]',
        **{"import": {"allow": ["down.>", "$LDS.>"], "deny": ["down.secret"]}, "export": {"allow": ["up.>"]}},
    )
    client = join(server)
    for sid, subject in enumerate(["down.a", "down.secret", "down.noimport", "other", "down.*"], 1):
        client.subscribe(subject, sid)
    client.ping()
    assert link.interest() == {"down.a": 1, "down.*": 1}
    link.want(">")
    link.lines_until_pong()
    for subject in ("up.a", "up.noexport", "other", "up.b"):
        client.publish(subject, subject.encode())
    assert [link.read_leaf_message().subject for _ in range(2)] == ["up.a", "up.b"]


def test_46_what_a_wildcard_lets_through(linked, join):
    """Denied messages are filtered one by one."""
    server, link = linked('deny_imports: ["down.no"]')
    client = join(server)
    client.subscribe("down.*", 1)
    client.ping()
    assert link.interest() == {"down.*": 1}
    link.lmsg("down.no", b"1")
    link.lmsg("down.yes", b"2")
    link.lines_until_pong()
    assert [m.payload for m in client.read_messages_until_pong()] == [b"2"]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("LS+ forbidden", 'Permissions Violation for Subscription to "forbidden"'),
        ("LS+ down.secret", 'Permissions Violation for Subscription to "down.secret"'),
        ("LMSG forbidden 1\r\nx", 'Permissions Violation for Publish to "forbidden"'),
        ("LMSG up.secret 1\r\nx", 'Permissions Violation for Publish to "up.secret"'),
    ],
)
def test_45_violations_end_the_link(shared_server, leaf, line, text):
    peer = leaf(shared_server(config=RESTRICTED), user="l", **{"pass": "p"})
    peer.lines_until_pong()
    peer.send(line.encode() + b"\r\n")
    peer.expect_error(text)
    peer.expect_close()


def test_46_wildcards_are_taken_and_filtered(shared_server, leaf, join):
    server = shared_server(config=RESTRICTED)
    peer = leaf(server, user="l", **{"pass": "p"})
    peer.lines_until_pong()
    peer.want("down.>", "forbidden.>")
    assert peer.lines_until_pong() == []
    client = join(server, user="a", **{"pass": "p"})
    for subject in ("forbidden.x", "down.secret", "down.a"):
        client.publish(subject, b"x")
    assert peer.read_leaf_message().subject == "down.a"


def test_44_a_hub_announces_what_may_be_sent_to_it(shared_server, leaf, join):
    server = shared_server(config=RESTRICTED)
    client = join(server, user="a", **{"pass": "p"})
    for sid, subject in enumerate(["up.a", "up.secret", "elsewhere"], 1):
        client.subscribe(subject, sid)
    client.ping()
    peer = leaf(server, user="l", **{"pass": "p"})
    assert peer.interest() == {"up.a": 1}


def test_43_a_leafs_own_list_is_kept_by_the_hub(hub, leaf, join):
    peer = leaf(hub, deny_pub=["t43.no"], name="d", cluster="d")
    peer.want("t43.*")
    peer.lines_until_pong()
    client = join(hub)
    client.publish("t43.no", b"1")
    client.publish("t43.yes", b"2")
    assert peer.read_leaf_message().payload == b"2"


def test_47_streams_do_not_cross(linked, join):
    server, link = linked()
    client = join(server)
    for sid, subject in enumerate(["$JS.API.INFO", "$KV.a", "$OBJ.b", "$JSX"], 1):
        client.subscribe(subject, sid)
    client.ping()
    assert {key for key in told(link.lines_until_pong()) if key.startswith("$")} == {"$JSX"}
    link.want("$JS.API.>", "$KV.>", "$OBJ.>", "$KVX.>")
    link.lines_until_pong()
    for subject in ("$JS.API.INFO", "$KV.a", "$OBJ.a", "$KVX.a"):
        client.publish(subject, b"x")
    assert link.read_leaf_message().subject == "$KVX.a"


def test_47_nor_down(hub, leaf, join):
    peer = leaf(hub, name="js", cluster="js")
    peer.lines_until_pong()
    peer.want("$KV.>", "$KVX.>")
    client = join(hub)
    client.subscribe("$KV.sub", 1)
    client.ping()
    assert not [line for line in peer.lines_until_pong() if "$KV.sub" in line]
    client.publish("$KV.a", b"x")
    client.publish("$KVX.a", b"y")
    assert peer.read_leaf_message().subject == "$KVX.a"


@pytest.mark.parametrize("level", [1, 2, 3, 4])
def test_22_s2_streams_as_they_come(shared_server, attach, join, level):
    """Every kind of chunk, cut anywhere, with repeated beginnings and chunks to be skipped."""
    server = shared_server(config='leafnodes { listen: "127.0.0.1:-1" }')
    peer = attach(server)
    peer.read_leaf_info()
    peer.send(b'INFO {"client_id":5,"compression":"s2_auto"} \r\n')
    peer.begin_s2(level)
    peer.read_leaf_info()
    peer.connect_leaf(name=f"c{level}", cluster=f"c{level}")
    peer.read_leaf_info()
    peer.lines_until_pong()
    client = join(server)
    client.subscribe(f"t22.{level}", 1)
    client.ping()
    payload = b"abcdefgh" * 9000
    stream = s2.pack(f"LMSG t22.{level} {len(payload)}\r\n".encode() + payload + b"\r\n", level)
    stream += b"\xfe\x03\x00\x00pad" + b"\x80\x01\x00\x00x" + s2.pack(b"LMSG t22.%d 2\r" % level, level)
    stream += s2.pack(b"\nok\r\n", level)
    cut = len(stream) // 3
    for piece in (stream[:cut], stream[cut : cut + 7], stream[cut + 7 :]):
        peer.send_raw(piece)
    assert [client.read_message().payload for _ in range(2)] == [payload, b"ok"]


def test_23_a_wrong_checksum(shared_server, attach):
    peer = attach(shared_server(config='leafnodes { listen: "127.0.0.1:-1" }'))
    peer.read_leaf_info()
    peer.send(b'INFO {"client_id":5,"compression":"s2_auto"} \r\n')
    peer.begin_s2()
    peer.read_leaf_info()
    peer.connect_leaf(name="wrong", cluster="wrong")
    peer.read_leaf_info()
    peer.lines_until_pong()
    broken = bytearray(s2.pack(b"PING\r\n", 1))
    broken[15] ^= 1
    peer.send_raw(bytes(broken))
    peer.read_to_end()
