"""``gossamer import``: what an account uses of others."""

from typing import Any

import click

from gossamer.operator.commands import options
from gossamer.operator.commands.adopt import adopt_nsc
from gossamer.operator.commands.amounts import moment_now, parse_moment
from gossamer.operator.commands.place import account_answer, account_place, kind_of, kind_options
from gossamer.operator.commands.session import Session, now_seconds, reading, writing
from gossamer.operator.output.document import Document, Table, cell
from gossamer.operator.tenants import imports
from gossamer.operator.tenants.exports import exporter_subject
from gossamer.operator.tenants.imports import ImportEdit


@click.group("import")
def import_group() -> None:
    """Use subjects of other accounts in an account; or adopt a store of nsc."""


import_group.add_command(adopt_nsc, "nsc")

_edit_options = options.together(
    click.option("-n", "--name", default=None, help="Its name; default: the subject."),
    click.option("-s", "--local-subject", default=None, metavar="SUBJECT", help="Its name in this account."),
    click.option("--share/--no-share", default=None, help="Tell the exporter who asks (services)."),
    click.option("--allow-trace/--no-allow-trace", default=None, help="Traces follow into this account (streams)."),
    click.option("-u", "--token", default=None, metavar="FILE", help="The activation that the exporter gave."),
    click.option("--grant-expiry", default=None, metavar="DATE", help="When an activation issued for it ends."),
)
_source_option = click.option(
    "--src-account", "--from", "source", metavar="NAME", default="", help="The exporter: a name or a public key."
)


@import_group.command()
@options.account_option
@_source_option
@click.option("--remote-subject", "--subject", "subject", default="", help="The subject as the exporter has it.")
@kind_options
@click.option("--exist-ok", is_flag=True, help="Bring an import that exists to what is asked.")
@_edit_options
@writing
def create(
    session: Session,
    account_name: str,
    source: str,
    subject: str,
    service: bool,
    stream: bool,
    exist_ok: bool,
    **given: Any,
) -> Document:
    """Import a subject. An exporter in the store says what kind it is, and grants what is private, if its key is
    stored; of any other one the activation must be given."""
    operator, account = account_place(session, account_name)
    outcome = imports.create_import(
        session.workspace,
        operator,
        account,
        source=source,
        subject=subject,
        kind=kind_of(service, stream),
        edit=_edit(given),
        now=now_seconds(),
        wish=session.signer,
        exist_ok=exist_ok,
    )
    return account_answer(session, operator, account, outcome)


import_group.add_command(create, "add")


@import_group.command()
@click.argument("subject")
@options.account_option
@_source_option
@kind_options
@_edit_options
@click.option("--grant", is_flag=True, help="Have the exporter, which is in the store, issue a new activation.")
@writing
def edit(
    session: Session,
    subject: str,
    account_name: str,
    source: str,
    service: bool,
    stream: bool,
    **given: Any,
) -> Document:
    """Change the import of SUBJECT (the exporter's subject or the local one)."""
    operator, account = account_place(session, account_name)
    outcome = imports.edit_import(
        session.workspace,
        operator,
        account,
        subject,
        _edit(given),
        source=source,
        kind=kind_of(service, stream),
        now=now_seconds(),
        wish=session.signer,
    )
    return account_answer(session, operator, account, outcome)


@import_group.command()
@click.argument("subject")
@options.account_option
@_source_option
@kind_options
@writing
def delete(session: Session, subject: str, account_name: str, source: str, service: bool, stream: bool) -> Document:
    """No longer import SUBJECT (the exporter's subject or the local one)."""
    operator, account = account_place(session, account_name)
    outcome = imports.delete_import(
        session.workspace,
        operator,
        account,
        subject,
        source=source,
        kind=kind_of(service, stream),
        now=now_seconds(),
        wish=session.signer,
    )
    return account_answer(session, operator, account, outcome)


@import_group.command("list")
@options.account_option
@click.option("-A", "--all", "every", is_flag=True, help="The imports of all accounts.")
@reading
def list_imports(session: Session, account_name: str, every: bool) -> Document:
    """List imports, and whose they are."""
    workspace = session.workspace
    operator = workspace.operator().claims.name
    names = workspace.store.accounts(operator) if every else [workspace.account(account_name).claims.name]
    known = {
        workspace.store.account(operator, name).claims.subject: name for name in workspace.store.accounts(operator)
    }
    data: list[dict[str, Any]] = []
    rows: list[tuple[str, ...]] = []
    for name in names:
        for entry in workspace.store.account(operator, name).claims.imports:
            source = known.get(entry.account)
            extra = {"importer": name, "exporter": source, "local": entry.local}
            data.append(entry.members() | extra)
            notes = [word for word, said in (("share", entry.share), ("token", bool(entry.token))) if said]
            row = (name, entry.type, exporter_subject(entry), entry.local, source or entry.account, cell(notes))
            rows.append(row)
    columns = ("Account", "Type", "Subject", "Local subject", "From", "")
    return Document(data=data, sections=[Table(title="Imports", columns=columns, rows=tuple(rows))])


def _edit(given: dict[str, Any]) -> ImportEdit:
    expiry = given["grant_expiry"]
    return ImportEdit(
        name=given["name"],
        local_subject=given["local_subject"],
        share=given["share"],
        allow_trace=given["allow_trace"],
        token=given["token"],
        grant=given.get("grant", False),
        grant_expires=0 if expiry is None else parse_moment(expiry, moment_now()),
    )
