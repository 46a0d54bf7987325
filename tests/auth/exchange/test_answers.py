"""Requests opened, answers made; accepted by our own judgement of answers."""

import pytest

from gossamer.auth.authenticator import Authenticator
from gossamer.auth.callout.question import Asked, Question
from gossamer.auth.callout.request import request_token, sealed_request
from gossamer.auth.claims import UserClaims
from gossamer.auth.claims.callout import ServerIdentity
from gossamer.auth.decisions import Admission, Attempt, ConnectOptions, Refusal
from gossamer.auth.exchange import Exchange, RequestError, parse_rules
from gossamer.auth.jwt import decode_as
from gossamer.auth.keys import KeyKind, KeyPair
from gossamer.auth.settings import AccountSettings, AuthSettings, CalloutSettings
from gossamer.auth.xkeys import CurveKeyPair

NOW = 1_800_000_000


class Server:
    """A server that asks."""

    def __init__(self, issuer, xkey=""):
        self.pair, self.curve = KeyPair.generate(KeyKind.SERVER), CurveKeyPair.generate()
        self.user = KeyPair.generate(KeyKind.USER).public
        self.authenticator = Authenticator(
            AuthSettings(
                accounts=(AccountSettings(name="APP"), AccountSettings(name="AUTH")),
                callout=CalloutSettings(issuer=issuer.public, auth_users=("svc",), account="AUTH", xkey=xkey),
            )
        )

    def question(self, **connect):
        attempt = Attempt(connect=ConnectOptions(**connect), client_host="192.0.2.7", link=7)
        question = self.authenticator.weigh(attempt, NOW)
        assert isinstance(question, Question), question
        return question

    def token(self, question, expires=NOW + 2):
        identity = ServerIdentity(name="s", host="h", id=self.pair.public)
        return request_token(question, identity, self.pair, self.user, issued_at=NOW, expires=expires)

    def judge(self, question, body):
        asked = Asked(user_nkey=self.user, server_id=self.pair.public)
        return self.authenticator.answered(question, asked, body, NOW, curve=self.curve)


@pytest.fixture
def server(signer):
    return Server(signer)


@pytest.mark.parametrize("field", ["auth_token", "password"])
def test_a_round(server, exchange, platform, field):
    question = server.question(user="any", **{field: platform.token()})
    request = exchange.opened(server.token(question).encode(), "", NOW)
    outcome = platform.examine(exchange, exchange.token_of(request))
    verdict = server.judge(question, exchange.answer(request, outcome, "", NOW))
    assert isinstance(verdict, Admission), verdict
    assert (verdict.account, verdict.user, verdict.expires_at) == ("APP", "ci:42", NOW + 300)
    assert verdict.permissions.publish.allow == ("build.red.>",)
    assert verdict.tags == ("team:red",)


def test_a_denial(server, exchange, platform):
    question = server.question(auth_token=platform.token(aud="others"))
    request = exchange.opened(server.token(question).encode(), "", NOW)
    outcome = platform.examine(exchange, exchange.token_of(request))
    verdict = server.judge(question, exchange.answer(request, outcome, "", NOW))
    assert isinstance(verdict, Refusal)
    assert "Auth callout service returned an error: audience_wrong" in verdict.reason.text


def test_a_sealed_round(signer, exchange, platform, read, rules_text, tmp_path):
    curve = CurveKeyPair.generate()
    (tmp_path / "x.nk").write_text(curve.seed)
    sealing = Exchange(read(rules_text.replace("[answer]", '[answer]\nxkey = "x.nk"')))
    server = Server(signer, xkey=curve.public)
    question = server.question(auth_token=platform.token())
    header, body = sealed_request(server.token(question), server.curve, curve.public, bytes(24))
    assert server.curve.public in header.decode()
    request = sealing.opened(body, server.curve.public, NOW)
    outcome = platform.examine(sealing, sealing.token_of(request))
    answer = sealing.answer(request, outcome, server.curve.public, NOW)
    assert answer.startswith(b"xkv1")
    assert isinstance(server.judge(question, answer), Admission)
    with pytest.raises(RequestError, match="no curve key"):
        exchange.opened(body, server.curve.public, NOW)
    with pytest.raises(RequestError, match="cannot be opened"):
        sealing.opened(body, curve.public, NOW)


def test_what_is_no_request(server, exchange):
    late = server.token(server.question(user="x"), expires=NOW - 1)
    for body, why in ((b"", "sealed"), (b"eyJ", "not one of a server"), (late.encode(), "too late")):
        with pytest.raises(RequestError, match=why):
            exchange.opened(body, "", NOW)


def test_no_token_was_brought(server, exchange):
    request = exchange.opened(server.token(server.question(user="x")).encode(), "", NOW)
    assert exchange.examine(exchange.token_of(request), NOW).cause == "token_missing"


def test_operator_mode_names_the_account_by_its_key(platform, tmp_path, signer):
    account, role = KeyPair.generate(KeyKind.ACCOUNT), KeyPair.generate(KeyKind.ACCOUNT)
    (tmp_path / "role.nk").write_text(role.seed)
    exchange = Exchange(
        parse_rules(
            f"""
            [answer]
            signer = "issuer.nk"
            account = "{signer.public}"
            [[issuer]]
            name = "p"
            url = "https://issuer.example"
            audience = "nats"
            jwks_url = "https://issuer.example/keys"
            [[account]]
            name = "TARGET"
            key = "{account.public}"
            [[rule]]
            issuer = "p"
            where = {{ sub = "*" }}
            account = "TARGET"
            role_signer = "role.nk"
            tags = ["team:{{team}}"]
            """,
            folder=tmp_path,
        )
    )
    granted = platform.examine(exchange, platform.token())
    user = decode_as(UserClaims, exchange.user_jwt(granted, KeyPair.generate(KeyKind.USER).public, NOW))
    assert (user.issuer, user.issuer_account, user.audience) == (role.public, account.public, "")
    assert user.grant.is_empty
    assert user.tags == ("team:red",)
