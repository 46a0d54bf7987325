"""Leaf nodes beside the rest of a node: gateways, callout services, accounts that change, reload, slow places (spec
leafnodes sections 2.6, 6, 10, 13; spec system-and-monitoring section 3)."""

import base64
import json
import socket
import time

import pytest
from msgspec import structs
from test_operator import CONFIG, NOW, OPERATOR, SYSTEM, TENANT, enter, user

from gossamer.auth.claims import AccountClaims, AccountLimits, AuthorizationResponse, UserClaims, UserGrant
from gossamer.auth.jwt import encode
from gossamer.auth.keys import KeyKind, KeyPair
from gossamer.mesh.testing.process import ServerError

ACCOUNTS = """
accounts { A { users: [{user: a, password: p}] }, SYS { users: [{user: s, password: p}] } }
system_account: SYS
"""
HUB = 'leafnodes { listen: "127.0.0.1:-1", compression: off }\n'
GATEWAY = 'gateway { name: G, listen: "127.0.0.1:-1" }\n'
REFUSED = "leaf nodes and gateways (both being defined) require a system account to also be configured"


# --- gateways -------------------------------------------------------------------------------------------------------
def test_a_hub_with_gateways_needs_a_system_account(start_server, fake_hub):
    with pytest.raises(ServerError) as refused:
        start_server(config=HUB + GATEWAY)
    assert REFUSED in str(refused.value)
    hub = fake_hub()
    start_server(config=f'{GATEWAY} leafnodes {{ remotes: [ {{ url: "{hub.url}" }} ] }}')  # who only dials needs none
    hub.accept()
    start_server(config=CONFIG + HUB + GATEWAY)  # that of an operator is one


@pytest.mark.parametrize("more", [GATEWAY, ""], ids=["gateway", "alone"])
def test_60_a_gateway_has_its_clusters_told_of_leaf_nodes(start_server, join, leaf, more):
    server = start_server(config=ACCOUNTS + HUB + more)
    system = join(server, user="s", **{"pass": "p"})
    system.subscribe("$SYS.ACCOUNT.A.LEAFNODE.CONNECT", 1)
    system.subscribe("$SYS.ACCOUNT.A.DISCONNECT", 2)
    system.ping()
    peer = leaf(server, user="a", **{"pass": "p"})
    peer.lines_until_pong()
    peer.close()
    message = system.read_message()  # in this order
    if more:
        told = json.loads(message.payload)
        assert told["acc"] == "A"
        assert told["server"]["cluster"] == "G"
        message = system.read_message()
    assert message.subject == b"$SYS.ACCOUNT.A.DISCONNECT"


CLUSTER = 'cluster { name: C, listen: "127.0.0.1:-1" }\n'


@pytest.mark.parametrize(
    ("more", "account", "waits"),
    [("", "SYS", False), (GATEWAY, "SYS", True), (GATEWAY, "A", False), (CLUSTER, "SYS", True)],
    ids=["alone", "gateway", "gateway-another-account", "cluster"],
)
def test_49_in_company_the_system_account_is_shared_a_little_later(start_server, fake_hub, more, account, waits):
    took_s = []
    for _ in range(1 if waits else 3):  # a busy machine may be late once
        hub = fake_hub()
        begun = time.monotonic()
        start_server(config=f'{ACCOUNTS}{more} leafnodes {{ remotes: [ {{ url: "{hub.url}", account: {account} }} ] }}')
        hub.accept()
        took_s.append(time.monotonic() - begun)
    assert (min(took_s) > 0.25) is waits


# --- reload ---------------------------------------------------------------------------------------------------------
def test_58_the_first_remotes_come_by_reload(start_server, join, fake_hub):
    """A node that started without a ``leafnodes`` block dials, tells of it, and lets go again."""
    server = start_server(config=ACCOUNTS, monitor=True)
    system = join(server, user="s", **{"pass": "p"})
    system.subscribe("$SYS.SERVER.ACCOUNT.A.CONNS", 1)
    system.ping()
    hub = fake_hub()
    server.reload(f'{ACCOUNTS} leafnodes {{ remotes: [ {{ url: "{hub.url}", account: A, compression: off }} ] }}')
    link = hub.accept()
    link.accept_leaf()
    link.lines_until_pong()
    assert server.monitor("/leafz")["leafnodes"] == 1
    assert json.loads(system.read_message().payload)["leafnodes"] == 1
    server.reload(ACCOUNTS)
    link.read_to_end()
    assert json.loads(system.read_message().payload)["leafnodes"] == 0


def test_58_a_listener_does_not_come_by_reload(start_server):
    server = start_server(config=ACCOUNTS)
    with pytest.raises(ServerError, match=r"config reload not supported for LeafNode: field"):
        server.reload(ACCOUNTS + HUB)


# --- slow places ----------------------------------------------------------------------------------------------------
@pytest.fixture
def silent_port():
    """Of a listener whose queue is full: who dials it waits."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    waiting = []
    for _ in range(3):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(listener.getsockname())
        waiting.append(filler)
    yield listener.getsockname()[1]
    for each in (*waiting, listener):
        each.close()


@pytest.mark.parametrize(
    ("block", "remote", "low_s", "high_s"),
    [
        ("", 'dial_timeout: "200ms"', 0.15, 0.8),
        ('dial_timeout: "200ms",', "", 0.15, 0.8),
        ('dial_timeout: "100ms",', 'dial_timeout: "1300ms"', 1.25, 2.0),
    ],
    ids=["remote", "block", "both"],
)
def test_58_how_long_a_dial_may_take(start_server, silent_port, block, remote, low_s, high_s):
    url = f"nats-leaf://127.0.0.1:{silent_port}"
    server = start_server(config=f'leafnodes {{ {block} remotes: [ {{ url: "{url}", {remote} }} ] }}')
    begun = time.monotonic()
    server.wait_for_log("Error trying to connect as leafnode to remote server")
    assert low_s < time.monotonic() - begun < high_s


# --- who lets in ----------------------------------------------------------------------------------------------------
def test_16_a_callout_service_decides(start_server, join, attach):
    issuer = KeyPair.generate(KeyKind.ACCOUNT)
    server = start_server(
        config=f"""
        authorization {{ timeout: 5, auth_callout {{ issuer: {issuer.public}, account: AUTH, auth_users: [svc] }} }}
        accounts {{ AUTH {{ users: [{{user: svc, password: p}}] }}, APP {{}} }}
        {HUB}
        """
    )
    service = join(server, user="svc", headers=True, **{"pass": "p"})
    service.subscribe("$SYS.REQ.USER.AUTH", 1)
    service.ping()

    def asked():
        message = service.read_message()
        payload = message.payload.split(b".")[1]
        return message.reply.decode(), json.loads(base64.urlsafe_b64decode(payload + b"=" * (-len(payload) % 4)))[
            "nats"
        ]

    def answer(reply, request, **claims):
        made = AuthorizationResponse(subject=request["user_nkey"], audience=request["server_id"]["id"], **claims)
        service.publish(reply, encode(made, issuer).encode())

    peer = attach(server)
    peer.read_leaf_info()
    peer.connect_leaf(user="edge", **{"pass": "secret"}, name="edge")
    reply, request = asked()
    assert (request["connect_opts"]["user"], request["connect_opts"]["pass"]) == ("edge", "secret")
    assert request["client_info"]["kind"] == "Leafnode"
    grant = structs.replace(UserGrant.fresh(), publish=structs.replace(UserGrant.fresh().publish, allow=("up.>",)))
    made = UserClaims(subject=request["user_nkey"], audience="APP", name="edge", grant=grant)
    answer(reply, request, jwt=encode(made, issuer))
    info = peer.read_leaf_info()
    assert info["remote_account"] == "APP"
    assert info["export"] == {"allow": ["up.>"]}
    peer.lines_until_pong()

    stranger = attach(server)
    stranger.read_leaf_info()
    stranger.connect_leaf(user="stranger", **{"pass": "x"}, name="stranger")
    reply, request = asked()
    answer(reply, request, error="who are you?")
    stranger.expect_error("Authorization Violation")
    stranger.expect_close()


def account(**claims):
    made = AccountClaims(subject=TENANT.public, name="tenant", limits=AccountLimits.fresh(), **claims)
    return encode(made, OPERATOR, issued_at=NOW + 1)


def test_57_an_account_that_revokes_a_user(start_server, dial, attach, tmp_path):
    """Its leaf node goes at once, the other one stays."""
    resolver = f'resolver: {{ type: full, dir: "{tmp_path}/jwt" }}\n'
    server = start_server(config=CONFIG.replace("resolver: MEMORY\n", resolver) + HUB)
    (pair, token), (other_pair, other_token) = user(), user()
    going, staying = attach(server), attach(server)
    enter(going, pair, token, name="going", cluster="going")
    enter(staying, other_pair, other_token, name="staying", cluster="staying")
    for peer in (going, staying):
        assert peer.read_leaf_info()["remote_account"] == TENANT.public
        peer.lines_until_pong()

    system = dial(server)
    nonce = system.read_info()["nonce"]
    who, jwt = user(account=SYSTEM)
    system.connect(jwt=jwt, sig=base64.urlsafe_b64encode(who.sign(nonce.encode())).rstrip(b"=").decode())
    system.ping()
    system.subscribe("_INBOX.push", 1)
    claims = account(revocations={pair.public: int(time.time()) + 1})
    system.publish(f"$SYS.REQ.ACCOUNT.{TENANT.public}.CLAIMS.UPDATE", claims.encode(), reply="_INBOX.push")
    assert json.loads(system.read_message().payload)["data"]["code"] == 200
    going.expect_error("User Authentication Revoked")
    going.expect_close()
    staying.lines_until_pong()


# --- streams --------------------------------------------------------------------------------------------------------
@pytest.mark.only_server("gossamer", reason="nats-server takes them, for the sake of default_js_domain")
@pytest.mark.parametrize("subject", ["$JS.API.INFO", "$KV.b.k", "$OBJ.b.c"])
def test_47_a_hub_does_not_take_messages_for_streams(start_server, leaf, subject):
    peer = leaf(start_server(config=HUB))
    peer.lines_until_pong()
    peer.lmsg(subject, b"x", reply="_INBOX.1")
    peer.expect_error(f'Permissions Violation for Publish to "{subject}"')
    peer.expect_close()
