"""Claims against the recorded findings of the reference (spec auth section 5)."""

import json
from pathlib import Path

import pytest

from gossamer.auth.claims import (
    AccountClaims,
    AccountLimits,
    ActivationClaims,
    AuthorizationRequest,
    AuthorizationResponse,
    Claims,
    Export,
    ExternalAuthorization,
    Import,
    MappingTarget,
    MessageTrace,
    OperatorClaims,
    ServiceLatency,
    StorageLimits,
    SubjectList,
    UserClaims,
    UserGrant,
)
from gossamer.auth.claims.envelope import read_claims
from gossamer.auth.issues import Level
from gossamer.auth.jwt import decode, decode_as, encode
from gossamer.auth.keys import KeyKind, KeyPair
from gossamer.auth.validation import blocking, validate

VECTORS = Path(__file__).parent / "vectors"
CASES = json.loads((VECTORS / "jwt_validation.json").read_text())
#: Tokens for which the reference's findings were recorded (not v1, not generic, not the captured one).
RECORDED = {
    path.stem: known["library_validation_issues"]
    for path, known in ((path, json.loads(path.read_text())) for path in sorted((VECTORS / "jwt").glob("*.json")))
    if path.stem != "index" and known.get("library_view") and "library_validation_issues" in known
}
NOW = 1_795_000_000
KINDS = {kind.TYPE: kind for kind in (OperatorClaims, AccountClaims, UserClaims, ActivationClaims)}


def recorded(issues):
    levels = {(True, False): Level.BLOCKING, (False, True): Level.TIME, (False, False): Level.WARNING}
    return {(issue["Description"], levels[issue["Blocking"], issue["TimeCheck"]]) for issue in issues}


def found(claims: Claims, now=NOW):
    return {(issue.description, issue.level) for issue in validate(claims, now)}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["why"])
def test_findings_are_those_of_the_reference(case):
    claims = read_claims(KINDS[case["claims"]["nats"]["type"]], case["claims"])
    assert found(claims) == recorded(case["issues"])


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_tokens(name):
    claims = decode((VECTORS / "jwt" / f"{name}.jwt").read_text().strip())
    assert found(claims) == recorded(RECORDED[name])


@pytest.mark.parametrize("path", sorted((VECTORS / "nsc-store" / "stores").rglob("*.jwt")), ids=lambda path: path.name)
def test_what_nsc_writes_is_clean(path):
    assert found(decode(path.read_text().strip())) == set()


def test_times_block_only_where_asked():
    claims = UserClaims(expires=100, not_before=200, grant=UserGrant(source_networks=("x",)))
    issues = validate(claims, 150)
    assert blocking(issues, times=False) == ['invalid cidr "x" in user src limits']
    assert blocking(issues, times=True) == [
        "claim is expired",
        "claim is not yet valid",
        'invalid cidr "x" in user src limits',
    ]
    assert validate(UserClaims(expires=100), 100) == []
    assert validate(UserClaims(not_before=100), 100) == []


def account(**fields):
    return AccountClaims(limits=AccountLimits.fresh(), **fields)


A, B = (KeyPair.generate(KeyKind.ACCOUNT).public for _ in range(2))
U = KeyPair.generate(KeyKind.USER).public


@pytest.mark.parametrize(
    ("claims", "part"),
    [
        (account(exports=(Export(subject="a"),)), "invalid export type"),
        (account(exports=(Export(subject="", type="service"),)), "subject cannot be empty"),
        (account(exports=(Export(subject="a..b", type="service"),)), "cannot contain consecutive"),
        (account(exports=(Export(subject="a", type="service", response_type="x"),)), "response type for service"),
        (account(exports=(Export(subject="a", type="stream", response_threshold_ns=1),)), "threshold only valid"),
        (account(exports=(Export(subject="a", type="stream", allow_trace=True),)), "AllowTrace only valid"),
        (account(exports=(Export(subject="a.*", type="service", account_token_position=3),)), "exceeds length"),
        (account(exports=(Export(subject="a", type="service", service_latency=ServiceLatency()),)), "empty"),
        (account(exports=(Export(subject="a", type="stream"),) * 2), "already exports"),
        (account(exports=(Export(subject="a", type="stream", info_url="x"),)), "needs a scheme"),
        (account(imports=(Import(subject="a", account=A),)), "invalid import type"),
        (account(imports=(Import(subject="a", account=A, type="stream", local_subject="b.>"),)), "both, renaming"),
        (account(imports=(Import(subject="a", account=A, type="stream", token="x"),)), "invalid activation token"),
        (account(mappings={"a": (MappingTarget(subject="b", weight=101),)}), "outside of 0 to 100"),
        (account(mappings={"a": (MappingTarget(subject="b", cluster="c"),) * 2}), 'in cluster "c" exceeds'),
        (account(authorization=ExternalAuthorization(auth_users=("x",))), "AuthUser"),
        (account(authorization=ExternalAuthorization(auth_users=(U,), allowed_accounts=("x",))), 'Account "x"'),
        (account(authorization=ExternalAuthorization(auth_users=(U,), xkey=U)), "XKey"),
        (account(trace=MessageTrace()), "Trace.Destination"),
        (account(trace=MessageTrace(destination="a", sampling=101)), "Trace.Sampling"),
        (account(description="x" * 8193), "description is too long"),
        (account(info_url="http://" + "x" * 8193), "info url is too long"),
        (AccountClaims(limits=AccountLimits(tiered={"": StorageLimits()})), "blank"),
        (AccountClaims(limits=AccountLimits(streams=1, tiered={"R1": StorageLimits()})), "mutually exclusive"),
        (OperatorClaims(operator_service_urls=("nats://[",)), "operator service url"),
        (OperatorClaims(account_server_url="http://["), "account server url"),
        (UserClaims(grant=UserGrant(subscribe=SubjectList(deny=("a  b",)))), "too many spaces"),
        (UserClaims(grant=UserGrant(source_networks=("10.0.0.1",))), "invalid cidr"),
        (UserClaims(grant=UserGrant(source_networks=("10.0.0.0/255.0.0.0",))), "invalid cidr"),
        (ActivationClaims(kind="stream"), "subject cannot be empty"),
        (AuthorizationRequest(), "User nkey is required"),
        (AuthorizationRequest(user_nkey=A), "not a valid user public key"),
        (AuthorizationResponse(), "Error or Jwt is required"),
        (AuthorizationResponse(jwt="x", error="y"), "Only Error or Jwt can be set"),
        (AuthorizationResponse(issuer_account="x"), "issuer_account is not"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_blocking_findings_beyond_the_vectors(claims, part):
    assert any(part in description for description in blocking(validate(claims, NOW), times=False))


def test_activation_tokens_inside_imports():
    exporter, importer = KeyPair.generate(KeyKind.ACCOUNT), KeyPair.generate(KeyKind.ACCOUNT)
    token = encode(ActivationClaims(subject=importer.public, import_subject="q.*", kind="service"), exporter)
    good = Import(subject="q.x", account=exporter.public, type="service", token=token)
    assert validate(account(subject=importer.public, imports=(good,)), NOW) == []
    for change, part in (
        ({"account": A}, "doesn't match account for import"),
        ({"type": "stream"}, "mismatch between token import type service"),
        ({"subject": "q.>"}, "doesn't match import"),
    ):
        entry = Import(**{"subject": "q.x", "account": exporter.public, "type": "service", "token": token} | change)
        issues = blocking(validate(account(subject=importer.public, imports=(entry,)), NOW), times=False)
        assert any(part in description for description in issues)


def test_a_template_is_not_judged_as_subjects():
    token = (VECTORS / "jwt" / "account_scoped_key.jwt").read_text().strip()
    assert blocking(validate(decode_as(AccountClaims, token), NOW), times=True) == []
