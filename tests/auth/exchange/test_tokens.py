"""Which tokens hold, and which do not."""

import base64
import hashlib
import hmac
import json

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from gossamer.auth.exchange import Cause, Denied, Exchange, Granted

NOW = 1_800_000_000
URL = "https://issuer.example"


def denied(outcome, cause):
    assert isinstance(outcome, Denied), outcome
    assert outcome.cause is cause, outcome
    return outcome


@pytest.mark.parametrize("key", ["rsa", "ec", "ed"])
def test_a_token_that_holds(exchange, platform, key):
    outcome = platform.examine(exchange, platform.token(key))
    assert isinstance(outcome, Granted), outcome
    assert (outcome.rule, outcome.user, outcome.tags) == ("ci", "ci:42", ("team:red",))
    assert outcome.grant.publish.allow == ("build.red.>",)
    assert outcome.grant.subscribe.deny == ("secret.>",)
    assert outcome.expires == NOW + 300


def test_the_user_stays_no_longer_than_the_rule_allows(exchange, platform):
    assert platform.examine(exchange, platform.token(exp=NOW + 86_400)).expires == NOW + 600


@pytest.mark.parametrize(
    ("cause", "changed"),
    [
        (Cause.AUDIENCE_WRONG, {"aud": "others"}),
        (Cause.AUDIENCE_WRONG, {"aud": ["a", "b"]}),
        (Cause.AUDIENCE_WRONG, {"aud": None}),
        (Cause.EXPIRED, {"exp": NOW - 31}),
        (Cause.EXPIRED, {"exp": None}),
        (Cause.NOT_YET_VALID, {"nbf": NOW + 60}),
        (Cause.NOT_YET_VALID, {"iat": NOW + 60}),
        (Cause.ISSUER_UNKNOWN, {"iss": "https://issuer.example/"}),
        (Cause.ISSUER_UNKNOWN, {"iss": None}),
        (Cause.NO_RULE, {"sub": "cd:42"}),
        (Cause.NO_RULE, {"team": "green"}),
        (Cause.NO_RULE, {"team": None}),
        (Cause.CLAIM_MISSING, {"team": ["red", "blue"]}),
        (Cause.CLAIM_UNSAFE, {"sub": "ci:>"}),
        (Cause.CLAIM_UNSAFE, {"sub": "ci:a b"}),
    ],
)
def test_a_token_that_does_not(exchange, platform, cause, changed):
    denied(platform.examine(exchange, platform.token(**changed)), cause)


@pytest.mark.parametrize("value", ["a.b", "*", ">", "a b", "a\x00"])
def test_a_claim_may_not_become_another_subject(read, rules_text, platform, value):
    exchange = Exchange(read(rules_text.replace('team = ["red", "blue"]', 'team = "*"')))
    denied(platform.examine(exchange, platform.token(team=value)), Cause.CLAIM_UNSAFE)


def test_several_audiences_and_the_leeway(exchange, platform):
    assert isinstance(platform.examine(exchange, platform.token(aud=["x", "mesh"])), Granted)
    # A token within the leeway holds, but its user would have to leave before it came.
    outcome = platform.examine(exchange, platform.token(exp=NOW - 10))
    denied(outcome, Cause.EXPIRED)
    assert isinstance(platform.examine(exchange, platform.token(nbf=NOW + 20, iat=NOW + 20)), Granted)


def unsigned(claims, header):
    chunks = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, claims)]
    return ".".join([*chunks, ""])


def test_no_algorithm_is_no_signature(exchange, platform):
    for name in ("none", "None", "NONE"):
        token = unsigned(platform.claims(), {"alg": name, "typ": "JWT", "kid": "rsa"})
        denied(platform.examine(exchange, token), Cause.ALGORITHM)


def test_a_public_key_is_no_shared_secret(exchange, platform):
    """The well-known confusion: HS256 with the published key as its secret."""
    public = platform.keys["rsa"][0].public_key()
    secret = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    header = {"alg": "HS256", "typ": "JWT", "kid": "rsa"}
    head = unsigned(platform.claims(), header).rstrip(".")
    signature = base64.urlsafe_b64encode(hmac.new(secret, head.encode(), hashlib.sha256).digest()).rstrip(b"=")
    denied(platform.examine(exchange, f"{head}.{signature.decode()}"), Cause.ALGORITHM)


def test_a_key_signs_by_its_own_algorithm_only(exchange, platform):
    platform.keys["fake"] = (platform.keys["ec"][0], "ES256")
    token = jwt.encode(platform.claims(), platform.keys["ec"][0], "ES256", headers={"kid": "rsa"})
    denied(platform.examine(exchange, token), Cause.KEY_UNKNOWN)


def test_another_key_under_the_same_name(exchange, platform):
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    token = jwt.encode(platform.claims(), other, "RS256", headers={"kid": "rsa"})
    denied(platform.examine(exchange, token), Cause.SIGNATURE_WRONG)


def test_a_changed_payload(exchange, platform):
    head, _, signature = platform.token().split(".")
    payload = base64.urlsafe_b64encode(json.dumps(platform.claims(team="blue")).encode()).rstrip(b"=").decode()
    denied(platform.examine(exchange, f"{head}.{payload}.{signature}"), Cause.SIGNATURE_WRONG)


def test_a_token_without_a_key_id(exchange, platform):
    token = jwt.encode(platform.claims(), platform.keys["ed"][0], "EdDSA")
    assert isinstance(platform.examine(exchange, token), Granted)


def test_a_header_that_asks_for_more(exchange, platform):
    token = platform.token(headers={"crit": ["exp"]})
    denied(platform.examine(exchange, token), Cause.TOKEN_MALFORMED)


@pytest.mark.parametrize("token", ["", "a", "a.b.c", "..", "eyJh.eyJh.x", "é.é.é", "x" * 70_000, "." * 10])
def test_texts_that_are_no_tokens(exchange, token):
    outcome = exchange.examine(token, NOW)
    assert isinstance(outcome, Denied)
    assert outcome.cause in (Cause.TOKEN_MISSING, Cause.TOKEN_MALFORMED)


def test_what_was_looked_at_is_told(exchange, platform):
    steps = platform.examine(exchange, platform.token(team="green")).steps
    assert steps == (
        "the token of platform holds: sub 'ci:42'",
        "ci: team is 'green', not 'red' or 'blue'",
    )


def test_a_kubernetes_token(read, platform):
    exchange = Exchange(
        read(
            f"""
            [answer]
            signer = "issuer.nk"
            [[issuer]]
            name = "cluster"
            url = "{URL}"
            audience = "nats"
            jwks_url = "{URL}/keys"
            [[rule]]
            issuer = "cluster"
            where = {{ "kubernetes.io.namespace" = "shop-*", "kubernetes.io.serviceaccount.name" = "web" }}
            account = "SHOP"
            user = "{{kubernetes.io.namespace}}-{{kubernetes.io.serviceaccount.name}}"
            publish = ["orders.{{kubernetes.io.namespace}}.>"]
            """
        )
    )
    own = {"namespace": "shop-eu", "serviceaccount": {"name": "web", "uid": "1"}, "pod": {"name": "web-1"}}
    changed = {"sub": "system:serviceaccount:shop-eu:web", "kubernetes.io": own, "aud": ["nats"]}
    outcome = platform.examine(exchange, platform.token(**changed))
    assert isinstance(outcome, Granted), outcome
    assert outcome.user == "shop-eu-web"
    assert outcome.grant.publish.allow == ("orders.shop-eu.>",)
    denied(
        platform.examine(exchange, platform.token(**{**changed, "kubernetes.io": {"namespace": "x"}})), Cause.NO_RULE
    )
