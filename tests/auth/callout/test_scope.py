"""Who is asked about (spec auth section 25.2), decided without a node."""

import pytest

from gossamer.auth.authenticator import Authenticator
from gossamer.auth.callout.question import Question
from gossamer.auth.decisions import Admission, Attempt, ConnectOptions, Refusal
from gossamer.auth.keys import KeyKind, KeyPair
from gossamer.auth.permissions import Permissions, SubjectPermissions
from gossamer.auth.reasons import ReasonCode
from gossamer.auth.settings import AccountSettings, AuthSettings, CalloutSettings, UserSettings

NOW = 1_800_000_000
ISSUER = KeyPair.generate(KeyKind.ACCOUNT)
PROXY = KeyPair.generate(KeyKind.USER)


def settings(*, allowed=(), users=(), **more):
    return AuthSettings(
        **{
            "accounts": tuple(AccountSettings(name=name) for name in ("AUTH", "APP", "OTHER")),
            "users": (
                UserSettings(name="svc", password="p", account="AUTH"),
                UserSettings(name="app", password="p", account="APP"),
                UserSettings(name="global", password="p"),
                *users,
            ),
            "callout": CalloutSettings(
                issuer=ISSUER.public, auth_users=("svc",), account="AUTH", allowed_accounts=allowed
            ),
            **more,
        }
    )


def weigh(made, **connect):
    return Authenticator(made).weigh(Attempt(connect=ConnectOptions(**connect), link=3), NOW)


@pytest.mark.parametrize("allowed", [(), ("APP",), ("OTHER",)])
@pytest.mark.parametrize(
    ("connect", "home"),
    [
        ({}, ""), ({"user": "nobody"}, ""), ({"user": "app", "password": "wrong"}, ""),
        ({"auth_token": "t"}, ""), ({"user": "global", "password": "p"}, ""),
        ({"user": "app", "password": "p"}, "APP"),
    ],
    ids=["nothing", "stranger", "wrong password", "token", "global", "named account"],
)  # fmt: skip
def test_everybody_in_scope(allowed, connect, home):
    verdict = weigh(settings(allowed=allowed), **connect)
    if home and allowed and home not in allowed:
        assert isinstance(verdict, Admission)
    else:
        assert isinstance(verdict, Question)
        assert verdict.callout.account == "AUTH"
        assert isinstance(verdict.local, Admission) == bool(home or connect.get("user") == "global")


@pytest.mark.parametrize(("password", "kind"), [("p", Admission), ("wrong", Refusal)])
def test_auth_users_are_judged_here(password, kind):
    assert isinstance(weigh(settings(), user="svc", password=password), kind)


def test_the_no_auth_user_is_asked_about_unless_it_answers():
    assert isinstance(weigh(settings(no_auth_user="app")), Question)
    assert isinstance(weigh(settings(no_auth_user="svc")), Admission)


def test_a_callout_closes_the_door_even_without_users():
    made = Authenticator(settings(users=(), callout=CalloutSettings(issuer=ISSUER.public, auth_users=("svc",))))
    assert made.required
    alone = AuthSettings(callout=CalloutSettings(issuer=ISSUER.public, auth_users=("svc",)))
    assert Authenticator(alone).required
    assert isinstance(weigh(alone, user="anybody"), Question)


def test_what_no_service_can_lift():
    made = settings(trusted_proxies=(PROXY.public,), proxy_required=True)
    verdict = weigh(made, user="app", password="p")
    assert verdict.reason.code is ReasonCode.PROXY_REQUIRED
    verdict = weigh(settings(trusted_proxies=(PROXY.public,)), user="app", password="p", proxy_sig="AAAA")
    assert verdict.reason.code is ReasonCode.PROXY_NOT_TRUSTED


def test_an_account_in_connect_is_refused_before_asking():
    verdict = weigh(settings(), user="nobody", account="APP")
    assert verdict.reason.code is ReasonCode.ACCOUNT_NAMED


def test_who_decides_without_asking_refuses():
    verdict = Authenticator(settings()).decide(Attempt(connect=ConnectOptions(user="app", password="p")), NOW)
    assert verdict.reason.code is ReasonCode.CALLOUT_UNAVAILABLE


def test_users_of_the_service_account_may_not_ask():
    verdict = weigh(settings(), user="svc", password="p")
    assert verdict.permissions.publish.deny == ("$SYS.REQ.USER.AUTH",)
    own = Permissions(publish=SubjectPermissions(allow=(">",), deny=("a",)))
    made = settings(users=(UserSettings(name="two", password="p", account="AUTH", permissions=own),))
    made = AuthSettings(
        **{name: getattr(made, name) for name in made.__struct_fields__}
        | {"callout": CalloutSettings(issuer=ISSUER.public, auth_users=("svc", "two"), account="AUTH")}
    )
    verdict = weigh(made, user="two", password="p")
    assert verdict.permissions.publish == SubjectPermissions(allow=(">",), deny=("a", "$SYS.REQ.USER.AUTH"))


@pytest.mark.parametrize(
    ("connect", "shown"),
    [
        ({"user": "bob", "auth_token": "t"}, "bob"), ({"auth_token": "secret"}, "[REDACTED]"), ({}, ""),
        ({"nkey": "UX", "user": "bob"}, "UX"),
    ],
)  # fmt: skip
def test_a_token_is_never_shown(connect, shown):
    assert weigh(settings(), **connect).user == shown
