"""``gossamer lint``: advice."""

import click

from gossamer.operator.commands.session import Session, reading
from gossamer.operator.failure import ExitCode
from gossamer.operator.output.document import Document, Remark, Table
from gossamer.operator.tenants.lint import lint_store


@click.command()
@click.option("-a", "--account", "account_name", metavar="NAME", default="", help="Only this account and its users.")
@click.option("--strict", is_flag=True, help="Exit code 5 when there is any advice.")
@reading
def lint(session: Session, account_name: str, strict: bool) -> Document:
    """Say what works but could be safer: wide permissions, endless credentials, unscoped keys, leftovers."""
    workspace = session.workspace
    operator = workspace.operator().claims.name
    account = workspace.account(account_name).claims.name if account_name else ""
    found = lint_store(workspace, operator, account=account)
    rows = tuple((advice.object, advice.code, advice.message, advice.hint) for advice in found)
    table = Table(title="Advice", columns=("Object", "Code", "Advice", "Remedy"), rows=rows)
    document = Document(data=found, sections=[table])
    if found and strict:
        document.exit_code = int(ExitCode.INVALID)
        document.errors.append(Remark(code="advice", message=f"{len(found)} pieces of advice"))
    return document
