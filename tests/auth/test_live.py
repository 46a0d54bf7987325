"""The real nats-server believes what we sign, and decides as we decide (spec auth section 10.3)."""

import asyncio
import json
import socket
import time

import nats
import pytest
from msgspec import structs

from gossamer.auth.authenticator import Authenticator
from gossamer.auth.claims import (
    AccountClaims,
    AccountLimits,
    DefaultPermissions,
    Export,
    OperatorClaims,
    SubjectList,
    TimeRange,
    UserClaims,
    UserGrant,
    UserScope,
)
from gossamer.auth.credentials import format_credentials, load_credentials, parse_credentials
from gossamer.auth.decisions import Admission, Attempt, ConnectOptions
from gossamer.auth.jwt import encode, encode_signature
from gossamer.auth.keys import KeyKind, KeyPair
from gossamer.auth.resolver import MemoryResolver
from gossamer.auth.settings import AuthSettings

OPERATOR, OPERATOR_SIGNING, STRANGER = (KeyPair.generate(KeyKind.OPERATOR) for _ in range(3))
SYSTEM, TENANT, SIGNING, SCOPED, CLOSED, EXPIRED, FOREIGN = (KeyPair.generate(KeyKind.ACCOUNT) for _ in range(7))
ALICE, REVOKED = (KeyPair.generate(KeyKind.USER) for _ in range(2))
FRESH = UserGrant.fresh()
NOW = int(time.time())


def account(key, signer=OPERATOR_SIGNING, **claims):
    made = AccountClaims(**{"subject": key.public, "limits": AccountLimits.fresh(), **claims})
    return encode(made, signer, issued_at=NOW)


ROLE = structs.replace(
    FRESH,
    publish=SubjectList(allow=("p.{{name()}}.{{tag(dept)}}", "$SYS.REQ.USER.INFO")),
    subscribe=SubjectList(allow=("_INBOX.>",)),
)
ACCOUNTS = {
    SYSTEM.public: account(SYSTEM, name="SYS"),
    TENANT.public: account(
        TENANT,
        name="tenant",
        signing_keys=(SIGNING.public, UserScope(key=SCOPED.public, role="svc", template=ROLE)),
        revocations={REVOKED.public: NOW},
        default_permissions=DefaultPermissions(publish=SubjectList(deny=("secret.>",))),
        exports=(Export(subject="ev.>", type="stream"), Export(subject="q.*", type="service", token_required=True)),
        tags=("region:eu",),
        description="<a tenant & its data>",
    ),
    CLOSED.public: account(
        CLOSED, limits=structs.replace(AccountLimits.fresh(), disallow_bearer=True), signing_keys=(SIGNING.public,)
    ),
    EXPIRED.public: account(EXPIRED, expires=NOW - 60),
    FOREIGN.public: account(FOREIGN, signer=STRANGER),
}


def operator_jwt():
    claims = OperatorClaims(
        subject=OPERATOR.public,
        name="op",
        signing_keys=(OPERATOR_SIGNING.public,),
        system_account=SYSTEM.public,
        tags=("env:test",),
    )
    return encode(claims, OPERATOR, issued_at=NOW)


OPERATOR_JWT = operator_jwt()


def user(signer=SIGNING, home=TENANT, key=ALICE, grant=FRESH, issued_at=NOW, **claims):
    issuer_account = "" if signer is home else home.public
    made = UserClaims(
        **{"subject": key.public, "name": "alice", "grant": grant, "issuer_account": issuer_account, **claims}
    )
    return encode(made, signer, issued_at=issued_at)


def granted(**changes):
    return structs.replace(FRESH, **changes)


@pytest.fixture(scope="module")
def port(tmp_path_factory, real_server):
    home = tmp_path_factory.mktemp("server")
    preload = "\n".join(f"  {key}: {token}" for key, token in ACCOUNTS.items())
    config = home / "server.conf"
    config.write_text(
        f"listen: 127.0.0.1:-1\noperator: {OPERATOR_JWT}\nresolver: MEMORY\nresolver_preload {{\n{preload}\n}}\n"
    )
    with real_server(config) as port:
        yield port


class Line:
    """A plain connection to the server."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=5)
        self.lines = self.socket.makefile("rb")
        self.info = json.loads(self.lines.readline().removeprefix(b"INFO "))

    def answer(self, connect):
        text = json.dumps({"verbose": False, "pedantic": False, "lang": "test", "version": "0", **connect})
        self.socket.sendall(f"CONNECT {text}\r\nPING\r\n".encode())
        return self.lines.readline().strip().decode()

    def close(self):
        self.lines.close()
        self.socket.close()


#: token, who signs the nonce (None: nobody)
CASES = {
    "signed by a signing key": (user(), ALICE),
    "signed by the identity key": (user(signer=TENANT), ALICE),
    "no signature": (user(), None),
    "signed by somebody else": (user(), REVOKED),
    "no token": ("", ALICE),
    "half a token": (user()[:-30], ALICE),
    "bearer": (user(grant=granted(bearer_token=True)), None),
    "bearer where none may come": (user(home=CLOSED, grant=granted(bearer_token=True)), None),
    "the same account, signed": (user(home=CLOSED), ALICE),
    "expired": (user(expires=NOW - 10), ALICE),
    "not yet valid": (user(not_before=NOW + 1000), ALICE),
    "revoked": (user(key=REVOKED), REVOKED),
    "revoked, issued again": (user(key=REVOKED, issued_at=NOW + 1), REVOKED),
    "scoped": (user(signer=SCOPED, grant=UserGrant(), tags=("dept:x",)), ALICE),
    "scoped with limits of its own": (user(signer=SCOPED), ALICE),
    "signing key without issuer_account": (user(issuer_account=""), ALICE),
    "signed by a stranger": (user(signer=FOREIGN), ALICE),
    "account of a stranger": (user(signer=FOREIGN, home=FOREIGN), ALICE),
    "expired account": (user(signer=EXPIRED, home=EXPIRED), ALICE),
    "unknown account": (user(signer=KeyPair.generate(KeyKind.ACCOUNT), home=REVOKED, issuer_account=""), ALICE),
    "right network": (user(grant=granted(source_networks=("127.0.0.0/8",))), ALICE),
    "wrong network": (user(grant=granted(source_networks=("192.0.2.0/24", "2001:db8::/32"))), ALICE),
    "no network": (user(grant=granted(source_networks=("nope",))), ALICE),
    "right type": (user(grant=granted(allowed_connection_types=("standard",))), ALICE),
    "wrong type": (user(grant=granted(allowed_connection_types=("WEBSOCKET",))), ALICE),
    "unknown and right type": (user(grant=granted(allowed_connection_types=("FUTURE", "STANDARD"))), ALICE),
    "unknown type only": (user(grant=granted(allowed_connection_types=("FUTURE",))), ALICE),
    "proxy required": (user(grant=granted(proxy_required=True)), ALICE),
    "all day": (user(grant=granted(times=(TimeRange(start="00:00:00", end="23:59:59"),), times_location="UTC")), ALICE),
    "no zone": (user(grant=granted(times_location="Mars/Base")), ALICE),
    "queue in publish": (user(grant=granted(publish=SubjectList(allow=("a b",)))), ALICE),
    "v2 payload of an account": (ACCOUNTS[TENANT.public], ALICE),
}


@pytest.mark.parametrize("case", CASES)
def test_both_decide_the_same(case, port):
    token, signer = CASES[case]
    line = Line(port)
    nonce = line.info["nonce"].encode()
    connect = {"jwt": token, "sig": encode_signature(signer.sign(nonce)) if signer else ""}
    answer = line.answer(connect)
    line.close()
    assert answer in ("PONG", "-ERR 'Authorization Violation'")

    node = Authenticator(AuthSettings(operators=(OPERATOR_JWT,)), MemoryResolver(ACCOUNTS.items()))
    decision = node.decide(
        Attempt(connect=ConnectOptions(**connect), nonce=nonce, client_host="127.0.0.1"), time.time()
    )
    assert isinstance(decision, Admission) == (answer == "PONG"), (answer, decision)


async def exchange(port, options):
    errors = []

    async def remember(error):
        errors.append(str(error))

    client = await nats.connect(f"nats://127.0.0.1:{port}", error_cb=remember, allow_reconnect=False, **options)
    information = json.loads((await client.request("$SYS.REQ.USER.INFO", timeout=5)).data)["data"]
    subscription = await client.subscribe("open.*")
    await client.publish("open.a", b"hello")
    await client.publish("secret.a", b"no")
    message = await subscription.next_msg(timeout=5)
    await client.flush()
    await client.close()
    return information, message.data, errors


def nats_py_reads_the_file(path):
    """nats-py's own reader, with which most clients come."""
    pytest.importorskip("nkeys", reason="nats-py reads credentials files only with its extra nats-py[nkeys]")
    return {"user_credentials": str(path)}


def we_read_the_file(path):
    return load_credentials(path).client_options()


@pytest.mark.parametrize("read", [nats_py_reads_the_file, we_read_the_file])
def test_a_client_comes_in_with_our_credentials(port, tmp_path, read):
    path = tmp_path / "alice.creds"
    path.write_text(format_credentials(user(tags=("dept:x",)), ALICE.seed))
    information, data, errors = asyncio.run(exchange(port, read(path)))
    assert data == b"hello"
    assert (information["user"], information["account"]) == (ALICE.public, TENANT.public)
    assert (information["user_name"], information["account_name"]) == ("alice", "tenant")
    assert information["permissions"]["publish"] == {"deny": ["secret.>"]}
    assert any("secret.a" in error for error in errors)


def test_a_bearer_needs_no_seed(port):
    credentials = parse_credentials(user(grant=granted(bearer_token=True)))
    assert not credentials.seed
    information, _, _ = asyncio.run(exchange(port, credentials.client_options()))
    assert information["user"] == ALICE.public


async def scoped_information(port, options):
    client = await nats.connect(f"nats://127.0.0.1:{port}", allow_reconnect=False, **options)
    answer = await client.request("$SYS.REQ.USER.INFO", timeout=5)
    await client.close()
    return json.loads(answer.data)["data"]["permissions"]


def test_a_scoped_user_gets_the_same_template_from_both(port):
    token = user(signer=SCOPED, grant=UserGrant(), tags=("dept:x", "dept:y"))
    credentials = parse_credentials(format_credentials(token, ALICE.seed))
    theirs = asyncio.run(scoped_information(port, credentials.client_options()))
    node = Authenticator(AuthSettings(operators=(OPERATOR_JWT,)), MemoryResolver(ACCOUNTS.items()))
    nonce = b"nonce"
    connect = ConnectOptions(jwt=token, sig=encode_signature(ALICE.sign(nonce)))
    ours = node.decide(Attempt(connect=connect, nonce=nonce), time.time()).permissions
    assert sorted(ours.publish.allow) == sorted(theirs["publish"]["allow"])
    assert sorted(ours.subscribe.allow) == sorted(theirs["subscribe"]["allow"])
