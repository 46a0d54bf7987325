"""Operator mode: events and answers about users and accounts that are known by their JWT, asked of both servers."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from msgspec import structs

from gossamer.auth.claims import (
    AccountClaims,
    AccountLimits,
    Import,
    OperatorClaims,
    SubjectList,
    UserClaims,
    UserGrant,
    UserScope,
)
from gossamer.auth.jwt import encode, encode_signature
from gossamer.auth.keys import KeyKind, KeyPair
from gossamer.mesh.testing.plugin import Dial
from gossamer.mesh.testing.process import ServerProcess
from gossamer.mesh.testing.wire import WireClient

OPERATOR = KeyPair.generate(KeyKind.OPERATOR)
SYSTEM, TENANT, SIGNING, SCOPED = (KeyPair.generate(KeyKind.ACCOUNT) for _ in range(4))
ALICE, ADMIN = (KeyPair.generate(KeyKind.USER) for _ in range(2))
NOW = int(time.time())
FRESH = UserGrant.fresh()
ROLE = structs.replace(
    FRESH,
    publish=SubjectList(allow=("p.{{name()}}", "$SYS.REQ.>")),
    subscribe=SubjectList(allow=("_INBOX.>",)),
)


def config() -> str:
    operator = encode(OperatorClaims(subject=OPERATOR.public, name="op", system_account=SYSTEM.public,
                                     expires=NOW + 9000), OPERATOR, issued_at=NOW)  # fmt: skip
    limits = AccountLimits.fresh()
    system = AccountClaims(subject=SYSTEM.public, name="SYS", limits=limits)
    tenant = AccountClaims(
        subject=TENANT.public,
        name="tenant",
        limits=limits,
        tags=("region:eu",),
        expires=NOW + 5000,
        imports=(
            Import(subject="$SYS.DEBUG.SUBSCRIBERS", account=SYSTEM.public, type="service", local_subject="count.them"),
        ),
        revocations={KeyPair.generate(KeyKind.USER).public: NOW - 100},
        signing_keys=(SIGNING.public, UserScope(key=SCOPED.public, role="svc", template=ROLE)),
    )
    accounts = "\n".join(
        f"  {claims.subject}: {encode(claims, OPERATOR, issued_at=NOW)}" for claims in (system, tenant)
    )
    return f"operator: {operator}\nresolver: MEMORY\nresolver_preload {{\n{accounts}\n}}\n"


CONFIG = config()


def token(signer: KeyPair = SIGNING, grant: UserGrant = FRESH, **claims: Any) -> str:
    home = SYSTEM if signer is SYSTEM else TENANT
    made = UserClaims(
        **{
            "subject": (ADMIN if signer is SYSTEM else ALICE).public,
            "name": "admin" if signer is SYSTEM else "alice",
            "grant": grant,
            "issuer_account": "" if signer is home else home.public,
            **claims,
        }
    )
    return encode(made, signer, issued_at=NOW)


@pytest.fixture(scope="module")
def server(shared_server: Callable[..., ServerProcess]) -> ServerProcess:
    return shared_server(config=CONFIG, monitor=True)


@pytest.fixture
def enter(dial: Dial) -> Callable[..., WireClient]:
    """Call with a server and a user JWT: in, with a signature unless ``signed`` is false."""

    def connect(server: ServerProcess, jwt: str, *, key: KeyPair = ALICE, signed: bool = True) -> WireClient:
        client = dial(server)
        nonce = client.read_info()["nonce"]
        fields = {"sig": encode_signature(key.sign(nonce.encode()))} if signed else {}
        client.connect(jwt=jwt, name="it", headers=True, no_responders=True, **fields)
        return client

    return connect


@pytest.fixture
def system(server: ServerProcess, enter: Callable[..., WireClient]) -> WireClient:
    client = enter(server, token(SYSTEM), key=ADMIN)
    client.ping()
    return client


def heard(client: WireClient, subject: str) -> Any:
    while True:
        message = client.read_message()
        if message.subject.decode() == subject:
            return json.loads(message.payload)


def ask(client: WireClient, subject: str, sid: str) -> Any:
    client.subscribe(f"_INBOX.{sid}", sid)
    client.publish(subject, reply=f"_INBOX.{sid}")
    while True:
        message = client.read_message()
        if message.sid == sid.encode():
            return json.loads(message.payload)


def test_a_user_comes_and_goes(server: ServerProcess, system: WireClient, enter: Callable[..., WireClient]) -> None:
    system.subscribe(f"$SYS.ACCOUNT.{TENANT.public}.>", 1)
    system.ping()
    jwt = token(tags=("dept:x", "y:z"))
    client = enter(server, jwt)
    client.ping()
    numbers = heard(system, f"$SYS.ACCOUNT.{TENANT.public}.SERVER.CONNS")
    assert (numbers["acc"], numbers["name"], numbers["conns"]) == (TENANT.public, "tenant", 1)
    told = heard(system, f"$SYS.ACCOUNT.{TENANT.public}.CONNECT")["client"]
    assert list(told) == [
        "start", "host", "id", "acc", "user", "name", "jwt", "issuer_key", "name_tag", "tags", "kind", "client_type",
    ]  # fmt: skip
    assert (told["acc"], told["user"], told["jwt"]) == (TENANT.public, ALICE.public, jwt)
    assert (told["issuer_key"], told["name_tag"], told["tags"]) == (SIGNING.public, "tenant", ["dept:x", "y:z"])
    client.close()
    left = heard(system, f"$SYS.ACCOUNT.{TENANT.public}.DISCONNECT")["client"]
    assert (left["jwt"], left["issuer_key"], left["tags"]) == (jwt, SIGNING.public, ["dept:x", "y:z"])


@pytest.mark.only_server("gossamer", reason="nats-server publishes the JWT of a bearer, which lets anybody in")
def test_the_jwt_of_a_bearer_is_not_told(
    server: ServerProcess, system: WireClient, enter: Callable[..., WireClient]
) -> None:
    system.subscribe(f"$SYS.ACCOUNT.{TENANT.public}.>", 1)
    system.ping()
    client = enter(server, token(grant=structs.replace(FRESH, bearer_token=True)), signed=False)
    client.ping()
    assert "jwt" not in heard(system, f"$SYS.ACCOUNT.{TENANT.public}.CONNECT")["client"]
    client.close()
    assert "jwt" not in heard(system, f"$SYS.ACCOUNT.{TENANT.public}.DISCONNECT")["client"]


def test_a_user_that_expires(server: ServerProcess, system: WireClient, enter: Callable[..., WireClient]) -> None:
    system.subscribe(f"$SYS.ACCOUNT.{TENANT.public}.DISCONNECT", 1)
    system.ping()
    client = enter(server, token(expires=int(time.time()) + 2))
    client.ping()
    client.expect_error("User Authentication Expired")
    left = heard(system, f"$SYS.ACCOUNT.{TENANT.public}.DISCONNECT")
    assert left["reason"] == "Authentication Expired"
    if server.kind == "gossamer":
        assert left["gossamer_reason"]["code"] == "user_expired"
        assert left["gossamer_reason"]["signer"] == SIGNING.public


def test_user_info(server: ServerProcess, enter: Callable[..., WireClient]) -> None:
    client = enter(server, token(SCOPED, UserGrant(), expires=NOW + 500))
    data = ask(client, "$SYS.REQ.USER.INFO", "info")["data"]
    expires = data.pop("expires")
    assert 0 < expires <= 500 * 10**9
    assert expires % 10**9 == 0
    data["permissions"]["publish"]["allow"].sort()
    assert data == {
        "user": ALICE.public,
        "account": TENANT.public,
        "account_name": "tenant",
        "user_name": "alice",
        "permissions": {
            "publish": {"allow": ["$SYS.REQ.>", "p.alice"]},
            "subscribe": {"allow": ["_INBOX.>"]},
        },
    }


def test_what_the_system_account_exports_by_itself(server: ServerProcess, enter: Callable[..., WireClient]) -> None:
    client = enter(server, token())
    client.subscribe("foo.bar", 1)
    client.subscribe("foo.*", 2)
    client.subscribe("_INBOX.count", 3)
    client.publish("count.them", b"foo.bar", reply="_INBOX.count")
    assert client.read_message().payload == b"2"


def test_the_account(server: ServerProcess, system: WireClient, enter: Callable[..., WireClient]) -> None:
    enter(server, token()).ping()
    detail = ask(system, f"$SYS.REQ.ACCOUNT.{TENANT.public}.INFO", "detail")["data"]
    assert list(detail) == [
        "account_name", "update_time", "expired", "complete", "jetstream_enabled", "leafnode_connections",
        "client_connections", "subscriptions", "imports", "jwt", "issuer_key", "name_tag", "tags", "decoded_jwt",
        "revoked_user", "sublist_stats",
    ]  # fmt: skip
    assert (detail["account_name"], detail["name_tag"], detail["tags"]) == (TENANT.public, "tenant", ["region:eu"])
    assert detail["issuer_key"] == OPERATOR.public
    assert detail["decoded_jwt"]["nats"]["limits"]["conn"] == -1
    assert detail["decoded_jwt"]["exp"] == NOW + 5000
    assert detail["jwt"] in CONFIG
    (moment,) = detail["revoked_user"].values()
    assert moment.endswith("Z")
    (row,) = ask(system, f"$SYS.REQ.ACCOUNT.{TENANT.public}.STATZ", "statz")["data"]["account_statz"]
    assert (row["acc"], row["name"]) == (TENANT.public, "tenant")


@pytest.mark.only_server("gossamer", reason="nats-server has no such gauges")
def test_gauges_of_credentials(server: ServerProcess, enter: Callable[..., WireClient]) -> None:
    import urllib.request

    enter(server, token(SCOPED, UserGrant(), expires=NOW + 700)).ping()
    enter(server, token(SCOPED, UserGrant(), expires=NOW + 600)).ping()
    with urllib.request.urlopen(f"http://127.0.0.1:{server.monitor_port}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    found = {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}
    tenant, scope = f'account="{TENANT.public}"', f'role="svc",signer="{SCOPED.public}"'
    assert found[f'gossamer_operator_expiry_time_seconds{{name="op",operator="{OPERATOR.public}"}}'] == NOW + 9000
    assert found[f'gossamer_account_expiry_time_seconds{{{tenant},name="tenant"}}'] == NOW + 5000
    assert found[f'gossamer_account_scoped_key_info{{{tenant},key="{SCOPED.public}",role="svc"}}'] == 1
    assert found[f"gossamer_user_expiry_time_seconds{{{tenant},{scope}}}"] == NOW + 600
    assert found["gossamer_credential_series_left_out"] == 0
