"""Users of a configuration, and none at all (spec auth sections 8.3 and 9)."""

import bcrypt
import pytest

from gossamer.auth.authenticator import Authenticator
from gossamer.auth.decisions import Admission, Attempt, ConnectOptions, Method, Refusal
from gossamer.auth.jwt import encode_signature
from gossamer.auth.keys import KeyKind, KeyPair
from gossamer.auth.passwords import is_hash, password_matches
from gossamer.auth.permissions import Permissions, SubjectPermissions
from gossamer.auth.reasons import Reason, ReasonCode
from gossamer.auth.settings import AccountLimits, AccountSettings, AuthSettings, UserSettings

NOW = 1_800_000_000
NONCE = b"C4EkQaPU8VTa0tA"
KEY = KeyPair.generate(KeyKind.USER)
SIGNED = {"nkey": KEY.public, "sig": encode_signature(KEY.sign(NONCE))}
HASH = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
ONLY_A = Permissions(publish=SubjectPermissions(allow=("a",)))
ONLY_B = Permissions(publish=SubjectPermissions(allow=("b",)))


def decide(settings, connection_type="STANDARD", **connect):
    attempt = Attempt(connect=ConnectOptions(**connect), nonce=NONCE, connection_type=connection_type)
    return Authenticator(settings).decide(attempt, NOW)


def refused(decision, code):
    assert isinstance(decision, Refusal), decision
    assert decision.reason.code == code, decision.reason
    assert decision.error == "Authorization Violation"
    return decision


def admitted(decision, method, account="$G"):
    assert isinstance(decision, Admission), decision
    assert (decision.method, decision.account) == (method, account)
    return decision


def test_an_open_server_asks_nobody():
    node = Authenticator(AuthSettings())
    assert not (node.required)
    assert not (node.announced)
    assert not (node.offers_nonce)
    assert node.no_auth_admission.account == "$G"
    assert admitted(decide(AuthSettings(), user="x", password="y", jwt="z"), Method.NONE).user == "x"
    refused(decide(AuthSettings(), account="x"), ReasonCode.ACCOUNT_NAMED)
    assert not node.slow(Attempt(connect=ConnectOptions(user="x")))
    # A password without a user is no authorization.
    assert not Authenticator(AuthSettings(password="x")).required


def test_a_token():
    settings = AuthSettings(token="s3cret", default_permissions=ONLY_A)
    admission = admitted(decide(settings, auth_token="s3cret"), Method.TOKEN)
    assert admission.user == "[REDACTED]"
    assert admission.permissions == ONLY_A
    refused(decide(settings, auth_token="other"), ReasonCode.TOKEN_WRONG)
    decision = refused(decide(settings, user="s3cret"), ReasonCode.CREDENTIALS_MISSING)
    assert "s3cret" not in str(decision.reason)
    hashed = AuthSettings(token=HASH)
    admitted(decide(hashed, auth_token="secret"), Method.TOKEN)
    refused(decide(hashed, auth_token=HASH), ReasonCode.TOKEN_WRONG)
    assert Authenticator(hashed).slow(Attempt(connect=ConnectOptions(auth_token="x")))
    assert not Authenticator(hashed).slow(Attempt(connect=ConnectOptions()))
    assert not Authenticator(settings).slow(Attempt(connect=ConnectOptions(auth_token="x")))


def test_a_single_user():
    settings = AuthSettings(user="u", password="p")
    assert admitted(decide(settings, user="u", password="p"), Method.USER).user == "u"
    refused(decide(settings, user="u", password="q"), ReasonCode.PASSWORD_WRONG)
    refused(decide(settings, user="v", password="p"), ReasonCode.USER_UNKNOWN)
    refused(decide(settings), ReasonCode.CREDENTIALS_MISSING)
    hashed = AuthSettings(user="u", password=HASH)
    admitted(decide(hashed, user="u", password="secret"), Method.USER)
    refused(decide(hashed, user="u", password=HASH), ReasonCode.PASSWORD_WRONG)
    assert Authenticator(hashed).slow(Attempt(connect=ConnectOptions(user="u")))
    assert not Authenticator(hashed).slow(Attempt(connect=ConnectOptions(user="v")))


def test_users_and_accounts():
    limits = AccountLimits(max_subscriptions=3, max_payload=10, max_connections=2)
    settings = AuthSettings(
        users=(
            UserSettings(name="a", password="x", account="A", place="node.conf:3:5"),
            UserSettings(name="b", password=HASH, account="B", permissions=ONLY_B, place="node.conf:7:5"),
            UserSettings(name="g", password=""),
        ),
        accounts=(AccountSettings(name="A", default_permissions=ONLY_A, limits=limits), AccountSettings(name="B")),
        default_permissions=ONLY_B,
    )
    admission = admitted(decide(settings, user="a", password="x"), Method.USER, "A")
    assert admission.permissions == ONLY_A
    assert admission.permissions_place == 'default_permissions of account "A"'
    assert admission.default_permissions
    assert (admission.max_subscriptions, admission.max_payload) == (3, 10)
    assert admission.account_limits == limits
    admission = admitted(decide(settings, user="b", password="secret"), Method.USER, "B")
    assert admission.permissions == ONLY_B
    assert admission.permissions_place == "node.conf:7:5"
    assert not admission.default_permissions
    assert admitted(decide(settings, user="g"), Method.USER).permissions_place == "authorization.default_permissions"
    decision = refused(decide(settings, user="a", password="y"), ReasonCode.PASSWORD_WRONG)
    assert decision.reason.place == "node.conf:3:5"
    assert (decision.user, decision.account) == ("a", "A")
    refused(decide(settings, user="c", password="x"), ReasonCode.USER_UNKNOWN)
    refused(decide(settings, password="x"), ReasonCode.USER_UNKNOWN)
    refused(decide(settings), ReasonCode.CREDENTIALS_MISSING)
    refused(decide(settings, **SIGNED), ReasonCode.USER_UNKNOWN)
    node = Authenticator(settings)
    assert node.slow(Attempt(connect=ConnectOptions(user="b")))
    assert not node.slow(Attempt(connect=ConnectOptions(user="a")))
    assert node.required
    assert not node.offers_nonce
    assert node.system_account == "$SYS"
    assert Authenticator(AuthSettings(no_system_account=True)).system_account == ""


def test_nkey_users():
    settings = AuthSettings(users=(UserSettings(nkey=KEY.public, account="A"), UserSettings(name="u", password="p")))
    assert Authenticator(settings).offers_nonce
    assert admitted(decide(settings, **SIGNED), Method.NKEY, "A").user == KEY.public
    refused(decide(settings, nkey=KEY.public), ReasonCode.SIGNATURE_MISSING)
    refused(decide(settings, nkey=KEY.public, sig="AAAA"), ReasonCode.SIGNATURE_WRONG)
    other = KeyPair.generate(KeyKind.USER)
    signed = {"nkey": other.public, "sig": encode_signature(other.sign(NONCE))}
    refused(decide(settings, **signed), ReasonCode.NKEY_UNKNOWN)
    refused(decide(settings, nkey=KEY.public, sig=signed["sig"]), ReasonCode.SIGNATURE_WRONG)
    admitted(decide(settings, user="u", password="p"), Method.USER)
    refused(decide(settings, user=KEY.public), ReasonCode.USER_UNKNOWN)


@pytest.mark.parametrize("name", ["guest", KEY.public], ids=["name", "nkey"])
def test_no_auth_user(name):
    users = (
        UserSettings(name="guest", password="p", account="A", permissions=ONLY_A),
        UserSettings(nkey=KEY.public, account="A", permissions=ONLY_A),
    )
    settings = AuthSettings(users=users, no_auth_user=name)
    node = Authenticator(settings)
    assert node.required
    assert not node.announced
    assert node.no_auth_admission.user == name
    assert admitted(decide(settings), Method.NO_AUTH_USER, "A").permissions == ONLY_A
    admitted(decide(settings, jwt="ignored"), Method.NO_AUTH_USER, "A")
    refused(decide(settings, user="guest", password="wrong"), ReasonCode.PASSWORD_WRONG)
    refused(decide(settings, password="p"), ReasonCode.USER_UNKNOWN)
    refused(decide(settings, auth_token="p"), ReasonCode.USER_UNKNOWN)
    refused(decide(settings, nkey=KEY.public), ReasonCode.SIGNATURE_MISSING)
    plain = AuthSettings(users=users[:1], no_auth_user="guest")
    refused(decide(plain, nkey=KEY.public), ReasonCode.USER_UNKNOWN)


def test_users_of_the_system_account_alone_leave_the_door_open():
    settings = AuthSettings(users=(UserSettings(name="admin", password="p", account="$SYS"),))
    node = Authenticator(settings)
    assert node.announced
    assert node.no_auth_admission.account == "$G"
    admitted(decide(settings), Method.NO_AUTH_USER)
    admitted(decide(settings, user="admin", password="p"), Method.USER, "$SYS")
    refused(decide(settings, user="admin", password="q"), ReasonCode.PASSWORD_WRONG)
    both = AuthSettings(users=(*settings.users, UserSettings(name="u")))
    assert Authenticator(both).no_auth_admission is None


def test_connection_types():
    settings = AuthSettings(
        users=(
            UserSettings(name="w", connection_types=("WEBSOCKET", "MQTT")),
            UserSettings(nkey=KEY.public, connection_types=("LEAFNODE",)),
        )
    )
    decision = refused(decide(settings, user="w"), ReasonCode.CONNECTION_TYPE)
    assert decision.reason.rule == "allowed_connection_types WEBSOCKET, MQTT"
    admitted(decide(settings, connection_type="WEBSOCKET", user="w"), Method.USER)
    refused(decide(settings, **SIGNED), ReasonCode.CONNECTION_TYPE)
    admitted(decide(settings, connection_type="LEAFNODE", **SIGNED), Method.NKEY)


def test_proxies():
    proxy = KeyPair.generate(KeyKind.SERVER)
    through = {"proxy_sig": encode_signature(proxy.sign(NONCE))}
    users = (UserSettings(name="p", proxy_required=True), UserSettings(name="f"))
    settings = AuthSettings(users=users, trusted_proxies=(proxy.public,))
    assert Authenticator(settings).offers_nonce
    assert refused(decide(settings, user="p"), ReasonCode.PROXY_REQUIRED).close_reason == "PROXY_REQUIRED"
    assert decide(settings, user="p", **through).proxy == proxy.public
    assert decide(settings, user="f").proxy == ""
    bad = {"proxy_sig": encode_signature(KEY.sign(NONCE))}
    assert refused(decide(settings, user="f", **bad), ReasonCode.PROXY_NOT_TRUSTED).close_reason == "PROXY_NOT_TRUSTED"
    # Where nobody is trusted the field means nothing.
    admitted(decide(AuthSettings(users=users), user="f", **bad), Method.USER)
    everybody = AuthSettings(proxy_required=True, trusted_proxies=(proxy.public,))
    assert Authenticator(everybody).required
    assert Authenticator(everybody).no_auth_admission is None
    refused(decide(everybody), ReasonCode.PROXY_REQUIRED)
    admitted(decide(everybody, **through), Method.NONE)
    guest = AuthSettings(users=users, no_auth_user="p", trusted_proxies=(proxy.public,))
    assert Authenticator(guest).no_auth_admission is None


def test_passwords():
    assert is_hash(HASH)
    assert not is_hash("$2b$")
    assert password_matches("", "")
    assert not password_matches("a", "")
    assert password_matches("é\ud800", "é\ud800")
    for letter in "abxy":
        assert password_matches(f"$2{letter}${HASH[4:]}", "secret")
    long = "x" * 72
    assert password_matches(bcrypt.hashpw(long.encode(), bcrypt.gensalt(4)).decode(), long + "more")
    assert not password_matches("$2b$04$broken", "secret")
    assert not password_matches(HASH, "sec\0ret")


def test_a_reason_is_one_line():
    reason = Reason(code=ReasonCode.REVOKED, text="gone", rule="revocations", place="x.jwt", signer="O1")
    assert str(reason) == "gone; rule: revocations; at x.jwt; signed by O1"
    assert str(Reason(code=ReasonCode.REVOKED, text="gone")) == "gone"
