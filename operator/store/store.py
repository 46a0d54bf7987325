"""Operators, accounts and users as files (spec operator-cli section 2.2).

``<root>/<OPERATOR>/.nsc`` marks an operator, ``<OPERATOR>.jwt`` is its claim; ``accounts/<A>/<A>.jwt`` an account,
``accounts/<A>/users/<U>.jwt`` a user below the account that signed it.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gossamer.auth.claims import AccountClaims, OperatorClaims, UserClaims
from gossamer.operator.failure import Failure
from gossamer.operator.store.changes import ChangeSet
from gossamer.operator.store.context import OPERATOR_MARK, mark_is_operator
from gossamer.operator.store.names import checked_name
from gossamer.operator.store.stored import AnyClaims, Stored, open_token

ACCOUNTS_FOLDER = "accounts"
USERS_FOLDER = "users"
_SUFFIX = ".jwt"


class Store:
    """The operators below one folder, read and written through a change set."""

    def __init__(self, root: Path, changes: ChangeSet) -> None:
        self.root = root
        self._changes = changes
        # Claims already decoded, by their token: one command reads the same few over and over.
        self._opened: dict[bytes, Stored[Any]] = {}

    # Paths. Every name passes checked_name on its way into one.

    def operator_folder(self, operator: str) -> Path:
        """The folder of an operator. Raises Failure for a name that cannot be one."""
        return self.root / checked_name(operator, "operator")

    def account_folder(self, operator: str, account: str) -> Path:
        """The folder of an account."""
        return self.operator_folder(operator) / ACCOUNTS_FOLDER / checked_name(account, "account")

    def operator_path(self, operator: str) -> Path:
        """The file of an operator's claim."""
        folder = self.operator_folder(operator)
        return folder / f"{folder.name}{_SUFFIX}"

    def account_path(self, operator: str, account: str) -> Path:
        """The file of an account's claim."""
        folder = self.account_folder(operator, account)
        return folder / f"{folder.name}{_SUFFIX}"

    def user_path(self, operator: str, account: str, user: str) -> Path:
        """The file of a user's claim."""
        return self.account_folder(operator, account) / USERS_FOLDER / f"{checked_name(user, 'user')}{_SUFFIX}"

    # Lists of names, sorted.

    def operators(self) -> list[str]:
        """Names of the operators."""
        return [name for name in self._changes.children(self.root) if self.is_operator(name)]

    def accounts(self, operator: str) -> list[str]:
        """Names of an operator's accounts."""
        folder = self.operator_folder(operator) / ACCOUNTS_FOLDER
        names = self._changes.children(folder)
        return [name for name in names if self._changes.exists(folder / name / f"{name}{_SUFFIX}")]

    def users(self, operator: str, account: str) -> list[str]:
        """Names of an account's users."""
        names = self._changes.children(self.account_folder(operator, account) / USERS_FOLDER)
        return [name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX)]

    # Reading.

    def is_operator(self, name: str) -> bool:
        """Does a mark say that this folder is an operator's?"""
        return mark_is_operator(self._changes.read(self.root / name / OPERATOR_MARK))

    def is_managed(self, operator: str) -> bool:
        """Is the operator's key held by somebody else, and this store only a tenant's?"""
        content = self._changes.read(self.operator_folder(operator) / OPERATOR_MARK)
        return bool(json.loads(content).get("managed")) if mark_is_operator(content) and content else False

    def operator(self, name: str) -> Stored[OperatorClaims]:
        """An operator's claim. Raises Failure if it is not there or broken."""
        return self._open(OperatorClaims, self.operator_path(name), name, self.operators)

    def account(self, operator: str, name: str) -> Stored[AccountClaims]:
        """An account's claim. Raises Failure if it is not there or broken."""
        return self._open(AccountClaims, self.account_path(operator, name), name, lambda: self.accounts(operator))

    def user(self, operator: str, account: str, name: str) -> Stored[UserClaims]:
        """A user's claim. Raises Failure if it is not there or broken."""
        path = self.user_path(operator, account, name)
        return self._open(UserClaims, path, name, lambda: self.users(operator, account))

    def find_operator(self, name: str) -> Stored[OperatorClaims] | None:
        """An operator's claim, or None."""
        return self.operator(name) if self._changes.exists(self.operator_path(name)) else None

    def find_account(self, operator: str, name: str) -> Stored[AccountClaims] | None:
        """An account's claim, or None."""
        return self.account(operator, name) if self._changes.exists(self.account_path(operator, name)) else None

    def find_user(self, operator: str, account: str, name: str) -> Stored[UserClaims] | None:
        """A user's claim, or None."""
        known = self._changes.exists(self.user_path(operator, account, name))
        return self.user(operator, account, name) if known else None

    def account_by_key(self, operator: str, public: str) -> Stored[AccountClaims] | None:
        """The account of a public key, or None."""
        for name in self.accounts(operator):
            stored = self.account(operator, name)
            if stored.claims.subject == public:
                return stored
        return None

    def issued_on_disk(self, kind: type[AnyClaims], path: Path) -> int:
        """When the version of a claim that is on disk was issued, in unix seconds; 0 when there is none to be read.

        Versions that are only pending do not count: nobody has seen them.
        """
        content = self._changes.read_committed(path)
        try:
            return 0 if content is None else open_token(kind, content.decode(), str(path)).claims.issued_at
        except (Failure, UnicodeDecodeError):
            return 0

    # Writing, through the change set.

    def put_operator(self, stored: Stored[OperatorClaims], *, managed: bool = False) -> None:
        """File an operator under its name, with its mark."""
        mark = {"managed": managed, "name": stored.claims.name, "kind": "operator", "version": "1"}
        content = json.dumps(mark, separators=(",", ":"), ensure_ascii=False).encode()
        path = self.operator_path(stored.claims.name)
        self._changes.write(path, stored.token.encode())
        self._changes.write(path.parent / OPERATOR_MARK, content)

    def put_account(self, operator: str, stored: Stored[AccountClaims]) -> None:
        """File an account under its name."""
        self._changes.write(self.account_path(operator, stored.claims.name), stored.token.encode())

    def put_user(self, operator: str, account: str, stored: Stored[UserClaims]) -> None:
        """File a user under its name, below its account."""
        self._changes.write(self.user_path(operator, account, stored.claims.name), stored.token.encode())

    def remove_operator(self, operator: str) -> None:
        """Remove an operator with all its accounts and users."""
        self._changes.remove_folder(self.operator_folder(operator))

    def remove_account(self, operator: str, account: str) -> None:
        """Remove an account with all its users."""
        self._changes.remove_folder(self.account_folder(operator, account))

    def remove_user(self, operator: str, account: str, user: str) -> None:
        """Remove a user."""
        self._changes.remove(self.user_path(operator, account, user))

    def _open(self, kind: type[AnyClaims], path: Path, name: str, others: Callable[[], list[str]]) -> Stored[AnyClaims]:
        content = self._changes.read(path)
        if content is None:
            raise Failure(
                f"there is no {kind.TYPE} {name!r}",
                code="not-found",
                hint=_there_are(kind.TYPE, others()),
                path=str(path),
            )
        known = self._opened.get(content)
        if known is None or not isinstance(known.claims, kind):
            known = open_token(kind, content.decode("utf-8", "replace"), str(path))
            self._opened[content] = known
        return known


def _there_are(kind: str, names: list[str]) -> str:
    if not names:
        return f"there is none; make one with: gossamer {kind} create NAME"
    shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
    return f"there are: {shown}"
