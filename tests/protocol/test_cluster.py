"""What clients see of a cluster (spec: client-protocol sections 4.4, 9, 11, 12, 28.10; items 11, 38-40, 42, 78)."""

import signal
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from gossamer.mesh.testing.cluster import ClusterProcesses, client_urls, wait_for_interest
from gossamer.mesh.testing.plugin import Dial, Join, StartCluster, StartServer
from gossamer.mesh.testing.process import ServerProcess
from gossamer.mesh.testing.wire import WireClient

NO_RESPONDERS = {"headers": True, "no_responders": True}


def tells(node: ServerProcess, urls: set[str]) -> bool:
    """Do new clients come to be told exactly these urls? The two ends of a route learn one after the other."""
    deadline = time.monotonic() + 15
    while client_urls(node) != urls:
        if time.monotonic() > deadline:
            return False
    return True


def address(node: ServerProcess) -> str:
    return f"{node.host}:{node.port}"


def next_info_with(client: WireClient, urls: set[str]) -> dict[str, Any]:
    """Reads INFO after INFO until connect_urls is this set."""
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        info = client.read_info()
        if set(info.get("connect_urls", [])) == urls:
            return info
    raise AssertionError(f"no INFO with {urls}")


def test_gossip_of_client_urls(start_cluster: StartCluster, server_kind: type[ServerProcess], dial: Dial) -> None:
    """Items 38, 28.10: for proto 1, when a peer joins and when it leaves; never for proto 0."""
    cluster = start_cluster(1)
    (seed,) = cluster.nodes
    modern, old = dial(seed), dial(seed)
    modern.timeout_s = 15
    first = modern.handshake(protocol=1)
    old.handshake()
    assert first["cluster"] == "mesh"
    assert "connect_urls" not in first
    other = cluster.add(server_kind)
    info = next_info_with(modern, {address(seed), address(other)})
    assert info["connect_urls"][0] == address(seed), "the own entry comes first"
    assert info["client_id"] == first["client_id"]
    assert info["cluster"] == "mesh"
    assert "ldm" not in info
    assert "nonce" not in info
    assert tells(other, {address(seed), address(other)})
    third = cluster.add(server_kind)
    next_info_with(modern, {address(seed), address(other), address(third)})
    assert tells(seed, {address(seed), address(other), address(third)})
    third.stop()
    next_info_with(modern, {address(seed), address(other)})
    other.kill()
    next_info_with(modern, {address(seed)})
    modern.ping()
    old.ping()
    assert tells(seed, {address(seed)}), "after a peer left it goes on naming itself"


def test_client_advertise(start_cluster: StartCluster, server_kind: type[ServerProcess], dial: Dial) -> None:
    """Items 39, 28.10: in INFO's host and port, and in gossip; the port defaults to the client port."""
    configs = ["", "client_advertise: b.example:4333", "client_advertise: c.example"]
    cluster = start_cluster(1, node_configs=configs)
    seed = cluster.nodes[0]
    client = dial(seed)
    client.timeout_s = 15
    client.handshake(protocol=1)
    named = cluster.add(server_kind)
    next_info_with(client, {address(seed), "b.example:4333"})
    bare = cluster.add(server_kind)
    next_info_with(client, {address(seed), "b.example:4333", f"c.example:{bare.port}"})
    info = dial(named).read_info()
    assert (info["host"], info["port"]) == ("b.example", 4333)
    info = dial(bare).read_info()
    assert (info["host"], info["port"]) == ("c.example", bare.port)
    named.stop()
    next_info_with(client, {address(seed), f"c.example:{bare.port}"})


def test_client_advertise_of_a_single_server(start_server: StartServer, dial: Dial) -> None:
    """Item 39."""
    info = dial(start_server(arguments=["--client_advertise", "me.example:7000"])).read_info()
    assert (info["host"], info["port"]) == ("me.example", 7000)
    assert "connect_urls" not in info


def test_no_advertise(start_cluster: StartCluster, dial: Dial, join: Join) -> None:
    """Item 40: no URLs at all, though the mesh stands and carries messages."""
    cluster = start_cluster(2, cluster_config="no_advertise: true", advertised=False)
    watcher = dial(cluster.nodes[0])
    watcher.handshake(protocol=1)
    hearer, client = join(cluster.nodes[1]), join(cluster.nodes[0], **NO_RESPONDERS)
    hearer.subscribe("quiet.a", 1)
    hearer.ping()
    wait_for_interest(client, "quiet.a")
    watcher.ping()
    assert [client_urls(node) for node in cluster.nodes] == [set(), set()]


def test_lame_duck_of_a_peer(start_cluster: StartCluster, dial: Dial) -> None:
    """Items 41, 42, 28.10: its own clients are told ldm and the others' URLs, our clients lose its URL."""
    cluster = start_cluster(3, config='lame_duck_grace_period: "1s"\nlame_duck_duration: "30s"')
    staying, other, leaving = cluster.nodes
    ours, theirs = dial(staying), dial(leaving)
    ours.handshake(protocol=1)
    theirs.handshake(protocol=1)
    leaving.signal(signal.SIGUSR2)
    info = theirs.read_info()
    assert info["ldm"] is True
    assert set(info["connect_urls"]) == {address(staying), address(other)}
    info = next_info_with(ours, {address(staying), address(other)})
    assert "ldm" not in info
    theirs.read_to_end()
    assert leaving.wait() == 0
    assert tells(staying, {address(staying), address(other)})


@pytest.fixture(scope="module")
def trio(server_kind: type[ServerProcess], tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ServerProcess]]:
    """Three nodes that the tests leave as they are."""
    cluster = ClusterProcesses(tmp_path_factory.mktemp("trio"), [server_kind] * 3)
    try:
        yield list(cluster.start().nodes)
    finally:
        cluster.stop()


def test_queue_groups_are_weighted(trio: list[ServerProcess], join: Join) -> None:
    """Item 11: 1 + 1 + 3 members on three nodes: 20, 20, 60 %, wherever one publishes; each message once."""
    members = [join(trio[0]), join(trio[1]), join(trio[2])]
    for member, count in zip(members, (1, 1, 3), strict=True):
        for sid in range(count):
            member.subscribe("spread.a", f"s{sid}", "workers")
        member.subscribe(f"spread.seen{members.index(member)}", "seen")
        member.ping()
    for node in trio:
        client = join(node, **NO_RESPONDERS)
        for index in range(3):
            wait_for_interest(client, f"spread.seen{index}")
        for member in members:
            member.read_messages_until_pong()
        total = 2500
        client.send(b"".join(b"PUB spread.a 4\r\n%04d\r\n" % number for number in range(total)))
        client.ping()
        shares: list[list[int]] = [[], [], []]
        deadline = time.monotonic() + 10
        while sum(map(len, shares)) < total and time.monotonic() < deadline:
            for share, member in zip(shares, members, strict=True):
                share += [int(m.payload) for m in member.read_messages_until_pong() if m.sid != b"seen"]
        assert sorted(number for share in shares for number in share) == list(range(total))
        sizes = [len(share) for share in shares]
        for size, part in zip(sizes, (0.2, 0.2, 0.6), strict=True):
            assert abs(size / total - part) < 0.06, sizes


def test_messages_cross_the_mesh(trio: list[ServerProcess], join: Join) -> None:
    """Items 5-7, across: payload, reply and headers; each subscriber once; own subscriptions too."""
    here = join(trio[0], **NO_RESPONDERS)
    hearers = [join(trio[1], headers=True), join(trio[2], headers=True), join(trio[2])]
    for hearer in hearers:
        hearer.subscribe("across.*", 7)
        hearer.ping()
    for node in trio[1:]:
        guest = join(node)
        guest.subscribe(f"arrived.{node.port}", 1)
        guest.ping()
        wait_for_interest(here, f"arrived.{node.port}")
    here.subscribe("across.a", "own")
    here.send(
        b"PUB across.a r.1 4\r\n\r\n\0\xff\r\nHPUB across.a 18 20\r\nNATS/1.0\r\nA: b\r\n\r\nhi\r\n"
        b"PUB across.b 0\r\n\r\n"
    )
    here.expect(b"MSG across.a own r.1 4\r\n\r\n\0\xff\r\nHMSG across.a own 18 20\r\nNATS/1.0\r\nA: b\r\n\r\nhi\r\n")
    here.ping()
    for hearer in hearers[:2]:
        hearer.expect(b"MSG across.a 7 r.1 4\r\n\r\n\0\xff\r\nHMSG across.a 7 18 20\r\nNATS/1.0\r\nA: b\r\n\r\nhi\r\n")
        hearer.expect(b"MSG across.b 7 0\r\n\r\n")
        hearer.ping()
    hearers[2].expect(b"MSG across.a 7 r.1 4\r\n\r\n\0\xff\r\nMSG across.a 7 2\r\nhi\r\nMSG across.b 7 0\r\n\r\n")
    hearers[2].ping()


def test_no_responders_across(trio: list[ServerProcess], join: Join) -> None:
    """Item 8: remote interest counts as delivered; when it is gone the status comes."""
    client, service = join(trio[0], **NO_RESPONDERS), join(trio[1])
    client.subscribe("far.inbox", 1)
    status = b"HMSG far.inbox 1 39 39\r\nNATS/1.0 503\r\nNats-Subject: far.svc\r\n\r\n\r\n"
    client.publish("far.svc", reply="far.inbox")
    client.expect(status)
    service.subscribe("far.svc", 1, "q")
    service.ping()
    wait_for_interest(client, "far.svc")
    service.read_messages_until_pong()
    client.publish("far.svc", b"ask", reply="far.inbox")
    message = service.read_message()
    while message.reply != b"far.inbox":  # a probe for the interest that came late
        message = service.read_message()
    assert (message.subject, message.sid, message.payload) == (b"far.svc", b"1", b"ask")
    service.publish("far.inbox", b"answer")
    client.expect(b"MSG far.inbox 1 6\r\nanswer\r\n")
    service.send(b"UNSUB 1\r\n")
    service.ping()
    deadline = time.monotonic() + 10
    answer = b""
    while not answer:
        assert time.monotonic() < deadline, "the interest never goes"
        client.publish("far.svc", reply="far.inbox")
        answer = client.read_until_pong()
    assert answer == status


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")
def test_ipv6_urls_are_bracketed(start_cluster: StartCluster) -> None:
    """Item 78."""
    cluster = start_cluster(2, host="::1")
    one, other = cluster.nodes
    assert tells(one, {f"[::1]:{one.port}", f"[::1]:{other.port}"})
