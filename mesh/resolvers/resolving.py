"""The resolver of a node, whole: what the configuration asks for, started, followed and stopped.

Made before the node has an engine, since the judge asks it; ``serve`` once there is a system account to talk on.
"""

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING

from gossamer.auth.claims import AccountClaims, AccountLimits
from gossamer.auth.resolver import KnownAccount, ResolverError
from gossamer.auth.settings import AuthSettings, ResolverSettings
from gossamer.auth.trust import Trust, trust_of
from gossamer.mesh.accounts.live import LiveAccounts
from gossamer.mesh.logs.log import Log
from gossamer.mesh.resolvers.asking import Inbox, LookUp
from gossamer.mesh.resolvers.calendar import Calendar
from gossamer.mesh.resolvers.claims_service import ClaimsService
from gossamer.mesh.resolvers.directory import DirectoryResolver
from gossamer.mesh.resolvers.memory import MemoryResolver
from gossamer.mesh.resolvers.packing import Packing
from gossamer.mesh.resolvers.slices import Slices
from gossamer.mesh.resolvers.store import DirectoryStore
from gossamer.mesh.resolvers.url import UrlResolver
from gossamer.mesh.system.server_info import ServerInfo
from gossamer.mesh.world import World

if TYPE_CHECKING:
    from gossamer.mesh.node import Node

_MINUTE_NS = 60 * 1_000_000_000
_SECOND_NS = 1_000_000_000


class Resolving:
    """``live`` holds the accounts. Operator mode only."""

    def __init__(self, settings: AuthSettings, world: World, log: Log) -> None:
        """Raises ResolverError for a resolver that cannot work, TokenError for an operator JWT that cannot be read."""
        assert settings.resolver is not None, "the configuration was checked: operators need a resolver"
        self.settings: ResolverSettings = settings.resolver
        self.resolver = _made(settings.resolver, settings.resolver_preload, world, log)
        trust = trust_of(settings)
        self.live = LiveAccounts(self.resolver, trust, world.clock, log)
        self._system_account = trust.system_account
        self._world = world
        self._log = log
        self._slices = Slices(world.clock, self._failed)
        self._calendar = Calendar(world.clock, log)
        self._service: ClaimsService | None = None
        self._packing: Packing | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """What must be so before clients come. Raises ResolverError."""
        if isinstance(self.resolver, UrlResolver):
            await self.resolver.start()
        key = self._system_account
        if isinstance(self.resolver, MemoryResolver) and key and self.resolver.stored(key) is None:
            raise ResolverError("error resolving system account: account missing")
        if isinstance(self.resolver, DirectoryResolver) and key and self.resolver.stored(key) is None:
            self.live.stand_in = _stand_in(key, self.live.trust)
            self._log.warning(
                f"System account {key} is in neither store nor preload: its users come in until it is pushed"
            )

    def serve(self, node: "Node", info: ServerInfo) -> None:
        """From here on accounts are pushed, looked up and kept equal; without a system account there is nowhere to."""
        store = self.resolver.store if isinstance(self.resolver, DirectoryResolver) else None
        if store is not None:
            self._survey(store)
            self._expire()
        system = node.accounts.system
        if system is None:
            return
        self._service = ClaimsService(node, self.live, self.settings, store, info)
        self._service.start(system.number)
        if not isinstance(self.resolver, DirectoryResolver):
            return
        inbox = Inbox(node, system.number)
        self.resolver.look_up = LookUp(node, inbox, timeout_ns=self.settings.timeout_ns)
        if self.settings.kind == "full":
            self._packing = Packing(
                node,
                inbox,
                self.resolver,
                self._slices,
                self._learned,
                interval_ns=self.settings.interval_ns,
                trusted=self.live.trust.keys,
            )
            self._packing.start(system.number)

    def refusal(self, settings: AuthSettings) -> str:
        """Why a running node cannot follow these settings; empty: it can."""
        before, now = self.settings, settings.resolver
        if now is None or (before.kind, before.directory, before.url) == (now.kind, now.directory, now.url):
            return ""
        shown = [each.url or each.directory or each.kind for each in (before, now)]
        return f"config reload not supported for AccountResolver: old={shown[0]}, new={shown[1]}"

    def follow(self, settings: AuthSettings) -> None:
        """A reload: preloads and, where there is one, the directory are read again; accounts that changed change."""
        assert settings.resolver is not None, "a reload that takes the resolver away is refused"
        self.settings = now = settings.resolver
        if self._service is not None:
            self._service.settings = now
        if self._packing is not None:
            self._packing.interval_ns = now.interval_ns
        if isinstance(self.resolver, UrlResolver):
            self.resolver.timeout_ns = now.timeout_ns
        if isinstance(self.resolver, DirectoryResolver):
            self.resolver.store.limit = now.limit
            self.resolver.store.ttl_ns = now.ttl_ns
            if isinstance(self.resolver.look_up, LookUp):
                self.resolver.look_up.timeout_ns = now.timeout_ns
        if isinstance(self.resolver, MemoryResolver):
            self.resolver.replace(settings.resolver_preload)
        elif isinstance(self.resolver, DirectoryResolver):
            try:
                for key in self.resolver.store.scan():
                    self.live.drop(key)
            except ResolverError as error:
                self._log.error(str(error))
            self.resolver.preload(settings.resolver_preload)
            self._survey(self.resolver.store)
        self.live.reread()

    def stop_asking(self) -> None:
        """No timers and no new questions."""
        self._slices.stop()
        self.live.stop()
        if self._packing is not None:
            self._packing.stop()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def stop(self) -> None:
        """Everything is closed."""
        self.stop_asking()
        if isinstance(self.resolver, UrlResolver):
            await self.resolver.stop()

    # --- inside -------------------------------------------------------------------------------------------------
    def _failed(self, error: Exception) -> None:
        self._log.error(f"Internal error: {error!r} in the resolver")

    def _learned(self, key: str, account: KnownAccount) -> None:
        self.live.arrived(key, account)

    def _survey(self, store: DirectoryStore) -> None:
        def work() -> Iterator[None]:
            while not store.survey(1):
                yield

        self._slices.begin(work())

    def _expire(self) -> None:
        """Old files are removed every minute, or every half of a shorter time to live."""
        assert isinstance(self.resolver, DirectoryResolver), "only directories have files"
        if self._calendar.trusted():
            for key in self.resolver.store.expire(self._world.clock.wall_ns() / _SECOND_NS):
                self._log.debug(f"Account file {key} removed: it had expired")
        pause_ns = min(_MINUTE_NS, self.settings.ttl_ns // 2) if self.settings.ttl_ns else _MINUTE_NS
        self._timer = asyncio.get_running_loop().call_later(pause_ns / _SECOND_NS, self._expire)


def _stand_in(key: str, trust: Trust) -> KnownAccount:
    """A system account without a JWT, so that somebody can come and push it: its identity key signs its users. Raises
    ResolverError where the operator does not let identity keys sign."""
    lenient = sorted(trust.keys - trust.strict_keys)
    if not lenient:
        what = "the operator wants signing keys to sign its users"
        raise ResolverError(f"error resolving system account: preload the JWT of {key}: {what}")
    return KnownAccount("", AccountClaims(subject=key, issuer=lenient[0], limits=AccountLimits.fresh()))


def _made(
    settings: ResolverSettings, preload: tuple[tuple[str, str], ...], world: World, log: Log
) -> MemoryResolver | UrlResolver | DirectoryResolver:
    match settings.kind:
        case "memory":
            return MemoryResolver(preload)
        case "url":
            return UrlResolver(settings.url, timeout_ns=settings.timeout_ns)
        case "full" | "cache":
            cache = settings.kind == "cache"
            store = DirectoryStore(
                world.disk,
                world.clock,
                settings.directory,
                limit=settings.limit,
                evicts=cache,
                ttl_ns=settings.ttl_ns if cache else 0,
            )
            return DirectoryResolver(store, log, preload)
        case _:
            raise ResolverError(f'resolver type "{settings.kind}" is not known')
