"""A new identity key for an operator (spec operator-cli section 4.2)."""

from msgspec import structs

from gossamer.auth.claims import OperatorClaims
from gossamer.auth.keys import KeyKind, KeyPair
from gossamer.operator.failure import Failure
from gossamer.operator.store.keystore import read_key_argument
from gossamer.operator.store.stored import refuse_new_faults, sign
from gossamer.operator.store.workspace import Workspace
from gossamer.operator.tenants.accounts import AccountEdit, edit_account
from gossamer.operator.tenants.edits import added
from gossamer.operator.tenants.result import Outcome


def reissue_operator(workspace: Workspace, name: str, *, now: int, key: str = "", convert: bool = False) -> Outcome:
    """Give an operator a new identity key: ``key`` (a seed or a path), or a new one.

    Accounts that the old identity key signed are signed anew, with a signing key where these are required; with
    ``convert`` the old key becomes a signing key instead and no account changes. Nobody needs the old seed for this.
    """
    if workspace.store.is_managed(name):
        raise Failure(
            f"the keys of operator {name!r} are not here", code="managed", hint="its owner has to give it a new key"
        )
    claims = workspace.store.operator(name).claims
    pair = _new_key(workspace, claims, key)
    signing = added(claims.signing_keys, (claims.subject,) if convert else (), (pair.public,))
    after = structs.replace(claims, subject=pair.public, signing_keys=signing)
    refuse_new_faults(after, claims)
    workspace.store.put_operator(sign(after, pair, now=now, newer_than=claims.issued_at))
    outcome = Outcome(changed=True)
    outcome.note(f"gave operator {name!r} the identity key {pair.public} in place of {claims.subject}")
    if convert:
        outcome.note(f"{claims.subject} is a signing key now: no account was signed anew")
    outcome.include(resign_accounts(workspace, name, now=now))
    outcome.warn(
        "restart-needed",
        "servers trust the old operator until they are restarted with the new claim",
        "restart them one by one, then push the accounts: gossamer push -A",
    )
    return outcome


def resign_accounts(workspace: Workspace, operator: str, *, now: int, wish: str = "") -> Outcome:
    """Sign the accounts whose signature the operator no longer trusts, and no others."""
    outcome = Outcome()
    trusted = workspace.store.operator(operator).claims.trusted_keys
    for account in workspace.store.accounts(operator):
        if workspace.store.account(operator, account).claims.issuer not in trusted:
            outcome.include(edit_account(workspace, operator, account, AccountEdit(resign=True), now=now, wish=wish))
    return outcome


def _new_key(workspace: Workspace, claims: OperatorClaims, key: str) -> KeyPair:
    if not key:
        return workspace.keystore.generate(KeyKind.OPERATOR)
    public, pair = read_key_argument(key, KeyKind.OPERATOR, workspace.keystore)
    if pair is None:
        raise Failure(f"the seed of {public} is not here", code="no-seed", hint="name the file that holds it")
    if public == claims.subject:
        raise Failure(f"{public} is the identity key already", code="exists", hint="leave -K out for a new one")
    workspace.keystore.put(pair)
    return pair
