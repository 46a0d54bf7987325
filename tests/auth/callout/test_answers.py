"""Answers held against what they must say (spec auth section 25.4), and reasons that name what was wrong."""

import json

import pytest
from hypothesis import given, strategies
from hypothesis import settings as how
from msgspec import structs

from gossamer.auth.authenticator import Authenticator
from gossamer.auth.callout.answer import silence
from gossamer.auth.callout.question import Asked, Question
from gossamer.auth.callout.request import request_token, sealed_request
from gossamer.auth.claims import AuthorizationRequest, AuthorizationResponse, SubjectList, UserClaims, UserGrant
from gossamer.auth.claims.callout import ServerIdentity
from gossamer.auth.claims.grant import TimeRange
from gossamer.auth.decisions import Admission, Attempt, ConnectOptions, Method, Refusal
from gossamer.auth.jwt import decode_as, encode
from gossamer.auth.keys import KeyKind, KeyPair
from gossamer.auth.reasons import ReasonCode
from gossamer.auth.settings import AccountLimits, AccountSettings, AuthSettings, CalloutSettings
from gossamer.auth.xkeys import CurveKeyPair

NOW = 1_800_000_000
ISSUER, STRANGER = KeyPair.generate(KeyKind.ACCOUNT), KeyPair.generate(KeyKind.ACCOUNT)
SERVER, USER = KeyPair.generate(KeyKind.SERVER), KeyPair.generate(KeyKind.USER)
SERVICE_CURVE, SERVER_CURVE = CurveKeyPair.generate(), CurveKeyPair.generate()
FRESH = UserGrant.fresh()


def authenticator(*, xkey="", lenient=False):
    return Authenticator(
        AuthSettings(
            accounts=(
                AccountSettings(name="AUTH"),
                AccountSettings(name="APP", limits=AccountLimits(max_payload=100, max_subscriptions=10)),
            ),
            callout=CalloutSettings(issuer=ISSUER.public, auth_users=("svc",), account="AUTH", xkey=xkey),
            lenient_callout=lenient,
        )
    )


def question(made, **attempt):
    weighed = made.weigh(Attempt(connect=ConnectOptions(user="bob"), client_host="192.0.2.7", **attempt), NOW)
    assert isinstance(weighed, Question)
    return weighed


ASKED = Asked(user_nkey=USER.public, server_id=SERVER.public)


def user(signer=ISSUER, **claims):
    grant = structs.replace(FRESH, **claims.pop("grant", {}))
    return encode(UserClaims(**{"subject": USER.public, "audience": "APP", "grant": grant, **claims}), signer)


def response(signer=ISSUER, **claims):
    made = AuthorizationResponse(**{"subject": USER.public, "audience": SERVER.public, "jwt": user(), **claims})
    return encode(made, signer).encode()


def judged(body, made=None, curve=SERVER_CURVE, **attempt):
    made = made or authenticator()
    return made.answered(question(made, **attempt), ASKED, body, NOW, curve=curve)


def refused(verdict, code=ReasonCode.CALLOUT_VIOLATION):
    assert isinstance(verdict, Refusal), verdict
    assert verdict.reason.code is code
    assert verdict.error == "Authorization Violation"
    return verdict.reason


def test_a_grant():
    grant = {"publish": SubjectList(allow=("a",)), "payload": 50, "subscriptions": 20}
    verdict = judged(response(jwt=user(name="Robert", tags=("x:y",), expires=NOW + 60, grant=grant)))
    assert isinstance(verdict, Admission)
    assert (verdict.method, verdict.account, verdict.user, verdict.subject) == (
        Method.CALLOUT, "APP", "Robert", USER.public
    )  # fmt: skip
    assert (verdict.max_payload, verdict.max_subscriptions) == (50, 10)  # the stricter of user and account
    assert (verdict.expires_at, verdict.tags, verdict.issuer) == (NOW + 60, ("x:y",), ISSUER.public)
    assert verdict.permissions.publish.allow == ("a",)


def test_the_reason_names_signer_rule_and_place():
    reason = refused(judged(response(signer=STRANGER)))
    assert (reason.signer, reason.rule, reason.place) == (STRANGER.public, "iss", "authorization.auth_callout")


def test_an_error_of_the_service():
    reason = refused(judged(response(jwt="", error="no\r\nway\x00" + "x" * 1000)), ReasonCode.CALLOUT_DENIED)
    assert reason.text.startswith("Auth callout service returned an error: no??way?xxx")
    assert len(reason.text) < 600


def test_silence_is_a_reason():
    made = authenticator()
    reason = refused(silence(question(made), timeout_ns=2_000_000_000), ReasonCode.CALLOUT_SILENT)
    assert reason.rule == "timeout 2s"


ENFORCED = {
    "connection types": ({"allowed_connection_types": ("WEBSOCKET",)}, ReasonCode.CONNECTION_TYPE),
    "networks": ({"source_networks": ("10.0.0.0/8",)}, ReasonCode.SOURCE_NETWORK),
}


@pytest.mark.parametrize("what", ENFORCED)
def test_what_is_enforced_unless_lenient(what):
    grant, code = ENFORCED[what]
    body = response(jwt=user(grant=grant))
    refused(judged(body), code)
    assert isinstance(judged(body, authenticator(lenient=True)), Admission)


def test_limits_are_enforced_unless_lenient():
    body = response(jwt=user(grant={"payload": 5, "subscriptions": 5}))
    assert judged(body).max_payload == 5
    lenient = judged(body, authenticator(lenient=True))
    assert (lenient.max_payload, lenient.max_subscriptions) == (100, 10)  # those of the account


def test_limits_that_are_not_written_are_none():
    verdict = judged(response(jwt=user(grant={"payload": 0, "subscriptions": 0, "data": 0})))
    assert (verdict.max_payload, verdict.max_subscriptions) == (100, 10)


def test_hours_and_proxies_hold_either_way():
    outside = {"times": (TimeRange(start="00:00:00", end="00:00:01"),), "times_location": "UTC"}
    for lenient in (False, True):
        made = authenticator(lenient=lenient)
        refused(judged(response(jwt=user(grant=outside)), made), ReasonCode.OUTSIDE_TIMES)
        refused(judged(response(jwt=user(grant={"proxy_required": True})), made), ReasonCode.PROXY_REQUIRED)
        unsound = {"publish": SubjectList(deny=("a.>.b",))}
        refused(judged(response(jwt=user(grant=unsound)), made), ReasonCode.PERMISSIONS_UNSOUND)


def test_a_grant_into_the_service_account_is_guarded():
    assert judged(response(jwt=user(audience="AUTH"))).permissions.publish.deny == ("$SYS.REQ.USER.AUTH",)


# --- seals ----------------------------------------------------------------------------------------------------------
def sealed(body, **seal):
    return SERVICE_CURVE.seal(body, SERVER_CURVE.public, **seal)


def test_sealed_and_plain_answers():
    made = authenticator(xkey=SERVICE_CURVE.public)
    for body in (response(), sealed(response())):
        assert isinstance(judged(body, made), Admission)


def test_a_seal_where_none_was_asked_for():
    refused(judged(sealed(response())))


def test_a_seal_by_somebody_else():
    made = authenticator(xkey=SERVICE_CURVE.public)
    refused(judged(CurveKeyPair.generate().seal(response(), SERVER_CURVE.public), made))


def test_a_seal_is_no_signature_unless_lenient():
    body = sealed(response(signer=STRANGER))
    refused(judged(body, authenticator(xkey=SERVICE_CURVE.public)))
    assert isinstance(judged(body, authenticator(xkey=SERVICE_CURVE.public, lenient=True)), Admission)
    plain = response(signer=STRANGER)
    refused(judged(plain, authenticator(xkey=SERVICE_CURVE.public, lenient=True)))


# --- nothing crashes ------------------------------------------------------------------------------------------------
GOOD = response()


@how(max_examples=300, deadline=None)
@given(strategies.data())
def test_a_changed_answer_lets_nobody_in(data):
    body = bytearray(GOOD)
    place = data.draw(strategies.integers(0, len(body) - 1))
    letter = data.draw(strategies.integers(0, 255).filter(lambda one: one != body[place]))
    body[place] = letter
    assert isinstance(judged(bytes(body)), Refusal)


@how(max_examples=200, deadline=None)
@given(strategies.binary(max_size=200))
def test_garbage_lets_nobody_in(body):
    for made in (authenticator(), authenticator(xkey=SERVICE_CURVE.public)):
        assert isinstance(judged(body, made), Refusal)
        assert isinstance(judged(b"xkv1" + body, made), Refusal)


# --- the request ----------------------------------------------------------------------------------------------------
def test_the_request_is_a_token_of_the_server():
    made = authenticator(xkey=SERVICE_CURVE.public)
    attempt = Attempt(
        connect=ConnectOptions(user="bob", password="p", sig="s", name="n", lang="l", version="1", protocol=1, jwt="j"),
        client_host="192.0.2.7",
        nonce=b"NONCE",
        link=12,
        connection_type="MQTT_WS",
    )
    asked = made.weigh(attempt, NOW)
    identity = ServerIdentity(name="S", host="h", id=SERVER.public, version="2", cluster="c", tags=("t",), xkey="X")
    token = request_token(asked, identity, SERVER, USER.public, issued_at=NOW, expires=NOW + 2)
    claims = decode_as(AuthorizationRequest, token)
    members = json.loads(claims.json())
    assert (members["iss"], members["sub"], members["aud"]) == (
        SERVER.public, ISSUER.public, "nats-authorization-request"
    )  # fmt: skip
    assert members["nats"]["client_info"] == {
        "host": "192.0.2.7", "id": 12, "user": "bob", "name": "n", "kind": "Client", "type": "mqtt", "nonce": "NONCE"
    }  # fmt: skip
    assert "jwt" not in members["nats"]["connect_opts"]  # nobody looks at it without an operator
    header, body = sealed_request(token, SERVER_CURVE, SERVICE_CURVE.public, bytes(24))
    assert header == f"NATS/1.0\r\nNats-Server-Xkey: {SERVER_CURVE.public}\r\n\r\n".encode()
    assert SERVICE_CURVE.open(body, SERVER_CURVE.public).decode() == token
