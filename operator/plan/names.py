"""Names and their public keys: taken from the file where it pins one, from the store where it knows one, else made.

New keys go into the change set of the workspace, so that a plan that is never carried out leaves none behind.
"""

from msgspec import structs

from gossamer.auth.claims import AccountClaims, OperatorClaims, UserScope
from gossamer.auth.keys import KeyKind, is_public
from gossamer.auth.xkeys import CurveKeyPair
from gossamer.operator.failure import ExitCode, Failure
from gossamer.operator.plan.declaration import AccountDeclaration, Declaration
from gossamer.operator.plan.ledger import AccountLedger, OperatorLedger
from gossamer.operator.store.workspace import Workspace
from gossamer.operator.tenants.signing import role_key

GENERATE = "generate"


class Names:
    """Every name of a declaration that stands for a key. ``made`` lists what is new: what it is for, and the key."""

    def __init__(self, workspace: Workspace, declaration: Declaration, known: dict[str, AccountClaims]) -> None:
        """``known``: the accounts of the store by their names."""
        self._keystore = workspace.keystore
        self._declared = declaration.accounts
        self._known = known
        self._accounts: dict[str, str] = {}
        self.made: list[tuple[str, str]] = []

    def account(self, name: str) -> str:
        """The key of an account: declared, in the store, or a key already."""
        if is_public(name, KeyKind.ACCOUNT):
            return name
        found = self._accounts.get(name)
        if found is None:
            pinned = self._declared[name].key if name in self._declared else ""
            present = self._known[name].subject if name in self._known else ""
            found = self._one(f"account {name!r}", pinned, present, KeyKind.ACCOUNT)
            self._accounts[name] = found
        return found

    def account_name(self, key: str) -> str:
        """The name of an account key, or the key itself."""
        for name, claims in self._known.items():
            if claims.subject == key:
                return name
        return next((name for name, known in self._accounts.items() if known == key), key)

    def operator(self, name: str, present: OperatorClaims | None) -> str:
        """The operator's identity key."""
        return self._one(f"operator {name!r}", "", present.subject if present else "", KeyKind.OPERATOR)

    def operator_signing_keys(self, wanted: dict[str, str], ledger: OperatorLedger) -> dict[str, str]:
        """Name to key of the operator's signing keys."""
        return {
            name: self._one(
                f"operator signing key {name!r}", pinned, ledger.signing_keys.get(name, ""), KeyKind.OPERATOR
            )
            for name, pinned in wanted.items()
        }

    def signing_keys(self, account: AccountDeclaration, ledger: AccountLedger) -> dict[str, str]:
        """Name to key of the plain signing keys of an account."""
        return {
            name: self._one(
                f"signing key {name!r} of account {account.name!r}",
                pinned,
                ledger.signing_keys.get(name, ""),
                KeyKind.ACCOUNT,
            )
            for name, pinned in account.signing_keys.items()
        }

    def scopes(self, account: AccountDeclaration, present: AccountClaims | None) -> tuple[UserScope, ...]:
        """The scoped signing keys of an account; members that we do not know are kept."""
        found = []
        for role in account.roles:
            known = role_key(present, role.name) if present is not None else ""
            key = self._one(f"role {role.name!r} of account {account.name!r}", role.key, known, KeyKind.ACCOUNT)
            before = present.scope(known) if present is not None and known else None
            template = role.template
            if before is not None:
                template = structs.replace(template, unknown=before.template.unknown)
            found.append(
                UserScope(
                    key=key,
                    role=role.name,
                    description=role.description,
                    template=template,
                    unknown={} if before is None else before.unknown,
                )
            )
        return tuple(found)

    def curve_key(self, wish: str, present: str) -> str:
        """The public curve key of an auth callout."""
        if wish != GENERATE:
            return wish
        if present:
            return present
        pair = CurveKeyPair.generate()
        self._keystore.put(pair)
        self.made.append(("auth callout key", pair.public))
        return pair.public

    def user(self, account: str, name: str, pinned: str, present: str) -> str:
        """The key of a user."""
        return self._one(f"user {name!r} of account {account!r}", pinned, present, KeyKind.USER)

    def _one(self, what: str, pinned: str, present: str, kind: KeyKind) -> str:
        if pinned and present and pinned != present:
            raise Failure(
                f"{what} has the key {present}, the file says {pinned}",
                code="other-key",
                hint="a name keeps its key: rename it in the file, or leave the key out there",
                exit_code=ExitCode.INVALID,
            )
        if pinned or present:
            return pinned or present
        public = self._keystore.generate(kind).public
        self.made.append((what, public))
        return public
