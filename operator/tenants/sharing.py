"""What servers make of the imports in a store: the same judgement as in a node (``gossamer.auth.sharing``)."""

from collections.abc import Iterator

from msgspec import Struct

from gossamer.auth.reasons import ReasonCode
from gossamer.auth.sharing.from_claims import of_claims
from gossamer.auth.sharing.resolution import Resolution
from gossamer.auth.sharing.values import AccountSharing
from gossamer.operator.failure import ExitCode, Failure
from gossamer.operator.store.workspace import Workspace
from gossamer.operator.tenants.result import Outcome

#: Reasons that lie in the import itself: nothing that others do could bring it into force.
HOPELESS = frozenset({ReasonCode.IMPORT_CYCLE, ReasonCode.IMPORT_DUPLICATE, ReasonCode.IMPORT_SUBJECT})


class Refusal(Struct, frozen=True, kw_only=True):
    """An import that servers leave out, and why. ``account`` is the importer's name."""

    account: str
    subject: str
    local: str
    code: ReasonCode
    text: str


def refusals(workspace: Workspace, operator: str, now: float, *, account: str = "") -> list[Refusal]:
    """The imports of the store's accounts (or of one) that servers leave out at ``now`` (unix seconds).

    Those from accounts that are not in the store are not judged; claims that cannot be read are passed over.
    """
    resolution = Resolution()
    sharings = {sharing.name: sharing for sharing in _sharings(workspace, operator)}
    resolution.put_all(sharings.values(), now)
    return [
        Refusal(
            account=name,
            subject=refused.entry.subject,
            local=refused.entry.local,
            code=refused.reason.code,
            text=refused.reason.text,
        )
        for name, sharing in sharings.items()
        if account in ("", name)
        for refused in resolution.effective(sharing.account).refusals
        if not refused.pending
    ]


def judge_change(
    workspace: Workspace, operator: str, account: str, known: list[Refusal], outcome: Outcome, now: float
) -> None:
    """After a change of an account's imports: warn of those that servers leave out now. ``known``: those before.

    Raises Failure when nothing that others do could bring them into force: a cycle (in which the youngest import is
    left out, whoever's it is), a duplicate, a subject that does not fit its local one.
    """
    for refusal in refusals(workspace, operator, now):
        if refusal in known:
            continue
        if refusal.code in HOPELESS and (refusal.account == account or refusal.code is ReasonCode.IMPORT_CYCLE):
            raise Failure(
                f"servers would leave out the import of {refusal.subject!r} into account {refusal.account!r}: "
                f"{refusal.text}",
                code=refusal.code.value,
                hint="change what you ask for",
                exit_code=ExitCode.INVALID,
            )
        outcome.warn(
            "not-in-force",
            f"servers leave out the import of {refusal.subject!r} into account {refusal.account!r}: {refusal.text}",
        )


def _sharings(workspace: Workspace, operator: str) -> Iterator[AccountSharing]:
    for name in workspace.store.accounts(operator):
        try:
            yield of_claims(workspace.store.account(operator, name).claims, f"account {name!r}")
        except Failure:
            continue
