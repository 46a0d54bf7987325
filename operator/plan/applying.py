"""Carrying a plan out, in an order in which nobody who may come in is locked out (spec operator-cli section 10.4).

Three stages, each a commit of its own:

1. keys, the operator's claim, the accounts' claims (exporters first). Where users are issued anew while a signing key
   goes or something is revoked, the account gets an *interim* claim first, with old and new keys. Push.
2. users and their credentials, account by account; many of them in several processes.
3. final claims where there was an interim one, users that leave, accounts that leave. Push, delete on the servers.

A run that was killed is finished by the next one: journals are carried out, then the plan is made anew and holds what
is left.
"""

import os
import time
from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct, field, structs

from gossamer.auth.claims import AccountClaims, OperatorClaims
from gossamer.operator.audit.record import gather, record
from gossamer.operator.plan.declaration import Declaration
from gossamer.operator.plan.issuing import issue_users
from gossamer.operator.plan.journal import commit
from gossamer.operator.plan.ledger import AccountLedger, Ledgers
from gossamer.operator.plan.planning import AccountWork, Planner, Removal, Work
from gossamer.operator.store.changes import ChangeSet
from gossamer.operator.store.stored import Stored, sign
from gossamer.operator.store.workspace import Workspace
from gossamer.operator.tenants.signing import operator_identity, operator_signer

COMMAND = "apply"
#: With more users than this a seed that is missing is found when it is needed; the next run goes on from there.
_USERS_CHECKED_MAX = 20_000


class Servers:
    """What applying needs of a live mesh; this one has none, and does nothing."""

    def push(self, accounts: Sequence[Stored[AccountClaims]]) -> None:
        """Give accounts to every server, and see that each has them. Raises Failure when one has not."""

    def delete(self, accounts: Sequence[str]) -> None:
        """Remove accounts, by their keys, from every server. Raises Failure when one has not."""

    def bring(self, accounts: Iterable[Stored[AccountClaims]]) -> None:
        """Give the servers those of these accounts that some of them has not. Raises Failure like ``push``."""


class Done(Struct, kw_only=True):
    """What was done, in lines."""

    lines: list[str] = field(default_factory=list)
    signed_accounts: int = 0
    issued_users: int = 0
    seconds: dict[str, float] = field(default_factory=dict)


class Applying:
    """One run. ``workspace`` must have nothing pending; the caller holds the lock of the stores."""

    def __init__(
        self,
        workspace: Workspace,
        declaration: Declaration,
        *,
        now: int,
        force: bool = False,
        wish: str = "",
        servers: Servers | None = None,
        processes: int = 1,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self._declaration = declaration
        self._operator = declaration.operator.name
        self._workspace = workspace
        self._wish = wish
        self._servers = servers or Servers()
        self._processes = processes
        self._progress = progress
        self.planner = Planner(workspace, declaration, now=now, force=force, signing=True)
        self._now = now
        self.done = Done()

    def run(self, work: Work) -> Done:
        """Carry out what ``self.planner.work()`` found. Raises Failure; what was committed until then stays."""
        started = time.perf_counter()
        if sum(len(entry.declared.users) for entry in work.accounts) <= _USERS_CHECKED_MAX:
            self.planner.check_signers(work)
        first = self._operator_and_accounts(work)
        started = self._clock("accounts", started)
        self._servers.push(first)
        started = self._clock("push", started)
        self._users(work)
        started = self._clock("users", started)
        last, gone = self._final(work)
        started = self._clock("final", started)
        self._servers.push(last)
        if gone:
            self._servers.delete(gone)
        store = reopened(self._workspace, self._operator).store
        self._servers.bring(store.account(self._operator, entry.name) for entry in work.accounts)
        self._clock("final push", started)
        return self.done

    def _clock(self, stage: str, started: float) -> float:
        now = time.perf_counter()
        self.done.seconds[stage] = round(now - started, 3)
        return now

    # --- stage 1 --------------------------------------------------------------------------------------------------
    def _operator_and_accounts(self, work: Work) -> list[Stored[AccountClaims]]:
        workspace, store = self._workspace, self._workspace.store
        operator = work.operator
        ledgers = Ledgers(workspace, self._operator)
        if operator.changes:
            pair = operator_identity(workspace.keystore, operator.after)
            stored = sign(operator.after, pair, now=self._now, newer_than=_issued(operator.before))
            managed = operator.before is not None and store.is_managed(self._operator)
            store.put_operator(stored, managed=managed)
            self.done.lines.append(f"signed operator {self._operator!r}")
            if operator.before is None and not workspace.context.text("operator"):
                workspace.context.update(store_root=str(store.root), operator=self._operator, account="")
        ledgers.put_operator(operator.ledger)
        signed = []
        signer = None
        for entry in work.accounts:
            if entry.to_sign:
                signer = signer or operator_signer(workspace.keystore, operator.after, self._wish)
                claims = entry.interim or entry.after
                stored_account = sign(claims, signer, now=self._now, newer_than=_issued(entry.before))
                store.put_account(self._operator, stored_account)
                signed.append(stored_account)
                self.done.signed_accounts += 1
                if entry.interim is None:
                    verb = "created" if entry.before is None else "signed"
                    self.done.lines.append(f"{verb} account {entry.name!r}")
            ledgers.put_account(entry.name, self._first_ledger(entry))
        self._commit(workspace.changes)
        return signed

    def _first_ledger(self, entry: AccountWork) -> AccountLedger:
        """Before users are issued or leave: names that are there now stay until they are done with."""
        known = self.planner.ledgers.account(entry.name) or AccountLedger()
        if entry.interim is not None:
            # The names of keys that go are needed until they are gone.
            return structs.replace(
                entry.ledger,
                users={**known.users, **entry.ledger.users},
                signing_keys={**known.signing_keys, **entry.ledger.signing_keys},
                roles=tuple(dict.fromkeys((*known.roles, *entry.ledger.roles))),
                former=known.former,
            )
        return structs.replace(entry.ledger, users={**known.users, **entry.ledger.users})

    # --- stage 2 --------------------------------------------------------------------------------------------------
    def _users(self, work: Work) -> None:
        issued = issue_users(
            self._workspace,
            self._declaration,
            work,
            now=self._now,
            processes=self._processes,
            progress=self._progress,
        )
        self.done.issued_users += sum(len(names) for names in issued.values())
        for account, names in issued.items():
            if len(names) <= 5:
                self.done.lines.extend(f"issued user {account}/{name}" for name in names)
            else:
                self.done.lines.append(f"issued {len(names)} users of account {account!r}")

    # --- stage 3 --------------------------------------------------------------------------------------------------
    def _final(self, work: Work) -> tuple[list[Stored[AccountClaims]], list[str]]:
        workspace = reopened(self._workspace, self._operator)
        store, ledgers = workspace.store, Ledgers(workspace, self._operator)
        signed: list[Stored[AccountClaims]] = []

        def put(claims: AccountClaims) -> None:
            newer_than = store.account(self._operator, claims.name).claims.issued_at
            signer = operator_signer(workspace.keystore, work.operator.after, self._wish)
            stored = sign(claims, signer, now=self._now, newer_than=newer_than)
            store.put_account(self._operator, stored)
            signed.append(stored)
            self.done.signed_accounts += 1

        for entry in work.accounts:
            if entry.interim is not None:
                put(entry.after)
                self.done.lines.append(f"signed account {entry.name!r}")
            for user in entry.removed_users:
                store.remove_user(self._operator, entry.name, user.name)
                workspace.keystore.remove_credentials(self._operator, entry.name, user.name)
                self.done.lines.append(f"revoked and removed user {entry.name}/{user.name}")
            ledgers.put_account(entry.name, self._last_ledger(workspace, entry))
        gone = [self._remove(workspace, ledgers, removal, put) for removal in work.removals if removal.phase]
        self._commit(workspace.changes)
        return signed, [key for key in gone if key]

    def _last_ledger(self, workspace: Workspace, entry: AccountWork) -> AccountLedger:
        present = Ledgers(workspace, self._operator).account(entry.name) or entry.ledger
        users = {name: key for name, key in present.users.items() if name in entry.declared.users}
        for name in entry.declared.users:
            if name not in users:
                # Adopted: it was in the store before it was in the file.
                users[name] = workspace.store.user(self._operator, entry.name, name).claims.subject
        return structs.replace(entry.ledger, users=users)

    def _remove(
        self, workspace: Workspace, ledgers: Ledgers, removal: Removal, put: Callable[[AccountClaims], None]
    ) -> str:
        """One phase of a removal. Returns the account's key in the last one, else nothing."""
        if removal.phase == 1:
            put(removal.after)
            ledgers.put_account(removal.name, removal.ledger)
            self.done.lines.append(f"shut account {removal.name!r}")
            return ""
        workspace.keystore.remove_credentials(self._operator, removal.name)
        workspace.store.remove_account(self._operator, removal.name)
        ledgers.forget_account(removal.name)
        if (workspace.context.text("operator"), workspace.context.text("account")) == (self._operator, removal.name):
            workspace.context.update(account="")
        self.done.lines.append(f"removed account {removal.name!r}")
        return removal.before.claims.subject

    def _commit(self, changes: ChangeSet) -> None:
        stores = self._workspace.store.root
        gathered = gather(changes, stores, self._workspace.keystore.root)
        commit(changes, self.planner.ledgers.folder)
        record(gathered, stores, COMMAND, os.environ, now=time.time())


def reopened(workspace: Workspace, operator: str) -> Workspace:
    """The same places with nothing pending, as they are on disk now."""
    return Workspace(
        workspace.places,
        ChangeSet(),
        os.environ,
        working=workspace.working,
        operator=operator,
        unlocking=workspace.keystore.custodian.unlocking,
    )


def _issued(stored: Stored[AccountClaims] | Stored[OperatorClaims] | None) -> int:
    return 0 if stored is None else stored.claims.issued_at
