"""What the store itself cannot remember of a declared file: which names are managed, and the keys of those that claims
do not name.

One small JSON file for each account and one for the operator, below ``<OPERATOR>/.gossamer``: nsc passes over it.
Claims keep the keys of accounts, users and roles; plain signing keys have no names there, users that were removed are
gone, and only who knows what was declared before can tell a thing taken out of the file from one that never was in.
No secrets.
"""

from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from gossamer.operator.failure import Failure
from gossamer.operator.store.changes import ChangeSet
from gossamer.operator.store.workspace import Workspace

FOLDER = ".gossamer"


class OperatorLedger(Struct, frozen=True, kw_only=True):
    """Names of the operator's signing keys."""

    signing_keys: dict[str, str] = {}


class AccountLedger(Struct, frozen=True, kw_only=True):
    """``signing_keys``, ``users``, ``former`` (users that were removed): name to public key. ``removal_since``: unix
    seconds of the first phase of its removal; 0: it is not being removed."""

    signing_keys: dict[str, str] = {}
    roles: tuple[str, ...] = ()
    users: dict[str, str] = {}
    former: dict[str, str] = {}
    removal_since: int = 0


AnyLedger = TypeVar("AnyLedger", OperatorLedger, AccountLedger)


class Ledgers:
    """The ledgers of one operator, read and written through the workspace's change set."""

    def __init__(self, workspace: Workspace, operator: str) -> None:
        self._changes = workspace.changes
        self._folder = workspace.store.operator_folder(operator) / FOLDER

    @property
    def folder(self) -> Path:
        """Where they are."""
        return self._folder

    def operator(self) -> OperatorLedger:
        """The operator's; an empty one when there is none. Raises Failure for a broken file."""
        return _read(OperatorLedger, self._folder / "operator.json", self._changes) or OperatorLedger()

    def account(self, name: str) -> AccountLedger | None:
        """An account's; None: it is not managed by a file. Raises Failure for a broken file."""
        return _read(AccountLedger, self._path(name), self._changes)

    def accounts(self) -> list[str]:
        """Names of managed accounts."""
        names = self._changes.children(self._folder / "accounts")
        return [name.removesuffix(".json") for name in names if name.endswith(".json")]

    def put_operator(self, ledger: OperatorLedger) -> None:
        """Write the operator's, unless it is so already."""
        if ledger != self.operator():
            self._changes.write(self._folder / "operator.json", msgspec.json.encode(ledger))

    def put_account(self, name: str, ledger: AccountLedger) -> None:
        """Write an account's, unless it is so already."""
        if ledger != self.account(name):
            self._changes.write(self._path(name), msgspec.json.encode(ledger))

    def forget_account(self, name: str) -> None:
        """The account is not managed any more."""
        self._changes.remove(self._path(name))

    def _path(self, name: str) -> Path:
        return self._folder / "accounts" / f"{name}.json"


def _read(kind: type[AnyLedger], path: Path, changes: ChangeSet) -> AnyLedger | None:
    content = changes.read(path)
    if content is None:
        return None
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.MsgspecError as error:
        raise Failure(
            f"{path} is broken: {error}",
            code="broken-file",
            hint="restore it from a backup, or remove it: names then count as new to the file",
            path=str(path),
        ) from None
