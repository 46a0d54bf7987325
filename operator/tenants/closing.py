"""The end of an account, in two phases (spec operator-cli sections 8.10 and 10.4).

An account that is only removed from the store lives on in servers that have its JWT, and nothing can be signed for it
any more. So it is closed first: nobody may connect, everything issued is void, and servers are told. Then it is removed
here, and pruned there.
"""

from typing import Any

from msgspec import structs

from gossamer.auth.claims import AccountClaims
from gossamer.auth.claims.account import EVERYBODY
from gossamer.operator.failure import Failure
from gossamer.operator.store.workspace import Workspace
from gossamer.operator.tenants.amendment import amend
from gossamer.operator.tenants.result import Outcome


def close_account(
    workspace: Workspace, operator: str, account: str, *, now: int, force: bool = False, wish: str = ""
) -> Outcome:
    """Let nobody in any more: no connections, no leaf nodes, everything issued until now void.

    Raises Failure for the system account, unless ``force``.
    """
    claims = workspace.store.account(operator, account).claims
    if claims.subject == workspace.store.operator(operator).claims.system_account and not force:
        raise Failure(
            f"{account!r} is the system account: without it servers cannot be reached",
            code="system-account",
            hint="pass --force if you mean it",
        )
    outcome = Outcome()
    if is_closed(claims):
        outcome.note(f"account {account!r} is so already")
        return outcome

    moments = [
        workspace.store.user(operator, account, name).claims.issued_at
        for name in workspace.store.users(operator, account)
    ]
    # Versions that follow each other closely run ahead of the clock: they are void too.
    moment = max([now, claims.revocations.get(EVERYBODY, 0), *moments])

    def change(before: AccountClaims) -> AccountClaims:
        return structs.replace(
            before,
            limits=structs.replace(before.limits, connections=0, leafnodes=0),
            revocations=before.revocations | {EVERYBODY: moment},
        )

    outcome.note(f"closed account {account!r}: nobody may connect, everything issued until now is void")
    amend(workspace, operator, account, change, outcome, now=now, wish=wish)
    users = workspace.store.users(operator, account)
    if users:
        outcome.warn(
            "closes-connections",
            f"connections of its users close when servers get this claim: {', '.join(users)}",
        )
    return outcome


def is_closed(claims: AccountClaims) -> bool:
    """Has the account been closed?"""
    return claims.limits.connections == 0 and claims.limits.leafnodes == 0 and EVERYBODY in claims.revocations


def removal_plan(claims: AccountClaims) -> list[dict[str, Any]]:
    """The steps that end an account, in order, for programs and people."""
    name = claims.name
    steps = [
        ("close", f"gossamer account close {name}", "nobody may connect, everything issued is void", is_closed(claims)),
        ("push", f"gossamer push -a {name}", "servers cut its connections", None),
        ("delete", f"gossamer account delete {name}", "it leaves the store", False),
        ("prune", "gossamer prune", "servers forget it; stream data must be removed there", None),
    ]
    return [
        {"step": number, "action": action, "command": command, "effect": effect, "done": done}
        for number, (action, command, effect, done) in enumerate(steps, 1)
    ]


def importers_of(workspace: Workspace, operator: str, claims: AccountClaims) -> list[str]:
    """Names of the accounts of the store that import from this one."""
    return [
        name
        for name in workspace.store.accounts(operator)
        if any(entry.account == claims.subject for entry in workspace.store.account(operator, name).claims.imports)
    ]
