"""What a cluster tells of its interest, and makes of that of others (spec gateways 7, 8; checklist 26 to 42)."""

import base64
import json
from typing import Any

import pytest
from gateway_peer import command_line
from gateway_site import CONFIG, Cluster, Site

from gossamer.mesh.testing.wire import WireClient


def about(lines: list[Any], word: str) -> list[str]:
    """The lines about subjects that contain ``word``."""
    return [each for each in lines if isinstance(each, str) and word in each]


def commands(lines: list[Any]) -> list[tuple[int, str]]:
    """gateway_cmd and account, in order."""
    infos = [json.loads(each[5:]) for each in lines if isinstance(each, str) and each.startswith("INFO ")]
    return [
        (each["gateway_cmd"], base64.b64decode(each["gateway_cmd_payload"]).decode())
        for each in infos
        if each.get("gateway_cmd", 0) >= 2
    ]


def subscribed(site: Site, *subscriptions: str) -> WireClient:
    client = site.client()
    client.send("".join(f"SUB {each}\r\n" for each in subscriptions).encode())
    client.ping()
    return client


def sends(cluster: Cluster, client: WireClient, *subjects: str) -> list[str]:
    """Which of the subjects reach the other cluster when the client publishes on them."""
    for subject in subjects:
        client.publish(subject, b"x")
    client.ping()
    return [each.subject for each in cluster.taken.messages() if each.subject in subjects]


# --- acceptor ---------------------------------------------------------------------------------------------------------


def test_26_queue_interest_comes_first(site: Site) -> None:
    subscribed(site, "i26.a q 1", "i26.b q 2", "i26.a q 3", "i26.c 4")
    site.client("b").subscribe("i26.d", 1, "r")
    told = site.meet().told
    assert sorted(about(told, "i26")) == [
        "RS+ A i26.a q 1",
        "RS+ A i26.b q 1",
        "RS+ A i26.c",
        "RS+ B i26.d r 1",
    ]


def test_27_an_account_at_a_time(site: Site) -> None:
    subscribed(site, "i27.a 1", "i27.b 2")
    told = site.meet().told
    pairs = commands(told)
    assert {account for _, account in pairs} >= {"A", "B", "SVC", "APP"}
    for account in {account for _, account in pairs}:
        assert [number for number, name in pairs if name == account] == [2, 3]
    place = {
        text: next(position for position, line in enumerate(told) if text in line)
        for text in ('"gateway_cmd":2,"gateway_cmd_payload":"QQ=="', "RS+ A i27.a", "RS+ A i27.b",
                     '"gateway_cmd":3,"gateway_cmd_payload":"QQ=="')
    }  # fmt: skip
    first, one, other, last = place.values()
    assert first < min(one, other) < max(one, other) < last


def test_28_interest_of_other_nodes(site: Site) -> None:
    route = site.route()
    route.send("RS+ A i28.a", "RS+ A i28.b q 3")
    route.barrier()
    cluster = site.meet()
    assert sorted(about(cluster.told, "i28")) == ["RS+ A i28.a", "RS+ A i28.b q 1"]
    route.send("RS+ A i28.c", "RS- A i28.a")
    route.barrier()
    assert about(cluster.dialled.barrier(), "i28") == ["RS+ A i28.c", "RS- A i28.a"]


def test_29_the_first_and_the_last_of_a_cluster(site: Site) -> None:
    cluster, route = site.meet(), site.route()
    client, other = subscribed(site, "i29.a 1"), subscribed(site, "i29.a 1")
    route.send("RS+ A i29.a")
    route.barrier()
    assert about(cluster.dialled.barrier(), "i29") == ["RS+ A i29.a"]
    for one in (client, other):
        one.send(b"UNSUB 1\r\n")
        one.ping()
    assert about(cluster.dialled.barrier(), "i29") == []
    route.send("RS- A i29.a")
    route.barrier()
    assert about(cluster.dialled.barrier(), "i29") == ["RS- A i29.a"]


def test_30_the_first_and_the_last_of_a_group(site: Site) -> None:
    cluster, route = site.meet(), site.route()
    client = subscribed(site, "i30.a q 1", "i30.a q 2")
    for weight in (2, 5):
        route.send(f"RS+ A i30.a q {weight}")
        route.barrier()
    assert about(cluster.dialled.barrier(), "i30") == ["RS+ A i30.a q 1"]
    client.send(b"UNSUB 1\r\nUNSUB 2\r\n")
    client.ping()
    assert about(cluster.dialled.barrier(), "i30") == []
    route.send("RS- A i30.a q")
    route.barrier()
    assert about(cluster.dialled.barrier(), "i30") == ["RS- A i30.a q"]


def test_31_interest_goes_with_its_route(site: Site) -> None:
    cluster, route = site.meet(), site.route()
    subscribed(site, "i31.both 1")
    route.send("RS+ A i31.both", "RS+ A i31.gone", "RS+ A i31.work q 2")
    route.barrier()
    assert len(about(cluster.dialled.barrier(), "i31")) == 3
    route.close()
    found: set[str] = set()
    while len(found) < 2:
        found |= set(about([cluster.dialled.line()], "i31"))
    assert found == {"RS- A i31.gone", "RS- A i31.work q"}
    assert about(cluster.dialled.barrier(), "i31") == []


def test_32_a_new_account(start_site: Any) -> None:
    site = start_site(CONFIG)
    cluster = site.meet()
    site.server.reload(CONFIG.replace("accounts {", "accounts {\n  NEW { users: [{user: n, password: n}] }"))
    client = site.client("n")
    client.subscribe("i32", 1)
    client.ping()
    lines = cluster.dialled.barrier()
    assert [each for each in commands(lines) if each[1] == "NEW"] == [(2, "NEW"), (3, "NEW")]
    assert about(lines, "i32") == ["RS+ NEW i32"]


def test_33_nothing_is_refused(site: Site) -> None:
    cluster = site.meet()
    client = subscribed(site, "i33.a 1")
    cluster.publish("A", "i33.nobody")
    assert about(cluster.dialled.barrier(), " A") == ["RS+ A i33.a"]
    client.ping()


@pytest.mark.only_server("gossamer", reason="nats-server says A- and forgets that the account was interest-only")
def test_33_nothing_is_refused_without_a_subscription(start_site: Any) -> None:
    site = start_site(CONFIG)
    cluster = site.meet()
    client = subscribed(site, "i33.a 1")
    client.send(b"UNSUB 1\r\n")
    client.ping()
    cluster.dialled.barrier()
    cluster.publish("B", "i33.nobody")
    cluster.publish("A", "i33.a")
    cluster.publish("UNKNOWN", "i33.a")
    client.subscribe("i33.b", 2)
    client.ping()
    assert [each for each in cluster.dialled.barrier() if "$SYS" not in each] == ["RS+ A i33.b"]


@pytest.mark.parametrize("line", ["RS+ A i34", "RS- A i34", "RS+ A i34 q 1"])
def test_34_interest_from_a_solicitor(site: Site, line: str) -> None:
    cluster = site.meet()
    cluster.dialled.send(line)
    cluster.dialled.expect_end()


@pytest.mark.only_server("gossamer", reason="nats-server 2.15.1 ends with exit code 2 at these lines")
def test_34_no_interest_from_a_solicitor(site: Site) -> None:
    cluster = site.meet()
    cluster.dialled.send("A- A", "A+ A", "A- UNKNOWN")
    cluster.dialled.barrier()
    subscribed(site, "i34.after 1")
    assert about(cluster.dialled.barrier(), " A") == ["RS+ A i34.after"]


# --- solicitor --------------------------------------------------------------------------------------------------------


def test_35_nothing_without_an_announcement(site: Site) -> None:
    cluster, client = site.meet(), site.client()
    assert sends(cluster, client, "i35.a") == []
    assert sends(cluster, site.client("b"), "i35.a") == []


def test_36_between_the_commands(site: Site) -> None:
    cluster, client = site.meet(), site.client()
    cluster.says("RS+ A i36.a")
    assert sends(cluster, client, "i36.a") == []
    cluster.says(command_line(cluster.name, 2, "A"), "RS+ A i36.b", "RS+ A i36.*.c")
    assert sends(cluster, client, "i36.a", "i36.b", "i36.x.c") == ["i36.b", "i36.x.c"]
    cluster.says(command_line(cluster.name, 3, "A"))
    assert sends(cluster, client, "i36.a", "i36.b", "i36.x.c") == ["i36.b", "i36.x.c"]
    cluster.says("RS- A i36.b", "RS+ A i36.a", "RS+ A i36.a")
    assert sends(cluster, client, "i36.a", "i36.b") == ["i36.a"]
    cluster.says("RS- A i36.a")
    assert sends(cluster, client, "i36.a", "i36.b") == []


def test_37_a_peer_without_interest_only_mode(site: Site) -> None:
    cluster, client = site.meet(gateway_iom=None), site.client()
    assert sends(cluster, client, "i37.a", "i37.b") == ["i37.a", "i37.b"]
    cluster.says("RS- A i37.a")
    assert sends(cluster, client, "i37.a", "i37.b") == ["i37.b"]
    cluster.says("A- A")
    assert sends(cluster, client, "i37.a", "i37.b") == []
    cluster.says("A+ A")
    assert sends(cluster, client, "i37.a", "i37.b") == ["i37.a", "i37.b"]


def test_38_a_wildcard_takes_back_what_it_covers(site: Site) -> None:
    cluster, client = site.meet(gateway_iom=None), site.client()
    cluster.says("RS- A i38.a.b", "RS- A i38.a.c", "RS- A i38.d")
    assert sends(cluster, client, "i38.a.b", "i38.a.c", "i38.d") == []
    cluster.says("RS+ A i38.a.*")
    assert sends(cluster, client, "i38.a.b", "i38.a.c", "i38.d") == ["i38.a.b", "i38.a.c"]
    cluster.says("RS+ A i38.d")
    assert sends(cluster, client, "i38.d") == ["i38.d"]


def test_39_a_queue_group_after_no_interest(site: Site) -> None:
    cluster, client = site.meet(gateway_iom=None), site.client()
    cluster.says("A- A")
    assert sends(cluster, client, "i39.a") == []
    cluster.says("RS+ A i39.work q 1")
    assert sends(cluster, client, "i39.a", "i39.work") == ["i39.a", "i39.work"]


@pytest.mark.only_server("gossamer", reason="nats-server sends nothing more to a peer that fell out of the mode (8.2)")
def test_40_a_peer_that_fell_out_of_the_mode(site: Site) -> None:
    cluster, client = site.meet(), site.client()
    cluster.wants("A", "i40.a")
    cluster.says("RS- A i40.a", "A- A")
    assert sends(cluster, client, "i40.a", "i40.b") == []
    cluster.says("A+ A")
    assert sends(cluster, client, "i40.a", "i40.b") == ["i40.a", "i40.b"]
    cluster.says("RS- A i40.a")
    assert sends(cluster, client, "i40.a", "i40.b") == ["i40.b"]
    cluster.wants("A", "i40.c")
    assert sends(cluster, client, "i40.a", "i40.b", "i40.c") == ["i40.c"]


@pytest.mark.parametrize(("number", "word"), [(2, "start"), (3, "complete")])
def test_41_a_command_without_an_account(site: Site, number: int, word: str) -> None:
    cluster = site.meet()
    cluster.taken.send(command_line(cluster.name, number, None))
    assert cluster.taken.expect_end() == [f"-ERR 'Account absent from receive-all-subscriptions-{word} command'"]


def test_41_an_unknown_command(site: Site) -> None:
    cluster, client = site.meet(), site.client()
    cluster.says(command_line(cluster.name, 9, "A"))
    cluster.wants("A", "i41.a")
    assert sends(cluster, client, "i41.a") == ["i41.a"]


def test_42_nothing_is_remembered(site: Site) -> None:
    cluster, client = site.meet(), site.client()
    cluster.wants("A", "i42.a")
    cluster.says("RS+ A i42.b q 1")
    assert sends(cluster, client, "i42.a", "i42.b") == ["i42.a", "i42.b"]
    cluster.taken.close()
    cluster.taken = cluster.take()
    assert sends(cluster, client, "i42.a", "i42.b") == []
    cluster.wants("A", "i42.b")
    assert sends(cluster, client, "i42.a", "i42.b") == ["i42.b"]
