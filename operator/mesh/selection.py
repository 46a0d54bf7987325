"""Which accounts of a store are meant, and whether servers could use them."""

from collections.abc import Sequence

from msgspec import Struct

from gossamer.auth.claims import AccountClaims, OperatorClaims
from gossamer.auth.validation import blocking, validate
from gossamer.operator.failure import ExitCode, Failure, usage
from gossamer.operator.store.stored import Stored
from gossamer.operator.store.workspace import Workspace


class Fault(Struct, frozen=True, kw_only=True):
    """Why servers could not use an account."""

    account: str
    message: str


def selected_accounts(workspace: Workspace, names: Sequence[str], *, every: bool) -> list[Stored[AccountClaims]]:
    """The accounts that are named, all of them, or the context's. Raises Failure."""
    if every and names:
        raise usage("-A means all accounts, and some are named as well", "give one of both")
    operator = workspace.operator().claims.name
    if every:
        return [workspace.store.account(operator, name) for name in workspace.store.accounts(operator)]
    if not names:
        return [workspace.account()]
    return [workspace.account(name) for name in dict.fromkeys(names)]


def faults(operator: OperatorClaims, account: AccountClaims, now: float) -> list[Fault]:
    """What keeps servers from using an account now: its signer, its content, its times. ``now`` in unix seconds."""
    found = [Fault(account=account.name, message=text) for text in blocking(validate(account, now), times=True)]
    if account.issuer not in operator.trusted_keys:
        text = f"it is signed by {account.issuer}, which is no key of operator {operator.name!r} that may sign accounts"
        found.append(Fault(account=account.name, message=text))
    return found


def refuse_faulty(operator: OperatorClaims, accounts: Sequence[Stored[AccountClaims]], now: float) -> None:
    """Raises Failure (exit code 5) when servers could not use one of them."""
    found = [fault for stored in accounts for fault in faults(operator, stored.claims, now)]
    if found:
        shown = "; ".join(f"{fault.account}: {fault.message}" for fault in found[:5])
        more = f" and {len(found) - 5} more" if len(found) > 5 else ""
        raise Failure(
            f"servers could not use what is to be pushed: {shown}{more}",
            code="invalid",
            hint="mend it (gossamer validate shows all of it), or pass --force",
            exit_code=ExitCode.INVALID,
        )
