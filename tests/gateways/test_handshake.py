"""Who is let in, and who is stayed with (spec gateways 2, 3; checklist 1 to 12, 58)."""

import asyncio
import json
import time
from typing import Any

import pytest
from gateway_peer import connect_line, info_line
from gateway_site import Cluster, Site

from gossamer.mesh.options.options import ClusterOptions, GatewayOptions, Options
from gossamer.mesh.server import Server
from gossamer.mesh.testing.process import ServerProcess


def test_01_the_acceptor_speaks_first(site: Site) -> None:
    info = site.knock().info()
    address = f"127.0.0.1:{site.gateway_port}"
    assert info["gateway"] == "OWN"
    assert address in info["gateway_urls"]
    assert info["gateway_url"] == address
    assert info["gateway_nrp"] is True
    assert info["gateway_iom"] is True
    assert (info["host"], info["port"], info["headers"]) == ("127.0.0.1", site.gateway_port, True)
    assert "gateway_cmd" not in info


def test_02_the_solicitor_waits_for_info(site: Site) -> None:
    other = Cluster(site)
    other.dial()
    peer = other.door.accept()
    peer.expect_silence()
    peer.send(other.info())
    verb, _, text = peer.line().partition(" ")
    said = json.loads(text)
    assert (verb, said["gateway"], said["verbose"], said["pedantic"]) == ("CONNECT", "OWN", False, False)
    assert "user" not in said
    info = peer.info()
    assert (info["gateway"], info["server_id"]) == ("OWN", said["name"])


@pytest.mark.parametrize("first", ["INFO", "PING", "RMSG"])
def test_03_first_line_other_than_connect(site: Site, first: str) -> None:
    peer = site.knock(answers_pings=False)
    peer.info()
    peer.send({"INFO": info_line("X", "127.0.0.1:1"), "PING": "PING", "RMSG": "RMSG A a 0\r\n"}[first])
    assert peer.expect_end() == ["-ERR 'Authorization Violation'"]


def test_04_connect_without_gateway(site: Site) -> None:
    peer = site.knock()
    peer.info()
    peer.send(connect_line("X", gateway=None))
    assert peer.expect_end() == ["-ERR 'attempted to connect to gateway port'"]


def test_05_no_connect_in_time(start_site: Any) -> None:
    site = start_site('gateway {name: OWN, listen: "127.0.0.1:-1", authorization {timeout: 0.2}}')
    peer = site.knock()
    peer.info()
    begin = time.monotonic()
    assert peer.expect_end() == ["-ERR 'Authentication Timeout'"]
    assert 0.1 < time.monotonic() - begin < 2


def test_06_credentials(start_site: Any) -> None:
    site = start_site(
        'server_name: own1, gateway {name: OWN, listen: "127.0.0.1:-1", authorization {user: g, password: gp}}'
    )
    for said in ({}, {"user": "g", "pass": "no"}, {"user": "x", "pass": "gp"}):
        peer = site.knock()
        assert peer.info()["auth_required"] is True
        peer.send(connect_line("X", **said))
        assert peer.expect_end() == ["-ERR 'Authorization Violation'"]
    door = site.door()
    peer = site.knock()
    peer.info()
    peer.send(connect_line("X", user="g", **{"pass": "gp"}), info_line("X", door.address))
    peer.barrier()
    # A cluster that was not configured is dialled with our own credentials.
    taken = door.accept()
    taken.send(info_line("X", door.address))
    said = json.loads(taken.line().removeprefix("CONNECT "))
    assert (said["user"], said["pass"]) == ("g", "gp")


def test_07_only_configured_clusters(start_site: Any) -> None:
    site = start_site(
        'gateway {name: OWN, listen: "127.0.0.1:-1", reject_unknown_cluster: true, '
        'gateways: [{name: KNOWN, url: "nats://127.0.0.1:1"}]}'
    )
    peer = site.knock()
    peer.info()
    peer.send(connect_line("X"), info_line("X", "127.0.0.1:1"))
    assert peer.expect_end() == ["-ERR 'Connection to gateway \"OWN\" rejected'"]
    known = site.knock()
    known.info()
    known.send(connect_line("KNOWN"), info_line("KNOWN", "127.0.0.1:1"))
    assert '"gateway_cmd":2' in known.wait_for('"gateway_cmd":2')[-1].replace(" ", "")


def test_08_a_wrong_name_is_met(site: Site) -> None:
    cluster = Cluster(site, "PYC")
    cluster.dial()
    peer = cluster.door.accept()
    peer.send(cluster.info(gateway="NOTPYC"))
    text = 'Connection from "OWN" rejected, wanted to connect to "PYC", this is "NOTPYC"'
    assert peer.expect_end() == [f"-ERR '{text}'"]
    cluster.door.accept(3.5)


def test_09_something_else_is_met(site: Site) -> None:
    cluster = Cluster(site, "PYD")
    cluster.dial()
    peer = cluster.door.accept()
    peer.send(cluster.info(gateway=None))
    assert peer.expect_end() == ["-ERR 'Attempt to connect to gateway \"PYD\" using wrong port'"]
    cluster.door.accept(3.5)


def test_10_a_server_name_of_the_own_cluster(site: Site) -> None:
    site.route(name="own2")
    cluster = Cluster(site)
    for taken_name in ("own1", "own2"):
        peer = site.knock()
        peer.info()
        peer.send(connect_line(cluster.name), cluster.info(server_name=taken_name))
        assert peer.expect_end() == []
        cluster.door.expect_nobody(0.1)
    cluster.dial()
    peer = cluster.door.accept()
    peer.send(cluster.info(server_name="own2"))
    assert peer.expect_end() == []
    cluster.door.accept(3.5)


def test_12_cluster_and_gateway_of_different_names(server_kind: type[ServerProcess], tmp_path: Any) -> None:
    config = tmp_path / "node.conf"
    config.write_text('cluster {name: X, listen: "127.0.0.1:-1"}\ngateway {name: Y, listen: "127.0.0.1:-1"}\n')
    ended = server_kind.run("-c", str(config), folder=tmp_path)
    assert ended.returncode == 1
    assert "cluster name conflicts between cluster and gateway definitions" in ended.stderr


@pytest.mark.parametrize("cluster", ["", "OWN", "OTHER"])
def test_12_options_made_by_a_program(cluster: str) -> None:
    """No file has been read: the node itself gives the cluster the gateway's name, and refuses two."""
    options = Options(
        host="127.0.0.1",
        port=-1,
        cluster=ClusterOptions(name=cluster, host="127.0.0.1", port=-1),
        gateway=GatewayOptions(name="OWN", host="127.0.0.1", port=-1),
    )

    async def run() -> None:
        server = Server(options)
        if cluster == "OTHER":
            with pytest.raises(ValueError, match="cluster name conflicts between cluster and gateway definitions"):
                await server.start()
            return
        await server.start()
        try:
            assert server.node.cluster_name == "OWN"
            assert server.node.cluster_socket is not None
            reader, writer = await asyncio.open_connection("127.0.0.1", server.node.cluster_socket.port)
            said = json.loads((await reader.readuntil(b"\r\n"))[5:])
            assert said["cluster"] == "OWN"
            assert "cluster_dynamic" not in said
            writer.close()
            await writer.wait_closed()
        finally:
            await server.stop()

    asyncio.run(run())


def test_58_pings(start_site: Any) -> None:
    site = start_site('ping_interval: "400ms", ping_max: 1, gateway {name: OWN, listen: "127.0.0.1:-1"}')
    door = site.door()
    peer = site.knock(answers_pings=False)
    peer.info()
    peer.send(connect_line("X"), info_line("X", door.address))
    begin = time.monotonic()
    taken = door.accept(answers_pings=False)
    taken.send(info_line("X", door.address))
    for one in (peer, taken):
        while one.line() != "PING":
            pass
        assert time.monotonic() - begin < 1.4
    for one in (peer, taken):
        assert one.expect_end() == ["-ERR 'Stale Connection'"]
    assert time.monotonic() - begin < 4


def test_58_the_first_ping_comes_soon(site: Site) -> None:
    """On both kinds of connection, whatever the pause between the later ones."""
    cluster = Cluster(site)
    peer = site.knock(answers_pings=False)
    peer.info()
    peer.send(connect_line(cluster.name), cluster.info())
    taken = cluster.take(answers_pings=False)
    begin = time.monotonic()
    for one in (peer, taken):
        while one.line() != "PING":
            pass
        assert time.monotonic() - begin < 1.5
    assert time.monotonic() - begin > 0.5
