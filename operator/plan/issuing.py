"""Users issued: signed, with their credentials, account by account.

Users hang on nothing but their account, so that many accounts can be worked on in several processes, each of which
commits its share by itself. A process takes accounts in portions; a portion is one journal.
"""

import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from msgspec import structs

from gossamer.auth.credentials import format_signed, format_token
from gossamer.auth.jwt import encode
from gossamer.auth.keys import KeyKind, KeyPair
from gossamer.operator.audit.record import gather, record
from gossamer.operator.failure import ExitCode, Failure
from gossamer.operator.plan.declaration import Declaration
from gossamer.operator.plan.journal import commit
from gossamer.operator.plan.ledger import AccountLedger, Ledgers
from gossamer.operator.plan.planning import NOT_MADE, AccountWork, Planner, UserWork, Work
from gossamer.operator.store.store import USERS_FOLDER
from gossamer.operator.store.workspace import Workspace

#: Users of one journal, about; and how many pay for a process of their own.
_PORTION = 10_000
_WORTH_A_PROCESS = 2_000

Issued = dict[str, list[str]]

#: What a forked process inherits: nothing of it has to be sent.
_inherited: "list[_Issuing]" = []


def issue_users(
    workspace: Workspace,
    declaration: Declaration,
    work: Work,
    *,
    now: int,
    processes: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Issued:
    """Issue the users of all accounts; names by account. ``workspace`` must have been committed. Raises Failure."""
    issuing = _Issuing(workspace, declaration, work, now)
    portions = list(_portions(work.accounts))
    total = sum(len(entry.declared.users) for entry in work.accounts)
    found: Issued = {}
    if processes < 2 or total < _WORTH_A_PROCESS or len(portions) < 2:
        for number, portion in enumerate(portions):
            found.update(issuing.issue(portion))
            if progress is not None:
                progress(number + 1, len(portions))
        return found
    _inherited.append(issuing)
    try:
        context = multiprocessing.get_context("fork")
        with ProcessPoolExecutor(min(processes, len(portions)), mp_context=context) as pool:
            for number, part in enumerate(pool.map(_issue_portion, portions)):
                found.update(part)
                if progress is not None:
                    progress(number + 1, len(portions))
    finally:
        _inherited.remove(issuing)
    return found


def _issue_portion(portion: Sequence[int]) -> Issued:
    return _inherited[-1].issue(portion)


def _portions(accounts: Sequence[AccountWork]) -> list[list[int]]:
    """Positions of accounts with users, in portions of about the same number of users."""
    found: list[list[int]] = [[]]
    users = 0
    for position, entry in enumerate(accounts):
        if not entry.declared.users:
            continue
        if users and users + len(entry.declared.users) > _PORTION:
            found.append([])
            users = 0
        found[-1].append(position)
        users += len(entry.declared.users)
    return [portion for portion in found if portion]


class _Issuing:
    def __init__(self, workspace: Workspace, declaration: Declaration, work: Work, now: int) -> None:
        self._workspace = workspace
        self._declaration = declaration
        self._work = work
        self._now = now

    def issue(self, portion: Sequence[int]) -> Issued:
        """Issue the users of some accounts, and commit them."""
        from gossamer.operator.plan.applying import reopened

        name = self._declaration.operator.name
        workspace = reopened(self._workspace, name)
        planner = Planner(workspace, self._declaration, now=self._now, users_only=True)
        ledgers = Ledgers(workspace, name)
        operator = self._work.operator.after
        found: Issued = {}
        for position in portion:
            entry = self._work.accounts[position]
            signers: dict[str, KeyPair] = {}
            folder = workspace.store.account_folder(name, entry.name) / USERS_FOLDER
            made: dict[str, str] = {}
            for user in planner.users(entry, operator):
                made[user.name] = self._one(workspace, entry, user, signers, folder)
            if made:
                found[entry.name] = list(made)
                known = ledgers.account(entry.name) or AccountLedger()
                ledgers.put_account(entry.name, structs.replace(known, users={**known.users, **made}))
        stores = workspace.store.root
        gathered = gather(workspace.changes, stores, workspace.keystore.root)
        commit(workspace.changes, ledgers.folder)
        record(gathered, stores, "apply", os.environ, now=time.time())
        return found

    def _one(
        self, workspace: Workspace, entry: AccountWork, user: UserWork, signers: dict[str, KeyPair], folder: Path
    ) -> str:
        """Sign one user and write its credentials. Returns its public key."""
        operator = self._declaration.operator.name
        signer = signers.get(user.signer)
        if signer is None:
            signer = signers[user.signer] = _signer(workspace, entry.name, user.signer)
        claims = user.after
        pair = None
        if claims.subject == NOT_MADE:
            pair = KeyPair.generate(KeyKind.USER)
            workspace.keystore.put(pair)
            claims = structs.replace(claims, subject=pair.public)
        elif user.credentials:
            pair = workspace.keystore.signer(claims.subject)
        newest = 0 if user.before is None else user.before.issued_at
        token = encode(claims, signer, issued_at=max(self._now, newest + 1))
        # The name was checked when the file was read, the account's when its folder was asked for.
        workspace.changes.write(folder / f"{user.name}.jwt", token.encode())
        if user.credentials and (pair is not None or claims.grant.bearer_token):
            text = format_token(token) if pair is None else format_signed(token, pair.seed)
            workspace.keystore.write_credentials(operator, entry.name, user.name, text)
        return claims.subject


def _signer(workspace: Workspace, account: str, public: str) -> KeyPair:
    pair = workspace.keystore.signer(public)
    if pair is None:
        raise Failure(
            f"the seed of {public}, which signs users of account {account!r}, is not in the keystore",
            code="no-signer",
            hint="put it there with: gossamer key import",
            exit_code=ExitCode.SIGNER_UNAVAILABLE,
        )
    return pair
