"""Who dials in: INFO, CONNECT, refusals (spec leafnodes section 22, items 1 to 4, 10 to 18, 42, 43, 57, 59, 60)."""

import base64
import json

import pytest
from leaf_peers import OWN, told

from gossamer.auth.keys import KeyKind, KeyPair

OPEN = """
leafnodes { listen: "127.0.0.1:-1", compression: off }
server_name: hub
"""
STRICT = """
cluster { name: HC, listen: "127.0.0.1:-1" }
leafnodes { listen: "127.0.0.1:-1", compression: off, min_version: "2.9.0", authorization { timeout: 0.5 } }
"""
ACCOUNTS = """
accounts { A { users: [{user: a, password: pa}] }, B { users: [{user: b, password: pb}] } }
leafnodes { listen: "127.0.0.1:-1", compression: off
  authorization { users: [ {user: la, password: pa, account: A}, {user: lb, password: pb, account: B} ] } }
"""


def test_01_info_comes_first(shared_server, attach):
    info = attach(shared_server(config=OPEN)).read_leaf_info()
    assert info["client_id"] > 0
    assert len(info["nonce"]) == 15
    assert info["info_on_connect"] is True
    assert info["headers"] is True
    assert info["auth_required"] is True
    assert info["leafnode_urls"] == [info["ip"]]
    assert info["compression"] == "off"
    assert "connect_info" not in info
    assert "cluster" not in info  # neither a cluster nor somebody to dial


def test_02_every_link_has_its_nonce(shared_server, attach):
    server = shared_server(config=OPEN)
    infos = [attach(server).read_leaf_info() for _ in range(3)]
    assert len({info["nonce"] for info in infos}) == 3
    assert len({info["client_id"] for info in infos}) == 3


def test_02_the_repetition_in_s2(shared_server, attach):
    """The same INFO again, nonce included: who compresses signs what the others sign."""
    peer = attach(shared_server(config='leafnodes { listen: "127.0.0.1:-1" }'))
    first = peer.read_leaf_info()
    assert first["compression"] == "s2_auto"
    peer.send(b'INFO {"client_id":5,"compression":"s2_auto"} \r\n')
    peer.begin_s2()
    assert peer.read_leaf_info() == first
    peer.connect_leaf(compress_mode="s2_uncompressed")
    assert peer.read_leaf_info()["connect_info"] is True
    peer.lines_until_pong()


def test_03_user_and_password(shared_server, attach):
    peer = attach(shared_server(config=ACCOUNTS))
    info = peer.join(user="la", **{"pass": "pa"})
    assert info["remote_account"] == "A"
    assert info["client_id"] == peer.first_info["client_id"]
    assert "nonce" not in info
    assert "compression" not in info
    assert "import" not in info
    lines = peer.lines_until_pong()
    assert all(line.startswith("LS+ ") for line in lines)
    assert sum(line.startswith("LS+ $LDS.") for line in lines) == 1


def test_04_no_interest_before_it_is_bound(shared_server, join, attach):
    server = shared_server(config=OPEN)
    client = join(server)
    client.subscribe("early", 1)
    client.ping()
    peer = attach(server)
    info = peer.read_leaf_info()
    peer.connect_leaf()
    after = peer.read_leaf_info()  # the very next line
    assert after["client_id"] == info["client_id"]
    assert peer.interest() == {"early": 1}


def test_10_silence(shared_server, attach):
    peer = attach(shared_server(config=STRICT))
    peer.read_leaf_info()
    peer.expect_error("Authentication Timeout")
    peer.expect_close()


@pytest.mark.parametrize("line", ["LS+ a", "LS- a", "PING", "LMSG a 1\r\nx", "INFO {}"])
def test_11_something_else_before_connect(shared_server, attach, line):
    peer = attach(shared_server(config=OPEN))
    peer.read_leaf_info()
    peer.send(line.encode() + b"\r\n")
    peer.expect_error("Authorization Violation")
    peer.expect_close()


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        pytest.param({"lang": "go"}, "attempted to connect to leaf node port", id="12-client"),
        pytest.param({"cluster": "HC"}, "remote leafnode has same cluster name", id="13-same-cluster"),
        pytest.param({"cluster": "a b"}, "cluster name cannot contain spaces", id="14-space"),
        pytest.param({"gateway": "G"}, 'Rejecting connection from gateway "G" on the leafnode port', id="14-gateway"),
    ],
)
def test_12_13_14_wrong_peers(shared_server, attach, fields, text):
    peer = attach(shared_server(config=STRICT))
    peer.read_leaf_info()
    peer.connect_leaf(**fields)
    peer.expect_error(text)
    peer.expect_close()


@pytest.mark.parametrize("version", ["2.8.4", None, "nonsense", "v2.10.1"])
def test_15_too_old(shared_server, attach, version):
    peer = attach(shared_server(config=STRICT))
    peer.read_leaf_info()
    peer.connect_leaf(version=version)
    assert peer.read_leaf_info()["connect_info"] is True
    peer.expect_error('connection rejected since minimum version required is "2.9.0"')
    peer.expect_close()


@pytest.mark.parametrize("version", ["2.9.0", "2.10.1", "2.15.0-beta.1"])
def test_15_new_enough(shared_server, leaf, version):
    leaf(shared_server(config=STRICT), version=version).lines_until_pong()


def test_14_malformed_connect(shared_server, attach):
    peer = attach(shared_server(config=OPEN))
    peer.read_leaf_info()
    peer.send(b"CONNECT {\r\n")
    peer.expect_close()


@pytest.mark.parametrize("fields", [{"user": "la", "pass": "no"}, {"user": "who", "pass": "pa"}, {}])
def test_16_wrong_password(shared_server, attach, fields):
    server = shared_server(config=ACCOUNTS, monitor=True)
    peer = attach(server)
    peer.read_leaf_info()
    peer.connect_leaf(**fields)
    peer.expect_error("Authorization Violation")
    peer.expect_close()
    assert server.monitor("/leafz")["leafnodes"] == 0


def test_17_two_accounts(shared_server, leaf, join):
    server = shared_server(config=ACCOUNTS)
    one = leaf(server, user="la", **{"pass": "pa"})
    other = leaf(server, user="lb", **{"pass": "pb"}, remote_account="B")
    of_a, of_b = join(server, user="a", **{"pass": "pa"}), join(server, user="b", **{"pass": "pb"})
    of_a.subscribe("only.a", 1)
    of_b.subscribe("only.b", 1)
    of_a.ping()
    of_b.ping()
    assert one.interest() == {"only.a": 1}
    assert other.interest() == {"only.b": 1}
    one.lmsg("only.b", b"x")
    one.lmsg("only.a", b"y")
    one.lines_until_pong()
    assert of_a.read_message().payload == b"y"
    assert of_b.read_messages_until_pong() == []


def test_18_nkey(shared_server, attach):
    pair = KeyPair.generate(KeyKind.USER, lambda size: bytes(range(size)))
    config = f"""
    accounts {{ A {{}} }}
    leafnodes {{ listen: "127.0.0.1:-1", compression: off, authorization {{ nkey: {pair.public}, account: A }} }}
    """
    server = shared_server(config=config)
    for sign, expected in ((lambda nonce: nonce, "A"), (lambda nonce: b"x" + nonce, "")):
        peer = attach(server)
        nonce = peer.read_leaf_info()["nonce"].encode()
        sig = base64.urlsafe_b64encode(pair.sign(sign(nonce))).rstrip(b"=").decode()
        peer.connect_leaf(nkey=pair.public, sig=sig)
        if expected:
            assert peer.read_leaf_info()["remote_account"] == expected
        else:
            peer.expect_error("Authorization Violation")


def test_16_as_clients_are_judged(shared_server, leaf, attach):
    """Without an authorization of its own, the users of clients decide."""
    config = """
    accounts { A { users: [{user: a, password: pa, permissions {publish: up, subscribe: ["down", "$LDS.>"]}}] } }
    leafnodes { listen: "127.0.0.1:-1", compression: off }
    """
    server = shared_server(config=config)
    peer = attach(server)
    info = peer.join(user="a", **{"pass": "pa"})
    assert info["remote_account"] == "A"
    assert info["export"] == {"allow": ["up"]}
    assert info["import"] == {"allow": ["down", "$LDS.>"]}
    stranger = attach(server)
    stranger.read_leaf_info()
    stranger.connect_leaf()
    stranger.expect_error("Authorization Violation")


def test_16_connection_types(shared_server, attach):
    config = """
    accounts { A { users: [
      {user: c, password: p, allowed_connection_types: [STANDARD]},
      {user: l, password: p, allowed_connection_types: [LEAFNODE]} ] } }
    leafnodes { listen: "127.0.0.1:-1", compression: off }
    """
    server = shared_server(config=config)
    assert attach(server).join(user="l", **{"pass": "p"})["remote_account"] == "A"
    peer = attach(server)
    peer.read_leaf_info()
    peer.connect_leaf(user="c", **{"pass": "p"})
    peer.expect_error("Authorization Violation")


def test_42_a_second_one_replaces_the_first(shared_server, leaf):
    server = shared_server(config=OPEN, monitor=True)
    first = leaf(server, name="twin", cluster="twins")
    first.lines_until_pong()
    second = leaf(server, name="twin", cluster="twins")
    first.expect_error("Duplicate Remote LeafNode Connection")
    first.expect_close()
    second.lines_until_pong()
    other = leaf(server, name="twin", cluster="twins", remote_account="OTHER")
    other.lines_until_pong()
    second.lines_until_pong()  # still there


def test_57_and_60_leaf_limit(shared_server, leaf, attach):
    config = """
    accounts { A { limits { max_leafnodes: 1 }, users: [{user: a, password: pa}] } }
    leafnodes { listen: "127.0.0.1:-1", compression: off }
    """
    server = shared_server(config=config)
    first = leaf(server, user="a", **{"pass": "pa"}, name="one")
    first.lines_until_pong()
    second = attach(server)
    second.read_leaf_info()
    second.connect_leaf(user="a", **{"pass": "pa"}, name="two")
    second.expect_error("maximum account active connections exceeded")
    second.expect_close()
    first.lines_until_pong()


def test_57_limits(shared_server, leaf):
    config = OPEN + "max_payload: 1024"
    peer = leaf(shared_server(config=config))
    peer.lines_until_pong()
    peer.lmsg("a", b"x" * 1025)
    peer.expect_error("Maximum Payload Violation")
    peer.expect_close()


def test_57_subscriptions(shared_server, attach):
    config = """
    accounts { A { limits { max_subscriptions: 3 }, users: [{user: a, password: pa}] } }
    leafnodes { listen: "127.0.0.1:-1", compression: off }
    """
    peer = attach(shared_server(config=config))
    peer.join(user="a", **{"pass": "pa"})
    peer.lines_until_pong()
    peer.want(*(f"s.{number}" for number in range(6)))
    answers = peer.lines_until_pong()
    assert "-ERR 'maximum subscriptions exceeded'" in answers


@pytest.mark.parametrize("line", ["LS+ a b", "LS+ a b c d", "LMSG a b c d 1", "LMSG a", "HMSG a 1"])
def test_27_malformed_lines(shared_server, leaf, line):
    peer = leaf(shared_server(config=OPEN))
    peer.lines_until_pong()
    peer.send(line.encode() + b"\r\nx\r\n")
    assert b"-ERR" not in peer.read_to_end()


def test_27_unknown_operation(shared_server, leaf):
    peer = leaf(shared_server(config=OPEN))
    peer.lines_until_pong()
    peer.send(b"HELLO\r\n")
    peer.expect_error("Unknown Protocol Operation")
    peer.expect_close()


def test_27_what_does_no_harm(shared_server, leaf):
    peer = leaf(shared_server(config=OPEN))
    peer.lines_until_pong()
    peer.send(b"LS- never.announced\r\nLS- never.announced q\r\n+OK\r\nls+ lower.case\r\n")
    peer.want("bad..subject")
    assert peer.lines_until_pong() == ["-ERR 'Invalid Subscription'"]


def test_59_the_one_who_dials_may_be_the_hub(shared_server, leaf):
    server = shared_server(config=OPEN, monitor=True)
    peer = leaf(server, is_hub=True, name="boss", cluster="boss")
    peer.lines_until_pong()
    rows = [row for row in server.monitor("/leafz")["leafs"] if row["name"] == "boss"]
    assert [row["is_spoke"] for row in rows] == [True]


def test_55_leafz_of_the_hub(start_server, leaf):
    server = start_server(config=OPEN, monitor=True)
    peer = leaf(server, name="shown", cluster="shown")
    peer.lines_until_pong()
    peer.want("here", "there q 2")
    peer.lmsg("nobody", b"12345")
    peer.lines_until_pong()
    document = server.monitor("/leafz?subs=1")
    assert document["leafnodes"] == 1
    row = document["leafs"][0]
    assert row["name"] == "shown"
    assert row["account"] == "$G"
    assert row["is_spoke"] is False
    assert row["ip"] == "127.0.0.1"
    assert row["compression"] == "off"
    assert (row["in_msgs"], row["in_bytes"]) == (1, 5)
    assert row["subscriptions"] == 2
    assert sorted(row["subscriptions_list"]) == ["here", "there"]
    assert server.monitor("/varz")["leafnodes"] == 1
    assert server.monitor("/leafz?acc=NOBODY")["leafs"] == []


def test_01_what_every_server_announces(shared_server, leaf):
    """Requests about one's own account travel over leaf links as well."""
    peer = leaf(shared_server(config=OPEN))
    keys = set(told(peer.lines_until_pong()))
    assert {key for key in keys if key.startswith("$SYS.")} == {
        "$SYS.REQ.ACCOUNT.PING.CONNZ", "$SYS.REQ.ACCOUNT.PING.STATZ", "$SYS.REQ.SERVER.PING.CONNZ",
        "$SYS.REQ.USER.INFO",
    }  # fmt: skip
    assert all(OWN.fullmatch(key) for key in keys)


def test_41_one_subject_of_loops_for_each_account(shared_server, leaf):
    server = shared_server(config=ACCOUNTS)
    peers = [
        leaf(server, user="la", **{"pass": "pa"}, name="1", cluster="1"),
        leaf(server, user="la", **{"pass": "pa"}, name="2", cluster="2"),
        leaf(server, user="lb", **{"pass": "pb"}, name="3", cluster="3"),
    ]
    subjects = [next(key for key in told(peer.lines_until_pong()) if key.startswith("$LDS.")) for peer in peers]
    assert subjects[0] == subjects[1] != subjects[2]
    assert all(len(subject) == 5 + 22 and subject[5:].isalnum() for subject in subjects)


def test_24_json_of_wildcards_is_json(shared_server, attach):
    """Escapes in CONNECT are read as JSON has them."""
    peer = attach(shared_server(config=OPEN))
    peer.read_leaf_info()
    text = json.dumps({"version": "2.15.0", "server_id": "E", "name": "esc", "cluster": "esc", "deny_pub": ["x.>"]})
    peer.send(b"CONNECT " + text.replace(">", "\\u003e").encode() + b"\r\n")
    assert peer.read_leaf_info()["connect_info"] is True
