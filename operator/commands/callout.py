"""``gossamer account callout``: who answers for others that want to come in."""

import click

from gossamer.operator.commands import options
from gossamer.operator.commands.amounts import split_list
from gossamer.operator.commands.place import account_answer, account_place
from gossamer.operator.commands.session import Session, now_seconds, writing
from gossamer.operator.output.document import Document
from gossamer.operator.tenants.callout import CalloutEdit, edit_callout


@click.command()
@options.account_option
@options.many("--auth-user", help_text="Users that answer: names or public keys.")
@options.many("--rm-auth-user", help_text="Users that no longer do.")
@options.many("--allowed-account", help_text="Accounts they may place others in: names, public keys, or *.")
@options.many("--rm-allowed-account", help_text="Accounts to take back.")
@click.option("-x", "--curve", metavar="KEY", default="", help="Seal requests for this X key, a path, or generate.")
@click.option("--rm-curve", is_flag=True, help="Requests go unsealed.")
@click.option("--disable", is_flag=True, help="End the callout.")
@writing
def callout(
    session: Session,
    account_name: str,
    auth_user: tuple[str, ...],
    rm_auth_user: tuple[str, ...],
    allowed_account: tuple[str, ...],
    rm_allowed_account: tuple[str, ...],
    curve: str,
    rm_curve: bool,
    disable: bool,
) -> Document:
    """Set the auth callout of an account."""
    operator, account = account_place(session, account_name)
    edit = CalloutEdit(
        users=tuple(split_list(auth_user)),
        remove_users=tuple(split_list(rm_auth_user)),
        accounts=tuple(split_list(allowed_account)),
        remove_accounts=tuple(split_list(rm_allowed_account)),
        curve=curve,
        remove_curve=rm_curve,
        disable=disable,
    )
    outcome = edit_callout(session.workspace, operator, account, edit, now=now_seconds(), wish=session.signer)
    claims = session.workspace.store.account(operator, account).claims
    return account_answer(session, operator, account, outcome, authorization=claims.authorization.members())
