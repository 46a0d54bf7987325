"""Clients where authentication is required: verdicts become engine calls (spec client-protocol 5.2 and 17)."""

import asyncio
import base64
import json
from typing import Any

import bcrypt
import pytest

from gossamer.auth.keys import KeyKind, KeyPair
from gossamer.auth.permissions import Permissions, ResponsePermissions, SubjectPermissions
from gossamer.auth.settings import AccountLimits, AccountSettings, AuthSettings, UserSettings
from gossamer.mesh.engine.events import Denied
from gossamer.mesh.engine.kinds import Action, CloseReason
from gossamer.mesh.peers.judge import Judge

VIOLATION = (b"Authorization Violation", CloseReason.AUTHENTICATION_VIOLATION)
PERMISSIONS = Permissions(
    publish=SubjectPermissions(allow=("ok.>",), deny=("ok.no",)),
    subscribe=SubjectPermissions(allow=("s.>", "qq g1"), deny=("s.deny",)),
    responses=ResponsePermissions(max_messages=3, ttl_ns=5),
)
USERS = AuthSettings(
    users=(
        UserSettings(name="a", password="pa", account="A", permissions=PERMISSIONS),
        UserSettings(name="b", password="pb", account="A", permissions=PERMISSIONS),
        UserSettings(name="c", password="pc", account="B"),
    ),
    accounts=(AccountSettings(name="A", limits=AccountLimits(max_connections=2)), AccountSettings(name="B")),
)


def connect(**fields: Any) -> bytes:
    return json.dumps({"verbose": False, "protocol": 1} | fields).encode()


def test_the_first_verb_must_be_connect(make_desk: Any) -> None:
    desk = make_desk(USERS)
    assert desk.judge.required
    assert desk.judge.timeout_ns == 2_000_000_000
    assert desk.refusal(desk.hello(None)) == VIOLATION


@pytest.mark.parametrize(
    "fields",
    [{}, {"user": "a"}, {"user": "a", "pass": "no"}, {"user": "nobody", "pass": "pa"}, {"auth_token": "pa"}],
)
def test_wrong_credentials(make_desk: Any, fields: dict[str, str]) -> None:
    desk = make_desk(USERS)
    link = desk.hello(connect(**fields))
    assert desk.refusal(link) == VIOLATION
    assert desk.admission(link) is None
    (refused,) = desk.clients.refusals
    assert (refused.link, refused.error, refused.user) == (link, "Authorization Violation", fields.get("user", ""))
    assert refused.because.code in ("user_unknown", "password_wrong", "credentials_missing")
    assert refused.because.text
    line = next(line for line in desk.lines.lines if "authentication error" in line)
    assert "pa" not in line.split("authentication error")[1].replace("password", "")


def test_a_user_lands_in_its_account_with_its_permissions(make_desk: Any) -> None:
    desk = make_desk(USERS)
    link = desk.hello(connect(user="a", **{"pass": "pa"}))
    admission = desk.admission(link)
    assert admission["account"] == desk.accounts.find("A").number
    (compiled,) = desk.engine.of("permissions")
    assert admission["permissions"] == compiled.pop("number")
    assert compiled == {
        "publish_allow": [b"ok.>"],
        "publish_deny": [b"ok.no"],
        "subscribe_allow": [(b"s.>", b""), (b"qq", b"g1")],
        "subscribe_deny": [(b"s.deny", b"")],
        "response_max": 3,
        "response_ttl_ns": 5,
    }
    info = json.loads(admission["info_after_pong"][5:])
    assert info["remote_account"] == "A"
    assert desk.clients.find(link).user == "a"


def test_equal_permissions_are_compiled_once_and_forgotten_with_the_last_user(make_desk: Any) -> None:
    desk = make_desk(USERS)
    first, second = desk.hello(connect(user="a", **{"pass": "pa"})), desk.hello(connect(user="b", **{"pass": "pb"}))
    assert len(desk.engine.of("permissions")) == 1
    assert desk.admission(first)["permissions"] == desk.admission(second)["permissions"]
    desk.close(first)
    assert not desk.engine.of("remove_permissions")
    desk.close(second)
    assert desk.engine.last("remove_permissions") == {"permissions": desk.admission(first)["permissions"]}
    assert len(desk.clients.permissions) == 0


def test_the_accounts_limit(make_desk: Any) -> None:
    desk = make_desk(USERS)
    for _ in range(2):
        assert desk.admission(desk.hello(connect(user="a", **{"pass": "pa"})))
    assert desk.refusal(desk.hello(connect(user="b", **{"pass": "pb"}))) == (
        b"maximum account active connections exceeded",
        CloseReason.MAX_ACCOUNT_CONNECTIONS_EXCEEDED,
    )
    assert desk.admission(desk.hello(connect(user="c", **{"pass": "pc"})))


def test_a_second_connect_changes_the_user(make_desk: Any) -> None:
    desk = make_desk(USERS)
    link = desk.hello(connect(user="a", **{"pass": "pa"}))
    desk.hello(connect(user="c", **{"pass": "pc"}), link=link, again=True)
    assert desk.admission(link)["account"] == desk.accounts.find("B").number
    assert desk.admission(link)["permissions"] == 0
    assert desk.accounts.find("A").clients == 0
    assert desk.accounts.find("B").clients == 1
    assert desk.engine.of("remove_permissions")


def test_no_auth_user(make_desk: Any) -> None:
    settings = AuthSettings(users=USERS.users, accounts=USERS.accounts, no_auth_user="c")
    desk = make_desk(settings)
    assert not desk.judge.announced
    assert desk.judge.timeout_ns == 0
    silent = desk.hello(None)
    assert desk.admission(silent)["account"] == desk.accounts.find("B").number
    assert desk.admission(silent)["verbose"]
    assert desk.admission(desk.hello(connect()))["account"] == desk.accounts.find("B").number
    assert desk.refusal(desk.hello(connect(user="a", **{"pass": "no"}))) == VIOLATION


def test_an_nkey_signs_the_nonce(make_desk: Any) -> None:
    key = KeyPair.generate(KeyKind.USER)
    desk = make_desk(AuthSettings(users=(UserSettings(nkey=key.public),)))
    assert desk.judge.wants_nonce
    signature = base64.urlsafe_b64encode(key.sign(b"nonce")).rstrip(b"=").decode()
    link = desk.hello(connect(nkey=key.public, sig=signature), nonce=b"nonce")
    assert desk.admission(link)
    assert desk.clients.find(link).user == key.public
    assert desk.refusal(desk.hello(connect(nkey=key.public, sig=signature), nonce=b"other")) == VIOLATION


def test_a_password_hash_is_computed_in_a_thread(make_desk: Any) -> None:
    hashed = bcrypt.hashpw(b"pa", bcrypt.gensalt(4)).decode()

    async def check() -> None:
        desk = make_desk(AuthSettings(users=(UserSettings(name="a", password=hashed),)))
        right = desk.hello(connect(user="a", **{"pass": "pa"}))
        wrong = desk.hello(connect(user="a", **{"pass": "no"}))
        gone = desk.hello(connect(user="a", **{"pass": "pa"}))
        assert desk.admission(right) is None
        assert desk.refusal(wrong) is None
        desk.close(gone)
        await asyncio.wait(desk.clients.pending)
        await asyncio.sleep(0)
        assert desk.refusal(wrong) == VIOLATION
        assert desk.admission(gone) is None
        assert desk.accounts.global_account.clients == 1
        desk.judge.stop()

    asyncio.run(check())


@pytest.mark.parametrize("cancelled", [False, True])
def test_nobody_comes_in_by_rules_that_were_replaced_meanwhile(make_desk: Any, cancelled: bool) -> None:
    """A reload takes a user away, or changes its account, while its password hash is being computed."""
    hashed = bcrypt.hashpw(b"pa", bcrypt.gensalt(4)).decode()

    async def check() -> None:
        accounts = (AccountSettings(name="A"), AccountSettings(name="B"))
        users = tuple(UserSettings(name=name, password=hashed, account="A") for name in ("a", "b"))
        desk = make_desk(AuthSettings(users=users, accounts=accounts))
        removed = desk.hello(connect(user="a", **{"pass": "pa"}))
        moved = desk.hello(connect(user="b", **{"pass": "pa"}))
        now = (UserSettings(name="b", password=hashed, account="B"),)
        before = desk.clients.judge
        desk.clients.judge = Judge(AuthSettings(users=now, accounts=accounts), desk.clock)
        if cancelled:
            for future in desk.clients.pending:
                future.cancel()
        while desk.clients.pending:
            await asyncio.wait(desk.clients.pending)
            await asyncio.sleep(0)
        assert desk.admission(removed) is None
        assert desk.refusal(removed) == VIOLATION
        assert desk.admission(moved)["account"] == desk.accounts.find("B").number
        before.stop()
        desk.clients.judge.stop()

    asyncio.run(check())


def test_a_verdict_that_does_not_stand_is_made_again(make_desk: Any) -> None:
    """What it rested on (an account's JWT) changes after it was made and before it is carried out."""
    hashed = bcrypt.hashpw(b"pa", bcrypt.gensalt(4)).decode()

    async def check() -> None:
        desk = make_desk(AuthSettings(users=(UserSettings(name="a", password=hashed),)))
        judge, asked = desk.judge, []
        judge.stands = lambda verdict: bool(asked.append(desk.admission(link))) or len(asked) > 1
        link = desk.hello(connect(user="a", **{"pass": "pa"}))
        while desk.clients.pending:
            await asyncio.wait(desk.clients.pending)
            await asyncio.sleep(0)
        assert asked == [None, None]  # the first did not let it in
        assert desk.admission(link) is not None
        assert desk.accounts.global_account.clients == 1
        judge.stop()

    asyncio.run(check())


def test_a_denial_names_the_rule(make_desk: Any) -> None:
    desk = make_desk(USERS)
    link = desk.hello(connect(user="a", **{"pass": "pa"}))
    desk.clients.denied(Denied(link, Action.PUBLISH, b"ok.no", b"", 0))
    desk.clients.denied(Denied(link, Action.SUBSCRIBE, b"qq", b"g2", 7))
    first, second = desk.clients.denials
    assert (first.account, first.user, first.action, first.subject) == ("A", "a", Action.PUBLISH, "ok.no")
    assert 'deny "ok.no"' in first.rule
    assert (second.subject, second.queue) == ("qq", "g2")
    assert second.rule
    assert desk.clients.denials.total == 9
    assert any('Publish Violation - User "a", Subject "ok.no"' in line for line in desk.lines.lines)
    assert any('Subscription Violation - User "a", Subject "qq", Queue "g2"' in line for line in desk.lines.lines)


def test_credentials_are_kept_for_a_reload_also_on_an_open_server(desk: Any) -> None:
    client = desk.clients.find(desk.hello(connect(user="a", **{"pass": "secret"})))
    assert client.named
    assert client.attempt.connect.password == "secret"
    assert client.user == ""
    nobody = desk.clients.find(desk.hello(connect()))
    assert nobody.attempt is None
    assert not nobody.named


def test_a_second_connect_leaves_out_what_the_first_said(make_desk: Any) -> None:
    desk = make_desk(USERS)
    link = desk.hello(connect(user="c", pedantic=True, echo=False, name="n", **{"pass": "pc"}))
    desk.hello(b'{"headers":true}', link=link, again=True)
    admission = desk.admission(link)
    assert admission["account"] == desk.accounts.find("B").number
    assert (admission["verbose"], admission["pedantic"], admission["echo"]) == (False, True, False)
    assert admission["headers"]
    assert desk.clients.find(link).name == "n"
    desk.hello(b'{"PASS":"wrong"}', link=link, again=True)
    assert desk.refusal(link) == VIOLATION
