"""Accounts as a node holds them: loaded when they are needed, once, and never twice at a time (spec auth 22.2)."""

import asyncio

import pytest
from msgspec import structs

from gossamer.auth.claims import AccountClaims, AccountLimits, OperatorClaims, UserClaims, UserGrant
from gossamer.auth.decisions import Admission, Attempt, ConnectOptions
from gossamer.auth.jwt import encode
from gossamer.auth.keys import KeyKind, KeyPair
from gossamer.auth.reasons import ReasonCode
from gossamer.auth.resolver import AccountPending, ResolverError, read_account
from gossamer.auth.settings import AuthSettings, ResolverSettings
from gossamer.auth.trust import trust_of
from gossamer.mesh.accounts import live as module
from gossamer.mesh.accounts.live import LiveAccounts
from gossamer.mesh.logs.log import Log
from gossamer.mesh.peers.judge import Judge

OPERATOR, STRANGER = (KeyPair.generate(KeyKind.OPERATOR) for _ in range(2))
OPERATORS = (encode(OperatorClaims(subject=OPERATOR.public), OPERATOR, issued_at=1),)
TRUST = trust_of(AuthSettings(operators=OPERATORS))
KEY, OTHER = (KeyPair.generate(KeyKind.ACCOUNT).public for _ in range(2))
SECOND_NS = 1_000_000_000


def token(key=KEY, *, issued_at=100, signer=OPERATOR, **claims):
    made = AccountClaims(**{"subject": key, "limits": AccountLimits.fresh()} | claims)
    return encode(made, signer, issued_at=issued_at)


class Clock:
    def __init__(self):
        self.now_ns = 1_700_000_000 * SECOND_NS

    def wall_ns(self):
        return self.now_ns

    monotonic_ns = wall_ns


class Lines:
    def __init__(self):
        self.text = ""

    def write(self, line):
        self.text += line.decode()


class Resolver:
    """``here`` is at hand, ``there`` comes when ``release`` is set."""

    def __init__(self, here=None, there=None):
        self.here, self.there = here or {}, there
        self.asked, self.learnt = [], {}
        self.release = asyncio.Event()
        self.release.set()

    @property
    def asks_elsewhere(self):
        return self.there is not None

    def stored(self, key):
        found = self.here.get(key)
        if isinstance(found, Exception):
            raise found
        return found

    async def fetch(self, key):
        self.asked.append(key)
        await self.release.wait()
        found = self.there.get(key)
        if isinstance(found, Exception):
            raise found
        return found

    def learned(self, key, token):
        self.learnt[key] = token
        return token

    def place(self, key):
        return f"test of {key}"


class Room:
    def __init__(self, **resolver):
        self.clock, self.lines, self.told = Clock(), Lines(), []
        self.resolver = Resolver(**resolver)
        self.live = LiveAccounts(self.resolver, TRUST, self.clock, Log(self.clock, self.lines))
        self.live.changed = lambda key, before, now: self.told.append(
            (key, before and before.claims.issued_at, now and now.claims.issued_at)
        )

    async def known(self, key=KEY):
        """As a judge does it: the second answer counts."""
        try:
            return self.live.known(key)
        except AccountPending as pending:
            await self.live.fetch(pending.key)
            return self.live.known(key)


def test_what_is_at_hand_is_read_once():
    room = Room(here={KEY: token()})
    found = room.live.known(KEY)
    assert found.claims.subject == KEY
    assert room.live.known(KEY) is found
    assert room.told == [(KEY, None, 100)]
    assert room.live.known(OTHER) is None
    assert room.live.known("nonsense") is None
    assert list(room.live) == [KEY]


def test_many_wait_for_one_fetch():
    async def run():
        room = Room(there={KEY: token()})
        room.resolver.release.clear()
        waiting = [asyncio.create_task(room.known()) for _ in range(5)]
        await asyncio.sleep(0)
        room.resolver.release.set()
        found = await asyncio.gather(*waiting)
        assert len({id(account) for account in found}) == 1
        assert room.resolver.asked == [KEY]
        assert room.resolver.learnt == {KEY: token()}
        assert room.told == [(KEY, None, 100)]

    asyncio.run(run())


def test_who_is_not_found_is_asked_for_again_after_a_second():
    async def run():
        room = Room(there={})
        assert await room.known() is None
        assert await room.known() is None
        assert room.resolver.asked == [KEY]
        room.clock.now_ns += SECOND_NS
        room.resolver.there[KEY] = token()
        assert await room.known() is not None
        assert room.resolver.asked == [KEY, KEY]

    asyncio.run(run())


def test_a_push_ends_the_wait():
    async def run():
        room = Room(there={})
        assert await room.known() is None
        room.resolver.here[KEY] = token()
        room.live.arrived(KEY, read_account(KEY, token()))
        assert room.told == []  # nobody needs it yet
        assert await room.known() is not None

    asyncio.run(run())


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (token(signer=STRANGER), "account validation failed"),
        (token(OTHER), "it is of"),
        ("nonsense", "expected 3 chunks"),
        (ResolverError("nobody at home"), "nobody at home"),
    ],
    ids=["untrusted", "another", "nonsense", "failure"],
)
def test_what_is_not_believed(answer, text):
    async def run():
        room = Room(there={KEY: answer})
        with pytest.raises(ResolverError, match=text):
            await room.known()
        assert room.told == []
        assert room.resolver.learnt == {}
        assert text in room.lines.text

    asyncio.run(run())


def test_fetches_have_a_bound(monkeypatch):
    async def run():
        monkeypatch.setattr(module, "FETCHES_MAX", 2)
        room = Room(there={})
        room.resolver.release.clear()
        keys = [KeyPair.generate(KeyKind.ACCOUNT).public for _ in range(3)]
        for key in keys[:2]:
            with pytest.raises(AccountPending):
                room.live.known(key)
            room.live.fetch(key)
        with pytest.raises(ResolverError, match="look-ups are under way"):
            room.live.known(keys[2])
        with pytest.raises(AccountPending):
            room.live.known(keys[0])
        room.live.stop()
        await asyncio.sleep(0)

    asyncio.run(run())


def test_an_expired_account_is_asked_for_once_a_second():
    async def run():
        room = Room(there={KEY: token(expires=1_700_000_010)})
        first = await room.known()
        room.clock.now_ns += 20 * SECOND_NS
        assert await room.known() is first
        assert await room.known() is first
        assert room.resolver.asked == [KEY, KEY]
        room.resolver.there[KEY] = token(issued_at=200)
        assert await room.known() is first
        room.clock.now_ns += SECOND_NS
        assert (await room.known()).claims.issued_at == 200
        assert room.told == [(KEY, None, 100), (KEY, 100, 200)]

    asyncio.run(run())


def test_a_renewed_account_that_has_expired_too():
    async def run():
        room = Room(there={KEY: token(expires=1_700_000_010)})
        await room.known()
        room.clock.now_ns += 20 * SECOND_NS
        room.resolver.there[KEY] = token(issued_at=200, expires=1_700_000_015)
        assert (await room.known()).claims.issued_at == 200
        room.clock.now_ns += 5 * SECOND_NS
        room.resolver.there[KEY] = ResolverError("nobody at home")
        assert (await room.known()).claims.issued_at == 200
        assert room.resolver.asked == [KEY] * 3

    asyncio.run(run())


def test_who_is_wanted_is_loaded_when_it_comes():
    async def run():
        room = Room(there={})
        room.live.want(KEY)
        await room.live.fetch(KEY)
        assert room.told == []
        room.live.arrived(KEY, read_account(KEY, token()))
        room.live.arrived(OTHER, read_account(OTHER, token(OTHER)))
        assert room.told == [(KEY, None, 100)]

    asyncio.run(run())


def test_reading_again():
    room = Room(here={KEY: token(), OTHER: token(OTHER)})
    room.live.known(KEY)
    room.live.known(OTHER)
    room.told.clear()
    room.live.reread()
    assert room.told == []
    room.resolver.here = {KEY: token(issued_at=50)}
    room.live.reread()
    assert room.told == [(KEY, 100, 50), (OTHER, 100, None)]
    assert "rolled back" in room.lines.text
    room.resolver.here[KEY] = ResolverError("disk on fire")
    room.live.reread()
    assert room.live.loaded(KEY) is not None
    assert "disk on fire; the account stays as it was" in room.lines.text


def test_a_look_up_that_breaks_is_a_failure_like_any_other():
    async def run():
        room = Room(there={KEY: ZeroDivisionError("broken")})
        with pytest.raises(ResolverError, match="broken"):
            await room.known()
        assert "Internal error" in room.lines.text
        with pytest.raises(ResolverError):
            await room.known()
        assert room.resolver.asked == [KEY]

    asyncio.run(run())


BAD = {
    "nobody trusts its signer": token(issued_at=300, signer=STRANGER),
    "not valid": token(issued_at=300, mappings={"a..b": ()}),
}


@pytest.mark.parametrize("bad", BAD)
def test_what_lies_in_the_store_and_is_not_to_be_believed_shares_nothing(bad):
    """Its users get to know why they are refused; but it is never held, so that it neither exports nor imports."""
    room = Room(here={KEY: BAD[bad]})
    assert room.live.known(KEY).token == BAD[bad]
    room.live.want(KEY)
    assert (room.told, room.live.loaded(KEY)) == ([], None)
    room.live.arrived(KEY, read_account(KEY, token()))
    assert room.told == [(KEY, None, 100)]
    room.live.reread()
    assert room.live.loaded(KEY).token == token()
    assert "the account stays as it was" in room.lines.text


def test_an_expired_account_is_not_renewed_by_what_is_not_to_be_believed():
    room = Room(here={KEY: token(expires=1_600_000_000)})
    room.live.known(KEY)
    room.resolver.here = {KEY: token(issued_at=300, signer=STRANGER)}
    room.clock.now_ns += 2 * SECOND_NS
    assert room.live.known(KEY).claims.issuer == OPERATOR.public


def test_a_verdict_stands_as_long_as_the_account_is_the_same():
    async def run():
        user, key = KeyPair.generate(KeyKind.USER), KeyPair.generate(KeyKind.ACCOUNT)
        room = Room(there={key.public: token(key.public)})
        settings = AuthSettings(operators=OPERATORS, resolver=ResolverSettings(kind="memory"))
        judge = Judge(settings, room.clock, room.live)
        grant = structs.replace(UserGrant.fresh(), bearer_token=True)
        jwt = encode(UserClaims(subject=user.public, grant=grant), key, issued_at=100)
        attempt = Attempt(connect=ConnectOptions(jwt=jwt), client_host="127.0.0.1")
        admission = await judge.verdict(attempt)
        assert isinstance(admission, Admission)
        assert judge.stands(admission)
        room.live.update(key.public, read_account(key.public, token(key.public)))
        assert judge.stands(admission)  # nothing has changed
        revoked = token(key.public, issued_at=101, revocations={user.public: 100})
        room.live.update(key.public, read_account(key.public, revoked))
        assert not judge.stands(admission)
        refusal = judge.verdict(attempt)
        assert refusal.reason.code is ReasonCode.REVOKED
        assert judge.stands(refusal)
        room.live.drop(key.public)
        assert not judge.stands(admission)

    asyncio.run(run())
