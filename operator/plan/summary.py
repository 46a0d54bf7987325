"""A plan as people and programs see it, and as it is saved: the same values, no keys' seeds, no tokens."""

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from gossamer.auth.claims import AccountClaims
from gossamer.operator.failure import Failure
from gossamer.operator.output.document import Remark
from gossamer.operator.plan.difference import FieldChange
from gossamer.operator.plan.effects import Effect, effects, removal_effect
from gossamer.operator.plan.planning import Planner, Removal, UserWork, Work
from gossamer.operator.store.workspace import Workspace

SCHEMA = "gossamer/plan/v1"
#: Beyond so many users a plan tells their number per account instead of each name.
USERS_NAMED_MAX = 5_000

CREATE = "create"
CHANGE = "change"
SIGN = "sign"
SHUT = "shut"
REMOVE = "remove"
REVOKE = "revoke"


class Change(Struct, frozen=True, kw_only=True):
    """One thing that will be done. ``name``: ``ACCOUNT`` or ``ACCOUNT/USER``; ``count``: of how many users."""

    action: str
    kind: str
    name: str
    why: str = ""
    count: int = 1
    fields: tuple[FieldChange, ...] = ()
    effects: tuple[Effect, ...] = ()

    def line(self) -> str:
        """For people."""
        what = f"{self.kind} {self.name}" if self.count == 1 else f"{self.count} users of account {self.name}"
        return f"{self.action} {what}" + (f" ({self.why})" if self.why else "")


class Waiting(Struct, frozen=True, kw_only=True):
    """An account that is shut and will be removed from ``due`` (unix seconds) on."""

    account: str
    due: int


class Plan(Struct, frozen=True, kw_only=True):
    """``inputs``: hashes of what the plan was made of, only in a saved one."""

    schema: str = SCHEMA
    operator: str
    changes: tuple[Change, ...]
    waiting: tuple[Waiting, ...] = ()
    warnings: tuple[Remark, ...] = ()
    made_at: int = 0
    force: bool = False
    inputs: dict[str, str] = {}

    @property
    def is_empty(self) -> bool:
        """Is there nothing to do?"""
        return not self.changes


def summarized(planner: Planner, work: Work) -> Plan:
    """The plan of what the planner found. Works out the users, account by account."""
    changes: list[Change] = []
    if work.operator.changes:
        action = CREATE if work.operator.before is None else CHANGE
        changes.append(Change(action=action, kind="operator", name=planner.operator_name, fields=work.operator.changes))
    for entry in work.accounts:
        if entry.before is None:
            changes.append(Change(action=CREATE, kind="account", name=entry.name, fields=entry.changes))
        elif entry.to_sign:
            changes.append(
                Change(
                    action=CHANGE if entry.changes else SIGN,
                    kind="account",
                    name=entry.name,
                    fields=entry.changes,
                    why="" if entry.changes else "its signer is no longer trusted",
                    effects=tuple(effects(entry.before.claims, entry.after, name=entry.name, now=planner.now)),
                )
            )
    named = 0
    for entry in work.accounts:
        users = [_user_change(entry.name, user) for user in planner.users(entry, work.operator.after)]
        users += [
            Change(action=REVOKE, kind="user", name=f"{entry.name}/{user.name}", why="no longer in the file")
            for user in entry.removed_users
        ]
        named += len(users)
        changes.extend(users if named <= USERS_NAMED_MAX else _counted(entry.name, users))
    changes.extend(_removal_change(removal) for removal in work.removals if removal.phase)
    return Plan(
        operator=planner.operator_name,
        changes=tuple(changes),
        waiting=tuple(Waiting(account=one.name, due=one.due) for one in work.removals if not one.phase),
        warnings=tuple(work.warnings),
        made_at=planner.now,
    )


def _user_change(account: str, user: UserWork) -> Change:
    why = {"signer": "another key signs it", "rotation": "it ends soon"}.get(user.why, "")
    action = {"new": CREATE, "changed": CHANGE}.get(user.why, SIGN)
    fields = user.changes if user.why != "new" else ()
    return Change(action=action, kind="user", name=f"{account}/{user.name}", fields=fields, why=why)


def _counted(account: str, users: Sequence[Change]) -> list[Change]:
    counts: dict[tuple[str, str], int] = {}
    for change in users:
        counts[(change.action, change.why)] = counts.get((change.action, change.why), 0) + 1
    return [
        Change(action=action, kind="users" if count > 1 else "user", name=account, why=why, count=count)
        for (action, why), count in counts.items()
    ]


def _removal_change(removal: Removal) -> Change:
    before = removal.before.claims
    if removal.phase == 1:
        shut: AccountClaims = removal.after
        return Change(
            action=SHUT,
            kind="account",
            name=removal.name,
            why="no longer in the file: nobody may connect; it is removed after the grace period",
            effects=tuple(effects(before, shut, name=removal.name, now=0)),
        )
    return Change(
        action=REMOVE,
        kind="account",
        name=removal.name,
        why="no longer in the file",
        effects=(removal_effect(before, name=removal.name),),
    )


# --- saved plans ----------------------------------------------------------------------------------------------------


def input_hashes(workspace: Workspace, operator: str, declared: bytes) -> dict[str, str]:
    """Hashes of the file and of everything of the operator in the store."""
    return {"file": hashlib.sha256(declared).hexdigest(), "store": _store_hash(workspace, operator)}


def save(plan: Plan) -> bytes:
    """The content of a plan's file."""
    return msgspec.json.format(msgspec.json.encode(plan), indent=2) + b"\n"


def load(content: bytes, name: str) -> Plan:
    """A saved plan. Raises Failure for anything else."""
    try:
        plan = msgspec.json.decode(content, type=Plan)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Failure(f"{name} is no saved plan: {error}", code="broken-file", path=name) from None
    if plan.schema != SCHEMA or not plan.inputs:
        raise Failure(
            f"{name} is no saved plan", code="broken-file", hint="write one with: gossamer plan --out", path=name
        )
    return plan


def check_inputs(plan: Plan, hashes: dict[str, str]) -> None:
    """Raises Failure when what the plan was made of has changed."""
    changed = sorted(name for name in plan.inputs.keys() | hashes.keys() if plan.inputs.get(name) != hashes.get(name))
    if changed:
        raise Failure(
            f"the plan was made for another state: changed since then: {', '.join(changed)}",
            code="stale-plan",
            hint="make it anew with: gossamer plan --out",
        )


def same_changes(one: Plan, other: Plan) -> bool:
    """Do two plans do the same? Keys that are made differ each time, and moments too."""
    return [_bare(change) for change in one.changes] == [_bare(change) for change in other.changes]


def _bare(change: Change) -> Any:
    return change.action, change.kind, change.name, change.count, tuple(field.path for field in change.fields)


def _store_hash(workspace: Workspace, operator: str) -> str:
    store, found = workspace.store, hashlib.sha256()
    paths = [store.operator_path(operator)]
    if store.is_operator(operator):
        for account in store.accounts(operator):
            paths.append(store.account_path(operator, account))
            paths.extend(store.user_path(operator, account, user) for user in store.users(operator, account))
    for path in paths:
        content = workspace.changes.read_committed(path)
        if content is not None:
            found.update(f"{path.relative_to(store.root)}\0{len(content)}\0".encode())
            found.update(content)
    return found.hexdigest()
