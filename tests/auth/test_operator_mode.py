"""Operator mode: each check of spec auth section 10.3 with the reason that it gives."""

import base64
import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from msgspec import structs

from gossamer.auth.authenticator import Authenticator
from gossamer.auth.claims import (
    AccountClaims,
    AccountLimits,
    ActivationClaims,
    DefaultPermissions,
    Export,
    ExternalAuthorization,
    ResponseGrant,
    SubjectList,
    TimeRange,
    UserClaims,
    UserGrant,
    UserScope,
)
from gossamer.auth.credentials import parse_credentials
from gossamer.auth.decisions import Admission, Attempt, ConnectOptions, Method, Refusal
from gossamer.auth.jwt import TokenError, decode_as, encode, encode_signature
from gossamer.auth.keys import KeyKind, KeyPair
from gossamer.auth.permissions import Permissions, ResponsePermissions, SubjectPermissions
from gossamer.auth.reasons import ReasonCode
from gossamer.auth.resolver import MemoryResolver, ResolverError
from gossamer.auth.settings import AuthSettings, ResolverSettings

VECTORS = Path(__file__).parent / "vectors"
NOW = 1_800_000_000
NONCE = b"C4EkQaPU8VTa0tA"


def refused(decision, code, error="Authorization Violation"):
    assert isinstance(decision, Refusal), decision
    assert decision.reason.code == code, decision.reason
    assert decision.error == error
    assert decision.reason.text
    return decision.reason


def test_a_whole_chain_comes_in(chain):
    grant = {"publish": SubjectList(allow=("a.>",)), "subscriptions": 10, "payload": 2000}
    token = chain.user_jwt(grant=grant, tags=("t:1",), expires=NOW + 60)
    limits = structs.replace(AccountLimits.fresh(), subscriptions=5, connections=3, payload=2**40)
    node = chain.authenticator(account=chain.account_jwt(limits=limits, expires=NOW + 90))
    admission = node.decide(chain.attempt(token), NOW)
    assert isinstance(admission, Admission), admission
    assert admission.account == chain.account.public
    assert admission.account_name == "tenant"
    assert admission.user == chain.user.public
    assert admission.user_name == "alice"
    assert admission.method is Method.JWT
    assert admission.permissions == Permissions(publish=SubjectPermissions(allow=("a.>",)))
    assert admission.permissions_place == (
        f'user JWT of "alice" ({chain.user.public}), signed by {chain.signing.public}'
    )
    assert not admission.default_permissions
    assert (admission.max_subscriptions, admission.max_payload) == (5, 2000)
    assert admission.account_limits.max_connections == 3
    assert admission.account_limits.max_payload == 2**31 - 1
    assert (admission.expires_at, admission.account_expires_at) == (NOW + 60, NOW + 90)
    assert admission.tags == ("t:1",)
    assert admission.issuer == chain.signing.public
    assert admission.claims.subject == chain.user.public
    assert admission.account_claims.name == "tenant"


def test_what_a_node_says_of_itself(chain):
    node = chain.authenticator()
    assert node.required
    assert node.announced
    assert node.offers_nonce
    assert node.no_auth_admission is None
    assert not node.slow(chain.attempt(chain.user_jwt()))
    assert node.system_account == ""


@pytest.mark.parametrize("signer", ["account", "signing"])
def test_identity_and_signing_keys_sign_users(chain, signer):
    token = chain.user_jwt(signer=getattr(chain, signer))
    assert isinstance(chain.authenticator().decide(chain.attempt(token), NOW), Admission)


def test_trusted_keys_without_an_operator_jwt(chain):
    chain.resolver.store(chain.account.public, chain.account_jwt(signer=chain.operator))
    settings = AuthSettings(trusted_keys=(chain.operator.public,), resolver=ResolverSettings(kind="memory"))
    node = Authenticator(settings, chain.resolver)
    assert isinstance(node.decide(chain.attempt(chain.user_jwt()), NOW), Admission)


def test_jwt_missing_or_malformed(chain):
    node = chain.authenticator()
    refused(node.decide(chain.attempt(""), NOW), ReasonCode.JWT_MISSING)
    reason = refused(node.decide(chain.attempt("a.b"), NOW), ReasonCode.JWT_MALFORMED)
    assert "expected 3 chunks" in reason.text
    refused(node.decide(chain.attempt(chain.account_jwt()), NOW), ReasonCode.JWT_MALFORMED)


def test_times_of_the_user(chain):
    node = chain.authenticator()
    reason = refused(node.decide(chain.attempt(chain.user_jwt(expires=NOW - 1)), NOW), ReasonCode.JWT_EXPIRED)
    assert reason.rule == f"exp {NOW - 1}"
    assert reason.signer == chain.signing.public
    assert chain.user.public in reason.place
    refused(node.decide(chain.attempt(chain.user_jwt(not_before=NOW + 1)), NOW), ReasonCode.JWT_NOT_YET_VALID)
    assert isinstance(node.decide(chain.attempt(chain.user_jwt(expires=NOW)), NOW), Admission)


def test_a_user_claim_that_makes_no_sense(chain):
    token = chain.user_jwt(grant={"source_networks": ("nope",)}, expires=1)
    reason = refused(chain.authenticator().decide(chain.attempt(token), NOW), ReasonCode.JWT_INVALID)
    assert "invalid cidr" in reason.text


def test_pinned_accounts(chain):
    other = KeyPair.generate(KeyKind.ACCOUNT).public
    node = chain.authenticator(resolver_pinned_accounts=(other,))
    refused(node.decide(chain.attempt(chain.user_jwt()), NOW), ReasonCode.ACCOUNT_NOT_PINNED)
    node = chain.authenticator(resolver_pinned_accounts=(other, chain.account.public))
    assert isinstance(node.decide(chain.attempt(chain.user_jwt()), NOW), Admission)
    node = chain.authenticator(resolver_pinned_accounts=(other,), system_account=chain.account.public)
    assert node.system_account == chain.account.public
    assert isinstance(node.decide(chain.attempt(chain.user_jwt()), NOW), Admission)


def test_unknown_accounts_and_signing_keys_without_issuer_account(chain):
    node = chain.authenticator()
    stranger = KeyPair.generate(KeyKind.ACCOUNT)
    token = chain.user_jwt(signer=stranger, issuer_account="")
    reason = refused(node.decide(chain.attempt(token), NOW), ReasonCode.ACCOUNT_UNKNOWN)
    assert "needs issuer_account" in reason.text
    token = chain.user_jwt(issuer_account="")
    refused(node.decide(chain.attempt(token), NOW), ReasonCode.ACCOUNT_UNKNOWN)
    token = chain.user_jwt(signer=stranger, issuer_account=stranger.public)
    refused(node.decide(chain.attempt(token), NOW), ReasonCode.ACCOUNT_UNKNOWN)


def test_accounts_that_cannot_be_had(chain):
    class Broken(MemoryResolver):
        def account_jwt(self, key):
            raise ResolverError(f"account file {key}.jwt: no; make it readable")

    class Damaged(MemoryResolver):
        def account_jwt(self, key):
            return "a.b.c"

    settings = chain.authenticator().settings
    attempt = chain.attempt(chain.user_jwt())
    reason = refused(Authenticator(settings, Broken()).decide(attempt, NOW), ReasonCode.ACCOUNT_UNAVAILABLE)
    assert "make it readable" in reason.text
    reason = refused(Authenticator(settings, Damaged()).decide(attempt, NOW), ReasonCode.ACCOUNT_INVALID)
    assert reason.place == f"resolver_preload of {chain.account.public}"
    refused(Authenticator(settings).decide(attempt, NOW), ReasonCode.ACCOUNT_UNKNOWN)


def test_accounts_of_strangers(chain):
    attempt = chain.attempt(chain.user_jwt())
    for signer in (chain.account, KeyPair.generate(KeyKind.OPERATOR)):
        node = chain.authenticator(account=chain.account_jwt(signer=signer))
        reason = refused(node.decide(attempt, NOW), ReasonCode.ACCOUNT_NOT_TRUSTED)
        assert reason.signer == signer.public


def test_issuers_that_the_account_does_not_know(chain):
    stranger = KeyPair.generate(KeyKind.ACCOUNT)
    node = chain.authenticator()
    reason = refused(node.decide(chain.attempt(chain.user_jwt(signer=stranger)), NOW), ReasonCode.ISSUER_UNKNOWN)
    assert reason.rule == "signing_keys"
    assert reason.signer == stranger.public


def test_strict_operators(chain):
    strict = chain.operator_jwt(strict_signing_key_usage=True)
    node = chain.authenticator(operator=strict)
    token = chain.user_jwt(signer=chain.account)
    reason = refused(node.decide(chain.attempt(token), NOW), ReasonCode.ISSUER_NOT_A_SIGNING_KEY)
    assert reason.rule == "strict_signing_key_usage"
    assert isinstance(node.decide(chain.attempt(chain.user_jwt()), NOW), Admission)
    node = chain.authenticator(operator=strict, account=chain.account_jwt(signer=chain.operator))
    refused(node.decide(chain.attempt(chain.user_jwt()), NOW), ReasonCode.ACCOUNT_NOT_TRUSTED)


def test_accounts_that_are_not_valid(chain):
    attempt = chain.attempt(chain.user_jwt())
    node = chain.authenticator(account=chain.account_jwt(exports=(Export(subject="a b", type="stream"),)))
    reason = refused(node.decide(attempt, NOW), ReasonCode.ACCOUNT_INVALID)
    assert "cannot have spaces" in reason.text
    node = chain.authenticator(account=chain.account_jwt(expires=NOW - 1))
    assert refused(node.decide(attempt, NOW), ReasonCode.ACCOUNT_EXPIRED).rule == f"exp {NOW - 1}"
    node = chain.authenticator(account=chain.account_jwt(not_before=NOW + 1))
    refused(node.decide(attempt, NOW), ReasonCode.ACCOUNT_INVALID)
    # A renewed JWT is believed at once.
    chain.resolver.store(chain.account.public, chain.account_jwt())
    assert isinstance(node.decide(attempt, NOW), Admission)


def test_bearers(chain):
    token = chain.user_jwt(grant={"bearer_token": True})
    attempt = chain.attempt(token, connect={"sig": ""}, nonce=b"")
    assert isinstance(chain.authenticator().decide(attempt, NOW), Admission)
    limits = structs.replace(AccountLimits.fresh(), disallow_bearer=True)
    node = chain.authenticator(account=chain.account_jwt(limits=limits))
    assert refused(node.decide(attempt, NOW), ReasonCode.BEARER_DISALLOWED).rule == "limits.disallow_bearer"


def test_signatures(chain):
    node, token = chain.authenticator(), chain.user_jwt()
    refused(node.decide(chain.attempt(token, connect={"sig": ""}), NOW), ReasonCode.SIGNATURE_MISSING)
    refused(node.decide(chain.attempt(token, nonce=b""), NOW), ReasonCode.SIGNATURE_MISSING)
    refused(node.decide(chain.attempt(token, nonce=b"other"), NOW), ReasonCode.SIGNATURE_WRONG)
    refused(node.decide(chain.attempt(token, connect={"sig": "*"}), NOW), ReasonCode.SIGNATURE_WRONG)
    standard = base64.b64encode(chain.user.sign(NONCE)).decode()
    assert isinstance(node.decide(chain.attempt(token, connect={"sig": standard}), NOW), Admission)


def test_connection_types(chain):
    node = chain.authenticator()
    token = chain.user_jwt(grant={"allowed_connection_types": ("websocket", "FUTURE")})
    refused(node.decide(chain.attempt(token), NOW), ReasonCode.CONNECTION_TYPE)
    assert isinstance(node.decide(chain.attempt(token, connection_type="WEBSOCKET"), NOW), Admission)
    token = chain.user_jwt(grant={"allowed_connection_types": ("FUTURE",)})
    refused(node.decide(chain.attempt(token), NOW), ReasonCode.CONNECTION_TYPE)
    refused(node.decide(chain.attempt(token, connection_type="FUTURE"), NOW), ReasonCode.CONNECTION_TYPE)


@pytest.mark.parametrize("who", ["user", "*"])
def test_revocations(chain, who):
    key = chain.user.public if who == "user" else "*"
    node = chain.authenticator(account=chain.account_jwt(revocations={key: NOW}))
    reason = refused(node.decide(chain.attempt(chain.user_jwt()), NOW), ReasonCode.REVOKED)
    assert reason.rule == "revocations"
    assert reason.signer == chain.operator_signing.public
    assert isinstance(node.decide(chain.attempt(chain.user_jwt(issued_at=NOW + 1)), NOW), Admission)


def test_source_networks(chain):
    node = chain.authenticator()
    token = chain.user_jwt(grant={"source_networks": ("10.0.0.0/8", "192.0.2.0/29")})
    assert isinstance(node.decide(chain.attempt(token), NOW), Admission)
    for host in ("192.0.2.8", "2001:db8::1", "somewhere", ""):
        reason = refused(node.decide(chain.attempt(token, client_host=host), NOW), ReasonCode.SOURCE_NETWORK)
        assert reason.rule == "src 10.0.0.0/8, 192.0.2.0/29"


def test_hours(chain):
    node = chain.authenticator()
    start = datetime.fromtimestamp(NOW, UTC)

    def hours(first, last):
        return TimeRange(
            start=f"{start + timedelta(hours=first):%H:%M:%S}", end=f"{start + timedelta(hours=last):%H:%M:%S}"
        )

    token = chain.user_jwt(grant={"times": (hours(-2, -1), hours(-1, 1), hours(-1, 2))})
    admission = node.decide(chain.attempt(token), NOW, UTC)
    assert admission.expires_at == NOW + 2 * 3600
    elsewhere = timezone(timedelta(hours=5))
    reason = refused(node.decide(chain.attempt(token), NOW, elsewhere), ReasonCode.OUTSIDE_TIMES)
    assert reason.rule.startswith("times ")
    token = chain.user_jwt(grant={"times": (hours(-1, 1),), "times_location": "UTC"}, expires=NOW + 60)
    assert node.decide(chain.attempt(token), NOW, elsewhere).expires_at == NOW + 60
    assert isinstance(node.decide(chain.attempt(token), NOW), Admission)


def test_without_a_zone_the_hours_are_those_of_the_machine(chain):
    token = chain.user_jwt(grant={"times": (TimeRange(start="00:00:00", end="23:59:59"),)})
    noon = datetime.fromtimestamp(NOW).replace(hour=12, minute=0, second=0).timestamp()
    assert isinstance(chain.authenticator().decide(chain.attempt(token), noon), Admission)


def test_default_permissions_apply_only_to_users_without_any(chain):
    defaults = DefaultPermissions(publish=SubjectList(deny=("x",)), responses=ResponseGrant(max_messages=-1))
    node = chain.authenticator(account=chain.account_jwt(default_permissions=defaults))
    admission = node.decide(chain.attempt(chain.user_jwt()), NOW)
    assert admission.default_permissions
    assert admission.permissions == Permissions(
        publish=SubjectPermissions(deny=("x",)), responses=ResponsePermissions(max_messages=-1)
    )
    assert admission.permissions_place.startswith("default_permissions of account")
    admission = node.decide(chain.attempt(chain.user_jwt(grant={"subscribe": SubjectList(allow=("a",))})), NOW)
    assert admission.permissions.publish.deny == ()
    assert not admission.default_permissions


def test_scoped_users(chain):
    template = structs.replace(
        UserGrant.fresh(), publish=SubjectList(allow=("p.{{name()}}",)), payload=100, subscriptions=7
    )
    scope = UserScope(key=chain.signing.public, role="svc", template=template)
    defaults = DefaultPermissions(publish=SubjectList(deny=("x",)))
    account = chain.account_jwt(signing_keys=(scope,), default_permissions=defaults)
    node = chain.authenticator(account=account)
    token = chain.user_jwt(grant=UserGrant())
    admission = node.decide(chain.attempt(token), NOW)
    assert admission.permissions.publish == SubjectPermissions(allow=("p.alice",))
    assert (admission.max_payload, admission.max_subscriptions) == (100, 7)
    assert 'template of role "svc"' in admission.permissions_place
    reason = refused(node.decide(chain.attempt(chain.user_jwt()), NOW), ReasonCode.SCOPE)
    assert reason.rule == 'role "svc"'
    # A scope without permissions gives no permissions, not the account's defaults.
    scope = structs.replace(scope, template=UserGrant.fresh())
    node = chain.authenticator(account=chain.account_jwt(signing_keys=(scope,), default_permissions=defaults))
    assert node.decide(chain.attempt(token), NOW).permissions is None
    scope = structs.replace(scope, template=structs.replace(UserGrant.fresh(), proxy_required=True))
    node = chain.authenticator(account=chain.account_jwt(signing_keys=(scope,)))
    decision = node.decide(chain.attempt(token), NOW)
    refused(decision, ReasonCode.PROXY_REQUIRED)
    assert decision.close_reason == "PROXY_REQUIRED"


def test_deny_entries_that_would_protect_nothing(chain):
    node = chain.authenticator()
    token = chain.user_jwt(grant={"publish": SubjectList(deny=("a.>.b",))})
    reason = refused(node.decide(chain.attempt(token), NOW), ReasonCode.PERMISSIONS_UNSOUND)
    assert reason.rule == 'deny "a.>.b"'
    token = chain.user_jwt(grant={"publish": SubjectList(allow=("a.>.b",))})
    assert node.decide(chain.attempt(token), NOW).permissions.publish.allow == ()


def test_proxies(chain):
    proxy = KeyPair.generate(KeyKind.SERVER)
    node = chain.authenticator(trusted_proxies=(proxy.public,))
    token = chain.user_jwt(grant={"proxy_required": True})
    decision = node.decide(chain.attempt(token), NOW)
    refused(decision, ReasonCode.PROXY_REQUIRED)
    assert decision.close_reason == "PROXY_REQUIRED"
    signed = {"proxy_sig": encode_signature(proxy.sign(NONCE))}
    assert node.decide(chain.attempt(token, connect=signed), NOW).proxy == proxy.public
    assert node.decide(chain.attempt(chain.user_jwt(), connect=signed), NOW).proxy == proxy.public
    for bad in (encode_signature(chain.user.sign(NONCE)), base64.b64encode(proxy.sign(NONCE)).decode(), "?"):
        decision = node.decide(chain.attempt(token, connect={"proxy_sig": bad}), NOW)
        refused(decision, ReasonCode.PROXY_NOT_TRUSTED)
        assert decision.close_reason == "PROXY_NOT_TRUSTED"


def test_the_default_sentinel(chain):
    sentinel = chain.user_jwt(grant={"bearer_token": True}, name="sentinel")
    node = chain.authenticator(default_sentinel=sentinel)
    for token in ("", "broken"):
        admission = node.decide(Attempt(connect=ConnectOptions(jwt=token)), NOW)
        assert admission.user_name == "sentinel"
    assert node.decide(chain.attempt(chain.user_jwt()), NOW).user_name == "alice"
    node = chain.authenticator(default_sentinel="broken")
    refused(node.decide(chain.attempt("worse"), NOW), ReasonCode.JWT_MALFORMED)


def test_accounts_that_leave_it_to_a_callout(chain):
    callout = ExternalAuthorization(auth_users=(KeyPair.generate(KeyKind.USER).public,))
    node = chain.authenticator(account=chain.account_jwt(authorization=callout))
    reason = refused(node.decide(chain.attempt(chain.user_jwt()), NOW), ReasonCode.CALLOUT_UNAVAILABLE)
    assert "only a running node can ask" in reason.text
    callout = ExternalAuthorization(auth_users=(chain.user.public,))
    node = chain.authenticator(account=chain.account_jwt(authorization=callout))
    assert isinstance(node.decide(chain.attempt(chain.user_jwt()), NOW), Admission)


def test_an_account_may_not_be_chosen(chain):
    node = chain.authenticator()
    for choice in ({"account": "x"}, {"new_account": True}):
        refused(node.decide(chain.attempt(chain.user_jwt(), connect=choice), NOW), ReasonCode.ACCOUNT_NAMED)


def test_the_account_of_a_user_can_be_asked_for(chain):
    node = chain.authenticator()
    user = decode_as(UserClaims, chain.user_jwt())
    assert node.account_claims(user, NOW).name == "tenant"
    stranger = decode_as(UserClaims, chain.user_jwt(signer=KeyPair.generate(KeyKind.ACCOUNT)))
    refused(node.account_claims(stranger, NOW), ReasonCode.ISSUER_UNKNOWN)
    with pytest.raises(ValueError, match="without an operator"):
        Authenticator(AuthSettings()).account_claims(user, NOW)


def test_an_operator_that_cannot_be_read(chain):
    with pytest.raises(TokenError, match="error parsing operator JWT: expected 3 chunks"):
        Authenticator(AuthSettings(operators=("eyJabc",)))
    activation = encode(ActivationClaims(subject=chain.account.public), chain.account)
    with pytest.raises(TokenError, match="not operator claim"):
        Authenticator(AuthSettings(operators=(activation,)))


def recorded(name):
    return (VECTORS / "jwt" / f"{name}.jwt").read_text().strip()


def seed_of_user():
    return json.loads((VECTORS / "creds" / "expected.json").read_text())["seed"]


#: spec auth vectors, live_checks.json: what nats-server said to the recorded tokens.
LIVE = [
    ("operator_full", "account_default", "user_default", None),
    ("operator_full", "account_default", "user_full", None),
    ("operator_full", "account_default", "user_bearer", None),
    ("operator_full", "account_default", "v1_user", None),
    ("operator_full", "account_default", "user_every_field", ReasonCode.PROXY_REQUIRED),
    ("operator_full", "account_scoped_key", "user_scoped", None),
    ("operator_full", "account_scoped_key", "user_default", None),
    ("operator_strict", "account_default", "user_default", ReasonCode.ISSUER_NOT_A_SIGNING_KEY),
    ("operator_strict", "account_default", "user_full", None),
    ("operator_full", "account_self_signed", "user_default", ReasonCode.ACCOUNT_NOT_TRUSTED),
    ("operator_full", "v1_account", "user_default", None),
]


@pytest.mark.parametrize(("operator", "account", "user", "code"), LIVE)
def test_decisions_of_a_real_server(operator, account, user, code):
    token = recorded(account)
    resolver = MemoryResolver()
    resolver.store("ABOTG6HCMLXQK4C2XBAP56BLL7RHBMVYRBOALQEH7KYB7VFVDKLPOSAB", token)
    node = Authenticator(AuthSettings(operators=(recorded(operator),)), resolver)
    signature = encode_signature(KeyPair.from_seed(seed_of_user()).sign(NONCE))
    connect = ConnectOptions(jwt=recorded(user), sig="" if user == "user_bearer" else signature)
    decision = node.decide(Attempt(connect=connect, nonce=NONCE, client_host="127.0.0.1"), 1_795_450_000, UTC)
    if code is None:
        assert isinstance(decision, Admission), decision
    else:
        refused(decision, code)
    if user == "user_default" and code is None:
        unsigned = Attempt(connect=ConnectOptions(jwt=recorded(user)), nonce=NONCE)
        refused(node.decide(unsigned, 1_795_450_000), ReasonCode.SIGNATURE_MISSING)


@pytest.mark.parametrize("name", ["carl", "sys", "alice", "leaked", "svc1"])
def test_a_store_of_nsc(name):
    store = VECTORS / "nsc-store"
    accounts = [path.read_text().strip() for path in (store / "stores" / "ACME" / "accounts").glob("*/*.jwt")]
    operator = (store / "stores" / "ACME" / "ACME.jwt").read_text().strip()
    creds = next((store / "keys" / "creds").rglob(f"{name}.creds")).read_text()
    resolver = MemoryResolver((decode_as(AccountClaims, token).subject, token) for token in accounts)
    node = Authenticator(AuthSettings(operators=(operator,)), resolver)
    credentials = parse_credentials(creds)
    connect = ConnectOptions(jwt=credentials.jwt, sig=encode_signature(credentials.key.sign(NONCE)))
    decision = node.decide(Attempt(connect=connect, nonce=NONCE), NOW)
    if name == "leaked":
        refused(decision, ReasonCode.REVOKED)
        return
    assert decision.user_name == name
    if name == "svc1":
        assert decision.permissions.publish.allow == ("p.svc1.>",)
