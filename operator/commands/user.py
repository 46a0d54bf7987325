"""``gossamer user``."""

from pathlib import Path
from typing import Any

import click

from gossamer.operator.commands import options, views
from gossamer.operator.commands.adopt import import_user
from gossamer.operator.commands.amounts import show_moment
from gossamer.operator.commands.session import Session, now_seconds, reading, writing
from gossamer.operator.commands.user_issue import issue
from gossamer.operator.failure import Failure
from gossamer.operator.output.document import Document, Table, Text
from gossamer.operator.tenants import users
from gossamer.operator.tenants.result import Outcome
from gossamer.operator.tenants.users import UserEdit

STANDARD_OUTPUT = "--"


@click.group()
def user() -> None:
    """Create, edit, list, describe and delete users; write credentials."""


user.add_command(import_user, "import")
user.add_command(issue)


@user.command()
@click.argument("name")
@options.account_option
@click.option("-k", "--public-key", metavar="KEY", default="", help="Use this user key: public, or a path.")
@click.option("--exist-ok", is_flag=True, help="Bring a user that exists to what is asked.")
@options.claim_options
@options.grant_options
@writing
def create(session: Session, name: str, account_name: str, public_key: str, exist_ok: bool, **given: Any) -> Document:
    """Create a user and its credentials. -K ROLE signs it under a role, which then says what it may do."""
    operator, account = _place(session, account_name)
    outcome = users.create_user(
        session.workspace,
        operator,
        account,
        name,
        now=now_seconds(),
        edit=_edit(given),
        public=public_key,
        wish=session.signer,
        exist_ok=exist_ok,
    )
    return _answer(session, operator, account, name, outcome)


user.add_command(create, "add")


@user.command()
@click.argument("name")
@options.account_option
@options.claim_options
@options.grant_options
@options.remove_grant_options
@options.remove_tag_option
@click.option("--resign", is_flag=True, help="Issue it anew even if nothing changes.")
@writing
def edit(session: Session, name: str, account_name: str, **given: Any) -> Document:
    """Change a user and renew its credentials. Clients that are connected keep what they had until they come again."""
    operator, account = _place(session, account_name)
    outcome = users.edit_user(
        session.workspace, operator, account, name, _edit(given), now=now_seconds(), wish=session.signer
    )
    return _answer(session, operator, account, name, outcome)


@user.command()
@click.argument("name")
@options.account_option
@click.option("-R", "--raw", is_flag=True, help="The token itself.")
@reading
def describe(session: Session, name: str, account_name: str, raw: bool) -> Document:
    """Show a user."""
    operator, account = _place(session, account_name)
    stored = session.workspace.store.user(operator, account, name)
    if raw:
        return views.raw_document(stored)
    account_claims = session.workspace.store.account(operator, account).claims
    return Document(data=views.payload(stored.claims), sections=views.user_sections(stored.claims, account_claims))


@user.command("list")
@options.account_option
@click.option("-A", "--all", "every", is_flag=True, help="The users of all accounts.")
@reading
def list_users(session: Session, account_name: str, every: bool) -> Document:
    """List the users of an account."""
    store = session.workspace.store
    operator = session.workspace.operator().claims.name
    names = store.accounts(operator) if every else [session.workspace.account(account_name).claims.name]
    data: list[dict[str, Any]] = []
    rows: list[tuple[str, ...]] = []
    for account in names:
        account_claims = store.account(operator, account).claims
        for name in store.users(operator, account):
            claims = store.user(operator, account, name).claims
            scope = account_claims.scope(claims.issuer)
            revoked = account_claims.is_revoked(claims.subject, claims.issued_at)
            extra = {"account": account, "role": None if scope is None else scope.role, "revoked": revoked}
            data.append(views.summary(claims) | extra)
            row = (claims.name, claims.subject, "" if scope is None else scope.role, show_moment(claims.expires))
            rows.append((*((account,) if every else ()), *row, "revoked" if revoked else ""))
    columns = ("Name", "Key", "Role", "Expires", "")
    title = "Users" if every else f"Users of {names[0]}"
    table = Table(title=title, columns=("Account", *columns) if every else columns, rows=tuple(rows))
    return Document(data=data, sections=[table])


@user.command()
@click.argument("names", nargs=-1, required=True)
@options.account_option
@click.option("--revoke/--no-revoke", "-R", default=True, help="Void what was issued to it (the default).")
@click.option("-D", "--rm-nkey", is_flag=True, help="Remove its key.")
@click.option("-C", "--rm-creds", is_flag=True, help="Remove its credentials.")
@writing
def delete(
    session: Session, names: tuple[str, ...], account_name: str, revoke: bool, rm_nkey: bool, rm_creds: bool
) -> Document:
    """Remove users from the store, and revoke them. -K names an operator key, as the account is signed anew."""
    operator, account = _place(session, account_name)
    outcome = Outcome()
    for name in dict.fromkeys(names):
        outcome.include(
            users.delete_user(
                session.workspace,
                operator,
                account,
                name,
                now=now_seconds(),
                revoke=revoke,
                remove_key=rm_nkey,
                remove_credentials=rm_creds,
                wish=session.signer,
            )
        )
    data = {"names": list(names), "account": account, "removed": True, "revoked": revoke}
    return Document(data=data, done=outcome.done, warnings=outcome.warnings)


@user.command()
@click.argument("name")
@options.account_option
@click.option("-o", "--output-file", metavar="FILE", default="", help="Where to write them; -- is standard output.")
@click.option("-F", "--force", is_flag=True, help="Overwrite the file.")
@click.option("--show-secrets", is_flag=True, help="Print them: the same as -o --.")
@writing
def creds(
    session: Session, name: str, account_name: str, output_file: str, force: bool, show_secrets: bool
) -> Document:
    """Write the credentials of a user: into the keystore, or where -o says. -K names a file with the user's seed."""
    operator, account = _place(session, account_name)
    workspace = session.workspace
    text = users.credentials_text(workspace, operator, account, name, session.signer)
    if show_secrets or output_file == STANDARD_OUTPUT:
        return Document(data={"credentials": text}, sections=[Text(content=text)])
    if not output_file:
        path = workspace.keystore.write_credentials(operator, account, name, text)
    else:
        path = Path(output_file).expanduser().absolute()
        if path.exists() and not force and (workspace.changes.read(path) or b"") != text.encode():
            raise Failure(f"{path} exists", code="exists", hint="pass --force to overwrite it", path=str(path))
        workspace.changes.write(path, text.encode())
    document = Document(data={"user": name, "account": account, "path": str(path)})
    document.done.append(f"wrote credentials {path}")
    return document


def _place(session: Session, account_name: str) -> tuple[str, str]:
    operator = session.workspace.operator().claims.name
    return operator, session.workspace.account(account_name).claims.name


def _edit(given: dict[str, Any]) -> UserEdit:
    return UserEdit(claim=options.claim_edit(given), grant=options.grant_edit(given), resign=given.get("resign", False))


def _answer(session: Session, operator: str, account: str, name: str, outcome: Outcome) -> Document:
    claims = session.workspace.store.user(operator, account, name).claims
    path = users.credentials_path(session.workspace, operator, account, name)
    held = session.workspace.changes.exists(path)
    data = views.summary(claims) | {
        "account": account,
        "created": outcome.created,
        "changed": outcome.changed,
        "credentials": str(path) if held else None,
    }
    return Document(data=data, done=outcome.done, warnings=outcome.warnings)
