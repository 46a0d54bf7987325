"""Operator mode in a configuration (spec configuration sections 5.7, 5.9 and 8; spec auth section 10.1)."""

import pytest

from gossamer.auth.claims import AccountClaims, AccountLimits, OperatorClaims, UserClaims, UserGrant
from gossamer.auth.credentials import format_token
from gossamer.auth.jwt import encode
from gossamer.auth.keys import KeyKind, KeyPair
from gossamer.mesh.options.flags import Flags
from gossamer.mesh.options.loading import assess

NOW = 1_800_000_000
OPERATOR, ACCOUNT, OTHER = (KeyPair.generate(kind) for kind in (KeyKind.OPERATOR, KeyKind.ACCOUNT, KeyKind.ACCOUNT))


def operator_jwt(**claims):
    return encode(OperatorClaims(subject=OPERATOR.public, name="O", **claims), OPERATOR, issued_at=NOW)


def account_jwt(key=ACCOUNT):
    claims = AccountClaims(subject=key.public, name="A", limits=AccountLimits.fresh())
    return encode(claims, OPERATOR, issued_at=NOW)


def user_jwt():
    user = KeyPair.generate(KeyKind.USER)
    return encode(UserClaims(subject=user.public, name="u", grant=UserGrant.fresh()), ACCOUNT, issued_at=NOW)


@pytest.fixture
def loaded(files):
    def loaded(text):
        files["f.conf"] = text
        return assess(Flags(config="f.conf"), reader=files.reader, environment={})

    return loaded


def test_a_whole_memory_configuration(loaded, files):
    operator = operator_jwt(system_account=OTHER.public)
    text = (
        f"operator: {operator}\nresolver: MEMORY\n"
        f"resolver_preload {{\n {ACCOUNT.public}: {account_jwt()}\n {OTHER.public}: {account_jwt(OTHER)}\n}}\n"
        f"resolver_pinned_accounts: [{ACCOUNT.public}]\n"
    )
    found = loaded(text)
    assert found.faults == ()
    settings = found.options.authorization
    assert settings.operator_mode
    assert settings.operators == (operator,)
    assert settings.system_account == OTHER.public  # from the operator's JWT
    assert [key for key, _ in settings.resolver_preload] == [ACCOUNT.public, OTHER.public]
    assert settings.resolver_pinned_accounts == (ACCOUNT.public,)


@pytest.mark.parametrize("decorated", [True, False])
def test_the_operator_in_a_file(loaded, files, decorated):
    operator = operator_jwt()
    files["keys/op.jwt"] = format_token(operator) if decorated else f"{operator}\n"
    assert loaded("operator: keys/op.jwt\nresolver: MEM").options.authorization.operators == (operator,)
    assert loaded('roots: ["keys/op.jwt"]\nresolver: MEM').options.authorization.operators == (operator,)


def test_trusted_keys(loaded):
    found = loaded(f"trusted_keys: [{OPERATOR.public}]\nresolver: MEM")
    assert found.faults == ()
    assert found.options.authorization.trusted_keys == (OPERATOR.public,)
    message = f'f.conf:1:0: trust key "{ACCOUNT.public}" required to be a valid public operator nkey'
    assert loaded(f"trusted: {ACCOUNT.public}").faults[0].text == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("accounts {A {}}", "operators do not allow Accounts to be configured directly"),
        ("authorization {users: [{user: a}]}", "operators do not allow users to be configured directly"),
        (f"trusted_keys: {OPERATOR.public}", "conflicting options for 'TrustedKeys' and 'TrustedOperators'"),
        ("no_auth_user: x", "no_auth_user not compatible with Trusted Operator"),
        (f"system_account: {ACCOUNT.public}", "system_account in config and operator JWT must be identical"),
        ("resolver_pinned_accounts: [abc]", 'pinned account key "abc" is not a valid public account nkey'),
        (f"default_sentinel: {user_jwt()}", "default sentinel must be a bearer token"),
    ],
    ids=["accounts", "users", "trusted keys", "no_auth_user", "system account", "pinned accounts", "sentinel"],
)
def test_what_does_not_go_with_operators(loaded, text, message):
    found = loaded(f"operator: {operator_jwt(system_account=OTHER.public)}\nresolver: MEM\n{text}")
    assert [fault.text for fault in found.faults] == [message]
    assert found.faults[0].at_start
    assert found.faults[0].place.line == 3


def test_operators_need_a_resolver(loaded):
    found = loaded(f"operator: {operator_jwt()}")
    assert [fault.text for fault in found.faults] == ["operators require an account resolver to be configured"]
    found = loaded(f"operator: {operator_jwt(account_server_url='nats://a.example')}")
    assert [fault.text for fault in found.faults] == ["operators require an account resolver to be configured"]


def test_the_server_of_accounts_that_the_operator_names(loaded):
    named = operator_jwt(account_server_url="http://a.example/jwt")
    found = loaded(f"operator: {named}")
    assert found.faults == ()
    resolver = found.options.authorization.resolver
    assert (resolver.kind, resolver.url) == ("url", "http://a.example/jwt/accounts/")
    assert loaded(f"operator: {named}\nresolver: MEM").options.authorization.resolver.kind == "memory"
    assert loaded("resolver: URL(http://a/b)").options.authorization.resolver.url == "http://a/b/"


def test_a_directory_needs_a_system_account(loaded):
    found = loaded(f"operator: {operator_jwt()}\nresolver {{type: full, dir: d}}")
    assert found.faults[0].text == (
        "using nats based account resolver - the system account needs to be specified in configuration or the "
        "operator jwt"
    )
    assert (
        loaded(f"operator: {operator_jwt(system_account=OTHER.public)}\nresolver {{type: full, dir: d}}").faults == ()
    )


def test_an_operator_may_insist_on_a_newer_server(loaded):
    found = loaded(f"operator: {operator_jwt(assert_server_version='99.0.0')}\nresolver: MEM")
    message = f"operator {OPERATOR.public} expected major version 99 > server major version 2"
    assert [fault.text for fault in found.faults] == [message]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("operator: [nope]", "f.conf:1:0: error parsing operator JWT: open nope: no such file or directory"),
        ("operator: eyJabc", "f.conf:1:0: error parsing operator JWT: expected 3 chunks"),
        (f"operator: {account_jwt()}", "f.conf:1:0: error parsing operator JWT: "),
        ("operator: 5", "f.conf:1:0: error parsing operators: unsupported type int64"),
        (f"resolver_preload {{ABC: {user_jwt()}}}", "f.conf:1:18: invalid account JWT"),
    ],
)
def test_what_is_no_jwt(loaded, text, message):
    assert loaded(text).faults[0].text.startswith(message)


def test_an_operator_file_that_holds_none(loaded, files):
    files["op"] = "hello"
    assert loaded("operator: op").faults[0].text == "f.conf:1:0: error parsing operator JWT: op: holds no JWT"
    files["op"] = b"\xff\xfe"
    assert "error parsing operator JWT" in loaded("operator: op").faults[0].text


def test_a_system_account_that_is_not_there(loaded):
    assert loaded("system_account: S").faults[0].text == "error resolving system account: account missing"
    assert loaded("system_account: S, accounts: [S]").faults == ()
