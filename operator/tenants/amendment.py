"""One change of an account's claim: made only if it says something new, and signed by whoever may.

In a managed store the operator's keys are somebody else's (spec operator-cli section 7): there an account signs its own
claim, which no server believes until the operator has signed it.
"""

from collections.abc import Callable

from gossamer.auth.claims import AccountClaims, OperatorClaims
from gossamer.auth.keys import KeyKind, KeyPair
from gossamer.operator.failure import Failure
from gossamer.operator.store.keystore import read_key_argument
from gossamer.operator.store.stored import refuse_new_faults, same_content, sign
from gossamer.operator.store.workspace import Workspace
from gossamer.operator.tenants.result import Outcome
from gossamer.operator.tenants.signing import operator_signer

Change = Callable[[AccountClaims], AccountClaims]


def amend(
    workspace: Workspace,
    operator: str,
    account: str,
    change: Change,
    outcome: Outcome,
    *,
    now: int,
    wish: str = "",
    resign: bool = False,
) -> AccountClaims:
    """Change the claim of an account and sign it; what it says already is not signed again.

    ``now`` in unix seconds; ``wish`` is the ``-K`` key. The lines that ``change`` puts into ``outcome`` stay only if
    something changes. Returns the claims as they stand then. Raises Failure, with nothing written, for a claim that
    servers would refuse, or without a key that may sign.
    """
    before = workspace.store.account(operator, account).claims
    after = change(before)
    put_amended(workspace, operator, before, after, outcome, now=now, wish=wish, resign=resign)
    return workspace.store.account(operator, account).claims


def put_amended(
    workspace: Workspace,
    operator: str,
    before: AccountClaims,
    after: AccountClaims,
    outcome: Outcome,
    *,
    now: int,
    wish: str = "",
    resign: bool = False,
) -> None:
    """Sign ``after`` in place of ``before``, unless both say the same and the signature is good."""
    claims = workspace.store.operator(operator).claims
    # A claim whose signer is not trusted (any more) is no good, whatever it says.
    resign = resign or before.issuer not in trusted_signers(workspace, claims, before)
    if same_content(before.sorted_for_signing(), after.sorted_for_signing()) and not resign:
        outcome.done.clear()
        outcome.note(f"account {before.name!r} is so already")
        return
    refuse_new_faults(after, before)
    signer = account_claim_signer(workspace, claims, after, outcome, wish)
    issued = workspace.store.issued_on_disk(AccountClaims, workspace.store.account_path(operator, before.name))
    workspace.store.put_account(operator, sign(after, signer, now=now, newer_than=issued))
    outcome.changed = True
    outcome.note(f"signed account {before.name!r}")


def trusted_signers(workspace: Workspace, operator: OperatorClaims, account: AccountClaims) -> tuple[str, ...]:
    """The keys whose signature under the account's claim is as good as this store can make it."""
    trusted = operator.trusted_keys
    if workspace.store.is_managed(operator.name) and not any(map(workspace.keystore.has_seed, trusted)):
        return (*trusted, account.subject)
    return trusted


def account_claim_signer(
    workspace: Workspace, operator: OperatorClaims, account: AccountClaims, outcome: Outcome, wish: str = ""
) -> KeyPair:
    """The key that signs an account's claim: the operator's, or in a managed store without one the account's own,
    with a warning. Raises Failure when no allowed seed is there."""
    keystore = workspace.keystore
    managed = workspace.store.is_managed(operator.name)
    if not managed or any(map(keystore.has_seed, operator.trusted_keys)):
        return operator_signer(keystore, operator, wish)
    if wish:
        public, pair = read_key_argument(wish, KeyKind.ACCOUNT, keystore)
        if public != account.subject:
            raise Failure(
                f"{public} may not sign for account {account.name!r}",
                code="wrong-signer",
                hint="in a managed store the account's identity key signs",
            )
    else:
        pair = keystore.signer(account.subject)
    if pair is None:
        return operator_signer(keystore, operator)  # which says what is missing
    if not any(remark.code == "self-signed" for remark in outcome.warnings):
        outcome.warn(
            "self-signed",
            f"account {account.name!r} is signed by itself, as the keys of operator {operator.name!r} are not here: "
            "servers refuse it",
            "give its JWT to the operator (account describe --raw), and put what comes back in its place with: "
            "gossamer account import FILE --overwrite",
        )
    return pair
