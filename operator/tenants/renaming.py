"""An account under another name (spec operator-cli section 4.3): with the same key, users and credentials."""

from msgspec import structs

from gossamer.operator.failure import Failure
from gossamer.operator.store.names import checked_name
from gossamer.operator.store.stored import sign
from gossamer.operator.store.workspace import Workspace
from gossamer.operator.tenants.amendment import account_claim_signer
from gossamer.operator.tenants.result import Outcome


def rename_account(workspace: Workspace, operator: str, old: str, new: str, *, now: int, wish: str = "") -> Outcome:
    """Sign the account under its new name and move its users and credentials there.

    Raises Failure when there is another account of the new name.
    """
    new = checked_name(new, "account")
    outcome = Outcome()
    if workspace.store.find_account(operator, old) is None and workspace.store.find_account(operator, new) is not None:
        outcome.note(f"account {new!r} is so already")
        return outcome
    claims = workspace.store.account(operator, old).claims
    if old == new:
        outcome.note(f"account {new!r} is so already")
        return outcome
    if workspace.store.find_account(operator, new) is not None:
        raise Failure(f"account {new!r} exists", code="exists", hint="choose another name")
    signer = account_claim_signer(workspace, workspace.store.operator(operator).claims, claims, outcome, wish)
    stored = sign(structs.replace(claims, name=new), signer, now=now, newer_than=claims.issued_at)
    users = [workspace.store.user(operator, old, name) for name in workspace.store.users(operator, old)]
    workspace.store.put_account(operator, stored)
    for user in users:
        workspace.store.put_user(operator, new, user)
        text = workspace.keystore.read_credentials(operator, old, user.claims.name)
        if text is not None:
            workspace.keystore.write_credentials(operator, new, user.claims.name, text)
    workspace.keystore.remove_credentials(operator, old)
    workspace.store.remove_account(operator, old)
    if workspace.context.text("operator") == operator and workspace.context.text("account") == old:
        workspace.context.update(account=new)
    outcome.changed = True
    outcome.note(f"renamed account {old!r} to {new!r} ({len(users)} users)")
    templates = [
        scope.role
        for key in claims.signing_key_texts
        if (scope := claims.scope(key)) is not None
        and any("account-name" in s for s in (*scope.template.publish.allow, *scope.template.subscribe.allow))
    ]
    if templates:
        outcome.warn(
            "template-name",
            f"roles whose templates hold the account's name grant other subjects now: {', '.join(templates)}",
        )
    return outcome
