"""Where messages go, and which replies are mapped (spec gateways 9; checklist 43 to 57, 59)."""

import json
import time
from typing import Any

from gateway_peer import Peer, Sent, line_of
from gateway_site import Cluster, Site

from gossamer.mesh.gateways.hashes import short_hash
from gossamer.mesh.testing.wire import WireClient


def taken(cluster: Cluster, of: str) -> list[Sent]:
    return cluster.taken.messages(of=of)


def heard(client: WireClient, of: bytes) -> list[bytes]:
    """The subjects of a client's messages."""
    return [each.subject for each in client.read_messages_until_pong() if each.subject.startswith(of)]


def published(client: WireClient, subject: str, count: int = 1, **how: Any) -> None:
    for _ in range(count):
        client.publish(subject, b"x", **how)
    client.ping()


def test_43_a_copy_for_each_cluster(site: Site) -> None:
    clusters, route, client = [site.meet() for _ in range(3)], site.route(), site.client()
    for cluster in clusters:
        cluster.wants("A", "m43.*")
    route.send("RS+ A m43.a")
    route.barrier()
    published(client, "m43.a")
    for cluster in clusters:
        assert [each[:5] for each in taken(cluster, "m43")] == [("RMSG", "A", "m43.a", "", ())]
    assert len(route.messages(of="m43")) == 1


def test_44_a_group_of_the_own_cluster(site: Site) -> None:
    cluster, client, member, route = site.meet(), site.client(), site.client(), site.route()
    cluster.wants("A", "m44.both")
    cluster.says("RS+ A m44.work q 1", "RS+ A m44.both q 1", "RS+ A m44.far q 1")
    member.send(b"SUB m44.work q 1\r\nSUB m44.both q 2\r\n")
    member.ping()
    route.send("RS+ A m44.far q 1")
    route.barrier()
    for subject in ("m44.work", "m44.both", "m44.far"):
        published(client, subject)
    assert [(each.subject, each.queues) for each in taken(cluster, "m44")] == [("m44.both", ())]
    assert heard(member, b"m44") == [b"m44.work", b"m44.both"]
    assert [each.queues for each in route.messages(of="m44")] == [("q",)]
    member.send(b"UNSUB 1\r\n")
    member.ping()
    published(client, "m44.work")
    assert [(each.subject, each.queues) for each in taken(cluster, "m44")] == [("m44.work", ("q",))]


def test_45_the_nearest_cluster(site: Site) -> None:
    clusters = [Cluster(site), Cluster(site)]
    for cluster, late_s in zip(clusters, (0.12, 0.0), strict=True):
        cluster.dial()
        cluster.taken = cluster.take(late_s=late_s)
        cluster.wants("A")
        cluster.says("RS+ A m45.work q 1")
    for cluster in reversed(clusters):  # the near one at once
        _answer_a_ping(cluster.taken)
        cluster.taken.barrier()
    client = site.client()
    published(client, "m45.work", 5)
    far, near = (taken(cluster, "m45") for cluster in clusters)
    assert (len(far), [each.queues for each in near]) == (0, [("q",)] * 5)
    clusters[1].says("RS- A m45.work q")
    published(client, "m45.work", 2)
    assert (len(taken(clusters[0], "m45")), len(taken(clusters[1], "m45"))) == (2, 0)


def _answer_a_ping(peer: Peer) -> None:
    peer.answers_pings = False
    while peer.line() != "PING":
        pass
    time.sleep(peer.late_s)  # the way there and back
    peer.send("PONG")
    peer.answers_pings = True


def test_46_a_group_is_named_once(site: Site) -> None:
    both, group, client = site.meet(), site.meet(), site.client()
    both.wants("A", "m46.a")
    both.says("RS+ A m46.a q 1")
    group.says("RS+ A m46.a q 1")
    published(client, "m46.a", 4)
    one, other = taken(both, "m46"), taken(group, "m46")
    assert len(one) == 4
    assert all(each.queues == ("q",) for each in other)
    assert sum(each.queues == ("q",) for each in one) + len(other) == 4


def test_47_arriving_by_gateway(site: Site) -> None:
    cluster, route, plain, member = site.meet(), site.route(), site.client(), site.client()
    plain.subscribe("m47.a", 1)
    member.send(b"SUB m47.a q 1\r\nSUB m47.a other 2\r\n")
    for client in (plain, member):
        client.ping()
    route.send("RS+ A m47.a", "RS+ A m47.a q 1", "RS+ A m47.a third 1")
    route.barrier()
    for _ in range(40):
        cluster.publish("A", "m47.a", queues="q")
    cluster.dialled.barrier()
    assert len(heard(plain, b"m47")) == 40
    routed = route.messages(of="m47")
    assert len(routed) == 40
    assert {each.queues for each in routed} <= {(), ("q",)}
    local = heard(member, b"m47")
    assert len(local) + sum(each.queues == ("q",) for each in routed) == 40
    assert 0 < len(local) < 40


def test_48_no_further_than_one_gateway(site: Site) -> None:
    source, other, route = site.meet(), site.meet(), site.route()
    other.wants("A", "m48.>")
    other.says("RS+ A m48.a q 1")
    source.publish("A", "m48.a")
    source.publish("A", "m48.a", queues="q")
    source.dialled.barrier()
    route.send(b"RMSG A m48.a 1\r\nx")
    route.barrier()
    assert taken(other, "m48") == []


def test_46_of_routes_an_acknowledgement_reply_goes_on_as_it_came(site: Site) -> None:
    """Clients see the subject behind it; the other nodes of the cluster are to see it likewise."""
    cluster, route, client = site.meet(), site.route(), site.client()
    client.subscribe("m46r.deliver", 1)
    client.ping()
    route.send("RS+ A m46r.deliver")
    route.barrier()
    acknowledged = "$JS.ACK.S1.C1.1.1.1.1795444848927211061.0"
    cluster.publish("A", "m46r.deliver", reply=f"{acknowledged}@orders.new")
    cluster.dialled.barrier()
    (shown,) = client.read_messages_until_pong()
    assert (shown.subject, shown.reply) == (b"orders.new", acknowledged.encode())
    (sent,) = route.messages(of="m46r")
    assert sent.reply == f"{acknowledged}@orders.new"


def test_49_hashes() -> None:
    assert (short_hash("W"), short_hash("E"), short_hash("PYC")) == (b"4vwD14", b"jxLe3f", b"0j5VRB")


def test_50_replies_to_fresh_subscriptions(site: Site) -> None:
    cluster, client = site.meet(), site.client()
    cluster.wants("A", "m50.ask")
    client.subscribe("m50.inbox.*", 1)
    published(client, "m50.ask", reply="m50.inbox.1")
    published(client, "m50.ask", reply="m50.elsewhere")
    own = f"_GR_.{short_hash('OWN').decode()}.{site.server_hash}."
    assert [each.reply for each in taken(cluster, "m50")] == [f"{own}m50.inbox.1", "m50.elsewhere"]
    deadline = time.monotonic() + 5
    begin = time.monotonic()
    while True:
        published(client, "m50.ask", reply="m50.inbox.1")
        (found,) = taken(cluster, "m50")
        if found.reply == "m50.inbox.1":
            break
        assert time.monotonic() < deadline
    assert time.monotonic() - begin > 1.5


def test_51_the_responder_sees_the_plain_reply(site: Site) -> None:
    asking, other, client = site.meet(), site.meet(), site.client()
    for cluster in (asking, other):
        cluster.wants("A", "m51.inbox.>")
    client.subscribe("m51.ask", 1)
    client.ping()
    near, route = site.client(), site.route()
    near.subscribe("m51.inbox.>", 1)
    near.ping()
    route.send("RS+ A m51.inbox.>")
    route.barrier()
    asking.publish("A", "m51.ask", reply=f"{asking.prefix()}m51.inbox.1")
    asking.dialled.barrier()
    (message,) = client.read_messages_until_pong()
    assert (message.subject, message.reply) == (b"m51.ask", b"m51.inbox.1")
    published(client, "m51.inbox.1", 2)
    assert [each.subject for each in asking.taken.messages()] == [f"{asking.prefix()}m51.inbox.1"] * 2
    assert other.taken.messages(of="m51") == []
    assert heard(near, b"m51") == []
    assert route.messages(of="m51") == []


def test_52_mapped_replies_come_back(site: Site) -> None:
    cluster, client = site.meet(), site.client()
    client.send(b"SUB m52.> 1\r\nSUB m52.work q 2\r\n")
    client.ping()
    own, here = short_hash("OWN").decode(), site.server_hash
    cluster.publish("A", f"_GR_.{own}.{here}.m52.mine")
    cluster.publish("A", f"_GR_.{own}.{here}.m52.work")
    cluster.publish("A", f"_GR_.{short_hash('ELSEWHERE').decode()}.{here}.m52.lost")
    cluster.dialled.barrier()
    assert sorted(heard(client, b"")) == [b"m52.mine", b"m52.work", b"m52.work"]


def test_52_mapped_replies_of_another_node(site: Site) -> None:
    route = site.route(pool_size=3, name="m52node")
    cluster, client = site.meet(), site.client("b")
    client.subscribe("m52.>", 1)
    client.ping()
    subject = f"_GR_.{short_hash('OWN').decode()}.{short_hash('Nm52node').decode()}.m52.theirs"
    account = _account_of_first_slot()
    cluster.publish(account, subject)
    cluster.dialled.barrier()
    assert [each[:3] for each in route.messages(of="_GR_")] == [("RMSG", account, subject)]
    assert heard(client, b"m52") == []


def _account_of_first_slot() -> str:
    """One of the accounts that travel on slot 0 of three."""
    from gossamer.mesh.peers.route_protocol import pool_index

    return next(name for name in ("A", "B", "SVC", "APP") if pool_index(name, 3) == 0)


def test_53_mapped_replies_by_route(site: Site) -> None:
    route, client = site.route(), site.client()
    client.send(b"SUB m53.a 1\r\nSUB m53.a q 2\r\n")
    client.ping()
    subject = f"_GR_.{short_hash('OWN').decode()}.{site.server_hash}.m53.a"
    route.send(f"RMSG A {subject} 1".encode() + b"\r\nx")
    route.barrier()
    found = client.read_messages_until_pong()
    assert sorted((each.subject, each.sid) for each in found) == [(b"m53.a", b"1"), (b"m53.a", b"2")]


def test_54_a_reply_that_somebody_else_hears(site: Site) -> None:
    answering, other = site.meet(), site.meet()
    other.wants("A", "m54.>", "_R_.>")
    own = f"_GR_.{short_hash('OWN').decode()}.{site.server_hash}."
    answering.publish("A", f"{own}m54.a")
    answering.publish("A", f"{own}_R_.aaaaaa.bbbbbb")
    answering.dialled.barrier()
    assert [each.subject for each in other.taken.messages()] == ["m54.a"]


def test_55_clients_keep_off(site: Site) -> None:
    client = site.client()
    client.publish("_GR_.a.b.c", b"x")
    client.expect_error('Permissions Violation for Publish to "_GR_.a.b.c"')
    client.publish("m55", b"x", reply="_GR_.a.b.c")
    client.expect_error('Permissions Violation for Publish with Reply of "_GR_.a.b.c"')


def test_56_a_service_in_another_cluster(site: Site) -> None:
    cluster, client = site.meet(), site.client("p")
    cluster.wants("SVC", "svc.echo")
    client.subscribe("m56.inbox", 1)
    client.publish("do.echo", b"hello", reply="m56.inbox")
    client.ping()
    (request,) = taken(cluster, "svc")
    assert (request.verb, request.account, request.payload) == ("HMSG", "SVC", b"hello")
    assert b"Nats-Request-Info:" in request.headers
    own = f"_GR_.{short_hash('OWN').decode()}.{site.server_hash}."
    assert request.reply.startswith(f"{own}_R_.")
    cluster.publish("SVC", request.reply, b"answer")
    cluster.dialled.barrier()
    assert [(each.subject, each.payload) for each in client.read_messages_until_pong()] == [(b"m56.inbox", b"answer")]


def test_57_a_peer_without_headers(site: Site) -> None:
    plain, rich, client = site.meet(headers=False), site.meet(), site.client()
    for cluster in (plain, rich):
        cluster.wants("A", "m57")
    published(client, "m57", headers=b"NATS/1.0\r\nA: b\r\n\r\n")
    assert [(each.verb, each.payload) for each in taken(plain, "m57")] == [("RMSG", b"x")]
    assert [(each.verb, each.headers) for each in taken(rich, "m57")] == [("HMSG", b"NATS/1.0\r\nA: b\r\n\r\n")]


def test_59_what_is_shown_of_a_gateway(site: Site) -> None:
    cluster = site.meet()
    cluster.wants("A", "m59.a", "m59.b")
    cluster.says("RS+ A m59.c q 1")
    shown = site.server.monitor("/gatewayz?accs=1&subs=1")
    assert (shown["name"], shown["host"], shown["port"]) == ("OWN", "127.0.0.1", site.gateway_port)
    outbound, (inbound,) = shown["outbound_gateways"][cluster.name], shown["inbound_gateways"][cluster.name]
    assert (outbound["configured"], outbound["connection"]["kind"]) == (False, "Gateway")
    assert outbound["connection"]["name"] == inbound["connection"]["name"] == f"N{cluster.name}"
    (account,) = outbound["accounts"]
    subscriptions = account.pop("subscriptions_list")
    assert sorted(subscriptions) == ["m59.a", "m59.b", "m59.c"]
    assert account == {
        "name": "A", "interest_mode": "Interest-Only", "interest_only_threshold": 1000, "num_subs": 3,
        "num_queue_subs": 1,
    }  # fmt: skip
    modes = {each["name"]: each["interest_mode"] for each in inbound["accounts"]}
    assert modes.items() >= dict.fromkeys(("A", "B", "SVC", "APP"), "Interest-Only").items()
    one = site.server.monitor(f"/gatewayz?gw_name={cluster.name}&acc_name=A")
    assert list(one["outbound_gateways"]) == list(one["inbound_gateways"]) == [cluster.name]
    assert [each["name"] for each in one["inbound_gateways"][cluster.name][0]["accounts"]] == ["A"]
    none = site.server.monitor("/gatewayz?gw_name=NOBODY")
    assert (none["outbound_gateways"], none["inbound_gateways"]) == (None, {})
    cluster.says(cluster.info(), line_of("INFO", {"gateway": cluster.name, "gateway_cmd": 9}))
    assert site.server.monitor("/varz")["gateway"].get("gateways") is None


def test_59_what_is_told_on_the_system_account(site: Site) -> None:
    cluster, client = site.meet(), site.client("sys")
    cluster.wants("A", "m59.a")
    server_id = site.server.monitor("/varz")["server_id"]
    client.subscribe("m59.inbox", 1)

    def asked(subject: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        client.publish(subject, json.dumps(body).encode() if body is not None else b"", reply="m59.inbox")
        answer: dict[str, Any] = json.loads(client.read_message().payload)
        return answer

    for subject in ("$SYS.REQ.SERVER.PING.GATEWAYZ", f"$SYS.REQ.SERVER.{server_id}.GATEWAYZ"):
        shown = asked(subject, {"name": cluster.name, "account_name": "A", "subscriptions": True})["data"]
        (account,) = shown["outbound_gateways"][cluster.name]["accounts"]
        assert (account["name"], account["subscriptions_list"]) == ("A", ["m59.a"])
    found = asked(f"$SYS.REQ.SERVER.{server_id}.STATSZ")["statsz"]["gateways"]
    (entry,) = [each for each in found if each["name"] == cluster.name]
    assert entry["inbound_connections"] == 1
    assert set(entry) == {"gwid", "name", "sent", "received", "inbound_connections"}


def test_large_messages_cross(site: Site) -> None:
    cluster, client, subject = site.meet(), site.client(), "m60.large"
    cluster.wants("A", subject)
    client.subscribe(subject, 1)
    client.ping()
    payload = bytes(range(256)) * 4096
    client.publish(subject, payload)
    assert client.read_message().payload == payload
    assert cluster.taken.next_message().payload == payload
    cluster.publish("A", subject, payload)
    assert client.read_message().payload == payload
