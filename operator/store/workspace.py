"""Everything a command works on: store, keystore and context of one user, changed as one set."""

from collections.abc import Mapping
from pathlib import Path

from gossamer.auth.claims import AccountClaims, OperatorClaims
from gossamer.operator.custody.custodian import Custodian
from gossamer.operator.custody.unlocking import Unlocking
from gossamer.operator.failure import Failure
from gossamer.operator.store.changes import ChangeSet
from gossamer.operator.store.context import Choice, ContextFile, WorkingFolder, choose, read_working_folder
from gossamer.operator.store.keystore import Keystore
from gossamer.operator.store.places import PlaceFlags, Places, resolve_places
from gossamer.operator.store.store import Store
from gossamer.operator.store.stored import Stored


class Workspace:
    """The store, the keystore and the context file, read and written through one change set."""

    def __init__(
        self,
        places: Places,
        changes: ChangeSet,
        environment: Mapping[str, str],
        *,
        working: WorkingFolder | None = None,
        operator: str = "",
        unlocking: Unlocking | None = None,
    ) -> None:
        self.places = places
        self.changes = changes
        self.context = ContextFile(places, environment, changes)
        self.working = working or WorkingFolder()
        self.store = Store(self._stores_root(), changes)
        custodian = Custodian(places.keys, changes, environment, unlocking)
        self.keystore = Keystore(places.keys, changes, environment, custodian)
        self._operator_flag = operator

    @classmethod
    def open(
        cls,
        flags: PlaceFlags,
        environment: Mapping[str, str],
        working_folder: Path | None,
        *,
        operator: str = "",
        unlocking: Unlocking | None = None,
        old_keystore: bool = False,
    ) -> "Workspace":
        """From flags, environment and working folder. Raises Failure for a broken context, or an old keystore, unless
        that is what the command is about (``old_keystore``)."""
        places = resolve_places(flags, environment)
        changes = ChangeSet()
        working = WorkingFolder() if working_folder is None else read_working_folder(working_folder, changes)
        workspace = cls(places, changes, environment, working=working, operator=operator, unlocking=unlocking)
        if not old_keystore:
            workspace.keystore.check_layout()
        return workspace

    @classmethod
    def at(cls, folder: Path) -> "Workspace":
        """All in one folder, as ``-H`` does; for programs that make a trust chain of their own."""
        return cls.open(PlaceFlags(all_dirs=str(folder)), {"HOME": str(folder)}, None)

    def reopened(self) -> "Workspace":
        """The same store and keystore as they are on disk now, unlocked if this keystore is."""
        changes = ChangeSet()
        custodian = self.keystore.custodian.with_changes(changes)
        fresh = Workspace(
            self.places, changes, custodian.environment, working=self.working, operator=self._operator_flag
        )
        fresh.store = Store(self.store.root, changes)
        fresh.keystore = Keystore(self.keystore.root, changes, custodian.environment, custodian)
        return fresh

    def operator_choice(self) -> Choice:
        """Which operator is meant, and why. The name is empty if nothing decides."""
        folder = self.working.operator if self._same_stores() else ""
        return choose(self._operator_flag, folder, self.context.text("operator"), self.store.operators())

    def account_choice(self, flag: str = "") -> Choice:
        """Which account of the chosen operator is meant, and why."""
        operator = self.operator_choice().name
        if not operator or not self.store.is_operator(operator):
            return Choice(name=flag, source="flag") if flag else Choice()
        at_home = self._same_stores() and self.working.operator == operator
        # The account in the context file belongs to the operator there, not to any other.
        context = self.context.text("account") if self.context.text("operator") == operator else ""
        present = self.store.accounts(operator)
        # The system account is never meant by being the only other one.
        system = self.system_account_name(operator) if len(present) == 2 else ""
        candidates = present if context in present else [name for name in present if name != system]
        return choose(flag, self.working.account if at_home else "", context, candidates)

    def operator(self) -> Stored[OperatorClaims]:
        """The operator that is meant. Raises Failure when nothing decides, or it is not there."""
        choice = self.operator_choice()
        if not choice.name:
            names = self.store.operators()
            raise Failure(
                f"there is no operator in {self.store.root}" if not names else "no operator is chosen",
                code="no-operator",
                hint="make one with: gossamer operator create NAME, or gossamer init"
                if not names
                else f"name one with --operator ({', '.join(names[:8])})",
            )
        return self.store.operator(choice.name)

    def account(self, flag: str = "") -> Stored[AccountClaims]:
        """The account that is meant, by name or public key. Raises Failure when nothing decides, or it is not there."""
        operator = self.operator().claims.name
        choice = self.account_choice(flag)
        if not choice.name:
            names = self.store.accounts(operator)
            raise Failure(
                "no account is chosen" if names else f"the operator {operator!r} has no account",
                code="no-account",
                hint=f"name one with -a ({', '.join(names[:8])})"
                if names
                else "make one with: gossamer account create NAME",
            )
        by_key = self.store.account_by_key(operator, choice.name) if len(choice.name) == 56 else None
        return by_key or self.store.account(operator, choice.name)

    def system_account_name(self, operator: str) -> str:
        """The name of the operator's system account; empty if it has none or it is not stored."""
        public = self.store.operator(operator).claims.system_account
        stored = self.store.account_by_key(operator, public) if public else None
        return stored.claims.name if stored else ""

    def _stores_root(self) -> Path:
        # Flags, then the working folder, then the context file, then the default. The working folder goes before the
        # file because whoever stands in an operator's folder means that operator.
        if self.places.stores_given:
            return self.places.stores
        if self.working.stores is not None:
            return self.working.stores
        given = self.context.text("store_root")
        return Path(given).expanduser().absolute() if given else self.places.stores

    def _same_stores(self) -> bool:
        return self.working.stores is not None and self.working.stores == self.store.root
