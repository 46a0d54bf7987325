"""Altered papers, byte by byte and member by member, at every level of the chain: none of them is ever accepted, gains
anything, or makes anything fall over (issue: "a mutated JWT or creds file is never accepted and never crashes")."""

import base64
import copy
import json

import jwt as pyjwt
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from gossamer.auth.authenticator import Authenticator
from gossamer.auth.claims import (
    AccountClaims,
    AccountLimits,
    ActivationClaims,
    Export,
    Import,
    OperatorClaims,
    ResponseGrant,
    SubjectList,
    TimeRange,
    UserClaims,
    UserGrant,
    UserScope,
)
from gossamer.auth.credentials import (
    CredentialsError,
    format_credentials,
    load_credentials,
    parse_credentials,
    parse_key,
)
from gossamer.auth.decisions import Admission, Attempt, ConnectOptions, Refusal
from gossamer.auth.jwt import ALGORITHM, TokenError, decode, decode_generic, encode, encode_signature
from gossamer.auth.keys import KeyKind, KeyPair, NkeyError, decode_seed, encode_public, encode_seed
from gossamer.auth.settings import AuthSettings, ResolverSettings
from gossamer.auth.validation import validate
from gossamer.auth.xkeys import CurveKeyPair

NOW = 1_800_000_000
NONCE = b"C4EkQaPU8VTa0tA"


def key(kind, letter):
    """Always the same keys, so that a failing example is found again."""
    return KeyPair.from_seed(encode_seed(kind, letter.encode() * 32))


OPERATOR, OPERATOR_SIGNING, EVIL_OPERATOR = (key(KeyKind.OPERATOR, letter) for letter in "abc")
ACCOUNT, SIGNING, SCOPED, EVIL_ACCOUNT, OTHER = (key(KeyKind.ACCOUNT, letter) for letter in "defgh")
USER, SOMEBODY = (key(KeyKind.USER, letter) for letter in "ij")
TEMPLATE = UserGrant(
    publish=SubjectList(allow=("p.{{name()}}.>",)), subscribe=SubjectList(allow=("s.>",)), subscriptions=10, payload=100
)


def operator_claims():
    return OperatorClaims(subject=OPERATOR.public, name="OP", signing_keys=(OPERATOR_SIGNING.public,))


def account_claims():
    return AccountClaims(
        subject=ACCOUNT.public,
        name="team",
        limits=AccountLimits.fresh(),
        signing_keys=(SIGNING.public, UserScope(key=SCOPED.public, role="svc", template=TEMPLATE)),
        exports=(Export(name="q", subject="q.*", type="service"),),
        imports=(Import(name="i", subject="x.>", account=OTHER.public, type="stream"),),
        revocations={SOMEBODY.public: NOW},
    )


def user_claims():
    return UserClaims(
        subject=USER.public,
        name="alice",
        issuer_account=ACCOUNT.public,
        tags=("a:b",),
        expires=NOW + 1000,
        grant=UserGrant(
            publish=SubjectList(allow=("a.>",), deny=("a.b",)),
            responses=ResponseGrant(max_messages=1, ttl_ns=10),
            source_networks=("192.0.2.0/24",),
            times=(TimeRange(start="00:00:00", end="23:59:59"),),
            subscriptions=5,
            data=-1,
            payload=50,
        ),
    )


OPERATOR_TOKEN = encode(operator_claims(), OPERATOR, issued_at=NOW - 30)
ACCOUNT_TOKEN = encode(account_claims(), OPERATOR_SIGNING, issued_at=NOW - 20)
USER_TOKEN = encode(user_claims(), SIGNING, issued_at=NOW - 10)
SCOPED_TOKEN = encode(
    UserClaims(subject=USER.public, name="svc1", issuer_account=ACCOUNT.public), SCOPED, issued_at=NOW - 10
)
ACTIVATION_TOKEN = encode(
    ActivationClaims(
        subject=OTHER.public, name="x", import_subject="q.*", kind="service", issuer_account=ACCOUNT.public
    ),
    SIGNING,
    issued_at=NOW - 10,
)
TOKENS = [OPERATOR_TOKEN, ACCOUNT_TOKEN, USER_TOKEN, SCOPED_TOKEN, ACTIVATION_TOKEN]
CREDENTIALS = format_credentials(USER_TOKEN, USER.seed)
PATIENT = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])


class Held:
    """A source of accounts that was filled by somebody who checks nothing."""

    def __init__(self, token):
        self.token = token

    def account_jwt(self, key):
        return self.token if key == ACCOUNT.public else None

    def place(self, key):
        return "memory"


def node(account=ACCOUNT_TOKEN, operator=OPERATOR_TOKEN):
    said = AuthSettings(operators=(operator,), resolver=ResolverSettings(kind="memory"))
    return Authenticator(said, Held(account))


def attempt(token, pair=USER):
    signature = encode_signature(pair.sign(NONCE))
    return Attempt(connect=ConnectOptions(jwt=token, sig=signature), nonce=NONCE, client_host="192.0.2.7")


NODE = node()


def test_unaltered_papers_are_accepted():
    """Without this every test below could pass for a wrong reason."""
    for token in (USER_TOKEN, SCOPED_TOKEN):
        assert isinstance(NODE.decide(attempt(token), NOW), Admission)
    for token in TOKENS:
        decode(token)
    assert parse_credentials(CREDENTIALS).seed == USER.seed


# Bytes.


@st.composite
def altered_bytes(draw, data):
    """Some bytes flipped, put in, taken out or moved."""
    found = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(0, len(found) - 1)))
        match draw(st.sampled_from(["flip", "set", "insert", "cut", "double", "swap", "end"])):
            case "flip" if found:
                found[place] ^= 1 << draw(st.integers(0, 7))
            case "set" if found:
                found[place] = draw(st.integers(0, 255))
            case "insert":
                found[place:place] = draw(st.binary(min_size=1, max_size=5))
            case "cut":
                del found[place : place + draw(st.integers(1, 40))]
            case "double":
                found[place:place] = found[place : place + draw(st.integers(1, 40))]
            case "swap" if found:
                other = draw(st.integers(0, len(found) - 1))
                found[place], found[other] = found[other], found[place]
            case "end":
                del found[place:]
    return bytes(found)


@pytest.mark.parametrize("number", range(len(TOKENS)))
def test_no_altered_byte_of_any_token_is_believed(number):
    token = TOKENS[number]

    @PATIENT
    @given(altered_bytes(token.encode()))
    def check(data):
        assume(data != token.encode())
        text = data.decode("utf-8", "surrogateescape")
        for read in (decode, decode_generic):
            with pytest.raises(TokenError):
                read(text)
        assert isinstance(NODE.decide(attempt(text), NOW), Refusal)
        assert isinstance(node(account=text).decide(attempt(USER_TOKEN), NOW), Refusal)
        with pytest.raises(TokenError):
            node(operator=text)

    check()


@PATIENT
@given(altered_bytes(CREDENTIALS.encode()))
@example(CREDENTIALS.encode().replace(b"\n", b"\r\n"))
@example(b"\xff\xfe" + CREDENTIALS.encode())
@example(b"")
@example(CREDENTIALS.encode() * 2)
def test_altered_credentials_are_the_same_or_none(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "altered.creds"
    path.write_bytes(data)
    try:
        read = load_credentials(path)
    except CredentialsError as error:
        said = str(error)
    else:
        said = ""
        assert (read.jwt, read.seed) == (USER_TOKEN, USER.seed)
    # What was in the file may be a secret, broken or not.
    assert USER.seed not in said


@pytest.mark.parametrize("pair", [OPERATOR, ACCOUNT, USER], ids=lambda pair: pair.kind.word)
def test_an_altered_seed_is_never_the_same_key(pair):
    @PATIENT
    @given(altered_bytes(pair.seed.encode()))
    def check(data):
        assume(data != pair.seed.encode())
        text = data.decode("latin-1")
        for read in (KeyPair.from_seed, KeyPair.from_public, CurveKeyPair.from_seed):
            with pytest.raises(NkeyError):
                read(text)
        said = ""
        try:
            assert parse_key(text).public == pair.public  # blanks around it
        except CredentialsError as error:
            said = str(error)
        assert pair.seed not in said

    check()


def test_no_letter_of_a_seed_may_be_another():
    for place in range(len(USER.seed)):
        for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567abz019=+-_ \n":
            if letter != USER.seed[place]:
                with pytest.raises(NkeyError):
                    KeyPair.from_seed(USER.seed[:place] + letter + USER.seed[place + 1 :])


SEALED = CurveKeyPair(b"x" * 32).seal(b"a message", CurveKeyPair(b"y" * 32).public, nonce=b"n" * 24)


@PATIENT
@given(altered_bytes(SEALED))
@example(b"")
@example(SEALED[:28])
def test_an_altered_sealed_message_does_not_open(data):
    assume(data != SEALED)
    with pytest.raises(NkeyError):
        CurveKeyPair(b"y" * 32).open(data, CurveKeyPair(b"x" * 32).public)


# Structure.


def parts(token):
    return [json.loads(base64.urlsafe_b64decode(chunk + "=" * (-len(chunk) % 4))) for chunk in token.split(".")[:2]]


def chunk(value):
    return encode_signature(json.dumps(value, separators=(",", ":")).encode())


def put_together(header, payload, signer=None, signature=""):
    head = f"{chunk(header)}.{chunk(payload)}"
    return f"{head}.{encode_signature(signer.sign(head.encode())) if signer else signature}"


INTERESTING = [
    *(pair.public for pair in (OPERATOR, OPERATOR_SIGNING, EVIL_OPERATOR, ACCOUNT, SIGNING, SCOPED, EVIL_ACCOUNT)),
    *(USER.public, SOMEBODY.public, USER.seed, USER_TOKEN),
    *("", "*", ">", "a.>", "user", "account", "operator", "activation", "{{name()}}", "é", "\ud7ff", "0.0.0.0/0"),
    *(0, 1, -1, 2, NOW, NOW - 10, 2**31, 2**63 - 1, 2**63, -(2**63) - 1, 2**70, 0.5, 1e300),
    *(None, True, False, [], {}, [[]], [None], {"allow": [">"]}, {"max": -1, "ttl": -1}, [">"]),
]
NAMES = [
    *("iss", "sub", "iat", "exp", "nbf", "jti", "aud", "name", "nats", "type", "version", "tags"),
    *("pub", "sub", "resp", "allow", "deny", "subs", "data", "payload", "src", "times", "bearer_token"),
    *("issuer_account", "signing_keys", "limits", "revocations", "exports", "imports", "template", "kind", "key"),
    *("allowed_connection_types", "proxy_required", "default_permissions", "authorization", "strict_signing_key_usage"),
]


def places(value, above=()):
    """The path of every member and element."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in members:
        yield (*above, name)
        yield from places(inner, (*above, name))


@st.composite
def altered_structure(draw, value):
    """Some members of a JSON document set, taken away, added, renamed or put elsewhere."""
    found = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(places(found)) or [()]))
        if not path:
            break
        holder = found
        for step in path[:-1]:
            holder = holder[step]
        name, new = path[-1], copy.deepcopy(draw(st.sampled_from(INTERESTING)))
        match draw(st.sampled_from(["set", "remove", "add", "rename", "deepen", "copy"])):
            case "set":
                holder[name] = new
            case "remove":
                del holder[name]
            case "add" if isinstance(holder, dict):
                holder[draw(st.sampled_from(NAMES))] = new
            case "add":
                holder.append(new)
            case "rename" if isinstance(holder, dict):
                holder[draw(st.sampled_from(NAMES))] = holder.pop(name)
            case "deepen":
                holder[name] = [holder[name]]
            case "copy" if isinstance(holder, dict):
                found[draw(st.sampled_from(NAMES))] = copy.deepcopy(holder[name])
    return found


@pytest.mark.parametrize("number", range(len(TOKENS)))
def test_an_old_signature_covers_nothing_else(number):
    token = TOKENS[number]
    header, payload = parts(token)
    signature = token.split(".")[2]

    @PATIENT
    @given(altered_structure(payload), altered_structure(header) | st.just(header))
    def check(other, head):
        text = put_together(head, other, signature=signature)
        assume(text != token)
        for read in (decode, decode_generic):
            with pytest.raises(TokenError):
                read(text)
        assert isinstance(NODE.decide(attempt(text), NOW), Refusal)
        assert isinstance(node(account=text).decide(attempt(USER_TOKEN), NOW), Refusal)

    check()


@pytest.mark.parametrize("first", range(len(TOKENS)))
@pytest.mark.parametrize("second", range(len(TOKENS)))
def test_pieces_of_two_tokens_make_none(first, second):
    one, other = TOKENS[first].split("."), TOKENS[second].split(".")
    for mixed in ([one[0], other[1], one[2]], [one[0], one[1], other[2]], [other[0], one[1], other[2]]):
        text = ".".join(mixed)
        if text not in TOKENS:
            with pytest.raises(TokenError):
                decode(text)


HEADERS = [
    {},
    {"typ": "JWT"},
    {"typ": "JWT", "alg": "none"},
    {"typ": "JWT", "alg": "HS256"},
    {"typ": "JWT", "alg": "EdDSA"},
    {"typ": "JWT", "alg": None},
    {"typ": "JWT", "alg": [ALGORITHM]},
    {"typ": "JWE", "alg": ALGORITHM},
    {"typ": None, "alg": ALGORITHM},
    [],
    "x",
    None,
]


@pytest.mark.parametrize("number", range(len(HEADERS)))
def test_other_algorithms_are_none(number):
    """Signed by the right key, or by nobody: it is the header that is wrong."""
    payload = parts(USER_TOKEN)[1]
    for text in (put_together(HEADERS[number], payload, SIGNING), put_together(HEADERS[number], payload)):
        with pytest.raises(TokenError):
            decode(text)
        assert isinstance(NODE.decide(attempt(text), NOW), Refusal)
        with pytest.raises((pyjwt.PyJWTError, NkeyError)):
            pyjwt.decode(text, SIGNING.public, algorithms=[ALGORITHM])


STRANGERS = [EVIL_ACCOUNT, OTHER, EVIL_OPERATOR, OPERATOR, OPERATOR_SIGNING, USER, SOMEBODY]


@PATIENT
@given(
    altered_structure(parts(USER_TOKEN)[1]) | st.just(parts(USER_TOKEN)[1]), st.sampled_from(STRANGERS), st.booleans()
)
def test_what_a_stranger_signs_lets_nobody_in(payload, stranger, honest):
    """With the name of the stranger as issuer, or with that of somebody else."""
    if honest:
        payload = payload | {"iss": stranger.public}
    for pair in (USER, stranger) if stranger.kind is KeyKind.USER else (USER,):
        text = put_together(parts(USER_TOKEN)[0], payload, stranger)
        assert isinstance(NODE.decide(attempt(text, pair), NOW), Refusal)


@PATIENT
@given(altered_structure(parts(SCOPED_TOKEN)[1]))
def test_the_holder_of_a_scoped_key_gets_no_more_than_the_template(payload):
    """Whoever has a role's key may write what it wants: the template stays the limit, filled in with names and tags."""
    assume(isinstance(payload.get("sub"), str))
    text = put_together(parts(SCOPED_TOKEN)[0], payload | {"iss": SCOPED.public}, SCOPED)
    found = NODE.decide(attempt(text), NOW)
    if isinstance(found, Admission):
        assert found.account == ACCOUNT.public
        assert found.user == USER.public
        assert found.permissions is not None
        assert found.permissions.subscribe.allow == ("s.>",)
        assert found.permissions.publish.allow in (None, (f"p.{payload.get('name')}.>",)), payload
        if found.permissions.publish.allow is None:
            assert ">" in found.permissions.publish.deny
        assert (found.max_subscriptions, found.max_payload) == (10, 100)


@PATIENT
@given(altered_structure(parts(USER_TOKEN)[1]), st.sampled_from([ACCOUNT, SIGNING, SCOPED]))
def test_a_user_that_the_account_signs_is_let_in_or_not(payload, signer):
    """Any structure: a decision, never an exception; and never into another account, nor as somebody else."""
    text = put_together(parts(USER_TOKEN)[0], payload | {"iss": signer.public}, signer)
    found = NODE.decide(attempt(text), NOW)
    if isinstance(found, Admission):
        assert (found.account, found.user) == (ACCOUNT.public, USER.public)
        assert found.claims.issuer == signer.public
        assert found.expires_at == 0 or found.expires_at > NOW
    else:
        assert isinstance(found, Refusal)
        assert found.reason.text
    for read in (decode, decode_generic):
        try:
            validate(read(text), NOW)
        except TokenError:
            pass


@PATIENT
@given(
    altered_structure(parts(ACCOUNT_TOKEN)[1]),
    st.sampled_from([OPERATOR, OPERATOR_SIGNING, ACCOUNT, EVIL_OPERATOR, EVIL_ACCOUNT, USER]),
)
def test_an_altered_account_lets_in_only_what_its_operator_signed(payload, signer):
    text = put_together(parts(ACCOUNT_TOKEN)[0], payload | {"iss": signer.public}, signer)
    for token in (USER_TOKEN, SCOPED_TOKEN):
        found = node(account=text).decide(attempt(token), NOW)
        if isinstance(found, Admission):
            assert signer in (OPERATOR, OPERATOR_SIGNING)
            assert found.account_claims.subject == ACCOUNT.public
        else:
            assert isinstance(found, Refusal)


@PATIENT
@given(
    altered_structure(parts(OPERATOR_TOKEN)[1]), st.sampled_from([OPERATOR, OPERATOR_SIGNING, EVIL_OPERATOR, ACCOUNT])
)
def test_an_altered_operator_is_a_node_or_an_error(payload, signer):
    text = put_together(parts(OPERATOR_TOKEN)[0], payload | {"iss": signer.public}, signer)
    try:
        made = node(operator=text)
    except TokenError:
        return
    for token in (USER_TOKEN, SCOPED_TOKEN):
        assert isinstance(made.decide(attempt(token), NOW), Admission | Refusal)


# Seeds and credentials by their structure.


@pytest.mark.parametrize("kind", list(KeyKind), ids=lambda kind: kind.word)
def test_the_same_secret_of_another_kind_is_another_key(kind):
    raw = decode_seed(USER.seed)[1]
    seed = encode_seed(kind, raw)
    if kind is KeyKind.USER:
        assert KeyPair.from_seed(seed).public == USER.public
        return
    for text in (CREDENTIALS.replace(USER.seed, seed), f"{USER_TOKEN}\n{seed}\n"):
        with pytest.raises(CredentialsError) as error:
            parse_credentials(text)
        assert seed not in str(error.value)


@PATIENT
@given(st.binary(max_size=64), st.sampled_from(list(KeyKind)))
def test_keys_hold_32_bytes(raw, kind):
    for make in (encode_public, encode_seed):
        if len(raw) == 32:
            assert make(kind, raw)
        else:
            with pytest.raises(NkeyError):
                make(kind, raw)


@pytest.mark.parametrize("other", [SOMEBODY, ACCOUNT, OPERATOR], ids=lambda pair: pair.kind.word)
def test_credentials_with_somebody_elses_seed(other):
    for text in (CREDENTIALS.replace(USER.seed, other.seed), f"{USER_TOKEN}\n{other.seed}\n"):
        with pytest.raises(CredentialsError) as error:
            parse_credentials(text)
        assert other.seed not in str(error.value)


@pytest.mark.parametrize(
    "token", [OPERATOR_TOKEN, ACCOUNT_TOKEN, ACTIVATION_TOKEN], ids=["operator", "account", "grant"]
)
def test_credentials_with_a_token_that_is_no_users(token):
    with pytest.raises(CredentialsError):
        parse_credentials(CREDENTIALS.replace(USER_TOKEN, token))


@PATIENT
@given(st.permutations(CREDENTIALS.splitlines(keepends=True)))
def test_lines_in_another_order(lines):
    try:
        read = parse_credentials("".join(lines))
    except CredentialsError:
        return
    assert (read.jwt, read.seed) == (USER_TOKEN, USER.seed)
