"""Auth callout settings of an account: who answers for others, and where it may place them (spec auth section 25)."""

from msgspec import Struct, structs

from gossamer.auth.claims import AccountClaims, ExternalAuthorization
from gossamer.auth.claims.account import EVERYBODY
from gossamer.auth.keys import KeyKind, is_public
from gossamer.auth.xkeys import CurveKeyPair
from gossamer.operator.failure import Failure, usage
from gossamer.operator.store.changes import ChangeSet, existing_file
from gossamer.operator.store.keystore import public_of_seed
from gossamer.operator.store.workspace import Workspace
from gossamer.operator.tenants.activations import account_key
from gossamer.operator.tenants.amendment import amend
from gossamer.operator.tenants.edits import added
from gossamer.operator.tenants.result import Outcome

GENERATE = "generate"


class CalloutEdit(Struct, frozen=True, kw_only=True):
    """Changes: users and accounts are names or public keys, ``*`` stands for any account."""

    users: tuple[str, ...] = ()
    remove_users: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    remove_accounts: tuple[str, ...] = ()
    curve: str = ""  # an X key, a path or the word generate
    remove_curve: bool = False
    disable: bool = False


def edit_callout(
    workspace: Workspace, operator: str, account: str, edit: CalloutEdit, *, now: int, wish: str = ""
) -> Outcome:
    """Change the callout of an account; ``disable`` ends it, before anything else in ``edit`` is set."""
    outcome = Outcome()

    def user_key(text: str) -> str:
        if is_public(text, KeyKind.USER):
            return text
        return workspace.store.user(operator, account, text).claims.subject

    def place_key(text: str) -> str:
        return text if text == EVERYBODY else account_key(workspace, operator, text)

    def change(claims: AccountClaims) -> AccountClaims:
        before = claims.authorization
        if edit.disable:
            before = ExternalAuthorization(unknown=before.unknown)
            outcome.note("ended the callout")
        xkey = "" if edit.remove_curve else before.xkey
        if edit.curve and not (edit.curve == GENERATE and xkey and workspace.keystore.has_seed(xkey)):
            xkey = _curve(workspace, edit.curve)
            outcome.note(f"requests are sealed for {xkey}")
        after = structs.replace(
            before,
            auth_users=added(before.auth_users, map(user_key, edit.users), map(user_key, edit.remove_users)),
            allowed_accounts=added(
                before.allowed_accounts, map(place_key, edit.accounts), map(place_key, edit.remove_accounts)
            ),
            xkey=xkey,
        )
        if EVERYBODY in after.allowed_accounts and len(after.allowed_accounts) > 1:
            raise usage("'*' stands for any account: it cannot stand beside others", "remove the others, or the '*'")
        if not after.auth_users and (after.xkey or after.allowed_accounts):
            raise usage("a callout needs a user that answers", "name it with --auth-user, or end it with --disable")
        outcome.note(f"set the callout of account {account!r}")
        return structs.replace(claims, authorization=after)

    amend(workspace, operator, account, change, outcome, now=now, wish=wish)
    return outcome


def _curve(workspace: Workspace, text: str) -> str:
    if text == GENERATE:
        made = CurveKeyPair.generate()
        workspace.keystore.put(made)
        return made.public
    path = None if is_public(text) or public_of_seed(text) else existing_file(text)
    content = text if path is None else (ChangeSet().read(path) or b"").decode("ascii", "replace").strip()
    public = public_of_seed(content)
    if public and is_public(public, KeyKind.CURVE):
        workspace.keystore.put(CurveKeyPair.from_seed(content))
        return public
    if not is_public(content, KeyKind.CURVE):
        raise Failure(
            "the key given for sealing is no curve key",
            code="bad-key",
            hint="give an X key, a path to one, or the word generate",
        )
    return content
