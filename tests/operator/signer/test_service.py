"""The signing service over gRPC: policy, four eyes, idempotency, quotas, identity, the log, health, reflection
(spec operator-cli checklist 57, 58, 60, 64)."""

import base64
import json
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
import pytest
from google.protobuf import descriptor_pb2  # type: ignore[import-untyped]
from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc  # type: ignore[import-untyped]

from gossamer.auth.claims import AccountClaims, OperatorClaims, UserClaims
from gossamer.auth.jwt import decode, decode_as
from gossamer.auth.keys import KeyKind, KeyPair
from gossamer.operator.audit.verification import verify_operator
from gossamer.operator.failure import Failure
from gossamer.operator.signer.client import Connection, SignerClient
from gossamer.operator.signer.identity import signed_text
from gossamer.operator.signer.messages import (
    METHODS,
    SERVICE,
    Challenge,
    ChallengeRequest,
    IssueUserRequest,
    Proof,
    SignRequest,
)
from gossamer.operator.signer.policy import parse_policy
from gossamer.operator.signer.schema import from_wire, proto_text, to_wire
from gossamer.operator.signer.server import SignerServer, Tls
from gossamer.operator.testing import run_ok

NOW = 1_800_000_000


def user(**changes: Any) -> IssueUserRequest:
    members: dict[str, Any] = {
        "name": "ci-1",
        "account": "TEAM",
        "role": "svc",
        "public_key": KeyPair.generate(KeyKind.USER).public,
        "expires_at": NOW + 600,
        "reason": "a build",
    }
    return IssueUserRequest(**(members | changes))


def test_a_user_under_a_role(running: Any) -> None:
    request = user(tags=("dept:x",), not_before=NOW)
    with running.client("ci") as client:
        answer = client.issue_user(request)
    claims = decode_as(UserClaims, answer.token)
    assert (claims.name, claims.subject, claims.tags) == ("ci-1", request.public_key, ("dept:x",))
    assert (claims.expires, claims.issued_at) == (NOW + 600, NOW)
    assert claims.issuer == running.account_key("svc")
    assert claims.issuer_account == running.workspace.store.account("DEMO", "TEAM").claims.subject
    assert claims.grant.is_empty
    assert answer.seed == ""


def test_the_service_makes_a_key_when_asked(running: Any) -> None:
    with running.client("ci") as client:
        answer = client.issue_user(user(public_key="", generate=True))
    pair = KeyPair.from_seed(answer.seed)
    assert pair.public == answer.public_key == decode(answer.token).subject
    assert answer.seed not in running.signer.log.path.read_text()


REFUSED = [
    ({"expires_at": 0}, "must expire"),
    ({"expires_at": NOW + 3601}, "3600 s is the most"),
    ({"expires_at": NOW - 1}, "expired already"),
    ({"expires_at": NOW + 60, "not_before": NOW + 61}, "before it begins"),
    ({"name": "other"}, "not one of ci-*"),
    ({"name": "ci-*"}, "wildcard"),
    ({"name": "ci->"}, "wildcard"),
    ({"name": "ci-a.b"}, "dot"),
    ({"name": "ci-/../x"}, "path separator"),
    ({"tags": ("admin",)}, "may not be given"),
    ({"tags": ("dept:*",)}, "wildcard"),
    ({"role": "admin"}, "no rule"),
    ({"role": "nothing"}, "no role"),
    ({"role": ""}, "no rule"),
    ({"account": "OTHER", "role": ""}, "no rule"),
    ({"account": "NOWHERE"}, "no account"),
    ({"grant_json": '{"pub":{"allow":[">"]}}'}, "no permissions or limits"),
    ({"grant_json": '{"iss":"x"}'}, "unknown member"),
    ({"grant_json": "["}, "cannot be read"),
    ({"public_key": "UABC"}, "not a public user key"),
    ({"public_key": "A" * 56}, "not a public user key"),
    ({"public_key": ""}, "public_key"),
    ({"generate": True}, "public_key"),
]


@pytest.mark.parametrize(("changes", "word"), REFUSED, ids=[word + str(n) for n, (_, word) in enumerate(REFUSED)])
def test_the_policy_refuses(running: Any, changes: dict[str, Any], word: str) -> None:
    with running.client("ci") as client, pytest.raises(Failure, match=re.escape(word)) as refused:
        client.issue_user(user(**changes))
    assert refused.value.exit_code == 7
    last = list(running.signer.log.entries())[-1]
    assert last.action == "signer issue refused"
    assert last.actor == {"client": "ci"}


def test_a_revoked_user_is_not_issued(running: Any) -> None:
    request = user()
    with running.client("ci") as client:
        client.issue_user(request)
        account = running.workspace.reopened()
        claims = account.store.account("DEMO", "TEAM").claims
        from msgspec import structs

        from gossamer.operator.store.stored import sign

        signer = account.keystore.signer(account.store.operator("DEMO").claims.subject)
        revoking = structs.replace(claims, revocations={request.public_key: NOW + 10})
        account.store.put_account("DEMO", sign(revoking, signer, now=NOW))
        account.changes.commit()
        with pytest.raises(Failure, match="revokes"):
            client.issue_user(request)


def test_without_a_scope_there_are_ceilings_and_bounds(running: Any) -> None:
    sound = {"pub": {"allow": ["portal.x"]}, "sub": {"allow": ["portal.>"]}, "subs": 5, "payload": 100}

    def ask(client: SignerClient, **changes: Any) -> UserClaims:
        grant = json.dumps(sound | changes)
        answer = client.issue_user(user(name="web", role="", grant_json=grant))
        return decode_as(UserClaims, answer.token)

    with running.client("portal") as client:
        claims = ask(client)
        assert claims.grant.publish.allow == ("portal.x",)
        assert claims.grant.subscriptions == 5
        assert claims.issuer == running.account_key()
        for changes, word in (
            ({"subs": -1}, "subs is unlimited"),
            ({"subs": 11}, "10 is the most"),
            ({"payload": 1001}, "1000 is the most"),
            ({"pub": {}}, "may publish"),
            ({"pub": {"allow": ["portal.x", ">"]}}, "may publish"),
            ({"sub": {"allow": ["*.>"]}}, "may subscribe"),
            ({"bearer_token": True}, "bearer"),
        ):
            with pytest.raises(Failure, match=word):
                ask(client, **changes)
        # The same key for a user under a role: this client has no rule for it.
        with pytest.raises(Failure, match="no rule"):
            client.issue_user(user(name="web"))


def account_claim(running: Any, **limits: int) -> dict[str, Any]:
    claims = running.workspace.reopened().store.account("DEMO", "TEAM").claims
    members = json.loads(claims.json())
    for ours in ("iss", "iat", "jti"):
        del members[ours]
    members["nats"]["limits"] |= {"conn": 50, "leaf": 0} | limits
    return dict(members)


def operator_key(running: Any) -> str:
    return str(running.workspace.store.operator("DEMO").claims.signing_keys[0])


def test_accounts_need_a_second_pair_of_eyes(running: Any) -> None:
    claim = json.dumps(account_claim(running))
    request = SignRequest(kind="account", key=operator_key(running), claim_json=claim, reason="more room")
    with running.client("portal") as portal, running.client("boss") as boss, running.client("second") as second:
        with pytest.raises(Failure, match="approval"):
            portal.sign(request)
        pending = portal.submit(request)
        assert pending.state == "pending"
        assert pending.token == ""
        with pytest.raises(Failure, match="may not approve"):
            portal.approve(pending.id, pending.digest)
        with pytest.raises(Failure, match="digest"):
            boss.approve(pending.id, "0" * 64)
        assert [item.id for item in boss.requests().requests] == [pending.id]
        signed = boss.approve(pending.id, pending.digest, "looks right")
        assert signed.state == "signed"
        claims = decode_as(AccountClaims, signed.token)
        assert claims.limits.connections == 50
        assert claims.issuer == operator_key(running)
        assert claims.issued_at > running.workspace.store.account("DEMO", "TEAM").claims.issued_at
        assert portal.request(pending.id).token == signed.token
        with pytest.raises(Failure, match="already"):
            second.approve(pending.id, pending.digest)
        with pytest.raises(Failure, match="already"):
            second.reject(pending.id, pending.digest)
    actions = [entry.action for entry in running.signer.log.entries()][-6:]
    assert "signer submit" in actions
    assert "signer approve" in actions


def test_nobody_approves_a_request_of_ones_own(running: Any, start: Callable[..., Any]) -> None:
    # "second" may submit and approve, but has no rule of its own: give it one.
    mine = start(
        extra='[[client.rule]]\nkinds = ["account"]\naccounts = ["TEAM"]\nkeys = ["plain"]\n'
        'expiry_max = "0"\napprovals = 2\n'
    )
    request = SignRequest(kind="account", key=operator_key(mine), claim_json=json.dumps(account_claim(mine)))
    with mine.client("second") as second, mine.client("boss") as boss:
        pending = second.submit(request)
        with pytest.raises(Failure, match="one's own"):
            second.approve(pending.id, pending.digest)
        first = boss.approve(pending.id, pending.digest)
        assert (first.state, first.approved_by) == ("pending", ("boss",))
        with pytest.raises(Failure, match="approved it already"):
            boss.approve(pending.id, pending.digest)
        assert second.reject(pending.id, pending.digest).state == "rejected"


def test_a_rejected_request_stays_so(running: Any) -> None:
    request = SignRequest(kind="account", key=operator_key(running), claim_json=json.dumps(account_claim(running)))
    with running.client("portal") as portal, running.client("boss") as boss:
        pending = portal.submit(request)
        assert boss.reject(pending.id, pending.digest).rejected_by == "boss"
        with pytest.raises(Failure, match="rejected already"):
            boss.approve(pending.id, pending.digest)
        with pytest.raises(Failure, match="no request"):
            boss.approve("../../x", pending.digest)


def test_a_request_survives_a_restart_but_not_an_alteration(running: Any, start: Callable[..., Any]) -> None:
    request = SignRequest(kind="account", key=operator_key(running), claim_json=json.dumps(account_claim(running)))
    with running.client("portal") as portal:
        pending = portal.submit(request)
    running.server.stop(0)
    later = start()
    path = next((Path(later.signer._requests._folder)).glob("*.json"))
    path.write_text(path.read_text().replace('\\"conn\\": 50', '\\"conn\\": 51'))
    with later.client("boss") as boss:
        assert boss.request(pending.id).digest == pending.digest
        with pytest.raises(Failure, match="altered"):
            boss.approve(pending.id, pending.digest)
    path.write_text(path.read_text().replace('\\"conn\\": 51', '\\"conn\\": 50'))
    with later.client("boss") as boss:
        assert boss.approve(pending.id, pending.digest).state == "signed"


@pytest.mark.parametrize(
    ("limits", "word"),
    [
        ({"conn": 101}, "100 is the most"),
        ({"conn": -1}, "unlimited"),
        ({"leaf": 1}, "0 is the most"),
        ({"disk_storage": -1}, "disk_storage is unlimited"),
        ({"tiered_limits": {"R3": {"disk_storage": 2_000_000}}}, "R3.disk_storage"),
    ],
    ids=["conn", "unlimited", "leaf", "storage", "tier"],
)
def test_an_account_above_its_ceilings(running: Any, limits: dict[str, int], word: str) -> None:
    claim = json.dumps(account_claim(running, **limits))
    request = SignRequest(kind="account", key=operator_key(running), claim_json=claim)
    with running.client("portal") as portal, pytest.raises(Failure, match=re.escape(word)):
        portal.submit(request)


def test_the_operator_itself(running: Any) -> None:
    claims = running.workspace.store.operator("DEMO").claims
    members = json.loads(claims.json()) | {"aud": ""}
    for ours in ("iss", "iat", "jti", "aud"):
        members.pop(ours)
    members["nats"]["tags"] = ["a"]
    request = SignRequest(kind="operator", key=claims.subject, claim_json=json.dumps(members))
    with running.client("portal") as portal, running.client("boss") as boss:
        with pytest.raises(Failure, match="may not be given"):
            portal.submit(request)
        del members["nats"]["tags"]
        members["nats"]["operator_service_urls"] = ["nats://x:4222"]
        pending = portal.submit(SignRequest(kind="operator", key=claims.subject, claim_json=json.dumps(members)))
        signed = decode_as(OperatorClaims, boss.approve(pending.id, pending.digest).token)
        assert signed.operator_service_urls == ("nats://x:4222",)
        assert signed.issued_at > claims.issued_at


def sign_user(running: Any, change: Callable[[dict[str, Any]], None], kind: str = "user") -> SignRequest:
    key = running.account_key("svc")
    account = running.workspace.store.account("DEMO", "TEAM").claims.subject
    members: dict[str, Any] = {
        "name": "ci-9",
        "sub": KeyPair.generate(KeyKind.USER).public,
        "exp": NOW + 60,
        "nats": {"pub": {}, "sub": {}, "issuer_account": account, "type": "user", "version": 2},
    }
    change(members)
    return SignRequest(kind=kind, key=key, claim_json=json.dumps(members))


def test_a_decoded_claim_is_signed_by_bytes_of_our_own(running: Any) -> None:
    request = sign_user(running, lambda claim: claim.update(iat=1, jti="MINE"))
    with running.client("ci") as client:
        token = client.sign(request).token
    claims = decode_as(UserClaims, token)
    assert claims.issued_at == NOW
    assert claims.id not in {"", "MINE"}
    assert claims.id == claims.computed_id()
    assert claims.name == "ci-9"


MISMATCHES: list[tuple[Callable[[dict[str, Any]], Any], str]] = [
    (lambda claim: claim.update(iss="A" * 56), "issued it"),
    (lambda claim: claim["nats"].update(type="account"), "not a user claim"),
    (lambda claim: claim["nats"].pop("type"), "not a user claim"),
    (lambda claim: claim["nats"].update(version=3), "version"),
    (lambda claim: claim["nats"].update(strange=1), "strange"),
    (lambda claim: claim.update(strange=1), "strange"),
    (lambda claim: claim["nats"].update(subs=-1), "no permissions or limits"),
    (lambda claim: claim["nats"].pop("issuer_account"), "no account"),
    (lambda claim: claim["nats"].update(pub="x"), "cannot be read"),
    (lambda claim: claim.update(sub="UABC"), "user public key"),
    (lambda claim: claim.update(exp=NOW + 10_000), "3600 s is the most"),
    (lambda claim: claim.update(exp=2**70), "cannot be read"),
]


@pytest.mark.parametrize(("change", "word"), MISMATCHES, ids=[f"{n}" for n in range(len(MISMATCHES))])
def test_a_claim_that_says_something_else_is_refused(running: Any, change: Any, word: str) -> None:
    with running.client("ci") as client, pytest.raises(Failure, match=word):
        client.sign(sign_user(running, change))


@pytest.mark.parametrize("text", ["", "x", "[]", "null", '{"nats":1}', "[" * 10_000, '{"a":' * 5000])
def test_nonsense_is_refused(running: Any, text: str) -> None:
    request = SignRequest(kind="user", key=running.account_key("svc"), claim_json=text)
    with running.client("ci") as client:
        with pytest.raises(Failure, match="claim"):
            client.sign(request)
        assert client.list_keys().keys


def test_the_same_request_again_is_not_signed_again(running: Any) -> None:
    request = user(idempotency_key="build-17")
    with running.client("ci") as client:
        first = client.issue_user(request)
        running.clock[0] += 100
        assert client.issue_user(request) == first
        with pytest.raises(Failure, match="another request"):
            client.issue_user(user(idempotency_key="build-17"))
        running.clock[0] += 1
    signed = [entry for entry in running.signer.log.entries() if entry.action == "signer issue"]
    assert len(signed) == 1


def test_no_two_versions_share_a_second(running: Any) -> None:
    request = user()
    with running.client("ci") as client:
        times = [decode(client.issue_user(request).token).issued_at for _ in range(3)]
    assert times == [NOW, NOW + 1, NOW + 2]


def test_quotas(running: Any) -> None:
    with running.client("ci") as client:
        for _ in range(5):
            client.issue_user(user())
        with pytest.raises(Failure, match="more than 5 in a minute"):
            client.issue_user(user())
        running.clock[0] += 61
        client.issue_user(user())


def test_keys_that_a_client_may_use(running: Any) -> None:
    with running.client("ci") as client:
        (key,) = client.list_keys().keys
        assert (key.account, key.role, key.claim_kinds) == ("TEAM", "svc", ("user",))
    with running.client("portal") as client:
        assert {(key.kind, key.account, key.claim_kinds) for key in client.list_keys().keys} == {
            ("account", "TEAM", ("user",)),
            ("operator", "", ("account",)),
            ("operator", "", ("operator",)),
        }
    with running.client("boss") as client, pytest.raises(Failure, match="may not list"):
        client.list_keys()


# Who is calling.


def test_strangers_are_refused(running: Any) -> None:
    with running.client("stranger") as client, pytest.raises(Failure, match="does not count"):
        client.list_keys()
    with (
        SignerClient(Connection(address=running.server.address)) as client,
        pytest.raises(Failure, match="who you are"),
    ):
        client.list_keys()


class Raw:
    """Calls without the client's good manners."""

    def __init__(self, address: str) -> None:
        self.channel = grpc.insecure_channel(address)

    def call(self, name: str, data: bytes, token: str = "") -> bytes:
        metadata = [("authorization", f"Bearer {token}")] if token else []
        return bytes(self.channel.unary_unary(f"/{SERVICE}/{name}")(data, timeout=10, metadata=metadata))

    def refused(self, name: str, data: bytes, token: str = "") -> Any:
        with pytest.raises(grpc.RpcError) as refused:
            self.call(name, data, token)
        return refused.value.code()


@pytest.fixture
def raw(running: Any) -> Any:
    found = Raw(running.server.address)
    yield found
    found.channel.close()


def proof(running: Any, raw: Raw, name: str = "ci") -> Proof:
    key = running.keys[name]
    challenge = from_wire(Challenge, raw.call("GetChallenge", to_wire(ChallengeRequest(public_key=key.public))))
    assert isinstance(challenge, Challenge)
    text = signed_text(challenge.audience, key.public, challenge.nonce)
    signature = base64.urlsafe_b64encode(key.sign(text)).rstrip(b"=").decode()
    return Proof(public_key=key.public, nonce=challenge.nonce, signature=signature)


def test_a_proof_counts_once_and_not_for_long(running: Any, raw: Raw) -> None:
    good = to_wire(proof(running, raw))
    raw.call("Authenticate", good)
    assert raw.refused("Authenticate", good) is grpc.StatusCode.UNAUTHENTICATED
    late = to_wire(proof(running, raw))
    running.clock[0] += 31
    assert raw.refused("Authenticate", late) is grpc.StatusCode.UNAUTHENTICATED


def test_a_proof_is_for_one_key_and_one_nonce(running: Any, raw: Raw) -> None:
    from msgspec import structs

    good, other = proof(running, raw), proof(running, raw, "boss")
    for bad in (
        structs.replace(good, public_key=running.keys["boss"].public),
        structs.replace(good, nonce=other.nonce),
        structs.replace(good, signature=other.signature),
        structs.replace(good, nonce=""),
        structs.replace(good, nonce="é"),
        structs.replace(good, signature="!"),
        structs.replace(good, public_key=""),
    ):
        assert raw.refused("Authenticate", to_wire(bad)) is grpc.StatusCode.UNAUTHENTICATED
    raw.call("Authenticate", to_wire(good))


def test_a_session_ends(running: Any) -> None:
    with running.client("ci") as client:
        client.list_keys()
        running.clock[0] += 301
        with pytest.raises(Failure, match="session has ended"):
            client.list_keys()


def test_every_method_but_two_wants_to_know_who_calls(running: Any, raw: Raw) -> None:
    for name, method in METHODS.items():
        if not method.open and not method.streams:
            for token in ("", "nonsense"):
                assert raw.refused(name, b"", token) is grpc.StatusCode.UNAUTHENTICATED
    stream = raw.channel.unary_stream(f"/{SERVICE}/Watch")(b"", timeout=10)
    with pytest.raises(grpc.RpcError) as refused:
        list(stream)
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert raw.refused("GetChallenge", b"\xff\xff") is grpc.StatusCode.INVALID_ARGUMENT


def test_certificates(start: Callable[..., Any], authority: Any) -> None:
    policy = """
name = "tls"
[[client]]
name = "ci"
tls_subject = "CN=ci,O=Test"
[[client.rule]]
accounts = ["TEAM"]
roles = ["svc"]
expiry_max = "1h"
[[client]]
name = "pod"
tls_san = "spiffe://example/pod"
"""
    certificate, key = authority.issue("server")
    running = start(policy, Tls(certificate=certificate, key=key, client_ca=authority.path))

    def client(name: str, uri: str = "") -> SignerClient:
        own = authority.issue(name, uri)
        return SignerClient(
            Connection(address=running.server.address, tls_ca=authority.path, tls_certificate=own[0], tls_key=own[1])
        )

    with client("ci") as ci:
        assert decode(ci.issue_user(user()).token).name == "ci-1"
    with client("pod", "spiffe://example/pod") as pod:
        assert pod.list_keys().keys == ()
    with client("nobody") as nobody, pytest.raises(Failure, match="no client has the certificate"):
        nobody.list_keys()
    without = Connection(address=running.server.address, tls_ca=authority.path)
    with SignerClient(without, timeout_s=5) as bare, pytest.raises(Failure):
        bare.list_keys()


def test_tls_and_an_nkey(start: Callable[..., Any], authority: Any) -> None:
    certificate, key = authority.issue("server")
    running = start(tls=Tls(certificate=certificate, key=key))
    connection = Connection(address=running.server.address, tls_ca=authority.path, key=running.keys["ci"])
    with SignerClient(connection) as client:
        assert client.issue_user(user()).token


def test_in_the_clear_on_this_machine_only(running: Any) -> None:
    with pytest.raises(Failure, match="this machine only"):
        SignerServer(running.signer, "0.0.0.0:0", lambda: 0.0)


# The log, health, reflection, the end.


def test_the_log_holds_everything_and_no_secret(running: Any, stores: Path, keys: Path) -> None:
    with running.client("ci") as client:
        token = client.issue_user(user(reason=f"oops {running.keys['ci'].seed}")).token
        with pytest.raises(Failure):
            client.issue_user(user(name="other", reason="why not"))
    text = running.signer.log.path.read_text()
    assert token not in text
    assert running.keys["ci"].seed not in text
    assert not any(path.read_text() in text for path in keys.rglob("*.nk"))
    faults, _ = verify_operator(stores, "DEMO")
    assert faults == []
    done, refused = list(running.signer.log.entries())[-2:]
    assert done.details["objects"][0]["id"] == decode(token).id
    assert done.details["reason"] == "oops (seed)"
    assert refused.details["faults"]


def test_nothing_is_signed_that_cannot_be_logged(running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise Failure("no space left")

    monkeypatch.setattr(running.signer.log, "append", full)
    request = user(idempotency_key="x")
    with running.client("ci") as client:
        with pytest.raises(Failure, match="audit log"):
            client.issue_user(request)
        with pytest.raises(Failure, match="audit log"):
            client.issue_user(request)


def test_watching(running: Any) -> None:
    with running.client("boss") as boss, running.client("ci") as ci:
        before = running.signer.log.head().number
        new = boss.watch()
        ci.issue_user(user())
        line = next(new)
        assert (line.number, line.action, json.loads(line.actor_json)) == (before + 1, "signer issue", {"client": "ci"})
        past = boss.watch(1)
        assert [next(past).number for _ in range(before + 1)] == list(range(1, before + 2))
        with pytest.raises(Failure, match="may not watch"):
            ci.watch()
        running.server.stop(0)
        with pytest.raises((StopIteration, Failure)):
            next(new)


def test_health_and_reflection(running: Any) -> None:
    with grpc.insecure_channel(running.server.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for name in ("", SERVICE):
            answer = health.Check(health_pb2.HealthCheckRequest(service=name), timeout=10)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        reflection = reflection_pb2_grpc.ServerReflectionStub(channel)
        asks = [
            reflection_pb2.ServerReflectionRequest(list_services=""),
            reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE),
        ]
        services, file = reflection.ServerReflectionInfo(iter(asks), timeout=10)
        assert SERVICE in {service.name for service in services.list_services_response.service}
        found = descriptor_pb2.FileDescriptorProto.FromString(file.file_descriptor_response.file_descriptor_proto[0])
        assert [method.name for method in found.service[0].method] == list(METHODS)


def test_an_end_in_good_order(running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go = threading.Event(), threading.Event()
    real = running.signer._issue

    def slow(*arguments: Any) -> Any:
        begun.set()
        assert go.wait(10)
        return real(*arguments)

    monkeypatch.setattr(running.signer, "_issue", slow)
    tokens: list[str] = []
    with running.client("ci") as client:
        caller = threading.Thread(target=lambda: tokens.append(client.issue_user(user()).token))
        caller.start()
        assert begun.wait(10)
        stopper = threading.Thread(target=lambda: running.server.stop(10))
        stopper.start()
        go.set()
        caller.join(20)
        stopper.join(20)
    assert len(tokens) == 1


def test_the_description_for_other_languages_is_that_of_the_wire() -> None:
    import gossamer.operator.signer as package

    (folder,) = package.__path__
    assert (Path(folder) / "signer.proto").read_text() == proto_text()


# Policies.

BAD_POLICIES = [
    ("", "name"),
    ("name = 1", "name"),
    ('name = "x"\nsession = "0"', "session"),
    ('name = "x"\nstrange = 1', "strange"),
    ('name = "x"\n[[client]]\nname = "a"', "one of nkey"),
    ('name = "x"\n[[client]]\nname = "a"\nnkey = "UABC"', "not a public user key"),
    ('name = "x"\n[[client]]\nname = "a"\ntls_san = "a"\ntls_subject = "b"', "one of nkey"),
    ('name = "x"\n[[client]]\nname = "a"\ntls_san = "a"\n[[client]]\nname = "a"\ntls_san = "b"', "twice"),
    ('name = "x"\n[[client]]\nname = "a"\ntls_san = "a"\n[[client]]\nname = "b"\ntls_san = "a"', "shares"),
    ('name = "x"\n[[client]]\nname = "a"\ntls_san = "a"\n[[client.rule]]\nroles = ["r"]', "expiry_max"),
    ('name = "x"\n[[client]]\nname = "a"\ntls_san = "a"\n[[client.rule]]\nexpiry_max = "1h"', "neither roles"),
    (
        'name = "x"\n[[client]]\nname = "a"\ntls_san = "a"\n[[client.rule]]\nexpiry_max = "1h"\nroles = ["r"]\n'
        "ceilings = {nonsense = 1}",
        "no limit",
    ),
    (
        'name = "x"\n[[client]]\nname = "a"\ntls_san = "a"\n[[client.rule]]\nexpiry_max = "0"\nkeys = ["identity"]\n'
        'kinds = ["operator"]\napprovals = 0',
        "approval",
    ),
]


@pytest.mark.parametrize(
    ("text", "word"), BAD_POLICIES, ids=[f"{n}-{word}" for n, (_, word) in enumerate(BAD_POLICIES)]
)
def test_policies_that_are_none(text: str, word: str) -> None:
    with pytest.raises(Failure, match=word):
        parse_policy(text)


def test_a_sealed_keystore_behind_the_service(
    start: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gossamer.operator.custody import sealing

    monkeypatch.setattr(sealing, "PASSES", 1)
    monkeypatch.setattr(sealing, "MEMORY_BYTES", 8192)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("GOSSAMER_PASSPHRASE", "long enough to be one")
    run_ok("keys", "move", "--to", "encrypted")
    running = start()
    running.workspace.keystore.custodian.vault()
    monkeypatch.delenv("GOSSAMER_PASSPHRASE")
    with running.client("ci") as client:
        assert client.issue_user(user()).token
