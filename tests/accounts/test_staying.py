"""Who is in when its account changes is treated as if it came now (spec auth 24.1): the authenticator is the oracle."""

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from gossamer.auth.authenticator import Authenticator
from gossamer.auth.claims import (
    AccountClaims,
    AccountLimits,
    DefaultPermissions,
    OperatorClaims,
    SubjectList,
    UserClaims,
    UserGrant,
    UserScope,
)
from gossamer.auth.decisions import Admission, Attempt, ConnectOptions, Refusal
from gossamer.auth.jwt import encode, encode_signature
from gossamer.auth.keys import KeyKind, KeyPair
from gossamer.auth.resolver import MemoryResolver
from gossamer.auth.settings import AuthSettings, ResolverSettings
from gossamer.auth.staying import Departure, deleted, staying

NOW, NONCE = 1_700_000_000, b"C4EkQaPU8VTa0tA"
OPERATOR = KeyPair.generate(KeyKind.OPERATOR)
ACCOUNT, FIRST, SECOND, SCOPED = (KeyPair.generate(KeyKind.ACCOUNT) for _ in range(4))
USER = KeyPair.generate(KeyKind.USER)
SETTINGS = AuthSettings(
    operators=(encode(OperatorClaims(subject=OPERATOR.public), OPERATOR, issued_at=1),),
    resolver=ResolverSettings(kind="memory"),
)
ROLES = [
    UserScope(key=SCOPED.public, role="r", template=structs.replace(UserGrant.fresh(), **fields))
    for fields in ({}, {"payload": 5}, {"publish": SubjectList(allow=("a.>",))}, {"bearer_token": True})
]

limits = st.builds(
    lambda **changes: structs.replace(AccountLimits.fresh(), **changes),
    subscriptions=st.sampled_from([-1, 0, 5]),
    payload=st.sampled_from([-1, 3, 100]),
    connections=st.sampled_from([-1, 0, 2]),
    disallow_bearer=st.booleans(),
)
subjects = st.lists(st.sampled_from(["a", "b.>", "*", "c.*.d"]), max_size=2).map(tuple)
lists = st.builds(SubjectList, allow=subjects, deny=subjects)
accounts = st.builds(
    lambda **claims: AccountClaims(subject=ACCOUNT.public, **claims),
    name=st.sampled_from(["one", "two"]),
    limits=limits,
    expires=st.sampled_from([0, 0, NOW - 1, NOW + 50]),
    not_before=st.sampled_from([0, 0, NOW, NOW + 1]),
    signing_keys=st.tuples(st.sampled_from([None, FIRST.public]), st.sampled_from([None, *ROLES])).map(
        lambda keys: tuple(key for key in keys if key is not None)
    ),
    revocations=st.dictionaries(st.sampled_from([USER.public, "*"]), st.sampled_from([NOW - 60, NOW - 50, NOW - 40])),
    default_permissions=st.builds(DefaultPermissions, publish=lists, subscribe=lists),
)
grants = st.builds(
    lambda **changes: structs.replace(UserGrant.fresh(), **changes),
    bearer_token=st.booleans(),
    payload=st.sampled_from([-1, 50]),
    subscriptions=st.sampled_from([-1, 2]),
    publish=st.sampled_from([SubjectList(), SubjectList(), SubjectList(allow=("x",))]),
)


def attempt_of(signer, grant):
    claims = UserClaims(
        subject=USER.public,
        name="alice",
        issuer_account="" if signer is ACCOUNT else ACCOUNT.public,
        grant=UserGrant() if signer is SCOPED else grant,
        expires=NOW + 100,
    )
    token = encode(claims, signer, issued_at=NOW - 50)
    return Attempt(
        connect=ConnectOptions(jwt=token, sig=encode_signature(USER.sign(NONCE))), nonce=NONCE, client_host="127.0.0.1"
    )


def decide(claims, attempt):
    resolver = MemoryResolver([(ACCOUNT.public, encode(claims, OPERATOR, issued_at=NOW - 100))])
    return Authenticator(SETTINGS, resolver).decide(attempt, NOW)


@settings(max_examples=60)
@given(accounts, accounts, st.sampled_from([ACCOUNT, FIRST, SECOND, SCOPED]), grants)
def test_as_if_it_came_now(before, now, signer, grant):
    attempt = attempt_of(signer, grant)
    admission = decide(before, attempt)
    if isinstance(admission, Refusal):
        return
    outcome, fresh = staying(admission, before, now, NOW, place="here"), decide(now, attempt)
    if isinstance(outcome, Departure):
        changed = before.scope(signer.public) != now.scope(signer.public)
        assert isinstance(fresh, Refusal) or changed
        assert (outcome.reason.place, outcome.reason.signer) == ("here", now.issuer)
        return
    assert isinstance(fresh, Admission)
    for name in ("permissions", "default_permissions", "max_payload", "max_subscriptions", "account_limits",
                 "account_name", "account_expires_at", "expires_at", "issuer", "bearer"):  # fmt: skip
        assert getattr(outcome, name) == getattr(fresh, name), name


@settings(max_examples=30)
@given(accounts, st.sampled_from([ACCOUNT, FIRST, SCOPED]), grants)
def test_nothing_has_changed(claims, signer, grant):
    admission = decide(claims, attempt_of(signer, grant))
    if isinstance(admission, Admission):
        outcome = staying(admission, claims, claims, NOW, place="")
        assert isinstance(outcome, Admission)
        assert structs.replace(outcome, permissions_place="") == structs.replace(admission, permissions_place="")


def test_the_words_on_the_wire():
    plain = AccountClaims(subject=ACCOUNT.public, limits=AccountLimits.fresh(), signing_keys=(FIRST.public,))
    admission = decide(plain, attempt_of(FIRST, UserGrant.fresh()))

    def wire(**changes):
        outcome = staying(admission, plain, structs.replace(plain, **changes), NOW, place="")
        return (outcome.error, outcome.close_reason)

    assert wire(expires=NOW) == ("Account Authentication Expired", "AUTHENTICATION_EXPIRED")
    assert wire(not_before=NOW + 1) == ("Authorization Violation", "AUTHENTICATION_VIOLATION")
    assert wire(revocations={"*": NOW}) == ("User Authentication Revoked", "REVOCATION")
    assert wire(signing_keys=()) == ("", "CLIENT_CLOSED")
    gone = deleted(ACCOUNT.public, "x")
    assert (gone.error, gone.close_reason) == ("Account Authentication Expired", "AUTHENTICATION_EXPIRED")
