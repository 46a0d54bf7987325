"""Accounts known by their JWT, as this node holds them: read once, kept while it lives, replaced when they change.

An account is loaded when its first user comes or another account imports from it: from the node's own store at once,
from elsewhere (other nodes, an HTTP server) in the background; meanwhile whoever needs it waits. ``changed`` is told of
everything that comes, changes or goes.
"""

import asyncio
from collections.abc import Callable, Iterator
from typing import Protocol

from gossamer.auth.keys import KeyKind, is_public
from gossamer.auth.resolver import AccountPending, KnownAccount, ResolverError, read_account
from gossamer.auth.trust import Trust
from gossamer.mesh.logs.log import Log
from gossamer.mesh.world import Clock

_SECOND_NS = 1_000_000_000
#: An account that was not found, or has expired, is asked for again after this long.
ASK_AGAIN_NS = _SECOND_NS
#: Fetches under way at a time, and failures remembered: beyond it newcomers are told that the account is not known.
FETCHES_MAX = 1000
#: Accounts remembered that others want to import from and nobody knows.
WANTED_MAX = 100_000
_SLOW_NS = _SECOND_NS

#: Told of an account: its key, what it was (None: it comes), what it is (None: it goes).
Changed = Callable[[str, KnownAccount | None, KnownAccount | None], None]


class Resolver(Protocol):
    """Where the JWTs come from."""

    @property
    def asks_elsewhere(self) -> bool:
        """May ``fetch`` find what ``stored`` does not?"""

    def stored(self, key: str) -> str | None:
        """The JWT, from what is at hand. Raises ResolverError."""

    async def fetch(self, key: str) -> str | None:
        """The JWT, from elsewhere. Raises ResolverError."""

    def learned(self, key: str, token: str) -> str:
        """A JWT that was fetched and may be believed: keep it, unless there is a newer one; returns the newer."""

    def place(self, key: str) -> str:
        """Where an account's JWT stands, for reasons."""


class LiveAccounts:
    """A ``DecodedSource``: what the judge asks."""

    def __init__(self, resolver: Resolver, trust: Trust, clock: Clock, log: Log) -> None:
        """``changed`` is to be set before the first account comes."""
        self.resolver = resolver
        self.trust = trust
        self.changed: Changed = lambda key, before, now: None
        self.stand_in: KnownAccount | None = None  # the system account, while nobody has pushed it
        self._clock = clock
        self._log = log
        self._known: dict[str, KnownAccount] = {}
        self._failures: dict[str, tuple[int, ResolverError | None]] = {}
        self._asked_ns: dict[str, int] = {}
        self._fetches: dict[str, asyncio.Task[KnownAccount | None]] = {}
        self._wanted: dict[str, None] = {}

    def __iter__(self) -> Iterator[str]:
        """The keys of the accounts that are loaded."""
        return iter(list(self._known))

    def __len__(self) -> int:
        return len(self._known)

    def loaded(self, key: str) -> KnownAccount | None:
        """The account, if it is loaded."""
        return self._known.get(key)

    def place(self, key: str) -> str:
        """Where its JWT stands."""
        return self.resolver.place(key)

    # --- loading ------------------------------------------------------------------------------------------------
    def known(self, key: str) -> KnownAccount | None:
        """The account, loaded now if that can be done at once; None: it is not known.

        Raises AccountPending when it must be fetched first, ResolverError."""
        found = self._known.get(key)
        if found is not None and not self._expired(found):
            return found
        if not is_public(key, KeyKind.ACCOUNT):
            return None
        now_ns = self._clock.monotonic_ns()
        if found is not None:
            return self._renewed(key, found, now_ns)
        found = self._read_stored(key)
        if found is None and self.stand_in is not None and self.stand_in.claims.subject == key:
            found = self.stand_in
        if found is not None:
            if not self._believable(found):
                return found  # for whoever says why nobody comes in; it shares nothing, and is not held
            self.update(key, found)
            return found
        if not self.resolver.asks_elsewhere:
            return None
        failed_ns, error = self._failures.get(key, (-ASK_AGAIN_NS, None))
        if now_ns - failed_ns < ASK_AGAIN_NS:
            if error is not None:
                raise error
            return None
        if key not in self._fetches and len(self._fetches) >= FETCHES_MAX:
            raise ResolverError(f"account {key} was not looked for: {FETCHES_MAX} look-ups are under way")
        raise AccountPending(key)

    def fetch(self, key: str) -> "asyncio.Task[KnownAccount | None]":
        """Load an account from elsewhere; the task ends when that has succeeded or failed, and raises nothing."""
        task = self._fetches.get(key)
        if task is None:
            task = self._fetches[key] = asyncio.get_running_loop().create_task(self._fetch(key))
            task.add_done_callback(lambda done: self._fetches.pop(key, None))
        return task

    def want(self, key: str) -> None:
        """Load an account as soon as it can be had; ``changed`` tells when it is there."""
        try:
            if self.known(key) is None or key not in self._known:
                self._wanted[key] = None
                if len(self._wanted) > WANTED_MAX:
                    del self._wanted[next(iter(self._wanted))]
        except AccountPending:
            self._wanted[key] = None
            self.fetch(key)
        except ResolverError as error:
            self._log.warning(str(error))

    def stop(self) -> None:
        """Nothing is fetched any more."""
        for task in list(self._fetches.values()):
            task.cancel()

    # --- changes ------------------------------------------------------------------------------------------------
    def update(self, key: str, account: KnownAccount) -> bool:
        """This is the account now. False: it has not changed."""
        before = self._known.get(key)
        if before is not None and before.token == account.token:
            return False
        self._known[key] = account
        self._wanted.pop(key, None)
        self._failures.pop(key, None)
        self._asked_ns.pop(key, None)
        if before is not None and account.claims.issued_at < before.claims.issued_at:
            self._log.warning(
                f"Account {key} was rolled back: its new JWT was issued at {account.claims.issued_at}, the one before "
                f"at {before.claims.issued_at}, {before.claims.issued_at - account.claims.issued_at} s later"
            )
        self.changed(key, before, account)
        return True

    def drop(self, key: str) -> bool:
        """The account is no more. False: it was not loaded."""
        before = self._known.pop(key, None)
        if before is None:
            return False
        self._asked_ns.pop(key, None)
        self.changed(key, before, None)
        return True

    def arrived(self, key: str, account: KnownAccount) -> None:
        """There is a new JWT at hand: whoever is loaded, or wanted, follows it; else it waits for its first user."""
        self._failures.pop(key, None)
        if key in self._known or key in self._wanted:
            self.update(key, account)

    def reread(self) -> None:
        """Hold everything that is loaded against what is at hand now: accounts that are gone are dropped."""
        for key in self:
            try:
                found = self._read_stored(key)
            except ResolverError as error:
                self._log.error(f"{error}; the account stays as it was")
                continue
            if found is not None and not self._believable(found):
                place = self.place(key)
                self._log.error(f"{place} is not valid or not signed by a trusted key; the account stays as it was")
            elif found is not None:
                self.update(key, found)
            elif not self.resolver.asks_elsewhere:
                self.drop(key)

    # --- inside -------------------------------------------------------------------------------------------------
    def _expired(self, account: KnownAccount) -> bool:
        return 0 < account.claims.expires * _SECOND_NS < self._clock.wall_ns()

    def _renewed(self, key: str, found: KnownAccount, now_ns: int) -> KnownAccount:
        """An account that has expired: perhaps there is a newer JWT. Raises AccountPending."""
        if now_ns - self._asked_ns.get(key, -ASK_AGAIN_NS) < ASK_AGAIN_NS:
            return found
        self._asked_ns[key] = now_ns
        try:
            stored = self._read_stored(key)
        except ResolverError:
            stored = None
        if stored is not None and stored.rank > found.rank and self._believable(stored):
            self.update(key, stored)
            return stored
        if self.resolver.asks_elsewhere and len(self._fetches) < FETCHES_MAX:
            raise AccountPending(key)
        return found

    def _read_stored(self, key: str) -> KnownAccount | None:
        token = self.resolver.stored(key)
        if token is None:
            return None
        known = self._known.get(key)
        return known if known is not None and known.token == token else read_account(key, token)

    async def _fetch(self, key: str) -> KnownAccount | None:
        begun_ns = self._clock.monotonic_ns()
        error: ResolverError | None = None
        try:
            token = await self.resolver.fetch(key)
            if token is not None:
                found = self._believed(key, token)
                newer = self.resolver.learned(key, token)
                if newer != found.token:
                    found = self._believed(key, newer)
                held = self._known.get(key)
                if held is None or found.rank > held.rank:
                    self.update(key, found)
                if self._expired(self._known[key]):  # there is no better one yet
                    self._asked_ns[key] = self._clock.monotonic_ns()
                return self._known[key]
        except ResolverError as trouble:
            error = trouble
            self._log.warning(f"Account fetch failed: {trouble}")
        except Exception as trouble:  # a bug; whoever waits is to be told, and not to ask at once again
            error = ResolverError(f"account {key} could not be looked for: {trouble!r}; please report it")
            self._log.error(f"Internal error: {error}")
        finally:
            took_ns = self._clock.monotonic_ns() - begun_ns
            if took_ns > _SLOW_NS:
                self._log.warning(f"Account [{key}] fetch took {took_ns / _SECOND_NS:.3f} s")
        if key in self._known:
            self._asked_ns[key] = self._clock.monotonic_ns()
            return None
        if len(self._failures) >= FETCHES_MAX:
            self._failures.pop(next(iter(self._failures)))
        self._failures[key] = (self._clock.monotonic_ns(), error)
        return None

    def _believable(self, account: KnownAccount) -> bool:
        return account.claims.issuer in self.trust.keys and not account.blocked

    def _believed(self, key: str, token: str) -> KnownAccount:
        """Raises ResolverError for what nobody we trust has signed, and for what is not valid."""
        found = read_account(key, token)
        if found.claims.issuer not in self.trust.keys:
            text = f"account validation failed: {key} was signed by {found.claims.issuer}, which is not trusted"
            raise ResolverError(text, damaged=True)
        if found.blocked:
            raise ResolverError(f"account validation failed: {key}: {'; '.join(found.blocked)}", damaged=True)
        return found
