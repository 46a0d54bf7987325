"""The engine's figures of accounts, for events."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gossamer.mesh.accounts.account import Account
    from gossamer.mesh.engine.views import AccountStatistics
    from gossamer.mesh.node import Node

#: A look is kept for so many times as long as it took.
_PATIENCE = 20


class AccountFigures:
    """With thousands of accounts a look takes milliseconds, and events come in quick succession: these may show figures
    of a moment ago."""

    __slots__ = ("_found", "_node", "_until_ns")

    def __init__(self, node: "Node") -> None:
        self._node = node
        self._found: dict[int, AccountStatistics] = {}
        self._until_ns = 0

    def of(self, account: "Account") -> "AccountStatistics | None":
        """None: the engine has not heard of it yet."""
        clock = self._node.world.clock
        begin_ns = clock.monotonic_ns()
        if begin_ns >= self._until_ns:
            self._found = {entry.account: entry for entry in self._node.engine.accounts()}
            end_ns = clock.monotonic_ns()
            self._until_ns = end_ns + _PATIENCE * (end_ns - begin_ns)
        return self._found.get(account.number)
