"""Claims that were made elsewhere: an operator, an account or a user from a file, or a whole store that nsc keeps
(spec operator-cli sections 4.2, 4.3, 4.5, 7 and 10.10).

Tokens are taken as they are, so that whoever compares them finds the same ones. Only an account that another operator
or nobody signed is signed anew, and only when that is asked for.
"""

from pathlib import Path

from gossamer.auth.claims import AccountClaims, Claims, OperatorClaims, UserClaims
from gossamer.auth.credentials import CredentialsError, find_seed, find_token
from gossamer.auth.jwt import TokenError, decode
from gossamer.auth.keys import KeyPair
from gossamer.auth.validation import blocking, validate
from gossamer.operator.failure import ExitCode, Failure
from gossamer.operator.store.changes import ChangeSet
from gossamer.operator.store.names import checked_name
from gossamer.operator.store.store import Store
from gossamer.operator.store.stored import AnyClaims, Stored, open_token, sign
from gossamer.operator.store.workspace import Workspace
from gossamer.operator.tenants.amendment import account_claim_signer, trusted_signers
from gossamer.operator.tenants.keyfiles import collect_credentials, collect_keys
from gossamer.operator.tenants.result import Outcome
from gossamer.operator.tenants.sources import read_source


def read_claim(source: str) -> tuple[str, Claims, str]:
    """The token, what it says, and the seed beside it if there is one, of a file or a URL: bare, decorated, or
    credentials.

    Raises Failure when it holds no token that verifies.
    """
    path, text = read_source(source)
    try:
        token = find_token(text)
        claims = decode(token)
    except (CredentialsError, TokenError) as error:
        raise Failure(
            f"{path} is broken: {error}", code="broken-file", hint="give a JWT or credentials", path=path
        ) from None
    try:
        seed = find_seed(text)
    except CredentialsError:
        seed = ""
    return token, claims, seed


def import_operator(workspace: Workspace, source: str, *, now: int, overwrite: bool = False) -> Outcome:
    """Take an operator's claim from a file. The store becomes a managed one if the identity seed is not here."""
    token, _, _ = read_claim(source)
    stored = open_token(OperatorClaims, token, source)
    claims = stored.claims
    name = checked_name(claims.name, "operator")
    _check_valid(claims, now, skip=False)
    before = workspace.store.find_operator(name)
    outcome = Outcome(created=before is None)
    if before is not None and before.token == token:
        outcome.note(f"operator {name!r} is so already")
        return outcome
    if before is not None:
        _check_replaceable(before.claims, claims, overwrite)
    managed = not workspace.keystore.has_seed(claims.subject)
    workspace.store.put_operator(stored, managed=managed)
    outcome.changed = True
    outcome.note(f"imported operator {name!r} ({claims.subject})")
    if managed:
        outcome.warn(
            "managed",
            f"the keys of operator {name!r} are not here: accounts will sign themselves, which servers refuse",
            "the operator has to sign them, see: gossamer account import",
        )
    if not workspace.context.text("operator"):
        workspace.context.update(store_root=str(workspace.store.root), operator=name, account="")
    return outcome


def import_account(
    workspace: Workspace,
    operator: str,
    source: str,
    *,
    now: int,
    overwrite: bool = False,
    force: bool = False,
    skip_validation: bool = False,
    wish: str = "",
) -> tuple[str, Outcome]:
    """Take an account's claim from a file; returns its name. With ``force`` one that the operator did not sign is
    signed by it. Raises Failure for a claim that is not sound, unless ``skip_validation``."""
    token, _, _ = read_claim(source)
    stored = open_token(AccountClaims, token, source)
    claims = stored.claims
    name = checked_name(claims.name, "account")
    _check_valid(claims, now, skip=skip_validation)
    operator_claims = workspace.store.operator(operator).claims
    before = workspace.store.find_account(operator, name)
    other = workspace.store.account_by_key(operator, claims.subject)
    if other is not None and other.claims.name != name:
        raise Failure(
            f"account {other.claims.name!r} has the key {claims.subject}",
            code="exists",
            hint=f"rename it first: gossamer account rename {other.claims.name} {name}",
        )
    outcome = Outcome(created=before is None)
    if before is not None:
        if before.token == token:
            outcome.note(f"account {name!r} is so already")
            return name, outcome
        _check_replaceable(before.claims, claims, overwrite)
    if claims.issuer not in trusted_signers(workspace, operator_claims, claims):
        if not force:
            raise Failure(
                f"account {name!r} is signed by {claims.issuer}, not by operator {operator!r}",
                code="foreign-signer",
                hint="pass --force to sign it with the operator's key",
            )
        signer = account_claim_signer(workspace, operator_claims, claims, outcome, wish)
        newest = max(claims.issued_at, 0 if before is None else before.claims.issued_at)
        stored = sign(claims, signer, now=now, newer_than=newest)
        outcome.note(f"signed account {name!r} in place of {claims.issuer}")
    workspace.store.put_account(operator, stored)
    outcome.changed = True
    outcome.note(f"imported account {name!r} ({claims.subject})")
    return name, outcome


def import_user(
    workspace: Workspace,
    operator: str,
    source: str,
    *,
    now: int,
    overwrite: bool = False,
    skip_validation: bool = False,
) -> tuple[str, str, Outcome]:
    """Take a user's claim from a JWT or credentials file; returns the names of its account and its own.

    The account that issued it must be in the store. A seed in the file goes into the keystore.
    """
    token, _, seed = read_claim(source)
    stored = open_token(UserClaims, token, source)
    claims = stored.claims
    name = checked_name(claims.name, "user")
    _check_valid(claims, now, skip=skip_validation)
    owner = workspace.store.account_by_key(operator, claims.account)
    if owner is None:
        raise Failure(
            f"account {claims.account} of user {name!r} is not in the store",
            code="not-found",
            hint="import it first with: gossamer account import FILE",
        )
    account = owner.claims
    if claims.issuer != account.subject and not account.has_signing_key(claims.issuer):
        raise Failure(
            f"user {name!r} is signed by {claims.issuer}, which is no key of account {account.name!r}",
            code="foreign-signer",
            hint="have the account issue it",
        )
    before = workspace.store.find_user(operator, account.name, name)
    outcome = Outcome(created=before is None)
    pair = KeyPair.from_seed(seed) if seed else None
    if pair is not None and pair.public != claims.subject:
        raise Failure(f"the seed in {source} belongs to {pair.public}", code="wrong-seed", path=source)
    if before is not None and before.token == token and (pair is None or workspace.keystore.has_seed(pair.public)):
        outcome.note(f"user {name!r} is so already")
        return account.name, name, outcome
    if before is not None and before.token != token:
        _check_replaceable(before.claims, claims, overwrite)
    if pair is not None:
        workspace.keystore.put(pair)
    workspace.store.put_user(operator, account.name, stored)
    outcome.changed = True
    outcome.note(f"imported user {name!r} ({claims.subject}) into account {account.name!r}")
    if account.is_revoked(claims.subject, claims.issued_at):
        outcome.warn("revoked", f"account {account.name!r} revokes this claim")
    return account.name, name, outcome


def adopt_store(
    workspace: Workspace, stores: Path, keys: Path, *, only: str = "", overwrite: bool = False
) -> tuple[list[str], Outcome]:
    """Take over the operators of another store and its keystore, old layouts too; returns the operators' names.

    What is here and different stays a Failure, unless ``overwrite`` and the other one is newer.
    """
    outcome = Outcome()
    if stores.resolve() == workspace.store.root.resolve():
        raise Failure(f"{stores} is the store in use already", code="same-store", hint="there is nothing to take over")
    source = Store(stores, ChangeSet())
    names = [name for name in source.operators() if only in ("", name)]
    if not names:
        raise Failure(
            f"there is no operator {only!r} in {stores}" if only else f"there is no operator in {stores}",
            code="not-found",
            hint="name the folder of the stores with --stores",
        )
    # Keys first: a claim must never be here without the key that it names.
    found = collect_keys(keys, recurse=True) if keys.is_dir() else {}
    for public, pair in found.items():
        if not workspace.keystore.has_seed(public):
            workspace.keystore.put(pair)
            outcome.changed = True
    outcome.note(f"keys: {len(found)}")
    for operator in names:
        _adopt_operator(workspace, source, operator, overwrite, outcome)
        for (account, user), text in collect_credentials(keys, operator).items():
            path = workspace.keystore.credentials_path(operator, account, user)
            if not workspace.changes.exists(path) and source.find_user(operator, account, user) is not None:
                workspace.keystore.write_credentials(operator, account, user, text)
                outcome.changed = True
    if not workspace.context.text("operator"):
        workspace.context.update(store_root=str(workspace.store.root), operator=names[0], account="")
    return names, outcome


def _adopt_operator(workspace: Workspace, source: Store, operator: str, overwrite: bool, outcome: Outcome) -> None:
    store = workspace.store
    counts = {"accounts": 0, "users": 0}
    theirs = source.operator(operator)
    if _wanted(store.find_operator(operator), theirs, overwrite):
        store.put_operator(theirs, managed=source.is_managed(operator))
        outcome.changed = True
    for account in source.accounts(operator):
        claim = source.account(operator, account)
        if _wanted(store.find_account(operator, account), claim, overwrite):
            store.put_account(operator, claim)
            outcome.changed = True
        counts["accounts"] += 1
        for user in source.users(operator, account):
            held = source.user(operator, account, user)
            if _wanted(store.find_user(operator, account, user), held, overwrite):
                store.put_user(operator, account, held)
                outcome.changed = True
            counts["users"] += 1
    outcome.note(f"adopted operator {operator!r}: {counts['accounts']} accounts, {counts['users']} users")


def _wanted(mine: Stored[AnyClaims] | None, theirs: Stored[AnyClaims], overwrite: bool) -> bool:
    if mine is None:
        return True
    if mine.token == theirs.token:
        return False
    _check_replaceable(mine.claims, theirs.claims, overwrite)
    return True


def _check_replaceable(mine: Claims, theirs: Claims, overwrite: bool) -> None:
    what = f"{mine.TYPE} {mine.name!r}"
    if mine.subject != theirs.subject:
        raise Failure(
            f"there is another {what}, with the key {mine.subject}", code="exists", hint="rename or delete that one"
        )
    if theirs.issued_at < mine.issued_at:
        raise Failure(f"{what} in the store is newer", code="older", hint="delete that one if the other is meant")
    if not overwrite:
        raise Failure(f"{what} exists with other content", code="exists", hint="pass --overwrite to replace it")


def _check_valid(claims: Claims, now: int, *, skip: bool) -> None:
    issues = [] if skip else blocking(validate(claims, now), times=True)
    if issues:
        raise Failure(
            f"{claims.TYPE} {claims.name!r} is not valid: {'; '.join(issues)}",
            code="invalid",
            hint="pass --skip to take it all the same",
            exit_code=ExitCode.INVALID,
        )
