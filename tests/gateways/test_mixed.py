"""Superclusters of both kinds of server: everything that crosses, both ways (spec gateways 15; checklist 59, 60)."""

import json
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gossamer.mesh.testing.cluster import wait_for_interest
from gossamer.mesh.testing.process import GossamerProcess, NatsServerProcess, ServerProcess
from gossamer.mesh.testing.wire import WireClient

OURS, REAL = GossamerProcess, NatsServerProcess
LAYOUTS = {
    "ours-real": ([OURS], [REAL]),
    "mixed-mixed": ([OURS, REAL], [REAL, OURS]),
}
Clusters = dict[str, list[ServerProcess]]


def gateway_port(node: ServerProcess) -> int:
    return int(node.monitor("/varz")["gateway"]["port"])


def started(folder: Path, kinds: tuple[list[type[ServerProcess]], ...]) -> Iterator[Clusters]:
    """Clusters W and E; only the first node of E knows W."""
    clusters: Clusters = {}
    nodes: list[ServerProcess] = []
    try:
        for name, members in zip("WE", kinds, strict=True):
            clusters[name] = []
            for position, kind in enumerate(members):
                seed = clusters[name][0] if position else None
                routes = f"routes: [nats://127.0.0.1:{seed.cluster_port}]" if seed is not None else ""
                known = ""
                if name == "E" and not position:
                    known = f'gateways: [{{name: W, url: "nats://127.0.0.1:{gateway_port(clusters["W"][0])}"}}]'
                config = (
                    f"server_name: {name}{position + 1}\n"
                    'accounts { "$SYS" { users: [{user: sys, password: sys}] } }\n'
                    f'cluster {{ name: {name}, listen: "127.0.0.1:-1", {routes} }}\n'
                    f'gateway {{ name: {name}, listen: "127.0.0.1:-1", {known} }}\n'
                )
                node = kind(folder / f"{name}{position + 1}", config=config, monitor=True)
                nodes.append(node)
                clusters[name].append(node.start())
        until(lambda: all(outbound(node) is not None for node in nodes), "a node has no outbound")
        yield clusters
    finally:
        for node in nodes:
            node.kill()


def until(condition: Callable[[], bool], what: str, seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def outbound(node: ServerProcess) -> dict[str, object] | None:
    """The one outbound, as /gatewayz shows it, once its interest is known."""
    found = node.monitor("/gatewayz?accs=1")["outbound_gateways"]
    assert len(found) <= 1
    for shown in found.values():
        modes = {each["name"]: each["interest_mode"] for each in shown.get("accounts", [])}
        if modes.get("$G") == modes.get("$SYS") == "Interest-Only":
            result: dict[str, object] = shown
            return result
    return None


@pytest.fixture(scope="module", params=LAYOUTS)
def clusters(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clusters]:
    missing = NatsServerProcess.missing()
    if missing:
        pytest.skip(missing)
    yield from started(tmp_path_factory.mktemp("supercluster"), LAYOUTS[request.param])


@pytest.fixture
def client() -> Iterator["Connect"]:
    opened: list[WireClient] = []

    def connect(node: ServerProcess, **fields: str) -> WireClient:
        made = WireClient(node.address)
        opened.append(made)
        made.handshake(headers=True, no_responders=True, **fields)
        return made

    yield connect
    for each in opened:
        each.close()


Connect = Callable[..., WireClient]
WAYS = pytest.mark.parametrize(("here", "there"), [("W", "E"), ("E", "W")])


def far_ends(clusters: Clusters, here: str, there: str) -> list[tuple[ServerProcess, ServerProcess]]:
    return [(one, other) for one in clusters[here] for other in clusters[there]]


@WAYS
def test_messages_and_headers(clusters: Clusters, client: Connect, here: str, there: str) -> None:
    for one, other in far_ends(clusters, here, there):
        publisher, subscriber = client(one), client(other)
        subscriber.subscribe("plain.*", 1)
        subscriber.ping()
        wait_for_interest(publisher, "plain.probe")
        header = b"NATS/1.0\r\nA: b\r\n\r\n"
        payload = bytes(range(256)) * 4000
        publisher.publish("plain.a", b"x")
        publisher.publish("plain.b", payload, headers=header)
        publisher.ping()
        found = [subscriber.read_message() for _ in range(2)]
        while found[0].subject == b"plain.probe":
            found = [found[1], subscriber.read_message()]
        assert [(each.subject, each.headers, each.payload) for each in found] == [
            (b"plain.a", b"", b"x"),
            (b"plain.b", header, payload),
        ]
        assert subscriber.read_messages_until_pong() == []
        subscriber.close()


@WAYS
def test_60_requests_to_a_group(clusters: Clusters, client: Connect, here: str, there: str) -> None:
    """A member on every node there; requestors on every node here; every request is answered once."""
    members = [client(node) for node in clusters[there]]
    for member in members:
        member.subscribe("service", 1, "q")
        member.ping()
    answered: Counter[int] = Counter()
    for node in clusters[here]:
        requestor = client(node)
        wait_for_interest(requestor, "service")
        requestor.send(b"SUB inbox.* 2\r\n")
        for number in range(30):
            requestor.publish("service", b"%d" % number, reply=f"inbox.{number}")
        answered.clear()
        deadline = time.monotonic() + 10
        got: list[bytes] = []
        while len(got) < 30:
            assert time.monotonic() < deadline, f"{len(got)} answers, {answered} requests heard"
            for position, member in enumerate(members):
                for message in member.read_messages_until_pong():
                    if message.reply is not None and message.payload:
                        answered[position] += 1
                        member.publish(message.reply.decode(), message.payload)
            got += [each.payload for each in requestor.read_messages_until_pong() if each.sid == b"2"]
        assert sorted(got, key=int) == [b"%d" % number for number in range(30)]
        assert sum(answered.values()) == 30
        assert requestor.read_messages_until_pong() == []
        requestor.close()


@WAYS
def test_a_group_stays_at_home(clusters: Clusters, client: Connect, here: str, there: str) -> None:
    publisher, near, far = client(clusters[here][0]), client(clusters[here][-1]), client(clusters[there][0])
    far.subscribe("work", 1, "q")
    far.ping()
    wait_for_interest(publisher, "work")
    far.read_messages_until_pong()
    near.subscribe("work", 1, "q")
    near.ping()
    seen = 0
    until(lambda: (publisher.publish("work"), publisher.ping(), bool(near.read_messages_until_pong()))[-1], "near")
    far.read_messages_until_pong()
    for _ in range(20):
        publisher.publish("work", b"counted")  # what was said before may still be on its way
    publisher.ping()
    deadline = time.monotonic() + 5
    while seen < 20 and time.monotonic() < deadline:
        seen += sum(each.payload == b"counted" for each in near.read_messages_until_pong())
    assert seen == 20
    assert [each for each in far.read_messages_until_pong() if each.payload == b"counted"] == []


@WAYS
def test_nobody_answers(clusters: Clusters, client: Connect, here: str, there: str) -> None:
    requestor = client(clusters[here][0])
    requestor.subscribe("inbox", 1)
    requestor.publish("nobody.there", reply="inbox")
    message = requestor.read_message()
    assert message.headers.startswith(b"NATS/1.0 503")


def test_the_system_account_is_one(clusters: Clusters, client: Connect) -> None:
    """Asked anywhere, every server of every cluster answers; what one tells is heard everywhere."""
    nodes = {node.monitor("/varz")["server_id"]: node for each in clusters.values() for node in each}
    for server_id, node in nodes.items():
        asking = client(node, user="sys", **{"pass": "sys"})
        inbox = f"inbox.{server_id}"  # for two seconds an answer to one of that name finds its way back to the asker
        asking.send(f"SUB {inbox} 1\r\n".encode())
        asking.publish("$SYS.REQ.SERVER.PING.IDZ", reply=inbox)
        answers = [asking.read_message() for _ in nodes]
        assert {json.loads(each.payload)["id"] for each in answers} == set(nodes)
    asking.send(b"SUB $SYS.ACCOUNT.$G.CONNECT 2\r\n")
    asking.ping()
    for node in nodes.values():
        joined = client(node, name="heard")
        deadline = time.monotonic() + 10
        while (told := _name_and_server(asking)) != ("heard", node.monitor("/varz")["server_id"]):
            assert time.monotonic() < deadline, told
            joined.close()
            joined = client(node, name="heard")  # the interest in this may have come too late


def _name_and_server(listener: WireClient) -> tuple[str, str] | None:
    """Of the next client that is told of, if one is."""
    for message in listener.read_messages_until_pong():
        told = json.loads(message.payload)
        return told["client"].get("name", ""), told["server"]["id"]
    return None


def test_59_all_see_each_other(clusters: Clusters) -> None:
    for name, other in (("W", "E"), ("E", "W")):
        ids = {node.monitor("/varz")["server_id"] for node in clusters[other]}
        inbound = Counter()
        for node in clusters[name]:
            shown = node.monitor("/gatewayz?accs=1")
            assert set(shown["outbound_gateways"]) == {other}
            assert shown["outbound_gateways"][other]["connection"]["name"] in ids
            for each in shown["inbound_gateways"].get(other, []):
                assert each["connection"]["name"] in ids
                inbound[each["connection"]["name"]] += 1
                assert {one["interest_mode"] for one in each["accounts"]} == {"Interest-Only"}
        assert inbound == dict.fromkeys(ids, 1)


def test_what_is_shown_has_the_fields_of_nats_server(clusters: Clusters) -> None:
    node = next(each for each in clusters["W"] if each.kind == "gossamer")
    shown, real = (
        each.monitor("/gatewayz?accs=1")
        for each in (node, next(each for each in clusters["E"] if each.kind == "nats-server"))
    )
    ours, theirs = shown["outbound_gateways"]["E"], real["outbound_gateways"]["W"]
    assert set(ours) == set(theirs)
    assert set(ours["connection"]) == set(theirs["connection"])
    assert {frozenset(each) - {"num_subs"} for each in ours["accounts"]} == {
        frozenset(each) - {"num_subs"} for each in theirs["accounts"]
    }
    assert set(shown) == set(real)
    assert set(node.monitor("/varz")["gateway"]) == {"name", "host", "port", "auth_timeout", "tls_timeout"}


def test_prometheus_is_told(clusters: Clusters) -> None:
    for name, other in (("W", "E"), ("E", "W")):
        ours = [node for node in clusters[name] if node.kind == "gossamer"]
        for node in ours:
            url = f"http://127.0.0.1:{node.monitor_port}/metrics"
            with urllib.request.urlopen(url, timeout=5) as answer:
                text = answer.read().decode()
            inbound = len(node.monitor("/gatewayz")["inbound_gateways"].get(other, []))
            assert f'gossamer_gateways{{direction="outbound",gateway="{other}"}} 1.0' in text
            assert (f'gossamer_gateways{{direction="inbound",gateway="{other}"}} {inbound}.0' in text) == bool(inbound)
            assert text.count("gossamer_gateway_rtt_seconds{") == 1 + inbound


def is_heard(publisher: WireClient, subscriber: WireClient, subject: str) -> None:
    """A message crosses once there is interest."""
    wait_for_interest(publisher, subject)
    subscriber.read_messages_until_pong()
    publisher.publish(subject, b"again")
    while not (found := subscriber.read_message().payload):
        pass  # a late one of those that asked for interest
    assert found == b"again"


def test_nodes_die_and_come_back(tmp_path: Path, client: Connect) -> None:
    """Messages flow again once the outbound is there."""
    for clusters in started(tmp_path, ([OURS, REAL], [OURS])):
        _die_and_come_back(clusters, client)


def _die_and_come_back(clusters: Clusters, client: Connect) -> None:
    first, second = clusters["W"]
    (far,) = clusters["E"]
    ids = {node.monitor("/varz")["server_id"]: node for node in (first, second)}

    def ends_at() -> ServerProcess | None:
        shown = outbound(far)
        return ids.get(shown["connection"]["name"]) if shown is not None else None  # type: ignore[index]

    subscriber = client(second)
    subscriber.subscribe("news", 1)
    subscriber.ping()
    is_heard(client(far), subscriber, "news")
    far.kill()
    far.restart()
    until(lambda: ends_at() is not None and all(outbound(node) is not None for node in (first, second)), "no outbound")
    is_heard(client(far), subscriber, "news")
    victim = ends_at()
    assert victim is not None
    survivor = first if victim is second else second
    victim.kill()
    until(lambda: ends_at() is survivor, "no outbound to the other node")
    listener = client(survivor)
    listener.subscribe("later", 1)
    listener.ping()
    is_heard(client(far), listener, "later")
