"""Revocations of users: what was issued until a moment is void (spec auth section 13, operator-cli section 4.5).

The one rule that must hold: an entry never moves to an earlier time, as that would let somebody in again unseen.
Deleting an entry is the way to do that on purpose.
"""

from collections.abc import Sequence

from msgspec import Struct, structs

from gossamer.auth.claims import AccountClaims
from gossamer.auth.claims.account import EVERYBODY
from gossamer.auth.keys import KeyKind, is_public
from gossamer.operator.failure import Failure, usage
from gossamer.operator.store.workspace import Workspace
from gossamer.operator.tenants.amendment import amend
from gossamer.operator.tenants.result import Outcome


class Revocation(Struct, frozen=True, kw_only=True):
    """One entry. ``moment`` in unix seconds; ``users`` are the names in the store whose present claims it voids."""

    key: str
    moment: int
    name: str = ""
    users: tuple[str, ...] = ()


def revoke(
    workspace: Workspace,
    operator: str,
    account: str,
    whom: Sequence[str],
    *,
    now: int,
    at: int = 0,
    wish: str = "",
) -> tuple[Outcome, list[Revocation]]:
    """Void what was issued to users (names, public keys, or ``*`` for everybody) until ``at`` (0: now).

    Returns what was done and the entries as they stand. An entry that is later already stays, with a warning.
    """
    claims = workspace.store.account(operator, account).claims
    keys = [revocation_key(workspace, operator, account, text) for text in dict.fromkeys(whom)]
    outcome = Outcome()
    moments = {key: at or _until_now(workspace, operator, account, key, now) for key in keys}
    later = {key for key, moment in moments.items() if claims.revocations.get(key, moment) > moment}
    for key, moment in moments.items():
        if key not in later and claims.revocations.get(key) != moment:
            outcome.note(f"revoked {'everybody' if key == EVERYBODY else key}")
    merged = claims.revocations | {key: moment for key, moment in moments.items() if key not in later}
    after = amend(
        workspace,
        operator,
        account,
        lambda before: structs.replace(before, revocations=merged),
        outcome,
        now=now,
        wish=wish,
    )
    for key in keys:
        if key not in later or not at:
            # Later all the same, with no moment asked for: it is revoked until now, which is what was meant.
            continue
        outcome.warn(
            "never-earlier",
            f"{key} is revoked until a later time already: that stays",
            "to let it in again, delete the entry",
        )
    if EVERYBODY in keys and at and at < now:
        outcome.warn(
            "past-moment",
            "what was issued after that moment stays valid, as does what users issued since were given",
            "leave --at out to void everything issued until now",
        )
    entries = [entry for entry in revocations(workspace, operator, after) if entry.key in keys]
    return outcome, entries


def unrevoke(
    workspace: Workspace, operator: str, account: str, whom: Sequence[str], *, now: int, wish: str = ""
) -> Outcome:
    """Remove entries: claims that they made void count again, if nothing else forbids. Raises Failure if one is not
    there."""
    claims = workspace.store.account(operator, account).claims
    keys = [revocation_key(workspace, operator, account, text) for text in dict.fromkeys(whom)]
    missing = [key for key in keys if key not in claims.revocations]
    if missing:
        raise Failure(
            f"account {account!r} does not revoke {', '.join(missing)}",
            code="not-found",
            hint="gossamer revocation list shows the entries",
        )
    back = [name for entry in revocations(workspace, operator, claims) if entry.key in keys for name in entry.users]
    outcome = Outcome()
    outcome.note(f"removed the revocation of {', '.join(keys)}")
    kept = {key: moment for key, moment in claims.revocations.items() if key not in keys}
    amend(
        workspace,
        operator,
        account,
        lambda before: structs.replace(before, revocations=kept),
        outcome,
        now=now,
        wish=wish,
    )
    after = workspace.store.account(operator, account).claims
    valid = [
        name for name in dict.fromkeys(back) if not after.is_revoked(*_identity(workspace, operator, account, name))
    ]
    if valid:
        outcome.warn("valid-again", f"credentials that count again: {', '.join(valid)}")
    return outcome


def compact(workspace: Workspace, operator: str, account: str, *, now: int, wish: str = "") -> Outcome:
    """Drop the entries that ``*`` makes superfluous: those of the same time or an earlier one."""
    claims = workspace.store.account(operator, account).claims
    everybody = claims.revocations.get(EVERYBODY)
    outcome = Outcome()
    if everybody is None:
        outcome.note(f"account {account!r} has no revocation of everybody: nothing to drop")
        return outcome
    kept = {key: moment for key, moment in claims.revocations.items() if key == EVERYBODY or moment > everybody}
    outcome.note(f"dropped {len(claims.revocations) - len(kept)} revocations that everybody's covers")
    amend(
        workspace,
        operator,
        account,
        lambda before: structs.replace(before, revocations=kept),
        outcome,
        now=now,
        wish=wish,
    )
    return outcome


def revocations(workspace: Workspace, operator: str, claims: AccountClaims) -> list[Revocation]:
    """The entries of an account, with the users of the store whose present claims they void."""
    issued = {
        name: _identity(workspace, operator, claims.name, name) for name in workspace.store.users(operator, claims.name)
    }
    found = []
    for key, moment in sorted(claims.revocations.items()):
        names = {name: entry for name, entry in issued.items() if key in (EVERYBODY, entry[0])}
        users = tuple(name for name, entry in names.items() if entry[1] <= moment)
        name = "everybody" if key == EVERYBODY else next(iter(names), "")
        found.append(Revocation(key=key, moment=moment, name=name, users=users))
    return found


def revocation_key(workspace: Workspace, operator: str, account: str, text: str) -> str:
    """The key of an entry: of a user's name, a public key as it is, or ``*``. Raises Failure."""
    if text == EVERYBODY or is_public(text, KeyKind.USER):
        return text
    if is_public(text):
        raise usage(f"{text} is not the key of a user", "revocations name users: U...")
    return workspace.store.user(operator, account, text).claims.subject


def _until_now(workspace: Workspace, operator: str, account: str, key: str, now: int) -> int:
    """Now, or the time of what was issued last: versions of a claim that follow each other closely run ahead of the
    clock, as no two of them share a second."""
    issued = [_identity(workspace, operator, account, name) for name in workspace.store.users(operator, account)]
    return max([now, *(moment for subject, moment in issued if key in (EVERYBODY, subject))])


def _identity(workspace: Workspace, operator: str, account: str, name: str) -> tuple[str, int]:
    claims = workspace.store.user(operator, account, name).claims
    return claims.subject, claims.issued_at
