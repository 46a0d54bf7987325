"""Claims survive writing and reading; nothing changed is ever believed; hostile input ends in our own errors."""

import json

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from msgspec import structs

from gossamer.auth.authenticator import Authenticator
from gossamer.auth.claims import (
    AccountClaims,
    AccountLimits,
    ActivationClaims,
    DefaultPermissions,
    Export,
    ExternalAuthorization,
    GenericClaims,
    Import,
    MappingTarget,
    MessageTrace,
    OperatorClaims,
    ResponseGrant,
    ServiceLatency,
    StorageLimits,
    SubjectList,
    TimeRange,
    UserClaims,
    UserGrant,
    UserScope,
)
from gossamer.auth.credentials import CredentialsError, format_credentials, parse_credentials, parse_key
from gossamer.auth.decisions import Admission, Attempt, ConnectOptions, Refusal
from gossamer.auth.jwt import ALGORITHM, TokenError, decode, decode_generic, encode, encode_signature
from gossamer.auth.keys import KeyKind, KeyPair, NkeyError, decode_public, decode_seed
from gossamer.auth.resolver import MemoryResolver
from gossamer.auth.settings import AuthSettings
from gossamer.auth.validation import validate

NOW = 1_800_000_000
NONCE = b"C4EkQaPU8VTa0tA"
OPERATOR, ACCOUNT, USER, SERVER = (
    KeyPair.generate(kind) for kind in (KeyKind.OPERATOR, KeyKind.ACCOUNT, KeyKind.USER, KeyKind.SERVER)
)
SIGNERS = {"operator": OPERATOR, "account": OPERATOR, "user": ACCOUNT, "activation": ACCOUNT}

texts = st.text(st.characters(codec="utf-8"), max_size=8)
lists = st.lists(texts, max_size=3).map(tuple)
numbers = st.integers(-(2**63), 2**63 - 1) | st.integers(-1, 3)
json_values = st.recursive(
    st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
#: Members that no claim has.
later = st.dictionaries(texts.map(lambda text: f"x-{text}"), json_values, max_size=2)
later_in_nats = later.map(lambda members: {f"nats.{name}": value for name, value in members.items()})


def built(kind, **fields):
    return st.builds(kind, unknown=later, **fields)


subject_lists = built(SubjectList, allow=lists, deny=lists)
responses = st.none() | built(ResponseGrant, max_messages=numbers, ttl_ns=numbers)
grants = built(
    UserGrant,
    publish=subject_lists,
    subscribe=subject_lists,
    responses=responses,
    source_networks=lists,
    times=st.lists(built(TimeRange, start=texts, end=texts), max_size=2).map(tuple),
    times_location=texts,
    subscriptions=numbers,
    data=numbers,
    payload=numbers,
    bearer_token=st.booleans(),
    proxy_required=st.booleans(),
    allowed_connection_types=lists,
)
#: In a user claim the grant's members stand in ``nats`` itself: what is unknown belongs to the claim.
user_grants = grants.map(lambda grant: structs.replace(grant, unknown={}))
standard = {
    "audience": texts,
    "expires": numbers,
    "name": texts,
    "not_before": numbers,
    "tags": lists,
    "unknown": st.builds(lambda outer, inner: outer | inner, later, later_in_nats),
}
types = st.sampled_from(["stream", "service"])
revocations = st.dictionaries(texts, numbers, max_size=3)
exports = built(
    Export,
    name=texts,
    subject=texts,
    type=types,
    token_required=st.booleans(),
    revocations=revocations,
    response_type=texts,
    response_threshold_ns=numbers,
    service_latency=st.none() | built(ServiceLatency, sampling=numbers, results=texts),
    account_token_position=numbers,
    advertise=st.booleans(),
    allow_trace=st.booleans(),
    description=texts,
    info_url=texts,
)
imports = built(
    Import,
    name=texts,
    subject=texts,
    account=texts,
    token=texts,
    to=texts,
    local_subject=texts,
    type=types,
    share=st.booleans(),
    allow_trace=st.booleans(),
)
flat_limits = st.builds(AccountLimits, subscriptions=numbers, wildcards=st.booleans(), disk_storage=numbers)
tiered_limits = st.builds(
    AccountLimits,
    connections=numbers,
    tiered=st.dictionaries(texts, st.builds(StorageLimits, streams=numbers), min_size=1, max_size=2),
)
accounts = st.builds(
    AccountClaims,
    subject=st.just(ACCOUNT.public),
    imports=st.lists(imports, max_size=2).map(tuple),
    exports=st.lists(exports, max_size=2).map(tuple),
    limits=flat_limits | tiered_limits,
    signing_keys=st.lists(
        texts | built(UserScope, key=texts, role=texts, template=grants, description=texts), max_size=2
    ).map(tuple),
    revocations=revocations,
    default_permissions=built(DefaultPermissions, publish=subject_lists, subscribe=subject_lists, responses=responses),
    mappings=st.dictionaries(
        texts,
        st.lists(built(MappingTarget, subject=texts, weight=numbers, cluster=texts), max_size=2).map(tuple),
        max_size=2,
    ),
    authorization=built(ExternalAuthorization, auth_users=lists, allowed_accounts=lists, xkey=texts),
    trace=st.none() | built(MessageTrace, destination=texts, sampling=numbers),
    cluster_traffic=texts,
    description=texts,
    info_url=texts,
    **standard,
)
users = st.builds(UserClaims, subject=st.just(USER.public), grant=user_grants, issuer_account=texts, **standard)
operators = st.builds(
    OperatorClaims,
    subject=st.just(OPERATOR.public),
    signing_keys=lists,
    account_server_url=texts,
    operator_service_urls=lists,
    system_account=texts,
    assert_server_version=texts,
    strict_signing_key_usage=st.booleans(),
    **standard,
)
activations = st.builds(
    ActivationClaims,
    subject=st.just(ACCOUNT.public),
    import_subject=texts,
    kind=texts,
    issuer_account=texts,
    **standard,
)
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@quick
@given(accounts | users | operators | activations)
def test_claims_survive_writing_and_reading(claims):
    token = encode(claims, SIGNERS[claims.TYPE], issued_at=NOW)
    read = decode(token)
    expected = claims.sorted_for_signing() if isinstance(claims, AccountClaims) else claims
    assert structs.replace(read, id="", issuer="", issued_at=0) == expected
    assert encode(read, SIGNERS[claims.TYPE], issued_at=NOW) == token
    assert read.id == read.computed_id()


@quick
@given(accounts | users | operators | activations)
def test_judging_claims_never_fails(claims):
    for issue in validate(claims, NOW):
        assert issue.description


@st.composite
def changed(draw, text):
    """The text with one piece replaced, removed, doubled or moved."""
    start = draw(st.integers(0, len(text)))
    end = draw(st.integers(start, min(len(text), start + 20)))
    letters = st.sampled_from("ABCXYZabcxyz0189-_.=+/ \n\r") | st.characters()
    piece = draw(st.text(letters, max_size=3) | st.just(text[start:end] * 2) | st.just(text[end : end + 5]))
    return text[:start] + piece + text[end:]


USER_TOKEN = encode(UserClaims(subject=USER.public, name="alice", grant=UserGrant.fresh()), ACCOUNT, issued_at=NOW - 10)
CREDENTIALS = format_credentials(USER_TOKEN, USER.seed)


@settings(max_examples=400, deadline=None)
@given(changed(USER_TOKEN))
@example(USER_TOKEN + "A")
@example(USER_TOKEN[:-1])
@example(USER_TOKEN + "\n")
@example(USER_TOKEN.replace(".", ".."))
def test_a_changed_token_is_never_believed(text):
    assume(text != USER_TOKEN)
    for read in (decode, decode_generic):
        with pytest.raises(TokenError):
            read(text)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_no_single_letter_of_a_token_may_change(place):
    """Every place, spare bits included: one token has one text."""
    chunks = USER_TOKEN.split(".")
    for letter in range(0, len(chunks[place]), 1 if place == 2 else 7):
        for other in "AQgw_":
            if chunks[place][letter] != other:
                text = chunks[place][:letter] + other + chunks[place][letter + 1 :]
                with pytest.raises(TokenError):
                    decode(".".join([*chunks[:place], text, *chunks[place + 1 :]]))


@settings(max_examples=300, deadline=None)
@given(changed(CREDENTIALS))
def test_changed_credentials_are_the_same_or_none(text):
    try:
        read = parse_credentials(text)
    except CredentialsError:
        return
    assert (read.jwt, read.seed) == (USER_TOKEN, USER.seed)


@settings(max_examples=300, deadline=None)
@given(changed(USER.seed) | changed(USER.public) | st.text(max_size=70))
@example(USER.seed + "A")
@example(USER.public + "A")
def test_changed_keys_are_none(text):
    assume(text not in (USER.seed, USER.public))
    for read in (decode_public, decode_seed, KeyPair.from_seed, KeyPair.from_public):
        with pytest.raises(NkeyError):
            read(text)
    try:
        key = parse_key(text)
    except CredentialsError:
        return
    assert key.public == USER.public


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=300) | st.text("eyJ0.=-_ A", max_size=60))
def test_any_text_ends_in_our_own_errors(text):
    with pytest.raises(TokenError):
        decode(text)
    with pytest.raises(CredentialsError):
        parse_credentials(text)
    with pytest.raises(CredentialsError):
        parse_key(text)


# Payloads that are signed well and say anything at all.

NAMES = [
    "limits", "exports", "imports", "signing_keys", "revocations", "default_permissions", "mappings", "authorization",
    "trace", "tags", "version", "pub", "sub", "resp", "src", "times", "subs", "issuer_account", "kind", "subject",
    "allow", "deny", "key", "template", "type", "service_latency", "sampling", "tiered_limits", "name", "weight",
    "token", "user_nkey", "server_id", "client_info", "connect_opts", "client_tls", "jwt", "error", "data",
]  # fmt: skip
TYPES = ["operator", "account", "user", "activation", "authorization_request", "authorization_response", "other", ""]
odd_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1, 2**65)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
    | st.sampled_from(["stream", "user_scope", "headers", USER_TOKEN, ACCOUNT.public, "10.0.0.0/8", "08:00:00"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=12,
)
bodies = st.dictionaries(st.sampled_from(NAMES), odd_values, max_size=6)


def signed(payload, signer, algorithm=ALGORITHM):
    head = encode_signature(json.dumps({"typ": "JWT", "alg": algorithm}).encode())
    body = encode_signature(json.dumps(payload).encode())
    covered = body if algorithm == "ed25519" else f"{head}.{body}"
    return f"{head}.{body}.{encode_signature(signer.sign(covered.encode()))}"


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    bodies,
    st.sampled_from(TYPES),
    st.sampled_from([OPERATOR, ACCOUNT, SERVER]),
    st.sampled_from([1, 2]) | odd_values,
    st.booleans(),
    st.dictionaries(st.sampled_from(["aud", "exp", "name", "nbf", "sub", "iat", "tags", "x"]), odd_values, max_size=3),
)
def test_signed_nonsense_ends_in_our_own_errors(body, kind, signer, version, legacy, outer):
    if legacy:
        payload = {"iss": signer.public, "sub": USER.public, "type": kind, **outer, "nats": body}
    else:
        payload = {
            "iss": signer.public,
            "sub": USER.public,
            **outer,
            "nats": {**body, "type": kind, "version": version},
        }
    text = signed(payload, signer, "ed25519" if legacy else ALGORITHM)
    for read in (decode, decode_generic):
        try:
            validate(read(text), NOW)
        except TokenError:
            pass
    attempt = Attempt(connect=ConnectOptions(jwt=text, sig="x"), nonce=NONCE, client_host="192.0.2.1")
    assert isinstance(NODE.decide(attempt, NOW), Refusal)


RESOLVER = MemoryResolver()
RESOLVER.store(
    ACCOUNT.public, encode(AccountClaims(subject=ACCOUNT.public, limits=AccountLimits.fresh()), OPERATOR, issued_at=1)
)
NODE = Authenticator(AuthSettings(trusted_keys=(OPERATOR.public,)), RESOLVER)


@settings(max_examples=200, deadline=None)
@given(changed(USER_TOKEN) | st.text(max_size=20), changed(encode_signature(USER.sign(NONCE))) | st.text(max_size=90))
def test_a_node_lets_nobody_in_with_changed_papers(token, signature):
    good = encode_signature(USER.sign(NONCE))
    assert isinstance(
        NODE.decide(Attempt(connect=ConnectOptions(jwt=USER_TOKEN, sig=good), nonce=NONCE), NOW), Admission
    )
    for papers in ((token, good), (USER_TOKEN, signature), (token, signature)):
        if papers not in ((USER_TOKEN, good), (USER_TOKEN, good + "==")):
            attempt = Attempt(connect=ConnectOptions(jwt=papers[0], sig=papers[1]), nonce=NONCE)
            assert isinstance(NODE.decide(attempt, NOW), Refusal)


def test_generic_claims_keep_everything():
    data = {"b": [1, {"c": True}], "a": "x", "type": "custom", "tags": ["T"]}
    claims = GenericClaims(subject=OPERATOR.public, data=data)
    assert decode_generic(encode(claims, OPERATOR)).data == data
