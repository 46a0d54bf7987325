"""Who dials whom, and who is told of whom (spec gateways 5, 6; checklist 13 to 25)."""

import json
import time
from typing import Any

from gateway_peer import Peer, info_line, line_of
from gateway_site import Cluster, Site

from gossamer.mesh.testing.plugin import StartServer
from gossamer.mesh.testing.process import ServerProcess

GATEWAY = 'gateway {{name: {name}, listen: "127.0.0.1:-1", gateways: [{gateways}]}}'


def gossip(about: str, *addresses: str) -> str:
    return line_of(
        "INFO", {"server_id": "NGOSSIP", "gateway": about, "gateway_urls": list(addresses), "gateway_cmd": 1}
    )


def gossip_in(lines: list[Any]) -> dict[str, dict[str, Any]]:
    """INFO lines with gateway_cmd 1, by the gateway they are about."""
    infos = [json.loads(each[5:]) for each in lines if isinstance(each, str) and each.startswith("INFO ")]
    return {each["gateway"]: each for each in infos if each.get("gateway_cmd") == 1}


def told_of(route: Peer, name: str) -> dict[str, Any]:
    """The gossip about a cluster that a route hears next."""
    return gossip_in(route.wait_for(f'"gateway":"{name}"'))[name]


def dead_address(site: Site) -> str:
    door = site.door()
    door.shut()
    return door.address


def test_13_configured_gateways_after_a_second(start_server: StartServer, start_site: Any, site: Site) -> None:
    cluster = Cluster(site, "PY")
    dead = [dead_address(site) for _ in range(2)]
    urls = ", ".join(f'"nats://{address}"' for address in (dead[0], cluster.door.address, dead[1]))
    begin = time.monotonic()
    start_site(GATEWAY.format(name="SELF", gateways=f'{{name: PY, urls: [{urls}]}}, {{name: SELF, url: "nats://x:1"}}'))
    ready = time.monotonic()
    peer = cluster.take()
    assert time.monotonic() - begin > 0.95
    assert time.monotonic() - ready < 2.5
    peer.close()
    cluster.take(3.5).close()


def test_14_who_comes_is_dialled_back(site: Site) -> None:
    cluster = Cluster(site)
    cluster.dial()
    begin = time.monotonic()
    cluster.take()
    assert time.monotonic() - begin < 0.9


def test_15_a_chain_becomes_a_mesh(start_server: StartServer) -> None:
    nodes: list[ServerProcess] = []
    for name in ("C1", "C2", "C3"):
        port = nodes[-1].monitor("/varz")["gateway"]["port"] if nodes else 0
        before = f"C{len(nodes)}"
        known = f'{{name: {before}, url: "nats://127.0.0.1:{port}"}}' if nodes else ""
        config = f"server_name: n{name}\n{GATEWAY.format(name=name, gateways=known)}"
        nodes.append(start_server(config=config, monitor=True))
    deadline = time.monotonic() + 5
    while True:
        found = [node.monitor("/gatewayz") for node in nodes]
        # An outbound is registered before the other side has read that it is there.
        whole = all(len(each["outbound_gateways"]) == len(each["inbound_gateways"]) == 2 for each in found)
        if whole or time.monotonic() > deadline:
            break
    for each in found:
        others = {"C1", "C2", "C3"} - {each["name"]}
        assert set(each["outbound_gateways"]) == others
        assert {name: len(rows) for name, rows in each["inbound_gateways"].items()} == dict.fromkeys(others, 1)


def test_16_one_outbound_to_a_cluster(site: Site) -> None:
    cluster = Cluster(site)
    other = site.door()
    cluster.dial()
    cluster.take()
    for number in range(3):
        peer = site.knock()
        peer.info()
        peer.send(
            line_of("CONNECT", {"gateway": cluster.name, "verbose": False}),
            info_line(cluster.name, other.address, server_id=f"N{number}", server_name=f"{cluster.name}-{number}"),
        )
        peer.barrier()
    other.expect_nobody()
    cluster.door.expect_nobody(0.1)
    assert len(site.server.monitor("/gatewayz")["inbound_gateways"][cluster.name]) == 4


def test_17_the_addresses_of_the_cluster(site: Site) -> None:
    before = site.knock().info()
    assert before["gateway_urls"] == [before["gateway_url"]]
    site.route(gateway_url="10.1.1.1:7222")
    deadline = time.monotonic() + 5  # a PONG on the route does not say that its INFO has been taken to heart
    while (found := set(site.knock().info()["gateway_urls"])) == {before["gateway_url"]}:
        assert time.monotonic() < deadline
    assert found == {before["gateway_url"], "10.1.1.1:7222"}


def test_18_their_change_is_told(site: Site) -> None:
    cluster = site.meet()
    own = f"127.0.0.1:{site.gateway_port}"

    def told() -> tuple[str, set[str]]:
        info = json.loads(cluster.dialled.wait_for("10.1.1.")[-1][5:])
        assert "gateway_cmd" not in info
        return info["server_name"], set(info["gateway_urls"])

    first = site.route(gateway_url="10.1.1.2:7222")
    assert told() == ("own1", {own, "10.1.1.2:7222"})
    second = site.route(gateway_url="10.1.1.3:7222")
    assert told() == ("own1", {own, "10.1.1.2:7222", "10.1.1.3:7222"})
    first.close()
    assert told() == ("own1", {own, "10.1.1.3:7222"})
    second.close()
    assert set(cluster.dialled.info()["gateway_urls"]) == {own}


def test_19_an_outbound_is_told_to_the_cluster(site: Site) -> None:
    route = site.route()
    cluster = site.meet()
    info = told_of(route, cluster.name)
    server_id = site.server.monitor("/varz")["server_id"]
    assert (info["server_id"], info["server_name"]) == (f"GW{server_id}", "own1")
    assert info["gateway_urls"] == [cluster.door.address]
    cluster.says(cluster.info(gateway_urls=[cluster.door.address, "10.1.1.4:7222"]))
    assert set(told_of(route, cluster.name)["gateway_urls"]) == {cluster.door.address, "10.1.1.4:7222"}


def test_20_a_new_node_hears_of_all_outbounds(site: Site) -> None:
    clusters = [site.meet(), site.meet()]
    route = site.route()
    found = gossip_in(route.joined)
    while not {cluster.name for cluster in clusters} <= set(found):
        found |= gossip_in([route.line()])
    for cluster in clusters:
        assert found[cluster.name]["gateway_urls"] == [cluster.door.address]
        assert found[cluster.name]["server_id"].startswith("GW")


def test_21_a_new_inbound_hears_of_all_others(site: Site) -> None:
    first, second = site.meet(), site.meet()
    found = gossip_in([*second.told, *second.dialled.barrier()])
    assert first.name in found
    assert second.name not in found
    assert found[first.name]["gateway_urls"] == [first.door.address]
    assert found[first.name]["server_id"] == site.server.monitor("/varz")["server_id"]


def test_22_gossip_is_followed(site: Site) -> None:
    teller, told = site.meet(), Cluster(site)
    teller.says(gossip(told.name, told.door.address))
    taken = told.take()
    other = site.door()
    teller.says(gossip(told.name, other.address), gossip("OWN", other.address))
    other.expect_nobody(0.1)
    told.door.shut()
    taken.close()
    found = other.accept(4)
    found.send(told.info())
    assert json.loads(found.line().removeprefix("CONNECT "))["gateway"] == "OWN"
    route = site.route()
    third, more = Cluster(site), site.door()
    route.send(gossip(third.name, third.door.address))
    route.send(gossip("OWN", more.address))
    third.take()
    more.expect_nobody(0.1)


def test_23_another_node_when_one_dies(site: Site) -> None:
    cluster, other = Cluster(site), site.door()
    cluster.how["gateway_urls"] = [cluster.door.address]
    cluster.dial()
    taken = cluster.take()
    cluster.taken = taken
    cluster.says(cluster.info(gateway_urls=[cluster.door.address, other.address]))
    cluster.door.shut()
    begin = time.monotonic()
    taken.close()
    found = other.accept(4)
    found.send(cluster.info())
    assert found.line().startswith("CONNECT ")
    assert time.monotonic() - begin < 3


def test_24_the_listener_is_open_before_the_first_dial(site: Site, start_site: Any) -> None:
    cluster = Cluster(site, "PY")
    made = start_site(GATEWAY.format(name="EARLY", gateways=f'{{name: PY, url: "nats://{cluster.door.address}"}}'))
    peer = cluster.door.accept()
    assert made.knock().info()["gateway"] == "EARLY"
    peer.send(cluster.info())
    assert peer.line().startswith("CONNECT ")
    assert peer.info()["gateway_url"] == f"127.0.0.1:{made.gateway_port}"


def test_25_what_cannot_be_reached_is_given_up(site: Site) -> None:
    teller = site.meet()
    name = f"{teller.name}-DEAD"
    teller.says(gossip(name, dead_address(site)))
    deadline = time.monotonic() + 5
    while True:
        visitor = Cluster(site)
        visitor.dial()
        if name not in gossip_in([*visitor.told, *visitor.dialled.barrier()]):
            break
        assert time.monotonic() < deadline
    door = site.door()
    teller.says(gossip(name, door.address))
    door.accept(2)  # it is new again
