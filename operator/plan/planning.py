"""What must be done so that the store is as the file says: the planner.

Operator, accounts and the removal of accounts are worked out whole, as they hang together (keys, exports, activations).
Users hang on their account only and may be very many: they are worked out account by account, when asked for.

Nothing is signed here, and nothing written but new keys and ledgers, into the workspace's change set: a plan is a
change set that is thrown away.
"""

import functools
from collections.abc import Iterator, Mapping

from msgspec import Struct, field, structs

from gossamer.auth.claims import AccountClaims, Import, OperatorClaims, UserClaims
from gossamer.operator.failure import ExitCode, Failure
from gossamer.operator.output.document import Remark
from gossamer.operator.plan.activations import Activations
from gossamer.operator.plan.building import account_claims, imports_of, operator_claims, user_claims, user_signer
from gossamer.operator.plan.declaration import KEEP, AccountDeclaration, Declaration
from gossamer.operator.plan.difference import FieldChange, difference
from gossamer.operator.plan.ledger import AccountLedger, Ledgers, OperatorLedger
from gossamer.operator.plan.names import Names
from gossamer.operator.store.stored import Stored, refuse_new_faults
from gossamer.operator.store.workspace import Workspace

#: A key that stands for those that are not made yet, where a claim is only looked at.
NOT_MADE = "UAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAV"


class OperatorWork(Struct, frozen=True, kw_only=True):
    """``changes`` empty: the claim says it already."""

    before: Stored[OperatorClaims] | None
    after: OperatorClaims
    ledger: OperatorLedger
    changes: tuple[FieldChange, ...]


class UserWork(Struct, frozen=True, kw_only=True):
    """A user to be issued. ``after.subject`` is NOT_MADE for a key that is to be made."""

    name: str
    before: UserClaims | None
    after: UserClaims
    signer: str
    changes: tuple[FieldChange, ...]
    why: str  # new, changed, signer, rotation
    credentials: bool


class RemovedUser(Struct, frozen=True, kw_only=True):
    """A user that leaves the store, and is revoked."""

    name: str
    claims: UserClaims


class AccountWork(Struct, kw_only=True):
    """``interim`` is given to the servers before the users are issued anew, where ``after`` would lock them out."""

    name: str
    declared: AccountDeclaration
    before: Stored[AccountClaims] | None
    after: AccountClaims
    ledger: AccountLedger
    changes: tuple[FieldChange, ...] = ()
    untrusted: bool = False  # signed by a key that the operator does not trust (any more)
    removed_users: tuple[RemovedUser, ...] = ()
    kept_users: tuple[str, ...] = ()  # taken out of the file with on_remove = "keep"
    interim: AccountClaims | None = None

    @property
    def to_sign(self) -> bool:
        """Is there a new claim to be signed?"""
        return bool(self.changes) or self.untrusted


class Removal(Struct, frozen=True, kw_only=True):
    """An account on its way out. ``phase`` 1: shut it; 0: wait until ``due``; 2: remove it."""

    name: str
    before: Stored[AccountClaims]
    ledger: AccountLedger
    phase: int
    after: AccountClaims
    due: int = 0


class Work(Struct, kw_only=True):
    """Everything that is to be done, apart from the users."""

    operator: OperatorWork
    accounts: list[AccountWork]
    removals: list[Removal]
    made: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[Remark] = field(default_factory=list)


class Planner:
    """One declaration over one workspace. ``now`` in unix seconds; ``force``: removal without a grace period."""

    def __init__(
        self,
        workspace: Workspace,
        declaration: Declaration,
        *,
        now: int,
        force: bool = False,
        signing: bool = False,
        users_only: bool = False,
    ) -> None:
        """``signing``: activations are really signed; else their place is only marked. ``users_only``: only ``users``
        will be asked for."""
        self.workspace = workspace
        self.declaration = declaration
        self.now = now
        self.operator_name = declaration.operator.name
        self._force = force
        self._signing = signing
        self.ledgers = Ledgers(workspace, self.operator_name)
        self._has_seed = functools.cache(workspace.keystore.has_seed)
        self._stored = {} if users_only else self._stored_accounts()

    def work(self) -> Work:
        """Work it out. Raises Failure, with all that is wrong between accounts in one."""
        declaration = self.declaration
        stored = self.workspace.store.find_operator(self.operator_name)
        names = Names(self.workspace, declaration, {name: entry.claims for name, entry in self._stored.items()})
        before = None if stored is None else stored.claims
        after, ledger = operator_claims(
            declaration.operator,
            before,
            self.ledgers.operator(),
            names,
            prune=declaration.prune,
            now=self.now,
        )
        refuse_new_faults(after, before)
        operator = OperatorWork(before=stored, after=after, ledger=ledger, changes=difference(before, after))
        warnings: list[Remark] = []
        accounts = {
            name: self._account(declared, names, after, warnings) for name, declared in declaration.accounts.items()
        }
        self._share(accounts, names, after, warnings)
        for entry in accounts.values():
            was = None if entry.before is None else entry.before.claims
            entry.changes = difference(was, entry.after)
            if entry.changes:
                refuse_new_faults(_without_marks(entry.after), was)
            entry.untrusted = was is not None and was.issuer not in after.trusted_keys
            entry.interim = self._interim(entry, after)
        if operator.changes and stored is not None:
            warnings.append(
                Remark(
                    code="restart-needed",
                    message="servers read the operator's claim at start only",
                    hint="restart them with the new one",
                )
            )
        return Work(
            operator=operator,
            accounts=_exporters_first(list(accounts.values())),
            removals=self._removals(after, warnings),
            made=names.made,
            warnings=warnings,
        )

    def users(self, account: AccountWork, operator: OperatorClaims) -> Iterator[UserWork]:
        """The users of an account that are to be issued. Raises Failure."""
        store = self.workspace.store
        present = set(store.users(self.operator_name, account.name)) if account.before is not None else set()
        for declared in account.declared.users.values():
            before = None
            if declared.name in present:
                before = store.user(self.operator_name, account.name, declared.name).claims
            known = before.subject if before is not None else account.ledger.users.get(declared.name, "")
            if declared.key and known and declared.key != known:
                raise Failure(
                    f"user {account.name}/{declared.name} has the key {known}, the file says {declared.key}",
                    code="other-key",
                    hint="a name keeps its key: rename it in the file, or leave the key out there",
                    exit_code=ExitCode.INVALID,
                )
            signer = user_signer(
                declared,
                before,
                account.after,
                account.ledger.signing_keys,
                strict=operator.strict_signing_key_usage,
                stored=self._has_seed,
            )
            after = user_claims(
                declared, before, account.after, signer, known or declared.key or NOT_MADE, now=self.now
            )
            # What is equal as it stands needs no closer look; nobody is told the fields of what is new.
            changes = () if before is None or after == before else difference(before, after)
            if before is None:
                why = "new"
            elif {change.path for change in changes} == {"exp"} and declared.term.rotate_before_s:
                why = "rotation"
            elif changes:
                why = "changed"
            elif before.issuer != signer:
                why = "signer"
            else:
                continue
            refuse_new_faults(after, before)
            yield UserWork(
                name=declared.name,
                before=before,
                after=after,
                signer=signer,
                changes=changes,
                why=why,
                credentials=declared.credentials,
            )

    def check_signers(self, work: Work) -> None:
        """Raises Failure when a seed that will have to sign users is not at hand: before anything is changed."""
        for entry in work.accounts:
            for user in self.users(entry, work.operator.after):
                if not self._has_seed(user.signer):
                    raise Failure(
                        f"the seed of {user.signer}, which signs user {entry.name}/{user.name}, is not in the keystore",
                        code="no-signer",
                        hint="put it there with: gossamer key import, or name another key with sign_with",
                        exit_code=ExitCode.SIGNER_UNAVAILABLE,
                    )

    def _stored_accounts(self) -> dict[str, Stored[AccountClaims]]:
        store = self.workspace.store
        if not store.is_operator(self.operator_name):
            return {}
        return {name: store.account(self.operator_name, name) for name in store.accounts(self.operator_name)}

    def _account(
        self, declared: AccountDeclaration, names: Names, operator: OperatorClaims, warnings: list[Remark]
    ) -> AccountWork:
        stored = self._stored.get(declared.name)
        known = self.ledgers.account(declared.name)
        ledger = known or AccountLedger()
        if declared.callout is not None and stored is not None:
            there = {
                name: user.claims.subject
                for name in declared.callout.users
                if name in declared.users
                and (user := self.workspace.store.find_user(self.operator_name, declared.name, name)) is not None
            }
            ledger = structs.replace(ledger, users={**ledger.users, **there})
        gone, kept = self._missing_users(declared, ledger, stored is not None)
        revoked = {user.claims.subject: max(self.now, user.claims.issued_at) for user in gone}
        base = None if stored is None else stored.claims
        if base is not None and ledger.removal_since:
            # It was on its way out: what shut it is taken back.
            base = structs.replace(base, revocations={key: at for key, at in base.revocations.items() if key != "*"})
            warnings.append(
                Remark(
                    code="comes-back", message=f"account {declared.name!r} was being removed and is back in the file"
                )
            )
        ledger = structs.replace(ledger, former={**ledger.former, **{user.name: user.claims.subject for user in gone}})
        after, ledger = account_claims(
            declared,
            base,
            ledger,
            names,
            system=names.account(declared.name) == operator.system_account,
            prune=self.declaration.prune,
            now=self.now,
            revoked=revoked,
        )
        return AccountWork(
            name=declared.name,
            declared=declared,
            before=stored,
            after=after,
            ledger=ledger,
            removed_users=gone,
            kept_users=kept,
        )

    def _missing_users(
        self, declared: AccountDeclaration, ledger: AccountLedger, stored: bool
    ) -> tuple[tuple[RemovedUser, ...], tuple[str, ...]]:
        """Users of the store that were in the file once (or any, with ``prune``) and are not now."""
        if not stored:
            return (), ()
        present = self.workspace.store.users(self.operator_name, declared.name)
        managed = [
            name for name in present if name not in declared.users and (self.declaration.prune or name in ledger.users)
        ]
        if declared.on_remove == KEEP:
            return (), tuple(managed)
        return tuple(
            RemovedUser(name=name, claims=self.workspace.store.user(self.operator_name, declared.name, name).claims)
            for name in managed
        ), ()

    def _share(
        self, accounts: Mapping[str, AccountWork], names: Names, operator: OperatorClaims, warnings: list[Remark]
    ) -> None:
        """Imports, once every account's exports and keys are known."""
        exporters: dict[str, tuple[AccountDeclaration | None, AccountClaims]] = {
            stored.claims.subject: (None, stored.claims) for stored in self._stored.values()
        }
        exporters.update({entry.after.subject: (entry.declared, entry.after) for entry in accounts.values()})
        activations = Activations(
            self.workspace.keystore, operator, exporters, names, now=self.now, signing=self._signing
        )
        faults: list[str] = []
        for entry in accounts.values():
            if not entry.declared.imports and not entry.after.imports:
                continue
            before = () if entry.before is None else entry.before.claims.imports
            imports = imports_of(entry.declared, entry.after, names, activations.token_for)
            entry.after = structs.replace(entry.after, imports=imports)
            _judge(entry.name, imports, before, activations, faults, warnings)
        if faults:
            raise Failure("; ".join(faults), code="invalid", exit_code=ExitCode.INVALID)

    def _interim(self, entry: AccountWork, operator: OperatorClaims) -> AccountClaims | None:
        """The claim with old and new keys, and none of the new revocations, if users are issued in between."""
        if entry.before is None or not entry.changes:
            return None
        old = entry.before.claims
        lost = [key for key in old.signing_key_texts if key not in entry.after.signing_key_texts]
        revoked = entry.after.revocations != old.revocations
        if not (lost or revoked) or next(self.users(entry, operator), None) is None:
            return None
        kept = tuple(key for key in old.signing_keys if (key if isinstance(key, str) else key.key) in lost)
        return structs.replace(
            entry.after, signing_keys=(*entry.after.signing_keys, *kept), revocations=old.revocations
        )

    def _removals(self, operator: OperatorClaims, warnings: list[Remark]) -> list[Removal]:
        managed = set(self.ledgers.accounts())
        found = []
        for name, stored in self._stored.items():
            if name in self.declaration.accounts or not (self.declaration.prune or name in managed):
                continue
            if stored.claims.subject == operator.system_account:
                warnings.append(
                    Remark(
                        code="system-account",
                        message=f"{name!r} is the system account: it stays, though the file does not name it",
                    )
                )
                continue
            found.append(self._removal(name, stored))
        return found

    def _removal(self, name: str, stored: Stored[AccountClaims]) -> Removal:
        ledger = self.ledgers.account(name) or AccountLedger()
        due = ledger.removal_since + self.declaration.removal_grace_s
        if self._force or (ledger.removal_since and self.now >= due):
            return Removal(name=name, before=stored, ledger=ledger, phase=2, after=stored.claims)
        if ledger.removal_since:
            return Removal(name=name, before=stored, ledger=ledger, phase=0, after=stored.claims, due=due)
        claims = stored.claims
        shut = structs.replace(
            claims,
            limits=structs.replace(claims.limits, connections=0, leafnodes=0),
            revocations={**claims.revocations, "*": max(self.now, claims.revocations.get("*", 0))},
        )
        return Removal(
            name=name,
            before=stored,
            ledger=structs.replace(ledger, removal_since=self.now),
            phase=1,
            after=shut,
            due=self.now + self.declaration.removal_grace_s,
        )


def _judge(
    name: str,
    imports: tuple[Import, ...],
    before: tuple[Import, ...],
    activations: Activations,
    faults: list[str],
    warnings: list[Remark],
) -> None:
    """Imports that servers would leave out: a fault when they are new, a warning when they have been there."""
    known = {(entry.type, entry.subject, entry.account) for entry in before}
    for entry in imports:
        problem = activations.problem(entry)
        if not problem:
            continue
        text = f"account {name!r} imports {entry.type} {entry.subject!r}: {problem}"
        if (entry.type, entry.subject, entry.account) in known and not activations.refused(entry):
            warnings.append(Remark(code="broken-import", message=text))
        else:
            faults.append(text)


def _without_marks(claims: AccountClaims) -> AccountClaims:
    """For validation: without activations that are not signed yet."""
    return structs.replace(
        claims,
        imports=tuple(
            structs.replace(entry, token="") if entry.token and "." not in entry.token else entry
            for entry in claims.imports
        ),
    )


def _exporters_first(accounts: list[AccountWork]) -> list[AccountWork]:
    """Exporters before importers, as far as they do not import from each other; else in the file's order."""
    by_key = {entry.after.subject: entry for entry in accounts}
    done: dict[str, AccountWork] = {}
    visiting: set[str] = set()
    for start in accounts:
        stack: list[tuple[AccountWork, Iterator[Import]]] = [(start, iter(start.after.imports))]
        visiting.add(start.after.subject)
        while stack:
            entry, imports = stack[-1]
            following = next(
                (
                    by_key[wanted.account]
                    for wanted in imports
                    if wanted.account in by_key and wanted.account not in visiting
                ),
                None,
            )
            if following is None:
                done.setdefault(entry.after.subject, entry)
                stack.pop()
            else:
                visiting.add(following.after.subject)
                stack.append((following, iter(following.after.imports)))
    return list(done.values())
