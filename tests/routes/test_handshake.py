"""Byte for byte: what a node says, and what it refuses (spec routes 3 to 9; the numbers are its checklist's)."""

import json

import pytest
from route_fabric import Cluster
from route_peer import Peer, capture, closed_by, connect, door, info, visit

from gossamer.mesh.options.options import CompressionOptions
from gossamer.mesh.peers.route_protocol import pool_index


def single(**options: object) -> Cluster:
    cluster = Cluster(1)
    cluster.add("A", **options)  # type: ignore[arg-type]
    return cluster


def exchange(cluster: Cluster, *lines: bytes, host: str = "10.0.0.99") -> Peer:
    peer = visit(cluster, "A", host)
    peer.say(*lines)
    cluster.time.run(0.5)
    return peer


def member(cluster: Cluster, name: str, *, host: str = "10.0.0.99", **members: object) -> Peer:
    members = {"server_id": f"N{name}", "server_name": name, "host": host} | members
    peer = exchange(cluster, connect(name=f"N{name}"), info(**members), host=host)
    assert not peer.closed
    return peer


# --- as acceptor ------------------------------------------------------------------------------------------------


def test_01_info_comes_before_anything_is_said() -> None:
    cluster = single()
    peer = visit(cluster, "A")
    cluster.time.run(0.1)
    assert len(peer.infos) == 1
    said = peer.infos[0]
    node = cluster.nodes["A"]
    assert said["server_id"] == node.server_id
    assert said["server_name"] == "A"
    assert said["cluster"] == "CL"
    assert said["compression"] == "accept"
    assert said["route_pool_size"] == 3
    assert said["host"] == "10.0.0.1"
    assert said["port"] == 6222
    assert said["headers"] is True
    assert said["lnoc"] is True
    assert said["lnocu"] is True
    assert said["connect_urls"] == ["10.0.0.1:4222"]
    for absent in ("auth_required", "cluster_dynamic", "ip", "gossip_mode", "ldm"):
        assert absent not in said


def test_04_an_acceptors_info_has_no_place_in_it() -> None:
    peer = exchange(single(), connect(), info(route_pool_idx=2))
    assert len(peer.infos) == 1
    assert "route_pool_idx" not in peer.infos[0]
    assert "route_account" not in peer.infos[0]


@pytest.mark.parametrize("line", [info(), b"PING", b"RS+ $G foo", b"-ERR 'x'"])
def test_05_anything_but_connect_is_a_violation(line: bytes) -> None:
    peer = exchange(single(), line)
    assert peer.errors == [b"-ERR 'Authorization Violation'"]
    assert peer.closed


@pytest.mark.parametrize(
    ("members", "error"),
    [
        ({"lang": "python"}, "attempted to connect to route port"),
        ({"gateway": "GX"}, 'Rejecting connection from gateway "GX" on the Route port'),
        ({"cluster": "ZZ"}, 'Rejecting connection, cluster name "ZZ" does not match "CL"'),
        ({"cluster": None}, 'Rejecting connection, cluster name "" does not match "CL"'),
        # nats-server's order: port, gateway, cluster
        ({"lang": "python", "gateway": "GX", "cluster": "ZZ"}, "attempted to connect to route port"),
        ({"gateway": "GX", "cluster": "ZZ"}, 'Rejecting connection from gateway "GX" on the Route port'),
    ],
)
def test_06_07_refused_by_its_connect(members: dict[str, object], error: str) -> None:
    peer = exchange(single(), connect(**members))
    assert peer.errors == [f"-ERR '{error}'".encode()]
    assert peer.closed


@pytest.mark.parametrize(
    "members", [{}, {"user": "u"}, {"user": "u", "pass": "x"}, {"user": "x", "pass": "p"}, {"lang": "python"}]
)
def test_08_credentials_come_first(members: dict[str, object]) -> None:
    cluster = single(user="u", password="p")
    peer = exchange(cluster, connect(**members))
    assert peer.infos[0]["auth_required"] is True
    assert peer.errors == [b"-ERR 'Authorization Violation'"]
    assert peer.closed


def test_08_right_credentials() -> None:
    cluster = single(user="u", password="p")
    peer = exchange(cluster, connect(user="u", **{"pass": "p"}), info())
    assert not peer.errors
    assert not peer.closed
    assert cluster.nodes["A"].manager.remotes == 1


def test_09_our_own_id() -> None:
    cluster = single()
    peer = exchange(cluster, connect(), info(server_id=cluster.nodes["A"].server_id))
    assert peer.closed
    assert not peer.errors


def test_10_our_own_name() -> None:
    peer = exchange(single(), connect(), info(server_name="A"))
    assert peer.closed
    assert not peer.errors


def test_11_unknown_fields_blanks_and_nulls() -> None:
    cluster = single()
    peer = exchange(
        cluster,
        b'connect   {"cluster":"CL","name":"NPEER","new_thing":{"a":[1]},"lang":null} \r\n',
        b'Info {"server_id":"NPEER","server_name":"peer","host":"10.0.0.99","port":6222,"cluster":"CL",'
        b'"headers":true,"route_pool_size":3,"import":null,"flux":1} \r\n',
    )
    assert not peer.closed
    assert cluster.nodes["A"].manager.remotes == 1


@pytest.mark.parametrize("mode", [None, "not supported", "accept", "s2_fast", "s2_auto", "s2_better", "s2_best"])
def test_12_never_compressed(mode: str | None) -> None:
    cluster = single(compression=CompressionOptions(mode="off"))
    peer = exchange(cluster, connect(), info(compression=mode), b"PING")
    assert not peer.closed
    assert peer.infos[0]["compression"] == "off"
    assert peer.lines[-1] == b"PONG"  # plain text, after registration


def test_an_unknown_compression() -> None:
    peer = exchange(single(), connect(), info(compression="lz4"))
    assert peer.errors == [b"-ERR 'unsupported route compression mode \"lz4\"'"]
    assert peer.closed


@pytest.mark.parametrize("text", [b"nonsense", b"[]", b'{"port":"x"}', b"", b'{"server_id":1}', b"{" * 5000, b'"\xff"'])
def test_texts_that_are_no_info(text: bytes) -> None:
    peer = exchange(single(), connect(), b"INFO " + text)
    assert peer.closed
    assert not peer.errors
    peer = exchange(single(), b"CONNECT " + text)
    assert peer.closed


def test_a_mismatch_in_info_is_closed_silently() -> None:
    peer = exchange(single(), connect(), info(cluster="ZZ"))
    assert peer.closed
    assert not peer.errors
    assert not exchange(single(), connect(), info(cluster=None)).closed


# --- pool -------------------------------------------------------------------------------------------------------


def test_14_indexes() -> None:
    from route_peer import VECTORS

    rows = [line.split() for line in (VECTORS / "hash-values.txt").read_text().splitlines() if line.startswith("pool ")]
    assert len(rows) > 8
    for _, account, _, *indexes in rows:
        assert [pool_index(account, size) for size in range(1, 6)] == [int(each) for each in indexes[:5]]
    assert pool_index("$G", -1) == 0


def test_14_interest_only_on_its_slot() -> None:
    cluster = single()
    for index in range(3):
        peer = exchange(cluster, connect(), info(route_pool_idx=index))
        assert (b"RS+ $G to.A" in peer.lines) == (index == 2)


@pytest.mark.parametrize(("index", "size", "shown"), [(3, 3, 3), (-1, 3, 3), (5, 5, 5)])
def test_16_an_index_out_of_range(index: int, size: int, shown: int) -> None:
    peer = exchange(single(), connect(), info(route_pool_idx=index, route_pool_size=size))
    assert peer.errors == [f"-ERR 'Invalid route pool index: {index} - pool size is {shown}'".encode()]
    assert peer.closed


def test_16_the_greater_size_counts() -> None:
    assert not exchange(single(), connect(), info(route_pool_idx=4, route_pool_size=5)).closed


def test_16_without_pool_there_is_one_place() -> None:
    cluster = single()
    assert not exchange(cluster, connect(), info(route_pool_size=None, route_pool_idx=2)).closed
    assert cluster.nodes["A"].manager.routez()[0].pool_index == 0


def test_17_a_taken_slot() -> None:
    cluster = single()
    first = exchange(cluster, connect(), info())
    second = exchange(cluster, connect(), info())
    assert second.closed
    assert not second.errors
    assert not first.closed
    assert len(cluster.nodes["A"].manager.routez()) == 1


def test_17_a_second_dedicated_connection() -> None:
    cluster = single()
    first = exchange(cluster, connect(), info(route_account="$SYS"))
    second = exchange(cluster, connect(), info(route_account="$SYS"))
    assert second.closed
    assert not second.errors
    assert not first.closed


def test_17_a_second_connection_of_one_without_pool() -> None:
    cluster = single()
    first = exchange(cluster, connect(), info(route_pool_size=None))
    second = exchange(cluster, connect(), info(route_pool_size=None))
    assert second.closed
    assert not second.errors
    assert not first.closed


def test_20_a_dedicated_connection() -> None:
    cluster = single()
    peer = exchange(cluster, connect(), info(route_account="$SYS"))
    assert b"RS+ to.A" in peer.lines
    assert not any(line.startswith(b"RS+ $") for line in peer.lines)
    row = cluster.nodes["A"].manager.routez()[0]
    assert (row.account, row.pool_index) == ("$SYS", -1)


def test_21_accounts_that_are_not_pinned() -> None:
    peer = exchange(single(), connect(), info(route_account="$G"))
    assert peer.errors == [b"-ERR 'No route for account \"$G\"'"]
    assert peer.closed
    peer = exchange(single(), connect(), info(route_account="NOPE"))
    assert peer.errors == [b"-ERR 'Unable to lookup account \"NOPE\": account missing'"]
    assert peer.closed


def test_22_a_remote_without_pool() -> None:
    cluster = single()
    peer = exchange(cluster, connect(), info(route_pool_size=None))
    assert {b"RS+ $G to.A", b"RS+ A to.A", b"RS+ B to.A", b"RS+ $SYS to.A"} <= set(peer.lines)
    refused = exchange(cluster, connect(), info(route_pool_size=None, route_account="$SYS"))
    text = b"-ERR 'Not possible to have a dedicated route for account \"$SYS\" between those servers'"
    assert refused.errors == [text]


def test_22_we_have_no_pool() -> None:
    cluster = single(pool_size=-1)
    peer = exchange(cluster, connect(), info())
    assert "route_pool_size" not in peer.infos[0]
    assert {b"RS+ $G to.A", b"RS+ A to.A", b"RS+ B to.A", b"RS+ $SYS to.A"} <= set(peer.lines)
    refused = exchange(cluster, connect(), info(server_id="NOTHER", route_account="$SYS"))
    text = b"-ERR 'Not possible to have a dedicated route for account \"$SYS\" between those servers'"
    assert refused.errors == [text]


# --- as solicitor -----------------------------------------------------------------------------------------------


def dialling(greeting: bytes = b"", **options: object) -> tuple[Cluster, list[Peer]]:
    """A node that dials somebody hand-driven; the peers in the order in which they were dialled."""
    cluster = Cluster(1)
    there = door(cluster, "Z", greeting)
    options.setdefault("system_account", "")
    cluster.add("A", "Z", **options)  # type: ignore[arg-type]
    cluster.time.run(0.3)
    return cluster, there.peers


def test_02_connect_is_said_first() -> None:
    _, peers = dialling()
    (line,) = peers[0].lines
    said = json.loads(line.removeprefix(b"CONNECT "))
    assert said["cluster"] == "CL"
    assert said["name"].startswith("NA")
    assert said["verbose"] is False
    assert "lang" not in said
    assert "user" not in said


def test_02_credentials_of_the_url() -> None:
    _, peers = dialling(routes=("nats-route://me:s%20cret@10.0.0.26:6222",))
    said = json.loads(peers[0].lines[0].removeprefix(b"CONNECT "))
    assert (said["user"], said["pass"]) == ("me", "s cret")


def test_03_info_says_the_slot_and_comes_after_theirs() -> None:
    cluster, peers = dialling(info(server_id="NZ", server_name="Z"))
    assert [json.loads(line[5:]).get("route_pool_idx", 0) for line in peers[0].lines if line.startswith(b"INFO")] == [0]
    assert b"PING" in peers[0].lines
    order = [line.split(b" ")[0] for line in peers[0].lines]
    assert order[:2] == [b"CONNECT", b"INFO"]
    assert len(peers) == 1
    for count in (2, 3):
        peers[-1].say(b"PONG")  # 15: the next is dialled only after the PONG
        cluster.time.run(0.3)
        assert len(peers) == count
        assert peers[-1].infos[0]["route_pool_idx"] == count - 1
    assert b"RS+ $G to.A" in peers[2].lines
    peers[-1].say(b"PONG")
    cluster.time.run(3.0)
    assert len(peers) == 3


def test_03_info_says_the_account() -> None:
    cluster, peers = dialling(info(server_id="NZ", server_name="Z"), system_account="$SYS")
    assert len(peers) == 2  # side by side, no PONG needed
    places = {(said.get("route_pool_idx", 0), said.get("route_account")) for peer in peers for said in peer.infos}
    assert places == {(0, None), (0, "$SYS")}
    assert cluster.nodes["A"].manager.remotes == 1


def test_15_as_many_as_the_greater_pool_has() -> None:
    cluster, peers = dialling(info(server_id="NZ", server_name="Z", route_pool_size=5))
    for _ in range(8):
        for peer in peers:
            peer.say(b"PONG")
        cluster.time.run(0.5)
    assert len(peers) == 5


def test_18_no_free_slot_no_info() -> None:
    cluster, peers = dialling()
    for index in range(3):
        exchange(cluster, connect(name="NZ"), info(server_id="NZ", server_name="Z", route_pool_idx=index))
    peers[0].say(info(server_id="NZ", server_name="Z"))
    cluster.time.run(5.0)
    assert peers[0].closed
    assert not peers[0].infos
    assert not peers[0].errors
    assert len(peers) == 1
    rows = cluster.nodes["A"].manager.routez()
    assert [row.did_solicit and row.is_configured for row in rows] == [True, False, False]  # one inherits the route


def test_09_dialling_ourselves_ends() -> None:
    cluster, peers = dialling()
    peers[0].say(info(server_id=cluster.nodes["A"].server_id))
    cluster.time.run(30.0)
    assert peers[0].closed
    assert not peers[0].infos
    assert len(peers) == 1


def test_an_acceptor_may_not_name_an_index() -> None:
    cluster, peers = dialling()
    peers[0].say(info(server_id="NZ", server_name="Z", route_pool_idx=1))
    cluster.time.run(0.5)
    assert peers[0].closed
    assert len(peers[0].errors) == 1
    assert not peers[0].infos


def test_22_no_dedicated_connection_to_one_without_pool() -> None:
    cluster, peers = dialling(info(server_id="NZ", server_name="Z", route_pool_size=None), system_account="$SYS")
    cluster.time.run(60.0)
    text = b"-ERR 'Not possible to have a dedicated route for account \"$SYS\" between those servers'"
    assert [peer.errors for peer in peers if peer.errors] == [[text]]
    assert len(peers) == 2  # it is not tried again
    kept = next(peer for peer in peers if not peer.errors)
    assert {b"RS+ $G to.A", b"RS+ $SYS to.A"} <= set(kept.lines)
    kept.finish()  # but it is once the remote has gone: it may come back with a pool
    cluster.time.run(3.0)
    assert len(peers) >= 4


def test_55_60_an_error_ends_the_connection_and_it_is_dialled_again() -> None:
    cluster, peers = dialling(info(server_id="NZ", server_name="Z"))
    start = cluster.time.now
    peers[0].say(b"-ERR 'whatever'")
    cluster.time.run(3.0, lambda: len(peers) == 2)
    assert peers[0].closed
    assert 1.0 <= (cluster.time.now - start) / 1e9 <= 1.2


# --- generated names --------------------------------------------------------------------------------------------


def test_58_connect_waits_for_the_name_of_the_other() -> None:
    cluster, peers = dialling(cluster="")
    assert peers[0].lines == []
    peers[0].say(info(server_id="NZ", server_name="Z", cluster="CLZ"))
    cluster.time.run(0.5)
    said = json.loads(peers[0].lines[0].removeprefix(b"CONNECT "))
    assert said["cluster"] == "CLZ"
    assert peers[0].infos[0]["cluster"] == "CLZ"
    assert cluster.nodes["A"].manager.cluster_name == "CLZ"
    late = visit(cluster, "A")
    cluster.time.run(0.1)
    assert late.infos[0]["cluster"] == "CLZ"


def test_58_a_generated_name_gives_way_to_a_connect() -> None:
    cluster = single(cluster="")
    peer = exchange(cluster, connect(cluster="CLB"), info(cluster="CLB"))
    assert peer.infos[0]["cluster_dynamic"] is True
    assert not peer.closed
    assert cluster.nodes["A"].manager.cluster_name == "CLB"
    stranger = exchange(cluster, connect(cluster="CLC"))
    assert stranger.errors == [b'-ERR \'Rejecting connection, cluster name "CLC" does not match "CLB"\'']


def test_58_two_generated_names() -> None:
    cluster = single(cluster="")
    name = cluster.nodes["A"].manager.cluster_name
    assert exchange(cluster, connect(cluster="0" * 22, cluster_dynamic=True)).closed
    assert not exchange(cluster, connect(cluster="zz", cluster_dynamic=True)).closed
    assert cluster.nodes["A"].manager.cluster_name == "zz" > name


def test_58_taking_a_name_closes_the_routes_to_others() -> None:
    cluster = single(cluster="")
    name = cluster.nodes["A"].manager.cluster_name
    old = exchange(cluster, connect(cluster=name), info(cluster=name))
    assert not old.closed
    exchange(cluster, connect(cluster="CL", name="NB"), info(server_id="NB", server_name="B"))
    assert old.closed


# --- gossip -----------------------------------------------------------------------------------------------------


def test_24_the_others_are_told() -> None:
    cluster = single()
    one = member(cluster, "one")
    two = member(cluster, "two", host="10.0.0.98", nonce="abc", flux=[1], ip=None)
    told = one.infos[1]
    expected = json.loads(info(server_id="Ntwo", server_name="two", host="10.0.0.98", flux=[1])[5:])
    assert told == expected | {"ip": "nats-route://10.0.0.98:6222/", "gossip_mode": 1}
    assert len(two.infos) == 1  # the newcomer is told nothing


def test_24_only_for_the_first_of_the_pool() -> None:
    cluster = single()
    one = member(cluster, "one")
    member(cluster, "two", host="10.0.0.98")
    member(cluster, "two", host="10.0.0.98", route_pool_idx=1)
    assert len(one.infos) == 2


def test_24_a_dedicated_connection_on_its_own_way() -> None:
    cluster = single()
    pooled, dedicated = member(cluster, "one"), member(cluster, "one", route_account="$SYS")
    poolless = member(cluster, "old", host="10.0.0.97", route_pool_size=None)
    before = len(pooled.infos), len(dedicated.infos), len(poolless.infos)
    member(cluster, "two", host="10.0.0.98", route_account="$SYS")
    assert (len(pooled.infos), len(dedicated.infos), len(poolless.infos)) == (before[0], before[1] + 1, before[2])
    assert dedicated.infos[-1]["route_account"] == "$SYS"


def test_24_a_configured_route_is_told_to_tell_on() -> None:
    cluster, peers = dialling(info(server_id="NZ", server_name="Z"))
    member(cluster, "one")
    assert peers[0].infos[1]["gossip_mode"] == 2


def test_24_meeting_by_configuration_overrides() -> None:
    cluster, peers = dialling()
    one = member(cluster, "one")
    peers[0].say(info(server_id="NZ", server_name="Z", ip="nats-route://192.0.2.1:7000/"))
    cluster.time.run(0.5)
    assert one.infos[1]["gossip_mode"] == 2
    assert one.infos[1]["ip"] == "nats-route://192.0.2.1:7000/"


def test_25_mode_1_is_not_told_on() -> None:
    cluster = single()
    one = member(cluster, "one")
    member(cluster, "two", host="10.0.0.98", gossip_mode=1)
    assert len(one.infos) == 1


@pytest.mark.parametrize(("mode", "told"), [(0, None), (1, None), (2, 0)])
def test_26_28_dialling_because_of_gossip(mode: int, told: int | None) -> None:
    cluster = single(system_account="")
    one = member(cluster, "one")
    other = member(cluster, "other", host="10.0.0.97", gossip_mode=1)
    there = door(cluster, "Z", info(server_id="NZ", server_name="Z"))
    one.say(info(server_id="NZ", server_name="Z", host="ignored", port=1, ip=f"nats-route://{there.host}:6222/",
                 gossip_mode=mode))  # fmt: skip
    cluster.time.run(0.5)
    assert len(there.peers) == 1
    assert there.peers[0].infos[0].get("gossip_mode", 0) == mode  # 28
    heard = [said for said in other.infos[1:] if said["server_id"] == "NZ"]
    assert [said.get("gossip_mode", 0) for said in heard] == ([] if told is None else [told])


def test_27_what_is_known_is_ignored() -> None:
    cluster = Cluster(1)
    cluster.add("A", routes=("nats://10.0.0.40:6222",))
    one = member(cluster, "one")
    member(cluster, "two", host="10.0.0.98")
    dials = len(cluster.net.dials)
    there = door(cluster, "Z")
    place = {"ip": f"nats-route://{there.host}:6222/"}
    one.say(
        info(server_id="Ntwo", server_name="two", **place),
        info(server_id="NX", server_name="x", host="10.0.0.40", **place),
        info(server_id="NX", server_name="x", host="x", ip="nats-route://10.0.0.40:6222/"),
        info(server_id="NX", server_name="x", ip="nats-route://"),
        info(server_id="NX", server_name="x", cluster="OTHER", **place),
        info(server_id="", server_name="", **place),
    )
    cluster.time.run(0.3)
    assert not one.closed
    assert there.peers == []
    assert {host for _, _, host, _ in cluster.net.dials[dials:]} <= {"10.0.0.40"}
    one.say(info(server_id=cluster.nodes["A"].server_id))
    cluster.time.run(0.3)
    assert one.closed


def test_28_with_our_own_credentials() -> None:
    cluster = single(user="u", password="p")
    one = exchange(cluster, connect(user="u", **{"pass": "p"}), info())
    there = door(cluster, "Z")
    one.say(info(server_id="NZ", server_name="Z", host=there.host, auth_required=True))
    cluster.time.run(0.3)
    said = json.loads(there.peers[0].lines[0].removeprefix(b"CONNECT "))
    assert (said["user"], said["pass"]) == ("u", "p")


def test_30_client_addresses() -> None:
    cluster = single()
    node = cluster.nodes["A"]
    one = member(cluster, "one", connect_urls=["192.0.2.1:4222", "192.0.2.2:4222"])
    assert node.urls == ("192.0.2.1:4222", "192.0.2.2:4222")
    one.say(info(server_id="None", server_name="one", ldm=True))
    cluster.time.run(0.3)
    assert node.urls == ()
    assert node.manager.remotes == 1
    two = member(cluster, "two", host="10.0.0.98", connect_urls=["192.0.2.3:4222"])
    assert node.urls == ("192.0.2.3:4222",)
    two.finish()
    cluster.time.run(0.3)
    assert node.urls == ()


def test_30_lame_duck_says_so_once_to_each() -> None:
    cluster = single()
    pooled, dedicated = member(cluster, "one"), member(cluster, "one", route_account="$SYS")
    cluster.nodes["A"].manager.lame_duck()
    cluster.time.run(0.3)
    said = pooled.infos[-1]
    assert said["ldm"] is True
    assert said["server_id"] == cluster.nodes["A"].server_id
    assert said["connect_urls"] == ["10.0.0.1:4222"]
    assert len(dedicated.infos) == 1


def test_the_advertised_address() -> None:
    cluster = single(advertise="mesh.example.com:7222")
    said = exchange(cluster, connect()).infos[0]
    assert (said["host"], said["port"]) == ("mesh.example.com", 7222)
    assert said["ip"] == "nats-route://mesh.example.com:7222/"


def test_57_an_account_on_the_move_is_answered() -> None:
    cluster = single()
    peer = member(cluster, "one")
    asked = {"server_id": "", "server_name": "", "version": "", "proto": 0, "go": "", "host": "", "port": 0,
             "headers": False, "max_payload": 0, "route_pool_size": 2, "route_account": "X",
             "route_acc_add_reqid": "cT4vAjV7zHM7h99wb6YEXg"}  # fmt: skip
    peer.say(b"INFO " + json.dumps(asked).encode())
    cluster.time.run(0.3)
    del asked["route_account"]
    assert peer.infos[1] == asked
    peer.say(b"INFO " + json.dumps(asked).encode())  # an answer to nobody: no ping-pong
    cluster.time.run(0.3)
    assert len(peer.infos) == 2
    assert any("cluster.accounts" in text for _, text in cluster.nodes["A"].log.lines)


# --- captures of nats-server ------------------------------------------------------------------------------------

#: Connections of r16 that are about what the engine does (timers, verbs after the handshake).
ENGINE_ONLY = {"C1", "C12", "C13", "C14", "C15", "C16", "C17", "C25", "C27"}


def test_refusals_as_captured() -> None:
    name = "r16-auth-and-protocol-errors.txt"
    steps = list(capture(name))
    connections = list(dict.fromkeys(step.connection for step in steps))
    closed = closed_by(name, "A")
    played = 0
    for connection in connections:
        if connection in ENGINE_ONLY or int(connection[1:]) > 27:  # from C28 on: other ports
            continue
        cluster = single(user="ruser", password="rpass", pool_size=1)
        cluster.nodes["A"].accounts = ("$G",)
        theirs = [step.data for step in steps if step.connection == connection and step.receiver == "A"]
        errors = [
            step.data.rstrip()
            for step in steps
            if step.connection == connection and step.data.startswith(b"-ERR") and step.sender == "A"
        ]
        peer = exchange(cluster, *theirs)
        assert peer.errors == errors, connection
        assert peer.closed == (connection in closed), connection
        played += 1
    assert played >= 14


@pytest.mark.parametrize(
    ("name", "account"),
    [
        ("r02-gossip-three-nodes.txt", "$SYS"),
        ("r33-gossip-merges-two-groups.txt", ""),
        ("r36-stale-and-misc.txt", ""),
    ],
)
def test_gossip_as_captured(name: str, account: str) -> None:
    """Node A's part: whoever connects to A is played to us, and we must tell the others what A told them."""
    steps = [step for step in capture(name) if "A" in (step.sender, step.receiver)]
    cluster = single(pool_size=1, system_account=account)
    peers: dict[str, Peer] = {}
    expected: dict[str, list[dict[str, object]]] = {}
    greeted: set[str] = set()
    for step in steps:
        if not step.data.startswith((b"INFO", b"CONNECT")):
            continue
        if step.receiver == "A":
            peer = peers.setdefault(step.connection, None) or visit(cluster, "A", "127.0.0.1")  # type: ignore[arg-type]
            peers[step.connection] = peer
            peer.say(step.data)
            cluster.time.run(0.1)
        elif step.connection in greeted:
            expected.setdefault(step.connection, []).append(json.loads(step.data[5:]))
        else:
            greeted.add(step.connection)
    told = {connection: peer.infos[1:] for connection, peer in peers.items() if peer.infos[1:]}
    assert expected
    order = {
        connection: sorted(map(json.dumps, (dict(sorted(each.items())) for each in lists)))
        for connection, lists in told.items()
    }
    assert order == {
        connection: sorted(map(json.dumps, (dict(sorted(each.items())) for each in lists)))
        for connection, lists in expected.items()
    }
