"""What accounts share, kept in force in the engine: service imports, stream imports and mapped subjects.

``Sharing`` is told what accounts there are, in either of two ways, and makes the difference on the engine:

* a configuration: ``apply`` with all of them, at the start and after every reload;
* account JWTs: ``account_changed`` whenever one is loaded or replaced, ``account_gone`` when one is deleted. An import
  whose exporter nobody has told of waits; ``missing`` is asked for it, and whenever the exporter comes, the import
  comes into force.

Both may be mixed: ``apply`` only replaces what ``apply`` brought.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from gossamer.auth.claims.account import AccountClaims
from gossamer.auth.sharing.from_claims import of_claims
from gossamer.auth.sharing.values import AccountSharing

if TYPE_CHECKING:
    from gossamer.mesh.accounts.registry import Accounts
    from gossamer.mesh.engine.core import Engine
    from gossamer.mesh.logs.log import Log
    from gossamer.mesh.world import Clock


class Sharing:
    """Of one node. ``missing`` is called with the key of an account that an import names and nobody has told of."""

    def __init__(
        self, engine: "Engine", accounts: "Accounts", *, clock: "Clock", log: "Log", cluster_name: str = ""
    ) -> None:
        self._engine = engine
        self._accounts = accounts
        self._clock = clock
        self._log = log
        self._cluster_name = cluster_name
        self._configured: set[str] = set()
        self._told: dict[str, AccountSharing] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.missing: Callable[[str], None] | None = None

    def apply(self, accounts: Iterable[AccountSharing]) -> None:
        """Follow a configuration: these accounts and no others of it. Call it after ``Accounts.apply``."""
        wanted = {each.account: each for each in accounts}
        for gone in self._configured - wanted.keys():
            self.account_gone(gone)
        for each in wanted.values():
            self.account_changed(each.account, each)
        self._configured = set(wanted)

    def account_changed(self, key: str, what: "AccountClaims | AccountSharing", *, place: str = "") -> None:
        """An account was loaded or replaced: its claims (or values), and where they were found. Its own imports and
        those of its importers follow at once; live subscriptions get or lose what they see of other accounts."""
        sharing = what if isinstance(what, AccountSharing) else of_claims(what, place)
        self._told[key] = sharing

    def account_gone(self, key: str) -> None:
        """An account was deleted: whatever it imports and exports ends at once."""
        self._told.pop(key, None)

    def stop(self) -> None:
        """The node ends: no further timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
