"""All accounts of a node: the global one, the system's, those of the configuration, and those that a JWT names.

Config mode: the accounts of the settings exist from the start. Operator mode: an account gets its number in the engine
when its first user comes in; what its JWT says is found by the authenticator and arrives here with the verdict.
"""

from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING

from gossamer.auth.settings import GLOBAL_ACCOUNT, SYSTEM_ACCOUNT, AccountLimits, AuthSettings
from gossamer.mesh.accounts.account import UNLIMITED, Account

if TYPE_CHECKING:
    from gossamer.auth.decisions import Admission
    from gossamer.mesh.engine.core import Engine


class Accounts:
    """Numbers are given once: an account keeps its engine number until the node ends."""

    __slots__ = (
        "_by_name",
        "_by_number",
        "_engine",
        "_operator_mode",
        "_pinned",
        "global_account",
        "gone",
        "made",
        "system",
    )

    def __init__(
        self,
        engine: "Engine",
        settings: AuthSettings,
        *,
        system: str = SYSTEM_ACCOUNT,
        pinned: Collection[str] = (),
    ) -> None:
        """``system``: name of the system account, empty for none. ``pinned``: accounts that have routes of their own
        (spec routes 4.3)."""
        self._engine = engine
        self._pinned = frozenset(pinned)
        self.made: Callable[[Account], None] | None = None  # told of every account made from then on
        self.gone: Callable[[Account], None] | None = None  # and of every one that ends
        self._by_name: dict[str, Account] = {}
        self._by_number: dict[int, Account] = {}
        self._operator_mode = settings.operator_mode
        self.global_account = self._make(GLOBAL_ACCOUNT)
        self.system: Account | None = None
        if system:
            self.system = self._make(system)
            self.system.system = True
        self.apply(settings)

    def __iter__(self) -> Iterator[Account]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)

    def find(self, name: str) -> Account | None:
        """The account of that name, if it exists on this node."""
        return self._by_name.get(name)

    def of_number(self, number: int) -> Account | None:
        """The account with that number in the engine."""
        return self._by_number.get(number)

    def admitted(self, admission: "Admission | None") -> Account | None:
        """Where somebody who was let in belongs; None admission: an open server, everybody is in the global account.
        None: the account is gone."""
        if admission is None:
            return self.global_account
        if not self._operator_mode:
            return self._by_name.get(admission.account)
        return self.bring(admission.account, limits=admission.account_limits, label=admission.account_name)

    def bring(self, name: str, *, limits: AccountLimits = UNLIMITED, label: str = "") -> Account:
        """The account of that name, made if needed, with what is known about it now."""
        account = self._by_name.get(name) or self._make(name)
        if account.limits != limits:
            account.limits = limits
        if label:
            account.label = label
        return account

    def apply(self, settings: AuthSettings) -> list[Account]:
        """Follow the configuration, at the start and on reload. Returns the accounts it no longer has; they are
        gone for newcomers, their clients are the caller's to close."""
        self._operator_mode = settings.operator_mode
        wanted = {entry.name: entry for entry in settings.accounts}
        for name, entry in wanted.items():
            self.bring(name, limits=entry.limits)
        if settings.operator_mode:
            return []
        gone = [
            account
            for name, account in self._by_name.items()
            if name not in wanted and account is not self.global_account and account is not self.system
        ]
        for account in gone:
            del self._by_name[account.name]
            if self.gone is not None:
                self.gone(account)
            self._engine.remove_account(account.number)
        return gone

    def pin(self, names: Collection[str]) -> None:
        """From now on these accounts, and no others, have routes of their own."""
        changed, self._pinned = self._pinned ^ frozenset(names), frozenset(names)
        for name in changed & self._by_name.keys():
            self._engine.account(name.encode(), dedicated_route=name in self._pinned)

    def _make(self, name: str) -> Account:
        number = self._engine.account(name.encode(), dedicated_route=name in self._pinned)
        account = Account(name, number, label=name, members={} if self._operator_mode else None)
        self._by_name[name] = account
        self._by_number[number] = account
        if self.made is not None:
            self.made(account)
        return account


def system_account_name(settings: AuthSettings) -> str:
    """Which account is the system's, as far as the configuration says; empty: there is none (spec auth 16)."""
    if settings.system_account:
        return settings.system_account
    return "" if settings.no_system_account else SYSTEM_ACCOUNT
