"""Tokens against the recorded vectors (spec auth sections 3, 4 and 6)."""

import base64
import json
from pathlib import Path

import jwt as pyjwt
import pytest
from msgspec import structs

from gossamer.auth.claims import (
    AccountClaims,
    AccountLimits,
    ActivationClaims,
    AuthorizationRequest,
    ClaimsError,
    Export,
    GenericClaims,
    OperatorClaims,
    ServiceLatency,
    UserClaims,
    UserGrant,
    UserScope,
    clean_tags,
)
from gossamer.auth.claims.part import json_text
from gossamer.auth.jwt import (
    TokenError,
    decode,
    decode_as,
    decode_generic,
    decode_signature,
    encode,
    encode_signature,
)
from gossamer.auth.keys import KeyKind, KeyPair

VECTORS = Path(__file__).parent / "vectors"
NAMES = [entry["name"] for entry in json.loads((VECTORS / "jwt" / "index.json").read_text())]
ERRORS = json.loads((VECTORS / "jwt_decode_errors.json").read_text())
STORE = VECTORS / "nsc-store"
STORED = sorted((STORE / "stores").rglob("*.jwt"))


def token(name):
    return (VECTORS / "jwt" / f"{name}.jwt").read_text().strip()


def facts(name):
    return json.loads((VECTORS / "jwt" / f"{name}.json").read_text())


def payload(text):
    chunk = text.split(".")[1]
    return base64.urlsafe_b64decode(chunk + "=" * (-len(chunk) % 4)).decode()


def stored_key(public):
    path = STORE / "keys" / "keys" / public[0] / public[1:3] / f"{public}.nk"
    return KeyPair.from_seed(path.read_text(), line_breaks=True)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "generic_delete_request"])
def test_every_token_reads_as_the_reference_reads_it(name):
    known = facts(name)
    view = known.get("library_view", known.get("library_view_after_migration")) or known["claims"]
    claims = decode(token(name))
    assert claims.json() == json_text(view)


@pytest.mark.parametrize("name", NAMES)
def test_the_id_covers_the_standard_members(name):
    claims = decode_generic(token(name)) if name == "generic_delete_request" else decode(token(name))
    assert claims.computed_id() == claims.id


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.name)
def test_tokens_written_by_nsc_are_written_again_to_the_byte(path):
    text = path.read_text().strip()
    claims = decode(text)
    assert claims.json() == payload(text)
    assert encode(claims, stored_key(claims.issuer), issued_at=claims.issued_at) == text


@pytest.mark.parametrize("name", [name for name in NAMES if "signer_seed" in facts(name) and not name.startswith("v1")])
def test_a_token_survives_being_signed_again(name):
    text = token(name)
    read = decode_generic if name == "generic_delete_request" else decode
    claims = read(text)
    again = encode(claims, KeyPair.from_seed(facts(name)["signer_seed"]), issued_at=claims.issued_at)
    if isinstance(claims, AccountClaims):
        claims = claims.sorted_for_signing()
    assert read(again) == claims


@pytest.mark.parametrize("case", ERRORS, ids=lambda case: case["why"])
def test_decode_errors(case):
    if case["library_error"] is None:
        assert isinstance(decode(case["token"]), UserClaims)
        return
    with pytest.raises(TokenError) as caught:
        decode(case["token"])
    expected = case["library_error"]
    if case["why"] == "scope kind unknown":
        expected = 'unknown signing key scope "x"'
    # Faults inside a claim name their place as well.
    assert str(caught.value).startswith(expected)


def test_a_generic_token_needs_the_generic_decoder():
    text = token("generic_delete_request")
    claims = decode_generic(text)
    account = "ABOTG6HCMLXQK4C2XBAP56BLL7RHBMVYRBOALQEH7KYB7VFVDKLPOSAB"
    assert claims.data == {"accounts": [account]}
    assert claims.issuer == claims.subject
    with pytest.raises(TokenError, match="claim failed V1 signature verification"):
        decode(text)
    assert decode_generic(token("v1_user")).data["max"] == 5


def test_activation_hash_ids():
    for name in ("activation_service", "activation_stream_signing_key", "activation_wildcard_first"):
        assert decode_as(ActivationClaims, token(name)).hash_id == facts(name)["activation_hash_id"]


def test_a_request_captured_from_a_server_reads():
    claims = decode_as(AuthorizationRequest, token("captured_authorization_request"))
    assert claims.server.version == "2.15.1"
    assert claims.connect.jwt.startswith("eyJ")
    assert claims.client.name_tag == "sentinel"


def test_legacy_signature_covers_the_payload_only():
    header, body, signature = token("v1_user").split(".")
    other = base64.urlsafe_b64encode(b'{"typ":"JWT","alg":"ed25519"}').rstrip(b"=").decode()
    assert other != header
    assert decode(f"{other}.{body}.{signature}") == decode(token("v1_user"))


def test_scopes_and_types_that_we_do_not_know_are_refused():
    account = decode_as(AccountClaims, token("account_scoped_key"))
    signer = KeyPair.from_seed(facts("account_scoped_key")["signer_seed"])
    for change in (
        {"signing_keys": [{"key": account.subject}]},
        {"exports": [{"subject": "a", "type": "queue"}]},
        {"imports": [{"subject": "a", "type": 5}]},
        {"exports": [{"subject": "a", "type": "service", "service_latency": {"sampling": "some", "results": "r"}}]},
        {"limits": []},
        {"limits": {"subs": "many"}},
        {"limits": {"subs": 2**70}},
    ):
        broken = GenericClaims(subject=account.subject, data={"type": "account", **change})
        with pytest.raises(TokenError, match=r"nats\."):
            decode(encode(broken, signer))


def test_members_of_a_newer_tool_are_kept():
    signer = KeyPair.generate(KeyKind.OPERATOR)
    subject = KeyPair.generate(KeyKind.ACCOUNT).public
    raw = GenericClaims(
        subject=subject,
        data={
            "type": "account",
            "future": {"a": [1, {"b": None}]},
            "limits": {"subs": 1, "future_limit": 7},
            "signing_keys": [{"kind": "user_scope", "key": subject, "later": True, "template": {"new": 1}}],
        },
    )
    claims = decode_as(AccountClaims, encode(raw, signer, issued_at=1))
    assert claims.limits.unknown == {"future_limit": 7}
    again = json.loads(payload(encode(claims, signer, issued_at=1)))["nats"]
    assert again["limits"] == {"subs": 1, "future_limit": 7}
    assert again["signing_keys"][0]["later"] is True
    assert again["signing_keys"][0]["template"]["new"] == 1
    assert again["future"] == {"a": [1, {}]}


def test_tiers_make_flat_storage_limits_void():
    signer = KeyPair.generate(KeyKind.OPERATOR)
    data = {"type": "account", "limits": {"subs": -1, "disk_storage": 5, "tiered_limits": {"R1": {"streams": 1}}}}
    text = encode(GenericClaims(subject=KeyPair.generate(KeyKind.ACCOUNT).public, data=data), signer)
    limits = decode_as(AccountClaims, text).limits
    assert limits.disk_storage == 0
    assert limits.tiered["R1"].streams == 1


def test_fresh_claims_are_those_of_the_tools():
    assert AccountClaims(limits=AccountLimits.fresh()).body() == {
        "limits": {
            "subs": -1,
            "data": -1,
            "payload": -1,
            "imports": -1,
            "exports": -1,
            "wildcards": True,
            "conn": -1,
            "leaf": -1,
        },
        "default_permissions": {"pub": {}, "sub": {}},
        "authorization": {},
        "type": "account",
        "version": 2,
    }
    assert list(UserClaims(grant=UserGrant.fresh()).body()) == [
        "pub",
        "sub",
        "subs",
        "data",
        "payload",
        "type",
        "version",
    ]
    assert UserClaims().grant.is_empty
    assert not UserGrant.fresh().is_empty


def test_signing_needs_the_right_kinds_of_keys():
    operator, account, user = (KeyPair.generate(kind) for kind in (KeyKind.OPERATOR, KeyKind.ACCOUNT, KeyKind.USER))
    with pytest.raises(TokenError, match="subject is not set"):
        encode(UserClaims(), account)
    with pytest.raises(TokenError, match="expected subject to be user public key"):
        encode(UserClaims(subject=account.public), account)
    with pytest.raises(TokenError, match="expected subject to be account public key"):
        encode(AccountClaims(subject="A"), operator)
    with pytest.raises(TokenError, match=r"unable to validate expected prefixes - \[account\]"):
        encode(UserClaims(subject=user.public), operator)
    with pytest.raises(TokenError, match="not account claim"):
        decode_as(AccountClaims, encode(UserClaims(subject=user.public), account))


def test_go_escapes_and_order():
    signer = KeyPair.generate(KeyKind.OPERATOR)
    claims = OperatorClaims(subject=signer.public, name="a<b>&\u2028\u2029é\x7f", tags=("x",))
    text = payload(encode(claims, signer, issued_at=5))
    assert '"name":"a\\u003cb\\u003e\\u0026\\u2028\\u2029é\x7f"' in text
    assert text.startswith('{"jti":"')
    assert text.endswith('"nats":{"tags":["x"],"type":"operator","version":2}}')
    with pytest.raises(ClaimsError, match="cannot be written as JSON"):
        encode(structs.replace(claims, name="\ud800"), signer)


def test_exports_imports_and_keys_are_sorted():
    signer = KeyPair.generate(KeyKind.OPERATOR)
    one, two = sorted(KeyPair.generate(KeyKind.ACCOUNT).public for _ in range(2))
    claims = AccountClaims(
        subject=one,
        exports=(Export(subject="b", type="stream"), Export(subject="a", type="service")),
        signing_keys=(UserScope(key=two), one),
    )
    nats = json.loads(payload(encode(claims, signer)))["nats"]
    assert [entry["subject"] for entry in nats["exports"]] == ["a", "b"]
    assert nats["signing_keys"][0] == one
    assert nats["signing_keys"][1]["kind"] == "user_scope"


def test_sampling_by_headers_has_its_own_spelling():
    assert ServiceLatency(sampling="Headers", results="r").members() == {"sampling": "headers", "results": "r"}
    assert ServiceLatency(sampling="headers").sampling == 0


def test_scope_of_a_key():
    key, other = (KeyPair.generate(KeyKind.ACCOUNT).public for _ in range(2))
    claims = AccountClaims(signing_keys=(UserScope(key=key, role="r"), other))
    assert claims.scope(key).role == "r"
    assert claims.scope(other) is None
    assert claims.has_signing_key(other)
    assert not claims.has_signing_key(claims.subject)


def test_revocation_counts_at_the_same_second():
    claims = AccountClaims(revocations={"U1": 10, "*": 5})
    assert claims.is_revoked("U1", 10)
    assert not claims.is_revoked("U1", 11)
    assert claims.is_revoked("U2", 5)
    assert not claims.is_revoked("U2", 6)
    assert not AccountClaims().is_revoked("U1", 0)


def test_tags_are_cleaned():
    assert clean_tags([" A:b ", "a:B", "", "c"]) == ("a:b", "c")


def test_too_large_and_deeply_nested_tokens_are_refused():
    with pytest.raises(TokenError, match="token too large"):
        decode("a" * (1024 * 1024 + 1))
    deep = base64.urlsafe_b64encode(b"[" * 200_000).rstrip(b"=").decode()
    header = token("user_default").split(".")[0]
    with pytest.raises(TokenError):
        decode(f"{header}.{deep}.AAAA")
    signer = KeyPair.generate(KeyKind.OPERATOR)
    nested: object = 1
    for _ in range(100):
        nested = {"a": nested}
    text = encode(GenericClaims(subject=signer.public, data={"n": nested}), signer)
    assert decode_generic(text).data == {"n": nested}


def test_pyjwt_knows_the_algorithm():
    text = token("user_default")
    known = facts("user_default")
    options = {"verify_iat": False}
    read = pyjwt.decode(text, known["signer_public"], algorithms=["ed25519-nkey"], options=options)
    assert read == known["claims"]
    with pytest.raises(pyjwt.InvalidSignatureError):
        pyjwt.decode(text[:-4] + "AAAA", known["signer_public"], algorithms=["ed25519-nkey"])


def test_signatures_of_clients_in_both_spellings():
    signature = bytes(range(190, 254))
    assert decode_signature(encode_signature(signature)) == signature
    assert decode_signature(base64.b64encode(signature).decode()) == signature
    for bad in ("*", "A", "a" * 5, "====", "ü"):
        with pytest.raises(TokenError):
            decode_signature(bad)
