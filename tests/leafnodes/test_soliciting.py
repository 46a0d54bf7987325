"""Hubs that are dialled: INFO, CONNECT, credentials, addresses (spec leafnodes section 22, items 5 to 9, 13 to
16, 18 to 21, 36, 37, 40, 43, 50, 51, 54, 55, 58, 59)."""

import base64
import time

import pytest
from leaf_peers import NONCE, leaf_address

from gossamer.auth.keys import KeyKind, KeyPair


def remote(hub, more="", *, block="", url=""):
    """Configuration of a server that dials ``hub``."""
    return f"""
    server_name: sol
    leafnodes {{ reconnect: "50ms", {block}
      remotes: [ {{ url: "{url or hub.url}", compression: off, {more} }} ] }}
    """


def test_05_one_connect_and_then_nothing(start_server, fake_hub):
    hub = fake_hub()
    server = start_server(config=remote(hub))
    link = hub.accept()
    link.info()
    connect = link.read_connect()
    assert connect["name"] == connect["cluster"] == "sol"  # a server without a cluster goes by its name
    assert connect["headers"] is True
    assert connect["compress_mode"] == "off"
    assert connect["remote_account"] == "$G"
    assert connect["server_id"].startswith("N")
    assert "lang" not in connect
    assert "is_hub" not in connect
    link.timeout_s = 0.5
    assert link._receive(time.monotonic() + 0.3) is False  # no interest before the second INFO
    link.timeout_s = 5.0
    link.confirm()
    lines = link.lines_until_pong()
    assert [line for line in lines if line.startswith("CONNECT")] == []
    assert sum(line.startswith("LS+ $LDS.") for line in lines) == 1
    assert server.running


def test_06_without_info_on_connect(start_server, fake_hub):
    hub = fake_hub()
    start_server(config=remote(hub))
    link = hub.accept()
    link.info(info_on_connect=None)
    link.read_connect()
    assert any(line.startswith("LS+ $LDS.") for line in link.lines_until_pong())


@pytest.mark.parametrize(("more", "low_s", "high_s"), [("", 0.9, 1.6), ('first_info_timeout: "200ms"', 0.15, 0.7)])
def test_07_silent_hub(start_server, fake_hub, more, low_s, high_s):
    hub = fake_hub()
    start_server(config=remote(hub, more))
    link = hub.accept()
    begun = time.monotonic()
    assert link.read_to_end() == b""
    assert low_s < time.monotonic() - begun < high_s
    hub.accept()  # and again


def test_08_no_second_info(start_server, fake_hub):
    hub = fake_hub()
    start_server(config=remote(hub))
    link = hub.accept()
    link.info()
    link.read_connect()
    begun = time.monotonic()
    link.expect_error("Stale Leaf Node Connection - Closing")
    link.expect_close()
    assert 1.8 < time.monotonic() - begun < 2.8


@pytest.mark.parametrize("field", ["client_id", "leafnode_urls"])
def test_09_wrong_port(start_server, fake_hub, field):
    hub = fake_hub()
    start_server(config=remote(hub))
    for _ in range(2):
        link = hub.accept()
        link.info(info_on_connect=None, **{field: None})  # with it nats-server does not miss the URLs; we do
        assert link.read_to_end() == b""


def test_09_no_urls_are_enough(start_server, fake_hub):
    hub = fake_hub()
    start_server(config=remote(hub))
    hub.accept().accept_leaf(leafnode_urls=[])


def test_14_hub_with_a_space_in_its_cluster(start_server, fake_hub):
    hub = fake_hub()
    start_server(config=remote(hub))
    link = hub.accept()
    link.info(cluster="a b")
    link.expect_error("cluster name cannot contain spaces")
    link.expect_close()


@pytest.mark.parametrize("server_says", ["off", "s2_auto", None])
def test_20_no_compression_of_ours(start_server, fake_hub, server_says):
    hub = fake_hub()
    start_server(config=remote(hub))
    link = hub.accept()
    link.info(compression=server_says)
    connect = link.read_connect()  # and no INFO before it
    assert connect["compress_mode"] == ("off" if server_says else "not supported")


@pytest.mark.parametrize(
    ("word", "mode"), [("s2_auto", "s2_uncompressed"), ("s2_best", "s2_best"), ("accept", "s2_fast")]
)
def test_19_compression_is_negotiated(start_server, fake_hub, word, mode):
    hub = fake_hub()
    # With these thresholds auto is uncompressed on the busiest machine.
    said = "{mode: s2_auto, rtt_thresholds: [20s, 40s]}" if word == "s2_auto" else word
    start_server(config=remote(hub).replace("compression: off", f"compression: {said}"))
    link = hub.accept()
    link.info(compression="s2_auto")
    answer = link.read_leaf_info()
    assert answer["compression"] == ("s2_auto" if word == "s2_auto" else mode)
    assert answer["client_id"] > 0
    link.begin_s2(4)
    link.info(compression="s2_auto")
    assert link.read_connect()["compress_mode"] == mode
    link.confirm()
    assert any(line.startswith("LS+ $LDS.") for line in link.lines_until_pong())


@pytest.mark.parametrize("answer", ["off", "accept", "not supported", None])
def test_21_what_does_not_compress(start_server, fake_hub, answer):
    hub = fake_hub()
    start_server(config=remote(hub).replace("compression: off", "compression: accept"))
    link = hub.accept()
    link.info(compression=answer)
    assert link.read_connect()["compress_mode"] == ("off" if answer in ("off", "accept") else "not supported")


def test_19_an_unknown_mode(start_server, fake_hub):
    hub = fake_hub()
    start_server(config=remote(hub).replace("compression: off", "compression: s2_auto"))
    link = hub.accept()
    link.info(compression="brotli")
    assert b"unsupported" in link.expect_line()
    link.expect_close()


@pytest.mark.parametrize(
    ("user", "fields"),
    [
        ("me:secret@", {"user": "me", "pass": "secret"}),
        ("token@", {"user": "token", "auth_token": "token"}),
        ("a%40b:p%3Aw@", {"user": "a@b", "pass": "p:w"}),
    ],
)
def test_16_credentials_of_the_url(start_server, fake_hub, user, fields):
    hub = fake_hub()
    start_server(config=remote(hub, url=hub.url.replace("://", f"://{user}")))
    link = hub.accept()
    link.info()
    connect = link.read_connect()
    assert {name: connect[name] for name in ("user", "pass", "auth_token") if name in connect} == fields


def test_18_nkey_signs_the_nonce(start_server, fake_hub):
    pair = KeyPair.generate(KeyKind.USER, lambda size: bytes(range(size)))
    hub = fake_hub()
    start_server(config=remote(hub, f"nkey: {pair.seed}"))
    link = hub.accept()
    link.info()
    connect = link.read_connect()
    assert connect["nkey"] == pair.public
    assert "=" not in connect["sig"]
    assert pair.verify(NONCE.encode(), base64.urlsafe_b64decode(connect["sig"] + "=="))


def test_43_deny_lists_travel(start_server, fake_hub):
    hub = fake_hub()
    start_server(config=remote(hub, 'deny_imports: ["no.in", "foo.>"], deny_exports: ["no.out"]'))
    link = hub.accept()
    link.info()
    assert link.read_connect()["deny_pub"] == ["no.in", "foo.>"]


def test_36_asking_for_isolation(start_server, fake_hub):
    hub = fake_hub()
    start_server(config=remote(hub, "request_isolation: true"))
    link = hub.accept()
    link.info()
    assert link.read_connect()["isolate"] is True


def test_59_being_the_hub(start_server, fake_hub):
    hub = fake_hub()
    server = start_server(config=remote(hub, "hub: true"), monitor=True)
    link = hub.accept()
    assert link.accept_leaf()["is_hub"] is True
    link.lines_until_pong()
    assert [row["is_spoke"] for row in server.monitor("/leafz")["leafs"]] == [False]


def test_55_leafz_of_the_leaf(start_server, fake_hub):
    hub = fake_hub()
    server = start_server(config=remote(hub), monitor=True)
    link = hub.accept()
    link.accept_leaf()
    link.want("from.hub")
    link.lines_until_pong()
    [row] = server.monitor("/leafz")["leafs"]
    assert row["name"] == "pyhub"
    assert row["is_spoke"] is True
    assert row["account"] == "$G"
    assert row["port"] == hub.port
    assert row["subscriptions"] == 1
    assert row["compression"] == "off"
    document = server.monitor("/varz")
    assert document["leafnodes"] == 1
    assert document["leaf"]["remotes"][0]["urls"] == [f"127.0.0.1:{hub.port}"]


def test_50_and_51_addresses_that_the_hub_tells(start_server, fake_hub):
    first, second = fake_hub(), fake_hub()
    start_server(config=remote(first, url=first.url.replace("://", "://u:p@")))
    link = first.accept()
    link.accept_leaf(leafnode_urls=[f"127.0.0.1:{first.port}", f"127.0.0.1:{second.port}"])
    link.lines_until_pong()
    first.close()
    other = second.accept()
    other.info(leafnode_urls=[f"127.0.0.1:{second.port}"])
    connect = other.read_connect()
    assert (connect["user"], connect["pass"]) == ("u", "p")


def test_50_an_asynchronous_info(start_server, fake_hub):
    first, second = fake_hub(), fake_hub()
    start_server(config=remote(first))
    link = first.accept()
    link.accept_leaf()
    link.lines_until_pong()
    link.info(client_id=None, nonce=None, compression=None, leafnode_urls=[f"127.0.0.1:{second.port}"])
    link.lines_until_pong()
    first.close()
    second.accept().accept_leaf()


def test_58_dialled_again(start_server, fake_hub, join):
    hub = fake_hub()
    server = start_server(config=remote(hub))
    link = hub.accept()
    link.accept_leaf()
    client = join(server)
    client.subscribe("again.*", 1)
    client.ping()
    link.wait_for_interest("again.*")
    link.close()
    link = hub.accept()
    link.accept_leaf()
    assert link.interest() == {"again.*": 1}
    link.lmsg("again.x", b"here")
    assert client.read_message().payload == b"here"


def test_40_told_of_a_loop(start_server, fake_hub):
    """The link is closed, and not dialled again soon: half a minute, held in the tests of the core."""
    hub = fake_hub()
    start_server(config=remote(hub))
    link = hub.accept()
    link.accept_leaf()
    link.lines_until_pong()
    link.send(b"-ERR 'Loop detected for leafnode account=\"$G\". Delaying attempt to reconnect for 30s'\r\n")
    link.expect_close()
    with pytest.raises(TimeoutError):
        hub.accept(timeout_s=0.6)


def test_40_seeing_its_own_loop(start_server, fake_hub):
    hub = fake_hub()
    start_server(config=remote(hub))
    link = hub.accept()
    link.accept_leaf()
    own = next(line for line in link.lines_until_pong() if line.startswith("LS+ $LDS."))
    link.send(own.encode() + b"\r\n")
    link.expect_error('Loop detected for leafnode account="$G". Delaying attempt to reconnect for 30s')
    link.expect_close()
    with pytest.raises(TimeoutError):
        hub.accept(timeout_s=0.6)


def test_40_a_hub_whose_cluster_is_our_leaf(start_server, fake_hub, attach):
    """The second guard (spec 11.1)."""
    hub = fake_hub()
    server = start_server(config=remote(hub, block='listen: "127.0.0.1:-1", compression: off'))
    link = hub.accept()
    link.info(cluster="X")
    below = attach(server)
    below.join(cluster="X", name="below")
    below.lines_until_pong()
    link.read_connect()
    link.confirm(cluster="X")
    link.expect_error('Loop detected for leafnode account="$G". Delaying attempt to reconnect for 30s')


@pytest.mark.parametrize(
    "text",
    ["remote leafnode has same cluster name", 'connection rejected since minimum version required is "2.99.0"'],
)
def test_13_15_not_at_once_again(start_server, fake_hub, text):
    hub = fake_hub()
    start_server(config=remote(hub))
    link = hub.accept()
    link.info()
    link.read_connect()
    link.send(b"-ERR '" + text.encode() + b"'\r\n")
    link.close()
    with pytest.raises(TimeoutError):
        hub.accept(timeout_s=0.6)


def test_16_refused_and_again(start_server, fake_hub):
    hub = fake_hub()
    start_server(config=remote(hub))
    for _ in range(2):
        link = hub.accept()
        link.info()
        link.read_connect()
        link.send(b"-ERR 'Authorization Violation'\r\n")
        link.close()


def test_54_pings(start_server, fake_hub):
    hub = fake_hub()
    start_server(config='ping_interval: "300ms"\n' + remote(hub))
    link = hub.accept()
    link.accept_leaf()
    link.answers_pings = False
    link.lines_until_pong()
    begun = time.monotonic()
    link.expect(b"PING\r\n")
    assert time.monotonic() - begun < 1.4
    link.expect(b"PING\r\n")
    rest = link.read_to_end()
    assert rest.endswith(b"-ERR 'Stale Connection'\r\n")


@pytest.mark.only_server("gossamer", reason="nats-server dials a port for TLS with the system's roots")
def test_24_a_hub_that_requires_tls(start_server, fake_hub):
    hub = fake_hub()
    server = start_server(config=remote(hub))
    link = hub.accept()
    link.info(tls_required=True)
    assert link.read_to_end() == b""
    server.wait_for_log("the hub requires TLS, which is not available yet")


def test_37_several_remotes(start_server, fake_hub):
    one, other = fake_hub(), fake_hub()
    config = f"""
    accounts {{ A {{}}, B {{}} }}
    leafnodes {{ remotes: [ {{ url: "{one.url}", account: A, compression: off }},
                            {{ url: "{other.url}", account: B, compression: off }} ] }}
    """
    start_server(config=config)
    for hub, account in ((one, "A"), (other, "B")):
        link = hub.accept()
        link.info()
        assert link.read_connect()["remote_account"] == account


def test_58_remotes_by_reload(start_server, fake_hub):
    one, other = fake_hub(), fake_hub()
    server = start_server(config=remote(one))
    link = one.accept()
    link.accept_leaf()
    link.lines_until_pong()
    server.reload(remote(other))
    link.read_to_end()
    link = other.accept()
    link.accept_leaf()
    link.lines_until_pong()
    server.reload(remote(other, "disabled: true"))
    link.read_to_end()
    with pytest.raises(TimeoutError):
        other.accept(timeout_s=0.4)
    server.reload(remote(other))
    other.accept().accept_leaf()


def test_50_a_cluster_tells_its_leafs(start_server, attach):
    """The hub's side: another server of the cluster comes and goes."""
    config = """
    server_name: %s
    cluster { name: HUBS, listen: "127.0.0.1:-1", routes: [%s] }
    leafnodes { listen: "127.0.0.1:-1", compression: off }
    """
    first = start_server(config=config % ("one", ""))
    peer = attach(first)
    peer.join()
    assert peer.first_info["cluster"] == "HUBS"
    peer.lines_until_pong()
    second = start_server(config=config % ("two", f'"nats-route://127.0.0.1:{first.cluster_port}"'))
    urls = [f"127.0.0.1:{leaf_address(server)[1]}" for server in (first, second)]
    info = peer.read_leaf_info()
    assert sorted(info["leafnode_urls"]) == sorted(urls)
    assert "nonce" not in info
    assert not info.get("connect_info")
    second.stop()
    while not (line := peer.expect_line()).startswith(b"INFO"):
        pass
    assert urls[1].encode() not in line
