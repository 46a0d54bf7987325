"""The resolvers with a directory: full (every account, kept equal with other nodes) and cache (what was asked for)."""

from collections.abc import Awaitable, Callable, Iterable

from gossamer.auth.resolver import KnownAccount, ResolverError, rank_of, read_account
from gossamer.mesh.logs.log import Log
from gossamer.mesh.resolvers.store import DirectoryStore

LookUp = Callable[[str], Awaitable[str | None]]


class DirectoryResolver:
    """``look_up`` asks other nodes, once the node has a system account to ask on."""

    def __init__(self, store: DirectoryStore, log: Log, preload: Iterable[tuple[str, str]] = ()) -> None:
        """Preloads are written as if learned from another node: unless the store has something newer."""
        self.store = store
        self.look_up: LookUp | None = None
        self._log = log
        self.preload(preload)

    @property
    def asks_elsewhere(self) -> bool:
        """See Resolver."""
        return self.look_up is not None

    def preload(self, preload: Iterable[tuple[str, str]]) -> None:
        """Write what is newer than what the store has."""
        for key, token in preload:
            token = token.strip()
            try:
                self.store.write_newer(key, token, read_account(key, token).rank)
            except ResolverError as error:
                self._log.error(f"resolver_preload of {key}: {error}")

    def stored(self, key: str) -> str | None:
        """See Resolver."""
        return self.store.read(key)

    async def fetch(self, key: str) -> str | None:
        """See Resolver."""
        return await self.look_up(key) if self.look_up is not None else None

    def learned(self, key: str, token: str) -> str:
        """See Resolver. A store that is full or broken keeps nothing; the account is used all the same."""
        token = token.strip()
        try:
            if not self.store.write_newer(key, token, read_account(key, token).rank):
                return self.store.read(key) or token
        except ResolverError as error:
            self._log.error(str(error))
        return token

    def keep_newer(self, key: str, account: KnownAccount) -> bool:
        """Keep an account unless there is one as new; False: there is. Raises StoreFull, ResolverError."""
        return self.store.write_newer(key, account.token, rank_of(account.claims.issued_at, account.token))

    def place(self, key: str) -> str:
        """See Resolver."""
        return self.store.place(key)
