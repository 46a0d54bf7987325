"""Faults of settings: the recorded texts of nats-server where they are ours to find (spec auth section 10.1)."""

import json
import re
from pathlib import Path

import pytest

from gossamer.auth.claims import OperatorClaims, UserClaims
from gossamer.auth.jwt import encode
from gossamer.auth.keys import KeyKind, KeyPair
from gossamer.auth.resolver import MemoryResolver
from gossamer.auth.settings import AccountSettings, AuthSettings, ResolverSettings, UserSettings
from gossamer.auth.settings_validation import validate_settings

RECORDED = {
    case["title"]: case for case in json.loads((Path(__file__).parent / "vectors" / "config_errors.json").read_text())
}
ACCOUNT = KeyPair.generate(KeyKind.ACCOUNT)
MEMORY = ResolverSettings(kind="memory")


def operator_of(title):
    return re.search(r"operator: (\S+)", RECORDED[title]["config"])[1]


def value_of(title, key):
    return re.search(rf"{key}: (\S+)", RECORDED[title]["config"])[1]


FULL = operator_of("operator and accounts")
BARE = operator_of("operator without resolver")
USERS = (UserSettings(name="y", password="z"),)

CASES = {
    "user/pass and token": AuthSettings(user="a", password="b", token="c"),
    "user and users": AuthSettings(user="a", password="b", users=(UserSettings(name="c"),)),
    "duplicate user across accounts": AuthSettings(
        users=(UserSettings(name="a", account="A"), UserSettings(name="a", account="B"))
    ),
    "reserved account": AuthSettings(accounts=(AccountSettings(name="$G"),)),
    "unknown connection type": AuthSettings(users=(UserSettings(name="a", connection_types=("FOO",)),)),
    "bad operator": AuthSettings(operators=("eyJabc",), resolver=MEMORY),
    "bad nkey": AuthSettings(users=(UserSettings(nkey="abc"),)),
    "user without name": AuthSettings(users=(UserSettings(password="abc"),)),
    "nkey with password": AuthSettings(
        users=(
            UserSettings(nkey="UDXOXZDEGYMHSRJI4OL57DMB4V7T6WILALQQFRGSCDTIUHZVSTUQFRIH", password="x", account="A"),
        )
    ),
    "token and account users": AuthSettings(token="x", users=(UserSettings(name="a", account="A"),)),
    "no_auth_user without users": AuthSettings(no_auth_user="x"),
    "no_auth_user unknown": AuthSettings(no_auth_user="x", users=USERS),
    "default_sentinel without operator": AuthSettings(default_sentinel="abc"),
    "operator and accounts": AuthSettings(operators=(FULL,), resolver=MEMORY, accounts=(AccountSettings(name="A"),)),
    "operator and users": AuthSettings(operators=(FULL,), resolver=MEMORY, users=USERS),
    "operator full resolver without system account": AuthSettings(
        operators=(BARE,), resolver=ResolverSettings(kind="full", directory="jwt-store")
    ),
    "system_account differs": AuthSettings(
        operators=(FULL,), resolver=MEMORY, system_account=value_of("system_account differs", "system_account")
    ),
    "pinned account bad": AuthSettings(operators=(FULL,), resolver=MEMORY, resolver_pinned_accounts=("abc",)),
    "sentinel not bearer": AuthSettings(
        operators=(FULL,), resolver=MEMORY, default_sentinel=value_of("sentinel not bearer", "default_sentinel")
    ),
    "operator with no_auth_user": AuthSettings(operators=(FULL,), resolver=MEMORY, no_auth_user="x"),
    "system account not in resolver": AuthSettings(operators=(FULL,), resolver=MEMORY),
    "operator needs a newer server": AuthSettings(
        operators=(operator_of("operator needs a newer server"),), resolver=MEMORY
    ),
    "preload with wrong key": AuthSettings(
        operators=(FULL,),
        resolver=MEMORY,
        resolver_preload=(("ABC", value_of("preload with wrong key", "ABC")),),
    ),
    "url resolver with preload": AuthSettings(
        operators=(FULL,),
        resolver=ResolverSettings(kind="url", url="http://127.0.0.1:1/"),
        resolver_preload=(("A", value_of("url resolver with preload", "A")),),
    ),
}


@pytest.mark.parametrize("title", CASES)
def test_recorded_faults(title):
    recorded = RECORDED[title]["message"][0].removeprefix("nats-server: ")
    expected = re.sub(r"^FILE:\d+:\d+: ", "", recorded)
    faults = validate_settings(CASES[title], MemoryResolver(), server_version="2.12.0")
    # Where we know more (which JWT, and why) it follows after the text.
    assert any(fault.startswith(expected) for fault in faults), faults


def test_an_operator_without_resolver_is_told_what_is_missing():
    """The reference tries to fetch an address it does not have."""
    assert validate_settings(AuthSettings(operators=(BARE,))) == [
        "operators require an account resolver to be configured"
    ]


def test_sound_settings_have_no_faults():
    key = KeyPair.generate(KeyKind.USER).public
    for settings in (
        AuthSettings(),
        AuthSettings(token="t"),
        AuthSettings(user="u", password="p"),
        AuthSettings(users=(UserSettings(name="a"), UserSettings(nkey=key)), no_auth_user=key),
        AuthSettings(users=(UserSettings(name="a", connection_types=("STANDARD",)),), trusted_proxies=(key,)),
        AuthSettings(operators=(BARE,), resolver=MEMORY),
        AuthSettings(trusted_keys=(KeyPair.generate(KeyKind.OPERATOR).public,), resolver=MEMORY),
    ):
        assert validate_settings(settings, MemoryResolver(), server_version="2.12.0") == []


def test_faults_without_a_recorded_text():
    key = KeyPair.generate(KeyKind.OPERATOR).public
    both = AuthSettings(operators=(BARE,), trusted_keys=(key, "x"), resolver=MEMORY)
    assert validate_settings(both) == [
        "conflicting options for 'TrustedKeys' and 'TrustedOperators'",
        'trusted key "x" is not a valid public operator nkey',
    ]
    assert "not a valid public nkey" in validate_settings(AuthSettings(trusted_proxies=("x",)))[0]
    assert validate_settings(AuthSettings(system_account="X")) == ["error resolving system account: account missing"]
    sentinel = AuthSettings(operators=(BARE,), resolver=MEMORY, default_sentinel="x")
    assert validate_settings(sentinel) == ["default sentinel JWT not valid: expected 3 chunks"]


@pytest.mark.parametrize(
    ("wanted", "fault"),
    [("2.12.0", ""), ("1.99.99", ""), ("2.13.0", "minor version 13 > server minor version 12"), ("2.12.1", "update")],
)
def test_an_operator_may_insist_on_a_version(wanted, fault):
    key = KeyPair.generate(KeyKind.OPERATOR)
    token = encode(OperatorClaims(subject=key.public, assert_server_version=wanted), key)
    faults = validate_settings(AuthSettings(operators=(token,), resolver=MEMORY), server_version="2.12.0-dev")
    assert len(faults) == bool(fault)
    assert fault in "".join(faults)


def test_a_scoped_sentinel_may_be_made_a_bearer_by_its_template():
    user = UserClaims(subject=KeyPair.generate(KeyKind.USER).public, issuer_account=ACCOUNT.public)
    settings = AuthSettings(operators=(BARE,), resolver=MEMORY, default_sentinel=encode(user, ACCOUNT))
    assert validate_settings(settings) == []
