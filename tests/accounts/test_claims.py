"""``$SYS.REQ.CLAIMS`` of a full resolver, answer by answer (spec auth 23.1, checklist 28, 64, 65, 67)."""

import hashlib
import json
from functools import reduce
from pathlib import Path

import pytest

from gossamer.auth.claims import Export, MappingTarget, UserClaims, UserGrant
from gossamer.auth.jwt import encode
from gossamer.auth.keys import KeyKind, KeyPair

VECTORS = Path(__file__).parent / "vectors"
TOKENS = Path(__file__).parents[1] / "auth" / "vectors" / "jwt"
EXCHANGES = json.loads((VECTORS / "resolver_exchanges.json").read_text())
ERROR = "jwt update resulted in error - "
LIST, PACK, DELETE = "$SYS.REQ.CLAIMS.LIST", "$SYS.REQ.CLAIMS.PACK", "$SYS.REQ.CLAIMS.DELETE"


@pytest.fixture
def asker(admin):
    """Of the shared server."""
    return admin


def packed(asker, body=b""):
    """All answers to PACK up to the empty one, which is left out."""
    asker.publish(PACK, body, reply="_R.1")
    found = []
    while (message := asker.read_message()).payload:
        found.append(message.payload)
    asker.ping()
    return found


def digest(tokens):
    return reduce(
        lambda one, other: bytes(a ^ b for a, b in zip(one, other, strict=True)),
        (hashlib.sha256(token.encode()).digest() for token in tokens),
        bytes(32),
    )


def test_three_ways_to_push(asker, tenant):
    account = tenant()
    for subject in (
        "$SYS.REQ.CLAIMS.UPDATE",
        f"$SYS.REQ.ACCOUNT.{account.public}.CLAIMS.UPDATE",
        f"$SYS.ACCOUNT.{account.public}.CLAIMS.UPDATE",
    ):
        answer = asker.ask_json(subject, account.jwt())
        assert list(answer) == ["server", "data"]
        assert answer["data"] == {"account": account.public, "code": 200, "message": "jwt updated"}
        assert {"name", "host", "id", "ver", "seq", "time"} <= answer["server"].keys()


@pytest.mark.parametrize(("kind", "said"), [("cache", "jwt update cache"), ("MEMORY", "jwt update")])
def test_other_resolvers_in_the_same_words(start_server, operator, tenant, system, kind, said):
    """Per account: a cache and MEMORY answer alike, and name the account of the subject in their errors."""
    resolver = kind if kind == "MEMORY" else '{ type: cache, dir: "jwt", timeout: "200ms" }'
    server = start_server(config=operator.config(resolver))
    asker = system(server, operator)
    account, other = tenant(), tenant(exports=(Export(subject="a b", type="stream"),))
    for key, body, expected in (
        (account.public, "x", f"{said} resulted in error - expected 3 chunks"),
        (account.public, account.user().token, f"{said} resulted in error - not account claim"),
        (operator.system.public, account.jwt(), f"{said} resulted in error - subject does not match jwt content"),
        (account.public, account.jwt(), 200),
        (other.public, other.jwt(), 200),
    ):
        answer = asker.ask_json(f"$SYS.REQ.ACCOUNT.{key}.CLAIMS.UPDATE", body)
        if expected == 200:
            assert answer["data"] == {"account": key, "code": 200, "message": f"{said} skipped"}
        else:
            assert answer["error"] == {"account": key, "code": 500, "description": expected}


def test_what_is_no_account_of_that_name(asker, tenant):
    account, other = tenant(), tenant()
    update = f"$SYS.REQ.ACCOUNT.{other.public}.CLAIMS.UPDATE"
    for subject, token, named, text in (
        (update, account.jwt(), other.public, ERROR + "subject does not match jwt content"),
        ("$SYS.REQ.CLAIMS.UPDATE", "garbage", "n/a", ERROR + "expected 3 chunks"),
        ("$SYS.REQ.CLAIMS.UPDATE", "", "n/a", ERROR + "expected 3 chunks"),
        ("$SYS.REQ.CLAIMS.UPDATE", account.user().token, "n/a", ERROR + "not account claim"),
    ):
        answer = asker.ask_json(subject, token)
        assert list(answer) == ["server", "error"]
        assert answer["error"] == {"account": named, "code": 500, "description": text}


def test_claims_that_are_not_valid(asker, tenant):
    """All blocking texts, one after the other."""
    account = tenant(
        exports=(Export(subject="a b", type="stream"),),
        mappings={"x": (MappingTarget(subject="y", weight=80), MappingTarget(subject="z", weight=80))},
    )
    answer = asker.push(account.jwt())
    assert answer["error"]["account"] == account.public
    text = answer["error"]["description"]
    assert text.startswith("jwt validation failed - validation errors: [")
    assert text.endswith("]")
    assert 'subject "a b" cannot have spaces' in text
    assert "exceeds 100%" in text


@pytest.mark.only_server("gossamer", reason="nats-server answers 200 and stores it (section 26.3)")
def test_a_signer_that_nobody_trusts(asker, tenant, enter, full):
    account = tenant()
    for signer in (account.keys, KeyPair.generate(KeyKind.OPERATOR)):
        answer = asker.push(account.jwt(signer=signer))
        assert answer["error"]["description"] == ERROR + "account validation failed"
    assert asker.ask(f"$SYS.REQ.ACCOUNT.{account.public}.CLAIMS.LOOKUP") == [b""]
    asker.pushed(account.jwt())
    client = enter(full, account.user())
    assert asker.push(account.jwt(signer=account.keys))["error"]["code"] == 500
    client.ping()


@pytest.mark.only_server("gossamer", reason="the switches are this server's own")
def test_the_switches(start_server, operator, tenant, system, enter):
    resolver = '{ type: full, dir: "jwt", accept_untrusted: true, refuse_rollback: true }'
    server = start_server(config=operator.config(resolver))
    asker = system(server, operator)
    account, stranger = tenant(), tenant()
    assert asker.push(stranger.jwt(signer=stranger.keys))["data"]["message"] == "jwt updated"
    enter(server, stranger.user(), refused="Authorization Violation")
    old = account.jwt()
    asker.pushed(account.jwt())
    text = asker.push(old)["error"]["description"]
    assert text.startswith(ERROR + "a JWT issued at ")
    assert "refuse_rollback" in text


def test_look_up(asker, tenant):
    account = tenant()
    token = account.jwt()
    subject = f"$SYS.REQ.ACCOUNT.{account.public}.CLAIMS.LOOKUP"
    assert asker.ask(subject) == [b""]
    asker.pushed(token)
    assert asker.ask(subject) == [token.encode()]
    asker.publish("$SYS.REQ.ACCOUNT.ABC.CLAIMS.LOOKUP", reply="_R.1")
    asker.ping()  # no answer at all


def test_list_and_pack(start_server, operator, tenant, system, house):
    """Checklist 64 and 65, on a server to which nobody else pushes."""
    asker = system(start_server(config=operator.config(house.FULL)), operator)
    accounts = [tenant(), tenant()]
    tokens = {account.public: account.jwt() for account in accounts}
    for token in tokens.values():
        asker.pushed(token)
    tokens[operator.system.public] = operator.system_token
    answer = asker.ask_json(LIST)
    assert list(answer) == ["data", "server"]
    assert sorted(answer["data"]) == sorted(tokens)
    everything = sorted(f"{key}|{token}".encode() for key, token in tokens.items())
    assert sorted(packed(asker)) == everything
    assert sorted(packed(asker, bytes(32))) == everything
    assert packed(asker, digest(tokens.values())) == []
    replaced = accounts[0].jwt(name="new")
    asker.pushed(replaced)
    assert len(packed(asker, digest(tokens.values()))) == 3
    tokens[accounts[0].public] = replaced
    assert packed(asker, digest(tokens.values())) == []
    asker.ask_json(DELETE, operator.deletion(accounts[1].public))
    del tokens[accounts[1].public]
    assert packed(asker, digest(tokens.values())) == []


def test_the_hash_of_the_vectors(start_server, operator, system, tmp_path):
    """Checklist 65: a directory that another server wrote."""
    vector = json.loads((VECTORS / "resolver_hash.json").read_text())
    for name, token in vector["files"].items():
        (tmp_path / name).write_text(token)
    server = start_server(config=operator.config(f'{{ type: full, dir: "{tmp_path}" }}'))
    asker = system(server, operator)
    theirs, own = bytes.fromhex(vector["hash_hex"]), digest([operator.system_token])
    assert len(packed(asker)) == 3
    assert packed(asker, bytes(a ^ b for a, b in zip(theirs, own, strict=True))) == []


def test_who_may_delete(asker, operator, tenant):
    """Checklist 67."""
    account, failed = tenant(), "failed - "
    asker.pushed(account.jwt())
    stranger = KeyPair.generate(KeyKind.OPERATOR)
    generic = operator.deletion
    for body, requester, why in (
        ("x", "", "expected 3 chunks"),
        (generic(account.public, signer=stranger), stranger.public, "not trusted"),
        (
            generic(account.public, signer=operator.signing, subject=operator.keys.public),
            operator.keys.public,
            "not self signed",
        ),
        (generic(operator.system.public), operator.keys.public, "not allowed to delete system account"),
        (generic("nonsense"), operator.keys.public, "malformed request"),
    ):
        answer = asker.ask_json(DELETE, body)
        text = f"delete accounts request by {requester} {failed}{why}"
        assert answer["error"] == {"code": 500, "description": text}
    answer = asker.ask_json(DELETE, generic(account.public, signer=operator.signing))
    assert answer["data"] == {"code": 200, "message": "deleted 1 accounts"}
    assert asker.ask(f"$SYS.REQ.ACCOUNT.{account.public}.CLAIMS.LOOKUP") == [b""]


def test_deleting_must_be_allowed(start_server, operator, tenant, system):
    server = start_server(config=operator.config('{ type: full, dir: "jwt" }'))
    asker = system(server, operator)
    answer = asker.ask_json(DELETE, operator.deletion(tenant().public))
    assert answer["error"]["description"].endswith("failed - delete must be enabled in server config")


def test_hard_deletion(start_server, operator, tenant, system):
    resolver = '{ type: full, dir: "jwt", allow_delete: true, hard_delete: true }'
    server = start_server(config=operator.config(resolver))
    asker = system(server, operator)
    account = tenant()
    asker.pushed(account.jwt())
    assert asker.ask_json(DELETE, operator.deletion(account.public))["data"]["code"] == 200
    assert not list((server.folder / "jwt").glob(f"{account.public}*"))


def test_a_full_store(start_server, operator, tenant, system):
    server = start_server(config=operator.config('{ type: full, dir: "jwt", limit: 2 }'))
    asker = system(server, operator)
    account, other = tenant(), tenant()
    asker.pushed(account.jwt())
    answer = asker.push(other.jwt())
    assert answer["error"]["description"] == ERROR + "jwt store is full"
    asker.pushed(account.jwt())


def test_a_strict_operator(start_server, house, enter, system):
    """Checklist 28."""
    operator = house.Operator(strict_signing_key_usage=True)
    operator.admin = operator.system.user()
    server = start_server(config=operator.config(house.FULL))
    asker = system(server, operator)
    account = house.Tenant(operator)
    answer = asker.push(account.jwt(signer=operator.keys))
    assert answer["error"] == {
        "account": account.public,
        "code": 500,
        "description": ERROR + "operator requires issuer to be a signing key",
    }
    asker.pushed(account.jwt())
    enter(server, account.user())
    enter(server, account.user(signer=account.keys), refused="Authorization Violation")


def test_the_exchanges_of_the_vectors(start_server, house):
    """Checklist 64: the same requests to a server of the same operator; answers equal but for the server's part."""
    trusted, account = ((TOKENS / f"{name}.jwt").read_text().strip() for name in ("operator_full", "account_system"))
    described = json.loads((TOKENS / "user_system.json").read_text())
    key, signer = described["claims"]["nats"]["issuer_account"], KeyPair.from_seed(described["signer_seed"])
    config = (
        f"operator: {trusted}\nsystem_account: {key}\nresolver {{type: full, dir: jwt, allow_delete: true}}\n"
        f"resolver_preload {{\n{key}: {account}\n}}\n"
    )
    server = start_server(config=config)
    subject = KeyPair.generate(KeyKind.USER)
    claims = UserClaims(subject=subject.public, issuer_account=key, grant=UserGrant.fresh())
    with house.System(server.address) as client:
        house.sign_in(client, house.User(subject, encode(claims, signer)))
        client.subscribe("_R.*", "r")
        client.ping()
        for exchange in EXCHANGES:
            if exchange["subject"] == "$SYS.REQ.USER.INFO":
                continue  # of another user
            client.publish(exchange["subject"], exchange["request"].encode(), reply="_R.1")
            answers = [client.read_message().payload.decode() for _ in exchange["replies"]]
            client.ping()
            if server.kind == "gossamer" and exchange["title"].startswith("self signed"):
                assert "account validation failed" in answers[0]
                continue
            if exchange["subject"].endswith(("LIST", "PACK")):
                answers.sort(key=lambda text: (not text, text))
            for answer, reply in zip(answers, exchange["replies"], strict=True):
                assert _without_server(answer) == _without_server(reply), exchange["title"]


def _without_server(text):
    if not text.startswith("{"):
        return text
    answer = json.loads(text)
    answer.pop("server")
    if isinstance(answer.get("data"), list):
        answer["data"].sort()
    return answer
