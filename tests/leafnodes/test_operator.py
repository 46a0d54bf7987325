"""Leaf nodes of operator mode: credentials, connection types, limits; users that change (spec leafnodes 6, 7)."""

import base64
import time

import nats
import pytest
from leaf_peers import leaf_url
from msgspec import structs
from test_mixed_leafs import Clients, heard, kinds, linked, run, until  # noqa: F401

from gossamer.auth.claims import AccountClaims, AccountLimits, OperatorClaims, SubjectList, UserClaims, UserGrant
from gossamer.auth.credentials import format_credentials
from gossamer.auth.jwt import encode
from gossamer.auth.keys import KeyKind, KeyPair

OPERATOR = KeyPair.generate(KeyKind.OPERATOR)
SYSTEM, TENANT, EDGE = (KeyPair.generate(KeyKind.ACCOUNT) for _ in range(3))
NOW = int(time.time())
FRESH = UserGrant.fresh()


def config(*, leafnodes: int = -1) -> str:
    operator = encode(
        OperatorClaims(subject=OPERATOR.public, name="op", system_account=SYSTEM.public), OPERATOR, issued_at=NOW
    )
    limits = structs.replace(AccountLimits.fresh(), leafnodes=leafnodes)
    accounts = "\n".join(
        f"  {claims.subject}: {encode(claims, OPERATOR, issued_at=NOW)}"
        for claims in (
            AccountClaims(subject=key.public, name=name, limits=limits)
            for key, name in ((SYSTEM, "SYS"), (TENANT, "tenant"), (EDGE, "edge"))
        )
    )
    return f"operator: {operator}\nresolver: MEMORY\nresolver_preload {{\n{accounts}\n}}\n"


CONFIG = config()
HUB = 'leafnodes { listen: "127.0.0.1:-1", compression: off }'


def user(grant: UserGrant = FRESH, account: KeyPair = TENANT, **claims: object) -> tuple[KeyPair, str]:
    pair = KeyPair.generate(KeyKind.USER)
    made = UserClaims(subject=pair.public, name="u", grant=grant, **claims)
    return pair, encode(made, account, issued_at=NOW)


def enter(peer, pair, token, **fields):
    nonce = peer.read_leaf_info()["nonce"]
    sig = base64.urlsafe_b64encode(pair.sign(nonce.encode())).rstrip(b"=").decode()
    peer.connect_leaf(jwt=token, sig=sig, **fields)


def test_18_a_jwt_and_its_signature(shared_server, attach):
    server = shared_server(config=CONFIG + HUB)
    pair, token = user()
    peer = attach(server)
    enter(peer, pair, token)
    assert peer.read_leaf_info()["remote_account"] == TENANT.public
    thief = attach(server)
    enter(thief, KeyPair.generate(KeyKind.USER), token)
    thief.expect_error("Authorization Violation")


def test_02_the_nonce_counts_after_the_change_to_s2(shared_server, attach):
    server = shared_server(config=CONFIG + 'leafnodes { listen: "127.0.0.1:-1" }')
    pair, token = user()
    peer = attach(server)
    nonce = peer.read_leaf_info()["nonce"]
    peer.send(b'INFO {"client_id":5,"compression":"s2_fast"} \r\n')
    peer.begin_s2()
    peer.read_leaf_info()
    sig = base64.urlsafe_b64encode(pair.sign(nonce.encode())).rstrip(b"=").decode()
    peer.connect_leaf(jwt=token, sig=sig, name="packed", cluster="packed", compress_mode="s2_fast")
    assert peer.read_leaf_info()["remote_account"] == TENANT.public


@pytest.mark.parametrize(("types", "enters"), [((), True), (("LEAFNODE",), True), (("STANDARD", "WEBSOCKET"), False)])
def test_18_connection_types(shared_server, attach, types, enters):
    server = shared_server(config=CONFIG + HUB)
    pair, token = user(structs.replace(FRESH, allowed_connection_types=types))
    peer = attach(server)
    enter(peer, pair, token, name="typed", cluster="typed")
    if enters:
        assert peer.read_leaf_info()["connect_info"] is True
    else:
        peer.expect_error("Authorization Violation")


def test_43_permissions_of_a_jwt(shared_server, attach):
    grant = structs.replace(FRESH, publish=SubjectList(allow=("up.>",)), subscribe=SubjectList(deny=("no.>",)))
    pair, token = user(grant)
    peer = attach(shared_server(config=CONFIG + HUB))
    enter(peer, pair, token, name="limited", cluster="limited")
    info = peer.read_leaf_info()
    assert info["export"] == {"allow": ["up.>"]}
    assert info["import"] == {"deny": ["no.>"]}


def test_57_the_account_has_its_leaf_limit(shared_server, attach):
    server = shared_server(config=config(leafnodes=1) + HUB)
    pair, token = user()
    first, second = attach(server), attach(server)
    enter(first, pair, token, name="first")
    assert first.read_leaf_info()["connect_info"] is True
    enter(second, pair, token, name="second")
    second.expect_error("maximum account active connections exceeded")


def test_18_an_expired_jwt(shared_server, attach):
    server = shared_server(config=CONFIG + HUB)
    pair, token = user(expires=int(time.time()) + 2)
    peer = attach(server)
    enter(peer, pair, token, name="brief", cluster="brief")
    assert peer.read_leaf_info()["connect_info"] is True
    peer.lines_until_pong()
    peer.expect_error("User Authentication Expired")
    peer.expect_close()


async def test_18_credentials_files_between_servers(kinds, run, tmp_path):  # noqa: F811
    """The hub knows the tenant; the leaf binds it to an account of its own operator mode."""
    hub = run(kinds[0], CONFIG + HUB)
    pair, token = user()
    path = tmp_path / "leaf.creds"
    path.write_text(format_credentials(token, pair.seed))
    leaf = run(
        kinds[1],
        CONFIG
        + f"""
        server_name: leaf
        leafnodes {{ remotes: [ {{ url: "{leaf_url(hub)}", account: {EDGE.public}, credentials: "{path}" }} ] }}
        """,
    )
    [row] = await linked(hub)
    assert row["account"] == TENANT.public
    assert (await linked(leaf))[0]["account"] == EDGE.public

    def login(account):
        who, jwt = user(account=account)
        return {
            "user_jwt_cb": lambda: jwt.encode(),
            "signature_cb": lambda nonce: base64.b64encode(who.sign(nonce.encode())),
        }

    async with Clients() as clients:
        here, there = await clients.of(hub, **login(TENANT)), await clients.of(leaf, **login(EDGE))
        for near, far in ((here, there), (there, here)):
            subscription = await near.subscribe("tenant.*")
            await heard(far, "tenant.x", subscription)
    assert isinstance(here, nats.NATS)


def test_18_credentials_that_cannot_be_read(start_server, fake_hub, tmp_path):
    hub = fake_hub()
    server = start_server(
        config=f'leafnodes {{ remotes: [ {{ url: "{hub.url}", compression: off, credentials: "{tmp_path}/none" }} ] }}'
    )
    link = hub.accept()
    link.info()
    assert link.read_to_end() == b""
    server.wait_for_log("no such file|No such file")


@pytest.mark.only_server("gossamer", reason="nats-server leaves leaf nodes alone when its users change by reload")
def test_17_users_that_go_by_reload(start_server, leaf):
    config = """
    accounts { A { users: [%s] }, B { users: [{user: b, password: p}] } }
    leafnodes { listen: "127.0.0.1:-1", compression: off }
    """
    server = start_server(config=config % "{user: a, password: p}, {user: c, password: p}")
    going, staying = (leaf(server, user=name, **{"pass": "p"}, name=name) for name in "ac")
    going.lines_until_pong()
    staying.lines_until_pong()
    server.reload(config % "{user: c, password: p, permissions {publish: up}}")
    going.expect_error("Authorization Violation")
    going.expect_close()
    staying.send(b"LMSG elsewhere 1\r\nx\r\n")
    assert b"-ERR 'Permissions Violation for Publish to \"elsewhere\"'\r\n" in staying.read_to_end()
